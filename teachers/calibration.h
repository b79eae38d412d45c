// What is usual: task scores of objects that a teacher has not learned from (the held-back part of
// the training clips) as the yardstick for all others. Shared by every teacher family; knows
// nothing of how the scores are made and never sees a test clip or a label.
#ifndef SAC_TEACHERS_CALIBRATION_H
#define SAC_TEACHERS_CALIBRATION_H

#include <stdint.h>

#include <jansson.h>

#include "saccade/status.h"

enum { SAC_CALIBRATION_TASKS = 32, SAC_CALIBRATION_NAME = 48 };

// How an object's task scores become one number.
typedef enum sac_combination {
    // sum_k w_k z_k / sum_k w_k: tasks below their median count as such, errors of different tasks
    // on normal objects partly cancel
    SAC_COMBINE_MEAN,
    SAC_COMBINE_MAX, // max_k w_k z_k: one task is enough to raise the alarm
    // sum_k w_k l_k / sum_k w_k, l_k = -ln of the tail probability p_k of the task score: Fisher's
    // way of joining independent tests. Tasks of any scale and any weight of tail count by how
    // rarely an object is this unusual
    SAC_COMBINE_TAIL
} sac_combination;

// What an object is compared with.
typedef enum sac_normalisation {
    SAC_NORMALISE_TRAINING, // held-back training objects: a score means the same in every clip
    // the other objects of its clip, as in the paper: needs the whole clip, and the highest score
    // of every clip is 1
    SAC_NORMALISE_CLIP
} sac_normalisation;

typedef struct sac_calibration {
    int tasks;
    char name[SAC_CALIBRATION_TASKS][SAC_CALIBRATION_NAME]; // of the tasks: a-z, 0-9, '.', '_', '-'
    sac_combination combination;
    sac_normalisation normalisation;
    double weight[SAC_CALIBRATION_TASKS]; // > 0
    int64_t objects;                      // it was made from; 0: not calibrated yet
    double median[SAC_CALIBRATION_TASKS], high[SAC_CALIBRATION_TASKS]; // 50 % and 99 % quantile
    // mean of what lies above the 99 % quantile, minus that quantile
    double excess[SAC_CALIBRATION_TASKS];
    double mean_median, mean_high; // the same of the combination
} sac_calibration;

// An uncalibrated one of `tasks` (1 to SAC_CALIBRATION_TASKS) tasks called name(0), name(1), ...,
// weights 1.
void sac_calibration_init(sac_calibration *calibration, int tasks, const char *(*name)(int task),
                          sac_combination combination);

// Fills quantiles from task scores f32 [objects][tasks] of held-back objects; names, weights and
// combination are set before. Quantiles are linear between order statistics.
// SAC_ERROR_ARGUMENT: no objects; SAC_ERROR_NUMERIC: a score is not finite (names task and object);
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_calibration_fit(sac_calibration *calibration, const float *tasks,
                                             int64_t objects, sac_error *error);

// The combination's quantiles alone, with those of the tasks as they are.
SAC_NODISCARD sac_status sac_calibration_fit_combination(sac_calibration *calibration,
                                                         const float *tasks, int64_t objects,
                                                         sac_error *error);

// One task relative to the usual,
//   z_k = (task_k - median_k) / (high_k - median_k), cut to +-20
// so that a typical object gets 0 and one of a hundred more than 1.
double sac_calibration_relative(const sac_calibration *calibration, int task, float value);

// All tasks of an object f32 [tasks] relative to the usual,
//   u = (combine_k z_k - mean_median) / (mean_high - mean_median), cut to +-20
// with the same meaning as z_k. This is what an ensemble adds up. SAC_COMBINE_TAIL combines l_k
// instead of z_k: an exponential curve through both quantiles, and above the upper one an
// exponential tail with the mean excess of the held-back objects, which is longer where the task
// itself is erratic,
//   l_k = max(0, ln 2 + z_k ln 50)                                                   up to z_k = 1
//   l_k = ln 100 + (task_k - high_k) / max(excess_k, (high_k - median_k) / ln 50)    above, cut at
//   100
double sac_calibration_combine(const sac_calibration *calibration, const float *tasks);

//   score = 1 / (1 + exp(2 - 2 u)), in [0,1]
// A typical object gets 0.12, one at the 99 % quantile 0.5, one twice as far 0.88. Deviation: SSMTL
// (Georgescu et al., CVPR 2021) normalises by the extremes of each test video instead, which needs
// the whole video and differs from one to the next; that is SAC_NORMALISE_CLIP below.
float sac_calibration_score(double u);

// Scores in [0,1] of all objects of a clip, tasks f32 [count][calibration->tasks], finite:
//   TRAINING  sac_calibration_score(sac_calibration_combine(tasks of the object))
//   CLIP      minmax_i(combine_k minmax_i(task_ik)), minmax(x) = (x - min) / (max - min) over the
//             clip, 0 where
//             all are equal; combine is the weighted mean or the maximum. Source: Georgescu et al.,
//             CVPR 2021,
//             section 3.3.
void sac_calibration_scores(const sac_calibration *calibration, float *scores, const float *tasks,
                            int64_t count);
// The same of one task alone.
void sac_calibration_task_scores(const sac_calibration *calibration, int task, float *scores,
                                 const float *tasks, int64_t count);

// {"objects": n, "combination": "mean", "normalisation": "clip" (left out: training), "tasks":
// {NAME: {"median", "q99", "excess", "weight"}}, "mean": {"median", "q99"}}; a weight of 1 is left
// out; older files have no "excess", which only tails need. NULL when memory is short.
json_t *sac_calibration_to_json(const sac_calibration *calibration);
// {NAME: {"median", "q99"}} alone, for tables and provenance. NULL when memory is short.
json_t *sac_calibration_tasks_json(const sac_calibration *calibration);
// Reads quantiles and weights of the tasks that `calibration` names (see sac_calibration_init).
// SAC_ERROR_FORMAT names file (`path`) and key: an entry is missing, not finite or out of range, or
// the combination is unknown.
SAC_NODISCARD sac_status sac_calibration_read(sac_calibration *calibration, const json_t *json,
                                              const char *path, sac_error *error);

#endif
