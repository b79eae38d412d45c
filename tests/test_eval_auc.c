// Frame AUC against its definition, counted pair by pair.
// The pair count is the reference: O(n^2), no sorting, no ranks.
#include <criterion/criterion.h>
#include <math.h>

#include "core/memory.h"
#include "core/rng.h"
#include "saccade/metrics.h"

static double pair_count(const float *scores, const uint8_t *labels, int64_t n) {
    double won = 0.0, pairs = 0.0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            if (labels[i] != 1 || labels[j] != 0) continue;
            pairs += 1.0;
            won += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
        }
    return won / pairs;
}

Test(eval_auc, equals_the_pair_count_with_and_without_ties) {
    enum { LARGEST = 300 };
    float scores[LARGEST];
    uint8_t labels[LARGEST];
    sac_rng rng;
    sac_rng_seed(&rng, 7, 0);
    int compared = 0;
    for (int round = 0; round < 200; round++) {
        const int64_t n = 2 + sac_rng_below(&rng, LARGEST - 1);
        const int64_t levels = round % 2 == 0 ? 1 + sac_rng_below(&rng, 8) : 1000000;
        int64_t abnormal = 0;
        for (int64_t i = 0; i < n; i++) {
            labels[i] = (uint8_t)sac_rng_below(&rng, 2);
            abnormal += labels[i];
            scores[i] = (float)(sac_rng_below(&rng, levels) - levels / 2) + 0.25F * labels[i];
        }
        if (abnormal == 0 || abnormal == n) continue;
        double auc = -1.0;
        cr_assert_eq(sac_auc(&auc, scores, labels, n, NULL), SAC_OK);
        const double expected = pair_count(scores, labels, n);
        cr_assert_float_eq(auc, expected, 1e-15, "round %d, n %lld: %.17g, expected %.17g", round,
                           (long long)n, auc, expected);
        compared++;
    }
    cr_assert_gt(compared, 150);
}

Test(eval_auc, known_values) {
    // The example of scikit-learn's roc_auc_score: 0.75.
    const float example[] = {0.1F, 0.4F, 0.35F, 0.8F};
    const uint8_t example_labels[] = {0, 0, 1, 1};
    double auc = -1.0;
    cr_assert_eq(sac_auc(&auc, example, example_labels, 4, NULL), SAC_OK);
    cr_assert_eq(auc, 0.75);

    const float constant[] = {3.0F, 3.0F, 3.0F, 3.0F, 3.0F};
    const uint8_t mixed[] = {0, 1, 1, 1, 1};
    cr_assert_eq(sac_auc(&auc, constant, mixed, 5, NULL), SAC_OK);
    cr_assert_eq(auc, 0.5);

    const float rising[] = {-1e30F, 0.0F, 1e-30F, 1.0F, 1e30F};
    const uint8_t perfect[] = {0, 0, 0, 1, 1}, inverted[] = {1, 1, 0, 0, 0};
    cr_assert_eq(sac_auc(&auc, rising, perfect, 5, NULL), SAC_OK);
    cr_assert_eq(auc, 1.0);
    cr_assert_eq(sac_auc(&auc, rising, inverted, 5, NULL), SAC_OK);
    cr_assert_eq(auc, 0.0);

    const float zeros[] = {-0.0F, 0.0F};
    const uint8_t pair[] = {1, 0};
    cr_assert_eq(sac_auc(&auc, zeros, pair, 2, NULL), SAC_OK);
    cr_assert_eq(auc, 0.5, "minus zero ties with plus zero");
}

Test(eval_auc, one_class_is_undefined_but_valid) {
    const float scores[] = {1.0F, 2.0F, 3.0F};
    const uint8_t normal[] = {0, 0, 0}, abnormal[] = {1, 1, 1};
    double auc = 0.0;
    cr_assert_eq(sac_auc(&auc, scores, normal, 3, NULL), SAC_OK);
    cr_assert(isnan(auc));
    auc = 0.0;
    cr_assert_eq(sac_auc(&auc, scores, abnormal, 3, NULL), SAC_OK);
    cr_assert(isnan(auc));
    auc = 0.0;
    cr_assert_eq(sac_auc(&auc, NULL, NULL, 0, NULL), SAC_OK);
    cr_assert(isnan(auc));
}

Test(eval_auc, refuses_what_is_no_score_or_label) {
    const uint8_t labels[] = {0, 1, 1};
    const float bad[][3] = {{0.0F, NAN, 1.0F}, {0.0F, INFINITY, 1.0F}, {0.0F, -INFINITY, 1.0F}};
    double auc = 0.0;
    for (int i = 0; i < 3; i++) {
        sac_error error = {0};
        cr_assert_eq(sac_auc(&auc, bad[i], labels, 3, &error), SAC_ERROR_NUMERIC);
        cr_assert_eq(error.position, 1);
        cr_assert_not_null(strstr(error.message, "frame 1"));
    }
    const float scores[] = {0.0F, 1.0F, 2.0F};
    const uint8_t two[] = {0, 1, 2};
    sac_error error = {0};
    cr_assert_eq(sac_auc(&auc, scores, two, 3, &error), SAC_ERROR_ARGUMENT);
    cr_assert_eq(error.position, 2);
    cr_assert_eq(sac_auc(&auc, scores, labels, -1, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_auc(NULL, scores, labels, 3, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_auc(&auc, NULL, labels, 3, NULL), SAC_ERROR_ARGUMENT);
}

Test(eval_auc, reports_lack_of_memory) {
    const float scores[] = {0.0F, 1.0F};
    const uint8_t labels[] = {0, 1};
    double auc = 0.0;
    sac_error error = {0};
    sac_memory_fail_after(0);
    const sac_status status = sac_auc(&auc, scores, labels, 2, &error);
    sac_memory_fail_after(-1);
    cr_assert_eq(status, SAC_ERROR_MEMORY);
    cr_assert_eq(error.code, SAC_ERROR_MEMORY);
}
