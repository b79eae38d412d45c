// Detector specification, boxes from CSV tables, and the combination of several detectors.
#include "teachers/detections.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/safetensors.h"
#include "teachers/detect_darknet.h"
#include "teachers/detect_onnx.h"
#include "teachers/flow_objects.h"
#include "teachers/motion.h"
#include "teachers/network_clip.h"

static const char KNOWN[] = "known detectors are motion, flow, boxes:FILE.csv, "
                            "darknet:CFG:WEIGHTS[:NAMES] and onnx:FILE[:NAMES], separated by "
                            "commas";

// Coordinates further out than this are damage, not video.
#define MOST_PX 1e6

typedef struct table_row {
    const char *clip; // text of the sac_csv it came from
    int64_t frame;    // from 0
    int64_t line;     // of the file, from 1
    int file;
    sac_box box;
} table_row;

struct sac_detector {
    sac_detector_options options;
    bool motion, flow;
    int files;
    char **paths;     // [files]
    sac_csv **tables; // [files]
    table_row *rows;  // sorted by clip, frame, file, line
    int64_t row_count;
    sac_box_network **networks; // [network_count]
    int network_count;
    char *network_size, *classes, *cache; // copies of the options' texts
    sac_network_work *work;
    sac_size_samples samples;
    sac_person_size size; // of people in the clips shown, count 0: none
    char *text;
};

void sac_detections_close(sac_detections *detections) {
    if (detections == NULL) return;
    sac_free(detections->start);
    sac_free(detections->boxes);
    *detections = (sac_detections){0};
}

double sac_box_overlap(const sac_box *a, const sac_box *b, double *inside) {
    double w = fmin(a->x2, b->x2) - fmax(a->x1, b->x1);
    double h = fmin(a->y2, b->y2) - fmax(a->y1, b->y1);
    double common = w > 0 && h > 0 ? w * h : 0;
    double area_a = ((double)a->x2 - a->x1) * ((double)a->y2 - a->y1);
    double area_b = ((double)b->x2 - b->x1) * ((double)b->y2 - b->y1);
    if (inside != NULL) *inside = area_a > 0 ? common / area_a : 0;
    return common > 0 ? common / (area_a + area_b - common) : 0;
}

sac_detector_options sac_detector_default_options(void) {
    return (sac_detector_options){.min_confidence = 0.5,
                                  .motion_threshold = 14,
                                  .drop_nested = 0.8,
                                  .flow_threshold = 0.4,
                                  .min_area_px = 40,
                                  .network_overlap = 0.25,
                                  .network_nms = 0.45};
}

static int compare_rows(const void *pa, const void *pb) {
    const table_row *a = pa, *b = pb;
    int order = strcmp(a->clip, b->clip);
    if (order != 0) return order;
    if (a->frame != b->frame) return a->frame < b->frame ? -1 : 1;
    if (a->file != b->file) return a->file - b->file;
    return a->line < b->line ? -1 : a->line > b->line;
}

// Appends the rows of one CSV file to the table.
static sac_status read_table(sac_detector *detector, int file, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = detector->paths[file];
    SAC_TRY(sac_csv_read(&detector->tables[file], path, error));
    const sac_csv *csv = detector->tables[file];
    static const char *const wanted[] = {"clip", "frame", "x1", "y1", "x2", "y2"};
    int column[6];
    for (int i = 0; i < 6; i++) {
        column[i] = sac_csv_column(csv, wanted[i]);
        if (column[i] < 0) {
            return sac_error_set(error, SAC_ERROR_FORMAT, 1,
                                 "%s: line 1: the header has no column '%s' (expected "
                                 "clip,frame,x1,y1,x2,y2[,confidence][,class])",
                                 path, wanted[i]);
        }
    }
    int confidence_column = sac_csv_column(csv, "confidence");
    int class_column = sac_csv_column(csv, "class");
    int64_t count = sac_csv_rows(csv);
    table_row *grown = sac_recalloc(detector->rows, detector->row_count,
                                    detector->row_count + count, sizeof *grown);
    SAC_TRY_ALLOC(grown);
    detector->rows = grown;
    for (int64_t i = 0; i < count; i++) {
        // The header is line 1.
        table_row row = {.line = i + 2, .file = file, .clip = sac_csv_text(csv, i, column[0])};
        double edge[4], confidence = 1;
        int64_t class_id = -1;
        if (row.clip[0] == '\0') {
            return sac_error_set(error, SAC_ERROR_FORMAT, row.line,
                                 "%s: line %lld: the clip name is empty", path,
                                 (long long)row.line);
        }
        SAC_TRY(sac_csv_integer(csv, i, column[1], 1, INT32_MAX, &row.frame, error));
        row.frame--;
        for (int k = 0; k < 4; k++) {
            SAC_TRY(sac_csv_number(csv, i, column[2 + k], -MOST_PX, MOST_PX, &edge[k], error));
        }
        if (confidence_column >= 0) {
            SAC_TRY(sac_csv_number(csv, i, confidence_column, 0, 1, &confidence, error));
        }
        if (class_column >= 0) {
            SAC_TRY(sac_csv_integer(csv, i, class_column, -1, INT32_MAX, &class_id, error));
        }
        if (!(edge[0] < edge[2] && edge[1] < edge[3])) {
            return sac_error_set(error, SAC_ERROR_FORMAT, row.line,
                                 "%s: line %lld: the box %g,%g,%g,%g is empty (x1 < x2 and y1 < "
                                 "y2 expected)",
                                 path, (long long)row.line, edge[0], edge[1], edge[2], edge[3]);
        }
        if (confidence <= 0 || confidence < detector->options.min_confidence) continue;
        row.box = (sac_box){(float)edge[0], (float)edge[1],    (float)edge[2],
                            (float)edge[3], (float)confidence, (int32_t)class_id};
        detector->rows[detector->row_count++] = row;
    }
    return SAC_OK;
fail:
    return sac_error_set(error, status, -1, "%s: no memory for its boxes", path);
}

// Appends an item to the normalised specification.
static sac_status append_text(sac_detector *detector, const char *item) {
    char *longer = sac_format("%s%s%s", detector->text, detector->text[0] ? "," : "", item);
    if (longer == NULL) return SAC_ERROR_MEMORY;
    sac_free(detector->text);
    detector->text = longer;
    return SAC_OK;
}

// Takes the network over, also on failure.
static sac_status add_network(sac_detector *detector, sac_box_network *network, sac_error *error) {
    sac_status status = SAC_OK;
    bool *keep = NULL;
    sac_box_network **networks = sac_recalloc(detector->networks, detector->network_count,
                                              detector->network_count + 1, sizeof(void *));
    if (networks == NULL) {
        sac_box_network_close(&network);
        return SAC_ERROR_MEMORY;
    }
    detector->networks = networks;
    detector->networks[detector->network_count++] = network;
    SAC_TRY_ALLOC(keep = sac_calloc(network->classes, sizeof *keep));
    SAC_TRY(sac_network_classes(keep, network, detector->classes, error));
    SAC_TRY(append_text(detector, network->text));
fail:
    sac_free(keep);
    return status;
}

// "WIDTHxHEIGHT", both 0 when there is none.
static sac_status read_size(const char *text, int64_t *width, int64_t *height, sac_error *error) {
    char part[32] = "";
    *width = *height = 0;
    if (text == NULL) return SAC_OK;
    const size_t length = strcspn(text, "x");
    if (length < sizeof part) memcpy(part, text, length);
    if (text[length] != 'x' || !sac_number_integer(part, width) ||
        !sac_number_integer(text + length + 1, height) || *width < 1 || *height < 1 ||
        *width > 16384 || *height > 16384) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "network size '%.40s', expected WIDTHxHEIGHT such as 416x416", text);
    }
    return SAC_OK;
}

// "CFG:WEIGHTS" or "CFG:WEIGHTS:NAMES".
static sac_status add_darknet(sac_detector *detector, const char *files, sac_error *error) {
    sac_status status = SAC_OK;
    sac_box_network *network = NULL;
    int64_t width, height;
    char *cfg = sac_strdup(files);
    SAC_TRY_ALLOC(cfg);
    char *weights = strchr(cfg, ':');
    if (weights != NULL) *weights++ = '\0';
    char *names = weights != NULL ? strchr(weights, ':') : NULL;
    if (names != NULL) *names++ = '\0';
    if (weights == NULL || cfg[0] == '\0' || weights[0] == '\0' ||
        (names != NULL && (names[0] == '\0' || strchr(names, ':') != NULL))) {
        status =
            sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                          "detector 'darknet:%.200s', expected darknet:CFG:WEIGHTS[:NAMES]", files);
        goto fail;
    }
    SAC_TRY(read_size(detector->network_size, &width, &height, error));
    SAC_TRY(sac_darknet_network_open(&network, cfg, weights, names, width, height, 1,
                                     SAC_BACKEND_ONEDNN, error));
    SAC_TRY(add_network(detector, network, error));
fail:
    sac_free(cfg);
    return status;
}

// "FILE" or "FILE:NAMES".
static sac_status add_onnx(sac_detector *detector, const char *files, sac_error *error) {
    sac_status status = SAC_OK;
    sac_box_network *network = NULL;
    int64_t width, height;
    char *path = sac_strdup(files);
    SAC_TRY_ALLOC(path);
    char *names = strchr(path, ':');
    if (names != NULL) *names++ = '\0';
    if (path[0] == '\0' || (names != NULL && (names[0] == '\0' || strchr(names, ':') != NULL))) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "detector 'onnx:%.200s', expected onnx:FILE[:NAMES]", files);
        goto fail;
    }
    SAC_TRY(read_size(detector->network_size, &width, &height, error));
    SAC_TRY(
        sac_onnx_network_open(&network, path, names, width, height, 1, SAC_BACKEND_ONEDNN, error));
    SAC_TRY(add_network(detector, network, error));
fail:
    sac_free(path);
    return status;
}

// One item of the specification.
static sac_status add_item(sac_detector *detector, const char *item, size_t length,
                           sac_error *error) {
    sac_status status = SAC_OK;
    char *name = NULL, *text = sac_format("%.*s", (int)length, item);
    SAC_TRY_ALLOC(text);
    if (strcmp(text, "motion") == 0) {
        if (detector->motion) {
            status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "detector 'motion' given twice");
            goto fail;
        }
        detector->motion = true;
    } else if (strcmp(text, "flow") == 0) {
        if (detector->flow) {
            status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "detector 'flow' given twice");
            goto fail;
        }
        detector->flow = true;
    } else if (strncmp(text, "boxes:", 6) == 0 && text[6] != '\0') {
        int n = detector->files;
        char **paths = sac_recalloc(detector->paths, n, n + 1, sizeof *paths);
        SAC_TRY_ALLOC(paths);
        detector->paths = paths;
        sac_csv **tables = sac_recalloc(detector->tables, n, n + 1, sizeof *tables);
        SAC_TRY_ALLOC(tables);
        detector->tables = tables;
        SAC_TRY_ALLOC(detector->paths[n] = sac_strdup(text + 6));
        detector->files = n + 1;
        SAC_TRY(read_table(detector, n, error));
        SAC_TRY_ALLOC(name = sac_format("boxes:%s", sac_path_last(text + 6)));
        SAC_TRY(append_text(detector, name));
    } else if (strncmp(text, "darknet:", 8) == 0) {
        SAC_TRY(add_darknet(detector, text + 8, error));
    } else if (strncmp(text, "onnx:", 5) == 0) {
        SAC_TRY(add_onnx(detector, text + 5, error));
    } else {
        status =
            sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "unknown detector '%s'; %s", text, KNOWN);
    }
fail:
    sac_free(text);
    sac_free(name);
    return status;
}

static sac_status check_options(const sac_detector_options *o, sac_error *error) {
    if (!(o->min_confidence >= 0 && o->min_confidence <= 1) ||
        !(o->drop_nested >= 0 && o->drop_nested <= 1) ||
        !(o->motion_threshold > 0 && o->motion_threshold <= 255) ||
        !(o->flow_threshold > 0 && o->flow_threshold <= 1000) ||
        !(o->min_area_px >= 1 && o->min_area_px <= MOST_PX)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a detector option is out of range (confidence and nested part 0..1, "
                             "motion and flow thresholds above 0, smallest area at least 1 px)");
    }
    if (!(o->network_scale >= 0 && o->network_scale <= 16) ||
        !(o->network_overlap >= 0 && o->network_overlap <= 0.75) ||
        !(o->network_nms >= 0 && o->network_nms <= 1)) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "an option of detection networks is out of range (scale 0..16, overlap "
            "0..0.75, suppression 0..1)");
    }
    return SAC_OK;
}

static sac_status copy_texts(sac_detector *detector, const sac_detector_options *o) {
    sac_status status = SAC_OK;
    if (o->network_size != NULL) {
        SAC_TRY_ALLOC(detector->network_size = sac_strdup(o->network_size));
    }
    if (o->classes != NULL) SAC_TRY_ALLOC(detector->classes = sac_strdup(o->classes));
    if (o->cache != NULL) SAC_TRY_ALLOC(detector->cache = sac_strdup(o->cache));
    // The caller's may go away.
    detector->options.network_size = detector->network_size;
    detector->options.classes = detector->classes;
    detector->options.cache = detector->cache;
fail:
    return status;
}

sac_status sac_detector_open(sac_detector **out, const char *specification,
                             const sac_detector_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_detector *detector = sac_calloc(1, sizeof *detector);
    SAC_TRY_ALLOC(detector);
    SAC_TRY_ALLOC(detector->text = sac_strdup(""));
    detector->options = *options;
    SAC_TRY(check_options(options, error));
    SAC_TRY(copy_texts(detector, options));
    SAC_TRY_ALLOC(detector->work = sac_calloc(1, sizeof *detector->work));
    for (const char *item = specification;;) {
        size_t length = strcspn(item, ",");
        SAC_TRY(add_item(detector, item, length, error));
        if (item[length] == '\0') break;
        item += length + 1;
    }
    if (detector->motion) SAC_TRY(append_text(detector, "motion"));
    if (detector->flow) SAC_TRY(append_text(detector, "flow"));
    if (detector->row_count > 1) {
        qsort(detector->rows, (size_t)detector->row_count, sizeof *detector->rows, compare_rows);
    }
    *out = detector;
    return SAC_OK;
fail:
    sac_detector_close(&detector);
    return sac_error_set(error, status, -1, "no memory for the detector");
}

sac_status sac_detector_learn(sac_detector *detector, const uint8_t *pixels, int64_t frames,
                              int width, int height, sac_error *error) {
    sac_status status = SAC_OK;
    if (!detector->motion) return SAC_OK;
    SAC_TRY(sac_motion_learn(&detector->samples, pixels, frames, width, height,
                             detector->options.motion_threshold, detector->options.min_area_px,
                             error));
    SAC_TRY(sac_person_size_fit(&detector->size, &detector->samples));
fail:
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the motion detector")
                      : SAC_OK;
}

// First row of the table whose clip is not before `clip`.
static int64_t lower_bound(const sac_detector *detector, const char *clip) {
    int64_t low = 0, high = detector->row_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(detector->rows[middle].clip, clip) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool same_box(const sac_box *a, const sac_box *b) {
    return a->x1 == b->x1 && a->y1 == b->y1 && a->x2 == b->x2 && a->y2 == b->y2;
}

// True when the file named the clip at all, also with boxes below the confidence.
static bool clip_is_named(const sac_detector *detector, const char *clip) {
    for (int f = 0; f < detector->files; f++) {
        const sac_csv *csv = detector->tables[f];
        int column = sac_csv_column(csv, "clip");
        for (int64_t i = 0; i < sac_csv_rows(csv); i++) {
            if (strcmp(sac_csv_text(csv, i, column), clip) == 0) return true;
        }
    }
    return false;
}

// Boxes of the CSV tables. `detections->boxes` has room for all of them.
static sac_status take_rows(const sac_detector *detector, sac_detections *detections,
                            const sac_clip *clip, int width, int height, sac_error *error) {
    int64_t first = lower_bound(detector, clip->name), last = first;
    while (last < detector->row_count && strcmp(detector->rows[last].clip, clip->name) == 0) last++;
    if (first == last && detector->files > 0 && !detector->motion && !detector->flow &&
        detector->network_count == 0 && !clip_is_named(detector, clip->name)) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: no boxes for clip %s",
                             detector->text, clip->name);
    }
    detections->boxes = sac_calloc(last - first, sizeof(sac_box));
    if (detections->boxes == NULL) return SAC_ERROR_MEMORY;
    int64_t frame = -1, frame_first = 0;
    for (int64_t i = first; i < last; i++) {
        const table_row *row = &detector->rows[i];
        const char *path = detector->paths[row->file];
        if (row->frame >= clip->frames) {
            return sac_error_set(error, SAC_ERROR_FORMAT, row->line,
                                 "%s: line %lld: frame %lld of clip %s, which has %lld frames",
                                 path, (long long)row->line, (long long)row->frame + 1, clip->name,
                                 (long long)clip->frames);
        }
        sac_box box = row->box;
        if (box.x1 >= (float)width || box.y1 >= (float)height || box.x2 <= 0 || box.y2 <= 0) {
            return sac_error_set(error, SAC_ERROR_FORMAT, row->line,
                                 "%s: line %lld: the box %g,%g,%g,%g lies outside the %dx%d "
                                 "picture of clip %s",
                                 path, (long long)row->line, (double)box.x1, (double)box.y1,
                                 (double)box.x2, (double)box.y2, width, height, clip->name);
        }
        box.x1 = fmaxf(box.x1, 0);
        box.y1 = fmaxf(box.y1, 0);
        box.x2 = fminf(box.x2, (float)width);
        box.y2 = fminf(box.y2, (float)height);
        if (box.x2 - box.x1 < 1 || box.y2 - box.y1 < 1) continue;
        if (row->frame != frame) {
            frame = row->frame;
            frame_first = detections->count;
        }
        bool known = false;
        for (int64_t k = frame_first; k < detections->count; k++) {
            if (same_box(&detections->boxes[k], &box)) known = true;
        }
        if (known) continue;
        detections->boxes[detections->count++] = box;
        detections->start[frame + 1]++;
    }
    for (int64_t t = 0; t < clip->frames; t++) detections->start[t + 1] += detections->start[t];
    return SAC_OK;
}

// How much larger than a box the one may be that it is a part of.
static const double NESTED_LEAST = 10.0 / 3, NESTED_MOST = 20;

static bool is_part(const sac_box *a, const sac_box *b, double least) {
    double inside = 0;
    (void)sac_box_overlap(a, b, &inside);
    const double ratio =
        (double)((b->x2 - b->x1) * (b->y2 - b->y1)) / (double)((a->x2 - a->x1) * (a->y2 - a->y1));
    return inside >= least && ratio >= NESTED_LEAST && ratio <= NESTED_MOST;
}

// Drops parts of other boxes, in place. All are compared with all, so the order does not matter.
static sac_status drop_nested(sac_detections *d, double least) {
    bool *part = sac_calloc(d->count + 1, sizeof *part);
    if (part == NULL) return SAC_ERROR_MEMORY;
    for (int64_t t = 0; t < d->frames; t++) {
        for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
            for (int64_t k = d->start[t]; k < d->start[t + 1] && !part[i]; k++)
                part[i] = k != i && is_part(&d->boxes[i], &d->boxes[k], least);
        }
    }
    int64_t kept = 0;
    for (int64_t t = 0, first = 0; t < d->frames; t++) {
        const int64_t last = d->start[t + 1];
        for (int64_t i = first; i < last; i++) {
            if (!part[i]) d->boxes[kept++] = d->boxes[i];
        }
        first = last;
        d->start[t + 1] = kept;
    }
    d->count = kept;
    sac_free(part);
    return SAC_OK;
}

// Adds the boxes that are confident enough and that none so far covers.
static sac_status add_uncovered(sac_detections *detections, const sac_detections *extra,
                                float least) {
    sac_box *boxes = sac_calloc(detections->count + extra->count, sizeof *boxes);
    int64_t *start = sac_calloc(detections->frames + 1, sizeof *start);
    if (boxes == NULL || start == NULL) {
        sac_free(boxes);
        sac_free(start);
        return SAC_ERROR_MEMORY;
    }
    int64_t count = 0;
    for (int64_t t = 0; t < detections->frames; t++) {
        for (int64_t i = detections->start[t]; i < detections->start[t + 1]; i++) {
            boxes[count++] = detections->boxes[i];
        }
        for (int64_t i = extra->start[t]; i < extra->start[t + 1]; i++) {
            bool covered = extra->boxes[i].confidence < least;
            for (int64_t k = detections->start[t]; k < detections->start[t + 1]; k++) {
                double inside = 0;
                double iou = sac_box_overlap(&extra->boxes[i], &detections->boxes[k], &inside);
                if (iou >= 0.3 || inside >= 0.5) covered = true;
            }
            if (!covered) boxes[count++] = extra->boxes[i];
        }
        start[t + 1] = count;
    }
    sac_free(detections->boxes);
    sac_free(detections->start);
    detections->boxes = boxes;
    detections->start = start;
    detections->count = count;
    return SAC_OK;
}

sac_status sac_detector_run(const sac_detector *detector, sac_detections *detections,
                            const sac_clip *clip, const uint8_t *pixels, int width, int height,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_detections extra = {0};
    *detections = (sac_detections){.frames = clip->frames};
    SAC_TRY_ALLOC(detections->start = sac_calloc(clip->frames + 1, sizeof(int64_t)));
    SAC_TRY(take_rows(detector, detections, clip, width, height, error));
    for (int i = 0; i < detector->network_count; i++) {
        const sac_detector_options *o = &detector->options;
        const sac_network_clip_options network = {.network = {.scale = o->network_scale,
                                                              .overlap = o->network_overlap,
                                                              .nms_iou = o->network_nms,
                                                              .min_confidence = o->min_confidence},
                                                  .classes = detector->classes,
                                                  .cache = detector->cache,
                                                  .stop = o->stop};
        SAC_TRY(sac_network_clip(detector->networks[i], &extra, clip, pixels, width, height,
                                 &network, detector->work, error));
        SAC_TRY(add_uncovered(detections, &extra, (float)o->min_confidence));
        sac_detections_close(&extra);
    }
    if (detector->options.drop_nested > 0)
        SAC_TRY(drop_nested(detections, detector->options.drop_nested));
    if (detector->motion) {
        SAC_TRY(sac_motion_detect(&extra, pixels, clip->frames, width, height,
                                  detector->options.motion_threshold, detector->options.min_area_px,
                                  detector->size.count > 0 ? &detector->size : NULL, error));
        SAC_TRY(add_uncovered(detections, &extra, (float)detector->options.min_confidence));
        sac_detections_close(&extra);
    }
    if (detector->flow) {
        SAC_TRY(sac_flow_objects_detect(&extra, pixels, clip->frames, width, height,
                                        detector->options.flow_threshold,
                                        detector->options.min_area_px, detections, error));
        SAC_TRY(add_uncovered(detections, &extra, (float)detector->options.min_confidence));
    }
    sac_detections_close(&extra);
    return SAC_OK;
fail:
    sac_detections_close(&extra);
    sac_detections_close(detections);
    return sac_error_set(error, status, -1, "no memory for the boxes of clip %s", clip->name);
}

void sac_detector_speed(const sac_detector *detector, int64_t *frames, double *seconds,
                        int64_t *cached_clips) {
    if (frames != NULL) *frames = detector->work->frames;
    if (seconds != NULL) *seconds = detector->work->seconds;
    if (cached_clips != NULL) *cached_clips = detector->work->cached;
}

const char *sac_detector_text(const sac_detector *detector) {
    return detector->text;
}

void sac_detector_close(sac_detector **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_detector *detector = *slot;
    for (int i = 0; i < detector->files; i++) {
        sac_free(detector->paths[i]);
        sac_csv_close(&detector->tables[i]);
    }
    sac_free(detector->paths);
    sac_free(detector->tables);
    sac_free(detector->rows);
    for (int i = 0; i < detector->network_count; i++) sac_box_network_close(&detector->networks[i]);
    sac_free(detector->networks);
    sac_free(detector->network_size);
    sac_free(detector->classes);
    sac_free(detector->cache);
    sac_free(detector->work);
    sac_size_samples_close(&detector->samples);
    sac_free(detector->text);
    sac_free(detector);
    *slot = NULL;
}

sac_status sac_detections_write(const char *path, const char *const *names,
                                const sac_detections *detections, int64_t count, const char *stamp,
                                sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    float *rows = NULL;
    char *name = NULL;
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "stamp", stamp, error));
    for (int64_t c = 0; c < count; c++) {
        const sac_detections *d = &detections[c];
        SAC_TRY_ALLOC(rows = sac_calloc(d->count * 5, sizeof *rows));
        int32_t *classes = sac_calloc(d->count, sizeof *classes);
        SAC_TRY_ALLOC(classes);
        for (int64_t i = 0; i < d->count; i++) {
            const sac_box *b = &d->boxes[i];
            float row[5] = {b->x1, b->y1, b->x2, b->y2, b->confidence};
            memcpy(rows + i * 5, row, sizeof row);
            classes[i] = b->class_id;
        }
        name = sac_format("%s.boxes", names[c]);
        if (name == NULL) {
            sac_free(classes);
            status = SAC_ERROR_MEMORY;
            goto fail;
        }
        int64_t dims[2] = {d->count, 5};
        status = sac_safetensors_add(st, name, SAC_DTYPE_F32, 2, dims, rows, error);
        sac_free(name);
        name = sac_format("%s.class", names[c]);
        if (status >= 0 && name == NULL) status = SAC_ERROR_MEMORY;
        if (status >= 0) {
            status = sac_safetensors_add(st, name, SAC_DTYPE_I32, 1, dims, classes, error);
        }
        sac_free(classes);
        SAC_TRY(status);
        sac_free(name);
        SAC_TRY_ALLOC(name = sac_format("%s.start", names[c]));
        dims[0] = d->frames + 1;
        SAC_TRY(sac_safetensors_add(st, name, SAC_DTYPE_I64, 1, dims, d->start, error));
        sac_free(name);
        name = NULL;
        sac_free(rows);
        rows = NULL;
    }
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_free(name);
    sac_free(rows);
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to write it", path)
                      : SAC_OK;
}

static sac_status read_clip(const sac_safetensors *st, const char *path, const char *clip,
                            int64_t frames, sac_detections *detections, sac_error *error) {
    sac_status status = SAC_OK;
    const void *data = NULL;
    char *name = sac_format("%s.start", clip);
    SAC_TRY_ALLOC(name);
    int64_t dims[2] = {frames + 1, 5};
    SAC_TRY(sac_safetensors_expect(st, name, SAC_DTYPE_I64, 1, dims, &data, error));
    detections->frames = frames;
    SAC_TRY_ALLOC(detections->start = sac_calloc(frames + 1, sizeof(int64_t)));
    memcpy(detections->start, data, (size_t)(frames + 1) * sizeof(int64_t));
    for (int64_t t = 0; t <= frames; t++) {
        if (detections->start[t] < (t == 0 ? 0 : detections->start[t - 1]) ||
            detections->start[0] != 0) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, t,
                                   "%s: the boxes of clip %s are out of order at frame %lld", path,
                                   clip, (long long)t);
            goto fail;
        }
    }
    detections->count = detections->start[frames];
    dims[0] = detections->count;
    sac_free(name);
    SAC_TRY_ALLOC(name = sac_format("%s.boxes", clip));
    SAC_TRY(sac_safetensors_expect(st, name, SAC_DTYPE_F32, 2, dims, &data, error));
    const float *rows = data;
    sac_free(name);
    SAC_TRY_ALLOC(name = sac_format("%s.class", clip));
    SAC_TRY(sac_safetensors_expect(st, name, SAC_DTYPE_I32, 1, dims, &data, error));
    const int32_t *classes = data;
    SAC_TRY_ALLOC(detections->boxes = sac_calloc(detections->count, sizeof(sac_box)));
    for (int64_t i = 0; i < detections->count; i++) {
        const float *r = rows + i * 5;
        if (!(r[0] < r[2] && r[1] < r[3]) || !isfinite(r[0] + r[1] + r[2] + r[3] + r[4])) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, i, "%s: box %lld of clip %s is empty",
                                   path, (long long)i, clip);
            goto fail;
        }
        detections->boxes[i] = (sac_box){r[0], r[1], r[2], r[3], r[4], classes[i]};
    }
fail:
    sac_free(name);
    return status;
}

sac_status sac_detections_read(const char *path, const char *const *names, const int64_t *frames,
                               sac_detections *detections, int64_t count, const char *stamp,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    for (int64_t c = 0; c < count; c++) detections[c] = (sac_detections){0};
    SAC_TRY(sac_safetensors_read(&st, path, error));
    const char *found = sac_safetensors_metadata(st, "stamp");
    if (found == NULL || strcmp(found, stamp) != 0) {
        status =
            sac_error_set(error, SAC_ERROR_FORMAT, -1,
                          "%s: was made from other data or with other detector settings", path);
        goto fail;
    }
    for (int64_t c = 0; c < count; c++) {
        SAC_TRY(read_clip(st, path, names[c], frames[c], &detections[c], error));
    }
    sac_safetensors_close(&st);
    return SAC_OK;
fail:
    sac_safetensors_close(&st);
    for (int64_t c = 0; c < count; c++) sac_detections_close(&detections[c]);
    return sac_error_set(error, status, -1, "%s: no memory to read it", path);
}
