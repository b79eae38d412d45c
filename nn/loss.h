// Losses on dense f32 arrays, with their gradients. Every mean is over the stated elements.
//
// Common to all functions:
//   grad    f32, shape of pred; the function ADDS weight * d loss / d pred to it; NULL: loss only
//   pred    f32 [n], any layout as long as target has the same; not changed
//   n       >= 1
//   weight  factor of the gradient only; the returned loss is unweighted
// Returns the loss as a double. Sums are double over fixed blocks, so a result does not depend on
// the number of threads. A non-finite input gives a non-finite loss, which is returned as it is;
// the caller reports it. Threads: OpenMP inside, callable from any thread.
#ifndef SAC_NN_LOSS_H
#define SAC_NN_LOSS_H

#include <stdint.h>

// loss = mean |pred - target|. The derivative at 0 is 0.
double sac_loss_l1(float *grad, const float *pred, const float *target, int64_t n, double weight);

// loss = mean (pred - target)^2.
double sac_loss_mse(float *grad, const float *pred, const float *target, int64_t n, double weight);

// Binary cross-entropy on probabilities, loss = mean -(t log p + (1 - t) log(1 - p)), p = pred
// clamped to [1e-7, 1 - 1e-7].
//   pred, target  f32 [n] in [0, 1]
// The derivative is taken at the clamped p and passed through the clamp, so that a prediction
// saturated on the wrong side is still pulled back.
double sac_loss_bce(float *grad, const float *pred, const float *target, int64_t n, double weight);

// The same on logits z with p = sigmoid(z), in the form that cannot overflow: loss = mean max(z, 0)
// - z t + log(1 + exp(-|z|)).
double sac_loss_bce_logits(float *grad, const float *logits, const float *target, int64_t n,
                           double weight);

// loss = mean over n rows of -log softmax(logits)[target].
//   logits   f32 [n][classes]
//   target   i32 [n], 0 <= target < classes. A value outside makes the loss NaN and adds nothing to
//            that row's gradient.
//   classes  >= 1
double sac_loss_cross_entropy(float *grad, const float *logits, const int32_t *target, int64_t n,
                              int64_t classes, double weight);

#endif
