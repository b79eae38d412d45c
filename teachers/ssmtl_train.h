// Learning the SSMTL teacher: samples from the training clips, joint loss, validation on held-back
// objects, checkpoints that continue exactly.
#ifndef SAC_TEACHERS_SSMTL_TRAIN_H
#define SAC_TEACHERS_SSMTL_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "teachers/family.h"
#include "teachers/learning.h"
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
    double weight_decay;                 // of AdamW; 0: plain Adam; 0
    bool cache;                          // keep the crops in a file beside the checkpoint; true
    int normalisation;                   // sac_normalisation of the scores; by training objects
    sac_learning_options learning;
} sac_ssmtl_options;
sac_ssmtl_options sac_ssmtl_default_options(void);
// What can be said before networks to imitate are read. SAC_ERROR_ARGUMENT: an option out of range,
// unknown tasks, a network missing or not asked for; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_ssmtl_options_check(const sac_ssmtl_options *options,
                                                 sac_error *error);

// What happened; sac_free(learning.epochs).
typedef struct sac_ssmtl_report {
    sac_learning_report learning; // losses as sac_ssmtl_losses_put has them
    double waited;                // seconds of it that this run waited for batches
    double cpu_per_sample;        // CPU seconds per sample learned by this run, validation included
} sac_ssmtl_report;

// Image networks look at each object once, at its own time and not augmented; their values are
// divided by their mean over the training objects, so that the loss weighs networks of any scale
// alike (in the original, ResNet-50's values are taken as they are).
//
// Each step takes one batch of training objects in shuffled order, altered as ssmtl_batch.h says,
// through the training network, takes sac_ssmtl_loss and one step of Adam or AdamW. After each
// epoch the validation loss is taken with running statistics on held-back objects, not augmented,
// with draws that are the same in every epoch; the weights of the epoch with the lowest one are
// returned, for the scoring network. No label is looked at.
//   job    clips, options (a sac_ssmtl_options), checkpoint, resume, stamp, listener and lend are
//          used. With options->cache the crops lie beside the checkpoint, in
//          "<checkpoint>.crops", and each clip is borrowed once, else all stay until learning ends;
//          where the disk is too small they are cut when needed, which is said.
//   epoch  may be NULL
// A run that was stopped or killed and resumed gives bit for bit the parameters of an uninterrupted
// one (same machine, same threads, no max_minutes), with and without the cache.
// SAC_ERROR_ARGUMENT: an option out of range, or too few objects to train and validate;
// SAC_ERROR_FORMAT: a damaged or foreign checkpoint; SAC_ERROR_INTERRUPTED: `stop` said so, the
// checkpoint is written;
// SAC_ERROR_NUMERIC: a loss or gradient is not finite, names the step; SAC_ERROR_IO;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_ssmtl_train(sac_ssmtl_model **model, sac_ssmtl_report *report,
                                         const sac_family_job *job, sac_learning_epoch_call epoch,
                                         void *user, sac_error *error);

#endif
