// Nearest-neighbour enlargement by integer factors: dst[n][c][z][y][x] = src[n][c][z / fd][y /
// fh][x / fw], 2D and 3D. Own channels-last kernels: with integer factors this is copying pixels,
// and its backward is adding them up. No interpolation, no fractional factors.
#include <inttypes.h>
#include <string.h>

#include "core/clones.h"
#include "nn/op.h"

#define MAX_SIZE 65536

typedef struct geometry {
    int64_t n, c, d, h, w, fd, fh, fw;
} geometry;

static geometry geometry_of(const sac_shape *src, const sac_attrs *attrs) {
    const sac_space from = sac_shape_space(src);
    return (geometry){.n = src->dims[0],
                      .c = src->dims[1],
                      .d = from.d,
                      .h = from.h,
                      .w = from.w,
                      .fd = src->ndims == 5 ? attrs->size[0] : 1,
                      .fh = attrs->size[1],
                      .fw = attrs->size[2]};
}

static sac_status upsample_shape(const sac_attrs *attrs, const sac_shape *src, int src_count,
                                 sac_shape *dst, sac_error *error) {
    (void)src_count;
    char text[96];
    const sac_status status = sac_shape_check_space(&src[0], error);
    if (status < 0) return status;
    *dst = src[0];
    for (int d = 2; d < src[0].ndims; d++) {
        int64_t factor = attrs->size[d - (src[0].ndims - 3)];
        if (factor < 1 || factor > MAX_SIZE) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "factor %" PRId64 ", expected 1 to %d", factor, MAX_SIZE);
        }
        if (!sac_mul(src[0].dims[d], factor, &dst->dims[d]) || dst->dims[d] > MAX_SIZE) {
            return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                 "factor %" PRId64 " on %s gives a side above %d", factor,
                                 sac_shape_text(&src[0], text), MAX_SIZE);
        }
    }
    return SAC_OK;
}

static void upsample_ref_forward(const sac_ref *ref) {
    geometry g = geometry_of(&ref->src_shape[0], ref->attrs);
    float *dst = ref->dst;
    for (int64_t p = 0; p < g.n * g.c; p++) {
        for (int64_t z = 0; z < g.d * g.fd; z++) {
            for (int64_t y = 0; y < g.h * g.fh; y++) {
                for (int64_t x = 0; x < g.w * g.fw; x++) {
                    *dst++ = ref->src[0][((p * g.d + z / g.fd) * g.h + y / g.fh) * g.w + x / g.fw];
                }
            }
        }
    }
}

static void upsample_ref_backward(const sac_ref *ref) {
    if (ref->diff_src[0] == NULL) return;
    geometry g = geometry_of(&ref->src_shape[0], ref->attrs);
    float *diff_src = ref->diff_src[0];
    for (int64_t p = 0; p < g.n * g.c; p++) {
        for (int64_t z = 0; z < g.d; z++) {
            for (int64_t y = 0; y < g.h; y++) {
                for (int64_t x = 0; x < g.w; x++) {
                    // Every dst that copied this src, from dst = src[z / fd][y / fh][x / fw].
                    double sum = 0.0;
                    for (int64_t k = 0; k < g.fd; k++) {
                        for (int64_t i = 0; i < g.fh; i++) {
                            for (int64_t j = 0; j < g.fw; j++) {
                                sum +=
                                    (double)ref
                                        ->diff_dst[((p * g.d * g.fd + z * g.fd + k) * g.h * g.fh +
                                                    y * g.fh + i) *
                                                       g.w * g.fw +
                                                   x * g.fw + j];
                            }
                        }
                    }
                    *diff_src++ = (float)sum;
                }
            }
        }
    }
}

// One row of w pixels to a row of w * fw pixels.
SAC_CLONES static void spread_row(const float *restrict src, int64_t w, int64_t c, int64_t fw,
                                  float *restrict dst) {
    for (int64_t x = 0; x < w; x++, src += c) {
        for (int64_t j = 0; j < fw; j++, dst += c) {
#pragma omp simd
            for (int64_t i = 0; i < c; i++) dst[i] = src[i];
        }
    }
}

// diff_src row (+)= sums over fw neighbours of a diff_dst row.
SAC_CLONES static void gather_row(const float *restrict diff_dst, int64_t w, int64_t c, int64_t fw,
                                  bool first, float *restrict diff_src) {
    for (int64_t x = 0; x < w; x++, diff_src += c) {
        for (int64_t j = 0; j < fw; j++, diff_dst += c) {
            if (first && j == 0) {
#pragma omp simd
                for (int64_t i = 0; i < c; i++) diff_src[i] = diff_dst[i];
            } else {
#pragma omp simd
                for (int64_t i = 0; i < c; i++) diff_src[i] += diff_dst[i];
            }
        }
    }
}

// buffers: src, dst
static void kernel_forward(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const geometry *g = context;
    const float *src = buffers[0];
    float *dst = buffers[1];
    int64_t src_row = g->w * g->c, dst_row = src_row * g->fw;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < g->n * g->d * g->h; r++) {
        int64_t plane = r / g->h * g->fd, y = r % g->h * g->fh; // of dst
        float *first = dst + (plane * g->h * g->fh + y) * dst_row;
        spread_row(src + r * src_row, g->w, g->c, g->fw, first);
        for (int64_t k = 0; k < g->fd; k++) {
            for (int64_t i = 0; i < g->fh; i++) {
                float *copy = dst + ((plane + k) * g->h * g->fh + y + i) * dst_row;
                if (copy != first) memcpy(copy, first, (size_t)dst_row * sizeof(*dst));
            }
        }
    }
}

// buffers: diff_dst, diff_src
static void kernel_backward(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const geometry *g = context;
    const float *diff_dst = buffers[0];
    float *diff_src = buffers[1];
    int64_t src_row = g->w * g->c, dst_row = src_row * g->fw;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < g->n * g->d * g->h; r++) {
        int64_t plane = r / g->h * g->fd, y = r % g->h * g->fh;
        for (int64_t k = 0; k < g->fd; k++) {
            for (int64_t i = 0; i < g->fh; i++) {
                const float *row = diff_dst + ((plane + k) * g->h * g->fh + y + i) * dst_row;
                gather_row(row, g->w, g->c, g->fw, k == 0 && i == 0, diff_src + r * src_row);
            }
        }
    }
}

static sac_status upsample_build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    geometry g = geometry_of(&node->src_shape[0], &node->node->attrs);
    sac_buffer buffers[2] = {-1, -1};
    SAC_TRY(sac_build_layout(build, node->src[0], &node->src_shape[0], SAC_LAYOUT_CHANNELS_LAST,
                             &buffers[0], error));
    SAC_TRY(sac_build_buffer_like(build, &node->dst_shape, SAC_LAYOUT_CHANNELS_LAST, &node->dst,
                                  error));
    buffers[1] = node->dst;
    SAC_TRY(sac_build_kernel(build, "upsample", kernel_forward, &g, sizeof(g), buffers, 2, error));
fail:
    return status;
}

static sac_status upsample_build_backward(sac_build *build, sac_build_node *node,
                                          sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    sac_status status = SAC_OK;
    geometry g = geometry_of(&node->src_shape[0], &node->node->attrs);
    sac_buffer buffers[2] = {-1, -1};
    SAC_TRY(sac_build_layout(build, node->diff_dst, &node->dst_shape, SAC_LAYOUT_CHANNELS_LAST,
                             &buffers[0], error));
    SAC_TRY(sac_build_buffer_like(build, &node->src_shape[0], SAC_LAYOUT_CHANNELS_LAST,
                                  &node->diff_src[0], error));
    buffers[1] = node->diff_src[0];
    SAC_TRY(sac_build_kernel(build, "upsample backward", kernel_backward, &g, sizeof(g), buffers, 2,
                             error));
fail:
    return status;
}

const sac_op sac_op_upsample = {
    .name = "upsample",
    .min_src = 1,
    .max_src = 1,
    .shape = upsample_shape,
    .ref_forward = upsample_ref_forward,
    .ref_backward = upsample_ref_backward,
    .build_forward = upsample_build_forward,
    .build_backward = upsample_build_backward,
};
