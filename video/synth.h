// The synthetic scene: a fixed camera over a walkway, articulated walkers, lighting drift, sensor noise; training clips are normal, test clips contain anomalies
// with pixel-exact masks. Deterministic: same options, same bytes.
#ifndef SAC_VIDEO_SYNTH_H
#define SAC_VIDEO_SYNTH_H

#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_synth_options {
    int width, height;                                // 32..4096 px, default 240x160
    int64_t train_clips, test_clips, frames_per_clip; // defaults 6, 7, 120
    int walkers;                                      // mean number of people in view, default 14
    double frame_rate;                                // default 10
    uint64_t seed;
} sac_synth_options;
sac_synth_options sac_synth_default_options(void);

typedef enum sac_synth_anomaly {
    SAC_SYNTH_NONE,
    SAC_SYNTH_CYCLIST,
    SAC_SYNTH_SKATER,
    SAC_SYNTH_RUNNER,
    SAC_SYNTH_CART,
    SAC_SYNTH_WRONG_WAY,
    SAC_SYNTH_THROWN,
    SAC_SYNTH_LOITERER,
    SAC_SYNTH_ANOMALY_COUNT
} sac_synth_anomaly;
const char *sac_synth_anomaly_name(sac_synth_anomaly kind);

typedef struct sac_synth_scene sac_synth_scene;
// One clip of the scene. `clip` selects the random stream; `anomaly` what happens in it (NONE: normal).
SAC_NODISCARD sac_status sac_synth_scene_create(sac_synth_scene **scene,
                                                const sac_synth_options *options, uint64_t clip,
                                                sac_synth_anomaly anomaly);
// Renders frame t (any order): gray u8 [h][w], mask u8 [h][w] 0/1 of visible anomalous pixels (may be NULL), *abnormal 0/1 (may be NULL).
SAC_NODISCARD sac_status sac_synth_scene_render(sac_synth_scene *scene, int64_t t, uint8_t *gray,
                                                uint8_t *mask, uint8_t *abnormal);
// True boxes x1 y1 x2 y2 of visible people and things at frame t, f32 [max][4]; returns their number.
int64_t sac_synth_scene_boxes(const sac_synth_scene *scene, int64_t t, float *boxes, int64_t max);
void sac_synth_scene_close(sac_synth_scene **scene);

// Writes the whole data set in UCSD layout (Train/TrainNNN/001.png, Test/TestNNN, TestNNN_gt, Test/synth.m) plus synth.json (settings, anomaly kind per clip).
// `progress` (may be NULL) is called with frames done / total and may return nonzero to stop (SAC_ERROR_INTERRUPTED).
SAC_NODISCARD sac_status sac_synth_write(const char *folder, const sac_synth_options *options,
                                         int (*progress)(void *user, int64_t done, int64_t total),
                                         void *user, sac_error *error);

#endif
