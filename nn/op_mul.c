// Element-wise product of two inputs: of equal shape, or the second [N][C][1]..[1], one factor per
// sample and channel (squeeze-and-excitation). Own kernels; the backward keeps both inputs.
//
// Source of the second form: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, equation 4.
#include <string.h>

#include "core/clones.h"
#include "nn/op.h"
#include "nn/strides.h"

#define BLOCK    4096 // floats of one task
#define CHANNELS 64   // channels of one task of a sum over space

static bool per_channel(const sac_shape *src) {
    return !sac_shape_equal(&src[0], &src[1]);
}

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)attrs, (void)src_count;
    char first[96], other[96];
    bool fits = src[0].ndims == src[1].ndims;
    if (fits && per_channel(src)) {
        for (int d = 0; d < src[0].ndims; d++)
            fits = fits && src[1].dims[d] == (d < 2 ? src[0].dims[d] : 1);
    }
    if (!fits)
        return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                             "input 0 is %s, input 1 is %s, expected equal shapes or one factor "
                             "per sample and channel, [N][C][1]",
                             sac_shape_text(&src[0], first), sac_shape_text(&src[1], other));
    *dst = src[0];
    return SAC_OK;
}

// Elements that share one factor of src 1: 1, or the whole space.
static int64_t space_of(const sac_shape *src) {
    return sac_shape_count(&src[0]) / sac_shape_count(&src[1]);
}

// dst[i] = src_0[i] * src_1[i / space]
static void ref_forward(const sac_ref *ref) {
    const int64_t space = space_of(ref->src_shape), count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) ref->dst[i] = ref->src[0][i] * ref->src[1][i / space];
}

// dst[i] = src_0[i] * src_1[i / space]
//   =>  diff_src_0[i] = diff_dst[i] * src_1[i / space], diff_src_1[j] = sum_i diff_dst[i] *
//       src_0[i]
static void ref_backward(const sac_ref *ref) {
    const int64_t space = space_of(ref->src_shape), count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; ref->diff_src[0] && i < count; i++)
        ref->diff_src[0][i] = ref->diff_dst[i] * ref->src[1][i / space];
    for (int64_t j = 0; ref->diff_src[1] && j < count / space; j++) {
        double sum = 0;
        for (int64_t i = j * space; i < (j + 1) * space; i++)
            sum += (double)ref->diff_dst[i] * (double)ref->src[0][i];
        ref->diff_src[1][j] = (float)sum;
    }
}

// --- own kernels -------------------------------------------------------------------------------

// equal: n elements in one order. Else rows of `row` floats: channels-last, row = C and `rows` rows
// of one sample share its factors; otherwise row = the space of one channel, with one factor each.
typedef struct product {
    bool equal, last;
    int64_t count, samples, rows, row;
} product;

SAC_CLONES static void multiply(float *restrict dst, const float *restrict a,
                                const float *restrict b, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dst[i] = a[i] * b[i];
}

SAC_CLONES static void scale(float *restrict dst, const float *restrict a, float f, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dst[i] = a[i] * f;
}

// sums[c] += a[c] * b[c] over rows
SAC_CLONES static void sum_rows(double *restrict sums, const float *restrict a,
                                const float *restrict b, int64_t n, int64_t rows, int64_t row) {
    for (int64_t r = 0; r < rows; r++, a += row, b += row) {
#pragma omp simd
        for (int64_t c = 0; c < n; c++) sums[c] += (double)a[c] * (double)b[c];
    }
}

// buffers: a, b (factors), dst
static void multiply_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const product *p = context;
    const float *a = buffers[0], *b = buffers[1];
    float *dst = buffers[2];
    if (p->equal) {
#pragma omp parallel for schedule(static) if (p->count > 4 * BLOCK)
        for (int64_t begin = 0; begin < p->count; begin += BLOCK) {
            const int64_t n = p->count - begin < BLOCK ? p->count - begin : BLOCK;
            multiply(dst + begin, a + begin, b + begin, n);
        }
        return;
    }
#pragma omp parallel for collapse(2) schedule(static) if (p->count > 4 * BLOCK)
    for (int64_t n = 0; n < p->samples; n++) {
        for (int64_t r = 0; r < p->rows; r++) {
            const int64_t at = (n * p->rows + r) * p->row;
            if (p->last) {
                multiply(dst + at, a + at, b + n * p->row, p->row);
            } else {
                scale(dst + at, a + at, b[n * p->rows + r], p->row);
            }
        }
    }
}

// buffers: diff_dst, a, diff_b
static void factor_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const product *p = context;
    const float *diff_dst = buffers[0], *a = buffers[1];
    float *diff_b = buffers[2];
    if (!p->last) {
#pragma omp parallel for schedule(static) if (p->count > 4 * BLOCK)
        for (int64_t j = 0; j < p->samples * p->rows; j++) {
            double sum = 0;
            for (int64_t i = j * p->row; i < (j + 1) * p->row; i++)
                sum += (double)diff_dst[i] * (double)a[i];
            diff_b[j] = (float)sum;
        }
        return;
    }
    const int64_t blocks = (p->row + CHANNELS - 1) / CHANNELS;
#pragma omp parallel for collapse(2) schedule(static) if (p->count > 4 * BLOCK)
    for (int64_t n = 0; n < p->samples; n++) {
        for (int64_t k = 0; k < blocks; k++) {
            const int64_t c = k * CHANNELS, at = n * p->rows * p->row + c;
            const int64_t width = p->row - c < CHANNELS ? p->row - c : CHANNELS;
            double sums[CHANNELS] = {0};
            sum_rows(sums, diff_dst + at, a + at, width, p->rows, p->row);
            for (int64_t i = 0; i < width; i++) diff_b[n * p->row + c + i] = (float)sums[i];
        }
    }
}

static product product_of(const sac_build *build, const sac_build_node *node) {
    const sac_shape *src = node->src_shape;
    product p = {.equal = !per_channel(src), .count = sac_shape_count(&src[0])};
    if (p.equal) return p;
    const int64_t space = space_of(src), channels = src[0].dims[1];
    p.last = src[0].ndims > 3 && sac_build_default_layout(build) == SAC_LAYOUT_CHANNELS_LAST;
    p.samples = src[0].dims[0];
    p.rows = p.last ? space : channels;
    p.row = p.last ? channels : space;
    return p;
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    const product p = product_of(build, node);
    sac_buffer *a = &node->saved[0], *b = &node->saved[1];
    if (p.equal) {
        // The first input sets the layout.
        sac_strides strides;
        SAC_TRY(sac_strides_plain(build, node->src[0], &node->src_shape[0], a, &strides, error));
        SAC_TRY(sac_strides_md(&md, &strides, error));
        SAC_TRY(sac_build_reorder(build, node->src[1], md, b, error));
    } else {
        const sac_layout layout = p.last ? SAC_LAYOUT_CHANNELS_LAST : SAC_LAYOUT_CHANNELS_FIRST;
        SAC_TRY(sac_build_md(&md, &node->dst_shape, layout, error));
        SAC_TRY(sac_build_reorder(build, node->src[0], md, a, error));
        SAC_TRY(sac_build_layout(build, node->src[1], &node->src_shape[1], layout, b, error));
    }
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    const sac_buffer buffers[3] = {*a, *b, node->dst};
    SAC_TRY(sac_build_kernel(build, "multiply", multiply_kernel, &p, sizeof p, buffers, 3, error));
fail:
    if (md) dnnl_memory_desc_destroy(md);
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    const product p = product_of(build, node);
    sac_buffer diff_dst = -1;
    if (!node->want_diff_src[0] && !node->want_diff_src[1]) return SAC_OK;
    SAC_TRY(sac_build_reorder(build, node->diff_dst, sac_build_buffer_md(build, node->dst),
                              &diff_dst, error));
    for (int k = 0; k < 2; k++) {
        if (!node->want_diff_src[k]) continue;
        SAC_TRY(sac_build_buffer(build, sac_build_buffer_md(build, node->saved[k]),
                                 &node->diff_src[k], error));
        const bool sum = k == 1 && !p.equal;
        const sac_buffer buffers[3] = {diff_dst, node->saved[1 - k], node->diff_src[k]};
        SAC_TRY(sac_build_kernel(build, sum ? "multiply sum" : "multiply backward",
                                 sum ? factor_kernel : multiply_kernel, &p, sizeof p, buffers, 3,
                                 error));
    }
fail:
    return status;
}

const sac_op sac_op_mul = {
    .name = "mul",
    .min_src = 2,
    .max_src = 2,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
