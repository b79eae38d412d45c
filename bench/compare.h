// Two result files of student-bench side by side, figure by figure, as ratios in which more than 1
// means that the second file is better.
#ifndef SAC_BENCH_COMPARE_H
#define SAC_BENCH_COMPARE_H

#include <jansson.h>

#include "bench/figures.h"

// What is known of the machine and program a result file was made with; empty where it is not told.
typedef struct sac_result_origin {
    char cpu[128], instructions[128], backend[64], version[64];
    int cores; // 0: not told
} sac_result_origin;

typedef struct sac_compared_file {
    sac_figures figures;
    sac_result_origin origin;
} sac_compared_file;

// Reads a result file of any command, or the bytes of one that `name` stands for. SAC_ERROR_IO;
// SAC_ERROR_FORMAT: no JSON, no "figures", anything malformed in them or in "machine" (file and
// place named); SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_compared_read(sac_compared_file *file, const char *path,
                                           sac_error *error);
SAC_NODISCARD sac_status sac_compared_parse(sac_compared_file *file, const void *bytes, size_t size,
                                            const char *name, sac_error *error);
void sac_compared_close(sac_compared_file *file); // NULL-safe

typedef enum sac_difference {
    SAC_DIFFERENCE_CLEAR,   // the rounds of the two do not overlap
    SAC_DIFFERENCE_WITHIN,  // they do: it may be chance
    SAC_DIFFERENCE_UNKNOWN, // at least one has a single round
} sac_difference;

typedef struct sac_compared_row {
    const sac_figure *a, *b; // of the files, which must outlive the rows; NULL: missing there
    double ratio;            // b/a, or a/b where lower is better; NaN when one is missing or null
    sac_difference difference;
} sac_compared_row;

typedef struct sac_comparison {
    sac_compared_row *rows; // in the order of a, then what only b has; owned
    int64_t count;
    int64_t common;                // rows with a ratio
    int64_t missing;               // measured in a and missing or null in b
    double geometric_mean, lowest; // of the ratios; NaN when there are none
    const sac_compared_row *worst;
} sac_comparison;

// pattern  only figures whose name it matches (fnmatch: * ? [...]); NULL: all
// SAC_ERROR_FORMAT: a figure that both have in different units or with another sense of better;
// SAC_ERROR_ARGUMENT: nothing in common; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_comparison_make(sac_comparison *comparison, const sac_compared_file *a,
                                             const sac_compared_file *b, const char *pattern,
                                             sac_error *error);
void sac_comparison_close(sac_comparison *comparison); // NULL-safe

// Rows with a ratio below `least` (clear_only: and a clear difference).
int64_t sac_comparison_below(const sac_comparison *comparison, double least, bool clear_only);
// What differs between the machines, one line each ("cpu: X | Y"); empty when nothing does.
// sac_free it; NULL on lack of memory.
char *sac_comparison_warnings(const sac_result_origin *a, const sac_result_origin *b);
char *sac_comparison_markdown(const sac_comparison *comparison); // sac_free it
// Columns figure,unit,a,b,ratio,difference of that table; what is missing or was not measured is an
// empty field. sac_free it; NULL on lack of memory.
char *sac_comparison_csv(const sac_comparison *comparison);
json_t *sac_comparison_json(const sac_comparison *comparison); // new reference

#endif
