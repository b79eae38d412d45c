// Dense optical flow between two gray frames on one core: how far, and to where, each pixel moved. Knows nothing
// of objects, of clips or of more than two frames.
#ifndef SAC_VIDEO_FLOW_H
#define SAC_VIDEO_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

// Shortest side of a frame, px: one patch must fit.
#define SAC_FLOW_LEAST_PX 8
#define SAC_FLOW_MOST_PX 16384

typedef struct sac_flow_options {
    int finest_level;  // the search ends at 1/2^n of the size and the rest is enlarged, 0..4: 0
    int stride_px;     // between patches of 8x8 pixels, 1..8: 4
    int search_steps;  // most descent steps of a patch per level, 1..64: 8
    int refine_rounds; // of the variational refinement per level, 0..20; 0 leaves it out: 3
    double smoothness; // weight of the smoothness term of the refinement, (0, 1000]: 0.5
    bool reference;    // the plain kernels that define the results, many times slower: false
} sac_flow_options;
sac_flow_options sac_flow_default_options(void);

typedef struct sac_flow sac_flow;

// Prepares for frames of one size; all memory is taken here.
//   options  NULL: the defaults
// SAC_ERROR_ARGUMENT: a side outside SAC_FLOW_LEAST_PX..SAC_FLOW_MOST_PX, an option out of range;
// SAC_ERROR_MEMORY. On failure *flow is NULL. One object serves one thread.
SAC_NODISCARD sac_status sac_flow_create(sac_flow **flow, int width, int height,
                                         const sac_flow_options *options, sac_error *error);

// to(x + u(x, y), y + v(x, y)) ~ from(x, y)
//   dst   f32 [2][height][width], u (to the right) then v (down), px from one frame to the other, finite
//   from  u8 gray [height][width]
//   to    u8 gray [height][width]
// Where `to` does not show what `from` did (covered, gone out of the picture) the flow continues that of the
// neighbourhood. Nothing is kept from one call to the next: the same frames give the same bits.
// SAC_ERROR_ARGUMENT: a NULL pointer.
SAC_NODISCARD sac_status sac_flow_run(sac_flow *flow, float *dst, const uint8_t *from,
                                      const uint8_t *to);

void sac_flow_close(sac_flow **flow);

#endif
