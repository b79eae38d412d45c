// Batch normalisation per channel (axis 1) over N and space, for 2 to 5 axes: oneDNN in
// channels-last, training with batch statistics, inference with the running ones. The inference
// plan folds it into a convolution or dense before it, so the inference path here is what remains.
//
//   dst = weight * (src - mean) / sqrt(var + epsilon) + bias        var: biased, sum((src -
//   mean)^2) / M, M values per channel
//   running_mean = (1 - momentum) running_mean + momentum mean
//   running_var  = (1 - momentum) running_var  + momentum var M / (M - 1)        unbiased, as is
//                common; M = 1 takes var, which is 0
// Source: Ioffe and Szegedy, Batch Normalization, ICML 2015, algorithms 1 and 2. The running
// average replaces the average over training batches.
#include <math.h>

#include "nn/op.h"

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };

static sac_status batch_norm_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                                   sac_shape *dst, sac_error *error) {
    (void)src_count;
    char text[96];
    if (src[0].ndims < 2 || src[0].ndims > 5) {
        return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                             "input is %s, expected 2 to 5 axes [N][C]...",
                             sac_shape_text(&src[0], text));
    }
    if (!(attrs->epsilon > 0.0) || attrs->epsilon > 1.0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "epsilon %g, expected above 0 and at most 1", attrs->epsilon);
    }
    if (!(attrs->momentum >= 0.0) || attrs->momentum > 1.0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "momentum %g, expected 0 to 1",
                             attrs->momentum);
    }
    *dst = src[0];
    return SAC_OK;
}

static int batch_norm_params(const sac_attrs *attrs, const sac_shape *src, sac_param_spec *specs) {
    (void)attrs;
    sac_shape channels = {.ndims = 1, .dims = {src[0].dims[1]}};
    specs[WEIGHT] = (sac_param_spec){
        .suffix = "weight", .shape = channels, .trainable = true, .init = SAC_INIT_ONE};
    specs[BIAS] = (sac_param_spec){
        .suffix = "bias", .shape = channels, .trainable = true, .init = SAC_INIT_ZERO};
    specs[RUNNING_MEAN] =
        (sac_param_spec){.suffix = "running_mean", .shape = channels, .init = SAC_INIT_ZERO};
    specs[RUNNING_VAR] =
        (sac_param_spec){.suffix = "running_var", .shape = channels, .init = SAC_INIT_ONE};
    return 4;
}

// -------------------------------------------------------------------------------------------------
// Reference

typedef struct geometry {
    int64_t n, c, s; // s: positions per sample and channel
} geometry;

static geometry geometry_of(const sac_shape *shape) {
    return (geometry){.n = shape->dims[0],
                      .c = shape->dims[1],
                      .s = sac_shape_count(shape) / (shape->dims[0] * shape->dims[1])};
}

typedef struct moments {
    double mean, var;
} moments;

static moments moments_of(const float *src, const geometry *g, int64_t c) {
    double count = (double)(g->n * g->s);
    moments m = {0.0, 0.0};
    for (int64_t n = 0; n < g->n; n++) {
        for (int64_t s = 0; s < g->s; s++) m.mean += (double)src[(n * g->c + c) * g->s + s];
    }
    m.mean /= count;
    for (int64_t n = 0; n < g->n; n++) {
        for (int64_t s = 0; s < g->s; s++) {
            double d = (double)src[(n * g->c + c) * g->s + s] - m.mean;
            m.var += d * d;
        }
    }
    m.var /= count;
    return m;
}

static double running(double old, double batch, double momentum) {
    return (1.0 - momentum) * old + momentum * batch;
}

static double unbiased(double var, double count) {
    return count > 1.0 ? var * count / (count - 1.0) : var;
}

static void batch_norm_ref_forward(const sac_ref *ref) {
    geometry g = geometry_of(&ref->src_shape[0]);
    double count = (double)(g.n * g.s), momentum = ref->attrs->momentum;
    for (int64_t c = 0; c < g.c; c++) {
        moments m = {(double)ref->param[RUNNING_MEAN][c], (double)ref->param[RUNNING_VAR][c]};
        if (ref->training) {
            m = moments_of(ref->src[0], &g, c);
            float *mean = ref->state[RUNNING_MEAN] + c, *var = ref->state[RUNNING_VAR] + c;
            *mean = (float)running((double)*mean, m.mean, momentum);
            *var = (float)running((double)*var, unbiased(m.var, count), momentum);
        }
        double scale = 1.0 / sqrt(m.var + ref->attrs->epsilon);
        for (int64_t n = 0; n < g.n; n++) {
            for (int64_t s = 0; s < g.s; s++) {
                int64_t i = (n * g.c + c) * g.s + s;
                double normal = ((double)ref->src[0][i] - m.mean) * scale;
                ref->dst[i] =
                    (float)((double)ref->param[WEIGHT][c] * normal + (double)ref->param[BIAS][c]);
            }
        }
    }
}

static void batch_norm_ref_backward(const sac_ref *ref) {
    geometry g = geometry_of(&ref->src_shape[0]);
    double count = (double)(g.n * g.s);
    for (int64_t c = 0; c < g.c; c++) {
        moments m = moments_of(ref->src[0], &g, c);
        double scale = 1.0 / sqrt(m.var + ref->attrs->epsilon);
        // dst = weight * normal + bias
        double diff_weight = 0.0, diff_bias = 0.0;
        for (int64_t n = 0; n < g.n; n++) {
            for (int64_t s = 0; s < g.s; s++) {
                int64_t i = (n * g.c + c) * g.s + s;
                diff_weight += (double)ref->diff_dst[i] * ((double)ref->src[0][i] - m.mean) * scale;
                diff_bias += (double)ref->diff_dst[i];
            }
        }
        if (ref->diff_param[WEIGHT] != NULL) ref->diff_param[WEIGHT][c] += (float)diff_weight;
        if (ref->diff_param[BIAS] != NULL) ref->diff_param[BIAS][c] += (float)diff_bias;
        if (ref->diff_src[0] == NULL) continue;
        // normal = (src - mean(src)) / sqrt(var(src) + epsilon): the mean and the part along
        // `normal` of the gradient fall out.
        double weight = (double)ref->param[WEIGHT][c];
        for (int64_t n = 0; n < g.n; n++) {
            for (int64_t s = 0; s < g.s; s++) {
                int64_t i = (n * g.c + c) * g.s + s;
                double normal = ((double)ref->src[0][i] - m.mean) * scale;
                ref->diff_src[0][i] = (float)(weight * scale *
                                              ((double)ref->diff_dst[i] - diff_bias / count -
                                               normal * diff_weight / count));
            }
        }
    }
}

// -------------------------------------------------------------------------------------------------
// oneDNN

enum { SAVED_SRC, SAVED_MEAN, SAVED_VAR };

typedef struct running_context {
    int64_t c;
    double count, momentum;
} running_context;

// buffers: mean, var of the batch; running mean, running var
static void kernel_running(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const running_context *x = context;
    for (int64_t c = 0; c < x->c; c++) {
        buffers[2][c] = (float)running((double)buffers[2][c], (double)buffers[0][c], x->momentum);
        buffers[3][c] = (float)running((double)buffers[3][c],
                                       unbiased((double)buffers[1][c], x->count), x->momentum);
    }
}

static sac_status batch_norm_build_forward(sac_build *build, sac_build_node *node,
                                           sac_error *error) {
    sac_status status = SAC_OK;
    const sac_attrs *attrs = &node->node->attrs;
    geometry g = geometry_of(&node->src_shape[0]);
    dnnl_memory_desc_t md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer src = -1, mean = node->param[RUNNING_MEAN], var = node->param[RUNNING_VAR];
    unsigned flags =
        dnnl_use_scale | dnnl_use_shift | (node->training ? 0u : (unsigned)dnnl_use_global_stats);
    SAC_TRY(sac_build_md(&md, &node->src_shape[0], sac_build_default_layout(build), error));
    SAC_TRY(sac_build_reorder(build, node->src[0], md, &src, error));
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    SAC_TRY(sac_dnnl_status(dnnl_batch_normalization_forward_primitive_desc_create(
                                &pd, sac_build_engine(build),
                                node->training ? dnnl_forward_training : dnnl_forward_inference, md,
                                md, (float)attrs->epsilon, flags, sac_build_attr(build)),
                            "batch normalisation", error));
    if (node->training) {
        sac_shape channels = {.ndims = 1, .dims = {g.c}};
        SAC_TRY(sac_build_buffer_like(build, &channels, SAC_LAYOUT_CHANNELS_FIRST, &mean, error));
        SAC_TRY(sac_build_buffer_like(build, &channels, SAC_LAYOUT_CHANNELS_FIRST, &var, error));
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
        running_context x = {.c = g.c, .count = (double)(g.n * g.s), .momentum = attrs->momentum};
        const sac_buffer buffers[] = {mean, var, node->param[RUNNING_MEAN],
                                      node->param[RUNNING_VAR]};
        SAC_TRY(sac_build_kernel(build, "running statistics", kernel_running, &x, sizeof(x),
                                 buffers, 4, error));
        node->forward_pd = pd;
        pd = NULL;
    }
fail:
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_desc_destroy(md);
    return status;
}

static sac_status batch_norm_build_backward(sac_build *build, sac_build_node *node,
                                            sac_error *error) {
    bool want_params = node->diff_param[WEIGHT] >= 0 || node->diff_param[BIAS] >= 0;
    if (!node->want_diff_src[0] && !want_params) return SAC_OK;
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer diff_dst = -1, diff_src = -1, diff_scale = -1, diff_shift = -1;
    sac_shape channels = {.ndims = 1, .dims = {node->src_shape[0].dims[1]}};
    SAC_TRY(sac_build_md(&md, &node->src_shape[0], sac_build_default_layout(build), error));
    SAC_TRY(sac_build_reorder(build, node->diff_dst, md, &diff_dst, error));
    // There is no primitive for the parameters alone, nor one that leaves them out while scaling:
    // all three are always made.
    SAC_TRY(sac_build_buffer(build, md, &diff_src, error));
    SAC_TRY(sac_build_buffer_like(build, &channels, SAC_LAYOUT_CHANNELS_FIRST, &diff_scale, error));
    SAC_TRY(sac_build_buffer_like(build, &channels, SAC_LAYOUT_CHANNELS_FIRST, &diff_shift, error));
    SAC_TRY(sac_dnnl_status(dnnl_batch_normalization_backward_primitive_desc_create(
                                &pd, sac_build_engine(build), dnnl_backward, md, md, md,
                                (float)node->node->attrs.epsilon, dnnl_use_scale | dnnl_use_shift,
                                node->forward_pd, sac_build_attr(build)),
                            "batch normalisation backward", error));
    const sac_arg args[] = {
        {DNNL_ARG_SRC, node->saved[SAVED_SRC]},
        {DNNL_ARG_MEAN, node->saved[SAVED_MEAN]},
        {DNNL_ARG_VARIANCE, node->saved[SAVED_VAR]},
        {DNNL_ARG_SCALE, node->param[WEIGHT]},
        {DNNL_ARG_DIFF_DST, diff_dst},
        {DNNL_ARG_DIFF_SRC, diff_src},
        {DNNL_ARG_DIFF_SCALE, diff_scale},
        {DNNL_ARG_DIFF_SHIFT, diff_shift},
    };
    SAC_TRY(sac_build_primitive(build, pd, args, 8, error));
    if (node->want_diff_src[0]) node->diff_src[0] = diff_src;
    if (node->diff_param[WEIGHT] >= 0)
        SAC_TRY(sac_build_accumulate(build, diff_scale, node->diff_param[WEIGHT], error));
    if (node->diff_param[BIAS] >= 0)
        SAC_TRY(sac_build_accumulate(build, diff_shift, node->diff_param[BIAS], error));
fail:
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_desc_destroy(md);
    return status;
}

const sac_op sac_op_batch_norm = {
    .name = "batch_norm",
    .min_src = 1,
    .max_src = 1,
    .shape = batch_norm_shape,
    .params = batch_norm_params,
    .ref_forward = batch_norm_ref_forward,
    .ref_backward = batch_norm_ref_backward,
    .build_forward = batch_norm_build_forward,
    .build_backward = batch_norm_build_backward,
};
