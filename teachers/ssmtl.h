// SSMTL teacher: self-supervised proxy tasks on object-centric sequences, learned jointly on one
// shared 3D CNN. This pair holds the trained model, its file and the task scores of objects; the
// network is in ssmtl_net.h, learning in ssmtl_train.h.
// Source: Georgescu, Barbalau, Ionescu, Khan, Popescu and Shah, Anomaly Detection in Video via
// Self-Supervised and Multi-Task Learning, CVPR 2021 (arXiv 2011.07491). Deviations: gray crops
// instead of colour; batch normalisation also in the decoder; by default the decoder adds to the
// mean of the two neighbouring crops instead of drawing the middle crop from nothing (a short
// training then gets below that mean's error); scores relative to the crop's contrast and
// normalised by training statistics, see below.
#ifndef SAC_TEACHERS_SSMTL_H
#define SAC_TEACHERS_SSMTL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "core/safetensors.h"
#include "nn/params.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/calibration.h"
#include "teachers/detections.h"
#include "teachers/image_network.h"
#include "teachers/ssmtl_net.h"

// The yardstick of what is normal: the mean over the tasks that have a score. Terms below the
// median count as such, as in the paper's plain sum: the tasks' errors on normal objects partly
// cancel.
void sac_ssmtl_calibration_init(sac_calibration *calibration, unsigned tasks);

// A trained network.
typedef struct sac_ssmtl_model {
    sac_net *net; // for scoring
    sac_params *params;
    sac_ssmtl_design
        design; // of a model that was read: tasks, crop_size, residual and features only
    sac_calibration calibration; // objects 0: not calibrated yet
    // What the imitation tasks imitate, see sac_ssmtl_targets; networks are owned. The first one is
    // not needed for scoring when there are classes.
    sac_image_network *networks[SAC_SSMTL_TARGETS];
    double scale[SAC_SSMTL_TARGETS];
    int64_t classes;
} sac_ssmtl_model;
void sac_ssmtl_model_close(sac_ssmtl_model **model);
// Teacher file: safetensors; metadata "format" "saccade-teacher", "version" "1", "teacher" "ssmtl",
// "network" (description), "crop_size", "design" {"tasks", "residual"[, "classes"][, "scales"]},
// "calibration", "provenance" (JSON texts), and image networks whose output is needed for scoring,
// under "distillation", "segmentation" and "pose" (sac_image_network_store). Atomic.
SAC_NODISCARD sac_status sac_ssmtl_model_write(const sac_ssmtl_model *model, const char *path,
                                               const json_t *provenance, sac_error *error);
// The model in a parsed teacher file, which `path` stands for in messages; or that of a file. Files
// without "design" (of version 0.1) have the tasks middle, arrow and irregularity.
// SAC_ERROR_IO; SAC_ERROR_FORMAT: not a teacher file, damaged, or a network with other inputs and
// outputs than its tasks need; SAC_ERROR_UNSUPPORTED: newer version; SAC_ERROR_NUMERIC: a weight is
// not finite.
SAC_NODISCARD sac_status sac_ssmtl_model_load(sac_ssmtl_model **model, const sac_safetensors *st,
                                              const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_ssmtl_model_read(sac_ssmtl_model **model, const char *path,
                                              sac_error *error);

// An inference plan of a model and the crops it reads.
typedef struct sac_ssmtl_scorer sac_ssmtl_scorer;
// `model` is borrowed during the call only.
SAC_NODISCARD sac_status sac_ssmtl_scorer_create(sac_ssmtl_scorer **scorer,
                                                 const sac_ssmtl_model *model, int64_t batch,
                                                 sac_backend backend, sac_error *error);
// tasks f32 [detections->count][sac_ssmtl_columns], higher is more abnormal:
//   middle        mean |middle crop - prediction| / (contrast + 0.05), contrast = mean |crop - its
//                 mean|:
//                 a dark coat on bright ground is not more abnormal than a gray one
//   arrow         log P(backward) / P(forward) of the forward sequence
//   irregularity  log P(intermittent) / P(consecutive) of the consecutive sequence
//   distillation  detectors with classes: |confidence - prediction| at the detected class; objects
//                 without a class
//                 have confidence 0 at all of them, so the largest prediction. Without classes
//                 (motion alone): mean
//                 |value - prediction| over the values of the image network, which then runs too
//   segmentation, pose  mean |value - prediction|
//   jigsaw        log (1 - P(right order)) / P(right order) of the crops in their right order
//   inpainting    mean |middle crop - prediction| over the hidden patches (a chessboard) /
//                 (contrast + 0.05)
// Log-odds carry the same order as the probabilities of the paper, without their saturation near 1.
// The consecutive sequence goes through the network once for irregularity, imitation tasks and
// jigsaw together. With scores normalised by clip (sac_calibration) the tasks are those of the
// paper: the plain errors, P(backward), P(intermittent), 1 - P(right order).
//   pixels  u8 gray [detections->frames][height][width]
// `stop` is polled between batches (NULL: never); SAC_ERROR_INTERRUPTED then. SAC_ERROR_NUMERIC: a
// score is not finite. `progress` may be NULL. One scorer serves one thread.
SAC_NODISCARD sac_status sac_ssmtl_scorer_run(sac_ssmtl_scorer *scorer, float *tasks,
                                              const sac_detections *detections,
                                              const uint8_t *pixels, int width, int height,
                                              bool (*stop)(void),
                                              void (*progress)(void *user, int64_t objects_done),
                                              void *user, sac_error *error);
void sac_ssmtl_scorer_close(sac_ssmtl_scorer **scorer);

#endif
