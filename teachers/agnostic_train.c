// Training loop of the background-agnostic teacher. Everything that influences the result is in
// `learning`, the sampler and the learners, which a checkpoint holds completely.
#include "teachers/agnostic_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "core/time.h"
#include "nn/infer.h"
#include "nn/loss.h"

// Independent random streams of one seed.
enum { STREAM_SAMPLER = 22, STREAM_VALIDATION = 24 };
enum {
    BRANCHES = SAC_AGNOSTIC_BRANCHES,
    VALUES = SAC_AGNOSTIC_VALUES,
    LOSSES = SAC_AGNOSTIC_LOSSES,
    UNIT_OBJECTS = 2000,
    UNIT_CROP = 16
};
// Of the optical flow of all training clips, that may stay in memory.
#define FLOW_BYTES ((int64_t)512 << 20)
static const double LEAST_UNIT = 0.05;

// Where the crops of a row go.
typedef struct inputs {
    float *of[BRANCHES];
} inputs;

typedef struct trainer {
    const sac_family_job *job;
    sac_agnostic_options options;
    sac_field_store *fields;
    double flow_seconds;
    sac_family_objects objects;
    sac_agnostic_pool pool;
    sac_agnostic_learner *learners[BRANCHES];
    sac_net *net;                     // MODEL
    sac_params *params, *best_params; // of MODEL
    sac_infer *validation;
    sac_rng sampler;
    int64_t *order;         // [objects.train]
    uint64_t *seeds;        // [batch] of the rows' twins
    int64_t *rows;          // [batch] objects of the rows
    float *scratch;         // [batch][2][S][S]
    int64_t crop[BRANCHES]; // values of one
    sac_learning learning;
} trainer;

sac_agnostic_options sac_agnostic_default_options(void) {
    sac_agnostic_options o = {.width = SAC_AGNOSTIC_NARROW,
                              .crop_size = 64,
                              .lambda = 1,
                              .learning = sac_learning_default_options()};
    o.learning.samples_per_epoch = 2048;
    o.learning.validation_samples = 512;
    return o;
}

sac_status sac_agnostic_options_check(const sac_agnostic_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *net = NULL;
    if (o->width < 0 || o->width >= SAC_AGNOSTIC_WIDTH_COUNT || !(o->lambda >= 0) ||
        o->lambda > 1000 || !sac_learning_options_valid(&o->learning)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a training option is out of range (batch 2..4096, epochs from 1, "
                             "learning rate above 0 and at most 1, lambda 0..1000, counts and "
                             "minutes not negative)");
    }
    SAC_TRY(sac_agnostic_net(&net, SAC_AGNOSTIC_MODEL, 0, (sac_agnostic_width)o->width,
                             o->crop_size, 0, error));
fail:
    sac_net_close(&net);
    return status;
}

// ---- data ---------------------------------------------------------------------------------------

static void on_flow(void *user, int64_t done, int64_t total) {
    const trainer *tr = user;
    sac_family_progress(&tr->job->listener, "flow", "frames", done, total, NULL);
}

static sac_status make_fields(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    char *folder = NULL;
    double start = sac_time_s();
    sac_field_clip *clips = sac_calloc(tr->job->count, sizeof *clips);
    SAC_TRY_ALLOC(clips);
    for (int64_t c = 0; c < tr->job->count; c++) {
        const sac_family_clip *clip = &tr->job->clips[c];
        clips[c] = (sac_field_clip){.pixels = clip->pixels,
                                    .frames = clip->detections->frames,
                                    .width = clip->width,
                                    .height = clip->height};
    }
    if (tr->job->checkpoint != NULL) {
        const char *slash = strrchr(tr->job->checkpoint, '/');
        int length = slash == NULL ? 0 : (int)(slash - tr->job->checkpoint);
        folder = slash == NULL ? sac_strdup(".") : sac_format("%.*s/", length, tr->job->checkpoint);
        SAC_TRY_ALLOC(folder);
    }
    SAC_TRY(sac_field_store_make(&tr->fields, clips, tr->job->count, folder, FLOW_BYTES,
                                 tr->job->listener.stop, on_flow, tr, error));
    tr->flow_seconds = sac_time_s() - start;
fail:
    sac_free(folder);
    sac_free(clips);
    return status;
}

static int compare_double(const void *pa, const void *pb) {
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

sac_status sac_agnostic_flow_unit(double *unit, const sac_agnostic_pool *pool) {
    enum { AREA = UNIT_CROP * UNIT_CROP };
    int64_t count = pool->object_count < UNIT_OBJECTS ? pool->object_count : UNIT_OBJECTS;
    double *speeds = sac_calloc(count, sizeof *speeds);
    if (speeds == NULL) return SAC_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        const sac_family_object *o = &pool->objects[i * pool->object_count / count];
        const sac_box *box = &pool->clips[o->clip].detections->boxes[o->box];
        sac_field field = sac_field_store_at(pool->fields, o->clip, o->t);
        float crop[2 * AREA];
        // In a unit of 64 px nothing is cut.
        sac_field_crop(crop, UNIT_CROP, &field, box, 64);
        speeds[i] = 64 * sac_field_speed(crop, AREA, NULL);
    }
    qsort(speeds, (size_t)count, sizeof *speeds, compare_double);
    *unit = fmax(speeds[(int64_t)(0.99 * (double)(count - 1))], LEAST_UNIT);
    sac_free(speeds);
    return SAC_OK;
}

// Crops of the rows' objects and of their twins, half of the rows mirrored.
static void fill(const trainer *tr, const sac_family_object *objects, int64_t count,
                 const inputs *normal, const inputs *pseudo) {
    const int64_t scratch = 2 * tr->options.crop_size * tr->options.crop_size;
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 2)
#endif
    for (int64_t i = 0; i < count; i++) {
        const sac_family_object *o = &objects[tr->rows[i]];
        float *n[BRANCHES], *p[BRANCHES];
        for (int k = 0; k < BRANCHES; k++) {
            n[k] = normal->of[k] + i * tr->crop[k];
            p[k] = pseudo->of[k] + i * tr->crop[k];
        }
        sac_agnostic_crops(n[SAC_AGNOSTIC_APPEARANCE], n[SAC_AGNOSTIC_BACKWARD],
                           n[SAC_AGNOSTIC_FORWARD], &tr->pool, o);
        sac_agnostic_pseudo(p[SAC_AGNOSTIC_APPEARANCE], p[SAC_AGNOSTIC_BACKWARD],
                            p[SAC_AGNOSTIC_FORWARD], tr->scratch + i * scratch, &tr->pool, o,
                            tr->seeds[i], -1, -1);
        if (tr->seeds[i] >> 63 == 0) continue;
        sac_agnostic_mirror(n[SAC_AGNOSTIC_APPEARANCE], n[SAC_AGNOSTIC_BACKWARD],
                            n[SAC_AGNOSTIC_FORWARD], tr->pool.crop_size);
        sac_agnostic_mirror(p[SAC_AGNOSTIC_APPEARANCE], p[SAC_AGNOSTIC_BACKWARD],
                            p[SAC_AGNOSTIC_FORWARD], tr->pool.crop_size);
    }
}

// ---- learning -----------------------------------------------------------------------------------

sac_agnostic_losses sac_agnostic_losses_get(const double values[SAC_AGNOSTIC_LOSSES]) {
    sac_agnostic_losses l = {.total = values[0]};
    memcpy(l.of, values + 1, sizeof l.of);
    return l;
}

// The first of the losses from the others.
static void take_total(double l[LOSSES]) {
    l[0] = 0;
    for (int k = 0; k < BRANCHES; k++) {
        const double *of = l + 1 + k * VALUES;
        l[0] += (of[SAC_AGNOSTIC_NORMAL] + of[SAC_AGNOSTIC_VERDICT]) / BRANCHES;
    }
}

static sac_status train_step(trainer *tr, double losses[LOSSES], sac_error *error) {
    sac_status status = SAC_OK;
    inputs normal, pseudo;
    sac_learning *l = &tr->learning;
    for (int64_t i = 0; i < tr->options.learning.batch; i++) {
        if (l->order_next == tr->objects.train) {
            sac_rng_shuffle(&tr->sampler, tr->order, tr->objects.train);
            l->order_next = 0;
        }
        tr->rows[i] = tr->order[l->order_next++];
        tr->seeds[i] = sac_rng_next(&tr->sampler);
    }
    for (int k = 0; k < BRANCHES; k++) {
        normal.of[k] = sac_agnostic_learner_normal(tr->learners[k]);
        pseudo.of[k] = sac_agnostic_learner_pseudo(tr->learners[k]);
    }
    fill(tr, tr->objects.all, tr->options.learning.batch, &normal, &pseudo);
    for (int k = 0; k < BRANCHES; k++) {
        SAC_TRY(sac_agnostic_learner_step(tr->learners[k], sac_learning_rate(l), l->step + 1,
                                          losses + 1 + k * VALUES, error));
    }
    take_total(losses);
fail:
    return status;
}

static void give_model(const trainer *tr) {
    for (int k = 0; k < BRANCHES; k++) sac_agnostic_learner_give(tr->learners[k], tr->params);
}

// Adds to `sums` what the validation network makes of n rows in its inputs.
static sac_status measure(const trainer *tr, double sums[LOSSES], int64_t n, bool pseudo,
                          sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_infer_run(tr->validation, error));
    for (int k = 0; k < BRANCHES; k++) {
        char name[64];
        double *of = sums + 1 + k * VALUES, difference = 0;
        const float target = pseudo ? 1 : 0;
        (void)snprintf(name, sizeof name, "%s.error", sac_agnostic_branch_name(k));
        const float *values = sac_infer_output(tr->validation, name);
        for (int64_t i = 0; i < n * tr->crop[k]; i++) difference += fabs((double)values[i]);
        of[pseudo ? SAC_AGNOSTIC_PSEUDO : SAC_AGNOSTIC_NORMAL] += difference / (double)tr->crop[k];
        (void)snprintf(name, sizeof name, "%s.logit", sac_agnostic_branch_name(k));
        const float *logit = sac_infer_output(tr->validation, name);
        for (int64_t i = 0; i < n; i++) {
            of[SAC_AGNOSTIC_VERDICT] += 0.5 * sac_loss_bce_logits(NULL, logit + i, &target, 1, 1);
            of[SAC_AGNOSTIC_ACCURACY] += (logit[i] > 0) == pseudo ? 0.5 : 0;
        }
    }
fail:
    return status;
}

static sac_status validate(trainer *tr, double losses[LOSSES], sac_error *error) {
    sac_status status = SAC_OK;
    double sums[LOSSES] = {0};
    const int64_t batch = tr->options.learning.batch;
    inputs normal, pseudo = {{NULL}};
    sac_rng rng;
    // The same twins in every epoch, so that the losses can be compared.
    sac_rng_seed(&rng, tr->options.learning.seed, STREAM_VALIDATION);
    give_model(tr);
    SAC_TRY(sac_infer_update(tr->validation, tr->params, error));
    for (int k = 0; k < BRANCHES; k++) {
        normal.of[k] = sac_infer_input(tr->validation, sac_agnostic_branch_name(k));
        SAC_TRY_ALLOC(pseudo.of[k] = sac_calloc(batch * tr->crop[k], sizeof(float)));
    }
    for (int64_t first = 0; first < tr->objects.valid; first += batch) {
        int64_t n = tr->objects.valid - first;
        if (n > batch) n = batch;
        for (int64_t i = 0; i < n; i++) {
            tr->rows[i] = first + i;
            tr->seeds[i] = sac_rng_next(&rng);
        }
        fill(tr, tr->objects.all + tr->objects.train, n, &normal, &pseudo);
        SAC_TRY(measure(tr, sums, n, false, error));
        for (int k = 0; k < BRANCHES; k++)
            memcpy(normal.of[k], pseudo.of[k], (size_t)(n * tr->crop[k]) * sizeof(float));
        SAC_TRY(measure(tr, sums, n, true, error));
    }
    take_total(sums);
    for (int k = 0; k < LOSSES; k++) losses[k] = sums[k] / (double)tr->objects.valid;
    if (!isfinite(losses[0])) {
        status = sac_error_set(error, SAC_ERROR_NUMERIC, tr->learning.step,
                               "the validation loss after step %lld is not finite",
                               (long long)tr->learning.step);
    }
fail:
    for (int k = 0; k < BRANCHES; k++) sac_free(pseudo.of[k]);
    return status;
}

// ---- checkpoints --------------------------------------------------------------------------------

static sac_status save_checkpoint(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = tr->job->checkpoint;
    sac_safetensors *st = NULL;
    if (path == NULL) return SAC_OK;
    SAC_TRY(sac_safetensors_create(&st));
    for (int k = 0; k < BRANCHES; k++)
        SAC_TRY(sac_agnostic_learner_store(tr->learners[k], st, error));
    SAC_TRY(sac_params_store(tr->best_params, st, "best.", error));
    int64_t n = 4;
    SAC_TRY(sac_safetensors_add(st, "rng.sampler", SAC_DTYPE_U64, 1, &n, tr->sampler.state, error));
    n = tr->objects.train;
    SAC_TRY(sac_safetensors_add(st, "order", SAC_DTYPE_I64, 1, &n, tr->order, error));
    SAC_TRY(sac_learning_store(&tr->learning, st, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to write it", path)
                      : SAC_OK;
}

static sac_status check_order(const trainer *tr, sac_error *error) {
    const int64_t count = tr->objects.train, next = tr->learning.order_next;
    bool good = next >= 0 && next <= count;
    for (int64_t i = 0; good && i < count; i++) good = tr->order[i] >= 0 && tr->order[i] < count;
    return good ? SAC_OK : sac_learning_contradiction(&tr->learning, error);
}

static sac_status load_checkpoint(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = tr->job->checkpoint;
    sac_safetensors *st = NULL;
    const void *data = NULL;
    SAC_TRY(sac_safetensors_read(&st, path, error));
    SAC_TRY(sac_learning_load(&tr->learning, st, error));
    for (int k = 0; k < BRANCHES; k++)
        SAC_TRY(sac_agnostic_learner_load(tr->learners[k], st, path, error));
    SAC_TRY(sac_params_load(tr->best_params, st, "best.", path, error));
    int64_t n = 4;
    SAC_TRY(sac_safetensors_expect(st, "rng.sampler", SAC_DTYPE_U64, 1, &n, &data, error));
    memcpy(tr->sampler.state, data, sizeof tr->sampler.state);
    n = tr->objects.train;
    SAC_TRY(sac_safetensors_expect(st, "order", SAC_DTYPE_I64, 1, &n, &data, error));
    memcpy(tr->order, data, (size_t)n * sizeof *tr->order);
    SAC_TRY(check_order(tr, error));
fail:
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to read it", path) : SAC_OK;
}

// ---- the run ------------------------------------------------------------------------------------

static sac_status open_trainer(trainer *tr, const sac_family_job *job, sac_error *error) {
    sac_status status = SAC_OK;
    tr->job = job;
    tr->options = *(const sac_agnostic_options *)job->options;
    const sac_agnostic_options *o = &tr->options;
    const sac_learning_options *learning = &o->learning;
    SAC_TRY(sac_agnostic_options_check(o, error));
    SAC_TRY(sac_agnostic_net(&tr->net, SAC_AGNOSTIC_MODEL, 0, (sac_agnostic_width)o->width,
                             o->crop_size, 0, error));
    SAC_TRY(sac_family_split(&tr->objects, job, learning->validation_samples, error));
    SAC_TRY(sac_learning_open(&tr->learning, learning, job, "saccade-agnostic-checkpoint", LOSSES,
                              tr->objects.train));
    tr->learning.order_next = 0;
    int64_t area = o->crop_size * o->crop_size;
    for (int k = 0; k < BRANCHES; k++) {
        tr->crop[k] = sac_agnostic_branch_channels(k) * area;
        sac_agnostic_learner_options learner = {.branch = k,
                                                .width = (sac_agnostic_width)o->width,
                                                .crop_size = o->crop_size,
                                                .batch = learning->batch,
                                                .learning_rate = learning->learning_rate,
                                                .lambda = o->lambda,
                                                .seed = learning->seed,
                                                .backend = learning->backend};
        SAC_TRY(sac_agnostic_learner_create(&tr->learners[k], &learner, error));
    }
    SAC_TRY(sac_params_create(&tr->params, tr->net, error));
    SAC_TRY(sac_params_create(&tr->best_params, tr->net, error));
    sac_plan_options plan = {.batch = learning->batch, .backend = learning->backend};
    SAC_TRY(sac_infer_create(&tr->validation, tr->net, tr->params, &plan, error));
    SAC_TRY_ALLOC(tr->seeds = sac_calloc(learning->batch, sizeof *tr->seeds));
    SAC_TRY_ALLOC(tr->rows = sac_calloc(learning->batch, sizeof *tr->rows));
    SAC_TRY_ALLOC(tr->scratch = sac_calloc(learning->batch * 2 * area, sizeof *tr->scratch));
    SAC_TRY_ALLOC(tr->order = sac_calloc(tr->objects.train, sizeof *tr->order));
    sac_rng_seed(&tr->sampler, learning->seed, STREAM_SAMPLER);
    for (int64_t i = 0; i < tr->objects.train; i++) tr->order[i] = i;
    sac_rng_shuffle(&tr->sampler, tr->order, tr->objects.train);
    SAC_TRY(make_fields(tr, error));
    tr->pool = (sac_agnostic_pool){.clips = job->clips,
                                   .clip_count = job->count,
                                   .fields = tr->fields,
                                   .objects = tr->objects.all,
                                   .object_count = tr->objects.train,
                                   .crop_size = (int)o->crop_size};
    SAC_TRY(sac_agnostic_flow_unit(&tr->pool.flow_unit, &tr->pool));
fail:
    return status;
}

static void close_trainer(trainer *tr) {
    for (int k = 0; k < BRANCHES; k++) sac_agnostic_learner_close(&tr->learners[k]);
    sac_field_store_close(&tr->fields);
    sac_infer_close(&tr->validation);
    sac_params_close(&tr->params);
    sac_params_close(&tr->best_params);
    sac_net_close(&tr->net);
    sac_learning_close(&tr->learning);
    sac_free(tr->objects.all);
    sac_free(tr->order);
    sac_free(tr->seeds);
    sac_free(tr->rows);
    sac_free(tr->scratch);
}

// Validation, history, best weights.
static sac_status close_epoch(trainer *tr, sac_learning_epoch_call epoch, void *user,
                              sac_error *error) {
    sac_status status = SAC_OK;
    sac_learning *l = &tr->learning;
    double train[LOSSES], valid[LOSSES];
    for (int k = 0; k < LOSSES; k++) train[k] = l->sums[k] / (double)l->epoch_step;
    SAC_TRY(validate(tr, valid, error));
    if (sac_learning_close_epoch(l, train, valid))
        SAC_TRY(sac_params_copy(tr->best_params, tr->params));
    if (epoch != NULL) SAC_TRY(epoch(user, l->history, l->epochs_done, l->best, error));
fail:
    return status;
}

static sac_status learn(trainer *tr, sac_learning_epoch_call epoch, void *user, sac_error *error) {
    sac_status status = SAC_OK;
    sac_learning *l = &tr->learning;
    sac_learning_begin(l);
    while (!l->finished) {
        double losses[LOSSES];
        SAC_TRY(train_step(tr, losses, error));
        sac_learning_step(l, losses);
        if (sac_learning_epoch_ends(l)) SAC_TRY(close_epoch(tr, epoch, user, error));
        if (sac_learning_must_save(l)) SAC_TRY(save_checkpoint(tr, error));
        SAC_TRY(sac_learning_check_stop(l, error));
    }
fail:
    return status;
}

sac_status sac_agnostic_train(sac_agnostic_model **out, sac_agnostic_report *report,
                              const sac_family_job *job, sac_learning_epoch_call epoch, void *user,
                              sac_error *error) {
    sac_status status = SAC_OK;
    trainer tr = {0};
    *out = NULL;
    *report = (sac_agnostic_report){0};
    sac_agnostic_model *model = sac_calloc(1, sizeof *model);
    SAC_TRY_ALLOC(model);
    SAC_TRY(open_trainer(&tr, job, error));
    if (job->resume && job->checkpoint != NULL && sac_is_file(job->checkpoint))
        SAC_TRY(load_checkpoint(&tr, error));
    SAC_TRY(learn(&tr, epoch, user, error));
    SAC_TRY(sac_learning_finish(&report->learning, &tr.learning, &tr.objects, error));
    report->flow_seconds = tr.flow_seconds;
    model->net = tr.net;
    model->params = tr.best_params;
    model->crop_size = tr.options.crop_size;
    model->flow_unit = tr.pool.flow_unit;
    sac_calibration_init(&model->calibration, BRANCHES, sac_agnostic_branch_name, SAC_COMBINE_MEAN);
    tr.net = NULL;
    tr.best_params = NULL;
    *out = model;
    model = NULL;
fail:
    sac_agnostic_model_close(&model);
    close_trainer(&tr);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for training") : SAC_OK;
}
