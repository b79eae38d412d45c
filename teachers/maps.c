// Painting and pooling of object scores.
#include "teachers/maps.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

void sac_maps_close(sac_maps *maps) {
    if (maps == NULL) return;
    sac_free(maps->map16);
    sac_free(maps->map4);
    sac_free(maps->map1);
    *maps = (sac_maps){0};
}

// One frame of a clip while it is painted: the largest score of each cell and whether any box
// covers it.
typedef struct canvas {
    int64_t columns, rows;
    float *value, *covered; // [rows][columns]
} canvas;

static void paint(canvas *c, const sac_box *box, float score, int block) {
    int64_t x1 = (int64_t)floorf(box->x1 / (float)block),
            y1 = (int64_t)floorf(box->y1 / (float)block);
    int64_t x2 = (int64_t)ceilf(box->x2 / (float)block),
            y2 = (int64_t)ceilf(box->y2 / (float)block);
    if (x1 < 0) x1 = 0;
    if (y1 < 0) y1 = 0;
    if (x2 > c->columns) x2 = c->columns;
    if (y2 > c->rows) y2 = c->rows;
    for (int64_t y = y1; y < y2; y++) {
        for (int64_t x = x1; x < x2; x++) {
            float *cell = &c->value[y * c->columns + x];
            if (*cell < score) *cell = score;
            c->covered[y * c->columns + x] = 1;
        }
    }
}

static void paint_frame(canvas *c, const sac_detections *d, const float *scores, int64_t t,
                        int block) {
    memset(c->value, 0, (size_t)(c->columns * c->rows) * sizeof(float));
    memset(c->covered, 0, (size_t)(c->columns * c->rows) * sizeof(float));
    for (int64_t i = d->start[t]; i < d->start[t + 1]; i++)
        paint(c, &d->boxes[i], scores[i], block);
}

// dst = sums of src [rows][columns] over windows of 2 * reach + 1 cells a side, cut off at the
// border; `line` is scratch of the same size.
static void window_sum(float *dst, float *line, const float *src, int64_t columns, int64_t rows,
                       int64_t reach) {
    for (int64_t y = 0; y < rows; y++) {
        for (int64_t x = 0; x < columns; x++) {
            float sum = 0;
            for (int64_t k = x > reach ? x - reach : 0; k <= x + reach && k < columns; k++)
                sum += src[y * columns + k];
            line[y * columns + x] = sum;
        }
    }
    for (int64_t y = 0; y < rows; y++) {
        for (int64_t x = 0; x < columns; x++) {
            float sum = 0;
            for (int64_t k = y > reach ? y - reach : 0; k <= y + reach && k < rows; k++)
                sum += line[k * columns + x];
            dst[y * columns + x] = sum;
        }
    }
}

static void pool(float *dst, int64_t out, const float *grid, int64_t columns, int64_t rows) {
    for (int64_t i = 0; i < out; i++) {
        int64_t y1 = i * rows / out, y2 = ((i + 1) * rows + out - 1) / out;
        for (int64_t j = 0; j < out; j++) {
            int64_t x1 = j * columns / out, x2 = ((j + 1) * columns + out - 1) / out;
            float most = 0;
            for (int64_t y = y1; y < y2; y++) {
                for (int64_t x = x1; x < x2; x++) {
                    if (grid[y * columns + x] > most) most = grid[y * columns + x];
                }
            }
            dst[i * out + j] = most;
        }
    }
}

// The frames around the current one, already summed over space, in a ring.
typedef struct smoother {
    canvas frame;           // painted
    int64_t reach, next;    // next frame to paint into the ring
    float *values, *covers; // [2 * reach + 1][rows][columns]
    float *line;
    uint8_t *covered; // [2 * reach + 1][rows][columns]
} smoother;

static void smoother_close(smoother *s) {
    sac_free(s->frame.value);
    sac_free(s->frame.covered);
    sac_free(s->values);
    sac_free(s->covers);
    sac_free(s->covered);
    sac_free(s->line);
}

static sac_status smoother_open(smoother *s, int width, int height, int block, int filter) {
    sac_status status = SAC_OK;
    *s = (smoother){.reach = filter / 2};
    s->frame.columns = ((int64_t)width + block - 1) / block;
    s->frame.rows = ((int64_t)height + block - 1) / block;
    const int64_t n = s->frame.columns * s->frame.rows;
    SAC_TRY_ALLOC(s->frame.value = sac_calloc(n, sizeof(float)));
    SAC_TRY_ALLOC(s->frame.covered = sac_calloc(n, sizeof(float)));
    SAC_TRY_ALLOC(s->values = sac_calloc(n * filter, sizeof(float)));
    SAC_TRY_ALLOC(s->covers = sac_calloc(n * filter, sizeof(float)));
    SAC_TRY_ALLOC(s->covered = sac_calloc(n * filter, 1));
    SAC_TRY_ALLOC(s->line = sac_calloc(n, sizeof(float)));
fail:
    return status;
}

// Leaves the filtered frame t in frame.value; frames must be asked for in order.
static void smoother_frame(smoother *s, const sac_detections *d, const float *scores, int64_t t,
                           int block) {
    const int64_t n = s->frame.columns * s->frame.rows, places = 2 * s->reach + 1;
    for (; s->next < d->frames && s->next <= t + s->reach; s->next++) {
        const int64_t place = s->next % places;
        paint_frame(&s->frame, d, scores, s->next, block);
        for (int64_t i = 0; i < n; i++) s->covered[place * n + i] = s->frame.covered[i] > 0;
        window_sum(s->values + place * n, s->line, s->frame.value, s->frame.columns, s->frame.rows,
                   s->reach);
        window_sum(s->covers + place * n, s->line, s->frame.covered, s->frame.columns,
                   s->frame.rows, s->reach);
    }
    const int64_t first = t > s->reach ? t - s->reach : 0;
    const uint8_t *covered = s->covered + t % places * n;
    for (int64_t i = 0; i < n; i++) {
        double value = 0, cover = 0;
        for (int64_t k = first; covered[i] && k <= t + s->reach && k < d->frames; k++) {
            value += (double)s->values[k % places * n + i];
            cover += (double)s->covers[k % places * n + i];
        }
        const float mean = covered[i] ? (float)(value / cover) : 0;
        s->frame.value[i] = mean > 1 ? 1 : mean; // sums in f32 may round above it
    }
}

sac_status sac_maps_paint(sac_maps *maps, const sac_detections *detections, const float *scores,
                          int width, int height, int block, int filter) {
    sac_status status = SAC_OK;
    smoother s = {0};
    *maps = (sac_maps){.frames = detections->frames};
    if (width < 1 || height < 1 || block < 1 || detections->frames < 1) return SAC_ERROR_ARGUMENT;
    if (filter < 1 || filter > SAC_MAPS_MAX_FILTER || filter % 2 == 0) return SAC_ERROR_ARGUMENT;
    for (int64_t i = 0; i < detections->count; i++) {
        if (!(scores[i] >= 0 && scores[i] <= 1)) return SAC_ERROR_NUMERIC;
    }
    SAC_TRY(smoother_open(&s, width, height, block, filter));
    SAC_TRY_ALLOC(maps->map16 = sac_calloc(detections->frames, 256 * sizeof(float)));
    SAC_TRY_ALLOC(maps->map4 = sac_calloc(detections->frames, 16 * sizeof(float)));
    SAC_TRY_ALLOC(maps->map1 = sac_calloc(detections->frames, sizeof(float)));
    for (int64_t t = 0; t < detections->frames; t++) {
        if (filter == 1) {
            paint_frame(&s.frame, detections, scores, t, block);
        } else {
            smoother_frame(&s, detections, scores, t, block);
        }
        pool(maps->map16 + t * 256, 16, s.frame.value, s.frame.columns, s.frame.rows);
        pool(maps->map4 + t * 16, 4, s.frame.value, s.frame.columns, s.frame.rows);
        pool(maps->map1 + t, 1, s.frame.value, s.frame.columns, s.frame.rows);
    }
    smoother_close(&s);
    return SAC_OK;
fail:
    smoother_close(&s);
    sac_maps_close(maps);
    return status;
}
