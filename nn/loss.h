// Losses on dense f32 arrays. Each returns the loss (double) and, when grad is not NULL, ADDS weight * d loss / d pred to it.
// All means are over the stated elements. Non-finite results are returned as they are; the caller reports them.
#ifndef SAC_NN_LOSS_H
#define SAC_NN_LOSS_H

#include <stdint.h>

// mean |pred - target| over n elements; the derivative at 0 is 0.
double sac_loss_l1(float *grad, const float *pred, const float *target, int64_t n, double weight);
// mean (pred - target)^2.
double sac_loss_mse(float *grad, const float *pred, const float *target, int64_t n, double weight);
// mean -(t log p + (1-t) log(1-p)) on probabilities p, clamped to [1e-7, 1-1e-7].
double sac_loss_bce(float *grad, const float *pred, const float *target, int64_t n, double weight);
// The same on logits z, p = sigmoid(z), in the overflow-free form max(z,0) - z t + log(1+exp(-|z|)).
double sac_loss_bce_logits(float *grad, const float *logits, const float *target, int64_t n, double weight);
// mean over n rows of -log softmax(logits)[class]; logits [n][classes].
double sac_loss_cross_entropy(float *grad, const float *logits, const int32_t *target, int64_t n, int64_t classes, double weight);

#endif
