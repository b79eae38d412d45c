// Ground-truth regions: connected components of masks and their links from frame to frame, and the
// parser of track files.
#include "eval/truth.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"
#include "eval/regions.h"

enum { MAX_SIDE = 16384, FILE_LIMIT = 64 << 20, FIELDS = 6 };

void sac_truth_close(sac_truth *truth) {
    if (truth == NULL) return;
    sac_free(truth->regions);
    memset(truth, 0, sizeof *truth);
}

// Makes room for one more region and returns it, NULL when memory is short.
static sac_truth_region *add_region(sac_truth *truth, int64_t *room) {
    if (truth->count == *room) {
        const int64_t more = *room < 32 ? 64 : 2 * *room;
        sac_truth_region *grown = sac_recalloc(truth->regions, *room, more, sizeof *truth->regions);
        if (grown == NULL) return NULL;
        truth->regions = grown;
        *room = more;
    }
    return &truth->regions[truth->count++];
}

// ---- masks -------------------------------------------------------------------------------------

// A horizontal run of set pixels, x1 inclusive, x2 exclusive.
typedef struct run {
    int y, x1, x2;
    int32_t parent; // union-find over the frame's runs; the root is the component's first run
} run;

// A component, or several joined: parent in a union-find over them.
typedef struct part {
    int32_t parent;
    int x1, y1, x2, y2; // x2, y2 exclusive
    int64_t area;
} part;

// What one frame needs; kept from frame to frame to avoid allocations.
typedef struct workshop {
    run *runs;
    int64_t count, room;
    int64_t *row;     // [height + 1] runs of row y are runs[row[y] .. row[y + 1])
    int32_t *part_of; // [room] of each run
    part *parts;      // [room]
    int32_t part_count;
} workshop;

static void close_workshop(workshop *w) {
    sac_free(w->runs);
    sac_free(w->row);
    sac_free(w->part_of);
    sac_free(w->parts);
}

static int32_t root_run(run *runs, int32_t i) {
    while (runs[i].parent != i) {
        runs[i].parent = runs[runs[i].parent].parent;
        i = runs[i].parent;
    }
    return i;
}

static int32_t root_part(part *parts, int32_t i) {
    while (parts[i].parent != i) {
        parts[i].parent = parts[parts[i].parent].parent;
        i = parts[i].parent;
    }
    return i;
}

static sac_status grow(workshop *w) {
    const int64_t more = w->room < 256 ? 512 : 2 * w->room;
    if (more > INT32_MAX) return SAC_ERROR_MEMORY;
    run *runs = sac_recalloc(w->runs, w->room, more, sizeof *runs);
    if (runs == NULL) return SAC_ERROR_MEMORY;
    w->runs = runs;
    int32_t *part_of = sac_recalloc(w->part_of, w->room, more, sizeof *part_of);
    if (part_of == NULL) return SAC_ERROR_MEMORY;
    w->part_of = part_of;
    part *parts = sac_recalloc(w->parts, w->room, more, sizeof *parts);
    if (parts == NULL) return SAC_ERROR_MEMORY;
    w->parts = parts;
    w->room = more;
    return SAC_OK;
}

static sac_status find_runs(workshop *w, const uint8_t *mask, int width, int height) {
    sac_status status = SAC_OK;
    w->count = 0;
    for (int y = 0; y < height; y++) {
        w->row[y] = w->count;
        const uint8_t *line = mask + (int64_t)y * width;
        int64_t above = y > 0 ? w->row[y - 1] : 0;
        const int64_t above_end = w->row[y];
        for (int x = 0; x < width;) {
            if (line[x] == 0) {
                x++;
                continue;
            }
            const int x1 = x;
            while (x < width && line[x] != 0) x++;
            if (w->count == w->room) SAC_TRY(grow(w));
            const int32_t self = (int32_t)w->count++;
            w->runs[self] = (run){.y = y, .x1 = x1, .x2 = x, .parent = self};
            // Runs above that touch [x1 - 1, x + 1): the last of them may touch the next run too.
            while (above < above_end && w->runs[above].x2 < x1) above++;
            for (int64_t k = above; k < above_end && w->runs[k].x1 <= x; k++) {
                const int32_t a = root_run(w->runs, (int32_t)k), b = root_run(w->runs, self);
                if (a < b)
                    w->runs[b].parent = a;
                else
                    w->runs[a].parent = b;
            }
        }
    }
    w->row[height] = w->count;
fail:
    return status;
}

static void widen(part *p, int x1, int y1, int x2, int y2) {
    if (x1 < p->x1) p->x1 = x1;
    if (y1 < p->y1) p->y1 = y1;
    if (x2 > p->x2) p->x2 = x2;
    if (y2 > p->y2) p->y2 = y2;
}

// Box and area of every component, in the order of their first pixels.
static void find_parts(workshop *w) {
    w->part_count = 0;
    for (int64_t i = 0; i < w->count; i++) {
        const run *r = &w->runs[i];
        // Roots come before the other runs of their component.
        const int32_t root = root_run(w->runs, (int32_t)i);
        if (root == i) {
            const int32_t self = w->part_count++;
            w->parts[self] =
                (part){.parent = self, .x1 = r->x1, .y1 = r->y, .x2 = r->x2, .y2 = r->y + 1};
            w->part_of[i] = self;
        }
        w->part_of[i] = w->part_of[root];
        part *p = &w->parts[w->part_of[i]];
        widen(p, r->x1, r->y, r->x2, r->y + 1);
        p->area += r->x2 - r->x1;
    }
}

// Unites parts whose own boxes are near, then gives each root the box and area of all.
static void join_parts(workshop *w, int join) {
    for (int32_t i = 0; i < w->part_count; i++) {
        const part *a = &w->parts[i];
        // First pixels come from above: from here on all parts begin too far below.
        for (int32_t k = i + 1; k < w->part_count && w->parts[k].y1 <= a->y2 + join; k++) {
            const part *b = &w->parts[k];
            if (b->x1 > a->x2 + join || a->x1 > b->x2 + join) continue;
            const int32_t p = root_part(w->parts, i), q = root_part(w->parts, k);
            if (p < q)
                w->parts[q].parent = p;
            else
                w->parts[p].parent = q;
        }
    }
    // Only now, since joining goes by the components' own boxes.
    for (int32_t i = w->part_count - 1; i >= 0; i--) {
        const part *b = &w->parts[i];
        const int32_t root = root_part(w->parts, i);
        if (root == i) continue;
        widen(&w->parts[root], b->x1, b->y1, b->x2, b->y2);
        w->parts[root].area += b->area;
    }
}

// A region of the frame and a track that it may continue.
typedef struct link {
    double iou;
    int64_t track, region;
} link;

static int by_iou(const void *a, const void *b) {
    const link *p = a, *q = b;
    if (p->iou > q->iou) return -1;
    if (p->iou < q->iou) return 1;
    if (p->track != q->track) return p->track < q->track ? -1 : 1;
    return p->region < q->region ? -1 : p->region > q->region;
}

typedef struct linker {
    int64_t *last; // [tracks] index of each track's latest region
    int64_t last_room;
    int64_t first_live; // tracks before have all been out of sight for too long
    link *links;
    int64_t count, room;
} linker;

static sac_status add_link(linker *l, double iou, int64_t track, int64_t region) {
    if (l->count == l->room) {
        const int64_t more = l->room < 32 ? 64 : 2 * l->room;
        link *grown = sac_recalloc(l->links, l->room, more, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        l->links = grown;
        l->room = more;
    }
    l->links[l->count++] = (link){iou, track, region};
    return SAC_OK;
}

static double box_iou(const sac_truth_region *a, const sac_truth_region *b) {
    const float p[4] = {a->x1, a->y1, a->x2, a->y2}, q[4] = {b->x1, b->y1, b->x2, b->y2};
    return sac_region_iou(p, q);
}

static sac_status begin_track(linker *l, sac_truth *truth, int64_t region) {
    if (truth->tracks == l->last_room) {
        const int64_t more = l->last_room < 32 ? 64 : 2 * l->last_room;
        int64_t *grown = sac_recalloc(l->last, l->last_room, more, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        l->last = grown;
        l->last_room = more;
    }
    l->last[truth->tracks] = region;
    truth->regions[region].track = truth->tracks++;
    return SAC_OK;
}

// Gives the regions from `first` on, all of one frame, the tracks they continue, or new ones.
static sac_status link_regions(linker *l, sac_truth *truth, int64_t first, int64_t max_gap) {
    sac_status status = SAC_OK;
    sac_truth_region *regions = truth->regions;
    l->count = 0;
    if (first == truth->count) return SAC_OK;
    const int64_t frame = regions[first].frame;
    while (l->first_live < truth->tracks &&
           frame - regions[l->last[l->first_live]].frame > 1 + max_gap)
        l->first_live++;
    for (int64_t track = l->first_live; track < truth->tracks; track++) {
        const sac_truth_region *before = &regions[l->last[track]];
        if (frame - before->frame > 1 + max_gap) continue;
        for (int64_t i = first; i < truth->count; i++) {
            const double iou = box_iou(before, &regions[i]);
            if (iou > 0.0) SAC_TRY(add_link(l, iou, track, i));
        }
    }
    if (l->count > 0) qsort(l->links, (size_t)l->count, sizeof *l->links, by_iou);
    for (int64_t i = 0; i < l->count; i++) {
        const link *k = &l->links[i];
        if (regions[k->region].track >= 0 || regions[l->last[k->track]].frame == frame) continue;
        regions[k->region].track = k->track;
        l->last[k->track] = k->region;
    }
    for (int64_t i = first; i < truth->count; i++)
        if (regions[i].track < 0) SAC_TRY(begin_track(l, truth, i));
fail:
    return status;
}

sac_mask_options sac_mask_default_options(void) {
    return (sac_mask_options){.min_area = 10, .join_px = 2, .max_gap = 5};
}

struct sac_truth_tracer {
    sac_truth truth;
    int64_t room; // of truth.regions
    workshop workshop;
    linker linker;
    sac_mask_options options;
    int width, height;
    uint8_t *single; // [height][width] one object's pixels
    int kind;        // 0 not known yet, 1 masks, 2 objects
};

sac_status sac_truth_tracer_create(sac_truth_tracer **tracer, int width, int height,
                                   const sac_mask_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    sac_truth_tracer *t = NULL;
    const sac_mask_options o = options != NULL ? *options : sac_mask_default_options();
    *tracer = NULL;
    if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "regions of masks of %dx%d px: expected sides of 1 to %d px", width,
                             height, MAX_SIDE);
    if (o.min_area < 1 || o.join_px < -1 || o.join_px > 1024 || o.max_gap < 0 || o.max_gap > 10000)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "regions of masks: at least %lld px, joined over %d px, gaps of %lld "
                             "frames; expected 1 or more, -1 to 1024, 0 to 10000",
                             (long long)o.min_area, o.join_px, (long long)o.max_gap);
    SAC_TRY_ALLOC(t = sac_calloc(1, sizeof *t));
    t->options = o;
    t->width = width;
    t->height = height;
    SAC_TRY_ALLOC(t->workshop.row = sac_calloc((int64_t)height + 1, sizeof *t->workshop.row));
    *tracer = t;
    return SAC_OK;
fail:
    sac_truth_tracer_close(&t);
    return sac_error_set(error, status, -1, "no memory for the regions of masks");
}

static sac_status region_of(sac_truth_tracer *t, const part *p, int64_t track) {
    sac_truth_region *region = add_region(&t->truth, &t->room);
    if (region == NULL) return SAC_ERROR_MEMORY;
    *region = (sac_truth_region){.frame = t->truth.frames,
                                 .track = track,
                                 .x1 = (float)p->x1,
                                 .y1 = (float)p->y1,
                                 .x2 = (float)p->x2,
                                 .y2 = (float)p->y2};
    return SAC_OK;
}

static sac_status no_memory(const sac_truth_tracer *t, sac_status status, sac_error *error) {
    return sac_error_set(error, status, t->truth.frames, "no memory for the regions of masks");
}

sac_status sac_truth_tracer_mask(sac_truth_tracer *t, const uint8_t *mask, sac_error *error) {
    sac_status status = SAC_OK;
    workshop *w = &t->workshop;
    const int64_t first = t->truth.count;
    if (t->kind == 2)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "masks mixed with masks of objects");
    t->kind = 1;
    SAC_TRY(find_runs(w, mask, t->width, t->height));
    find_parts(w);
    if (t->options.join_px >= 0) join_parts(w, t->options.join_px);
    for (int32_t i = 0; i < w->part_count; i++) {
        const part *p = &w->parts[i];
        if (p->parent == i && p->area >= t->options.min_area) SAC_TRY(region_of(t, p, -1));
    }
    SAC_TRY(link_regions(&t->linker, &t->truth, first, t->options.max_gap));
    t->truth.frames++;
fail:
    return status < 0 ? no_memory(t, status, error) : SAC_OK;
}

sac_status sac_truth_tracer_objects(sac_truth_tracer *t, const uint8_t *ids, const sac_span *spans,
                                    int64_t count, sac_error *error) {
    sac_status status = SAC_OK;
    workshop *w = &t->workshop;
    const int64_t area = (int64_t)t->width * t->height;
    if (t->kind == 1)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "masks mixed with masks of objects");
    t->kind = 2;
    t->truth.tracks = count;
    if (t->single == NULL) SAC_TRY_ALLOC(t->single = sac_calloc(area, 1));
    for (int64_t k = 0; k < count; k++) {
        if (t->truth.frames < spans[k].first || t->truth.frames > spans[k].last) continue;
        for (int64_t i = 0; i < area; i++) t->single[i] = ids[i] == spans[k].id;
        SAC_TRY(find_runs(w, t->single, t->width, t->height));
        find_parts(w);
        const part *largest = NULL;
        int64_t size = 0;
        for (int32_t i = 0; i < w->part_count; i++) {
            const part *p = &w->parts[i];
            const int64_t box = (int64_t)(p->x2 - p->x1) * (p->y2 - p->y1);
            if (box > size) {
                size = box;
                largest = p;
            }
        }
        if (largest != NULL) SAC_TRY(region_of(t, largest, k));
    }
    t->truth.frames++;
fail:
    return status < 0 ? no_memory(t, status, error) : SAC_OK;
}

void sac_truth_tracer_finish(sac_truth *truth, sac_truth_tracer **tracer, float scale_x,
                             float scale_y) {
    *truth = (*tracer)->truth;
    (*tracer)->truth = (sac_truth){0};
    for (int64_t i = 0; i < truth->count; i++) {
        sac_truth_region *r = &truth->regions[i];
        r->x1 *= scale_x;
        r->x2 *= scale_x;
        r->y1 *= scale_y;
        r->y2 *= scale_y;
    }
    sac_truth_tracer_close(tracer);
}

void sac_truth_tracer_close(sac_truth_tracer **tracer) {
    if (tracer == NULL || *tracer == NULL) return;
    sac_truth_tracer *t = *tracer;
    close_workshop(&t->workshop);
    sac_free(t->linker.last);
    sac_free(t->linker.links);
    sac_free(t->single);
    sac_truth_close(&t->truth);
    sac_free(t);
    *tracer = NULL;
}

sac_status sac_truth_from_masks(sac_truth *truth, const uint8_t *masks, int64_t frames, int width,
                                int height, const sac_mask_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    sac_truth_tracer *tracer = NULL;
    if (truth != NULL) memset(truth, 0, sizeof *truth);
    if (truth == NULL || (masks == NULL && frames > 0) || frames < 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "regions of %lld masks of %dx%d px: expected masks", (long long)frames,
                             width, height);
    SAC_TRY(sac_truth_tracer_create(&tracer, width, height, options, error));
    for (int64_t t = 0; t < frames; t++)
        SAC_TRY(sac_truth_tracer_mask(tracer, masks + t * width * height, error));
    sac_truth_tracer_finish(truth, &tracer, 1.0f, 1.0f);
fail:
    sac_truth_tracer_close(&tracer);
    return status;
}

// ---- track files -------------------------------------------------------------------------------

static int by_frame(const void *a, const void *b) {
    const sac_truth_region *p = a, *q = b;
    if (p->frame != q->frame) return p->frame < q->frame ? -1 : 1;
    if (p->track != q->track) return p->track < q->track ? -1 : 1;
    // Parts of one track in one frame, from the left and top.
    if (p->x1 < q->x1 || p->x1 > q->x1) return p->x1 < q->x1 ? -1 : 1;
    return p->y1 < q->y1 ? -1 : p->y1 > q->y1;
}

static int by_number(const void *a, const void *b) {
    const int64_t p = *(const int64_t *)a, q = *(const int64_t *)b;
    return p < q ? -1 : p > q;
}

// Replaces the file's track ids by 0 .. tracks - 1 in their order.
static sac_status renumber(sac_truth *truth) {
    int64_t *ids = sac_calloc(truth->count + 1, sizeof *ids);
    if (ids == NULL) return SAC_ERROR_MEMORY;
    for (int64_t i = 0; i < truth->count; i++) ids[i] = truth->regions[i].track;
    qsort(ids, (size_t)truth->count, sizeof *ids, by_number);
    for (int64_t i = 0; i < truth->count; i++)
        if (i == 0 || ids[i] != ids[truth->tracks - 1]) ids[truth->tracks++] = ids[i];
    for (int64_t i = 0; i < truth->count; i++) {
        const int64_t *found =
            bsearch(&truth->regions[i].track, ids, (size_t)truth->tracks, sizeof *ids, by_number);
        truth->regions[i].track = found - ids;
    }
    sac_free(ids);
    return SAC_OK;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

// Cuts a line into fields at commas or blanks; returns their number, FIELDS + 1 for "too many".
static int cut(char *fields[FIELDS], char *line) {
    int count = 0;
    char *at = line;
    while (true) {
        while (is_blank(*at)) at++;
        if (*at == '\0') return count;
        if (count == FIELDS) return FIELDS + 1;
        fields[count++] = at;
        while (*at != '\0' && *at != ',' && !is_blank(*at)) at++;
        char *end = at;
        while (is_blank(*at)) at++;
        const bool comma = *at == ',';
        if (comma) at++;
        *end = '\0';
        if (!comma) continue;
        while (is_blank(*at)) at++;
        if (*at == '\0') return FIELDS + 1; // a comma with nothing behind it
    }
}

static sac_status take_line(sac_truth *truth, int64_t *room, char *line, int64_t number,
                            const char *name, int64_t frames, int first_frame, sac_error *error) {
    char *fields[FIELDS];
    const int count = cut(fields, line);
    if (count == 0) return SAC_OK;
    if (truth->count == 0 && number == 1 && strcmp(fields[0], "track_id") == 0) return SAC_OK;
    if (count != FIELDS)
        return sac_error_set(error, SAC_ERROR_FORMAT, number,
                             "%s: line %lld: expected six numbers track_id,frame,x1,y1,x2,y2", name,
                             (long long)number);
    int64_t track, frame;
    double edge[4];
    if (!sac_number_integer(fields[0], &track))
        return sac_error_set(error, SAC_ERROR_FORMAT, number,
                             "%s: line %lld: track '%.40s', expected an integer", name,
                             (long long)number, fields[0]);
    if (!sac_number_integer(fields[1], &frame) || frame < first_frame ||
        frame - first_frame >= frames)
        return sac_error_set(error, SAC_ERROR_FORMAT, number,
                             "%s: line %lld: frame '%.40s', expected an integer from %d to %lld",
                             name, (long long)number, fields[1], first_frame,
                             (long long)(frames - 1 + first_frame));
    for (int k = 0; k < 4; k++)
        if (!sac_number_real(fields[2 + k], &edge[k]) || edge[k] < -1e6 || edge[k] > 1e6)
            return sac_error_set(
                error, SAC_ERROR_FORMAT, number,
                "%s: line %lld: coordinate '%.40s', expected a number from -1e6 to 1e6", name,
                (long long)number, fields[2 + k]);
    // Compared as they will be stored: two edges may meet in f32.
    if (!((float)edge[0] < (float)edge[2] && (float)edge[1] < (float)edge[3]))
        return sac_error_set(error, SAC_ERROR_FORMAT, number,
                             "%s: line %lld: an empty box, expected x1 < x2 and y1 < y2", name,
                             (long long)number);
    sac_truth_region *region = add_region(truth, room);
    if (region == NULL) return SAC_ERROR_MEMORY;
    *region = (sac_truth_region){.frame = frame - first_frame,
                                 .track = track,
                                 .x1 = (float)edge[0],
                                 .y1 = (float)edge[1],
                                 .x2 = (float)edge[2],
                                 .y2 = (float)edge[3]};
    return SAC_OK;
}

sac_status sac_truth_parse(sac_truth *truth, const void *bytes, size_t size, const char *name,
                           int64_t frames, int first_frame, sac_error *error) {
    sac_status status = SAC_OK;
    char *text = NULL;
    int64_t room = 0, number = 0;
    memset(truth, 0, sizeof *truth);
    if (frames < 0 || first_frame < 0 || first_frame > 1)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: %lld frames counted from %d, expected 0 or more from 0 or 1",
                             name, (long long)frames, first_frame);
    if (size > FILE_LIMIT || memchr(bytes, 0, size) != NULL)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: more than 64 MiB or a zero byte, expected a text file of tracks",
                             name);
    truth->frames = frames;
    SAC_TRY_ALLOC(text = sac_calloc((int64_t)size + 1, 1));
    memcpy(text, bytes, size);
    char *line = text;
    if (size >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) line += 3;
    while (line != NULL) {
        char *end = strchr(line, '\n');
        if (end != NULL) *end = '\0';
        SAC_TRY(take_line(truth, &room, line, ++number, name, frames, first_frame, error));
        line = end != NULL ? end + 1 : NULL;
    }
    if (truth->count > 0) {
        SAC_TRY(renumber(truth));
        qsort(truth->regions, (size_t)truth->count, sizeof *truth->regions, by_frame);
    }
    sac_free(text);
    return SAC_OK;
fail:
    sac_free(text);
    sac_truth_close(truth);
    return sac_error_set(error, status, -1, "%s: no memory for the tracks", name);
}

sac_status sac_truth_read(sac_truth *truth, const char *path, int64_t frames, int first_frame,
                          sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    memset(truth, 0, sizeof *truth);
    sac_status status = sac_file_read(&bytes, &size, path, FILE_LIMIT, error);
    if (status >= 0) status = sac_truth_parse(truth, bytes, size, path, frames, first_frame, error);
    sac_free(bytes);
    return status;
}
