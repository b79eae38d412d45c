// Inverted dropout: in training each value is zeroed with probability `rate`, the others are
// multiplied by 1 / (1 - rate); identity at inference. One 64-bit seed per forward comes from the
// plan's generator, and whether element i (its index in channels-first order) is kept is a hash of
// seed and i alone: the same for any layout, backend and number of threads. No mask is stored,
// backward computes the hash again.
//
// Source: Srivastava et al., Dropout, JMLR 2014, section 10, scaled in training instead of at test
// time. The hash is two rounds of the 32-bit mixer "lowbias32" of Chris Wellons' hash-prospector
// (public domain). Index and rate are 32 bits wide: tensors of more than 2^32 elements repeat the
// pattern.
#include <math.h>
#include <string.h>

#include "core/clones.h"
#include "nn/op.h"

// Work of one task: values, or positions of channels-last data.
#define CHUNK      4096
#define CHUNK_ROWS 256

typedef struct dropout_seed {
    uint32_t a, b;
} dropout_seed;

SAC_CLONES_INLINE uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    return x ^ (x >> 16);
}

SAC_CLONES_INLINE uint32_t hash(dropout_seed seed, uint32_t index) {
    return mix(mix(index ^ seed.a) ^ seed.b);
}

// hash < threshold drops, so the threshold is rate * 2^32.
static uint32_t threshold_of(double rate) {
    double t = nearbyint(rate * 4294967296.0);
    return t >= 4294967295.0 ? UINT32_MAX : (uint32_t)t;
}

static dropout_seed draw_seed(sac_rng *rng) {
    uint64_t bits = sac_rng_next(rng);
    return (dropout_seed){(uint32_t)bits, (uint32_t)(bits >> 32)};
}

static sac_status dropout_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                                sac_shape *dst, sac_error *error) {
    (void)src_count;
    if (!(attrs->rate >= 0.0) || attrs->rate >= 1.0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "rate %g, expected 0 to less than 1",
                             attrs->rate);
    }
    *dst = src[0];
    return SAC_OK;
}

static bool is_identity(const sac_attrs *attrs, bool training) {
    return !training || attrs->rate == 0.0;
}

// -------------------------------------------------------------------------------------------------
// Reference

static int64_t dropout_ref_workspace(const sac_attrs *attrs, const sac_shape *src,
                                     const sac_shape *dst) {
    (void)attrs;
    (void)src;
    (void)dst;
    return 2; // the seed
}

static void dropout_ref_apply(const sac_ref *ref, const float *from, float *to) {
    int64_t count = sac_shape_count(&ref->src_shape[0]);
    if (is_identity(ref->attrs, ref->training)) {
        memcpy(to, from, (size_t)count * sizeof(*to));
        return;
    }
    dropout_seed seed;
    memcpy(&seed, ref->workspace, sizeof(seed));
    uint32_t threshold = threshold_of(ref->attrs->rate);
    for (int64_t i = 0; i < count; i++) {
        bool keep = hash(seed, (uint32_t)i) >= threshold;
        to[i] = keep ? (float)((double)from[i] / (1.0 - ref->attrs->rate)) : 0.0f;
    }
}

static void dropout_ref_forward(const sac_ref *ref) {
    if (!is_identity(ref->attrs, ref->training)) {
        dropout_seed seed = draw_seed(ref->rng);
        memcpy(ref->workspace, &seed, sizeof(seed));
    }
    dropout_ref_apply(ref, ref->src[0], ref->dst);
}

static void dropout_ref_backward(const sac_ref *ref) {
    if (ref->diff_src[0] != NULL) dropout_ref_apply(ref, ref->diff_dst, ref->diff_src[0]);
}

// -------------------------------------------------------------------------------------------------
// Kernels

typedef struct context {
    int64_t count, c,
        // c > 1: channels-last data of c channels and s positions; else order in memory is the
        // order of indices
        s;
    uint32_t threshold;
    float scale;
} context;

// `rows` rows of c values each; row r holds the elements index + r, index + r + stride, ...
SAC_CLONES static void apply_rows(const float *restrict from, int64_t rows, int64_t c,
                                  uint32_t index, uint32_t stride, dropout_seed seed,
                                  uint32_t threshold, float scale, float *restrict to) {
    for (int64_t r = 0; r < rows; r++, from += c, to += c, index++) {
#pragma omp simd
        for (int64_t k = 0; k < c; k++) {
            uint32_t h = hash(seed, index + (uint32_t)k * stride);
            float kept = from[k] * scale;
            to[k] = h >= threshold ? kept : 0.0f;
        }
    }
}

static int64_t at_most(int64_t n, int64_t limit) {
    return n < limit ? n : limit;
}

static void apply(const context *x, dropout_seed seed, const float *from, float *to) {
    if (x->c == 1) {
        int64_t chunks = (x->count + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static)
        for (int64_t b = 0; b < chunks; b++) {
            int64_t begin = b * CHUNK;
            apply_rows(from + begin, 1, at_most(x->count - begin, CHUNK), (uint32_t)begin, 1, seed,
                       x->threshold, x->scale, to + begin);
        }
        return;
    }
    int64_t sample = x->c * x->s, chunks = (x->s + CHUNK_ROWS - 1) / CHUNK_ROWS;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < x->count / sample; n++) {
        for (int64_t b = 0; b < chunks; b++) {
            int64_t row = b * CHUNK_ROWS, begin = n * sample + row * x->c;
            apply_rows(from + begin, at_most(x->s - row, CHUNK_ROWS), x->c,
                       (uint32_t)(n * sample + row), (uint32_t)x->s, seed, x->threshold, x->scale,
                       to + begin);
        }
    }
}

// buffers: src, dst, seed
static void kernel_forward(const void *ctx, float *const *buffers, sac_rng *rng) {
    dropout_seed seed = draw_seed(rng);
    memcpy(buffers[2], &seed, sizeof(seed));
    apply(ctx, seed, buffers[0], buffers[1]);
}

// buffers: diff_dst, diff_src, seed
static void kernel_backward(const void *ctx, float *const *buffers, sac_rng *rng) {
    (void)rng;
    dropout_seed seed;
    memcpy(&seed, buffers[2], sizeof(seed));
    apply(ctx, seed, buffers[0], buffers[1]);
}

// -------------------------------------------------------------------------------------------------
// Plan

enum { SAVED_SEED };

static context context_of(const sac_build_node *node, sac_layout layout) {
    const sac_shape *shape = &node->src_shape[0];
    double rate = node->node->attrs.rate;
    context x = {.count = sac_shape_count(shape),
                 .c = 1,
                 .s = 1,
                 .threshold = threshold_of(rate),
                 .scale = (float)(1.0 / (1.0 - rate))};
    if (shape->ndims >= 4 && layout == SAC_LAYOUT_CHANNELS_LAST) {
        x.c = shape->dims[1];
        x.s = x.count / (shape->dims[0] * x.c);
    }
    return x;
}

static sac_status dropout_build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (is_identity(&node->node->attrs, node->training)) {
        node->dst = node->src[0];
        return SAC_OK;
    }
    sac_status status = SAC_OK;
    sac_layout layout = sac_build_default_layout(build);
    context x = context_of(node, layout);
    sac_buffer src = -1;
    SAC_TRY(sac_build_layout(build, node->src[0], &node->src_shape[0], layout, &src, error));
    SAC_TRY(sac_build_buffer_like(build, &node->dst_shape, layout, &node->dst, error));
    SAC_TRY(sac_build_raw(build, 2, &node->saved[SAVED_SEED], error));
    const sac_buffer buffers[3] = {src, node->dst, node->saved[SAVED_SEED]};
    SAC_TRY(sac_build_kernel(build, "dropout", kernel_forward, &x, sizeof(x), buffers, 3, error));
fail:
    return status;
}

static sac_status dropout_build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    if (is_identity(&node->node->attrs, node->training)) {
        node->diff_src[0] = node->diff_dst;
        return SAC_OK;
    }
    sac_status status = SAC_OK;
    sac_layout layout = sac_build_default_layout(build);
    context x = context_of(node, layout);
    sac_buffer diff_dst = -1;
    SAC_TRY(sac_build_layout(build, node->diff_dst, &node->dst_shape, layout, &diff_dst, error));
    SAC_TRY(sac_build_buffer_like(build, &node->src_shape[0], layout, &node->diff_src[0], error));
    const sac_buffer buffers[3] = {diff_dst, node->diff_src[0], node->saved[SAVED_SEED]};
    SAC_TRY(sac_build_kernel(build, "dropout backward", kernel_backward, &x, sizeof(x), buffers, 3,
                             error));
fail:
    return status;
}

const sac_op sac_op_dropout = {
    .name = "dropout",
    .min_src = 1,
    .max_src = 1,
    .shape = dropout_shape,
    .ref_workspace = dropout_ref_workspace,
    .ref_forward = dropout_ref_forward,
    .ref_backward = dropout_ref_backward,
    .build_forward = dropout_build_forward,
    .build_backward = dropout_build_backward,
};
