// Cells of one axis (not N): `length` of them from `begin` in steps of `step`. Together with concat
// it makes space-to-depth (the first layer of YOLOX) and channel groups. In a plan the physical
// order of axes stays that of the input and an own kernel copies runs of floats.
#include <inttypes.h>
#include <omp.h>
#include <string.h>

#include "nn/op.h"
#include "nn/strides.h"

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)src_count;
    char text[96];
    int64_t last = 0;
    if (attrs->axis < 1 || attrs->axis >= src->ndims)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "slice along axis %d, expected 1 to %d for input %s", attrs->axis,
                             src->ndims - 1, sac_shape_text(src, text));
    if (attrs->begin < 0 || attrs->length < 1 || attrs->step < 1)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "begin %" PRId64 ", length %" PRId64 ", step %" PRId64
                             ", expected at least 0, 1 and 1",
                             attrs->begin, attrs->length, attrs->step);
    if (!sac_mul(attrs->length - 1, attrs->step, &last) || !sac_add(last, attrs->begin, &last) ||
        last >= src->dims[attrs->axis])
        return sac_error_set(
            error, SAC_ERROR_SHAPE, -1,
            "%" PRId64 " cells from %" PRId64 " in steps of %" PRId64 " do not fit axis %d of %s",
            attrs->length, attrs->begin, attrs->step, attrs->axis, sac_shape_text(src, text));
    *dst = *src;
    dst->dims[attrs->axis] = attrs->length;
    return SAC_OK;
}

// In memory src is `outer` rows of `size` cells of `inner` floats; dst keeps `length` cells of
// each.
typedef struct cut {
    int64_t outer, inner, size, begin, length, step;
} cut;

// dst[o][i] = src[o][begin + i * step]
static void take(const cut *c, int64_t o, const float *src, float *dst) {
    src += (o * c->size + c->begin) * c->inner;
    dst += o * c->length * c->inner;
    if (c->step == 1) {
        memcpy(dst, src, (size_t)(c->length * c->inner) * sizeof(float));
        return;
    }
    if (c->inner == 1) {
        for (int64_t i = 0; i < c->length; i++) dst[i] = src[i * c->step];
        return;
    }
    for (int64_t i = 0; i < c->length; i++, src += c->step * c->inner, dst += c->inner)
        memcpy(dst, src, (size_t)c->inner * sizeof(float));
}

// dst[o][i] = src[o][begin + i * step]  =>  diff_src[o][begin + i * step] = diff_dst[o][i], 0
// elsewhere
static void put(const cut *c, int64_t o, const float *diff_dst, float *diff_src) {
    diff_src += o * c->size * c->inner;
    diff_dst += o * c->length * c->inner;
    memset(diff_src, 0, (size_t)(c->size * c->inner) * sizeof(float));
    for (int64_t i = 0; i < c->length; i++)
        memcpy(diff_src + (c->begin + i * c->step) * c->inner, diff_dst + i * c->inner,
               (size_t)c->inner * sizeof(float));
}

static cut ref_cut(const sac_ref *ref) {
    const sac_attrs *a = ref->attrs;
    cut c = {1, 1, ref->src_shape[0].dims[a->axis], a->begin, a->length, a->step};
    for (int d = 0; d < a->axis; d++) c.outer *= ref->src_shape[0].dims[d];
    for (int d = a->axis + 1; d < ref->src_shape[0].ndims; d++)
        c.inner *= ref->src_shape[0].dims[d];
    return c;
}

static void ref_forward(const sac_ref *ref) {
    const cut c = ref_cut(ref);
    for (int64_t o = 0; o < c.outer; o++) take(&c, o, ref->src[0], ref->dst);
}

static void ref_backward(const sac_ref *ref) {
    const cut c = ref_cut(ref);
    for (int64_t o = 0; ref->diff_src[0] && o < c.outer; o++)
        put(&c, o, ref->diff_dst, ref->diff_src[0]);
}

// --- own kernels -------------------------------------------------------------------------------

static void forward_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const cut *c = context;
    if (c->outer <= 64 || omp_get_max_threads() == 1) {
        // libgomp allocates for every parallel region, even for one of a single thread.
        for (int64_t o = 0; o < c->outer; o++) take(c, o, buffers[0], buffers[1]);
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t o = 0; o < c->outer; o++) take(c, o, buffers[0], buffers[1]);
}

static void backward_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const cut *c = context;
#pragma omp parallel for schedule(static) if (c->outer > 64)
    for (int64_t o = 0; o < c->outer; o++) put(c, o, buffers[0], buffers[1]);
}

// The cut in memory, of a source with dense strides.
static cut plan_cut(const sac_build_node *node, const sac_strides *strides) {
    const sac_attrs *a = &node->node->attrs;
    cut c = {.inner = strides->strides[a->axis],
             .size = node->src_shape[0].dims[a->axis],
             .begin = a->begin,
             .length = a->length,
             .step = a->step};
    c.outer = sac_shape_count(&node->src_shape[0]) / (c.size * c.inner);
    return c;
}

// Moves `from` (the input, or diff_dst) into a new buffer `to` of the other shape, both in the
// order of axes of the input.
static sac_status build_move(sac_build *build, const sac_build_node *node, bool backward,
                             sac_buffer from, sac_buffer *to, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md[2] = {NULL, NULL};
    sac_buffer buffers[2] = {-1, -1};
    const sac_shape *shapes[2] = {&node->src_shape[0], &node->dst_shape};
    const sac_strides order = sac_strides_order(build, node->src[0], &node->src_shape[0]);
    const sac_strides src = sac_strides_like(&order, &node->src_shape[0]);
    const cut c = plan_cut(node, &src);
    for (int i = 0; i < 2; i++) {
        const sac_strides strides = sac_strides_like(&order, shapes[i]);
        SAC_TRY(sac_strides_md(&md[i], &strides, error));
    }
    SAC_TRY(sac_build_reorder(build, from, md[backward ? 1 : 0], &buffers[0], error));
    SAC_TRY(sac_build_buffer(build, md[backward ? 0 : 1], to, error));
    buffers[1] = *to;
    SAC_TRY(sac_build_kernel(build, backward ? "slice backward" : "slice",
                             backward ? backward_kernel : forward_kernel, &c, sizeof c, buffers, 2,
                             error));
fail:
    for (int i = 0; i < 2; i++)
        if (md[i]) dnnl_memory_desc_destroy(md[i]);
    return status;
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_move(build, node, false, node->src[0], &node->dst, error);
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    return build_move(build, node, true, node->diff_dst, &node->diff_src[0], error);
}

const sac_op sac_op_slice = {
    .name = "slice",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
