// A run of `teach` from the data set to scored objects: set-up, detections, training or a trained
// teacher, scoring, and the intermediate files that a resumed run continues from.
#include "teachers/teaching.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/spill.h"
#include "core/time.h"
#include "nn/infer.h"
#include "saccade/version.h"
#include "teachers/teaching_run.h"

void sac_teaching_say(const sac_teaching_run *r, sac_log_level level, const char *format, ...) {
    char text[768];
    if (r->listener.say == NULL) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->listener.say(r->listener.user, level, text);
}

void sac_teaching_progress(const sac_teaching_run *r, const char *stage, const char *unit,
                           int64_t done, int64_t total, const char *note) {
    if (r->listener.progress != NULL)
        r->listener.progress(r->listener.user, stage, unit, done, total, note);
}

sac_status sac_teaching_poll(const sac_teaching_run *r, const char *where, sac_error *error) {
    if (r->listener.stop == NULL || !r->listener.stop()) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1,
                         "interrupted while %s; continue with --resume", where);
}

bool sac_teaching_wants(const sac_teaching_run *r, const sac_teaching_clip *c) {
    return r->set.training_maps || c->clip->test;
}

sac_status sac_teaching_load(sac_teaching_clip *c, sac_error *error) {
    if (c->pixels != NULL) return SAC_OK;
    c->width = c->height = 0;
    return sac_clip_load_beside(&c->pixels, &c->width, &c->height, 1, c->clip, c->beside_bytes,
                                error);
}

static void unload(sac_teaching_clip *c) {
    sac_spill_free(c->pixels);
    c->pixels = NULL;
}

// Whether training clips are loaded only where they are looked at.
static bool lends(const sac_teaching_run *r) {
    return r->set.from != NULL || r->set.family->borrows;
}

// ---- set-up
// ------------------------------------------------------------------------------------------------

// Removes the files of a folder, and the folder.
static sac_status remove_folder(const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    char **names = NULL;
    int64_t count = 0;
    if (!sac_is_folder(path)) return SAC_OK;
    SAC_TRY(sac_folder_list(&names, &count, path, error));
    for (int64_t i = 0; i < count; i++) {
        char *file = sac_path_join(path, names[i]);
        SAC_TRY_ALLOC(file);
        int failed = unlink(file);
        if (failed != 0) {
            status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be removed", file);
        }
        sac_free(file);
        SAC_TRY(status);
    }
    if (rmdir(path) != 0) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be removed", path);
    }
fail:
    sac_free(names);
    return status;
}

// A finished or unfinished run in the output folder is never overwritten by accident.
static sac_status check_output(sac_teaching_run *r, bool *finished, sac_error *error) {
    sac_status status = SAC_OK;
    char *store = sac_path_join(r->set.output, "store.json");
    SAC_TRY_ALLOC(store);
    *finished = false;
    if (r->set.resume && r->set.overwrite) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "--resume and --overwrite exclude each other");
        goto fail;
    }
    if (r->set.overwrite) {
        SAC_TRY(remove_folder(r->work, error));
        // From now on the folder is an unfinished run.
        if (sac_is_file(store) && unlink(store) != 0) {
            status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be removed", store);
        }
    } else if (sac_is_file(store)) {
        if (r->set.resume) {
            *finished = true;
        } else {
            status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                   "%s: holds finished maps; add --overwrite to replace them",
                                   r->set.output);
        }
    } else if (!r->set.resume && sac_is_folder(r->work)) {
        status =
            sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                          "%s: holds an unfinished run; continue it with --resume or discard it "
                          "with --overwrite",
                          r->set.output);
    }
fail:
    sac_free(store);
    return status;
}

// What determines the result, as one line of JSON.
static sac_status make_stamp(sac_teaching_run *r) {
    static const char *const beside[] = {"block", "filter", "threads", "checkpoint-minutes"};
    json_t *settings = json_copy((json_t *)(uintptr_t)r->set.settings);
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        (void)json_object_del(settings, beside[i]);
    }
    json_t *json = json_pack("{s:s, s:o, s:o, s:O?}", "dataset", r->dataset->fingerprint,
                             "detector", sac_json_text(sac_detector_text(r->detector)), "settings",
                             settings, "from", r->trained);
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    r->stamp = text == NULL ? NULL : sac_strdup(text);
    json_decref(json);
    free(text);
    return r->stamp == NULL ? SAC_ERROR_MEMORY : SAC_OK;
}

// Provenance as far as it is known before training. Where files lie on this machine is no part of
// it.
static sac_status make_provenance(sac_teaching_run *r) {
    const char *name = r->set.from != NULL ? sac_teacher_name(r->teacher) : r->set.family->name;
    r->provenance =
        json_pack("{s:s, s:{s:o, s:s, s:i, s:i}, s:o, s:i, s:i, s:O, s:s, s:s, s:s}", "teacher",
                  name, "dataset", "name", sac_json_text(r->dataset->name), "fingerprint",
                  r->dataset->fingerprint, "width", r->dataset->width, "height", r->dataset->height,
                  "detector", sac_json_text(sac_detector_text(r->detector)), "block", r->block,
                  "filter", r->set.filter, "settings", r->set.settings, "program", sac_version(),
                  "commit", sac_commit(), "backend", sac_nn_backend_version());
    if (r->provenance == NULL) return SAC_ERROR_MEMORY;
    if (r->trained != NULL && json_object_set(r->provenance, "trained", r->trained) != 0)
        return SAC_ERROR_MEMORY;
    return SAC_OK;
}

static sac_status check_overlays(const sac_teaching_run *r, sac_error *error) {
    for (int64_t i = 0; i < r->set.overlay.count; i++) {
        const char *item = r->set.overlay.items[i];
        size_t length = strcspn(item, "=");
        char *name = sac_format("%.*s", (int)length, item);
        if (name == NULL) return SAC_ERROR_MEMORY;
        bool known = item[length] == '=' && item[length + 1] != '\0' &&
                     sac_dataset_find(r->dataset, name) != NULL;
        sac_free(name);
        if (!known) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "--overlay '%s': expected CLIP=FILE with a clip of the data set",
                                 item);
        }
    }
    return SAC_OK;
}

// Says where this run differs from the one the teacher was trained in: its scores are calibrated
// for the latter.
static void warn_differences(const sac_teaching_run *r) {
    static const char *const texts[] = {"teacher",        "min-confidence", "motion-threshold",
                                        "flow-threshold", "min-area",       "drop-nested"};
    const json_t *dataset = json_object_get(r->trained, "dataset");
    const char *fingerprint = json_string_value(json_object_get(dataset, "fingerprint"));
    if (fingerprint == NULL || strcmp(fingerprint, r->dataset->fingerprint) != 0) {
        const char *name = json_string_value(json_object_get(dataset, "name"));
        sac_teaching_say(r, SAC_LOG_WARNING,
                         "the teacher was trained on other data (%.60s, %lldx%lld; here %s, %dx%d)",
                         name == NULL ? "unknown" : name,
                         (long long)json_integer_value(json_object_get(dataset, "width")),
                         (long long)json_integer_value(json_object_get(dataset, "height")),
                         r->dataset->name, r->dataset->width, r->dataset->height);
    }
    const char *detector = json_string_value(json_object_get(r->trained, "detector"));
    if (detector == NULL || strcmp(detector, sac_detector_text(r->detector)) != 0) {
        sac_teaching_say(
            r, SAC_LOG_WARNING,
            "the teacher was trained on objects of detector '%.200s', here it is '%s': "
            "its scores may be off",
            detector == NULL ? "unknown" : detector, sac_detector_text(r->detector));
    }
    const json_t *then = json_object_get(r->trained, "settings");
    for (size_t i = 1; i < sizeof texts / sizeof texts[0]; i++) {
        const json_t *a = json_object_get(then, texts[i]);
        const json_t *b = json_object_get(r->set.settings, texts[i]);
        // Without it the teacher is older than the option, and no nested boxes were dropped.
        const bool known = a != NULL || (then != NULL && strcmp(texts[i], "drop-nested") == 0);
        if (!known || b == NULL || json_number_value(a) == json_number_value(b)) continue;
        sac_teaching_say(
            r, SAC_LOG_WARNING,
            "the teacher was trained with --%s %g, here it is %g: its scores may be off", texts[i],
            json_number_value(a), json_number_value(b));
    }
}

// Clips that an interrupted run has been through need no foreign network again.
static const char *cache_folder(const sac_teaching_run *r) {
    return r->set.detection.cache != NULL ? r->set.detection.cache : r->work;
}

static sac_teacher_context teacher_context(const sac_teaching_run *r) {
    return (sac_teacher_context){
        .backend = r->set.backend, .deep_features = r->set.deep_features, .cache = cache_folder(r)};
}

// The teacher file and its provenance.
static sac_status open_from(sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    const char *path = r->set.from;
    r->from = sac_is_folder(path) ? sac_path_join(path, "teacher.safetensors") : sac_strdup(path);
    SAC_TRY_ALLOC(r->from);
    SAC_TRY(sac_safetensors_read(&st, r->from, error));
    const sac_teacher_context context = teacher_context(r);
    SAC_TRY(sac_teacher_load_with(&r->teacher, st, r->from, &context, error));
    if (sac_safetensors_metadata(st, "provenance") != NULL) {
        SAC_TRY(sac_family_get_json(st, "provenance", &r->trained, r->from, error));
    } else {
        SAC_TRY_ALLOC(r->trained = json_object());
    }
fail:
    sac_safetensors_close(&st);
    return status;
}

// A part that nested boxes may lie inside others when none was asked for: the teacher's own, of
// files from before there was the option 0, or the default.
static sac_status choose_nested(sac_teaching_run *r) {
    const json_t *then = json_object_get(r->trained, "settings");
    double *part = &r->set.detection.drop_nested;
    if (*part >= 0) return SAC_OK;
    *part = r->set.from != NULL ? json_number_value(json_object_get(then, "drop-nested"))
                                : sac_detector_default_options().drop_nested;
    r->settings = json_copy((json_t *)(uintptr_t)r->set.settings);
    if (r->settings == NULL ||
        json_object_set_new(r->settings, "drop-nested", json_real(*part)) != 0)
        return SAC_ERROR_MEMORY;
    r->set.settings = r->settings;
    return SAC_OK;
}

static sac_status open_run(sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    sac_logger logger = {.write = r->listener.say, .user = r->listener.user};
    SAC_TRY(sac_dataset_open(&r->dataset, r->set.dataset, &logger, error));
    if (r->set.from != NULL) {
        SAC_TRY(open_from(r, error));
    } else if (r->dataset->train_count < 1) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: has no training clips, a teacher cannot be trained",
                               r->dataset->path);
        goto fail;
    }
    SAC_TRY(choose_nested(r));
    sac_detector_options detection = r->set.detection;
    detection.stop = r->listener.stop;
    detection.cache = cache_folder(r);
    SAC_TRY(sac_detector_open(&r->detector, r->set.detector, &detection, error));
    SAC_TRY_ALLOC(r->clips = sac_calloc(r->dataset->count, sizeof *r->clips));
    int64_t together = 0; // bytes of the training clips, where they stay
    for (int64_t i = 0; i < r->dataset->train_count && !lends(r); i++)
        together += r->dataset->clips[i].frames * r->dataset->width * r->dataset->height;
    for (int64_t i = 0; i < r->dataset->count; i++) {
        r->clips[i].clip = &r->dataset->clips[i];
        r->clips[i].beside_bytes = together;
    }
    SAC_TRY(check_overlays(r, error));
    if (r->set.filter % 2 == 0) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "--filter %d: expected an odd number",
                               r->set.filter);
        goto fail;
    }
    r->block = r->set.block;
    if (r->block == 0) r->block = r->dataset->height >= 160 ? r->dataset->height / 80 : 1;
    SAC_TRY(make_stamp(r));
    SAC_TRY(make_provenance(r));
    if (r->set.from != NULL) warn_differences(r);
fail:
    return status;
}

// ---- detections
// --------------------------------------------------------------------------------------------

static sac_status detect_all(sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t count = r->dataset->count;
    sac_teaching_progress(r, "detect", "clips", 0, count, NULL);
    for (int64_t i = 0; i < r->dataset->train_count; i++) {
        sac_teaching_clip *c = &r->clips[i];
        SAC_TRY(sac_teaching_poll(r, "learning the size of people", error));
        SAC_TRY(sac_teaching_load(c, error));
        SAC_TRY(sac_detector_learn(r->detector, c->pixels, c->clip->frames, c->width, c->height,
                                   error));
        if (lends(r)) unload(c);
    }
    for (int64_t i = 0; i < count; i++) {
        sac_teaching_clip *c = &r->clips[i];
        SAC_TRY(sac_teaching_poll(r, "detecting objects", error));
        SAC_TRY(sac_teaching_load(c, error));
        SAC_TRY(sac_detector_run(r->detector, &c->detections, c->clip, c->pixels, c->width,
                                 c->height, error));
        if (c->clip->test || lends(r)) unload(c);
        sac_teaching_progress(r, "detect", "clips", i + 1, count, c->clip->name);
    }
    int64_t frames = 0, cached = 0;
    double seconds = 0;
    sac_detector_speed(r->detector, &frames, &seconds, &cached);
    if (frames > 0 || cached > 0) {
        sac_teaching_say(
            r, SAC_LOG_INFO,
            "detection networks: %lld frames at %.1f frames/s, %lld clips from the cache",
            (long long)frames, seconds > 0 ? (double)frames / seconds : 0.0, (long long)cached);
    }
fail:
    sac_teaching_progress(r, NULL, NULL, 0, 0, NULL);
    return status;
}

// From the cache of an interrupted run, or anew.
static sac_status get_detections(sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t count = r->dataset->count;
    const char **names = NULL;
    int64_t *frames = NULL;
    sac_detections *all = NULL;
    char *path = sac_path_join(r->work, "detections.safetensors");
    SAC_TRY_ALLOC(path);
    SAC_TRY_ALLOC(names = sac_calloc(count, sizeof *names));
    SAC_TRY_ALLOC(frames = sac_calloc(count, sizeof *frames));
    SAC_TRY_ALLOC(all = sac_calloc(count, sizeof *all));
    for (int64_t i = 0; i < count; i++) {
        names[i] = r->clips[i].clip->name;
        frames[i] = r->clips[i].clip->frames;
    }
    for (int64_t i = 0; i < r->dataset->train_count && !lends(r); i++) {
        SAC_TRY(sac_teaching_poll(r, "loading clips", error));
        SAC_TRY(sac_teaching_load(&r->clips[i], error));
    }
    if (r->set.resume && sac_is_file(path)) {
        SAC_TRY(sac_detections_read(path, names, frames, all, count, r->stamp, error));
        for (int64_t i = 0; i < count; i++) r->clips[i].detections = all[i];
    } else {
        SAC_TRY(detect_all(r, error));
        for (int64_t i = 0; i < count; i++) all[i] = r->clips[i].detections;
        SAC_TRY(sac_detections_write(path, names, all, count, r->stamp, error));
    }
    int64_t training = 0;
    for (int64_t i = 0; i < count; i++) {
        r->objects += all[i].count;
        if (!r->clips[i].clip->test) training += all[i].count;
    }
    sac_teaching_say(
        r, SAC_LOG_INFO, "%lld objects in %lld training clips, %lld in %lld test clips (%s)",
        (long long)training, (long long)r->dataset->train_count, (long long)(r->objects - training),
        (long long)(count - r->dataset->train_count), sac_detector_text(r->detector));
fail:
    sac_free(path);
    sac_free(names);
    sac_free(frames);
    sac_free(all); // the clips own what it points to
    return status;
}

// ---- the teacher
// -------------------------------------------------------------------------------------------

static void on_family_say(void *user, const char *message) {
    sac_teaching_say(user, SAC_LOG_INFO, "%s", message);
}

static void on_family_progress(void *user, const char *stage, const char *unit, int64_t done,
                               int64_t total, const char *note) {
    sac_teaching_progress(user, stage, unit, done, total, note);
}

static sac_status on_lend(void *user, int64_t index, bool wanted, sac_error *error) {
    sac_status status = SAC_OK;
    sac_teaching_run *r = user;
    sac_teaching_clip *c = &r->clips[index];
    if (wanted) {
        SAC_TRY(sac_teaching_load(c, error));
    } else {
        unload(c);
    }
    r->lent[index].pixels = c->pixels;
    r->lent[index].width = c->width;
    r->lent[index].height = c->height;
fail:
    return status;
}

static sac_status train(sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t count = r->dataset->train_count;
    sac_family_clip *clips = sac_calloc(count, sizeof *clips);
    SAC_TRY_ALLOC(clips);
    r->lent = clips;
    for (int64_t i = 0; i < count; i++) {
        const sac_teaching_clip *c = &r->clips[i];
        clips[i] = (sac_family_clip){.name = c->clip->name,
                                     .pixels = c->pixels,
                                     .width = c->width,
                                     .height = c->height,
                                     .detections = &c->detections};
    }
    sac_family_job job = {.clips = clips,
                          .count = count,
                          .options = r->set.family_options,
                          .folder = r->set.output,
                          .file = r->teacher_path,
                          .checkpoint = r->checkpoint,
                          .resume = r->set.resume,
                          .stamp = r->stamp,
                          .provenance = r->provenance,
                          .recall = &r->recall,
                          .listener = {.user = r,
                                       .stop = r->listener.stop,
                                       .say = on_family_say,
                                       .progress = on_family_progress},
                          .lend = r->set.family->borrows ? on_lend : NULL,
                          .cache = cache_folder(r),
                          .deep_features = r->set.deep_features};
    SAC_TRY(r->set.family->train(&r->metrics, &job, error));
    const sac_teacher_context context = teacher_context(r);
    SAC_TRY(sac_teacher_open_with(&r->teacher, r->teacher_path, &context, error));
fail:
    sac_teaching_progress(r, NULL, NULL, 0, 0, NULL);
    r->lent = NULL;
    sac_free(clips);
    return status;
}

// A copy of the teacher file belongs to the store, so that `distill` finds it there.
static sac_status copy_teacher(sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *data = NULL;
    size_t size = 0;
    json_t *metrics = json_object_get(r->trained, "metrics");
    SAC_TRY_ALLOC(r->metrics = metrics == NULL ? json_object() : json_copy(metrics));
    (void)json_object_del(r->metrics, "scored_per_s");
    (void)json_object_del(r->metrics, "cpu_ms_per_object");
    SAC_TRY(sac_file_read(&data, &size, r->from, (size_t)1 << 32, error));
    SAC_TRY(sac_file_save(r->teacher_path, data, size, error));
    sac_teaching_say(r, SAC_LOG_INFO, "%s: a trained teacher of family %s", r->from,
                     sac_teacher_name(r->teacher));
fail:
    sac_free(data);
    return status;
}

// ---- scoring
// -----------------------------------------------------------------------------------------------

static void on_scored(void *user, int64_t done) {
    const sac_teaching_run *r = user;
    sac_teaching_progress(r, "score", "objects", r->progress_base + done, r->objects, NULL);
}

// Object scores of one clip, from the file of an interrupted run or by the teacher. A row of the
// file is the score and then the tasks.
static sac_status score_clip(sac_teaching_run *r, sac_teaching_clip *c, sac_error *error) {
    sac_status status = SAC_OK;
    sac_npy npy = {0};
    float *rows = NULL;
    const int64_t n = c->detections.count, tasks = r->task_count, dims[2] = {n, tasks + 1};
    char *path = sac_format("%s/%s.scores.npy", r->work, c->clip->name);
    SAC_TRY_ALLOC(path);
    SAC_TRY_ALLOC(c->tasks = sac_calloc(n * tasks, sizeof(float)));
    SAC_TRY_ALLOC(c->scores = sac_calloc(n, sizeof(float)));
    if (n == 0) goto fail;
    if (r->set.resume && sac_is_file(path)) {
        SAC_TRY(sac_npy_read(&npy, path, error));
        if (npy.ndims == 2 && npy.dims[0] == dims[0] && npy.dims[1] == dims[1]) {
            const float *data = npy.data;
            for (int64_t i = 0; i < n; i++) {
                c->scores[i] = data[i * dims[1]];
                memcpy(c->tasks + i * tasks, data + i * dims[1] + 1, (size_t)tasks * sizeof(float));
            }
            goto fail;
        }
    }
    if (r->recall.tasks != NULL) {
        SAC_TRY(r->recall.tasks(r->recall.state, c->tasks, c->clip->name, &c->detections, error));
        sac_calibration_scores(sac_teacher_calibration(r->teacher), c->scores, c->tasks, n);
        goto fail;
    }
    SAC_TRY(sac_teaching_load(c, error));
    const double start = sac_time_s(), cpu = sac_cpu_time_s();
    SAC_TRY(sac_teacher_score(r->teacher, c->scores, c->tasks, &c->detections, c->pixels, c->width,
                              c->height, r->listener.stop, on_scored, r, error));
    r->scoring_s += sac_time_s() - start;
    r->scoring_cpu_s += sac_cpu_time_s() - cpu;
    r->scored += n;
    SAC_TRY_ALLOC(rows = sac_calloc(n * dims[1], sizeof *rows));
    for (int64_t i = 0; i < n; i++) {
        rows[i * dims[1]] = c->scores[i];
        memcpy(rows + i * dims[1] + 1, c->tasks + i * tasks, (size_t)tasks * sizeof(float));
    }
    SAC_TRY(sac_npy_write(path, rows, 2, dims, error));
fail:
    sac_npy_close(&npy);
    sac_free(rows);
    sac_free(path);
    return status;
}

static sac_status score_all(sac_teaching_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    r->task_count = sac_teacher_task_count(r->teacher);
    on_scored(r, 0);
    for (int64_t i = 0; i < r->dataset->count; i++) {
        sac_teaching_clip *c = &r->clips[i];
        if (sac_teaching_wants(r, c)) SAC_TRY(score_clip(r, c, error));
        r->progress_base += c->detections.count;
        on_scored(r, 0);
        unload(c); // overlays load the few clips they need again
    }
    if (r->scored > 0) {
        json_t *rate = sac_json_number((double)r->scored / fmax(r->scoring_s, 1e-9));
        json_t *cost = sac_json_number(1000 * r->scoring_cpu_s / (double)r->scored);
        if (json_object_set_new(r->metrics, "scored_per_s", rate) != 0 ||
            json_object_set_new(r->metrics, "cpu_ms_per_object", cost) != 0)
            status = SAC_ERROR_MEMORY;
    }
fail:
    sac_teaching_progress(r, NULL, NULL, 0, 0, NULL);
    return status;
}

// ---- the run
// -----------------------------------------------------------------------------------------------

static void close_run(sac_teaching_run *r) {
    for (int64_t i = 0; r->clips != NULL && i < r->dataset->count; i++) {
        sac_spill_free(r->clips[i].pixels);
        sac_free(r->clips[i].tasks);
        sac_free(r->clips[i].scores);
        sac_free(r->clips[i].frame_scores);
        sac_detections_close(&r->clips[i].detections);
    }
    sac_free(r->clips);
    sac_teacher_close(&r->teacher);
    if (r->recall.close != NULL) r->recall.close(&r->recall.state);
    sac_detector_close(&r->detector);
    sac_dataset_close(&r->dataset);
    sac_free(r->work);
    sac_free(r->checkpoint);
    sac_free(r->teacher_path);
    sac_free(r->from);
    sac_free(r->stamp);
    json_decref(r->trained);
    json_decref(r->settings);
    json_decref(r->provenance);
    json_decref(r->metrics);
}

void sac_teaching_result_close(sac_teaching_result *result) {
    json_decref(result->metrics);
    json_decref(result->auc);
    *result = (sac_teaching_result){0};
}

sac_status sac_teach(sac_teaching_result *result, const sac_teaching_options *options,
                     const sac_teaching_listener *listener, sac_error *error) {
    sac_status status = SAC_OK;
    sac_teaching_run run = {.set = *options}, *r = &run;
    *result = (sac_teaching_result){0};
    if (listener != NULL) r->listener = *listener;
    if (options->dataset == NULL || options->output == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s is missing",
                             options->dataset == NULL ? "--dataset DIR" : "--output DIR");
    }
    // Before an older run in the folder is given up.
    if (options->from == NULL) SAC_TRY(options->family->check(options->family_options, error));
    SAC_TRY_ALLOC(r->work = sac_path_join(options->output, "work"));
    SAC_TRY_ALLOC(r->checkpoint = sac_path_join(r->work, "checkpoint.safetensors"));
    SAC_TRY_ALLOC(r->teacher_path = sac_path_join(options->output, "teacher.safetensors"));
    SAC_TRY(check_output(r, &result->already_finished, error));
    if (result->already_finished) goto fail;
    SAC_TRY(open_run(r, error));
    sac_teaching_say(r, SAC_LOG_INFO, "%s: %lld training and %lld test clips of %dx%d; %s",
                     r->dataset->name, (long long)r->dataset->train_count,
                     (long long)(r->dataset->count - r->dataset->train_count), r->dataset->width,
                     r->dataset->height, r->stamp);
    SAC_TRY(sac_folder_create(r->work, error));
    SAC_TRY(get_detections(r, error));
    SAC_TRY(options->from != NULL ? copy_teacher(r, error) : train(r, error));
    SAC_TRY(score_all(r, error));
    SAC_TRY(sac_teaching_write(r, error));
    SAC_TRY(remove_folder(r->work, error));
    SAC_TRY(sac_teaching_evaluate(r, &result->auc, error));
    (void)snprintf(result->teacher, sizeof result->teacher, "%s", sac_teacher_name(r->teacher));
    result->metrics = json_incref(r->metrics);
fail:
    close_run(r);
    return status < 0
               ? sac_error_set(error, status, -1, "%s: no memory for the run", options->output)
               : SAC_OK;
}
