// What synth.c and synth_write.c share: limits of the options and clips drawn on one common stage.
#ifndef SAC_VIDEO_SYNTH_CLIP_H
#define SAC_VIDEO_SYNTH_CLIP_H

#include "saccade/status.h"
#include "video/synth.h"
#include "video/synth_stage.h"

// Raised whenever equal options begin to give other pixels; part of synth.json.
enum { SAC_SYNTH_VERSION = 1 };

enum {
    SAC_SYNTH_MIN_SIZE = 32,
    SAC_SYNTH_MAX_SIZE = 4096,
    SAC_SYNTH_MAX_FRAMES = 100000,
    SAC_SYNTH_MAX_CLIPS = 1000,
    SAC_SYNTH_MAX_WALKERS = 200,
};

// SAC_ERROR_ARGUMENT with the option, its value and what is allowed.
SAC_NODISCARD sac_status sac_synth_check_options(const sac_synth_options *options,
                                                 sac_error *error);
// sac_synth_scene_create on a stage made for the same size and seed, which must outlive the scene.
SAC_NODISCARD sac_status sac_synth_scene_create_on(sac_synth_scene **scene,
                                                   const sac_synth_stage *stage,
                                                   const sac_synth_options *options, uint64_t clip,
                                                   sac_synth_anomaly anomaly);

#endif
