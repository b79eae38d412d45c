// What a student's scores mean on one camera: from the smoothed scores of normal video a calibrated
// score in [0,1), and thresholds for a budget of false alarms, as far as the amount of normal video
// can certify them. Reads no video and no model file; the model keeps the JSON (student/model.h).
#ifndef SAC_STUDENT_CALIBRATION_H
#define SAC_STUDENT_CALIBRATION_H

#include <stdint.h>

#include <jansson.h>

#include "saccade/metrics.h"
#include "saccade/status.h"

// Exact upper limit of a Poisson mean of which `events` were counted, one-sided:
//   the mu with P(N <= events; mu) = 1 - confidence,   mu = chi2_{confidence, 2 events + 2} / 2
// For 0 events -ln(1 - confidence): 3.00 at 95 %. events 0..1e6, confidence in (0, 1); NaN
// otherwise. Relative accuracy 1e-9.
// Source: Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28, 1936.
double sac_poisson_upper(int64_t events, double confidence);
// Most events that can have been counted in an observation that is to certify a mean of at most
// `mean`: the largest n with sac_poisson_upper(n) <= mean; -1: not even none.
int64_t sac_poisson_allowed(double mean, double confidence);

// A budget of false alarms: "2/day", "0.5/hour", "1/week" (also h, d, w), the number above 0.
// SAC_ERROR_ARGUMENT: anything else; the message names `option`.
typedef struct sac_far {
    double count, per_hour;
    const char *unit; // "hour", "day", "week"
} sac_far;
SAC_NODISCARD sac_status sac_far_parse(sac_far *budget, const char *text, const char *option,
                                       sac_error *error);

// Collecting
// -------------------------------------------------------------------------------------------------

typedef struct sac_calibration_options {
    double confidence;  // of all bounds, 0.5 .. 0.9999: 0.95
    double merge_gap_s; // runs above a threshold that lie at most so far apart are one event: 2
    sac_smoothing_options smoothing; // that the scores came from; kept to be compared
} sac_calibration_options;
sac_calibration_options sac_calibration_default_options(void); // causal smoothing, resolved

typedef struct sac_calibration sac_calibration;
typedef struct sac_calibrator sac_calibrator; // 16 bytes a frame

// SAC_ERROR_ARGUMENT: options out of range; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_calibrator_create(sac_calibrator **calibrator,
                                               const sac_calibration_options *options,
                                               sac_error *error);
// A new source begins; events do not reach over from one source to the next.
void sac_calibrator_begin(sac_calibrator *calibrator);
// The next frame of the source: presentation time (not decreasing within it) and smoothed score in
// [0,1]. SAC_ERROR_ARGUMENT: out of range, not finite, time going back; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_calibrator_push(sac_calibrator *calibrator, double time_s,
                                             float smoothed, sac_error *error);
// The calibration of everything pushed.
//
// Amount of video: T = sum over sources of the intervals between frames + one median interval. An
// interval longer than a second and than ten median ones is a gap, in which nothing was seen: it
// counts as a median one.
//
// Calibrated score: with S(s) = P(smoothed >= s) in normal video,
//   x = -log10 S(s),   calibrated = x / (x + 3)
// so 0.5 is what one normal frame in a thousand reaches, 0.25 one in ten, 0.75 one in 10^9.
// Increasing, below 1. S is empirical (quantiles, x linear between them) up to the score u that one
// frame in twenty reaches; above it a generalised Pareto tail
//   S(s) = S(u) (1 + shape (s - u) / scale)^(-1 / shape),   for shape 0: S(u) exp(-(s - u) / scale)
// fitted by probability-weighted moments of the excesses y over u (a0 = mean, a1 = mean weighted
// with the share of larger ones): shape = 2 - a0 / (a0 - 2 a1), scale = 2 a0 a1 / (a0 - 2 a1), the
// shape kept in [0, 0.5] (0: scale = a0), so that the tail is never lighter than exponential. It is
// a ranking aid: frames follow each other closely and what lies beyond the observed scores is an
// extrapolation; thresholds do not use it.
// Source: Hosking and Wallis, "Parameter and quantile estimation for the generalized Pareto
// distribution", Technometrics 29, 1987. Deviation: the bounds of the shape.
//
// Thresholds: N(theta) counts events, runs of frames with smoothed >= theta, merged over
// merge_gap_s. theta_n is the lowest threshold from which upwards no threshold has more than n
// events (raised by half the way to the next score, at most 1e-4). A budget r is met by theta_n
// with n = sac_poisson_allowed(r T): were the true rate at theta_n above r, at most n events would
// have been seen with probability 1 - confidence at most. n does not depend on the scores, so
// nothing is lost by choosing among thresholds. It assumes that events come independently
// (Poisson) and that video to come is like this video; it cannot know of other weather.
// SAC_ERROR_ARGUMENT: fewer than SAC_CALIBRATION_MIN_FRAMES frames; SAC_ERROR_MEMORY.
#define SAC_CALIBRATION_MIN_FRAMES 200
SAC_NODISCARD sac_status sac_calibrator_finish(sac_calibration **calibration,
                                               const sac_calibrator *calibrator, sac_error *error);
void sac_calibrator_close(sac_calibrator **calibrator); // NULL-safe

// Using
// -------------------------------------------------------------------------------------------------

// Thread-safe, no allocation. NaN gives NaN.
float sac_calibration_score(const sac_calibration *calibration, float smoothed);

typedef struct sac_calibration_info {
    int64_t frames, sources;
    double hours, frame_rate; // of the normal video; frames per second, median
    double confidence, merge_gap_s;
    sac_smoothing_options smoothing;
    double lowest_per_hour; // the lowest budget that can be certified: sac_poisson_upper(0) / hours
    double budget_per_hour; // of the default threshold; 0: none was set
    char budget[32];        // "2/day", "" when none was set
    double tail_start, tail_shape, tail_scale;
} sac_calibration_info;
void sac_calibration_get_info(const sac_calibration *calibration, sac_calibration_info *info);

typedef struct sac_operating_point {
    float threshold;
    int64_t allowed;       // events in the normal video that the budget allows
    double bound_per_hour; // upper limit of the rate that is certified, <= the budget
} sac_operating_point;

// The threshold for a budget. SAC_ERROR_UNSUPPORTED: the normal video cannot certify so few false
// alarms; the message says what it can and how much video would be needed.
SAC_NODISCARD sac_status sac_calibration_threshold(sac_operating_point *point,
                                                   const sac_calibration *calibration,
                                                   const sac_far *budget, const char *name,
                                                   sac_error *error);
// Makes `budget` (written as `text`) the default budget. Errors as sac_calibration_threshold;
// SAC_ERROR_ARGUMENT: a text of 32 bytes or more.
SAC_NODISCARD sac_status sac_calibration_set_budget(sac_calibration *calibration,
                                                    const sac_far *budget, const char *text,
                                                    const char *name, sac_error *error);

// The model file's metadata "calibration"; new reference, NULL on lack of memory. The reverse
// checks everything: SAC_ERROR_FORMAT naming `name` and what was expected; SAC_ERROR_UNSUPPORTED: a
// newer format; SAC_ERROR_MEMORY.
json_t *sac_calibration_to_json(const sac_calibration *calibration);
SAC_NODISCARD sac_status sac_calibration_from_json(sac_calibration **calibration,
                                                   const json_t *json, const char *name,
                                                   sac_error *error);
void sac_calibration_close(sac_calibration **calibration); // NULL-safe

#endif
