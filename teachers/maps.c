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

static void paint(float *grid, int64_t columns, int64_t rows, const sac_box *box, float score,
                  int block) {
    int64_t x1 = (int64_t)floorf(box->x1 / (float)block),
            y1 = (int64_t)floorf(box->y1 / (float)block);
    int64_t x2 = (int64_t)ceilf(box->x2 / (float)block),
            y2 = (int64_t)ceilf(box->y2 / (float)block);
    if (x1 < 0) x1 = 0;
    if (y1 < 0) y1 = 0;
    if (x2 > columns) x2 = columns;
    if (y2 > rows) y2 = rows;
    for (int64_t y = y1; y < y2; y++) {
        for (int64_t x = x1; x < x2; x++) {
            float *cell = &grid[y * columns + x];
            if (*cell < score) *cell = score;
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

sac_status sac_maps_paint(sac_maps *maps, const sac_detections *detections, const float *scores,
                          int width, int height, int block) {
    sac_status status = SAC_OK;
    *maps = (sac_maps){.frames = detections->frames};
    if (width < 1 || height < 1 || block < 1 || detections->frames < 1) return SAC_ERROR_ARGUMENT;
    for (int64_t i = 0; i < detections->count; i++) {
        if (!(scores[i] >= 0 && scores[i] <= 1)) return SAC_ERROR_NUMERIC;
    }
    int64_t columns = ((int64_t)width + block - 1) / block;
    int64_t rows = ((int64_t)height + block - 1) / block;
    float *grid = sac_calloc(columns * rows, sizeof *grid);
    SAC_TRY_ALLOC(grid);
    SAC_TRY_ALLOC(maps->map16 = sac_calloc(detections->frames, 256 * sizeof(float)));
    SAC_TRY_ALLOC(maps->map4 = sac_calloc(detections->frames, 16 * sizeof(float)));
    SAC_TRY_ALLOC(maps->map1 = sac_calloc(detections->frames, sizeof(float)));
    for (int64_t t = 0; t < detections->frames; t++) {
        memset(grid, 0, (size_t)(columns * rows) * sizeof *grid);
        for (int64_t i = detections->start[t]; i < detections->start[t + 1]; i++) {
            paint(grid, columns, rows, &detections->boxes[i], scores[i], block);
        }
        pool(maps->map16 + t * 256, 16, grid, columns, rows);
        pool(maps->map4 + t * 16, 4, grid, columns, rows);
        pool(maps->map1 + t, 1, grid, columns, rows);
    }
    sac_free(grid);
    return SAC_OK;
fail:
    sac_free(grid);
    sac_maps_close(maps);
    return status;
}
