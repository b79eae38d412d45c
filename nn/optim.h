// Adam and AdamW, gradient clipping by global norm, and learning-rate schedules. State is plain f32
// next to the parameters, so that a checkpoint is exact.
#ifndef SAC_NN_OPTIM_H
#define SAC_NN_OPTIM_H

#include "nn/params.h"

// One step t (from 1) on every trainable element, with lr the learning rate and g its gradient
// after clipping:
//   L2 (decoupled false):  g += weight_decay * p
//   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
//   p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
//   AdamW (decoupled):     p also loses lr * weight_decay * (p before the step)
// Clipping comes first: g *= min(1, clip_norm / norm), norm = L2 norm of all gradients together.
// Decay applies to every trainable tensor, biases and norm weights included.
// A second moment beyond the range of f32 stays at FLT_MAX.
// Source: Kingma and Ba, "Adam", ICLR 2015, Algorithm 1; Loshchilov and Hutter, "Decoupled Weight
// Decay Regularization", ICLR 2019, Algorithm 2, with the decay scaled by the learning rate itself.
typedef struct sac_adam_options {
    double learning_rate; // 1e-3; > 0
    double beta1, beta2;  // 0.9, 0.999; in [0, 1)
    double epsilon;       // 1e-8; > 0
    double weight_decay;  // 0; >= 0
    bool decoupled;       // false; true: AdamW, false: L2 added to the gradient
    double clip_norm;     // 0: no clipping; else the limit of the global norm
} sac_adam_options;
sac_adam_options sac_adam_default_options(void);

typedef struct sac_adam sac_adam;

// Zero moments for every trainable tensor of `params`, which is not kept. SAC_ERROR_ARGUMENT: an
// option out of range; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_adam_create(sac_adam **adam, const sac_params *params,
                                         const sac_adam_options *options);

// One update of `params` with the gradients in it, which are read only.
//   learning_rate  <= 0: the option's
//   grad_norm      may be NULL; receives the global norm before clipping
// SAC_ERROR_NUMERIC: a gradient is not finite; the message names the tensor, and neither parameters
// nor state have changed. SAC_ERROR_ARGUMENT: other tensors than at creation, or a learning rate
// that is not a finite number.
// Arithmetic is double per element, state and parameters are rounded to f32. Bit-identical for
// every number of threads.
SAC_NODISCARD sac_status sac_adam_step(sac_adam *adam, sac_params *params, double learning_rate,
                                       double *grad_norm, sac_error *error);

int64_t sac_adam_steps(const sac_adam *adam); // steps taken, from 0

// Moments and step count to a container: `<prefix><tensor>.m`, `<prefix><tensor>.v` (f32, shape of
// the tensor) and `<prefix>step` (i64 [1]); prefix NULL: none. `params` gives names and shapes.
// SAC_ERROR_ARGUMENT: other tensors than at creation, or a name already taken; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_adam_store(const sac_adam *adam, const sac_params *params,
                                        sac_safetensors *st, const char *prefix, sac_error *error);

// And back, bit for bit; `file` is used in messages. Everything is checked before anything changes:
// SAC_ERROR_FORMAT for a missing tensor, a wrong dtype or shape, a negative step count, a moment
// that is not finite or a negative second moment. Options are not stored.
SAC_NODISCARD sac_status sac_adam_load(sac_adam *adam, const sac_params *params,
                                       const sac_safetensors *st, const char *prefix,
                                       const char *file, sac_error *error);

void sac_adam_close(sac_adam **adam); // NULL-safe

typedef enum sac_schedule_kind {
    SAC_SCHEDULE_CONSTANT,
    SAC_SCHEDULE_STEP,
    SAC_SCHEDULE_COSINE
} sac_schedule_kind;

typedef struct sac_schedule {
    sac_schedule_kind kind;
    double base;    // learning rate after warm-up
    int64_t warmup; // steps of linear warm-up; 0: none
    int64_t total;  // COSINE: steps until the floor, warm-up included
    double floor;   // COSINE: final learning rate
    int64_t step;   // STEP: length of a stair in steps
    double factor;  // STEP: multiply by it every `step` steps
} sac_schedule;

// Learning rate of step s (from 0):
//   s < warmup  base * (s + 1) / warmup
//   CONSTANT    base
//   STEP        base * factor^floor(s / step)
//   COSINE      floor + (base - floor) * (1 + cos(pi * (s - warmup) / (total - warmup))) / 2, from
//               `total` on the floor
// Never 0: where the formula gives 0 the result is the smallest positive double, which changes
// nothing, because a rate of 0 would mean "the default" to sac_adam_step.
// Source of COSINE: Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5, without restarts.
double sac_schedule_rate(const sac_schedule *schedule, int64_t step);

#endif
