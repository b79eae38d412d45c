// Pseudo-anomalies: training clips altered where objects are. A tube (one object over time, cut out
// against the background) is played at another speed or backwards, frozen while it moves, pasted
// elsewhere, turned, scaled, filled with a foreign texture, made to blink, or a foreign shape walks
// its way; the teacher then scores the altered objects.
#ifndef SAC_DISTILL_PSEUDO_H
#define SAC_DISTILL_PSEUDO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rng.h"
#include "saccade/status.h"
#include "teachers/detections.h"

// IN PLACE: the original object is painted over by the background from then on.
typedef enum sac_pseudo_kind {
    SAC_PSEUDO_FASTER, // the tube in its own place, 1.7 to 4 times as fast; the original object is
                       // painted over by the background
    SAC_PSEUDO_FROZEN, // one posture slides along the path, 1 to 3 times as fast: no gait
    SAC_PSEUDO_ELSEWHERE, // the tube at another place, 0.6 to 3 times as fast, 0.8 to 1.8 times as
                          // large
    SAC_PSEUDO_CONTROL,   // pasted near its own place at its own speed: shows that pasting alone is
                          // no anomaly
    SAC_PSEUDO_SLOWER,    // in place, 0.25 to 0.6 times as fast
    SAC_PSEUDO_REVERSED, // in place, backwards in time along its own path, 0.8 to 1.2 times as fast
    SAC_PSEUDO_ROTATED,  // in place, turned by 25 to 180 degrees; one in three goes on turning
    SAC_PSEUDO_SCALED,   // in place, 0.4 to 0.65 or 1.6 to 2.4 times as large
    SAC_PSEUDO_TEXTURE,  // in place, its silhouette filled with a foreign texture
    SAC_PSEUDO_SHAPE,    // a foreign shape with a foreign texture along the tube's path, moved,
                         // 0.6 to 3 times as fast
    SAC_PSEUDO_APPEARING, // a copy near its own place that comes and goes every 2 to 5 frames
    SAC_PSEUDO_VANISHING, // in place, gone and back every 2 to 5 frames
    SAC_PSEUDO_KIND_COUNT
} sac_pseudo_kind;
// "faster", "frozen" ..., "unknown" outside the enumeration. Never NULL.
const char *sac_pseudo_kind_name(sac_pseudo_kind kind);

// How often each kind is drawn, relative to each other; all 0 stands for the default. Kinds that
// stay in place need an object that is there at the moment, and occur a little less often.
typedef struct sac_pseudo_mix {
    double weights[SAC_PSEUDO_KIND_COUNT];
} sac_pseudo_mix;
// faster 0.35, frozen 0.25, elsewhere 0.25, control 0.15.
sac_pseudo_mix sac_pseudo_default_mix(void);
// "faster,frozen:0.5,control": kinds with weights (default: that of the default mix, 0.25 for the
// others); "all" and "default" stand for all kinds and the default ones.
// SAC_ERROR_ARGUMENT: an unknown or repeated kind (the message lists the known ones), a weight
// outside (0, 1000].
SAC_NODISCARD sac_status sac_pseudo_mix_parse(sac_pseudo_mix *mix, const char *text,
                                              sac_error *error);

// One altered clip.
typedef struct sac_pseudo {
    uint8_t *pixels; // [frames][height][width][channels], a block of core/spill.h, owned
    int channels;    // 1 gray, 3 RGB
    int64_t frames;
    sac_detections
        altered; // boxes of the pasted objects, inside the picture, at least a pixel wide and high,
                 // to be scored by the teacher; class_id holds the sac_pseudo_kind
    bool *removed;   // [detections->count] boxes of the original clip that were painted over; owned
    uint16_t *kinds; // [frames] bit k is set where an object of kind k is visible; owned
} sac_pseudo;
// Whether a kind other than CONTROL is in a frame's mask.
static inline bool sac_pseudo_abnormal(uint16_t kinds) {
    return (kinds & ~(1u << SAC_PSEUDO_CONTROL)) != 0;
}

// Alters one clip. Alterations follow one another in random order with pauses, now and then two at
// a time. A clip without a track of at least 12 frames gives an unaltered copy with no boxes. Same
// clip, boxes, mix and seed give the same bytes.
//   pseudo      filled; release with sac_pseudo_close. Left empty on failure.
//   pixels      u8 [detections->frames][height][width][channels], channels 1 or 3. In colour an
//               object is what differs from the background in the mean over the channels, and
//               foreign textures are tinted; where R = G = B, and nothing is textured, the result
//               is that of the gray clip
//   detections  objects of the clip; boxes of any size and place are accepted
//   mix         NULL: the default
// SAC_ERROR_MEMORY; SAC_ERROR_IO of sac_spill_alloc, which is told that the clip itself lies beside.
// Thread-safe.
SAC_NODISCARD sac_status sac_pseudo_make(sac_pseudo *pseudo, const uint8_t *pixels, int width,
                                         int height, int channels, const sac_detections *detections,
                                         const sac_pseudo_mix *mix, uint64_t seed,
                                         sac_error *error);
void sac_pseudo_close(sac_pseudo *pseudo);

// Temporal median of every value over at most 64 frames spread over the clip (the upper one of an
// even number).
//   background  receives u8 [size]; sac_free it
//   pixels      u8 [frames][size], frames >= 1
//   size        bytes of a frame
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_pseudo_background(uint8_t **background, const uint8_t *pixels,
                                               int64_t frames, int64_t size);

#endif
