// Learning the SSMTL teacher: samples from the training clips, joint loss, validation on held-back
// objects, checkpoints that continue exactly.
#ifndef SAC_TEACHERS_SSMTL_TRAIN_H
#define SAC_TEACHERS_SSMTL_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "teachers/family.h"
#include "teachers/ssmtl.h"
#include "teachers/ssmtl_batch.h"
#include "teachers/ssmtl_loss.h"

typedef struct sac_ssmtl_options {
    sac_ssmtl_design design; // sac_ssmtl_default_design; its tasks are those of `tasks`
    const char *tasks;       // sac_ssmtl_tasks_parse: "middle,arrow,irregularity"
    // What distillation, segmentation and pose imitate, as sac_image_network_read has it: given
    // with the task, NULL without.
    const char *imitate[SAC_SSMTL_TARGETS];
    int preprocess;                      // sac_image_preprocess of these networks: auto
    sac_ssmtl_augmentation augmentation; // mirror alone
    int64_t batch;                       // 64
    int64_t epochs;                      // 6
    int64_t samples_per_epoch;           // 0: all training objects once; 4096
    int64_t validation_samples; // held-back objects looked at after each epoch, 0: all; 1024
    double learning_rate;       // 1e-3
    double weight_decay;        // of AdamW; 0: plain Adam; 0
    bool cosine;                // true: down to 2 % of it along a half cosine; false: constant
    double max_minutes; // of learning; then the epoch is closed and learning ends; 0: no limit
    double checkpoint_minutes; // between checkpoints inside an epoch, 0: after every step; 2
    bool cache;                // keep the crops in a file beside the checkpoint; true
    int normalisation;         // sac_normalisation of the scores; by training objects
    uint64_t seed;
    sac_backend backend;
} sac_ssmtl_options;
sac_ssmtl_options sac_ssmtl_default_options(void);

typedef struct sac_ssmtl_epoch {
    int64_t epoch, samples; // from 1; samples of this epoch
    double learning_rate;   // of its last step
    double seconds;         // of learning so far
    sac_ssmtl_losses train, valid;
} sac_ssmtl_epoch;

// What happened; sac_free(epochs).
typedef struct sac_ssmtl_report {
    sac_ssmtl_epoch *epochs;
    int64_t count, best; // index of the epoch kept
    double seconds;
    double waited; // seconds of it that this run waited for batches
    double cpu_per_sample; // CPU seconds per sample learned by this run, validation included
    int64_t samples, training_objects, held_back_objects;
} sac_ssmtl_report;

// How the caller listens; any member may be NULL.
typedef struct sac_ssmtl_listener {
    void *user;
    bool (*stop)(void); // polled after each step
    void (*say)(void *user, const char *message);
    // As sac_family_job has it: pixels of clips[index] are there between the calls with and without
    // `wanted`. With a cache each clip is borrowed once, else all stay until learning ends. NULL:
    // they are there all the time.
    sac_status (*lend)(void *user, int64_t index, bool wanted, sac_error *error);
    void (*progress)(void *user, int64_t samples_done, int64_t samples_total, double loss);
    // All epochs so far, the latest last; `best` is the index of the lowest validation loss. An
    // error ends the run.
    sac_status (*epoch)(void *user, const sac_ssmtl_epoch *epochs, int64_t count, int64_t best,
                        sac_error *error);
} sac_ssmtl_listener;

// Image networks look at each object once, at its own time and not augmented; their values are
// divided by their mean over the training objects, so that the loss weighs networks of any scale
// alike (in the original, ResNet-50's values are taken as they are).
//
// Each step takes one batch of training objects in shuffled order, altered as ssmtl_batch.h says,
// through the training network, takes sac_ssmtl_loss and one step of Adam or AdamW. After each
// epoch the validation loss is taken with running statistics on held-back objects, not augmented,
// with draws that are the same in every epoch; the weights of the epoch with the lowest one are
// returned, for the scoring network. No label is looked at.
//   checkpoint  file for the state of the run, or NULL: none is kept. With options->cache the crops
//               lie beside it in
//               "<checkpoint>.crops"; where the disk is too small they are cut when needed, which
//               is said.
//   resume      continue from it when it exists; an absent file starts anew
//   stamp       text that identifies data and settings; a checkpoint with another one is an error
// A run that was stopped or killed and resumed gives bit for bit the parameters of an uninterrupted
// one (same machine, same threads, no max_minutes), with and without the cache.
// SAC_ERROR_ARGUMENT: an option out of range, or too few objects to train and validate;
// SAC_ERROR_FORMAT: a damaged or foreign checkpoint; SAC_ERROR_INTERRUPTED: `stop` said so, the
// checkpoint is written;
// SAC_ERROR_NUMERIC: a loss or gradient is not finite, names the step; SAC_ERROR_IO;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_ssmtl_train(sac_ssmtl_model **model, sac_ssmtl_report *report,
                                         const sac_family_clip *clips, int64_t count,
                                         const sac_ssmtl_options *options, const char *checkpoint,
                                         bool resume, const char *stamp,
                                         const sac_ssmtl_listener *listener, sac_error *error);

#endif
