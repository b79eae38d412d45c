// Students that begin with the weights of others, and students that teach.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "distill/chain.h"
#include "distill/initial.h"
#include "distill_toy.h"

static sac_model *model_of(const char *arch, int width, int height, uint64_t seed) {
    sac_preprocess p = sac_preprocess_default();
    sac_error error = {0};
    sac_model *model = NULL;
    p.width = width;
    p.height = height;
    sac_nn_set_threads(1);
    sac_assert_ok(sac_model_create(&model, arch, &p, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, seed, 1);
    sac_params_init(model->params, &rng);
    return model;
}

Test(distill_initial, weights_are_taken_over_at_any_input_size) {
    sac_model *a = model_of("tiny-m", 48, 32, 1), *b = model_of("tiny-m", 64, 48, 2);
    sac_error error = {0};
    cr_assert_neq(sac_initial_digest(a->params), sac_initial_digest(b->params));
    sac_assert_ok(sac_initial_copy(b, a, "a.safetensors", &error), &error);
    toy_same_params(a, b, "copied");
    cr_assert_eq(sac_initial_digest(a->params), sac_initial_digest(b->params));
    sac_params_at(b->params, 3)->data[0] += 1;
    cr_assert_neq(sac_initial_digest(a->params), sac_initial_digest(b->params));
    sac_model_close(&a);
    sac_model_close(&b);
}

// A network of another shape: built by hand, as a model file may hold it.
static sac_model *altered_model(bool wider, bool extra) {
    sac_model *model = model_of("tiny-m", 48, 32, 1);
    sac_params_close(&model->params);
    sac_net_close(&model->net);
    sac_assert_ok(sac_net_create(&model->net), NULL);
    int x = sac_net_input(model->net, "frames", 3, (const int64_t[]){3, 32, 48});
    x = sac_net_slice(model->net, "first", x, 1, 0, 1, 1);
    x = sac_net_conv2d(model->net, "stem0.conv", x, wider ? 24 : 16, 3, 2, 1, 1, extra);
    sac_net_output(model->net, x);
    sac_assert_ok(sac_net_check(model->net, NULL), NULL);
    sac_assert_ok(sac_params_create(&model->params, model->net, NULL), NULL);
    return model;
}

Test(distill_initial, what_differs_first_is_named) {
    sac_model *whole = model_of("tiny-m", 48, 32, 1);
    sac_model *wide = altered_model(true, false), *part = altered_model(false, false),
              *extra = altered_model(false, true);
    sac_error error = {0};
    const uint64_t before = sac_initial_digest(whole->params);
    sac_assert_error(sac_initial_copy(whole, wide, "w.st", &error), SAC_ERROR_ARGUMENT, &error,
                     "w.st", "'stem0.conv.weight' has the shape 24x1x3x3", "16x1x3x3", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_initial_copy(whole, part, "p.st", &error), SAC_ERROR_ARGUMENT, &error,
                     "p.st", "has no tensor 'stem0.norm.weight'", "shape 16", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_initial_copy(part, extra, "e.st", &error), SAC_ERROR_ARGUMENT, &error,
                     "e.st", "holds a tensor 'stem0.conv.bias'", NULL);
    cr_assert_eq(before, sac_initial_digest(whole->params));
    sac_model *causal = model_of("tiny-m", 48, 32, 3);
    causal->preprocess.offsets[2] = 2;
    error = (sac_error){0};
    sac_assert_error(sac_initial_copy(whole, causal, "c.st", &error), SAC_ERROR_ARGUMENT, &error,
                     "c.st", "-3 0 2", "-3 0 3", NULL);
    cr_assert_eq(before, sac_initial_digest(whole->params));
    sac_model_close(&causal);
    sac_model_close(&whole);
    sac_model_close(&wide);
    sac_model_close(&part);
    sac_model_close(&extra);
}

enum { W = 60, H = 40, FRAMES = 19 }; // not a multiple of the batch

static uint8_t *clip_pixels(void) {
    uint8_t *pixels = sac_calloc((int64_t)FRAMES * W * H, 1);
    cr_assert_not_null(pixels);
    sac_rng rng;
    sac_rng_seed(&rng, 4, 4);
    for (int64_t i = 0; i < (int64_t)FRAMES * W * H; i++)
        pixels[i] = (uint8_t)sac_rng_below(&rng, 256);
    return pixels;
}

// The maps of a chain are those of the network frame by frame.
Test(distill_initial, a_student_teaches_what_it_would_say) {
    sac_model *model = model_of("tiny-m", 48, 32, 5);
    sac_error error = {0};
    const char *path = sac_test_path("teacher.safetensors");
    json_object_set_new(model->provenance, "training", json_pack("{s:f}", "flip", 0.5));
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_chain *chain = NULL;
    sac_assert_ok(sac_chain_open(&chain, path, SAC_BACKEND_ONEDNN, &error), &error);
    cr_assert(sac_chain_mirrors(chain));
    cr_assert_str_eq(sac_chain_model(chain)->arch, "tiny-m");
    json_t *origin = sac_chain_origin(chain);
    cr_assert_str_eq(json_string_value(json_object_get(origin, "student")), "tiny-m");
    json_decref(origin);
    uint8_t *pixels = clip_pixels(), *planes = sac_calloc((int64_t)FRAMES * 48 * 32, 1);
    sac_maps maps = {0};
    sac_assert_ok(sac_chain_maps(chain, &maps, pixels, FRAMES, W, H, 1, NULL, &error), &error);
    cr_assert_eq(maps.frames, FRAMES);
    sac_preprocessor *p = NULL;
    sac_assert_ok(sac_preprocessor_create(&p, &model->preprocess), NULL);
    for (int t = 0; t < FRAMES; t++) {
        sac_assert_ok(sac_preprocessor_frame(p, planes + t * 48 * 32, pixels + t * W * H, W, H, 1),
                      NULL);
    }
    sac_infer *infer = NULL;
    const sac_plan_options plan = {.batch = 1, .channels_last = true};
    sac_assert_ok(sac_infer_create(&infer, model->net, model->params, &plan, &error), &error);
    double spread = 0;
    for (int t = 0; t < FRAMES; t++) {
        const uint8_t *three[3];
        for (int k = 0; k < 3; k++) {
            int at = t + model->preprocess.offsets[k];
            at = at < 0 ? 0 : at >= FRAMES ? FRAMES - 1 : at;
            three[k] = planes + at * 48 * 32;
        }
        sac_preprocess_stack(sac_infer_input(infer, "frames"), three, &model->preprocess);
        sac_assert_ok(sac_infer_run(infer, &error), &error);
        const int64_t dims[2] = {16, 16}, dims4[2] = {4, 4}, one = 1;
        sac_assert_close(maps.map16 + t * 256, sac_infer_output(infer, "map16"), 2, dims, 1e-4f,
                         "map16");
        sac_assert_close(maps.map4 + t * 16, sac_infer_output(infer, "map4"), 2, dims4, 1e-4f,
                         "map4");
        sac_assert_close(maps.map1 + t, sac_infer_output(infer, "map1"), 1, &one, 1e-4f, "map1");
        spread += fabs((double)(maps.map16[t * 256] - maps.map16[0]));
    }
    cr_assert(spread > 1e-4, "maps that never change check nothing");
    sac_infer_close(&infer);
    sac_preprocessor_close(&p);
    sac_maps_close(&maps);
    sac_chain_close(&chain);
    sac_free(pixels);
    sac_free(planes);
    sac_model_close(&model);
}

// A student that sees colour gives other maps where there is some, and the same ones of gray and of
// R = G = B.
Test(distill_initial, a_student_in_colour_teaches_from_clips_of_both_kinds) {
    sac_preprocess p = sac_preprocess_default();
    sac_error error = {0};
    sac_model *model = NULL, *gray = model_of("tiny-s", 48, 32, 5);
    const char *path = sac_test_path("colour.safetensors");
    p.width = 48;
    p.height = 32;
    p.channels = 3;
    sac_assert_ok(sac_model_create(&model, "tiny-s", &p, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 1);
    sac_params_init(model->params, &rng);
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_chain *chain = NULL;
    sac_assert_ok(sac_chain_open(&chain, path, SAC_BACKEND_ONEDNN, &error), &error);
    uint8_t *pixels = clip_pixels(), *rgb = sac_calloc((int64_t)3 * FRAMES * W * H, 1);
    sac_maps maps[3];
    for (int k = 0; k < 3; k++) {
        for (int64_t i = 0; i < (int64_t)3 * FRAMES * W * H; i++)
            rgb[i] = (uint8_t)(k == 2 && i % 3 == 0 ? 255 - pixels[i / 3] : pixels[i / 3]);
        sac_assert_ok(sac_chain_maps(chain, &maps[k], k == 0 ? pixels : rgb, FRAMES, W, H,
                                     k == 0 ? 1 : 3, NULL, &error),
                      &error);
    }
    cr_assert_eq(memcmp(maps[0].map16, maps[1].map16, FRAMES * 256 * sizeof(float)), 0);
    cr_assert_neq(memcmp(maps[0].map16, maps[2].map16, FRAMES * 256 * sizeof(float)), 0);
    // Weights of one kind are nothing for the other.
    sac_assert_error(sac_initial_copy(model, gray, "g.st", &error), SAC_ERROR_ARGUMENT, &error,
                     "g.st", "gray frames", "coloured ones", NULL);
    for (int k = 0; k < 3; k++) sac_maps_close(&maps[k]);
    sac_chain_close(&chain);
    sac_free(pixels);
    sac_free(rgb);
    sac_model_close(&model);
    sac_model_close(&gray);
}

// What a student that teaches has not is pooled from its 16x16 map, without which it cannot.
Test(distill_initial, a_student_with_fewer_maps_teaches_all) {
    sac_model *whole = model_of("tiny-s:16", 48, 32, 5),
              *coarse = model_of("tiny-s:4,1", 48, 32, 5);
    sac_error error = {0};
    sac_chain *chain = NULL;
    sac_maps maps = {0};
    const char *path = sac_test_path("sixteen.safetensors");
    sac_assert_ok(sac_model_save(whole, path, &error), &error);
    sac_assert_ok(sac_chain_open(&chain, path, SAC_BACKEND_ONEDNN, &error), &error);
    uint8_t *pixels = clip_pixels();
    sac_assert_ok(sac_chain_maps(chain, &maps, pixels, FRAMES, W, H, 1, NULL, &error), &error);
    for (int t = 0; t < FRAMES; t++) {
        float most = 0, cells[16] = {0};
        for (int i = 0; i < 256; i++) {
            float *cell = &cells[i / 64 * 4 + i % 16 / 4];
            *cell = fmaxf(*cell, maps.map16[t * 256 + i]);
            most = fmaxf(most, *cell);
        }
        cr_assert(most > 0);
        cr_assert_eq(maps.map1[t], most);
        cr_assert_eq(memcmp(maps.map4 + t * 16, cells, sizeof cells), 0);
    }
    sac_maps_close(&maps);
    sac_chain_close(&chain);
    sac_assert_ok(sac_model_save(coarse, path, &error), &error);
    sac_assert_error(sac_chain_open(&chain, path, SAC_BACKEND_ONEDNN, &error), SAC_ERROR_ARGUMENT,
                     &error, "sixteen.safetensors", "no 16x16 map", NULL);
    cr_assert_null(chain);
    sac_free(pixels);
    sac_model_close(&whole);
    sac_model_close(&coarse);
}

static bool at_once(void) {
    return true;
}

Test(distill_initial, a_chain_can_be_stopped_and_its_file_must_be_one) {
    sac_model *model = model_of("tiny-m", 48, 32, 5);
    sac_error error = {0};
    const char *path = sac_test_path("teacher.safetensors");
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_chain *chain = NULL;
    sac_maps maps = {0};
    sac_assert_ok(sac_chain_open(&chain, path, SAC_BACKEND_ONEDNN, &error), &error);
    cr_assert(!sac_chain_mirrors(chain), "of one without provenance nothing is promised");
    uint8_t *pixels = clip_pixels();
    cr_assert_eq(sac_chain_maps(chain, &maps, pixels, FRAMES, W, H, 1, at_once, &error),
                 SAC_ERROR_INTERRUPTED);
    cr_assert(maps.map16 == NULL && maps.map1 == NULL);
    sac_chain_close(&chain);
    sac_chain_close(&chain);
    sac_assert_ok(sac_file_save(path, "nonsense", 8, &error), &error);
    sac_assert_error(sac_chain_open(&chain, path, SAC_BACKEND_ONEDNN, &error), SAC_ERROR_FORMAT,
                     &error, "teacher.safetensors", NULL);
    cr_assert_null(chain);
    sac_free(pixels);
    sac_model_close(&model);
}
