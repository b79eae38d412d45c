// Training loop of the SSMTL teacher. Everything that influences the result is in `learning` and
// the tensors, which a checkpoint holds completely, or follows from the step (ssmtl_feed.h).
#include "teachers/ssmtl_train.h"

#include <math.h>
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
enum { LOSSES = SAC_SSMTL_LOSS_VALUES };
_Static_assert((int)LOSSES <= (int)SAC_LEARNING_LOSSES, "an epoch has room for all losses");
// Room around the crops for augmentation, in parts of their side.
enum { MARGIN_PART = 8 };

typedef struct trainer {
    const sac_family_job *job;
    sac_ssmtl_options options;
    sac_family_objects objects;
    sac_crop_object *crops; // [objects.train + objects.valid]
    int64_t *rows;          // [objects.train] 0, 1, 2 ...
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
    sac_learning learning;
    double cpu_per_sample; // s, of this run's learning
} trainer;

sac_ssmtl_options sac_ssmtl_default_options(void) {
    return (sac_ssmtl_options){.design = sac_ssmtl_default_design(),
                               .tasks = "middle,arrow,irregularity",
                               .augmentation = {.mirror = true},
                               .cache = true,
                               .learning = sac_learning_default_options()};
}

sac_status sac_ssmtl_options_check(const sac_ssmtl_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *net = NULL;
    sac_ssmtl_design design = o->design;
    const sac_ssmtl_augmentation *a = &o->augmentation;
    if (!sac_learning_options_valid(&o->learning) || !(o->weight_decay >= 0) ||
        o->weight_decay > 1 || !(a->jitter >= 0) || a->jitter > 1 || !(a->brightness >= 0) ||
        a->brightness > 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a training option is out of range (batch 2..4096, epochs from 1, "
                             "learning rate above 0 and at most 1, weight decay, jitter and "
                             "brightness 0 to 1, counts and minutes not negative)");
    }
    SAC_TRY(sac_ssmtl_tasks_parse(&design.tasks, o->tasks, error));
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        const int task = SAC_SSMTL_DISTILLATION + t;
        const bool on = (design.tasks & SAC_SSMTL_BIT(task)) != 0;
        if (on != (o->imitate[t] != NULL)) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 on ? "task %s needs a network to imitate"
                                    : "a network for task %s is given, but the task is not",
                                 sac_ssmtl_task_name(task));
        }
        design.features[t] = on; // how many there are only the network knows
    }
    SAC_TRY(sac_ssmtl_net(&net, &design, true, error));
fail:
    sac_net_close(&net);
    return status;
}

// ---- objects ------------------------------------------------------------------------------------

static sac_status collect_objects(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    sac_family_objects *objects = &tr->objects;
    SAC_TRY(sac_family_split(objects, tr->job, tr->options.learning.validation_samples, error));
    const int64_t count = objects->train + objects->valid;
    SAC_TRY_ALLOC(tr->crops = sac_calloc(count, sizeof *tr->crops));
    SAC_TRY_ALLOC(tr->rows = sac_calloc(objects->train, sizeof *tr->rows));
    for (int64_t i = 0; i < objects->train; i++) tr->rows[i] = i;
    for (int64_t i = 0; i < count; i++) {
        const sac_family_object *o = &objects->all[i];
        const sac_detections *d = tr->job->clips[o->clip].detections;
        tr->crops[i] = (sac_crop_object){.frames = d->frames, .t = o->t, .box = d->boxes[o->box]};
    }
fail:
    return status;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t size) {
    const uint8_t *b = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ b[i]) * 0x100000001b3u; // FNV-1a
    return hash;
}

// Tells the crops and values of this run from those of another.
static uint64_t digest(const trainer *tr) {
    uint64_t hash = mix(0xcbf29ce484222325u, tr->learning.stamp, strlen(tr->learning.stamp));
    for (int64_t i = 0; i < tr->objects.train + tr->objects.valid; i++) {
        const sac_crop_object *o = &tr->crops[i];
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
        if (text == NULL) continue;
        SAC_TRY(sac_image_network_read(&tr->networks[t], text,
                                       (sac_image_preprocess)tr->options.preprocess, error));
        targets->at[t] = targets->stride;
        targets->length[t] = tr->networks[t]->length;
        targets->stride += targets->length[t];
        if (t == 0) {
            for (int64_t i = 0; i < tr->objects.train; i++) {
                int64_t class_id = tr->crops[i].box.class_id;
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
static sac_status reap_rows(trainer *tr, harvest *h, int64_t first, int64_t end, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_ssmtl_targets *targets = &tr->targets;
    if (first == end) return SAC_OK;
    if (h->cache != NULL) {
        SAC_TRY(
            sac_crop_cache_put(h->cache, first, tr->crops + first, end - first, tr->source.size));
    }
    if (h->values == NULL) return SAC_OK;
    double start = sac_time_s();
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        if (h->runners[t] == NULL) continue;
        SAC_TRY(sac_image_runner_run(
            h->runners[t], h->values + first * targets->stride + targets->at[t], targets->stride,
            tr->crops + first, end - first, tr->job->listener.stop, error));
    }
    h->values_s += sac_time_s() - start;
    for (int64_t i = first; i < end && targets->classes > 0; i++) {
        float *row = h->values + i * targets->stride + targets->at[0] + targets->length[0];
        const sac_box *box = &tr->crops[i].box;
        memset(row, 0, (size_t)targets->classes * sizeof *row);
        if (box->class_id >= 0 && box->class_id < targets->classes)
            row[box->class_id] = box->confidence;
    }
fail:
    return status;
}

// Goes through the clips, so that one of them at a time is needed; `keep` leaves them all.
static sac_status reap(trainer *tr, harvest *h, bool keep, sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t ends[2] = {tr->objects.train, tr->objects.train + tr->objects.valid};
    int64_t at[2] = {0, tr->objects.train};
    for (int t = 0; t < SAC_SSMTL_TARGETS && h->values != NULL; t++) {
        if (tr->networks[t] == NULL) continue;
        SAC_TRY(sac_image_runner_create(&h->runners[t], tr->networks[t],
                                        tr->options.learning.backend, error));
    }
    for (int64_t c = 0; c < tr->job->count; c++) {
        if (c > 0 && sac_family_stopped(&tr->job->listener)) {
            status =
                sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "interrupted while cutting crops");
            goto fail;
        }
        SAC_TRY(sac_family_lend(tr->job, c, true, error));
        for (int part = 0; part < 2; part++) {
            int64_t first = at[part];
            for (; at[part] < ends[part] && tr->objects.all[at[part]].clip == c; at[part]++) {
                tr->crops[at[part]].pixels = tr->job->clips[c].pixels;
                tr->crops[at[part]].width = tr->job->clips[c].width;
                tr->crops[at[part]].height = tr->job->clips[c].height;
            }
            SAC_TRY(reap_rows(tr, h, first, at[part], error));
        }
        if (!keep) SAC_TRY(sac_family_lend(tr->job, c, false, error));
    }
    if (h->values != NULL) {
        sac_family_say(
            &tr->job->listener, "%lld values of image networks for %lld objects: %.1f objects/s",
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
        for (int64_t i = 0; i < tr->objects.train; i++) {
            const float *row = targets->values + i * targets->stride + targets->at[t];
            for (int64_t k = 0; k < targets->length[t]; k++) sum += (double)row[k];
        }
        double mean = sum / ((double)tr->objects.train * (double)targets->length[t]);
        targets->scale[t] = mean > 1e-6 ? 1 / mean : 1;
    }
}

// Crops and values come from a file where there is room for one.
static sac_status open_crops(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL;
    const char *checkpoint = tr->job->checkpoint;
    harvest h = {0};
    sac_error refused = {0};
    const int64_t count = tr->objects.train + tr->objects.valid, stride = tr->targets.stride;
    const int size = (int)tr->options.design.crop_size, side = size + 2 * (size / MARGIN_PART);
    const uint64_t number = digest(tr);
    const double start = sac_time_s();
    tr->source =
        (sac_crop_source){.size = size, .margin = size / MARGIN_PART, .objects = tr->crops};
    if (tr->options.cache && checkpoint != NULL) {
        SAC_TRY_ALLOC(path = sac_format("%s.crops", checkpoint));
        if (tr->job->resume && sac_crop_cache_open(&tr->cache, path, count, side, stride, number,
                                                   &refused) == SAC_OK) {
            tr->targets.values = sac_crop_cache_features(tr->cache, 0);
            goto done;
        }
        refused = (sac_error){0};
        if (sac_crop_cache_create(&tr->cache, path, count, side, stride, number, &refused) < 0) {
            sac_family_say(&tr->job->listener, "%s; crops are cut when they are needed",
                           refused.message);
        }
    }
    h.cache = tr->cache;
    if (stride > 0 && tr->cache != NULL) {
        h.values = sac_crop_cache_features(tr->cache, 0);
    } else if (stride > 0) {
        SAC_TRY_ALLOC(h.values = tr->values = sac_calloc(count * stride, sizeof *tr->values));
    }
    SAC_TRY(reap(tr, &h, tr->cache == NULL, error));
    tr->targets.values = h.values;
    if (tr->cache != NULL) {
        SAC_TRY(sac_crop_cache_commit(tr->cache, error));
        sac_family_say(&tr->job->listener, "crops of %lld objects cached: %.2f GB in %.1f s",
                       (long long)count, (double)sac_crop_cache_bytes(count, side, stride) / 1e9,
                       sac_time_s() - start);
    }
done:
    tr->source.cache = tr->cache;
    if (stride > 0) scale_targets(tr);
fail:
    sac_free(path);
    return status;
}

// ---- one step -----------------------------------------------------------------------------------

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
    return sac_error_set(error, SAC_ERROR_NUMERIC, tr->learning.step + 1,
                         "the %s loss of step %lld is not finite (%s); a lower learning rate may "
                         "help",
                         which, (long long)tr->learning.step + 1, text);
}

static sac_status train_step(trainer *tr, double values[LOSSES], sac_error *error) {
    sac_status status = SAC_OK;
    const sac_ssmtl_batch *batch = NULL;
    sac_ssmtl_losses losses;
    const sac_ssmtl_ports ports = {tr->plan, train_output, train_grad, train_shape};
    SAC_TRY(sac_ssmtl_feed_next(tr->feed, &batch, error));
    put_inputs(batch, batch->n, tr->plan, train_input);
    SAC_TRY(sac_train_forward(tr->plan, error));
    sac_ssmtl_loss(&losses, &tr->options.design, batch, batch->n, &tr->targets, &ports);
    if (!isfinite(losses.total)) SAC_TRY(loss_error(tr, &losses, "training", error));
    sac_params_zero_grad(tr->params);
    SAC_TRY(sac_train_backward(tr->plan, error));
    SAC_TRY(sac_adam_step(tr->adam, tr->params, sac_learning_rate(&tr->learning), NULL, error));
    sac_ssmtl_losses_put(values, &losses);
fail:
    return status;
}

static sac_status validate(trainer *tr, double values[LOSSES], sac_error *error) {
    sac_status status = SAC_OK;
    const sac_ssmtl_ports ports = {tr->validation, infer_output, NULL, infer_shape};
    sac_rng rng;
    sac_ssmtl_losses mean = {0};
    const int64_t batch = tr->options.learning.batch;
    // The same draws in every epoch, so that the losses can be compared.
    sac_rng_seed(&rng, tr->options.learning.seed, STREAM_VALIDATION);
    SAC_TRY(sac_infer_update(tr->validation, tr->params, error));
    for (int64_t first = 0; first < tr->objects.valid; first += batch) {
        int64_t n = tr->objects.valid - first;
        if (n > batch) n = batch;
        for (int64_t i = 0; i < n; i++) {
            tr->held->samples[i] =
                sac_ssmtl_sample_draw(tr->objects.train + first + i, tr->options.design.tasks,
                                      tr->rows, tr->objects.train, NULL, &rng);
        }
        SAC_TRY(sac_ssmtl_batch_fill(tr->held, &tr->source, n, true));
        put_inputs(tr->held, n, tr->validation, infer_input);
        SAC_TRY(sac_infer_run(tr->validation, error));
        sac_ssmtl_losses losses;
        sac_ssmtl_loss(&losses, &tr->options.design, tr->held, n, &tr->targets, &ports);
        sac_ssmtl_losses_add(&mean, &losses, (double)n / (double)tr->objects.valid);
    }
    if (!isfinite(mean.total)) SAC_TRY(loss_error(tr, &mean, "validation", error));
    sac_ssmtl_losses_put(values, &mean);
fail:
    return status;
}

// ---- checkpoint ---------------------------------------------------------------------------------

static sac_status save_checkpoint(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = tr->job->checkpoint;
    sac_safetensors *st = NULL;
    if (path == NULL) return SAC_OK;
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_params_store(tr->params, st, "model.", error));
    SAC_TRY(sac_params_store(tr->best_params, st, "best.", error));
    SAC_TRY(sac_adam_store(tr->adam, tr->params, st, "adam.", error));
    int64_t n = 4;
    sac_rng dropout = sac_train_rng(tr->plan);
    SAC_TRY(sac_safetensors_add(st, "rng.dropout", SAC_DTYPE_U64, 1, &n, dropout.state, error));
    SAC_TRY(sac_learning_store(&tr->learning, st, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to write it", path)
                      : SAC_OK;
}

static sac_status load_checkpoint(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = tr->job->checkpoint;
    sac_safetensors *st = NULL;
    const void *data = NULL;
    SAC_TRY(sac_safetensors_read(&st, path, error));
    SAC_TRY(sac_learning_load(&tr->learning, st, error));
    SAC_TRY(sac_params_load(tr->params, st, "model.", path, error));
    SAC_TRY(sac_params_load(tr->best_params, st, "best.", path, error));
    SAC_TRY(sac_adam_load(tr->adam, tr->params, st, "adam.", path, error));
    int64_t n = 4;
    SAC_TRY(sac_safetensors_expect(st, "rng.dropout", SAC_DTYPE_U64, 1, &n, &data, error));
    sac_rng dropout;
    memcpy(dropout.state, data, sizeof dropout.state);
    sac_train_set_rng(tr->plan, &dropout);
fail:
    sac_safetensors_close(&st);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to read it", path) : SAC_OK;
}

// ---- the run ------------------------------------------------------------------------------------

static sac_status open_trainer(trainer *tr, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_ssmtl_options *options = tr->job->options;
    const sac_learning_options *learning = &tr->options.learning;
    tr->options = *options;
    SAC_TRY(sac_ssmtl_options_check(options, error));
    SAC_TRY(sac_ssmtl_tasks_parse(&tr->options.design.tasks, options->tasks, error));
    SAC_TRY(collect_objects(tr, error));
    SAC_TRY(open_networks(tr, error));
    SAC_TRY(sac_ssmtl_net(&tr->net, &tr->options.design, true, error));
    SAC_TRY(sac_learning_open(&tr->learning, learning, tr->job, "saccade-ssmtl-checkpoint-2",
                              LOSSES, tr->objects.train));
    SAC_TRY(sac_ssmtl_batch_create(&tr->held, &tr->options.design, learning->batch, true));
    SAC_TRY(sac_params_create(&tr->params, tr->net, error));
    SAC_TRY(sac_params_create(&tr->best_params, tr->net, error));
    sac_rng init;
    sac_rng_seed(&init, learning->seed, STREAM_INIT);
    sac_params_init(tr->params, &init);
    // The decoder starts by predicting the mean of the neighbours, not noise around it.
    sac_param *last = sac_params_find(tr->params, "middle.residual.weight");
    if (last != NULL) memset(last->data, 0, (size_t)last->count * sizeof *last->data);
    sac_adam_options adam = sac_adam_default_options();
    adam.learning_rate = learning->learning_rate;
    adam.weight_decay = options->weight_decay;
    adam.decoupled = true;
    SAC_TRY(sac_adam_create(&tr->adam, tr->params, &adam));
    sac_plan_options plan = {.batch = learning->batch, .backend = learning->backend};
    sac_rng dropout;
    sac_rng_seed(&dropout, learning->seed, STREAM_DROPOUT);
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
    sac_learning_close(&tr->learning);
    sac_free(tr->objects.all);
    sac_free(tr->crops);
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) sac_image_network_close(&tr->networks[t]);
    sac_free(tr->values);
    sac_free(tr->rows);
}

// Validation, history, best weights.
static sac_status close_epoch(trainer *tr, sac_learning_epoch_call epoch, void *user,
                              sac_error *error) {
    sac_status status = SAC_OK;
    sac_learning *l = &tr->learning;
    double train[LOSSES], valid[LOSSES];
    for (int k = 0; k < LOSSES; k++) train[k] = l->sums[k] * (1 / (double)l->epoch_step);
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
    const sac_learning_options *options = &tr->options.learning;
    if (l->finished) return SAC_OK;
    sac_ssmtl_feed_options feed = {.design = &tr->options.design,
                                   .source = &tr->source,
                                   .rows = tr->rows,
                                   .count = tr->objects.train,
                                   .batch = options->batch,
                                   .augmentation = tr->options.augmentation,
                                   .seed = options->seed,
                                   .step = l->step};
    SAC_TRY(sac_ssmtl_feed_open(&tr->feed, &feed, error));
    const double cpu = sac_cpu_time_s();
    const int64_t first = l->step;
    sac_learning_begin(l);
    while (!l->finished) {
        double losses[LOSSES];
        SAC_TRY(train_step(tr, losses, error));
        sac_learning_step(l, losses);
        if (sac_learning_epoch_ends(l)) SAC_TRY(close_epoch(tr, epoch, user, error));
        if (sac_learning_must_save(l)) SAC_TRY(save_checkpoint(tr, error));
        SAC_TRY(sac_learning_check_stop(l, error));
    }
    tr->cpu_per_sample = (sac_cpu_time_s() - cpu) / (double)((l->step - first) * options->batch);
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
                           const sac_family_job *job, sac_learning_epoch_call epoch, void *user,
                           sac_error *error) {
    sac_status status = SAC_OK;
    trainer tr = {.job = job};
    char *stamp = NULL;
    *out = NULL;
    *report = (sac_ssmtl_report){0};
    SAC_TRY(open_trainer(&tr, error));
    SAC_TRY(extend_stamp(&stamp, &tr, job->stamp));
    tr.learning.stamp = stamp;
    if (job->resume && job->checkpoint != NULL && sac_is_file(job->checkpoint))
        SAC_TRY(load_checkpoint(&tr, error));
    if (!tr.learning.finished || tr.targets.stride > 0) SAC_TRY(open_crops(&tr, error));
    SAC_TRY(learn(&tr, epoch, user, error));
    for (int64_t c = 0; c < job->count && tr.cache == NULL; c++)
        SAC_TRY(sac_family_lend(job, c, false, error));
    SAC_TRY(make_model(out, &tr, error));
    SAC_TRY(sac_learning_finish(&report->learning, &tr.learning, &tr.objects, error));
    report->waited = tr.feed == NULL ? 0 : sac_ssmtl_feed_waited(tr.feed);
    report->cpu_per_sample = tr.cpu_per_sample;
fail:
    if (status < 0) sac_ssmtl_model_close(out);
    sac_free(stamp);
    close_trainer(&tr);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for training") : SAC_OK;
}
