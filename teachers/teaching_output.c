// What a run of `teach` leaves behind: objects.csv, maps, overlay videos and store.json; and the
// AUC of the object scores. Labels are looked at in the last part only, when everything is written.
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/spill.h"
#include "eval/frame_eval.h"
#include "teachers/clip_overlay.h"
#include "teachers/teaching_run.h"

// Overlay videos of picture folders have no rate of their own.
static const double OVERLAY_RATE = 10;

static sac_status write_objects(const sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    char *path = sac_path_join(r->set.output, "objects.csv");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    SAC_TRY(sac_file_printf(writer, error, "clip,frame,x1,y1,x2,y2,confidence,class,score"));
    for (int k = 0; k < r->task_count; k++) {
        SAC_TRY(sac_file_printf(writer, error, ",%s", sac_teacher_task_name(r->teacher, k)));
    }
    SAC_TRY(sac_file_printf(writer, error, "\n"));
    for (int64_t c = 0; c < r->dataset->count; c++) {
        const sac_teaching_clip *clip = &r->clips[c];
        const sac_detections *d = &clip->detections;
        if (!sac_teaching_wants(r, clip)) continue;
        for (int64_t t = 0; t < d->frames; t++) {
            for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
                const sac_box *b = &d->boxes[i];
                SAC_TRY(sac_file_printf(
                    writer, error, "%s,%lld,%.9g,%.9g,%.9g,%.9g,%.9g,%d,%.9g", clip->clip->name,
                    (long long)t + 1, (double)b->x1, (double)b->y1, (double)b->x2, (double)b->y2,
                    (double)b->confidence, (int)b->class_id, (double)clip->scores[i]));
                for (int k = 0; k < r->task_count; k++) {
                    SAC_TRY(sac_file_printf(writer, error, ",%.9g",
                                            (double)clip->tasks[i * r->task_count + k]));
                }
                SAC_TRY(sac_file_printf(writer, error, "\n"));
            }
        }
    }
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    sac_free(path);
    return status;
}

// Every task of every object mapped to [0,1] like the whole; NULL when memory is short.
static float *relative_tasks(const sac_teaching_run *r, const sac_teaching_clip *c) {
    const sac_calibration *calibration = sac_teacher_calibration(r->teacher);
    float *tasks = sac_calloc(c->detections.count * r->task_count, sizeof *tasks);
    for (int64_t i = 0; tasks != NULL && i < c->detections.count * r->task_count; i++) {
        tasks[i] = sac_calibration_score(
            sac_calibration_relative(calibration, (int)(i % r->task_count), c->tasks[i]));
    }
    return tasks;
}

static sac_status write_overlay(sac_teaching_run *r, sac_teaching_clip *c, const sac_maps *maps,
                                const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    float *tasks = relative_tasks(r, c);
    SAC_TRY_ALLOC(tasks);
    SAC_TRY(sac_teaching_poll(r, "writing videos", error));
    SAC_TRY(sac_teaching_load(c, error));
    sac_clip_overlay overlay = {.clip = c->clip,
                                .pixels = c->pixels,
                                .width = c->width,
                                .height = c->height,
                                .detections = &c->detections,
                                .scores = c->scores,
                                .tasks = tasks,
                                .names = sac_teacher_calibration(r->teacher),
                                .maps = maps,
                                .frame_rate = OVERLAY_RATE,
                                .stop = r->listener.stop};
    SAC_TRY(sac_clip_overlay_write(path, &overlay, error));
    sac_teaching_say(r, SAC_LOG_INFO, "wrote %s", path);
fail:
    sac_free(tasks);
    sac_spill_free(c->pixels);
    c->pixels = NULL;
    return status;
}

// The videos asked for of one clip.
static sac_status write_overlays(sac_teaching_run *r, sac_teaching_clip *c, const sac_maps *maps,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL;
    size_t length = strlen(c->clip->name);
    for (int64_t i = 0; i < r->set.overlay.count; i++) {
        const char *item = r->set.overlay.items[i];
        if (strncmp(item, c->clip->name, length) != 0 || item[length] != '=') continue;
        SAC_TRY(write_overlay(r, c, maps, item + length + 1, error));
    }
    if (r->set.overlays != NULL && c->clip->test) {
        SAC_TRY_ALLOC(path = sac_format("%s/%s.mp4", r->set.overlays, c->clip->name));
        SAC_TRY(sac_folder_create(r->set.overlays, error));
        SAC_TRY(write_overlay(r, c, maps, path, error));
    }
fail:
    sac_free(path);
    return status;
}

static sac_status paint(sac_maps *maps, const sac_teaching_run *r, const sac_teaching_clip *c,
                        const float *scores) {
    return sac_maps_paint(maps, &c->detections, scores, c->width, c->height, r->block,
                          r->set.filter);
}

sac_status sac_teaching_write(sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    sac_map_store *store = NULL;
    sac_maps maps = {0};
    SAC_TRY(sac_map_store_create(&store, r->set.output, error));
    SAC_TRY(write_objects(r, error));
    for (int64_t i = 0; i < r->dataset->count; i++) {
        sac_teaching_clip *c = &r->clips[i];
        if (!sac_teaching_wants(r, c)) continue;
        if (c->width == 0)
            SAC_TRY(sac_teaching_load(c, error)); // a resumed run has not seen its size yet
        SAC_TRY(paint(&maps, r, c, c->scores));
        SAC_TRY(sac_map_store_put(store, c->clip->name, c->clip->test, &maps, error));
        SAC_TRY(write_overlays(r, c, &maps, error));
        if (c->clip->test && c->clip->labels != NULL) {
            c->frame_scores = maps.map1;
            maps.map1 = NULL;
        }
        sac_maps_close(&maps);
        sac_spill_free(c->pixels);
        c->pixels = NULL;
    }
    if (json_object_set(r->provenance, "metrics", r->metrics) != 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    SAC_TRY(sac_map_store_commit(store, r->provenance, error));
fail:
    sac_maps_close(&maps);
    sac_map_store_close(&store);
    return status;
}

// ---- the table
// ---------------------------------------------------------------------------------------------

// Rows of one scorer: one per smoothing.
static sac_status append_rows(json_t *table, const char *scores, const sac_eval_clip *clips,
                              int64_t count, sac_error *error) {
    sac_status status = SAC_OK;
    for (int kind = SAC_SMOOTHING_NONE; kind <= SAC_SMOOTHING_PAPER; kind++) {
        sac_eval_options o = {.smoothing.kind = (sac_smoothing)kind};
        sac_eval_result result = {0};
        SAC_TRY(sac_eval_frames(&result, clips, count, &o, error));
        json_t *row =
            json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "scores", scores, "smoothing",
                      sac_smoothing_name((sac_smoothing)kind), "micro",
                      sac_json_number(result.micro), "macro", sac_json_number(result.macro),
                      "constant_micro", sac_json_number(result.constant_micro), "constant_macro",
                      sac_json_number(result.constant_macro));
        sac_eval_result_close(&result);
        if (json_array_append_new(table, row) != 0) return SAC_ERROR_MEMORY;
    }
fail:
    return status;
}

// Scores of one task alone, mapped to [0,1] like the whole.
static sac_status task_frames(float **frames, const sac_teaching_run *r, const sac_teaching_clip *c,
                              int task) {
    sac_status status = SAC_OK;
    sac_maps maps = {0};
    const sac_calibration *calibration = sac_teacher_calibration(r->teacher);
    float *scores = sac_calloc(c->detections.count, sizeof *scores);
    SAC_TRY_ALLOC(scores);
    sac_calibration_task_scores(calibration, task, scores, c->tasks, c->detections.count);
    SAC_TRY(paint(&maps, r, c, scores));
    *frames = maps.map1;
    maps.map1 = NULL;
fail:
    sac_maps_close(&maps);
    sac_free(scores);
    return status;
}

// Frame AUC of the labelled test clips; the largest value of the painted map is a frame's score.
sac_status sac_teaching_evaluate(sac_teaching_run *r, json_t **auc, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t count = 0;
    float **frames = NULL;
    sac_eval_clip *clips = sac_calloc(r->dataset->count, sizeof *clips);
    *auc = json_array();
    SAC_TRY_ALLOC(frames = sac_calloc(r->dataset->count, sizeof *frames));
    SAC_TRY_ALLOC(clips);
    SAC_TRY_ALLOC(*auc);
    for (int64_t i = 0; i < r->dataset->count; i++) {
        const sac_teaching_clip *c = &r->clips[i];
        if (c->frame_scores == NULL) continue;
        clips[count++] = (sac_eval_clip){.name = c->clip->name,
                                         .scores = c->frame_scores,
                                         .labels = c->clip->labels,
                                         .frames = c->clip->frames};
    }
    if (count == 0) goto fail;
    SAC_TRY(append_rows(*auc, "all tasks", clips, count, error));
    for (int k = 0; r->task_count > 1 && k < r->task_count; k++) {
        count = 0;
        for (int64_t i = 0; i < r->dataset->count; i++) {
            if (r->clips[i].frame_scores == NULL) continue;
            sac_free(frames[i]);
            frames[i] = NULL;
            SAC_TRY(task_frames(&frames[i], r, &r->clips[i], k));
            clips[count++].scores = frames[i];
        }
        SAC_TRY(append_rows(*auc, sac_teacher_task_name(r->teacher, k), clips, count, error));
    }
fail:
    for (int64_t i = 0; frames != NULL && i < r->dataset->count; i++) sac_free(frames[i]);
    sac_free(frames);
    sac_free(clips);
    return status;
}
