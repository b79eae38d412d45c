// Finds the scales of a quantisation table by watching a network's activations on sample inputs.
// Knows nothing of where samples come from: choose typical ones, with what the network must tell
// apart (pseudo-anomalies as well as normal frames); 100 to 1000 frames are plenty.
#ifndef SAC_NN_CALIBRATE_H
#define SAC_NN_CALIBRATE_H

#include "nn/quant.h"
#include "nn/train.h"

// How far the 256 steps reach, from the histogram of all values > 0 of a group (sac_quant_groups).
typedef enum sac_clip_rule {
    // T that minimises the expected squared error: s^2/12 per value up to T (s = T / 255),
    // (x - T)^2 beyond. T is searched over the histogram's 2048 bins.
    // Source: the principle of Banner et al., Post training 4-bit quantization of convolutional
    // networks for rapid-deployment, NeurIPS 2019, section 3, on the histogram instead of a fitted
    // distribution.
    SAC_CLIP_MSE,
    SAC_CLIP_PERCENTILE, // T = the value below which `percentile` percent of them lie
    SAC_CLIP_MAX         // T = the largest value seen
} sac_clip_rule;

typedef struct sac_calibrate_options {
    sac_clip_rule rule;
    double percentile; // (50, 100], for SAC_CLIP_PERCENTILE
    double
        input_scale; // scale of every input, e.g. 1.0 / 255 for u8 pixels; 0: measured like others
} sac_calibrate_options;
sac_calibrate_options sac_calibrate_defaults(void); // MSE, 99.99, 1 / 255

typedef struct sac_calibrate sac_calibrate;
// Plans `net` (folded here when it is not) in f32 with all activations visible. `plan` as for
// sac_infer_create; plan->quant must be NULL. net and params are not kept.
// SAC_ERROR_ARGUMENT: an option out of range; errors of sac_infer_create.
SAC_NODISCARD sac_status sac_calibrate_create(sac_calibrate **calibrate, const sac_net *net,
                                              const sac_params *params,
                                              const sac_plan_options *plan,
                                              const sac_calibrate_options *options,
                                              sac_error *error);
float *sac_calibrate_input(sac_calibrate *calibrate, const char *name); // as sac_infer_input
// Runs the network on the inputs and adds its activations to the histograms.
// SAC_ERROR_NUMERIC: an activation is not finite (names it); errors of sac_infer_run.
SAC_NODISCARD sac_status sac_calibrate_run(sac_calibrate *calibrate, sac_error *error);
// The table after at least one run. A group stays f32 (no entry) when an input of it took a
// negative value, which u8 without zero point cannot express, or when it never exceeded zero.
// Whatever needs the group then runs in f32. The caller closes the table.
// SAC_ERROR_ARGUMENT: nothing was run; SAC_ERROR_UNSUPPORTED: no activation can be quantised;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_calibrate_finish(sac_calibrate *calibrate, sac_quant **quant,
                                              sac_error *error);
void sac_calibrate_close(sac_calibrate **calibrate);

#endif
