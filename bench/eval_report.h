// The accuracy report: several scorers under several conventions, on the same clips, in one table,
// of frames (AUC) and, where ground truth says where things are, of regions (RBDC, TBDC).
#ifndef SAC_BENCH_EVAL_REPORT_H
#define SAC_BENCH_EVAL_REPORT_H

#include <jansson.h>

#include "bench/region_truth.h"
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
    sac_eval_result *results;      // [set_count][option_count], owned
    const sac_region_truth *truth; // borrowed; NULL: no regions
    sac_region_result *regions;    // [set_count], owned; NULL without truth; of sets without
                                   // regions all 0
} sac_eval_report;

// Evaluates every set under every convention; options that differ otherwise than in smoothing are
// for the caller to avoid: the tables state the rest once. option_count 1..4. Dataset, truth (NULL
// or without clips: no regions) and sets stay borrowed.
// SAC_ERROR_NUMERIC names scorer, clip and frame; others as sac_eval_frames.
SAC_NODISCARD sac_status sac_eval_report_make(sac_eval_report *report, const sac_dataset *dataset,
                                              const sac_clip_selection *selection,
                                              const sac_region_truth *truth,
                                              const sac_score_set *sets, int64_t set_count,
                                              const sac_eval_options *options, int option_count,
                                              sac_error *error);
void sac_eval_report_close(sac_eval_report *report);

// Convention; per-clip table of each scorer that is no baseline and no part; their summary, one
// line a convention; and, where there are regions, parts or training times, a table with one line
// for each scorer (sac_free it).
char *sac_eval_report_markdown(const sac_eval_report *report);
// One line a scorer and convention: scorer,baseline,part,smoothing,sigma,taps,micro,macro,
// constant_micro,constant_macro,rbdc,tbdc,region_kind,training_minutes,objects_per_s; areas in
// [0,1], what there is not is empty (sac_free it).
char *sac_eval_report_csv(const sac_eval_report *report);
// {dataset {name, fingerprint, ...}, truth {origin, regions, tracks} or null, scorers [{name,
// baseline, part, results [sac_eval_to_json ...], region_kind, regions sac_region_to_json or null,
// training_minutes, objects_per_s}]}
json_t *sac_eval_report_json(const sac_eval_report *report);

#endif
