// The inner loops of the dense flow, twice: `plain` are textbook loops in double precision that
// define each operation, `fast` are the same formulas in single precision, laid out for vector
// code. They decide nothing; the order of the steps stands in flow.c.
#ifndef SAC_VIDEO_FLOW_KERNELS_H
#define SAC_VIDEO_FLOW_KERNELS_H

#include <stdint.h>

#define SAC_FLOW_SIDE 8 // of a patch, px
#define SAC_FLOW_AREA (SAC_FLOW_SIDE * SAC_FLOW_SIDE)

// A patch of the first frame, made ready for matching against any number of places in the second.
typedef struct sac_flow_patch {
    _Alignas(64) float value[SAC_FLOW_AREA]; // gray levels
    _Alignas(64) float dx[SAC_FLOW_AREA];    // gradient less its mean over the patch
    _Alignas(64) float dy[SAC_FLOW_AREA];
    float inverse[3]; // of M = [sum dx dx, sum dx dy; sum dx dy, sum dy dy] + damping I: xx, xy, yy
} sac_flow_patch;

// What `match` sums over a patch, r(p) = to(p + (u, v)) - value(p).
typedef struct sac_flow_sums {
    float x, y;   // sum dx r, sum dy r
    float offset; // mean of r: the change of brightness
    float cost;   // sum (r - offset)^2
} sac_flow_sums;

// One row of the linear system of the refinement. All pointers are at column 0; columns -1 and n
// exist.
typedef struct sac_flow_row {
    float *a11, *a12, *a22, *b1, *b2; // data term
    float *right, *down;              // smoothness weights to the neighbours
    float *inverse1, *inverse2;       // 1 / (diagonal)
    const float *up;                  // `down` of the row above; all zero at the first row
    float *u, *v;
    const float *u_above, *v_above, *u_below, *v_below; // any readable row where there is none
} sac_flow_row;

// Damping of a patch's normal matrix, (gray levels / px)^2: along an edge, where the patch cannot
// see motion, it stays where it started.
#define SAC_FLOW_DAMPING 100.0
// Gradients (gray levels / px) well below this say nothing in the data term.
#define SAC_FLOW_WEAK_GRADIENT 16.0
// Where the penalties of data and smoothness turn from squares to lines, px.
#define SAC_FLOW_DATA_KNEE   0.1
#define SAC_FLOW_SMOOTH_KNEE 0.01
// Over-relaxation factor.
#define SAC_FLOW_RELAXATION 1.8

typedef struct sac_flow_kernels {
    // Fills the patch whose upper left pixel is image[0]; dx and dy are gradient planes.
    //   image_stride, stride  floats per row of the image, of the gradients
    void (*prepare)(sac_flow_patch *patch, const float *image, int64_t image_stride,
                    const float *dx, const float *dy, int64_t stride);
    // Compares with the place (fx, fy) in [0,1)^2 right of and below image[0], bilinear; reads 9x9
    // pixels.
    void (*match)(sac_flow_sums *sums, const sac_flow_patch *patch, const float *image,
                  int64_t image_stride, float fx, float fy);
    // Votes of a patch for its pixels, d = r - offset at the place it was found:
    //   q = 1 / max(1, d^2); weight += q; sum_u += q u; sum_v += q v
    void (*spread)(float *weight, float *sum_u, float *sum_v, int64_t stride,
                   const sac_flow_patch *patch, const float *image, int64_t image_stride, float fx,
                   float fy, float offset, float u, float v);
    // warped[x] = image(x + u[x], y + v[x]), bilinear, places outside the picture moved to its
    // border; inside[x] = 1, or 0 for those. image has `height` rows of n pixels, rows `stride`
    // apart.
    void (*warp)(float *warped, float *inside, const float *image, int64_t stride, int height,
                 int y, const float *u, const float *v, int n);
    // Data term of one row, linear around the flow now, from the row itself, the ones above and
    // below of both pictures ([0] above, [1] this, [2] below; columns -1 and n readable):
    //   ix, iy = central differences of (from + warped) / 2, it = warped - from
    //   k = 1 / (ix^2 + iy^2 + weak^2), t = inside k / sqrt(it^2 k + knee^2)
    //   a11 = t ix^2, a12 = t ix iy, a22 = t iy^2
    //   b1 = a11 u + a12 v - t ix it, b2 = a12 u + a22 v - t iy it
    void (*linearise)(const sac_flow_row *row, const float *const from[3],
                      const float *const warped[3], const float *inside, int n);
    // s[x] = smoothness / 2 / sqrt(ux^2 + uy^2 + vx^2 + vy^2 + knee^2), central differences.
    void (*stiffen)(float *s, const sac_flow_row *row, float smoothness, int n);
    // right[x] = s[x] + s[x + 1] (0 behind the last column), down[x] = s[x] + below[x] (0 when
    // below is NULL).
    void (*join)(const sac_flow_row *row, const float *s, const float *below, int n);
    // inverse1 = 1 / (a11 + sum of the four weights), inverse2 with a22.
    void (*invert)(const sac_flow_row *row, int n);
    // One over-relaxed step at the columns x with (x + parity) even, u first:
    //   u += w (inverse1 (b1 - a12 v + sum of weight * neighbour's u) - u), then v likewise with
    //   a12 u
    void (*relax)(const sac_flow_row *row, int parity, int n);
} sac_flow_kernels;

extern const sac_flow_kernels sac_flow_plain, sac_flow_fast;

#endif
