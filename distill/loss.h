// The three-scale distillation loss between a student's maps and one teacher's.
#ifndef SAC_DISTILL_LOSS_H
#define SAC_DISTILL_LOSS_H

#include <stdint.h>

// L = sum over the scales 16x16, 4x4, 1x1 of  mean over n samples and cells of (1 + emphasis * t) * (s - t)^2,  s the student's value, t the teacher's, both in [0, 1].
// Source: Croitoru et al., Lightning Fast Video Anomaly Detection via Adversarial Knowledge Distillation, CVIU 2024 (plain MSE a scale, emphasis 0); the emphasis is ours: most cells are empty, and
// without it the few cells that matter carry little of the gradient.
// student[k], target[k]: f32 [n][cells of scale k], k = 0: 16x16, 1: 4x4, 2: 1x1; grad[k] (may be NULL for all) receives weight * dL/ds ADDED. Returns L (unweighted).
double sac_distill_loss(float *const grad[3], const float *const student[3],
                        const float *const target[3], int64_t n, double emphasis, double weight);

#endif
