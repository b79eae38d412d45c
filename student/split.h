// A student whose frames pass one and the same stem each, cut in two: the stem, which a stream
// computes once per frame, and the body, which takes the features of three frames. Works on
// descriptions and plain arrays only; student/engine.c plans the parts.
#ifndef SAC_STUDENT_SPLIT_H
#define SAC_STUDENT_SPLIT_H

#include <stdbool.h>

#include "nn/net.h"
#include "nn/params.h"
#include "nn/quant.h"
#include "saccade/status.h"

// body(concat(stem(frame 0), stem(frame 1), stem(frame 2))) equals the whole network.
typedef struct sac_split {
    sac_net *stem; // input "frame" [channels][H][W]; one output, named as in the whole network
    sac_net *body; // input "features" [3C][h][w], the features of the three frames one after
                   // another; outputs as in the whole network
    sac_params *stem_params, *body_params; // copies; no node shares parameters
    char *features[3]; // the stem's outputs in the whole network, by frame; [0] is stem's output
    char *join;        // the concatenation whose place "features" takes
    sac_shape shape;   // of one frame's features, [1][C][h][w]
} sac_split;

// Cuts the network. A frame is a third of the input's channels. Stem nodes are those that depend on
// one frame, sliced out of the input, only, whatever they are called; they must be the same
// operators with the same attributes in the same order and share parameters (or have equal ones,
// bit by bit), and only one concatenation along the channels, frame by frame, may read the last of
// them.
//   *split  NULL with SAC_OK: the network is not built so and must run whole; `reason` [128] says
//           why, for people (may be NULL)
//   params  of `net`, read now
//   quant   scales of an int8 plan, which must be the same for the three stems too; NULL: f32
// SAC_ERROR_SHAPE: params are not those of net; SAC_ERROR_MEMORY. The caller closes it.
SAC_NODISCARD sac_status sac_split_create(sac_split **split, const sac_net *net,
                                          const sac_params *params, const sac_quant *quant,
                                          char *reason, sac_error *error);
void sac_split_close(sac_split **split); // NULL-safe

// Multiply-accumulates of a stream's frame in f32: of a network that can be cut those of one stem
// and the body, else of the whole. Statuses of sac_split_create.
SAC_NODISCARD sac_status sac_split_macs(int64_t *macs, const sac_net *net, const sac_params *params,
                                        sac_error *error);

#endif
