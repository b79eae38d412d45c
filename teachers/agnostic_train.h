// Learning the background-agnostic teacher: objects of the training clips and their pseudo-abnormal
// twins, three branches side by side, validation on held-back objects, checkpoints that continue
// exactly.
#ifndef SAC_TEACHERS_AGNOSTIC_TRAIN_H
#define SAC_TEACHERS_AGNOSTIC_TRAIN_H

#include <stdint.h>

#include "saccade/status.h"
#include "teachers/agnostic.h"
#include "teachers/agnostic_learner.h"
#include "teachers/agnostic_pseudo.h"
#include "teachers/family.h"
#include "teachers/learning.h"

typedef struct sac_agnostic_options {
    int width;         // sac_agnostic_width: narrow
    int64_t crop_size; // px, a multiple of 8 in 16..256: 64
    double lambda;     // of the reversed gradient: 1
    // 2048 samples per epoch, 512 of validation; the paper's 20 epochs see every object in each, at
    // a rate of 1e-4
    sac_learning_options learning;
} sac_agnostic_options;
sac_agnostic_options sac_agnostic_default_options(void);
// SAC_ERROR_ARGUMENT: an option out of range; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_agnostic_options_check(const sac_agnostic_options *options,
                                                    sac_error *error);

// The losses of an epoch by their names.
typedef struct sac_agnostic_losses {
    double total; // mean over the branches of NORMAL + VERDICT
    double of[SAC_AGNOSTIC_BRANCHES][SAC_AGNOSTIC_VALUES];
} sac_agnostic_losses;
enum { SAC_AGNOSTIC_LOSSES = 1 + SAC_AGNOSTIC_BRANCHES * SAC_AGNOSTIC_VALUES };
sac_agnostic_losses sac_agnostic_losses_get(const double values[SAC_AGNOSTIC_LOSSES]);

// What happened; sac_free(learning.epochs).
typedef struct sac_agnostic_report {
    sac_learning_report learning;
    double flow_seconds; // of computing the optical flow, in this run
} sac_agnostic_report;

// px per frame that count as 1: the 99 % quantile, over (at most 2000, evenly spread) objects, of
// the speed of the faster half of their pixels; at least 0.05.
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_agnostic_flow_unit(double *unit, const sac_agnostic_pool *pool);

// Each step takes one batch of training objects in shuffled order and makes one pseudo-abnormal
// twin of each; the branches learn as sac_agnostic_learner_step says. After each epoch the losses
// are taken, with running statistics and without dropout, on held-back objects and twins that are
// the same in every epoch; the weights of the epoch with the lowest total are returned. No label is
// looked at.
//   job    clips, options (a sac_agnostic_options), checkpoint, resume, stamp and listener are
//          used; the optical flow goes into the checkpoint's folder where it does not fit into
//          memory
//   epoch  may be NULL
// A run that was stopped or killed and resumed gives bit for bit the parameters of an uninterrupted
// one (same machine, same threads, no max_minutes).
// SAC_ERROR_ARGUMENT: an option out of range, too few objects to train and validate, or pictures
// that the optical flow cannot take; SAC_ERROR_FORMAT: a damaged or foreign checkpoint;
// SAC_ERROR_INTERRUPTED: `stop` said so, the checkpoint is written (while the flow is computed:
// there is none yet); SAC_ERROR_NUMERIC: a loss or gradient is not finite, names the step;
// SAC_ERROR_IO; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_agnostic_train(sac_agnostic_model **model, sac_agnostic_report *report,
                                            const sac_family_job *job,
                                            sac_learning_epoch_call epoch, void *user,
                                            sac_error *error);

#endif
