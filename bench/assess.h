// What a student is worth: its accuracy on a data set under the usual conventions, its size, and
// its speed measured in rounds with the other students'. Serves the accuracy-speed report and the
// ablation table.
#ifndef SAC_BENCH_ASSESS_H
#define SAC_BENCH_ASSESS_H

#include <jansson.h>

#include "bench/region_truth.h"
#include "bench/scores.h"
#include "bench/timing.h"
#include "saccade/status.h"

// The smoothings of sac_smoothing_name, in its order: none, causal, light, paper.
enum { SAC_ASSESS_SMOOTHINGS = 4 };

// AUC in [0,1], NaN where it is not defined. Without per-video min-max; clips of one class are
// skipped in the macro AUC.
typedef struct sac_accuracy {
    double micro[SAC_ASSESS_SMOOTHINGS], macro[SAC_ASSESS_SMOOTHINGS];
    double rbdc, tbdc; // NaN without ground truth of regions
} sac_accuracy;

typedef struct sac_model_facts {
    char arch[64];
    int width, height;
    bool int8;                // holds scales, so that it runs in int8 too
    int64_t parameters, macs; // macs: of the whole network
    int64_t macs_per_frame;   // as run in a stream: a stem per frame counts once
    int64_t file_bytes;
    double training_minutes; // as the model file says; NaN: it does not
} sac_model_facts;

// Reads the model and forgets it. Errors of sac_model_load.
SAC_NODISCARD sac_status sac_model_facts_read(sac_model_facts *facts, const char *path,
                                              sac_error *error);
// Runs the model over the selection. `truth` NULL or without clips: no RBDC and TBDC. Errors of
// sac_score_set_model and sac_eval_report_make.
SAC_NODISCARD sac_status sac_accuracy_measure(
    sac_accuracy *accuracy, const char *path, sac_precision precision, int threads,
    const sac_dataset *dataset, const sac_clip_selection *selection, const sac_region_truth *truth,
    const sac_logger *logger, const sac_score_progress *progress, sac_error *error);
// {"micro": {"none": x, ...}, "macro": {...}, "rbdc", "tbdc"}, null for NaN; the reverse checks
// ranges: SAC_ERROR_FORMAT naming `file`.
json_t *sac_accuracy_json(const sac_accuracy *accuracy);
SAC_NODISCARD sac_status sac_accuracy_from_json(sac_accuracy *accuracy, const json_t *json,
                                                const char *file, sac_error *error);

#define SAC_ASSESS_ROUNDS 100
// Frames per second of one model, the rounds in order.
typedef struct sac_model_speed {
    double alone[SAC_ASSESS_ROUNDS]; // prepared planes to scores
    double file[SAC_ASSESS_ROUNDS];  // one file to scores
} sac_model_speed;

typedef struct sac_model_speed_options {
    const char *const *models;       // [count] paths
    const sac_precision *precisions; // [count]; NULL: AUTO for all
    int64_t count;
    sac_timing_source source;
    int threads;    // 1..SAC_TIMING_WORKERS
    int rounds;     // 1..SAC_ASSESS_ROUNDS
    double seconds; // of a measurement
    bool file;      // measure file to score and decoding too
    sac_logger logger;
    int (*progress)(void *user, int64_t done, int64_t total); // nonzero stops; NULL: silent
    void *user;
} sac_model_speed_options;

// Every model in every round, so that their ratios can be trusted: alone as streams, one a thread;
// file to score in sequence for one thread, pipelined (decoding on a thread of its own, threads - 1
// for the student) for more.
//   speeds  [count]
//   decode  f64 [rounds] receives the decode-only rate of each round; NULL or not `file`: untouched
// SAC_ERROR_ARGUMENT; SAC_ERROR_INTERRUPTED; what students and source return; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_model_speeds_measure(sac_model_speed *speeds, double *decode,
                                                  const sac_model_speed_options *options,
                                                  sac_error *error);

#endif
