// Fold, calibrate, fine-tune, choose; see distill/quantise.h. The loop itself is the trainer's, on
// another network and with another plan to validate with.
#include "distill/quantise.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "distill/initial.h"
#include "nn/calibrate.h"
#include "nn/fold.h"
#include "nn/quant.h"

#define BATCH 16

sac_quantise_options sac_quantise_default_options(const sac_trainer_options *trainer) {
    return (sac_quantise_options){
        .epochs = 3, .learning_rate = 1e-4, .calibration_frames = 512, .trainer = *trainer};
}

// The model of `from` with another network, parameters of that network and no table.
static sac_status model_folded(sac_model **out, const sac_model *from, sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *model = sac_calloc(1, sizeof *model);
    *out = NULL;
    SAC_TRY_ALLOC(model);
    model->preprocess = from->preprocess;
    model->arch = sac_strdup(from->arch);
    model->provenance = json_deep_copy(from->provenance);
    SAC_TRY_ALLOC(model->arch);
    SAC_TRY_ALLOC(model->provenance);
    SAC_TRY(sac_fold_net(&model->net, from->net, error));
    SAC_TRY(sac_params_create(&model->params, model->net, error));
    SAC_TRY(sac_fold_params(model->params, model->net, from->net, from->params, error));
    *out = model;
    return SAC_OK;
fail:
    sac_model_close(&model);
    return status;
}

// Scales from samples as an epoch draws them, normal and altered ones, as they are.
static sac_status calibrate(sac_quant **quant, const sac_model *folded, const sac_samples *samples,
                            const sac_quantise_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    sac_calibrate *c = NULL;
    sac_sample_ref *refs = NULL;
    const sac_plan_options plan = {
        .batch = BATCH, .backend = o->trainer.backend, .channels_last = true};
    sac_calibrate_options options = sac_calibrate_defaults();
    sac_trainer_options order = o->trainer;
    const sac_preprocess *p = &samples->preprocess;
    order.samples_per_epoch = (o->calibration_frames + BATCH - 1) / BATCH * BATCH;
    options.input_scale = p->mean == 0 ? 1 / p->scale : 0;
    refs = sac_calloc(order.samples_per_epoch, sizeof *refs);
    SAC_TRY_ALLOC(refs);
    SAC_TRY(sac_trainer_order(refs, samples, &order, 0, error));
    SAC_TRY(sac_calibrate_create(&c, folded->net, folded->params, &plan, &options, error));
    for (int64_t at = 0; at < order.samples_per_epoch; at += BATCH) {
        sac_batch_input(sac_calibrate_input(c, "frames"), samples, refs + at, BATCH, NULL, NULL);
        SAC_TRY(sac_calibrate_run(c, error));
    }
    SAC_TRY(sac_calibrate_finish(c, quant, error));
fail:
    sac_calibrate_close(&c);
    sac_free(refs);
    return status;
}

static sac_status measure(sac_validation_result *result, const sac_samples *samples,
                          const sac_model *model, const sac_params *params, const sac_quant *quant,
                          const sac_trainer_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    sac_validation *v = NULL;
    const sac_validation_options options = {
        .emphasis = o->emphasis,
        .scale_weights = {o->scale_weights[0], o->scale_weights[1], o->scale_weights[2]},
        .backend = o->backend,
        .quant = quant};
    SAC_TRY(sac_validation_create(&v, samples, model->net, params, &options, error));
    SAC_TRY(sac_validation_run(v, result, params, error));
fail:
    sac_validation_close(&v);
    return status;
}

// What the fine-tuning depends on besides options and data: weights and scales.
static uint64_t begin_digest(const sac_model *folded, const sac_quant *quant) {
    uint64_t hash = sac_initial_digest(folded->params);
    for (int i = 0; i < sac_quant_count(quant); i++) {
        const float scale = sac_quant_scale(quant, sac_quant_name(quant, i));
        uint32_t word = 0;
        memcpy(&word, &scale, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash != 0 ? hash : 1;
}

// Trains `folded`'s parameters in place under fake quantisation.
static sac_status fine_tune(sac_quantise_result *result, const char *folder, sac_model *folded,
                            const sac_quant *quant, const sac_samples *samples,
                            const sac_quantise_options *o, const sac_trainer_hooks *hooks,
                            bool resume, sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *net = NULL;
    sac_trainer_result trained;
    sac_trainer_options options = o->trainer;
    char *path = sac_path_join(folder, "checkpoint.safetensors");
    options.epochs = o->epochs;
    options.learning_rate = o->learning_rate;
    options.patience = 0;
    options.adversarial = 0;
    options.initial = begin_digest(folded, quant);
    options.validation_net = folded->net;
    options.validation_quant = quant;
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_folder_create(folder, error));
    SAC_TRY(sac_quant_training_net(&net, folded->net, quant, error));
    // The parameters are the folded network's: names and shapes are the same.
    sac_model training = {.arch = folded->arch,
                          .preprocess = folded->preprocess,
                          .net = net,
                          .params = folded->params,
                          .provenance = folded->provenance};
    SAC_TRY(sac_trainer_run(&trained, folder, &training, samples, &options, hooks,
                            resume && sac_is_file(path), error));
    result->epochs = trained.epochs;
    result->seconds = trained.seconds;
    SAC_TRY(measure(&result->fine_tuned, samples, folded, folded->params, quant, &options, error));
fail:
    sac_net_close(&net);
    sac_free(path);
    return status;
}

static json_t *measured_json(const sac_validation_result *r) {
    json_t *kinds = json_object();
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        if (!isfinite(r->kind_auc[k])) continue;
        (void)json_object_set_new(kinds, sac_pseudo_kind_name((sac_pseudo_kind)k),
                                  json_real(r->kind_auc[k]));
    }
    return json_pack("{s:f, s:o, s:o}", "validation_loss", r->loss, "pseudo_auc",
                     sac_json_number(r->pseudo_auc), "pseudo_auc_by_kind", kinds);
}

static json_t *result_json(const sac_quantise_result *r, const sac_quantise_options *o) {
    return json_pack("{s:s, s:I, s:f, s:I, s:f, s:o, s:o, s:o?}", "weights",
                     r->kept_fine_tuned ? "fine-tuned" : "post-training", "epochs",
                     (json_int_t)r->epochs, "learning_rate", o->learning_rate, "calibration_frames",
                     (json_int_t)o->calibration_frames, "minutes", r->seconds / 60, "f32",
                     measured_json(&r->f32), "post_training", measured_json(&r->post_training),
                     "fine_tuned", r->epochs > 0 ? measured_json(&r->fine_tuned) : NULL);
}

sac_status sac_quantise_run(sac_model **out, sac_quantise_result *result, const char *folder,
                            const sac_model *model, const sac_samples *samples,
                            const sac_quantise_options *o, const sac_trainer_hooks *hooks,
                            bool resume, sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *folded = NULL;
    sac_params *before = NULL;
    json_t *json = NULL;
    *out = NULL;
    *result = (sac_quantise_result){0};
    if (o->epochs < 0 || o->epochs > 100000 || !(o->learning_rate > 0 && o->learning_rate <= 1) ||
        o->calibration_frames < 1 || o->calibration_frames > 1000000) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "quantisation: epochs must be 0 to 100000, the learning rate in "
                             "(0, 1], calibration frames 1 to 1000000");
    }
    SAC_TRY(model_folded(&folded, model, error));
    SAC_TRY(calibrate(&folded->quant, folded, samples, o, error));
    SAC_TRY(measure(&result->f32, samples, folded, folded->params, NULL, &o->trainer, error));
    SAC_TRY(measure(&result->post_training, samples, folded, folded->params, folded->quant,
                    &o->trainer, error));
    if (o->epochs > 0) {
        SAC_TRY(sac_params_create(&before, folded->net, error));
        SAC_TRY(sac_params_copy(before, folded->params));
        SAC_TRY(fine_tune(result, folder, folded, folded->quant, samples, o, hooks, resume,
                          error));
        result->kept_fine_tuned = result->fine_tuned.loss < result->post_training.loss;
        if (!result->kept_fine_tuned) SAC_TRY(sac_params_copy(folded->params, before));
    }
    json = result_json(result, o);
    SAC_TRY_ALLOC(json);
    if (json_object_set(folded->provenance, "quantisation", json) != 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    *out = folded;
    folded = NULL;
fail:
    json_decref(json);
    sac_params_close(&before);
    sac_model_close(&folded);
    return status == SAC_OK
               ? SAC_OK
               : sac_error_set(error, status, -1, "quantisation: %s", sac_status_name(status));
}
