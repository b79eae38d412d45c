// Activations, element by element. In a plan each keeps the layout of its input. Where oneDNN can
// differentiate from the output it does, so that a training plan need not keep the input alive
// beside it. At a kink the reference takes the side that oneDNN takes.
#include <math.h>

#include "nn/activation.h"
#include "nn/op.h"
#include "nn/strides.h"

// --- shapes ------------------------------------------------------------------------------------

static sac_status any_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                            sac_shape *dst, sac_error *error) {
    (void)attrs, (void)src_count, (void)error;
    *dst = src[0];
    return SAC_OK;
}

static sac_status slope_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                              sac_shape *dst, sac_error *error) {
    (void)src_count;
    if (!isfinite(attrs->alpha) || fabs(attrs->alpha) > 1e6)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "alpha is %g, expected a number between -1e6 and 1e6", attrs->alpha);
    *dst = src[0];
    return SAC_OK;
}

static sac_status line_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                             sac_shape *dst, sac_error *error) {
    (void)src_count;
    if (!isfinite((float)attrs->alpha) || !isfinite((float)attrs->beta))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "alpha is %g and beta %g, expected numbers that a float can hold",
                             attrs->alpha, attrs->beta);
    *dst = src[0];
    return SAC_OK;
}

static sac_status clip_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                             sac_shape *dst, sac_error *error) {
    if (!(attrs->alpha <= attrs->beta))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "clips to [%g, %g], expected the lower limit first", attrs->alpha,
                             attrs->beta);
    return line_shape(attrs, src, src_count, dst, error);
}

// --- reference ---------------------------------------------------------------------------------

// dst = value(src), diff_src = diff_dst * slope(src), with alpha and beta rounded to f32 as the
// plans do.
typedef double (*function)(double s, double alpha, double beta);

static void apply(const sac_ref *ref, function value) {
    const double alpha = (double)(float)ref->attrs->alpha, beta = (double)(float)ref->attrs->beta;
    const int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++)
        ref->dst[i] = (float)value((double)ref->src[0][i], alpha, beta);
}

static void apply_backward(const sac_ref *ref, function slope) {
    if (!ref->diff_src[0]) return;
    const double alpha = (double)(float)ref->attrs->alpha, beta = (double)(float)ref->attrs->beta;
    const int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) {
        const double g = slope((double)ref->src[0][i], alpha, beta);
        ref->diff_src[0][i] = (float)((double)ref->diff_dst[i] * g);
    }
}

// What is not a number stays so, lest a network hide that it broke down.
// Both functions of one activation take part in its name: <name>_value and <name>_slope.
#define VALUE(name) static double name##_value(double s, double alpha, double beta)
#define SLOPE(name) static double name##_slope(double s, double alpha, double beta)
#define UNUSED_AB   (void)alpha, (void)beta

// dst = max(src, 0)
VALUE(relu) {
    UNUSED_AB;
    return s < 0 ? 0 : s;
}
SLOPE(relu) {
    UNUSED_AB;
    return s > 0 ? 1 : 0;
}

// dst = src > 0 ? src : alpha * src
VALUE(leaky_relu) {
    (void)beta;
    return s > 0 ? s : alpha * s;
}
SLOPE(leaky_relu) {
    (void)beta;
    return s > 0 ? 1 : alpha;
}

// dst = src * Phi(src), Phi(x) = (1 + erf(x / sqrt 2)) / 2
VALUE(gelu) {
    UNUSED_AB;
    return s * 0.5 * (1 + erf(s * 0.70710678118654752440));
}
// d (s Phi(s)) = Phi(s) + s phi(s), phi(s) = exp(-s^2 / 2) / sqrt(2 pi)
SLOPE(gelu) {
    UNUSED_AB;
    const double cumulative = 0.5 * (1 + erf(s * 0.70710678118654752440));
    return cumulative + s * exp(-0.5 * s * s) * 0.39894228040143267794;
}

// dst = 1 / (1 + exp(-src))
VALUE(sigmoid) {
    UNUSED_AB;
    return 1 / (1 + exp(-s));
}
SLOPE(sigmoid) {
    const double d = sigmoid_value(s, alpha, beta);
    return d * (1 - d);
}

// dst = min(max(src, alpha), beta)
VALUE(clip) {
    return s < alpha ? alpha : s > beta ? beta : s;
}
SLOPE(clip) {
    return s > alpha && s <= beta ? 1 : 0;
}

// dst = alpha * src + beta
VALUE(linear) {
    return alpha * s + beta;
}
SLOPE(linear) {
    (void)s, (void)beta;
    return alpha;
}

// dst = tanh(src)
VALUE(tanh) {
    UNUSED_AB;
    return tanh(s);
}
SLOPE(tanh) {
    UNUSED_AB;
    return 1 - tanh(s) * tanh(s);
}

// dst = src * sigmoid(alpha * src)
VALUE(swish) {
    return s * sigmoid_value(alpha * s, 0, beta);
}
SLOPE(swish) {
    const double v = sigmoid_value(alpha * s, 0, beta);
    return v + alpha * s * v * (1 - v);
}

// dst = min(max(alpha * src + beta, 0), 1)
VALUE(hard_sigmoid) {
    const double v = alpha * s + beta;
    return v < 0 ? 0 : v > 1 ? 1 : v;
}
SLOPE(hard_sigmoid) {
    const double v = alpha * s + beta;
    return v > 0 && v < 1 ? alpha : 0;
}

// dst = src * min(max(alpha * src + beta, 0), 1)
VALUE(hard_swish) {
    return s * hard_sigmoid_value(s, alpha, beta);
}
SLOPE(hard_swish) {
    const double v = alpha * s + beta;
    return v <= 0 ? 0 : v >= 1 ? 1 : 2 * alpha * s + beta;
}

// dst = src * tanh(log(1 + exp(src)))
static double soft_plus(double s) {
    return s > 30 ? s : log1p(exp(s));
}
VALUE(mish) {
    UNUSED_AB;
    return s * tanh(soft_plus(s));
}
SLOPE(mish) {
    const double t = tanh(soft_plus(s));
    return t + s * (1 - t * t) * sigmoid_value(s, alpha, beta);
}

// --- oneDNN ------------------------------------------------------------------------------------

bool sac_is_activation(sac_op_kind kind) {
    switch (kind) {
    case SAC_OP_RELU:
    case SAC_OP_LEAKY_RELU:
    case SAC_OP_GELU:
    case SAC_OP_SIGMOID:
    case SAC_OP_CLIP:
    case SAC_OP_LINEAR:
    case SAC_OP_TANH:
    case SAC_OP_SWISH:
    case SAC_OP_HARD_SIGMOID:
    case SAC_OP_HARD_SWISH:
    case SAC_OP_MISH:
        return true;
    default:
        return false;
    }
}

sac_activation sac_activation_of(sac_op_kind kind, const sac_attrs *attrs) {
    const float a = (float)attrs->alpha, b = (float)attrs->beta;
    switch (kind) {
    case SAC_OP_LEAKY_RELU:
        // With a negative slope the sign of src cannot be told from dst.
        return (sac_activation){dnnl_eltwise_relu,
                                a >= 0 ? dnnl_eltwise_relu_use_dst_for_bwd : dnnl_eltwise_relu, a,
                                0, a >= 0};
    case SAC_OP_GELU:
        return (sac_activation){dnnl_eltwise_gelu_erf, dnnl_eltwise_gelu_erf, 0, 0, false};
    case SAC_OP_SIGMOID:
        return (sac_activation){dnnl_eltwise_logistic, dnnl_eltwise_logistic_use_dst_for_bwd, 0, 0,
                                true};
    case SAC_OP_CLIP:
        return (sac_activation){dnnl_eltwise_clip, dnnl_eltwise_clip, a, b, false};
    case SAC_OP_LINEAR:
        return (sac_activation){dnnl_eltwise_linear, dnnl_eltwise_linear, a, b, false};
    case SAC_OP_TANH:
        return (sac_activation){dnnl_eltwise_tanh, dnnl_eltwise_tanh_use_dst_for_bwd, 0, 0, true};
    case SAC_OP_SWISH:
        return (sac_activation){dnnl_eltwise_swish, dnnl_eltwise_swish, a, 0, false};
    case SAC_OP_HARD_SIGMOID:
        return (sac_activation){dnnl_eltwise_hardsigmoid, dnnl_eltwise_hardsigmoid, a, b, false};
    case SAC_OP_HARD_SWISH:
        return (sac_activation){dnnl_eltwise_hardswish, dnnl_eltwise_hardswish, a, b, false};
    case SAC_OP_MISH:
        return (sac_activation){dnnl_eltwise_mish, dnnl_eltwise_mish, 0, 0, false};
    default:
        return (sac_activation){dnnl_eltwise_relu, dnnl_eltwise_relu_use_dst_for_bwd, 0, 0, true};
    }
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    sac_strides strides;
    sac_buffer src = -1;
    const sac_activation act = sac_activation_of(node->node->kind, &node->node->attrs);

    SAC_TRY(sac_strides_plain(build, node->src[0], &node->src_shape[0], &src, &strides, error));
    SAC_TRY(sac_strides_md(&md, &strides, error));
    SAC_TRY(sac_dnnl_status(dnnl_eltwise_forward_primitive_desc_create(
                                &node->forward_pd, sac_build_engine(build),
                                node->training ? dnnl_forward_training : dnnl_forward_inference,
                                node->training ? act.train_kind : act.kind, md, md, act.alpha,
                                act.beta, sac_build_attr(build)),
                            "activation forward", error));
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    SAC_TRY(sac_build_primitive(build, node->forward_pd,
                                (sac_arg[]){{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, node->dst}}, 2,
                                error));
    node->saved[0] = act.from_dst ? node->dst : src;
fail:
    if (md) dnnl_memory_desc_destroy(md);
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    sac_status status = SAC_OK;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer diff_dst = -1;
    const sac_activation act = sac_activation_of(node->node->kind, &node->node->attrs);
    const_dnnl_memory_desc_t md = sac_build_buffer_md(build, node->dst);

    SAC_TRY(sac_build_reorder(build, node->diff_dst, md, &diff_dst, error));
    SAC_TRY(sac_dnnl_status(dnnl_eltwise_backward_primitive_desc_create(
                                &pd, sac_build_engine(build), act.train_kind, md, md, md, act.alpha,
                                act.beta, node->forward_pd, sac_build_attr(build)),
                            "activation backward", error));
    SAC_TRY(sac_build_buffer(build, md, &node->diff_src[0], error));
    SAC_TRY(sac_build_primitive(
        build, pd,
        (sac_arg[]){{act.from_dst ? DNNL_ARG_DST : DNNL_ARG_SRC, node->saved[0]},
                    {DNNL_ARG_DIFF_DST, diff_dst},
                    {DNNL_ARG_DIFF_SRC, node->diff_src[0]}},
        3, error));
fail:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return status;
}

#define ACTIVATION(id, shape_check)                                                                \
    static void id##_forward(const sac_ref *ref) {                                                 \
        apply(ref, id##_value);                                                                    \
    }                                                                                              \
    static void id##_backward(const sac_ref *ref) {                                                \
        apply_backward(ref, id##_slope);                                                           \
    }                                                                                              \
    const sac_op sac_op_##id = {                                                                   \
        .name = #id,                                                                               \
        .min_src = 1,                                                                              \
        .max_src = 1,                                                                              \
        .shape = shape_check,                                                                      \
        .ref_forward = id##_forward,                                                               \
        .ref_backward = id##_backward,                                                             \
        .build_forward = build_forward,                                                            \
        .build_backward = build_backward,                                                          \
    }

ACTIVATION(relu, any_shape);
ACTIVATION(leaky_relu, slope_shape);
ACTIVATION(gelu, any_shape);
ACTIVATION(sigmoid, any_shape);
ACTIVATION(clip, clip_shape);
ACTIVATION(linear, line_shape);
ACTIVATION(tanh, any_shape);
ACTIVATION(swish, slope_shape);
ACTIVATION(hard_sigmoid, line_shape);
ACTIVATION(hard_swish, line_shape);
ACTIVATION(mish, any_shape);
