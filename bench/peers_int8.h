// Our int8 plan of a student's whole network, for the comparison with peers: its scales, and runs
// from u8 planes or from an f32 tensor. Scales are calibrated on the frames at hand, which is good
// enough for speed and for the question whether two runtimes compute the same; accuracy is measured
// elsewhere, with the scales a model was trained with.
#ifndef SAC_BENCH_PEERS_INT8_H
#define SAC_BENCH_PEERS_INT8_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/quant.h"
#include "student/model.h"

typedef struct sac_int8_arm sac_int8_arm;
// Calibrates on up to 16 frames and plans for the threads set with sac_nn_set_threads.
//   planes  u8 [count][H][W], more than the span of the model's offsets
// SAC_ERROR_UNSUPPORTED: nothing of the network can be quantised; what planning returns.
SAC_NODISCARD sac_status sac_int8_arm_create(sac_int8_arm **arm, const sac_model *model,
                                             const uint8_t *planes, int64_t count,
                                             sac_error *error);
const sac_quant *sac_int8_arm_quant(const sac_int8_arm *arm);
// Scales of the convolutions that a residual is added to; see sac_onnx_export_options.centred.
// Empty when there are none.
const sac_quant *sac_int8_arm_centred(const sac_int8_arm *arm);
// Whether pixels enter the plan as they are; else the input is f32.
bool sac_int8_arm_takes_pixels(const sac_int8_arm *arm);

typedef struct sac_int8_maps {
    const float *map16, *map4, *map1; // valid until the next run
} sac_int8_maps;
// Three u8 planes [H][W] to maps.
SAC_NODISCARD sac_status sac_int8_arm_run_u8(sac_int8_arm *arm, const uint8_t *const planes[3],
                                             sac_int8_maps *maps, sac_error *error);
// The tensor f32 [3][H][W] of normalised pixels to maps; rounding it to u8 is part of the run.
SAC_NODISCARD sac_status sac_int8_arm_run_f32(sac_int8_arm *arm, const float *input,
                                              sac_int8_maps *maps, sac_error *error);
void sac_int8_arm_close(sac_int8_arm **arm); // NULL-safe

#endif
