// Temporal smoothing of one clip's scores with a truncated Gaussian, two-sided or causal.
// The batch form of the causal kind runs the streaming one, so that both give the same bits.
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "saccade/metrics.h"

typedef struct kind_defaults {
    const char *name;
    double sigma;
    int taps;
} kind_defaults;

static const kind_defaults kinds[] = {
    [SAC_SMOOTHING_NONE] = {"none", 0.0, 1},
    [SAC_SMOOTHING_CAUSAL] = {"causal", 4.0, 13},
    [SAC_SMOOTHING_LIGHT] = {"light", 3.0, 19},
    [SAC_SMOOTHING_PAPER] = {"paper", 20.0, 49},
};

static bool known_kind(sac_smoothing kind) {
    return (unsigned)kind < sizeof kinds / sizeof kinds[0];
}

const char *sac_smoothing_name(sac_smoothing kind) {
    return known_kind(kind) ? kinds[kind].name : NULL;
}

sac_status sac_smoothing_resolve(sac_smoothing_options *resolved,
                                 const sac_smoothing_options *options) {
    if (resolved == NULL || options == NULL || !known_kind(options->kind))
        return SAC_ERROR_ARGUMENT;
    const sac_smoothing kind = options->kind;
    double sigma = options->sigma;
    int taps = options->taps;
    if (!(sigma >= 0.0 && sigma <= 1e6) || taps < 0 || taps > SAC_SMOOTHING_MAX_TAPS)
        return SAC_ERROR_ARGUMENT;
    if (kind == SAC_SMOOTHING_NONE) {
        *resolved = (sac_smoothing_options){.kind = kind, .sigma = 0.0, .taps = 1};
        return SAC_OK;
    }
    const bool causal = kind == SAC_SMOOTHING_CAUSAL;
    const int most = causal ? SAC_SMOOTHING_CAUSAL_TAPS : SAC_SMOOTHING_MAX_TAPS;
    if (taps > most || (!causal && taps > 0 && taps % 2 == 0)) return SAC_ERROR_ARGUMENT;
    if (taps == 0) {
        taps = kinds[kind].taps;
        if (sigma > 0.0) {
            // A sigma without taps: the kind's own reach could cut it short, so take three sigma.
            const double reach = ceil(3.0 * sigma);
            const double wanted = causal ? reach + 1.0 : 2.0 * reach + 1.0;
            taps = wanted < (double)most ? (int)wanted : most;
        }
    }
    if (sigma == 0.0) sigma = kinds[kind].sigma;
    *resolved = (sac_smoothing_options){.kind = kind, .sigma = sigma, .taps = taps};
    return SAC_OK;
}

static double gaussian(double distance, double sigma) {
    const double x = distance / sigma;
    return exp(-0.5 * x * x);
}

sac_status sac_causal_smoother_init(sac_causal_smoother *smoother, double sigma, int taps) {
    if (smoother == NULL) return SAC_ERROR_ARGUMENT;
    sac_smoothing_options options = {.kind = SAC_SMOOTHING_CAUSAL, .sigma = sigma, .taps = taps};
    const sac_status status = sac_smoothing_resolve(&options, &options);
    if (status < 0) return status;
    memset(smoother, 0, sizeof *smoother);
    smoother->taps = options.taps;
    for (int i = 0; i < options.taps; i++)
        smoother->weights[i] = gaussian((double)i, options.sigma);
    return SAC_OK;
}

float sac_causal_smoother_push(sac_causal_smoother *smoother, float score) {
    const int64_t taps = smoother->taps, now = smoother->seen++;
    smoother->history[now % taps] = score;
    const int64_t used = now + 1 < taps ? now + 1 : taps;
    double sum = 0.0, weight = 0.0;
    for (int64_t i = 0; i < used; i++) {
        sum += smoother->weights[i] * (double)smoother->history[(now - i) % taps];
        weight += smoother->weights[i];
    }
    return (float)(sum / weight);
}

static sac_status smooth_two_sided(float *dst, const float *src, int64_t n,
                                   const sac_smoothing_options *options) {
    const int64_t reach = options->taps / 2;
    double *weights = sac_calloc(reach + 1, sizeof *weights);
    float *copy = sac_calloc(n, sizeof *copy);
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(weights);
    SAC_TRY_ALLOC(copy);
    memcpy(copy, src, (size_t)n * sizeof *copy);
    for (int64_t i = 0; i <= reach; i++) weights[i] = gaussian((double)i, options->sigma);
    for (int64_t t = 0; t < n; t++) {
        const int64_t first = t < reach ? 0 : t - reach;
        const int64_t last = n - 1 - t < reach ? n - 1 : t + reach;
        double sum = 0.0, weight = 0.0;
        for (int64_t s = first; s <= last; s++) {
            const double w = weights[s < t ? t - s : s - t];
            sum += w * (double)copy[s];
            weight += w;
        }
        dst[t] = (float)(sum / weight);
    }
fail:
    sac_free(weights);
    sac_free(copy);
    return status;
}

sac_status sac_smooth(float *dst, const float *src, int64_t n,
                      const sac_smoothing_options *options) {
    sac_smoothing_options resolved;
    const sac_status status = sac_smoothing_resolve(&resolved, options);
    if (status < 0) return status;
    if (n < 0 || (n > 0 && (dst == NULL || src == NULL))) return SAC_ERROR_ARGUMENT;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(src[i])) return SAC_ERROR_NUMERIC;
    if (n == 0) return SAC_OK;

    switch (resolved.kind) {
    case SAC_SMOOTHING_NONE:
        if (dst != src) memcpy(dst, src, (size_t)n * sizeof *dst);
        return SAC_OK;
    case SAC_SMOOTHING_CAUSAL: {
        sac_causal_smoother smoother;
        const sac_status made = sac_causal_smoother_init(&smoother, resolved.sigma, resolved.taps);
        if (made < 0) return made;
        for (int64_t t = 0; t < n; t++) dst[t] = sac_causal_smoother_push(&smoother, src[t]);
        return SAC_OK;
    }
    case SAC_SMOOTHING_LIGHT:
    case SAC_SMOOTHING_PAPER:
        break;
    }
    return smooth_two_sided(dst, src, n, &resolved);
}
