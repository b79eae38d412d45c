// Frame-level accuracy: ROC AUC micro and macro with explicit conventions, and temporal smoothing
// of scores.
#ifndef SACCADE_METRICS_H
#define SACCADE_METRICS_H

#include <stdbool.h>

#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// Area under the ROC curve,
//   AUC = P(score of an abnormal frame > score of a normal one) + P(equal) / 2
// (Mann-Whitney U with midranks), counted in integers and therefore exact also with ties.
//   auc     receives the area in [0,1]; NaN when only one class is present or n is 0 (a valid
//           result, SAC_OK)
//   scores  f32 [n], finite, any unit: only the order matters; -0 equals +0
//   labels  u8 [n], 0 normal, 1 abnormal
//   n       frames, 0..2^32-1; the pointers may be NULL when it is 0
// SAC_ERROR_ARGUMENT: auc is NULL, n out of range, or a label is not 0/1 (position = its index);
// SAC_ERROR_NUMERIC: a score is not finite (position = its index); SAC_ERROR_MEMORY.
// Thread-safe. Inputs are not changed.
// Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 1982.
SAC_API SAC_NODISCARD sac_status sac_auc(double *auc, const float *scores, const uint8_t *labels,
                                         int64_t n, sac_error *error);

typedef enum sac_smoothing {
    SAC_SMOOTHING_NONE,
    SAC_SMOOTHING_CAUSAL, // only past frames: one-sided Gaussian, usable live
    SAC_SMOOTHING_LIGHT,  // two-sided Gaussian sigma 3
    SAC_SMOOTHING_PAPER,  // two-sided Gaussian of the papers: sigma 20, 49 taps on Ped2
} sac_smoothing;

// Taps a causal smoother can hold, and the most a two-sided one may have.
#define SAC_SMOOTHING_CAUSAL_TAPS 64
#define SAC_SMOOTHING_MAX_TAPS    99999

typedef struct sac_smoothing_options {
    sac_smoothing kind;
    double sigma; // frames; 0: the kind's default
    int taps;     // 0: the kind's default, or three sigma to each side when only sigma is given
} sac_smoothing_options;

// "none", "causal", "light", "paper"; NULL for a value outside the enumeration.
SAC_API const char *sac_smoothing_name(sac_smoothing kind);

// Replaces the zeros of `options` by what will be used:
//   kind     sigma  taps   reaches
//   causal   4      13     t-12..t      (mean delay about three frames)
//   light    3      19     t-9..t+9     (three sigma)
//   paper    20     49     t-24..t+24
// `none` resolves to sigma 0 and one tap.
// SAC_ERROR_ARGUMENT: NULL, unknown kind, sigma negative, not finite or above 1e6, taps negative,
// even for a two-sided kind, above SAC_SMOOTHING_MAX_TAPS or (causal) SAC_SMOOTHING_CAUSAL_TAPS.
SAC_API SAC_NODISCARD sac_status sac_smoothing_resolve(sac_smoothing_options *resolved,
                                                       const sac_smoothing_options *options);

// Smooths the scores of ONE clip:
//   dst[t] = sum_i w[i] src[t+i] / sum_i w[i],   w[i] = exp(-i^2 / (2 sigma^2)),
// i over the kind's reach and over frames inside the clip only: weights are renormalised at the
// ends and no padding values enter. (The papers' code pads; the difference is confined to the
// ends.)
//   dst, src  f32 [n]; dst may equal src but not overlap it otherwise
//   options   as above; `none` copies
// Sums are double, the result is rounded to f32 once.
// SAC_ERROR_ARGUMENT: a NULL pointer, n < 0, bad options; SAC_ERROR_NUMERIC: a score is not finite
// (dst is then unchanged); SAC_ERROR_MEMORY. Thread-safe.
SAC_API SAC_NODISCARD sac_status sac_smooth(float *dst, const float *src, int64_t n,
                                            const sac_smoothing_options *options);

// Streaming form of the causal kind: the same numbers as sac_smooth, bit for bit, frame by frame.
// A plain value without heap memory: copy it to fork a stream, init it again to start a new clip.
typedef struct sac_causal_smoother {
    double weights[SAC_SMOOTHING_CAUSAL_TAPS]; // [0] is the current frame
    float history[SAC_SMOOTHING_CAUSAL_TAPS];  // ring of the last `taps` scores
    int taps;
    int64_t seen; // frames pushed
} sac_causal_smoother;

// sigma and taps as in sac_smoothing_options (0: defaults). SAC_ERROR_ARGUMENT as
// sac_smoothing_resolve.
SAC_API SAC_NODISCARD sac_status sac_causal_smoother_init(sac_causal_smoother *smoother,
                                                          double sigma, int taps);
// Takes the raw score of the next frame and returns the smoothed one. The caller checks that scores
// are finite: a NaN would stay in the history for `taps` frames. One smoother per thread.
SAC_API float sac_causal_smoother_push(sac_causal_smoother *smoother, float score);

#ifdef __cplusplus
}
#endif
#endif
