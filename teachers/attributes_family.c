// Banks of training attributes behind the interface of teacher families.
#include "teachers/attributes_family.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/time.h"
#include "teachers/attributes.h"
#include "teachers/density.h"

// Training objects that are remembered before banks are picked; of more, every second, third... is.
enum { MOST_OBJECTS = 65536 };
// The same in bytes, for long rows.
static const int64_t MOST_BYTES = (int64_t)512 << 20;
// Parts the training clips are dealt into for calibration.
enum { MOST_FOLDS = 5 };

// Behind the attributes that are measured here comes what an image network says.
enum { DEEP = SAC_ATTRIBUTES, MOST_TASKS };
static const char DEEP_NAME[] = "deep";

typedef struct teacher {
    sac_attribute_scene scene;
    int tasks, neighbours;
    int attribute[MOST_TASKS];       // of each task, sac_attribute or DEEP
    sac_density density[MOST_TASKS]; // of each task
    sac_deep *deep;                  // NULL unless DEEP is among them
} teacher;

static const char *name_of(int attribute) {
    return attribute == DEEP ? DEEP_NAME : sac_attribute_name(attribute);
}

static int64_t dims_of(const teacher *t, int attribute) {
    return attribute == DEEP ? sac_deep_length(t->deep) : sac_attribute_dims(attribute);
}

static bool has_deep(const teacher *t) {
    for (int k = 0; k < t->tasks; k++) {
        if (t->attribute[k] == DEEP) return true;
    }
    return false;
}

static void close_teacher(void **slot) {
    if (slot == NULL || *slot == NULL) return;
    teacher *t = *slot;
    for (int k = 0; k < MOST_TASKS; k++) sac_density_close(&t->density[k]);
    sac_deep_close(&t->deep);
    sac_free(t);
    *slot = NULL;
}

static void name_tasks(const teacher *t, sac_calibration *calibration, sac_combination how) {
    sac_calibration_init(calibration, t->tasks, name_of, how);
    for (int k = 0; k < t->tasks; k++) {
        memset(calibration->name[k], 0, sizeof calibration->name[k]);
        memcpy(calibration->name[k], name_of(t->attribute[k]), strlen(name_of(t->attribute[k])));
    }
}

// Adds the task called name[0 .. length); false: unknown or there already.
static bool add_task(teacher *t, const char *name, size_t length) {
    for (int a = 0; a < MOST_TASKS; a++) {
        if (strlen(name_of(a)) != length || strncmp(name, name_of(a), length) != 0) continue;
        for (int k = 0; k < t->tasks; k++) {
            if (t->attribute[k] == a) return false;
        }
        t->attribute[t->tasks++] = a;
        return true;
    }
    return false;
}

static unsigned groups_of(const teacher *t) {
    unsigned groups = 0;
    for (int k = 0; k < t->tasks; k++) {
        if (t->attribute[k] != DEEP) groups |= 1u << t->attribute[k];
    }
    return groups;
}

// Attributes that are unusual or not depending on the place, which is what their last values are:
// widths of the kernels for the rest and for the place, in the units of the attribute.
static const struct {
    int attribute, given;
    double alpha, beta;
} CONDITIONAL[] = {
    {SAC_ATTRIBUTE_COURSE, 2, 0.5, 0.5},
    {SAC_ATTRIBUTE_STAY, 2, 0.3, 0.5},
};

// Index into CONDITIONAL, or -1.
static int conditional(int attribute) {
    for (int k = 0; k < (int)(sizeof CONDITIONAL / sizeof CONDITIONAL[0]); k++) {
        if (CONDITIONAL[k].attribute == attribute) return k;
    }
    return -1;
}

static float task_score(const teacher *t, int k, const float *values) {
    const int c = conditional(t->attribute[k]);
    if (c < 0) return sac_density_distance(&t->density[k], values, t->neighbours);
    return sac_density_surprise(&t->density[k], values, CONDITIONAL[c].given, CONDITIONAL[c].alpha,
                                CONDITIONAL[c].beta);
}

// tasks [t->tasks] of one object, whose deep features are `deep` (NULL without).
static void task_scores(const teacher *t, float *tasks, const float *features, const float *deep) {
    for (int k = 0; k < t->tasks; k++) {
        const int a = t->attribute[k];
        tasks[k] = task_score(t, k, a == DEEP ? deep : features + sac_attribute_offset(a));
    }
}

// features [count][SAC_ATTRIBUTE_VALUES], and deep [count][length] where the teacher has that.
static sac_status measure_objects(const teacher *t, float *features, float *deep,
                                  const sac_detections *detections, const uint8_t *pixels,
                                  int width, int height, bool (*stop)(void),
                                  void (*progress)(void *user, int64_t objects_done), void *user,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    // What takes longer tells how far it is.
    SAC_TRY(sac_attributes_measure(features, groups_of(t), &t->scene, detections, pixels, width,
                                   height, stop, t->deep == NULL ? progress : NULL, user, error));
    if (t->deep != NULL)
        SAC_TRY(sac_deep_measure(t->deep, deep, detections, pixels, width, height, stop, progress,
                                 user, error));
fail:
    return status;
}

static sac_status score_objects(void *state, float *tasks, const sac_detections *detections,
                                const uint8_t *pixels, int width, int height, bool (*stop)(void),
                                void (*progress)(void *user, int64_t objects_done), void *user,
                                sac_error *error) {
    sac_status status = SAC_OK;
    const teacher *t = state;
    const int64_t length = t->deep == NULL ? 0 : sac_deep_length(t->deep);
    float *deep = NULL;
    float *features = sac_calloc(detections->count, SAC_ATTRIBUTE_VALUES * sizeof *features);
    SAC_TRY_ALLOC(features);
    SAC_TRY_ALLOC(deep = sac_calloc(detections->count * length + 1, sizeof *deep));
    SAC_TRY(measure_objects(t, features, deep, detections, pixels, width, height, stop, progress,
                            user, error));
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 8)
#endif
    for (int64_t i = 0; i < detections->count; i++)
        task_scores(t, tasks + i * t->tasks, features + i * SAC_ATTRIBUTE_VALUES,
                    deep + i * length);
fail:
    sac_free(features);
    sac_free(deep);
    return status;
}

// ---- the file
// ----------------------------------------------------------------------------------------------

static json_t *describe(const teacher *t) {
    const sac_attribute_scene *s = &t->scene;
    json_t *tasks = json_array();
    for (int k = 0; k < t->tasks; k++) {
        if (json_array_append_new(tasks, json_string(name_of(t->attribute[k]))) != 0) {
            json_decref(tasks);
            return NULL;
        }
    }
    return json_pack("{s:o, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:I}, s:o*}",
                     "tasks", tasks, "neighbours", t->neighbours, "width", s->width, "height",
                     s->height, "step", s->step, "flow_level", s->flow_level, "speed", s->speed,
                     "usual_height", s->usual_height, "person", "base", s->person.base, "slope",
                     s->person.slope, "aspect", s->person.aspect, "median_height",
                     s->person.median_height, "count", (json_int_t)s->person.count, "deep",
                     t->deep == NULL ? NULL : sac_deep_describe(t->deep));
}

static sac_status read_int(const json_t *json, const char *key, int64_t low, int64_t high, int *out,
                           const char *path, sac_error *error) {
    int64_t value = 0;
    sac_status status = sac_json_get_int(json, key, low, high, &value, path, error);
    if (status == SAC_OK) *out = (int)value;
    return status;
}

static sac_status read_description(teacher *t, const json_t *json, const char *path,
                                   sac_error *error) {
    sac_status status = SAC_OK;
    sac_attribute_scene *s = &t->scene;
    json_t *tasks = NULL, *person = NULL;
    SAC_TRY(sac_json_get_array(json, "tasks", &tasks, path, error));
    for (size_t k = 0; k < json_array_size(tasks); k++) {
        const char *name = json_string_value(json_array_get(tasks, k));
        if (name != NULL && add_task(t, name, strlen(name))) continue;
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: 'tasks' of 'attributes' hold an unknown or a repeated name",
                             path);
    }
    if (t->tasks == 0)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: 'attributes' has no tasks", path);
    SAC_TRY(
        read_int(json, "neighbours", 1, SAC_DENSITY_MAX_NEIGHBOURS, &t->neighbours, path, error));
    SAC_TRY(read_int(json, "width", 8, 16384, &s->width, path, error));
    SAC_TRY(read_int(json, "height", 8, 16384, &s->height, path, error));
    SAC_TRY(read_int(json, "step", 1, SAC_ATTRIBUTE_MOST_STEP, &s->step, path, error));
    SAC_TRY(read_int(json, "flow_level", 0, 4, &s->flow_level, path, error));
    SAC_TRY(sac_json_get_real(json, "speed", 1e-6, 1e6, &s->speed, path, error));
    SAC_TRY(sac_json_get_real(json, "usual_height", 1e-3, 1e6, &s->usual_height, path, error));
    SAC_TRY(sac_json_get_object(json, "person", &person, path, error));
    SAC_TRY(sac_json_get_real(person, "base", -1e6, 1e6, &s->person.base, path, error));
    SAC_TRY(sac_json_get_real(person, "slope", -1e3, 1e3, &s->person.slope, path, error));
    SAC_TRY(sac_json_get_real(person, "aspect", 0, 1e3, &s->person.aspect, path, error));
    SAC_TRY(
        sac_json_get_real(person, "median_height", 0, 1e6, &s->person.median_height, path, error));
    SAC_TRY(sac_json_get_int(person, "count", 0, INT64_MAX, &s->person.count, path, error));
fail:
    return status;
}

static sac_status open_teacher(void **state, sac_calibration *calibration,
                               const sac_safetensors *st, const char *path,
                               const sac_teacher_context *context, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL, *deep = NULL;
    teacher *t = sac_calloc(1, sizeof *t);
    *state = t;
    SAC_TRY_ALLOC(t);
    SAC_TRY(sac_family_get_json(st, "attributes", &json, path, error));
    SAC_TRY(read_description(t, json, path, error));
    if (has_deep(t)) {
        SAC_TRY(sac_json_get_object(json, "deep", &deep, path, error));
        SAC_TRY(sac_deep_open_described(&t->deep, deep, context->deep_features, context->backend,
                                        path, error));
        SAC_TRY(sac_deep_use_cache(t->deep, context->cache));
    }
    for (int k = 0; k < t->tasks; k++) {
        SAC_TRY(sac_density_load(&t->density[k], st, name_of(t->attribute[k]),
                                 (int)dims_of(t, t->attribute[k]), path, error));
    }
    name_tasks(t, calibration, SAC_COMBINE_MEAN);
    SAC_TRY(sac_family_get_calibration(st, calibration, path, error));
fail:
    json_decref(json);
    return status;
}

static sac_status write_teacher(const teacher *t, const sac_calibration *calibration,
                                const char *path, const json_t *provenance, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *json = describe(t);
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(
        sac_family_file_describe(st, sac_attributes_family.name, calibration, provenance, error));
    SAC_TRY(sac_family_set_json(st, "attributes", json, error));
    for (int k = 0; k < t->tasks; k++) {
        SAC_TRY(sac_density_store(&t->density[k], st, name_of(t->attribute[k]), error));
    }
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    json_decref(json);
    return status;
}

// ---- training
// ----------------------------------------------------------------------------------------------

// Feature rows of training objects. Banks hold those of the first 85 % of each clip. The people at
// a clip's end are those of its beginning, whom a nearest neighbour recognises; what is usual for
// OTHER people only another clip can tell. So the clips are dealt into folds, and for calibration
// each object is compared with the other folds. With a single clip its held-back objects have to
// do.
typedef struct examples {
    float *rows;
    float *deep; // [count][length of the teacher's deep features]
    uint8_t *fold;
    bool *held; // back from the banks
    int64_t count;
    int folds; // 0: a single clip
} examples;

typedef struct measuring {
    const sac_family_listener *listener;
    int64_t before, total;
} measuring;

static void on_measured(void *user, int64_t done) {
    const measuring *m = user;
    sac_family_progress(m->listener, "measure", "objects", m->before + done, m->total, NULL);
}

static sac_status parse_tasks(teacher *t, const char *list, sac_error *error) {
    for (const char *at = list;; at++) {
        size_t length = strcspn(at, ",");
        if (!add_task(t, at, length)) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "--attributes '%s': '%.*s' is unknown or repeated; expected some "
                                 "of %s",
                                 list, (int)length, at, SAC_ATTRIBUTES_ALL ",deep");
        }
        at += length;
        if (*at == '\0') return SAC_OK;
    }
}

// The network, if there is one.
static sac_status open_deep(teacher *t, const sac_family_job *job, const sac_attributes_options *o,
                            sac_error *error) {
    sac_status status = SAC_OK;
    if (o->deep.network == NULL) return SAC_OK;
    SAC_TRY(sac_deep_open(&t->deep, &o->deep, o->backend, error));
    SAC_TRY(sac_deep_use_cache(t->deep, job->cache));
fail:
    return status;
}

// The tasks of these options; a network brings its own.
static sac_status read_options(teacher *t, const sac_attributes_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    if (o->bank < 16 || o->bank > SAC_DENSITY_MAX_ROWS || o->neighbours < 1 ||
        o->neighbours > SAC_DENSITY_MAX_NEIGHBOURS || o->step < 0 ||
        o->step > SAC_ATTRIBUTE_MOST_STEP || o->combination < 0 ||
        o->combination > SAC_COMBINE_TAIL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "an option of the attribute teacher is out of range (bank 16..%d, "
                             "neighbours 1..%d, step 0..%d)",
                             (int)SAC_DENSITY_MAX_ROWS, (int)SAC_DENSITY_MAX_NEIGHBOURS,
                             (int)SAC_ATTRIBUTE_MOST_STEP);
    }
    SAC_TRY(parse_tasks(t, o->attributes, error));
    if (has_deep(t) && o->deep.network == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--attributes %s: 'deep' needs an image network, --deep-features",
                             o->attributes);
    }
    if (!has_deep(t) && o->deep.network != NULL) (void)add_task(t, DEEP_NAME, strlen(DEEP_NAME));
fail:
    return status;
}

static sac_status check(const void *options, sac_error *error) {
    teacher t = {0};
    return read_options(&t, options, error);
}

// Clips have one size: the scene is what one camera sees.
static sac_status learn_scene(teacher *t, const sac_family_job *job,
                              const sac_attributes_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    sac_attribute_clip *clips = sac_calloc(job->count, sizeof *clips);
    SAC_TRY_ALLOC(clips);
    for (int64_t c = 0; c < job->count; c++) {
        const sac_family_clip *clip = &job->clips[c];
        if (clip->width != job->clips[0].width || clip->height != job->clips[0].height) {
            status = sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                                   "clip %s is %dx%d, clip %s %dx%d: the attribute teacher knows "
                                   "one camera only",
                                   clip->name, clip->width, clip->height, job->clips[0].name,
                                   job->clips[0].width, job->clips[0].height);
            goto fail;
        }
        clips[c] = (sac_attribute_clip){.pixels = clip->pixels, .detections = clip->detections};
    }
    SAC_TRY(sac_attribute_scene_learn(&t->scene, clips, job->count, job->clips[0].width,
                                      job->clips[0].height, (int)o->step, job->listener.stop,
                                      error));
fail:
    sac_free(clips);
    return status;
}

static sac_status measure_all(examples *e, const teacher *t, const sac_family_job *job,
                              sac_error *error) {
    sac_status status = SAC_OK;
    measuring m = {.listener = &job->listener};
    float *features = NULL, *deep = NULL;
    const int64_t length = t->deep == NULL ? 0 : sac_deep_length(t->deep);
    int64_t seen = 0, filled = 0, dealt = 0;
    int64_t most = MOST_BYTES / ((SAC_ATTRIBUTE_VALUES + length) * (int64_t)sizeof(float));
    if (most > MOST_OBJECTS) most = MOST_OBJECTS;
    for (int64_t c = 0; c < job->count; c++) {
        m.total += job->clips[c].detections->count;
        filled += job->clips[c].detections->count > 0;
    }
    const int64_t every = m.total / most + 1;
    e->folds = filled >= MOST_FOLDS ? MOST_FOLDS : filled < 2 ? 0 : (int)filled;
    SAC_TRY_ALLOC(e->rows = sac_calloc(m.total / every + 1, SAC_ATTRIBUTE_VALUES * sizeof(float)));
    SAC_TRY_ALLOC(e->deep = sac_calloc((m.total / every + 1) * length + 1, sizeof(float)));
    SAC_TRY_ALLOC(e->fold = sac_calloc(m.total / every + 1, sizeof *e->fold));
    SAC_TRY_ALLOC(e->held = sac_calloc(m.total / every + 1, sizeof *e->held));
    on_measured(&m, 0);
    for (int64_t c = 0; c < job->count; c++) {
        const sac_family_clip *clip = &job->clips[c];
        const int64_t objects = clip->detections->count;
        SAC_TRY_ALLOC(features = sac_calloc(objects, SAC_ATTRIBUTE_VALUES * sizeof *features));
        SAC_TRY_ALLOC(deep = sac_calloc(objects * length + 1, sizeof *deep));
        SAC_TRY(measure_objects(t, features, deep, clip->detections, clip->pixels, clip->width,
                                clip->height, job->listener.stop, on_measured, &m, error));
        for (int64_t i = 0; i < objects; i++, seen++) {
            if (seen % every != 0) continue;
            memcpy(e->rows + e->count * SAC_ATTRIBUTE_VALUES, features + i * SAC_ATTRIBUTE_VALUES,
                   SAC_ATTRIBUTE_VALUES * sizeof *features);
            memcpy(e->deep + e->count * length, deep + i * length, (size_t)length * sizeof *deep);
            e->fold[e->count] = (uint8_t)(e->folds > 0 ? dealt % e->folds : 0);
            e->held[e->count++] = i >= sac_family_train_count(objects);
        }
        sac_free(features);
        sac_free(deep);
        features = deep = NULL;
        m.before += objects;
        dealt += objects > 0;
    }
fail:
    sac_free(features);
    sac_free(deep);
    return status;
}

// A bank of one attribute from the rows that are not held back nor of fold `without` (-1: none).
static sac_status make_bank(sac_density *density, const teacher *t, const examples *e,
                            int attribute, int without, const sac_attributes_options *o,
                            sac_error *error) {
    sac_status status = SAC_OK;
    // Appearance has many values, so that fewer objects keep the file small. Those of a network are
    // small numbers each, which bytes would round too much.
    const int dims = (int)dims_of(t, attribute);
    const bool large = dims > 16 || attribute == DEEP, bytes = large && attribute != DEEP;
    const float *from = attribute == DEEP ? e->deep : e->rows + sac_attribute_offset(attribute);
    const int64_t stride = attribute == DEEP ? dims : SAC_ATTRIBUTE_VALUES;
    int64_t n = 0;
    float *values = sac_calloc(e->count, (size_t)dims * sizeof *values);
    SAC_TRY_ALLOC(values);
    for (int64_t i = 0; i < e->count; i++) {
        if (e->held[i] || e->fold[i] == without) continue;
        memcpy(values + n++ * dims, from + i * stride, (size_t)dims * sizeof *values);
    }
    if (conditional(attribute) >= 0) {
        SAC_TRY(sac_density_sample(density, values, n, dims, o->bank, o->seed + (uint64_t)attribute,
                                   error));
    } else {
        SAC_TRY(sac_density_make(density, values, n, dims, dims,
                                 large ? (o->bank + 3) / 4 : o->bank, bytes,
                                 o->seed + (uint64_t)attribute, error));
    }
fail:
    sac_free(values);
    return status;
}

static sac_status make_banks(teacher *t, const examples *e, int without, const sac_family_job *job,
                             sac_error *error) {
    sac_status status = SAC_OK;
    for (int k = 0; k < t->tasks; k++) {
        if (sac_family_stopped(&job->listener))
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "training was interrupted");
        sac_density_close(&t->density[k]);
        SAC_TRY(make_bank(&t->density[k], t, e, t->attribute[k], without, job->options, error));
    }
fail:
    return status;
}

// Scores of the rows of a fold, or (-1) of those held back, into their rows of tasks
// [e->count][t->tasks].
static void score_rows(const teacher *t, float *tasks, const examples *e, int fold) {
    const int64_t length = t->deep == NULL ? 0 : sac_deep_length(t->deep);
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 8)
#endif
    for (int64_t i = 0; i < e->count; i++) {
        if (fold >= 0 ? e->fold[i] == fold : e->held[i])
            task_scores(t, tasks + i * t->tasks, e->rows + i * SAC_ATTRIBUTE_VALUES,
                        e->deep + i * length);
    }
}

// The calibration and, left in *t at the end, the banks.
static sac_status learn_banks(teacher *t, sac_calibration *calibration, const examples *e,
                              const sac_family_job *job, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_attributes_options *o = job->options;
    float *tasks = NULL;
    int64_t held = 0, n = 0;
    for (int64_t i = 0; i < e->count; i++) held += e->held[i];
    if (held < 1 || e->count - held < 2) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%lld objects to train and %lld to hold back were found in %lld "
                             "training clips; at least 2 and 1 are needed (is the detector right "
                             "for this video?)",
                             (long long)(e->count - held), (long long)held, (long long)job->count);
    }
    SAC_TRY_ALLOC(tasks = sac_calloc(e->count * t->tasks, sizeof *tasks));
    // Fold -1: nothing is left out.
    for (int fold = e->folds - 1; fold >= -1; fold--) {
        sac_family_progress(&job->listener, "learn", "folds", e->folds - 1 - fold, e->folds + 1,
                            NULL);
        SAC_TRY(make_banks(t, e, fold, job, error));
        if (fold >= 0 || e->folds == 0) score_rows(t, tasks, e, fold);
    }
    for (int64_t i = 0; i < e->count; i++) {
        if (e->folds == 0 && !e->held[i]) continue;
        memmove(tasks + n++ * t->tasks, tasks + i * t->tasks, (size_t)t->tasks * sizeof *tasks);
    }
    name_tasks(t, calibration, (sac_combination)o->combination);
    SAC_TRY(sac_calibration_fit(calibration, tasks, n, error));
fail:
    sac_free(tasks);
    return status;
}

static sac_status train(json_t **metrics, const sac_family_job *job, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_attributes_options *o = job->options;
    teacher t = {.neighbours = (int)o->neighbours};
    examples e = {0};
    sac_calibration calibration = {0};
    json_t *provenance = NULL;
    const double start = sac_time_s();
    *metrics = NULL;
    SAC_TRY(read_options(&t, o, error));
    SAC_TRY(open_deep(&t, job, o, error));
    SAC_TRY(learn_scene(&t, job, o, error));
    sac_family_say(&job->listener,
                   "flow over %d frame%s; people about %.0f px high at the bottom, %.0f at the top",
                   t.scene.step, t.scene.step == 1 ? "" : "s",
                   sac_attribute_person_height(&t.scene, t.scene.height),
                   sac_attribute_person_height(&t.scene, 0));
    SAC_TRY(measure_all(&e, &t, job, error));
    SAC_TRY(learn_banks(&t, &calibration, &e, job, error));
    const double minutes = (sac_time_s() - start) / 60;
    SAC_TRY_ALLOC(*metrics = json_pack("{s:I, s:I, s:i, s:f, s:o}", "training_objects",
                                       (json_int_t)e.count, "held_back_objects",
                                       (json_int_t)calibration.objects, "step", t.scene.step,
                                       "training_minutes", minutes, "calibration",
                                       sac_calibration_tasks_json(&calibration)));
    if (t.deep != NULL) {
        json_t *deep = sac_deep_provenance(t.deep);
        if (deep == NULL || json_object_set_new(*metrics, "deep", deep) != 0) {
            status = SAC_ERROR_MEMORY;
            goto fail;
        }
    }
    SAC_TRY_ALLOC(provenance = sac_family_provenance(job, *metrics));
    SAC_TRY(write_teacher(&t, &calibration, job->file, provenance, error));
    sac_family_say(&job->listener, "learned from %lld objects in %.1f minutes", (long long)e.count,
                   minutes);
fail:
    if (status < 0) {
        json_decref(*metrics);
        *metrics = NULL;
    }
    json_decref(provenance);
    for (int k = 0; k < t.tasks; k++) sac_density_close(&t.density[k]);
    sac_deep_close(&t.deep);
    sac_free(e.rows);
    sac_free(e.deep);
    sac_free(e.fold);
    sac_free(e.held);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the teacher") : SAC_OK;
}

const sac_family sac_attributes_family = {
    .name = "attributes",
    .summary =
        "velocity, direction, size, rest, appearance and features of an image network against the "
        "nearest training objects",
    .check = check,
    .train = train,
    .open = open_teacher,
    .score = score_objects,
    .close = close_teacher,
};
