// The training plan: a thin face over nn/plan.c.
#include "nn/train.h"

#include "core/memory.h"
#include "nn/plan.h"

struct sac_train {
    sac_plan *plan;
};

sac_status sac_train_create(sac_train **out, const sac_net *net, sac_params *params,
                            const sac_plan_options *options, sac_error *error) {
    sac_train *train = sac_calloc(1, sizeof *train);
    if (train == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "out of memory");
    const sac_status status = sac_plan_create(&train->plan, net, params, options, true, error);
    if (status != SAC_OK) {
        sac_train_close(&train);
        return status;
    }
    *out = train;
    return SAC_OK;
}

float *sac_train_input(sac_train *train, const char *name) {
    return sac_plan_port_data(train->plan, SAC_PORT_INPUT, name);
}

const float *sac_train_output(const sac_train *train, const char *name) {
    return sac_plan_port_data(train->plan, SAC_PORT_OUTPUT, name);
}

float *sac_train_output_grad(sac_train *train, const char *name) {
    return sac_plan_port_data(train->plan, SAC_PORT_OUTPUT_GRAD, name);
}

const float *sac_train_input_grad(const sac_train *train, const char *name) {
    return sac_plan_port_data(train->plan, SAC_PORT_INPUT_GRAD, name);
}

sac_shape sac_train_output_shape(const sac_train *train, const char *name) {
    return sac_plan_shape(train->plan, name);
}

sac_status sac_train_forward(sac_train *train, sac_error *error) {
    return sac_plan_forward(train->plan, error);
}

sac_status sac_train_backward(sac_train *train, sac_error *error) {
    return sac_plan_backward(train->plan, error);
}

sac_rng sac_train_rng(const sac_train *train) {
    return *sac_plan_rng(train->plan);
}

void sac_train_set_rng(sac_train *train, const sac_rng *rng) {
    *sac_plan_rng(train->plan) = *rng;
}

char *sac_train_describe(const sac_train *train) {
    return sac_plan_describe(train->plan);
}

void sac_train_close(sac_train **train) {
    if (train == NULL || *train == NULL) return;
    sac_plan_close(&(*train)->plan);
    sac_free(*train);
    *train = NULL;
}
