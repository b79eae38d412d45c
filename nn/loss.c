// Losses and their gradients on plain arrays. Knows nothing of nets or plans; reports nothing, a
// non-finite loss is the caller's to name.
#include "nn/loss.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

// The blocks are the same whatever the number of threads, and their sums are added in order: same
// bits with 1, 2 or n threads.
#define BLOCKS 64
#define CLAMP  1e-7

typedef struct span {
    float *grad;
    const float *pred, *target;
    int64_t begin, end;
    double scale; // weight / n
} span;

typedef double (*span_loss)(const span *s);

static double mean_over_blocks(span_loss loss, float *grad, const float *pred, const float *target,
                               int64_t n, double weight) {
    double part[BLOCKS] = {0}, sum = 0;
    int64_t step = (n + BLOCKS - 1) / BLOCKS;
#pragma omp parallel for schedule(static) if (n > 65536)
    for (int b = 0; b < BLOCKS; b++) {
        span s = {grad, pred, target, b * step, (b + 1) * step, weight / (double)n};
        if (s.end > n) s.end = n;
        if (s.begin < s.end) part[b] = loss(&s);
    }
    for (int b = 0; b < BLOCKS; b++) sum += part[b];
    return sum / (double)n;
}

static double l1_span(const span *s) {
    double sum = 0;
    for (int64_t i = s->begin; i < s->end; i++) {
        double d = (double)s->pred[i] - s->target[i];
        sum += fabs(d);
        // |d|' = sign d
        if (s->grad) s->grad[i] += (float)(s->scale * ((d > 0) - (d < 0)));
    }
    return sum;
}

double sac_loss_l1(float *grad, const float *pred, const float *target, int64_t n, double weight) {
    return mean_over_blocks(l1_span, grad, pred, target, n, weight);
}

static double mse_span(const span *s) {
    double sum = 0;
    for (int64_t i = s->begin; i < s->end; i++) {
        double d = (double)s->pred[i] - s->target[i];
        sum += d * d;
        // (d^2)' = 2 d
        if (s->grad) s->grad[i] += (float)(s->scale * 2 * d);
    }
    return sum;
}

double sac_loss_mse(float *grad, const float *pred, const float *target, int64_t n, double weight) {
    return mean_over_blocks(mse_span, grad, pred, target, n, weight);
}

static double bce_span(const span *s) {
    double sum = 0;
    for (int64_t i = s->begin; i < s->end; i++) {
        double p = s->pred[i], t = s->target[i];
        // Comparisons written so that a NaN stays one.
        p = p < CLAMP ? CLAMP : p > 1 - CLAMP ? 1 - CLAMP : p;
        sum -= t * log(p) + (1 - t) * log1p(-p);
        // -(t log p + (1 - t) log(1 - p))' = (p - t) / (p (1 - p))
        if (s->grad) s->grad[i] += (float)(s->scale * (p - t) / (p * (1 - p)));
    }
    return sum;
}

double sac_loss_bce(float *grad, const float *pred, const float *target, int64_t n, double weight) {
    return mean_over_blocks(bce_span, grad, pred, target, n, weight);
}

static double bce_logits_span(const span *s) {
    double sum = 0;
    for (int64_t i = s->begin; i < s->end; i++) {
        double z = s->pred[i], t = s->target[i];
        double e = exp(-fabs(z));
        // Not fmax, which would turn a NaN into 0.
        sum += (z < 0 ? 0 : z) - z * t + log1p(e);
        // (max(z, 0) - z t + log(1 + exp(-|z|)))' = sigmoid(z) - t
        double p = z >= 0 ? 1 / (1 + e) : e / (1 + e);
        if (s->grad) s->grad[i] += (float)(s->scale * (p - t));
    }
    return sum;
}

double sac_loss_bce_logits(float *grad, const float *logits, const float *target, int64_t n,
                           double weight) {
    return mean_over_blocks(bce_logits_span, grad, logits, target, n, weight);
}

// -log softmax(z)[target] of one row.
static double cross_entropy_row(float *grad, const float *z, int32_t target, int64_t classes,
                                double scale) {
    if (target < 0 || target >= classes) return NAN;
    double max = z[0], sum = 0;
    for (int64_t c = 1; c < classes; c++) max = z[c] > max ? z[c] : max;
    for (int64_t c = 0; c < classes; c++) sum += exp(z[c] - max);
    // (log sum_j exp z_j - z_target)' = softmax(z) - [c = target]
    for (int64_t c = 0; grad && c < classes; c++)
        grad[c] += (float)(scale * (exp(z[c] - max) / sum - (c == target ? 1 : 0)));
    return log(sum) + max - z[target];
}

double sac_loss_cross_entropy(float *grad, const float *logits, const int32_t *target, int64_t n,
                              int64_t classes, double weight) {
    double part[BLOCKS] = {0}, sum = 0, scale = weight / (double)n;
    int64_t step = (n + BLOCKS - 1) / BLOCKS;
#pragma omp parallel for schedule(static) if (n * classes > 65536)
    for (int b = 0; b < BLOCKS; b++) {
        int64_t end = (b + 1) * step < n ? (b + 1) * step : n;
        for (int64_t r = b * step; r < end; r++)
            part[b] += cross_entropy_row(grad ? grad + r * classes : NULL, logits + r * classes,
                                         target[r], classes, scale);
    }
    for (int b = 0; b < BLOCKS; b++) sum += part[b];
    return sum / (double)n;
}
