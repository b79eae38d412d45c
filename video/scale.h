// Area-average and bilinear resampling of u8 images on the CPU, one pass, no allocation per call.
// The student's preprocessing and the teachers' crops use these, so that training and running see identical pixels.
#ifndef SAC_VIDEO_SCALE_H
#define SAC_VIDEO_SCALE_H

#include <stdint.h>

#include "saccade/status.h"

// dst [dh][dw][channels] = area average (box filter with exact fractional edges) of src [sh][sw][channels] when shrinking, bilinear (pixel centres) when growing,
// decided per axis. Deterministic: same bytes on every machine. Sizes 1..16384.
typedef struct sac_scaler sac_scaler; // holds the per-axis taps
SAC_NODISCARD sac_status sac_scaler_create(sac_scaler **scaler, int sw, int sh, int dw, int dh, int channels);
void sac_scaler_run(sac_scaler *scaler, uint8_t *dst, const uint8_t *src);
void sac_scaler_close(sac_scaler **scaler);

// dst f32 [dh][dw] in [0,1] = bilinear samples of box (x1,y1,x2,y2 in pixels, may leave the image: border replicated) of gray src [sh][sw].
// Shrinking boxes are averaged over the footprint (at least 2x2 samples a pixel when the factor exceeds 2).
void sac_crop_gray(float *dst, int dw, int dh, const uint8_t *src, int sw, int sh, double x1, double y1, double x2, double y2);

#endif
