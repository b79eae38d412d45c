// The fixed part of the synthetic scene, shared by all its clips: camera, walkway, painted ground,
// trees and furniture, sun. Depends on the size and the seed only.
#ifndef SAC_VIDEO_SYNTH_STAGE_H
#define SAC_VIDEO_SYNTH_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "video/synth.h"
#include "video/synth_raster.h"
#include "video/synth_space.h"

// A standing object: parts [first, first + count) of the stage, drawn at the depth of its foot.
typedef struct sac_synth_prop {
    double depth; // metres along the optical axis
    double x, y;  // foot, world
    int first, count;
    double box[4]; // pixels, with room for wind
} sac_synth_prop;

// The range of s in which a person at this l can touch the picture, shadow included (seen), and how
// many metres of it show the body's lower or upper half (in_view).
typedef struct sac_synth_reach {
    double seen_lo, seen_hi, in_view_m;
    bool any;
} sac_synth_reach;

enum { SAC_SYNTH_PAUSE_ZONES = 2, SAC_SYNTH_REACHES = 41 };

typedef struct sac_synth_stage {
    uint64_t seed;
    sac_synth_camera camera;
    sac_synth_walkway way;
    sac_synth_vec sun;  // unit vector towards the sun
    int side_direction; // of those with l > 0 along s (+1 or -1); those with l < 0 go the other way
    double cross_s;     // where the side path meets the walkway
    double
        pause_s[SAC_SYNTH_PAUSE_ZONES]; // where people stop: beside the bench and the notice board
    int pause_side[SAC_SYNTH_PAUSE_ZONES];
    float *albedo; // [height][width] reflectance of the ground
    float *shade;  // [height][width] shadow of everything that does not move
    sac_synth_part *parts;
    int part_count, part_capacity;
    sac_synth_prop *props;
    int prop_count, prop_capacity;
    sac_synth_reach reach[SAC_SYNTH_REACHES]; // by l, see sac_synth_stage_reach
} sac_synth_stage;

SAC_NODISCARD sac_status sac_synth_stage_create(sac_synth_stage **stage, int width, int height,
                                                uint64_t seed);
void sac_synth_stage_close(sac_synth_stage **stage);

// Direction of traffic at l: +1 or -1 along s.
int sac_synth_stage_direction(const sac_synth_stage *stage, double l);
// The nearest tabulated reach for |l| <= 10.
const sac_synth_reach *sac_synth_stage_reach(const sac_synth_stage *stage, double l);
// Whether a body standing at (s, l) touches the picture (`whole`: with its shadow and 2 m height),
// or shows its lower or upper half.
bool sac_synth_stage_sees(const sac_synth_stage *stage, double s, double l, bool whole);
// The part as the wind holds it at a time: sways its ends by part->sway.
sac_synth_part sac_synth_stage_sway(const sac_synth_part *part, double time_s);

#endif
