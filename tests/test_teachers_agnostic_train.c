// Training of the background-agnostic teacher: it learns, it is deterministic, and an interrupted
// run continues exactly.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "agnostic_scene.h"
#include "core/safetensors.h"
#include "helper.h"
#include "nn/infer.h"
#include "teachers/agnostic_train.h"

// One thread: where other programs use the cores, threads that wait for each other in such small
// batches take minutes.
static void set_up(void) {
    sac_nn_set_threads(1);
}
TestSuite(teachers_agnostic_train, .init = set_up);

static sac_agnostic_options small_options(void) {
    sac_agnostic_options o = sac_agnostic_default_options();
    o.crop_size = 16;
    o.learning.batch = 8;
    o.learning.epochs = 3;
    o.learning.samples_per_epoch = 40;
    o.learning.validation_samples = 13; // not a multiple of the batch
    o.learning.checkpoint_minutes = 1000;
    return o;
}

static sac_family_job job_of(const scene *s, const sac_agnostic_options *o) {
    return (sac_family_job){
        .clips = s->clips, .count = SCENE_CLIPS, .options = o, .stamp = "stamp"};
}

static void assert_same_models(const sac_agnostic_model *a, const sac_agnostic_model *b) {
    cr_assert_eq(sac_params_count(a->params), sac_params_count(b->params));
    cr_assert_eq(a->flow_unit, b->flow_unit);
    for (int64_t i = 0; i < sac_params_count(a->params); i++) {
        const sac_param *pa = sac_params_at(a->params, i), *pb = sac_params_at(b->params, i);
        cr_assert_eq(memcmp(pa->data, pb->data, (size_t)pa->count * sizeof(float)), 0, "%s differs",
                     pa->name);
    }
}

// Mean task scores over all objects of a scene.
static void mean_tasks(double mean[3], const sac_agnostic_model *model, const scene *s) {
    sac_error error = {0};
    sac_agnostic_scorer *scorer = NULL;
    const sac_detections *d = &s->detections[0];
    float *tasks = sac_calloc(3 * d->count, sizeof *tasks);
    sac_assert_ok(sac_agnostic_scorer_create(&scorer, model, 16, SAC_BACKEND_ONEDNN, &error),
                  &error);
    sac_assert_ok(sac_agnostic_scorer_run(scorer, tasks, d, s->clips[0].pixels, SCENE_W, SCENE_H,
                                          NULL, NULL, NULL, &error),
                  &error);
    for (int k = 0; k < 3; k++) mean[k] = 0;
    for (int64_t i = 0; i < 3 * d->count; i++) mean[i % 3] += (double)tasks[i] / (double)d->count;
    sac_agnostic_scorer_close(&scorer);
    sac_free(tasks);
}

Test(teachers_agnostic_train, learns_what_is_normal) {
    scene s, fast;
    scene_make(&s, 1);
    scene_make(&fast, 3);
    sac_agnostic_options o = small_options();
    o.learning.epochs = 4;
    o.learning.batch = 16;
    o.learning.samples_per_epoch = 384;
    o.learning.validation_samples = 0;
    o.learning.learning_rate = 3e-3;
    sac_agnostic_model *model = NULL;
    sac_agnostic_report report = {0};
    sac_error error = {0};
    sac_family_job job = job_of(&s, &o);
    sac_assert_ok(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error), &error);
    const sac_learning_report *p = &report.learning;
    const sac_agnostic_losses first = sac_agnostic_losses_get(p->epochs[0].train),
                              train = sac_agnostic_losses_get(p->epochs[p->best].train),
                              best = sac_agnostic_losses_get(p->epochs[p->best].valid);
    cr_assert_eq(p->count, 4);
    cr_assert_eq(p->training_objects, 2 * 102);
    cr_assert_eq(p->held_back_objects, 2 * 18);
    cr_assert_lt(best.total, first.total);
    cr_assert(model->flow_unit > 0.7 && model->flow_unit < 2, "unit %g px", model->flow_unit);
    double total = 0;
    for (int k = 0; k < SAC_AGNOSTIC_BRANCHES; k++) {
        const double *v = best.of[k];
        cr_assert_gt(v[SAC_AGNOSTIC_ACCURACY], 0.8, "%s: %g", sac_agnostic_branch_name(k),
                     v[SAC_AGNOSTIC_ACCURACY]);
        cr_assert_gt(v[SAC_AGNOSTIC_PSEUDO], 1.2 * v[SAC_AGNOSTIC_NORMAL],
                     "%s: error %g of normal, %g of pseudo-abnormal crops",
                     sac_agnostic_branch_name(k), v[SAC_AGNOSTIC_NORMAL], v[SAC_AGNOSTIC_PSEUDO]);
        cr_assert_eq(v[SAC_AGNOSTIC_ADVERSARY], 0);
        cr_assert_gt(train.of[k][SAC_AGNOSTIC_ADVERSARY], 0);
        total += (v[SAC_AGNOSTIC_NORMAL] + v[SAC_AGNOSTIC_VERDICT]) / 3;
    }
    cr_assert_float_eq(best.total, total, 1e-9);
    for (int64_t i = 0; i < p->count; i++)
        cr_assert_geq(p->epochs[i].valid[0], best.total);
    // Objects three times as fast are more abnormal by both flows.
    double normal[3], abnormal[3];
    mean_tasks(normal, model, &s);
    mean_tasks(abnormal, model, &fast);
    for (int k = 1; k < 3; k++)
        cr_assert_gt(abnormal[k], normal[k] + 0.3, "%s: %g, fast %g", sac_agnostic_branch_name(k),
                     normal[k], abnormal[k]);
    sac_agnostic_model_close(&model);
    sac_free(report.learning.epochs);
    scene_close(&s);
    scene_close(&fast);
}

static int steps_left;
static bool flow_done;
static bool stop_after_steps(void) {
    return flow_done && steps_left-- <= 1;
}
static void watch(void *user, const char *stage, const char *unit, int64_t done, int64_t total,
                  const char *note) {
    (void)user, (void)unit, (void)done, (void)total, (void)note;
    if (strcmp(stage, "train") == 0) flow_done = true;
}

Test(teachers_agnostic_train, resumed_equals_uninterrupted) {
    scene s;
    scene_make(&s, 1);
    sac_agnostic_options o = small_options();
    sac_agnostic_model *whole = NULL, *model = NULL;
    sac_agnostic_report whole_report = {0}, report = {0};
    sac_error error = {0};
    sac_family_job job = job_of(&s, &o);
    sac_assert_ok(sac_agnostic_train(&whole, &whole_report, &job, NULL, NULL, &error), &error);
    // 15 steps in all. Stop after 1, then after 3 more, after 5 (an epoch's end lies inside), and
    // so on.
    job.checkpoint = sac_test_path("checkpoint.safetensors");
    job.listener = (sac_family_listener){.stop = stop_after_steps, .progress = watch};
    static const int portions[] = {1, 3, 5, 2};
    for (int i = 0; i < 4; i++) {
        steps_left = portions[i];
        flow_done = false;
        job.resume = i > 0;
        error = (sac_error){0};
        sac_assert_error(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error),
                         SAC_ERROR_INTERRUPTED, &error, "interrupted after step", NULL);
        cr_assert_null(model);
    }
    // Twice: a finished run resumed again only hands out the result.
    job.listener = (sac_family_listener){0};
    for (int i = 0; i < 2; i++) {
        error = (sac_error){0};
        sac_assert_ok(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error), &error);
        assert_same_models(model, whole);
        cr_assert_eq(report.learning.count, whole_report.learning.count);
        cr_assert_eq(report.learning.best, whole_report.learning.best);
        for (int64_t e = 0; e < report.learning.count; e++) {
            const sac_learning_epoch *a = &report.learning.epochs[e],
                                     *b = &whole_report.learning.epochs[e];
            cr_assert_eq(memcmp(a->train, b->train, sizeof a->train), 0);
            cr_assert_eq(memcmp(a->valid, b->valid, sizeof a->valid), 0);
            cr_assert_eq(a->samples, b->samples);
        }
        sac_agnostic_model_close(&model);
        sac_free(report.learning.epochs);
    }
    // Another seed gives another model, or the comparisons above check nothing.
    o.learning.seed = 2;
    job = job_of(&s, &o);
    sac_assert_ok(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error), &error);
    const sac_param *a = sac_params_at(model->params, 0), *b = sac_params_at(whole->params, 0);
    cr_assert_neq(memcmp(a->data, b->data, (size_t)a->count * sizeof(float)), 0);
    sac_agnostic_model_close(&model);
    sac_agnostic_model_close(&whole);
    sac_free(report.learning.epochs);
    sac_free(whole_report.learning.epochs);
    scene_close(&s);
}

Test(teachers_agnostic_train, refuses_foreign_checkpoints) {
    scene s;
    scene_make(&s, 1);
    sac_agnostic_options o = small_options();
    o.learning.epochs = 1;
    o.learning.samples_per_epoch = 8;
    sac_agnostic_model *model = NULL;
    sac_agnostic_report report = {0};
    sac_error error = {0};
    sac_family_job job = job_of(&s, &o);
    job.checkpoint = sac_test_path("foreign.safetensors");
    sac_assert_ok(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error), &error);
    sac_agnostic_model_close(&model);
    sac_free(report.learning.epochs);
    job.resume = true;
    job.stamp = "two";
    sac_assert_error(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error),
                     SAC_ERROR_FORMAT, &error, "foreign.safetensors", "stamp", "two", NULL);
    // Counters that cannot be.
    sac_safetensors *st = NULL, *bad = NULL;
    error = (sac_error){0};
    sac_assert_ok(sac_safetensors_read(&st, job.checkpoint, &error), &error);
    sac_assert_ok(sac_safetensors_create(&bad), &error);
    sac_assert_ok(
        sac_safetensors_set_metadata(bad, "format", "saccade-agnostic-checkpoint", &error), &error);
    sac_assert_ok(sac_safetensors_set_metadata(bad, "stamp", "two", &error), &error);
    for (int64_t i = 0; i < sac_safetensors_count(st); i++) {
        const sac_named_tensor *t = sac_safetensors_at(st, i);
        if (strcmp(t->name, "state.counts") == 0) ((int64_t *)t->data)[3] = 99;
        sac_assert_ok(
            sac_safetensors_add(bad, t->name, t->dtype, t->ndims, t->dims, t->data, &error),
            &error);
    }
    sac_assert_ok(sac_safetensors_write(bad, job.checkpoint, &error), &error);
    sac_safetensors_close(&st);
    sac_safetensors_close(&bad);
    sac_assert_error(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error),
                     SAC_ERROR_FORMAT, &error, "counters", NULL);
    error = (sac_error){0};
    sac_test_write("foreign.safetensors", "abc", 3);
    sac_assert_error(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error),
                     SAC_ERROR_FORMAT, &error, "foreign.safetensors", NULL);
    error = (sac_error){0};
    job.checkpoint = "/nowhere/c";
    sac_assert_error(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error), SAC_ERROR_IO,
                     &error, "/nowhere", NULL);
    scene_close(&s);
}

static sac_status refuse_epoch(void *user, const sac_learning_epoch *epochs, int64_t count,
                               int64_t best, sac_error *error) {
    (void)user;
    cr_assert(count == 1 && best == 0 && epochs[0].epoch == 1);
    return sac_error_set(error, SAC_ERROR_IO, -1, "no room for epochs");
}

Test(teachers_agnostic_train, limits_and_bad_options) {
    scene s;
    scene_make(&s, 1);
    sac_agnostic_model *model = NULL;
    sac_agnostic_report report = {0};
    for (int i = 0; i < 7; i++) {
        sac_agnostic_options o = small_options();
        if (i == 0) o.learning.batch = 1;
        if (i == 1) o.learning.epochs = 0;
        if (i == 2) o.learning.learning_rate = NAN;
        if (i == 3) o.lambda = -1;
        if (i == 4) o.learning.max_minutes = -1;
        if (i == 5) o.width = 2;
        if (i == 6) o.crop_size = 20;
        sac_error error = {0};
        sac_family_job job = job_of(&s, &o);
        sac_assert_error(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error),
                         SAC_ERROR_ARGUMENT, &error, i < 6 ? "out of range" : "multiple of 8",
                         NULL);
    }
    sac_error error = {0};
    sac_agnostic_options o = small_options();
    sac_family_job job = job_of(&s, &o);
    sac_assert_error(sac_agnostic_train(&model, &report, &job, refuse_epoch, NULL, &error),
                     SAC_ERROR_IO, &error, "no room for epochs", NULL);
    sac_detections none = {.frames = SCENE_FRAMES,
                           .start = sac_calloc(SCENE_FRAMES + 1, sizeof(int64_t))};
    sac_family_clip clip = s.clips[0];
    clip.detections = &none;
    job.clips = &clip;
    job.count = 1;
    error = (sac_error){0};
    sac_assert_error(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "0 objects", "detector", NULL);
    sac_detections_close(&none);
    // A time limit closes the epoch early and ends learning.
    o.learning.epochs = 100000;
    o.learning.max_minutes = 1e-4;
    job = job_of(&s, &o);
    error = (sac_error){0};
    sac_assert_ok(sac_agnostic_train(&model, &report, &job, NULL, NULL, &error), &error);
    cr_assert_eq(report.learning.count, 1);
    cr_assert_eq(report.learning.best, 0);
    cr_assert(isfinite(report.learning.epochs[0].valid[0]));
    sac_agnostic_model_close(&model);
    sac_free(report.learning.epochs);
    scene_close(&s);
}
