// Optional first stage: the trunk of a student learns to see before it learns to judge. As an
// auto-encoder it predicts the middle frame from a small decoder, which is then dropped; no teacher
// has a say.
#ifndef SAC_DISTILL_PRETRAIN_H
#define SAC_DISTILL_PRETRAIN_H

#include "distill/trainer.h"

typedef enum sac_pretrain_kind {
    SAC_PRETRAIN_PLAIN, // sees everything
    // Half of the patches of 16x16 px are gray in all three frames; the loss counts these only.
    // Source: the principle of He et al., Masked autoencoders are scalable vision learners, CVPR
    // 2022, for a convolutional trunk, which sees the gray patches.
    SAC_PRETRAIN_MASKED
} sac_pretrain_kind;

typedef struct sac_pretrain_options {
    sac_pretrain_kind kind;
    int64_t epochs; // 5
    // Samples, batch, rate, decay, clipping, augmentation, time limit, seed and backend are used.
    sac_trainer_options trainer;
} sac_pretrain_options;

// Trunk of `student` (what its outputs have in common; of a single one all before its one channel)
// with the decoder
//   conv 3x3 -> 32, ReLU, x2, conv 3x3 -> 16, ReLU, x2, conv 3x3 -> channels of a frame
// (fewer doublings where the trunk's cells are smaller than 4 px), nodes "pretrain...."; output
// "pretrain.frame" [channels][h][w]. The caller closes the net.
// SAC_ERROR_UNSUPPORTED: the outputs have no spatial trunk in common; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_pretrain_net(sac_net **net, const sac_net *student, sac_error *error);

typedef struct sac_pretrain_result {
    int64_t epochs;
    double train_loss, validation_loss, seconds; // of the last epoch; over all parts
    bool out_of_time; // before the last epoch: the model is as it was, the checkpoint complete
} sac_pretrain_result;

// Trains the trunk's parameters in model->params; those of the heads stay as they are.
//   L = mean over the counted cells of (y - t)^2, t the middle frame of the network input, averaged
//   over the cell
//   folder  is made; receives checkpoint.safetensors and metrics.csv (epoch, train_loss,
//           validation_loss, learning_rate, seconds)
//   hooks   as for sac_trainer_run; NULL: none
//   resume  goes on from FOLDER/checkpoint.safetensors where it exists, bit for bit as if never
//           stopped; it must have been written with equal settings and data
// SAC_ERROR_INTERRUPTED after a checkpoint; otherwise as sac_trainer_run.
SAC_NODISCARD sac_status sac_pretrain_run(sac_pretrain_result *result, const char *folder,
                                          sac_model *model, const sac_samples *samples,
                                          const sac_pretrain_options *options,
                                          const sac_trainer_hooks *hooks, bool resume,
                                          sac_error *error);

#endif
