// The background-agnostic teacher behind the interface of teacher families: runs the training,
// reports it, calibrates and writes the teacher file. Holds no part of the method.
#include "teachers/agnostic_family.h"

#include <math.h>
#include <stdio.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "teachers/agnostic_train.h"

// Objects per run of the networks: large enough to keep the cores busy, small enough for the cache
// of a few.
enum { BATCH = 32 };

static const char *const VALUE_NAMES[SAC_AGNOSTIC_VALUES] = {
    "normal_error", "pseudo_error", "adversary_error", "cross_entropy", "accuracy"};

typedef struct teacher {
    sac_agnostic_model *model;
    sac_agnostic_scorer *scorer;
} teacher;

static void close_teacher(void **slot) {
    if (slot == NULL || *slot == NULL) return;
    teacher *t = *slot;
    sac_agnostic_scorer_close(&t->scorer);
    sac_agnostic_model_close(&t->model);
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
    SAC_TRY(sac_agnostic_model_parse(&t->model, st, path, error));
    SAC_TRY(sac_agnostic_scorer_create(&t->scorer, t->model, BATCH, context->backend, error));
    *calibration = t->model->calibration;
fail:
    return status;
}

static sac_status score_objects(void *state, float *tasks, const sac_detections *detections,
                                const uint8_t *pixels, int width, int height, bool (*stop)(void),
                                void (*progress)(void *user, int64_t objects_done), void *user,
                                sac_error *error) {
    teacher *t = state;
    return sac_agnostic_scorer_run(t->scorer, tasks, detections, pixels, width, height, stop,
                                   progress, user, error);
}

// ---- training -----------------------------------------------------------------------------------

static sac_status write_metrics(const sac_family_job *job, const sac_learning_epoch *epochs,
                                int64_t count, int64_t best, sac_error *error) {
    sac_learning_column columns[SAC_AGNOSTIC_LOSSES] = {{.name = "loss"}};
    for (int i = 1; i < SAC_AGNOSTIC_LOSSES; i++) {
        sac_learning_column *column = &columns[i];
        column->value = i;
        (void)snprintf(column->name, sizeof column->name, "%s_%s",
                       sac_agnostic_branch_name((i - 1) / SAC_AGNOSTIC_VALUES),
                       VALUE_NAMES[(i - 1) % SAC_AGNOSTIC_VALUES]);
    }
    return sac_learning_write_metrics(job->folder, epochs, count, best, columns,
                                      SAC_AGNOSTIC_LOSSES, error);
}

static sac_status on_epoch(void *user, const sac_learning_epoch *epochs, int64_t count,
                           int64_t best, sac_error *error) {
    const sac_family_job *job = user;
    const sac_agnostic_options *options = job->options;
    const sac_learning_epoch *e = &epochs[count - 1];
    const sac_agnostic_losses v = sac_agnostic_losses_get(e->valid);
    double normal[SAC_AGNOSTIC_BRANCHES], pseudo[SAC_AGNOSTIC_BRANCHES];
    double accuracy[SAC_AGNOSTIC_BRANCHES];
    for (int k = 0; k < SAC_AGNOSTIC_BRANCHES; k++) {
        normal[k] = v.of[k][SAC_AGNOSTIC_NORMAL];
        pseudo[k] = v.of[k][SAC_AGNOSTIC_PSEUDO];
        accuracy[k] = 100 * v.of[k][SAC_AGNOSTIC_ACCURACY];
    }
    sac_family_say(
        &job->listener,
        "epoch %lld/%lld: train %.4f, valid %.4f (appearance %.3f/%.3f %.1f %%, backward "
        "%.3f/%.3f %.1f %%, forward %.3f/%.3f %.1f %%: error normal/pseudo-abnormal, "
        "accuracy)%s",
        (long long)e->epoch, (long long)options->learning.epochs, e->train[0], v.total, normal[0],
        pseudo[0], accuracy[0], normal[1], pseudo[1], accuracy[1], normal[2], pseudo[2],
        accuracy[2], best == count - 1 ? ", best" : "");
    return write_metrics(job, epochs, count, best, error);
}

// {"total", BRANCH: {VALUE: number}}; NULL when memory is short.
static json_t *losses_json(const double losses[SAC_AGNOSTIC_LOSSES]) {
    const sac_agnostic_losses l = sac_agnostic_losses_get(losses);
    json_t *json = json_pack("{s:o}", "total", sac_json_number(l.total));
    for (int k = 0; json != NULL && k < SAC_AGNOSTIC_BRANCHES; k++) {
        json_t *row = json_object();
        bool failed = row == NULL;
        for (int v = 0; v < SAC_AGNOSTIC_VALUES && !failed; v++)
            failed = json_object_set_new(row, VALUE_NAMES[v], sac_json_number(l.of[k][v])) != 0;
        if (failed) json_decref(row);
        if (failed || json_object_set_new(json, sac_agnostic_branch_name(k), row) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static json_t *metrics_json(const sac_agnostic_report *report, const sac_agnostic_model *model) {
    const sac_learning_report *p = &report->learning;
    const sac_learning_epoch *best = &p->epochs[p->best];
    double rate = p->seconds > 0 ? (double)p->samples / p->seconds : NAN;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:f, s:o, s:o, s:o}", "epochs",
                     (json_int_t)p->count, "best_epoch", (json_int_t)p->best + 1, "samples",
                     (json_int_t)p->samples, "training_objects", (json_int_t)p->training_objects,
                     "held_back_objects", (json_int_t)p->held_back_objects, "training_minutes",
                     p->seconds / 60, "flow_minutes", report->flow_seconds / 60, "samples_per_s",
                     sac_json_number(rate), "flow_unit", model->flow_unit, "train",
                     losses_json(best->train), "valid", losses_json(best->valid), "calibration",
                     sac_calibration_tasks_json(&model->calibration));
}

static sac_status check(const void *options, sac_error *error) {
    return sac_agnostic_options_check(options, error);
}

static sac_status train(json_t **metrics, const sac_family_job *job, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_agnostic_options *options = job->options;
    teacher t = {0};
    sac_agnostic_report report = {0};
    const sac_learning_report *learned = &report.learning;
    json_t *provenance = NULL;
    sac_family_job own = *job;
    *metrics = NULL;
    SAC_TRY(sac_agnostic_train(&t.model, &report, job, on_epoch, &own, error));
    SAC_TRY(write_metrics(job, learned->epochs, learned->count, learned->best, error));
    sac_family_say(&job->listener,
                   "trained on %lld samples in %.1f minutes (after %.1f for the optical flow, unit "
                   "%.2f px), kept epoch %lld",
                   (long long)learned->samples, learned->seconds / 60, report.flow_seconds / 60,
                   t.model->flow_unit, (long long)learned->best + 1);
    SAC_TRY(
        sac_agnostic_scorer_create(&t.scorer, t.model, BATCH, options->learning.backend, error));
    SAC_TRY(sac_family_calibrate(&t.model->calibration, job, &sac_agnostic_family, &t, error));
    SAC_TRY_ALLOC(*metrics = metrics_json(&report, t.model));
    SAC_TRY_ALLOC(provenance = sac_family_provenance(job, *metrics));
    SAC_TRY(sac_agnostic_model_write(t.model, job->file, provenance, error));
fail:
    if (status < 0) {
        json_decref(*metrics);
        *metrics = NULL;
    }
    json_decref(provenance);
    sac_free(report.learning.epochs);
    sac_agnostic_scorer_close(&t.scorer);
    sac_agnostic_model_close(&t.model);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the teacher") : SAC_OK;
}

const sac_family sac_agnostic_family = {
    .name = "background-agnostic",
    .summary = "appearance and flow auto-encoders trained against pseudo-abnormal examples",
    .mirrors = true, // trained on mirrored objects as well
    .check = check,
    .train = train,
    .open = open_teacher,
    .score = score_objects,
    .close = close_teacher,
};
