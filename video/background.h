// Background model of a fixed camera: what the picture shows when nothing moves, how much each
// pixel fluctuates, and which pixels of a frame differ from it. Knows pixels only, no objects:
// joining them into people is the business of the motion detector.
#ifndef SAC_VIDEO_BACKGROUND_H
#define SAC_VIDEO_BACKGROUND_H

#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_background_options {
    int samples;            // frames the median is taken over, spread evenly, 3..251: 61
    int64_t segment_frames; // longer clips get one background per segment of this length: 600
    double threshold;       // gray levels above the fluctuation of the pixel, > 0: 8
    int close_x, close_y;   // radius of the morphological closing, px, 0..32: 1, 2
} sac_background_options;
sac_background_options sac_background_default_options(void);

typedef struct sac_background sac_background;

// background[p] = median over sampled frames of pixel p
// noise[p]      = 1.4826 * median |sample - background|, at least its median over the picture and 1
//   pixels  u8 gray [frames][height][width] of the whole clip, borrowed until close
// Clips longer than segment_frames are cut into segments; the samples of a segment come from the
// segment and half a segment to each side, so that the model follows slow changes (a running
// median). Segments are computed when first needed and only the latest is kept.
// SAC_ERROR_ARGUMENT: no frames, a size below 1, an option out of range; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_background_create(sac_background **background, const uint8_t *pixels,
                                               int64_t frames, int width, int height,
                                               const sac_background_options *options,
                                               sac_error *error);
// Foreground of frame t:
//   d = frame - (gain * background + offset), averaged over 3x3 pixels
//   mask = closing(|d| > threshold + noise)
// gain and offset are fitted per frame by trimmed least squares over the picture, which takes out
// lighting drift and automatic exposure.
//   mask      u8 [height][width], 0 or 1
//   strength  f32 [height][width], |d|, or NULL
// One object serves one thread.
void sac_background_mask(sac_background *background, uint8_t *mask, float *strength, int64_t t);
// Median picture u8 [height][width] that applies to frame t; borrowed until the next call.
const uint8_t *sac_background_picture(sac_background *background, int64_t t);
void sac_background_close(sac_background **background);

// A connected set of foreground pixels (8 neighbours).
typedef struct sac_blob {
    int x1, y1, x2, y2; // x2 and y2 are one past the last pixel
    int64_t area;       // pixels
    double strength;    // sum of strength over its pixels
} sac_blob;

// Connected components of a mask in scan order of their first pixel.
//   labels    i32 [height][width]: 0 background, 1 + index of the blob
//   strength  f32 [height][width] or NULL
//   blobs     receives an array of *count (sac_free it)
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_blobs_find(sac_blob **blobs, int64_t *count, int32_t *labels,
                                        const uint8_t *mask, const float *strength, int width,
                                        int height);

#endif
