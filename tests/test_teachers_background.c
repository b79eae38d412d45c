// Background model: median, noise, exposure compensation, closing, connected components.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "video/background.h"

enum { W = 48, H = 40, FRAMES = 30 };

// A textured ground with a bright 6x10 block that moves two pixels a frame; exposure per frame.
static uint8_t *moving_block(double gain_swing, int offset_swing, int noise) {
    uint8_t *pixels = sac_calloc((int64_t)W * H * FRAMES, 1);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 0);
    for (int t = 0; t < FRAMES; t++) {
        double gain = 1 + gain_swing * (t % 7 - 3) / 3.0;
        int offset = offset_swing * (t % 5 - 2);
        for (int y = 0; y < H; y++) {
            for (int x = 0; x < W; x++) {
                int ground = 60 + (x * 37 + y * 61) % 50;
                int left = 2 * t - 8;
                bool block = x >= left && x < left + 6 && y >= 15 && y < 25;
                double value = gain * (block ? 190 : ground) + offset;
                value += noise == 0 ? 0 : (double)sac_rng_below(&rng, 2 * noise + 1) - noise;
                pixels[((int64_t)t * H + y) * W + x] = (uint8_t)(value < 0     ? 0
                                                                 : value > 255 ? 255
                                                                               : value + 0.5);
            }
        }
    }
    return pixels;
}

Test(teachers_background, median_is_the_ground) {
    uint8_t *pixels = moving_block(0, 0, 0);
    sac_background *background = NULL;
    sac_background_options options = sac_background_default_options();
    sac_error error = {0};
    sac_assert_ok(sac_background_create(&background, pixels, FRAMES, W, H, &options, &error),
                  &error);
    const uint8_t *picture = sac_background_picture(background, 3);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            cr_assert_eq(picture[y * W + x], 60 + (x * 37 + y * 61) % 50, "at %d,%d", x, y);
        }
    }
    sac_background_close(&background);
    cr_assert_null(background);
    sac_background_close(&background);
    sac_free(pixels);
}

static void expect_block(double gain, int offset, int noise) {
    uint8_t *pixels = moving_block(gain, offset, noise);
    uint8_t mask[W * H];
    float strength[W * H];
    int32_t labels[W * H];
    sac_background *background = NULL;
    sac_background_options options = sac_background_default_options();
    options.threshold = 25;
    sac_error error = {0};
    sac_assert_ok(sac_background_create(&background, pixels, FRAMES, W, H, &options, &error),
                  &error);
    for (int t = 6; t < 26; t += 5) {
        sac_background_mask(background, mask, strength, t);
        sac_blob *blobs = NULL;
        int64_t count = 0;
        sac_assert_ok(sac_blobs_find(&blobs, &count, labels, mask, strength, W, H), NULL);
        cr_assert_eq(count, 1, "frame %d: %d blobs, gain %g offset %d noise %d", t, (int)count,
                     gain, offset, noise);
        // The 3x3 mean may add one pixel to each side.
        int left = 2 * t - 8;
        cr_assert(abs(blobs[0].x1 - left) <= 1 && abs(blobs[0].x2 - left - 6) <= 1);
        cr_assert(abs(blobs[0].y1 - 15) <= 1 && abs(blobs[0].y2 - 25) <= 1);
        cr_assert_gt(blobs[0].strength / (double)blobs[0].area, 25);
        sac_free(blobs);
    }
    sac_background_close(&background);
    sac_free(pixels);
}

Test(teachers_background, finds_the_moving_block) {
    expect_block(0, 0, 0);
    expect_block(0, 0, 4);
}

Test(teachers_background, compensates_exposure) {
    // Without compensation an offset of 30 exceeds the threshold everywhere.
    expect_block(0, 15, 2);
    expect_block(0.25, 0, 2);
    expect_block(0.25, 10, 2);
}

Test(teachers_background, follows_long_clips) {
    // A lamp in one corner goes on after a quarter of the clip: the one median shows it lit, so the
    // early frames differ from it; a segment's own median does not. (A change of the whole picture
    // would be fitted away.)
    enum { LONG = 240 };
    uint8_t *pixels = sac_calloc((int64_t)W * H * LONG, 1);
    for (int t = 0; t < LONG; t++) {
        for (int p = 0; p < W * H; p++) {
            bool lit = p % W < 12 && p / W < 12 && t >= LONG / 4;
            pixels[(int64_t)t * W * H + p] = (uint8_t)(100 + (p * 7) % 30 + (lit ? 60 : 0));
        }
    }
    uint8_t mask[W * H];
    sac_background_options options = sac_background_default_options();
    options.threshold = 12;
    int set[2] = {0};
    for (int k = 0; k < 2; k++) {
        options.segment_frames = k == 0 ? 1000 : 40;
        sac_background *background = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_background_create(&background, pixels, LONG, W, H, &options, &error),
                      &error);
        sac_background_mask(background, mask, NULL, 10);
        for (int p = 0; p < W * H; p++) set[k] += mask[p];
        sac_background_close(&background);
    }
    cr_assert_gt(set[0], 50,
                 "one median for the whole clip must fail here, or this checks nothing");
    cr_assert_eq(set[1], 0, "%d pixels set with segments", set[1]);
    sac_free(pixels);
}

Test(teachers_background, tiny_and_flat) {
    // One pixel, one frame, and a black clip: nothing moves.
    static const int sizes[][3] = {{1, 1, 1}, {1, 5, 2}, {17, 13, 3}};
    for (int i = 0; i < 3; i++) {
        int w = sizes[i][0], h = sizes[i][1], frames = sizes[i][2];
        uint8_t *pixels = sac_calloc((int64_t)w * h * frames, 1);
        uint8_t *mask = sac_calloc((int64_t)w * h, 1);
        memset(mask, 7, (size_t)(w * h));
        sac_background *background = NULL;
        sac_background_options options = sac_background_default_options();
        sac_error error = {0};
        sac_assert_ok(sac_background_create(&background, pixels, frames, w, h, &options, &error),
                      &error);
        for (int t = 0; t < frames; t++) {
            sac_background_mask(background, mask, NULL, t);
            for (int p = 0; p < w * h; p++) cr_assert_eq(mask[p], 0);
        }
        sac_background_close(&background);
        sac_free(pixels);
        sac_free(mask);
    }
}

Test(teachers_background, refuses_bad_arguments) {
    uint8_t pixel = 0;
    sac_background *background = NULL;
    sac_background_options options = sac_background_default_options();
    sac_error error = {0};
    sac_assert_error(sac_background_create(&background, &pixel, 0, 1, 1, &options, &error),
                     SAC_ERROR_ARGUMENT, &error, "at least one frame", NULL);
    error = (sac_error){0};
    options.samples = 2;
    sac_assert_error(sac_background_create(&background, &pixel, 1, 1, 1, &options, &error),
                     SAC_ERROR_ARGUMENT, &error, "samples 3..251", NULL);
    for (int64_t n = 0; n < 6; n++) {
        options = sac_background_default_options();
        sac_memory_fail_after(n);
        sac_status status = sac_background_create(&background, &pixel, 1, 1, 1, &options, NULL);
        sac_memory_fail_after(-1);
        cr_assert_eq(status, SAC_ERROR_MEMORY, "after %d allocations", (int)n);
        cr_assert_null(background);
    }
}

// Components against a flood fill.
Test(teachers_background, components_match_flood_fill) {
    enum { N = 23 };
    sac_rng rng;
    sac_rng_seed(&rng, 9, 0);
    for (int round = 0; round < 200; round++) {
        uint8_t mask[N * N];
        int32_t labels[N * N], expected[N * N] = {0};
        int density = 10 + round % 60;
        for (int p = 0; p < N * N; p++) mask[p] = sac_rng_below(&rng, 100) < density;
        int32_t next = 0;
        int stack[N * N];
        for (int p = 0; p < N * N; p++) {
            if (!mask[p] || expected[p]) continue;
            int top = 0;
            stack[top++] = p;
            expected[p] = ++next;
            while (top > 0) {
                int q = stack[--top];
                for (int dy = -1; dy <= 1; dy++) {
                    for (int dx = -1; dx <= 1; dx++) {
                        int x = q % N + dx, y = q / N + dy;
                        if (x < 0 || y < 0 || x >= N || y >= N) continue;
                        if (!mask[y * N + x] || expected[y * N + x]) continue;
                        expected[y * N + x] = next;
                        stack[top++] = y * N + x;
                    }
                }
            }
        }
        sac_blob *blobs = NULL;
        int64_t count = 0;
        sac_assert_ok(sac_blobs_find(&blobs, &count, labels, mask, NULL, N, N), NULL);
        cr_assert_eq(count, next, "round %d", round);
        int64_t area = 0;
        for (int p = 0; p < N * N; p++) {
            cr_assert_eq(labels[p] != 0, mask[p] != 0);
            if (!mask[p]) continue;
            area++;
            const sac_blob *b = &blobs[labels[p] - 1];
            cr_assert(p % N >= b->x1 && p % N < b->x2 && p / N >= b->y1 && p / N < b->y2);
            // Numbered in scan order, as the flood fill is.
            cr_assert_eq(labels[p], expected[p], "round %d, pixel %d", round, p);
        }
        for (int64_t i = 0; i < count; i++) area -= blobs[i].area;
        cr_assert_eq(area, 0);
        sac_free(blobs);
    }
}
