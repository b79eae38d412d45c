// Adversarial distillation: a discriminator per teacher looks at all three scales at once and tells
// that teacher's maps from the student's; the student is rewarded for maps that it takes for the
// teacher's. Network, its two losses and its state for checkpoints; no training loop.
#ifndef SAC_DISTILL_DISCRIMINATOR_H
#define SAC_DISTILL_DISCRIMINATOR_H

#include <stdint.h>

#include "core/safetensors.h"
#include "nn/train.h"
#include "saccade/status.h"

// Inputs "map16" [1][16][16], "map4" [1][4][4], "map1" [1], those of `heads` (student/heads.h);
// output "logit" [1].
//   map16 -> conv 3x3 1->4, ReLU, max-pool 4 -> [4][4][4]
//   with map4 -> conv 3x3 5->8, ReLU, max-pool 4 -> [8][1][1]
//   with map1 -> dense 9->50, leaky ReLU 0.01, dense 50->1
// A map that is not there is left out with the layers before it.
// D(maps) = sigmoid(logit), the probability that the maps are the teacher's.
// Source: Croitoru et al., CVIU 2024, the multi-scale discriminator. Kernel sizes are not given
// there: 3x3, padded by 1.
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_discriminator_net(sac_net **net, unsigned heads, sac_error *error);

typedef struct sac_discriminator sac_discriminator;

// A fresh one with its own Adam (beta1 0.5, because its task moves with the student).
//   heads  maps of the student, one at least
//   batch  samples of every call below, 1..4096
//   seed   of the weights
// SAC_ERROR_ARGUMENT, SAC_ERROR_MEMORY. One object serves one thread.
SAC_NODISCARD sac_status sac_discriminator_create(sac_discriminator **discriminator, unsigned heads,
                                                  int64_t batch, uint64_t seed, sac_backend backend,
                                                  sac_error *error);

typedef struct sac_discriminator_step_result {
    double loss;      // mean of both halves, log 2 when it cannot tell
    double real, own; // mean D of the teacher's and of the student's maps, in [0,1]
} sac_discriminator_step_result;

// One step of learning:
//   L_D = (BCE(D(teacher), 1) + BCE(D(student), 0)) / 2
// Both halves have a gradient: the published training code cuts that of the student's half, which
// leaves the discriminator, and with it the student's term, without any information.
//   result         may be NULL
//   teacher,       k = 0: f32 [batch][256], 1: [batch][16], 2: [batch][1]; those of `heads`
//   student        are read
//   learning_rate  > 0
// SAC_ERROR_NUMERIC: a loss or gradient is not finite.
SAC_NODISCARD sac_status sac_discriminator_step(sac_discriminator *discriminator,
                                                sac_discriminator_step_result *result,
                                                const float *const teacher[3],
                                                const float *const student[3], double learning_rate,
                                                sac_error *error);

// The student's term:
//   L_G = BCE(D(student), 1),   mean over the batch
//   loss   receives L_G
//   grad   grad[k] receives weight * dL_G/ds ADDED, shapes as above; NULL: loss only
// The discriminator does not change. SAC_ERROR_NUMERIC.
SAC_NODISCARD sac_status sac_discriminator_judge(sac_discriminator *discriminator, double *loss,
                                                 float *const grad[3],
                                                 const float *const student[3], double weight,
                                                 sac_error *error);

// Weights and moments, each name behind `prefix`; loading checks presence and shape. Errors of
// sac_params_store, sac_params_load, sac_adam_store and sac_adam_load.
SAC_NODISCARD sac_status sac_discriminator_store(const sac_discriminator *discriminator,
                                                 sac_safetensors *st, const char *prefix,
                                                 sac_error *error);
SAC_NODISCARD sac_status sac_discriminator_load(sac_discriminator *discriminator,
                                                const sac_safetensors *st, const char *prefix,
                                                const char *file, sac_error *error);
void sac_discriminator_close(sac_discriminator **discriminator);

#endif
