// Evaluation of a whole test set at frame level: micro AUC (all frames of all clips in one ROC), macro AUC (mean of the clips' AUCs), per-clip table, and what a
// constant scorer gets under the same conventions.
#ifndef SAC_EVAL_FRAME_EVAL_H
#define SAC_EVAL_FRAME_EVAL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "saccade/metrics.h"
#include "saccade/status.h"

typedef struct sac_eval_clip {
    const char *name;
    const float *scores;   // [frames] raw
    const uint8_t *labels; // [frames]
    int64_t frames;
} sac_eval_clip;

typedef struct sac_eval_options {
    sac_smoothing_options smoothing;
    bool video_minmax;       // per-video min-max normalisation before the micro ROC (a test-time peek: off by default)
    bool count_one_class;    // macro: clips with one class count as 1 (true) or are skipped (false)
} sac_eval_options;

typedef struct sac_eval_row {
    const char *name;
    int64_t frames, abnormal;
    double auc; // NaN: one class only
} sac_eval_row;

typedef struct sac_eval_result {
    double micro, macro;                 // in [0,1]; NaN when undefined
    double constant_micro, constant_macro; // a constant scorer under the same conventions
    int64_t clips, one_class_clips, frames, abnormal;
    sac_eval_row *rows; // [clips], owned
} sac_eval_result;

SAC_NODISCARD sac_status sac_eval_frames(sac_eval_result *result, const sac_eval_clip *clips, int64_t count, const sac_eval_options *options, sac_error *error);
void sac_eval_result_close(sac_eval_result *result);
// Markdown per-clip table (with the convention in its caption) and the same as JSON (new reference).
char *sac_eval_to_markdown(const sac_eval_result *result, const sac_eval_options *options); // sac_free it
json_t *sac_eval_to_json(const sac_eval_result *result, const sac_eval_options *options);
// "causal smoothing (sigma 4, 13 taps), no per-video min-max, one-class clips skipped"
char *sac_eval_convention(const sac_eval_options *options); // sac_free it

#endif
