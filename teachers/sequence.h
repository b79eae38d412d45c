// Object-centric sequences: the SAME box cut out of neighbouring frames, so that what moves inside the box is
// the object's own motion. No tracking; knows nothing of networks.
#ifndef SAC_TEACHERS_SEQUENCE_H
#define SAC_TEACHERS_SEQUENCE_H

#include <stdint.h>

#include "core/rng.h"
#include "teachers/detections.h"

enum { SAC_SEQUENCE_REACH = 3, SAC_SEQUENCE_LENGTH = 2 * SAC_SEQUENCE_REACH + 1 };

// times[i] = t - 3 + i, i = 0..6, cut to [0, frames - 1]: border frames are repeated at the ends of a clip.
// (The original does not score objects nearer than 3 frames to an end; we score every frame.)
void sac_sequence_consecutive(int64_t times[SAC_SEQUENCE_LENGTH], int64_t t, int64_t frames);

// Intermittent motion: from the centre t three steps to each side, each step uniform in {1, 2, 3} frames, cut
// to the clip. Draws six numbers from rng.
// Source: Georgescu et al., Anomaly Detection in Video via Self-Supervised and Multi-Task Learning, CVPR
// 2021, section 3.2 (motion irregularity).
void sac_sequence_intermittent(int64_t times[SAC_SEQUENCE_LENGTH], int64_t t, int64_t frames,
                               sac_rng *rng);

// dst f32 [count][size][size] in [0,1]: the box of frame times[i], resized as it is (not made square, as in the
// original: what a person's outline looks like is then the same near and far).
//   pixels  u8 gray [frames][height][width]; every time must lie in the clip
void sac_sequence_crop(float *dst, int size, const sac_box *box, const int64_t *times, int count,
                       const uint8_t *pixels, int width, int height);

#endif
