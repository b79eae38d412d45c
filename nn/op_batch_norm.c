// Batch normalisation per channel (axis 1) over N and space, for 2 to 5 axes, channels-last:
// training with batch statistics by kernels of our own (oneDNN's threads wait for each other by
// spinning, which takes a hundred times as long where something else uses a core), inference with
// the running ones by oneDNN. The inference plan folds it into a convolution or dense before it, so
// the inference path here is what remains.
//
//   dst = weight * (src - mean) / sqrt(var + epsilon) + bias        var: biased, sum((src -
//   mean)^2) / M, M values per channel
//   running_mean = (1 - momentum) running_mean + momentum mean
//   running_var  = (1 - momentum) running_var  + momentum var M / (M - 1)        unbiased, as is
//                common; M = 1 takes var, which is 0
// Source: Ioffe and Szegedy, Batch Normalization, ICML 2015, algorithms 1 and 2. The running
// average replaces the average over training batches.
#include <math.h>
#include <string.h>

#include "core/clones.h"
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
// Kernels for training. Sums are taken over a fixed number of parts of the places, whoever takes
// them, so that they do not depend on the number of threads.

#define PARTS    32  // of the places
#define BLOCK    256 // places whose sums are f32
#define CHANNELS 16  // at a time

enum { SAVED_SRC, SAVED_MEAN, SAVED_VAR };

typedef struct norm_context {
    int64_t places, c; // N times space; channels
    double epsilon, momentum;
    bool want_diff_src;
} norm_context;

// first, second += sums over the places of up to 16 channels, c apart:
//   diff_dst NULL: x - origin and its square; else diff_dst and diff_dst * (x - origin)
SAC_CLONES_INLINE void sums_of(double *restrict first, double *restrict second,
                               const float *restrict x, const float *restrict diff_dst,
                               const float *restrict origin, int64_t places, int64_t c,
                               int64_t width) {
    for (int64_t begin = 0; begin < places; begin += BLOCK) {
        const int64_t end = begin + BLOCK < places ? begin + BLOCK : places;
        float a[CHANNELS] = {0}, b[CHANNELS] = {0};
        for (int64_t p = begin; p < end; p++) {
            for (int64_t k = 0; k < width; k++) {
                const float d = x[p * c + k] - origin[k];
                const float e = diff_dst != NULL ? diff_dst[p * c + k] : d;
                a[k] += e;
                b[k] += e * d;
            }
        }
        for (int64_t k = 0; k < width; k++) {
            first[k] += (double)a[k];
            second[k] += (double)b[k];
        }
    }
}

// sums: [2][c]
SAC_CLONES static void part_sums(double *restrict sums, const float *restrict x,
                                 const float *restrict diff_dst, const float *restrict origin,
                                 int64_t places, int64_t c) {
    memset(sums, 0, (size_t)(2 * c) * sizeof *sums);
    for (int64_t k = 0; k < c; k += CHANNELS) {
        const int64_t width = c - k < CHANNELS ? c - k : CHANNELS;
        const float *diff = diff_dst != NULL ? diff_dst + k : NULL;
        // Constant widths leave no loop over the channels.
        if (width == CHANNELS) {
            sums_of(sums + k, sums + c + k, x + k, diff, origin + k, places, c, CHANNELS);
        } else if (width == CHANNELS / 2) {
            sums_of(sums + k, sums + c + k, x + k, diff, origin + k, places, c, CHANNELS / 2);
        } else {
            sums_of(sums + k, sums + c + k, x + k, diff, origin + k, places, c, width);
        }
    }
}

SAC_CLONES static void normalise(float *restrict dst, const float *restrict src,
                                 const float *restrict mean, const float *restrict scale,
                                 const float *restrict bias, int64_t places, int64_t c) {
    for (int64_t p = 0; p < places; p++, dst += c, src += c) {
#pragma omp simd
        for (int64_t k = 0; k < c; k++) dst[k] = (src[k] - mean[k]) * scale[k] + bias[k];
    }
}

// diff_src = scale * (diff_dst - means - (src - mean) * slope)
SAC_CLONES static void denormalise(float *restrict diff_src, const float *restrict diff_dst,
                                   const float *restrict src, const float *restrict mean,
                                   const float *restrict factors, int64_t places, int64_t c) {
    const float *scale = factors, *means = factors + c, *slope = factors + 2 * c;
    for (int64_t p = 0; p < places; p++, diff_src += c, diff_dst += c, src += c) {
#pragma omp simd
        for (int64_t k = 0; k < c; k++)
            diff_src[k] = scale[k] * (diff_dst[k] - means[k] - (src[k] - mean[k]) * slope[k]);
    }
}

static int64_t part_begin(const norm_context *x, int64_t part) {
    return x->places * part / PARTS;
}

// sums [PARTS][2][c] -> [2][c] of the first part
static void sums_add(double *sums, int64_t c) {
    for (int64_t part = 1; part < PARTS; part++) {
        for (int64_t k = 0; k < 2 * c; k++) sums[k] += sums[part * 2 * c + k];
    }
}

enum {
    KERNEL_SRC,
    KERNEL_WEIGHT,
    KERNEL_MEAN,
    KERNEL_VAR,
    KERNEL_SUMS,    // f64 [PARTS][2][c]
    KERNEL_FACTORS, // [3][c]
    // forward
    KERNEL_BIAS,
    KERNEL_RUNNING_MEAN,
    KERNEL_RUNNING_VAR,
    KERNEL_DST,
    FORWARD_BUFFERS,
    // backward
    KERNEL_DIFF_DST = KERNEL_BIAS,
    KERNEL_DIFF_WEIGHT,
    KERNEL_DIFF_BIAS,
    KERNEL_DIFF_SRC,
    BACKWARD_BUFFERS
};

static void statistics(const norm_context *x, float *const *buffers) {
    const int64_t c = x->c;
    const double count = (double)x->places;
    double *sums = (double *)(void *)buffers[KERNEL_SUMS];
    sums_add(sums, c);
    for (int64_t k = 0; k < c; k++) {
        // Taken from the first place, so that a mean far from 0 leaves its digits to the variance.
        const double off = sums[k] / count, square = sums[c + k] / count - off * off;
        const double mean = (double)buffers[KERNEL_SRC][k] + off, var = square > 0 ? square : 0;
        float *running_mean = buffers[KERNEL_RUNNING_MEAN] + k,
              *running_var = buffers[KERNEL_RUNNING_VAR] + k;
        buffers[KERNEL_MEAN][k] = (float)mean;
        buffers[KERNEL_VAR][k] = (float)var;
        *running_mean = (float)running((double)*running_mean, mean, x->momentum);
        *running_var = (float)running((double)*running_var, unbiased(var, count), x->momentum);
        buffers[KERNEL_FACTORS][k] =
            (float)((double)buffers[KERNEL_WEIGHT][k] / sqrt(var + x->epsilon));
    }
}

static void forward_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const norm_context *x = context;
    const int64_t c = x->c;
    const float *src = buffers[KERNEL_SRC];
#pragma omp parallel if (x->places * c > 65536)
    {
#pragma omp for schedule(static)
        for (int64_t part = 0; part < PARTS; part++) {
            const int64_t begin = part_begin(x, part);
            part_sums((double *)(void *)buffers[KERNEL_SUMS] + part * 2 * c, src + begin * c, NULL,
                      src, part_begin(x, part + 1) - begin, c);
        }
#pragma omp single
        statistics(x, buffers);
#pragma omp for schedule(static)
        for (int64_t part = 0; part < PARTS; part++) {
            const int64_t begin = part_begin(x, part);
            normalise(buffers[KERNEL_DST] + begin * c, src + begin * c, buffers[KERNEL_MEAN],
                      buffers[KERNEL_FACTORS], buffers[KERNEL_BIAS],
                      part_begin(x, part + 1) - begin, c);
        }
    }
}

static void gradients(const norm_context *x, float *const *buffers) {
    const int64_t c = x->c;
    const double count = (double)x->places;
    double *sums = (double *)(void *)buffers[KERNEL_SUMS];
    float *factors = buffers[KERNEL_FACTORS];
    sums_add(sums, c);
    for (int64_t k = 0; k < c; k++) {
        const double rate = 1.0 / sqrt((double)buffers[KERNEL_VAR][k] + x->epsilon);
        buffers[KERNEL_DIFF_BIAS][k] = (float)sums[k];
        buffers[KERNEL_DIFF_WEIGHT][k] = (float)(sums[c + k] * rate);
        factors[k] = (float)((double)buffers[KERNEL_WEIGHT][k] * rate);
        factors[c + k] = (float)(sums[k] / count);
        factors[2 * c + k] = (float)(sums[c + k] * rate * rate / count);
    }
}

static void backward_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const norm_context *x = context;
    const int64_t c = x->c;
    const float *src = buffers[KERNEL_SRC], *diff_dst = buffers[KERNEL_DIFF_DST];
#pragma omp parallel if (x->places * c > 65536)
    {
#pragma omp for schedule(static)
        for (int64_t part = 0; part < PARTS; part++) {
            const int64_t begin = part_begin(x, part);
            part_sums((double *)(void *)buffers[KERNEL_SUMS] + part * 2 * c, src + begin * c,
                      diff_dst + begin * c, buffers[KERNEL_MEAN], part_begin(x, part + 1) - begin,
                      c);
        }
#pragma omp single
        gradients(x, buffers);
#pragma omp for schedule(static)
        for (int64_t part = 0; part < (x->want_diff_src ? PARTS : 0); part++) {
            const int64_t begin = part_begin(x, part);
            denormalise(buffers[KERNEL_DIFF_SRC] + begin * c, diff_dst + begin * c, src + begin * c,
                        buffers[KERNEL_MEAN], buffers[KERNEL_FACTORS],
                        part_begin(x, part + 1) - begin, c);
        }
    }
}

// -------------------------------------------------------------------------------------------------
// Plans

static norm_context context_of(const sac_build_node *node) {
    const geometry g = geometry_of(&node->src_shape[0]);
    return (norm_context){.places = g.n * g.s,
                          .c = g.c,
                          .epsilon = node->node->attrs.epsilon,
                          .momentum = node->node->attrs.momentum,
                          .want_diff_src = node->want_diff_src[0]};
}

// Channels innermost, also with three axes, which lie as they are elsewhere.
static sac_status channels_last(dnnl_memory_desc_t *md, const sac_shape *shape, sac_error *error) {
    if (shape->ndims != 3) return sac_build_md(md, shape, SAC_LAYOUT_CHANNELS_LAST, error);
    dnnl_dims_t dims = {shape->dims[0], shape->dims[1], shape->dims[2]};
    return sac_dnnl_status(dnnl_memory_desc_create_with_tag(md, 3, dims, dnnl_f32, dnnl_acb),
                           "layout", error);
}

// KERNEL_SUMS and KERNEL_FACTORS.
static sac_status build_scratch(sac_build *build, const norm_context *x, sac_buffer *buffers,
                                sac_error *error) {
    const int64_t sums = PARTS * 2 * x->c * (int64_t)(sizeof(double) / sizeof(float));
    const sac_shape sums_shape = {1, {sums}}, factors_shape = {1, {3 * x->c}};
    sac_status status = sac_build_buffer_like(build, &sums_shape, SAC_LAYOUT_CHANNELS_FIRST,
                                              &buffers[KERNEL_SUMS], error);
    if (status != SAC_OK) return status;
    return sac_build_buffer_like(build, &factors_shape, SAC_LAYOUT_CHANNELS_FIRST,
                                 &buffers[KERNEL_FACTORS], error);
}

static sac_status build_training(sac_build *build, sac_build_node *node, sac_buffer src,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    const norm_context x = context_of(node);
    const sac_shape channels = {1, {x.c}};
    sac_buffer buffers[FORWARD_BUFFERS] = {
        [KERNEL_SRC] = src,
        [KERNEL_WEIGHT] = node->param[WEIGHT],
        [KERNEL_BIAS] = node->param[BIAS],
        [KERNEL_RUNNING_MEAN] = node->param[RUNNING_MEAN],
        [KERNEL_RUNNING_VAR] = node->param[RUNNING_VAR],
        [KERNEL_DST] = node->dst,
    };
    SAC_TRY(sac_build_buffer_like(build, &channels, SAC_LAYOUT_CHANNELS_FIRST,
                                  &buffers[KERNEL_MEAN], error));
    SAC_TRY(sac_build_buffer_like(build, &channels, SAC_LAYOUT_CHANNELS_FIRST, &buffers[KERNEL_VAR],
                                  error));
    SAC_TRY(build_scratch(build, &x, buffers, error));
    SAC_TRY(sac_build_kernel(build, "batch normalisation", forward_kernel, &x, sizeof x, buffers,
                             FORWARD_BUFFERS, error));
    node->saved[SAVED_SRC] = src;
    node->saved[SAVED_MEAN] = buffers[KERNEL_MEAN];
    node->saved[SAVED_VAR] = buffers[KERNEL_VAR];
fail:
    return status;
}

static sac_status batch_norm_build_forward(sac_build *build, sac_build_node *node,
                                           sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer src = -1;
    const unsigned flags = dnnl_use_scale | dnnl_use_shift | dnnl_use_global_stats;
    SAC_TRY(channels_last(&md, &node->src_shape[0], error));
    SAC_TRY(sac_build_reorder(build, node->src[0], md, &src, error));
    SAC_TRY(sac_build_buffer(build, md, &node->dst, error));
    if (node->training) {
        status = build_training(build, node, src, error);
        goto fail;
    }
    SAC_TRY(sac_dnnl_status(dnnl_batch_normalization_forward_primitive_desc_create(
                                &pd, sac_build_engine(build), dnnl_forward_inference, md, md,
                                (float)node->node->attrs.epsilon, flags, sac_build_attr(build)),
                            "batch normalisation", error));
    const sac_arg args[] = {
        {DNNL_ARG_SRC, src},
        {DNNL_ARG_SCALE, node->param[WEIGHT]},
        {DNNL_ARG_SHIFT, node->param[BIAS]},
        {DNNL_ARG_MEAN, node->param[RUNNING_MEAN]},
        {DNNL_ARG_VARIANCE, node->param[RUNNING_VAR]},
        {DNNL_ARG_DST, node->dst},
    };
    SAC_TRY(sac_build_primitive(build, pd, args, 6, error));
fail:
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_desc_destroy(md);
    return status;
}

static sac_status batch_norm_build_backward(sac_build *build, sac_build_node *node,
                                            sac_error *error) {
    const bool want_params = node->diff_param[WEIGHT] >= 0 || node->diff_param[BIAS] >= 0;
    if (!node->want_diff_src[0] && !want_params) return SAC_OK;
    sac_status status = SAC_OK;
    dnnl_memory_desc_t md = NULL;
    const norm_context x = context_of(node);
    const sac_shape channels = {1, {x.c}};
    sac_buffer buffers[BACKWARD_BUFFERS] = {
        [KERNEL_SRC] = node->saved[SAVED_SRC],
        [KERNEL_WEIGHT] = node->param[WEIGHT],
        [KERNEL_MEAN] = node->saved[SAVED_MEAN],
        [KERNEL_VAR] = node->saved[SAVED_VAR],
    };
    SAC_TRY(channels_last(&md, &node->src_shape[0], error));
    SAC_TRY(sac_build_reorder(build, node->diff_dst, md, &buffers[KERNEL_DIFF_DST], error));
    SAC_TRY(sac_build_buffer_like(build, &channels, SAC_LAYOUT_CHANNELS_FIRST,
                                  &buffers[KERNEL_DIFF_WEIGHT], error));
    SAC_TRY(sac_build_buffer_like(build, &channels, SAC_LAYOUT_CHANNELS_FIRST,
                                  &buffers[KERNEL_DIFF_BIAS], error));
    SAC_TRY(build_scratch(build, &x, buffers, error));
    if (x.want_diff_src) {
        SAC_TRY(sac_build_buffer(build, md, &node->diff_src[0], error));
        buffers[KERNEL_DIFF_SRC] = node->diff_src[0];
    }
    SAC_TRY(sac_build_kernel(build, "batch normalisation", backward_kernel, &x, sizeof x, buffers,
                             x.want_diff_src ? BACKWARD_BUFFERS : KERNEL_DIFF_SRC, error));
    if (node->diff_param[WEIGHT] >= 0)
        SAC_TRY(sac_build_accumulate(build, buffers[KERNEL_DIFF_WEIGHT], node->diff_param[WEIGHT],
                                     error));
    if (node->diff_param[BIAS] >= 0)
        SAC_TRY(
            sac_build_accumulate(build, buffers[KERNEL_DIFF_BIAS], node->diff_param[BIAS], error));
fail:
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
