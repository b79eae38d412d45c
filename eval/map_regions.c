// Component trees of anomaly maps by union-find over cells in falling order of their values.
#include "eval/map_regions.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

enum { MAX_CELLS_A_SIDE = 1024 };

// A cell in the order of its value, and what its component is when it is the root of one.
typedef struct cell {
    float value;
    int32_t place; // row * cols + column
} cell;

typedef struct component {
    int32_t parent;         // -1: the cell is below the threshold so far
    int32_t x1, y1, x2, y2; // cells, inclusive
    int64_t open, last;     // its regions that stand at the moment, a list; -1: none
    int64_t visited;        // group in which it was settled last
} component;

typedef struct tree {
    sac_detected *out;
    int64_t room;
    int64_t *next;      // [room] next open region of the same component
    int32_t (*span)[4]; // [room] cells x1 y1 x2 y2 of each region
    int rows, cols, width, height;
    cell *order;      // [cells]
    component *parts; // [cells]
} tree;

static int from_high(const void *a, const void *b) {
    const cell *p = a, *q = b;
    if (p->value > q->value) return -1;
    if (p->value < q->value) return 1;
    return p->place < q->place ? -1 : p->place > q->place;
}

static int32_t root_of(component *parts, int32_t i) {
    while (parts[i].parent != i) {
        parts[i].parent = parts[parts[i].parent].parent;
        i = parts[i].parent;
    }
    return i;
}

// b joins a; the open regions of both become one list.
static void unite(tree *t, int32_t a, int32_t b) {
    a = root_of(t->parts, a);
    b = root_of(t->parts, b);
    if (a == b) return;
    component *p = &t->parts[a], *q = &t->parts[b];
    q->parent = a;
    if (q->x1 < p->x1) p->x1 = q->x1;
    if (q->y1 < p->y1) p->y1 = q->y1;
    if (q->x2 > p->x2) p->x2 = q->x2;
    if (q->y2 > p->y2) p->y2 = q->y2;
    if (q->open < 0) return;
    t->next[q->last] = p->open;
    if (p->open < 0) p->last = q->last;
    p->open = q->open;
}

static sac_status open_region(tree *t, component *p, int64_t frame, float value) {
    sac_detected *out = t->out;
    if (out->count == t->room) {
        const int64_t more = t->room < 256 ? 512 : 2 * t->room;
        sac_detected_region *regions =
            sac_recalloc(out->regions, t->room, more, sizeof *out->regions);
        if (regions == NULL) return SAC_ERROR_MEMORY;
        out->regions = regions;
        int64_t *next = sac_recalloc(t->next, t->room, more, sizeof *next);
        if (next == NULL) return SAC_ERROR_MEMORY;
        t->next = next;
        int32_t(*span)[4] = sac_recalloc(t->span, t->room, more, sizeof *span);
        if (span == NULL) return SAC_ERROR_MEMORY;
        t->span = span;
        t->room = more;
    }
    const int64_t i = out->count++;
    const double w = (double)t->width / t->cols, h = (double)t->height / t->rows;
    out->regions[i] = (sac_detected_region){.frame = frame,
                                            .x1 = (float)(p->x1 * w),
                                            .y1 = (float)(p->y1 * h),
                                            .x2 = (float)((p->x2 + 1) * w),
                                            .y2 = (float)((p->y2 + 1) * h),
                                            .score = value,
                                            .until = -INFINITY};
    t->span[i][0] = p->x1;
    t->span[i][1] = p->y1;
    t->span[i][2] = p->x2;
    t->span[i][3] = p->y2;
    t->next[i] = -1;
    p->open = p->last = i;
    return SAC_OK;
}

// After all cells of one value are in: what a component was until now ends here, unless its box is
// still the same.
static sac_status settle(tree *t, component *p, int64_t frame, float value) {
    int64_t same = -1;
    for (int64_t i = p->open; i >= 0; i = t->next[i]) {
        const int32_t *s = t->span[i];
        if (s[0] == p->x1 && s[1] == p->y1 && s[2] == p->x2 && s[3] == p->y2)
            same = i;
        else
            t->out->regions[i].until = value;
    }
    if (same < 0) return open_region(t, p, frame, value);
    t->next[same] = -1;
    p->open = p->last = same;
    return SAC_OK;
}

static sac_status add_frame(tree *t, const float *map, int64_t frame) {
    sac_status status = SAC_OK;
    const int32_t cells = t->rows * t->cols;
    int32_t count = 0;
    for (int32_t i = 0; i < cells; i++) {
        t->parts[i].parent = -1;
        if (map[i] > 0.0f) t->order[count++] = (cell){.value = map[i], .place = i};
    }
    if (count == 0) return SAC_OK;
    qsort(t->order, (size_t)count, sizeof *t->order, from_high);
    for (int32_t first = 0, end; first < count; first = end) {
        const float value = t->order[first].value;
        for (end = first; end < count && !(t->order[end].value < value); end++) {
            const int32_t place = t->order[end].place, x = place % t->cols, y = place / t->cols;
            t->parts[place] = (component){
                .parent = place, .x1 = x, .y1 = y, .x2 = x, .y2 = y, .open = -1, .visited = -1};
            for (int32_t ny = y > 0 ? y - 1 : y; ny <= y + 1 && ny < t->rows; ny++)
                for (int32_t nx = x > 0 ? x - 1 : x; nx <= x + 1 && nx < t->cols; nx++) {
                    const int32_t other = ny * t->cols + nx;
                    if (other != place && t->parts[other].parent >= 0) unite(t, place, other);
                }
        }
        for (int32_t i = first; i < end; i++) {
            component *p = &t->parts[root_of(t->parts, t->order[i].place)];
            if (p->visited == first) continue; // several cells of this value in one component
            p->visited = first;
            SAC_TRY(settle(t, p, frame, value));
        }
    }
fail:
    return status;
}

sac_status sac_map_regions(sac_detected *detected, const float *maps, int64_t frames, int rows,
                           int cols, int width, int height, sac_error *error) {
    sac_status status = SAC_OK;
    tree t = {.out = detected, .rows = rows, .cols = cols, .width = width, .height = height};
    if (detected != NULL) memset(detected, 0, sizeof *detected);
    if (detected == NULL || (maps == NULL && frames > 0) || frames < 0 || rows < 1 || cols < 1 ||
        rows > MAX_CELLS_A_SIDE || cols > MAX_CELLS_A_SIDE || width < 1 || height < 1)
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "regions of %lld maps of %dx%d cells over %dx%d px: expected maps of 1 "
            "to %d cells a side over at least 1x1 px",
            (long long)frames, cols, rows, width, height, MAX_CELLS_A_SIDE);
    const int64_t cells = (int64_t)rows * cols;
    SAC_TRY_ALLOC(t.order = sac_calloc(cells, sizeof *t.order));
    SAC_TRY_ALLOC(t.parts = sac_calloc(cells, sizeof *t.parts));
    for (int64_t f = 0; f < frames; f++) {
        const float *map = maps + f * cells;
        for (int64_t i = 0; i < cells; i++)
            if (!isfinite(map[i])) {
                status = sac_error_set(error, SAC_ERROR_NUMERIC, f,
                                       "the map of frame %lld holds a value that is not finite",
                                       (long long)f);
                goto fail;
            }
        SAC_TRY(add_frame(&t, map, f));
    }
fail:
    sac_free(t.order);
    sac_free(t.parts);
    sac_free(t.next);
    sac_free(t.span);
    if (status < 0) {
        sac_detected_close(detected);
        return sac_error_set(error, status, -1, "no memory for the regions of %lld maps",
                             (long long)frames);
    }
    return SAC_OK;
}
