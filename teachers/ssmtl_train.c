// Training loop of the SSMTL teacher. Everything that influences the result is in `state`, which a checkpoint
// holds completely; the clock only decides when checkpoints are written.
#include "teachers/ssmtl_train.h"

#include <math.h>
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
enum { STREAM_INIT = 11, STREAM_SAMPLER = 12, STREAM_DROPOUT = 13, STREAM_VALIDATION = 14 };
enum { LOSSES = 6, EPOCH_VALUES = 4 + 2 * LOSSES };
static const double COSINE_FLOOR = 0.02;

// An object of the training clips.
typedef struct object {
    int32_t clip;
    int64_t t, box;
} object;

// Numbers a checkpoint carries besides tensors, as doubles (all counts are far below 2^53).
typedef struct state {
    int64_t step;        // optimiser steps done
    int64_t epoch_step;  // of the running epoch
    int64_t order_next;  // position in the shuffled order
    int64_t epochs_done; // rows of the history
    int64_t best;        // row kept, -1: none yet
    double best_loss;
    double seconds; // learned so far, over all runs
    bool finished;
    double sums[LOSSES]; // of the running epoch, per step
} state;

typedef struct trainer {
    const sac_family_clip *clips;
    sac_ssmtl_options options;
    object *train, *valid;
    int64_t train_count, valid_count;
    sac_net *net;
    sac_params *params, *best_params;
    sac_train *plan;
    sac_infer *validation;
    sac_adam *adam;
    sac_rng sampler;
    int64_t *order; // [train_count]
    state state;
    sac_ssmtl_epoch *history;               // [epochs]
    sac_ssmtl_sample *samples;              // [batch]
    float *residual;                        // [batch][S][S]
    int32_t *arrow_class, *irregular_class; // [batch]
    int64_t steps_per_epoch;
    double started; // clock at which this run would have begun had it learned `seconds` before
} trainer;

sac_ssmtl_options sac_ssmtl_default_options(void) {
    return (sac_ssmtl_options){.crop_size = 64,
                               .batch = 64,
                               .epochs = 6,
                               .samples_per_epoch = 4096,
                               .validation_samples = 1024,
                               .learning_rate = 1e-3,
                               .cosine = true,
                               .checkpoint_minutes = 2,
                               .seed = 1,
                               .backend = SAC_BACKEND_ONEDNN};
}

static sac_status check_options(const sac_ssmtl_options *o, sac_error *error) {
    if (o->batch < 2 || o->batch > 4096 || o->epochs < 1 || o->epochs > 100000 ||
        o->samples_per_epoch < 0 || o->validation_samples < 0 || !(o->learning_rate > 0) ||
        o->learning_rate > 1 || !(o->max_minutes >= 0) || !(o->checkpoint_minutes >= 0)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a training option is out of range (batch 2..4096, epochs from 1, "
                             "learning rate above 0 and at most 1, counts and minutes not "
                             "negative)");
    }
    return SAC_OK;
}

// Splits the objects of every clip and thins the held-back ones evenly.
static sac_status collect_objects(trainer *tr, int64_t count, sac_error *error) {
    int64_t train = 0, valid = 0;
    for (int64_t c = 0; c < count; c++) {
        int64_t objects = tr->clips[c].detections->count;
        train += sac_family_train_count(objects);
        valid += objects - sac_family_train_count(objects);
    }
    if (train < 2 || valid < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%lld objects to train and %lld to validate were found in %lld "
                             "training clips; at least 2 and 1 are needed (is the detector right "
                             "for this video?)",
                             (long long)train, (long long)valid, (long long)count);
    }
    tr->train = sac_calloc(train, sizeof *tr->train);
    tr->valid = sac_calloc(valid, sizeof *tr->valid);
    if (tr->train == NULL || tr->valid == NULL) return SAC_ERROR_MEMORY;
    for (int64_t c = 0; c < count; c++) {
        const sac_detections *d = tr->clips[c].detections;
        int64_t first = sac_family_train_count(d->count);
        for (int64_t t = 0; t < d->frames; t++) {
            for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
                object o = {.clip = (int32_t)c, .t = t, .box = i};
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

// Draws what is done to one object.
static void draw(const trainer *tr, int64_t row, const object *o, sac_rng *rng) {
    const sac_family_clip *clip = &tr->clips[o->clip];
    sac_ssmtl_sample *s = &tr->samples[row];
    *s = (sac_ssmtl_sample){.pixels = clip->pixels,
                            .width = clip->width,
                            .height = clip->height,
                            .frames = clip->detections->frames,
                            .t = o->t,
                            .box = clip->detections->boxes[o->box]};
    s->reversed = sac_rng_below(rng, 2) == 1;
    s->intermittent = sac_rng_below(rng, 2) == 1;
    if (s->intermittent) sac_sequence_intermittent(s->times, s->t, s->frames, rng);
    tr->arrow_class[row] = s->reversed;
    tr->irregular_class[row] = s->intermittent;
}

static double accuracy(const float *logits, const int32_t *target, int64_t n) {
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++) right += (logits[2 * i + 1] > logits[2 * i]) == target[i];
    return (double)right / (double)n;
}

// Mean losses over n rows; gradients are added where wanted.
static void take_losses(const trainer *tr, double losses[LOSSES], const float *residual,
                        const float *arrow, const float *irregular, int64_t n, float *diff_residual,
                        float *diff_arrow, float *diff_irregular) {
    int64_t area = tr->options.crop_size * tr->options.crop_size;
    losses[1] = sac_loss_l1(diff_residual, residual, tr->residual, n * area, 1);
    losses[2] = sac_loss_cross_entropy(diff_arrow, arrow, tr->arrow_class, n, 2, 1);
    losses[3] = sac_loss_cross_entropy(diff_irregular, irregular, tr->irregular_class, n, 2, 1);
    losses[0] = losses[1] + losses[2] + losses[3];
    losses[4] = accuracy(arrow, tr->arrow_class, n);
    losses[5] = accuracy(irregular, tr->irregular_class, n);
}

static sac_ssmtl_losses named_losses(const double l[LOSSES], double divisor) {
    return (sac_ssmtl_losses){.total = l[0] / divisor,
                              .middle = l[1] / divisor,
                              .arrow = l[2] / divisor,
                              .irregularity = l[3] / divisor,
                              .arrow_accuracy = l[4] / divisor,
                              .irregularity_accuracy = l[5] / divisor};
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
    int64_t batch = tr->options.batch;
    for (int64_t i = 0; i < batch; i++) {
        if (tr->state.order_next == tr->train_count) {
            sac_rng_shuffle(&tr->sampler, tr->order, tr->train_count);
            tr->state.order_next = 0;
        }
        draw(tr, i, &tr->train[tr->order[tr->state.order_next++]], &tr->sampler);
    }
    sac_ssmtl_fill(sac_train_input(tr->plan, "arrow"), sac_train_input(tr->plan, "irregular"),
                   tr->residual, NULL, tr->samples, batch, tr->options.crop_size);
    SAC_TRY(sac_train_forward(tr->plan, error));
    take_losses(tr, losses, sac_train_output(tr->plan, "middle.residual"),
                sac_train_output(tr->plan, "arrow.logits"),
                sac_train_output(tr->plan, "irregular.logits"), batch,
                sac_train_output_grad(tr->plan, "middle.residual"),
                sac_train_output_grad(tr->plan, "arrow.logits"),
                sac_train_output_grad(tr->plan, "irregular.logits"));
    if (!isfinite(losses[0])) {
        return sac_error_set(error, SAC_ERROR_NUMERIC, tr->state.step + 1,
                             "the loss of step %lld is not finite (middle %g, arrow %g, "
                             "irregularity %g); a lower learning rate may help",
                             (long long)tr->state.step + 1, losses[1], losses[2], losses[3]);
    }
    sac_params_zero_grad(tr->params);
    SAC_TRY(sac_train_backward(tr->plan, error));
    SAC_TRY(sac_adam_step(tr->adam, tr->params, learning_rate(tr), NULL, error));
    tr->state.step++;
fail:
    return status;
}

static sac_status validate(trainer *tr, sac_ssmtl_losses *out, sac_error *error) {
    sac_status status = SAC_OK;
    double sums[LOSSES] = {0};
    sac_rng rng;
    // The same draws in every epoch, so that the losses can be compared.
    sac_rng_seed(&rng, tr->options.seed, STREAM_VALIDATION);
    SAC_TRY(sac_infer_update(tr->validation, tr->params, error));
    for (int64_t first = 0; first < tr->valid_count; first += tr->options.batch) {
        int64_t n = tr->valid_count - first;
        if (n > tr->options.batch) n = tr->options.batch;
        for (int64_t i = 0; i < n; i++) draw(tr, i, &tr->valid[first + i], &rng);
        sac_ssmtl_fill(sac_infer_input(tr->validation, "arrow"),
                       sac_infer_input(tr->validation, "irregular"), tr->residual, NULL,
                       tr->samples, n, tr->options.crop_size);
        SAC_TRY(sac_infer_run(tr->validation, error));
        double losses[LOSSES];
        take_losses(tr, losses, sac_infer_output(tr->validation, "middle.residual"),
                    sac_infer_output(tr->validation, "arrow.logits"),
                    sac_infer_output(tr->validation, "irregular.logits"), n, NULL, NULL, NULL);
        for (int k = 0; k < LOSSES; k++) sums[k] += losses[k] * (double)n;
    }
    *out = named_losses(sums, (double)tr->valid_count);
    if (!isfinite(out->total)) {
        status = sac_error_set(error, SAC_ERROR_NUMERIC, tr->state.step,
                               "the validation loss after step %lld is not finite",
                               (long long)tr->state.step);
    }
fail:
    return status;
}

static void put_losses(double *row, const sac_ssmtl_losses *l) {
    double values[LOSSES] = {l->total,        l->middle,         l->arrow,
                             l->irregularity, l->arrow_accuracy, l->irregularity_accuracy};
    memcpy(row, values, sizeof values);
}

static sac_status save_checkpoint(trainer *tr, const char *path, const char *stamp,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    double *rows = NULL;
    if (path == NULL) return SAC_OK;
    const state *s = &tr->state;
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "format", "saccade-ssmtl-checkpoint", error));
    SAC_TRY(sac_safetensors_set_metadata(st, "stamp", stamp, error));
    SAC_TRY(sac_params_store(tr->params, st, "model.", error));
    SAC_TRY(sac_params_store(tr->best_params, st, "best.", error));
    SAC_TRY(sac_adam_store(tr->adam, tr->params, st, "adam.", error));
    int64_t four = 4;
    SAC_TRY(
        sac_safetensors_add(st, "rng.sampler", SAC_DTYPE_U64, 1, &four, tr->sampler.state, error));
    sac_rng dropout = sac_train_rng(tr->plan);
    SAC_TRY(sac_safetensors_add(st, "rng.dropout", SAC_DTYPE_U64, 1, &four, dropout.state, error));
    SAC_TRY(sac_safetensors_add(st, "order", SAC_DTYPE_I64, 1, &tr->train_count, tr->order, error));
    int64_t counts[] = {s->step,        s->epoch_step, s->order_next,
                        s->epochs_done, s->best,       s->finished};
    int64_t n = sizeof counts / sizeof counts[0];
    SAC_TRY(sac_safetensors_add(st, "state.counts", SAC_DTYPE_I64, 1, &n, counts, error));
    double values[2 + LOSSES] = {s->best_loss, s->seconds};
    memcpy(values + 2, s->sums, sizeof s->sums);
    n = 2 + LOSSES;
    SAC_TRY(sac_safetensors_add(st, "state.values", SAC_DTYPE_F64, 1, &n, values, error));
    SAC_TRY_ALLOC(rows = sac_calloc(s->epochs_done * EPOCH_VALUES, sizeof *rows));
    for (int64_t i = 0; i < s->epochs_done; i++) {
        const sac_ssmtl_epoch *e = &tr->history[i];
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

static sac_status check_state(const trainer *tr, const int64_t c[6], const double *values,
                              const char *path, sac_error *error) {
    bool good = c[0] >= 0 && c[1] >= 0 && c[1] <= tr->steps_per_epoch && c[2] >= 0 &&
                c[2] <= tr->train_count && c[3] >= 0 && c[3] <= tr->options.epochs && c[4] >= -1 &&
                c[4] < c[3] && isfinite(values[1]) && values[1] >= 0;
    for (int64_t i = 0; good && i < tr->train_count; i++) {
        good = tr->order[i] >= 0 && tr->order[i] < tr->train_count;
    }
    if (good && (c[5] == 0 || c[4] >= 0)) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: its counters contradict each other",
                         path);
}

static sac_status load_checkpoint(trainer *tr, const char *path, const char *stamp,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    const void *data = NULL;
    state *s = &tr->state;
    SAC_TRY(sac_safetensors_read(&st, path, error));
    const char *text = sac_safetensors_metadata(st, "format");
    if (text == NULL || strcmp(text, "saccade-ssmtl-checkpoint") != 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: not a checkpoint of this teacher",
                               path);
        goto fail;
    }
    text = sac_safetensors_metadata(st, "stamp");
    if (text == NULL || strcmp(text, stamp) != 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: was made with other data or settings, which differ: then %s, "
                               "now %s",
                               path, text == NULL ? "unknown" : text, stamp);
        goto fail;
    }
    SAC_TRY(sac_params_load(tr->params, st, "model.", path, error));
    SAC_TRY(sac_params_load(tr->best_params, st, "best.", path, error));
    SAC_TRY(sac_adam_load(tr->adam, tr->params, st, "adam.", path, error));
    int64_t n = 4;
    SAC_TRY(sac_safetensors_expect(st, "rng.sampler", SAC_DTYPE_U64, 1, &n, &data, error));
    memcpy(tr->sampler.state, data, sizeof tr->sampler.state);
    SAC_TRY(sac_safetensors_expect(st, "rng.dropout", SAC_DTYPE_U64, 1, &n, &data, error));
    sac_rng dropout;
    memcpy(dropout.state, data, sizeof dropout.state);
    sac_train_set_rng(tr->plan, &dropout);
    SAC_TRY(sac_safetensors_expect(st, "order", SAC_DTYPE_I64, 1, &tr->train_count, &data, error));
    memcpy(tr->order, data, (size_t)tr->train_count * sizeof *tr->order);
    int64_t counts[6];
    n = 6;
    SAC_TRY(sac_safetensors_expect(st, "state.counts", SAC_DTYPE_I64, 1, &n, &data, error));
    memcpy(counts, data, sizeof counts);
    double values[2 + LOSSES];
    n = 2 + LOSSES;
    SAC_TRY(sac_safetensors_expect(st, "state.values", SAC_DTYPE_F64, 1, &n, &data, error));
    memcpy(values, data, sizeof values);
    SAC_TRY(check_state(tr, counts, values, path, error));
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
        tr->history[i] = (sac_ssmtl_epoch){.epoch = i + 1,
                                           .samples = (int64_t)row[1],
                                           .learning_rate = row[2],
                                           .seconds = row[3],
                                           .train = named_losses(row + 4, 1),
                                           .valid = named_losses(row + 4 + LOSSES, 1)};
    }
fail:
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to read it", path) : SAC_OK;
}

static sac_status open_trainer(trainer *tr, const sac_family_clip *clips, int64_t count,
                               const sac_ssmtl_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    tr->clips = clips;
    tr->options = *options;
    tr->state.best = -1;
    SAC_TRY(check_options(options, error));
    SAC_TRY(sac_ssmtl_net(&tr->net, options->backbone, options->crop_size, error));
    SAC_TRY(collect_objects(tr, count, error));
    int64_t samples = options->samples_per_epoch;
    if (samples == 0) samples = tr->train_count;
    tr->steps_per_epoch = samples / options->batch;
    if (tr->steps_per_epoch == 0) tr->steps_per_epoch = 1;
    int64_t area = options->crop_size * options->crop_size;
    SAC_TRY_ALLOC(tr->history = sac_calloc(options->epochs, sizeof *tr->history));
    SAC_TRY_ALLOC(tr->samples = sac_calloc(options->batch, sizeof *tr->samples));
    SAC_TRY_ALLOC(tr->residual = sac_calloc(options->batch * area, sizeof *tr->residual));
    SAC_TRY_ALLOC(tr->arrow_class = sac_calloc(options->batch, sizeof *tr->arrow_class));
    SAC_TRY_ALLOC(tr->irregular_class = sac_calloc(options->batch, sizeof *tr->irregular_class));
    SAC_TRY_ALLOC(tr->order = sac_calloc(tr->train_count, sizeof *tr->order));
    SAC_TRY(sac_params_create(&tr->params, tr->net, error));
    SAC_TRY(sac_params_create(&tr->best_params, tr->net, error));
    sac_rng init;
    sac_rng_seed(&init, options->seed, STREAM_INIT);
    sac_params_init(tr->params, &init);
    // The decoder starts by predicting the mean of the neighbours, not noise around it.
    sac_param *last = sac_params_find(tr->params, "middle.residual.weight");
    if (last != NULL) memset(last->data, 0, (size_t)last->count * sizeof *last->data);
    sac_adam_options adam = sac_adam_default_options();
    adam.learning_rate = options->learning_rate;
    SAC_TRY(sac_adam_create(&tr->adam, tr->params, &adam));
    sac_plan_options plan = {.batch = options->batch, .backend = options->backend};
    sac_rng dropout;
    sac_rng_seed(&dropout, options->seed, STREAM_DROPOUT);
    plan.seed = sac_rng_next(&dropout);
    SAC_TRY(sac_train_create(&tr->plan, tr->net, tr->params, &plan, error));
    SAC_TRY(sac_infer_create(&tr->validation, tr->net, tr->params, &plan, error));
    sac_rng_seed(&tr->sampler, options->seed, STREAM_SAMPLER);
    for (int64_t i = 0; i < tr->train_count; i++) tr->order[i] = i;
    sac_rng_shuffle(&tr->sampler, tr->order, tr->train_count);
fail:
    return status;
}

static void close_trainer(trainer *tr) {
    sac_train_close(&tr->plan);
    sac_infer_close(&tr->validation);
    sac_adam_close(&tr->adam);
    sac_params_close(&tr->params);
    sac_params_close(&tr->best_params);
    sac_net_close(&tr->net);
    sac_free(tr->train);
    sac_free(tr->valid);
    sac_free(tr->order);
    sac_free(tr->history);
    sac_free(tr->samples);
    sac_free(tr->residual);
    sac_free(tr->arrow_class);
    sac_free(tr->irregular_class);
}

// Validation, history, best weights.
static sac_status close_epoch(trainer *tr, const sac_ssmtl_listener *listener, sac_error *error) {
    sac_status status = SAC_OK;
    state *s = &tr->state;
    sac_ssmtl_epoch *e = &tr->history[s->epochs_done];
    *e = (sac_ssmtl_epoch){.epoch = s->epochs_done + 1,
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
    if (listener->epoch != NULL) {
        SAC_TRY(listener->epoch(listener->user, tr->history, s->epochs_done, s->best, error));
    }
fail:
    return status;
}

static sac_status learn(trainer *tr, const char *checkpoint, const char *stamp,
                        const sac_ssmtl_listener *listener, sac_error *error) {
    sac_status status = SAC_OK;
    state *s = &tr->state;
    int64_t total = tr->options.epochs * tr->steps_per_epoch;
    tr->started = sac_time_s() - s->seconds;
    double saved = sac_time_s();
    while (!s->finished) {
        double losses[LOSSES];
        SAC_TRY(train_step(tr, losses, error));
        for (int k = 0; k < LOSSES; k++) s->sums[k] += losses[k];
        s->epoch_step++;
        s->seconds = sac_time_s() - tr->started;
        if (listener->progress != NULL) {
            listener->progress(listener->user, s->step * tr->options.batch,
                               total * tr->options.batch, s->sums[0] / (double)s->epoch_step);
        }
        bool spent = tr->options.max_minutes > 0 && s->seconds >= 60 * tr->options.max_minutes;
        bool closed = s->epoch_step == tr->steps_per_epoch || spent;
        if (closed) {
            SAC_TRY(close_epoch(tr, listener, error));
            s->finished = spent || s->epochs_done == tr->options.epochs;
        }
        bool stop = !s->finished && listener->stop != NULL && listener->stop();
        if (closed || stop || sac_time_s() - saved >= 60 * tr->options.checkpoint_minutes) {
            SAC_TRY(save_checkpoint(tr, checkpoint, stamp, error));
            saved = sac_time_s();
        }
        if (stop) {
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, s->step,
                                 "interrupted after step %lld of %lld%s", (long long)s->step,
                                 (long long)total,
                                 checkpoint != NULL ? "; the checkpoint is saved" : "");
        }
    }
fail:
    return status;
}

sac_status sac_ssmtl_train(sac_ssmtl_model **out, sac_ssmtl_report *report,
                           const sac_family_clip *clips, int64_t count,
                           const sac_ssmtl_options *options, const char *checkpoint, bool resume,
                           const char *stamp, const sac_ssmtl_listener *listener,
                           sac_error *error) {
    sac_status status = SAC_OK;
    static const sac_ssmtl_listener silent = {0};
    trainer tr = {0};
    *out = NULL;
    *report = (sac_ssmtl_report){0};
    if (listener == NULL) listener = &silent;
    sac_ssmtl_model *model = sac_calloc(1, sizeof *model);
    SAC_TRY_ALLOC(model);
    SAC_TRY(open_trainer(&tr, clips, count, options, error));
    if (resume && checkpoint != NULL && sac_is_file(checkpoint)) {
        SAC_TRY(load_checkpoint(&tr, checkpoint, stamp, error));
    }
    SAC_TRY(learn(&tr, checkpoint, stamp, listener, error));
    int64_t objects = 0;
    for (int64_t c = 0; c < count; c++) objects += clips[c].detections->count;
    *report = (sac_ssmtl_report){.epochs = tr.history,
                                 .count = tr.state.epochs_done,
                                 .best = tr.state.best,
                                 .seconds = tr.state.seconds,
                                 .samples = tr.state.step * options->batch,
                                 .training_objects = tr.train_count,
                                 .held_back_objects = objects - tr.train_count};
    tr.history = NULL;
    model->net = tr.net;
    model->params = tr.best_params;
    model->crop_size = options->crop_size;
    tr.net = NULL;
    tr.best_params = NULL;
    *out = model;
    model = NULL;
fail:
    sac_ssmtl_model_close(&model);
    close_trainer(&tr);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for training") : SAC_OK;
}
