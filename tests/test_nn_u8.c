// The int8 kernels of every instruction set that this machine has: the plain one against the
// definition in double, the others against the plain one in every bit. Plans are test_nn_int8.c.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/memory.h"
#include "helper.h"
#include "nn/quant.h"
#include "nn/u8_conv.h"
#include "nn/u8_head.h"

static int cases[SAC_U8_AMX + 1]; // that ran with each kernel

// The next set after `isa` that this machine has; SAC_U8_AMX + 1: none.
static sac_u8_isa next_isa(sac_u8_isa isa) {
    do isa++;
    while (isa <= SAC_U8_AMX && !sac_u8_isa_has(isa));
    return isa;
}

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
    for (sac_u8_isa v = SAC_U8_PLAIN; v <= SAC_U8_AMX; v = next_isa(v)) {
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
    for (sac_u8_isa v = next_isa(SAC_U8_PLAIN); v <= SAC_U8_AMX; v = next_isa(v)) {
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
Test(nn_u8, kernels_agree_on_3x3_tiles) {
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
    if (!sac_u8_isa_has(SAC_U8_AVX2)) sac_skip_case("AVX2 is not available");
    cr_assert(transformed[1] > 40 && transformed[2] > 40, "%d and %d", transformed[1],
              transformed[2]);
}

// The largest sums of the largest kernels that are transformed, and one channel more.
Test(nn_u8, sums_at_their_limit_are_exact) {
    enum { OC = 16, W = 5, H = 2 };
    static const int64_t most[] = {115, 1841}; // of stride 1 and 2
    for (int i = 0; i < 4; i++) {
        const int64_t stride = 1 + i / 2, ic = most[i / 2] + i % 2;
        sac_u8_conv c = {.n = 1,
                         .ih = H * stride + 3 - stride,
                         .iw = W * stride + 3 - stride,
                         .ic = ic,
                         .oh = H,
                         .ow = W,
                         .oc = OC,
                         .kh = 3,
                         .kw = 3,
                         .sh = stride,
                         .sw = stride,
                         .parts = 1,
                         .to_f32 = true};
        c.part[0] =
            (sac_u8_part){.batch = c.ih * c.iw * ic, .row = c.iw * ic, .pixel = ic, .channels = ic};
        const int64_t pixels = c.ih * c.iw;
        uint8_t *src = sac_calloc(pixels * ic, 1);
        float *weights = sac_calloc(OC * ic * 9, sizeof(float)), dst[SAC_U8_AMX + 1][H * W * OC];
        // Signs alike, by the row, by the column, or both.
        for (int64_t k = 0; k < pixels * ic; k++)
            src[k] = k / ic / c.iw % 3 != 1 || k / ic % c.iw % 4 != 3 ? 255 : 0;
        for (int64_t k = 0; k < OC * ic * 9; k++) {
            const int64_t oc = k / ic / 9, ky = k % 9 / 3, kx = k % 3;
            const int64_t turn = oc + (oc & 2 ? ky : 0) + (oc & 4 ? kx : 0);
            weights[k] = turn % 2 == 0 ? 1.0f : -1.0f;
        }
        const uint8_t *const parts[SAC_U8_MAX_PARTS] = {src};
        for (sac_u8_isa v = SAC_U8_PLAIN; v <= SAC_U8_AMX; v = next_isa(v)) {
            sac_u8_conv_prepare(&c, v);
            cr_assert_eq(c.winograd,
                         i % 2 == 0 && (v == SAC_U8_AVX2 || (v == SAC_U8_AVX_VNNI && stride == 1)));
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
Test(nn_u8, factors_beyond_f32_saturate_alike) {
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
        for (sac_u8_isa v = SAC_U8_PLAIN; v <= SAC_U8_AMX; v = next_isa(v)) {
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

Test(nn_u8, kernel_agrees_with_its_definition) {
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
Test(nn_u8, kernels_agree_in_every_bit) {
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
    for (sac_u8_isa v = SAC_U8_PLAIN; v <= SAC_U8_AMX; v = next_isa(v))
        cr_assert_geq(cases[v], v == SAC_U8_AMX ? 100 : 144, "%s", sac_u8_isa_name(v));
    if (!sac_u8_isa_has(SAC_U8_AMX)) sac_skip_case("AMX is not available");
}

Test(nn_u8, head_agrees_with_its_definition) {
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
        for (sac_u8_isa v = SAC_U8_PLAIN; v <= SAC_U8_AMX; v = next_isa(v)) {
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
