// The synthetic scene: a fixed camera over a walkway seen obliquely, articulated walkers, lighting
// drift, sensor noise; training clips are normal, test clips contain anomalies with pixel-exact
// masks. Deterministic: same options, same bytes, whatever the order in which frames are drawn (a
// processor or mathematics library that rounds otherwise may move single gray values by one).
//
// The walkway is one-way on each side of its middle line. People walk at 0.8 to 1.5 m/s, alone or
// in groups, avoid each other, stop now and then beside the bench and the notice board (for at most
// 3 s), and a few cross where the side path meets the walkway. The stage (camera, ground, trees,
// sun) depends on size and seed only; every clip has its own people, clouds and noise.
#ifndef SAC_VIDEO_SYNTH_H
#define SAC_VIDEO_SYNTH_H

#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_synth_options {
    int width, height;       // 32..4096 px, default 240x160; 4096x4096 needs about 0.5 GB
    int64_t train_clips;     // 0..1000, default 6
    int64_t test_clips;      // 0..1000, default 7; train_clips + test_clips >= 1
    int64_t frames_per_clip; // 1..100000, default 120
    int walkers;             // mean number of people in view, 0..200, default 14; never
                             // more than 0.4 a square metre of walkway
    double frame_rate; // 1..240 frames/s, default 10; speeds are in m/s and do not change with it
    uint64_t seed;     // default 1
} sac_synth_options;
sac_synth_options sac_synth_default_options(void);

// Each happens once in a clip shorter than 30 s, n times (evenly) in one of n times 15 s. In clips
// of about 12 s or more it also ends inside the clip; in shorter ones it may still be there at the
// end.
typedef enum sac_synth_anomaly {
    SAC_SYNTH_NONE,
    // 3.3 to 4.2 m/s, with the traffic
    SAC_SYNTH_CYCLIST,
    // upright on a board with still legs, 2.3 to 2.8 m/s
    SAC_SYNTH_SKATER,
    // 2.9 to 3.6 m/s
    SAC_SYNTH_RUNNER,
    // a small vehicle with driver, 2.7 to 3.3 m/s
    SAC_SYNTH_CART,
    // turns back, or goes over to the other side: abnormal while it walks against the traffic there
    SAC_SYNTH_WRONG_WAY,
    // a ball flies, bounces and rolls through: one to three times, by length of the clip
    SAC_SYNTH_THROWN,
    // hangs about between the two streams, where nobody else stops: abnormal from 3 s (or 22 % of
    // the clip, if less) after its arrival until it walks on
    SAC_SYNTH_LOITERER,
    SAC_SYNTH_ANOMALY_COUNT
} sac_synth_anomaly;
// Short English name: "none", "cyclist", ..., "unknown" for a value outside the enumeration. Never
// NULL.
const char *sac_synth_anomaly_name(sac_synth_anomaly kind);

typedef struct sac_synth_scene sac_synth_scene;
// One clip of the scene, simulated whole at creation (memory: 32 bytes a person and frame).
//   scene    receives the clip (sac_synth_scene_close), NULL on failure
//   options  size, frames_per_clip, walkers, frame_rate and seed are used; copied
//   clip     selects the random stream
//   anomaly  what happens in it (NONE: normal)
// SAC_ERROR_ARGUMENT: an option outside its range, unknown anomaly, NULL; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_synth_scene_create(sac_synth_scene **scene,
                                                const sac_synth_options *options, uint64_t clip,
                                                sac_synth_anomaly anomaly);
// Renders frame t, in any order.
//   gray      u8 [height][width]
//   mask      u8 [height][width], 1 where an anomalous figure covers more than half of the pixel
//             after all that stands before it, else 0; NULL: not wanted
//   abnormal  1 if any mask pixel is set, else 0; NULL: not wanted
// SAC_ERROR_ARGUMENT: t outside 0..frames_per_clip-1, scene or gray NULL. One thread per scene;
// different scenes may run on different threads.
SAC_NODISCARD sac_status sac_synth_scene_render(sac_synth_scene *scene, int64_t t, uint8_t *gray,
                                                uint8_t *mask, uint8_t *abnormal);
// True boxes of visible people and things at frame t: x1 y1 x2 y2 in pixels, clipped to the
// picture, of whatever shows at least one part that nothing nearer hides; far ones first.
//   boxes  f32 [max][4]; NULL when max is 0
// Returns how many there are, which may exceed max (only max are stored); 0 for bad arguments or
// without memory.
int64_t sac_synth_scene_boxes(const sac_synth_scene *scene, int64_t t, float *boxes, int64_t max);
void sac_synth_scene_close(sac_synth_scene **scene);

// Writes the whole data set in UCSD layout: Train/TrainNNN/001.png ..., Test/TestNNN/001.png ...,
// masks Test/TestNNN_gt/001.png ... (0 or 255), frame ranges Test/synth.m, and synth.json
// (settings, kind and number of abnormal frames of each test clip, "complete": true once all is
// written). Test clip i shows anomaly kind 1 + i mod 7.
//   folder    is created; may exist when empty, or when it holds a set with the same settings,
//             which is then written again (this is how an interrupted run is completed)
//   progress  may be NULL; called with frames done and total before each frame and at the end;
//             nonzero stops between two frames, leaving synth.json with "complete": false
// SAC_ERROR_ARGUMENT: option out of range, or the folder holds something else; SAC_ERROR_IO: folder
// or file cannot be written; SAC_ERROR_FORMAT: an existing synth.json is damaged;
// SAC_ERROR_INTERRUPTED; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_synth_write(const char *folder, const sac_synth_options *options,
                                         int (*progress)(void *user, int64_t done, int64_t total),
                                         void *user, sac_error *error);

#endif
