// Preprocessing: luma, scaling, stacking, ranges, and the frame score.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "student/heads.h"
#include "student/model.h"

static sac_preprocessor *make(int width, int height) {
    sac_preprocess p = sac_preprocess_default();
    p.width = width;
    p.height = height;
    sac_preprocessor *out = NULL;
    cr_assert(sac_preprocessor_create(&out, &p) == SAC_OK);
    return out;
}

static void fill(uint8_t *pixels, int64_t count, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    for (int64_t i = 0; i < count; i++) pixels[i] = (uint8_t)sac_rng_below(&rng, 256);
}

Test(student_preprocess, luma_is_bt601_and_keeps_gray) {
    enum { SIDE = 16 };
    static uint8_t rgb[SIDE * SIDE * 3], gray[SIDE * SIDE];
    sac_preprocessor *p = make(SIDE, SIDE);
    // Equal channels must come back unchanged, all 256 of them.
    for (int i = 0; i < SIDE * SIDE; i++) rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = (uint8_t)i;
    cr_assert(sac_preprocessor_frame(p, gray, rgb, SIDE, SIDE, 3) == SAC_OK);
    for (int i = 0; i < SIDE * SIDE; i++) cr_assert_eq(gray[i], i);
    // Random colours against the definition 0.299 R + 0.587 G + 0.114 B; rounded.
    fill(rgb, sizeof rgb, 3);
    cr_assert(sac_preprocessor_frame(p, gray, rgb, SIDE, SIDE, 3) == SAC_OK);
    for (int i = 0; i < SIDE * SIDE; i++) {
        double luma = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
        cr_assert(fabs(gray[i] - luma) <= 0.51, "pixel %d: %d, expected %.2f", i, gray[i], luma);
    }
    sac_preprocessor_close(&p);
    cr_assert_null(p);
}

Test(student_preprocess, same_size_copies_and_rgb_equals_gray_after_scaling) {
    static const int sizes[][2] = {{16, 16}, {17, 13}, {1, 1}, {640, 33}, {16, 400}, {31, 16}};
    enum { W = 16, H = 16 };
    sac_preprocessor *p = make(W, H);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int64_t count = (int64_t)sizes[s][0] * sizes[s][1];
        uint8_t *gray = sac_calloc(count, 1), *rgb = sac_calloc(count, 3), a[W * H], b[W * H];
        fill(gray, count, s);
        for (int64_t i = 0; i < 3 * count; i++) rgb[i] = gray[i / 3];
        cr_assert(sac_preprocessor_frame(p, a, gray, sizes[s][0], sizes[s][1], 1) == SAC_OK);
        cr_assert(sac_preprocessor_frame(p, b, rgb, sizes[s][0], sizes[s][1], 3) == SAC_OK);
        cr_assert_eq(memcmp(a, b, sizeof a), 0, "%dx%d", sizes[s][0], sizes[s][1]);
        if (s == 0) cr_assert_eq(memcmp(a, gray, sizeof a), 0);
        if (s == 2) {
            for (int i = 0; i < W * H; i++) cr_assert_eq(a[i], gray[0]);
        }
        sac_free(gray);
        sac_free(rgb);
    }
    sac_preprocessor_close(&p);
}

Test(student_preprocess, shrinking_averages) {
    enum { W = 16, H = 16 };
    static uint8_t gray[4 * W * H], out[W * H];
    sac_preprocessor *p = make(W, H);
    fill(gray, sizeof gray, 11);
    cr_assert(sac_preprocessor_frame(p, out, gray, 2 * W, 2 * H, 1) == SAC_OK);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            double mean =
                (gray[2 * y * 2 * W + 2 * x] + gray[2 * y * 2 * W + 2 * x + 1] +
                 gray[(2 * y + 1) * 2 * W + 2 * x] + gray[(2 * y + 1) * 2 * W + 2 * x + 1]) /
                4.0;
            cr_assert(fabs(out[y * W + x] - mean) <= 0.51, "%d,%d: %d, expected %g", x, y,
                      out[y * W + x], mean);
        }
    }
    sac_preprocessor_close(&p);
}

Test(student_preprocess, stack_interleaves_and_normalises) {
    enum { W = 16, H = 17 };
    sac_preprocess p = sac_preprocess_default();
    p.width = W;
    p.height = H;
    static uint8_t planes[3][W * H];
    static float input[W * H * 3], plane[W * H];
    for (int i = 0; i < 3; i++) fill(planes[i], W * H, (uint64_t)i);
    sac_preprocess_stack(input, (const uint8_t *const[3]){planes[0], planes[1], planes[2]}, &p);
    for (int c = 0; c < 3; c++) {
        sac_preprocess_normalise(plane, planes[c], &p);
        for (int i = 0; i < W * H; i++) {
            // A division by 128 is exact, so this must be equality.
            cr_assert_eq(input[3 * i + c], (float)planes[c][i] / 255.0f);
            cr_assert_eq(plane[i], input[3 * i + c]);
        }
    }
}

// Of a colour student every channel is scaled as if it were gray; gray frames and luma planes
// become R = G = B.
Test(student_preprocess, colour_is_three_planes) {
    enum { W = 37, H = 29, OUT_W = 24, OUT_H = 18, LARGE_W = 50, LARGE_H = 40 };
    static uint8_t rgb[W * H * 3], plane[W * H];
    static uint8_t out[LARGE_W * LARGE_H * 3], one[LARGE_W * LARGE_H];
    static const int sizes[2][2] = {{OUT_W, OUT_H}, {LARGE_W, LARGE_H}};
    fill(rgb, W * H * 3, 9);
    for (int k = 0; k < 2; k++) {
        const int count = sizes[k][0] * sizes[k][1];
        sac_preprocess settings = sac_preprocess_default();
        sac_preprocessor *colour = NULL, *gray = make(sizes[k][0], sizes[k][1]);
        settings.width = sizes[k][0];
        settings.height = sizes[k][1];
        settings.channels = 3;
        cr_assert_eq(sac_preprocess_bytes(&settings), 3 * count);
        cr_assert(sac_preprocessor_create(&colour, &settings) == SAC_OK);
        for (int c = 0; c < 3; c++) {
            cr_assert(sac_preprocessor_frame(colour, out, rgb, W, H, 3) == SAC_OK);
            for (int i = 0; i < W * H; i++) plane[i] = rgb[3 * i + c];
            cr_assert(sac_preprocessor_frame(gray, one, plane, W, H, 1) == SAC_OK);
            for (int i = 0; i < count; i++) cr_assert_eq(out[3 * i + c], one[i]);
            // The scaler follows what comes: gray frames between coloured ones.
            cr_assert(sac_preprocessor_frame(colour, out, plane, W, H, 1) == SAC_OK);
            for (int i = 0; i < 3 * count; i++) cr_assert_eq(out[i], one[i / 3]);
        }
        for (int full = 0; full < 2; full++) {
            const sac_luma luma = {
                .data = plane, .stride = W, .width = W, .height = H, .full_range = full == 1};
            cr_assert(sac_preprocessor_luma(colour, out, &luma) == SAC_OK);
            cr_assert(sac_preprocessor_luma(gray, one, &luma) == SAC_OK);
            for (int i = 0; i < 3 * count; i++) cr_assert_eq(out[i], one[i / 3]);
        }
        sac_preprocessor_close(&colour);
        sac_preprocessor_close(&gray);
    }
}

Test(student_preprocess, a_stack_in_colour_is_frame_after_frame) {
    enum { W = 16, H = 17, N = W * H * 3 };
    sac_preprocess p = sac_preprocess_default();
    p.width = W;
    p.height = H;
    p.channels = 3;
    p.mean = 16;
    static uint8_t frames[3][N];
    static float input[N * 3], one[N];
    for (int i = 0; i < 3; i++) fill(frames[i], N, (uint64_t)i);
    sac_preprocess_stack(input, (const uint8_t *const[3]){frames[0], frames[1], frames[2]}, &p);
    for (int f = 0; f < 3; f++) {
        sac_preprocess_normalise(one, frames[f], &p);
        for (int i = 0; i < N; i++) {
            cr_assert_eq(one[i], ((float)frames[f][i] - 16.0f) / 255.0f);
            cr_assert_eq(input[i / 3 * 9 + 3 * f + i % 3], one[i]);
        }
    }
}

Test(student_preprocess, bad_frames_and_settings_are_refused) {
    uint8_t gray[256] = {0}, pixel[3] = {0};
    sac_preprocessor *p = make(16, 16);
    cr_assert(sac_preprocessor_frame(p, gray, pixel, 0, 1, 1) == SAC_ERROR_ARGUMENT);
    cr_assert(sac_preprocessor_frame(p, gray, pixel, 1, -1, 1) == SAC_ERROR_ARGUMENT);
    cr_assert(sac_preprocessor_frame(p, gray, pixel, 1, 1, 2) == SAC_ERROR_ARGUMENT);
    cr_assert(sac_preprocessor_frame(p, gray, pixel, 16385, 1, 1) == SAC_ERROR_ARGUMENT);
    cr_assert(sac_preprocessor_frame(p, gray, NULL, 1, 1, 1) == SAC_ERROR_ARGUMENT);
    sac_preprocessor_close(&p);
    sac_preprocess bad[7];
    for (int i = 0; i < 7; i++) bad[i] = sac_preprocess_default();
    bad[0].width = 15;
    bad[1].height = 4097;
    bad[2].channels = 2;
    bad[3].offsets[1] = -3;
    bad[4].offsets[2] = 65;
    bad[5].scale = 0.0;
    bad[6].mean = NAN;
    static const char *const words[7] = {"15x",     "4097",  "channels", "ascending",
                                         "offsets", "scale", "mean"};
    for (int i = 0; i < 7; i++) {
        sac_error error = {0};
        sac_assert_error(sac_preprocess_check(&bad[i], SAC_ERROR_FORMAT, "file.x", &error),
                         SAC_ERROR_FORMAT, &error, "file.x", words[i], NULL);
        cr_assert(sac_preprocessor_create(&p, &bad[i]) == SAC_ERROR_ARGUMENT);
        cr_assert_null(p);
    }
}

Test(student_preprocess, json_says_what_colours_are) {
    sac_preprocess p = sac_preprocess_default(), q;
    sac_error error = {0};
    p.channels = 3;
    json_t *json = sac_preprocess_to_json(&p);
    sac_assert_ok(sac_preprocess_from_json(&q, json, "x", &error), &error);
    cr_assert_eq(q.channels, 3);
    cr_assert_str_eq(json_string_value(json_object_get(json, "colour")), "rgb");
    cr_assert_null(json_object_get(json, "luma"));
    json_object_set_new(json, "colour", json_string("bgr"));
    sac_assert_error(sac_preprocess_from_json(&q, json, "x", &error), SAC_ERROR_FORMAT, &error,
                     "colour", "'rgb' was expected", NULL);
    json_object_del(json, "colour");
    error = (sac_error){0};
    sac_assert_error(sac_preprocess_from_json(&q, json, "x", &error), SAC_ERROR_FORMAT, &error,
                     "colour", NULL);
    json_object_set_new(json, "luma", json_string("bt601"));
    json_object_set_new(json, "channels", json_integer(2));
    error = (sac_error){0};
    sac_assert_error(sac_preprocess_from_json(&q, json, "x", &error), SAC_ERROR_FORMAT, &error,
                     "2 channels", NULL);
    json_decref(json);
}

Test(student_preprocess, json_round_trip_and_refusals) {
    sac_preprocess p = sac_preprocess_default(), q;
    p.width = 321;
    p.offsets[0] = -6;
    p.offsets[2] = 0;
    p.offsets[1] = -3;
    p.mean = 0.1;
    p.scale = 1.0 / 3.0;
    json_t *json = sac_preprocess_to_json(&p);
    sac_error error = {0};
    sac_assert_ok(sac_preprocess_from_json(&q, json, "x", &error), &error);
    cr_assert(q.width == 321 && q.height == 160 && q.channels == 1 && q.mean == 0.1 &&
              q.scale == 1.0 / 3.0);
    cr_assert_eq(memcmp(p.offsets, q.offsets, sizeof p.offsets), 0);
    static const char *const keys[] = {"width",   "height", "channels", "luma",
                                       "offsets", "mean",   "scale"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *copy = json_deep_copy(json);
        json_object_del(copy, keys[i]);
        error = (sac_error){0};
        sac_assert_error(sac_preprocess_from_json(&q, copy, "m.bin", &error), SAC_ERROR_FORMAT,
                         &error, "m.bin", keys[i], NULL);
        json_object_set_new(copy, keys[i], json_string("oops"));
        error = (sac_error){0};
        sac_assert_error(sac_preprocess_from_json(&q, copy, "m.bin", &error), SAC_ERROR_FORMAT,
                         &error, "m.bin", keys[i], NULL);
        json_decref(copy);
    }
    json_object_set_new(json, "offsets", json_pack("[i, i]", -1, 2));
    error = (sac_error){0};
    sac_assert_error(sac_preprocess_from_json(&q, json, "m.bin", &error), SAC_ERROR_FORMAT, &error,
                     "offsets", NULL);
    json_decref(json);
}

Test(student_preprocess, frame_score_is_the_mean_over_the_maps_there_are) {
    float map16[256], map4[16];
    const float map1 = 0.3f;
    for (int i = 0; i < 256; i++) map16[i] = 0.1f;
    for (int i = 0; i < 16; i++) map4[i] = 0.2f;
    map16[255] = 0.9f;
    map4[0] = 0.6f;
    static const float expected[8] = {0, 0.9f, 0.6f, 0.75f, 0.3f, 0.6f, 0.45f, 0.6f};
    for (unsigned heads = 1; heads <= SAC_HEADS_ALL; heads++) {
        const float *const maps[SAC_HEADS] = {(heads & 1) != 0 ? map16 : NULL,
                                              (heads & 2) != 0 ? map4 : NULL,
                                              (heads & 4) != 0 ? &map1 : NULL};
        cr_assert_float_eq(sac_heads_score(maps), expected[heads], 1e-6f, "%u", heads);
    }
}

// One pass over a plane with room around it equals the packed picture; limited range lands on the
// same values as full range of the same content, up to rounding.
Test(student_preprocess, luma_planes) {
    static const int sizes[][2] = {{17, 13}, {16, 16}, {360, 240}, {5, 400}, {1, 1}, {64, 48}};
    enum { W = 64, H = 48 };
    sac_preprocessor *p = make(W, H);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int w = sizes[s][0], h = sizes[s][1], stride = w + 11;
        uint8_t *full = sac_calloc((int64_t)w * h, 1), *limited = sac_calloc((int64_t)w * h, 1);
        uint8_t *padded = sac_calloc((int64_t)stride * h, 1), a[W * H], b[W * H], c[W * H];
        fill(full, (int64_t)w * h, s);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                limited[y * w + x] = (uint8_t)lrint(16 + full[y * w + x] * 219 / 255.0);
                padded[(h - 1 - y) * stride + x] = full[y * w + x]; // upside down
            }
        sac_luma luma = {.data = padded + (h - 1) * stride,
                         .stride = -stride,
                         .width = w,
                         .height = h,
                         .full_range = true};
        cr_assert(sac_preprocessor_frame(p, a, full, w, h, 1) == SAC_OK);
        cr_assert(sac_preprocessor_luma(p, b, &luma) == SAC_OK);
        cr_assert_eq(memcmp(a, b, sizeof a), 0, "%dx%d", w, h);
        luma = (sac_luma){.data = limited, .stride = w, .width = w, .height = h};
        cr_assert(sac_preprocessor_luma(p, c, &luma) == SAC_OK);
        double mean = 0;
        for (int i = 0; i < W * H; i++) {
            cr_assert(abs(c[i] - a[i]) <= 1, "%dx%d: %d, expected %d", w, h, c[i], a[i]);
            mean += (double)(c[i] - a[i]) / (W * H);
        }
        cr_assert(w == 1 || fabs(mean) < 0.1, "%dx%d: brighter by %.3f", w, h, mean);
        sac_free(full);
        sac_free(limited);
        sac_free(padded);
    }
    uint8_t pixels[64] = {0}, out[W * H];
    const sac_luma good = {.data = pixels, .stride = 8, .width = 8, .height = 8};
    for (int i = 0; i < 7; i++) {
        sac_luma bad = good;
        if (i == 0) bad.data = NULL;
        if (i == 1) bad.width = 0;
        if (i == 2) bad.height = -1;
        if (i == 3) bad.width = 16385;
        if (i == 4) bad.stride = 7;
        if (i == 5) bad.stride = -7;
        if (i == 6) bad.stride = 0;
        cr_assert_eq(sac_preprocessor_luma(p, out, &bad), SAC_ERROR_ARGUMENT, "case %d", i);
    }
    cr_assert_eq(sac_preprocessor_luma(p, out, &good), SAC_OK);
    cr_assert_eq(sac_preprocessor_luma(p, NULL, &good), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_preprocessor_luma(p, out, NULL), SAC_ERROR_ARGUMENT);
    sac_preprocessor_close(&p);
}

Test(student_preprocess, lack_of_memory_is_reported) {
    sac_preprocess settings = sac_preprocess_default();
    static uint8_t rgb[64 * 48 * 3], out[240 * 160];
    for (int fail = 0; fail < 40; fail++) {
        sac_preprocessor *p = NULL;
        sac_memory_fail_after(fail);
        sac_status status = sac_preprocessor_create(&p, &settings);
        if (status == SAC_OK) status = sac_preprocessor_frame(p, out, rgb, 64, 48, 3);
        sac_memory_fail_after(-1);
        cr_assert(status == SAC_OK || status == SAC_ERROR_MEMORY, "after %d: %s", fail,
                  sac_status_name(status));
        // After the failure the same object must still work.
        if (p != NULL) cr_assert(sac_preprocessor_frame(p, out, rgb, 64, 48, 3) == SAC_OK);
        sac_preprocessor_close(&p);
        if (status == SAC_OK) {
            cr_assert(fail >= 3);
            return;
        }
    }
    cr_assert_fail("never succeeded");
}
