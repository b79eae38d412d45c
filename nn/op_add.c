// Element-wise sum of two to eight inputs of one shape. Backward copies nothing: every wanted
// diff_src IS the buffer of diff_dst, so the plan must never write a gradient buffer in place once
// it has been handed on.
#include <omp.h>
#include <string.h>

#include "core/clones.h"
#include "nn/op.h"
#include "nn/strides.h"

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)attrs;
    char first[96], other[96];
    for (int k = 1; k < src_count; k++) {
        if (!sac_shape_equal(&src[0], &src[k]))
            return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                 "input 0 is %s, input %d is %s, expected equal shapes",
                                 sac_shape_text(&src[0], first), k, sac_shape_text(&src[k], other));
    }
    *dst = src[0];
    return SAC_OK;
}

// dst[i] = sum_k src_k[i]
static void ref_forward(const sac_ref *ref) {
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int k = 0; k < ref->src_count; k++) sum += ref->src[k][i];
        ref->dst[i] = (float)sum;
    }
}

// dst[i] = sum_k src_k[i]  =>  diff_src_k[i] = diff_dst[i]
static void ref_backward(const sac_ref *ref) {
    size_t bytes = (size_t)sac_shape_count(&ref->dst_shape) * sizeof(float);
    for (int k = 0; k < ref->src_count; k++) {
        if (ref->diff_src[k]) memcpy(ref->diff_src[k], ref->diff_dst, bytes);
    }
}

// --- own kernel --------------------------------------------------------------------------------

#define BLOCK                                                                                      \
    4096 // floats: the block of dst stays in the first-level cache while the inputs pass by

typedef struct sum_context {
    int64_t count;
    int src_count;
} sum_context;

SAC_CLONES static void add_two(float *restrict dst, const float *restrict a,
                               const float *restrict b, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dst[i] = a[i] + b[i];
}

SAC_CLONES static void add_more(float *restrict dst, const float *restrict a, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dst[i] += a[i];
}

static void sum_block(const sum_context *c, float *const *buffers, int64_t begin) {
    const int64_t n = c->count - begin < BLOCK ? c->count - begin : BLOCK;
    float *dst = buffers[c->src_count] + begin;
    add_two(dst, buffers[0] + begin, buffers[1] + begin, n);
    for (int k = 2; k < c->src_count; k++) add_more(dst, buffers[k] + begin, n);
}

// buffers: the inputs, then dst. All in one layout, so order of elements does not matter.
static void sum_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const sum_context *c = context;
    const int64_t count = c->count;
    if (count <= 4 * BLOCK || omp_get_max_threads() == 1) {
        // libgomp allocates for every parallel region, even for one of a single thread.
        for (int64_t begin = 0; begin < count; begin += BLOCK) sum_block(c, buffers, begin);
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t begin = 0; begin < count; begin += BLOCK) sum_block(c, buffers, begin);
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    sac_strides strides;
    sac_buffer buffers[SAC_MAX_SRC + 1];

    // The first input sets the layout.
    SAC_TRY(
        sac_strides_plain(build, node->src[0], &node->src_shape[0], &buffers[0], &strides, error));
    SAC_TRY(sac_strides_md(&md, &strides, error));
    for (int k = 1; k < node->src_count; k++)
        SAC_TRY(sac_build_reorder(build, node->src[k], md, &buffers[k], error));
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    buffers[node->src_count] = node->dst;
    sum_context context = {.count = sac_shape_count(&node->dst_shape),
                           .src_count = node->src_count};
    SAC_TRY(sac_build_kernel(build, "add", sum_kernel, &context, sizeof context, buffers,
                             node->src_count + 1, error));
fail:
    if (md) dnnl_memory_desc_destroy(md);
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    (void)build, (void)error;
    for (int k = 0; k < node->src_count; k++) {
        if (node->want_diff_src[k]) node->diff_src[k] = node->diff_dst;
    }
    return SAC_OK;
}

const sac_op sac_op_add = {
    .name = "add",
    .min_src = 2,
    .max_src = SAC_MAX_SRC,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
