// The stages of distill (gathering, pre-training, training, 8 bits), and the time left for each.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/time.h"
#include "distill/initial.h"
#include "student/model.h"
#include "tools/distill.h"

// When --max-time ends (sac_time_s), 0: never. Static, as the poll of gathering takes no argument.
static double deadline_s = 0;

static bool time_is_up(void) {
    return deadline_s > 0 && sac_time_s() > deadline_s;
}

static bool gathering_ends(void) {
    return sac_interrupted() || time_is_up();
}

// Minutes of `most` that are left after `used_s`; 0 stays "no limit", and something is always left.
static double minutes_left(double most, double used_s) {
    return most > 0 ? fmax(1e-9, most - used_s / 60) : 0;
}

// Training itself has no state yet in a run that was stopped while it was pre-trained, and one that
// was stopped while it gathered has none at all.
sac_status distill_resume_find(distill_run *r, sac_error *error) {
    const distill_settings *s = r->settings;
    char *own = sac_path_join(s->output, "checkpoint.safetensors"),
         *first = sac_path_join(s->output, "pretrain/checkpoint.safetensors");
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(own);
    SAC_TRY_ALLOC(first);
    r->resume = s->resume && sac_is_file(own);
    if (s->resume && !r->resume && !(s->pretrain != 0 && sac_is_file(first)) && !s->tool.quiet)
        fprintf(stderr, "%s: %s: no such file, so nothing was trained yet: training begins\n",
                distill_command.name, own);
    if (!s->resume && s->pretrain != 0 && sac_is_file(first)) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s exists: go on with --resume, or choose another folder", first);
    }
fail:
    sac_free(own);
    sac_free(first);
    return status;
}

sac_status distill_gather(distill_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    const distill_settings *s = r->settings;
    sac_trainer_options *trainer = &r->recipe.trainer;
    distill_display gathering = {.s = s};
    char *cache = sac_path_join(s->altered_cache != NULL ? s->altered_cache : s->output, "pseudo");
    SAC_TRY_ALLOC(cache);
    deadline_s = s->max_minutes > 0 ? r->begun + 60 * s->max_minutes : 0;
    const sac_samples_options gather = {.preprocess = r->recipe.preprocess,
                                        .variants = s->variants,
                                        .mix = r->recipe.mix,
                                        .show = s->show,
                                        .validation_fraction = s->validation,
                                        .seed = trainer->seed,
                                        .backend = trainer->backend,
                                        .cache = cache,
                                        .cache_shared = s->altered_cache != NULL,
                                        .stop = gathering_ends,
                                        .progress = distill_on_gather,
                                        .user = &gathering,
                                        .logger =
                                            sac_tool_logger(distill_command.name, s->tool.quiet)};
    status = sac_samples_load(&r->samples, r->dataset, r->recipe.teachers, r->recipe.teacher_count,
                              &gather, error);
    if (status == SAC_ERROR_INTERRUPTED && !sac_interrupted()) {
        *error = (sac_error){0};
        (void)snprintf(
            r->unfinished, sizeof r->unfinished,
            "out of time while gathering the training data, before any training: go on with "
            "--resume and more of it");
        status = SAC_OK;
        goto fail;
    }
    SAC_TRY(status);
    r->gather_s = sac_time_s() - r->begun;
    trainer->max_minutes = minutes_left(s->max_minutes, r->gather_s);
    if (r->recipe.flip_auto) trainer->augment.flip = r->samples.mirrors ? 0.5 : 0;
fail:
    sac_progress_close(&gathering.progress);
    sac_free(cache);
    return status;
}

// The trunk of the model as an auto-encoder, in RUN/pretrain.
sac_status distill_pretrain(distill_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    const distill_settings *s = r->settings;
    sac_trainer_options *trainer = &r->recipe.trainer;
    sac_pretrain_result *result = &r->pretrained;
    distill_display learning = {.s = s};
    const sac_trainer_hooks hooks = distill_hooks(&learning);
    if (s->pretrain == 0 || s->epochs == 0) return SAC_OK;
    char *folder = sac_path_join(s->output, "pretrain");
    const sac_pretrain_options o = {.kind =
                                        s->pretrain == 2 ? SAC_PRETRAIN_MASKED : SAC_PRETRAIN_PLAIN,
                                    .epochs = s->pretrain_epochs,
                                    .trainer = *trainer};
    SAC_TRY_ALLOC(folder);
    SAC_TRY(sac_pretrain_run(result, folder, r->model, &r->samples, &o, &hooks, s->resume, error));
    if (result->out_of_time) {
        (void)snprintf(r->unfinished, sizeof r->unfinished,
                       "out of time in pre-training after %" PRId64 " of %" PRId64
                       " epochs, so there is no student yet: go on with --resume and more of it",
                       result->epochs, s->pretrain_epochs);
        goto fail;
    }
    trainer->initial = sac_initial_digest(r->model->params);
    trainer->max_minutes = minutes_left(trainer->max_minutes, result->seconds);
fail:
    sac_progress_close(&learning.progress);
    sac_free(folder);
    return status;
}

// Measures a student that is not trained (--epochs 0).
static sac_status measure_only(distill_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_trainer_options *o = &r->recipe.trainer;
    const sac_model *model = r->model;
    sac_validation *validation = NULL;
    sac_validation_result measured;
    const sac_validation_options how = {
        .emphasis = o->emphasis,
        .scale_weights = {o->scale_weights[0], o->scale_weights[1], o->scale_weights[2]},
        .backend = o->backend};
    SAC_TRY(
        sac_validation_create(&validation, &r->samples, model->net, model->params, &how, error));
    SAC_TRY(sac_validation_run(validation, &measured, model->params, error));
    r->trained = (sac_trainer_result){.best_validation_loss = measured.loss,
                                      .best_pseudo_auc = measured.pseudo_auc};
    memcpy(r->trained.best_kind_auc, measured.kind_auc, sizeof measured.kind_auc);
fail:
    sac_validation_close(&validation);
    return status;
}

sac_status distill_train(distill_run *r, sac_error *error) {
    distill_display training = {.s = r->settings};
    const sac_trainer_hooks hooks = distill_hooks(&training);
    if (r->settings->epochs == 0) return measure_only(r, error);
    const sac_status status =
        sac_trainer_run(&r->trained, r->settings->output, r->model, &r->samples, &r->recipe.trainer,
                        &hooks, r->resume, error);
    sac_progress_close(&training.progress);
    return status;
}

// In 8 bits, fine-tuned in RUN/quantise.
sac_status distill_quantise(distill_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    const distill_settings *s = r->settings;
    sac_model *int8 = NULL;
    distill_display tuning = {.s = s};
    const sac_trainer_hooks hooks = distill_hooks(&tuning);
    if (!s->quantise) return SAC_OK;
    if (r->trained.out_of_time) {
        (void)snprintf(r->unfinished, sizeof r->unfinished,
                       "no time is left for int8, so there is no student-int8.safetensors yet: go "
                       "on with --resume and more of it");
        return SAC_OK;
    }
    char *folder = sac_path_join(s->output, "quantise"),
         *path = sac_path_join(s->output, "student-int8.safetensors");
    sac_quantise_options o = sac_quantise_default_options(&r->recipe.trainer);
    o.epochs = s->quantise_epochs;
    o.learning_rate = s->quantise_rate;
    o.trainer.max_minutes =
        minutes_left(s->max_minutes, r->gather_s + r->pretrained.seconds + r->trained.seconds);
    SAC_TRY_ALLOC(folder);
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_quantise_run(&int8, &r->quantised, folder, r->model, &r->samples, &o, &hooks,
                             s->resume, error));
    SAC_TRY(sac_model_save(int8, path, error));
    r->quantised_any = true;
fail:
    sac_progress_close(&tuning.progress);
    sac_model_close(&int8);
    sac_free(folder);
    sac_free(path);
    return status;
}
