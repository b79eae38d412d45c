// The training loop of the student: epochs over normal and altered frames, validation on held-back clips, early stop, exact resume.
#ifndef SAC_DISTILL_TRAINER_H
#define SAC_DISTILL_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "distill/samples.h"
#include "student/model.h"

typedef struct sac_trainer_options {
    int64_t epochs, samples_per_epoch, batch; // 40, 6144, 32
    double learning_rate, weight_decay;       // 2e-3 (cosine to 1 % of it), 1e-4 decoupled
    double clip_norm;                         // 1
    int64_t patience;       // epochs without a better validation loss before stopping; 0: never
    double pseudo_fraction; // of the samples of an epoch that come from altered clips, 0.5
    double emphasis;        // of the loss, see distill/loss.h
    double jitter; // random gain 1 +- jitter and offset +- 32 * jitter gray levels a sample, 0.1
    double
        max_minutes; // training stops gracefully at the end of the step that exceeds it; 0: no limit
    double checkpoint_s; // seconds between checkpoints within an epoch, 60
    uint64_t seed;
    sac_backend backend;
} sac_trainer_options;
sac_trainer_options sac_trainer_default_options(void);
json_t *sac_trainer_options_to_json(
    const sac_trainer_options *options); // what a checkpoint must agree with

// One row of metrics.csv.
typedef struct sac_epoch_metrics {
    int64_t epoch; // from 1
    double train_loss, validation_loss;
    double
        pseudo_auc; // frame AUC of the student's score on the held-back clips: altered frames against all others; NaN without pseudo-anomalies
    double learning_rate, seconds,
        samples_per_s; // seconds: training time so far, over all resumed parts
} sac_epoch_metrics;

typedef struct sac_trainer_hooks {
    void (*step)(void *user, int64_t step, int64_t steps,
                 double loss); // after each step; may be NULL
    void (*epoch)(void *user, const sac_epoch_metrics *metrics,
                  bool best); // after each epoch; may be NULL
    bool (*stop)(void);       // polled after each step; may be NULL
    void *user;
} sac_trainer_hooks;

typedef struct sac_trainer_result {
    int64_t epochs, best_epoch; // finished; of the returned parameters
    double best_validation_loss, best_pseudo_auc, seconds;
    bool early_stop, out_of_time;
} sac_trainer_result;

// Trains model->params; on success they are those of the epoch with the lowest validation loss. FOLDER receives checkpoint.safetensors (weights, best weights, optimiser moments, dropout generator,
// epoch and step, running sums) and metrics.csv, both written atomically. `resume`: continues from FOLDER/checkpoint.safetensors, bit for bit as if never stopped; it must have been written with equal options
// (SAC_ERROR_ARGUMENT names the first that differs). Without `resume` an existing checkpoint is an error, so that nothing is lost.
// The order of samples and their augmentation depend on (seed, epoch, position) alone.
// SAC_ERROR_INTERRUPTED: stopped by the hook after a checkpoint. SAC_ERROR_NUMERIC: loss or gradient not finite, naming epoch and step. SAC_ERROR_ARGUMENT: options out of range, no frames to train
// or to validate.
SAC_NODISCARD sac_status sac_trainer_run(sac_trainer_result *result, const char *folder,
                                         sac_model *model, const sac_samples *samples,
                                         const sac_trainer_options *options,
                                         const sac_trainer_hooks *hooks, bool resume,
                                         sac_error *error);

// Where one training sample comes from; the planes are at frame + offsets, clamped to the clip.
typedef struct sac_sample_ref {
    int32_t clip;
    int32_t frame;
} sac_sample_ref;
// The sample order of an epoch: refs [samples_per_epoch]; pseudo_fraction of them from altered clips, each frame drawn once before any is drawn again.
SAC_NODISCARD sac_status sac_trainer_order(sac_sample_ref *refs, const sac_samples *samples,
                                           const sac_trainer_options *options, int64_t epoch,
                                           sac_error *error);

#endif
