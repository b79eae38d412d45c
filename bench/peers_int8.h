// Scales for the comparison with peers in 8 bits, calibrated on the frames at hand: good enough for
// speed and for the question whether two runtimes compute the same, but it says nothing of
// accuracy.
#ifndef SAC_BENCH_PEERS_INT8_H
#define SAC_BENCH_PEERS_INT8_H

#include <stdint.h>

#include "nn/quant.h"
#include "student/model.h"

// Scales of the activations from up to 16 frames; the caller closes the table.
//   frames  u8 [count][H][W][channels] as the network sees them, more than the span of the
//           model's offsets
// SAC_ERROR_UNSUPPORTED: nothing of the network can be quantised; what planning returns.
SAC_NODISCARD sac_status sac_peers_calibrate(sac_quant **quant, const sac_model *model,
                                             const uint8_t *frames, int64_t count,
                                             sac_error *error);
// Scales of the convolutions outside `quant` that a residual is added to, from the largest value on
// the same frames; see sac_onnx_export_options.centred. Empty when there are none.
SAC_NODISCARD sac_status sac_peers_centred(sac_quant **centred, const sac_model *model,
                                           const sac_quant *quant, const uint8_t *frames,
                                           int64_t count, sac_error *error);

#endif
