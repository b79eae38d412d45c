// Activations, element by element: ReLU, leaky ReLU, GELU (exact, with erf) and sigmoid. In a plan
// each keeps the layout of its input. Where oneDNN can differentiate from the output it does, so
// that a training plan need not keep the input alive beside it.
#include <math.h>

#include "nn/op.h"
#include "nn/strides.h"

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)attrs, (void)src_count, (void)error;
    *dst = src[0];
    return SAC_OK;
}

static sac_status leaky_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                              sac_shape *dst, sac_error *error) {
    (void)src_count;
    if (!isfinite(attrs->alpha) || fabs(attrs->alpha) > 1e6)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "alpha is %g, expected a number between -1e6 and 1e6", attrs->alpha);
    *dst = src[0];
    return SAC_OK;
}

// --- reference ---------------------------------------------------------------------------------

// dst = src > 0 ? src : slope * src
static void rectify(const sac_ref *ref, double slope) {
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) {
        double s = ref->src[0][i];
        ref->dst[i] = (float)(s > 0 ? s : slope * s);
    }
}

// dst = src > 0 ? src : slope * src  =>  diff_src = diff_dst * (src > 0 ? 1 : slope)
static void rectify_backward(const sac_ref *ref, double slope) {
    if (!ref->diff_src[0]) return;
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++)
        ref->diff_src[0][i] = (float)(ref->diff_dst[i] * (ref->src[0][i] > 0 ? 1.0 : slope));
}

// dst = max(src, 0)
static void relu_forward(const sac_ref *ref) {
    rectify(ref, 0);
}
static void relu_backward(const sac_ref *ref) {
    rectify_backward(ref, 0);
}

// dst = src > 0 ? src : alpha * src, alpha rounded to f32 as the plans do
static void leaky_forward(const sac_ref *ref) {
    rectify(ref, (float)ref->attrs->alpha);
}
static void leaky_backward(const sac_ref *ref) {
    rectify_backward(ref, (float)ref->attrs->alpha);
}

// dst = src * Phi(src), Phi(x) = (1 + erf(x / sqrt 2)) / 2
static void gelu_forward(const sac_ref *ref) {
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) {
        double s = ref->src[0][i];
        ref->dst[i] = (float)(s * 0.5 * (1 + erf(s * 0.70710678118654752440)));
    }
}

// dst = s Phi(s)  =>  diff_src = diff_dst * (Phi(s) + s phi(s)), phi(s) = exp(-s^2 / 2) / sqrt(2
// pi)
static void gelu_backward(const sac_ref *ref) {
    if (!ref->diff_src[0]) return;
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) {
        double s = ref->src[0][i];
        double cumulative = 0.5 * (1 + erf(s * 0.70710678118654752440));
        double density = exp(-0.5 * s * s) * 0.39894228040143267794;
        ref->diff_src[0][i] = (float)(ref->diff_dst[i] * (cumulative + s * density));
    }
}

// dst = 1 / (1 + exp(-src))
static void sigmoid_forward(const sac_ref *ref) {
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++)
        ref->dst[i] = (float)(1 / (1 + exp(-(double)ref->src[0][i])));
}

// dst = 1 / (1 + exp(-src))  =>  diff_src = diff_dst * dst * (1 - dst)
static void sigmoid_backward(const sac_ref *ref) {
    if (!ref->diff_src[0]) return;
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) {
        double d = ref->dst[i];
        ref->diff_src[0][i] = (float)(ref->diff_dst[i] * (d * (1 - d)));
    }
}

// --- oneDNN ------------------------------------------------------------------------------------

typedef struct eltwise {
    dnnl_alg_kind_t kind;
    float alpha;
    bool from_dst; // backward reads dst instead of src
} eltwise;

static eltwise eltwise_of(const sac_node *node) {
    switch (node->kind) {
    case SAC_OP_LEAKY_RELU: {
        // With a negative slope the sign of src cannot be told from dst.
        float alpha = (float)node->attrs.alpha;
        if (alpha >= 0) return (eltwise){dnnl_eltwise_relu_use_dst_for_bwd, alpha, true};
        return (eltwise){dnnl_eltwise_relu, alpha, false};
    }
    case SAC_OP_GELU:
        return (eltwise){dnnl_eltwise_gelu_erf, 0, false};
    case SAC_OP_SIGMOID:
        return (eltwise){dnnl_eltwise_logistic_use_dst_for_bwd, 0, true};
    default:
        return (eltwise){dnnl_eltwise_relu_use_dst_for_bwd, 0, true};
    }
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    sac_strides strides;
    sac_buffer src = -1;
    eltwise e = eltwise_of(node->node);

    SAC_TRY(sac_strides_plain(build, node->src[0], &node->src_shape[0], &src, &strides, error));
    SAC_TRY(sac_strides_md(&md, &strides, error));
    SAC_TRY(sac_dnnl_status(dnnl_eltwise_forward_primitive_desc_create(
                                &node->forward_pd, sac_build_engine(build),
                                node->training ? dnnl_forward_training : dnnl_forward_inference,
                                e.kind, md, md, e.alpha, 0, sac_build_attr(build)),
                            "activation forward", error));
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    SAC_TRY(sac_build_primitive(build, node->forward_pd,
                                (sac_arg[]){{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, node->dst}}, 2,
                                error));
    node->saved[0] = e.from_dst ? node->dst : src;
fail:
    if (md) dnnl_memory_desc_destroy(md);
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    sac_status status = SAC_OK;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer diff_dst = -1;
    eltwise e = eltwise_of(node->node);
    const_dnnl_memory_desc_t md = sac_build_buffer_md(build, node->dst);

    SAC_TRY(sac_build_reorder(build, node->diff_dst, md, &diff_dst, error));
    SAC_TRY(sac_dnnl_status(dnnl_eltwise_backward_primitive_desc_create(
                                &pd, sac_build_engine(build), e.kind, md, md, md, e.alpha, 0,
                                node->forward_pd, sac_build_attr(build)),
                            "activation backward", error));
    SAC_TRY(sac_build_buffer(build, md, &node->diff_src[0], error));
    SAC_TRY(
        sac_build_primitive(build, pd,
                            (sac_arg[]){{e.from_dst ? DNNL_ARG_DST : DNNL_ARG_SRC, node->saved[0]},
                                        {DNNL_ARG_DIFF_DST, diff_dst},
                                        {DNNL_ARG_DIFF_SRC, node->diff_src[0]}},
                            3, error));
fail:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return status;
}

const sac_op sac_op_relu = {
    .name = "relu",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = relu_forward,
    .ref_backward = relu_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};

const sac_op sac_op_leaky_relu = {
    .name = "leaky_relu",
    .min_src = 1,
    .max_src = 1,
    .shape = leaky_shape,
    .ref_forward = leaky_forward,
    .ref_backward = leaky_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};

const sac_op sac_op_gelu = {
    .name = "gelu",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = gelu_forward,
    .ref_backward = gelu_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};

const sac_op sac_op_sigmoid = {
    .name = "sigmoid",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = sigmoid_forward,
    .ref_backward = sigmoid_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
