// The list of families and what they share: splitting objects, calibration on held-back ones,
// metadata of teacher files. Knows no family but by its row.
#include "teachers/family.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "teachers/agnostic_family.h"
#include "teachers/attributes_family.h"
#include "teachers/ensemble_family.h"
#include "teachers/ssmtl_family.h"

static const sac_family *const FAMILIES[] = {&sac_ssmtl_family, &sac_agnostic_family,
                                             &sac_attributes_family, &sac_ensemble_family};

const sac_family *sac_family_at(int index) {
    if (index < 0 || index >= (int)(sizeof FAMILIES / sizeof FAMILIES[0])) return NULL;
    return FAMILIES[index];
}

const sac_family *sac_family_find(const char *name) {
    for (int i = 0; sac_family_at(i) != NULL; i++) {
        if (strcmp(name, sac_family_at(i)->name) == 0) return sac_family_at(i);
    }
    return NULL;
}

int64_t sac_family_train_count(int64_t objects) {
    int64_t count = (int64_t)(0.85 * (double)objects);
    return count == 0 && objects > 0 ? 1 : count;
}

void sac_family_say(const sac_family_listener *listener, const char *format, ...) {
    if (listener->say == NULL) return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    listener->say(listener->user, text);
}

bool sac_family_stopped(const sac_family_listener *listener) {
    return listener->stop != NULL && listener->stop();
}

void sac_family_progress(const sac_family_listener *listener, const char *stage, const char *unit,
                         int64_t done, int64_t total, const char *note) {
    if (listener->progress != NULL)
        listener->progress(listener->user, stage, unit, done, total, note);
}

sac_status sac_family_split(sac_family_objects *out, const sac_family_job *job, int64_t wanted,
                            sac_error *error) {
    int64_t train = 0, valid = 0;
    for (int64_t c = 0; c < job->count; c++) {
        int64_t objects = job->clips[c].detections->count;
        train += sac_family_train_count(objects);
        valid += objects - sac_family_train_count(objects);
    }
    if (train < 2 || valid < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%lld objects to train and %lld to validate were found in %lld "
                             "training clips; at least 2 and 1 are needed (is the detector right "
                             "for this video?)",
                             (long long)train, (long long)valid, (long long)job->count);
    }
    sac_family_object *all = sac_calloc(train + valid, sizeof *all);
    if (all == NULL) return SAC_ERROR_MEMORY;
    int64_t next[2] = {0, train};
    for (int64_t c = 0; c < job->count; c++) {
        const sac_detections *d = job->clips[c].detections;
        int64_t first = sac_family_train_count(d->count);
        for (int64_t t = 0; t < d->frames; t++) {
            for (int64_t i = d->start[t]; i < d->start[t + 1]; i++)
                all[next[i >= first]++] = (sac_family_object){.clip = (int32_t)c, .t = t, .box = i};
        }
    }
    *out = (sac_family_objects){.all = all, .train = train, .valid = valid, .held_back = valid};
    if (wanted > 0 && wanted < valid) {
        for (int64_t i = 0; i < wanted; i++) all[train + i] = all[train + i * valid / wanted];
        out->valid = wanted;
    }
    return SAC_OK;
}

sac_status sac_family_tail(sac_detections *view, const sac_detections *d, int64_t first) {
    *view =
        (sac_detections){.frames = d->frames, .count = d->count - first, .boxes = d->boxes + first};
    view->start = sac_calloc(d->frames + 1, sizeof *view->start);
    if (view->start == NULL) return SAC_ERROR_MEMORY;
    for (int64_t t = 0; t <= d->frames; t++) {
        view->start[t] = d->start[t] > first ? d->start[t] - first : 0;
    }
    return SAC_OK;
}

typedef struct scoring {
    const sac_family_listener *listener;
    int64_t before, total;
} scoring;

static void on_scored(void *user, int64_t done) {
    const scoring *s = user;
    sac_family_progress(s->listener, "calibrate", "objects", s->before + done, s->total, NULL);
}

sac_status sac_family_calibrate(sac_calibration *calibration, const sac_family_job *job,
                                const sac_family *family, void *state, sac_error *error) {
    sac_status status = SAC_OK;
    scoring s = {.listener = &job->listener};
    sac_detections view = {0};
    float *tasks = NULL;
    for (int64_t c = 0; c < job->count; c++) {
        int64_t objects = job->clips[c].detections->count;
        s.total += objects - sac_family_train_count(objects);
    }
    SAC_TRY_ALLOC(tasks = sac_calloc(s.total * calibration->tasks, sizeof *tasks));
    on_scored(&s, 0);
    for (int64_t c = 0; c < job->count; c++) {
        const sac_family_clip *clip = &job->clips[c];
        if (family->borrows) SAC_TRY(sac_family_lend(job, c, true, error));
        SAC_TRY(sac_family_tail(&view, clip->detections,
                                sac_family_train_count(clip->detections->count)));
        if (view.count > 0) {
            SAC_TRY(family->score(state, tasks + s.before * calibration->tasks, &view, clip->pixels,
                                  clip->width, clip->height, job->listener.stop, on_scored, &s,
                                  error));
        }
        if (family->borrows) SAC_TRY(sac_family_lend(job, c, false, error));
        s.before += view.count;
        sac_free(view.start);
        view.start = NULL;
    }
    SAC_TRY(sac_calibration_fit(calibration, tasks, s.total, error));
fail:
    sac_free(view.start);
    sac_free(tasks);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the calibration") : SAC_OK;
}

sac_status sac_family_lend(const sac_family_job *job, int64_t index, bool wanted,
                           sac_error *error) {
    return job->lend == NULL ? SAC_OK : job->lend(job->listener.user, index, wanted, error);
}

json_t *sac_family_provenance(const sac_family_job *job, json_t *metrics) {
    json_t *all =
        job->provenance == NULL ? json_object() : json_copy((json_t *)(uintptr_t)job->provenance);
    if (all != NULL && json_object_set(all, "metrics", metrics) != 0) {
        json_decref(all);
        return NULL;
    }
    return all;
}

sac_status sac_family_set_json(sac_safetensors *st, const char *key, const json_t *json,
                               sac_error *error) {
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) return SAC_ERROR_MEMORY;
    sac_status status = sac_safetensors_set_metadata(st, key, text, error);
    free(text); // of Jansson
    return status;
}

sac_status sac_family_file_describe(sac_safetensors *st, const char *family,
                                    const sac_calibration *calibration, const json_t *provenance,
                                    sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = sac_calibration_to_json(calibration);
    SAC_TRY(sac_safetensors_set_metadata(st, "format", "saccade-teacher", error));
    SAC_TRY(sac_safetensors_set_metadata(st, "version", "1", error));
    SAC_TRY(sac_safetensors_set_metadata(st, "teacher", family, error));
    SAC_TRY(sac_family_set_json(st, "calibration", json, error));
    if (provenance != NULL) SAC_TRY(sac_family_set_json(st, "provenance", provenance, error));
fail:
    json_decref(json);
    return status;
}

sac_status sac_family_get_text(const sac_safetensors *st, const char *key, const char **text,
                               const char *path, sac_error *error) {
    *text = sac_safetensors_metadata(st, key);
    if (*text != NULL) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                         "%s: not a teacher file (its metadata have no '%s')", path, key);
}

sac_status sac_family_get_json(const sac_safetensors *st, const char *key, json_t **json,
                               const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    const char *text = NULL;
    *json = NULL;
    SAC_TRY(sac_family_get_text(st, key, &text, path, error));
    SAC_TRY(sac_json_parse(json, text, strlen(text), path, error));
fail:
    return status;
}

sac_status sac_family_get_calibration(const sac_safetensors *st, sac_calibration *calibration,
                                      const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL;
    SAC_TRY(sac_family_get_json(st, "calibration", &json, path, error));
    SAC_TRY(sac_calibration_read(calibration, json, path, error));
fail:
    json_decref(json);
    return status;
}

sac_status sac_family_file_check(const sac_safetensors *st, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    const char *text = NULL;
    SAC_TRY(sac_family_get_text(st, "format", &text, path, error));
    if (strcmp(text, "saccade-teacher") != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: its format is '%.40s', expected 'saccade-teacher'", path, text);
    }
    SAC_TRY(sac_family_get_text(st, "version", &text, path, error));
    if (strcmp(text, "1") != 0) {
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "%s: version '%.20s', this program reads version 1", path, text);
    }
fail:
    return status;
}
