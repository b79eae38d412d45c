// The profile of a student is that of what the runtime runs: the same steps on the same kernels as
// the engine's, and as a plan whose frames lie apart.
#include <criterion/criterion.h>
#include <string.h>

#include "bench/layers.h"
#include "core/memory.h"
#include "helper.h"
#include "stem_make.h"
#include "student/engine.h"

enum { W = 48, H = 32, FRAME = W * H * 3 };

static uint8_t frames[3][FRAME], features[3][W * H * 8 * sizeof(float)];

static void profile_engine(sac_profile_step **steps, int *count, const sac_model *model, bool int8,
                           bool whole) {
    const sac_engine_options options = {
        .threads = 1, .whole = whole, .precision = int8 ? SAC_PRECISION_INT8 : SAC_PRECISION_F32};
    const void *const seen[3] = {features[0], features[1], features[2]};
    sac_engine *engine = NULL;
    sac_maps maps;
    sac_error error = {0};
    sac_assert_ok(sac_engine_create(&engine, model, &options, &error), &error);
    cr_assert_eq(sac_engine_split(engine), !whole);
    cr_assert_leq(sac_engine_feature_bytes(engine), (int64_t)sizeof features[0]);
    for (int f = 0; f < 3; f++)
        sac_assert_ok(sac_engine_stem(engine, features[f], frames[f], &error), &error);
    sac_assert_ok(sac_engine_body(engine, &maps, seen, &error), &error);
    sac_assert_ok(sac_engine_profile(engine, 1, steps, count, &error), &error);
    sac_engine_close(&engine);
}

static const sac_profile_step *step_of(const sac_profile_step *steps, int count, const char *node) {
    for (int i = 0; i < count; i++) {
        if (strcmp(steps[i].node, node) == 0) return &steps[i];
    }
    return NULL;
}

// What runs the first stem when each frame's bytes lie one after the other.
static void kernel_of_apart(char kernel[64], const sac_model *model) {
    const sac_plan_options options = {
        .batch = 1, .channels_last = true, .quant = model->quant, .input_parts = 3};
    sac_infer *infer = NULL;
    sac_profile_step *steps = NULL;
    int count = 0;
    sac_error error = {0};
    sac_nn_set_threads(1);
    sac_assert_ok(sac_infer_create(&infer, model->net, model->params, &options, &error), &error);
    for (int f = 0; f < 3; f++) {
        bool bound = false;
        sac_assert_ok(sac_infer_bind_input_u8(infer, "frames", f, frames[f], &bound, &error),
                      &error);
        cr_assert(bound);
    }
    sac_assert_ok(sac_infer_profile(infer, 1, &steps, &count, &error), &error);
    const sac_profile_step *stem = step_of(steps, count, "stem0.conv1");
    cr_assert_not_null(stem);
    memcpy(kernel, stem->implementation, sizeof stem->implementation);
    sac_free(steps);
    sac_infer_close(&infer);
}

static void assert_layers(const sac_model *model, bool int8, bool whole) {
    const sac_layers_options options = {
        .threads = 1, .repeats = 2, .int8 = int8, .whole = whole, .seconds = 0.001};
    sac_layers_result r;
    sac_error error = {0};
    sac_profile_step *steps = NULL;
    int count = 0;
    int64_t macs = 0, wanted = 0;
    sac_assert_ok(sac_layers_measure(&r, model, &options, &error), &error);
    profile_engine(&steps, &count, model, int8, whole);
    cr_assert_eq(r.split, !whole);
    cr_assert_eq(r.count, count);
    for (int i = 0; i < count; i++) {
        cr_assert_str_eq(r.steps[i].node, steps[i].node);
        cr_assert_str_eq(r.steps[i].implementation, steps[i].implementation, "%s", steps[i].node);
        macs += r.steps[i].macs;
    }
    for (int i = 0; i < sac_net_count(model->net); i++) {
        const char *name = sac_net_node(model->net, i)->name;
        const bool later = strncmp(name, "stem1.", 6) == 0 || strncmp(name, "stem2.", 6) == 0;
        if (whole || !later) wanted += sac_net_macs(model->net, i);
    }
    cr_assert_eq(macs, wanted);
    cr_assert_eq(r.total_macs, wanted);
    cr_assert_gt(r.total_us, 0);
    const sac_profile_step *stem = step_of(r.steps, r.count, "stem0.conv1");
    cr_assert_not_null(stem);
    cr_assert_eq(step_of(r.steps, r.count, "stem2.conv1") != NULL, whole);
    if (int8) {
        char kernel[64];
        kernel_of_apart(kernel, model);
        cr_assert_str_eq(stem->implementation, kernel);
    }
    sac_free(steps);
    sac_layers_close(&r);
}

Test(bench_layers, steps_and_kernels_are_those_of_the_engine) {
    sac_rng rng;
    sac_rng_seed(&rng, 3, 0);
    for (int i = 0; i < 3 * FRAME; i++)
        frames[i / FRAME][i % FRAME] = (uint8_t)sac_rng_below(&rng, 256);
    for (int channels = 1; channels <= 3; channels += 2) {
        sac_model *model = make_stem_model(W, H, channels, STEM_SOUND, 7);
        quantise_model(model);
        for (int k = 0; k < 4; k++) assert_layers(model, k % 2 == 1, k / 2 == 1);
        sac_model_close(&model);
    }
}

Test(bench_layers, a_model_without_scales_gets_some_and_networks_of_one_piece_stay_whole) {
    sac_error error = {0};
    sac_layers_options options = {.threads = 1, .repeats = 1, .int8 = true, .seconds = 0.001};
    sac_layers_result r;
    sac_model *model = make_stem_model(W, H, 1, STEM_SEES_ALL, 7);
    sac_assert_ok(sac_layers_measure(&r, model, &options, &error), &error);
    cr_assert(!r.split && model->quant == NULL);
    const sac_profile_step *stem = step_of(r.steps, r.count, "stem2.conv1");
    cr_assert_not_null(stem);
    cr_assert(strncmp(stem->implementation, "u8-convolution", 14) == 0, "%s", stem->implementation);
    sac_layers_close(&r);
    options.repeats = 0;
    sac_assert_error(sac_layers_measure(&r, model, &options, &error), SAC_ERROR_ARGUMENT, &error,
                     "0 repeats", NULL);
    sac_model_close(&model);
}
