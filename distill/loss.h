// The three-scale distillation loss between a student's maps and one teacher's.
#ifndef SAC_DISTILL_LOSS_H
#define SAC_DISTILL_LOSS_H

#include <stdint.h>

// L   = sum over the scales k = 16x16, 4x4, 1x1 that the student has of scales[k] * L_k,
// L_k = mean over n samples and the scale's cells of (1 + emphasis * t) * (s - t)^2,
// s the student's value, t the teacher's, both in [0,1].
//   parts     receives weight * L_k ADDED; NULL: not wanted
//   grad      grad[k] receives weight * dL/ds ADDED; NULL, or NULL for a scale: not wanted
//   student   student[k] f32 [n][cells of scale k], k = 0: 16x16, 1: 4x4, 2: 1x1 (student/heads.h);
//             NULL: it has no such map
//   target    the same of the teacher
//   n         samples, >= 1
//   emphasis  >= 0
//   weight    of this teacher, in the gradient and the parts only
//   scales    weight of each scale, >= 0; NULL: 1
// Returns L, without the weight; NaN or infinite where an input is. Sums are double. Thread-safe.
// Source: Croitoru et al., "Lightning fast video anomaly detection via multi-scale adversarial
// distillation", CVIU 2024 (plain MSE a scale, emphasis 0). The emphasis is ours: most cells are
// empty, and without it the few that matter carry little of the gradient.
double sac_distill_loss(double parts[3], float *const grad[3], const float *const student[3],
                        const float *const target[3], int64_t n, double emphasis, double weight,
                        const double scales[3]);

#endif
