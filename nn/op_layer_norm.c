// Layer normalisation over the last axis, as tokens [N][T][C] use it: oneDNN on plain row-major
// data, the same in training and inference.
//
//   dst = weight * (src - mean) / sqrt(var + epsilon) + bias        mean, biased var over the last
//   axis; weight, bias [C]
// Source: Ba, Kiros and Hinton, Layer Normalization, 2016, equation 4 with the variance's epsilon
// of common practice.
#include <math.h>

#include "nn/op.h"

enum { WEIGHT, BIAS };

static sac_status layer_norm_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                                   sac_shape *dst, sac_error *error) {
    (void)src_count;
    char text[96];
    if (src[0].ndims < 2) {
        return sac_error_set(error, SAC_ERROR_SHAPE, -1, "input is %s, expected an axis behind N",
                             sac_shape_text(&src[0], text));
    }
    if (!(attrs->epsilon > 0.0) || attrs->epsilon > 1.0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "epsilon %g, expected above 0 and at most 1", attrs->epsilon);
    }
    *dst = src[0];
    return SAC_OK;
}

static int64_t width_of(const sac_shape *shape) {
    return shape->dims[shape->ndims - 1];
}

static int layer_norm_params(const sac_attrs *attrs, const sac_shape *src, sac_param_spec *specs) {
    (void)attrs;
    sac_shape width = {.ndims = 1, .dims = {width_of(&src[0])}};
    specs[WEIGHT] = (sac_param_spec){
        .suffix = "weight", .shape = width, .trainable = true, .init = SAC_INIT_ONE};
    specs[BIAS] = (sac_param_spec){
        .suffix = "bias", .shape = width, .trainable = true, .init = SAC_INIT_ZERO};
    return 2;
}

// -------------------------------------------------------------------------------------------------
// Reference

typedef struct moments {
    double mean, scale; // scale = 1 / sqrt(var + epsilon)
} moments;

static moments moments_of(const float *row, int64_t c, double epsilon) {
    double mean = 0.0, var = 0.0;
    for (int64_t i = 0; i < c; i++) mean += (double)row[i];
    mean /= (double)c;
    for (int64_t i = 0; i < c; i++) var += ((double)row[i] - mean) * ((double)row[i] - mean);
    return (moments){mean, 1.0 / sqrt(var / (double)c + epsilon)};
}

static void layer_norm_ref_forward(const sac_ref *ref) {
    int64_t c = width_of(&ref->src_shape[0]), rows = sac_shape_count(&ref->src_shape[0]) / c;
    for (int64_t r = 0; r < rows; r++) {
        const float *src = ref->src[0] + r * c;
        moments m = moments_of(src, c, ref->attrs->epsilon);
        for (int64_t i = 0; i < c; i++) {
            double normal = ((double)src[i] - m.mean) * m.scale;
            ref->dst[r * c + i] =
                (float)((double)ref->param[WEIGHT][i] * normal + (double)ref->param[BIAS][i]);
        }
    }
}

static void layer_norm_ref_backward(const sac_ref *ref) {
    int64_t c = width_of(&ref->src_shape[0]), rows = sac_shape_count(&ref->src_shape[0]) / c;
    // dst = weight * normal + bias. Columns outside, so that each sum stays in double without a
    // buffer.
    for (int64_t i = 0; i < c && (ref->diff_param[WEIGHT] != NULL || ref->diff_param[BIAS] != NULL);
         i++) {
        double diff_weight = 0.0, diff_bias = 0.0;
        for (int64_t r = 0; r < rows; r++) {
            const float *src = ref->src[0] + r * c;
            moments m = moments_of(src, c, ref->attrs->epsilon);
            diff_weight += (double)ref->diff_dst[r * c + i] * ((double)src[i] - m.mean) * m.scale;
            diff_bias += (double)ref->diff_dst[r * c + i];
        }
        if (ref->diff_param[WEIGHT] != NULL) ref->diff_param[WEIGHT][i] += (float)diff_weight;
        if (ref->diff_param[BIAS] != NULL) ref->diff_param[BIAS][i] += (float)diff_bias;
    }
    if (ref->diff_src[0] == NULL) return;
    for (int64_t r = 0; r < rows; r++) {
        const float *src = ref->src[0] + r * c, *diff_dst = ref->diff_dst + r * c;
        moments m = moments_of(src, c, ref->attrs->epsilon);
        // normal = (src - mean(src)) / sqrt(var(src) + epsilon): the mean and the part along
        // `normal` of the gradient fall out.
        double sum = 0.0, along = 0.0;
        for (int64_t i = 0; i < c; i++) {
            double diff_normal = (double)diff_dst[i] * (double)ref->param[WEIGHT][i];
            sum += diff_normal;
            along += diff_normal * ((double)src[i] - m.mean) * m.scale;
        }
        for (int64_t i = 0; i < c; i++) {
            double diff_normal = (double)diff_dst[i] * (double)ref->param[WEIGHT][i],
                   normal = ((double)src[i] - m.mean) * m.scale;
            ref->diff_src[0][r * c + i] =
                (float)(m.scale * (diff_normal - sum / (double)c - normal * along / (double)c));
        }
    }
}

// -------------------------------------------------------------------------------------------------
// oneDNN

enum { SAVED_SRC, SAVED_MEAN, SAVED_VAR };

// The last axis must be the innermost one in memory, whatever the number of axes.
#define LAYOUT SAC_LAYOUT_CHANNELS_FIRST

static sac_shape statistics_shape(const sac_shape *src) {
    sac_shape shape = *src;
    shape.ndims--;
    shape.dims[shape.ndims] = 0;
    return shape;
}

static sac_status layer_norm_build_forward(sac_build *build, sac_build_node *node,
                                           sac_error *error) {
    sac_status status = SAC_OK;
    sac_shape statistics = statistics_shape(&node->src_shape[0]);
    dnnl_memory_desc_t md = NULL, statistics_md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer src = -1, mean = -1, var = -1;
    SAC_TRY(sac_build_md(&md, &node->src_shape[0], LAYOUT, error));
    SAC_TRY(sac_build_md(&statistics_md, &statistics, LAYOUT, error));
    SAC_TRY(sac_build_reorder(build, node->src[0], md, &src, error));
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    SAC_TRY(sac_dnnl_status(dnnl_layer_normalization_forward_primitive_desc_create(
                                &pd, sac_build_engine(build),
                                node->training ? dnnl_forward_training : dnnl_forward_inference, md,
                                md, statistics_md, (float)node->node->attrs.epsilon,
                                dnnl_use_scale | dnnl_use_shift, sac_build_attr(build)),
                            "layer normalisation", error));
    if (node->training) {
        SAC_TRY(sac_build_buffer(build, statistics_md, &mean, error));
        SAC_TRY(sac_build_buffer(build, statistics_md, &var, error));
        node->saved[SAVED_SRC] = src;
        node->saved[SAVED_MEAN] = mean;
        node->saved[SAVED_VAR] = var;
    }
    const sac_arg args[] = {
        {DNNL_ARG_SRC, src},
        {DNNL_ARG_SCALE, node->param[WEIGHT]},
        {DNNL_ARG_SHIFT, node->param[BIAS]},
        {DNNL_ARG_MEAN, mean},
        {DNNL_ARG_VARIANCE, var},
        {DNNL_ARG_DST, node->dst},
    };
    SAC_TRY(sac_build_primitive(build, pd, args, 6, error));
    if (node->training) {
        node->forward_pd = pd;
        pd = NULL;
    }
fail:
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_desc_destroy(md);
    dnnl_memory_desc_destroy(statistics_md);
    return status;
}

static sac_status layer_norm_build_backward(sac_build *build, sac_build_node *node,
                                            sac_error *error) {
    bool want_params = node->diff_param[WEIGHT] >= 0 || node->diff_param[BIAS] >= 0;
    if (!node->want_diff_src[0] && !want_params) return SAC_OK;
    sac_status status = SAC_OK;
    sac_shape statistics = statistics_shape(&node->src_shape[0]);
    sac_shape width = {.ndims = 1, .dims = {width_of(&node->src_shape[0])}};
    dnnl_memory_desc_t md = NULL, statistics_md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer diff_dst = -1, diff_src = -1, diff_scale = -1, diff_shift = -1;
    SAC_TRY(sac_build_md(&md, &node->src_shape[0], LAYOUT, error));
    SAC_TRY(sac_build_md(&statistics_md, &statistics, LAYOUT, error));
    SAC_TRY(sac_build_reorder(build, node->diff_dst, md, &diff_dst, error));
    SAC_TRY(sac_build_buffer(build, md, &diff_src, error));
    SAC_TRY(sac_build_buffer_like(build, &width, LAYOUT, &diff_scale, error));
    SAC_TRY(sac_build_buffer_like(build, &width, LAYOUT, &diff_shift, error));
    SAC_TRY(
        sac_dnnl_status(dnnl_layer_normalization_backward_primitive_desc_create(
                            &pd, sac_build_engine(build), dnnl_backward, md, md, md, statistics_md,
                            (float)node->node->attrs.epsilon, dnnl_use_scale | dnnl_use_shift,
                            node->forward_pd, sac_build_attr(build)),
                        "layer normalisation backward", error));
    const sac_arg args[] = {
        {DNNL_ARG_SRC, node->saved[SAVED_SRC]},
        {DNNL_ARG_MEAN, node->saved[SAVED_MEAN]},
        {DNNL_ARG_VARIANCE, node->saved[SAVED_VAR]},
        {DNNL_ARG_SCALE, node->param[WEIGHT]},
        {DNNL_ARG_SHIFT, node->param[BIAS]}, // unused by the formula, demanded by oneDNN
        {DNNL_ARG_DIFF_DST, diff_dst},
        {DNNL_ARG_DIFF_SRC, diff_src},
        {DNNL_ARG_DIFF_SCALE, diff_scale},
        {DNNL_ARG_DIFF_SHIFT, diff_shift},
    };
    SAC_TRY(sac_build_primitive(build, pd, args, 9, error));
    if (node->want_diff_src[0]) node->diff_src[0] = diff_src;
    if (node->diff_param[WEIGHT] >= 0)
        SAC_TRY(sac_build_accumulate(build, diff_scale, node->diff_param[WEIGHT], error));
    if (node->diff_param[BIAS] >= 0)
        SAC_TRY(sac_build_accumulate(build, diff_shift, node->diff_param[BIAS], error));
fail:
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_desc_destroy(md);
    dnnl_memory_desc_destroy(statistics_md);
    return status;
}

const sac_op sac_op_layer_norm = {
    .name = "layer_norm",
    .min_src = 1,
    .max_src = 1,
    .shape = layer_norm_shape,
    .params = layer_norm_params,
    .ref_forward = layer_norm_ref_forward,
    .ref_backward = layer_norm_ref_backward,
    .build_forward = layer_norm_build_forward,
    .build_backward = layer_norm_build_backward,
};
