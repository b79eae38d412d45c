// Cutting a student into stem and body: the parts give what the whole gives, and networks that are
// not built for it are left whole.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "helper.h"
#include "nn/infer.h"
#include "stem_make.h"
#include "student/engine.h"
#include "student/split.h"

static sac_infer *plan_on_reference(const sac_net *net, const sac_params *params) {
    const sac_plan_options options = {.batch = 1, .backend = SAC_BACKEND_REF};
    sac_infer *infer = NULL;
    sac_error error = {0};
    sac_nn_set_threads(1);
    sac_assert_ok(sac_infer_create(&infer, net, params, &options, &error), &error);
    return infer;
}

static void assert_parts_equal_whole(const sac_model *model) {
    const int64_t frame = sac_preprocess_bytes(&model->preprocess);
    sac_split *split = NULL;
    sac_error error = {0};
    char reason[128];
    sac_assert_ok(sac_split_create(&split, model->net, model->params, NULL, reason, &error),
                  &error);
    cr_assert(split != NULL, "%s", reason);
    cr_assert_str_eq(reason, "");
    cr_assert_str_eq(split->features[0], "stem0.relu2");
    cr_assert_str_eq(split->features[2], "stem2.relu2");
    cr_assert_str_eq(split->join, "join");
    sac_infer *whole = plan_on_reference(model->net, model->params),
              *stem = plan_on_reference(split->stem, split->stem_params),
              *body = plan_on_reference(split->body, split->body_params);
    sac_rng rng;
    sac_rng_seed(&rng, 3, 0);
    float *input = sac_infer_input(whole, "frames"), *features = sac_infer_input(body, "features");
    for (int64_t i = 0; i < 3 * frame; i++) input[i] = (float)sac_rng_uniform(&rng);
    const int64_t size = split->shape.dims[1] * split->shape.dims[2] * split->shape.dims[3];
    for (int f = 0; f < 3; f++) {
        memcpy(sac_infer_input(stem, "frame"), input + f * frame, (size_t)frame * sizeof *input);
        sac_assert_ok(sac_infer_run(stem, &error), &error);
        memcpy(features + f * size, sac_infer_output(stem, split->features[0]),
               (size_t)size * sizeof *features);
    }
    sac_assert_ok(sac_infer_run(whole, &error), &error);
    sac_assert_ok(sac_infer_run(body, &error), &error);
    static const char *const names[] = {"map16", "map4", "map1"};
    static const size_t values[] = {256, 16, 1};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(memcmp(sac_infer_output(whole, names[i]), sac_infer_output(body, names[i]),
                            values[i] * sizeof(float)),
                     0, "%s differs", names[i]);
    }
    const float *map = sac_infer_output(whole, "map16");
    float low = 1, high = 0;
    for (int i = 0; i < 256; i++) {
        low = fminf(low, map[i]);
        high = fmaxf(high, map[i]);
    }
    cr_assert_gt(high - low, 1e-3f, "a constant map checks nothing");
    sac_infer_close(&whole);
    sac_infer_close(&stem);
    sac_infer_close(&body);
    sac_split_close(&split);
    cr_assert_null(split);
    sac_split_close(&split);
}

Test(student_split, parts_give_bit_by_bit_what_the_whole_gives) {
    static const int sizes[][2] = {{16, 16}, {24, 20}, {33, 17}};
    for (int i = 0; i < 6; i++) {
        sac_model *model =
            make_stem_model(sizes[i / 2][0], sizes[i / 2][1], i % 2 == 0 ? 1 : 3, STEM_SOUND, 7);
        assert_parts_equal_whole(model);
        sac_model_close(&model);
    }
}

static void copy_stem_parameters(sac_model *model) {
    for (int64_t i = 0; i < sac_params_count(model->params); i++) {
        sac_param *p = sac_params_at(model->params, i);
        if (strncmp(p->name, "stem0.", 6) != 0) continue;
        for (int f = 1; f < 3; f++) {
            char name[128];
            snprintf(name, sizeof name, "stem%d.%s", f, p->name + 6);
            sac_param *q = sac_params_find(model->params, name);
            cr_assert_not_null(q, "%s", name);
            memcpy(q->data, p->data, (size_t)p->count * sizeof *p->data);
        }
    }
}

Test(student_split, stems_with_equal_parameters_of_their_own_are_one_stem) {
    sac_model *model = make_stem_model(16, 16, 1, STEM_OWN_PARAMETERS, 7);
    sac_split *split = NULL;
    sac_error error = {0};
    char reason[128];
    sac_assert_ok(sac_split_create(&split, model->net, model->params, NULL, reason, &error),
                  &error);
    cr_assert_null(split);
    cr_assert(strstr(reason, "parameters") != NULL, "%s", reason);
    copy_stem_parameters(model);
    assert_parts_equal_whole(model);
    // One bit of one running statistic is enough.
    sac_param *p = sac_params_find(model->params, "stem2.norm1.running_var");
    p->data[3] = nextafterf(p->data[3], 10.0f);
    sac_assert_ok(sac_split_create(&split, model->net, model->params, NULL, reason, &error),
                  &error);
    cr_assert_null(split);
    cr_assert(strstr(reason, "stem2.norm1") != NULL, "%s", reason);
    sac_model_close(&model);
}

Test(student_split, networks_built_otherwise_stay_whole) {
    static const struct {
        stem_flaw flaw;
        const char *why;
    } cases[] = {{STEM_OTHER_KERNEL, "differ"},
                 {STEM_OTHER_ORDER, "join"},
                 {STEM_SECOND_READER, "output"},
                 {STEM_LONGER, "nodes"},
                 {STEM_SEES_ALL, "all frames"}};
    sac_split *split = NULL;
    sac_error error = {0};
    char reason[128];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_model *model = make_stem_model(16, 16, 1, cases[i].flaw, 7);
        sac_assert_ok(sac_split_create(&split, model->net, model->params, NULL, reason, &error),
                      &error);
        cr_assert_null(split, "case %zu", i);
        cr_assert(strstr(reason, cases[i].why) != NULL, "case %zu: %s", i, reason);
        sac_assert_ok(sac_split_create(&split, model->net, model->params, NULL, NULL, NULL), NULL);
        cr_assert_null(split);
        sac_model_close(&model);
    }
    // The presets are built for it.
    sac_model *preset = make_model(16, 16, 1);
    sac_assert_ok(sac_split_create(&split, preset->net, preset->params, NULL, reason, &error),
                  &error);
    cr_assert(split != NULL, "%s", reason);
    sac_split_close(&split);
    sac_model_close(&preset);
}

// A frame is a third of the channels: nothing less, nothing more, nothing in between.
Test(student_split, slices_that_are_no_frames_leave_the_network_whole) {
    static const struct {
        int channels, begin, length, step;
    } cases[] = {{9, 0, 1, 1}, {9, 1, 3, 1}, {9, 0, 9, 1},
                 {9, 0, 3, 2}, {8, 0, 3, 1}, {2, 0, 1, 1}};
    sac_split *split = NULL;
    sac_error error = {0};
    char reason[128];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_net *net = NULL;
        sac_params *params = NULL;
        sac_assert_ok(sac_net_create(&net), NULL);
        int x = sac_net_input(net, "frames", 3, (const int64_t[]){cases[i].channels, 16, 16});
        x = sac_net_slice(net, "cut", x, 1, cases[i].begin, cases[i].length, cases[i].step);
        sac_net_output(net, sac_net_conv2d(net, "conv", x, 4, 3, 1, 1, 1, true));
        sac_assert_ok(sac_params_create(&params, net, &error), &error);
        sac_assert_ok(sac_split_create(&split, net, params, NULL, reason, &error), &error);
        cr_assert_null(split);
        cr_assert(strstr(reason, i < 4 ? "all frames" : "3 frames") != NULL, "case %zu: %s", i,
                  reason);
        sac_params_close(&params);
        sac_net_close(&net);
    }
}

static sac_engine *engine_of(const sac_model *model, bool reference) {
    const sac_engine_options options = {
        .threads = 1, .reference = reference, .precision = SAC_PRECISION_INT8};
    sac_engine *engine = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_engine_create(&engine, model, &options, &error), &error);
    cr_assert(sac_engine_split(engine));
    return engine;
}

// A profile runs what a stream runs where a stream runs it: on the caller's frame and features.
Test(student_split, a_profile_reads_the_frame_and_writes_the_features_in_place) {
    enum { FRAME = 48 * 32, FEATURES = 8 * 24 * 16 };
    for (int channels = 1; channels <= 3; channels += 2) {
        sac_error error = {0};
        static uint8_t frames[3][FRAME * 3], features[3][FEATURES], first[FEATURES];
        const void *const seen[3] = {features[0], features[1], features[2]};
        sac_model *model = make_stem_model(48, 32, channels, STEM_SOUND, 7);
        quantise_model(model);
        sac_engine *engine = engine_of(model, false);
        cr_assert_eq(sac_engine_feature_bytes(engine), FEATURES);
        sac_rng rng;
        sac_rng_seed(&rng, 4, 0);
        for (int f = 0; f < 3; f++) {
            for (int i = 0; i < FRAME * channels; i++)
                frames[f][i] = (uint8_t)sac_rng_below(&rng, 256);
            sac_assert_ok(sac_engine_stem(engine, features[f], frames[f], &error), &error);
        }
        sac_maps maps;
        sac_assert_ok(sac_engine_body(engine, &maps, seen, &error), &error);
        memcpy(first, features[2], sizeof first);
        memset(features[2], 0xaa, FEATURES);
        sac_profile_step *steps = NULL;
        int count = 0, stems = 0;
        int64_t macs = 0;
        sac_assert_ok(sac_engine_profile(engine, 2, &steps, &count, &error), &error);
        cr_assert_eq(memcmp(features[2], first, FEATURES), 0, "%d channels", channels);
        for (int i = 0; i < count; i++) {
            macs += steps[i].macs;
            stems += strcmp(steps[i].node, "stem0.conv1") == 0;
            cr_assert(strncmp(steps[i].node, "stem1", 5) != 0 &&
                          strncmp(steps[i].node, "stem2", 5) != 0,
                      "%s", steps[i].node);
        }
        cr_assert_eq(stems, 1);
        cr_assert_eq(macs, sac_engine_macs(engine));
        sac_free(steps);
        for (int i = 0; i < FRAME * channels; i++) frames[2][i] = (uint8_t)~frames[2][i];
        sac_assert_ok(sac_engine_profile(engine, 1, &steps, &count, &error), &error);
        cr_assert_neq(memcmp(features[2], first, FEATURES), 0, "%d channels", channels);
        sac_free(steps);
        sac_assert_error(sac_engine_profile(engine, 0, &steps, &count, &error), SAC_ERROR_ARGUMENT,
                         &error, "repeats", NULL);
        cr_assert(steps == NULL && count == 0);
        for (int64_t fail = 0;; fail++) {
            sac_memory_fail_after(fail);
            const sac_status status = sac_engine_profile(engine, 1, &steps, &count, &error);
            sac_memory_fail_after(-1);
            if (status == SAC_OK) break;
            cr_assert(status == SAC_ERROR_MEMORY && steps == NULL && count == 0);
        }
        sac_free(steps);
        sac_engine_close(&engine);
        engine = engine_of(model, true);
        error = (sac_error){0};
        sac_assert_error(sac_engine_profile(engine, 1, &steps, &count, &error),
                         SAC_ERROR_UNSUPPORTED, &error, "reference", NULL);
        sac_engine_close(&engine);
        sac_model_close(&model);
    }
}

Test(student_split, lack_of_memory_and_foreign_parameters) {
    sac_model *model = make_stem_model(16, 16, 1, STEM_SOUND, 7), *other = make_model(16, 16, 1);
    sac_split *split = NULL;
    sac_error error = {0};
    sac_assert_error(sac_split_create(&split, model->net, other->params, NULL, NULL, &error),
                     SAC_ERROR_SHAPE, &error, "stem0.conv1", NULL);
    cr_assert_null(split);
    for (int64_t fail = 0;; fail++) {
        error = (sac_error){0};
        sac_memory_fail_after(fail);
        const sac_status status =
            sac_split_create(&split, model->net, model->params, NULL, NULL, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) break;
        sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
        cr_assert_null(split);
    }
    cr_assert_not_null(split);
    sac_split_close(&split);
    sac_model_close(&model);
    sac_model_close(&other);
}
