// The ablation table: rows of a suite summed up over their seeds, as Markdown, CSV, JSON, figures
// and a picture.
#ifndef SAC_BENCH_SUITE_REPORT_H
#define SAC_BENCH_SUITE_REPORT_H

#include <jansson.h>

#include "bench/figures.h"
#include "bench/suite.h"

// A quantity over the seeds of a row.
typedef struct sac_suite_stat {
    double mean, low, high;
    double deviation; // sample standard deviation (n - 1); NaN for one run
    int64_t count;    // runs that have it; 0: mean, low and high are NaN
} sac_suite_stat;

typedef struct sac_suite_line {
    const sac_suite_row *row;
    sac_suite_stat micro_int8[SAC_ASSESS_SMOOTHINGS]; // of the int8 students
    sac_suite_stat micro[SAC_ASSESS_SMOOTHINGS], macro[SAC_ASSESS_SMOOTHINGS], rbdc, tbdc, minutes;
    int64_t runs, finished, failed;
    sac_model_facts facts;              // of the first finished run
    const char *student, *student_int8; // of the first finished run, NULL: none
    double fps, fps_int8;               // alone, median of the rounds; NaN: not measured
    double fps_rounds[SAC_ASSESS_ROUNDS], fps_int8_rounds[SAC_ASSESS_ROUNDS];
    int rounds;
} sac_suite_line;

typedef struct sac_suite_table {
    const sac_suite *suite; // borrowed
    sac_suite_line *lines;  // [rows], owned
    int64_t count;
    int threads; // of the speeds
} sac_suite_table;

// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_suite_table_make(sac_suite_table *table, const sac_suite *suite,
                                              sac_error *error);
// Speed of each line's first student, all of them in the same rounds, from the first test clip.
// Errors of sac_model_speeds_measure.
SAC_NODISCARD sac_status sac_suite_table_speeds(
    sac_suite_table *table, int threads, int rounds, double seconds,
    int (*progress)(void *user, int64_t done, int64_t total), void *user, sac_error *error);
void sac_suite_table_close(sac_suite_table *table); // NULL-safe

char *sac_suite_table_markdown(const sac_suite_table *table); // sac_free it
char *sac_suite_table_csv(const sac_suite_table *table);      // sac_free it
json_t *sac_suite_table_json(const sac_suite_table *table);   // {"rows": [...]}; new reference
// Per row: micro AUC with light smoothing in percent, training minutes and FPS.
SAC_NODISCARD sac_status sac_suite_table_figures(sac_figures *figures, const sac_suite_table *table,
                                                 sac_error *error);
// Bars of the micro AUC with light smoothing, with the spread over the seeds. SAC_ERROR_ARGUMENT:
// no row is finished.
SAC_NODISCARD sac_status sac_suite_table_plot(const sac_suite_table *table, const char *path,
                                              sac_error *error);

#endif
