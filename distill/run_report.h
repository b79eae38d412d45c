// The page of a distillation: curves of metrics.csv, what each kind of pseudo-anomaly gave, and
// pictures of the worst and best held-back frames. One file without scripts or external resources.
#ifndef SAC_DISTILL_RUN_REPORT_H
#define SAC_DISTILL_RUN_REPORT_H

#include <jansson.h>

#include "distill/samples.h"
#include "distill/trainer.h"
#include "student/model.h"

typedef struct sac_run_report {
    const char *folder; // run; its metrics.csv, and those of pretrain/ and quantise/, are read
    const char *title;  // any bytes
    const sac_samples *samples;
    const sac_distill_teacher *teachers; // [samples->teacher_count], for their names
    const sac_trainer_options *trainer;  // how frames are measured
    const sac_model *model;              // the student that pictures show; NULL: no pictures
    const json_t *settings;              // tables of keys and values; NULL: left out
    const json_t *result;
    bool interrupted; // says that training is not over
} sac_run_report;

// Writes the page atomically. Without a metrics.csv (no epoch is finished) it has no curves.
// SAC_ERROR_IO; SAC_ERROR_FORMAT: a damaged metrics.csv; SAC_ERROR_MEMORY; errors of the plan that
// runs the model.
SAC_NODISCARD sac_status sac_run_report_write(const char *path, const sac_run_report *report,
                                              sac_error *error);

#endif
