// Ensembles behind the interface of teacher families. Members are opened by their own families;
// their earlier scores are read from their map stores.
#include "teachers/ensemble_family.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/time.h"
#include "teachers/maps.h"
#include "teachers/teacher.h"

enum { NAME = 33 };

typedef struct member {
    char name[NAME];
    double weight;
    sac_teacher *teacher;
    sac_map_store *store; // while training and recalling
    char *folder;
} member;

typedef struct ensemble {
    int count;
    member members[SAC_ENSEMBLE_MEMBERS];
} ensemble;

static void close_ensemble(void **slot) {
    if (slot == NULL || *slot == NULL) return;
    ensemble *e = *slot;
    for (int m = 0; m < e->count; m++) {
        sac_teacher_close(&e->members[m].teacher);
        sac_map_store_close(&e->members[m].store);
        sac_free(e->members[m].folder);
    }
    sac_free(e);
    *slot = NULL;
}

// A member more, with a name of its own; NULL: the name is malformed or taken, or there is no room.
static member *add_member(ensemble *e, const char *name, size_t length) {
    if (e->count == SAC_ENSEMBLE_MEMBERS || length == 0 || length >= NAME) return NULL;
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") < length) return NULL;
    for (int m = 0; m < e->count; m++) {
        if (strlen(e->members[m].name) == length && strncmp(name, e->members[m].name, length) == 0)
            return NULL;
    }
    member *added = &e->members[e->count++];
    memcpy(added->name, name, length);
    added->weight = 1;
    return added;
}

static void name_tasks(const ensemble *e, sac_calibration *c) {
    *c = (sac_calibration){.tasks = e->count, .combination = SAC_COMBINE_MEAN};
    for (int m = 0; m < e->count; m++) {
        memcpy(c->name[m], e->members[m].name, NAME);
        c->weight[m] = e->members[m].weight;
        // What members say is calibrated already.
        c->median[m] = 0;
        c->high[m] = 1;
    }
}

// Column m of tasks [count][members] from the member's own task scores.
static void take_member(float *tasks, const ensemble *e, int m, const float *own, int64_t count) {
    const sac_calibration *c = sac_teacher_calibration(e->members[m].teacher);
    for (int64_t i = 0; i < count; i++)
        tasks[i * e->count + m] = (float)sac_calibration_combine(c, own + i * c->tasks);
}

typedef struct passing {
    void (*progress)(void *user, int64_t objects_done);
    void *user;
    int64_t objects;
    int done, members;
} passing;

static void on_member(void *user, int64_t done) {
    const passing *p = user;
    if (p->progress != NULL) p->progress(p->user, (p->done * p->objects + done) / p->members);
}

static sac_status score_objects(void *state, float *tasks, const sac_detections *detections,
                                const uint8_t *pixels, int width, int height, bool (*stop)(void),
                                void (*progress)(void *user, int64_t objects_done), void *user,
                                sac_error *error) {
    sac_status status = SAC_OK;
    const ensemble *e = state;
    const int64_t n = detections->count;
    passing p = {.progress = progress, .user = user, .objects = n, .members = e->count};
    float *own = NULL;
    float *scores = sac_calloc(n, sizeof *scores);
    SAC_TRY_ALLOC(scores);
    for (; p.done < e->count; p.done++) {
        sac_teacher *teacher = e->members[p.done].teacher;
        SAC_TRY_ALLOC(own = sac_calloc(n * sac_teacher_task_count(teacher), sizeof *own));
        SAC_TRY(sac_teacher_score(teacher, scores, own, detections, pixels, width, height, stop,
                                  on_member, &p, error));
        take_member(tasks, e, p.done, own, n);
        sac_free(own);
        own = NULL;
    }
fail:
    sac_free(own);
    sac_free(scores);
    return status;
}

// ---- the file
// ----------------------------------------------------------------------------------------------

// The part of a container behind a prefix, as a container of its own.
static sac_status extract(sac_safetensors **out, const sac_safetensors *st, const char *prefix,
                          sac_error *error) {
    sac_status status = SAC_OK;
    const size_t length = strlen(prefix);
    const char *key;
    *out = NULL;
    SAC_TRY(sac_safetensors_create(out));
    for (int64_t i = 0; (key = sac_safetensors_metadata_key(st, i)) != NULL; i++) {
        if (strncmp(key, prefix, length) != 0 || key[length] == '\0') continue;
        SAC_TRY(sac_safetensors_set_metadata(*out, key + length, sac_safetensors_metadata(st, key),
                                             error));
    }
    for (int64_t i = 0; i < sac_safetensors_count(st); i++) {
        const sac_named_tensor *t = sac_safetensors_at(st, i);
        if (strncmp(t->name, prefix, length) != 0 || t->name[length] == '\0') continue;
        SAC_TRY(sac_safetensors_add(*out, t->name + length, t->dtype, t->ndims, t->dims, t->data,
                                    error));
    }
fail:
    if (status < 0) sac_safetensors_close(out);
    return status;
}

// The other way: everything in `part` goes into `st` behind a prefix.
static sac_status insert(sac_safetensors *st, const sac_safetensors *part, const char *prefix,
                         sac_error *error) {
    sac_status status = SAC_OK;
    const char *key;
    char *name = NULL;
    for (int64_t i = 0; (key = sac_safetensors_metadata_key(part, i)) != NULL; i++) {
        SAC_TRY_ALLOC(name = sac_format("%s%s", prefix, key));
        SAC_TRY(sac_safetensors_set_metadata(st, name, sac_safetensors_metadata(part, key), error));
        sac_free(name);
        name = NULL;
    }
    for (int64_t i = 0; i < sac_safetensors_count(part); i++) {
        const sac_named_tensor *t = sac_safetensors_at(part, i);
        SAC_TRY_ALLOC(name = sac_format("%s%s", prefix, t->name));
        SAC_TRY(sac_safetensors_add(st, name, t->dtype, t->ndims, t->dims, t->data, error));
        sac_free(name);
        name = NULL;
    }
fail:
    sac_free(name);
    return status;
}

// A teacher that may be a member: no ensemble, which would let a file nest without end.
static sac_status load_member(member *m, const sac_safetensors *st, const char *path,
                              const sac_teacher_context *context, sac_error *error) {
    const char *family = sac_safetensors_metadata(st, "teacher");
    if (family != NULL && strcmp(family, sac_ensemble_family.name) == 0) {
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "%s: member '%s' is an ensemble itself; name its members instead",
                             path, m->name);
    }
    return sac_teacher_load_with(&m->teacher, st, path, context, error);
}

static sac_status open_teacher(void **state, sac_calibration *calibration,
                               const sac_safetensors *st, const char *path,
                               const sac_teacher_context *context, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *names = NULL;
    sac_safetensors *part = NULL;
    char *prefix = NULL;
    ensemble *e = sac_calloc(1, sizeof *e);
    *state = e;
    SAC_TRY_ALLOC(e);
    SAC_TRY(sac_family_get_json(st, "members", &names, path, error));
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        member *m = name == NULL ? NULL : add_member(e, name, strlen(name));
        if (m == NULL) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                   "%s: 'members' must be up to %d different names of a-z, 0-9, "
                                   "'_' and '-'",
                                   path, (int)SAC_ENSEMBLE_MEMBERS);
            goto fail;
        }
        SAC_TRY_ALLOC(prefix = sac_format("member.%s.", m->name));
        SAC_TRY(extract(&part, st, prefix, error));
        SAC_TRY(load_member(m, part, path, context, error));
        sac_safetensors_close(&part);
        sac_free(prefix);
        prefix = NULL;
    }
    if (e->count == 0) {
        status =
            sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: an ensemble without members", path);
        goto fail;
    }
    name_tasks(e, calibration);
    SAC_TRY(sac_family_get_calibration(st, calibration, path, error));
fail:
    json_decref(names);
    sac_safetensors_close(&part);
    sac_free(prefix);
    return status;
}

static sac_status write_teacher(const ensemble *e, const sac_calibration *calibration,
                                const sac_family_job *job, const json_t *provenance,
                                sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL, *part = NULL;
    char *path = NULL, *prefix = NULL;
    json_t *names = json_array();
    SAC_TRY_ALLOC(names);
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_family_file_describe(st, sac_ensemble_family.name, calibration, provenance, error));
    for (int m = 0; m < e->count; m++) {
        if (json_array_append_new(names, json_string(e->members[m].name)) != 0) {
            status = SAC_ERROR_MEMORY;
            goto fail;
        }
        SAC_TRY_ALLOC(path = sac_path_join(e->members[m].folder, "teacher.safetensors"));
        SAC_TRY_ALLOC(prefix = sac_format("member.%s.", e->members[m].name));
        SAC_TRY(sac_safetensors_read(&part, path, error));
        SAC_TRY(insert(st, part, prefix, error));
        sac_safetensors_close(&part);
        sac_free(path);
        sac_free(prefix);
        path = prefix = NULL;
    }
    SAC_TRY(sac_family_set_json(st, "members", names, error));
    SAC_TRY(sac_safetensors_write(st, job->file, error));
fail:
    json_decref(names);
    sac_safetensors_close(&st);
    sac_safetensors_close(&part);
    sac_free(path);
    sac_free(prefix);
    return status;
}

// ---- training
// ----------------------------------------------------------------------------------------------

// One "NAME=MAPS[:WEIGHT]" of `length` characters.
static sac_status parse_member(ensemble *e, const char *text, size_t length, sac_error *error) {
    char *copy = sac_format("%.*s", (int)length, text);
    if (copy == NULL) return SAC_ERROR_MEMORY;
    sac_status status = SAC_OK;
    const size_t name = strcspn(copy, "=");
    member *m = copy[name] == '=' ? add_member(e, copy, name) : NULL;
    char *folder = copy + name + 1, *colon = m == NULL ? NULL : strrchr(folder, ':');
    if (m == NULL || folder[0] == '\0') {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "--members '%.200s': expected NAME=MAPS or NAME=MAPS:WEIGHT, up to "
                               "%d different names of a-z, 0-9, '_' and '-'",
                               copy, (int)SAC_ENSEMBLE_MEMBERS);
        goto fail;
    }
    double weight = 0;
    if (colon != NULL && sac_number_real(colon + 1, &weight)) {
        if (!(weight >= 0.001 && weight <= 1000)) {
            status =
                sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "--members '%.200s': the weight must be from 0.001 to 1000", copy);
            goto fail;
        }
        m->weight = weight;
        *colon = '\0';
    }
    SAC_TRY_ALLOC(m->folder = sac_strdup(folder));
fail:
    sac_free(copy);
    return status;
}

static sac_status parse_members(ensemble *e, const char *text, sac_error *error) {
    sac_status status = SAC_OK;
    if (text == NULL || text[0] == '\0') {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--members NAME=MAPS[:WEIGHT],... is missing");
    }
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ",");
        SAC_TRY(parse_member(e, at, length, error));
        at += length;
        if (*at == '\0') break;
    }
fail:
    return status;
}

static sac_status check(const void *options, sac_error *error) {
    const sac_ensemble_options *o = options;
    sac_status status;
    void *state = NULL;
    ensemble *e = sac_calloc(1, sizeof *e);
    SAC_TRY_ALLOC(state = e);
    SAC_TRY(parse_members(e, o->members, error));
fail:
    close_ensemble(&state);
    return status;
}

// Store and teacher of a member, if it is of the data set `fingerprint`.
static sac_status open_member(member *m, const char *fingerprint,
                              const sac_teacher_context *context, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *dataset = NULL;
    const char *own = NULL;
    char *path = sac_path_join(m->folder, "teacher.safetensors");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_map_store_open(&m->store, m->folder, error));
    SAC_TRY(sac_json_get_object(sac_map_store_provenance(m->store), "dataset", &dataset, m->folder,
                                error));
    SAC_TRY(sac_json_get_text(dataset, "fingerprint", &own, m->folder, error));
    if (fingerprint == NULL || strcmp(own, fingerprint) != 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: these maps were made from another data set (fingerprint %.12s, "
                               "not %.12s)",
                               m->folder, own, fingerprint == NULL ? "unknown" : fingerprint);
        goto fail;
    }
    SAC_TRY(sac_safetensors_read(&st, path, error));
    SAC_TRY(load_member(m, st, path, context, error));
fail:
    sac_safetensors_close(&st);
    sac_free(path);
    return status;
}

static sac_status check_boxes(const member *m, const char *clip, const sac_detections *wanted,
                              sac_error *error) {
    sac_status status = SAC_OK;
    sac_detections own = {0};
    SAC_TRY(sac_map_store_objects(m->store, &own, NULL, clip, wanted->frames, error));
    bool same = own.count == wanted->count;
    for (int64_t t = 0; same && t <= wanted->frames; t++) same = own.start[t] == wanted->start[t];
    for (int64_t i = 0; same && i < wanted->count; i++) {
        const sac_box *a = &own.boxes[i], *b = &wanted->boxes[i];
        same = a->x1 == b->x1 && a->y1 == b->y1 && a->x2 == b->x2 && a->y2 == b->y2;
    }
    if (!same) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: its objects of clip %s are not those of this detector; members "
                               "must have scored the same boxes",
                               m->folder, clip);
    }
fail:
    sac_detections_close(&own);
    return status;
}

// What the members' stores say about a clip.
static sac_status recall_tasks(void *state, float *tasks, const char *clip,
                               const sac_detections *detections, sac_error *error) {
    sac_status status = SAC_OK;
    const ensemble *e = state;
    const int64_t n = detections->count;
    float *own = NULL, *column = sac_calloc(n, sizeof *column);
    SAC_TRY_ALLOC(column);
    for (int m = 0; m < e->count; m++) {
        const sac_calibration *c = sac_teacher_calibration(e->members[m].teacher);
        SAC_TRY(check_boxes(&e->members[m], clip, detections, error));
        SAC_TRY_ALLOC(own = sac_calloc(n * c->tasks, sizeof *own));
        for (int k = 0; k < c->tasks; k++) {
            SAC_TRY(sac_map_store_column(e->members[m].store, column, n, clip, c->name[k], error));
            for (int64_t i = 0; i < n; i++) own[i * c->tasks + k] = column[i];
        }
        take_member(tasks, e, m, own, n);
        sac_free(own);
        own = NULL;
    }
fail:
    sac_free(own);
    sac_free(column);
    return status;
}

// u of all members for the held-back objects of all clips.
static sac_status recall_held(float **tasks, int64_t *held, ensemble *e, const sac_family_job *job,
                              sac_error *error) {
    sac_status status = SAC_OK;
    float *clip_tasks = NULL;
    *held = 0;
    for (int64_t c = 0; c < job->count; c++) {
        const int64_t n = job->clips[c].detections->count;
        *held += n - sac_family_train_count(n);
    }
    int64_t at = 0;
    SAC_TRY_ALLOC(*tasks = sac_calloc(*held * e->count, sizeof **tasks));
    for (int64_t c = 0; c < job->count; c++) {
        const sac_family_clip *clip = &job->clips[c];
        const int64_t n = clip->detections->count, first = sac_family_train_count(n);
        if (sac_family_stopped(&job->listener)) {
            status = sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "training was interrupted");
            goto fail;
        }
        sac_family_progress(&job->listener, "recall", "clips", c, job->count, clip->name);
        SAC_TRY_ALLOC(clip_tasks = sac_calloc(n * e->count, sizeof *clip_tasks));
        SAC_TRY(recall_tasks(e, clip_tasks, clip->name, clip->detections, error));
        memcpy(*tasks + at * e->count, clip_tasks + first * e->count,
               (size_t)((n - first) * e->count) * sizeof **tasks);
        at += n - first;
        sac_free(clip_tasks);
        clip_tasks = NULL;
    }
fail:
    sac_free(clip_tasks);
    return status;
}

// Minutes are those of all that had to learn.
static json_t *metrics_json(const ensemble *e, const sac_calibration *c, double seconds) {
    json_t *weights = json_object();
    double minutes = seconds / 60;
    for (int m = 0; m < e->count; m++) {
        const json_t *own =
            json_object_get(sac_map_store_provenance(e->members[m].store), "metrics");
        minutes += json_number_value(json_object_get(own, "training_minutes"));
        if (json_object_set_new(weights, e->members[m].name,
                                sac_json_number(e->members[m].weight)) != 0) {
            json_decref(weights);
            return NULL;
        }
    }
    return json_pack("{s:o, s:I, s:f}", "members", weights, "held_back_objects",
                     (json_int_t)c->objects, "training_minutes", minutes);
}

static sac_status train(json_t **metrics, const sac_family_job *job, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_ensemble_options *o = job->options;
    const double start = sac_time_s();
    const char *fingerprint = json_string_value(
        json_object_get(json_object_get(job->provenance, "dataset"), "fingerprint"));
    float *tasks = NULL;
    int64_t held = 0;
    sac_calibration calibration;
    json_t *provenance = NULL;
    void *state = NULL;
    *metrics = NULL;
    ensemble *e = sac_calloc(1, sizeof *e);
    SAC_TRY_ALLOC(state = e);
    SAC_TRY(parse_members(e, o->members, error));
    const sac_teacher_context context = {
        .backend = o->backend, .deep_features = job->deep_features, .cache = job->cache};
    for (int m = 0; m < e->count; m++) {
        SAC_TRY(open_member(&e->members[m], fingerprint, &context, error));
    }
    SAC_TRY(recall_held(&tasks, &held, e, job, error));
    name_tasks(e, &calibration);
    SAC_TRY(sac_calibration_fit_combination(&calibration, tasks, held, error));
    SAC_TRY_ALLOC(*metrics = metrics_json(e, &calibration, sac_time_s() - start));
    SAC_TRY_ALLOC(provenance = sac_family_provenance(job, *metrics));
    SAC_TRY(write_teacher(e, &calibration, job, provenance, error));
    if (job->recall != NULL) {
        *job->recall =
            (sac_family_recall){.state = state, .tasks = recall_tasks, .close = close_ensemble};
        state = NULL;
    }
fail:
    if (status < 0) {
        json_decref(*metrics);
        *metrics = NULL;
    }
    json_decref(provenance);
    sac_free(tasks);
    close_ensemble(&state);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the ensemble") : SAC_OK;
}

const sac_family sac_ensemble_family = {
    .name = "ensemble",
    .summary = "weighted mean of trained teachers",
    .check = check,
    .train = train,
    .open = open_teacher,
    .score = score_objects,
    .close = close_ensemble,
};
