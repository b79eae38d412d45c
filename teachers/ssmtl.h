// SSMTL teacher: self-supervised proxy tasks on object-centric sequences, learned jointly on one shared 3D CNN.
// This pair holds the network, the object scores and the teacher file; learning is in ssmtl_train.h.
// Source: Georgescu, Barbalau, Ionescu, Khan, Popescu and Shah, Anomaly Detection in Video via
// Self-Supervised and Multi-Task Learning, CVPR 2021 (arXiv 2011.07491). Deviations: gray crops instead of
// colour; batch normalisation also in the decoder; the decoder adds to the mean of the two neighbouring crops
// instead of drawing the middle crop from nothing (a short training then gets below that mean's error); scores
// relative to the crop's contrast and normalised by training statistics, see below.
#ifndef SAC_TEACHERS_SSMTL_H
#define SAC_TEACHERS_SSMTL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "core/safetensors.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/calibration.h"
#include "teachers/detections.h"
#include "teachers/sequence.h"

// Proxy tasks in the order of task scores. A further task (distillation of a classifier's outputs) is one more
// entry here, one more head in ssmtl.c and one more loss in ssmtl_train.c.
typedef enum sac_ssmtl_task {
    SAC_SSMTL_MIDDLE,       // predict the middle crop from the six others
    SAC_SSMTL_ARROW,        // is the sequence played forward or backward
    SAC_SSMTL_IRREGULARITY, // is the sequence consecutive or intermittent
    SAC_SSMTL_TASKS
} sac_ssmtl_task;
const char *sac_ssmtl_task_name(int task); // "middle", "arrow", "irregularity"; NULL outside

// Shared backbone as data: a width is a 3x3x3 convolution 'same' + batch norm + ReLU; SAC_SSMTL_POOL max-pools
// (1,2,2); SAC_SSMTL_POOL_ALL (T,2,2), that is, global over time; 0 ends the list.
enum { SAC_SSMTL_POOL = -1, SAC_SSMTL_POOL_ALL = -2, SAC_SSMTL_MAX_LAYERS = 12 };
typedef struct sac_ssmtl_backbone {
    const char *name;
    int layers[SAC_SSMTL_MAX_LAYERS];
    int decoder_width,
        decoder_stages; // hidden stages of the decoder: upsample x2, conv 3x3, norm, ReLU
} sac_ssmtl_backbone;
// shallow-narrow, shallow-wide, deep-narrow, deep-wide; NULL outside.
const sac_ssmtl_backbone *sac_ssmtl_backbone_at(int index);
// Names joined by '|' for option tables.
#define SAC_SSMTL_BACKBONES "shallow-narrow|shallow-wide|deep-narrow|deep-wide"

// Network with inputs "arrow" [1][6][S][S] (middle crop left out) and "irregular" [1][7][S][S], both through the
// same backbone weights, and outputs "arrow.logits" [2] (forward, backward), "irregular.logits" [2]
// (consecutive, intermittent), "middle.residual" [1][S][S] (middle crop minus the mean of the crops at t-1 and
// t+1). A head is conv 3x3 32 + BN + ReLU + dropout 0.3 +
// max-pool 2 + dense; each has its own weights.
// SAC_ERROR_ARGUMENT: no such backbone, crop_size not in 16..256 or no multiple of 8 (deep: 16).
SAC_NODISCARD sac_status sac_ssmtl_net(sac_net **net, int backbone, int64_t crop_size,
                                       sac_error *error);

// The yardstick of what is normal: the mean over the tasks. Terms below the median count as such, as in the
// paper's plain sum: the tasks' errors on normal objects partly cancel.
void sac_ssmtl_calibration_init(sac_calibration *calibration);

// A trained network.
typedef struct sac_ssmtl_model {
    sac_net *net;
    sac_params *params;
    int64_t crop_size;
    sac_calibration calibration; // objects 0: not calibrated yet
} sac_ssmtl_model;
void sac_ssmtl_model_close(sac_ssmtl_model **model);
// Teacher file: safetensors; metadata "format" "saccade-teacher", "version" "1", "teacher" "ssmtl",
// "network" (description), "crop_size", "calibration", "provenance" (JSON texts). Atomic.
SAC_NODISCARD sac_status sac_ssmtl_model_write(const sac_ssmtl_model *model, const char *path,
                                               const json_t *provenance, sac_error *error);
// _load reads a parsed file that `path` stands for in messages and that passed sac_family_file_check.
// SAC_ERROR_IO; SAC_ERROR_FORMAT: not a teacher file, damaged, or a network with other inputs and outputs;
// SAC_ERROR_UNSUPPORTED: newer version; SAC_ERROR_NUMERIC: a weight is not finite.
SAC_NODISCARD sac_status sac_ssmtl_model_read(sac_ssmtl_model **model, const char *path,
                                              sac_error *error);
SAC_NODISCARD sac_status sac_ssmtl_model_load(sac_ssmtl_model **model, const sac_safetensors *st,
                                              const char *path, sac_error *error);

// An inference plan of a model and the crops it reads.
typedef struct sac_ssmtl_scorer sac_ssmtl_scorer;
// `model` is borrowed during the call only.
SAC_NODISCARD sac_status sac_ssmtl_scorer_create(sac_ssmtl_scorer **scorer,
                                                 const sac_ssmtl_model *model, int64_t batch,
                                                 sac_backend backend, sac_error *error);
// tasks f32 [detections->count][SAC_SSMTL_TASKS], higher is more abnormal:
//   middle        mean |middle crop - prediction| / (contrast + 0.05), contrast = mean |crop - its mean|:
//                 a dark coat on bright ground is not more abnormal than a gray one
//   arrow         log P(backward) / P(forward) of the forward sequence
//   irregularity  log P(intermittent) / P(consecutive) of the consecutive sequence
// Log-odds carry the same order as the probabilities of the paper, without their saturation near 1.
//   pixels  u8 gray [detections->frames][height][width]
// `stop` is polled between batches (NULL: never); SAC_ERROR_INTERRUPTED then. SAC_ERROR_NUMERIC: a score is
// not finite. `progress` may be NULL. One scorer serves one thread.
SAC_NODISCARD sac_status sac_ssmtl_scorer_run(sac_ssmtl_scorer *scorer, float *tasks,
                                              const sac_detections *detections,
                                              const uint8_t *pixels, int width, int height,
                                              bool (*stop)(void),
                                              void (*progress)(void *user, int64_t objects_done),
                                              void *user, sac_error *error);
void sac_ssmtl_scorer_close(sac_ssmtl_scorer **scorer);

// One training or scoring example: where its crops come from.
typedef struct sac_ssmtl_sample {
    const uint8_t *pixels; // of its clip
    int width, height;
    int64_t frames, t;
    sac_box box;
    bool reversed;     // arrow input: played backward
    bool intermittent; // irregular input: `times` instead of consecutive frames
    int64_t times[SAC_SEQUENCE_LENGTH];
} sac_ssmtl_sample;
// Fills row i of the inputs from samples[i], i < count, on all threads:
//   arrow f32 [count][6][S][S], irregular f32 [count][7][S][S]
//   residual f32 [count][S][S]: middle crop minus the mean of the crops at t-1 and t+1
//   contrast f32 [count] of the middle crop as above, or NULL
void sac_ssmtl_fill(float *arrow, float *irregular, float *residual, float *contrast,
                    const sac_ssmtl_sample *samples, int64_t count, int64_t crop_size);

#endif
