// Fully connected layer. It flattens all axes behind N in channels-first order of elements; that is
// a definition, not a copy: a channels-last input goes into oneDNN's inner product as it lies, with
// the weight seen as [OC][C][D][H][W].
#include "nn/activation.h"
#include "nn/op.h"
#include "nn/strides.h"

#define MAX_CHANNELS 1048576

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)src_count;
    char text[96];
    int64_t k = 1;
    if (attrs->channels < 1 || attrs->channels > MAX_CHANNELS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%lld output channels, expected 1 to %d", (long long)attrs->channels,
                             MAX_CHANNELS);
    if (src->ndims < 2)
        return sac_error_set(error, SAC_ERROR_SHAPE, -1, "input %s has no axis behind N",
                             sac_shape_text(src, text));
    for (int d = 1; d < src->ndims; d++) {
        if (!sac_mul(k, src->dims[d], &k) || k > INT32_MAX)
            return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                 "input %s has more than 2^31 - 1 elements per sample",
                                 sac_shape_text(src, text));
    }
    *dst = (sac_shape){.ndims = 2, .dims = {src->dims[0], attrs->channels}};
    return SAC_OK;
}

// K, the elements of one sample.
static int64_t sample_count(const sac_shape *src) {
    return sac_shape_count(src) / src->dims[0];
}

static int params(const sac_attrs *attrs, const sac_shape *src, sac_param_spec *specs) {
    int64_t k = sample_count(src);
    specs[0] = (sac_param_spec){.suffix = "weight",
                                .shape = {.ndims = 2, .dims = {attrs->channels, k}},
                                .trainable = true,
                                .init = SAC_INIT_HE,
                                .fan_in = k};
    specs[1] = (sac_param_spec){.suffix = "bias",
                                .shape = {.ndims = 1, .dims = {attrs->channels}},
                                .trainable = true,
                                .init = SAC_INIT_ZERO};
    return attrs->bias ? 2 : 1;
}

static int64_t macs(const sac_attrs *attrs, const sac_shape *src, const sac_shape *dst) {
    (void)attrs;
    return sac_shape_count(dst) * sample_count(src);
}

// dst[n][o] = bias[o] + sum_k weight[o][k] * src[n][k]
static void ref_forward(const sac_ref *ref) {
    int64_t batch = ref->dst_shape.dims[0], channels = ref->dst_shape.dims[1],
            k = sample_count(&ref->src_shape[0]);
    for (int64_t n = 0; n < batch; n++) {
        for (int64_t o = 0; o < channels; o++) {
            double sum = ref->attrs->bias ? ref->param[1][o] : 0;
            for (int64_t i = 0; i < k; i++)
                sum += (double)ref->param[0][o * k + i] * ref->src[0][n * k + i];
            ref->dst[n * channels + o] = (float)sum;
        }
    }
}

// dst[n][o] = bias[o] + sum_k weight[o][k] * src[n][k]
//   =>  diff_src[n][k] = sum_o diff_dst[n][o] * weight[o][k]
//       diff_weight[o][k] += sum_n diff_dst[n][o] * src[n][k],  diff_bias[o] += sum_n
//       diff_dst[n][o]
static void ref_backward(const sac_ref *ref) {
    int64_t batch = ref->dst_shape.dims[0], channels = ref->dst_shape.dims[1],
            k = sample_count(&ref->src_shape[0]);
    if (ref->diff_src[0]) {
        for (int64_t n = 0; n < batch; n++) {
            for (int64_t i = 0; i < k; i++) {
                double sum = 0;
                for (int64_t o = 0; o < channels; o++)
                    sum += (double)ref->diff_dst[n * channels + o] * ref->param[0][o * k + i];
                ref->diff_src[0][n * k + i] = (float)sum;
            }
        }
    }
    if (ref->diff_param[0]) {
        for (int64_t o = 0; o < channels; o++) {
            for (int64_t i = 0; i < k; i++) {
                double sum = 0;
                for (int64_t n = 0; n < batch; n++)
                    sum += (double)ref->diff_dst[n * channels + o] * ref->src[0][n * k + i];
                ref->diff_param[0][o * k + i] += (float)sum;
            }
        }
    }
    if (ref->attrs->bias && ref->diff_param[1]) {
        for (int64_t o = 0; o < channels; o++) {
            double sum = 0;
            for (int64_t n = 0; n < batch; n++) sum += ref->diff_dst[n * channels + o];
            ref->diff_param[1][o] += (float)sum;
        }
    }
}

// --- oneDNN ------------------------------------------------------------------------------------

// Shape of the weight as the inner product sees it: [OC][K] for a row-major input, [OC][C][D][H][W]
// for a channels-last one.
static sac_shape weight_shape(const sac_shape *src, int64_t channels) {
    sac_shape shape = *src;
    shape.dims[0] = channels;
    return shape;
}

// Which side moves when a channels-last input meets a channels-first weight. An inference plan
// reorders the weight once and for all. A training plan would do so in every forward and backward,
// and the weight's gradient back: three times OC * K against twice N * K for the input and its
// gradient.
static bool flatten(const sac_build_node *node) {
    return node->src_shape[0].ndims <= 3 ||
           (node->training && 2 * node->src_shape[0].dims[0] < 3 * node->dst_shape.dims[1]);
}

// The input as [N][K], a view when it lies in channels-first order, or channels-last as it is;
// `seen` is the shape the inner product works on.
static sac_status take_src(sac_build *build, const sac_build_node *node, sac_buffer *src,
                           sac_shape *seen, sac_error *error) {
    const sac_shape *full = &node->src_shape[0];
    sac_shape flat = {.ndims = 2, .dims = {full->dims[0], sample_count(full)}};
    sac_strides strides, view;
    bool plain = sac_strides_of(&strides, sac_build_buffer_md(build, node->src[0]));
    if (plain && sac_strides_reshape(&view, &strides, &flat)) {
        sac_strides rows = sac_strides_row_major(&flat);
        if (sac_strides_equal(&view, &rows)) {
            *seen = flat;
            return sac_strides_view(build, node->src[0], &view, src, error);
        }
    }
    if (flatten(node)) {
        *seen = flat;
        return sac_strides_reshaped(build, node->src[0], full, &flat, src, error);
    }
    *seen = *full;
    return sac_build_layout(build, node->src[0], full, SAC_LAYOUT_CHANNELS_LAST, src, error);
}

// The activation fused behind the layer, as a post-operation.
static sac_status append_fused(dnnl_primitive_attr_t attr, const sac_build_node *node,
                               sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_post_ops_t ops = NULL;
    const sac_activation act = sac_activation_of(node->fused, &node->fused_attrs);
    SAC_TRY(sac_dnnl_status(dnnl_post_ops_create(&ops), "post-operations", error));
    SAC_TRY(sac_dnnl_status(dnnl_post_ops_append_eltwise(ops, act.kind, act.alpha, act.beta),
                            "fused activation", error));
    SAC_TRY(sac_dnnl_status(dnnl_primitive_attr_set_post_ops(attr, ops), "post-operations", error));
fail:
    if (ops) dnnl_post_ops_destroy(ops);
    return status;
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t weights_md = NULL, bias_md = NULL, dst_md = NULL;
    dnnl_primitive_attr_t attr = NULL;
    bool bias = node->node->attrs.bias || node->folded;
    int64_t channels = node->dst_shape.dims[1];
    sac_shape seen, bias_shape = {.ndims = 1, .dims = {channels}};
    sac_buffer src = -1, view = -1, weights = -1;

    SAC_TRY(take_src(build, node, &src, &seen, error));
    sac_shape wei_shape = weight_shape(&seen, channels);
    SAC_TRY(sac_build_md_any(&weights_md, &wei_shape, error));
    SAC_TRY(sac_build_md(&bias_md, &bias_shape, SAC_LAYOUT_CHANNELS_FIRST, error));
    SAC_TRY(sac_build_md(&dst_md, &node->dst_shape, SAC_LAYOUT_CHANNELS_FIRST, error));
    SAC_TRY(sac_dnnl_status(dnnl_primitive_attr_clone(&attr, sac_build_products_attr(build)),
                            "attributes", error));
    if (node->fused != SAC_OP_COUNT) SAC_TRY(append_fused(attr, node, error));
    SAC_TRY(sac_dnnl_status(dnnl_inner_product_forward_primitive_desc_create(
                                &node->forward_pd, sac_build_engine(build),
                                node->training ? dnnl_forward_training : dnnl_forward_inference,
                                sac_build_buffer_md(build, src), weights_md, bias ? bias_md : NULL,
                                dst_md, attr),
                            "dense forward", error));
    sac_strides rows = sac_strides_row_major(&wei_shape);
    SAC_TRY(sac_strides_view(build, node->param[0], &rows, &view, error));
    SAC_TRY(sac_build_weights(
        build, view, dnnl_primitive_desc_query_md(node->forward_pd, dnnl_query_weights_md, 0),
        &weights, error));
    SAC_TRY(sac_build_buffer(build, dst_md, &node->dst, error));
    SAC_TRY(sac_build_primitive(build, node->forward_pd,
                                (sac_arg[]){{DNNL_ARG_SRC, src},
                                            {DNNL_ARG_WEIGHTS, weights},
                                            {DNNL_ARG_BIAS, bias ? node->param[1] : -1},
                                            {DNNL_ARG_DST, node->dst}},
                                4, error));
    node->saved[0] = src;
    node->saved[1] = view;
fail:
    if (weights_md) dnnl_memory_desc_destroy(weights_md);
    if (bias_md) dnnl_memory_desc_destroy(bias_md);
    if (dst_md) dnnl_memory_desc_destroy(dst_md);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return status;
}

static sac_status backward_data(sac_build *build, sac_build_node *node, sac_buffer diff_dst,
                                const sac_shape *seen, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t weights_md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer weights = -1, diff_src = -1;
    sac_shape wei_shape = weight_shape(seen, node->dst_shape.dims[1]);
    const_dnnl_memory_desc_t src_md = sac_build_buffer_md(build, node->saved[0]);

    SAC_TRY(sac_build_md_any(&weights_md, &wei_shape, error));
    SAC_TRY(sac_dnnl_status(dnnl_inner_product_backward_data_primitive_desc_create(
                                &pd, sac_build_engine(build), src_md, weights_md,
                                sac_build_buffer_md(build, diff_dst), node->forward_pd,
                                sac_build_attr(build)),
                            "dense backward by data", error));
    SAC_TRY(sac_build_weights(build, node->saved[1],
                              dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), &weights,
                              error));
    SAC_TRY(sac_build_buffer(build, src_md, &diff_src, error));
    SAC_TRY(sac_build_primitive(build, pd,
                                (sac_arg[]){{DNNL_ARG_DIFF_DST, diff_dst},
                                            {DNNL_ARG_WEIGHTS, weights},
                                            {DNNL_ARG_DIFF_SRC, diff_src}},
                                3, error));
    SAC_TRY(sac_strides_reshaped(build, diff_src, seen, &node->src_shape[0], &node->diff_src[0],
                                 error));
fail:
    if (weights_md) dnnl_memory_desc_destroy(weights_md);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return status;
}

static sac_status backward_weights(sac_build *build, sac_build_node *node, sac_buffer diff_dst,
                                   const sac_shape *seen, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t weights_md = NULL, bias_md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    bool bias = node->node->attrs.bias && node->diff_param[1] >= 0;
    sac_shape wei_shape = weight_shape(seen, node->dst_shape.dims[1]),
              bias_shape = {.ndims = 1, .dims = {node->dst_shape.dims[1]}};
    sac_buffer diff_weights = -1, diff_bias = -1, view = -1;

    SAC_TRY(sac_build_md_any(&weights_md, &wei_shape, error));
    SAC_TRY(sac_build_md(&bias_md, &bias_shape, SAC_LAYOUT_CHANNELS_FIRST, error));
    SAC_TRY(sac_dnnl_status(dnnl_inner_product_backward_weights_primitive_desc_create(
                                &pd, sac_build_engine(build),
                                sac_build_buffer_md(build, node->saved[0]), weights_md,
                                bias ? bias_md : NULL, sac_build_buffer_md(build, diff_dst),
                                node->forward_pd, sac_build_attr(build)),
                            "dense backward by weights", error));
    SAC_TRY(sac_build_buffer(build, dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0),
                             &diff_weights, error));
    if (bias) SAC_TRY(sac_build_buffer(build, bias_md, &diff_bias, error));
    SAC_TRY(sac_build_primitive(build, pd,
                                (sac_arg[]){{DNNL_ARG_SRC, node->saved[0]},
                                            {DNNL_ARG_DIFF_DST, diff_dst},
                                            {DNNL_ARG_DIFF_WEIGHTS, diff_weights},
                                            {DNNL_ARG_DIFF_BIAS, diff_bias}},
                                4, error));
    if (node->diff_param[0] >= 0) {
        sac_strides rows = sac_strides_row_major(&wei_shape);
        SAC_TRY(sac_strides_view(build, node->diff_param[0], &rows, &view, error));
        SAC_TRY(sac_build_accumulate(build, diff_weights, view, error));
    }
    if (bias) SAC_TRY(sac_build_accumulate(build, diff_bias, node->diff_param[1], error));
fail:
    if (weights_md) dnnl_memory_desc_destroy(weights_md);
    if (bias_md) dnnl_memory_desc_destroy(bias_md);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    sac_buffer diff_dst = -1;
    sac_strides src;
    bool weights = node->diff_param[0] >= 0 || (node->node->attrs.bias && node->diff_param[1] >= 0);

    SAC_TRY(sac_build_layout(build, node->diff_dst, &node->dst_shape, SAC_LAYOUT_CHANNELS_FIRST,
                             &diff_dst, error));
    if (!sac_strides_of(&src, sac_build_buffer_md(build, node->saved[0])))
        return sac_error_set(error, SAC_ERROR_BACKEND, -1,
                             "dense: the kept input has no plain layout");
    sac_shape seen = {.ndims = src.ndims};
    memcpy(seen.dims, src.dims, sizeof seen.dims);
    if (node->want_diff_src[0]) SAC_TRY(backward_data(build, node, diff_dst, &seen, error));
    if (weights) SAC_TRY(backward_weights(build, node, diff_dst, &seen, error));
fail:
    return status;
}

const sac_op sac_op_dense = {
    .name = "dense",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .params = params,
    .macs = macs,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
