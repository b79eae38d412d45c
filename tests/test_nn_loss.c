// Losses: values against the formulas written out, gradients against central differences, saturated
// and extreme inputs, independence of the number of threads.
#include <math.h>
#include <string.h>

#ifdef _OPENMP
#    include <omp.h>
#endif

#include <criterion/criterion.h>

#include "core/memory.h"
#include "core/rng.h"
#include "nn/loss.h"

typedef double (*loss)(float *grad, const float *pred, const float *target, int64_t n,
                       double weight);

enum { L1, MSE, BCE, BCE_LOGITS, LOSSES };
static const loss losses[LOSSES] = {sac_loss_l1, sac_loss_mse, sac_loss_bce, sac_loss_bce_logits};
static const char *const names[LOSSES] = {"l1", "mse", "bce", "bce_logits"};

// One element's loss by the textbook.
static double one(int kind, double p, double t) {
    switch (kind) {
    case L1:
        return fabs(p - t);
    case MSE:
        return (p - t) * (p - t);
    case BCE:
        return -(t * log(p) + (1 - t) * log(1 - p));
    default:
        return -(t * log(1 / (1 + exp(-p))) + (1 - t) * log(1 - 1 / (1 + exp(-p))));
    }
}

static void draw(int kind, float *pred, float *target, int64_t n, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 1);
    for (int64_t i = 0; i < n; i++) {
        double u = sac_rng_uniform(&rng), v = sac_rng_uniform(&rng);
        pred[i] = (float)(kind == BCE ? 0.02 + 0.96 * u : 6 * u - 3);
        target[i] =
            (float)(kind == BCE || kind == BCE_LOGITS ? (i % 3 ? v : (double)(i % 2)) : 2 * v - 1);
    }
}

Test(nn_loss, values_are_the_formulas) {
    const int64_t sizes[] = {1, 2, 3, 5, 7, 63, 64, 65, 127, 1000, 70001};
    for (int kind = 0; kind < LOSSES; kind++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            int64_t n = sizes[s];
            float *pred = sac_calloc(n, sizeof(float)), *target = sac_calloc(n, sizeof(float));
            cr_assert(pred != NULL && target != NULL);
            draw(kind, pred, target, n, 100 + s);
            double want = 0;
            for (int64_t i = 0; i < n; i++) want += one(kind, pred[i], target[i]);
            want /= (double)n;
            double got = losses[kind](NULL, pred, target, n, 1);
            cr_assert(fabs(got - want) <= 1e-12 * (1 + want), "%s n %lld: %.17g, want %.17g",
                      names[kind], (long long)n, got, want);
            cr_assert_gt(want, 0);
            sac_free(pred);
            sac_free(target);
        }
    }
}

Test(nn_loss, known_numbers) {
    const float pred[] = {1, -2, 0.5f}, target[] = {0, 1, 0.5f};
    cr_assert_float_eq(sac_loss_l1(NULL, pred, target, 3, 1), 4.0 / 3, 1e-15);
    cr_assert_float_eq(sac_loss_mse(NULL, pred, target, 3, 1), 10.0 / 3, 1e-15);
    const float half[] = {0.5f}, yes[] = {1};
    cr_assert_float_eq(sac_loss_bce(NULL, half, yes, 1, 1), log(2), 1e-15);
    const float zero[] = {0};
    cr_assert_float_eq(sac_loss_bce_logits(NULL, zero, yes, 1, 1), log(2), 1e-15);
    const float logits[] = {0, 0, 0, 0, 7, 7, 7, 7};
    const int32_t classes[] = {0, 3};
    cr_assert_float_eq(sac_loss_cross_entropy(NULL, logits, classes, 2, 4, 1), log(4), 1e-14);
}

// The gradient is ADDED with its weight; the returned loss carries no weight.
Test(nn_loss, gradients_are_central_differences) {
    enum { N = 37 };
    const double weight = 0.7, h = 0.0009765625; // 2^-10
    for (int kind = 0; kind < LOSSES; kind++) {
        float pred[N], target[N], grad[N];
        draw(kind, pred, target, N, 7);
        for (int i = 0; i < N; i++) {
            pred[i] = (float)(nearbyint(pred[i] * 1024.0) / 1024.0); // so that pred +- h is exact
            if (kind == L1 && fabsf(pred[i] - target[i]) < 0.01f) target[i] = pred[i] + 0.5f;
            grad[i] = 0.25f;
        }
        double with = losses[kind](grad, pred, target, N, weight);
        cr_assert_eq(with, losses[kind](NULL, pred, target, N, 1), "%s: weight in the loss",
                     names[kind]);
        for (int i = 0; i < N; i++) {
            float keep = pred[i];
            pred[i] = (float)(keep + h);
            double up = losses[kind](NULL, pred, target, N, 1);
            pred[i] = (float)(keep - h);
            double down = losses[kind](NULL, pred, target, N, 1);
            pred[i] = keep;
            double want = 0.25 + weight * (up - down) / (2 * h);
            // h^2/6 of the third derivative: large for bce near 0 and 1.
            double limit = 2e-6 + (kind == BCE ? 4e-3 * fabs(want - 0.25) : 0);
            cr_assert(fabs(grad[i] - want) <= limit, "%s element %d: %.9g, differences %.9g",
                      names[kind], i, (double)grad[i], want);
        }
    }
}

Test(nn_loss, cross_entropy_gradient_is_central_differences) {
    enum { ROWS = 9, CLASSES = 5 };
    const double weight = 1.3, h = 0.0009765625;
    float logits[ROWS * CLASSES], grad[ROWS * CLASSES];
    int32_t target[ROWS];
    sac_rng rng;
    sac_rng_seed(&rng, 3, 1);
    for (int i = 0; i < ROWS * CLASSES; i++) {
        logits[i] = (float)(nearbyint((8 * sac_rng_uniform(&rng) - 4) * 1024) / 1024);
        grad[i] = -0.5f;
    }
    for (int r = 0; r < ROWS; r++) target[r] = (int32_t)sac_rng_below(&rng, CLASSES);
    double with = sac_loss_cross_entropy(grad, logits, target, ROWS, CLASSES, weight), want = 0;
    for (int r = 0; r < ROWS; r++) {
        double sum = 0, row = -0.5 * CLASSES;
        for (int c = 0; c < CLASSES; c++) {
            sum += exp(logits[r * CLASSES + c]);
            row -= grad[r * CLASSES + c];
        }
        want -= log(exp(logits[r * CLASSES + target[r]]) / sum) / ROWS;
        cr_assert(fabs(row) < 1e-6, "gradients of row %d do not cancel", r);
    }
    cr_assert_float_eq(with, want, 1e-12);
    for (int i = 0; i < ROWS * CLASSES; i++) {
        float keep = logits[i];
        logits[i] = (float)(keep + h);
        double up = sac_loss_cross_entropy(NULL, logits, target, ROWS, CLASSES, 1);
        logits[i] = (float)(keep - h);
        double down = sac_loss_cross_entropy(NULL, logits, target, ROWS, CLASSES, 1);
        logits[i] = keep;
        double expected = -0.5 + weight * (up - down) / (2 * h);
        cr_assert(fabs(grad[i] - expected) < 1e-6, "logit %d: %.9g, differences %.9g", i,
                  (double)grad[i], expected);
    }
}

Test(nn_loss, l1_has_no_gradient_at_zero) {
    const float same[] = {0.5f, -3};
    float grad[] = {0, 0};
    cr_assert_eq(sac_loss_l1(grad, same, same, 2, 1), 0);
    cr_assert(grad[0] == 0 && grad[1] == 0);
}

Test(nn_loss, saturated_probabilities_stay_finite) {
    const float pred[] = {0, 1, 0, 1}, target[] = {0, 1, 1, 0};
    float grad[4] = {0};
    double got = sac_loss_bce(grad, pred, target, 4, 1);
    double want = (2 * -log1p(-1e-7) + 2 * -log(1e-7)) / 4;
    cr_assert_float_eq(got, want, 1e-9);
    for (int i = 0; i < 4; i++) cr_assert(isfinite(grad[i]));
    cr_assert(grad[2] < -1e5f && grad[3] > 1e5f, "wrong and saturated must be pulled back");
    cr_assert(fabsf(grad[0]) < 1 && fabsf(grad[1]) < 1);
}

Test(nn_loss, extreme_logits_do_not_overflow) {
    const float z[] = {100, -100, 1e4f, -1e4f, 3e38f, -3e38f};
    for (int i = 0; i < 6; i++) {
        for (int t = 0; t < 2; t++) {
            float grad = 0, target = (float)t;
            double got = sac_loss_bce_logits(&grad, &z[i], &target, 1, 1);
            bool right = (z[i] > 0) == (t == 1);
            cr_assert(isfinite(got) && isfinite(grad));
            double want = right ? 0 : fabs((double)z[i]);
            cr_assert(fabs(got - want) <= 1e-12 * (1 + want), "logit %g target %d: %g",
                      (double)z[i], t, got);
            cr_assert_float_eq(grad, right ? 0 : z[i] > 0 ? 1 : -1, 1e-6);
        }
    }
    const float logits[] = {3e38f, -3e38f, 0, 1e4f, 1e4f, -1e4f};
    const int32_t target[] = {1, 0};
    float grad[6] = {0};
    double got = sac_loss_cross_entropy(grad, logits, target, 2, 3, 1);
    double want = ((double)logits[0] - logits[1] + log(2)) / 2;
    cr_assert(fabs(got - want) <= 1e-12 * want, "%g, want %g", got, want);
    const float expected[] = {0.5f, -0.5f, 0, -0.25f, 0.25f, 0};
    for (int i = 0; i < 6; i++) cr_assert_float_eq(grad[i], expected[i], 1e-7);
}

Test(nn_loss, nan_comes_out_as_nan) {
    const float bad[] = {0.5f, NAN, 0.25f}, good[] = {0, 1, 1};
    for (int kind = 0; kind < LOSSES; kind++) {
        cr_assert(isnan(losses[kind](NULL, bad, good, 3, 1)), "%s hides NaN in pred", names[kind]);
        cr_assert(isnan(losses[kind](NULL, good, bad, 3, 1)), "%s hides NaN in target",
                  names[kind]);
    }
    const int32_t target[] = {0}, outside[] = {3}, negative[] = {-1};
    float grad[3] = {1, 2, 3};
    cr_assert(isnan(sac_loss_cross_entropy(NULL, bad, target, 1, 3, 1)));
    cr_assert(isnan(sac_loss_cross_entropy(grad, good, outside, 1, 3, 1)));
    cr_assert(isnan(sac_loss_cross_entropy(grad, good, negative, 1, 3, 1)));
    cr_assert(grad[0] == 1 && grad[1] == 2 && grad[2] == 3);
}

Test(nn_loss, any_number_of_threads_gives_the_same_bits) {
#ifdef _OPENMP
    enum { N = 200003 };
    float *pred = sac_calloc(N, sizeof(float)), *target = sac_calloc(N, sizeof(float)),
          *grad = sac_calloc(N, sizeof(float)), *first = sac_calloc(N, sizeof(float));
    cr_assert(pred && target && grad && first);
    for (int kind = 0; kind < LOSSES; kind++) {
        draw(kind, pred, target, N, 5);
        double value = 0;
        for (int threads = 1; threads <= 3; threads++) {
            omp_set_num_threads(threads);
            memset(grad, 0, N * sizeof(float));
            double got = losses[kind](grad, pred, target, N, 1);
            if (threads == 1) {
                value = got;
                memcpy(first, grad, N * sizeof(float));
            }
            cr_assert_eq(memcmp(&value, &got, sizeof got), 0, "%s differs with %d threads",
                         names[kind], threads);
            cr_assert_eq(memcmp(first, grad, N * sizeof(float)), 0,
                         "gradient of %s differs with %d threads", names[kind], threads);
        }
    }
    sac_free(pred);
    sac_free(target);
    sac_free(grad);
    sac_free(first);
#else
    cr_skip_test("SKIPPED: built without OpenMP");
#endif
}
