// Dense optical flow between two gray frames on one core: how far, and to where, each pixel moved.
// Knows nothing of objects, of clips or of more than two frames.
#ifndef SAC_VIDEO_FLOW_H
#define SAC_VIDEO_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

// Shortest side of a frame, px: one patch must fit.
#define SAC_FLOW_LEAST_PX 8
#define SAC_FLOW_MOST_PX  16384

typedef struct sac_flow_options {
    int finest_level;  // the search ends at 1/2^n of the size and its flow is enlarged, 0..4: 0
    int stride_px;     // between patches of 8x8 pixels, 1..8: 4
    int search_steps;  // most descent steps of a patch per level, 1..64: 8
    int refine_rounds; // linearisations of the variational refinement, 0..20; 0 leaves it out: 2
    double smoothness; // weight of the smoothness term of the refinement, (0, 1000]: 0.4
    bool reference;    // the plain kernels that define the results, many times slower: false
} sac_flow_options;
sac_flow_options sac_flow_default_options(void);

typedef struct sac_flow sac_flow;

// Prepares for frames of one size; all memory, about 80 bytes per pixel, is taken here.
//   options  NULL: the defaults
// SAC_ERROR_ARGUMENT: a side outside SAC_FLOW_LEAST_PX..SAC_FLOW_MOST_PX, an option out of range;
// SAC_ERROR_MEMORY. On failure *flow is NULL. One object serves one thread.
SAC_NODISCARD sac_status sac_flow_create(sac_flow **flow, int width, int height,
                                         const sac_flow_options *options, sac_error *error);

// to(x + u(x, y), y + v(x, y)) ~ from(x, y), up to brightness
//   dst   f32 [2][height][width], u (to the right) then v (down), px from one frame to the other,
//         finite
//   from  u8 gray [height][width]
//   to    u8 gray [height][width]
// 1. Search, from 1/2^n of the size to the finest level: for each patch the displacement d that
//    minimises sum (to(p + d) - from(p) - mean of that)^2, by inverse steps from the best of the
//    coarser level's flow, rest and the neighbours; each pixel takes the mean of its patches'
//    displacements with weights 1 / max(1, residual^2).
// 2. Refinement at the finest level: minimises
//    sum sqrt(r^2 + 0.1^2) + smoothness sqrt(|grad u|^2 + |grad v|^2 + 0.01^2), r = (to(p + d) -
//    from(p)) / sqrt(|gradient|^2 + 16^2) of the frames less their mean over 17x17 pixels,
//    linearised `refine_rounds` times, five red-black sweeps of successive over-relaxation each.
// Where `to` does not show what `from` did (covered, gone out of the picture) the flow continues
// that of the neighbourhood. Nothing is kept from one call to the next: the same frames give the
// same bits, on every instruction set. The reference kernels differ in rounding only
// (tests/test_video_flow.c: a mean of less than 0.01 px).
// SAC_ERROR_ARGUMENT: a NULL pointer.
// Source: Till Kroeger, Radu Timofte, Dengxin Dai and Luc Van Gool, "Fast Optical Flow using Dense
// Inverse Search", ECCV 2016, sections 2.1 to 2.3. Deviations: patches start also from rest, if
// that fits nearly as well, and from their neighbours, if that fits clearly better (the propagation
// of Barnes et al., "PatchMatch", 2009), the votes of a patch count by squared residuals less their
// mean, a normal matrix is damped, the refinement has no gradient term (the frames are freed of
// their local mean instead) and runs at the finest level only, where small things survive it.
SAC_NODISCARD sac_status sac_flow_run(sac_flow *flow, float *dst, const uint8_t *from,
                                      const uint8_t *to);

void sac_flow_close(sac_flow **flow);

#endif
