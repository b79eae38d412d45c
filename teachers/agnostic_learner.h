// What learns in one branch of the background-agnostic teacher: auto-encoder, adversarial decoder
// and judge, with their optimisers. Takes crops and makes steps; where crops come from, in which
// order and when to stop is agnostic_train.h's business.
#ifndef SAC_TEACHERS_AGNOSTIC_LEARNER_H
#define SAC_TEACHERS_AGNOSTIC_LEARNER_H

#include <stdint.h>

#include "core/rng.h"
#include "core/safetensors.h"
#include "teachers/agnostic.h"

// What is measured of a branch, means over objects. x is normal, p pseudo-abnormal.
typedef enum sac_agnostic_value {
    SAC_AGNOSTIC_NORMAL,    // mean |x - D(E(x))|
    SAC_AGNOSTIC_PSEUDO,    // mean |p - D(E(p))|
    SAC_AGNOSTIC_ADVERSARY, // mean |p - A(E(p))|; 0 in validation, which has no A
    SAC_AGNOSTIC_VERDICT,   // cross-entropy of the judge, half of the objects normal
    SAC_AGNOSTIC_ACCURACY,  // of the judge, in [0,1]
    SAC_AGNOSTIC_VALUES
} sac_agnostic_value;

typedef struct sac_agnostic_learner sac_agnostic_learner;
typedef struct sac_agnostic_learner_options {
    int branch;
    sac_agnostic_width width;
    int64_t crop_size, batch; // batch: normal objects per step, with as many pseudo-abnormal ones
    double learning_rate, lambda;
    uint64_t seed; // of weights and dropout
    sac_backend backend;
} sac_agnostic_learner_options;
// SAC_ERROR_ARGUMENT (see sac_agnostic_net); SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_agnostic_learner_create(sac_agnostic_learner **learner,
                                                     const sac_agnostic_learner_options *options,
                                                     sac_error *error);
// Inputs of the next step, f32 [batch][C][S][S], to be filled by the caller.
float *sac_agnostic_learner_normal(sac_agnostic_learner *learner);
float *sac_agnostic_learner_pseudo(sac_agnostic_learner *learner);

// One step of Adam on
//   mean |x - D(E(x))| + mean |p - A(R(E(p)))|     for E, D and A, where R reverses gradients by
//                                                  lambda
//   cross-entropy(judge(|x - D(E(x))|, E(x)), 0) / 2 + cross-entropy(judge(|p - D(E(p))|, E(p)), 1)
//   / 2
//                                                  for the judge, which leaves E and D as they are
// Examples that A reconstructs worse than an empty crop would be (mean |p|) push E no further:
// their error could otherwise be driven up without end.
//   step    number in messages, from 1
//   values  f64 [SAC_AGNOSTIC_VALUES] of this step's batch, before the update
// SAC_ERROR_NUMERIC: a loss or gradient is not finite; names branch and step.
SAC_NODISCARD sac_status sac_agnostic_learner_step(sac_agnostic_learner *learner, double rate,
                                                   int64_t step, double *values, sac_error *error);

// Copies what a MODEL needs into its parameters.
void sac_agnostic_learner_give(const sac_agnostic_learner *learner, sac_params *model);

// Weights, optimisers and dropout generator under names that begin with the branch's.
SAC_NODISCARD sac_status sac_agnostic_learner_store(const sac_agnostic_learner *learner,
                                                    sac_safetensors *st, sac_error *error);
SAC_NODISCARD sac_status sac_agnostic_learner_load(sac_agnostic_learner *learner,
                                                   const sac_safetensors *st, const char *file,
                                                   sac_error *error);
void sac_agnostic_learner_close(sac_agnostic_learner **learner); // NULL-safe

#endif
