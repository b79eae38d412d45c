// Figures of the synthetic scene as lists of parts: walking and running people, skater, cyclist,
// cart and ball, posed from position, heading, speed and gait phase. No time, no motion:
// synth_crowd decides those.
#ifndef SAC_VIDEO_SYNTH_BODY_H
#define SAC_VIDEO_SYNTH_BODY_H

#include <stdbool.h>

#include "core/rng.h"
#include "video/synth.h"
#include "video/synth_raster.h"

enum { SAC_SYNTH_MAX_PARTS = 96 }; // of one figure

// What makes one person (or thing) look different from another. Values are reflectances 0..1.
typedef struct sac_synth_style {
    double height_m, build; // build: 1 average, scales widths
    float torso, trousers, skin, hair, shoes, thing;
    float stripe, period; // of the torso: relative amplitude, metres
    bool coat, backpack, bag, hat;
} sac_synth_style;

// Where a figure is and what its limbs do, in world coordinates.
typedef struct sac_synth_pose {
    float x, y, z;   // ground position and height above it, metres
    float heading;   // radians, 0 along +x
    float speed_mps; // forward
    float phase;     // gait cycles (or metres rolled for wheels); whole cycles may be dropped
    bool abnormal;   // this figure is anomalous at this moment
} sac_synth_pose;

void sac_synth_style_random(sac_synth_style *style, sac_rng *rng);

// Metres walked per full gait cycle (two steps) at a speed: stride grows with speed, as in people
// (Murray, Drought and Kory, 1964, find about 1.4 m at 1.3 m/s).
double sac_synth_stride_m(const sac_synth_style *style, double speed_mps);

// Builds the parts in drawing order seen from the camera (far ones first); returns their number.
int sac_synth_body_build(sac_synth_part parts[SAC_SYNTH_MAX_PARTS], sac_synth_anomaly kind,
                         const sac_synth_style *style, const sac_synth_pose *pose,
                         const sac_synth_camera *camera);

#endif
