// Paced cameras and latencies on a freshly initialised model: consistent numbers, a search that
// finds its own limit and a load that no machine holds, bad options, interruption.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/cameras.h"
#include "bench/latency.h"
#include "bench/synthetic.h"
#include "core/rng.h"
#include "helper.h"
#include "student/model.h"

static char model[600], clip[600];

static void set_up(void) {
    sac_model *made = NULL;
    sac_error error = {0};
    sac_preprocess preprocess = sac_preprocess_default();
    preprocess.width = 48;
    preprocess.height = 32;
    snprintf(model, sizeof model, "%s", sac_test_path("model.safetensors"));
    snprintf(clip, sizeof clip, "%s", sac_test_path("clip.mp4"));
    sac_assert_ok(sac_model_create(&made, "tiny-m", &preprocess, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 0);
    sac_params_init(made->params, &rng);
    sac_assert_ok(sac_model_save(made, model, &error), &error);
    sac_model_close(&made);
    const sac_synthetic_clip wanted = {.width = 64, .height = 48, .frames = 12, .seed = 3};
    sac_assert_ok(sac_synthetic_clip_write(clip, &wanted, NULL, NULL, &error), &error);
}

static sac_cameras_options cameras(void) {
    sac_cameras_options o = sac_cameras_default_options();
    o.model = model;
    o.source.path = clip;
    o.search_s = 0.1;
    o.verify_s = 0.2;
    return o;
}

static bool stop_now(void) {
    return true;
}

Test(bench_scenarios, cameras_at_the_limit, .init = set_up) {
    for (int decoding = 0; decoding < 2; decoding++) {
        sac_cameras_options o = cameras();
        sac_cameras_result result;
        sac_error error = {0};
        o.decoding = decoding == 1;
        o.workers = 2;
        o.most = 3;
        o.frame_rate = 2; // a frame may take half a second, also on a busy machine
        o.late_share = 0.9;
        o.search_s = o.verify_s = 1;
        sac_assert_ok(sac_cameras_search(&result, &o, &error), &error);
        cr_assert_eq(result.streams, 3);
        cr_assert(result.at_limit);
        const sac_cameras_trial *last = &result.trials[result.trial_count - 1];
        cr_assert(last->verification && last->held);
        cr_assert_eq(last->frames, 6);
        cr_assert(last->p50_ms > 0 && last->p50_ms <= last->p99_ms &&
                  last->p99_ms <= last->worst_ms);
        json_t *json = sac_cameras_json(&result, &o);
        cr_assert_eq(json_integer_value(json_object_get(json, "streams")), 3);
        json_decref(json);
    }
}

// Nothing scores a thousand frames a second a camera with none of them late, a hundred times.
Test(bench_scenarios, cameras_that_do_not_hold, .init = set_up) {
    sac_cameras_options o = cameras();
    sac_cameras_result result;
    sac_error error = {0};
    o.frame_rate = 1000;
    o.late_share = 0;
    o.most = 100;
    sac_assert_ok(sac_cameras_search(&result, &o, &error), &error);
    cr_assert_lt(result.streams, 100);
    cr_assert_not(result.at_limit);
    cr_assert_gt(result.trial_count, 0);
}

Test(bench_scenarios, cameras_refuse, .init = set_up) {
    sac_cameras_result result;
    sac_cameras_options o = cameras();
    sac_error error = {0};
    o.workers = 0;
    cr_assert_eq(sac_cameras_search(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o = cameras();
    o.most = 0;
    cr_assert_eq(sac_cameras_search(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o = cameras();
    o.late_share = (double)NAN;
    cr_assert_eq(sac_cameras_search(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o = cameras();
    o.frame_rate = (double)INFINITY;
    cr_assert_eq(sac_cameras_search(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o = cameras();
    o.source.path = "/nonexistent.mp4";
    sac_assert_error(sac_cameras_search(&result, &o, &error), SAC_ERROR_IO, &error,
                     "/nonexistent.mp4", NULL);
    o.decoding = true;
    error = (sac_error){0};
    sac_assert_error(sac_cameras_search(&result, &o, &error), SAC_ERROR_IO, &error,
                     "/nonexistent.mp4", NULL);
    o = cameras();
    o.stop = stop_now;
    cr_assert_eq(sac_cameras_search(&result, &o, NULL), SAC_ERROR_INTERRUPTED);
}

static int stop_at_once(void *user, int64_t done, int64_t total) {
    (void)user;
    return done <= total;
}

Test(bench_scenarios, latency, .init = set_up) {
    sac_latency_options o = sac_latency_default_options();
    static sac_latency_result result;
    sac_figures figures = {0};
    sac_error error = {0};
    o.model = model;
    o.source.path = clip;
    o.threads = 1;
    o.rounds = 2;
    o.seconds = 0.05;
    sac_assert_ok(sac_latency_measure(&result, &o, &error), &error);
    const sac_latency_way *ways[] = {&result.memory, &result.file};
    for (int i = 0; i < 2; i++) {
        cr_assert(ways[i]->ms[SAC_LATENCY_P50] > 0);
        cr_assert_leq(ways[i]->ms[SAC_LATENCY_P50], ways[i]->ms[SAC_LATENCY_P90]);
        cr_assert_leq(ways[i]->ms[SAC_LATENCY_P99], ways[i]->worst_ms);
        cr_assert(isnan(ways[i]->ms[SAC_LATENCY_P999]) == (ways[i]->frames < 1000));
    }
    cr_assert_eq(result.lookahead, 3);
    sac_assert_ok(sac_latency_figures(&figures, &result, &error), &error);
    cr_assert_eq(figures.count, 8);
    sac_figures_close(&figures);
    o.rounds = 0;
    cr_assert_eq(sac_latency_measure(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o.rounds = 1;
    o.seconds = (double)NAN;
    cr_assert_eq(sac_latency_measure(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o.seconds = 0.01;
    o.progress = stop_at_once;
    cr_assert_eq(sac_latency_measure(&result, &o, NULL), SAC_ERROR_INTERRUPTED);
}
