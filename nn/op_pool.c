// Max and average pooling with a sliding window, 2D and 3D: oneDNN pooling in channels-last. The
// mean divides by the window's cells inside the input, or with count_pad by all cells of the
// kernel; padding is never a value of the maximum. No dilation; rounding the output size up is a
// pad_extra.
//
// Max: dst = max over the window, the gradient goes to the first largest value in scan order
// (depth, row, column).
#include <inttypes.h>

#include "nn/op.h"

#define MAX_SIZE 65536

typedef struct extent {
    int64_t begin, end;
} extent;

// Window of output cell i along axis a (0: depth, 1: row, 2: column), clipped to the input.
static extent window(const sac_attrs *attrs, int a, int64_t i, int64_t size) {
    int64_t begin = i * attrs->stride[a] - attrs->pad[a];
    int64_t end = begin + attrs->kernel[a];
    return (extent){begin < 0 ? 0 : begin, end > size ? size : end};
}

static sac_status pool_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                             sac_shape *dst, sac_error *error) {
    (void)src_count;
    char text[96];
    const sac_status status = sac_shape_check_space(&src[0], error);
    if (status < 0) return status;
    *dst = src[0];
    for (int d = 2; d < src[0].ndims; d++) {
        int a = d - (src[0].ndims - 3);
        int64_t k = attrs->kernel[a], s = attrs->stride[a], p = attrs->pad[a],
                q = attrs->pad[a] + attrs->pad_extra[a], size = src[0].dims[d];
        if (k < 1 || k > MAX_SIZE || s < 1 || s > MAX_SIZE) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "kernel %" PRId64 " and stride %" PRId64 ", expected 1 to %d each",
                                 k, s, MAX_SIZE);
        }
        if (p < 0 || p >= k || q < 0 || q >= k) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "padding %" PRId64 " before and %" PRId64
                                 " behind, expected 0 to less than the kernel, %" PRId64,
                                 p, q, k);
        }
        if (size + p + q < k) {
            return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                 "kernel %" PRId64
                                 " is larger than the padded input, %s with padding %" PRId64,
                                 k, sac_shape_text(&src[0], text), p);
        }
        // A padding below the kernel gives every window at least one cell of the input.
        dst->dims[d] = (size + p + q - k) / s + 1;
    }
    return SAC_OK;
}

// -------------------------------------------------------------------------------------------------
// Reference

typedef struct volume {
    int64_t planes, d, h, w, od, oh, ow; // planes: N * C
} volume;

static volume volume_of(const sac_shape *src, const sac_shape *dst) {
    const sac_space from = sac_shape_space(src), to = sac_shape_space(dst);
    return (volume){.planes = src->dims[0] * src->dims[1],
                    .d = from.d,
                    .h = from.h,
                    .w = from.w,
                    .od = to.d,
                    .oh = to.h,
                    .ow = to.w};
}

// One window of one plane: the place of its first maximum, its sum and its number of cells; or adds
// `add` to each cell of `diff`.
typedef struct cell {
    int64_t argmax, count;
    double sum;
} cell;

static cell visit(const sac_ref *ref, const volume *v, int64_t plane, int64_t z, int64_t y,
                  int64_t x, float *diff, double add) {
    const float *src = ref->src[0] + plane * v->d * v->h * v->w;
    // 2D attributes leave the depth at kernel 1, stride 1, padding 0, which is the one cell there
    // is.
    extent dz =
        v->d == 1 && ref->src_shape[0].ndims == 4 ? (extent){0, 1} : window(ref->attrs, 0, z, v->d);
    extent dy = window(ref->attrs, 1, y, v->h), dx = window(ref->attrs, 2, x, v->w);
    cell result = {.argmax = -1};
    for (int64_t k = dz.begin; k < dz.end; k++) {
        for (int64_t i = dy.begin; i < dy.end; i++) {
            for (int64_t j = dx.begin; j < dx.end; j++) {
                int64_t at = (k * v->h + i) * v->w + j;
                if (result.argmax < 0 || src[at] > src[result.argmax]) result.argmax = at;
                result.sum += (double)src[at];
                result.count++;
                if (diff != NULL) diff[plane * v->d * v->h * v->w + at] += (float)add;
            }
        }
    }
    return result;
}

// Cells that the mean divides by.
static int64_t divisor(const sac_ref *ref, const cell *c) {
    const int64_t *k = ref->attrs->kernel;
    if (!ref->attrs->count_pad) return c->count;
    return (ref->src_shape[0].ndims == 5 ? k[0] : 1) * k[1] * k[2];
}

static void ref_forward(const sac_ref *ref, bool max) {
    volume v = volume_of(&ref->src_shape[0], &ref->dst_shape);
    float *dst = ref->dst;
    for (int64_t p = 0; p < v.planes; p++) {
        for (int64_t z = 0; z < v.od; z++) {
            for (int64_t y = 0; y < v.oh; y++) {
                for (int64_t x = 0; x < v.ow; x++, dst++) {
                    cell c = visit(ref, &v, p, z, y, x, NULL, 0.0);
                    *dst = max ? ref->src[0][p * v.d * v.h * v.w + c.argmax]
                               : (float)(c.sum / (double)divisor(ref, &c));
                }
            }
        }
    }
}

static void ref_backward(const sac_ref *ref, bool max) {
    float *diff_src = ref->diff_src[0];
    if (diff_src == NULL) return;
    volume v = volume_of(&ref->src_shape[0], &ref->dst_shape);
    int64_t plane_size = v.d * v.h * v.w;
    for (int64_t i = 0; i < v.planes * plane_size; i++) diff_src[i] = 0.0f;
    const float *diff_dst = ref->diff_dst;
    for (int64_t p = 0; p < v.planes; p++) {
        for (int64_t z = 0; z < v.od; z++) {
            for (int64_t y = 0; y < v.oh; y++) {
                for (int64_t x = 0; x < v.ow; x++, diff_dst++) {
                    cell c = visit(ref, &v, p, z, y, x, NULL, 0.0);
                    if (max) { // dst = src[argmax]
                        diff_src[p * plane_size + c.argmax] += *diff_dst;
                    } else { // dst = sum(src) / divisor
                        visit(ref, &v, p, z, y, x, diff_src,
                              (double)*diff_dst / (double)divisor(ref, &c));
                    }
                }
            }
        }
    }
}

static void max_ref_forward(const sac_ref *ref) {
    ref_forward(ref, true);
}
static void max_ref_backward(const sac_ref *ref) {
    ref_backward(ref, true);
}
static void avg_ref_forward(const sac_ref *ref) {
    ref_forward(ref, false);
}
static void avg_ref_backward(const sac_ref *ref) {
    ref_backward(ref, false);
}

// -------------------------------------------------------------------------------------------------
// oneDNN

enum { SAVED_WORKSPACE };

typedef struct window_dims {
    dnnl_dims_t kernel, stride, pad, pad_end, dilation;
} window_dims;

static window_dims window_dims_of(const sac_build_node *node) {
    window_dims w = {.dilation = {0}};
    int spatial = node->src_shape[0].ndims - 2;
    const sac_attrs *attrs = &node->node->attrs;
    for (int i = 0; i < spatial; i++) {
        w.kernel[i] = attrs->kernel[3 - spatial + i];
        w.stride[i] = attrs->stride[3 - spatial + i];
        w.pad[i] = attrs->pad[3 - spatial + i];
        w.pad_end[i] = w.pad[i] + attrs->pad_extra[3 - spatial + i];
    }
    return w;
}

static sac_status build_forward(sac_build *build, sac_build_node *node, dnnl_alg_kind_t alg,
                                sac_error *error) {
    sac_status status = SAC_OK;
    sac_layout layout = sac_build_default_layout(build);
    dnnl_memory_desc_t src_md = NULL, dst_md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer src = -1;
    window_dims w = window_dims_of(node);
    SAC_TRY(sac_build_md(&src_md, &node->src_shape[0], layout, error));
    SAC_TRY(sac_build_md(&dst_md, &node->dst_shape, layout, error));
    SAC_TRY(sac_build_reorder(build, node->src[0], src_md, &src, error));
    SAC_TRY(sac_build_buffer(build, dst_md, &node->dst, error));
    SAC_TRY(sac_dnnl_status(dnnl_pooling_forward_primitive_desc_create(
                                &pd, sac_build_engine(build),
                                node->training ? dnnl_forward_training : dnnl_forward_inference,
                                alg, src_md, dst_md, w.stride, w.kernel, w.dilation, w.pad,
                                w.pad_end, sac_build_attr(build)),
                            "pooling", error));
    node->saved[SAVED_WORKSPACE] = -1;
    if (node->training && alg == dnnl_pooling_max) {
        // oneDNN keeps the place of each maximum there, in a format of its own.
        const_dnnl_memory_desc_t workspace_md =
            dnnl_primitive_desc_query_md(pd, dnnl_query_workspace_md, 0);
        SAC_TRY(sac_build_buffer(build, workspace_md, &node->saved[SAVED_WORKSPACE], error));
    }
    const sac_arg args[] = {
        {DNNL_ARG_SRC, src},
        {DNNL_ARG_DST, node->dst},
        {DNNL_ARG_WORKSPACE, node->saved[SAVED_WORKSPACE]},
    };
    SAC_TRY(sac_build_primitive(build, pd, args, 3, error));
    if (node->training) {
        node->forward_pd = pd;
        pd = NULL;
    }
fail:
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_desc_destroy(src_md);
    dnnl_memory_desc_destroy(dst_md);
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, dnnl_alg_kind_t alg,
                                 sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    sac_status status = SAC_OK;
    sac_layout layout = sac_build_default_layout(build);
    dnnl_memory_desc_t src_md = NULL, dst_md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer diff_dst = -1;
    window_dims w = window_dims_of(node);
    SAC_TRY(sac_build_md(&src_md, &node->src_shape[0], layout, error));
    SAC_TRY(sac_build_md(&dst_md, &node->dst_shape, layout, error));
    SAC_TRY(sac_build_reorder(build, node->diff_dst, dst_md, &diff_dst, error));
    SAC_TRY(sac_build_buffer(build, src_md, &node->diff_src[0], error));
    SAC_TRY(
        sac_dnnl_status(dnnl_pooling_backward_primitive_desc_create(
                            &pd, sac_build_engine(build), alg, src_md, dst_md, w.stride, w.kernel,
                            w.dilation, w.pad, w.pad_end, node->forward_pd, sac_build_attr(build)),
                        "pooling backward", error));
    const sac_arg args[] = {
        {DNNL_ARG_DIFF_DST, diff_dst},
        {DNNL_ARG_DIFF_SRC, node->diff_src[0]},
        {DNNL_ARG_WORKSPACE, node->saved[SAVED_WORKSPACE]},
    };
    SAC_TRY(sac_build_primitive(build, pd, args, 3, error));
fail:
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_desc_destroy(src_md);
    dnnl_memory_desc_destroy(dst_md);
    return status;
}

static sac_status max_build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_forward(build, node, dnnl_pooling_max, error);
}

static sac_status max_build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_backward(build, node, dnnl_pooling_max, error);
}

static dnnl_alg_kind_t avg_algorithm(const sac_build_node *node) {
    return node->node->attrs.count_pad ? dnnl_pooling_avg_include_padding
                                       : dnnl_pooling_avg_exclude_padding;
}

static sac_status avg_build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_forward(build, node, avg_algorithm(node), error);
}

static sac_status avg_build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_backward(build, node, avg_algorithm(node), error);
}

const sac_op sac_op_max_pool = {
    .name = "max_pool",
    .min_src = 1,
    .max_src = 1,
    .shape = pool_shape,
    .ref_forward = max_ref_forward,
    .ref_backward = max_ref_backward,
    .build_forward = max_build_forward,
    .build_backward = max_build_backward,
};

const sac_op sac_op_avg_pool = {
    .name = "avg_pool",
    .min_src = 1,
    .max_src = 1,
    .shape = pool_shape,
    .ref_forward = avg_ref_forward,
    .ref_backward = avg_ref_backward,
    .build_forward = avg_build_forward,
    .build_backward = avg_build_backward,
};
