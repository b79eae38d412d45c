// Inputs joined along one axis (not N). In a plan all of them take the layout of the largest; an
// own kernel then copies runs of consecutive floats, which is what oneDNN's concat does too, but
// also splits them again for the backward pass without window descriptors.
#include <omp.h>
#include <string.h>

#include "nn/op.h"
#include "nn/strides.h"

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    char first[96], other[96];
    int axis = attrs->axis;
    if (axis < 1 || axis >= src[0].ndims)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "concat along axis %d, expected 1 to %d for input %s", axis,
                             src[0].ndims - 1, sac_shape_text(&src[0], first));
    *dst = src[0];
    for (int k = 1; k < src_count; k++) {
        bool fits = src[k].ndims == src[0].ndims;
        for (int d = 0; fits && d < src[0].ndims; d++)
            fits = d == axis || src[k].dims[d] == src[0].dims[d];
        if (!fits || !sac_add(dst->dims[axis], src[k].dims[axis], &dst->dims[axis]))
            return sac_error_set(
                error, SAC_ERROR_SHAPE, -1,
                "input 0 is %s, input %d is %s, expected equal sizes except along axis %d",
                sac_shape_text(&src[0], first), k, sac_shape_text(&src[k], other), axis);
    }
    return SAC_OK;
}

// Elements behind the axis, and positions before it.
static void split(const sac_shape *s, int axis, int64_t *outer, int64_t *inner) {
    *outer = *inner = 1;
    for (int d = 0; d < axis; d++) *outer *= s->dims[d];
    for (int d = axis + 1; d < s->ndims; d++) *inner *= s->dims[d];
}

// dst[..][begin_k + i][..] = src_k[..][i][..], begin_k = sum of the sizes of the inputs before k
static void ref_forward(const sac_ref *ref) {
    int axis = ref->attrs->axis;
    int64_t outer, inner, begin = 0, total = ref->dst_shape.dims[axis];
    split(&ref->dst_shape, axis, &outer, &inner);
    for (int k = 0; k < ref->src_count; k++) {
        int64_t n = ref->src_shape[k].dims[axis];
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < n * inner; i++)
                ref->dst[(o * total + begin) * inner + i] = ref->src[k][o * n * inner + i];
        begin += n;
    }
}

// dst[..][begin_k + i][..] = src_k[..][i][..]  =>  diff_src_k[..][i][..] = diff_dst[..][begin_k +
// i][..]
static void ref_backward(const sac_ref *ref) {
    int axis = ref->attrs->axis;
    int64_t outer, inner, begin = 0, total = ref->dst_shape.dims[axis];
    split(&ref->dst_shape, axis, &outer, &inner);
    for (int k = 0; k < ref->src_count; k++) {
        int64_t n = ref->src_shape[k].dims[axis];
        for (int64_t o = 0; ref->diff_src[k] && o < outer; o++)
            for (int64_t i = 0; i < n * inner; i++)
                ref->diff_src[k][o * n * inner + i] =
                    ref->diff_dst[(o * total + begin) * inner + i];
        begin += n;
    }
}

// --- own kernels -------------------------------------------------------------------------------

// The joined tensor in memory is rows of `row` floats; part k of each row is run[k] floats at
// offset[k].
typedef struct join_context {
    int64_t rows, row;
    int count;
    int64_t offset[SAC_MAX_SRC], run[SAC_MAX_SRC];
} join_context;

static void join_row(const join_context *c, float *const *buffers, int64_t r) {
    float *whole = buffers[c->count] + r * c->row;
    for (int k = 0; k < c->count; k++)
        memcpy(whole + c->offset[k], buffers[k] + r * c->run[k], (size_t)c->run[k] * sizeof(float));
}

// buffers: the parts, then the whole.
static void join_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const join_context *c = context;
    if (omp_get_max_threads() == 1) {
        // libgomp allocates for every parallel region, even for one of a single thread.
        for (int64_t r = 0; r < c->rows; r++) join_row(c, buffers, r);
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < c->rows; r++) join_row(c, buffers, r);
}

static void split_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const join_context *c = context;
    const float *whole = buffers[c->count];
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < c->rows; r++) {
        for (int k = 0; k < c->count; k++)
            memcpy(buffers[k] + r * c->run[k], whole + r * c->row + c->offset[k],
                   (size_t)c->run[k] * sizeof(float));
    }
}

// Rows and runs of the joined tensor `whole` with strides `strides`: everything from the joined
// axis inwards is consecutive.
static join_context join_of(const sac_build_node *node, const sac_strides *strides) {
    int axis = node->node->attrs.axis;
    int64_t inner = strides->strides[axis], begin = 0;
    join_context c = {.row = inner * node->dst_shape.dims[axis]};
    c.rows = sac_shape_count(&node->dst_shape) / c.row;
    for (int k = 0; k < node->src_count; k++) {
        int64_t n = node->src_shape[k].dims[axis];
        c.offset[k] = begin * inner;
        c.run[k] = n * inner;
        begin += n;
    }
    c.count = node->src_count;
    return c;
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    sac_buffer buffers[SAC_MAX_SRC + 1];
    // The input with the most to move sets the order; one channel alone says nothing about where
    // channels lie.
    int axis = node->node->attrs.axis, lead = 0;
    for (int k = 1; k < node->src_count; k++) {
        if (node->src_shape[k].dims[axis] > node->src_shape[lead].dims[axis]) lead = k;
    }
    sac_strides order = sac_strides_order(build, node->src[lead], &node->src_shape[lead]);

    for (int k = 0; k < node->src_count; k++) {
        sac_strides part = sac_strides_like(&order, &node->src_shape[k]);
        SAC_TRY(sac_strides_md(&md, &part, error));
        SAC_TRY(sac_build_reorder(build, node->src[k], md, &buffers[k], error));
        dnnl_memory_desc_destroy(md);
        md = NULL;
    }
    sac_strides whole = sac_strides_like(&order, &node->dst_shape);
    SAC_TRY(sac_strides_md(&md, &whole, error));
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    buffers[node->src_count] = node->dst;
    join_context context = join_of(node, &whole);
    SAC_TRY(sac_build_kernel(build, "concat", join_kernel, &context, sizeof context, buffers,
                             node->src_count + 1, error));
fail:
    if (md) dnnl_memory_desc_destroy(md);
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    sac_buffer buffers[SAC_MAX_SRC + 1], diff_dst = -1;
    sac_strides order = sac_strides_order(build, node->dst, &node->dst_shape);
    sac_strides whole = sac_strides_like(&order, &node->dst_shape);
    join_context all = join_of(node, &whole), context = all;

    SAC_TRY(sac_strides_md(&md, &whole, error));
    SAC_TRY(sac_build_reorder(build, node->diff_dst, md, &diff_dst, error));
    dnnl_memory_desc_destroy(md);
    md = NULL;
    context.count = 0;
    for (int k = 0; k < node->src_count; k++) {
        if (!node->want_diff_src[k]) continue;
        sac_strides part = sac_strides_like(&order, &node->src_shape[k]);
        SAC_TRY(sac_strides_md(&md, &part, error));
        SAC_TRY(sac_build_buffer(build, md, &node->diff_src[k], error));
        dnnl_memory_desc_destroy(md);
        md = NULL;
        context.offset[context.count] = all.offset[k];
        context.run[context.count] = all.run[k];
        buffers[context.count++] = node->diff_src[k];
    }
    if (context.count == 0) goto fail;
    buffers[context.count] = diff_dst;
    SAC_TRY(sac_build_kernel(build, "split", split_kernel, &context, sizeof context, buffers,
                             context.count + 1, error));
fail:
    if (md) dnnl_memory_desc_destroy(md);
    return status;
}

const sac_op sac_op_concat = {
    .name = "concat",
    .min_src = 1,
    .max_src = SAC_MAX_SRC,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
