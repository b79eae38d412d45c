// See bench/layers.h.
#include "bench/layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/text.h"
#include "core/time.h"
#include "nn/calibrate.h"
#include "nn/roofline.h"
#include "student/engine.h"

#define CALIBRATION_FRAMES 4

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static float value_of(const sac_model *model, int64_t pixel) {
    return (float)(((double)pixel - model->preprocess.mean) / model->preprocess.scale);
}

static sac_status table_make(sac_quant **quant, const sac_model *model, sac_error *error) {
    sac_status status = SAC_OK;
    sac_calibrate *calibrate = NULL;
    sac_rng rng;
    sac_rng_seed(&rng, 1, 0x6c6179657273);
    const sac_plan_options plan = {.batch = 1, .channels_last = true};
    sac_calibrate_options options = sac_calibrate_defaults();
    options.input_scale = model->preprocess.mean == 0 ? 1.0 / model->preprocess.scale : 0;
    SAC_TRY(sac_calibrate_create(&calibrate, model->net, model->params, &plan, &options, error));
    const int64_t pixels = 3 * sac_preprocess_bytes(&model->preprocess);
    float *frames = sac_calibrate_input(calibrate, "frames");
    for (int i = 0; i < CALIBRATION_FRAMES; i++) {
        for (int64_t k = 0; k < pixels; k++) frames[k] = value_of(model, sac_rng_below(&rng, 256));
        SAC_TRY(sac_calibrate_run(calibrate, error));
    }
    SAC_TRY(sac_calibrate_finish(calibrate, quant, error));
fail:
    sac_calibrate_close(&calibrate);
    return status;
}

// What a frame of a stream costs the runtime. `at` counts frames; three of them and what the engine
// keeps of them lie in rings.
typedef struct stream {
    sac_engine *engine;
    uint8_t *frames[3], *features[3]; // features: of a split network
} stream;

static sac_status frame_run(stream *s, int at, sac_error *error) {
    sac_status status = SAC_OK;
    sac_maps maps;
    const bool split = sac_engine_split(s->engine);
    const void *seen[3];
    for (int f = 0; f < 3; f++) seen[f] = (split ? s->features : s->frames)[(at + 1 + f) % 3];
    if (split) SAC_TRY(sac_engine_stem(s->engine, s->features[at % 3], s->frames[at % 3], error));
    SAC_TRY(sac_engine_body(s->engine, &maps, seen, error));
fail:
    return status;
}

static sac_status stream_open(stream *s, const sac_model *model, const sac_layers_options *o,
                              sac_error *error) {
    sac_status status = SAC_OK;
    const sac_engine_options options = {.threads = o->threads,
                                        .whole = o->whole,
                                        .precision =
                                            o->int8 ? SAC_PRECISION_INT8 : SAC_PRECISION_F32};
    sac_rng rng;
    sac_rng_seed(&rng, 2, 0x6c6179657273);
    SAC_TRY(sac_engine_create(&s->engine, model, &options, error));
    const int64_t pixels = sac_preprocess_bytes(&model->preprocess);
    for (int f = 0; f < 3; f++) {
        s->frames[f] = sac_calloc(pixels, 1);
        SAC_TRY_ALLOC(s->frames[f]);
        for (int64_t i = 0; i < pixels; i++) s->frames[f][i] = (uint8_t)sac_rng_below(&rng, 256);
        if (!sac_engine_split(s->engine)) continue;
        s->features[f] = sac_calloc(sac_engine_feature_bytes(s->engine), 1);
        SAC_TRY_ALLOC(s->features[f]);
    }
    for (int at = 0; at < 3; at++) SAC_TRY(frame_run(s, at, error)); // fills the features
fail:
    return status;
}

static void stream_close(stream *s) {
    sac_engine_close(&s->engine);
    for (int f = 0; f < 3; f++) {
        sac_free(s->frames[f]);
        sac_free(s->features[f]);
    }
}

static sac_status measure(sac_layers_result *r, const sac_model *model, const sac_layers_options *o,
                          sac_error *error) {
    sac_status status = SAC_OK;
    stream s = {0};
    sac_quant *quant = NULL;
    double *times = NULL;
    sac_model scaled = *model; // borrows all but the scales it may lack
    if (o->int8 && model->quant == NULL) {
        SAC_TRY(table_make(&quant, model, error));
        scaled.quant = quant;
    }
    SAC_TRY(stream_open(&s, &scaled, o, error));
    r->split = sac_engine_split(s.engine);
    SAC_TRY(o->int8 ? sac_matmul_rate_int8(&r->matmul_gops, o->threads, o->seconds, error)
                    : sac_matmul_rate(&r->matmul_gops, o->threads, o->seconds, error));
    SAC_TRY(sac_engine_profile(s.engine, o->repeats, &r->steps, &r->count, error));
    times = sac_calloc(o->repeats, sizeof *times);
    SAC_TRY_ALLOC(times);
    for (int i = 0; i < o->repeats; i++) {
        const double start = sac_time_s();
        SAC_TRY(frame_run(&s, i, error));
        times[i] = sac_time_s() - start;
    }
    qsort(times, (size_t)o->repeats, sizeof *times, compare);
    r->total_us = 1e6 * times[o->repeats / 2];
    r->total_macs = sac_engine_macs(s.engine);
fail:
    sac_free(times);
    stream_close(&s);
    sac_quant_close(&quant);
    return status;
}

sac_status sac_layers_measure(sac_layers_result *r, const sac_model *model,
                              const sac_layers_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    *r = (sac_layers_result){.threads = o->threads, .int8 = o->int8};
    if (o->threads < 1 || o->threads > 1024 || o->repeats < 1 || o->repeats > 10000)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%d threads and %d repeats, expected 1 to 1024 and 1 to 10000",
                             o->threads, o->repeats);
    sac_machine_describe(&r->machine);
    sac_nn_set_threads(o->threads);
    status = measure(r, model, o, error);
    sac_nn_set_threads(0);
    r->machine.load_after = sac_machine_load();
    if (status == SAC_OK) return SAC_OK;
    sac_layers_close(r);
    return sac_error_set(error, status, -1, "profile: %s", sac_status_name(status));
}

void sac_layers_close(sac_layers_result *result) {
    sac_free(result->steps);
    result->steps = NULL;
    result->count = 0;
}

const char *sac_layers_run(const sac_layers_result *r) {
    return r->split ? "stem and body, once each" : "whole network";
}

double sac_layers_share(const sac_layers_result *r, int64_t macs, double us) {
    return 2e-3 * (double)macs / us / r->matmul_gops;
}

sac_status sac_layers_figures(sac_figures *figures, const sac_layers_result *r, sac_error *error) {
    sac_status status = SAC_OK;
    const char *precision = r->int8 ? "int8" : "f32",
               *limit = r->int8 ? "int8 matmul" : "f32 matmul";
    char name[320];
    (void)snprintf(name, sizeof name, "%s, %s; %d thread%s", sac_layers_run(r), precision,
                   r->threads, r->threads == 1 ? "" : "s");
    sac_figure figure = sac_figure_of_value(name, "frames/s", false, 1e6 / r->total_us);
    sac_figure_set_limit(&figure, limit, sac_layers_share(r, r->total_macs, r->total_us));
    SAC_TRY(sac_figures_add(figures, &figure, error));
    for (int i = 0; i < r->count; i++) {
        const sac_profile_step *s = &r->steps[i];
        if (s->macs == 0) continue;
        (void)snprintf(name, sizeof name, "%.60s, %s; %d thread%s", s->node, precision, r->threads,
                       r->threads == 1 ? "" : "s");
        figure = sac_figure_of_value(name, "us", true, s->us);
        sac_figure_set_limit(&figure, limit, sac_layers_share(r, s->macs, s->us));
        SAC_TRY(sac_figures_add(figures, &figure, error));
    }
fail:
    return status;
}

char *sac_layers_markdown(const sac_layers_result *r) {
    char *text = NULL, *machine = sac_machine_text(&r->machine);
    size_t size = 0;
    FILE *out = machine != NULL ? open_memstream(&text, &size) : NULL;
    if (out == NULL) {
        sac_free(machine);
        return NULL;
    }
    double sum = 0; // of the steps
    for (int i = 0; i < r->count; i++) sum += r->steps[i].us;
    fprintf(out,
            "%s; %d thread%s, %s; %s matmul %.1f GOP/s; a frame (%s) %.1f us (%.0f/s), "
            "%.2f MMAC, %.1f %% of matmul\n\n"
            "| step | implementation | MMAC | us | of run | GOP/s | of matmul |\n"
            "|---|---|---:|---:|---:|---:|---:|\n",
            machine, r->threads, r->threads == 1 ? "" : "s", r->int8 ? "int8" : "f32",
            r->int8 ? "int8" : "f32", r->matmul_gops, sac_layers_run(r), r->total_us,
            1e6 / r->total_us, 1e-6 * (double)r->total_macs,
            100 * sac_layers_share(r, r->total_macs, r->total_us));
    for (int i = 0; i < r->count; i++) {
        const sac_profile_step *s = &r->steps[i];
        if (s->macs > 0) {
            fprintf(out, "| %s | %s | %.3f | %.1f | %.1f %% | %.1f | %.1f %% |\n", s->node,
                    s->implementation, 1e-6 * (double)s->macs, s->us, 100 * s->us / sum,
                    2e-3 * (double)s->macs / s->us, 100 * sac_layers_share(r, s->macs, s->us));
        } else {
            fprintf(out, "| %s | %s | | %.1f | %.1f %% | | |\n", s->node, s->implementation, s->us,
                    100 * s->us / sum);
        }
    }
    sac_free(machine);
    return sac_text_take(out, &text);
}

json_t *sac_layers_json(const sac_layers_result *r) {
    json_t *steps = json_array();
    for (int i = 0; i < r->count; i++) {
        const sac_profile_step *s = &r->steps[i];
        json_array_append_new(
            steps,
            json_pack("{s:s, s:s, s:I, s:o, s:o}", "node", s->node, "implementation",
                      s->implementation, "macs", (json_int_t)s->macs, "us", sac_json_number(s->us),
                      "of_matmul", sac_json_number(sac_layers_share(r, s->macs, s->us))));
    }
    return json_pack("{s:o, s:i, s:s, s:b, s:o, s:o, s:I, s:o}", "machine",
                     sac_machine_json(&r->machine), "threads", r->threads, "precision",
                     r->int8 ? "int8" : "f32", "split", (int)r->split, "matmul_gops",
                     sac_json_number(r->matmul_gops), "run_us", sac_json_number(r->total_us),
                     "macs", (json_int_t)r->total_macs, "steps", steps);
}
