// The page about a teacher. First everything is read that needs no pictures, then the pictures are
// chosen and cut clip by clip, then the page is written from top to bottom.
#include "teachers/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/html.h"
#include "core/html_chart.h"
#include "core/memory.h"
#include "core/spill.h"
#include "eval/frame_eval.h"
#include "eval/regions.h"
#include "teachers/picks.h"
#include "video/overlay.h"
#include "video/picture.h"

enum { MAX_PICTURES = 60, CROP_PX = 176, LEAST_VIEW_PX = 40, MAX_TRACK_ROWS = 400 };
static const double FALSE_RATE = 0.1; // false objects per frame at the threshold of the track table

// A picture of the page: what it shows and its PNG.
typedef struct shot {
    sac_pick pick;
    uint8_t *png;
    size_t size;
    int width, height;
} shot;

// A group of pictures under one heading.
typedef struct group {
    shot *shots;
    int count;
} group;

typedef struct review {
    const sac_teacher_report *set;
    sac_error *error;
    sac_object_table *table; // NULL: the store has no objects
    sac_review_clip *clips;
    int64_t count, frames;
    bool regions_known; // of all clips
    sac_region_result regions;
    sac_eval_options options[4];
    sac_eval_result results[4]; // by smoothing; only with labels
    bool evaluated;
    double threshold;
    group alarms, weak, undetected, *highest, *lowest; // [tasks]
    int tasks;
} review;

// ---- reading -----------------------------------------------------------------------------------

static sac_status poll(const review *r, int64_t done) {
    if (r->set->stop != NULL && r->set->stop())
        return sac_error_set(r->error, SAC_ERROR_INTERRUPTED, -1,
                             "interrupted while making the report");
    if (r->set->progress != NULL) r->set->progress(r->set->user, done, 2 * r->count);
    return SAC_OK;
}

static sac_status read_clip(review *r, sac_review_clip *c) {
    sac_status status = SAC_OK;
    sac_maps maps = {0};
    SAC_TRY(sac_map_store_get(r->set->store, &maps, c->clip->name, c->clip->frames, r->error));
    c->frame_scores = maps.map1;
    maps.map1 = NULL;
    SAC_TRY(sac_clip_truth(&c->truth, &c->truth_known, c->clip, &r->set->truth, r->error));
    if (r->table != NULL) {
        SAC_TRY(
            sac_object_table_get(r->table, &c->objects, c->clip->name, c->clip->frames, r->error));
    } else {
        c->objects.detections.frames = c->clip->frames;
        SAC_TRY_ALLOC(c->objects.detections.start =
                          sac_calloc(c->clip->frames + 1, sizeof(int64_t)));
    }
    SAC_TRY(sac_review_match(c));
fail:
    sac_maps_close(&maps);
    return status;
}

static bool has_objects(const sac_map_store *store, bool *failed) {
    char *path = sac_path_join(sac_map_store_folder(store), "objects.csv");
    *failed = path == NULL;
    const bool found = path != NULL && sac_is_file(path);
    sac_free(path);
    return found;
}

static sac_status read_clips(review *r) {
    sac_status status = SAC_OK;
    const sac_dataset *dataset = r->set->dataset;
    bool failed;
    if (has_objects(r->set->store, &failed)) {
        SAC_TRY(sac_object_table_open(&r->table, r->set->store, r->error));
        r->tasks = sac_object_table_tasks(r->table)->tasks;
    }
    if (failed) SAC_TRY(SAC_ERROR_MEMORY);
    SAC_TRY_ALLOC(r->clips = sac_calloc(dataset->count, sizeof *r->clips));
    for (int64_t i = 0; i < dataset->count; i++) {
        const sac_clip *clip = &dataset->clips[i];
        if (!clip->test || !sac_map_store_has(r->set->store, clip->name)) continue;
        r->clips[r->count++].clip = clip;
        r->frames += clip->frames;
    }
    if (r->count == 0)
        return sac_error_set(r->error, SAC_ERROR_FORMAT, -1,
                             "%s: holds no maps of any test clip of %s",
                             sac_map_store_folder(r->set->store), dataset->path);
    r->regions_known = true;
    for (int64_t i = 0; i < r->count; i++) {
        SAC_TRY(poll(r, i));
        SAC_TRY(read_clip(r, &r->clips[i]));
        r->regions_known = r->regions_known && r->clips[i].truth_known;
    }
fail:
    return status;
}

static sac_status measure_regions(review *r) {
    sac_status status = SAC_OK;
    sac_region_meter *meter = NULL;
    sac_detected detected = {0};
    const sac_region_options options = sac_region_default_options();
    if (!r->regions_known || r->table == NULL) return SAC_OK;
    SAC_TRY(sac_region_meter_create(&meter, &options, r->error));
    for (int64_t i = 0; i < r->count; i++) {
        const sac_review_clip *c = &r->clips[i];
        SAC_TRY(sac_objects_detected(&detected, &c->objects.detections, c->objects.scores));
        SAC_TRY(sac_region_meter_add(meter, c->clip->name, &c->truth, &detected, r->error));
        sac_detected_close(&detected);
    }
    SAC_TRY(sac_region_meter_finish(&r->regions, meter, r->error));
fail:
    sac_detected_close(&detected);
    sac_region_meter_close(&meter);
    return status;
}

static sac_status measure_frames(review *r) {
    sac_status status = SAC_OK;
    int64_t count = 0;
    sac_eval_clip *clips = sac_calloc(r->count, sizeof *clips);
    SAC_TRY_ALLOC(clips);
    for (int64_t i = 0; i < r->count; i++) {
        const sac_review_clip *c = &r->clips[i];
        if (c->clip->labels == NULL) continue;
        clips[count++] = (sac_eval_clip){.name = c->clip->name,
                                         .scores = c->frame_scores,
                                         .labels = c->clip->labels,
                                         .frames = c->clip->frames};
    }
    for (int k = 0; k < 4 && count > 0; k++) {
        r->options[k] = (sac_eval_options){.smoothing.kind = (sac_smoothing)k};
        SAC_TRY(sac_eval_frames(&r->results[k], clips, count, &r->options[k], r->error));
    }
    r->evaluated = count > 0;
fail:
    sac_free(clips);
    return status;
}

// ---- pictures ----------------------------------------------------------------------------------

static sac_status pick_group(group *g, int most, const review *r,
                             int (*pick)(sac_pick *, int, const sac_review_clip *, int64_t, int),
                             int argument) {
    sac_pick picks[MAX_PICTURES];
    const int count = pick(picks, most, r->clips, r->count, argument);
    if (count < 0) return SAC_ERROR_MEMORY;
    g->shots = sac_calloc(count, sizeof *g->shots);
    if (g->shots == NULL) return SAC_ERROR_MEMORY;
    for (int i = 0; i < count; i++) g->shots[i].pick = picks[i];
    g->count = count;
    return SAC_OK;
}

static int pick_alarms(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                       int argument) {
    (void)argument;
    return sac_pick_objects(picks, most, clips, count, -1, true, true);
}

static int pick_weak(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                     int regions_known) {
    return regions_known ? sac_pick_missed(picks, most, clips, count, true)
                         : sac_pick_missed_frames(picks, most, clips, count);
}

static int pick_undetected(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                           int regions_known) {
    return regions_known ? sac_pick_missed(picks, most, clips, count, false) : 0;
}

static int pick_highest(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                        int task) {
    return sac_pick_objects(picks, most, clips, count, task, true, false);
}

static int pick_lowest(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                       int task) {
    return sac_pick_objects(picks, most, clips, count, task, false, false);
}

static sac_status choose(review *r) {
    sac_status status = SAC_OK;
    const int most = r->set->pictures, half = most > 1 ? most / 2 : 1;
    r->threshold = sac_review_threshold(r->clips, r->count, FALSE_RATE);
    if (isnan(r->threshold)) return SAC_ERROR_MEMORY;
    SAC_TRY(pick_group(&r->alarms, most, r, pick_alarms, 0));
    const bool regions = r->regions_known && r->table != NULL;
    SAC_TRY(pick_group(&r->weak, most, r, pick_weak, regions));
    SAC_TRY(pick_group(&r->undetected, most, r, pick_undetected, regions));
    SAC_TRY_ALLOC(r->highest = sac_calloc(r->tasks, sizeof *r->highest));
    SAC_TRY_ALLOC(r->lowest = sac_calloc(r->tasks, sizeof *r->lowest));
    for (int k = 0; k < r->tasks; k++) {
        SAC_TRY(pick_group(&r->highest[k], half, r, pick_highest, k));
        SAC_TRY(pick_group(&r->lowest[k], half, r, pick_lowest, k));
    }
fail:
    return status;
}

// Part of the frame that a picture shows: three times the box, square; the whole frame without a
// box.
typedef struct view {
    double x, y, width, height; // px of the frame
} view;

static view view_of(const sac_review_clip *c, const sac_pick *p, int width, int height) {
    double x1, y1, x2, y2;
    if (p->region >= 0) {
        const sac_truth_region *t = &c->truth.regions[p->region];
        x1 = (double)t->x1, y1 = (double)t->y1, x2 = (double)t->x2, y2 = (double)t->y2;
    } else if (p->object >= 0) {
        const sac_box *b = &c->objects.detections.boxes[p->object];
        x1 = (double)b->x1, y1 = (double)b->y1, x2 = (double)b->x2, y2 = (double)b->y2;
    } else {
        return (view){0, 0, width, height};
    }
    const double side = fmax(2.4 * fmax(x2 - x1, y2 - y1), LEAST_VIEW_PX);
    return (view){(x1 + x2 - side) / 2, (y1 + y2 - side) / 2, side, side};
}

static sac_status draw_shot(shot *s, const sac_review_clip *c, const uint8_t *pixels, int width,
                            int height) {
    sac_status status = SAC_OK;
    sac_canvas *canvas = NULL;
    const sac_pick *p = &s->pick;
    const view v = view_of(c, p, width, height);
    const bool whole = p->region < 0 && p->object < 0;
    const double zoom = (whole ? 2.0 : 1.0) * CROP_PX / v.width;
    s->width = whole ? 2 * CROP_PX : CROP_PX;
    s->height = (int)lrint(fmax(v.height * zoom, 1));
    SAC_TRY(sac_canvas_create(&canvas, s->width, s->height));
    sac_canvas_clear(canvas, 0x20262E);
    sac_canvas_frame(canvas, pixels + p->frame * width * height, width, height, 1, -v.x * zoom,
                     -v.y * zoom, width * zoom, height * zoom);
    const sac_detections *d = &c->objects.detections;
    for (int64_t i = d->start[p->frame]; i < d->start[p->frame + 1]; i++) {
        const sac_box *b = &d->boxes[i];
        // Neighbours are drawn thin, so that one sees what else was found.
        const bool main = i == p->object;
        sac_canvas_box(canvas, ((double)b->x1 - v.x) * zoom, ((double)b->y1 - v.y) * zoom,
                       (double)(b->x2 - b->x1) * zoom, (double)(b->y2 - b->y1) * zoom,
                       sac_overlay_colour(c->objects.scores[i], 1), main ? 2.5 : 1);
    }
    for (int64_t k = 0; k < c->truth.count; k++) {
        const sac_truth_region *t = &c->truth.regions[k];
        if (t->frame != p->frame) continue;
        sac_canvas_box(canvas, ((double)t->x1 - v.x) * zoom - 2, ((double)t->y1 - v.y) * zoom - 2,
                       (double)(t->x2 - t->x1) * zoom + 4, (double)(t->y2 - t->y1) * zoom + 4,
                       0xFFFFFF, k == p->region ? 2 : 1);
    }
    SAC_TRY(sac_canvas_encode_png(canvas, &s->png, &s->size));
fail:
    sac_canvas_close(&canvas);
    return status;
}

// Calls `visit` for every group of the page.
static sac_status each_group(review *r, sac_status (*visit)(review *, group *, void *),
                             void *user) {
    sac_status status = SAC_OK;
    SAC_TRY(visit(r, &r->alarms, user));
    SAC_TRY(visit(r, &r->weak, user));
    SAC_TRY(visit(r, &r->undetected, user));
    for (int k = 0; k < r->tasks; k++) {
        SAC_TRY(visit(r, &r->highest[k], user));
        SAC_TRY(visit(r, &r->lowest[k], user));
    }
fail:
    return status;
}

// The clip being cut; its frames are only loaded when a picture needs them.
typedef struct cutting {
    int64_t clip;
    uint8_t *pixels;
    int width, height;
} cutting;

static sac_status cut_group(review *r, group *g, void *user) {
    sac_status status = SAC_OK;
    cutting *cut = user;
    for (int i = 0; i < g->count; i++) {
        if (g->shots[i].pick.clip != cut->clip) continue;
        const sac_review_clip *c = &r->clips[cut->clip];
        if (cut->pixels == NULL) {
            cut->width = cut->height = 0;
            SAC_TRY(sac_clip_load(&cut->pixels, &cut->width, &cut->height, 1, c->clip, r->error));
        }
        SAC_TRY(draw_shot(&g->shots[i], c, cut->pixels, cut->width, cut->height));
    }
fail:
    return status;
}

static sac_status cut_all(review *r) {
    sac_status status = SAC_OK;
    cutting cut = {0};
    for (int64_t i = 0; i < r->count; i++) {
        SAC_TRY(poll(r, r->count + i));
        cut.clip = i;
        SAC_TRY(each_group(r, cut_group, &cut));
        sac_spill_free(cut.pixels);
        cut.pixels = NULL;
    }
fail:
    sac_spill_free(cut.pixels);
    return status;
}

// ---- the page ----------------------------------------------------------------------------------

static const char *percent(char *text, size_t size, double area) {
    if (isnan(area))
        snprintf(text, size, "&#8211;");
    else
        snprintf(text, size, "%.1f", 100 * area);
    return text;
}

static double known_number(const json_t *provenance, const char *key) {
    const json_t *value = json_object_get(json_object_get(provenance, "metrics"), key);
    if (value == NULL)
        value = json_object_get(json_object_get(json_object_get(provenance, "trained"), "metrics"),
                                key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void put_summary(sac_html *p, const review *r) {
    char text[64];
    const json_t *provenance = sac_map_store_provenance(r->set->store);
    sac_html_put(p, "<div class=\"tiles\">");
    if (r->evaluated) {
        sac_html_tile(p, percent(text, sizeof text, r->results[SAC_SMOOTHING_LIGHT].micro),
                      "micro AUC, light smoothing");
        sac_html_tile(p, percent(text, sizeof text, r->results[SAC_SMOOTHING_LIGHT].macro),
                      "macro AUC, light smoothing");
    }
    if (r->regions.frames > 0) {
        sac_html_tile(p, percent(text, sizeof text, r->regions.rbdc), "RBDC");
        sac_html_tile(p, percent(text, sizeof text, r->regions.tbdc), "TBDC");
    }
    snprintf(text, sizeof text, "%lld", (long long)r->frames);
    sac_html_tile(p, text, "test frames");
    int64_t objects = 0;
    for (int64_t i = 0; i < r->count; i++) objects += r->clips[i].objects.detections.count;
    snprintf(text, sizeof text, "%lld", (long long)objects);
    if (r->table != NULL) sac_html_tile(p, text, "objects in them");
    const double minutes = known_number(provenance, "training_minutes");
    const double rate = known_number(provenance, "scored_per_s");
    snprintf(text, sizeof text, "%.1f", minutes);
    if (!isnan(minutes)) sac_html_tile(p, text, "minutes of training");
    snprintf(text, sizeof text, "%.0f", rate);
    if (!isnan(rate)) sac_html_tile(p, text, "objects scored per second");
    sac_html_put(p, "</div>");
}

static void put_accuracy(sac_html *p, const review *r) {
    char a[32], b[32], c[32], d[32];
    if (!r->evaluated) return;
    sac_html_put(p, "<h2>Frame AUC, percent</h2><div class=\"card\"><table><tr><th>smoothing</th>"
                    "<th class=\"n\">micro</th><th class=\"n\">macro</th>"
                    "<th class=\"n\">constant scorer, micro</th>"
                    "<th class=\"n\">constant scorer, macro</th></tr>");
    for (int k = 0; k < 4; k++) {
        const sac_eval_result *e = &r->results[k];
        sac_html_put(p,
                     "<tr><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td>"
                     "<td class=\"n\">%s</td><td class=\"n\">%s</td></tr>",
                     sac_smoothing_name((sac_smoothing)k), percent(a, sizeof a, e->micro),
                     percent(b, sizeof b, e->macro), percent(c, sizeof c, e->constant_micro),
                     percent(d, sizeof d, e->constant_macro));
    }
    sac_html_put(p,
                 "</table><p class=\"legend\">No per-video normalisation; clips of one class are "
                 "left out of macro.</p></div>");
}

static void put_clip_curve(sac_html *p, const review *r, const sac_review_clip *c) {
    const sac_chart chart = {.frames = c->clip->frames, .high = 1, .height = 150};
    const uint8_t *labels = c->clip->labels;
    float *smooth = sac_calloc(c->clip->frames, sizeof *smooth);
    const sac_smoothing_options light = {.kind = SAC_SMOOTHING_LIGHT};
    if (smooth == NULL || sac_smooth(smooth, c->frame_scores, c->clip->frames, &light) < 0) {
        sac_free(smooth);
        sac_html_fail(p, SAC_ERROR_MEMORY, "the score curves");
        return;
    }
    double auc = (double)NAN;
    char text[32];
    for (int64_t k = 0; r->evaluated && k < r->results[SAC_SMOOTHING_LIGHT].clips; k++)
        if (strcmp(r->results[SAC_SMOOTHING_LIGHT].rows[k].name, c->clip->name) == 0)
            auc = r->results[SAC_SMOOTHING_LIGHT].rows[k].auc;
    sac_html_put(p, "<div class=\"card\" style=\"margin-bottom:10px\"><b>");
    sac_html_text(p, c->clip->name);
    sac_html_put(p, "</b> <span class=\"legend\">AUC, light smoothing: %s</span>",
                 percent(text, sizeof text, auc));
    sac_chart_open(p, &chart, "Anomaly score by frame");
    for (int64_t t = 0, end; labels != NULL && t < c->clip->frames; t = end) {
        end = t + 1;
        while (end < c->clip->frames && labels[end] == labels[t]) end++;
        if (labels[t] != 0) sac_chart_band(p, &chart, t, end - 1, "var(--hot)", 0.16);
    }
    sac_chart_axes(p, &chart, NULL);
    sac_chart_curve(p, &chart, c->frame_scores, "stroke=\"var(--raw)\" stroke-width=\"1\"");
    sac_chart_curve(p, &chart, smooth, "stroke=\"var(--smooth)\" stroke-width=\"2\"");
    sac_chart_close(p);
    sac_html_put(p, "</div>");
    sac_free(smooth);
}

static void put_curves(sac_html *p, const review *r) {
    sac_html_put(p, "<h2>Frame scores of the test clips</h2><p class=\"legend\">"
                    "<i style=\"background:var(--raw)\"></i>raw"
                    "<i style=\"background:var(--smooth)\"></i>light smoothing"
                    "<i style=\"background:var(--hot)\"></i>shaded: abnormal by the labels</p>"
                    "<div style=\"height:8px\"></div>");
    for (int64_t i = 0; i < r->count && p->status >= 0; i++) put_clip_curve(p, r, &r->clips[i]);
}

// Score (unless the value that chose the picture says it all) and a bar for each task.
static void put_bars(sac_html *p, const review *r, const sac_review_clip *c, int64_t object) {
    const sac_objects *o = &c->objects;
    if (o->task_count < 1) return;
    const sac_calibration *names = sac_object_table_tasks(r->table);
    sac_html_put(p, "<span class=\"bars\">");
    for (int k = 0; k < o->task_count; k++) {
        const double value = (double)o->tasks[object * o->task_count + k];
        sac_html_put(p, "<span>");
        sac_html_text(p, names->name[k]);
        sac_html_put(p, "</span><i style=\"width:%.0f%%\" title=\"%.3f\"></i>",
                     fmax(100 * value, 1), value);
    }
    sac_html_put(p, "</span>");
}

static void put_shot(sac_html *p, const review *r, const shot *s) {
    const sac_review_clip *c = &r->clips[s->pick.clip];
    const sac_pick *pick = &s->pick;
    sac_html_put(p, "<figure>");
    sac_html_picture(p, s->png, s->size, s->width, s->height, "frame with boxes");
    sac_html_put(p, "<figcaption><b>");
    sac_html_text(p, c->clip->name);
    sac_html_put(p, "</b> frame %lld<br>", (long long)pick->frame + 1);
    if (pick->region >= 0)
        sac_html_put(p, "track %lld, ", (long long)c->truth.regions[pick->region].track + 1);
    if (pick->object >= 0) {
        sac_html_put(p, "score %.3f", (double)c->objects.scores[pick->object]);
        if (pick->region < 0)
            sac_html_put(p, "%s", c->normal[pick->object] ? ", normal" : ", abnormal");
        put_bars(p, r, c, pick->object);
    } else if (pick->region >= 0) {
        sac_html_put(p, "<b>no object here</b>");
    } else {
        sac_html_put(p, "frame score %.3f", (double)pick->value);
    }
    sac_html_put(p, "</figcaption></figure>");
}

static void put_group(sac_html *p, const review *r, const group *g) {
    sac_html_put(p, "<div class=\"crops\">");
    for (int i = 0; i < g->count && p->status >= 0; i++) put_shot(p, r, &g->shots[i]);
    sac_html_put(p, "</div>");
}

// One curve of detection rate over false positives per frame in a box of 480 x 240 at (44, 10).
static void put_rate(sac_html *p, const sac_region_curve *curve, const char *colour) {
    sac_html_put(p, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour);
    double last_x = -1, last_y = -1;
    for (int64_t i = 0; i < curve->count; i++) {
        const double x = 44 + 480 * curve->fpr[i], y = 250 - 240 * curve->rate[i];
        // Below a third of a unit nothing is seen; the ends stay.
        if (i > 0 && i + 1 < curve->count && fabs(x - last_x) + fabs(y - last_y) < 0.3) continue;
        sac_html_put(p, "%.1f,%.1f ", x, y);
        last_x = x, last_y = y;
    }
    sac_html_put(p, "\"/>");
}

static void put_rates(sac_html *p, const review *r) {
    char text[32];
    if (r->regions.frames == 0 || isnan(r->regions.rbdc)) return;
    sac_html_put(p, "<h2>Regions and tracks found</h2><div class=\"card\">"
                    "<svg viewBox=\"0 0 560 290\" style=\"max-width:620px\" role=\"img\" "
                    "aria-label=\"Detection rate over false positives per frame\">");
    for (int i = 0; i <= 4; i++) {
        sac_html_put(p,
                     "<line x1=\"44\" x2=\"524\" y1=\"%d\" y2=\"%d\" stroke=\"var(--grid)\"/>"
                     "<text x=\"38\" y=\"%d\" text-anchor=\"end\">%d %%</text>"
                     "<text x=\"%d\" y=\"268\" text-anchor=\"middle\">%.2g</text>",
                     250 - 60 * i, 250 - 60 * i, 254 - 60 * i, 25 * i, 44 + 120 * i, 0.25 * i);
    }
    put_rate(p, &r->regions.region, "var(--smooth)");
    put_rate(p, &r->regions.track, "var(--hot)");
    sac_html_put(p,
                 "<text x=\"284\" y=\"286\" text-anchor=\"middle\">false objects per frame</text>"
                 "</svg><p class=\"legend\"><i style=\"background:var(--smooth)\"></i>regions, "
                 "area (RBDC) %s",
                 percent(text, sizeof text, r->regions.rbdc));
    sac_html_put(p, "<i style=\"background:var(--hot)\"></i>tracks, area (TBDC) %s",
                 percent(text, sizeof text, r->regions.tbdc));
    sac_html_put(p, "</p></div>");
}

// One row a track: where it is, how often an object lies on it, how often one reaches the
// threshold.
static void put_tracks(sac_html *p, const review *r) {
    int64_t rows = 0;
    if (r->regions.frames == 0 || r->regions.tracks == 0) return;
    sac_html_put(p,
                 "<h3>Tracks</h3><div class=\"card\"><table><tr><th>clip</th><th "
                 "class=\"n\">track</th><th class=\"n\">frames</th><th class=\"n\">regions</th>"
                 "<th class=\"n\">with an object</th><th class=\"n\">reaching %.3f</th></tr>",
                 r->threshold);
    for (int64_t i = 0; i < r->count; i++) {
        const sac_review_clip *c = &r->clips[i];
        for (int64_t track = 0; track < c->truth.tracks && rows < MAX_TRACK_ROWS; track++, rows++) {
            int64_t first = -1, last = -1, regions = 0, covered = 0, reached = 0;
            for (int64_t k = 0; k < c->truth.count; k++) {
                if (c->truth.regions[k].track != track) continue;
                if (first < 0) first = c->truth.regions[k].frame;
                last = c->truth.regions[k].frame;
                regions++;
                if (c->best[k] < 0) continue;
                covered++;
                reached += (double)c->objects.scores[c->best[k]] >= r->threshold;
            }
            sac_html_put(p, "<tr><td>");
            sac_html_text(p, c->clip->name);
            sac_html_put(p,
                         "</td><td class=\"n\">%lld</td><td class=\"n\">%lld&#8211;%lld</td><td "
                         "class=\"n\">%lld</td><td class=\"n\">%.0f %%</td><td class=\"n\">%.0f "
                         "%%</td></tr>",
                         (long long)track + 1, (long long)first + 1, (long long)last + 1,
                         (long long)regions, 100.0 * (double)covered / (double)regions,
                         100.0 * (double)reached / (double)regions);
        }
    }
    sac_html_put(p,
                 "</table><p class=\"legend\">%.3f is the threshold that one false object in %.0f "
                 "frames reaches.</p></div>",
                 r->threshold, 1 / FALSE_RATE);
}

static void put_pictures(sac_html *p, const review *r) {
    if (r->alarms.count > 0) {
        sac_html_put(p,
                     "<h2>Highest-scoring normal objects</h2><p class=\"legend\">Each object "
                     "once, at its worst moment. Thick box: the object, coloured by score; thin: "
                     "other objects; white: ground truth.</p>");
        put_group(p, r, &r->alarms);
    }
    if (r->weak.count > 0) {
        const bool regions = r->weak.shots[0].pick.region >= 0;
        sac_html_put(p, "<h2>Weakest on anomalies</h2><p class=\"legend\">%s</p>",
                     regions
                         ? "Ground-truth regions (white) whose best object scores lowest; of one "
                           "track every thirtieth frame at most."
                         : "Abnormal frames with the lowest score.");
        put_group(p, r, &r->weak);
    }
    if (r->undetected.count > 0) {
        sac_html_put(p,
                     "<h2>Anomalies without an object</h2><p class=\"legend\">No box has an IoU of "
                     "0.1 with them: the detector missed them, not the teacher.</p>");
        put_group(p, r, &r->undetected);
    }
    put_rates(p, r);
    put_tracks(p, r);
    for (int k = 0; k < r->tasks && p->status >= 0; k++) {
        sac_html_put(p, "<h2>Task: ");
        sac_html_text(p, sac_object_table_tasks(r->table)->name[k]);
        sac_html_put(p, "</h2><h3>highest</h3>");
        put_group(p, r, &r->highest[k]);
        sac_html_put(p, "<h3>lowest</h3>");
        put_group(p, r, &r->lowest[k]);
    }
}

static sac_status put_page(sac_file_writer *writer, const review *r) {
    sac_html page, *p = &page;
    char *title = NULL;
    const json_t *provenance = sac_map_store_provenance(r->set->store);
    const char *teacher = json_string_value(json_object_get(provenance, "teacher"));
    title = sac_format("Teacher %s on %s", teacher != NULL ? teacher : "?", r->set->dataset->name);
    if (title == NULL) return SAC_ERROR_MEMORY;
    sac_html_begin(p, writer, title,
                   "Object scores by a Saccade teacher, 0 normal to 1 abnormal; labels are only "
                   "shown, never used",
                   r->error);
    put_summary(p, r);
    put_accuracy(p, r);
    put_curves(p, r);
    put_pictures(p, r);
    sac_html_keys(p, "Settings", json_object_get(provenance, "settings"));
    sac_html_keys(p, "Training", json_object_get(provenance, "metrics"));
    json_t *rest = json_copy((json_t *)(uintptr_t)provenance);
    (void)json_object_del(rest, "settings");
    (void)json_object_del(rest, "metrics");
    (void)json_object_del(rest, "clips");
    sac_html_keys(p, "Origin", rest);
    json_decref(rest);
    sac_free(title);
    return sac_html_end(p);
}

static void close_group(group *g) {
    for (int i = 0; i < g->count; i++) sac_free(g->shots[i].png);
    sac_free(g->shots);
}

static void close_review(review *r) {
    close_group(&r->alarms);
    close_group(&r->weak);
    close_group(&r->undetected);
    for (int k = 0; k < r->tasks; k++) {
        if (r->highest != NULL) close_group(&r->highest[k]);
        if (r->lowest != NULL) close_group(&r->lowest[k]);
    }
    sac_free(r->highest);
    sac_free(r->lowest);
    for (int k = 0; k < 4; k++) sac_eval_result_close(&r->results[k]);
    sac_region_result_close(&r->regions);
    for (int64_t i = 0; i < r->count; i++) sac_review_clip_close(&r->clips[i]);
    sac_free(r->clips);
    sac_object_table_close(&r->table);
}

sac_status sac_teacher_report_write(sac_file_writer *writer, const sac_teacher_report *report,
                                    sac_error *error) {
    sac_status status = SAC_OK;
    review r = {.set = report, .error = error};
    if (report->pictures < 1 || report->pictures > MAX_PICTURES)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%d pictures of each kind, expected 1 to %d", report->pictures,
                             MAX_PICTURES);
    SAC_TRY(read_clips(&r));
    SAC_TRY(measure_frames(&r));
    SAC_TRY(measure_regions(&r));
    SAC_TRY(choose(&r));
    SAC_TRY(cut_all(&r));
    SAC_TRY(put_page(writer, &r));
fail:
    close_review(&r);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the report") : SAC_OK;
}

sac_status sac_teacher_report_save(const char *path, const sac_teacher_report *report,
                                   sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    SAC_TRY(sac_teacher_report_write(writer, report, error));
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    return status;
}
