// Material for the tests of distillation: moving squares with their true boxes, and clips of
// samples.
#ifndef SAC_TESTS_DISTILL_MAKE_H
#define SAC_TESTS_DISTILL_MAKE_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "teachers/detections.h"

// A square that moves along a line; its gray level may change from frame to frame, as a gait would.
typedef struct mover {
    int64_t first, frames;
    double x, y, vx, vy; // corner in its first frame, px and px a frame
    double width, height;
    int level, swing; // gray level, amplitude of its change with a period of 6 frames
} mover;

static inline int mover_level(const mover *m, int64_t t) {
    return m->level +
           (int)lround(m->swing * sin((double)(t - m->first) * 2 * 3.14159265358979 / 6));
}

static inline bool mover_box(sac_box *box, const mover *m, int64_t t) {
    if (t < m->first || t >= m->first + m->frames) return false;
    const double x = m->x + m->vx * (double)(t - m->first),
                 y = m->y + m->vy * (double)(t - m->first);
    *box = (sac_box){(float)x, (float)y, (float)(x + m->width), (float)(y + m->height), 0.9f, 0};
    return true;
}

static inline int ground(int x, int y) {
    return 40 + (x * 5 + y * 3) % 32;
}

static inline void mover_draw(uint8_t *frame, int width, int height, const mover *m, int64_t t) {
    sac_box box = {0};
    if (!mover_box(&box, m, t)) return;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            if ((float)x + 0.5f < box.x1 || (float)x + 0.5f >= box.x2) continue;
            if ((float)y + 0.5f < box.y1 || (float)y + 0.5f >= box.y2) continue;
            frame[y * width + x] = (uint8_t)mover_level(m, t);
        }
    }
}

static inline uint8_t *movers_render(const mover *movers, int count, int64_t frames, int width,
                                     int height) {
    const int64_t n = (int64_t)width * height;
    uint8_t *pixels = sac_calloc(frames * n, 1);
    cr_assert(pixels != NULL);
    for (int64_t t = 0; t < frames; t++) {
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) pixels[t * n + y * width + x] = (uint8_t)ground(x, y);
        }
        for (int i = 0; i < count; i++) {
            mover_draw(pixels + t * n, width, height, &movers[i], t);
        }
    }
    return pixels;
}

// Their boxes, as a perfect detector would give them.
static inline sac_detections movers_detect(const mover *movers, int count, int64_t frames) {
    sac_detections d = {.frames = frames,
                        .start = sac_calloc(frames + 1, sizeof(int64_t)),
                        .boxes = sac_calloc(frames * count, sizeof(sac_box))};
    cr_assert(d.start != NULL && d.boxes != NULL);
    for (int64_t t = 0; t < frames; t++) {
        d.start[t] = d.count;
        for (int i = 0; i < count; i++) {
            if (mover_box(&d.boxes[d.count], &movers[i], t)) d.count++;
        }
    }
    d.start[frames] = d.count;
    return d;
}

#endif
