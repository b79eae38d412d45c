// Adam and AdamW, gradient clipping by global norm, and learning-rate schedules. State is plain f32 next to the parameters, so that a checkpoint is exact.
#ifndef SAC_NN_OPTIM_H
#define SAC_NN_OPTIM_H

#include "nn/params.h"

typedef struct sac_adam_options {
    double learning_rate, beta1, beta2, epsilon; // 1e-3, 0.9, 0.999, 1e-8
    double weight_decay;                         // 0
    bool decoupled;                              // true: AdamW (Loshchilov and Hutter 2019), false: L2 added to the gradient
    double clip_norm;                            // 0: no clipping; else the global L2 norm limit
} sac_adam_options;
sac_adam_options sac_adam_default_options(void);

typedef struct sac_adam sac_adam;
SAC_NODISCARD sac_status sac_adam_create(sac_adam **adam, const sac_params *params, const sac_adam_options *options);
// One update with params' grads and the given learning rate (<= 0: the option's). *grad_norm (may be NULL) is the norm before clipping.
// SAC_ERROR_NUMERIC (naming the tensor, nothing changed) when a gradient is not finite. Source: Kingma and Ba, ICLR 2015, Algorithm 1.
SAC_NODISCARD sac_status sac_adam_step(sac_adam *adam, sac_params *params, double learning_rate, double *grad_norm, sac_error *error);
int64_t sac_adam_steps(const sac_adam *adam);
// Moments and step count to and from a container under `prefix`.
SAC_NODISCARD sac_status sac_adam_store(const sac_adam *adam, const sac_params *params, sac_safetensors *st, const char *prefix, sac_error *error);
SAC_NODISCARD sac_status sac_adam_load(sac_adam *adam, const sac_params *params, const sac_safetensors *st, const char *prefix, const char *file, sac_error *error);
void sac_adam_close(sac_adam **adam);

typedef enum sac_schedule_kind { SAC_SCHEDULE_CONSTANT, SAC_SCHEDULE_STEP, SAC_SCHEDULE_COSINE } sac_schedule_kind;
typedef struct sac_schedule {
    sac_schedule_kind kind;
    double base;            // learning rate at the start
    int64_t warmup;         // steps of linear warm-up from 0
    int64_t total;          // COSINE: steps until the floor
    double floor;           // COSINE: final learning rate
    int64_t step; double factor; // STEP: multiply by factor every `step` steps
} sac_schedule;
double sac_schedule_rate(const sac_schedule *schedule, int64_t step); // step from 0

#endif
