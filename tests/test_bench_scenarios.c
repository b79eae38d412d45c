// Paced cameras and latencies on a freshly initialised model: consistent numbers, a search that
// finds its own limit and a load that no machine holds, bad options, interruption.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/cameras.h"
#include "bench/endurance.h"
#include "bench/latency.h"
#include "bench/startup.h"
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

// Far too many frames: the run goes to its end all the same and says what it reached.
Test(bench_scenarios, streams_run_to_the_end, .init = set_up) {
    sac_cameras_options o = cameras();
    sac_cameras_result result;
    sac_error error = {0};
    o.decoding = true;
    o.workers = 2;
    o.most = 5;
    o.frame_rate = 1000;
    o.late_share = 0;
    o.verify_s = 0.1;
    sac_assert_ok(sac_cameras_run(&result, &o, &error), &error);
    cr_assert_eq(result.trial_count, 1);
    const sac_cameras_trial *run = &result.trials[0];
    cr_assert_eq(run->frames, 5 * 100);
    cr_assert(run->fps > 0 && run->fps <= 1000);
    cr_assert_eq(run->held, run->late == 0);
    cr_assert_eq(result.streams, run->held ? 5 : 0);
    cr_assert_gt(result.peak_memory_bytes, 1e6);
    o.frame_rate = 2;
    o.late_share = 0.9;
    o.verify_s = 1;
    sac_assert_ok(sac_cameras_run(&result, &o, &error), &error);
    cr_assert_eq(result.streams, 5);
    cr_assert_eq(result.trials[0].frames, 10);
    // Never faster than frames arrive; how much slower is this machine's affair.
    cr_assert(result.trials[0].fps > 0 && result.trials[0].fps <= 2.0, "%g", result.trials[0].fps);
    o.most = 0;
    cr_assert_eq(sac_cameras_run(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o.most = 1;
    o.stop = stop_now;
    cr_assert_eq(sac_cameras_run(&result, &o, NULL), SAC_ERROR_INTERRUPTED);
}

// A program that prints what it is told, in the place of student-run.
static const char *script(const char *name, const char *row, const char *json, int code) {
    static char path[600];
    snprintf(path, sizeof path, "%s", sac_test_path(name));
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fprintf(
        file,
        "#!/bin/sh\ncase \" $* \" in *' --json '*) printf '%%b' '%s' ;; *) printf '%%b' '%s' ;; "
        "esac\nexit %d\n",
        json, row, code);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, 0755), 0);
    return path;
}

#define TIMING                                                                                     \
    "{\"sources\": [{\"timing\": {\"load_ms\": 0.1, \"plan_ms\": 0.2, "                            \
    "\"start_to_first_score_ms\": 0.5}}]}"

Test(bench_scenarios, startup) {
    static sac_startup_result result;
    sac_figures figures = {0};
    sac_error error = {0};
    sac_startup_options o = sac_startup_default_options();
    o.model = "m";
    o.source = "-strange name";
    o.rounds = 3;
    o.program = script("good", "frame,score\\n0,0.5\\n", TIMING, 0);
    sac_assert_ok(sac_startup_measure(&result, &o, &error), &error);
    cr_assert_eq(result.rounds, 3);
    for (int r = 0; r < 3; r++) {
        cr_assert_eq(result.ms[SAC_STARTUP_MODEL][r], 0.1);
        cr_assert_eq(result.ms[SAC_STARTUP_PLAN][r], 0.2);
        cr_assert_float_eq(result.ms[SAC_STARTUP_FRAMES][r], 0.2, 1e-9);
        cr_assert_gt(result.ms[SAC_STARTUP_TOTAL][r], 0);
    }
    sac_assert_ok(sac_startup_figures(&figures, &result, &error), &error);
    cr_assert_eq(figures.count, SAC_STARTUP_PARTS);
    sac_figures_close(&figures);
    json_t *json = sac_startup_json(&result);
    cr_assert_eq(json_array_size(json_object_get(json, "total_ms")), 3);
    json_decref(json);

    static const struct {
        const char *row, *json;
        int code;
        sac_status status;
        const char *word;
    } bad[] = {{"frame,score\\n", TIMING, 0, SAC_ERROR_FORMAT, "no row"},
               {"a\\nb\\n", "{}", 0, SAC_ERROR_FORMAT, "sources"},
               {"a\\nb\\n", "not JSON", 0, SAC_ERROR_FORMAT, "JSON"},
               {"a\\nb\\n", TIMING, 3, SAC_ERROR_BACKEND, "fails"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o.program = script("bad", bad[i].row, bad[i].json, bad[i].code);
        error = (sac_error){0};
        sac_assert_error(sac_startup_measure(&result, &o, &error), bad[i].status, &error,
                         bad[i].word, NULL);
    }
    error = (sac_error){0};
    o.program = "/nonexistent/student-run";
    sac_assert_error(sac_startup_measure(&result, &o, &error), SAC_ERROR_IO, &error, "nonexistent",
                     NULL);
    o.rounds = 0;
    cr_assert_eq(sac_startup_measure(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o.rounds = 1;
    o.program = script("good", "frame,score\\n0,0.5\\n", TIMING, 0);
    o.stop = stop_now;
    cr_assert_eq(sac_startup_measure(&result, &o, NULL), SAC_ERROR_INTERRUPTED);
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

Test(bench_scenarios, endurance, .init = set_up) {
    sac_endurance_options o = sac_endurance_default_options();
    static sac_endurance_result result;
    sac_figures figures = {0};
    sac_error error = {0};
    o.model = model;
    o.source.path = clip;
    o.workers = 2;
    o.frames = 1003;
    sac_assert_ok(sac_endurance_measure(&result, &o, &error), &error);
    cr_assert_eq(result.frames, 1003);
    cr_assert_gt(result.fps, 0);
    const sac_endurance_sample *first = &result.samples[0],
                               *last = &result.samples[SAC_ENDURANCE_SAMPLES - 1];
    cr_assert_eq(first->frames, 100);
    cr_assert_eq(last->frames, 1003);
    for (int i = 0; i < SAC_ENDURANCE_SAMPLES; i++) {
        cr_assert(i == 0 || result.samples[i].frames > result.samples[i - 1].frames);
        cr_assert_gt(result.samples[i].resident_bytes, 1e6);
    }
    cr_assert_eq(result.resident_growth, last->resident_bytes - first->resident_bytes);
    cr_assert_eq(result.flat, result.resident_growth <= o.growth_bytes);
    sac_assert_ok(sac_endurance_figures(&figures, &result, &error), &error);
    cr_assert_eq(figures.count, 5);
    sac_figures_close(&figures);
    json_t *json = sac_endurance_json(&result);
    cr_assert_eq(json_array_size(json_object_get(json, "samples")), SAC_ENDURANCE_SAMPLES);
    json_decref(json);
    o.frames = 99;
    cr_assert_eq(sac_endurance_measure(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o.frames = 100;
    o.growth_bytes = (double)NAN;
    cr_assert_eq(sac_endurance_measure(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o.growth_bytes = 0;
    o.workers = -1;
    cr_assert_eq(sac_endurance_measure(&result, &o, NULL), SAC_ERROR_ARGUMENT);
    o.workers = 1;
    o.progress = stop_at_once;
    cr_assert_eq(sac_endurance_measure(&result, &o, NULL), SAC_ERROR_INTERRUPTED);
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
