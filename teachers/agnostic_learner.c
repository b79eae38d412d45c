// One branch of the background-agnostic teacher while it learns.
#include "teachers/agnostic_learner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/infer.h"
#include "nn/loss.h"
#include "nn/optim.h"

// Independent random streams of one seed, plus the branch.
enum { STREAM_INIT = 31, STREAM_DROPOUT = 41 };
enum { NAME = 64 };

struct sac_agnostic_learner {
    sac_agnostic_learner_options options;
    const char *branch;
    int64_t crop; // values of one crop
    int64_t code; // and of its code
    sac_net *learn, *coder, *judge;
    sac_params *params;       // of LEARN
    sac_params *coder_params; // a copy of some of them, for pseudo-abnormal crops through D
    sac_params *judge_params;
    sac_train *plan, *judge_plan;
    sac_infer *coder_plan;
    sac_adam *adam, *judge_adam;
    float *zero;   // [batch][C][S][S]
    float *target; // [2 batch]: 0 normal, 1 pseudo-abnormal
};

void sac_agnostic_learner_close(sac_agnostic_learner **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_agnostic_learner *l = *slot;
    sac_train_close(&l->plan);
    sac_train_close(&l->judge_plan);
    sac_infer_close(&l->coder_plan);
    sac_adam_close(&l->adam);
    sac_adam_close(&l->judge_adam);
    sac_params_close(&l->params);
    sac_params_close(&l->coder_params);
    sac_params_close(&l->judge_params);
    sac_net_close(&l->learn);
    sac_net_close(&l->coder);
    sac_net_close(&l->judge);
    sac_free(l->zero);
    sac_free(l->target);
    sac_free(l);
    *slot = NULL;
}

static const char *name_of(const sac_agnostic_learner *l, const char *suffix, char name[NAME]) {
    (void)snprintf(name, NAME, "%s%s", l->branch, suffix);
    return name;
}

// Reconstructions begin as nothing, not as noise.
static void zero_last(sac_params *params, const char *branch, const char *decoder) {
    char name[NAME];
    (void)snprintf(name, sizeof name, "%s.%s.negative.weight", branch, decoder);
    sac_param *last = sac_params_find(params, name);
    if (last != NULL) memset(last->data, 0, (size_t)last->count * sizeof *last->data);
}

sac_status sac_agnostic_learner_create(sac_agnostic_learner **out,
                                       const sac_agnostic_learner_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_agnostic_learner *l = sac_calloc(1, sizeof *l);
    SAC_TRY_ALLOC(l);
    l->options = *o;
    SAC_TRY(sac_agnostic_net(&l->learn, SAC_AGNOSTIC_LEARN, o->branch, o->width, o->crop_size,
                             o->lambda, error));
    SAC_TRY(sac_agnostic_net(&l->coder, SAC_AGNOSTIC_CODER, o->branch, o->width, o->crop_size, 0,
                             error));
    SAC_TRY(sac_agnostic_net(&l->judge, SAC_AGNOSTIC_JUDGE, o->branch, o->width, o->crop_size, 0,
                             error));
    l->branch = sac_agnostic_branch_name(o->branch);
    l->crop = sac_agnostic_branch_channels(o->branch) * o->crop_size * o->crop_size;
    l->code = SAC_AGNOSTIC_CODE * (o->crop_size / 8) * (o->crop_size / 8);
    SAC_TRY(sac_params_create(&l->params, l->learn, error));
    SAC_TRY(sac_params_create(&l->coder_params, l->coder, error));
    SAC_TRY(sac_params_create(&l->judge_params, l->judge, error));
    sac_rng rng;
    sac_rng_seed(&rng, o->seed, STREAM_INIT + (uint64_t)o->branch);
    sac_params_init(l->params, &rng);
    sac_params_init(l->judge_params, &rng);
    zero_last(l->params, l->branch, "decoder");
    zero_last(l->params, l->branch, "adversary");
    sac_adam_options adam = sac_adam_default_options();
    adam.learning_rate = o->learning_rate;
    SAC_TRY(sac_adam_create(&l->adam, l->params, &adam));
    SAC_TRY(sac_adam_create(&l->judge_adam, l->judge_params, &adam));
    sac_plan_options plan = {.batch = o->batch, .backend = o->backend};
    SAC_TRY(sac_train_create(&l->plan, l->learn, l->params, &plan, error));
    SAC_TRY(sac_infer_create(&l->coder_plan, l->coder, l->coder_params, &plan, error));
    sac_rng_seed(&rng, o->seed, STREAM_DROPOUT + (uint64_t)o->branch);
    plan.seed = sac_rng_next(&rng);
    plan.batch = 2 * o->batch;
    SAC_TRY(sac_train_create(&l->judge_plan, l->judge, l->judge_params, &plan, error));
    SAC_TRY_ALLOC(l->zero = sac_calloc(o->batch * l->crop, sizeof *l->zero));
    SAC_TRY_ALLOC(l->target = sac_calloc(2 * o->batch, sizeof *l->target));
    for (int64_t i = o->batch; i < 2 * o->batch; i++) l->target[i] = 1;
    *out = l;
    return SAC_OK;
fail:
    sac_agnostic_learner_close(&l);
    return sac_error_set(error, status, -1, "no memory for training");
}

float *sac_agnostic_learner_normal(sac_agnostic_learner *l) {
    return sac_train_input(l->plan, l->branch);
}

float *sac_agnostic_learner_pseudo(sac_agnostic_learner *l) {
    char name[NAME];
    return sac_train_input(l->plan, name_of(l, ".pseudo", name));
}

static double mean_abs(const float *values, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs((double)values[i]);
    return sum / (double)n;
}

// Losses of the auto-encoder and the adversary, with their gradients.
static void take_errors(sac_agnostic_learner *l, double *values) {
    char name[NAME];
    const int64_t n = l->options.batch * l->crop;
    (void)name_of(l, ".error", name);
    values[SAC_AGNOSTIC_NORMAL] = sac_loss_l1(sac_train_output_grad(l->plan, name),
                                              sac_train_output(l->plan, name), l->zero, n, 1);
    (void)name_of(l, ".adversary.error", name);
    const float *error = sac_train_output(l->plan, name);
    float *grad = sac_train_output_grad(l->plan, name);
    values[SAC_AGNOSTIC_ADVERSARY] = sac_loss_l1(grad, error, l->zero, n, 1);
    const float *pseudo = sac_agnostic_learner_pseudo(l);
    for (int64_t i = 0; i < l->options.batch; i++) {
        if (mean_abs(error + i * l->crop, l->crop) > mean_abs(pseudo + i * l->crop, l->crop))
            memset(grad + i * l->crop, 0, (size_t)l->crop * sizeof *grad);
    }
}

static void put_abs(float *dst, const float *src, int64_t n) {
    for (int64_t i = 0; i < n; i++) dst[i] = fabsf(src[i]);
}

// Judge of the batch's normal and pseudo-abnormal halves; forward, loss and backward.
static sac_status take_verdict(sac_agnostic_learner *l, double *values, sac_error *error) {
    sac_status status = SAC_OK;
    char name[NAME];
    const int64_t batch = l->options.batch, n = batch * l->crop;
    float *difference = sac_train_input(l->judge_plan, name_of(l, ".difference.in", name));
    float *code = sac_train_input(l->judge_plan, name_of(l, ".code.in", name));
    const size_t code_bytes = (size_t)(batch * l->code) * sizeof(float);
    put_abs(difference, sac_train_output(l->plan, name_of(l, ".error", name)), n);
    memcpy(code, sac_train_output(l->plan, name_of(l, ".code", name)), code_bytes);
    (void)sac_agnostic_take(l->coder_params, l->params);
    SAC_TRY(sac_infer_update(l->coder_plan, l->coder_params, error));
    memcpy(sac_infer_input(l->coder_plan, l->branch), sac_agnostic_learner_pseudo(l),
           (size_t)n * sizeof(float));
    SAC_TRY(sac_infer_run(l->coder_plan, error));
    put_abs(difference + n, sac_infer_output(l->coder_plan, name_of(l, ".error", name)), n);
    memcpy(code + batch * l->code, sac_infer_output(l->coder_plan, name_of(l, ".code", name)),
           code_bytes);
    values[SAC_AGNOSTIC_PSEUDO] = mean_abs(difference + n, n);
    SAC_TRY(sac_train_forward(l->judge_plan, error));
    (void)name_of(l, ".logit", name);
    const float *logit = sac_train_output(l->judge_plan, name);
    values[SAC_AGNOSTIC_VERDICT] = sac_loss_bce_logits(sac_train_output_grad(l->judge_plan, name),
                                                       logit, l->target, 2 * batch, 1);
    int64_t right = 0;
    for (int64_t i = 0; i < 2 * batch; i++) right += (logit[i] > 0) == (i >= batch);
    values[SAC_AGNOSTIC_ACCURACY] = (double)right / (double)(2 * batch);
    sac_params_zero_grad(l->judge_params);
    SAC_TRY(sac_train_backward(l->judge_plan, error));
fail:
    return status;
}

sac_status sac_agnostic_learner_step(sac_agnostic_learner *l, double rate, int64_t step,
                                     double *values, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_train_forward(l->plan, error));
    take_errors(l, values);
    SAC_TRY(take_verdict(l, values, error));
    for (int k = 0; k < SAC_AGNOSTIC_VALUES; k++) {
        if (isfinite(values[k])) continue;
        return sac_error_set(error, SAC_ERROR_NUMERIC, step,
                             "a loss of step %lld is not finite (%s: normal %g, pseudo-abnormal "
                             "%g, adversary %g, judge %g); a lower learning rate may help",
                             (long long)step, l->branch, values[SAC_AGNOSTIC_NORMAL],
                             values[SAC_AGNOSTIC_PSEUDO], values[SAC_AGNOSTIC_ADVERSARY],
                             values[SAC_AGNOSTIC_VERDICT]);
    }
    sac_params_zero_grad(l->params);
    SAC_TRY(sac_train_backward(l->plan, error));
    SAC_TRY(sac_adam_step(l->adam, l->params, rate, NULL, error));
    SAC_TRY(sac_adam_step(l->judge_adam, l->judge_params, rate, NULL, error));
fail:
    return status;
}

void sac_agnostic_learner_give(const sac_agnostic_learner *l, sac_params *model) {
    (void)sac_agnostic_take(model, l->params);
    (void)sac_agnostic_take(model, l->judge_params);
}

sac_status sac_agnostic_learner_store(const sac_agnostic_learner *l, sac_safetensors *st,
                                      sac_error *error) {
    sac_status status = SAC_OK;
    char name[NAME];
    int64_t four = 4;
    sac_rng dropout = sac_train_rng(l->judge_plan);
    SAC_TRY(sac_params_store(l->params, st, "learn.", error));
    SAC_TRY(sac_params_store(l->judge_params, st, "judge.", error));
    SAC_TRY(sac_adam_store(l->adam, l->params, st, name_of(l, ".adam.", name), error));
    SAC_TRY(sac_adam_store(l->judge_adam, l->judge_params, st, name_of(l, ".judge-adam.", name),
                           error));
    SAC_TRY(sac_safetensors_add(st, name_of(l, ".dropout", name), SAC_DTYPE_U64, 1, &four,
                                dropout.state, error));
fail:
    return status;
}

sac_status sac_agnostic_learner_load(sac_agnostic_learner *l, const sac_safetensors *st,
                                     const char *file, sac_error *error) {
    sac_status status = SAC_OK;
    char name[NAME];
    int64_t four = 4;
    const void *data = NULL;
    sac_rng dropout;
    SAC_TRY(sac_params_load(l->params, st, "learn.", file, error));
    SAC_TRY(sac_params_load(l->judge_params, st, "judge.", file, error));
    SAC_TRY(sac_adam_load(l->adam, l->params, st, name_of(l, ".adam.", name), file, error));
    SAC_TRY(sac_adam_load(l->judge_adam, l->judge_params, st, name_of(l, ".judge-adam.", name),
                          file, error));
    SAC_TRY(sac_safetensors_expect(st, name_of(l, ".dropout", name), SAC_DTYPE_U64, 1, &four, &data,
                                   error));
    memcpy(dropout.state, data, sizeof dropout.state);
    sac_train_set_rng(l->judge_plan, &dropout);
fail:
    return status;
}
