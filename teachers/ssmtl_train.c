// Training loop of the SSMTL teacher. Everything that influences the result is in `state` and the
// tensors, which a checkpoint holds completely, or follows from the step (ssmtl_feed.h); the clock
// only decides when checkpoints are written.
#include "teachers/ssmtl_train.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "core/time.h"
#include "nn/infer.h"
#include "nn/optim.h"
#include "teachers/ssmtl_feed.h"

// Independent random streams of one seed.
enum { STREAM_INIT = 11, STREAM_DROPOUT = 13, STREAM_VALIDATION = 14 };
enum { LOSSES = SAC_SSMTL_LOSS_VALUES, EPOCH_VALUES = 4 + 2 * LOSSES, COUNTS = 5 };
// Room around the crops for augmentation, in parts of their side.
enum { MARGIN_PART = 8 };
static const double COSINE_FLOOR = 0.02;

// Numbers a checkpoint carries besides tensors, as doubles (all counts are far below 2^53).
typedef struct state {
    int64_t step;        // optimiser steps done
    int64_t epoch_step;  // of the running epoch
    int64_t epochs_done; // rows of the history
    int64_t best;        // row kept, -1: none yet
    double best_loss;
    double seconds; // learned so far, over all runs
    bool finished;
    sac_ssmtl_losses sums; // of the running epoch, per step
} state;

typedef struct trainer {
    const sac_family_clip *clips;
    int64_t clip_count;
    sac_ssmtl_options options;
    sac_crop_object *objects; // [train_count + valid_count], those that train first
    int64_t train_count, valid_count, held_back;
    int32_t *clip_of; // [train_count + valid_count], ascending in both parts
    int64_t *rows;    // [train_count] 0, 1, 2 ...
    sac_crop_cache *cache;
    sac_crop_source source;
    sac_net *net;
    sac_params *params, *best_params;
    sac_train *plan;
    sac_infer *validation;
    sac_ssmtl_batch *held; // batch of the validation
    sac_ssmtl_feed *feed;
    sac_image_network *networks[SAC_SSMTL_TARGETS];
    sac_ssmtl_targets targets;
    float *values; // of the targets, where they are not cached
    sac_adam *adam;
    state state;
    sac_ssmtl_epoch *history; // [epochs]
    int64_t steps_per_epoch;
    double started; // clock at which this run would have begun had it learned `seconds` before
    double cpu_per_sample; // s, of this run's learning
} trainer;

sac_ssmtl_options sac_ssmtl_default_options(void) {
    return (sac_ssmtl_options){.design = sac_ssmtl_default_design(),
                               .tasks = "middle,arrow,irregularity",
                               .augmentation = {.mirror = true},
                               .batch = 64,
                               .epochs = 6,
                               .samples_per_epoch = 4096,
                               .validation_samples = 1024,
                               .learning_rate = 1e-3,
                               .cosine = true,
                               .checkpoint_minutes = 2,
                               .cache = true,
                               .seed = 1,
                               .backend = SAC_BACKEND_ONEDNN};
}

static sac_status check_options(const sac_ssmtl_options *o, sac_error *error) {
    const sac_ssmtl_augmentation *a = &o->augmentation;
    if (o->batch < 2 || o->batch > 4096 || o->epochs < 1 || o->epochs > 100000 ||
        o->samples_per_epoch < 0 || o->validation_samples < 0 || !(o->learning_rate > 0) ||
        o->learning_rate > 1 || !(o->weight_decay >= 0) || o->weight_decay > 1 ||
        !(o->max_minutes >= 0) || !(o->checkpoint_minutes >= 0) || !(a->jitter >= 0) ||
        a->jitter > 1 || !(a->brightness >= 0) || a->brightness > 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a training option is out of range (batch 2..4096, epochs from 1, "
                             "learning rate above 0 and at most 1, weight decay, jitter and "
                             "brightness 0 to 1, counts and minutes not negative)");
    }
    return SAC_OK;
}

static void say(const sac_ssmtl_listener *listener, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const sac_ssmtl_listener *listener, const char *format, ...) {
    char text[1200];
    if (listener->say == NULL) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    listener->say(listener->user, text);
}

// ---- objects
// -----------------------------------------------------------------------------------------------

// Splits the objects of every clip and thins the held-back ones evenly.
static sac_status collect_objects(trainer *tr, sac_error *error) {
    int64_t train = 0, valid = 0, wanted = tr->options.validation_samples;
    for (int64_t c = 0; c < tr->clip_count; c++) {
        int64_t objects = tr->clips[c].detections->count;
        train += sac_family_train_count(objects);
        valid += objects - sac_family_train_count(objects);
    }
    if (train < 2 || valid < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%lld objects to train and %lld to validate were found in %lld "
                             "training clips; at least 2 and 1 are needed (is the detector right "
                             "for this video?)",
                             (long long)train, (long long)valid, (long long)tr->clip_count);
    }
    tr->objects = sac_calloc(train + valid, sizeof *tr->objects);
    tr->rows = sac_calloc(train, sizeof *tr->rows);
    tr->clip_of = sac_calloc(train + valid, sizeof *tr->clip_of);
    if (tr->objects == NULL || tr->rows == NULL || tr->clip_of == NULL) return SAC_ERROR_MEMORY;
    for (int64_t i = 0; i < train; i++) tr->rows[i] = i;
    int64_t next[2] = {0, train};
    for (int64_t c = 0; c < tr->clip_count; c++) {
        const sac_family_clip *clip = &tr->clips[c];
        const sac_detections *d = clip->detections;
        int64_t first = sac_family_train_count(d->count);
        for (int64_t t = 0; t < d->frames; t++) {
            for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
                int64_t at = next[i >= first]++;
                tr->clip_of[at] = (int32_t)c;
                tr->objects[at] =
                    (sac_crop_object){.frames = d->frames, .t = t, .box = d->boxes[i]};
            }
        }
    }
    tr->train_count = train;
    tr->valid_count = tr->held_back = valid;
    if (wanted > 0 && wanted < valid) {
        for (int64_t i = 0; i < wanted; i++) {
            tr->objects[train + i] = tr->objects[train + i * valid / wanted];
            tr->clip_of[train + i] = tr->clip_of[train + i * valid / wanted];
        }
        tr->valid_count = wanted;
    }
    return SAC_OK;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t size) {
    const uint8_t *b = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ b[i]) * 0x100000001b3u; // FNV-1a
    return hash;
}

// Tells the crops and values of this run from those of another.
static uint64_t digest(const trainer *tr, const char *stamp) {
    uint64_t hash = mix(0xcbf29ce484222325u, stamp, strlen(stamp));
    for (int64_t i = 0; i < tr->train_count + tr->valid_count; i++) {
        const sac_crop_object *o = &tr->objects[i];
        float box[4] = {o->box.x1, o->box.y1, o->box.x2, o->box.y2};
        hash = mix(hash, &o->t, sizeof o->t);
        hash = mix(hash, box, sizeof box);
    }
    return hash;
}

// Reads the image networks and lays out the values of a row.
static sac_status open_networks(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    sac_ssmtl_targets *targets = &tr->targets;
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        const char *text = tr->options.imitate[t];
        const char *task = sac_ssmtl_task_name(SAC_SSMTL_DISTILLATION + t);
        bool on = (tr->options.design.tasks & SAC_SSMTL_BIT(SAC_SSMTL_DISTILLATION + t)) != 0;
        if (on != (text != NULL)) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 on ? "task %s needs a network to imitate"
                                    : "a network for task %s is given, but the task is not",
                                 task);
        }
        if (!on) continue;
        SAC_TRY(sac_image_network_read(&tr->networks[t], text,
                                       (sac_image_preprocess)tr->options.preprocess, error));
        targets->at[t] = targets->stride;
        targets->length[t] = tr->networks[t]->length;
        targets->stride += targets->length[t];
        if (t == 0) {
            for (int64_t i = 0; i < tr->train_count; i++) {
                int64_t class_id = tr->objects[i].box.class_id;
                if (class_id >= targets->classes) targets->classes = class_id + 1;
            }
            if (targets->classes > SAC_SSMTL_MAX_CLASSES) {
                return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                     "%lld classes of objects, at most %d can be imitated",
                                     (long long)targets->classes, (int)SAC_SSMTL_MAX_CLASSES);
            }
            targets->stride += targets->classes;
        }
        tr->options.design.features[t] = targets->stride - targets->at[t];
    }
fail:
    return status;
}

// Networks and classes are part of what a checkpoint must agree with; the paths of files are not.
static sac_status extend_stamp(char **out, const trainer *tr, const char *stamp) {
    *out = sac_strdup(stamp);
    for (int t = 0; *out != NULL && t < SAC_SSMTL_TARGETS; t++) {
        if (tr->networks[t] == NULL) continue;
        char *longer = sac_format(
            "%s; %s %016llx, %lld classes", *out, sac_ssmtl_task_name(SAC_SSMTL_DISTILLATION + t),
            (unsigned long long)tr->networks[t]->digest, (long long)tr->targets.classes);
        sac_free(*out);
        *out = longer;
    }
    return *out == NULL ? SAC_ERROR_MEMORY : SAC_OK;
}

// What is made of every object before learning: crops in the cache, values in `values`; either may
// be NULL.
typedef struct harvest {
    sac_crop_cache *cache;
    float *values; // [objects][stride]
    sac_image_runner *runners[SAC_SSMTL_TARGETS];
    double values_s;
} harvest;

// Rows first..end, all of one clip whose pixels are there.
static sac_status reap_rows(trainer *tr, harvest *h, int64_t first, int64_t end,
                            const sac_ssmtl_listener *listener, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_ssmtl_targets *targets = &tr->targets;
    if (first == end) return SAC_OK;
    if (h->cache != NULL) {
        SAC_TRY(
            sac_crop_cache_put(h->cache, first, tr->objects + first, end - first, tr->source.size));
    }
    if (h->values == NULL) return SAC_OK;
    double start = sac_time_s();
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        if (h->runners[t] == NULL) continue;
        SAC_TRY(sac_image_runner_run(
            h->runners[t], h->values + first * targets->stride + targets->at[t], targets->stride,
            tr->objects + first, end - first, listener->stop, error));
    }
    h->values_s += sac_time_s() - start;
    for (int64_t i = first; i < end && targets->classes > 0; i++) {
        float *row = h->values + i * targets->stride + targets->at[0] + targets->length[0];
        const sac_box *box = &tr->objects[i].box;
        memset(row, 0, (size_t)targets->classes * sizeof *row);
        if (box->class_id >= 0 && box->class_id < targets->classes)
            row[box->class_id] = box->confidence;
    }
fail:
    return status;
}

// Goes through the clips, so that one of them at a time is needed; `keep` leaves them all.
static sac_status reap(trainer *tr, harvest *h, bool keep, const sac_ssmtl_listener *listener,
                       sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t ends[2] = {tr->train_count, tr->train_count + tr->valid_count};
    int64_t at[2] = {0, tr->train_count};
    for (int t = 0; t < SAC_SSMTL_TARGETS && h->values != NULL; t++) {
        if (tr->networks[t] == NULL) continue;
        SAC_TRY(
            sac_image_runner_create(&h->runners[t], tr->networks[t], tr->options.backend, error));
    }
    for (int64_t c = 0; c < tr->clip_count; c++) {
        if (c > 0 && listener->stop != NULL && listener->stop()) {
            status =
                sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "interrupted while cutting crops");
            goto fail;
        }
        if (listener->lend != NULL) SAC_TRY(listener->lend(listener->user, c, true, error));
        for (int part = 0; part < 2; part++) {
            int64_t first = at[part];
            for (; at[part] < ends[part] && tr->clip_of[at[part]] == c; at[part]++) {
                tr->objects[at[part]].pixels = tr->clips[c].pixels;
                tr->objects[at[part]].width = tr->clips[c].width;
                tr->objects[at[part]].height = tr->clips[c].height;
            }
            SAC_TRY(reap_rows(tr, h, first, at[part], listener, error));
        }
        if (listener->lend != NULL && !keep)
            SAC_TRY(listener->lend(listener->user, c, false, error));
    }
    if (h->values != NULL) {
        say(listener, "%lld values of image networks for %lld objects: %.1f objects/s",
            (long long)tr->targets.stride, (long long)ends[1], (double)ends[1] / h->values_s);
    }
fail:
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) sac_image_runner_close(&h->runners[t]);
    return status;
}

// Values of a network have mean 1 over the training objects.
static void scale_targets(trainer *tr) {
    sac_ssmtl_targets *targets = &tr->targets;
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        double sum = 0;
        if (tr->networks[t] == NULL) continue;
        for (int64_t i = 0; i < tr->train_count; i++) {
            const float *row = targets->values + i * targets->stride + targets->at[t];
            for (int64_t k = 0; k < targets->length[t]; k++) sum += (double)row[k];
        }
        double mean = sum / ((double)tr->train_count * (double)targets->length[t]);
        targets->scale[t] = mean > 1e-6 ? 1 / mean : 1;
    }
}

// Crops and values come from a file where there is room for one.
static sac_status open_crops(trainer *tr, const char *checkpoint, bool resume, const char *stamp,
                             const sac_ssmtl_listener *listener, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL;
    harvest h = {0};
    sac_error refused = {0};
    const int64_t count = tr->train_count + tr->valid_count, stride = tr->targets.stride;
    const int size = (int)tr->options.design.crop_size, side = size + 2 * (size / MARGIN_PART);
    const uint64_t number = digest(tr, stamp);
    const double start = sac_time_s();
    tr->source =
        (sac_crop_source){.size = size, .margin = size / MARGIN_PART, .objects = tr->objects};
    if (tr->options.cache && checkpoint != NULL) {
        SAC_TRY_ALLOC(path = sac_format("%s.crops", checkpoint));
        if (resume && sac_crop_cache_open(&tr->cache, path, count, side, stride, number,
                                          &refused) == SAC_OK) {
            tr->targets.values = sac_crop_cache_features(tr->cache, 0);
            goto done;
        }
        refused = (sac_error){0};
        if (sac_crop_cache_create(&tr->cache, path, count, side, stride, number, &refused) < 0) {
            say(listener, "%s; crops are cut when they are needed", refused.message);
        }
    }
    h.cache = tr->cache;
    if (stride > 0 && tr->cache != NULL) {
        h.values = sac_crop_cache_features(tr->cache, 0);
    } else if (stride > 0) {
        SAC_TRY_ALLOC(h.values = tr->values = sac_calloc(count * stride, sizeof *tr->values));
    }
    SAC_TRY(reap(tr, &h, tr->cache == NULL, listener, error));
    tr->targets.values = h.values;
    if (tr->cache != NULL) {
        SAC_TRY(sac_crop_cache_commit(tr->cache, error));
        say(listener, "crops of %lld objects cached: %.2f GB in %.1f s", (long long)count,
            (double)sac_crop_cache_bytes(count, side, stride) / 1e9, sac_time_s() - start);
    }
done:
    tr->source.cache = tr->cache;
    if (stride > 0) scale_targets(tr);
fail:
    sac_free(path);
    return status;
}

// ---- one step
// ----------------------------------------------------------------------------------------------

static double learning_rate(const trainer *tr) {
    sac_schedule schedule = {.kind = SAC_SCHEDULE_CONSTANT, .base = tr->options.learning_rate};
    if (tr->options.cosine) {
        schedule.kind = SAC_SCHEDULE_COSINE;
        schedule.total = tr->options.epochs * tr->steps_per_epoch;
        schedule.floor = COSINE_FLOOR * tr->options.learning_rate;
    }
    return sac_schedule_rate(&schedule, tr->state.step);
}

// Copies the inputs of n rows into a plan.
static void put_inputs(const sac_ssmtl_batch *b, int64_t n, void *plan,
                       float *(*input)(void *plan, const char *name)) {
    const int64_t area = b->size * b->size, six = (SAC_SEQUENCE_LENGTH - 1) * area,
                  seven = SAC_SEQUENCE_LENGTH * area;
    const struct {
        const char *name;
        const float *data;
        int64_t length;
    } inputs[] = {{"arrow", b->arrow, six},
                  {"irregular", b->irregular, seven},
                  {"jigsaw", b->jigsaw, seven},
                  {"inpainting", b->inpainting, seven},
                  {"pseudo", b->pseudo, six}};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        if (inputs[i].data == NULL) continue;
        memcpy(input(plan, inputs[i].name), inputs[i].data,
               (size_t)(n * inputs[i].length) * sizeof(float));
    }
}

static float *train_input(void *plan, const char *name) {
    return sac_train_input(plan, name);
}
static const float *train_output(const void *plan, const char *name) {
    return sac_train_output(plan, name);
}
static float *train_grad(void *plan, const char *name) {
    return sac_train_output_grad(plan, name);
}
static sac_shape train_shape(const void *plan, const char *name) {
    return sac_train_output_shape(plan, name);
}
static float *infer_input(void *plan, const char *name) {
    return sac_infer_input(plan, name);
}
static const float *infer_output(const void *plan, const char *name) {
    return sac_infer_output(plan, name);
}
static sac_shape infer_shape(const void *plan, const char *name) {
    return sac_infer_output_shape(plan, name);
}

static sac_status loss_error(const trainer *tr, const sac_ssmtl_losses *l, const char *which,
                             sac_error *error) {
    char text[512] = "";
    size_t at = 0;
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        if ((tr->options.design.tasks & SAC_SSMTL_BIT(k)) == 0 || at >= sizeof text) continue;
        int n = snprintf(text + at, sizeof text - at, "%s%s %g", at > 0 ? ", " : "",
                         sac_ssmtl_task_name(k), l->task[k]);
        at += n > 0 ? (size_t)n : 0;
    }
    return sac_error_set(error, SAC_ERROR_NUMERIC, tr->state.step + 1,
                         "the %s loss of step %lld is not finite (%s); a lower learning rate may "
                         "help",
                         which, (long long)tr->state.step + 1, text);
}

static sac_status train_step(trainer *tr, sac_ssmtl_losses *losses, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_ssmtl_batch *batch = NULL;
    const sac_ssmtl_ports ports = {tr->plan, train_output, train_grad, train_shape};
    SAC_TRY(sac_ssmtl_feed_next(tr->feed, &batch, error));
    put_inputs(batch, batch->n, tr->plan, train_input);
    SAC_TRY(sac_train_forward(tr->plan, error));
    sac_ssmtl_loss(losses, &tr->options.design, batch, batch->n, &tr->targets, &ports);
    if (!isfinite(losses->total)) SAC_TRY(loss_error(tr, losses, "training", error));
    sac_params_zero_grad(tr->params);
    SAC_TRY(sac_train_backward(tr->plan, error));
    SAC_TRY(sac_adam_step(tr->adam, tr->params, learning_rate(tr), NULL, error));
    tr->state.step++;
fail:
    return status;
}

static sac_status validate(trainer *tr, sac_ssmtl_losses *out, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_ssmtl_ports ports = {tr->validation, infer_output, NULL, infer_shape};
    sac_rng rng;
    *out = (sac_ssmtl_losses){0};
    // The same draws in every epoch, so that the losses can be compared.
    sac_rng_seed(&rng, tr->options.seed, STREAM_VALIDATION);
    SAC_TRY(sac_infer_update(tr->validation, tr->params, error));
    for (int64_t first = 0; first < tr->valid_count; first += tr->options.batch) {
        int64_t n = tr->valid_count - first;
        if (n > tr->options.batch) n = tr->options.batch;
        for (int64_t i = 0; i < n; i++) {
            tr->held->samples[i] =
                sac_ssmtl_sample_draw(tr->train_count + first + i, tr->options.design.tasks,
                                      tr->rows, tr->train_count, NULL, &rng);
        }
        SAC_TRY(sac_ssmtl_batch_fill(tr->held, &tr->source, n, true));
        put_inputs(tr->held, n, tr->validation, infer_input);
        SAC_TRY(sac_infer_run(tr->validation, error));
        sac_ssmtl_losses losses;
        sac_ssmtl_loss(&losses, &tr->options.design, tr->held, n, &tr->targets, &ports);
        sac_ssmtl_losses_add(out, &losses, (double)n / (double)tr->valid_count);
    }
    if (!isfinite(out->total)) SAC_TRY(loss_error(tr, out, "validation", error));
fail:
    return status;
}

// ---- checkpoint
// --------------------------------------------------------------------------------------------

static sac_status save_checkpoint(trainer *tr, const char *path, const char *stamp,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    double *rows = NULL;
    if (path == NULL) return SAC_OK;
    const state *s = &tr->state;
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "format", "saccade-ssmtl-checkpoint-2", error));
    SAC_TRY(sac_safetensors_set_metadata(st, "stamp", stamp, error));
    SAC_TRY(sac_params_store(tr->params, st, "model.", error));
    SAC_TRY(sac_params_store(tr->best_params, st, "best.", error));
    SAC_TRY(sac_adam_store(tr->adam, tr->params, st, "adam.", error));
    int64_t n = 4;
    sac_rng dropout = sac_train_rng(tr->plan);
    SAC_TRY(sac_safetensors_add(st, "rng.dropout", SAC_DTYPE_U64, 1, &n, dropout.state, error));
    int64_t counts[COUNTS] = {s->step, s->epoch_step, s->epochs_done, s->best, s->finished};
    n = COUNTS;
    SAC_TRY(sac_safetensors_add(st, "state.counts", SAC_DTYPE_I64, 1, &n, counts, error));
    double values[2 + LOSSES] = {s->best_loss, s->seconds};
    sac_ssmtl_losses_put(values + 2, &s->sums);
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
        sac_ssmtl_losses_put(row + 4, &e->train);
        sac_ssmtl_losses_put(row + 4 + LOSSES, &e->valid);
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
                              const char *path, sac_error *error) {
    bool good = c[0] >= 0 && c[0] <= tr->options.epochs * tr->steps_per_epoch && c[1] >= 0 &&
                c[1] <= tr->steps_per_epoch && c[2] >= 0 && c[2] <= tr->options.epochs &&
                c[3] >= -1 && c[3] < c[2] && isfinite(values[1]) && values[1] >= 0;
    if (good && (c[4] == 0 || c[3] >= 0)) return SAC_OK;
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
    if (text == NULL || strcmp(text, "saccade-ssmtl-checkpoint-2") != 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: not a checkpoint of this version of the teacher", path);
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
    SAC_TRY(sac_safetensors_expect(st, "rng.dropout", SAC_DTYPE_U64, 1, &n, &data, error));
    sac_rng dropout;
    memcpy(dropout.state, data, sizeof dropout.state);
    sac_train_set_rng(tr->plan, &dropout);
    int64_t counts[COUNTS];
    n = COUNTS;
    SAC_TRY(sac_safetensors_expect(st, "state.counts", SAC_DTYPE_I64, 1, &n, &data, error));
    memcpy(counts, data, sizeof counts);
    double values[2 + LOSSES];
    n = 2 + LOSSES;
    SAC_TRY(sac_safetensors_expect(st, "state.values", SAC_DTYPE_F64, 1, &n, &data, error));
    memcpy(values, data, sizeof values);
    SAC_TRY(check_state(tr, counts, values, path, error));
    *s = (state){.step = counts[0],
                 .epoch_step = counts[1],
                 .epochs_done = counts[2],
                 .best = counts[3],
                 .finished = counts[4] != 0,
                 .best_loss = values[0],
                 .seconds = values[1],
                 .sums = sac_ssmtl_losses_get(values + 2)};
    int64_t dims[2] = {s->epochs_done, EPOCH_VALUES};
    SAC_TRY(sac_safetensors_expect(st, "history", SAC_DTYPE_F64, 2, dims, &data, error));
    for (int64_t i = 0; i < s->epochs_done; i++) {
        const double *row = (const double *)data + i * EPOCH_VALUES;
        tr->history[i] = (sac_ssmtl_epoch){.epoch = i + 1,
                                           .samples = (int64_t)row[1],
                                           .learning_rate = row[2],
                                           .seconds = row[3],
                                           .train = sac_ssmtl_losses_get(row + 4),
                                           .valid = sac_ssmtl_losses_get(row + 4 + LOSSES)};
    }
fail:
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to read it", path) : SAC_OK;
}

// ---- the run
// -----------------------------------------------------------------------------------------------

static sac_status open_trainer(trainer *tr, const sac_ssmtl_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    tr->options = *options;
    tr->state.best = -1;
    SAC_TRY(check_options(options, error));
    SAC_TRY(sac_ssmtl_tasks_parse(&tr->options.design.tasks, options->tasks, error));
    SAC_TRY(collect_objects(tr, error));
    SAC_TRY(open_networks(tr, error));
    SAC_TRY(sac_ssmtl_net(&tr->net, &tr->options.design, true, error));
    int64_t samples = options->samples_per_epoch;
    if (samples == 0) samples = tr->train_count;
    tr->steps_per_epoch = samples / options->batch;
    if (tr->steps_per_epoch == 0) tr->steps_per_epoch = 1;
    SAC_TRY_ALLOC(tr->history = sac_calloc(options->epochs, sizeof *tr->history));
    SAC_TRY(sac_ssmtl_batch_create(&tr->held, &tr->options.design, options->batch, true));
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
    adam.weight_decay = options->weight_decay;
    adam.decoupled = true;
    SAC_TRY(sac_adam_create(&tr->adam, tr->params, &adam));
    sac_plan_options plan = {.batch = options->batch, .backend = options->backend};
    sac_rng dropout;
    sac_rng_seed(&dropout, options->seed, STREAM_DROPOUT);
    plan.seed = sac_rng_next(&dropout);
    SAC_TRY(sac_train_create(&tr->plan, tr->net, tr->params, &plan, error));
    SAC_TRY(sac_infer_create(&tr->validation, tr->net, tr->params, &plan, error));
fail:
    return status;
}

static void close_trainer(trainer *tr) {
    sac_ssmtl_feed_close(&tr->feed);
    sac_train_close(&tr->plan);
    sac_infer_close(&tr->validation);
    sac_ssmtl_batch_close(&tr->held);
    sac_adam_close(&tr->adam);
    sac_params_close(&tr->params);
    sac_params_close(&tr->best_params);
    sac_net_close(&tr->net);
    sac_crop_cache_close(&tr->cache);
    sac_free(tr->objects);
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) sac_image_network_close(&tr->networks[t]);
    sac_free(tr->values);
    sac_free(tr->rows);
    sac_free(tr->clip_of);
    sac_free(tr->history);
}

// Validation, history, best weights.
static sac_status close_epoch(trainer *tr, const sac_ssmtl_listener *listener, sac_error *error) {
    sac_status status = SAC_OK;
    state *s = &tr->state;
    sac_ssmtl_epoch *e = &tr->history[s->epochs_done];
    *e = (sac_ssmtl_epoch){.epoch = s->epochs_done + 1,
                           .samples = s->epoch_step * tr->options.batch,
                           .learning_rate = learning_rate(tr)};
    sac_ssmtl_losses_add(&e->train, &s->sums, 1 / (double)s->epoch_step);
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
    s->sums = (sac_ssmtl_losses){0};
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
    if (s->finished) return SAC_OK;
    sac_ssmtl_feed_options feed = {.design = &tr->options.design,
                                   .source = &tr->source,
                                   .rows = tr->rows,
                                   .count = tr->train_count,
                                   .batch = tr->options.batch,
                                   .augmentation = tr->options.augmentation,
                                   .seed = tr->options.seed,
                                   .step = s->step};
    SAC_TRY(sac_ssmtl_feed_open(&tr->feed, &feed, error));
    tr->started = sac_time_s() - s->seconds;
    const double cpu = sac_cpu_time_s();
    const int64_t first = s->step;
    double saved = sac_time_s();
    while (!s->finished) {
        sac_ssmtl_losses losses;
        SAC_TRY(train_step(tr, &losses, error));
        sac_ssmtl_losses_add(&s->sums, &losses, 1);
        s->epoch_step++;
        s->seconds = sac_time_s() - tr->started;
        if (listener->progress != NULL) {
            listener->progress(listener->user, s->step * tr->options.batch,
                               total * tr->options.batch, s->sums.total / (double)s->epoch_step);
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
    tr->cpu_per_sample = (sac_cpu_time_s() - cpu) / (double)((s->step - first) * tr->options.batch);
fail:
    return status;
}

// The scoring network with the best weights.
static sac_status make_model(sac_ssmtl_model **out, trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    sac_ssmtl_model *model = sac_calloc(1, sizeof *model);
    *out = model;
    SAC_TRY_ALLOC(model);
    model->design = tr->options.design;
    SAC_TRY(sac_ssmtl_net(&model->net, &model->design, false, error));
    SAC_TRY(sac_params_create(&model->params, model->net, error));
    for (int64_t i = 0; i < sac_params_count(model->params); i++) {
        sac_param *dst = sac_params_at(model->params, i);
        const sac_param *src = sac_params_find(tr->best_params, dst->name);
        if (src == NULL || src->count != dst->count) {
            status = sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                   "the training network has no parameter %s", dst->name);
            goto fail;
        }
        memcpy(dst->data, src->data, (size_t)src->count * sizeof *dst->data);
    }
    sac_ssmtl_calibration_init(&model->calibration, model->design.tasks);
    model->classes = tr->targets.classes;
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        model->scale[t] = tr->targets.scale[t];
        model->networks[t] = tr->networks[t];
        tr->networks[t] = NULL;
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
    trainer tr = {.clips = clips, .clip_count = count};
    char *full = NULL;
    *out = NULL;
    *report = (sac_ssmtl_report){0};
    if (listener == NULL) listener = &silent;
    SAC_TRY(open_trainer(&tr, options, error));
    SAC_TRY(extend_stamp(&full, &tr, stamp));
    if (resume && checkpoint != NULL && sac_is_file(checkpoint)) {
        SAC_TRY(load_checkpoint(&tr, checkpoint, full, error));
    }
    if (!tr.state.finished || tr.targets.stride > 0) {
        SAC_TRY(open_crops(&tr, checkpoint, resume, full, listener, error));
    }
    SAC_TRY(learn(&tr, checkpoint, full, listener, error));
    for (int64_t c = 0; c < count && listener->lend != NULL && tr.cache == NULL; c++)
        SAC_TRY(listener->lend(listener->user, c, false, error));
    SAC_TRY(make_model(out, &tr, error));
    *report = (sac_ssmtl_report){.epochs = tr.history,
                                 .count = tr.state.epochs_done,
                                 .best = tr.state.best,
                                 .seconds = tr.state.seconds,
                                 .cpu_per_sample = tr.cpu_per_sample,
                                 .waited = tr.feed == NULL ? 0 : sac_ssmtl_feed_waited(tr.feed),
                                 .samples = tr.state.step * options->batch,
                                 .training_objects = tr.train_count,
                                 .held_back_objects = tr.held_back};
    tr.history = NULL;
fail:
    if (status < 0) sac_ssmtl_model_close(out);
    sac_free(full);
    close_trainer(&tr);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for training") : SAC_OK;
}
