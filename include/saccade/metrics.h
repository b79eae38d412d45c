// Frame-level accuracy: ROC AUC micro and macro with explicit conventions, and temporal smoothing of scores.
#ifndef SACCADE_METRICS_H
#define SACCADE_METRICS_H

#include <stdbool.h>

#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// Area under the ROC curve = P(score of an abnormal frame > of a normal one) + P(equal)/2 (Mann-Whitney U with midranks; exact for ties).
// scores f32 [n] finite, labels u8 [n]. *auc is NaN when only one class is present (a valid result, SAC_OK).
// SAC_ERROR_ARGUMENT: n < 0 or a label not 0/1; SAC_ERROR_NUMERIC: a score is not finite (position = index); SAC_ERROR_MEMORY.
SAC_API SAC_NODISCARD sac_status sac_auc(double *auc, const float *scores, const uint8_t *labels, int64_t n, sac_error *error);

typedef enum sac_smoothing {
    SAC_SMOOTHING_NONE,
    SAC_SMOOTHING_CAUSAL, // only past frames: one-sided Gaussian, usable live
    SAC_SMOOTHING_LIGHT,  // two-sided Gaussian sigma 3
    SAC_SMOOTHING_PAPER,  // two-sided Gaussian of the papers: sigma 20, 49 taps on Ped2
} sac_smoothing;

typedef struct sac_smoothing_options {
    sac_smoothing kind;
    double sigma; // frames; 0: the kind's default
    int taps;     // 0: the kind's default
} sac_smoothing_options;

// Smooths the scores of ONE clip, f32 [n]; weights are renormalised at the clip's ends (no padding values enter). dst may equal src.
SAC_API SAC_NODISCARD sac_status sac_smooth(float *dst, const float *src, int64_t n, const sac_smoothing_options *options);
// Streaming form of the causal kind: same numbers frame by frame.
typedef struct sac_causal_smoother {
    double weights[64];
    float history[64];
    int taps;
    int64_t seen;
} sac_causal_smoother;
SAC_API SAC_NODISCARD sac_status sac_causal_smoother_init(sac_causal_smoother *smoother, double sigma, int taps);
SAC_API float sac_causal_smoother_push(sac_causal_smoother *smoother, float score);

#ifdef __cplusplus
}
#endif
#endif
