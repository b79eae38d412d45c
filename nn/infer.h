// Inference plan of a network, in f32 or int8: batch normalisation folded into the convolution or
// dense before it, activations fused as post-operations, dropout removed, weights reordered once,
// one arena with buffers reused as soon as they are dead; a run allocates nothing.
#ifndef SAC_NN_INFER_H
#define SAC_NN_INFER_H

#include "nn/train.h"

// An int8 plan (options.quant, see nn/quant.h for what it computes) takes inputs that are in the
// table as u8 and keeps activations u8 from layer to layer; what the table leaves out, such as the
// logits of a head, is f32, and outputs are f32. Convolutions with u8 sources run on own kernels
// (nn/u8_conv.h) that read concatenations, slices and planes where they lie; operators that have no
// integer form run in f32 between two conversions. The reference backend computes the same
// integers; the two agree within one step of each activation. CPUs that nn/u8_isa.h does not know
// give the same numbers, slower than f32: see sac_quant_cpu_is_fast. Threads do not change results.
typedef struct sac_infer sac_infer;
// `params` is read now and by sac_infer_update only; not kept.
SAC_NODISCARD sac_status sac_infer_create(sac_infer **infer, const sac_net *net,
                                          const sac_params *params, const sac_plan_options *options,
                                          sac_error *error);
// Folds and reorders the (changed) parameters again into the same plan.
SAC_NODISCARD sac_status sac_infer_update(sac_infer *infer, const sac_params *params,
                                          sac_error *error);
float *sac_infer_input(sac_infer *infer, const char *name); // NULL where the input is u8
// Input that the table quantises: u8 with value = scale * q, [N][C][H][W] or, planned
// channels-last, [N][H][W][C]; NULL for any other, and where it lies in parts (bind these).
uint8_t *sac_infer_input_u8(sac_infer *infer, const char *name);
// With options.outputs_u8, an output that the table quantises: u8 [N][H][W][C] (channels-last
// always; [N][..] as it is for fewer axes), NULL for any other. Such an output has no f32 form.
const uint8_t *sac_infer_output_u8(const sac_infer *infer, const char *name);
// An input or output as u8 without a copy: from now on part `part` of it (0 unless planned with
// input_parts) lies at `data`, in the layout above, which must hold until the last run that touches
// it. *bound false: nothing of the kind here (the reference backend, a name that is not u8), copy
// instead. Allocates nothing. SAC_ERROR_BACKEND.
SAC_NODISCARD sac_status sac_infer_bind_input_u8(sac_infer *infer, const char *name, int part,
                                                 const uint8_t *data, bool *bound,
                                                 sac_error *error);
SAC_NODISCARD sac_status sac_infer_bind_output_u8(sac_infer *infer, const char *name, uint8_t *data,
                                                  bool *bound, sac_error *error);
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
// Time of each step of a run, median of `repeats` runs (1 to 10000) on the inputs as they are.
typedef struct sac_profile_step {
    char node[129];
    char implementation[64]; // "convolution jit:avx512_core", "u8-convolution-amx own" ...
    int64_t macs;            // multiply-accumulates; 0 for what does not multiply
    double us;
} sac_profile_step;
// `*steps` [*count] in order of execution; the caller frees it with sac_free.
// SAC_ERROR_ARGUMENT: repeats; SAC_ERROR_UNSUPPORTED: reference plan; SAC_ERROR_MEMORY; errors of
// run.
SAC_NODISCARD sac_status sac_infer_profile(sac_infer *infer, int repeats, sac_profile_step **steps,
                                           int *count, sac_error *error);
int64_t sac_infer_arena_bytes(const sac_infer *infer); // of a clone: without shared weights
char *sac_infer_describe(const sac_infer *infer);      // as sac_train_describe
void sac_infer_close(sac_infer **infer);

// Threads used by all plans run from the calling thread (OpenMP's setting of this thread); 0: all
// cores. Set it before planning as well: int8 plans use no more threads than there were then.
void sac_nn_set_threads(int threads);
// Name and version of the backend library, e.g. "oneDNN 3.2.0".
const char *sac_nn_backend_version(void);
// Instruction set it uses on this machine, e.g. "avx512_core_vnni"; static text.
const char *sac_nn_isa(void);
// Whether plans with options.bf16 gain by it here: oneDNN multiplies f32 tensors in bf16 on AMX.
bool sac_nn_has_bf16(void);
// The fastest of our own int8 kernels that runs here (nn/u8_isa.h): "amx", "vnni",
// "avx-vnni", "avx2" or "plain".
const char *sac_nn_int8_kernels(void);

#endif
