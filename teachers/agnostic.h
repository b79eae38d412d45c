// Background-agnostic teacher: three auto-encoders of an object (its picture, the optical flow that
// leads to it and the one that leads away), trained against pseudo-abnormal examples, and one
// classifier on each that judges what the auto-encoder could not reconstruct. This pair holds the
// networks, the teacher file and the scorer; learning is in agnostic_train.h, the examples in
// agnostic_pseudo.h.
// Source: Georgescu, Ionescu, Khan, Popescu and Shah, A Background-Agnostic
// Framework with Adversarial Training for Abnormal Event Detection in Video, TPAMI 2021 (arXiv
// 2008.12328). Our own choices where we had no description: widths, the classifiers' layers, mean
// absolute errors as losses, flow units. Deviations: pseudo-abnormal examples are made from the
// training video itself (see agnostic_pseudo.h); probabilities are weighted by what is usual for
// training objects (see calibration.h) before their mean is taken.
#ifndef SAC_TEACHERS_AGNOSTIC_H
#define SAC_TEACHERS_AGNOSTIC_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "core/safetensors.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/calibration.h"
#include "teachers/detections.h"

// What an auto-encoder looks at, in the order of task scores.
typedef enum sac_agnostic_branch {
    SAC_AGNOSTIC_APPEARANCE, // gray crop at t, [1][S][S], in [0,1]
    SAC_AGNOSTIC_BACKWARD,   // crop of the flow from t-1 to t, [2][S][S] (u, v), in flow units
    SAC_AGNOSTIC_FORWARD,    // of the flow from t to t+1
    SAC_AGNOSTIC_BRANCHES
} sac_agnostic_branch;
// "appearance", "backward", "forward"; NULL outside
const char *sac_agnostic_branch_name(int branch);
int64_t sac_agnostic_branch_channels(int branch); // 1, 2, 2; 0 outside

// Widths of the encoder's and decoder's stages at S, S/2 and S/4 px. The code has SAC_AGNOSTIC_CODE
// channels at S/8: [16][8][8] at 64 px.
enum { SAC_AGNOSTIC_CODE = 16 };
typedef enum sac_agnostic_width {
    SAC_AGNOSTIC_NARROW, // 16 16 16
    SAC_AGNOSTIC_WIDE,   // 32 32 16
    SAC_AGNOSTIC_WIDTH_COUNT
} sac_agnostic_width;
#define SAC_AGNOSTIC_WIDTHS "narrow|wide" // for option tables

// The networks. x is a branch's crop, E its encoder, D its decoder, A the adversarial decoder:
//   LEARN  inputs "<branch>" and "<branch>.pseudo" [C][S][S]; outputs "<branch>.error" = x -
//          D(E(x)), "<branch>.code" = E(x) [16][S/8][S/8], and "<branch>.adversary.error" = p -
//          A(R(E(p))) of the pseudo-abnormal crop p. R passes values on and turns gradients into
//          -lambda times themselves, so that one descent on the sum of both errors makes A
//          reconstruct p while E leaves out what A needs.
//   CODER  input "<branch>"; outputs "<branch>.error" and "<branch>.code", with the weights of
//          LEARN.
//   JUDGE  inputs "<branch>.difference.in" = |x - D(E(x))| and "<branch>.code.in" = E(x); output
//          "<branch>.logit" [1], the log-odds of being abnormal.
//   MODEL  CODER and JUDGE behind each other, for all three branches; outputs "<branch>.error" and
//          "<branch>.logit".
// E is three times conv 3x3 + ReLU + max-pool 2; D and A are three times nearest x2, conv 3x3 +
// ReLU, plus the encoder's activations of that size (the three skip connections), then conv 3x3. A
// judge is three times conv 3x3 + BN + ReLU + max-pool 2 on the difference, joined with the code,
// conv 3x3 + BN + ReLU, max-pool 2, dropout 0.3, dense. Parameters of equal names mean the same in
// every part.
typedef enum sac_agnostic_part {
    SAC_AGNOSTIC_LEARN,
    SAC_AGNOSTIC_CODER,
    SAC_AGNOSTIC_JUDGE,
    SAC_AGNOSTIC_MODEL
} sac_agnostic_part;

//   branch     of LEARN, CODER and JUDGE; MODEL ignores it
//   crop_size  S, px, a multiple of 8 in 16..256
//   lambda     of LEARN, in [0, 1000]; ignored by the others
// SAC_ERROR_ARGUMENT: anything outside these ranges; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_agnostic_net(sac_net **net, sac_agnostic_part part, int branch,
                                          sac_agnostic_width width, int64_t crop_size,
                                          double lambda, sac_error *error);

// Copies into `dst` every parameter that `src` has under the same name with as many values; returns
// how many.
int64_t sac_agnostic_take(sac_params *dst, const sac_params *src);

// A trained teacher.
typedef struct sac_agnostic_model {
    sac_net *net; // MODEL
    sac_params *params;
    int64_t crop_size;
    double flow_unit; // px per frame that count as 1 in the flow inputs, > 0
    sac_calibration
        calibration; // of the SAC_AGNOSTIC_BRANCHES tasks; objects 0: not calibrated yet
} sac_agnostic_model;
void sac_agnostic_model_close(sac_agnostic_model **model); // NULL-safe

// Teacher file, beyond what all families have (teachers/family.h): metadata "teacher"
// "background-agnostic", "network" (description), "crop_size", "flow_unit". Atomic. SAC_ERROR_IO;
// SAC_ERROR_MEMORY.
//   provenance  JSON object or NULL
SAC_NODISCARD sac_status sac_agnostic_model_write(const sac_agnostic_model *model, const char *path,
                                                  const json_t *provenance, sac_error *error);
// From a parsed file whose format and version were checked; `path` stands for it in messages.
// SAC_ERROR_FORMAT: metadata missing or out of range, tensors missing, or a network with other
// inputs and outputs; SAC_ERROR_NUMERIC: a weight is not finite; SAC_ERROR_MEMORY. *model is NULL
// after an error.
SAC_NODISCARD sac_status sac_agnostic_model_parse(sac_agnostic_model **model,
                                                  const sac_safetensors *st, const char *path,
                                                  sac_error *error);

// An inference plan of a model and what it reads. One scorer serves one thread.
typedef struct sac_agnostic_scorer sac_agnostic_scorer;
//   model  borrowed during the call only
//   batch  objects per run, >= 1
SAC_NODISCARD sac_status sac_agnostic_scorer_create(sac_agnostic_scorer **scorer,
                                                    const sac_agnostic_model *model, int64_t batch,
                                                    sac_backend backend, sac_error *error);
// tasks f32 [detections->count][SAC_AGNOSTIC_BRANCHES]: P(abnormal) of each classifier, in [0,1].
// The object score is their mean, as in the paper: a branch that is sure adds as much as one can,
// not more. Flow is computed on the way, for frames with objects and their neighbours only, and
// only the fields of one batch are kept: memory does not grow with the clip. The first and the last
// frame lack a neighbour and use the one flow they have for both directions; a clip of one frame
// counts as still.
//   pixels    u8 gray [detections->frames][height][width]
//   stop      polled between batches (NULL: never); SAC_ERROR_INTERRUPTED then
//   progress  objects done; may be NULL
// SAC_ERROR_ARGUMENT: a picture that the flow cannot take; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_agnostic_scorer_run(sac_agnostic_scorer *scorer, float *tasks,
                                                 const sac_detections *detections,
                                                 const uint8_t *pixels, int width, int height,
                                                 bool (*stop)(void),
                                                 void (*progress)(void *user, int64_t objects_done),
                                                 void *user, sac_error *error);
void sac_agnostic_scorer_close(sac_agnostic_scorer **scorer); // NULL-safe

#endif
