// A small world for the tests of the background-agnostic teacher: textured boxes that slide over a
// textured ground at one pixel per frame, three to a frame.
#ifndef SAC_TESTS_AGNOSTIC_SCENE_H
#define SAC_TESTS_AGNOSTIC_SCENE_H

#include "core/memory.h"
#include "core/rng.h"
#include "teachers/family.h"

enum {
    SCENE_W = 64,
    SCENE_H = 48,
    SCENE_FRAMES = 40,
    SCENE_CLIPS = 2,
    SCENE_PER_FRAME = 3,
    SCENE_PICTURE = SCENE_W * SCENE_H
};

typedef struct scene {
    sac_family_clip clips[SCENE_CLIPS];
    sac_detections detections[SCENE_CLIPS];
} scene;

// Objects move `speed` px per frame to the right.
static inline void scene_make(scene *s, int speed) {
    *s = (scene){0};
    for (int c = 0; c < SCENE_CLIPS; c++) {
        uint8_t *pixels = sac_calloc((int64_t)SCENE_PICTURE * SCENE_FRAMES, 1);
        sac_detections *d = &s->detections[c];
        d->frames = SCENE_FRAMES;
        d->start = sac_calloc(SCENE_FRAMES + 1, sizeof *d->start);
        d->boxes = sac_calloc(SCENE_FRAMES * SCENE_PER_FRAME, sizeof *d->boxes);
        for (int t = 0; t < SCENE_FRAMES; t++) {
            uint8_t *frame = pixels + (int64_t)t * SCENE_PICTURE;
            for (int p = 0; p < SCENE_PICTURE; p++)
                frame[p] = (uint8_t)(80 + (p * 7 + p / SCENE_W * 11 + c * 3) % 23);
            for (int i = 0; i < SCENE_PER_FRAME; i++) {
                int x1 = (i * 19 + t * speed) % (SCENE_W - 12), y1 = 1 + i * 15;
                for (int y = y1; y < y1 + 14; y++) {
                    for (int x = x1; x < x1 + 10; x++) {
                        int inside = (x - x1) / 3 * 5 + (y - y1) / 4 * 3 + i;
                        frame[y * SCENE_W + x] = (uint8_t)(150 + inside * 37 % 100);
                    }
                }
                d->boxes[d->count++] =
                    (sac_box){(float)x1, (float)y1, (float)x1 + 10, (float)y1 + 14, 1, -1};
            }
            d->start[t + 1] = d->count;
        }
        s->clips[c] = (sac_family_clip){.name = c == 0 ? "one" : "two",
                                        .pixels = pixels,
                                        .width = SCENE_W,
                                        .height = SCENE_H,
                                        .detections = d};
    }
}

static inline void scene_close(scene *s) {
    for (int c = 0; c < SCENE_CLIPS; c++) {
        sac_free((void *)(uintptr_t)s->clips[c].pixels);
        sac_detections_close(&s->detections[c]);
    }
}

#endif
