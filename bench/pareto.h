// Accuracy against speed of student models, as table, figures and scatter plot, with published
// points marked as such.
#ifndef SAC_BENCH_PARETO_H
#define SAC_BENCH_PARETO_H

#include <jansson.h>

#include "bench/assess.h"
#include "bench/figures.h"

typedef struct sac_pareto_point {
    const char *path; // of the model, borrowed
    char *name;       // file name without folder and ending, unique; " int8" behind it; owned
    sac_precision precision;
    sac_model_facts facts;
    sac_accuracy accuracy;
    sac_model_speed speed;
    double fps, file_fps; // medians; file_fps NaN when not measured
    double of_decode;     // median over rounds of file / decode only; NaN
    bool front;           // no other model here is both faster and more accurate
} sac_pareto_point;

typedef struct sac_pareto {
    sac_pareto_point *points; // [count], owned
    int64_t count;
    int rounds, threads, smoothing; // smoothing: whose micro AUC counts
    double decode_fps;              // median; NaN when not measured
    bool published;                 // show the published points
} sac_pareto;

// An empty set of `count` models, a model that holds scales as two points, f32 and int8: facts are
// read, names made. Errors of sac_model_facts_read;
// SAC_ERROR_ARGUMENT: a model given twice.
SAC_NODISCARD sac_status sac_pareto_open(sac_pareto *pareto, const char *const *models,
                                         int64_t count, sac_error *error);
// Speeds of all points in the same rounds; fills everything but accuracy and front. Of `options`
// models, precisions and count are its own business. Errors of sac_model_speeds_measure.
SAC_NODISCARD sac_status sac_pareto_speeds(sac_pareto *pareto,
                                           const sac_model_speed_options *options,
                                           sac_error *error);
// After accuracy and speeds: which models are on the front.
void sac_pareto_front(sac_pareto *pareto);
void sac_pareto_close(sac_pareto *pareto); // NULL-safe

char *sac_pareto_markdown(const sac_pareto *pareto, const char *dataset); // sac_free it
char *sac_pareto_csv(const sac_pareto *pareto);                           // sac_free it
json_t *sac_pareto_json(const sac_pareto *pareto, const char *dataset);   // new reference
SAC_NODISCARD sac_status sac_pareto_figures(sac_figures *figures, const sac_pareto *pareto,
                                            sac_error *error);
// SVG or PNG by the ending. Errors of sac_plot_scatter.
SAC_NODISCARD sac_status sac_pareto_plot(const sac_pareto *pareto, const char *dataset,
                                         const char *path, sac_error *error);

#endif
