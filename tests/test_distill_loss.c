// The distillation loss: value against the formula, gradient against central differences, what is
// added where.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "distill/loss.h"
#include "helper.h"

enum { N = 3 };
static const int64_t cells[3] = {256, 16, 1};
static float student16[N * 256], student4[N * 16], student1[N];
static float target16[N * 256], target4[N * 16], target1[N];
static float grad16[N * 256], grad4[N * 16], grad1[N];
static float *const student[3] = {student16, student4, student1};
static float *const target[3] = {target16, target4, target1};
static float *const grad[3] = {grad16, grad4, grad1};

static void fill(uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    for (int k = 0; k < 3; k++) {
        for (int64_t i = 0; i < N * cells[k]; i++) {
            student[k][i] = (float)sac_rng_uniform(&rng);
            target[k][i] = sac_rng_uniform(&rng) < 0.5 ? 0 : (float)sac_rng_uniform(&rng);
            grad[k][i] = 0;
        }
    }
}

static double loss(float *const g[3], double emphasis, double weight) {
    const float *const s[3] = {student16, student4, student1};
    const float *const t[3] = {target16, target4, target1};
    return sac_distill_loss(NULL, g, s, t, N, emphasis, weight, NULL);
}

Test(distill_loss, value_by_hand) {
    memset(student16, 0, sizeof student16);
    memset(student4, 0, sizeof student4);
    memset(target16, 0, sizeof target16);
    memset(target4, 0, sizeof target4);
    for (int i = 0; i < N; i++) student1[i] = target1[i] = 0.25f;
    cr_assert_eq(loss(NULL, 4, 1), 0);
    student16[7] = 0.5f; // target 0: 0.25 / 768
    target4[3] = 1;      // student 0: (1 + 4) / 48
    target1[2] = 0.75f;  // (1 + 3) * 0.25 / 3
    cr_assert_float_eq(loss(NULL, 4, 1), 0.25 / 768 + 5.0 / 48 + 1.0 / 3, 1e-12);
}

// A map that the student has not adds nothing, wherever the others stand.
Test(distill_loss, maps_that_are_missing) {
    double all[3] = {0}, sum = 0;
    fill(3);
    for (unsigned heads = 1; heads < 8; heads++) {
        const float *const t[3] = {target16, target4, target1};
        const float *s[3];
        double parts[3] = {0}, expected = 0;
        for (int k = 0; k < 3; k++) s[k] = (heads >> k & 1) != 0 ? student[k] : NULL;
        const double value = sac_distill_loss(parts, NULL, s, t, N, 4, 1, NULL);
        for (int k = 0; k < 3; k++) {
            if (heads == 1u << k) all[k] = value;
            if ((heads >> k & 1) == 0) cr_assert_eq(parts[k], 0);
            expected += (heads >> k & 1) != 0 ? all[k] : 0;
        }
        cr_assert_float_eq(value, expected, 1e-12, "maps %u", heads);
        sum = value;
    }
    cr_assert_float_eq(sum, all[0] + all[1] + all[2], 1e-12);
}

Test(distill_loss, without_emphasis_it_is_the_mean_squared_error_of_each_scale) {
    fill(1);
    double wanted = 0;
    for (int k = 0; k < 3; k++) {
        double sum = 0;
        for (int64_t i = 0; i < N * cells[k]; i++) {
            const double e = (double)student[k][i] - (double)target[k][i];
            sum += e * e;
        }
        wanted += sum / (double)(N * cells[k]);
    }
    cr_assert_float_eq(loss(NULL, 0, 1), wanted, 1e-12);
    cr_assert(loss(NULL, 4, 1) > wanted);
}

Test(distill_loss, gradient_equals_central_differences) {
    const double emphases[2] = {0, 4}, weight = 0.7, h = 1.0 / 256;
    for (int e = 0; e < 2; e++) {
        fill(2);
        (void)loss(grad, emphases[e], weight);
        for (int k = 0; k < 3; k++) {
            static float wanted[N * 256];
            for (int64_t i = 0; i < N * cells[k]; i++) {
                const float kept = student[k][i];
                // The step as it is in f32, so that only the formula is compared.
                const float above = kept + (float)h, below = kept - (float)h;
                student[k][i] = above;
                const double high = loss(NULL, emphases[e], weight);
                student[k][i] = below;
                const double low = loss(NULL, emphases[e], weight);
                student[k][i] = kept;
                wanted[i] = (float)(weight * (high - low) / ((double)above - (double)below));
            }
            for (int64_t i = 0; i < N * cells[k]; i++) {
                const double limit = 1e-6 * (1 + fabs((double)wanted[i]));
                cr_assert(fabs((double)(grad[k][i] - wanted[i])) <= limit,
                          "scale %d element %lld: %g, expected %g", k, (long long)i,
                          (double)grad[k][i], (double)wanted[i]);
            }
        }
    }
}

Test(distill_loss, gradients_of_several_teachers_add_up) {
    fill(3);
    (void)loss(grad, 4, 1);
    static float once[N * 256];
    memcpy(once, grad16, sizeof once);
    (void)loss(grad, 4, 0.5);
    int64_t different = 0;
    for (int i = 0; i < N * 256; i++) {
        cr_assert_float_eq(grad16[i], 1.5f * once[i], 1e-8f);
        different += once[i] != 0;
    }
    cr_assert(different > N * 200, "a gradient of zeros checks nothing");
}

Test(distill_loss, a_scale_may_do_without_gradient_and_inputs_stay) {
    fill(4);
    static float kept[N * 256];
    memcpy(kept, student16, sizeof kept);
    float *const some[3] = {NULL, grad4, NULL};
    const double value = loss(some, 4, 1);
    cr_assert_eq(value, loss(NULL, 4, 1));
    cr_assert_eq(value, loss(NULL, 4, 9), "the weight scales the gradient only");
    cr_assert(grad4[0] != 0 && grad16[0] == 0 && grad1[0] == 0);
    cr_assert_arr_eq(kept, student16, sizeof kept);
}

Test(distill_loss, not_a_number_is_not_hidden) {
    fill(5);
    target4[5] = NAN;
    cr_assert(isnan(loss(NULL, 4, 1)));
    fill(5);
    student1[0] = INFINITY;
    cr_assert(!isfinite(loss(NULL, 4, 1)));
}

Test(distill_loss, scales_have_weights_and_parts) {
    fill(6);
    const float *const s[3] = {student16, student4, student1};
    const float *const t[3] = {target16, target4, target1};
    const double scales[3] = {2, 0, 0.5};
    double parts[3] = {1, 1, 1}, plain = loss(grad, 4, 1);
    static float once[N * 256];
    memcpy(once, grad16, sizeof once);
    memset(grad16, 0, sizeof grad16);
    memset(grad4, 0, sizeof grad4);
    memset(grad1, 0, sizeof grad1);
    const double value = sac_distill_loss(parts, grad, s, t, N, 4, 3, scales);
    for (int k = 0; k < 3; k++) parts[k] = (parts[k] - 1) / 3; // added, with the teacher's weight
    cr_assert_float_eq(parts[0] + parts[1] + parts[2], plain, 1e-12);
    cr_assert_float_eq(value, 2 * parts[0] + 0.5 * parts[2], 1e-12);
    for (int i = 0; i < N * 256; i++) cr_assert_float_eq(grad16[i], 6 * once[i], 1e-7f);
    for (int i = 0; i < N * 16; i++) cr_assert_eq(grad4[i], 0);
    cr_assert(parts[1] > 0 && once[0] != 0 && grad1[0] != 0);
}
