// Import of Darknet networks for inference: `.cfg` text becomes a sac_net, a `.weights` file its
// parameters. Covers YOLOv3, YOLOv3-tiny, YOLOv4 and their relatives and image classifiers
// (resnet50.cfg, darknet19.cfg); no training and no YOLOv1/v2 region layers. Batch normalisation
// stays a node of its own; the inference plan folds it.
//
// Sections: net, convolutional (groups, batch_normalize, pad or padding, stride_x, stride_y),
// shortcut (several layers; also of other sizes, as in resnet50.cfg), route (several layers,
// groups, group_id), upsample, maxpool, avgpool, dropout and cost (identity), softmax (groups,
// spatial, temperature), connected, yolo. Activations: linear leaky (0.1) relu relu6 mish swish
// logistic. Every other section, and every key that is neither understood nor known to concern
// training alone, is an error that names file and line.
//
// Sources: Redmon, Darknet: Open Source Neural Networks in C, 2013-2016; Redmon and Farhadi,
// YOLOv3: An Incremental Improvement, arXiv:1804.02767; the format itself is defined by the
// program, whose rules are given where they matter.
#ifndef SAC_NN_DARKNET_H
#define SAC_NN_DARKNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/net.h"
#include "nn/params.h"

#define SAC_DARKNET_MAX_HEADS   8
#define SAC_DARKNET_MAX_ANCHORS 32
#define SAC_DARKNET_INPUT       "image" // the input node, [channels][height][width], RGB in [0,1]

// A [yolo] section. Its input is the network's output `output`:
// [anchors * (5 + classes)][grid_h][grid_w], for each anchor x, y, w, h, objectness and the
// classes' scores, all before any logistic function.
typedef struct sac_darknet_head {
    const char *output; // borrowed from the net
    int64_t line;       // of the section
    int64_t grid_w, grid_h;
    int anchors, classes;
    double anchor_w[SAC_DARKNET_MAX_ANCHORS]; // px of the network's input
    double anchor_h[SAC_DARKNET_MAX_ANCHORS];
    double scale_x_y;
    bool new_coords; // Scaled-YOLOv4: the outputs are already in [0,1], sizes are (2 t)^2 anchor
} sac_darknet_head;

// A layer that owns weights, in the order of the file.
typedef struct sac_darknet_slot {
    int layer; // from 0, as Darknet numbers them
    int64_t line;
    bool connected, normalized;
    int64_t outputs, weights; // numbers in the file: outputs * (normalized ? 4 : 1) + weights
} sac_darknet_slot;

typedef struct sac_darknet {
    sac_net *net;
    sac_params *params; // NULL until weights were read
    int64_t width, height, channels;
    int64_t stride; // input px per cell of the smallest layer: multiples of it fit as input sizes
    int layer_count;
    int *layers; // [layer_count] the node that holds a layer's result; -1: a yolo layer
    sac_darknet_head heads[SAC_DARKNET_MAX_HEADS];
    int head_count;
    const char *output; // the last layer's node, the only output, when there is no head; else NULL
    sac_darknet_slot *slots;
    int slot_count;
    int64_t weight_count; // numbers that a weights file must hold behind its header
} sac_darknet;

// Network without parameters from `size` bytes of text, which `file` stands for in messages.
//   width, height  px of the input instead of the cfg's; 0: the cfg's
// Nodes are named after the layer: "12.conv", "12.norm", "12.act", "13.add", "14.concat", ...
//   SAC_ERROR_FORMAT       not a cfg, a value out of range, a layer that does not exist, sizes that
//                          do not fit
//   SAC_ERROR_UNSUPPORTED  a section, key, activation or combination outside the above
//   SAC_ERROR_ARGUMENT     width or height outside 0..16384
//   SAC_ERROR_MEMORY
// error->position: the line. The caller owns *darknet, sac_darknet_close; NULL after an error.
SAC_NODISCARD sac_status sac_darknet_parse(sac_darknet **darknet, const void *text, size_t size,
                                           const char *file, int64_t width, int64_t height,
                                           sac_error *error);
// The same from a file of at most 4 MiB; also SAC_ERROR_IO.
SAC_NODISCARD sac_status sac_darknet_read(sac_darknet **darknet, const char *path, int64_t width,
                                          int64_t height, sac_error *error);

// Makes darknet->params from the bytes of a weights file: three little-endian int32 (major, minor,
// revision), `seen` as uint64 from version 0.2 on, before as uint32, then f32 numbers in the order
// of the layers: per convolution biases[, scales, means, variances], weights [OC][IC/G][KH][KW];
// per connected layer biases, weights [outputs][inputs][, scales, means, variances]. Biases of a
// normalised layer are added behind the norm.
//   SAC_ERROR_FORMAT       too small for a header; more or fewer numbers than the cfg needs (the
//                          message holds both and the layer in which they ran out); a number that
//                          is not finite, or a negative variance (names the layer)
//   SAC_ERROR_UNSUPPORTED  transposed weights (major or minor above 1000)
//   SAC_ERROR_MEMORY
// On failure darknet->params is as before.
// Deviation: Darknet's CPU code divides by sqrt(variance) + 1e-6, its GPU code and its folding by
// sqrt(variance + 1e-5); we do the latter.
SAC_NODISCARD sac_status sac_darknet_parse_weights(sac_darknet *darknet, const void *bytes,
                                                   size_t size, const char *file, sac_error *error);
// The same from a file of at most 4 GiB; also SAC_ERROR_IO.
SAC_NODISCARD sac_status sac_darknet_read_weights(sac_darknet *darknet, const char *path,
                                                  sac_error *error);

// Multiply-accumulates of one image.
int64_t sac_darknet_macs(const sac_darknet *darknet);
void sac_darknet_close(sac_darknet **darknet); // NULL-safe

#endif
