// Who walks where in one clip: simulates the crowd and the clip's anomaly in small time steps once,
// and keeps every figure's pose for every frame. No drawing.
#ifndef SAC_VIDEO_SYNTH_CROWD_H
#define SAC_VIDEO_SYNTH_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "video/synth.h"
#include "video/synth_body.h"
#include "video/synth_stage.h"

// One figure with its poses at frames first .. first + count - 1.
typedef struct sac_synth_actor {
    sac_synth_anomaly kind; // NONE: an ordinary walker
    sac_synth_style style;
    int64_t first, count, capacity;
    sac_synth_pose *poses;
} sac_synth_actor;

typedef struct sac_synth_crowd {
    sac_synth_actor *actors;
    int64_t count, capacity;
} sac_synth_crowd;

// People keep to their side of the walkway (one-way traffic on each), avoid each other by social
// forces (Helbing and Molnar, Physical Review E 51, 1995), walk alone or abreast in groups, stop
// now and then in the pause zones, and a few cross. The anomaly happens once per 15 s of clip, at
// least once.
SAC_NODISCARD sac_status sac_synth_crowd_create(sac_synth_crowd **crowd,
                                                const sac_synth_stage *stage,
                                                const sac_synth_options *options, uint64_t clip,
                                                sac_synth_anomaly anomaly);
void sac_synth_crowd_close(sac_synth_crowd **crowd);
// Pose of an actor at frame t, NULL when it is not there.
const sac_synth_pose *sac_synth_actor_pose(const sac_synth_actor *actor, int64_t t);

#endif
