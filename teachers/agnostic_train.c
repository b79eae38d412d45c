// Training loop of the background-agnostic teacher. Everything that influences the result is in
// `state` and the learners, which a checkpoint holds completely; the clock only decides when
// checkpoints are written.
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
#include "nn/optim.h"

// Independent random streams of one seed.
enum { STREAM_SAMPLER = 22, STREAM_VALIDATION = 24 };
enum {
    BRANCHES = SAC_AGNOSTIC_BRANCHES,
    VALUES = SAC_AGNOSTIC_VALUES,
    LOSSES = 1 + BRANCHES * VALUES,
    EPOCH_VALUES = 4 + 2 * LOSSES,
    UNIT_OBJECTS = 2000,
    UNIT_CROP = 16
};
// Of the optical flow of all training clips, that may stay in memory.
#define FLOW_BYTES ((int64_t)512 << 20)
static const double COSINE_FLOOR = 0.02;
static const double LEAST_UNIT = 0.05;

// Numbers a checkpoint carries besides tensors.
typedef struct state {
    int64_t step;        // optimiser steps done
    int64_t epoch_step;  // of the running epoch
    int64_t order_next;  // position in the shuffled order
    int64_t epochs_done; // rows of the history
    int64_t best;        // row kept, -1: none yet
    bool finished;
    double best_loss;
    double seconds;      // learned so far, over all runs
    double sums[LOSSES]; // of the running epoch, per step
} state;
enum { COUNTS = 6 };

// Where the crops of a row go.
typedef struct inputs {
    float *of[BRANCHES];
} inputs;

typedef struct trainer {
    const sac_family_job *job;
    sac_agnostic_options options;
    sac_field_store *fields;
    double flow_seconds;
    sac_agnostic_object *train, *valid;
    int64_t train_count, valid_count;
    sac_agnostic_pool pool;
    sac_agnostic_learner *learners[BRANCHES];
    sac_net *net;                     // MODEL
    sac_params *params, *best_params; // of MODEL
    sac_infer *validation;
    sac_rng sampler;
    int64_t *order;         // [train_count]
    uint64_t *seeds;        // [batch] of the rows' twins
    int64_t *rows;          // [batch] objects of the rows
    float *scratch;         // [batch][2][S][S]
    int64_t crop[BRANCHES]; // values of one
    state state;
    sac_agnostic_epoch *history; // [epochs]
    int64_t steps_per_epoch;
    double started; // clock at which this run would have begun had it learned `seconds` before
} trainer;

sac_agnostic_options sac_agnostic_default_options(void) {
    return (sac_agnostic_options){.width = SAC_AGNOSTIC_NARROW,
                                  .crop_size = 64,
                                  .batch = 64,
                                  .epochs = 6,
                                  .samples_per_epoch = 2048,
                                  .validation_samples = 512,
                                  .learning_rate = 1e-3,
                                  .cosine = true,
                                  .lambda = 1,
                                  .checkpoint_minutes = 2,
                                  .seed = 1,
                                  .backend = SAC_BACKEND_ONEDNN};
}

static sac_status check_options(const sac_agnostic_options *o, sac_error *error) {
    if (o->width < 0 || o->width >= SAC_AGNOSTIC_WIDTH_COUNT || o->batch < 2 || o->batch > 4096 ||
        o->epochs < 1 || o->epochs > 100000 || o->samples_per_epoch < 0 ||
        o->validation_samples < 0 || !(o->learning_rate > 0) || o->learning_rate > 1 ||
        !(o->lambda >= 0) || o->lambda > 1000 || !(o->max_minutes >= 0) ||
        !(o->checkpoint_minutes >= 0)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a training option is out of range (batch 2..4096, epochs from 1, "
                             "learning rate above 0 and at most 1, lambda 0..1000, counts and "
                             "minutes not negative)");
    }
    return SAC_OK;
}

// ---- data ---------------------------------------------------------------------------------------

// Splits the objects of every clip and thins the held-back ones evenly.
static sac_status collect_objects(trainer *tr, sac_error *error) {
    int64_t train = 0, valid = 0;
    for (int64_t c = 0; c < tr->job->count; c++) {
        int64_t objects = tr->job->clips[c].detections->count;
        train += sac_family_train_count(objects);
        valid += objects - sac_family_train_count(objects);
    }
    if (train < 2 || valid < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%lld objects to train and %lld to validate were found in %lld "
                             "training clips; at least 2 and 1 are needed (is the detector right "
                             "for this video?)",
                             (long long)train, (long long)valid, (long long)tr->job->count);
    }
    tr->train = sac_calloc(train, sizeof *tr->train);
    tr->valid = sac_calloc(valid, sizeof *tr->valid);
    if (tr->train == NULL || tr->valid == NULL) return SAC_ERROR_MEMORY;
    for (int64_t c = 0; c < tr->job->count; c++) {
        const sac_detections *d = tr->job->clips[c].detections;
        int64_t first = sac_family_train_count(d->count);
        for (int64_t t = 0; t < d->frames; t++) {
            for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
                sac_agnostic_object o = {.clip = (int32_t)c, .t = t, .box = i};
                if (i < first) {
                    tr->train[tr->train_count++] = o;
                } else {
                    tr->valid[tr->valid_count++] = o;
                }
            }
        }
    }
    int64_t wanted = tr->options.validation_samples;
    if (wanted > 0 && wanted < valid) {
        for (int64_t i = 0; i < wanted; i++) tr->valid[i] = tr->valid[i * valid / wanted];
        tr->valid_count = wanted;
    }
    return SAC_OK;
}

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
        const sac_agnostic_object *o = &pool->objects[i * pool->object_count / count];
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
static void fill(const trainer *tr, const sac_agnostic_object *objects, int64_t count,
                 const inputs *normal, const inputs *pseudo) {
    const int64_t scratch = 2 * tr->options.crop_size * tr->options.crop_size;
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 2)
#endif
    for (int64_t i = 0; i < count; i++) {
        const sac_agnostic_object *o = &objects[tr->rows[i]];
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

static sac_agnostic_losses named_losses(const double l[LOSSES], double divisor) {
    sac_agnostic_losses named = {.total = l[0] / divisor};
    for (int i = 1; i < LOSSES; i++) named.of[(i - 1) / VALUES][(i - 1) % VALUES] = l[i] / divisor;
    return named;
}

static void put_losses(double row[LOSSES], const sac_agnostic_losses *l) {
    row[0] = l->total;
    for (int i = 1; i < LOSSES; i++) row[i] = l->of[(i - 1) / VALUES][(i - 1) % VALUES];
}

// The first of the losses from the others.
static void take_total(double l[LOSSES]) {
    l[0] = 0;
    for (int k = 0; k < BRANCHES; k++) {
        const double *of = l + 1 + k * VALUES;
        l[0] += (of[SAC_AGNOSTIC_NORMAL] + of[SAC_AGNOSTIC_VERDICT]) / BRANCHES;
    }
}

static double learning_rate(const trainer *tr) {
    sac_schedule schedule = {.kind = SAC_SCHEDULE_CONSTANT, .base = tr->options.learning_rate};
    if (tr->options.cosine) {
        schedule.kind = SAC_SCHEDULE_COSINE;
        schedule.total = tr->options.epochs * tr->steps_per_epoch;
        schedule.floor = COSINE_FLOOR * tr->options.learning_rate;
    }
    return sac_schedule_rate(&schedule, tr->state.step);
}

static sac_status train_step(trainer *tr, double losses[LOSSES], sac_error *error) {
    sac_status status = SAC_OK;
    inputs normal, pseudo;
    for (int64_t i = 0; i < tr->options.batch; i++) {
        if (tr->state.order_next == tr->train_count) {
            sac_rng_shuffle(&tr->sampler, tr->order, tr->train_count);
            tr->state.order_next = 0;
        }
        tr->rows[i] = tr->order[tr->state.order_next++];
        tr->seeds[i] = sac_rng_next(&tr->sampler);
    }
    for (int k = 0; k < BRANCHES; k++) {
        normal.of[k] = sac_agnostic_learner_normal(tr->learners[k]);
        pseudo.of[k] = sac_agnostic_learner_pseudo(tr->learners[k]);
    }
    fill(tr, tr->train, tr->options.batch, &normal, &pseudo);
    for (int k = 0; k < BRANCHES; k++) {
        SAC_TRY(sac_agnostic_learner_step(tr->learners[k], learning_rate(tr), tr->state.step + 1,
                                          losses + 1 + k * VALUES, error));
    }
    take_total(losses);
    tr->state.step++;
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

static sac_status validate(trainer *tr, sac_agnostic_losses *out, sac_error *error) {
    sac_status status = SAC_OK;
    double sums[LOSSES] = {0};
    inputs normal, pseudo = {{NULL}};
    sac_rng rng;
    // The same twins in every epoch, so that the losses can be compared.
    sac_rng_seed(&rng, tr->options.seed, STREAM_VALIDATION);
    give_model(tr);
    SAC_TRY(sac_infer_update(tr->validation, tr->params, error));
    for (int k = 0; k < BRANCHES; k++) {
        normal.of[k] = sac_infer_input(tr->validation, sac_agnostic_branch_name(k));
        SAC_TRY_ALLOC(pseudo.of[k] = sac_calloc(tr->options.batch * tr->crop[k], sizeof(float)));
    }
    for (int64_t first = 0; first < tr->valid_count; first += tr->options.batch) {
        int64_t n = tr->valid_count - first;
        if (n > tr->options.batch) n = tr->options.batch;
        for (int64_t i = 0; i < n; i++) {
            tr->rows[i] = first + i;
            tr->seeds[i] = sac_rng_next(&rng);
        }
        fill(tr, tr->valid, n, &normal, &pseudo);
        SAC_TRY(measure(tr, sums, n, false, error));
        for (int k = 0; k < BRANCHES; k++)
            memcpy(normal.of[k], pseudo.of[k], (size_t)(n * tr->crop[k]) * sizeof(float));
        SAC_TRY(measure(tr, sums, n, true, error));
    }
    take_total(sums);
    *out = named_losses(sums, (double)tr->valid_count);
    if (!isfinite(out->total)) {
        status = sac_error_set(error, SAC_ERROR_NUMERIC, tr->state.step,
                               "the validation loss after step %lld is not finite",
                               (long long)tr->state.step);
    }
fail:
    for (int k = 0; k < BRANCHES; k++) sac_free(pseudo.of[k]);
    return status;
}

// ---- checkpoints --------------------------------------------------------------------------------

static sac_status save_checkpoint(const trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = tr->job->checkpoint;
    sac_safetensors *st = NULL;
    double *rows = NULL;
    if (path == NULL) return SAC_OK;
    const state *s = &tr->state;
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "format", "saccade-agnostic-checkpoint", error));
    SAC_TRY(sac_safetensors_set_metadata(st, "stamp", tr->job->stamp, error));
    for (int k = 0; k < BRANCHES; k++)
        SAC_TRY(sac_agnostic_learner_store(tr->learners[k], st, error));
    SAC_TRY(sac_params_store(tr->best_params, st, "best.", error));
    int64_t n = 4;
    SAC_TRY(sac_safetensors_add(st, "rng.sampler", SAC_DTYPE_U64, 1, &n, tr->sampler.state, error));
    SAC_TRY(sac_safetensors_add(st, "order", SAC_DTYPE_I64, 1, &tr->train_count, tr->order, error));
    int64_t counts[COUNTS] = {s->step,        s->epoch_step, s->order_next,
                              s->epochs_done, s->best,       s->finished};
    n = COUNTS;
    SAC_TRY(sac_safetensors_add(st, "state.counts", SAC_DTYPE_I64, 1, &n, counts, error));
    double values[2 + LOSSES] = {s->best_loss, s->seconds};
    memcpy(values + 2, s->sums, sizeof s->sums);
    n = 2 + LOSSES;
    SAC_TRY(sac_safetensors_add(st, "state.values", SAC_DTYPE_F64, 1, &n, values, error));
    SAC_TRY_ALLOC(rows = sac_calloc(s->epochs_done * EPOCH_VALUES, sizeof *rows));
    for (int64_t i = 0; i < s->epochs_done; i++) {
        const sac_agnostic_epoch *e = &tr->history[i];
        double *row = rows + i * EPOCH_VALUES;
        row[0] = (double)e->epoch;
        row[1] = (double)e->samples;
        row[2] = e->learning_rate;
        row[3] = e->seconds;
        put_losses(row + 4, &e->train);
        put_losses(row + 4 + LOSSES, &e->valid);
    }
    int64_t dims[2] = {s->epochs_done, EPOCH_VALUES};
    SAC_TRY(sac_safetensors_add(st, "history", SAC_DTYPE_F64, 2, dims, rows, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_free(rows);
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to write it", path)
                      : SAC_OK;
}

static sac_status check_state(const trainer *tr, const int64_t c[COUNTS], const double *values,
                              sac_error *error) {
    bool good = c[0] >= 0 && c[1] >= 0 && c[1] <= tr->steps_per_epoch && c[2] >= 0 &&
                c[2] <= tr->train_count && c[3] >= 0 && c[3] <= tr->options.epochs && c[4] >= -1 &&
                c[4] < c[3] && isfinite(values[1]) && values[1] >= 0;
    for (int64_t i = 0; good && i < tr->train_count; i++)
        good = tr->order[i] >= 0 && tr->order[i] < tr->train_count;
    if (good && (c[5] == 0 || c[4] >= 0)) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: its counters contradict each other",
                         tr->job->checkpoint);
}

static sac_status check_checkpoint(const trainer *tr, const sac_safetensors *st, sac_error *error) {
    const char *text = sac_safetensors_metadata(st, "format");
    if (text == NULL || strcmp(text, "saccade-agnostic-checkpoint") != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: not a checkpoint of this teacher",
                             tr->job->checkpoint);
    }
    text = sac_safetensors_metadata(st, "stamp");
    if (text == NULL || strcmp(text, tr->job->stamp) != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: was made with other data or settings, which differ: then %s, "
                             "now %s",
                             tr->job->checkpoint, text == NULL ? "unknown" : text, tr->job->stamp);
    }
    return SAC_OK;
}

static sac_status load_checkpoint(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = tr->job->checkpoint;
    sac_safetensors *st = NULL;
    const void *data = NULL;
    state *s = &tr->state;
    SAC_TRY(sac_safetensors_read(&st, path, error));
    SAC_TRY(check_checkpoint(tr, st, error));
    for (int k = 0; k < BRANCHES; k++)
        SAC_TRY(sac_agnostic_learner_load(tr->learners[k], st, path, error));
    SAC_TRY(sac_params_load(tr->best_params, st, "best.", path, error));
    int64_t n = 4;
    SAC_TRY(sac_safetensors_expect(st, "rng.sampler", SAC_DTYPE_U64, 1, &n, &data, error));
    memcpy(tr->sampler.state, data, sizeof tr->sampler.state);
    SAC_TRY(sac_safetensors_expect(st, "order", SAC_DTYPE_I64, 1, &tr->train_count, &data, error));
    memcpy(tr->order, data, (size_t)tr->train_count * sizeof *tr->order);
    int64_t counts[COUNTS];
    n = COUNTS;
    SAC_TRY(sac_safetensors_expect(st, "state.counts", SAC_DTYPE_I64, 1, &n, &data, error));
    memcpy(counts, data, sizeof counts);
    double values[2 + LOSSES];
    n = 2 + LOSSES;
    SAC_TRY(sac_safetensors_expect(st, "state.values", SAC_DTYPE_F64, 1, &n, &data, error));
    memcpy(values, data, sizeof values);
    SAC_TRY(check_state(tr, counts, values, error));
    *s = (state){.step = counts[0],
                 .epoch_step = counts[1],
                 .order_next = counts[2],
                 .epochs_done = counts[3],
                 .best = counts[4],
                 .finished = counts[5] != 0,
                 .best_loss = values[0],
                 .seconds = values[1]};
    memcpy(s->sums, values + 2, sizeof s->sums);
    int64_t dims[2] = {s->epochs_done, EPOCH_VALUES};
    SAC_TRY(sac_safetensors_expect(st, "history", SAC_DTYPE_F64, 2, dims, &data, error));
    for (int64_t i = 0; i < s->epochs_done; i++) {
        const double *row = (const double *)data + i * EPOCH_VALUES;
        tr->history[i] = (sac_agnostic_epoch){.epoch = i + 1,
                                              .learning_rate = row[2],
                                              .seconds = row[3],
                                              .train = named_losses(row + 4, 1),
                                              .valid = named_losses(row + 4 + LOSSES, 1)};
        tr->history[i].samples = row[1] >= 0 && row[1] < 1e15 ? (int64_t)row[1] : 0;
    }
fail:
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to read it", path) : SAC_OK;
}

// ---- the run ------------------------------------------------------------------------------------

static sac_status open_trainer(trainer *tr, const sac_family_job *job, sac_error *error) {
    sac_status status = SAC_OK;
    tr->job = job;
    tr->options = *(const sac_agnostic_options *)job->options;
    tr->state.best = -1;
    const sac_agnostic_options *o = &tr->options;
    SAC_TRY(check_options(o, error));
    // Bad sizes are told before the optical flow of an hour of video is computed.
    SAC_TRY(sac_agnostic_net(&tr->net, SAC_AGNOSTIC_MODEL, 0, (sac_agnostic_width)o->width,
                             o->crop_size, 0, error));
    SAC_TRY(collect_objects(tr, error));
    int64_t samples = o->samples_per_epoch == 0 ? tr->train_count : o->samples_per_epoch;
    tr->steps_per_epoch = samples / o->batch > 0 ? samples / o->batch : 1;
    int64_t area = o->crop_size * o->crop_size;
    for (int k = 0; k < BRANCHES; k++) {
        tr->crop[k] = sac_agnostic_branch_channels(k) * area;
        sac_agnostic_learner_options learner = {.branch = k,
                                                .width = (sac_agnostic_width)o->width,
                                                .crop_size = o->crop_size,
                                                .batch = o->batch,
                                                .learning_rate = o->learning_rate,
                                                .lambda = o->lambda,
                                                .seed = o->seed,
                                                .backend = o->backend};
        SAC_TRY(sac_agnostic_learner_create(&tr->learners[k], &learner, error));
    }
    SAC_TRY(sac_params_create(&tr->params, tr->net, error));
    SAC_TRY(sac_params_create(&tr->best_params, tr->net, error));
    sac_plan_options plan = {.batch = o->batch, .backend = o->backend};
    SAC_TRY(sac_infer_create(&tr->validation, tr->net, tr->params, &plan, error));
    SAC_TRY_ALLOC(tr->history = sac_calloc(o->epochs, sizeof *tr->history));
    SAC_TRY_ALLOC(tr->seeds = sac_calloc(o->batch, sizeof *tr->seeds));
    SAC_TRY_ALLOC(tr->rows = sac_calloc(o->batch, sizeof *tr->rows));
    SAC_TRY_ALLOC(tr->scratch = sac_calloc(o->batch * 2 * area, sizeof *tr->scratch));
    SAC_TRY_ALLOC(tr->order = sac_calloc(tr->train_count, sizeof *tr->order));
    sac_rng_seed(&tr->sampler, o->seed, STREAM_SAMPLER);
    for (int64_t i = 0; i < tr->train_count; i++) tr->order[i] = i;
    sac_rng_shuffle(&tr->sampler, tr->order, tr->train_count);
    SAC_TRY(make_fields(tr, error));
    tr->pool = (sac_agnostic_pool){.clips = job->clips,
                                   .clip_count = job->count,
                                   .fields = tr->fields,
                                   .objects = tr->train,
                                   .object_count = tr->train_count,
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
    sac_free(tr->train);
    sac_free(tr->valid);
    sac_free(tr->order);
    sac_free(tr->seeds);
    sac_free(tr->rows);
    sac_free(tr->scratch);
    sac_free(tr->history);
}

// Validation, history, best weights.
static sac_status close_epoch(trainer *tr, sac_agnostic_epoch_call epoch, void *user,
                              sac_error *error) {
    sac_status status = SAC_OK;
    state *s = &tr->state;
    sac_agnostic_epoch *e = &tr->history[s->epochs_done];
    *e = (sac_agnostic_epoch){.epoch = s->epochs_done + 1,
                              .samples = s->epoch_step * tr->options.batch,
                              .learning_rate = learning_rate(tr),
                              .train = named_losses(s->sums, (double)s->epoch_step)};
    SAC_TRY(validate(tr, &e->valid, error));
    s->seconds = sac_time_s() - tr->started;
    e->seconds = s->seconds;
    if (s->best < 0 || e->valid.total < s->best_loss) {
        s->best = s->epochs_done;
        s->best_loss = e->valid.total;
        SAC_TRY(sac_params_copy(tr->best_params, tr->params));
    }
    s->epochs_done++;
    s->epoch_step = 0;
    memset(s->sums, 0, sizeof s->sums);
    if (epoch != NULL) SAC_TRY(epoch(user, tr->history, s->epochs_done, s->best, error));
fail:
    return status;
}

static sac_status learn(trainer *tr, sac_agnostic_epoch_call epoch, void *user, sac_error *error) {
    sac_status status = SAC_OK;
    state *s = &tr->state;
    const int64_t batch = tr->options.batch, total = tr->options.epochs * tr->steps_per_epoch;
    const sac_family_listener *listener = &tr->job->listener;
    tr->started = sac_time_s() - s->seconds;
    double saved = sac_time_s();
    sac_family_progress(listener, "train", "samples", s->step * batch, total * batch, NULL);
    while (!s->finished) {
        double losses[LOSSES];
        char note[32];
        SAC_TRY(train_step(tr, losses, error));
        for (int k = 0; k < LOSSES; k++) s->sums[k] += losses[k];
        s->epoch_step++;
        s->seconds = sac_time_s() - tr->started;
        (void)snprintf(note, sizeof note, "loss %.4f", s->sums[0] / (double)s->epoch_step);
        sac_family_progress(listener, "train", "samples", s->step * batch, total * batch, note);
        bool spent = tr->options.max_minutes > 0 && s->seconds >= 60 * tr->options.max_minutes;
        bool closed = s->epoch_step == tr->steps_per_epoch || spent;
        if (closed) {
            SAC_TRY(close_epoch(tr, epoch, user, error));
            s->finished = spent || s->epochs_done == tr->options.epochs;
        }
        bool stop = !s->finished && sac_family_stopped(listener);
        if (closed || stop || sac_time_s() - saved >= 60 * tr->options.checkpoint_minutes) {
            SAC_TRY(save_checkpoint(tr, error));
            saved = sac_time_s();
        }
        if (stop) {
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, s->step,
                                 "interrupted after step %lld of %lld%s", (long long)s->step,
                                 (long long)total,
                                 tr->job->checkpoint != NULL ? "; the checkpoint is saved" : "");
        }
    }
fail:
    return status;
}

sac_status sac_agnostic_train(sac_agnostic_model **out, sac_agnostic_report *report,
                              const sac_family_job *job, sac_agnostic_epoch_call epoch, void *user,
                              sac_error *error) {
    sac_status status = SAC_OK;
    trainer tr = {0};
    int64_t objects = 0;
    *out = NULL;
    *report = (sac_agnostic_report){0};
    sac_agnostic_model *model = sac_calloc(1, sizeof *model);
    SAC_TRY_ALLOC(model);
    SAC_TRY(open_trainer(&tr, job, error));
    if (job->resume && job->checkpoint != NULL && sac_is_file(job->checkpoint))
        SAC_TRY(load_checkpoint(&tr, error));
    SAC_TRY(learn(&tr, epoch, user, error));
    for (int64_t c = 0; c < job->count; c++) objects += job->clips[c].detections->count;
    *report = (sac_agnostic_report){.epochs = tr.history,
                                    .count = tr.state.epochs_done,
                                    .best = tr.state.best,
                                    .seconds = tr.state.seconds,
                                    .flow_seconds = tr.flow_seconds,
                                    .samples = tr.state.step * tr.options.batch,
                                    .training_objects = tr.train_count,
                                    .held_back_objects = objects - tr.train_count};
    tr.history = NULL;
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
