// Evaluation of a whole test set at frame level: micro AUC (all frames of all clips in one ROC),
// macro AUC (mean of the clips' AUCs), per-clip table, and what a constant scorer gets under the
// same conventions. Does not read files and does not choose anything by looking at labels.
#ifndef SAC_EVAL_FRAME_EVAL_H
#define SAC_EVAL_FRAME_EVAL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "saccade/metrics.h"
#include "saccade/status.h"

typedef struct sac_eval_clip {
    const char *name;
    const float *scores;   // [frames] raw, finite
    const uint8_t *labels; // [frames] 0 normal, 1 abnormal
    int64_t frames;        // >= 1
} sac_eval_clip;

typedef struct sac_eval_options {
    sac_smoothing_options smoothing;
    bool
        video_minmax; // per-video min-max normalisation after smoothing and before the micro ROC (a
                      // test-time peek at the whole clip: off by default)
    bool count_one_class; // macro: clips with one class count as 1 (true) or are skipped (false)
} sac_eval_options;

typedef struct sac_eval_row {
    const char *name; // owned by the result
    int64_t frames, abnormal;
    double auc; // NaN: one class only
} sac_eval_row;

typedef struct sac_eval_result {
    double micro, macro;                   // in [0,1]; NaN when undefined
    double constant_micro, constant_macro; // a constant scorer under the same conventions
    int64_t clips, one_class_clips, frames, abnormal;
    sac_eval_row *rows; // [clips], owned
} sac_eval_result;

// result  filled; release with sac_eval_result_close. Left empty on failure.
// clips   [count], count >= 1, borrowed for the call; scores are not changed
// options conventions; smoothing zeros are resolved as in sac_smoothing_resolve
//   micro = AUC over the concatenated clips, each smoothed (and, with video_minmax, mapped to
//           (s - min) / (max - min), a constant clip to 0) by itself
//   macro = mean of the clips' own AUCs; one-class clips have none and count as 1 or not at all
// The macro convention matters: on Ped2, where four of twelve test clips are entirely abnormal, a
// constant scorer gets 0.500 skipping them and 0.667 counting them as 1.
// SAC_ERROR_ARGUMENT: no clips, a NULL pointer, a clip without frames, a label not 0/1, bad
// smoothing options; SAC_ERROR_NUMERIC: a score that is not finite; both name the clip and the
// frame (from 0); SAC_ERROR_MEMORY. Thread-safe.
SAC_NODISCARD sac_status sac_eval_frames(sac_eval_result *result, const sac_eval_clip *clips,
                                         int64_t count, const sac_eval_options *options,
                                         sac_error *error);
void sac_eval_result_close(sac_eval_result *result); // NULL-safe, leaves an empty result

// Markdown per-clip table in percent, with the convention in its caption (sac_free it), and the
// same as JSON with areas in [0,1], undefined ones null (new reference). NULL on lack of memory.
char *sac_eval_to_markdown(const sac_eval_result *result, const sac_eval_options *options);
json_t *sac_eval_to_json(const sac_eval_result *result, const sac_eval_options *options);
// "causal smoothing (sigma 4, 13 taps), no per-video min-max, one-class clips skipped"; sac_free
// it; NULL on lack of memory or options that do not resolve.
char *sac_eval_convention(const sac_eval_options *options);

#endif
