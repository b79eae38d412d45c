// An image network that somebody else trained (classifier, segmentation, pose), run on crops of
// objects: what it says about each is a vector. Knows nothing of how the vectors are used.
#ifndef SAC_TEACHERS_IMAGE_NETWORK_H
#define SAC_TEACHERS_IMAGE_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/safetensors.h"
#include "nn/net.h"
#include "nn/params.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/crops.h"

// How gray levels 0..255 become the input of a network with three channels (all equal to the gray
// level) or one.
typedef enum sac_image_preprocess {
    // by the file's name: squeezenet1.1 caffe; yolox and its relatives raw; all other ONNX
    // imagenet;
    SAC_IMAGE_AUTO,
    // Darknet unit
    // RGB, (x / 255 - mean) / deviation, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225:
    SAC_IMAGE_IMAGENET,
    // ResNet-50, MobileNet and most others of torchvision and the ONNX model zoo
    SAC_IMAGE_CAFFE, // BGR, x - mean, mean 104 117 123: networks that come from Caffe
    SAC_IMAGE_UNIT,  // x / 255: Darknet's
    SAC_IMAGE_RAW,   // x
    SAC_IMAGE_CUSTOM // numbers of its own: sac_image_input_parse
} sac_image_preprocess;
#define SAC_IMAGE_PREPROCESSES "auto|imagenet|caffe|unit|raw"

// Input of channel c = (x - mean[c]) * scale[c], x the gray level 0..255.
typedef struct sac_image_input {
    sac_image_preprocess preprocess;
    double mean[3], scale[3];
    char text[128]; // what sac_image_input_parse reads as the same again
} sac_image_input;

// Reads one of SAC_IMAGE_PREPROCESSES, or ORDER:MEAN:SCALE with ORDER rgb or bgr (of the network's
// channels) and MEAN and SCALE one number or three, separated by '/', for red, green and blue:
// "bgr:123.7/116.3/103.5:0.017". Of AUTO mean and scale stay 0.
// SAC_ERROR_ARGUMENT: neither, or a number that is not finite or a scale of 0.
SAC_NODISCARD sac_status sac_image_input_parse(sac_image_input *input, const char *text,
                                               sac_error *error);

typedef struct sac_image_network {
    sac_net *net; // one input [1 or 3][H][W], one output
    sac_params *params;
    sac_image_preprocess preprocess; // never AUTO
    sac_image_input input;           // the same with its numbers
    int64_t length;                  // of the vector, 1 to SAC_IMAGE_MAX_LENGTH
    uint64_t digest;                 // of weights and preprocessing: equal networks, equal numbers
} sac_image_network;
#define SAC_IMAGE_MAX_LENGTH 16384

// Reads "FILE.onnx" or "FILE.onnx:OUTPUT", OUTPUT being the name of any value of the graph (without
// it the file must have one output), or "darknet:CFG:WEIGHTS" or "darknet:CFG:WEIGHTS:LAYER", LAYER
// being the number of a section behind [net], from 0 (without it the last one, before its softmax).
// The vector is that output, flattened; maps larger than 8x8 are averaged down to 8x8 cells first,
// so that a segmentation of 21 classes is 1344 numbers. Open sizes of the input become 224.
// SAC_ERROR_ARGUMENT: no or several inputs or outputs (the message names them), an input that is no
// picture, or a vector that is too long, no such layer; and the errors of sac_onnx_read,
// sac_darknet_read and sac_darknet_read_weights.
SAC_NODISCARD sac_status sac_image_network_read(sac_image_network **network, const char *text,
                                                sac_image_preprocess preprocess, sac_error *error);

typedef struct sac_image_options {
    sac_image_input input;
    int cells; // maps larger than cells x cells are averaged down to that, 1 to 64
    int side;  // px of the input whatever the file says, 8 to 2048; 0: the file's own, 224 if open
} sac_image_options;
// The same with more to choose; SAC_ERROR_SHAPE too: a network that cannot take that side.
SAC_NODISCARD sac_status sac_image_network_read_as(sac_image_network **network, const char *text,
                                                   const sac_image_options *options,
                                                   sac_error *error);
// To and from a container: metadata "<prefix>.network" and "<prefix>.preprocess", tensors
// "<prefix>.*". Loading checks everything, SAC_ERROR_FORMAT names `path`.
SAC_NODISCARD sac_status sac_image_network_store(const sac_image_network *network,
                                                 sac_safetensors *st, const char *prefix,
                                                 sac_error *error);
SAC_NODISCARD sac_status sac_image_network_load(sac_image_network **network,
                                                const sac_safetensors *st, const char *prefix,
                                                const char *path, sac_error *error);
void sac_image_network_close(sac_image_network **network); // NULL-safe

// A plan that runs it.
typedef struct sac_image_runner sac_image_runner;
// `network` is borrowed during the call only. Errors of sac_infer_create.
SAC_NODISCARD sac_status sac_image_runner_create(sac_image_runner **runner,
                                                 const sac_image_network *network,
                                                 sac_backend backend, sac_error *error);
// Row i of dst, `stride` floats apart, is ReLU of the vector for objects[i] at its own time: the
// box as it is, resized to the network's input.
//   stop  polled between batches (NULL: never); SAC_ERROR_INTERRUPTED then
// SAC_ERROR_NUMERIC: a value is not finite; names the object.
SAC_NODISCARD sac_status sac_image_runner_run(sac_image_runner *runner, float *dst, int64_t stride,
                                              const sac_crop_object *objects, int64_t count,
                                              bool (*stop)(void), sac_error *error);
void sac_image_runner_close(sac_image_runner **runner); // NULL-safe

#endif
