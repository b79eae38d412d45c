// Training of the SSMTL teacher: it learns, it is deterministic, and an interrupted run continues
// exactly.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "helper.h"
#include "image_network_make.h"
#include "teachers/ssmtl_train.h"

enum { W = 64, H = 48, FRAMES = 40, CLIPS = 2, PER_FRAME = 3 };

typedef struct scene {
    sac_family_clip clips[CLIPS];
    sac_detections detections[CLIPS];
} scene;

// Objects that slide right at constant speed over a ground with texture: forward and backward play
// differ.
static void make_scene(scene *s) {
    *s = (scene){0};
    sac_rng rng;
    sac_rng_seed(&rng, 21, 0);
    for (int c = 0; c < CLIPS; c++) {
        uint8_t *pixels = sac_calloc((int64_t)W * H * FRAMES, 1);
        sac_detections *d = &s->detections[c];
        d->frames = FRAMES;
        d->start = sac_calloc(FRAMES + 1, sizeof *d->start);
        d->boxes = sac_calloc(FRAMES * PER_FRAME, sizeof *d->boxes);
        for (int t = 0; t < FRAMES; t++) {
            uint8_t *frame = pixels + (int64_t)t * W * H;
            for (int p = 0; p < W * H; p++) frame[p] = (uint8_t)(80 + (p * 7 + c * 3) % 23);
            for (int i = 0; i < PER_FRAME; i++) {
                int x1 = (i * 19 + t) % (W - 10), y1 = 2 + i * 15;
                for (int y = y1; y < y1 + 12; y++) {
                    // A bright front and a dark back tell the direction.
                    for (int x = x1; x < x1 + 8; x++) frame[y * W + x] = x >= x1 + 4 ? 230 : 20;
                }
                d->boxes[d->count++] =
                    (sac_box){(float)x1 - 1, (float)y1 - 1, (float)x1 + 9, (float)y1 + 13, 1, -1};
            }
            d->start[t + 1] = d->count;
        }
        s->clips[c] = (sac_family_clip){.pixels = pixels, .width = W, .height = H, .detections = d};
    }
}

static void close_scene(scene *s) {
    for (int c = 0; c < CLIPS; c++) {
        sac_free((void *)(uintptr_t)s->clips[c].pixels);
        sac_detections_close(&s->detections[c]);
    }
}

static sac_ssmtl_options small_options(void) {
    sac_ssmtl_options o = sac_ssmtl_default_options();
    o.design.crop_size = 16;
    o.learning.batch = 8;
    o.learning.epochs = 3;
    o.learning.samples_per_epoch = 40;
    o.learning.validation_samples = 13; // not a multiple of the batch
    o.learning.checkpoint_minutes = 1000;
    return o;
}

static sac_family_job job_of(const scene *s, const sac_ssmtl_options *o) {
    return (sac_family_job){.clips = s->clips, .count = CLIPS, .options = o, .stamp = "stamp"};
}

static void assert_same_models(const sac_ssmtl_model *a, const sac_ssmtl_model *b) {
    cr_assert_eq(sac_params_count(a->params), sac_params_count(b->params));
    for (int64_t i = 0; i < sac_params_count(a->params); i++) {
        const sac_param *pa = sac_params_at(a->params, i), *pb = sac_params_at(b->params, i);
        cr_assert_eq(memcmp(pa->data, pb->data, (size_t)pa->count * sizeof(float)), 0, "%s differs",
                     pa->name);
    }
}

Test(teachers_train, split) {
    cr_assert_eq(sac_family_train_count(0), 0);
    cr_assert_eq(sac_family_train_count(1), 1);
    cr_assert_eq(sac_family_train_count(100), 85);
    cr_assert_eq(sac_family_train_count(7), 5);
    // 120 objects a clip, of which 18 are held back; of both clips' 36 every ninth is taken.
    scene s;
    make_scene(&s);
    const sac_family_job job = {.clips = s.clips, .count = CLIPS};
    sac_family_objects objects;
    sac_error error = {0};
    sac_assert_ok(sac_family_split(&objects, &job, 4, &error), &error);
    cr_assert(objects.train == 2 * 102 && objects.valid == 4 && objects.held_back == 36);
    for (int64_t i = 0; i < objects.train + objects.valid; i++) {
        const sac_family_object *o = &objects.all[i];
        const int64_t held = (i - objects.train) * 9,
                      at = i < objects.train ? i % 102 : 102 + held % 18;
        cr_assert_eq(o->clip, i < objects.train ? i / 102 : held / 18);
        cr_assert_eq(o->box, at);
        cr_assert_eq(o->t, at / PER_FRAME);
    }
    sac_free(objects.all);
    close_scene(&s);
}

static double object_score(const sac_ssmtl_model *model, const float *tasks) {
    return (double)sac_calibration_score(sac_calibration_combine(&model->calibration, tasks));
}

Test(teachers_train, learns_the_tasks) {
    scene s;
    make_scene(&s);
    sac_ssmtl_options o = small_options();
    o.learning.epochs = 5;
    o.learning.batch = 16;
    o.learning.samples_per_epoch = 640;
    o.learning.validation_samples = 0;
    o.learning.learning_rate = 3e-3;
    o.augmentation.jitter = o.augmentation.brightness = 0.5;
    const sac_family_job job = job_of(&s, &o);
    sac_ssmtl_model *model = NULL;
    sac_ssmtl_report report = {0};
    sac_error error = {0};
    sac_assert_ok(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), &error);
    const sac_learning_report *p = &report.learning;
    const sac_ssmtl_losses best = sac_ssmtl_losses_get(p->epochs[p->best].valid);
    cr_assert_eq(p->count, 5);
    cr_assert_eq(p->training_objects, 2 * 102);
    cr_assert_eq(p->held_back_objects, 2 * 18);
    cr_assert_lt(best.total, p->epochs[0].train[0]);
    cr_assert_gt(best.accuracy[SAC_SSMTL_ARROW], 0.9, "arrow %g", best.accuracy[SAC_SSMTL_ARROW]);
    cr_assert_gt(best.accuracy[SAC_SSMTL_IRREGULARITY], 0.75, "irregularity %g",
                 best.accuracy[SAC_SSMTL_IRREGULARITY]);
    cr_assert_lt(best.task[SAC_SSMTL_MIDDLE], 0.12, "middle %g", best.task[SAC_SSMTL_MIDDLE]);
    for (int64_t i = 0; i < p->count; i++) {
        cr_assert_geq(p->epochs[i].valid[0], best.total);
    }
    // Objects twice as fast are scored higher than the training objects are.
    sac_ssmtl_scorer *scorer = NULL;
    sac_assert_ok(sac_ssmtl_scorer_create(&scorer, model, 16, SAC_BACKEND_ONEDNN, &error), &error);
    int64_t count = s.detections[0].count;
    float *tasks = sac_calloc(count * 3, sizeof *tasks);
    sac_assert_ok(sac_ssmtl_scorer_run(scorer, tasks, &s.detections[0], s.clips[0].pixels, W, H,
                                       NULL, NULL, NULL, &error),
                  &error);
    sac_assert_ok(sac_calibration_fit(&model->calibration, tasks, count, &error), &error);
    enum { FAST = FRAMES / 2 };
    uint8_t *fast = sac_calloc((int64_t)W * H * FAST, 1);
    for (int t = 0; t < FAST; t++) {
        memcpy(fast + (int64_t)t * W * H, s.clips[0].pixels + (int64_t)2 * t * W * H, W * H);
    }
    sac_detections d = {.frames = FAST, .start = sac_calloc(FAST + 1, sizeof *d.start)};
    d.boxes = sac_calloc(FAST * PER_FRAME, sizeof *d.boxes);
    for (int t = 0; t < FAST; t++) {
        for (int i = 0; i < PER_FRAME; i++) {
            d.boxes[d.count++] = s.detections[0].boxes[s.detections[0].start[2 * t] + i];
        }
        d.start[t + 1] = d.count;
    }
    float *fast_tasks = sac_calloc(d.count * 3, sizeof *fast_tasks);
    sac_assert_ok(
        sac_ssmtl_scorer_run(scorer, fast_tasks, &d, fast, W, H, NULL, NULL, NULL, &error), &error);
    double normal = 0, abnormal = 0;
    for (int64_t i = 0; i < count; i++) {
        normal += object_score(model, tasks + 3 * i) / (double)count;
    }
    for (int64_t i = 0; i < d.count; i++) {
        abnormal += object_score(model, fast_tasks + 3 * i) / (double)d.count;
    }
    cr_assert_gt(abnormal, normal + 0.15, "normal %g, twice as fast %g", normal, abnormal);
    sac_ssmtl_scorer_close(&scorer);
    sac_detections_close(&d);
    sac_free(fast);
    sac_free(tasks);
    sac_free(fast_tasks);
    sac_ssmtl_model_close(&model);
    sac_free(report.learning.epochs);
    close_scene(&s);
}

static int steps_left;
static bool stop_after_steps(void) {
    return steps_left-- <= 1;
}

Test(teachers_train, resumed_equals_uninterrupted) {
    scene s;
    make_scene(&s);
    sac_ssmtl_options o = small_options();
    sac_ssmtl_model *whole = NULL;
    sac_ssmtl_report whole_report = {0}, report = {0};
    sac_error error = {0};
    sac_family_job job = job_of(&s, &o);
    sac_assert_ok(sac_ssmtl_train(&whole, &whole_report, &job, NULL, NULL, &error), &error);
    // 15 steps in all. Stop after 1, then after 3 more (epoch 1), 5 (an epoch's end lies inside),
    // and so on.
    job.checkpoint = sac_test_path("checkpoint.safetensors");
    job.listener.stop = stop_after_steps;
    static const int portions[] = {1, 3, 5, 2};
    sac_ssmtl_model *model = NULL;
    for (int i = 0; i < 4; i++) {
        steps_left = portions[i] + (i == 0 ? CLIPS - 1 : 0); // cutting crops polls too
        job.resume = i > 0;
        error = (sac_error){0};
        sac_assert_error(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error),
                         SAC_ERROR_INTERRUPTED, &error, "interrupted after step", NULL);
        cr_assert_null(model);
    }
    job.resume = true;
    job.listener.stop = NULL;
    error = (sac_error){0};
    sac_assert_ok(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), &error);
    assert_same_models(model, whole);
    cr_assert_eq(report.learning.count, whole_report.learning.count);
    cr_assert_eq(report.learning.best, whole_report.learning.best);
    for (int64_t i = 0; i < report.learning.count; i++) {
        const sac_learning_epoch *a = &report.learning.epochs[i],
                                 *b = &whole_report.learning.epochs[i];
        cr_assert_eq(memcmp(a->train, b->train, sizeof a->train), 0);
        cr_assert_eq(memcmp(a->valid, b->valid, sizeof a->valid), 0);
        cr_assert_eq(a->samples, b->samples);
    }
    sac_ssmtl_model_close(&model);
    sac_free(report.learning.epochs);
    // A finished run resumed again only hands out the result.
    sac_assert_ok(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), &error);
    assert_same_models(model, whole);
    sac_ssmtl_model_close(&model);
    sac_free(report.learning.epochs);
    // Another seed gives another model, or the comparisons above check nothing.
    o.learning.seed = 2;
    job = job_of(&s, &o);
    sac_assert_ok(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), &error);
    const sac_param *a = sac_params_at(model->params, 0), *b = sac_params_at(whole->params, 0);
    cr_assert_neq(memcmp(a->data, b->data, (size_t)a->count * sizeof(float)), 0);
    sac_ssmtl_model_close(&model);
    sac_ssmtl_model_close(&whole);
    sac_free(report.learning.epochs);
    sac_free(whole_report.learning.epochs);
    close_scene(&s);
}

// Everything at once: all tasks with networks to imitate, transformer and masked convolution, crops
// from a file and cut when needed; killed at several steps; then the teacher file scores as the
// model does.
Test(teachers_train, all_tasks_resume_and_score, .timeout = 250) {
    scene s;
    make_scene(&s);
    for (int64_t i = 0; i < s.detections[0].count; i++) {
        s.detections[0].boxes[i].class_id = (int32_t)(i % 3) - 1;
        s.detections[0].boxes[i].confidence = 0.75f;
    }
    sac_ssmtl_options o = small_options();
    char network[1200];
    float weights[TINY_WEIGHTS];
    make_image_network(network, sizeof network, weights, 4);
    o.tasks = "middle,arrow,irregularity,distillation,pose,jigsaw,inpainting,pseudo";
    o.imitate[0] = o.imitate[2] = network;
    o.design.transformer = 1;
    o.design.masked = true;
    o.design.residual = false;
    o.learning.epochs = 2;
    o.learning.samples_per_epoch = 24;
    sac_ssmtl_model *whole = NULL, *model = NULL;
    sac_ssmtl_report whole_report = {0}, report = {0};
    sac_error error = {0};
    sac_family_job job = job_of(&s, &o);
    sac_assert_ok(sac_ssmtl_train(&whole, &whole_report, &job, NULL, NULL, &error), &error);
    job.checkpoint = sac_test_path("all.safetensors");
    job.listener.stop = stop_after_steps;
    static const int portions[] = {1, 3};
    for (int i = 0; i < 2; i++) {
        // The first run polls before the second clip, and both networks per 16 objects of each part
        // of a clip: 102 that train, 7 and 6 that validate.
        steps_left = portions[i] + (i == 0 ? 1 + 2 * (7 + 1 + 7 + 1) : 0);
        job.resume = i > 0;
        error = (sac_error){0};
        sac_assert_error(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error),
                         SAC_ERROR_INTERRUPTED, &error, "interrupted after step", NULL);
    }
    job.resume = true;
    job.listener.stop = NULL;
    error = (sac_error){0};
    sac_assert_ok(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), &error);
    assert_same_models(model, whole);
    cr_assert_eq(model->classes, 2);
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) cr_assert_eq(model->scale[t], whole->scale[t]);
    for (int64_t i = 0; i < report.learning.count; i++) {
        const sac_learning_epoch *a = &report.learning.epochs[i],
                                 *b = &whole_report.learning.epochs[i];
        const sac_ssmtl_losses valid = sac_ssmtl_losses_get(a->valid);
        cr_assert_eq(memcmp(a->valid, b->valid, sizeof a->valid), 0);
        for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
            bool on = k != SAC_SSMTL_SEGMENTATION;
            cr_assert_eq(valid.task[k] > 0, on, "%s", sac_ssmtl_task_name(k));
        }
    }
    sac_free(report.learning.epochs);
    // A network with other weights is another run.
    char other[1200];
    (void)snprintf(other, sizeof other, "%s", network);
    make_image_network(other, sizeof other, weights, 5);
    sac_ssmtl_model *none = NULL;
    sac_assert_error(sac_ssmtl_train(&none, &report, &job, NULL, NULL, &error), SAC_ERROR_FORMAT,
                     &error, "which differ", NULL);
    // The file scores as the model does, with finite scores for every task.
    const char *path = sac_test_path("all.teacher.safetensors");
    const int64_t count = s.detections[0].count;
    const int columns = sac_ssmtl_columns(model->design.tasks);
    sac_ssmtl_scorer *scorer = NULL;
    sac_ssmtl_model *again = NULL;
    float *tasks[2];
    cr_assert_eq(columns, 7);
    error = (sac_error){0};
    model->calibration.objects = 1;
    sac_assert_ok(sac_ssmtl_model_write(model, path, NULL, &error), &error);
    sac_assert_ok(sac_ssmtl_model_read(&again, path, &error), &error);
    cr_assert_null(again->networks[0], "not needed with classes");
    cr_assert_not_null(again->networks[2]);
    for (int i = 0; i < 2; i++) {
        tasks[i] = sac_calloc(count * columns, sizeof(float));
        sac_assert_ok(sac_ssmtl_scorer_create(&scorer, i == 0 ? model : again, 16,
                                              SAC_BACKEND_ONEDNN, &error),
                      &error);
        sac_assert_ok(sac_ssmtl_scorer_run(scorer, tasks[i], &s.detections[0], s.clips[0].pixels, W,
                                           H, NULL, NULL, NULL, &error),
                      &error);
        sac_ssmtl_scorer_close(&scorer);
    }
    cr_assert_eq(memcmp(tasks[0], tasks[1], (size_t)(count * columns) * sizeof(float)), 0);
    int distilled = sac_ssmtl_column_task(model->design.tasks, 3);
    cr_assert_eq(distilled, SAC_SSMTL_DISTILLATION);
    for (int64_t i = 0; i < count; i++) cr_assert(tasks[0][i * columns + 3] >= 0);
    for (int i = 0; i < 2; i++) sac_free(tasks[i]);
    sac_ssmtl_model_close(&again);
    sac_ssmtl_model_close(&model);
    sac_ssmtl_model_close(&whole);
    sac_free(whole_report.learning.epochs);
    // Networks and tasks must fit each other.
    job = job_of(&s, &o);
    for (int i = 0; i < 2; i++) {
        o.imitate[2] = i == 0 ? NULL : network;
        o.imitate[1] = i == 0 ? NULL : network;
        error = (sac_error){0};
        sac_assert_error(sac_ssmtl_train(&none, &report, &job, NULL, NULL, &error),
                         SAC_ERROR_ARGUMENT, &error, i == 0 ? "pose" : "segmentation", NULL);
    }
    close_scene(&s);
}

Test(teachers_train, refuses_foreign_checkpoints) {
    scene s;
    make_scene(&s);
    sac_ssmtl_options o = small_options();
    o.learning.epochs = 1;
    o.learning.samples_per_epoch = 8;
    sac_family_job job = job_of(&s, &o);
    job.checkpoint = sac_test_path("foreign.safetensors");
    job.stamp = "one";
    sac_ssmtl_model *model = NULL;
    sac_ssmtl_report report = {0};
    sac_error error = {0};
    sac_assert_ok(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), &error);
    sac_ssmtl_model_close(&model);
    sac_free(report.learning.epochs);
    job.resume = true;
    job.stamp = "two";
    sac_assert_error(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), SAC_ERROR_FORMAT,
                     &error, "foreign.safetensors", "one", "two", NULL);
    job.stamp = "one";
    error = (sac_error){0};
    sac_safetensors *st = NULL;
    sac_assert_ok(sac_safetensors_create(&st), &error);
    sac_assert_ok(sac_safetensors_write(st, job.checkpoint, &error), &error);
    sac_safetensors_close(&st);
    sac_assert_error(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), SAC_ERROR_FORMAT,
                     &error, "foreign.safetensors", "checkpoint", NULL);
    error = (sac_error){0};
    sac_test_write("foreign.safetensors", "abc", 3);
    sac_assert_error(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), SAC_ERROR_FORMAT,
                     &error, "foreign.safetensors", NULL);
    error = (sac_error){0};
    job.checkpoint = "/nowhere/c";
    job.resume = false;
    sac_assert_error(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), SAC_ERROR_IO,
                     &error, "/nowhere", NULL);
    close_scene(&s);
}

Test(teachers_train, time_limit_ends_learning) {
    scene s;
    make_scene(&s);
    sac_ssmtl_options o = small_options();
    o.learning.epochs = 100000;
    o.learning.max_minutes = 1e-4;
    sac_ssmtl_model *model = NULL;
    sac_ssmtl_report report = {0};
    sac_error error = {0};
    const sac_family_job job = job_of(&s, &o);
    sac_assert_ok(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), &error);
    cr_assert_eq(report.learning.count, 1, "the epoch is closed early");
    cr_assert_eq(report.learning.best, 0);
    cr_assert(isfinite(report.learning.epochs[0].valid[0]));
    sac_ssmtl_model_close(&model);
    sac_free(report.learning.epochs);
    close_scene(&s);
}

Test(teachers_train, refuses_bad_options) {
    scene s;
    make_scene(&s);
    sac_ssmtl_model *model = NULL;
    sac_ssmtl_report report = {0};
    for (int i = 0; i < 7; i++) {
        sac_ssmtl_options o = small_options();
        if (i == 0) o.learning.batch = 1;
        if (i == 1) o.learning.epochs = 0;
        if (i == 2) o.learning.learning_rate = NAN;
        if (i == 3) o.learning.learning_rate = 0;
        if (i == 4) o.learning.max_minutes = -1;
        if (i == 5) o.augmentation.jitter = 2;
        if (i == 6) o.weight_decay = -1;
        sac_error error = {0};
        const sac_family_job job = job_of(&s, &o);
        sac_assert_error(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error),
                         SAC_ERROR_ARGUMENT, &error, "out of range", NULL);
    }
    sac_ssmtl_options o = small_options();
    sac_error error = {0};
    sac_detections none = {.frames = FRAMES, .start = sac_calloc(FRAMES + 1, sizeof(int64_t))};
    sac_family_clip clip = s.clips[0];
    clip.detections = &none;
    const sac_family_job job = {.clips = &clip, .count = 1, .options = &o, .stamp = ""};
    sac_assert_error(sac_ssmtl_train(&model, &report, &job, NULL, NULL, &error), SAC_ERROR_ARGUMENT,
                     &error, "0 objects", "detector", NULL);
    sac_detections_close(&none);
    close_scene(&s);
}
