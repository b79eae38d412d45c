// Speed of learning: samples per second and arithmetic rate of one optimiser step of a teacher and
// of a student, beside the machine's matrix-multiplication rate measured in the same rounds.
#ifndef SAC_BENCH_TRAINING_H
#define SAC_BENCH_TRAINING_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/figures.h"
#include "bench/machine.h"
#include "saccade/status.h"

typedef struct sac_training_options {
    int threads;           // 0: all cores
    int rounds;            // 1..100, 5: each measures matmul, teacher step, student step in turn
    double seconds;        // of each measurement, 2
    int64_t teacher_batch; // 64
    int64_t student_batch; // 32
    int backbone;          // of the SSMTL teacher, sac_ssmtl_backbone_at
    const char *arch;      // of the student
    bool (*stop)(void);    // polled between measurements; may be NULL
} sac_training_options;
sac_training_options sac_training_default_options(void);

typedef struct sac_training_row {
    char name[64]; // "teacher ssmtl shallow-narrow 64x64", "student tiny-m 240x160"
    int64_t batch, parameters, macs; // macs: of one sample's forward pass
    double samples_s;                // median of the rounds
    double
        gflops; // 2 * macs * 3 passes (forward, gradients of data and of weights) * samples_s / 1e9
    double of_matmul; // median over rounds of gflops / matmul rate of the same round
} sac_training_row;

typedef struct sac_training_result {
    sac_machine machine;
    int threads, rounds;
    double matmul_gflops; // median
    sac_training_row rows[2];
    double samples_rounds[2][100]; // [row][rounds]
} sac_training_result;

// Steps are forward, loss gradients, backward and Adam on random data. SAC_ERROR_ARGUMENT,
// SAC_ERROR_MEMORY, SAC_ERROR_INTERRUPTED, errors of nn/.
SAC_NODISCARD sac_status sac_training_measure(sac_training_result *result,
                                              const sac_training_options *options,
                                              sac_error *error);
// Samples per second of both steps with the matmul rate as limit. SAC_ERROR_MEMORY,
// SAC_ERROR_ARGUMENT (see sac_figures_add).
SAC_NODISCARD sac_status sac_training_figures(sac_figures *figures,
                                              const sac_training_result *result, sac_error *error);
char *sac_training_to_markdown(const sac_training_result *result); // sac_free it
json_t *sac_training_to_json(const sac_training_result *result);   // new reference

#endif
