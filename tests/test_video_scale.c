// The scaler and the crop against textbook loops in double, and the vector code against the plain
// code.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "video/scale.h"

// Weights of source pixels for output i, by definition.
static void ref_weights(double *w, int in, int out, int i) {
    for (int k = 0; k < in; k++) w[k] = 0;
    if (out <= in) {
        double a = (double)i * in / out, b = (double)(i + 1) * in / out;
        for (int k = 0; k < in; k++) {
            double covered = fmin(k + 1, b) - fmax(k, a);
            if (covered > 0) w[k] = covered / (b - a);
        }
    } else {
        double at = fmin(fmax((i + 0.5) * in / out - 0.5, 0), in - 1);
        int j = (int)at;
        w[j] += 1 - (at - j);
        if (j + 1 < in) w[j + 1] += at - j;
    }
}

static void ref_scale(double *dst, const uint8_t *src, int sw, int sh, int dw, int dh, int ch) {
    double *wx = sac_calloc(sw, sizeof *wx), *wy = sac_calloc(sh, sizeof *wy);
    double *mid = sac_calloc((int64_t)dh * sw * ch, sizeof *mid);
    for (int y = 0; y < dh; y++) {
        ref_weights(wy, sh, dh, y);
        for (int i = 0; i < sw * ch; i++)
            for (int k = 0; k < sh; k++)
                mid[(int64_t)y * sw * ch + i] += wy[k] * src[(int64_t)k * sw * ch + i];
    }
    for (int x = 0; x < dw; x++) {
        ref_weights(wx, sw, dw, x);
        for (int y = 0; y < dh; y++)
            for (int c = 0; c < ch; c++) {
                double sum = 0;
                for (int k = 0; k < sw; k++) sum += wx[k] * mid[((int64_t)y * sw + k) * ch + c];
                dst[((int64_t)y * dw + x) * ch + c] = sum;
            }
    }
    sac_free(wx);
    sac_free(wy);
    sac_free(mid);
}

static uint8_t *noise(int64_t n, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    uint8_t *p = sac_calloc(n, 1);
    cr_assert_not_null(p);
    // Mostly extremes: rounding errors of weights show best on full contrast.
    for (int64_t i = 0; i < n; i++) {
        uint64_t v = sac_rng_next(&rng);
        p[i] = (uint8_t)((v & 3) == 0 ? v >> 8 : (v & 4) != 0 ? 255 : 0);
    }
    return p;
}

static void check(int sw, int sh, int dw, int dh, int ch) {
    static const sac_scaler_code codes[] = {SAC_SCALER_PLAIN, SAC_SCALER_AVX2, SAC_SCALER_AVX512,
                                            SAC_SCALER_BEST};
    int64_t n = (int64_t)dw * dh * ch;
    uint8_t *src = noise((int64_t)sw * sh * ch, (uint64_t)(sw * 7 + dh)),
            *dst = sac_calloc(n + 64, 1);
    uint8_t *copy = noise((int64_t)sw * sh * ch, (uint64_t)(sw * 7 + dh)),
            *plain = sac_calloc(n, 1);
    double *ref = sac_calloc(n, sizeof *ref);
    sac_scaler *scaler = NULL;
    ref_scale(ref, src, sw, sh, dw, dh, ch);
    cr_assert_eq(sac_scaler_create(&scaler, sw, sh, dw, dh, ch), SAC_OK);
    // Each code twice: as it is, and with limited range stretched.
    for (int run = 0; run < 8; run++) {
        const int k = run % 4;
        const bool limited = run >= 4;
        const double off = limited ? 0.5 + 0.03 : 0.5 + 0.02;
        sac_status status = sac_scaler_use(scaler, codes[k]);
        if (status == SAC_ERROR_UNSUPPORTED &&
            (codes[k] == SAC_SCALER_AVX2 || codes[k] == SAC_SCALER_AVX512))
            continue;
        cr_assert_eq(status, SAC_OK);
        memset(dst, 0xA5, (size_t)n + 64);
        if (limited)
            sac_scaler_run_limited(scaler, dst, src, (ptrdiff_t)sw * ch);
        else
            sac_scaler_run(scaler, dst, src);
        for (int64_t i = 0; i < n; i++) {
            double v = limited ? fmin(fmax(255 * (ref[i] - 16) / 219, 0), 255) : ref[i];
            cr_assert(fabs(dst[i] - v) <= off,
                      "%dx%dx%d to %dx%d, code %d, element %lld: %d, expected %.4f", sw, sh, ch, dw,
                      dh, (int)codes[k], (long long)i, dst[i], v);
        }
        for (int i = 0; i < 64; i++)
            cr_assert_eq(dst[n + i], 0xA5, "wrote behind the picture, %dx%d to %dx%d", sw, sh, dw,
                         dh);
        if (codes[k] == SAC_SCALER_PLAIN) memcpy(plain, dst, (size_t)n);
        cr_assert_eq(memcmp(plain, dst, (size_t)n), 0,
                     "%dx%dx%d to %dx%d: code %d differs from the plain one", sw, sh, ch, dw, dh,
                     (int)codes[k]);
        cr_assert_eq(memcmp(src, copy, (size_t)sw * (size_t)sh * (size_t)ch), 0);
    }
    sac_scaler_close(&scaler);
    cr_assert_null(scaler);
    sac_free(src);
    sac_free(copy);
    sac_free(dst);
    sac_free(plain);
    sac_free(ref);
}

Test(video_scale, small_sizes) {
    static const int sizes[] = {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33};
    enum { N = sizeof sizes / sizeof *sizes };
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++)
            for (int ch = 1; ch <= 3; ch += 2)
                check(sizes[a], sizes[b], sizes[b], sizes[(a + b) % N], ch);
}

Test(video_scale, real_sizes) {
    static const int cases[][5] = {{360, 240, 240, 160, 1}, {640, 360, 320, 192, 1},
                                   {640, 360, 160, 96, 3},  {360, 240, 320, 192, 1},
                                   {17, 13, 240, 160, 3},   {241, 161, 240, 160, 1},
                                   {599, 301, 300, 299, 3}, {856, 480, 320, 192, 1},
                                   {257, 129, 256, 128, 1}, {127, 129, 131, 130, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cases[i][0], cases[i][1], cases[i][2], cases[i][3], cases[i][4]);
}

Test(video_scale, extreme_ratios) {
    check(16384, 3, 1, 2, 1);
    check(3, 16384, 2, 1, 3);
    check(16384, 2, 16383, 1, 1);
    check(2, 3, 16384, 2, 1);
    check(3, 2, 2, 16383, 1);
    check(16383, 1, 16384, 1, 1);
}

Test(video_scale, flat_stays_flat) {
    uint8_t *src = sac_calloc(641 * 359, 1), *dst = sac_calloc(320 * 192, 1);
    for (int v = 0; v < 256; v += 5) {
        sac_scaler *scaler = NULL;
        memset(src, v, 641 * 359);
        cr_assert_eq(sac_scaler_create(&scaler, 641, 359, 320, 192, 1), SAC_OK);
        sac_scaler_run(scaler, dst, src);
        for (int i = 0; i < 320 * 192; i++) cr_assert_eq(dst[i], v);
        sac_scaler_close(&scaler);
    }
    sac_free(src);
    sac_free(dst);
}

// Single pixels against the formula of ITU-R BT.601, in a copy and through each resampler.
Test(video_scale, limited_range_is_stretched_exactly) {
    uint8_t src[256 * 4], dst[256 * 8];
    for (int i = 0; i < 256 * 4; i++) src[i] = (uint8_t)(i % 256);
    static const int heights[] = {4, 2, 8};
    for (int k = 0; k < 3; k++)
        for (sac_scaler_code code = SAC_SCALER_BEST; code <= SAC_SCALER_AVX512; code++) {
            sac_scaler *scaler = NULL;
            cr_assert_eq(sac_scaler_create(&scaler, 256, 4, 256, heights[k], 1), SAC_OK);
            const sac_status status = sac_scaler_use(scaler, code);
            cr_assert(status == SAC_OK || status == SAC_ERROR_UNSUPPORTED);
            sac_scaler_run_limited(scaler, dst, src, 256);
            for (int i = 0; i < 256 * heights[k]; i++) {
                const double v = fmin(fmax(255 * (i % 256 - 16) / 219.0, 0), 255);
                cr_assert_eq(dst[i], lrint(v), "%d to %d, expected %.3f", i % 256, dst[i], v);
            }
            sac_scaler_close(&scaler);
        }
}

Test(video_scale, strides) {
    uint8_t *src = noise(100 * 60, 3), a[30 * 20], b[30 * 20];
    uint8_t *packed = sac_calloc(77 * 60, 1), *upside = sac_calloc(77 * 60, 1);
    sac_scaler *scaler = NULL;
    for (int y = 0; y < 60; y++) {
        memcpy(packed + 77 * y, src + 100 * y, 77);
        memcpy(upside + 77 * (59 - y), src + 100 * y, 77);
    }
    cr_assert_eq(sac_scaler_create(&scaler, 77, 60, 30, 20, 1), SAC_OK);
    sac_scaler_run(scaler, a, packed);
    sac_scaler_run_rows(scaler, b, src, 100);
    cr_assert_eq(memcmp(a, b, sizeof a), 0);
    sac_scaler_run_rows(scaler, b, upside + 77 * 59, -77);
    cr_assert_eq(memcmp(a, b, sizeof a), 0);
    sac_scaler_close(&scaler);
    sac_free(src);
    sac_free(packed);
    sac_free(upside);
}

Test(video_scale, bad_arguments) {
    static const int cases[][5] = {{0, 1, 1, 1, 1},     {1, 0, 1, 1, 1}, {1, 1, 0, 1, 1},
                                   {1, 1, 1, 0, 1},     {1, 1, 1, 1, 2}, {16385, 1, 1, 1, 1},
                                   {1, 1, 1, 16385, 1}, {-5, 1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sac_scaler *scaler = (sac_scaler *)&scaler;
        const int *c = cases[i];
        cr_assert_eq(sac_scaler_create(&scaler, c[0], c[1], c[2], c[3], c[4]), SAC_ERROR_ARGUMENT);
        cr_assert_null(scaler);
    }
    sac_scaler_close(NULL);
}

Test(video_scale, allocation_failures) {
    int64_t n = 0;
    for (;; n++) {
        sac_scaler *scaler = NULL;
        sac_memory_fail_after(n);
        sac_status status = sac_scaler_create(&scaler, 300, 217, 100, 64, 3);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) {
            sac_scaler_close(&scaler);
            break;
        }
        cr_assert_eq(status, SAC_ERROR_MEMORY);
        cr_assert_null(scaler);
        cr_assert_lt(n, 100);
    }
    cr_assert_gt(n, 4);
}

static double ref_sample(const uint8_t *src, int sw, int sh, double x, double y) {
    x = fmin(fmax(x, 0), sw - 1);
    y = fmin(fmax(y, 0), sh - 1);
    int x0 = (int)x, y0 = (int)y, x1 = x0 + 1 < sw ? x0 + 1 : x0, y1 = y0 + 1 < sh ? y0 + 1 : y0;
    double fx = x - x0, fy = y - y0;
    return (src[y0 * sw + x0] * (1 - fx) + src[y0 * sw + x1] * fx) * (1 - fy) +
           (src[y1 * sw + x0] * (1 - fx) + src[y1 * sw + x1] * fx) * fy;
}

Test(video_scale, crop) {
    static const double boxes[][4] = {
        {10, 20, 74, 84},     {10.3, 5.7, 30.9, 61.2}, {-20, -30, 50, 40},
        {300, 200, 420, 290}, {0, 0, 360, 240},        {50, 60, 50.5, 60.5},
        {90, 20, 20, 90},     {500, 500, 600, 600},    {100.25, 0, 1300, 240},
        {5, 5, 5, 5},         {1, 1, 201, 30}};
    static const int outs[][2] = {{64, 64}, {1, 1}, {7, 5}, {300, 2}};
    enum { W = 360, H = 240 };
    uint8_t *src = noise(W * H, 9);
    for (size_t b = 0; b < sizeof boxes / sizeof *boxes; b++)
        for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) {
            int dw = outs[o][0], dh = outs[o][1];
            const double *box = boxes[b];
            float *dst = sac_calloc(dw * dh, sizeof *dst);
            for (int i = 0; i < dw * dh; i++) dst[i] = NAN;
            sac_crop_gray(dst, dw, dh, src, W, H, box[0], box[1], box[2], box[3]);
            int nx = (int)fmax(1, ceil(fabs(box[2] - box[0]) / dw)),
                ny = (int)fmax(1, ceil(fabs(box[3] - box[1]) / dh));
            if (nx > 256) nx = 256;
            if (ny > 256) ny = 256;
            for (int y = 0; y < dh; y++)
                for (int x = 0; x < dw; x++) {
                    double sum = 0;
                    for (int j = 0; j < ny; j++)
                        for (int i = 0; i < nx; i++)
                            sum += ref_sample(
                                src, W, H,
                                box[0] + (x + (i + 0.5) / nx) * (box[2] - box[0]) / dw - 0.5,
                                box[1] + (y + (j + 0.5) / ny) * (box[3] - box[1]) / dh - 0.5);
                    double expected = sum / nx / ny / 255;
                    cr_assert(fabs((double)dst[y * dw + x] - expected) < 1e-5,
                              "box %zu to %dx%d at %d,%d: %g, expected %g", b, dw, dh, x, y,
                              (double)dst[y * dw + x], expected);
                }
            sac_free(dst);
        }
    sac_free(src);
}

Test(video_scale, crop_of_the_picture_itself_is_exact) {
    uint8_t *src = noise(64 * 64, 4);
    float dst[64 * 64];
    sac_crop_gray(dst, 64, 64, src, 64, 64, 0, 0, 64, 64);
    for (int i = 0; i < 64 * 64; i++) cr_assert_float_eq(dst[i] * 255, (float)src[i], 1e-4f);
    sac_free(src);
}

Test(video_scale, crop_survives_nonsense_boxes) {
    static const double boxes[][4] = {
        {NAN, NAN, NAN, NAN}, {-INFINITY, 0, INFINITY, 5}, {1e300, -1e300, -1e300, 1e300}};
    uint8_t src[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    for (int b = 0; b < 3; b++) {
        float dst[6];
        sac_crop_gray(dst, 3, 2, src, 4, 3, boxes[b][0], boxes[b][1], boxes[b][2], boxes[b][3]);
        for (int i = 0; i < 6; i++)
            cr_assert(dst[i] >= 0 && dst[i] <= 1, "box %d: %g", b, (double)dst[i]);
    }
    uint8_t one = 51;
    float big[9];
    sac_crop_gray(big, 3, 3, &one, 1, 1, -4, -4, 9, 9);
    for (int i = 0; i < 9; i++) cr_assert_float_eq(big[i], 0.2f, 1e-6f);
}
