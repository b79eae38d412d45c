// Softmax over one axis. oneDNN's fast kernel wants that axis innermost, so a plan stores it so and
// reorders once where the input is not.
#include <math.h>

#include "core/clones.h"
#include "nn/op.h"
#include "nn/strides.h"

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)src_count;
    char text[96];
    if (attrs->axis < 1 || attrs->axis >= src->ndims)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "softmax over axis %d, expected 1 to %d for input %s", attrs->axis,
                             src->ndims - 1, sac_shape_text(src, text));
    *dst = *src;
    return SAC_OK;
}

// Positions before, on and behind the axis.
static void split(const sac_shape *s, int axis, int64_t *outer, int64_t *n, int64_t *inner) {
    *outer = *inner = 1;
    *n = s->dims[axis];
    for (int d = 0; d < axis; d++) *outer *= s->dims[d];
    for (int d = axis + 1; d < s->ndims; d++) *inner *= s->dims[d];
}

// dst[k] = exp(src[k] - max) / sum_j exp(src[j] - max) along the axis
static void ref_forward(const sac_ref *ref) {
    int64_t outer, n, inner;
    split(&ref->dst_shape, ref->attrs->axis, &outer, &n, &inner);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            const float *src = ref->src[0] + o * n * inner + i;
            float *dst = ref->dst + o * n * inner + i;
            double max = src[0], sum = 0;
            for (int64_t k = 0; k < n; k++) max = src[k * inner] > max ? src[k * inner] : max;
            for (int64_t k = 0; k < n; k++) sum += exp(src[k * inner] - max);
            for (int64_t k = 0; k < n; k++)
                dst[k * inner] = (float)(exp(src[k * inner] - max) / sum);
        }
    }
}

// dst = softmax(src)  =>  diff_src[k] = dst[k] * (diff_dst[k] - sum_j diff_dst[j] dst[j])
static void ref_backward(const sac_ref *ref) {
    if (!ref->diff_src[0]) return;
    int64_t outer, n, inner;
    split(&ref->dst_shape, ref->attrs->axis, &outer, &n, &inner);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            const float *dst = ref->dst + o * n * inner + i,
                        *diff_dst = ref->diff_dst + o * n * inner + i;
            float *diff_src = ref->diff_src[0] + o * n * inner + i;
            double dot = 0;
            for (int64_t k = 0; k < n; k++) dot += (double)diff_dst[k * inner] * dst[k * inner];
            for (int64_t k = 0; k < n; k++)
                diff_src[k * inner] = (float)(dst[k * inner] * (diff_dst[k * inner] - dot));
        }
    }
}

// Dense strides with `axis` innermost and the other axes in their order.
static sac_strides innermost(const sac_shape *s, int axis) {
    sac_strides strides = {.ndims = s->ndims};
    int64_t step = s->dims[axis];
    strides.dims[axis] = s->dims[axis];
    strides.strides[axis] = 1;
    for (int d = s->ndims - 1; d >= 0; d--) {
        if (d == axis) continue;
        strides.dims[d] = s->dims[d];
        strides.strides[d] = step;
        step *= s->dims[d];
    }
    return strides;
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    sac_buffer src = -1;
    int axis = node->node->attrs.axis;
    sac_strides strides;
    const_dnnl_memory_desc_t src_md = sac_build_buffer_md(build, node->src[0]);
    const size_t dense = (size_t)sac_shape_count(&node->src_shape[0]) * sizeof(float);
    if (!sac_strides_of(&strides, src_md) || strides.strides[axis] != 1 ||
        dnnl_memory_desc_get_size(src_md) != dense)
        strides = innermost(&node->src_shape[0], axis);

    // Exactly these strides: sac_strides_md could pick others when the axis has size 1.
    SAC_TRY(sac_dnnl_status(dnnl_memory_desc_create_with_strides(&md, strides.ndims, strides.dims,
                                                                 dnnl_f32, strides.strides),
                            "softmax layout", error));
    SAC_TRY(sac_build_reorder(build, node->src[0], md, &src, error));
    SAC_TRY(sac_dnnl_status(dnnl_softmax_forward_primitive_desc_create(
                                &node->forward_pd, sac_build_engine(build),
                                node->training ? dnnl_forward_training : dnnl_forward_inference,
                                dnnl_softmax_accurate, md, md, axis, sac_build_attr(build)),
                            "softmax forward", error));
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    SAC_TRY(sac_build_primitive(build, node->forward_pd,
                                (sac_arg[]){{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, node->dst}}, 2,
                                error));
    node->saved[0] = node->dst;
fail:
    if (md) dnnl_memory_desc_destroy(md);
    return status;
}

typedef struct rows_context {
    int64_t rows, n;
} rows_context;

SAC_CLONES static void row_backward(float *restrict diff_src, const float *restrict dst,
                                    const float *restrict diff_dst, int64_t n) {
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t k = 0; k < n; k++) dot += diff_dst[k] * dst[k];
#pragma omp simd
    for (int64_t k = 0; k < n; k++) diff_src[k] = dst[k] * (diff_dst[k] - dot);
}

// buffers: dst, diff_dst, diff_src
static void backward_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const rows_context c = *(const rows_context *)context;
    const float *dst = buffers[0], *diff_dst = buffers[1];
    float *diff_src = buffers[2];
#pragma omp parallel for schedule(static) if (c.rows * c.n > 65536)
    for (int64_t r = 0; r < c.rows; r++)
        row_backward(diff_src + r * c.n, dst + r * c.n, diff_dst + r * c.n, c.n);
}

// An own kernel: oneDNN has a fast one for AVX512 only. The forward pass laid the axis innermost.
static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    sac_status status = SAC_OK;
    sac_buffer diff_dst = -1;
    const_dnnl_memory_desc_t md = sac_build_buffer_md(build, node->saved[0]);
    const int64_t n = node->dst_shape.dims[node->node->attrs.axis];
    const rows_context context = {.rows = sac_shape_count(&node->dst_shape) / n, .n = n};

    SAC_TRY(sac_build_reorder(build, node->diff_dst, md, &diff_dst, error));
    SAC_TRY(sac_build_buffer(build, md, &node->diff_src[0], error));
    const sac_buffer buffers[3] = {node->saved[0], diff_dst, node->diff_src[0]};
    SAC_TRY(sac_build_kernel(build, "softmax", backward_kernel, &context, sizeof context, buffers,
                             3, error));
fail:
    return status;
}

const sac_op sac_op_softmax = {
    .name = "softmax",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
