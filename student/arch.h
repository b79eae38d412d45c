// Architectures of the student by name.
//
// tiny-s, tiny-m, tiny-l: made for the int8 units of one or two CPU cores.
//   - Every frame goes through a stem of its own (a 3x3 convolution of stride 2, weights shared),
//     so that a stream computes it once a frame; a second one of stride 2 over the three frames'
//     features sees motion while a pixel's worth of it is still half a cell; a third, and
//     residual blocks of two 3x3 convolutions at one eighth of the resolution, look around.
//   - Few layers and channel counts of whole vector registers; the work sits in 3x3 convolutions,
//     which run near the machine's matmul rate. Depthwise ones do not.
//   - Input is x / 255 in [0,1]: pixels are already the quantised input, without a zero point.
// paper: the published student, a convolutional transformer of 7 GMAC at 640x360: the yardstick.
//   Ours ends in a sigmoid at every scale (published: ReLU for 16x16 and 4x4), so that each map
//   lies in [0,1], and normalises what leaves the last block: without that the heads' sums over
//   hundreds of channels saturate the sigmoids in the first steps, and nothing is learned.
// Source: Croitoru et al., "Lightning fast video anomaly detection via multi-scale adversarial
// distillation", CVIU 2024 (paper); the tiny family is ours.
#ifndef SAC_STUDENT_ARCH_H
#define SAC_STUDENT_ARCH_H

#include "core/rng.h"
#include "student/model.h"

const char *sac_arch_names(void); // "tiny-s, tiny-m, tiny-l, paper"

// `arch` is one of these names or, for the tiny family, NAME*X with a factor X of 0.25..8 for every
// channel count (rounded to multiples of 8, at least 8), for example "tiny-m*1.5". Behind a colon
// the maps that it has (student/heads.h), all without one: "tiny-m:16,1", "paper:4".

// Input size and normalisation that the architecture was designed for.
// SAC_ERROR_ARGUMENT: unknown architecture (the message lists the known ones).
SAC_NODISCARD sac_status sac_arch_preprocess(sac_preprocess *preprocess, const char *arch,
                                             sac_error *error);

// The network for that preprocessing, as student/model.h defines it. The caller closes it.
// SAC_ERROR_ARGUMENT: unknown architecture, factor or preprocessing out of range; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_arch_build(sac_net **net, const char *arch,
                                        const sac_preprocess *preprocess, sac_error *error);

// Random parameters (sac_params_init), the convolution over the three frames aside: each of its
// output channels begins as one random filter on the middle frame, or on the difference of two
// frames. Most of a scene stands still, so differences carry the motion; from independent filters a
// student takes many epochs to find them.
void sac_arch_init(sac_model *model, sac_rng *rng);

#endif
