// SSMTL behind the interface of teacher families: runs the training, reports it, calibrates and
// writes the teacher file. Holds no part of the method.
#include "teachers/ssmtl_family.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "teachers/ssmtl_train.h"

// Objects per run of the network: large enough to keep the cores busy, small enough for the cache
// of a few.
enum { BATCH = 64 };

typedef struct teacher {
    sac_ssmtl_model *model;
    sac_ssmtl_scorer *scorer;
} teacher;

static void close_teacher(void **slot) {
    if (slot == NULL || *slot == NULL) return;
    teacher *t = *slot;
    sac_ssmtl_scorer_close(&t->scorer);
    sac_ssmtl_model_close(&t->model);
    sac_free(t);
    *slot = NULL;
}

static sac_status open_teacher(void **state, sac_calibration *calibration,
                               const sac_safetensors *st, const char *path,
                               const sac_teacher_context *context, sac_error *error) {
    sac_status status = SAC_OK;
    teacher *t = sac_calloc(1, sizeof *t);
    *state = t;
    SAC_TRY_ALLOC(t);
    SAC_TRY(sac_ssmtl_model_load(&t->model, st, path, error));
    SAC_TRY(sac_ssmtl_scorer_create(&t->scorer, t->model, BATCH, context->backend, error));
    *calibration = t->model->calibration;
fail:
    return status;
}

static sac_status score_objects(void *state, float *tasks, const sac_detections *detections,
                                const uint8_t *pixels, int width, int height, bool (*stop)(void),
                                void (*progress)(void *user, int64_t objects_done), void *user,
                                sac_error *error) {
    teacher *t = state;
    return sac_ssmtl_scorer_run(t->scorer, tasks, detections, pixels, width, height, stop, progress,
                                user, error);
}

// ---- training -----------------------------------------------------------------------------------

typedef struct training {
    const sac_family_job *job;
    const sac_ssmtl_options *options;
    unsigned tasks;
} training;

static sac_status write_metrics(const training *r, const sac_learning_epoch *epochs, int64_t count,
                                int64_t best, sac_error *error) {
    sac_learning_column columns[1 + 2 * SAC_SSMTL_TASKS] = {{.name = "loss"}};
    int n = 1;
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        if ((r->tasks & SAC_SSMTL_BIT(k)) == 0) continue;
        const char *name = sac_ssmtl_task_name(k);
        columns[n].value = SAC_SSMTL_LOSS_TASK + k;
        (void)snprintf(columns[n].name, sizeof columns[n].name, "%s", name);
        n++;
        if (!sac_ssmtl_has_accuracy(k)) continue;
        columns[n].value = SAC_SSMTL_LOSS_ACCURACY + k;
        columns[n].part = true;
        (void)snprintf(columns[n].name, sizeof columns[n].name, "%s_accuracy", name);
        n++;
    }
    return sac_learning_write_metrics(r->job->folder, epochs, count, best, columns, n, error);
}

static sac_status on_epoch(void *user, const sac_learning_epoch *epochs, int64_t count,
                           int64_t best, sac_error *error) {
    const training *r = user;
    const sac_learning_epoch *e = &epochs[count - 1];
    const sac_ssmtl_losses valid = sac_ssmtl_losses_get(e->valid);
    char text[400] = "";
    size_t at = 0;
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        if ((r->tasks & SAC_SSMTL_BIT(k)) == 0 || at >= sizeof text) continue;
        int n = snprintf(text + at, sizeof text - at, "%s%s %.4f", at > 0 ? ", " : "",
                         sac_ssmtl_task_name(k), valid.task[k]);
        at += n > 0 ? (size_t)n : 0;
        if (!sac_ssmtl_has_accuracy(k) || at >= sizeof text) continue;
        n = snprintf(text + at, sizeof text - at, " %.1f %%", 100 * valid.accuracy[k]);
        at += n > 0 ? (size_t)n : 0;
    }
    sac_family_say(&r->job->listener, "epoch %lld/%lld: train %.4f, valid %.4f (%s)%s",
                   (long long)e->epoch, (long long)r->options->learning.epochs, e->train[0],
                   valid.total, text, best == count - 1 ? ", best" : "");
    return write_metrics(r, epochs, count, best, error);
}

static json_t *losses_json(const double losses[SAC_SSMTL_LOSS_VALUES], unsigned tasks) {
    const sac_ssmtl_losses l = sac_ssmtl_losses_get(losses);
    json_t *json = json_object();
    bool good = json_object_set_new(json, "total", sac_json_number(l.total)) == 0;
    for (int k = 0; good && k < SAC_SSMTL_TASKS; k++) {
        if ((tasks & SAC_SSMTL_BIT(k)) == 0) continue;
        char name[64];
        (void)snprintf(name, sizeof name, "%s", sac_ssmtl_task_name(k));
        good = json_object_set_new(json, name, sac_json_number(l.task[k])) == 0;
        if (!good || !sac_ssmtl_has_accuracy(k)) continue;
        (void)snprintf(name, sizeof name, "%s_accuracy", sac_ssmtl_task_name(k));
        good = json_object_set_new(json, name, sac_json_number(l.accuracy[k])) == 0;
    }
    if (good) return json;
    json_decref(json);
    return NULL;
}

// File names of the networks that are imitated, without folders.
static json_t *imitated_json(const sac_ssmtl_options *options) {
    json_t *json = json_object();
    for (int t = 0; json != NULL && t < SAC_SSMTL_TARGETS; t++) {
        const char *text = options->imitate[t];
        if (text == NULL) continue;
        json_t *value = sac_json_text(sac_path_last(text));
        if (json_object_set_new(json, sac_ssmtl_task_name(SAC_SSMTL_DISTILLATION + t), value) !=
            0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static json_t *metrics_json(const sac_ssmtl_report *report, unsigned tasks,
                            const sac_calibration *calibration) {
    const sac_learning_report *p = &report->learning;
    const sac_learning_epoch *best = &p->epochs[p->best];
    double rate = p->seconds > 0 ? (double)p->samples / p->seconds : NAN;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:f, s:o, s:o, s:o}", "epochs",
                     (json_int_t)p->count, "best_epoch", (json_int_t)p->best + 1, "samples",
                     (json_int_t)p->samples, "training_objects", (json_int_t)p->training_objects,
                     "held_back_objects", (json_int_t)p->held_back_objects, "training_minutes",
                     p->seconds / 60, "waited_for_batches_s", report->waited, "samples_per_s",
                     sac_json_number(rate), "cpu_ms_per_sample", 1000 * report->cpu_per_sample,
                     "train", losses_json(best->train, tasks), "valid",
                     losses_json(best->valid, tasks), "calibration",
                     sac_calibration_tasks_json(calibration));
}

static sac_status check(const void *options, sac_error *error) {
    return sac_ssmtl_options_check(options, error);
}

static sac_status train(json_t **metrics, const sac_family_job *job, sac_error *error) {
    sac_status status = SAC_OK;
    training r = {.job = job, .options = job->options};
    teacher t = {0};
    sac_ssmtl_report report = {0};
    json_t *provenance = NULL;
    const sac_learning_report *learned = &report.learning;
    *metrics = NULL;
    SAC_TRY(sac_ssmtl_tasks_parse(&r.tasks, r.options->tasks, error));
    SAC_TRY(sac_ssmtl_train(&t.model, &report, job, on_epoch, &r, error));
    SAC_TRY(write_metrics(&r, learned->epochs, learned->count, learned->best, error));
    sac_family_say(&job->listener, "trained on %lld samples in %.1f minutes, kept epoch %lld",
                   (long long)learned->samples, learned->seconds / 60,
                   (long long)learned->best + 1);
    t.model->calibration.normalisation = (sac_normalisation)r.options->normalisation;
    SAC_TRY(sac_ssmtl_scorer_create(&t.scorer, t.model, BATCH, r.options->learning.backend, error));
    SAC_TRY(sac_family_calibrate(&t.model->calibration, job, &sac_ssmtl_family, &t, error));
    SAC_TRY_ALLOC(*metrics = metrics_json(&report, r.tasks, &t.model->calibration));
    if (json_object_set_new(*metrics, "imitated", imitated_json(r.options)) != 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    SAC_TRY_ALLOC(provenance = sac_family_provenance(job, *metrics));
    SAC_TRY(sac_ssmtl_model_write(t.model, job->file, provenance, error));
fail:
    if (status < 0) {
        json_decref(*metrics);
        *metrics = NULL;
    }
    json_decref(provenance);
    sac_free(report.learning.epochs);
    sac_ssmtl_scorer_close(&t.scorer);
    sac_ssmtl_model_close(&t.model);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the teacher") : SAC_OK;
}

const sac_family sac_ssmtl_family = {
    .name = "ssmtl",
    .summary = "proxy tasks learned on object-centric sequences by a 3D CNN",
    .borrows = true,
    .mirrors = true, // trained on mirrored sequences as well
    .check = check,
    .train = train,
    .open = open_teacher,
    .score = score_objects,
    .close = close_teacher,
};
