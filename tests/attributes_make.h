// A scene for tests of the attribute teacher and of ensembles: textured squares that slide over a
// textured ground, those above the middle to the right and those below to the left, at a speed of
// choice.
#ifndef SAC_TESTS_ATTRIBUTES_MAKE_H
#define SAC_TESTS_ATTRIBUTES_MAKE_H

#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "teachers/family.h"

enum { SCENE_W = 112, SCENE_H = 72, SCENE_FRAMES = 45, SCENE_SIDE = 14, SCENE_LANES = 3 };

typedef struct test_clip {
    uint8_t *pixels;
    sac_detections detections;
} test_clip;

static inline uint8_t test_ground(int x, int y) {
    return (uint8_t)lround(110 + 22 * sin(0.45 * x + 0.2 * y) + 22 * cos(0.33 * y - 0.27 * x) +
                           14 * sin(0.63 * x + 1.1 * y));
}

// Left edge of the square in lane i (0 to 2 from the top) at frame t; lanes 0 and 1 go right unless
// `against`.
static inline double test_left(int lane, int t, double speed, bool against, int phase) {
    const bool right = (lane < 2) != against;
    const double way = SCENE_W - SCENE_SIDE - 8;
    double at = fmod(phase + 31 * lane + speed * t, way);
    return 4 + (right ? at : way - at);
}

// `phase` moves the squares along their ways, so that clips differ.
static inline void test_clip_make(test_clip *c, double speed, bool against, int phase) {
    *c = (test_clip){.detections = {.frames = SCENE_FRAMES}};
    c->pixels = sac_calloc((int64_t)SCENE_W * SCENE_H * SCENE_FRAMES, 1);
    sac_detections *d = &c->detections;
    d->start = sac_calloc(SCENE_FRAMES + 1, sizeof *d->start);
    d->boxes = sac_calloc(SCENE_FRAMES * SCENE_LANES, sizeof *d->boxes);
    sac_rng rng;
    sac_rng_seed(&rng, 5, (uint64_t)phase);
    for (int t = 0; t < SCENE_FRAMES; t++) {
        uint8_t *frame = c->pixels + (int64_t)t * SCENE_W * SCENE_H;
        for (int y = 0; y < SCENE_H; y++)
            for (int x = 0; x < SCENE_W; x++)
                frame[y * SCENE_W + x] = (uint8_t)(test_ground(x, y) + sac_rng_below(&rng, 3));
        for (int lane = 0; lane < SCENE_LANES; lane++) {
            const double left = test_left(lane, t, speed, against, phase);
            const int top = 4 + 23 * lane;
            for (int y = top; y < top + SCENE_SIDE + 2; y++) {
                for (int x = (int)ceil(left); x < left + SCENE_SIDE; x++) {
                    frame[y * SCENE_W + x] =
                        (uint8_t)lround(130 + 45 * sin(0.33 * (x - left) + 0.9 * (y - top)) +
                                        55 * sin(0.21 * (x - left) - 0.4 * (y - top) + 1.3));
                }
            }
            d->boxes[d->count++] = (sac_box){
                (float)left, (float)top, (float)left + SCENE_SIDE, (float)(top + SCENE_SIDE + 2),
                1,           -1};
        }
        d->start[t + 1] = d->count;
    }
}

static inline void test_clip_close(test_clip *c) {
    sac_free(c->pixels);
    sac_detections_close(&c->detections);
}

static inline sac_family_clip test_family_clip(const test_clip *c, const char *name) {
    return (sac_family_clip){.name = name,
                             .pixels = c->pixels,
                             .width = SCENE_W,
                             .height = SCENE_H,
                             .detections = &c->detections};
}

#endif
