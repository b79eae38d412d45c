// What a teacher family has to provide, and what `teach` gives it to learn from. teachers/teacher.h
// says how to add one; users of trained teachers need only that header.
#ifndef SAC_TEACHERS_FAMILY_H
#define SAC_TEACHERS_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "core/safetensors.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/calibration.h"
#include "teachers/detections.h"
#include "teachers/teacher.h"

// One training clip; everything is borrowed for the call.
typedef struct sac_family_clip {
    const char *name;
    const uint8_t *pixels; // u8 gray [detections->frames][height][width]
    int width, height;
    const sac_detections *detections;
} sac_family_clip;

// Objects of a clip, in frame order, that train: the first 85 %, at least one. The rest is held
// back for validation and calibration.
int64_t sac_family_train_count(int64_t objects);

// An object of the training clips.
typedef struct sac_family_object {
    int32_t clip;
    int64_t t, box; // box counts in detections->boxes of the clip
} sac_family_object;

// All of them, for families that look at them one by one; sac_free(all).
typedef struct sac_family_objects {
    sac_family_object *all; // [train + valid], those that train first; both parts in frame order
    int64_t train, valid;
    int64_t held_back; // before any were left out of `valid`
} sac_family_objects;

// How a family talks while it works. Any member may be NULL; use the helpers below.
typedef struct sac_family_listener {
    void *user;
    bool (*stop)(void);                           // polled often; true: save and return INTERRUPTED
    void (*say)(void *user, const char *message); // a line worth reading, such as one per epoch
    // `done` of `total` units ("samples") of a stage ("train"); call it first with what was done
    // before, so that a resumed run shows the right rate. `note` may be NULL.
    void (*progress)(void *user, const char *stage, const char *unit, int64_t done, int64_t total,
                     const char *note);
} sac_family_listener;
void sac_family_say(const sac_family_listener *listener, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool sac_family_stopped(const sac_family_listener *listener);
void sac_family_progress(const sac_family_listener *listener, const char *stage, const char *unit,
                         int64_t done, int64_t total, const char *note);

// What a family may know without measuring: task scores that were computed by earlier runs.
typedef struct sac_family_recall {
    void *state;
    // Raw task scores f32 [detections->count][tasks] of a clip of the data set. SAC_ERROR_FORMAT:
    // they belong to other objects.
    sac_status (*tasks)(void *state, float *tasks, const char *clip,
                        const sac_detections *detections, sac_error *error);
    void (*close)(void **state);
} sac_family_recall;

// A training run; everything is borrowed for the call.
typedef struct sac_family_job {
    const sac_family_clip *clips; // [count] training clips
    int64_t count;
    const void *options;    // of the family's own type
    const char *folder;     // output folder; the family may write metrics.csv and the like into it
    const char *file;       // teacher file to write
    const char *checkpoint; // path for the state of the run, or NULL: none is kept
    bool resume;            // continue from the checkpoint when it exists
    const char *stamp; // identifies data and settings; a checkpoint with another one is an error
    // What is known of the run so far; put it into the file with "metrics" added
    // (sac_family_provenance).
    const json_t *provenance;
    sac_family_listener listener;
    // Loads the pixels and size of clips[index] (`wanted`; harmless when they are there), or frees
    // them. Use sac_family_lend. NULL: pixels are there all the time.
    sac_status (*lend)(void *user, int64_t index, bool wanted, sac_error *error);
    // train may fill it, so that no clip is scored twice; NULL: not wanted
    sac_family_recall *recall;
    // folder for what is costly to find out about a clip and the same in every run; NULL: none
    const char *cache;
    const char *deep_features; // as in sac_teacher_context, for members of an ensemble
} sac_family_job;

typedef struct sac_family {
    const char *name;    // value of --teacher and of "teacher" in the file
    const char *summary; // one line for people
    // Takes pixels with sac_family_lend, one clip at a time, and finds none at the start.
    bool borrows;
    // A mirrored clip gets the mirrored scores: left and right, and places, mean nothing to it. A
    // student of such teachers only may learn from mirrored frames.
    bool mirrors;

    // Says what is wrong with options (of the family's own type) before anything is read or made.
    // SAC_ERROR_ARGUMENT: out of range or malformed; SAC_ERROR_MEMORY.
    sac_status (*check)(const void *options, sac_error *error);

    // Learns from the job's clips, scores the held-back objects, and writes the teacher file with
    // its calibration (atomically). *metrics receives a JSON object of what is worth reporting (the
    // caller's reference). Runs with the same options, seed and threads give the same file but for
    // times.
    // SAC_ERROR_ARGUMENT: options out of range or too few objects; SAC_ERROR_INTERRUPTED: the
    // listener said stop and the checkpoint is written; and what goes wrong.
    sac_status (*train)(json_t **metrics, const sac_family_job *job, sac_error *error);

    // Reads a teacher from a parsed file whose "format" and "version" are good; `path` stands for
    // it in messages. *state receives the family's own object (closed by `close`, also half-built:
    // the family sets it before it can fail, or cleans up itself and leaves NULL); *calibration
    // names, weights and quantiles of the tasks.
    sac_status (*open)(void **state, sac_calibration *calibration, const sac_safetensors *st,
                       const char *path, const sac_teacher_context *context, sac_error *error);

    // Raw task scores f32 [detections->count][tasks], higher is more abnormal, any unit. Arguments
    // as sac_teacher_score; whether the scores are finite is checked by the caller.
    sac_status (*score)(void *state, float *tasks, const sac_detections *detections,
                        const uint8_t *pixels, int width, int height, bool (*stop)(void),
                        void (*progress)(void *user, int64_t objects_done), void *user,
                        sac_error *error);

    void (*close)(void **state); // NULL-safe
} sac_family;

// The families, in the order of --teacher; NULL outside.
const sac_family *sac_family_at(int index);
const sac_family *sac_family_find(const char *name);
// Names joined by '|' for option tables.
#define SAC_FAMILIES "ssmtl|background-agnostic|attributes|ensemble"

// ---- helpers for families
// -----------------------------------------------------------------------------------

// Objects of the job's clips. Of those held back at most `wanted` (0: all) are taken, evenly spread.
// SAC_ERROR_ARGUMENT: fewer than two that train or none that is held back; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_family_split(sac_family_objects *objects, const sac_family_job *job,
                                          int64_t wanted, sac_error *error);

// Boxes of `detections` from index `first` on as detections of their own, with the same frames. The
// view borrows the boxes; free only *start with sac_free. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_family_tail(sac_detections *view, const sac_detections *detections,
                                         int64_t first);

// Scores the held-back objects of the job's clips (which it borrows where they are not loaded) with
// `score` of a family and fits the calibration, whose tasks are named before.
SAC_NODISCARD sac_status sac_family_calibrate(sac_calibration *calibration,
                                              const sac_family_job *job, const sac_family *family,
                                              void *state, sac_error *error);

// job->lend with the listener's user; SAC_OK without one.
SAC_NODISCARD sac_status sac_family_lend(const sac_family_job *job, int64_t index, bool wanted,
                                         sac_error *error);

// Copy of the job's provenance with "metrics" set (new reference); NULL when memory is short.
json_t *sac_family_provenance(const sac_family_job *job, json_t *metrics);

// Metadata every teacher file has: "format" "saccade-teacher", "version" "1", "teacher",
// "calibration" and "provenance" (NULL: none) as JSON texts.
SAC_NODISCARD sac_status sac_family_file_describe(sac_safetensors *st, const char *family,
                                                  const sac_calibration *calibration,
                                                  const json_t *provenance, sac_error *error);
// Sets a metadata entry to a JSON text. SAC_ERROR_MEMORY (also for json NULL).
SAC_NODISCARD sac_status sac_family_set_json(sac_safetensors *st, const char *key,
                                             const json_t *json, sac_error *error);
// Looks up metadata that must be there. SAC_ERROR_FORMAT: they are not, or (json) are no JSON.
// `text` is borrowed; `json` is a new reference.
SAC_NODISCARD sac_status sac_family_get_text(const sac_safetensors *st, const char *key,
                                             const char **text, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_family_get_json(const sac_safetensors *st, const char *key,
                                             json_t **json, const char *path, sac_error *error);
// Metadata "calibration" for the tasks named in `calibration`.
SAC_NODISCARD sac_status sac_family_get_calibration(const sac_safetensors *st,
                                                    sac_calibration *calibration, const char *path,
                                                    sac_error *error);
// SAC_ERROR_FORMAT: not a teacher file; SAC_ERROR_UNSUPPORTED: newer version.
SAC_NODISCARD sac_status sac_family_file_check(const sac_safetensors *st, const char *path,
                                               sac_error *error);

#endif
