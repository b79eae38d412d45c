// Contact sheets of altered clips; see distill/pseudo_show.h.
#include "distill/pseudo_show.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/picture.h"

enum { TILES = 6, TILE_WIDTH = 280, LINE = 20, GAP = 6 };

// The longest run of frames with a kind; gaps of up to five frames (one that blinks) do not end it.
static int64_t longest_run(const sac_pseudo *p, int kind, int64_t *first) {
    int64_t best = 0, begin = -1, last = -1;
    for (int64_t t = 0; t < p->frames; t++) {
        if ((p->kinds[t] >> kind & 1) == 0) continue;
        if (begin < 0 || t - last > 6) begin = t;
        last = t;
        if (t - begin + 1 > best) {
            best = t - begin + 1;
            *first = begin;
        }
    }
    return best;
}

// Highest map value of the cells that a box touches.
static float box_score(const float *map, const sac_box *box, int width, int height) {
    float best = 0;
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 16; j++) {
            const double x = (double)width / 16 * j, y = (double)height / 16 * i;
            if ((double)box->x2 <= x || (double)box->x1 >= x + (double)width / 16 ||
                (double)box->y2 <= y || (double)box->y1 >= y + (double)height / 16) {
                continue;
            }
            best = fmaxf(best, map[i * 16 + j]);
        }
    }
    return best;
}

static void tile_draw(sac_canvas *canvas, const sac_pseudo *p, int width, int height,
                      const sac_maps *maps, int kind, int64_t t, double x, double y,
                      double tile_height) {
    const double scale = (double)TILE_WIDTH / width;
    const float *map = maps->map16 + t * 256;
    float score = 0;
    bool here = false;
    sac_canvas_frame(canvas, p->pixels + t * width * height * p->channels, width, height,
                     p->channels, x, y, TILE_WIDTH, tile_height);
    sac_canvas_heat(canvas, map, 16, 16, 1, x, y, TILE_WIDTH, tile_height);
    for (int64_t b = p->altered.start[t]; b < p->altered.start[t + 1]; b++) {
        const sac_box *box = &p->altered.boxes[b];
        const bool own = box->class_id == kind;
        sac_canvas_box(canvas, x + scale * (double)box->x1, y + scale * (double)box->y1,
                       scale * (double)(box->x2 - box->x1), scale * (double)(box->y2 - box->y1),
                       own ? 0x40ff60 : 0x909090, own ? 1.5 : 1);
        if (!own) continue;
        here = true;
        score = fmaxf(score, box_score(map, box, width, height));
    }
    char text[64];
    if (here) {
        (void)snprintf(text, sizeof text, "frame %" PRId64 "  score %.2f", t + 1, (double)score);
    } else {
        (void)snprintf(text, sizeof text, "frame %" PRId64 "  not visible", t + 1);
    }
    sac_canvas_text(canvas, x + 2, y + tile_height + LINE - 6, 12, 0xd0d0d0, text);
}

sac_status sac_pseudo_show(const char *path, const sac_pseudo *p, int width, int height,
                           const sac_maps *maps, sac_error *error) {
    sac_status status = SAC_OK;
    sac_canvas *canvas = NULL;
    int rows = 0;
    const double tile_height = (double)TILE_WIDTH * height / width,
                 row = tile_height + 2 * LINE + GAP;
    int64_t first = 0;
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) rows += longest_run(p, k, &first) > 0;
    if (rows == 0) return SAC_OK;
    SAC_TRY(
        sac_canvas_create(&canvas, TILES * (TILE_WIDTH + GAP) + GAP, (int)ceil(row * rows) + GAP));
    sac_canvas_clear(canvas, 0x202020);
    double y = GAP;
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        const int64_t frames = longest_run(p, k, &first);
        if (frames == 0) continue;
        sac_canvas_text(canvas, GAP, y + LINE - 6, 14, 0xffffff,
                        sac_pseudo_kind_name((sac_pseudo_kind)k));
        for (int i = 0; i < TILES; i++) {
            tile_draw(canvas, p, width, height, maps, k, first + i * (frames - 1) / (TILES - 1),
                      GAP + i * (TILE_WIDTH + GAP), y + LINE, tile_height);
        }
        y += row;
    }
    SAC_TRY(sac_canvas_write_png(canvas, path, error));
fail:
    sac_canvas_close(&canvas);
    return status;
}
