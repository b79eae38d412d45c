// The joint loss of the SSMTL teacher: one row per task, summed with fixed weights.
#ifndef SAC_TEACHERS_SSMTL_LOSS_H
#define SAC_TEACHERS_SSMTL_LOSS_H

#include "teachers/ssmtl_batch.h"

typedef struct sac_ssmtl_losses {
    double total;                     // weighted sum
    double task[SAC_SSMTL_TASKS];     // unweighted, 0 where the task is off
    double accuracy[SAC_SSMTL_TASKS]; // of arrow, irregularity and jigsaw, in [0,1]
    double masked;                    // of masked convolution blocks
} sac_ssmtl_losses;
// Weight of a task in the total: 1, of the imitation tasks 0.5, of pseudo 0, which only gives
// gradients. `masked` has weight 0.1.
double sac_ssmtl_loss_weight(int task);

// What is to be imitated: of each row `stride` values, those of target t at at[t]: length[t] values
// of the image network, to be multiplied by scale[t], and behind them, for the first target, the
// detector's confidence at the detected class and 0 at all others.
typedef struct sac_ssmtl_targets {
    const float *values; // [rows of the source][stride], NULL: none
    int64_t stride, at[SAC_SSMTL_TARGETS], length[SAC_SSMTL_TARGETS], classes;
    double scale[SAC_SSMTL_TARGETS];
} sac_ssmtl_targets;
// Value k of target t in a row.
double sac_ssmtl_target_value(const sac_ssmtl_targets *targets, int t, const float *row, int64_t k);

// Outputs of a plan, and where their gradients go (NULL: loss only).
typedef struct sac_ssmtl_ports {
    void *plan;
    const float *(*output)(const void *plan, const char *name);
    float *(*grad)(void *plan, const char *name);
    sac_shape (*shape)(const void *plan, const char *name);
} sac_ssmtl_ports;

// Over the first n rows of a training network's plan:
//   middle        mean |output - target|
//   arrow, irregularity, jigsaw  mean cross-entropy
//   distillation, segmentation, pose  mean |output - target| over the rows whose sequence is
//                                     consecutive
//                 (the original runs a further pass on consecutive sequences; half of the rows of
//                 the
//                 irregularity task are, and cost nothing more); 0 without such a row
//   inpainting    mean |output - middle crop| over the hidden patches
//   pseudo        mean |output - middle crop of the pseudo-anomaly|; the network reverses its
//                 gradient
//   masked        mean error^2 of each masked convolution block, summed
// Gradients of the total are ADDED.
// Source: Georgescu et al., CVPR 2021, equation 5; Ristea et al., CVPR 2022, equation 4 (weight of
// masked).
void sac_ssmtl_loss(sac_ssmtl_losses *losses, const sac_ssmtl_design *design,
                    const sac_ssmtl_batch *batch, int64_t n, const sac_ssmtl_targets *targets,
                    const sac_ssmtl_ports *ports);

// losses += share * more, member by member.
void sac_ssmtl_losses_add(sac_ssmtl_losses *losses, const sac_ssmtl_losses *more, double share);
// As plain numbers, and back: the total, `masked`, then by tasks.
enum {
    SAC_SSMTL_LOSS_TASK = 2,
    SAC_SSMTL_LOSS_ACCURACY = SAC_SSMTL_LOSS_TASK + SAC_SSMTL_TASKS,
    SAC_SSMTL_LOSS_VALUES = SAC_SSMTL_LOSS_ACCURACY + SAC_SSMTL_TASKS
};
void sac_ssmtl_losses_put(double values[SAC_SSMTL_LOSS_VALUES], const sac_ssmtl_losses *losses);
sac_ssmtl_losses sac_ssmtl_losses_get(const double values[SAC_SSMTL_LOSS_VALUES]);

#endif
