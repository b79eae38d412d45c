// The parameters of a network: named f32 tensors in plain order (convolution weights
// [OC][IC/G][KD][KH][KW]), their gradients, and the statistics of the
// batch normalisations. One store may serve several plans (training and validation, shared
// weights).
#ifndef SAC_NN_PARAMS_H
#define SAC_NN_PARAMS_H

#include "core/rng.h"
#include "core/safetensors.h"
#include "nn/net.h"

typedef struct sac_param {
    char *name; // "stem.conv.weight"
    sac_shape shape;
    int64_t count;
    bool trainable; // running_mean, running_var are not
    float *data;    // [count]
    float *grad;    // [count], NULL when not trainable or made for inference
} sac_param;

typedef struct sac_params sac_params;
// All parameters of the net in node order, zero (norm weights and running_var one). Nodes that
// share contribute once.
SAC_NODISCARD sac_status sac_params_create(sac_params **params, const sac_net *net,
                                           sac_error *error);
// The same without gradients, in half the memory, for networks that only infer. Training plans
// refuse it (SAC_ERROR_ARGUMENT).
SAC_NODISCARD sac_status sac_params_create_constant(sac_params **params, const sac_net *net,
                                                    sac_error *error);
// He-normal for conv and dense that feed rectifiers (fan-in, gain 2), zero biases, ones for norm
// weights.
// Source: He et al., Delving Deep into Rectifiers, ICCV 2015, eq. 10.
void sac_params_init(sac_params *params, sac_rng *rng);
int64_t sac_params_count(const sac_params *params);
sac_param *sac_params_at(const sac_params *params, int64_t index);
sac_param *sac_params_find(const sac_params *params, const char *name);
void sac_params_zero_grad(sac_params *params);
int64_t sac_params_elements(const sac_params *params, bool trainable_only);
// SAC_ERROR_NUMERIC naming the tensor when a value is not finite.
SAC_NODISCARD sac_status sac_params_check_finite(const sac_params *params, sac_error *error);
// To and from a container; `prefix` goes before each name (NULL: none). Loading checks presence,
// shape and finiteness.
SAC_NODISCARD sac_status sac_params_store(const sac_params *params, sac_safetensors *st,
                                          const char *prefix, sac_error *error);
SAC_NODISCARD sac_status sac_params_load(sac_params *params, const sac_safetensors *st,
                                         const char *prefix, const char *file, sac_error *error);
SAC_NODISCARD sac_status sac_params_copy(sac_params *dst,
                                         const sac_params *src); // values only; equal nets
void sac_params_close(sac_params **params);

#endif
