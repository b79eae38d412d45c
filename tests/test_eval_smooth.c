// Temporal smoothing against plain double loops over its formula, and streaming against batch.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "saccade/metrics.h"

enum { LARGEST = 260 };

static void fill(float *scores, int64_t n, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 1);
    for (int64_t i = 0; i < n; i++) scores[i] = (float)(10.0 * sac_rng_normal(&rng));
}

// The definition: every tap of [-back, ahead], those outside the clip left out.
static double defined(const float *src, int64_t n, int64_t t, double sigma, int back, int ahead) {
    double sum = 0.0, weight = 0.0;
    for (int i = -back; i <= ahead; i++) {
        if (t + i < 0 || t + i >= n) continue;
        const double w = exp(-(double)i * i / (2.0 * sigma * sigma));
        sum += w * (double)src[t + i];
        weight += w;
    }
    return sum / weight;
}

static void compare(sac_smoothing kind, double sigma, int taps, double used_sigma, int back,
                    int ahead) {
    static const int64_t sizes[] = {1, 2, 3, 5, 7, 12, 13, 14, 24, 49, 50, 180, LARGEST};
    float src[LARGEST], kept[LARGEST], dst[LARGEST];
    const sac_smoothing_options options = {.kind = kind, .sigma = sigma, .taps = taps};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int64_t n = sizes[s];
        fill(src, n, 11 + s);
        memcpy(kept, src, sizeof src);
        for (int64_t t = 0; t < n; t++) dst[t] = NAN;
        cr_assert_eq(sac_smooth(dst, src, n, &options), SAC_OK);
        cr_assert_eq(memcmp(kept, src, (size_t)n * sizeof *src), 0, "src changed");
        for (int64_t t = 0; t < n; t++) {
            const double expected = defined(src, n, t, used_sigma, back, ahead);
            cr_assert_float_eq((double)dst[t], expected, 1e-6 * (1.0 + fabs(expected)),
                               "%s n %lld frame %lld: %.9g, expected %.9g",
                               sac_smoothing_name(kind), (long long)n, (long long)t, (double)dst[t],
                               expected);
        }
        cr_assert_eq(sac_smooth(src, src, n, &options), SAC_OK);
        cr_assert_eq(memcmp(dst, src, (size_t)n * sizeof *src), 0, "in place differs");
    }
}

Test(eval_smooth, equals_its_formula_with_the_documented_defaults) {
    compare(SAC_SMOOTHING_CAUSAL, 0.0, 0, 4.0, 12, 0);
    compare(SAC_SMOOTHING_LIGHT, 0.0, 0, 3.0, 9, 9);
    compare(SAC_SMOOTHING_PAPER, 0.0, 0, 20.0, 24, 24);
}

Test(eval_smooth, equals_its_formula_with_own_sigma_and_taps) {
    compare(SAC_SMOOTHING_CAUSAL, 2.5, 64, 2.5, 63, 0);
    compare(SAC_SMOOTHING_CAUSAL, 2.5, 1, 2.5, 0, 0);
    compare(SAC_SMOOTHING_CAUSAL, 0.0, 5, 4.0, 4, 0);
    compare(SAC_SMOOTHING_LIGHT, 1.5, 3, 1.5, 1, 1);
    compare(SAC_SMOOTHING_PAPER, 21.0, 301, 21.0, 150, 150);
    // Only sigma given: three sigma to each side.
    compare(SAC_SMOOTHING_LIGHT, 5.0, 0, 5.0, 15, 15);
    compare(SAC_SMOOTHING_CAUSAL, 2.2, 0, 2.2, 7, 0);
    compare(SAC_SMOOTHING_CAUSAL, 1000.0, 0, 1000.0, 63, 0);
}

Test(eval_smooth, none_copies) {
    float src[17], dst[17];
    fill(src, 17, 3);
    const sac_smoothing_options options = {.kind = SAC_SMOOTHING_NONE};
    cr_assert_eq(sac_smooth(dst, src, 17, &options), SAC_OK);
    cr_assert_eq(memcmp(dst, src, sizeof src), 0);
    cr_assert_eq(sac_smooth(NULL, NULL, 0, &options), SAC_OK);
}

Test(eval_smooth, a_constant_stays_exactly_constant) {
    for (int kind = SAC_SMOOTHING_NONE; kind <= SAC_SMOOTHING_PAPER; kind++) {
        float scores[LARGEST];
        for (int i = 0; i < LARGEST; i++) scores[i] = 0.3F;
        const sac_smoothing_options options = {.kind = (sac_smoothing)kind};
        cr_assert_eq(sac_smooth(scores, scores, LARGEST, &options), SAC_OK);
        for (int i = 0; i < LARGEST; i++) cr_assert_eq(scores[i], 0.3F, "kind %d at %d", kind, i);
    }
}

Test(eval_smooth, causal_ignores_the_future) {
    float src[60], dst[60], again[60];
    fill(src, 60, 5);
    const sac_smoothing_options options = {.kind = SAC_SMOOTHING_CAUSAL};
    cr_assert_eq(sac_smooth(dst, src, 60, &options), SAC_OK);
    for (int t = 31; t < 60; t++) src[t] = 1e6F;
    cr_assert_eq(sac_smooth(again, src, 60, &options), SAC_OK);
    cr_assert_eq(memcmp(dst, again, 31 * sizeof *dst), 0);
    cr_assert_neq(dst[31], again[31]);
}

Test(eval_smooth, streaming_equals_batch_bit_for_bit) {
    static const int taps[] = {0, 1, 2, 13, 63, 64};
    for (size_t k = 0; k < sizeof taps / sizeof taps[0]; k++) {
        float src[LARGEST], dst[LARGEST];
        fill(src, LARGEST, 20 + k);
        const sac_smoothing_options options = {.kind = SAC_SMOOTHING_CAUSAL, .taps = taps[k]};
        cr_assert_eq(sac_smooth(dst, src, LARGEST, &options), SAC_OK);
        sac_causal_smoother smoother;
        cr_assert_eq(sac_causal_smoother_init(&smoother, 0.0, taps[k]), SAC_OK);
        for (int t = 0; t < LARGEST; t++) {
            const float value = sac_causal_smoother_push(&smoother, src[t]);
            cr_assert_eq(memcmp(&value, &dst[t], sizeof value), 0, "taps %d frame %d", taps[k], t);
        }
        cr_assert_eq(smoother.seen, LARGEST);
    }
}

Test(eval_smooth, resolve_fills_defaults_and_refuses_the_rest) {
    sac_smoothing_options options = {.kind = SAC_SMOOTHING_PAPER};
    cr_assert_eq(sac_smoothing_resolve(&options, &options), SAC_OK);
    cr_assert_eq(options.sigma, 20.0);
    cr_assert_eq(options.taps, 49);
    const sac_smoothing_options bad[] = {
        {.kind = SAC_SMOOTHING_LIGHT, .sigma = -1.0},
        {.kind = SAC_SMOOTHING_LIGHT, .sigma = NAN},
        {.kind = SAC_SMOOTHING_LIGHT, .sigma = INFINITY},
        {.kind = SAC_SMOOTHING_LIGHT, .sigma = 2e6},
        {.kind = SAC_SMOOTHING_LIGHT, .taps = 4},
        {.kind = SAC_SMOOTHING_LIGHT, .taps = -1},
        {.kind = SAC_SMOOTHING_PAPER, .taps = SAC_SMOOTHING_MAX_TAPS + 2},
        {.kind = SAC_SMOOTHING_CAUSAL, .taps = SAC_SMOOTHING_CAUSAL_TAPS + 1},
        {.kind = (sac_smoothing)4},
        {.kind = (sac_smoothing)-1},
    };
    float score = 1.0F;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(sac_smoothing_resolve(&options, &bad[i]), SAC_ERROR_ARGUMENT, "case %zu", i);
        cr_assert_eq(sac_smooth(&score, &score, 1, &bad[i]), SAC_ERROR_ARGUMENT, "case %zu", i);
    }
    cr_assert_eq(sac_smoothing_resolve(NULL, &bad[0]), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_smoothing_resolve(&options, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_null(sac_smoothing_name((sac_smoothing)4));
    sac_causal_smoother smoother;
    cr_assert_eq(sac_causal_smoother_init(&smoother, 1.0, 65), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_causal_smoother_init(&smoother, -1.0, 0), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_causal_smoother_init(NULL, 1.0, 0), SAC_ERROR_ARGUMENT);
}

Test(eval_smooth, a_score_that_is_not_finite_leaves_dst_alone) {
    const float src[] = {1.0F, NAN, 2.0F};
    for (int kind = SAC_SMOOTHING_NONE; kind <= SAC_SMOOTHING_PAPER; kind++) {
        float dst[] = {7.0F, 7.0F, 7.0F};
        const sac_smoothing_options options = {.kind = (sac_smoothing)kind};
        cr_assert_eq(sac_smooth(dst, src, 3, &options), SAC_ERROR_NUMERIC);
        for (int i = 0; i < 3; i++) cr_assert_eq(dst[i], 7.0F);
    }
    float dst[1];
    const sac_smoothing_options options = {.kind = SAC_SMOOTHING_LIGHT};
    cr_assert_eq(sac_smooth(dst, src, -1, &options), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_smooth(NULL, src, 1, &options), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_smooth(dst, NULL, 1, &options), SAC_ERROR_ARGUMENT);
}

Test(eval_smooth, reports_lack_of_memory) {
    const sac_smoothing_options options = {.kind = SAC_SMOOTHING_LIGHT};
    for (int successes = 0; successes < 2; successes++) {
        float scores[] = {1.0F, 2.0F};
        sac_memory_fail_after(successes);
        const sac_status status = sac_smooth(scores, scores, 2, &options);
        sac_memory_fail_after(-1);
        cr_assert_eq(status, SAC_ERROR_MEMORY);
        cr_assert_eq(scores[0], 1.0F);
    }
}
