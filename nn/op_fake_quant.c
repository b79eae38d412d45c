// Rounding to u8 steps while training (nn/quant.h): dst = s * q, q = min(max(rint(src / s), 0),
// 255). The step itself has no useful derivative: the gradient passes as through a clip, diff_src =
// diff_dst where 0 <= src <= 255 s, else 0 (straight-through estimator). Layout of the source is
// kept. The scale is fixed; what is not a number passes on.
//
// Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference, CVPR 2018, section 3; Bengio et al., Estimating or Propagating
// Gradients Through Stochastic Neurons, 2013.
#include <math.h>

#include "core/clones.h"
#include "nn/op.h"

#define BLOCK 16384

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)src_count;
    if (!(attrs->alpha >= 1e-12 && attrs->alpha <= 1e3))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "alpha (the scale) is %g, expected 1e-12 to 1000", attrs->alpha);
    *dst = src[0];
    return SAC_OK;
}

static void ref_forward(const sac_ref *ref) {
    const double scale = (double)(float)ref->attrs->alpha;
    const int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) {
        double q = rint((double)ref->src[0][i] / scale);
        q = q < 0 ? 0 : q;
        q = q > 255 ? 255 : q;
        ref->dst[i] = (float)(scale * q);
    }
}

static void ref_backward(const sac_ref *ref) {
    if (!ref->diff_src[0]) return;
    const float top = 255.0f * (float)ref->attrs->alpha;
    const int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) {
        const float x = ref->src[0][i];
        ref->diff_src[0][i] = x < 0 || x > top ? 0 : ref->diff_dst[i];
    }
}

typedef struct step_context {
    int64_t count;
    float scale;
} step_context;

SAC_CLONES static void round_block(float *restrict dst, const float *restrict src, int64_t n,
                                   float scale) {
    const float inverse = 1.0f / scale;
    for (int64_t i = 0; i < n; i++) {
        float q = rintf(src[i] * inverse);
        q = q < 0.0f ? 0.0f : q;
        q = q > 255.0f ? 255.0f : q;
        dst[i] = scale * q;
    }
}

SAC_CLONES static void pass_block(float *restrict dst, const float *restrict src,
                                  const float *restrict diff, int64_t n, float scale) {
    const float top = 255.0f * scale;
    for (int64_t i = 0; i < n; i++) {
        const float kept = src[i] < 0.0f ? 0.0f : diff[i];
        dst[i] = src[i] > top ? 0.0f : kept;
    }
}

// buffers: src, dst
static void round_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const step_context c = *(const step_context *)context;
#pragma omp parallel for schedule(static) if (c.count > 4 * BLOCK)
    for (int64_t begin = 0; begin < c.count; begin += BLOCK) {
        const int64_t n = c.count - begin < BLOCK ? c.count - begin : BLOCK;
        round_block(buffers[1] + begin, buffers[0] + begin, n, c.scale);
    }
}

// buffers: src, diff_dst, diff_src
static void pass_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const step_context c = *(const step_context *)context;
#pragma omp parallel for schedule(static) if (c.count > 4 * BLOCK)
    for (int64_t begin = 0; begin < c.count; begin += BLOCK) {
        const int64_t n = c.count - begin < BLOCK ? c.count - begin : BLOCK;
        pass_block(buffers[2] + begin, buffers[0] + begin, buffers[1] + begin, n, c.scale);
    }
}

static step_context context_of(const sac_build *build, const sac_build_node *node) {
    // Any layout will do, a blocked one with its filling included: zero is rounded to zero.
    const_dnnl_memory_desc_t md = sac_build_buffer_md(build, node->src[0]);
    return (step_context){.count = (int64_t)(dnnl_memory_desc_get_size(md) / sizeof(float)),
                          .scale = (float)node->node->attrs.alpha};
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    const step_context context = context_of(build, node);
    SAC_TRY(sac_build_buffer(build, sac_build_buffer_md(build, node->src[0]), &node->dst, error));
    const sac_buffer buffers[2] = {node->src[0], node->dst};
    SAC_TRY(sac_build_kernel(build, "fake quantisation", round_kernel, &context, sizeof context,
                             buffers, 2, error));
fail:
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    sac_status status = SAC_OK;
    const step_context context = context_of(build, node);
    const_dnnl_memory_desc_t md = sac_build_buffer_md(build, node->src[0]);
    sac_buffer diff_dst = -1;
    SAC_TRY(sac_build_reorder(build, node->diff_dst, md, &diff_dst, error));
    SAC_TRY(sac_build_buffer(build, sac_build_buffer_md(build, node->src[0]), &node->diff_src[0],
                             error));
    const sac_buffer buffers[3] = {node->src[0], diff_dst, node->diff_src[0]};
    SAC_TRY(sac_build_kernel(build, "fake quantisation gradient", pass_kernel, &context,
                             sizeof context, buffers, 3, error));
fail:
    return status;
}

const sac_op sac_op_fake_quant = {
    .name = "fake_quant",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
