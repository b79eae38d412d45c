// Inference plan of a network: batch normalisation folded into the convolution or dense before it,
// activations fused as post-operations, dropout removed, weights
// reordered once, one arena with buffers reused as soon as they are dead; a run allocates nothing.
#ifndef SAC_NN_INFER_H
#define SAC_NN_INFER_H

#include "nn/train.h"

typedef struct sac_infer sac_infer;
// `params` is read now and by sac_infer_update only; not kept.
SAC_NODISCARD sac_status sac_infer_create(sac_infer **infer, const sac_net *net,
                                          const sac_params *params, const sac_plan_options *options,
                                          sac_error *error);
// Folds and reorders the (changed) parameters again into the same plan.
SAC_NODISCARD sac_status sac_infer_update(sac_infer *infer, const sac_params *params,
                                          sac_error *error);
float *sac_infer_input(sac_infer *infer, const char *name);
// Dense; channels-first unless planned with channels_last_outputs.
const float *sac_infer_output(const sac_infer *infer, const char *name);
sac_shape sac_infer_output_shape(const sac_infer *infer, const char *name);
// A second instance of the same plan for another thread: parameters, reordered weights and compiled
// primitives are those of `donor`, which must outlive it and must not be updated while it runs;
// inputs, outputs and activations are its own. Nothing is planned or reordered again, and results
// are bit-identical for equal thread counts. SAC_ERROR_MEMORY, SAC_ERROR_BACKEND.
SAC_NODISCARD sac_status sac_infer_clone(sac_infer **infer, const sac_infer *donor,
                                         sac_error *error);
SAC_NODISCARD sac_status sac_infer_run(sac_infer *infer, sac_error *error);
int64_t sac_infer_arena_bytes(const sac_infer *infer); // of a clone: without shared weights
char *sac_infer_describe(const sac_infer *infer);      // as sac_train_describe
void sac_infer_close(sac_infer **infer);

// Threads used by all plans run from the calling thread (OpenMP's setting of this thread); 0: all
// cores.
void sac_nn_set_threads(int threads);
// Name and version of the backend library, e.g. "oneDNN 3.2.0".
const char *sac_nn_backend_version(void);

#endif
