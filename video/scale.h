// Area-average and bilinear resampling of u8 images on the CPU, one pass, no allocation per call.
// The student's preprocessing and the teachers' crops use these, so that training and running see
// identical pixels.
#ifndef SAC_VIDEO_SCALE_H
#define SAC_VIDEO_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

// dst [dh][dw][channels] from src [sh][sw][channels], u8, decided per axis:
//   shrinking (dw <= sw): dst_i = mean of src over [i, i + 1) sw / dw, edges by their covered part;
//   growing: dst_i = linear interpolation at (i + 0.5) sw / dw - 0.5 between pixel centres, border
//            replicated.
// Sizes 1..16384, channels 1 or 3.
// Numerics: weights are whole numbers (the fractions have the common denominator sw / gcd or
// 2 dw / gcd), so the bytes are the same on every machine and for every instruction set. The exact
// value rounded to nearest, half up, while the denominator of y is at most 128, else within 1/256
// before rounding. Bilinear weights are rounded to 1/16384 where their denominator is larger.
// SAC_ERROR_ARGUMENT: size or channels outside their range; SAC_ERROR_MEMORY.
// Limited range (the _limited function): v being that exact value, dst = 255 (v - 16) / 219 clipped
// to 0..255, rounded once; off by at most 1/1000 before rounding (1/128 where the denominator of y
// is above 128). Values outside 16..235 are averaged before they are clipped.
// A scaler holds one row of scratch: one thread at a time. Owned by the caller, sac_scaler_close.
typedef struct sac_scaler sac_scaler;
SAC_NODISCARD sac_status sac_scaler_create(sac_scaler **scaler, int sw, int sh, int dw, int dh,
                                           int channels);
void sac_scaler_run(sac_scaler *scaler, uint8_t *dst, const uint8_t *src);
// The same for source rows that lie `src_stride` bytes apart (may be negative).
void sac_scaler_run_rows(sac_scaler *scaler, uint8_t *dst, const uint8_t *src,
                         ptrdiff_t src_stride);
// The same and limited range (16 black, 235 white) stretched to 0..255 in the same pass.
void sac_scaler_run_limited(sac_scaler *scaler, uint8_t *dst, const uint8_t *src,
                            ptrdiff_t src_stride);
void sac_scaler_close(sac_scaler **scaler); // NULL-safe

// Which code reduces rows along x; all give the same bytes. Tests and benchmarks choose, everyone
// else keeps BEST. SAC_ERROR_UNSUPPORTED: this machine or this ratio cannot use it; the scaler
// stays as it was.
typedef enum sac_scaler_code {
    SAC_SCALER_BEST,
    SAC_SCALER_PLAIN,
    SAC_SCALER_AVX2,
    SAC_SCALER_AVX512
} sac_scaler_code;
SAC_NODISCARD sac_status sac_scaler_use(sac_scaler *scaler, sac_scaler_code code);

// dst f32 [dh][dw] in [0,1] = bilinear samples of the box (x1,y1)-(x2,y2) of gray src u8 [sh][sw]:
//   dst(i, j) = mean over k < nx, l < ny of src(x(i, k), y(j, l)) / 255,
//   x(i, k) = x1 + (i + (k + 0.5) / nx) (x2 - x1) / dw - 0.5, y alike,
//   n = ceil(box size / dst size) samples a pixel and axis, 1..256, so that shrinking averages.
// Box in pixels, (0,0) the outer corner of the first pixel; it may leave the image (the border is
// replicated); a mirrored box (x2 < x1) mirrors the crop; NaN counts as 0. Any thread.
void sac_crop_gray(float *dst, int dw, int dh, const uint8_t *src, int sw, int sh, double x1,
                   double y1, double x2, double y2);

#endif
