// Training plan of a network: forward with batch statistics and dropout, backward, parameter
// gradients. Everything is planned once: layouts stay
// channels-last between operators, all activations live in one arena, a run allocates nothing.
#ifndef SAC_NN_TRAIN_H
#define SAC_NN_TRAIN_H

#include "nn/net.h"
#include "nn/params.h"

typedef enum sac_backend { SAC_BACKEND_ONEDNN, SAC_BACKEND_REF } sac_backend;

typedef struct sac_plan_options {
    int64_t batch; // N, fixed
    sac_backend backend;
    uint64_t seed; // dropout stream (training)
    bool
        // inputs are handed over channels-last ([N][H][W][C], [N][D][H][W][C]) instead of channels-
        // first
        channels_last;
    bool input_grad;            // training: also compute gradients of the inputs
    bool channels_last_outputs; // inference: outputs are handed over channels-last
    // Inference: scales of the activations (nn/quant.h), so that the plan runs in int8; NULL: f32.
    // Read while planning, not kept. Training plans refuse it: they take sac_quant_training_net.
    const struct sac_quant *quant;
    // Inference in f32: convolutions, dense layers and matrix products may round what they multiply
    // to bf16 (nearest, ties to even; 8 bits of mantissa); their sums, and everything between
    // operators, stay f32. oneDNN does so where the CPU gains by it (sac_nn_has_bf16), operator by
    // operator, and multiplies in f32 elsewhere; the reference always does. Refused together with
    // `quant` and by training plans.
    bool bf16;
    // Int8 plans: outputs in the table are handed over as u8 only (sac_infer_output_u8).
    bool outputs_u8;
    // Int8 plans: inputs in the table lie in so many equal groups of channels, each channels-last
    // for itself, and are handed over by sac_infer_bind_input_u8 only; 0: whole. At most 8, and a
    // divisor of the channels.
    int input_parts;
} sac_plan_options;

typedef struct sac_train sac_train;
// `net` and `params` are borrowed and must outlive the plan; params are read at each forward, their
// grad is added to at each backward.
SAC_NODISCARD sac_status sac_train_create(sac_train **train, const sac_net *net, sac_params *params,
                                          const sac_plan_options *options, sac_error *error);
// Buffers to fill / read by name, f32, dense, channels-first [N][C][D][H][W] (inputs: channels-last
// when so planned); NULL for an unknown name. Stable addresses.
float *sac_train_input(sac_train *train, const char *name);
const float *sac_train_output(const sac_train *train, const char *name);
float *sac_train_output_grad(sac_train *train,
                             const char *name); // d loss / d output; zeroed by every forward
const float *sac_train_input_grad(const sac_train *train,
                                  const char *name); // layout of the input; NULL unless input_grad
sac_shape sac_train_output_shape(const sac_train *train, const char *name);
SAC_NODISCARD sac_status sac_train_forward(sac_train *train, sac_error *error);
// After the caller wrote the output gradients: ADDS to params' grads (call sac_params_zero_grad
// first).
SAC_NODISCARD sac_status sac_train_backward(sac_train *train, sac_error *error);
// Dropout generator state, to be saved and restored for exact resume.
sac_rng sac_train_rng(const sac_train *train);
void sac_train_set_rng(sac_train *train, const sac_rng *rng);
// Implementation names of all oneDNN primitives in order, one per line "forward conv stem.conv
// brgconv:avx512_core ..."; sac_free it.
char *sac_train_describe(const sac_train *train);
void sac_train_close(sac_train **train);

#endif
