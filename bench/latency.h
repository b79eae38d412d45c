// Latency of a single stream: how long after a frame its score is there, frame after frame without
// waiting. What the frames that must follow (the look-ahead) cost depends on the camera, not on
// this program, and is reported beside it.
#ifndef SAC_BENCH_LATENCY_H
#define SAC_BENCH_LATENCY_H

#include <jansson.h>

#include "bench/figures.h"
#include "bench/timing.h"
#include "saccade/status.h"

#define SAC_LATENCY_ROUNDS 100

typedef struct sac_latency_options {
    const char *model;
    sac_precision precision;
    sac_timing_source source;
    int threads;    // 0: all cores
    int rounds;     // 1..SAC_LATENCY_ROUNDS, 5
    double seconds; // of a measurement, (0, 600], 2
    sac_logger logger;
    int (*progress)(void *user, int64_t done, int64_t total); // nonzero stops; NULL: silent
    void *user;
} sac_latency_options;
sac_latency_options sac_latency_default_options(void);

enum { SAC_LATENCY_P50, SAC_LATENCY_P90, SAC_LATENCY_P99, SAC_LATENCY_P999, SAC_LATENCY_QUANTILES };

// One way for frames to arrive.
typedef struct sac_latency_way {
    double ms[SAC_LATENCY_QUANTILES]; // over all rounds; P999 is NaN below 1000 frames
    double rounds[SAC_LATENCY_QUANTILES][SAC_LATENCY_ROUNDS]; // the same of each round; P999 not
    double worst_ms;
    int64_t frames;
} sac_latency_way;

typedef struct sac_latency_result {
    sac_latency_way memory; // decoded frame in memory: preprocess, infer, score
    sac_latency_way file;   // decode first
    int threads, rounds, lookahead;
} sac_latency_result;

// Interleaved rounds of both. SAC_ERROR_ARGUMENT; SAC_ERROR_INTERRUPTED; what the student and the
// video source return; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_latency_measure(sac_latency_result *result,
                                             const sac_latency_options *options, sac_error *error);
SAC_NODISCARD sac_status sac_latency_figures(sac_figures *figures, const sac_latency_result *result,
                                             sac_error *error);
json_t *sac_latency_json(const sac_latency_result *result);

#endif
