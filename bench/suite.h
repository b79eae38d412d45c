// The ablation suite: for every row and seed `distill` as a child, then the student's accuracy;
// finished runs are kept and reused. The tables are in suite_report.h.
#ifndef SAC_BENCH_SUITE_H
#define SAC_BENCH_SUITE_H

#include <jansson.h>

#include "bench/assess.h"
#include "bench/suite_rows.h"
#include "saccade/status.h"
#include "teachers/clip_truth.h"

typedef struct sac_suite_options {
    const char *dataset, *output; // data set; folder for runs/ and the results
    const char *distill;          // path of the program
    const char *const *teachers;  // [teacher_count] "NAME=MAPS[:WEIGHT]" as for distill
    int64_t teacher_count;
    const sac_suite_rows *rows;
    const char *const *more; // [more_count] arguments of distill for every row, before the row's
    int64_t more_count;
    int64_t seed;         // of the first run of a row; the next ones count up
    int threads;          // 0: all cores
    const char *max_time; // of each training, as for distill; NULL: none
    const char *clips;    // evaluated test clips, as for sac_clip_select; NULL: all
    sac_truth_source truth;
    bool resume;
    sac_logger logger;
    // Called about five times a second: run number from 0, runs in all, a note on what is going
    // on; nonzero: what is complete is kept and the suite stops. NULL: silent.
    int (*poll)(void *user, int64_t run, int64_t runs, const char *note);
    void *user;
} sac_suite_options;

typedef enum sac_suite_state {
    SAC_SUITE_ABSENT,
    SAC_SUITE_INTERRUPTED, // begun and not finished
    SAC_SUITE_FINISHED,
    SAC_SUITE_FAILED, // in this call
} sac_suite_state;
const char *sac_suite_state_name(sac_suite_state state);

typedef struct sac_suite_run {
    int64_t row, seed;
    char *folder;                 // OUT/runs/<row>-s<seed>-<hash of the settings>
    char *student, *student_int8; // the models in it; the second one of `distill --quantise`
    char **arguments;             // of distill, argv [count + 1] with NULL at the end
    int64_t argument_count;
    json_t *settings; // what must be equal for a finished run to be reused
    sac_suite_state state;
    bool assessed, assessed_int8;
    sac_accuracy accuracy, accuracy_int8; // of the first in f32, of the second in int8
    sac_model_facts facts;
} sac_suite_run;

typedef struct sac_suite {
    const sac_suite_options *options; // borrowed
    sac_dataset *dataset;
    sac_clip_selection selection;
    sac_region_truth truth;
    sac_suite_run *runs; // row by row
    int64_t count;
    int64_t failed;
} sac_suite;

// Plans every run and sees what is there already. Nothing is written.
// SAC_ERROR_ARGUMENT: a teacher argument or a row's teacher that does not fit; errors of the data
// set and of unreadable map stores.
SAC_NODISCARD sac_status sac_suite_open(sac_suite *suite, const sac_suite_options *options,
                                        sac_error *error);
// Whether distill would take the arguments of every row that is not finished yet (`--check`), so
// that no mistake waits for the trainings of the rows before it. Nothing is written.
// SAC_ERROR_ARGUMENT: an interrupted run without `resume`, or arguments that distill refuses (names
// file and row, with its message); SAC_ERROR_IO: it fails for another reason or cannot be started;
// SAC_ERROR_INTERRUPTED; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_suite_check(const sac_suite *suite, sac_error *error);
// Trains what is missing and assesses everything. A run that fails is told to the logger with the
// last line of its log, counted, and left out.
// SAC_ERROR_ARGUMENT: what distill refuses in spite of sac_suite_check (file, row and its message);
// SAC_ERROR_INTERRUPTED: assessed so far; go on with `resume`; SAC_ERROR_IO: the program cannot be
// started; errors of the evaluation.
SAC_NODISCARD sac_status sac_suite_run_all(sac_suite *suite, sac_error *error);
void sac_suite_close(sac_suite *suite); // NULL-safe

#endif
