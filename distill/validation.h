// Measures a student on what is held back, in f32 or with the int8 plan that will run. The only
// criterion of selection: no test clip and no label of one comes near it.
#ifndef SAC_DISTILL_VALIDATION_H
#define SAC_DISTILL_VALIDATION_H

#include "distill/batch.h"
#include "distill/pseudo.h"
#include "nn/infer.h"

typedef struct sac_validation sac_validation;

typedef struct sac_validation_options {
    double emphasis; // see distill/loss.h
    double scale_weights[3];
    sac_backend backend;
    const sac_quant *quant; // int8 plan of a folded network, read now; NULL: f32
} sac_validation_options;

typedef struct sac_validation_result {
    double loss;      // sum over teachers, weighted; see distill/loss.h
    double scales[3]; // its parts of the maps 16x16, 4x4, 1x1, before the weights of scales; NaN of
                      // maps that the student has not
    double pseudo_auc; // frame AUC, altered frames against all others; NaN without altered ones
    double kind_auc[SAC_PSEUDO_KIND_COUNT]; // see distill/kind_auc.h
} sac_validation_result;

// Frames: at most 2000, spread evenly over what is held back.
//   samples, quant  samples must outlive it
//   net, params     of the samples' size; not kept
// SAC_ERROR_ARGUMENT: nothing is held back; errors of sac_infer_create.
SAC_NODISCARD sac_status sac_validation_create(sac_validation **validation,
                                               const sac_samples *samples, const sac_net *net,
                                               const sac_params *params,
                                               const sac_validation_options *options,
                                               sac_error *error);
// Measures with these parameters. SAC_ERROR_NUMERIC: the loss is not finite.
SAC_NODISCARD sac_status sac_validation_run(sac_validation *validation,
                                            sac_validation_result *result, const sac_params *params,
                                            sac_error *error);
// The frames, [*count]; borrowed.
const sac_sample_ref *sac_validation_refs(const sac_validation *validation, int64_t *count);
// Of the last run, in the order of the frames: each frame's loss over teachers f64 [count], the
// finest maps that the student has f32 [count][*side][*side]; borrowed.
const double *sac_validation_losses(const sac_validation *validation);
const float *sac_validation_maps(const sac_validation *validation, int *side);
void sac_validation_close(sac_validation **validation);

#endif
