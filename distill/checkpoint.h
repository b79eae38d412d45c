// The state of a distillation between two steps, on disk: everything that an exact resume needs.
#ifndef SAC_DISTILL_CHECKPOINT_H
#define SAC_DISTILL_CHECKPOINT_H

#include <jansson.h>

#include "distill/discriminator.h"
#include "distill/trainer.h"
#include "nn/optim.h"
#include "nn/train.h"

typedef struct sac_checkpoint {
    int64_t epoch, step; // finished epochs; finished steps of the next one
    sac_step_losses sum; // over those steps
    int64_t best_epoch;  // from 1; 0: none yet
    double best_validation_loss, best_pseudo_auc;
    double seconds; // of training, over all resumed parts
    json_t *rows;   // array of metrics rows, one a finished epoch
    // what a resumed run must agree with: options, architecture, preprocessing, data
    json_t *options;
} sac_checkpoint;

typedef struct sac_checkpoint_parts {
    sac_model *model;
    sac_params *best;
    sac_adam *adam;
    sac_train *train;
    const sac_samples *samples;
    const sac_trainer_options *options;
    int64_t steps_per_epoch;
    sac_discriminator *const *discriminators; // [discriminator_count], one a teacher
    int discriminator_count;                  // 0: no adversarial term
} sac_checkpoint_parts;

// SAC_OK when FOLDER/checkpoint.safetensors is there exactly if `resume`, else SAC_ERROR_ARGUMENT
// (it would be overwritten) or SAC_ERROR_IO (nothing to resume).
SAC_NODISCARD sac_status sac_checkpoint_expect(const char *folder, bool resume, sac_error *error);
// Fresh state, or with `resume` that of FOLDER/checkpoint.safetensors, loaded into the parts.
// Release with sac_checkpoint_close, also on failure. See sac_trainer_run for the errors.
SAC_NODISCARD sac_status sac_checkpoint_begin(sac_checkpoint *state, const char *folder,
                                              const sac_checkpoint_parts *parts, bool resume,
                                              sac_error *error);
// Atomic. SAC_ERROR_IO, SAC_ERROR_MEMORY; the file that was there is then unchanged.
SAC_NODISCARD sac_status sac_checkpoint_save(const sac_checkpoint *state, const char *folder,
                                             const sac_checkpoint_parts *parts, sac_error *error);
SAC_NODISCARD sac_status sac_checkpoint_row(sac_checkpoint *state,
                                            const sac_epoch_metrics *metrics);
// What a finished epoch's row holds of each kind; NaN where it holds nothing.
void sac_checkpoint_kind_auc(const sac_checkpoint *state, int64_t epoch,
                             double aucs[SAC_PSEUDO_KIND_COUNT]);
// FOLDER/metrics.csv with one row an epoch.
SAC_NODISCARD sac_status sac_checkpoint_write_metrics(const sac_checkpoint *state,
                                                      const char *folder, sac_error *error);
void sac_checkpoint_close(sac_checkpoint *state);

// What checkpoints of every stage hold alike: JSON as metadata (NULL: SAC_ERROR_MEMORY), and the
// generator state of dropout, where SAC_ERROR_FORMAT says that it is missing or zero.
SAC_NODISCARD sac_status sac_checkpoint_put(sac_safetensors *st, const char *key,
                                            const json_t *json, sac_error *error);
SAC_NODISCARD sac_status sac_checkpoint_put_rng(sac_safetensors *st, const sac_train *train,
                                                sac_error *error);
SAC_NODISCARD sac_status sac_checkpoint_get_rng(sac_train *train, const sac_safetensors *st,
                                                const char *path, sac_error *error);

#endif
