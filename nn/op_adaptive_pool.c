// Adaptive max and average pooling: the output size is given, cell i of O along an axis of size S
// covers [floor(i S / O), ceil((i + 1) S / O)). Cells can overlap by one and every cell holds at
// least one value, also when O > S. Own kernels on channels-last data: oneDNN has no such pooling.
//
// Max: the gradient goes to the first largest value in scan order (depth, row, column).
#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "core/clones.h"
#include "nn/op.h"

#define MAX_SIZE 65536
// Channels handled at once: few enough to give every core a share of a single global cell, enough
// to fill vectors.
#define CHANNEL_BLOCK 64

typedef struct extent {
    int64_t begin, end;
} extent;

static extent cell_extent(int64_t i, int64_t size, int64_t cells) {
    return (extent){i * size / cells, ((i + 1) * size + cells - 1) / cells};
}

typedef struct geometry {
    int64_t n, c, d, h, w, od, oh, ow;
} geometry;

static geometry geometry_of(const sac_shape *src, const sac_shape *dst) {
    const sac_space from = sac_shape_space(src), to = sac_shape_space(dst);
    return (geometry){.n = src->dims[0],
                      .c = src->dims[1],
                      .d = from.d,
                      .h = from.h,
                      .w = from.w,
                      .od = to.d,
                      .oh = to.h,
                      .ow = to.w};
}

static sac_status pool_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                             sac_shape *dst, sac_error *error) {
    (void)src_count;
    char text[96];
    const sac_status status = sac_shape_check_space(&src[0], error);
    if (status < 0) return status;
    *dst = src[0];
    int64_t cells = 1;
    for (int d = 2; d < src[0].ndims; d++) {
        int64_t size = attrs->size[d - (src[0].ndims - 3)];
        if (size < 1 || size > MAX_SIZE) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "output size %" PRId64 ", expected 1 to %d", size, MAX_SIZE);
        }
        dst->dims[d] = size;
        // Places of maxima are kept as 32-bit numbers.
        if (!sac_mul(cells, src[0].dims[d], &cells) || cells > INT32_MAX) {
            return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                 "input is %s, expected less than 2^31 positions per channel",
                                 sac_shape_text(&src[0], text));
        }
    }
    return SAC_OK;
}

// -------------------------------------------------------------------------------------------------
// Reference

static void ref_run(const sac_ref *ref, bool max, bool backward) {
    geometry g = geometry_of(&ref->src_shape[0], &ref->dst_shape);
    int64_t plane = g.d * g.h * g.w, cells = g.od * g.oh * g.ow;
    for (int64_t p = 0; p < g.n * g.c; p++) {
        const float *src = ref->src[0] + p * plane;
        float *diff_src = backward ? ref->diff_src[0] + p * plane : NULL;
        for (int64_t i = 0; backward && i < plane; i++) diff_src[i] = 0.0f;
        for (int64_t o = 0; o < cells; o++) {
            extent dz = cell_extent(o / (g.oh * g.ow), g.d, g.od);
            extent dy = cell_extent(o / g.ow % g.oh, g.h, g.oh);
            extent dx = cell_extent(o % g.ow, g.w, g.ow);
            double sum = 0.0, count = (double)((dz.end - dz.begin) * (dy.end - dy.begin) *
                                               (dx.end - dx.begin));
            int64_t best = (dz.begin * g.h + dy.begin) * g.w + dx.begin;
            for (int64_t z = dz.begin; z < dz.end; z++) {
                for (int64_t y = dy.begin; y < dy.end; y++) {
                    for (int64_t x = dx.begin; x < dx.end; x++) {
                        int64_t at = (z * g.h + y) * g.w + x;
                        if (src[at] > src[best]) best = at;
                        sum += (double)src[at];
                        // dst = sum(src) / count
                        if (backward && !max)
                            diff_src[at] += (float)((double)ref->diff_dst[p * cells + o] / count);
                    }
                }
            }
            // dst = src[best]
            if (backward && max) diff_src[best] += ref->diff_dst[p * cells + o];
            if (!backward) ref->dst[p * cells + o] = max ? src[best] : (float)(sum / count);
        }
    }
}

static void max_ref_forward(const sac_ref *ref) {
    ref_run(ref, true, false);
}
static void avg_ref_forward(const sac_ref *ref) {
    ref_run(ref, false, false);
}

static void max_ref_backward(const sac_ref *ref) {
    if (ref->diff_src[0] != NULL) ref_run(ref, true, true);
}

static void avg_ref_backward(const sac_ref *ref) {
    if (ref->diff_src[0] != NULL) ref_run(ref, false, true);
}

// -------------------------------------------------------------------------------------------------
// Channels-last kernels. One call handles one cell of one sample for `count` channels; pointers are
// at the sample's first of these channels.

typedef struct cell_box {
    extent z, y, x;
} cell_box;

static cell_box box_of(const geometry *g, int64_t o) {
    return (cell_box){cell_extent(o / (g->oh * g->ow), g->d, g->od),
                      cell_extent(o / g->ow % g->oh, g->h, g->oh),
                      cell_extent(o % g->ow, g->w, g->ow)};
}

static double box_count(const cell_box *b) {
    return (double)((b->z.end - b->z.begin) * (b->y.end - b->y.begin) * (b->x.end - b->x.begin));
}

SAC_CLONES static void max_cell(const geometry *g, const cell_box *b, const float *restrict src,
                                int64_t count, float *restrict dst) {
    int64_t first = (b->z.begin * g->h + b->y.begin) * g->w + b->x.begin;
    memcpy(dst, src + first * g->c, (size_t)count * sizeof(*dst));
    for (int64_t z = b->z.begin; z < b->z.end; z++) {
        for (int64_t y = b->y.begin; y < b->y.end; y++) {
            for (int64_t x = b->x.begin; x < b->x.end; x++) {
                const float *s = src + ((z * g->h + y) * g->w + x) * g->c;
#pragma omp simd
                for (int64_t i = 0; i < count; i++) dst[i] = s[i] > dst[i] ? s[i] : dst[i];
            }
        }
    }
}

SAC_CLONES static void max_cell_place(const geometry *g, const cell_box *b,
                                      const float *restrict src, int64_t count, float *restrict dst,
                                      int32_t *restrict place) {
    int64_t first = (b->z.begin * g->h + b->y.begin) * g->w + b->x.begin;
    memcpy(dst, src + first * g->c, (size_t)count * sizeof(*dst));
    for (int64_t i = 0; i < count; i++) place[i] = (int32_t)first;
    for (int64_t z = b->z.begin; z < b->z.end; z++) {
        for (int64_t y = b->y.begin; y < b->y.end; y++) {
            for (int64_t x = b->x.begin; x < b->x.end; x++) {
                int32_t at = (int32_t)((z * g->h + y) * g->w + x);
                const float *s = src + at * g->c;
#pragma omp simd
                for (int64_t i = 0; i < count; i++) {
                    bool larger = s[i] > dst[i];
                    place[i] = larger ? at : place[i];
                    dst[i] = larger ? s[i] : dst[i];
                }
            }
        }
    }
}

SAC_CLONES static void avg_cell(const geometry *g, const cell_box *b, const float *restrict src,
                                int64_t count, float *restrict dst) {
    // A global mean runs over thousands of values: row sums first keep the rounding small without
    // giving up vectors.
    float row[CHANNEL_BLOCK];
    memset(dst, 0, (size_t)count * sizeof(*dst));
    for (int64_t z = b->z.begin; z < b->z.end; z++) {
        for (int64_t y = b->y.begin; y < b->y.end; y++) {
            memset(row, 0, sizeof(row));
            for (int64_t x = b->x.begin; x < b->x.end; x++) {
                const float *s = src + ((z * g->h + y) * g->w + x) * g->c;
#pragma omp simd
                for (int64_t i = 0; i < count; i++) row[i] += s[i];
            }
#pragma omp simd
            for (int64_t i = 0; i < count; i++) dst[i] += row[i];
        }
    }
    float scale = (float)(1.0 / box_count(b));
    for (int64_t i = 0; i < count; i++) dst[i] *= scale;
}

// diff_src of the cell: stores when no other cell shares a position, else adds. `place` NULL: mean.
SAC_CLONES static void spread_cell(const geometry *g, const cell_box *b,
                                   const float *restrict diff_dst, const int32_t *restrict place,
                                   int64_t count, bool store, float *restrict diff_src) {
    float scale = (float)(1.0 / box_count(b));
    for (int64_t z = b->z.begin; z < b->z.end; z++) {
        for (int64_t y = b->y.begin; y < b->y.end; y++) {
            for (int64_t x = b->x.begin; x < b->x.end; x++) {
                int32_t at = (int32_t)((z * g->h + y) * g->w + x);
                float *d = diff_src + at * g->c;
                // Four plain loops: with the choices inside, none of them becomes vector code.
                if (place == NULL && store) {
#pragma omp simd
                    for (int64_t i = 0; i < count; i++) d[i] = diff_dst[i] * scale;
                } else if (place == NULL) {
#pragma omp simd
                    for (int64_t i = 0; i < count; i++) d[i] += diff_dst[i] * scale;
                } else if (store) {
#pragma omp simd
                    for (int64_t i = 0; i < count; i++) {
                        float diff = diff_dst[i];
                        d[i] = place[i] == at ? diff : 0.0f;
                    }
                } else {
#pragma omp simd
                    for (int64_t i = 0; i < count; i++) {
                        float diff = diff_dst[i];
                        d[i] += place[i] == at ? diff : 0.0f;
                    }
                }
            }
        }
    }
}

static int64_t block_count(const geometry *g) {
    return (g->c + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK;
}
static int64_t block_size(const geometry *g, int64_t block) {
    int64_t left = g->c - block * CHANNEL_BLOCK;
    return left < CHANNEL_BLOCK ? left : CHANNEL_BLOCK;
}

typedef struct context {
    geometry g;
    bool max;
} context;

// One block of channels of cell o, counted over all samples.
static void forward_cell(const context *x, const float *src, float *dst, int32_t *places, int64_t o,
                         int64_t k) {
    const geometry *g = &x->g;
    int64_t cells = g->od * g->oh * g->ow;
    cell_box box = box_of(g, o % cells);
    const float *s = src + o / cells * g->d * g->h * g->w * g->c + k * CHANNEL_BLOCK;
    int64_t at = o * g->c + k * CHANNEL_BLOCK, count = block_size(g, k);
    if (!x->max) {
        avg_cell(g, &box, s, count, dst + at);
    } else if (places == NULL) {
        max_cell(g, &box, s, count, dst + at);
    } else {
        max_cell_place(g, &box, s, count, dst + at, places + at);
    }
}

// buffers: src, dst, places (max in training) or nothing.
static void run_forward(const context *x, const float *src, float *dst, int32_t *places) {
    const geometry *g = &x->g;
    int64_t all = g->n * g->od * g->oh * g->ow, blocks = block_count(g);
    if (omp_get_max_threads() == 1) {
        // libgomp allocates for every parallel region, even for one of a single thread.
        for (int64_t i = 0; i < all * blocks; i++)
            forward_cell(x, src, dst, places, i / blocks, i % blocks);
        return;
    }
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t o = 0; o < all; o++) {
        for (int64_t k = 0; k < blocks; k++) forward_cell(x, src, dst, places, o, k);
    }
}

static void kernel_forward(const void *ctx, float *const *buffers, sac_rng *rng) {
    (void)rng;
    run_forward(ctx, buffers[0], buffers[1], NULL);
}

static void kernel_forward_training(const void *ctx, float *const *buffers, sac_rng *rng) {
    (void)rng;
    run_forward(ctx, buffers[0], buffers[1], (int32_t *)(void *)buffers[2]);
}

static void run_backward(const context *x, const float *diff_dst, const int32_t *places,
                         float *diff_src) {
    const geometry *g = &x->g;
    int64_t cells = g->od * g->oh * g->ow, blocks = block_count(g),
            sample = g->d * g->h * g->w * g->c;
    // Sizes that divide evenly give cells that do not overlap and cover everything: then every cell
    // is its own task and nothing is cleared first.
    bool apart = g->d % g->od == 0 && g->h % g->oh == 0 && g->w % g->ow == 0;
    if (apart) {
#pragma omp parallel for collapse(2) schedule(static)
        for (int64_t o = 0; o < g->n * cells; o++) {
            for (int64_t k = 0; k < blocks; k++) {
                cell_box box = box_of(g, o % cells);
                int64_t at = o * g->c + k * CHANNEL_BLOCK;
                spread_cell(g, &box, diff_dst + at, places != NULL ? places + at : NULL,
                            block_size(g, k), true,
                            diff_src + o / cells * sample + k * CHANNEL_BLOCK);
            }
        }
        return;
    }
    // Otherwise a task owns some channels of a sample with all its cells, so that no two add to one
    // value.
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < g->n; n++) {
        for (int64_t k = 0; k < blocks; k++) {
            float *d = diff_src + n * sample + k * CHANNEL_BLOCK;
            int64_t count = block_size(g, k);
            for (int64_t i = 0; i < g->d * g->h * g->w; i++)
                memset(d + i * g->c, 0, (size_t)count * sizeof(*d));
            for (int64_t o = 0; o < cells; o++) {
                cell_box box = box_of(g, o);
                int64_t at = (n * cells + o) * g->c + k * CHANNEL_BLOCK;
                spread_cell(g, &box, diff_dst + at, places != NULL ? places + at : NULL, count,
                            false, d);
            }
        }
    }
}

static void kernel_max_backward(const void *ctx, float *const *buffers, sac_rng *rng) {
    (void)rng;
    run_backward(ctx, buffers[0], (const int32_t *)(const void *)buffers[1], buffers[2]);
}

static void kernel_avg_backward(const void *ctx, float *const *buffers, sac_rng *rng) {
    (void)rng;
    run_backward(ctx, buffers[0], NULL, buffers[1]);
}

// -------------------------------------------------------------------------------------------------
// Plan

enum { SAVED_PLACES };

static sac_status build_forward(sac_build *build, sac_build_node *node, bool max,
                                sac_error *error) {
    sac_status status = SAC_OK;
    context ctx = {.g = geometry_of(&node->src_shape[0], &node->dst_shape), .max = max};
    sac_buffer buffers[3] = {-1, -1, -1};
    bool places = max && node->training;
    SAC_TRY(sac_build_layout(build, node->src[0], &node->src_shape[0], SAC_LAYOUT_CHANNELS_LAST,
                             &buffers[0], error));
    SAC_TRY(sac_build_buffer_like(build, &node->dst_shape, SAC_LAYOUT_CHANNELS_LAST, &node->dst,
                                  error));
    buffers[1] = node->dst;
    node->saved[SAVED_PLACES] = -1;
    if (places) {
        SAC_TRY(sac_build_raw(build, sac_shape_count(&node->dst_shape), &node->saved[SAVED_PLACES],
                              error));
        buffers[2] = node->saved[SAVED_PLACES];
    }
    SAC_TRY(sac_build_kernel(build, max ? "adaptive max pool" : "adaptive avg pool",
                             places ? kernel_forward_training : kernel_forward, &ctx, sizeof(ctx),
                             buffers, places ? 3 : 2, error));
fail:
    return status;
}

static sac_status build_backward(sac_build *build, sac_build_node *node, bool max,
                                 sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    sac_status status = SAC_OK;
    context ctx = {.g = geometry_of(&node->src_shape[0], &node->dst_shape), .max = max};
    sac_buffer diff_dst = -1;
    SAC_TRY(sac_build_layout(build, node->diff_dst, &node->dst_shape, SAC_LAYOUT_CHANNELS_LAST,
                             &diff_dst, error));
    SAC_TRY(sac_build_buffer_like(build, &node->src_shape[0], SAC_LAYOUT_CHANNELS_LAST,
                                  &node->diff_src[0], error));
    if (max) {
        const sac_buffer buffers[3] = {diff_dst, node->saved[SAVED_PLACES], node->diff_src[0]};
        SAC_TRY(sac_build_kernel(build, "adaptive max pool backward", kernel_max_backward, &ctx,
                                 sizeof(ctx), buffers, 3, error));
    } else {
        const sac_buffer buffers[2] = {diff_dst, node->diff_src[0]};
        SAC_TRY(sac_build_kernel(build, "adaptive avg pool backward", kernel_avg_backward, &ctx,
                                 sizeof(ctx), buffers, 2, error));
    }
fail:
    return status;
}

static sac_status max_build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_forward(build, node, true, error);
}
static sac_status max_build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_backward(build, node, true, error);
}
static sac_status avg_build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_forward(build, node, false, error);
}
static sac_status avg_build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    return build_backward(build, node, false, error);
}

const sac_op sac_op_adaptive_max_pool = {
    .name = "adaptive_max_pool",
    .min_src = 1,
    .max_src = 1,
    .shape = pool_shape,
    .ref_forward = max_ref_forward,
    .ref_backward = max_ref_backward,
    .build_forward = max_build_forward,
    .build_backward = max_build_backward,
};

const sac_op sac_op_adaptive_avg_pool = {
    .name = "adaptive_avg_pool",
    .min_src = 1,
    .max_src = 1,
    .shape = pool_shape,
    .ref_forward = avg_ref_forward,
    .ref_backward = avg_ref_backward,
    .build_forward = avg_build_forward,
    .build_backward = avg_build_backward,
};
