// How many cameras one machine holds: paced streams spread over workers of one thread, the students
// of a worker on one set of plans; found by search over the number of streams and verified in a
// longer run. Or how a given number of streams runs, and in how much memory.
#ifndef SAC_BENCH_CAMERAS_H
#define SAC_BENCH_CAMERAS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/timing.h"
#include "saccade/status.h"

typedef struct sac_cameras_options {
    const char *model;
    sac_precision precision;
    sac_timing_source source;
    bool decoding;      // true: every stream decodes the source itself; false: the streams get
                        // decoded frames of the source's size from memory
    int workers;        // 1..SAC_TIMING_WORKERS
    double frame_rate;  // of each camera, 25
    double late_share;  // a number of streams holds with at most this share of late frames, 0.01
    int most;           // streams tried at most, or that are run, 1..4096
    double search_s;    // length of a trial while searching, 2
    double verify_s;    // and of the verification, 10
    sac_logger logger;  // says each trial
    bool (*stop)(void); // polled; NULL: never
} sac_cameras_options;
sac_cameras_options sac_cameras_default_options(void);

typedef struct sac_cameras_trial {
    int streams;
    int64_t frames, late; // a trial that cannot hold any more is cut short
    bool held, verification;
    double fps;                      // scored frames a second of each stream, at most frame_rate
    double p50_ms, p99_ms, worst_ms; // from a frame's arrival to its score
} sac_cameras_trial;

#define SAC_CAMERAS_TRIALS 64
typedef struct sac_cameras_result {
    int streams;                                  // held and verified; 0: not even one
    bool at_limit;                                // `most` held: there may be more
    sac_cameras_trial trials[SAC_CAMERAS_TRIALS]; // in order; the last one is the verification
    int trial_count;
    double peak_memory_bytes; // of the process when it ended
} sac_cameras_result;

// Frame k of stream s of N arrives at (k + s / N) / frame_rate; its push and the pull that it makes
// possible belong to one worker, s mod workers, in order of arrival. The frame is late when that is
// done more than 1 / frame_rate after its arrival. Opening students and files is not part of a
// trial; a source that ends within one is opened again, which is.
// SAC_ERROR_ARGUMENT; SAC_ERROR_INTERRUPTED; what the student and the video source return;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_cameras_search(sac_cameras_result *result,
                                            const sac_cameras_options *options, sac_error *error);
// The same streams once: `most` of them for verify_s, to the end however many frames are late. The
// only trial of the result is this run. Errors as above.
SAC_NODISCARD sac_status sac_cameras_run(sac_cameras_result *result,
                                         const sac_cameras_options *options, sac_error *error);
json_t *sac_cameras_json(const sac_cameras_result *result, const sac_cameras_options *options);

#endif
