// Motion detector: two passes over a clip. The first learns how large a person is at each image
// row, the second merges and splits blobs with that knowledge. No tracking.
#include "teachers/motion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/background.h"

// Blobs the size model needs before it is believed.
enum { LEAST_SAMPLES = 40, MOST_PARTS = 16 };
// A picture with more blobs than this is noise or a camera shake: nothing is merged there.
enum { MOST_MERGED = 1000 };

// A blob with everything merged into it.
typedef struct group {
    int x1, y1, x2, y2;
    int64_t area;
    double strength;
    int32_t into; // index of the group it was merged into, or its own
} group;

// Boxes of all frames while they are collected.
typedef struct box_list {
    sac_box *items;
    int64_t count, capacity;
} box_list;

typedef struct motion {
    int width, height;
    double threshold, min_area_px;
    sac_background *background;
    uint8_t *mask;
    float *strength;
    int32_t *labels;
    sac_size_samples *samples;
    sac_person_size size;
    box_list boxes;
} motion;

void sac_person_size_at(const sac_person_size *size, double y, double *width, double *height) {
    double h = size->base + size->slope * y;
    if (h < size->median_height / 2.5) h = size->median_height / 2.5;
    if (h > size->median_height * 2.5) h = size->median_height * 2.5;
    *height = h;
    *width = size->aspect * h;
}

static bool append_sample(sac_size_samples *list, sac_size_sample sample) {
    if (list->count == list->capacity) {
        int64_t larger = list->capacity * 2 + 256;
        sac_size_sample *grown =
            sac_recalloc(list->items, list->count, larger, sizeof *list->items);
        if (grown == NULL) return false;
        list->items = grown;
        list->capacity = larger;
    }
    list->items[list->count++] = sample;
    return true;
}

static bool append_box(box_list *list, sac_box box) {
    if (list->count == list->capacity) {
        int64_t larger = list->capacity * 2 + 256;
        sac_box *grown = sac_recalloc(list->items, list->count, larger, sizeof *list->items);
        if (grown == NULL) return false;
        list->items = grown;
        list->capacity = larger;
    }
    list->items[list->count++] = box;
    return true;
}

static int compare_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_of(double *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, compare_double);
    return values[n / 2];
}

// Collects blobs of frame t that stand free like one upright person.
static sac_status learn_frame(motion *m, int64_t t) {
    sac_status status = SAC_OK;
    sac_blob *blobs = NULL;
    int64_t count = 0;
    sac_background_mask(m->background, m->mask, NULL, t);
    SAC_TRY(sac_blobs_find(&blobs, &count, m->labels, m->mask, NULL, m->width, m->height));
    for (int64_t i = 0; i < count; i++) {
        const sac_blob *b = &blobs[i];
        if ((double)b->area < m->min_area_px) continue;
        if (b->x1 == 0 || b->y1 == 0 || b->x2 == m->width || b->y2 == m->height) continue;
        double w = b->x2 - b->x1, h = b->y2 - b->y1;
        if (h < 1.4 * w || h > 4.5 * w) continue;
        sac_size_sample sample = {.y = b->y2, .height = h, .aspect = w / h};
        if (!append_sample(m->samples, sample)) {
            status = SAC_ERROR_MEMORY;
            goto fail;
        }
    }
fail:
    sac_free(blobs);
    return status;
}

// Most frequent height: the peak of a kernel density over log(height). Single people agree with
// each other about their height; fragments and groups do not.
static double mode_height(const sac_size_sample *s, int64_t n) {
    double best = 0, mode = 0;
    for (double h = 4; h < 20000; h *= 1.03) {
        double density = 0;
        for (int64_t i = 0; i < n; i++) {
            double u = log(s[i].height / h) / 0.12;
            if (u > -3 && u < 3) density += exp(-0.5 * u * u);
        }
        if (density > best) {
            best = density;
            mode = h;
        }
    }
    return mode;
}

// Robust line height(y) through the samples near the mode. Fragments lie below it and groups above,
// and groups also reach further down the picture, which would tilt a plain fit.
sac_status sac_person_size_fit(sac_person_size *out, const sac_size_samples *samples) {
    int64_t n = samples->count;
    const sac_size_sample *s = samples->items;
    *out = (sac_person_size){0};
    if (n < LEAST_SAMPLES) return SAC_OK;
    double height = mode_height(s, n);
    double *scratch = sac_calloc(n, sizeof *scratch);
    if (scratch == NULL) return SAC_ERROR_MEMORY;
    for (int64_t i = 0; i < n; i++) scratch[i] = s[i].y;
    double middle = median_of(scratch, n);
    // Rows between the 5 % and 95 % quantile: over them the height may at most double.
    double reach = scratch[n * 19 / 20] - scratch[n / 20];
    double steepest = reach > 0 ? 0.67 * height / reach : 0;
    int64_t near = 0;
    for (int64_t i = 0; i < n; i++) {
        if (fabs(log(s[i].height / height)) < 0.35) scratch[near++] = s[i].aspect;
    }
    sac_person_size size = {.base = height, .median_height = height, .count = near};
    if (near >= LEAST_SAMPLES) size.aspect = median_of(scratch, near);
    sac_free(scratch);
    if (near < LEAST_SAMPLES) return SAC_OK;
    for (int round = 0; round < 5; round++) {
        double k = 0, sy = 0, sh = 0, syy = 0, syh = 0;
        for (int64_t i = 0; i < n; i++) {
            double line = size.base + size.slope * s[i].y;
            if (fabs(s[i].height - line) > 0.3 * line) continue;
            double y = s[i].y - middle;
            k += 1;
            sy += y;
            sh += s[i].height;
            syy += y * y;
            syh += y * s[i].height;
        }
        if (k < LEAST_SAMPLES) break;
        double variance = syy / k - sy / k * (sy / k);
        // People at one distance only: their spread over rows is chance and gives no slope.
        double slope = 0;
        if (variance > 0.02 * height * height) slope = (syh / k - sy / k * (sh / k)) / variance;
        if (slope < 0) slope = 0; // the camera stands upright: nearer is lower in the picture
        if (slope > steepest) slope = steepest;
        size.slope = slope;
        size.base = sh / k - slope * (sy / k + middle);
    }
    *out = size;
    return SAC_OK;
}

static int gap(int a1, int a2, int b1, int b2) {
    if (a2 <= b1) return b1 - a2;
    if (b2 <= a1) return a1 - b2;
    return 0;
}

// Joins fragments while any two fit together into the box of one person.
static void merge_groups(const motion *m, group *groups, int64_t count) {
    if (m->size.count == 0 || count > MOST_MERGED) return;
    for (bool again = true; again;) {
        again = false;
        for (int64_t i = 0; i < count; i++) {
            for (int64_t j = i + 1; j < count; j++) {
                group *a = &groups[i], *b = &groups[j];
                if (a->into != i) break;
                if (b->into != j) continue;
                int x1 = a->x1 < b->x1 ? a->x1 : b->x1, x2 = a->x2 > b->x2 ? a->x2 : b->x2;
                int y1 = a->y1 < b->y1 ? a->y1 : b->y1, y2 = a->y2 > b->y2 ? a->y2 : b->y2;
                double w = 0, h = 0;
                sac_person_size_at(&m->size, y2, &w, &h);
                if (x2 - x1 > 1.25 * w || y2 - y1 > 1.2 * h) continue;
                if (gap(a->x1, a->x2, b->x1, b->x2) > 0.15 * w) continue;
                if (gap(a->y1, a->y2, b->y1, b->y2) > 0.25 * h) continue;
                a->x1 = x1;
                a->x2 = x2;
                a->y1 = y1;
                a->y2 = y2;
                a->area += b->area;
                a->strength += b->strength;
                b->into = (int32_t)i;
                again = true;
            }
        }
    }
}

static bool belongs(const motion *m, const group *groups, int64_t which, int x, int y) {
    int32_t label = m->labels[(int64_t)y * m->width + x];
    if (label == 0) return false;
    int32_t at = label - 1;
    while (groups[at].into != at) at = groups[at].into;
    return at == which;
}

// Emits the pixels of a group inside a rectangle, shrunk to those that stand out clearly: the edge
// of the mask is shadow, blur and compression noise. A part taller than a person is two people, one
// behind the other.
static sac_status emit_part(motion *m, const group *groups, int64_t which, const int rectangle[4],
                            double confidence, int depth) {
    int bx1 = rectangle[2], bx2 = rectangle[0], by1 = rectangle[3], by2 = rectangle[1];
    int64_t area = 0;
    double sum = 0;
    for (int y = rectangle[1]; y < rectangle[3]; y++) {
        for (int x = rectangle[0]; x < rectangle[2]; x++) {
            if (!belongs(m, groups, which, x, y)) continue;
            sum += m->strength[(int64_t)y * m->width + x];
            area++;
        }
    }
    if ((double)area < m->min_area_px) return SAC_OK;
    float clear = (float)(0.55 * sum / (double)area);
    for (int y = rectangle[1]; y < rectangle[3]; y++) {
        for (int x = rectangle[0]; x < rectangle[2]; x++) {
            if (m->strength[(int64_t)y * m->width + x] < clear) continue;
            if (!belongs(m, groups, which, x, y)) continue;
            if (x < bx1) bx1 = x;
            if (x + 1 > bx2) bx2 = x + 1;
            if (y < by1) by1 = y;
            if (y + 1 > by2) by2 = y + 1;
        }
    }
    if (m->size.count > 0) {
        double w = 0, h = 0, upper_w = 0, upper_h = 0;
        sac_person_size_at(&m->size, by2, &w, &h);
        if (depth < 3 && by2 - by1 > 1.45 * h) {
            // The nearer person hides the lower part of the other one.
            int lower[4] = {bx1, by2 - (int)h, bx2, by2};
            sac_person_size_at(&m->size, by1 + h, &upper_w, &upper_h);
            int bottom = by1 + (int)upper_h;
            int upper[4] = {bx1, by1, bx2, bottom < by2 ? bottom : by2};
            sac_status status = emit_part(m, groups, which, upper, confidence, depth + 1);
            return status < 0 ? status : emit_part(m, groups, which, lower, confidence, depth + 1);
        }
    }
    sac_box box = {.x1 = (float)bx1,
                   .y1 = (float)by1,
                   .x2 = (float)bx2,
                   .y2 = (float)by2,
                   .confidence = (float)confidence,
                   .class_id = -1};
    return append_box(&m->boxes, box) ? SAC_OK : SAC_ERROR_MEMORY;
}

static sac_status emit_group(motion *m, const group *groups, int64_t which) {
    const group *g = &groups[which];
    sac_status status = SAC_OK;
    int64_t *columns = NULL;
    if ((double)g->area < m->min_area_px) return SAC_OK;
    double mean = g->strength / (double)g->area;
    double confidence = mean / (mean + m->threshold);
    double w = 0, h = 0;
    int width = g->x2 - g->x1, height = g->y2 - g->y1;
    int parts = 1;
    if (m->size.count > 0) {
        sac_person_size_at(&m->size, g->y2, &w, &h);
        if (width > 1.6 * w) parts = (int)lround(width / w);
        if (parts > MOST_PARTS) parts = MOST_PARTS;
    }
    int rectangle[4] = {g->x1, g->y1, g->x2, g->y2};
    if (parts <= 1) return emit_part(m, groups, which, rectangle, confidence, 0);

    columns = sac_calloc(width, sizeof *columns);
    SAC_TRY_ALLOC(columns);
    int64_t inside = 0;
    for (int y = g->y1; y < g->y2; y++) {
        for (int x = g->x1; x < g->x2; x++) {
            if (!belongs(m, groups, which, x, y)) continue;
            columns[x - g->x1]++;
            inside++;
        }
    }
    bool solid = (double)inside > 0.62 * width * height;
    int from = g->x1;
    for (int part = 1; part <= parts; part++) {
        int cut = g->x2;
        if (part < parts) {
            double ideal = (double)width * part / parts, reach = 0.3 * width / parts;
            int64_t best = INT64_MAX;
            for (int x = (int)(ideal - reach); x <= (int)(ideal + reach); x++) {
                if (g->x1 + x <= from || x >= width) continue;
                // Of equally thin columns the one nearest to the even division.
                int64_t cost = columns[x] * 1000 + (int64_t)(fabs(x - ideal) * 10);
                if (cost < best) {
                    best = cost;
                    cut = g->x1 + x;
                }
            }
        }
        rectangle[0] = from;
        rectangle[2] = cut;
        SAC_TRY(emit_part(m, groups, which, rectangle, confidence, 0));
        from = cut;
        if (from >= g->x2) break;
    }
    if (solid) {
        sac_box box = {.x1 = (float)g->x1,
                       .y1 = (float)g->y1,
                       .x2 = (float)g->x2,
                       .y2 = (float)g->y2,
                       .confidence = (float)confidence,
                       .class_id = -1};
        if (!append_box(&m->boxes, box)) status = SAC_ERROR_MEMORY;
    }
fail:
    sac_free(columns);
    return status;
}

static sac_status detect_frame(motion *m, int64_t t) {
    sac_status status = SAC_OK;
    sac_blob *blobs = NULL;
    group *groups = NULL;
    int64_t count = 0;
    sac_background_mask(m->background, m->mask, m->strength, t);
    SAC_TRY(sac_blobs_find(&blobs, &count, m->labels, m->mask, m->strength, m->width, m->height));
    // Specks never belong to anybody and would make merging slow on a noisy frame.
    int64_t kept = 0;
    SAC_TRY_ALLOC(groups = sac_calloc(count, sizeof *groups));
    int32_t *renamed = NULL;
    SAC_TRY_ALLOC(renamed = sac_calloc(count + 1, sizeof *renamed));
    double speck = m->min_area_px / 4;
    for (int64_t i = 0; i < count; i++) {
        const sac_blob *b = &blobs[i];
        if ((double)b->area < speck) continue;
        groups[kept] = (group){.x1 = b->x1,
                               .y1 = b->y1,
                               .x2 = b->x2,
                               .y2 = b->y2,
                               .area = b->area,
                               .strength = b->strength,
                               .into = (int32_t)kept};
        renamed[i + 1] = (int32_t)++kept;
    }
    int64_t picture = (int64_t)m->width * m->height;
    for (int64_t p = 0; p < picture; p++) m->labels[p] = renamed[m->labels[p]];
    sac_free(renamed);
    merge_groups(m, groups, kept);
    for (int64_t i = 0; i < kept; i++) {
        if (groups[i].into == i) SAC_TRY(emit_group(m, groups, i));
    }
fail:
    sac_free(blobs);
    sac_free(groups);
    return status;
}

static sac_status open_motion(motion *m, const uint8_t *pixels, int64_t frames, int width,
                              int height, double motion_threshold, double min_area_px,
                              sac_error *error) {
    sac_status status = SAC_OK;
    *m = (motion){.width = width,
                  .height = height,
                  .threshold = motion_threshold,
                  .min_area_px = min_area_px};
    if (!(min_area_px >= 1)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "the smallest blob must have at least one pixel, got %g", min_area_px);
    }
    sac_background_options options = sac_background_default_options();
    options.threshold = motion_threshold;
    options.close_x = width >= 480 ? 2 : 1;
    options.close_y = height >= 480 ? 4 : 2;
    SAC_TRY(sac_background_create(&m->background, pixels, frames, width, height, &options, error));
    int64_t picture = (int64_t)width * height;
    SAC_TRY_ALLOC(m->mask = sac_calloc(picture, 1));
    SAC_TRY_ALLOC(m->strength = sac_calloc(picture, sizeof(float)));
    SAC_TRY_ALLOC(m->labels = sac_calloc(picture, sizeof(int32_t)));
fail:
    return status;
}

static void close_motion(motion *m) {
    sac_background_close(&m->background);
    sac_free(m->mask);
    sac_free(m->strength);
    sac_free(m->labels);
    sac_free(m->boxes.items);
}

static sac_status learn_clip(motion *m, int64_t frames) {
    // A few hundred frames tell the sizes as well as all of a long clip do.
    int64_t step = frames / 400 + 1;
    for (int64_t t = 0; t < frames; t += step) {
        sac_status status = learn_frame(m, t);
        if (status < 0) return status;
    }
    return SAC_OK;
}

sac_status sac_motion_learn(sac_size_samples *samples, const uint8_t *pixels, int64_t frames,
                            int width, int height, double motion_threshold, double min_area_px,
                            sac_error *error) {
    sac_status status = SAC_OK;
    motion m = {0};
    SAC_TRY(open_motion(&m, pixels, frames, width, height, motion_threshold, min_area_px, error));
    m.samples = samples;
    SAC_TRY(learn_clip(&m, frames));
fail:
    close_motion(&m);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the motion detector")
                      : SAC_OK;
}

void sac_size_samples_close(sac_size_samples *samples) {
    if (samples == NULL) return;
    sac_free(samples->items);
    *samples = (sac_size_samples){0};
}

sac_status sac_motion_detect(sac_detections *detections, const uint8_t *pixels, int64_t frames,
                             int width, int height, double motion_threshold, double min_area_px,
                             const sac_person_size *size, sac_error *error) {
    sac_status status = SAC_OK;
    motion m = {0};
    sac_size_samples own = {0};
    *detections = (sac_detections){.frames = frames};
    SAC_TRY(open_motion(&m, pixels, frames, width, height, motion_threshold, min_area_px, error));
    if (size != NULL) {
        m.size = *size;
    } else {
        m.samples = &own;
        SAC_TRY(learn_clip(&m, frames));
        SAC_TRY(sac_person_size_fit(&m.size, &own));
    }
    SAC_TRY_ALLOC(detections->start = sac_calloc(frames + 1, sizeof(int64_t)));
    for (int64_t t = 0; t < frames; t++) {
        SAC_TRY(detect_frame(&m, t));
        detections->start[t + 1] = m.boxes.count;
    }
    detections->boxes = m.boxes.items;
    m.boxes.items = NULL;
    if (detections->boxes == NULL)
        SAC_TRY_ALLOC(detections->boxes = sac_calloc(0, sizeof(sac_box)));
    detections->count = m.boxes.count;
fail:
    close_motion(&m);
    sac_size_samples_close(&own);
    if (status < 0) {
        sac_detections_close(detections);
        return sac_error_set(error, status, -1, "no memory for the motion detector");
    }
    return SAC_OK;
}
