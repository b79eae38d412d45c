// The frame-difference scorers against their definition, and over clips of pictures.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/baseline.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "video/picture.h"

static double block_mean(const uint8_t *a, const uint8_t *b, int width, int height, int left,
                         int top) {
    double sum = 0.0, count = 0.0;
    for (int y = top; y < top + SAC_BASELINE_BLOCK && y < height; y++)
        for (int x = left; x < left + SAC_BASELINE_BLOCK && x < width; x++) {
            sum += abs((int)a[y * width + x] - (int)b[y * width + x]);
            count += 1.0;
        }
    return sum / count;
}

Test(bench_baseline, equals_its_definition_at_odd_sizes) {
    static const int sizes[][2] = {{1, 1}, {17, 13}, {16, 16}, {15, 33}, {360, 240}, {1, 300}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int width = sizes[s][0], height = sizes[s][1];
        uint8_t *a = sac_calloc((int64_t)width * height, 1);
        uint8_t *b = sac_calloc((int64_t)width * height, 1);
        sac_rng rng;
        sac_rng_seed(&rng, 3, s);
        double sum = 0.0, largest = 0.0;
        for (int i = 0; i < width * height; i++) {
            a[i] = (uint8_t)sac_rng_below(&rng, 256);
            b[i] = (uint8_t)sac_rng_below(&rng, 256);
            sum += abs((int)a[i] - (int)b[i]);
        }
        for (int y = 0; y < height; y += SAC_BASELINE_BLOCK)
            for (int x = 0; x < width; x += SAC_BASELINE_BLOCK)
                largest = fmax(largest, block_mean(a, b, width, height, x, y));
        float mean = NAN, block = NAN;
        sac_frame_difference(&mean, &block, a, b, width, height);
        cr_assert_float_eq((double)mean, sum / (width * height), 1e-4, "%dx%d", width, height);
        cr_assert_float_eq((double)block, largest, 1e-4, "%dx%d", width, height);
        sac_free(a);
        sac_free(b);
    }
}

enum { WIDTH = 40, HEIGHT = 24 };

// Pictures of constant gray values; returns the clip's folder.
static const char *write_clip(const char *name, const uint8_t *grays, int frames) {
    const char *folder = sac_test_path(name);
    sac_error error = {0};
    sac_assert_ok(sac_folder_create(folder, &error), &error);
    for (int t = 0; t < frames; t++) {
        uint8_t pixels[WIDTH * HEIGHT];
        memset(pixels, grays[t], sizeof pixels);
        char *path = sac_format("%s/%03d.png", folder, t + 1);
        sac_assert_ok(sac_picture_write_png(path, pixels, WIDTH, HEIGHT, 1, &error), &error);
        sac_free(path);
    }
    return folder;
}

static int stop_at_once(void *user) {
    ++*(int *)user;
    return 1;
}

Test(bench_baseline, clip_of_pictures) {
    const uint8_t grays[] = {100, 103, 103, 93};
    char name[] = "Test001", source[512];
    snprintf(source, sizeof source, "%s", write_clip("clip", grays, 4));
    sac_clip clip = {.name = name, .source = source, .frames = 4, .test = true};
    float mean[4] = {NAN, NAN, NAN, NAN}, block[4] = {NAN, NAN, NAN, NAN};
    sac_error error = {0};
    sac_assert_ok(sac_baseline_clip(mean, block, &clip, NULL, NULL, &error), &error);
    const float expected[] = {3.0F, 3.0F, 0.0F, 10.0F};
    for (int t = 0; t < 4; t++) {
        cr_assert_float_eq((double)mean[t], (double)expected[t], 1.01, "frame %d: %g", t,
                           (double)mean[t]);
        cr_assert_float_eq((double)block[t], (double)mean[t], 1e-5, "frame %d", t);
    }
    cr_assert_eq(mean[0], mean[1]);
    cr_assert_eq(mean[2], 0.0F);

    clip.frames = 5;
    float longer[5];
    sac_assert_error(sac_baseline_clip(longer, longer, &clip, NULL, NULL, &error), SAC_ERROR_FORMAT,
                     &error, "Test001", "4 frames", "expected 5", NULL);
    clip.frames = 3;
    error = (sac_error){0};
    sac_assert_error(sac_baseline_clip(mean, block, &clip, NULL, NULL, &error), SAC_ERROR_FORMAT,
                     &error, "Test001", "expected 3", NULL);

    clip.frames = 4;
    int calls = 0;
    error = (sac_error){0};
    sac_assert_error(sac_baseline_clip(mean, block, &clip, stop_at_once, &calls, &error),
                     SAC_ERROR_INTERRUPTED, &error, NULL);
    cr_assert_eq(calls, 1);
}

Test(bench_baseline, one_frame_scores_zero) {
    const uint8_t gray = 9;
    char name[] = "Test001", source[512];
    snprintf(source, sizeof source, "%s", write_clip("single", &gray, 1));
    const sac_clip clip = {.name = name, .source = source, .frames = 1, .test = true};
    float mean = NAN, block = NAN;
    sac_error error = {0};
    sac_assert_ok(sac_baseline_clip(&mean, &block, &clip, NULL, NULL, &error), &error);
    cr_assert_eq(mean, 0.0F);
    cr_assert_eq(block, 0.0F);
}

Test(bench_baseline, missing_clip) {
    char name[] = "Test001", source[] = "/nonexistent/clip";
    const sac_clip clip = {.name = name, .source = source, .frames = 1, .test = true};
    float mean, block;
    sac_error error = {0};
    cr_assert_lt(sac_baseline_clip(&mean, &block, &clip, NULL, NULL, &error), 0);
    cr_assert_not_null(strstr(error.message, "/nonexistent/clip"), "%s", error.message);
}
