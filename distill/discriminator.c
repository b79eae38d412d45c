// The multi-scale discriminator and its two plans: one over teacher's and student's maps together
// that learns, one over the student's maps that hands gradients back to them.
#include "distill/discriminator.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/loss.h"
#include "nn/net.h"
#include "nn/optim.h"
#include "nn/params.h"
#include "student/heads.h"

struct sac_discriminator {
    unsigned heads;
    int64_t batch;
    sac_net *net; // the plans look names up in it
    sac_params *params;
    sac_train *learner; // 2 * batch: the teacher's maps, then the student's
    sac_train *judge;   // batch, with gradients of the inputs
    sac_adam *adam;
    float *targets; // [2 * batch]: ones, then zeros
};

sac_status sac_discriminator_net(sac_net **out, unsigned heads, sac_error *error) {
    sac_status status = SAC_OK;
    static const int64_t map16[3] = {1, 16, 16}, map4[3] = {1, 4, 4}, map1[1] = {1}, flat[1] = {8};
    static const int64_t four[3] = {1, 4, 4}, none[3] = {0, 0, 0};
    sac_net *net = NULL;
    int x = -1, fine = -1, middle = -1, whole = -1;
    *out = NULL;
    SAC_TRY(sac_net_create(&net));
    if ((heads & 1) != 0) fine = sac_net_input(net, sac_heads[0].output, 3, map16);
    if ((heads & 2) != 0) middle = sac_net_input(net, sac_heads[1].output, 3, map4);
    if ((heads & 4) != 0) whole = sac_net_input(net, sac_heads[2].output, 1, map1);
    if (fine >= 0) {
        x = sac_net_conv2d(net, "fine.conv", fine, 4, 3, 1, 1, 1, true);
        x = sac_net_unary(net, SAC_OP_RELU, "fine.relu", x);
        x = sac_net_pool(net, SAC_OP_MAX_POOL, "fine.pool", x, four, four, none);
    }
    if (fine >= 0 && middle >= 0)
        x = sac_net_concat(net, "middle.input", (const int[]){x, middle}, 2, 1);
    else if (middle >= 0)
        x = middle;
    if (x >= 0) {
        x = sac_net_conv2d(net, "middle.conv", x, 8, 3, 1, 1, 1, true);
        x = sac_net_unary(net, SAC_OP_RELU, "middle.relu", x);
        x = sac_net_pool(net, SAC_OP_MAX_POOL, "middle.pool", x, four, four, none);
        x = sac_net_reshape(net, "middle.flat", x, 1, flat);
    }
    if (x >= 0 && whole >= 0)
        x = sac_net_concat(net, "whole.input", (const int[]){x, whole}, 2, 1);
    else if (whole >= 0)
        x = whole;
    x = sac_net_dense(net, "whole.hidden", x, 50, true);
    x = sac_net_unary(net, SAC_OP_LEAKY_RELU, "whole.relu", x);
    sac_net_output(net, sac_net_dense(net, "logit", x, 1, true));
    SAC_TRY(sac_net_check(net, error));
    *out = net;
    return SAC_OK;
fail:
    sac_net_close(&net);
    return sac_error_set(error, status, -1, "no memory for a discriminator");
}

sac_status sac_discriminator_create(sac_discriminator **out, unsigned heads, int64_t batch,
                                    uint64_t seed, sac_backend backend, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (batch < 1 || batch > 4096) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a discriminator's batch must be 1 to 4096 samples, got %" PRId64,
                             batch);
    }
    sac_discriminator *d = sac_calloc(1, sizeof *d);
    SAC_TRY_ALLOC(d);
    d->heads = heads;
    d->batch = batch;
    SAC_TRY(sac_discriminator_net(&d->net, heads, error));
    SAC_TRY(sac_params_create(&d->params, d->net, error));
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0x646973);
    sac_params_init(d->params, &rng);
    sac_plan_options options = {.batch = 2 * batch, .backend = backend};
    SAC_TRY(sac_train_create(&d->learner, d->net, d->params, &options, error));
    options.batch = batch;
    options.input_grad = true;
    SAC_TRY(sac_train_create(&d->judge, d->net, d->params, &options, error));
    sac_adam_options adam = sac_adam_default_options();
    adam.beta1 = 0.5;
    SAC_TRY(sac_adam_create(&d->adam, d->params, &adam));
    SAC_TRY_ALLOC(d->targets = sac_calloc(2 * batch, sizeof *d->targets));
    for (int64_t i = 0; i < batch; i++) d->targets[i] = 1;
    *out = d;
    return SAC_OK;
fail:
    sac_discriminator_close(&d);
    return sac_error_set(error, status, -1, "no memory for a discriminator");
}

static double mean_probability(const float *logits, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += 1 / (1 + exp(-(double)logits[i]));
    return sum / (double)n;
}

static sac_status not_finite(sac_error *error, const char *what) {
    return sac_error_set(error, SAC_ERROR_NUMERIC, -1, "the %s is not finite", what);
}

sac_status sac_discriminator_step(sac_discriminator *d, sac_discriminator_step_result *result,
                                  const float *const teacher[3], const float *const student[3],
                                  double learning_rate, sac_error *error) {
    sac_status status = SAC_OK;
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((d->heads >> k & 1) == 0) continue;
        const int64_t n = d->batch * sac_heads[k].cells;
        float *input = sac_train_input(d->learner, sac_heads[k].output);
        memcpy(input, teacher[k], (size_t)n * sizeof *input);
        memcpy(input + n, student[k], (size_t)n * sizeof *input);
    }
    SAC_TRY(sac_train_forward(d->learner, error));
    const float *logits = sac_train_output(d->learner, "logit");
    const double loss = sac_loss_bce_logits(sac_train_output_grad(d->learner, "logit"), logits,
                                            d->targets, 2 * d->batch, 1);
    if (!isfinite(loss)) return not_finite(error, "discriminator's loss");
    sac_params_zero_grad(d->params);
    SAC_TRY(sac_train_backward(d->learner, error));
    SAC_TRY(sac_adam_step(d->adam, d->params, learning_rate, NULL, error));
    if (result != NULL) {
        *result =
            (sac_discriminator_step_result){.loss = loss,
                                            .real = mean_probability(logits, d->batch),
                                            .own = mean_probability(logits + d->batch, d->batch)};
    }
fail:
    return status;
}

sac_status sac_discriminator_judge(sac_discriminator *d, double *loss, float *const grad[3],
                                   const float *const student[3], double weight, sac_error *error) {
    sac_status status = SAC_OK;
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((d->heads >> k & 1) == 0) continue;
        memcpy(sac_train_input(d->judge, sac_heads[k].output), student[k],
               (size_t)(d->batch * sac_heads[k].cells) * sizeof(float));
    }
    SAC_TRY(sac_train_forward(d->judge, error));
    *loss = sac_loss_bce_logits(sac_train_output_grad(d->judge, "logit"),
                                sac_train_output(d->judge, "logit"), d->targets, d->batch, 1);
    if (!isfinite(*loss)) return not_finite(error, "adversarial loss");
    if (grad == NULL) return SAC_OK;
    SAC_TRY(sac_train_backward(d->judge, error));
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((d->heads >> k & 1) == 0) continue;
        const float *from = sac_train_input_grad(d->judge, sac_heads[k].output);
        for (int64_t i = 0; i < d->batch * sac_heads[k].cells; i++)
            grad[k][i] += (float)weight * from[i];
    }
fail:
    return status;
}

static char *named(const char *prefix, const char *part) {
    return sac_format("%s%s", prefix, part);
}

sac_status sac_discriminator_store(const sac_discriminator *d, sac_safetensors *st,
                                   const char *prefix, sac_error *error) {
    sac_status status = SAC_OK;
    char *moments = named(prefix, "adam.");
    SAC_TRY_ALLOC(moments);
    SAC_TRY(sac_params_store(d->params, st, prefix, error));
    SAC_TRY(sac_adam_store(d->adam, d->params, st, moments, error));
fail:
    sac_free(moments);
    return status;
}

sac_status sac_discriminator_load(sac_discriminator *d, const sac_safetensors *st,
                                  const char *prefix, const char *file, sac_error *error) {
    sac_status status = SAC_OK;
    char *moments = named(prefix, "adam.");
    SAC_TRY_ALLOC(moments);
    SAC_TRY(sac_params_load(d->params, st, prefix, file, error));
    SAC_TRY(sac_adam_load(d->adam, d->params, st, moments, file, error));
fail:
    sac_free(moments);
    return status;
}

void sac_discriminator_close(sac_discriminator **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_discriminator *d = *slot;
    sac_train_close(&d->learner);
    sac_train_close(&d->judge);
    sac_adam_close(&d->adam);
    sac_params_close(&d->params);
    sac_net_close(&d->net);
    sac_free(d->targets);
    sac_free(d);
    *slot = NULL;
}
