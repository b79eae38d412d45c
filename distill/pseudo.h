// Pseudo-anomalies: training clips altered where objects are. A tube (one object over time, cut out
// against the background) is played faster, frozen while it moves, or pasted elsewhere; the teacher
// then scores the altered objects.
#ifndef SAC_DISTILL_PSEUDO_H
#define SAC_DISTILL_PSEUDO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rng.h"
#include "saccade/status.h"
#include "teachers/detections.h"

typedef enum sac_pseudo_kind {
    SAC_PSEUDO_FASTER, // the tube in its own place, 1.7 to 4 times as fast; the original object is
                       // painted over by the background
    SAC_PSEUDO_FROZEN, // one posture slides along the path, 1 to 3 times as fast: no gait
    SAC_PSEUDO_ELSEWHERE, // the tube at another place, 0.6 to 3 times as fast, 0.8 to 1.8 times as
                          // large
    SAC_PSEUDO_CONTROL,   // pasted near its own place at its own speed: shows that pasting alone is
                          // no anomaly
    SAC_PSEUDO_KIND_COUNT
} sac_pseudo_kind;
// "faster", "frozen", "elsewhere", "control", "unknown" outside the enumeration. Never NULL.
const char *sac_pseudo_kind_name(sac_pseudo_kind kind);

// One altered clip.
typedef struct sac_pseudo {
    uint8_t *pixels; // gray [frames][height][width], owned
    int64_t frames;
    sac_detections
        altered; // boxes of the pasted objects, inside the picture, at least a pixel wide and high,
                 // to be scored by the teacher; class_id holds the sac_pseudo_kind
    bool *removed;   // [detections->count] boxes of the original clip that were painted over; owned
    uint8_t *labels; // [frames] 1 where an alteration other than CONTROL is visible; owned
} sac_pseudo;

// Alters one clip. Alterations follow one another in random order with pauses, now and then two at
// a time. A clip without a track of at least 12 frames gives an unaltered copy with no boxes. Same
// clip, boxes and seed give the same bytes.
//   pseudo      filled; release with sac_pseudo_close. Left empty on failure.
//   pixels      u8 gray [detections->frames][height][width]
//   detections  objects of the clip; boxes of any size and place are accepted
// SAC_ERROR_MEMORY. Thread-safe.
SAC_NODISCARD sac_status sac_pseudo_make(sac_pseudo *pseudo, const uint8_t *pixels, int width,
                                         int height, const sac_detections *detections,
                                         uint64_t seed);
void sac_pseudo_close(sac_pseudo *pseudo);

// Per-pixel temporal median over at most 64 frames spread over the clip (the upper one of an even
// number).
//   background  receives u8 [height][width]; sac_free it
//   frames      >= 1
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_pseudo_background(uint8_t **background, const uint8_t *pixels,
                                               int64_t frames, int width, int height);

#endif
