// Int8 plans: own kernels against the reference, which defines them, bit for bit where rounding
// leaves no choice and within one step elsewhere; against the fine-tuning network; layouts,
// batches, threads, outputs as u8, profile, and the plan's errors.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/memory.h"
#include "helper.h"
#include "nn/calibrate.h"
#include "nn/fold.h"
#include "nn/infer.h"
#include "nn/quant.h"
#include "nn/u8_conv.h"
#include "nn/u8_head.h"
#include "quant_net.h"

static const quant_net_sizes small = {.height = 34, .width = 40, .stem = 8, .body = 20, .head = 16};

static sac_quant *quant_of(const sac_net *net, const sac_params *params, int64_t pixels) {
    sac_error error = {0};
    sac_calibrate *c = NULL;
    sac_quant *quant = NULL;
    const sac_plan_options plan = {.batch = 1};
    const sac_calibrate_options options = sac_calibrate_defaults();
    sac_assert_ok(sac_calibrate_create(&c, net, params, &plan, &options, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 7, 1);
    float *x = sac_calibrate_input(c, "frames");
    for (int64_t i = 0; i < pixels; i++)
        x[i] = (float)quant_net_pixel(&rng, i, small.width) / 255.0f;
    sac_assert_ok(sac_calibrate_run(c, &error), &error);
    sac_assert_ok(sac_calibrate_finish(c, &quant, &error), &error);
    sac_calibrate_close(&c);
    return quant;
}

// --- the kernel --------------------------------------------------------------------------------

static int cases[SAC_U8_AMX + 1]; // that ran with each kernel

// Every kernel this machine has against the definition: the plain one against double, the others
// against the plain one in every bit.
static void kernel_case(const sac_u8_conv *wanted, bool residual, uint64_t seed) {
    sac_u8_conv c = *wanted;
    sac_rng rng;
    sac_rng_seed(&rng, seed, 9);
    c.oh = (c.ih + 2 * c.ph - c.kh) / c.sh + 1;
    c.ow = (c.iw + 2 * c.pw - c.kw) / c.sw + 1;
    const int64_t src_count = c.n * c.ih * c.iw * c.ic, dst_count = c.n * c.oh * c.ow * c.oc;
    const int64_t taps = c.ic * c.kh * c.kw;
    // Parts lie one after the other, each dense.
    int64_t at = 0, first = 0;
    for (int p = 0; p < c.parts; p++) {
        const int64_t channels = p + 1 < c.parts ? c.part[p].channels : c.ic - first;
        c.part[p] = (sac_u8_part){.offset = at,
                                  .batch = c.ih * c.iw * channels,
                                  .row = c.iw * channels,
                                  .pixel = channels,
                                  .channels = channels};
        at += c.n * c.ih * c.iw * channels;
        first += channels;
    }
    if (residual) {
        c.residual = (sac_u8_part){
            .batch = c.oh * c.ow * c.oc, .row = c.ow * c.oc, .pixel = c.oc, .channels = c.oc};
        c.residual_mul = 0.37f;
    }
    const sac_u8_isa best = sac_u8_isa_best();
    uint8_t *src = sac_calloc(src_count, 1), *res = sac_calloc(dst_count, 1);
    float *weights = sac_calloc(c.oc * taps, sizeof(float)),
          *bias = sac_calloc(c.oc, sizeof(float));
    for (int64_t i = 0; i < src_count; i++) src[i] = (uint8_t)sac_rng_below(&rng, 256);
    for (int64_t i = 0; i < dst_count; i++) res[i] = (uint8_t)sac_rng_below(&rng, 256);
    for (int64_t i = 0; i < c.oc * taps; i++)
        weights[i] = (float)(sac_rng_uniform(&rng) - 0.35) / sqrtf((float)taps);
    for (int64_t i = 0; i < c.oc; i++) bias[i] = (float)(sac_rng_uniform(&rng) - 0.5);
    const size_t bytes = (size_t)dst_count * (c.to_f32 ? 4 : 1);
    uint8_t *dst[SAC_U8_AMX + 1] = {NULL};
    const uint8_t *const parts[SAC_U8_MAX_PARTS] = {src, src, src, src, src, src, src, src};
    for (sac_u8_isa v = SAC_U8_PLAIN; v <= best; v++) {
        dst[v] = sac_calloc((int64_t)bytes + 64, 1);
        sac_u8_conv_prepare(&c, v);
        cases[c.isa]++;
        void *packed = sac_calloc((int64_t)sac_u8_conv_packed_bytes(&c), 1);
        void *scratch = sac_calloc((int64_t)sac_u8_conv_scratch_bytes(&c), 1);
        sac_u8_conv_pack(&c, packed, weights, bias, 1.0 / 255, c.to_f32 ? 1.0 : 0.004);
        memset(dst[v], 0xa5, bytes + 64);
        memset(scratch, 0x5a, sac_u8_conv_scratch_bytes(&c));
        sac_u8_conv_run(&c, dst[v], packed, scratch, parts, res);
        for (int i = 0; i < 64; i++)
            cr_assert_eq(dst[v][bytes + (size_t)i], 0xa5, "wrote beyond dst");
        sac_free(packed);
        sac_free(scratch);
    }
    // By definition, in double.
    int64_t zeros = 0;
    for (int64_t i = 0; i < dst_count; i++) {
        const int64_t oc = i % c.oc, ox = i / c.oc % c.ow, oy = i / c.oc / c.ow % c.oh,
                      n = i / c.oc / c.ow / c.oh;
        float factor = 0;
        sac_quant_weights(NULL, &factor, weights + oc * taps, 1, taps);
        int64_t acc = 0;
        for (int64_t ky = 0; ky < c.kh; ky++) {
            for (int64_t kx = 0; kx < c.kw; kx++) {
                const int64_t y = oy * c.sh - c.ph + ky, x = ox * c.sw - c.pw + kx;
                if (y < 0 || y >= c.ih || x < 0 || x >= c.iw) continue;
                for (int64_t ic = 0, p = 0, begin = 0; ic < c.ic; ic++) {
                    while (ic - begin >= c.part[p].channels) begin += c.part[p++].channels;
                    const sac_u8_part *part = &c.part[p];
                    const int64_t q = src[part->offset + n * part->batch + y * part->row +
                                          x * part->pixel + ic - begin];
                    acc += q * sac_quant_step(weights[oc * taps + (ic * c.kh + ky) * c.kw + kx],
                                              factor);
                }
            }
        }
        double v = (double)acc / 255 * (double)factor + (double)bias[oc];
        if (c.to_f32) {
            if (c.relu && v < 0) v = 0;
            float got;
            memcpy(&got, dst[0] + 4 * i, 4);
            cr_assert(fabs((double)got - v) <= 1e-5 * (1 + fabs(v)), "%g, not %g", (double)got, v);
            continue;
        }
        v /= 0.004;
        if (residual) v += res[i] * (double)c.residual_mul;
        v = v < 0 ? 0 : v > 255 ? 255 : v;
        zeros += v <= 0;
        // One step only where the exact value lies between two.
        const double off = fabs((double)dst[0][i] - v);
        cr_assert(off <= 0.5 + 1e-3, "%lld->%lld %lldx%lld parts %d: %d, not %g at %lld %lld %lld",
                  (long long)c.ic, (long long)c.oc, (long long)c.kh, (long long)c.kw, c.parts,
                  dst[0][i], v, (long long)oy, (long long)ox, (long long)oc);
    }
    if (!c.to_f32 && dst_count > 50)
        cr_assert(zeros < dst_count * 3 / 4, "mostly zeros check nothing");
    for (sac_u8_isa v = SAC_U8_PLAIN + 1; v <= best; v++) {
        for (size_t i = 0; i < bytes; i++) {
            const int64_t place = (int64_t)i / (c.to_f32 ? 4 : 1);
            cr_assert_eq(dst[v][i], dst[0][i],
                         "%s, %lld->%lld %lldx%lld stride %lld, %lld wide, parts %d: %d, not %d in "
                         "row %lld at %lld channel %lld",
                         sac_u8_isa_name(v), (long long)c.ic, (long long)c.oc, (long long)c.kh,
                         (long long)c.kw, (long long)c.sw, (long long)c.ow, c.parts, dst[v][i],
                         dst[0][i], (long long)(place / c.oc / c.ow),
                         (long long)(place / c.oc % c.ow), (long long)(place % c.oc));
        }
    }
    sac_free(src);
    sac_free(res);
    sac_free(weights);
    sac_free(bias);
    for (int v = 0; v <= SAC_U8_AMX; v++) sac_free(dst[v]);
}

// Kernels of 3x3, which AVX2 multiplies in transformed tiles: rows and columns that fill no tile,
// channels that fill no vector, padding of every width.
Test(nn_int8, kernels_agree_on_3x3_tiles) {
    static const int64_t in[] = {16, 17, 31, 48, 20}, out[] = {16, 20, 48, 33, 24, 40};
    int transformed[3] = {0};
    for (int i = 0; i < 120; i++) {
        const int64_t stride = 1 + i / 2 % 2;
        sac_u8_conv c = {.n = 1 + i % 2,
                         .iw = (4 + i % 14) * stride - i % 3 % 2,
                         .ih = 3 + i % 7,
                         .ic = in[i % 5],
                         .oc = out[i % 6],
                         .kh = 3,
                         .kw = 3,
                         .sh = stride,
                         .sw = stride,
                         .ph = i % 3,
                         .pw = (i + i / 3) % 3,
                         .parts = 1,
                         .to_f32 = i % 7 == 3,
                         .relu = i % 4 < 2};
        if (i % 4 == 0) {
            c.parts = 3;
            c.part[0].channels = 8;
            c.part[1].channels = 3;
        }
        kernel_case(&c, !c.to_f32 && i % 3 == 1, (uint64_t)(900 + i));
        c.ow = (c.iw + 2 * c.pw - 3) / stride + 1;
        sac_u8_conv_prepare(&c, SAC_U8_AVX2);
        transformed[stride] += c.winograd;
    }
    if (sac_u8_isa_best() < SAC_U8_AVX2) sac_skip_case("AVX2 is not available");
    cr_assert(transformed[1] > 40 && transformed[2] > 40, "%d and %d", transformed[1],
              transformed[2]);
}

// The largest sums of the largest kernel that is transformed, and one channel more.
Test(nn_int8, sums_at_their_limit_are_exact) {
    enum { OC = 16, W = 5, H = 2 };
    for (int64_t ic = 1841; ic <= 1842; ic++) {
        sac_u8_conv c = {.n = 1,
                         .ih = H + 2,
                         .iw = W + 2,
                         .ic = ic,
                         .oh = H,
                         .ow = W,
                         .oc = OC,
                         .kh = 3,
                         .kw = 3,
                         .sh = 1,
                         .sw = 1,
                         .parts = 1,
                         .to_f32 = true};
        c.part[0] =
            (sac_u8_part){.batch = c.ih * c.iw * ic, .row = c.iw * ic, .pixel = ic, .channels = ic};
        const int64_t pixels = c.ih * c.iw;
        uint8_t *src = sac_calloc(pixels * ic, 1);
        float *weights = sac_calloc(OC * ic * 9, sizeof(float)), dst[SAC_U8_AMX + 1][H * W * OC];
        // Signs alike, by the row, by the column, or both.
        for (int64_t i = 0; i < pixels * ic; i++)
            src[i] = i / ic / c.iw % 3 != 1 || i / ic % c.iw % 4 != 3 ? 255 : 0;
        for (int64_t i = 0; i < OC * ic * 9; i++) {
            const int64_t oc = i / ic / 9, ky = i % 9 / 3, kx = i % 3;
            const int64_t turn = oc + (oc & 2 ? ky : 0) + (oc & 4 ? kx : 0);
            weights[i] = turn % 2 == 0 ? 1.0f : -1.0f;
        }
        const uint8_t *const parts[SAC_U8_MAX_PARTS] = {src};
        for (sac_u8_isa v = SAC_U8_PLAIN; v <= sac_u8_isa_best(); v++) {
            sac_u8_conv_prepare(&c, v);
            cr_assert_eq(c.winograd, v == SAC_U8_AVX2 && ic == 1841);
            void *packed = sac_calloc((int64_t)sac_u8_conv_packed_bytes(&c), 1);
            void *scratch = sac_calloc((int64_t)sac_u8_conv_scratch_bytes(&c), 1);
            sac_u8_conv_pack(&c, packed, weights, NULL, 127.0, 1.0);
            sac_u8_conv_run(&c, dst[v], packed, scratch, parts, NULL);
            cr_assert_eq(memcmp(dst[v], dst[0], sizeof dst[0]), 0, "%s", sac_u8_isa_name(v));
            sac_free(packed);
            sac_free(scratch);
        }
        cr_assert_gt(dst[0][0], 0.8f * 255 * 127 * 9 * (float)ic);
        sac_free(src);
        sac_free(weights);
    }
}

// A damaged table may ask for factors that no f32 holds.
Test(nn_int8, factors_beyond_f32_saturate_alike) {
    enum { OC = 8, PIXELS = 40 };
    static const int64_t channels[] = {4, 16, 1}; // for AMX too little, enough, and folded
    for (int i = 0; i < 3; i++) {
        const int64_t ic = channels[i], width = PIXELS + 2;
        sac_u8_conv c = {.n = 1, .ih = 1, .iw = width, .ic = ic, .oh = 1, .ow = PIXELS, .oc = OC};
        c.kh = c.sh = c.sw = c.parts = 1;
        c.kw = 3;
        c.part[0] =
            (sac_u8_part){.batch = ic * width, .row = ic * width, .pixel = ic, .channels = ic};
        float weights[3 * 16 * OC];
        uint8_t src[16 * (PIXELS + 2)] = {0}, dst[OC * PIXELS];
        for (int k = 0; k < 3 * 16 * OC; k++) weights[k] = 1e38f;
        memset(src + 4, 9, 4); // infinity in some places, infinity times nothing in the others
        const uint8_t *const parts[SAC_U8_MAX_PARTS] = {src};
        for (sac_u8_isa v = SAC_U8_PLAIN; v <= sac_u8_isa_best(); v++) {
            sac_u8_conv_prepare(&c, v);
            void *packed = sac_calloc((int64_t)sac_u8_conv_packed_bytes(&c), 1);
            void *scratch = sac_calloc((int64_t)sac_u8_conv_scratch_bytes(&c), 1);
            sac_u8_conv_pack(&c, packed, weights, NULL, 1e3, 1e-12);
            memset(dst, 7, sizeof dst);
            sac_u8_conv_run(&c, dst, packed, scratch, parts, NULL);
            for (int k = 0; k < OC * PIXELS; k++)
                cr_assert_eq(dst[k], 255, "%s, %d channels, %d", sac_u8_isa_name(v), (int)ic, k);
            sac_free(packed);
            sac_free(scratch);
        }
    }
}

Test(nn_int8, kernel_agrees_with_its_definition) {
    static const int64_t widths[] = {1, 2, 3, 5, 7, 12, 17, 33};
    static const int64_t in[] = {1, 2, 3, 4, 7, 8, 16, 24}, out[] = {1, 8, 15, 16, 17, 32, 48, 100};
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 8; k++) {
            const bool three = (i + k) % 3 != 0;
            sac_u8_conv c = {.n = 1 + k % 2,
                             .ih = widths[(k + 3) % 8] + 2,
                             .iw = widths[i] + 2,
                             .ic = in[(i * 3 + k) % 8],
                             .oc = out[(i + 2 * k) % 8],
                             .kh = three ? 3 : 1,
                             .kw = three ? 3 : 1,
                             .sh = 1 + (i + k) % 2,
                             .sw = 1 + k % 2,
                             .ph = three && i % 4 != 1,
                             .pw = three && k % 4 != 2,
                             .parts = 1,
                             .to_f32 = (i + k) % 5 == 0,
                             .relu = k % 2 == 0};
            if (c.ic >= 7 && k % 2) {
                c.parts = 3;
                c.part[0].channels = 2;
                c.part[1].channels = 4;
            }
            kernel_case(&c, !c.to_f32 && i % 3 == 2, (uint64_t)(i * 10 + k));
        }
    }
    // An odd window, wider than high, and the shapes of students.
    kernel_case(&(sac_u8_conv){.n = 1,
                               .ih = 9,
                               .iw = 30,
                               .ic = 1,
                               .oc = 16,
                               .kh = 2,
                               .kw = 7,
                               .sh = 1,
                               .sw = 3,
                               .ph = 1,
                               .pw = 2,
                               .parts = 1},
                false, 101);
    kernel_case(&(sac_u8_conv){.n = 1,
                               .ih = 20,
                               .iw = 120,
                               .ic = 1,
                               .oc = 16,
                               .kh = 3,
                               .kw = 3,
                               .sh = 2,
                               .sw = 2,
                               .ph = 1,
                               .pw = 1,
                               .parts = 1},
                false, 102);
    kernel_case(&(sac_u8_conv){.n = 1,
                               .ih = 10,
                               .iw = 60,
                               .ic = 96,
                               .oc = 48,
                               .kh = 3,
                               .kw = 3,
                               .sh = 2,
                               .sw = 2,
                               .ph = 1,
                               .pw = 1,
                               .parts = 3,
                               .part = {{.channels = 32}, {.channels = 32}}},
                false, 103);
}

// Every shape of block, its channels and chunks, and rows of any length: with one tile of places,
// two, several that overlap.
Test(nn_int8, kernels_agree_in_every_bit) {
    static const int64_t in[] = {1, 3, 8, 16, 20, 24, 32, 48, 64, 96},
                         out[] = {8, 16, 24, 32, 48, 64, 128, 5, 40, 80, 96, 72};
    static const int64_t widths[] = {4, 9, 15, 16, 17, 23, 31, 32, 33, 48, 60, 65};
    memset(cases, 0, sizeof cases);
    for (int o = 0; o < 12; o++) {
        for (int k = 0; k < 12; k++) {
            const int64_t stride = 1 + (o + k) % 2, taps = k % 4 == 3 ? 1 : k % 6 == 4 ? 5 : 3;
            sac_u8_conv c = {.n = 1,
                             .ih = 6,
                             .iw = widths[k] * stride,
                             .ic = in[(o * 5 + k) % 10],
                             .oc = out[o],
                             .kh = taps,
                             .kw = taps,
                             .sh = 1,
                             .sw = stride,
                             .ph = taps / 2,
                             .pw = taps / 2,
                             .parts = 1,
                             .to_f32 = (o + k) % 7 == 0,
                             .relu = k % 2 == 0};
            if (k % 3 == 1) { // three equal parts
                c.parts = 3;
                c.part[0].channels = c.part[1].channels = c.ic;
                c.ic *= 3;
            }
            kernel_case(&c, !c.to_f32 && (o + 2 * k) % 3 == 0, (uint64_t)(o * 20 + k));
        }
    }
    // Runs that no step divides, rows shorter than any tile, every number of vectors of 8 channels.
    static const int64_t odd[] = {1, 3, 5, 7, 9, 11, 13, 15, 17, 33};
    for (int i = 0; i < 60; i++) {
        const int64_t stride = 1 + i % 2, taps = 1 + i % 5 % 4;
        sac_u8_conv c = {.n = 1 + i % 2,
                         .ih = 5,
                         .iw = taps + i * 7 % 19,
                         .ic = odd[i % 10],
                         .oc = 1 + i * 11 % 60,
                         .kh = 1 + i % 3,
                         .kw = taps,
                         .sh = stride,
                         .sw = 1 + i / 2 % 3,
                         .ph = i % 3 / 2,
                         .pw = taps > 1 && i % 4 == 0,
                         .parts = 1,
                         .to_f32 = i % 7 == 3,
                         .relu = i % 4 < 2};
        if (i % 3 == 0) { // unequal parts
            c.parts = 2 + i % 2;
            c.part[0].channels = 3;
            c.part[1].channels = 9;
            c.ic += 12;
        }
        kernel_case(&c, !c.to_f32 && i % 2 == 0, (uint64_t)(700 + i));
    }
    // One channel: rows of the window interleaved.
    static const int64_t lines[] = {16, 17, 31, 48, 96, 120, 130, 144, 257};
    for (int i = 0; i < 18; i++) {
        const int64_t stride = 1 + i % 2, kernel = 2 + i % 3;
        kernel_case(&(sac_u8_conv){.n = 1 + i % 2,
                                   .ih = 7,
                                   .iw = lines[i / 2] * stride,
                                   .ic = 1,
                                   .oc = i % 4 < 2 ? 8 : 16,
                                   .kh = kernel,
                                   .kw = 3 + i % 3,
                                   .sh = stride,
                                   .sw = stride,
                                   .ph = i % 2,
                                   .pw = 1,
                                   .parts = 1},
                    false, (uint64_t)(500 + i));
    }
    for (sac_u8_isa v = SAC_U8_PLAIN; v <= sac_u8_isa_best(); v++)
        cr_assert_geq(cases[v], v == SAC_U8_AMX ? 100 : 144, "%s", sac_u8_isa_name(v));
    if (sac_u8_isa_best() < SAC_U8_AMX) sac_skip_case("AMX is not available");
}

Test(nn_int8, head_agrees_with_its_definition) {
    static const int64_t channels[] = {1, 5, 16, 32, 48, 64, 100, 32};
    for (int i = 0; i < 8; i++) {
        sac_u8_head head = {.n = 1 + i % 2,
                            .h = 7 + i,
                            .w = 11 - i,
                            .c = channels[i],
                            .oh = 1 + i,
                            .ow = i % 2 ? 4 : 1,
                            .sigmoid = i % 3 != 0};
        sac_rng rng;
        sac_rng_seed(&rng, (uint64_t)i, 4);
        const int64_t count = head.n * head.h * head.w * head.c;
        uint8_t *src = sac_calloc(count, 1);
        float weights[100], bias = 0.25f, scale = 0.0f;
        for (int64_t k = 0; k < count; k++) src[k] = (uint8_t)sac_rng_below(&rng, 256);
        for (int64_t k = 0; k < head.c; k++) weights[k] = (float)(sac_rng_uniform(&rng) - 0.5);
        sac_quant_weights(NULL, &scale, weights, 1, head.c);
        void *packed = sac_calloc((int64_t)sac_u8_head_packed_bytes(&head), 1);
        void *scratch = sac_calloc((int64_t)sac_u8_head_scratch_bytes(&head), 1);
        float dst[2 * 8 * 4];
        for (sac_u8_isa v = SAC_U8_PLAIN; v <= sac_u8_isa_best(); v++) {
            sac_u8_head_prepare(&head, v);
            sac_u8_head_pack(&head, packed, weights, i == 4 ? NULL : &bias, 0.01);
            for (int k = 0; k < 64; k++) dst[k] = NAN;
            sac_u8_head_run(&head, dst, packed, scratch, src);
            for (int64_t k = 0; k < head.n * head.oh * head.ow; k++) {
                const int64_t x = k % head.ow, y = k / head.ow % head.oh, n = k / head.ow / head.oh;
                double most = -INFINITY;
                for (int64_t h = y * head.h / head.oh;
                     h < ((y + 1) * head.h + head.oh - 1) / head.oh; h++) {
                    for (int64_t w = x * head.w / head.ow;
                         w < ((x + 1) * head.w + head.ow - 1) / head.ow; w++) {
                        int64_t acc = 0;
                        for (int64_t c = 0; c < head.c; c++)
                            acc += src[((n * head.h + h) * head.w + w) * head.c + c] *
                                   sac_quant_step(weights[c], scale);
                        most = fmax(most, (double)acc * 0.01 * (double)scale +
                                              (i == 4 ? 0.0 : (double)bias));
                    }
                }
                const double want = head.sigmoid ? 1 / (1 + exp(-most)) : most;
                cr_assert(fabs((double)dst[k] - want) <= 1e-5 * (1 + fabs(want)),
                          "case %d, %s, cell %lld: %g, not %g", i, sac_u8_isa_name(v), (long long)k,
                          (double)dst[k], want);
            }
        }
        sac_free(src);
        sac_free(packed);
        sac_free(scratch);
    }
}

// --- plans -------------------------------------------------------------------------------------

typedef struct pair {
    sac_infer *infer[2]; // own kernels, reference
} pair;

static pair pair_open(const sac_net *net, const sac_params *params, const sac_plan_options *base) {
    pair p;
    for (int b = 0; b < 2; b++) {
        sac_error error = {0};
        sac_plan_options options = *base;
        options.backend = b == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF;
        sac_assert_ok(sac_infer_create(&p.infer[b], net, params, &options, &error), &error);
    }
    return p;
}

static void pair_fill(pair *p, const char *name, int64_t n, uint64_t seed) {
    for (int b = 0; b < 2; b++) {
        sac_rng rng;
        sac_rng_seed(&rng, seed, 2);
        uint8_t *x = sac_infer_input_u8(p->infer[b], name);
        cr_assert_not_null(x);
        cr_assert_null(sac_infer_input(p->infer[b], name));
        for (int64_t i = 0; i < n; i++) x[i] = quant_net_pixel(&rng, i, small.width);
    }
}

static void pair_run(pair *p) {
    for (int b = 0; b < 2; b++) {
        sac_error error = {0};
        sac_assert_ok(sac_infer_run(p->infer[b], &error), &error);
    }
}

static void pair_close(pair *p) {
    sac_infer_close(&p->infer[0]);
    sac_infer_close(&p->infer[1]);
}

static void students_agree(int64_t batch, bool channels_last) {
    sac_net *net = quant_net(&small);
    sac_params *params = quant_net_params(net, 21);
    const int64_t pixels = 3 * small.height * small.width;
    sac_quant *quant = quant_of(net, params, pixels);
    const sac_plan_options options = {
        .batch = batch, .channels_last = channels_last, .quant = quant};
    pair p = pair_open(net, params, &options);
    for (uint64_t seed = 0; seed < 3; seed++) {
        pair_fill(&p, "frames", batch * pixels, seed);
        pair_run(&p);
        static const char *const maps[3] = {"map16", "map4", "map1"};
        for (int m = 0; m < 3; m++) {
            const sac_shape shape = sac_infer_output_shape(p.infer[0], maps[m]);
            // One step somewhere in the middle moves a probability by far less.
            sac_assert_close(sac_infer_output(p.infer[0], maps[m]),
                             sac_infer_output(p.infer[1], maps[m]), shape.ndims, shape.dims, 2e-3,
                             maps[m]);
        }
    }
    char *text = sac_infer_describe(p.infer[0]);
    cr_assert_null(strstr(text, " ref"), "%s", text);
    cr_assert_not_null(strstr(text, "u8-convolution"), "%s", text);
    // Three stems read planes where they lie, the body reads three features: nothing is copied.
    cr_assert(channels_last || strstr(text, "gather") == NULL, "%s", text);
    cr_assert_null(strstr(text, "u8 to f32"), "%s", text);
    sac_free(text);
    pair_close(&p);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_int8, student_agrees_with_the_reference) {
    students_agree(1, false);
    students_agree(1, true);
    students_agree(3, false);
}

// The caller's memory in place of the plan's, for inputs in parts or whole and for outputs.
Test(nn_int8, bound_memory_is_read_and_written_in_place) {
    sac_net *net = quant_net(&small), *folded = NULL;
    sac_params *params = quant_net_params(net, 23), *fp = NULL;
    sac_error error = {0};
    const int64_t plane = small.height * small.width;
    sac_quant *quant = quant_of(net, params, 3 * plane);
    sac_assert_ok(sac_fold_net(&folded, net, &error), &error);
    sac_assert_ok(sac_params_create(&fp, folded, &error), &error);
    sac_assert_ok(sac_fold_params(fp, folded, net, params, &error), &error);
    const char *inner = NULL; // a quantised activation, as an output
    for (int i = 0; i < sac_net_count(folded) && inner == NULL; i++) {
        const sac_node *node = sac_net_node(folded, i);
        if (node->kind != SAC_OP_RELU || sac_quant_scale(quant, node->name) <= 0) continue;
        sac_net_output(folded, i);
        inner = node->name;
    }
    cr_assert_not_null(inner);
    sac_plan_options options = {.batch = 1, .quant = quant, .outputs_u8 = true};
    sac_infer *plain = NULL, *parts = NULL, *reference = NULL;
    sac_assert_ok(sac_infer_create(&plain, folded, fp, &options, &error), &error);
    options.input_parts = 3;
    sac_assert_ok(sac_infer_create(&parts, folded, fp, &options, &error), &error);
    cr_assert_null(sac_infer_input_u8(parts, "frames"));
    const sac_shape shape = sac_infer_output_shape(plain, inner);
    const int64_t count = shape.dims[1] * shape.dims[2] * shape.dims[3];
    uint8_t *frames = sac_calloc(3 * plane, 1), *out = sac_calloc(count, 1);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 1);
    for (int64_t i = 0; i < 3 * plane; i++) frames[i] = quant_net_pixel(&rng, i, small.width);
    memcpy(sac_infer_input_u8(plain, "frames"), frames, (size_t)(3 * plane));
    sac_assert_ok(sac_infer_run(plain, &error), &error);
    bool bound = false;
    for (int f = 0; f < 3; f++) {
        sac_assert_ok(
            sac_infer_bind_input_u8(parts, "frames", f, frames + f * plane, &bound, &error),
            &error);
        cr_assert(bound);
    }
    sac_assert_ok(sac_infer_bind_output_u8(parts, inner, out, &bound, &error), &error);
    cr_assert(bound);
    sac_assert_ok(sac_infer_run(parts, &error), &error);
    cr_assert_eq(memcmp(out, sac_infer_output_u8(plain, inner), (size_t)count), 0);
    cr_assert_eq(sac_infer_output_u8(parts, inner), out);
    const sac_shape map = sac_infer_output_shape(plain, "map16");
    cr_assert_eq(memcmp(sac_infer_output(parts, "map16"), sac_infer_output(plain, "map16"),
                        (size_t)(map.dims[2] * map.dims[3]) * sizeof(float)),
                 0);
    // Whole, and other memory for the next run.
    uint8_t *other = sac_calloc(3 * plane, 1);
    for (int64_t i = 0; i < 3 * plane; i++) other[i] = (uint8_t)(255 - frames[i]);
    sac_assert_ok(sac_infer_bind_input_u8(plain, "frames", 0, other, &bound, &error), &error);
    cr_assert(bound);
    for (int f = 0; f < 3; f++)
        sac_assert_ok(
            sac_infer_bind_input_u8(parts, "frames", f, other + f * plane, &bound, &error), &error);
    sac_assert_ok(sac_infer_run(plain, &error), &error);
    cr_assert_neq(memcmp(out, sac_infer_output_u8(plain, inner), (size_t)count), 0);
    sac_assert_ok(sac_infer_run(parts, &error), &error);
    cr_assert_eq(memcmp(out, sac_infer_output_u8(plain, inner), (size_t)count), 0);
    // What cannot be bound.
    sac_assert_ok(sac_infer_bind_input_u8(parts, "frames", 3, other, &bound, &error), &error);
    cr_assert_not(bound);
    sac_assert_ok(sac_infer_bind_input_u8(plain, "no such", 0, other, &bound, &error), &error);
    cr_assert_not(bound);
    options = (sac_plan_options){.batch = 1, .quant = quant, .backend = SAC_BACKEND_REF};
    sac_assert_ok(sac_infer_create(&reference, folded, fp, &options, &error), &error);
    sac_assert_ok(sac_infer_bind_input_u8(reference, "frames", 0, other, &bound, &error), &error);
    cr_assert_not(bound);
    sac_infer_close(&plain);
    options = (sac_plan_options){.batch = 1, .quant = quant, .input_parts = 2};
    cr_assert_eq(sac_infer_create(&plain, folded, fp, &options, &error), SAC_ERROR_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "parts"), "%s", error.message);
    sac_infer_close(&parts);
    sac_infer_close(&reference);
    sac_free(frames);
    sac_free(other);
    sac_free(out);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&fp);
    sac_net_close(&net);
    sac_net_close(&folded);
}

// Every activation within one step, with the reference's values as sources: the network is cut
// after each of them.
Test(nn_int8, each_activation_is_within_one_step) {
    sac_net *net = quant_net(&small), *folded = NULL;
    sac_params *params = quant_net_params(net, 22), *fp = NULL;
    sac_error error = {0};
    const int64_t pixels = 3 * small.height * small.width;
    sac_quant *quant = quant_of(net, params, pixels);
    sac_assert_ok(sac_fold_net(&folded, net, &error), &error);
    sac_assert_ok(sac_params_create(&fp, folded, &error), &error);
    sac_assert_ok(sac_fold_params(fp, folded, net, params, &error), &error);
    for (int i = 0; i < sac_net_count(folded); i++) {
        if (sac_quant_scale(quant, sac_net_node(folded, i)->name) > 0 &&
            sac_net_node(folded, i)->kind != SAC_OP_INPUT)
            sac_net_output(folded, i);
    }
    const sac_plan_options options = {.batch = 2, .quant = quant, .outputs_u8 = true};
    pair p = pair_open(folded, fp, &options);
    pair_fill(&p, "frames", 2 * pixels, 1);
    pair_run(&p);
    int64_t seen = 0, differing = 0;
    for (int i = 0; i < sac_net_count(folded); i++) {
        const char *name = sac_net_node(folded, i)->name;
        const uint8_t *a = sac_infer_output_u8(p.infer[0], name),
                      *b = sac_infer_output_u8(p.infer[1], name);
        cr_assert_eq(a != NULL, b != NULL, "%s", name);
        if (a == NULL) continue;
        cr_assert_null(sac_infer_output(p.infer[0], name));
        cr_assert_null(sac_infer_output(p.infer[1], name));
        const sac_shape shape = sac_infer_output_shape(p.infer[0], name);
        const int64_t n = shape.dims[0] * shape.dims[1] * shape.dims[2] * shape.dims[3];
        for (int64_t k = 0; k < n; k++) {
            // A step before the last layers can become two behind them.
            cr_assert(abs(a[k] - b[k]) <= 2, "%s at %lld: %d and %d", name, (long long)k, a[k],
                      b[k]);
            differing += a[k] != b[k];
        }
        seen += n;
    }
    cr_assert_gt(seen, 10000);
    cr_assert(differing * 500 < seen, "%lld of %lld differ", (long long)differing, (long long)seen);
    pair_close(&p);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&fp);
    sac_net_close(&net);
    sac_net_close(&folded);
}

// What is fine-tuned is what will run.
Test(nn_int8, fine_tuning_network_agrees_with_the_int8_plan) {
    sac_net *net = quant_net(&small), *folded = NULL, *qat = NULL;
    sac_params *params = quant_net_params(net, 23), *fp = NULL;
    sac_error error = {0};
    const int64_t pixels = 3 * small.height * small.width;
    sac_quant *quant = quant_of(net, params, pixels);
    sac_assert_ok(sac_fold_net(&folded, net, &error), &error);
    sac_assert_ok(sac_params_create(&fp, folded, &error), &error);
    sac_assert_ok(sac_fold_params(fp, folded, net, params, &error), &error);
    sac_assert_ok(sac_quant_training_net(&qat, folded, quant, &error), &error);
    sac_infer *integers = NULL;
    sac_train *train = NULL;
    sac_plan_options options = {.batch = 1, .quant = quant};
    sac_assert_ok(sac_infer_create(&integers, net, params, &options, &error), &error);
    options.quant = NULL;
    sac_assert_ok(sac_train_create(&train, qat, fp, &options, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 3, 2);
    for (int64_t i = 0; i < pixels; i++) {
        const uint8_t q = quant_net_pixel(&rng, i, small.width);
        sac_infer_input_u8(integers, "frames")[i] = q;
        sac_train_input(train, "frames")[i] = (float)q / 255.0f;
    }
    sac_assert_ok(sac_infer_run(integers, &error), &error);
    sac_assert_ok(sac_train_forward(train, &error), &error);
    static const char *const maps[3] = {"map16", "map4", "map1"};
    for (int m = 0; m < 3; m++) {
        const sac_shape shape = sac_infer_output_shape(integers, maps[m]);
        sac_assert_close(sac_train_output(train, maps[m]), sac_infer_output(integers, maps[m]),
                         shape.ndims, shape.dims, 2e-3, maps[m]);
    }
    // A training plan does not take a table.
    sac_train *refused = NULL;
    options.quant = quant;
    sac_assert_error(sac_train_create(&refused, folded, fp, &options, &error), SAC_ERROR_ARGUMENT,
                     &error, "sac_quant_training_net", NULL);
    sac_train_close(&train);
    sac_infer_close(&integers);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&fp);
    sac_net_close(&net);
    sac_net_close(&folded);
    sac_net_close(&qat);
}

// Operators without an integer form, pooling, vectors, tables that skip nodes, and u8 outputs.
Test(nn_int8, whatever_the_table_says_agrees_with_the_reference) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int64_t k[3] = {1, 3, 3}, s[3] = {1, 2, 2}, z[3] = {0, 1, 1};
    int x = sac_net_input(net, "frames", 3, (const int64_t[]){2, 18, 20});
    int y = sac_net_conv2d(net, "c1", x, 6, 3, 1, 1, 1, true);
    y = sac_net_unary(net, SAC_OP_RELU, "r1", y);
    y = sac_net_pool(net, SAC_OP_MAX_POOL, "pool", y, k, s, z);
    int d = sac_net_conv2d(net, "depthwise", y, 6, 3, 1, 1, 6, true);
    d = sac_net_unary(net, SAC_OP_RELU, "r2", d);
    int u = sac_net_upsample(net, "up", d, 1, 2, 2);
    int sl = sac_net_slice(net, "odd", u, 2, 1, 5, 2);
    int t = sac_net_unary(net, SAC_OP_RELU, "again", sl);
    int c2 = sac_net_conv2d(net, "c2", t, 5, 1, 1, 0, 1, true);
    int g = sac_net_unary(net, SAC_OP_GELU, "gelu", c2);
    sac_net_output(net, g);
    int a = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, "cells", d, 1, 3, 3);
    int v = sac_net_dense(net, "dense", a, 7, true);
    v = sac_net_unary(net, SAC_OP_RELU, "r3", v);
    sac_net_output(net, v);
    sac_net_output(net, sac_net_dense(net, "dense2", v, 3, true));
    sac_net_output(net, d);
    sac_error error = {0};
    sac_assert_ok(sac_net_check(net, &error), &error);
    sac_params *params = quant_net_params(net, 31);
    static const struct {
        const char *name;
        double scale;
    } table[] = {{"frames", 1.0 / 255}, {"r1", 0.012},    {"pool", 0.012},
                 {"r2", 0.01},          {"cells", 0.01},  {"r3", 0.02},
                 {"up", 0.01},          {"again", 0.011}, {"absent", 1}};
    const int count = (int)(sizeof table / sizeof table[0]);
    for (int leave_out = -1; leave_out < count; leave_out++) {
        sac_quant *quant = NULL;
        cr_assert_eq(sac_quant_create(&quant), SAC_OK);
        for (int i = 0; i < count; i++) {
            if (i != leave_out && i > leave_out - 3)
                sac_assert_ok(sac_quant_set(quant, table[i].name, table[i].scale, &error), &error);
        }
        const sac_plan_options options = {
            .batch = 2, .quant = quant, .channels_last = leave_out % 2};
        pair p = pair_open(net, params, &options);
        for (int b = 0; b < 2; b++) {
            sac_rng rng;
            sac_rng_seed(&rng, 4, 2);
            uint8_t *q = sac_infer_input_u8(p.infer[b], "frames");
            float *f = sac_infer_input(p.infer[b], "frames");
            cr_assert((q != NULL) != (f != NULL));
            for (int64_t i = 0; i < 2 * 2 * 18 * 20; i++) {
                const uint8_t pixel = quant_net_pixel(&rng, i, 20);
                if (q != NULL) {
                    q[i] = pixel;
                } else {
                    f[i] = (float)pixel / 255.0f;
                }
            }
        }
        pair_run(&p);
        static const char *const outputs[] = {"gelu", "r3", "dense2", "r2"};
        for (int o = 0; o < 4; o++) {
            const sac_shape shape = sac_infer_output_shape(p.infer[0], outputs[o]);
            sac_assert_close(sac_infer_output(p.infer[0], outputs[o]),
                             sac_infer_output(p.infer[1], outputs[o]), shape.ndims, shape.dims,
                             0.025, outputs[o]);
        }
        pair_close(&p);
        sac_quant_close(&quant);
    }
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_int8, results_do_not_depend_on_threads_and_follow_updates) {
    const quant_net_sizes larger = {.height = 80, .width = 120, .stem = 16, .body = 48, .head = 32};
    sac_net *net = quant_net(&larger);
    sac_params *params = quant_net_params(net, 24), *other = quant_net_params(net, 25);
    const int64_t pixels = 3 * larger.height * larger.width;
    sac_quant *quant = quant_of(net, params, pixels);
    sac_error error = {0};
    const sac_plan_options options = {.batch = 1, .quant = quant};
    sac_infer *infer = NULL, *fresh = NULL;
    sac_assert_ok(sac_infer_create(&infer, net, params, &options, &error), &error);
    sac_assert_ok(sac_infer_create(&fresh, net, other, &options, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 2);
    for (int64_t i = 0; i < pixels; i++) {
        const uint8_t q = quant_net_pixel(&rng, i, larger.width);
        sac_infer_input_u8(infer, "frames")[i] = q;
        sac_infer_input_u8(fresh, "frames")[i] = q;
    }
    float first[16];
    for (int threads = 1; threads <= 3; threads++) {
        sac_nn_set_threads(threads);
        sac_assert_ok(sac_infer_run(infer, &error), &error);
        if (threads == 1) memcpy(first, sac_infer_output(infer, "map16"), sizeof first);
        cr_assert_eq(memcmp(first, sac_infer_output(infer, "map16"), sizeof first), 0, "%d threads",
                     threads);
    }
    sac_assert_ok(sac_infer_update(infer, other, &error), &error);
    sac_assert_ok(sac_infer_run(infer, &error), &error);
    sac_assert_ok(sac_infer_run(fresh, &error), &error);
    cr_assert_eq(
        memcmp(sac_infer_output(infer, "map16"), sac_infer_output(fresh, "map16"), sizeof first),
        0);
    cr_assert_neq(memcmp(first, sac_infer_output(infer, "map16"), sizeof first), 0);

    // A clone shares the packed weights and gives the same bits.
    sac_infer *clone = NULL;
    sac_assert_ok(sac_infer_clone(&clone, infer, &error), &error);
    memcpy(sac_infer_input_u8(clone, "frames"), sac_infer_input_u8(infer, "frames"),
           (size_t)pixels);
    sac_assert_ok(sac_infer_run(clone, &error), &error);
    cr_assert_eq(
        memcmp(sac_infer_output(infer, "map16"), sac_infer_output(clone, "map16"), sizeof first),
        0);
    sac_infer_close(&clone);

    sac_profile_step *steps = NULL;
    int count = 0;
    sac_assert_ok(sac_infer_profile(infer, 3, &steps, &count, &error), &error);
    int64_t macs = 0, wanted = 0;
    for (int i = 0; i < count; i++) {
        cr_assert(steps[i].us >= 0 && steps[i].node[0] != '\0');
        macs += steps[i].macs;
    }
    for (int i = 0; i < sac_net_count(net); i++) wanted += sac_net_macs(net, i);
    cr_assert_eq(macs, wanted);
    sac_free(steps);
    sac_assert_error(sac_infer_profile(infer, 0, &steps, &count, &error), SAC_ERROR_ARGUMENT,
                     &error, "repeats", NULL);
    sac_infer_close(&infer);
    sac_infer_close(&fresh);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&other);
    sac_net_close(&net);
}

Test(nn_int8, a_table_for_another_network_is_an_error) {
    sac_net *net = quant_net(&small);
    sac_params *params = quant_net_params(net, 21);
    sac_quant *quant = NULL;
    sac_error error = {0};
    sac_infer *infer = NULL;
    cr_assert_eq(sac_quant_create(&quant), SAC_OK);
    sac_assert_ok(sac_quant_set(quant, "else", 1, &error), &error);
    for (int b = 0; b < 2; b++) {
        const sac_plan_options options = {
            .batch = 1, .quant = quant, .backend = b ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN};
        error = (sac_error){0};
        sac_assert_error(sac_infer_create(&infer, net, params, &options, &error),
                         SAC_ERROR_ARGUMENT, &error, "table", NULL);
    }
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_int8, every_failed_allocation_is_reported) {
    sac_net *net = quant_net(&small);
    sac_params *params = quant_net_params(net, 21);
    sac_quant *quant = quant_of(net, params, 3 * small.height * small.width);
    for (int b = 0; b < 2; b++) {
        const sac_plan_options options = {
            .batch = 1, .quant = quant, .backend = b ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN};
        bool done = false;
        for (int64_t n = 0; !done && n < 5000; n += 1 + n / 40) {
            sac_infer *infer = NULL;
            sac_memory_fail_after(n);
            const sac_status status = sac_infer_create(&infer, net, params, &options, NULL);
            sac_memory_fail_after(-1);
            done = status == SAC_OK;
            cr_assert(done || (status == SAC_ERROR_MEMORY && infer == NULL), "%d after %lld",
                      status, (long long)n);
            sac_infer_close(&infer);
        }
        cr_assert(done);
    }
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_net_close(&net);
}
