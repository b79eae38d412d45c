// The last stage of a distillation: the trained student in 8 bits. Batch normalisation is folded,
// scales are measured on training samples, and the folded weights are fine-tuned under fake
// quantisation with the loss of the distillation. What int8 means is nn/quant.h's part.
#ifndef SAC_DISTILL_QUANTISE_H
#define SAC_DISTILL_QUANTISE_H

#include "distill/trainer.h"
#include "distill/validation.h"

typedef struct sac_quantise_options {
    int64_t epochs;             // of fine-tuning, 3; 0: none
    double learning_rate;       // 1e-4 (cosine to 1 % of it)
    int64_t calibration_frames; // training samples whose activations are measured, 512
    // Everything else as in the training before; its adversarial term and patience are left out.
    sac_trainer_options trainer;
} sac_quantise_options;
sac_quantise_options sac_quantise_default_options(const sac_trainer_options *trainer);

// All three on the same held-back frames, int8 with the plan that will run.
typedef struct sac_quantise_result {
    sac_validation_result f32, post_training, fine_tuned; // the last: all 0 without fine-tuning
    bool kept_fine_tuned;                                 // the lower loss of the two
    int64_t epochs;                                       // of fine-tuning
    double seconds;                                       // of fine-tuning
} sac_quantise_result;

// Makes an int8 student.
//   int8    receives a model: folded network, f32 weights, table; architecture, preprocessing and
//           provenance of `model`, the latter with "quantisation" (losses and AUCs of all three).
//           The caller closes it.
//   folder  is made; holds checkpoint.safetensors and metrics.csv of the fine-tuning
//   model   trained, in f32; does not change
//   resume  goes on from FOLDER/checkpoint.safetensors where it exists, exactly, as sac_trainer_run
// Inputs become u8 when the preprocessing has mean 0 (x / scale needs no zero point); otherwise the
// first layer stays f32.
// SAC_ERROR_UNSUPPORTED: nothing of the network can be quantised; errors of sac_trainer_run.
SAC_NODISCARD sac_status sac_quantise_run(sac_model **int8, sac_quantise_result *result,
                                          const char *folder, const sac_model *model,
                                          const sac_samples *samples,
                                          const sac_quantise_options *options,
                                          const sac_trainer_hooks *hooks, bool resume,
                                          sac_error *error);

#endif
