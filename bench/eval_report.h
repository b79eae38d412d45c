// The accuracy report: several scorers under several conventions, on the same clips, in one table.
#ifndef SAC_BENCH_EVAL_REPORT_H
#define SAC_BENCH_EVAL_REPORT_H

#include <jansson.h>

#include "bench/scores.h"
#include "eval/frame_eval.h"
#include "saccade/status.h"
#include "video/dataset.h"

typedef struct sac_eval_report {
    const sac_dataset *dataset; // borrowed
    const sac_score_set *sets;  // borrowed
    int64_t set_count;
    sac_eval_options options[4];
    int option_count;
    sac_eval_result *results; // [set_count][option_count], owned
} sac_eval_report;

// Evaluates every set under every convention; options that differ otherwise than in smoothing are
// for the caller to avoid: the tables state the rest once. option_count 1..4. Dataset and sets stay
// borrowed.
// SAC_ERROR_NUMERIC names scorer, clip and frame; others as sac_eval_frames.
SAC_NODISCARD sac_status sac_eval_report_make(sac_eval_report *report, const sac_dataset *dataset,
                                              const sac_clip_selection *selection,
                                              const sac_score_set *sets, int64_t set_count,
                                              const sac_eval_options *options, int option_count,
                                              sac_error *error);
void sac_eval_report_close(sac_eval_report *report);

// Convention, per-clip table of each scorer that is not a baseline, summary of all (sac_free it).
char *sac_eval_report_markdown(const sac_eval_report *report);
// {dataset {name, fingerprint, ...}, scorers [{name, baseline, results [sac_eval_to_json ...]}]}
json_t *sac_eval_report_json(const sac_eval_report *report);

#endif
