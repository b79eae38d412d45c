// The state of a distillation between two steps, on disk: everything that an exact resume needs.
#ifndef SAC_DISTILL_CHECKPOINT_H
#define SAC_DISTILL_CHECKPOINT_H

#include <jansson.h>

#include "distill/trainer.h"
#include "nn/optim.h"
#include "nn/train.h"

typedef struct sac_checkpoint {
    int64_t epoch, step; // finished epochs; finished steps of the next one
    double loss_sum;     // of those steps
    int64_t best_epoch;  // from 1; 0: none yet
    double best_validation_loss, best_pseudo_auc;
    double seconds;
    json_t *rows; // array of metrics rows
} sac_checkpoint;

typedef struct sac_checkpoint_parts {
    sac_params *params, *best;
    sac_adam *adam;
    sac_train *train;
    const sac_trainer_options *options;
} sac_checkpoint_parts;

// Fresh state, or with `resume` that of FOLDER/checkpoint.safetensors, loaded into the parts. See sac_trainer_run for the errors.
SAC_NODISCARD sac_status sac_checkpoint_begin(sac_checkpoint *state, const char *folder,
                                              const sac_checkpoint_parts *parts, bool resume,
                                              sac_error *error);
SAC_NODISCARD sac_status sac_checkpoint_save(const sac_checkpoint *state, const char *folder,
                                             const sac_checkpoint_parts *parts, sac_error *error);
SAC_NODISCARD sac_status sac_checkpoint_row(sac_checkpoint *state,
                                            const sac_epoch_metrics *metrics);
// FOLDER/metrics.csv with one row an epoch.
SAC_NODISCARD sac_status sac_checkpoint_write_metrics(const sac_checkpoint *state,
                                                      const char *folder, sac_error *error);
void sac_checkpoint_close(sac_checkpoint *state);

#endif
