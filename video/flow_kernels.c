// Plain and fast inner loops of the dense flow. Compiled without contraction of products and sums,
// so that every instruction set the fast ones are compiled for rounds alike.
#include "video/flow_kernels.h"

#include <math.h>
#include <stddef.h>

#include "core/clones.h"

enum { SIDE = SAC_FLOW_SIDE, AREA = SAC_FLOW_AREA };

// ---- plain -------------------------------------------------------------------------------------

static void invert_2x2(float inverse[3], double xx, double xy, double yy) {
    xx += SAC_FLOW_DAMPING;
    yy += SAC_FLOW_DAMPING;
    double determinant = xx * yy - xy * xy;
    inverse[0] = (float)(yy / determinant);
    inverse[1] = (float)(-xy / determinant);
    inverse[2] = (float)(xx / determinant);
}

static void prepare_plain(sac_flow_patch *patch, const float *image, int64_t image_stride,
                          const float *dx, const float *dy, int64_t stride) {
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0, yy = 0;
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            mean_x += (double)dx[y * stride + x] / AREA;
            mean_y += (double)dy[y * stride + x] / AREA;
        }
    }
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            double gx = dx[y * stride + x] - mean_x, gy = dy[y * stride + x] - mean_y;
            patch->value[y * SIDE + x] = image[y * image_stride + x];
            patch->dx[y * SIDE + x] = (float)gx;
            patch->dy[y * SIDE + x] = (float)gy;
            xx += gx * gx;
            xy += gx * gy;
            yy += gy * gy;
        }
    }
    invert_2x2(patch->inverse, xx, xy, yy);
}

static double between(const float *image, int64_t stride, double fx, double fy) {
    double above = image[0] * (1 - fx) + image[1] * fx;
    double below = image[stride] * (1 - fx) + image[stride + 1] * fx;
    return above * (1 - fy) + below * fy;
}

static void match_plain(sac_flow_sums *sums, const sac_flow_patch *patch, const float *image,
                        int64_t image_stride, float fx, float fy) {
    double sx = 0, sy = 0, offset = 0, cost = 0;
    for (int p = 0; p < AREA; p++) {
        double r = between(image + p / SIDE * image_stride + p % SIDE, image_stride, fx, fy) -
                   patch->value[p];
        sx += patch->dx[p] * r;
        sy += patch->dy[p] * r;
        offset += r / AREA;
    }
    for (int p = 0; p < AREA; p++) {
        double r = between(image + p / SIDE * image_stride + p % SIDE, image_stride, fx, fy) -
                   patch->value[p];
        cost += (r - offset) * (r - offset);
    }
    *sums = (sac_flow_sums){(float)sx, (float)sy, (float)offset, (float)cost};
}

static void spread_plain(float *weight, float *sum_u, float *sum_v, int64_t stride,
                         const sac_flow_patch *patch, const float *image, int64_t image_stride,
                         float fx, float fy, float offset, float u, float v) {
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            double d = between(image + y * image_stride + x, image_stride, fx, fy) -
                       patch->value[y * SIDE + x] - offset;
            double q = 1 / fmax(1, d * d);
            weight[y * stride + x] = (float)(weight[y * stride + x] + q);
            sum_u[y * stride + x] = (float)(sum_u[y * stride + x] + q * u);
            sum_v[y * stride + x] = (float)(sum_v[y * stride + x] + q * v);
        }
    }
}

static void warp_plain(float *warped, float *inside, const float *image, int64_t stride, int height,
                       int y, const float *u, const float *v, int n) {
    for (int x = 0; x < n; x++) {
        double at_x = (double)x + u[x], at_y = (double)y + v[x];
        double to_x = fmin(fmax(at_x, 0), n - 1), to_y = fmin(fmax(at_y, 0), height - 1);
        // The last column and row are reached from the left and from above.
        int left = (int)fmin(to_x, n - 2), top = (int)fmin(to_y, height - 2);
        warped[x] = (float)between(image + top * stride + left, stride, to_x - left, to_y - top);
        inside[x] = at_x == to_x && at_y == to_y;
    }
}

static void linearise_plain(const sac_flow_row *row, const float *const from[3],
                            const float *const warped[3], const float *inside, int n) {
    for (int x = 0; x < n; x++) {
        double ix = ((double)from[1][x + 1] - from[1][x - 1] + warped[1][x + 1] - warped[1][x - 1]);
        double iy = ((double)from[2][x] - from[0][x] + warped[2][x] - warped[0][x]);
        ix *= 0.25;
        iy *= 0.25;
        double it = (double)warped[1][x] - from[1][x];
        double k = 1 / (ix * ix + iy * iy + SAC_FLOW_WEAK_GRADIENT * SAC_FLOW_WEAK_GRADIENT);
        double t = inside[x] * k / sqrt(it * it * k + SAC_FLOW_DATA_KNEE * SAC_FLOW_DATA_KNEE);
        double u = row->u[x], v = row->v[x];
        row->a11[x] = (float)(t * ix * ix);
        row->a12[x] = (float)(t * ix * iy);
        row->a22[x] = (float)(t * iy * iy);
        row->b1[x] = (float)(t * ix * (ix * u + iy * v - it));
        row->b2[x] = (float)(t * iy * (ix * u + iy * v - it));
    }
}

static void stiffen_plain(float *s, const sac_flow_row *row, float smoothness, int n) {
    for (int x = 0; x < n; x++) {
        double ux = 0.5 * ((double)row->u[x + 1] - row->u[x - 1]);
        double uy = 0.5 * ((double)row->u_below[x] - row->u_above[x]);
        double vx = 0.5 * ((double)row->v[x + 1] - row->v[x - 1]);
        double vy = 0.5 * ((double)row->v_below[x] - row->v_above[x]);
        double square = ux * ux + uy * uy + vx * vx + vy * vy;
        s[x] =
            (float)(0.5 * smoothness / sqrt(square + SAC_FLOW_SMOOTH_KNEE * SAC_FLOW_SMOOTH_KNEE));
    }
}

static void join_plain(const sac_flow_row *row, const float *s, const float *below, int n) {
    for (int x = 0; x < n; x++) {
        row->right[x] = x + 1 < n ? s[x] + s[x + 1] : 0;
        row->down[x] = below != NULL ? s[x] + below[x] : 0;
    }
}

static void invert_plain(const sac_flow_row *row, int n) {
    for (int x = 0; x < n; x++) {
        double sum = (double)row->right[x - 1] + row->right[x] + row->up[x] + row->down[x];
        row->inverse1[x] = (float)(1 / (row->a11[x] + sum));
        row->inverse2[x] = (float)(1 / (row->a22[x] + sum));
    }
}

static void relax_plain(const sac_flow_row *row, int parity, int n) {
    float *u = row->u, *v = row->v;
    for (int x = parity & 1; x < n; x += 2) {
        double left = row->right[x - 1], right = row->right[x], up = row->up[x],
               down = row->down[x];
        double sum_u =
            left * u[x - 1] + right * u[x + 1] + up * row->u_above[x] + down * row->u_below[x];
        double sum_v =
            left * v[x - 1] + right * v[x + 1] + up * row->v_above[x] + down * row->v_below[x];
        double to_u = row->inverse1[x] * (row->b1[x] - (double)row->a12[x] * v[x] + sum_u);
        double new_u = u[x] + SAC_FLOW_RELAXATION * (to_u - u[x]);
        double to_v = row->inverse2[x] * (row->b2[x] - row->a12[x] * new_u + sum_v);
        u[x] = (float)new_u;
        v[x] = (float)(v[x] + SAC_FLOW_RELAXATION * (to_v - v[x]));
    }
}

const sac_flow_kernels sac_flow_plain = {
    .prepare = prepare_plain,
    .match = match_plain,
    .spread = spread_plain,
    .warp = warp_plain,
    .linearise = linearise_plain,
    .stiffen = stiffen_plain,
    .join = join_plain,
    .invert = invert_plain,
    .relax = relax_plain,
};

// ---- fast --------------------------------------------------------------------------------------

// A row of a patch: eight columns side by side. Loops would leave the compiler the choice to put
// other things side by side, and it chooses badly. The type may lie at any address and is only used
// inside functions.
typedef float row8 __attribute__((vector_size(4 * SAC_FLOW_SIDE), aligned(4), may_alias));
typedef int32_t mask8 __attribute__((vector_size(4 * SAC_FLOW_SIDE)));
#define ROW8(pointer) (*(const row8 *)(pointer))
#define ADD_LANES(r)                                                                               \
    (((r)[0] + (r)[4]) + ((r)[2] + (r)[6])) + (((r)[1] + (r)[5]) + ((r)[3] + (r)[7]))

SAC_CLONES static void prepare_fast(sac_flow_patch *restrict patch, const float *restrict image,
                                    int64_t image_stride, const float *restrict dx,
                                    const float *restrict dy, int64_t stride) {
    row8 sum_x = {0}, sum_y = {0};
    for (int y = 0; y < SIDE; y++) {
        sum_x += ROW8(dx + y * stride);
        sum_y += ROW8(dy + y * stride);
    }
    const float mean_x = ADD_LANES(sum_x), mean_y = ADD_LANES(sum_y);
    row8 xx = {0}, xy = {0}, yy = {0};
    for (int y = 0; y < SIDE; y++) {
        const row8 gx = ROW8(dx + y * stride) - mean_x * (1.0f / AREA);
        const row8 gy = ROW8(dy + y * stride) - mean_y * (1.0f / AREA);
        *(row8 *)(patch->value + y * SIDE) = ROW8(image + y * image_stride);
        *(row8 *)(patch->dx + y * SIDE) = gx;
        *(row8 *)(patch->dy + y * SIDE) = gy;
        xx += gx * gx;
        xy += gx * gy;
        yy += gy * gy;
    }
    const float mxx = ADD_LANES(xx), mxy = ADD_LANES(xy), myy = ADD_LANES(yy);
    invert_2x2(patch->inverse, mxx, mxy, myy);
}

SAC_CLONES static void match_fast(sac_flow_sums *restrict sums,
                                  const sac_flow_patch *restrict patch, const float *restrict image,
                                  int64_t image_stride, float fx, float fy) {
    const float a = (1 - fx) * (1 - fy), b = fx * (1 - fy), c = (1 - fx) * fy, d = fx * fy;
    row8 sx = {0}, sy = {0}, sr = {0}, srr = {0};
    for (int y = 0; y < SIDE; y++) {
        const float *above = image + y * image_stride, *below = above + image_stride;
        const row8 r = (a * ROW8(above) + b * ROW8(above + 1)) +
                       (c * ROW8(below) + d * ROW8(below + 1)) - ROW8(patch->value + y * SIDE);
        sx += ROW8(patch->dx + y * SIDE) * r;
        sy += ROW8(patch->dy + y * SIDE) * r;
        sr += r;
        srr += r * r;
    }
    const float sum = ADD_LANES(sr), square = ADD_LANES(srr), offset = sum * (1.0f / AREA);
    const float cost = square - sum * offset;
    sums->x = ADD_LANES(sx);
    sums->y = ADD_LANES(sy);
    sums->offset = offset;
    sums->cost = cost > 0 ? cost : 0; // rounding may leave a little less than nothing
}

SAC_CLONES static void spread_fast(float *restrict weight, float *restrict sum_u,
                                   float *restrict sum_v, int64_t stride,
                                   const sac_flow_patch *restrict patch,
                                   const float *restrict image, int64_t image_stride, float fx,
                                   float fy, float offset, float u, float v) {
    const float a = (1 - fx) * (1 - fy), b = fx * (1 - fy), c = (1 - fx) * fy, d = fx * fy;
    for (int y = 0; y < SIDE; y++) {
        const float *above = image + y * image_stride, *below = above + image_stride;
        const row8 r = (a * ROW8(above) + b * ROW8(above + 1)) +
                       (c * ROW8(below) + d * ROW8(below + 1)) - ROW8(patch->value + y * SIDE) -
                       offset;
        const row8 square = r * r, one = {1, 1, 1, 1, 1, 1, 1, 1};
        const mask8 large = square > one;
        const row8 q = one / (row8)(((mask8)square & large) | ((mask8)one & ~large));
        *(row8 *)(weight + y * stride) += q;
        *(row8 *)(sum_u + y * stride) += q * u;
        *(row8 *)(sum_v + y * stride) += q * v;
    }
}

SAC_CLONES static void warp_fast(float *restrict warped, float *restrict inside,
                                 const float *restrict image, int64_t stride, int height, int y,
                                 const float *restrict u, const float *restrict v, int n) {
    const float most_x = (float)(n - 1), most_y = (float)(height - 1), row = (float)y;
    const int step = (int)stride;
    for (int x = 0; x < n; x++) {
        const float at_x = (float)x + u[x], at_y = row + v[x];
        float to_x = at_x > 0 ? at_x : 0, to_y = at_y > 0 ? at_y : 0;
        to_x = to_x < most_x ? to_x : most_x;
        to_y = to_y < most_y ? to_y : most_y;
        int left = (int)to_x, top = (int)to_y;
        left = left < n - 2 ? left : n - 2;
        top = top < height - 2 ? top : height - 2;
        const float fx = to_x - (float)left, fy = to_y - (float)top;
        const int p = top * step + left;
        const float above = image[p] + fx * (image[p + 1] - image[p]);
        const float below = image[p + step] + fx * (image[p + step + 1] - image[p + step]);
        warped[x] = above + fy * (below - above);
        inside[x] = (at_x == to_x) & (at_y == to_y) ? 1.0f : 0.0f;
    }
}

SAC_CLONES static void linearise_fast(const sac_flow_row *row, const float *const from[3],
                                      const float *const warped[3], const float *restrict inside,
                                      int n) {
    const float weak = (float)(SAC_FLOW_WEAK_GRADIENT * SAC_FLOW_WEAK_GRADIENT),
                knee = (float)(SAC_FLOW_DATA_KNEE * SAC_FLOW_DATA_KNEE);
    const float *restrict f0 = from[0], *restrict f1 = from[1], *restrict f2 = from[2];
    const float *restrict w0 = warped[0], *restrict w1 = warped[1], *restrict w2 = warped[2];
    const float *restrict u = row->u, *restrict v = row->v;
    float *restrict a11 = row->a11, *restrict a12 = row->a12, *restrict a22 = row->a22,
                    *restrict b1 = row->b1, *restrict b2 = row->b2;
#pragma GCC ivdep
    for (int x = 0; x < n; x++) {
        const float ix = 0.25f * ((f1[x + 1] - f1[x - 1]) + (w1[x + 1] - w1[x - 1]));
        const float iy = 0.25f * ((f2[x] - f0[x]) + (w2[x] - w0[x]));
        const float it = w1[x] - f1[x];
        const float k = 1.0f / (ix * ix + iy * iy + weak);
        const float t = inside[x] * k / sqrtf(it * it * k + knee);
        const float rest = ix * u[x] + iy * v[x] - it;
        a11[x] = t * ix * ix;
        a12[x] = t * ix * iy;
        a22[x] = t * iy * iy;
        b1[x] = t * ix * rest;
        b2[x] = t * iy * rest;
    }
}

SAC_CLONES static void stiffen_fast(float *restrict s, const sac_flow_row *row, float smoothness,
                                    int n) {
    const float knee = (float)(SAC_FLOW_SMOOTH_KNEE * SAC_FLOW_SMOOTH_KNEE);
    const float *u = row->u, *v = row->v, *ua = row->u_above, *va = row->v_above,
                *ub = row->u_below, *vb = row->v_below;
#pragma GCC ivdep
    for (int x = 0; x < n; x++) {
        const float ux = u[x + 1] - u[x - 1], uy = ub[x] - ua[x];
        const float vx = v[x + 1] - v[x - 1], vy = vb[x] - va[x];
        s[x] =
            0.5f * smoothness / sqrtf(0.25f * ((ux * ux + uy * uy) + (vx * vx + vy * vy)) + knee);
    }
}

SAC_CLONES static void join_fast(const sac_flow_row *row, const float *restrict s,
                                 const float *restrict below, int n) {
    float *restrict right = row->right, *restrict down = row->down;
#pragma GCC ivdep
    for (int x = 0; x < n; x++) right[x] = s[x] + s[x + 1];
    right[n - 1] = 0;
#pragma GCC ivdep
    for (int x = 0; x < n; x++) down[x] = below != NULL ? s[x] + below[x] : 0;
}

SAC_CLONES static void invert_fast(const sac_flow_row *row, int n) {
    const float *restrict right = row->right, *restrict up = row->up, *restrict down = row->down,
                          *restrict a11 = row->a11, *restrict a22 = row->a22;
    float *restrict inverse1 = row->inverse1, *restrict inverse2 = row->inverse2;
#pragma GCC ivdep
    for (int x = 0; x < n; x++) {
        const float sum = (right[x - 1] + right[x]) + (up[x] + down[x]);
        inverse1[x] = 1.0f / (a11[x] + sum);
        inverse2[x] = 1.0f / (a22[x] + sum);
    }
}

// A vector cannot take every second column alone: all are computed, half of them are kept. The kept
// ones depend on the others only, which do not change meanwhile.
SAC_CLONES static void relax_fast(const sac_flow_row *row, int parity, int n) {
    enum { CHUNK = 256 };
    _Alignas(64) float keep_u[CHUNK], keep_v[CHUNK];
    const float w = (float)SAC_FLOW_RELAXATION;
    for (int from = 0; from < n; from += CHUNK) {
        const int m = n - from < CHUNK ? n - from : CHUNK;
        float *u = row->u + from, *v = row->v + from;
        const float *right = row->right + from, *up = row->up + from, *down = row->down + from,
                    *a12 = row->a12 + from, *b1 = row->b1 + from, *b2 = row->b2 + from,
                    *inverse1 = row->inverse1 + from, *inverse2 = row->inverse2 + from,
                    *ua = row->u_above + from, *va = row->v_above + from, *ub = row->u_below + from,
                    *vb = row->v_below + from;
#pragma GCC ivdep
        for (int x = 0; x < m; x++) {
            const float sum_u =
                (right[x - 1] * u[x - 1] + right[x] * u[x + 1]) + (up[x] * ua[x] + down[x] * ub[x]);
            const float sum_v =
                (right[x - 1] * v[x - 1] + right[x] * v[x + 1]) + (up[x] * va[x] + down[x] * vb[x]);
            const float to_u = inverse1[x] * (b1[x] - a12[x] * v[x] + sum_u);
            const float new_u = u[x] + w * (to_u - u[x]);
            const float to_v = inverse2[x] * (b2[x] - a12[x] * new_u + sum_v);
            keep_u[x] = new_u;
            keep_v[x] = v[x] + w * (to_v - v[x]);
        }
        const int odd = (from + parity) & 1;
#pragma GCC ivdep
        for (int x = 0; x < m; x++) {
            const int kept = (x + odd) & 1;
            u[x] = kept ? u[x] : keep_u[x];
            v[x] = kept ? v[x] : keep_v[x];
        }
    }
}

const sac_flow_kernels sac_flow_fast = {
    .prepare = prepare_fast,
    .match = match_fast,
    .spread = spread_fast,
    .warp = warp_fast,
    .linearise = linearise_fast,
    .stiffen = stiffen_fast,
    .join = join_fast,
    .invert = invert_fast,
    .relax = relax_fast,
};
