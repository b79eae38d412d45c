// The trivial frame-difference scorers: how far a data set can be solved without looking at
// anything but the change of gray values between consecutive frames. A learned scorer must beat
// them.
#ifndef SAC_BENCH_BASELINE_H
#define SAC_BENCH_BASELINE_H

#include <stdint.h>

#include "saccade/status.h"
#include "video/dataset.h"

#define SAC_BASELINE_BLOCK 16 // px

// Of two gray frames u8 [height][width]:
//   *mean   mean over pixels of |frame - previous|
//   *block  the largest mean of |frame - previous| over the 16x16 blocks of a grid from the top
//           left (blocks cut by the right or bottom border are averaged over the pixels they have)
// Both in gray values 0..255. width, height >= 1.
void sac_frame_difference(float *mean, float *block, const uint8_t *frame, const uint8_t *previous,
                          int width, int height);

// Both scores for each frame of a clip, f32 [clip->frames]; frame t is compared with t-1, frame 0
// gets the score of frame 1 (0 when the clip has one frame). Decodes at the source's size, one
// frame kept.
//   poll  may be NULL; called with user once per frame, nonzero stops
// SAC_ERROR_FORMAT: the clip decodes to another number of frames than clip->frames (named with both
// counts); SAC_ERROR_INTERRUPTED; what sac_video_open and sac_video_read return; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_baseline_clip(float *mean, float *block, const sac_clip *clip,
                                           int (*poll)(void *user), void *user, sac_error *error);

#endif
