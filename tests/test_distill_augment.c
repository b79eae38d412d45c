// Augmentation: levels, blur, noise and compression against their formulas, and batches made of
// them.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "distill/augment.h"
#include "distill/batch.h"
#include "distill_toy.h"

enum { W = 30, H = 21 };

static void plane_fill(float *plane, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    for (int i = 0; i < W * H; i++) plane[i] = (float)(20 + 200 * sac_rng_uniform(&rng));
}

Test(distill_augment, draws_depend_on_place_alone_and_stay_in_range) {
    const sac_augment_options o = {.jitter = 0.2,
                                   .flip = 0.5,
                                   .shift = 3,
                                   .gamma = 0.3,
                                   .blur = 0.5,
                                   .noise = 6,
                                   .compression = 0.5};
    int flips = 0, compressed = 0;
    for (int64_t i = 0; i < 400; i++) {
        const sac_augment a = sac_augment_draw(&o, 1, 2, i), b = sac_augment_draw(&o, 1, 2, i);
        cr_assert(a.gain == b.gain && a.noise_seed == b.noise_seed && a.step == b.step);
        cr_assert(a.gain >= 0.8 && a.gain <= 1.2 && a.dx >= -3 && a.dx <= 3);
        cr_assert(a.gamma >= exp(-0.3) && a.gamma <= exp(0.3) && a.blur >= 0 && a.blur <= 0.5);
        cr_assert(a.noise >= 0 && a.noise <= 6 && a.step >= 0 && a.step <= 24);
        cr_assert(a.block_x >= 0 && a.block_x < 8 && a.block_y >= 0 && a.block_y < 8);
        flips += a.flip;
        compressed += a.step > 0;
        // What is deep leaves the rest of the draw as it is.
        sac_augment_options plain = o;
        plain.gamma = plain.blur = plain.noise = plain.compression = 0;
        const sac_augment c = sac_augment_draw(&plain, 1, 2, i);
        cr_assert(c.gain == a.gain && c.offset == a.offset && c.flip == a.flip && c.dx == a.dx);
        cr_assert(!sac_augment_is_deep(&c) && c.gamma == 1);
    }
    cr_assert(flips > 140 && flips < 260 && compressed > 140 && compressed < 260);
}

Test(distill_augment, levels) {
    sac_augment a = sac_augment_none();
    for (int v = 0; v < 256; v++) cr_assert_eq(sac_augment_level(&a, v), v);
    a.gamma = 2;
    cr_assert_float_eq(sac_augment_level(&a, 127.5), 63.75, 1e-9);
    a = (sac_augment){.gain = 2, .offset = -100, .gamma = 1};
    cr_assert_eq(sac_augment_level(&a, 20), 0);
    cr_assert_eq(sac_augment_level(&a, 100), 100);
    cr_assert_eq(sac_augment_level(&a, 250), 255);
}

// The definition: transform with cosines in double, block by block.
static void compress_ref(float *plane, double step, int bx, int by) {
    for (int y0 = -by; y0 < H; y0 += 8) {
        for (int x0 = -bx; x0 < W; x0 += 8) {
            double block[8][8], c[8][8];
            for (int y = 0; y < 8; y++) {
                for (int x = 0; x < 8; x++) {
                    const int sx = x0 + x < 0    ? 0
                                   : x0 + x >= W ? W - 1
                                                 : x0 + x,
                              sy = y0 + y < 0    ? 0
                                   : y0 + y >= H ? H - 1
                                                 : y0 + y;
                    block[y][x] = (double)plane[sy * W + sx] - 128;
                }
            }
            for (int u = 0; u < 8; u++) {
                for (int v = 0; v < 8; v++) {
                    double sum = 0;
                    for (int y = 0; y < 8; y++) {
                        for (int x = 0; x < 8; x++) {
                            sum += block[y][x] * cos((2 * y + 1) * u * M_PI / 16) *
                                   cos((2 * x + 1) * v * M_PI / 16);
                        }
                    }
                    sum *= (u == 0 ? sqrt(0.125) : 0.5) * (v == 0 ? sqrt(0.125) : 0.5);
                    const double s = step * (1 + 0.5 * (u + v));
                    c[u][v] = s * rint(sum / s);
                }
            }
            for (int y = 0; y < 8; y++) {
                for (int x = 0; x < 8; x++) {
                    if (y0 + y < 0 || y0 + y >= H || x0 + x < 0 || x0 + x >= W) continue;
                    double sum = 0;
                    for (int u = 0; u < 8; u++) {
                        for (int v = 0; v < 8; v++) {
                            sum += c[u][v] * (u == 0 ? sqrt(0.125) : 0.5) *
                                   (v == 0 ? sqrt(0.125) : 0.5) * cos((2 * y + 1) * u * M_PI / 16) *
                                   cos((2 * x + 1) * v * M_PI / 16);
                        }
                    }
                    plane[(y0 + y) * W + x0 + x] = (float)fmin(fmax(sum + 128, 0), 255);
                }
            }
        }
    }
}

Test(distill_augment, compression_is_its_formula) {
    static float plane[W * H], wanted[W * H], before[W * H];
    const double steps[3] = {0.01, 3, 24};
    double lost = 0;
    for (int i = 0; i < 3; i++) {
        plane_fill(before, 3);
        memcpy(plane, before, sizeof plane);
        memcpy(wanted, before, sizeof plane);
        sac_augment_compress(plane, W, H, steps[i], i, 7 - i);
        compress_ref(wanted, steps[i], i, 7 - i);
        double error = 0;
        int64_t far = 0;
        for (int k = 0; k < W * H; k++) {
            error += fabs((double)(plane[k] - before[k])) / (W * H);
            far += fabs((double)(plane[k] - wanted[k])) > 0.01;
        }
        // A coefficient half-way between two steps may fall to the other side in f32.
        cr_assert(far <= (i == 0 ? W * H / 8 : 128), "%lld pixels differ", (long long)far);
        cr_assert(error > lost, "a larger step loses more: %g, %g", error, lost);
        lost = error;
    }
    cr_assert(lost > 5);
}

Test(distill_augment, blur_and_noise) {
    static float plane[W * H], work[W * H], other[W * H];
    // A flat plane does not change by blurring; a line becomes 1 2 1.
    for (int i = 0; i < W * H; i++) plane[i] = 77;
    sac_augment a = sac_augment_none();
    a.blur = 1;
    sac_augment_plane(plane, work, W, H, &a, 0);
    for (int i = 0; i < W * H; i++) cr_assert_float_eq(plane[i], 77, 1e-4f);
    for (int y = 0; y < H; y++) plane[y * W + 9] = 177;
    sac_augment_plane(plane, work, W, H, &a, 0);
    cr_assert_float_eq(plane[5 * W + 8], 102, 1e-3f);
    cr_assert_float_eq(plane[5 * W + 9], 127, 1e-3f);
    // Noise has its deviation, differs between frames, and is repeatable.
    a = sac_augment_none();
    a.noise = 5;
    a.noise_seed = 11;
    for (int i = 0; i < W * H; i++) plane[i] = other[i] = 128;
    sac_augment_plane(plane, work, W, H, &a, 0);
    sac_augment_plane(other, work, W, H, &a, 1);
    double sum = 0, squares = 0, product = 0;
    for (int i = 0; i < W * H; i++) {
        const double d = (double)plane[i] - 128;
        sum += d;
        squares += d * d;
        product += d * ((double)other[i] - 128);
    }
    cr_assert(fabs(sum / (W * H)) < 0.7 && fabs(sqrt(squares / (W * H)) - 5) < 0.5, "%g %g",
              sum / (W * H), sqrt(squares / (W * H)));
    cr_assert(fabs(product / squares) < 0.2, "the noise of two frames is the same");
    for (int i = 0; i < W * H; i++) other[i] = 128;
    sac_augment_plane(other, work, W, H, &a, 0);
    cr_assert_arr_eq(plane, other, sizeof plane);
}

// A deep sample without anything deep in it is the plain one; the u8 batch is the planes.
Test(distill_augment, batches) {
    sac_samples samples = toy_samples(2, 1, 6, true, 1);
    const int64_t n = 3 * TOY_WIDTH * TOY_HEIGHT;
    const sac_sample_ref refs[2] = {{0, 0}, {3, 4}};
    sac_augment augments[2] = {
        {.gain = 1.1, .offset = -5, .flip = true, .dx = 3, .dy = -2, .gamma = 1},
        sac_augment_none()};
    float *plain = sac_calloc(2 * n, sizeof *plain), *deep = sac_calloc(2 * n, sizeof *deep),
          *work = sac_calloc(sac_batch_work_bytes(&samples, 2), 1);
    uint8_t *bytes = sac_calloc(2 * n, 1);
    cr_assert(plain != NULL && deep != NULL && work != NULL && bytes != NULL);
    sac_batch_input(plain, &samples, refs, 2, augments, NULL);
    for (int i = 0; i < 2; i++) augments[i].blur = 1e-12; // deep, but nothing to see
    sac_batch_input(deep, &samples, refs, 2, augments, work);
    for (int64_t i = 0; i < 2 * n; i++) cr_assert_float_eq(plain[i], deep[i], 1e-5f);
    augments[0].noise = 8;
    sac_batch_input(deep, &samples, refs, 2, augments, work);
    cr_assert(memcmp(plain, deep, (size_t)n * sizeof *plain) != 0);
    sac_batch_input(plain, &samples, refs, 2, NULL, NULL);
    sac_batch_input_u8(bytes, &samples, refs, 2);
    int64_t bright = 0;
    for (int64_t i = 0; i < 2 * n; i++) {
        const double level =
            ((double)bytes[i] - samples.preprocess.mean) / samples.preprocess.scale;
        cr_assert_float_eq((double)plain[i], level, 1e-5);
        bright += bytes[i] == 220;
    }
    cr_assert(bright > 100);
    sac_free(plain);
    sac_free(deep);
    sac_free(work);
    sac_free(bytes);
    sac_samples_close(&samples);
}

// Colours go through the same changes: a sample of R = G = B is the gray one in every channel, but
// for noise, which each has of its own; other colours stay where they are.
Test(distill_augment, batches_in_colour) {
    sac_samples gray = toy_samples(1, 0, 6, false, 1), colour = toy_samples(1, 0, 6, false, 1);
    const int64_t pixels = TOY_WIDTH * TOY_HEIGHT, n = 3 * pixels;
    const sac_sample_ref ref = {0, 3};
    sac_augment a = {.gain = 1.1, .offset = -5, .flip = true, .dx = 3, .dy = -2, .gamma = 1};
    sac_sample_clip *clip = &colour.clips[0];
    toy_room(&colour, 3);
    float *one = sac_calloc(n, sizeof *one), *three = sac_calloc(3 * n, sizeof *three),
          *work = sac_calloc(sac_batch_work_bytes(&colour, 1), 1);
    uint8_t *bytes = sac_calloc(3 * n, 1);
    cr_assert(one != NULL && three != NULL && work != NULL && bytes != NULL);
    for (int64_t i = 0; i < 6 * n; i++) clip->pixels[i] = gray.clips[0].pixels[i / 3];
    for (int deep = 0; deep < 2; deep++) {
        a.blur = deep == 1 ? 0.7 : 0;
        sac_batch_input(one, &gray, &ref, 1, &a, work);
        sac_batch_input(three, &colour, &ref, 1, &a, work);
        for (int64_t i = 0; i < pixels; i++)
            for (int k = 0; k < 9; k++) cr_assert_eq(three[9 * i + k], one[3 * i + k / 3]);
    }
    a.noise = 8;
    sac_batch_input(three, &colour, &ref, 1, &a, work);
    int64_t differ = 0;
    for (int64_t i = 0; i < 3 * n; i += 3) differ += three[i] != three[i + 1];
    cr_assert(differ > pixels);
    for (int64_t i = 0; i < 6 * n; i++) clip->pixels[i] = (uint8_t)(i * 7 + i / 97);
    sac_batch_input(three, &colour, &ref, 1, NULL, NULL);
    sac_batch_input_u8(bytes, &colour, &ref, 1);
    for (int64_t i = 0; i < 3 * n; i++) {
        cr_assert_float_eq((double)three[i], (double)bytes[i] / 255, 1e-6);
        // Frames 0, 3 and 5, the last one: 6 is behind the end.
        const int64_t frame = i % 9 / 3 == 2 ? 5 : 3 * (i % 9 / 3);
        cr_assert_eq(bytes[i], clip->pixels[frame * n + i / 9 * 3 + i % 3], "%lld", (long long)i);
    }
    sac_free(one);
    sac_free(three);
    sac_free(work);
    sac_free(bytes);
    sac_samples_close(&gray);
    sac_samples_close(&colour);
}
