// Gradient reversal: forward is the identity and moves nothing (its output IS the input's buffer),
// backward gives diff_src = -alpha * diff_dst. Put before an adversary, whatever lies before it
// learns to make the adversary fail. An inference plan leaves it out.
//
// Source: Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016, equations 16-17.
#include <math.h>
#include <string.h>

#include "core/clones.h"
#include "nn/op.h"

#define BLOCK 16384

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)src_count;
    if (!(attrs->alpha >= 0) || attrs->alpha > 1e3)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "alpha (lambda) is %g, expected 0 to 1000", attrs->alpha);
    *dst = src[0];
    return SAC_OK;
}

static void ref_forward(const sac_ref *ref) {
    memcpy(ref->dst, ref->src[0], (size_t)sac_shape_count(&ref->dst_shape) * sizeof(float));
}

// By definition not the derivative of the line above.
static void ref_backward(const sac_ref *ref) {
    if (!ref->diff_src[0]) return;
    const double factor = -(double)(float)ref->attrs->alpha;
    const int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++)
        ref->diff_src[0][i] = (float)(factor * (double)ref->diff_dst[i]);
}

typedef struct scale_context {
    int64_t count;
    float factor;
} scale_context;

SAC_CLONES static void scale(float *restrict dst, const float *restrict src, int64_t n, float f) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dst[i] = f * src[i];
}

// buffers: diff_dst, diff_src
static void reverse_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const scale_context c = *(const scale_context *)context;
    const float *src = buffers[0];
    float *dst = buffers[1];
#pragma omp parallel for schedule(static) if (c.count > 4 * BLOCK)
    for (int64_t begin = 0; begin < c.count; begin += BLOCK) {
        const int64_t n = c.count - begin < BLOCK ? c.count - begin : BLOCK;
        scale(dst + begin, src + begin, n, c.factor);
    }
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    (void)build, (void)error;
    node->dst = node->src[0];
    return SAC_OK;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    sac_status status = SAC_OK;
    // Any layout will do, a blocked one with its filling included: all of it is scaled.
    const_dnnl_memory_desc_t md = sac_build_buffer_md(build, node->diff_dst);
    const scale_context context = {.count =
                                       (int64_t)(dnnl_memory_desc_get_size(md) / sizeof(float)),
                                   .factor = -(float)node->node->attrs.alpha};
    SAC_TRY(sac_build_buffer(build, md, &node->diff_src[0], error));
    const sac_buffer buffers[2] = {node->diff_dst, node->diff_src[0]};
    SAC_TRY(sac_build_kernel(build, "gradient reversal", reverse_kernel, &context, sizeof context,
                             buffers, 2, error));
fail:
    return status;
}

const sac_op sac_op_grad_reverse = {
    .name = "grad_reverse",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
