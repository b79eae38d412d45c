// The figures of a measurement as one flat list: what every result file of student-bench carries,
// what `compare` reads and what the tables and CSV files are made of. Knows nothing of how they
// were measured.
#ifndef SAC_BENCH_FIGURES_H
#define SAC_BENCH_FIGURES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "saccade/status.h"

#define SAC_FIGURES_MOST 4096

typedef struct sac_figure {
    char name[128]; // unique within a file: "student alone; 2 workers"
    char unit[24];  // "FPS"
    bool lower_is_better;
    double value;     // median of the rounds; NaN: could not be measured
    double low, high; // smallest and largest round; NaN: one measurement only
    int64_t rounds;   // >= 1
    char limit[96];   // what bounds it, "decode only"; empty: nothing known
    double of_limit;  // value / limit in the unit of both, NaN without a limit
} sac_figure;

typedef struct sac_figures {
    sac_figure *items;
    int64_t count, capacity;
} sac_figures;

// A figure without a limit from rounds f64 [count], which it sorts; count 0 gives value NaN.
// Bytes of `name` and `unit` that tables and CSV give a meaning (comma, bar, quotation mark,
// control characters) become '_'.
sac_figure sac_figure_of_rounds(const char *name, const char *unit, bool lower_is_better,
                                double *rounds, int64_t count);
sac_figure sac_figure_of_value(const char *name, const char *unit, bool lower_is_better,
                               double value);
void sac_figure_set_limit(sac_figure *figure, const char *limit, double of_limit);

// SAC_ERROR_ARGUMENT: a second figure of that name, or too many; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_figures_add(sac_figures *figures, const sac_figure *figure,
                                         sac_error *error);
const sac_figure *sac_figures_find(const sac_figures *figures, const char *name); // NULL: none
void sac_figures_close(sac_figures *figures);                                     // NULL-safe

// [{"name", "unit", "better": "higher" | "lower", "value", "low", "high", "rounds", "limit",
// "of_limit"}]; new reference, NULL on lack of memory.
json_t *sac_figures_to_json(const sac_figures *figures);
// The member "figures" of a result file, checked in everything: names present, unique and free of
// control characters, value within low and high, finite or null. SAC_ERROR_FORMAT names `file`,
// the place and what was expected. *figures is empty after a failure.
SAC_NODISCARD sac_status sac_figures_from_json(sac_figures *figures, const json_t *result,
                                               const char *file, sac_error *error);

// ",VALUE" for a line of CSV; what is not finite is an empty field.
void sac_figures_csv_field(FILE *out, double value);
// Columns name,unit,better,value,low,high,rounds,limit,of_limit; what was not measured is an empty
// field. sac_free it; NULL on lack of memory.
char *sac_figures_csv(const sac_figures *figures);
// A table with one line a figure; sac_free it.
char *sac_figures_markdown(const sac_figures *figures);

#endif
