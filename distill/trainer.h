// The training loop of the student: epochs over normal and altered frames, validation on held-back
// clips, early stop, exact resume.
#ifndef SAC_DISTILL_TRAINER_H
#define SAC_DISTILL_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "distill/batch.h"
#include "distill/samples.h"
#include "student/model.h"

typedef struct sac_trainer_options {
    int64_t epochs, samples_per_epoch, batch; // 12, 6144, 4
    double learning_rate, weight_decay;       // 2e-3 (cosine to 1 % of it), 1e-4 decoupled
    double clip_norm;                         // of the gradient, 1; 0: no clipping
    // epochs without a better validation loss before stopping, 12; 0: never
    int64_t patience;
    double pseudo_fraction; // of the samples of an epoch that come from altered clips, 0.5
    double emphasis;        // of the loss, see distill/loss.h, 4
    // of the loss terms of the maps 16x16, 4x4, 1x1: 10, 3, 1; at least one that the student has
    // above 0. Few cells of a 16x16 map are high, so that its mean is the smallest by far; weighted
    // alike, the 1x1 map alone leads and training may stay for long where every map is its mean.
    double scale_weights[3];
    sac_augment_options augment;
    // weight of the adversarial term of each teacher (distill/discriminator.h), 0: none, and no
    // discriminators; 0.1 in the paper
    double adversarial;
    int64_t adversarial_warmup; // epochs in which the discriminators learn alone, 2
    // training stops gracefully at the end of the step that exceeds it; 0: no limit
    double max_minutes;
    double checkpoint_s; // seconds between checkpoints within an epoch, 60; 0: after every step
    uint64_t seed;       // 1
    uint64_t initial;    // sac_initial_digest of the weights begun with, 0: random ones of the seed
    sac_backend backend;
    // Another network with the same parameters to validate with, in int8 (see
    // sac_validation_options); NULL: the one that is trained. Borrowed.
    const sac_net *validation_net;
    const sac_quant *validation_quant;
} sac_trainer_options;
sac_trainer_options sac_trainer_default_options(void);
// All but the time limit and the time between checkpoints, which a resumed run may change. New
// reference, NULL on lack of memory.
json_t *sac_trainer_options_to_json(const sac_trainer_options *options);

// Means over steps; the last three are sums over teachers of weighted means, 0 without
// discriminators.
typedef struct sac_step_losses {
    double distillation; // what train_loss and the validation loss are
    double scales[3];    // its parts of the maps 16x16, 4x4, 1x1, before the weights of scales; 0
                         // of maps that the student has not
    double adversarial;  // L_G, before its weight
    double real, own;    // mean D of the teachers' and of the student's maps
} sac_step_losses;

// One row of metrics.csv.
typedef struct sac_epoch_metrics {
    int64_t epoch; // from 1
    double train_loss, validation_loss;
    // parts, see sac_step_losses; NaN of maps that the student has not
    double train_scales[3], validation_scales[3];
    // L_G and mean D of the teachers' and of the student's maps (0.5 both: it cannot tell), means
    // over teachers; NaN without an adversarial term
    double adversarial_loss, discriminator_real, discriminator_own;
    double pseudo_auc; // frame AUC of the student's score on the held-back clips: altered frames
                       // against all others; NaN without pseudo-anomalies
    double kind_auc[SAC_PSEUDO_KIND_COUNT]; // the same kind by kind, see distill/kind_auc.h
    double learning_rate;                   // of the last step
    double seconds, samples_per_s;          // training so far, over all resumed parts
} sac_epoch_metrics;

// Callbacks of a run on its own thread; each may be NULL.
typedef struct sac_trainer_hooks {
    // after each step: steps done and in all, mean training loss of the epoch so far
    void (*step)(void *user, int64_t step, int64_t steps, double loss);
    void (*epoch)(void *user, const sac_epoch_metrics *metrics, bool best); // after each epoch
    bool (*stop)(void); // polled after each step
    void *user;
} sac_trainer_hooks;

typedef struct sac_trainer_result {
    int64_t epochs, best_epoch; // trained, the last one perhaps in part; of the returned parameters
    double best_validation_loss, best_pseudo_auc, seconds;
    double best_kind_auc[SAC_PSEUDO_KIND_COUNT];
    bool early_stop, out_of_time;
} sac_trainer_result;

// What can be checked before samples are gathered, writing nothing: options in range, a map of the
// model with some weight, and FOLDER (need not exist) holds a checkpoint exactly if `resume`.
// SAC_ERROR_ARGUMENT, SAC_ERROR_IO, SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_trainer_check(const char *folder, const sac_model *model,
                                           const sac_trainer_options *options, bool resume,
                                           sac_error *error);

// Trains model->params from the values they have; on success they are those of the epoch with the
// lowest validation loss (at most 2000 frames, spread evenly over what is held back). FOLDER
// receives checkpoint.safetensors (weights, best weights, optimiser moments, discriminators,
// dropout generator, epoch and step, running sums) and
// metrics.csv, both written atomically.
//   result   filled on success
//   folder   must exist
//   model    initialised by the caller; of the samples' size
//   samples  at least one batch of steps an epoch; a remainder smaller than a batch is left out
//   hooks    may be NULL
//   resume   continues from FOLDER/checkpoint.safetensors, bit for bit as if never stopped, with
//            the same number of threads; it must have been written with equal options, architecture
//            and samples (SAC_ERROR_ARGUMENT names the first that differs). Without `resume` an
//            existing checkpoint is an error, so that nothing is lost.
// The order of samples and their augmentation depend on (seed, epoch, position) alone.
// SAC_ERROR_INTERRUPTED: stopped by the hook after a checkpoint; SAC_ERROR_NUMERIC: loss or
// gradient not finite, naming epoch and step; SAC_ERROR_ARGUMENT: options out of range, sizes that
// differ, no frames to train on or to validate; SAC_ERROR_FORMAT: a damaged checkpoint;
// SAC_ERROR_IO; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_trainer_run(sac_trainer_result *result, const char *folder,
                                         sac_model *model, const sac_samples *samples,
                                         const sac_trainer_options *options,
                                         const sac_trainer_hooks *hooks, bool resume,
                                         sac_error *error);

// The sample order of an epoch, from 0: pseudo_fraction of the samples from altered clips, each
// frame drawn once before any is drawn again, all mixed.
//   refs  [samples_per_epoch]
// SAC_ERROR_ARGUMENT: no frames to train on; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_trainer_order(sac_sample_ref *refs, const sac_samples *samples,
                                           const sac_trainer_options *options, int64_t epoch,
                                           sac_error *error);

#endif
