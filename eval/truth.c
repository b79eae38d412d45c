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

// Runs of one frame; those of row y are runs[row[y] .. row[y + 1]).
typedef struct run_list {
    run *runs;
    int64_t count, room;
    int64_t *row;       // [height + 1]
    int64_t *component; // [room] index of the run's component, -1 for specks
    int64_t components;
    int64_t *area; // [room] of each component
} run_list;

static void close_runs(run_list *list) {
    sac_free(list->runs);
    sac_free(list->row);
    sac_free(list->component);
    sac_free(list->area);
}

static int32_t root_of(run *runs, int32_t i) {
    while (runs[i].parent != i) {
        runs[i].parent = runs[runs[i].parent].parent;
        i = runs[i].parent;
    }
    return i;
}

static sac_status grow_runs(run_list *list) {
    const int64_t more = list->room < 256 ? 512 : 2 * list->room;
    if (more > INT32_MAX) return SAC_ERROR_MEMORY;
    run *runs = sac_recalloc(list->runs, list->room, more, sizeof *runs);
    if (runs == NULL) return SAC_ERROR_MEMORY;
    list->runs = runs;
    int64_t *component = sac_recalloc(list->component, list->room, more, sizeof *component);
    if (component == NULL) return SAC_ERROR_MEMORY;
    list->component = component;
    int64_t *area = sac_recalloc(list->area, list->room, more, sizeof *area);
    if (area == NULL) return SAC_ERROR_MEMORY;
    list->area = area;
    list->room = more;
    return SAC_OK;
}

static sac_status find_runs(run_list *list, const uint8_t *mask, int width, int height) {
    sac_status status = SAC_OK;
    list->count = 0;
    for (int y = 0; y < height; y++) {
        list->row[y] = list->count;
        const uint8_t *line = mask + (int64_t)y * width;
        int64_t above = y > 0 ? list->row[y - 1] : 0;
        const int64_t above_end = list->row[y];
        for (int x = 0; x < width;) {
            if (line[x] == 0) {
                x++;
                continue;
            }
            const int x1 = x;
            while (x < width && line[x] != 0) x++;
            if (list->count == list->room) SAC_TRY(grow_runs(list));
            const int32_t self = (int32_t)list->count++;
            list->runs[self] = (run){.y = y, .x1 = x1, .x2 = x, .parent = self};
            // Runs above that touch [x1 - 1, x + 1): the last of them may touch the next run too.
            while (above < above_end && list->runs[above].x2 < x1) above++;
            for (int64_t k = above; k < above_end && list->runs[k].x1 <= x; k++) {
                const int32_t a = root_of(list->runs, (int32_t)k), b = root_of(list->runs, self);
                if (a < b)
                    list->runs[b].parent = a;
                else
                    list->runs[a].parent = b;
            }
        }
    }
    list->row[height] = list->count;
fail:
    return status;
}

// Numbers the components that are large enough and appends their boxes to `truth`, tracks unset.
static sac_status name_components(run_list *list, sac_truth *truth, int64_t *room, int64_t frame,
                                  int64_t min_area) {
    list->components = 0;
    for (int64_t i = 0; i < list->count; i++) list->area[i] = 0;
    for (int64_t i = 0; i < list->count; i++)
        list->area[root_of(list->runs, (int32_t)i)] += list->runs[i].x2 - list->runs[i].x1;
    const int64_t first = truth->count;
    for (int64_t i = 0; i < list->count; i++) {
        // Roots come before the other runs of their component.
        const int32_t root = root_of(list->runs, (int32_t)i);
        const run *r = &list->runs[i];
        if (root != i) {
            list->component[i] = list->component[root];
            if (list->component[i] < 0) continue;
            sac_truth_region *region = &truth->regions[first + list->component[i]];
            if ((float)r->x1 < region->x1) region->x1 = (float)r->x1;
            if ((float)r->x2 > region->x2) region->x2 = (float)r->x2;
            region->y2 = (float)(r->y + 1);
            continue;
        }
        if (list->area[i] < min_area) {
            list->component[i] = -1;
            continue;
        }
        sac_truth_region *region = add_region(truth, room);
        if (region == NULL) return SAC_ERROR_MEMORY;
        *region = (sac_truth_region){.frame = frame,
                                     .track = -1,
                                     .x1 = (float)r->x1,
                                     .y1 = (float)r->y,
                                     .x2 = (float)r->x2,
                                     .y2 = (float)(r->y + 1)};
        list->component[i] = list->components++;
        // From here on the area of component c stands at c <= i, which no later root reads.
        list->area[list->component[i]] = list->area[i];
    }
    return SAC_OK;
}

// Pixels that two components of consecutive frames share.
typedef struct overlap {
    int64_t before, now, pixels;
    double share;
} overlap;

static int by_pair(const void *a, const void *b) {
    const overlap *p = a, *q = b;
    if (p->before != q->before) return p->before < q->before ? -1 : 1;
    return p->now < q->now ? -1 : p->now > q->now;
}

static int by_share(const void *a, const void *b) {
    const overlap *p = a, *q = b;
    if (p->share > q->share) return -1;
    if (p->share < q->share) return 1;
    return by_pair(a, b);
}

typedef struct overlap_list {
    overlap *items;
    int64_t count, room;
} overlap_list;

static sac_status add_overlap(overlap_list *list, int64_t before, int64_t now, int64_t pixels) {
    if (list->count == list->room) {
        const int64_t more = list->room < 32 ? 64 : 2 * list->room;
        overlap *grown = sac_recalloc(list->items, list->room, more, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        list->items = grown;
        list->room = more;
    }
    list->items[list->count++] = (overlap){.before = before, .now = now, .pixels = pixels};
    return SAC_OK;
}

// Gives the components `now` the tracks of those they continue, or new ones.
static sac_status link_components(sac_truth *truth, const run_list *before, const run_list *now,
                                  overlap_list *pairs, int height) {
    sac_status status = SAC_OK;
    if (now->components == 0) return SAC_OK;
    sac_truth_region *current = truth->regions + truth->count - now->components;
    const sac_truth_region *earlier = current - before->components;
    bool *taken = sac_calloc(before->components + 1, sizeof *taken);
    SAC_TRY_ALLOC(taken);
    pairs->count = 0;
    for (int y = 0; y < height; y++) {
        int64_t i = before->row[y], k = now->row[y];
        while (i < before->row[y + 1] && k < now->row[y + 1]) {
            const run *a = &before->runs[i], *b = &now->runs[k];
            const int x1 = a->x1 > b->x1 ? a->x1 : b->x1, x2 = a->x2 < b->x2 ? a->x2 : b->x2;
            if (x1 < x2 && before->component[i] >= 0 && now->component[k] >= 0)
                SAC_TRY(add_overlap(pairs, before->component[i], now->component[k], x2 - x1));
            if (a->x2 < b->x2)
                i++;
            else
                k++;
        }
    }
    int64_t count = 0;
    if (pairs->count > 0) qsort(pairs->items, (size_t)pairs->count, sizeof *pairs->items, by_pair);
    for (int64_t i = 0; i < pairs->count; i++) {
        const overlap *p = &pairs->items[i];
        overlap *last = count > 0 ? &pairs->items[count - 1] : NULL;
        if (last != NULL && last->before == p->before && last->now == p->now)
            last->pixels += p->pixels;
        else
            pairs->items[count++] = *p;
    }
    for (int64_t i = 0; i < count; i++) {
        overlap *p = &pairs->items[i];
        p->share =
            (double)p->pixels / (double)(before->area[p->before] + now->area[p->now] - p->pixels);
    }
    if (count > 0) qsort(pairs->items, (size_t)count, sizeof *pairs->items, by_share);
    for (int64_t i = 0; i < count; i++) {
        const overlap *p = &pairs->items[i];
        if (taken[p->before] || current[p->now].track >= 0) continue;
        taken[p->before] = true;
        current[p->now].track = earlier[p->before].track;
    }
    for (int64_t i = 0; i < now->components; i++)
        if (current[i].track < 0) current[i].track = truth->tracks++;
fail:
    sac_free(taken);
    return status;
}

sac_status sac_truth_from_masks(sac_truth *truth, const uint8_t *masks, int64_t frames, int width,
                                int height, int64_t min_area, sac_error *error) {
    sac_status status = SAC_OK;
    run_list lists[2] = {{0}};
    overlap_list pairs = {0};
    int64_t room = 0;
    if (truth != NULL) memset(truth, 0, sizeof *truth);
    if (truth == NULL || (masks == NULL && frames > 0) || frames < 0 || width < 1 || height < 1 ||
        width > MAX_SIDE || height > MAX_SIDE || min_area < 1)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "regions of %lld masks of %dx%d px, at least %lld px each: expected "
                             "masks, sides of 1 to %d px and at least 1 px",
                             (long long)frames, width, height, (long long)min_area, MAX_SIDE);
    truth->frames = frames;
    for (int i = 0; i < 2; i++)
        SAC_TRY_ALLOC(lists[i].row = sac_calloc((int64_t)height + 1, sizeof *lists[i].row));
    for (int64_t t = 0; t < frames; t++) {
        run_list *now = &lists[t % 2], *before = &lists[(t + 1) % 2];
        SAC_TRY(find_runs(now, masks + t * width * height, width, height));
        SAC_TRY(name_components(now, truth, &room, t, min_area));
        SAC_TRY(link_components(truth, before, now, &pairs, height));
    }
    for (int i = 0; i < 2; i++) close_runs(&lists[i]);
    sac_free(pairs.items);
    return SAC_OK;
fail:
    for (int i = 0; i < 2; i++) close_runs(&lists[i]);
    sac_free(pairs.items);
    sac_truth_close(truth);
    return sac_error_set(error, status, -1, "no memory for the regions of %lld masks",
                         (long long)frames);
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
