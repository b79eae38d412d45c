// Trains a student on gathered samples. Where samples come from is distill/samples.c's part, what a
// checkpoint looks like distill/checkpoint.c's.
#include "distill/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/time.h"
#include "distill/checkpoint.h"
#include "distill/discriminator.h"
#include "distill/loss.h"
#include "distill/validation.h"

#define STREAM_ORDER 0x6f72646572

sac_trainer_options sac_trainer_default_options(void) {
    return (sac_trainer_options){.epochs = 12,
                                 .samples_per_epoch = 6144,
                                 .batch = 4,
                                 .learning_rate = 2e-3,
                                 .weight_decay = 1e-4,
                                 .clip_norm = 1,
                                 .patience = 12,
                                 .pseudo_fraction = 0.5,
                                 .emphasis = 4,
                                 .scale_weights = {10, 3, 1},
                                 .augment = {.jitter = 0.1},
                                 .adversarial = 0,
                                 .adversarial_warmup = 2,
                                 .checkpoint_s = 60,
                                 .seed = 1};
}

json_t *sac_trainer_options_to_json(const sac_trainer_options *o) {
    char initial[17] = "random";
    if (o->initial != 0) (void)snprintf(initial, sizeof initial, "%016" PRIx64, o->initial);
    return json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:f, s:[f, f, f], s:f, s:f, s:I, s:f, s:f, s:f, "
        "s:f, s:f, s:I, s:I, s:s, s:s}",
        "epochs", (json_int_t)o->epochs, "samples_per_epoch", (json_int_t)o->samples_per_epoch,
        "batch", (json_int_t)o->batch, "learning_rate", o->learning_rate, "weight_decay",
        o->weight_decay, "clip_norm", o->clip_norm, "patience", (json_int_t)o->patience,
        "pseudo_fraction", o->pseudo_fraction, "emphasis", o->emphasis, "scale_weights",
        o->scale_weights[0], o->scale_weights[1], o->scale_weights[2], "jitter", o->augment.jitter,
        "flip", o->augment.flip, "shift", (json_int_t)o->augment.shift, "gamma", o->augment.gamma,
        "blur", o->augment.blur, "noise", o->augment.noise, "compression", o->augment.compression,
        "adversarial", o->adversarial, "adversarial_warmup", (json_int_t)o->adversarial_warmup,
        "seed", (json_int_t)o->seed, "backend", o->backend == SAC_BACKEND_REF ? "ref" : "onednn",
        "initial_weights", initial);
}

typedef struct trainer {
    sac_model *model;
    const sac_samples *samples;
    const sac_trainer_options *options;
    const sac_trainer_hooks *hooks;
    sac_train *train;
    sac_validation *validation;
    sac_adam *adam;
    sac_params *best;
    sac_sample_ref *order; // of the current epoch
    int64_t steps_per_epoch;
    sac_augment *augments;                               // of the current batch
    float *work;                                         // for deep ones
    float *targets[3];                                   // one teacher, one batch
    sac_discriminator *discriminators[SAC_MAX_TEACHERS]; // without an adversarial term: none
    unsigned heads;                                      // maps of the network
    int discriminator_count;
    sac_checkpoint state;
    const char *folder;
} trainer;

// Appends the training frames of the original or the altered clips.
static int64_t pool_fill(sac_sample_ref *pool, const sac_samples *samples, bool altered) {
    int64_t count = 0;
    for (int64_t c = altered ? samples->originals : 0;
         c < (altered ? samples->count : samples->originals); c++) {
        for (int64_t t = 0; t < samples->clips[c].validation_from; t++) {
            if (pool != NULL) pool[count] = (sac_sample_ref){(int32_t)c, (int32_t)t};
            count++;
        }
    }
    return count;
}

sac_status sac_trainer_order(sac_sample_ref *refs, const sac_samples *samples,
                             const sac_trainer_options *options, int64_t epoch, sac_error *error) {
    sac_status status = SAC_OK;
    sac_sample_ref *pool = NULL;
    int64_t *index = NULL, filled = 0;
    sac_rng rng;
    sac_rng_seed(&rng, options->seed + (uint64_t)epoch * 0x9e3779b97f4a7c15u, STREAM_ORDER);
    const bool altered_any = pool_fill(NULL, samples, true) > 0;
    const int64_t altered_share =
        altered_any ? llround(options->pseudo_fraction * (double)options->samples_per_epoch) : 0;
    for (int altered = 0; altered < 2; altered++) {
        const int64_t want =
            altered ? options->samples_per_epoch : options->samples_per_epoch - altered_share;
        const int64_t count = pool_fill(NULL, samples, altered == 1);
        if (filled >= want) continue;
        if (count == 0) {
            status = sac_error_set(
                error, SAC_ERROR_ARGUMENT, -1,
                "no frames are left to train on: the training clips are too few or too short");
            goto fail;
        }
        pool = sac_calloc(count, sizeof *pool);
        index = sac_calloc(count, sizeof *index);
        SAC_TRY_ALLOC(pool);
        SAC_TRY_ALLOC(index);
        (void)pool_fill(pool, samples, altered == 1);
        for (int64_t i = 0; i < count; i++) index[i] = i;
        while (filled < want) {
            sac_rng_shuffle(&rng, index, count);
            for (int64_t i = 0; i < count && filled < want; i++) refs[filled++] = pool[index[i]];
        }
        sac_free(pool);
        sac_free(index);
        pool = NULL;
        index = NULL;
    }
    // Normal and altered samples mixed within every batch.
    for (int64_t i = filled - 1; i > 0; i--) {
        const int64_t k = sac_rng_below(&rng, i + 1);
        const sac_sample_ref swap = refs[i];
        refs[i] = refs[k];
        refs[k] = swap;
    }
fail:
    sac_free(pool);
    sac_free(index);
    return status;
}

// The discriminator of one teacher learns from the batch; after the warm-up the student's gradient
// receives its judgement.
static sac_status oppose(trainer *t, sac_step_losses *losses, int teacher, float *const grad[3],
                         const float *const student[3], const float *const target[3], int64_t epoch,
                         double rate, sac_error *error) {
    sac_status status = SAC_OK;
    sac_discriminator *d = t->discriminators[teacher];
    sac_discriminator_step_result result;
    double loss = 0;
    const double weight = t->options->adversarial * t->samples->weights[teacher];
    const bool warm = epoch >= t->options->adversarial_warmup;
    SAC_TRY(sac_discriminator_step(d, &result, target, student, rate, error));
    SAC_TRY(sac_discriminator_judge(d, &loss, warm ? grad : NULL, student, weight, error));
    losses->adversarial += loss / t->discriminator_count;
    losses->real += result.real / t->discriminator_count;
    losses->own += result.own / t->discriminator_count;
fail:
    return status;
}

static sac_status step_run(trainer *t, int64_t epoch, int64_t step, double rate,
                           sac_step_losses *losses, sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t batch = t->options->batch;
    const sac_sample_ref *refs = t->order + step * batch;
    sac_error why = {0};
    for (int64_t i = 0; i < batch; i++)
        t->augments[i] =
            sac_augment_draw(&t->options->augment, t->options->seed, epoch, step * batch + i);
    sac_batch_input(sac_train_input(t->train, "frames"), t->samples, refs, batch, t->augments,
                    t->work);
    SAC_TRY(sac_train_forward(t->train, error));
    const float *student[3];
    float *grad[3];
    for (int k = 0; k < 3; k++) {
        student[k] = sac_train_output(t->train, sac_heads[k].output);
        grad[k] = sac_train_output_grad(t->train, sac_heads[k].output);
    }
    *losses = (sac_step_losses){0};
    for (int m = 0; m < t->samples->teacher_count; m++) {
        sac_batch_targets(t->targets, t->samples, refs, batch, m, t->augments);
        const float *const target[3] = {t->targets[0], t->targets[1], t->targets[2]};
        const double weight = t->samples->weights[m];
        losses->distillation +=
            weight * sac_distill_loss(losses->scales, grad, student, target, batch,
                                      t->options->emphasis, weight, t->options->scale_weights);
        if (t->discriminator_count == 0 || !isfinite(losses->distillation)) continue;
        status = oppose(t, losses, m, grad, student, target, epoch, rate, &why);
        if (status != SAC_OK) {
            return sac_error_set(error, status, step, "epoch %" PRId64 " step %" PRId64 ": %s",
                                 epoch + 1, step + 1, why.message);
        }
    }
    if (!isfinite(losses->distillation)) {
        return sac_error_set(error, SAC_ERROR_NUMERIC, step,
                             "epoch %" PRId64 " step %" PRId64
                             ": the distillation loss is not finite",
                             epoch + 1, step + 1);
    }
    sac_params_zero_grad(t->model->params);
    SAC_TRY(sac_train_backward(t->train, error));
    status = sac_adam_step(t->adam, t->model->params, rate, NULL, &why);
    if (status != SAC_OK) {
        return sac_error_set(error, status, step, "epoch %" PRId64 " step %" PRId64 ": %s",
                             epoch + 1, step + 1, why.message);
    }
fail:
    return status;
}

static sac_status validate(trainer *t, sac_epoch_metrics *m, sac_error *error) {
    sac_validation_result r;
    sac_error why = {0};
    const sac_status status = sac_validation_run(t->validation, &r, t->model->params, &why);
    if (status != SAC_OK) {
        return sac_error_set(error, status, t->state.step, "epoch %" PRId64 ": %s",
                             t->state.epoch + 1, why.message);
    }
    m->validation_loss = r.loss;
    m->pseudo_auc = r.pseudo_auc;
    memcpy(m->validation_scales, r.scales, sizeof r.scales);
    memcpy(m->kind_auc, r.kind_auc, sizeof r.kind_auc);
    return SAC_OK;
}

static void trainer_close(trainer *t) {
    sac_train_close(&t->train);
    sac_validation_close(&t->validation);
    sac_adam_close(&t->adam);
    sac_params_close(&t->best);
    for (int m = 0; m < t->discriminator_count; m++) sac_discriminator_close(&t->discriminators[m]);
    sac_free(t->order);
    sac_free(t->augments);
    sac_free(t->work);
    for (int k = 0; k < 3; k++) sac_free(t->targets[k]);
    sac_checkpoint_close(&t->state);
}

static sac_status options_check(const sac_trainer_options *o, sac_error *error) {
    const sac_augment_options *a = &o->augment;
    const struct {
        bool good;
        const char *rule;
    } rules[] = {
        {o->epochs >= 1 && o->epochs <= 100000, "epochs must be 1 to 100000"},
        {o->batch >= 1 && o->batch <= 4096, "the batch must be 1 to 4096 samples"},
        {o->samples_per_epoch >= o->batch && o->samples_per_epoch <= 100000000,
         "samples per epoch must be at least one batch, at most 100000000"},
        {o->learning_rate > 0 && o->learning_rate <= 1, "the learning rate must be in (0, 1]"},
        {o->weight_decay >= 0 && o->weight_decay <= 1, "the weight decay must be in [0, 1]"},
        {o->clip_norm >= 0 && o->clip_norm <= 1e6, "the clip norm must be in [0, 1e6]"},
        {o->patience >= 0, "the patience must not be negative"},
        {o->pseudo_fraction >= 0 && o->pseudo_fraction <= 1,
         "the pseudo fraction must be in [0, 1]"},
        {o->emphasis >= 0 && o->emphasis <= 1000, "the emphasis must be in [0, 1000]"},
        {o->scale_weights[0] >= 0 && o->scale_weights[1] >= 0 && o->scale_weights[2] >= 0 &&
             o->scale_weights[0] <= 1000 && o->scale_weights[1] <= 1000 &&
             o->scale_weights[2] <= 1000 &&
             o->scale_weights[0] + o->scale_weights[1] + o->scale_weights[2] > 0,
         "the weights of the scales must be in [0, 1000], one of them above 0"},
        {a->jitter >= 0 && a->jitter <= 0.9, "the jitter must be in [0, 0.9]"},
        {a->flip >= 0 && a->flip <= 1, "the part of flipped samples must be in [0, 1]"},
        {a->shift >= 0 && a->shift <= 64, "the shift must be 0 to 64 pixels"},
        {a->gamma >= 0 && a->gamma <= 1, "gamma must be in [0, 1]"},
        {a->blur >= 0 && a->blur <= 1, "the blur must be in [0, 1]"},
        {a->noise >= 0 && a->noise <= 64, "the noise must be in [0, 64] gray levels"},
        {a->compression >= 0 && a->compression <= 1,
         "the part of compressed samples must be in [0, 1]"},
        {o->adversarial >= 0 && o->adversarial <= 100,
         "the weight of the adversarial term must be in [0, 100]"},
        {o->adversarial_warmup >= 0, "the adversarial warm-up must not be negative"},
        {o->max_minutes >= 0, "the time limit must not be negative"},
        {o->checkpoint_s >= 0, "the time between checkpoints must not be negative"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].good) continue;
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s", rules[i].rule);
    }
    return SAC_OK;
}

// The maps that the student has, of which at least one must be judged.
static sac_status heads_check(unsigned *heads, const sac_model *model, const sac_trainer_options *o,
                              sac_error *error) {
    *heads = sac_heads_of(model->net);
    for (int k = 0; k < SAC_HEADS; k++)
        if ((*heads >> k & 1) != 0 && o->scale_weights[k] > 0) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                         "the weights of the scales are 0 for every map that the student has");
}

sac_status sac_trainer_check(const char *folder, const sac_model *model,
                             const sac_trainer_options *options, bool resume, sac_error *error) {
    sac_status status = SAC_OK;
    unsigned heads;
    SAC_TRY(options_check(options, error));
    SAC_TRY(heads_check(&heads, model, options, error));
    SAC_TRY(sac_checkpoint_expect(folder, resume, error));
fail:
    return status;
}

// What a checkpoint is made of; valid once everything is open.
static sac_checkpoint_parts parts_of(const trainer *t) {
    return (sac_checkpoint_parts){.model = t->model,
                                  .best = t->best,
                                  .adam = t->adam,
                                  .train = t->train,
                                  .samples = t->samples,
                                  .options = t->options,
                                  .steps_per_epoch = t->steps_per_epoch,
                                  .discriminators = t->discriminators,
                                  .discriminator_count = t->discriminator_count};
}

static sac_status trainer_open(trainer *t, bool resume, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_trainer_options *o = t->options;
    const sac_plan_options plan = {
        .batch = o->batch, .backend = o->backend, .seed = o->seed, .channels_last = true};
    const sac_validation_options check = {
        .emphasis = o->emphasis,
        .scale_weights = {o->scale_weights[0], o->scale_weights[1], o->scale_weights[2]},
        .backend = o->backend,
        .quant = o->validation_quant};
    sac_adam_options adam = sac_adam_default_options();
    adam.learning_rate = o->learning_rate;
    adam.weight_decay = o->weight_decay;
    adam.decoupled = true;
    adam.clip_norm = o->clip_norm;
    const sac_preprocess *p = &t->samples->preprocess;
    const sac_preprocess *q = &t->model->preprocess;
    if (p->width != q->width || p->height != q->height || p->channels != q->channels) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "samples of %dx%d px with %d channels for a network of %dx%d px with "
                             "%d",
                             p->width, p->height, p->channels, q->width, q->height, q->channels);
    }
    SAC_TRY(heads_check(&t->heads, t->model, o, error));
    t->steps_per_epoch = o->samples_per_epoch / o->batch;
    t->order = sac_calloc(o->samples_per_epoch, sizeof *t->order);
    SAC_TRY_ALLOC(t->order);
    t->augments = sac_calloc(o->batch, sizeof *t->augments);
    SAC_TRY_ALLOC(t->augments);
    if (o->augment.blur > 0 || o->augment.noise > 0 || o->augment.compression > 0) {
        t->work = sac_calloc(sac_batch_work_bytes(t->samples, o->batch), 1);
        SAC_TRY_ALLOC(t->work);
    }
    for (int k = 0; k < 3; k++) {
        t->targets[k] = sac_calloc(o->batch * sac_heads[k].cells, sizeof(float));
        SAC_TRY_ALLOC(t->targets[k]);
    }
    SAC_TRY(sac_params_create(&t->best, t->model->net, error));
    SAC_TRY(sac_adam_create(&t->adam, t->model->params, &adam));
    SAC_TRY(sac_train_create(&t->train, t->model->net, t->model->params, &plan, error));
    SAC_TRY(sac_validation_create(&t->validation, t->samples,
                                  o->validation_net != NULL ? o->validation_net : t->model->net,
                                  t->model->params, &check, error));
    for (int m = 0; o->adversarial > 0 && m < t->samples->teacher_count; m++) {
        SAC_TRY(sac_discriminator_create(&t->discriminators[m], t->heads, o->batch,
                                         o->seed + (uint64_t)m, o->backend, error));
        t->discriminator_count++;
    }
    const sac_checkpoint_parts parts = parts_of(t);
    SAC_TRY(sac_checkpoint_begin(&t->state, t->folder, &parts, resume, error));
fail:
    return status;
}

static sac_status checkpoint(trainer *t, sac_error *error) {
    const sac_checkpoint_parts parts = parts_of(t);
    return sac_checkpoint_save(&t->state, t->folder, &parts, error);
}

static bool time_is_up(const trainer *t) {
    return t->options->max_minutes > 0 && t->state.seconds > 60 * t->options->max_minutes &&
           (t->state.epoch > 0 || t->state.step > 0);
}

// The steps of an epoch that are left, or as many as the time limit lets pass.
static sac_status epoch_run(trainer *t, const sac_schedule *schedule, sac_error *error) {
    sac_status status = SAC_OK;
    sac_checkpoint *s = &t->state;
    const int64_t steps = t->options->epochs * t->steps_per_epoch;
    SAC_TRY(sac_trainer_order(t->order, t->samples, t->options, s->epoch, error));
    double last = sac_time_s(), saved = last;
    while (s->step < t->steps_per_epoch && !time_is_up(t)) {
        sac_step_losses losses;
        const int64_t at = s->epoch * t->steps_per_epoch + s->step;
        SAC_TRY(step_run(t, s->epoch, s->step, sac_schedule_rate(schedule, at), &losses, error));
        s->step++;
        s->sum.distillation += losses.distillation;
        for (int k = 0; k < 3; k++) s->sum.scales[k] += losses.scales[k];
        s->sum.adversarial += losses.adversarial;
        s->sum.real += losses.real;
        s->sum.own += losses.own;
        const double now = sac_time_s();
        s->seconds += now - last;
        last = now;
        if (t->hooks->step != NULL) {
            t->hooks->step(t->hooks->user, at + 1, steps, s->sum.distillation / (double)s->step);
        }
        const bool stop = t->hooks->stop != NULL && t->hooks->stop();
        if (stop || now - saved > t->options->checkpoint_s) {
            SAC_TRY(checkpoint(t, error));
            saved = sac_time_s();
            last = saved;
        }
        if (stop) {
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, s->step,
                                 "stopped in epoch %" PRId64 " after step %" PRId64
                                 "; %s/checkpoint.safetensors is complete, go on with --resume",
                                 s->epoch + 1, s->step, t->folder);
        }
    }
fail:
    return status;
}

// Validates, keeps the best parameters, writes what the epoch left. An epoch that the time limit
// cut short counts for the result, but its checkpoint is the state before its validation: a run
// that is resumed with more time goes on as if it had never been cut.
static sac_status epoch_finish(trainer *t, const sac_schedule *schedule, sac_error *error) {
    sac_status status = SAC_OK;
    sac_checkpoint *s = &t->state;
    const bool cut = s->step < t->steps_per_epoch;
    const int64_t steps = s->epoch * t->steps_per_epoch + s->step;
    if (cut) SAC_TRY(checkpoint(t, error));
    const double begun = sac_time_s();
    const double n = (double)s->step;
    const bool opposed = t->discriminator_count > 0;
    sac_epoch_metrics m = {.epoch = s->epoch + 1,
                           .train_loss = s->sum.distillation / n,
                           .adversarial_loss = opposed ? s->sum.adversarial / n : NAN,
                           .discriminator_real = opposed ? s->sum.real / n : NAN,
                           .discriminator_own = opposed ? s->sum.own / n : NAN};
    m.learning_rate = sac_schedule_rate(schedule, steps - 1);
    for (int k = 0; k < SAC_HEADS; k++)
        m.train_scales[k] = (t->heads >> k & 1) != 0 ? s->sum.scales[k] / n : NAN;
    SAC_TRY(validate(t, &m, error));
    s->seconds += sac_time_s() - begun;
    m.seconds = s->seconds;
    m.samples_per_s = s->seconds > 0 ? (double)(steps * t->options->batch) / s->seconds : 0;
    const bool best = s->best_epoch == 0 || m.validation_loss < s->best_validation_loss;
    if (best) {
        s->best_epoch = m.epoch;
        s->best_validation_loss = m.validation_loss;
        s->best_pseudo_auc = m.pseudo_auc;
        SAC_TRY(sac_params_copy(t->best, t->model->params));
    }
    SAC_TRY(sac_checkpoint_row(s, &m));
    s->epoch++;
    s->step = 0;
    s->sum = (sac_step_losses){0};
    if (!cut) SAC_TRY(checkpoint(t, error));
    SAC_TRY(sac_checkpoint_write_metrics(s, t->folder, error));
    if (t->hooks->epoch != NULL) t->hooks->epoch(t->hooks->user, &m, best);
fail:
    return status;
}

static bool patience_is_over(const trainer *t) {
    return t->options->patience > 0 && t->state.epoch - t->state.best_epoch >= t->options->patience;
}

sac_status sac_trainer_run(sac_trainer_result *result, const char *folder, sac_model *model,
                           const sac_samples *samples, const sac_trainer_options *options,
                           const sac_trainer_hooks *hooks, bool resume, sac_error *error) {
    static const sac_trainer_hooks silent = {0};
    sac_status status = SAC_OK;
    trainer t = {.model = model,
                 .samples = samples,
                 .options = options,
                 .hooks = hooks != NULL ? hooks : &silent,
                 .folder = folder};
    *result = (sac_trainer_result){0};
    SAC_TRY(options_check(options, error));
    SAC_TRY(trainer_open(&t, resume, error));
    const int64_t total = options->epochs * t.steps_per_epoch;
    const sac_schedule schedule = {.kind = SAC_SCHEDULE_COSINE,
                                   .base = options->learning_rate,
                                   .warmup = total / 50 < 200 ? total / 50 : 200,
                                   .total = total,
                                   .floor = 0.01 * options->learning_rate};
    // Also before the first epoch: a resumed run may have been over when it was killed.
    while (t.state.epoch < options->epochs && !patience_is_over(&t) && !result->out_of_time) {
        SAC_TRY(epoch_run(&t, &schedule, error));
        const int64_t done = t.state.epoch * t.steps_per_epoch + t.state.step;
        result->out_of_time = time_is_up(&t) && done < total;
        if (t.state.step > 0) SAC_TRY(epoch_finish(&t, &schedule, error));
    }
    SAC_TRY(sac_params_copy(model->params, t.best));
    result->early_stop = patience_is_over(&t) && t.state.epoch < options->epochs;
    result->epochs = t.state.epoch;
    result->best_epoch = t.state.best_epoch;
    result->best_validation_loss = t.state.best_validation_loss;
    result->best_pseudo_auc = t.state.best_pseudo_auc;
    result->seconds = t.state.seconds;
    sac_checkpoint_kind_auc(&t.state, t.state.best_epoch, result->best_kind_auc);
    trainer_close(&t);
    return SAC_OK;
fail:
    trainer_close(&t);
    return sac_error_set(error, status, -1, "training: %s", sac_status_name(status));
}
