// Where the time of a student goes that scores a stream: each step of what the engine runs for one
// frame (student/engine.h: plans, kernels and memory are the runtime's) with its
// multiply-accumulates, its time and its share of the machine's matrix multiplication rate,
// measured in the same run. Frames are random pixels: speed does not depend on what they show.
#ifndef SAC_BENCH_LAYERS_H
#define SAC_BENCH_LAYERS_H

#include <jansson.h>

#include "bench/figures.h"
#include "bench/machine.h"
#include "nn/infer.h"
#include "student/model.h"

typedef struct sac_layers_options {
    int threads;    // 1..1024
    int repeats;    // 1..10000: medians over so many runs
    bool int8;      // with the model's scales, or from random frames where it has none; else f32
    bool whole;     // the network of three frames at once, not stem and body apart
    double seconds; // of the matmul measurement
} sac_layers_options;

typedef struct sac_layers_result {
    sac_machine machine;
    sac_profile_step *steps;
    int count;
    double total_us; // of a frame, median: the steps, and the copies around them if there are any
    int64_t total_macs;
    double matmul_gops; // of the precision: two operations each multiply-accumulate
    int threads;
    bool int8, split; // split: the steps are those of one stem and of the body
} sac_layers_result;

// SAC_ERROR_ARGUMENT: an option out of range; SAC_ERROR_UNSUPPORTED: int8 of a network that has
// nothing to quantise; errors of planning and running. The caller closes the result.
SAC_NODISCARD sac_status sac_layers_measure(sac_layers_result *result, const sac_model *model,
                                            const sac_layers_options *options, sac_error *error);
void sac_layers_close(sac_layers_result *result); // NULL-safe members
// Share of the matmul rate of `macs` in `us`.
double sac_layers_share(const sac_layers_result *result, int64_t macs, double us);
// What ran for a frame, for people; static text.
const char *sac_layers_run(const sac_layers_result *result);
// Frames per second, and time of each step, with the matmul rate as limit.
SAC_NODISCARD sac_status sac_layers_figures(sac_figures *figures, const sac_layers_result *result,
                                            sac_error *error);
char *sac_layers_markdown(const sac_layers_result *result); // sac_free it; NULL: lack of memory
json_t *sac_layers_json(const sac_layers_result *result);   // new reference or NULL
#endif
