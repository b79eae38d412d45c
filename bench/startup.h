// What a person waits for who starts `student-run`: from the start of the process to the first
// score, and where that time goes. Every round starts the program anew.
#ifndef SAC_BENCH_STARTUP_H
#define SAC_BENCH_STARTUP_H

#include <stdbool.h>

#include <jansson.h>

#include "bench/figures.h"
#include "saccade/status.h"
#include "saccade/student.h"

#define SAC_STARTUP_ROUNDS 100

typedef struct sac_startup_options {
    const char *program;        // path of student-run
    const char *model, *source; // as student-run takes them
    const char *format;         // FFmpeg input format of the source, NULL: probed
    sac_precision precision;
    int threads;        // of student-run, 0: one per core
    int rounds;         // 1..SAC_STARTUP_ROUNDS, 5; one more, before them, warms the file cache
    bool (*stop)(void); // polled; NULL: never
} sac_startup_options;
sac_startup_options sac_startup_default_options(void);

// In order of time. PROGRAM: until its main begins, libraries above all. MODEL: reading and
// checking the file. PLAN: planning the network. FRAMES: everything else up to the first score,
// opening the source and decoding its first frames above all. TOTAL: from the start of the process
// to the first row on its standard output.
enum {
    SAC_STARTUP_PROGRAM,
    SAC_STARTUP_MODEL,
    SAC_STARTUP_PLAN,
    SAC_STARTUP_FRAMES,
    SAC_STARTUP_TOTAL,
    SAC_STARTUP_PARTS
};

typedef struct sac_startup_result {
    double ms[SAC_STARTUP_PARTS][SAC_STARTUP_ROUNDS];
    int rounds;
} sac_startup_result;

// SAC_ERROR_ARGUMENT; SAC_ERROR_IO: the program cannot be started; SAC_ERROR_BACKEND: it fails;
// SAC_ERROR_FORMAT: it prints something else; SAC_ERROR_INTERRUPTED; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_startup_measure(sac_startup_result *result,
                                             const sac_startup_options *options, sac_error *error);
SAC_NODISCARD sac_status sac_startup_figures(sac_figures *figures, const sac_startup_result *result,
                                             sac_error *error);
json_t *sac_startup_json(const sac_startup_result *result);

#endif
