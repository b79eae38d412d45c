// A day's frames through the runtime, as fast as they go: does memory stay flat? Frames come
// decoded from memory, a pool of workers scores them, every result is taken and looked at. Decoders
// and output files are not in it.
#ifndef SAC_BENCH_ENDURANCE_H
#define SAC_BENCH_ENDURANCE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/figures.h"
#include "bench/timing.h"
#include "saccade/status.h"

typedef struct sac_endurance_options {
    const char *model;
    sac_precision precision;
    sac_timing_source source; // its first frames, again and again
    int workers;              // 0..SAC_TIMING_WORKERS, 0: one per core
    double frame_rate;        // of presentation times, 25
    int64_t frames;           // in all, at least 100
    double growth_bytes;      // that resident memory may grow from the warm-up to the end, 2 MiB
    sac_logger logger;
    int (*progress)(void *user, int64_t done, int64_t total); // nonzero stops; NULL: silent
    void *user;
} sac_endurance_options;
sac_endurance_options sac_endurance_default_options(void);

typedef struct sac_endurance_sample {
    int64_t frames;         // scored until then
    double resident_bytes;  // of the process
    double allocated_bytes; // by malloc and its relatives; NaN where the C library does not tell
} sac_endurance_sample;

#define SAC_ENDURANCE_SAMPLES 25
typedef struct sac_endurance_result {
    int64_t frames;                                      // all scored, in order, each score finite
    double fps;                                          // wall clock
    sac_endurance_sample samples[SAC_ENDURANCE_SAMPLES]; // at even intervals; [0] after a tenth or
                                                         // 20000 frames, whichever is less
    double resident_growth, allocated_growth;            // bytes from the first to the last sample
    bool flat;                                           // resident_growth <= growth_bytes
} sac_endurance_result;

// SAC_ERROR_ARGUMENT; SAC_ERROR_INTERRUPTED; SAC_ERROR_BACKEND: a result is missing; what the
// student and the video source return; SAC_ERROR_MEMORY. That memory grows is no error here.
SAC_NODISCARD sac_status sac_endurance_measure(sac_endurance_result *result,
                                               const sac_endurance_options *options,
                                               sac_error *error);
SAC_NODISCARD sac_status sac_endurance_figures(sac_figures *figures,
                                               const sac_endurance_result *result,
                                               sac_error *error);
json_t *sac_endurance_json(const sac_endurance_result *result);

#endif
