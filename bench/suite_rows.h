// The rows of the ablation table: what each asks of `distill`. Read from JSON or the built-in ones;
// nothing is run here.
#ifndef SAC_BENCH_SUITE_ROWS_H
#define SAC_BENCH_SUITE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

#define SAC_SUITE_ROWS_MOST      200
#define SAC_SUITE_SEEDS_MOST     100
#define SAC_SUITE_ARGUMENTS_MOST 64

typedef struct sac_suite_row {
    char *name;      // unique, for tables
    char *group;     // colour and order in the picture: "main"
    int64_t seeds;   // runs, each with another seed
    char **teachers; // [teacher_count] names of the command line's teachers; 0: all
    int64_t teacher_count;
    char **arguments; // [argument_count] of distill: "--pseudo=0", "--no-x"
    int64_t argument_count;
} sac_suite_row;

typedef struct sac_suite_rows {
    char *source; // the file they are from, for messages
    sac_suite_row *items;
    int64_t count;
} sac_suite_rows;
void sac_suite_rows_close(sac_suite_rows *rows); // NULL-safe

// Arguments of distill from elsewhere: SAC_ERROR_ARGUMENT names the first that the suite sets
// itself (`--seed`, `-o`, abbreviations ...). Values of options stand between them unread.
SAC_NODISCARD sac_status sac_suite_arguments_check(const char *const *arguments, int64_t count,
                                                   sac_error *error);

// {"rows": [{"name": "no altered clips", "group": "altered clips", "seeds": 3,
//            "teachers": ["ssmtl"], "arguments": {"pseudo": 0, "quantise": true}}],
//  "arguments": {of every row}}
// Only "name" is needed. Keys of "arguments" are long options of distill without dashes; values
// are texts, numbers, booleans (false: --no-KEY) or arrays of texts (the option repeated); those of
// a row win. Options that the suite itself sets (dataset, teacher, output, seed, threads, resume,
// max-time, ...) are refused.
// SAC_ERROR_IO, SAC_ERROR_FORMAT (names file, row, key and what was expected), SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_suite_rows_read(sac_suite_rows *rows, const char *path,
                                             sac_error *error);
SAC_NODISCARD sac_status sac_suite_rows_parse(sac_suite_rows *rows, const void *bytes, size_t size,
                                              const char *name, sac_error *error);
// The built-in table for these teachers: the defaults, each teacher alone when there are several,
// every loss term, altered clips and their kinds, pre-training, fine-tuning for int8, every
// architecture.
//   seeds  of the main rows; the others have one
SAC_NODISCARD sac_status sac_suite_rows_default(sac_suite_rows *rows, const char *const *teachers,
                                                int64_t teacher_count, int64_t seeds,
                                                sac_error *error);
// The rows as such a JSON file (sac_free it), for people to change; NULL on lack of memory.
char *sac_suite_rows_json(const sac_suite_rows *rows);

#endif
