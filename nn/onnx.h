// Import of ONNX files for inference: the graph becomes a sac_net, its constants the sac_params.
// Only what networks for pictures need (see below); no training graphs, no control flow. Of
// quantised networks the QDQ form: weights behind DequantizeLinear become the f32 they stand for, a
// pair QuantizeLinear, DequantizeLinear (u8 without zero point) rounds. Arithmetic on shapes is
// computed while reading; x * Sigmoid(x) and its like become one activation; batch normalisation
// stays a node of its own and is folded by the inference plan.
//
// Operators, opset 7 to 25, domain ai.onnx: Add AveragePool BatchNormalization Cast Ceil Clip
// Concat Constant ConstantOfShape Conv DequantizeLinear Div Dropout Flatten Floor Gather Gelu Gemm
// GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity LayerNormalization LeakyRelu
// MatMul MaxPool Mish Mul Neg Pad Pow (squares) PRelu (one slope) QuantizeLinear Range ReduceMax
// ReduceMean (over the picture) Relu Reshape Resize and Upsample (nearest, whole factors) Shape
// Sigmoid Slice Softmax Softplus (inside Mish) Split Sqrt (constants) Squeeze Sub Sum Swish Tanh
// Transpose Unsqueeze. Tensors have at most 5 axes; axis 0 of everything computed from an input is
// the batch, which may have any size in a plan whatever the file says. Inputs are f32; one of bytes
// that only Cast and DequantizeLinear read is taken as f32 with the bytes' values.
#ifndef SAC_NN_ONNX_H
#define SAC_NN_ONNX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/net.h"
#include "nn/params.h"

typedef struct sac_onnx_options {
    // Size for an axis of an input that the file leaves open, by axis ([N] C H W): 0 for none.
    // dims[0] is not looked at.
    int64_t dims[SAC_MAX_DIMS];
    // dims also replace sizes that the file fixes. A network whose Reshapes have its size written
    // into them is then refused as not fitting.
    bool replace;
    // Names of the values to give out, from anywhere in the graph, for example features behind the
    // last pooling; what only other outputs need is left out. NULL: the file's own outputs.
    const char *const *outputs; // [output_count]
    int output_count;
} sac_onnx_options;

// Reads a file of at most 2 GiB. Inputs and outputs are nodes of the net under their ONNX names,
// with bytes other than letters, digits and . _ - / replaced by '_' (a name already taken gets
// "_2", ...); sac_net_node and sac_net_shapes tell their sizes.
//   options  NULL: no size for open axes, the file's own outputs
// SAC_ERROR_IO           the file cannot be read
// SAC_ERROR_FORMAT       not an ONNX model, damaged or truncated; a tensor whose data does not fit
// its
//                        sizes; a node that reads what no earlier node makes (a cycle among them)
// SAC_ERROR_UNSUPPORTED  an operator, attribute or type outside the list above, data in other
// files,
//                        sparse tensors; the message names operator and node
// SAC_ERROR_SHAPE        sizes that do not fit each other, naming the node
// SAC_ERROR_ARGUMENT     an open axis without a size, an output that the file does not have
// SAC_ERROR_NUMERIC      a weight is not finite
// SAC_ERROR_MEMORY
// On failure *net and *params are NULL. Any thread.
// Source: ONNX operator specifications, versions 7 to 25.
SAC_NODISCARD sac_status sac_onnx_read(sac_net **net, sac_params **params, const char *path,
                                       const sac_onnx_options *options, sac_error *error);
// The same from memory; `name` stands for the file in messages.
SAC_NODISCARD sac_status sac_onnx_parse(sac_net **net, sac_params **params, const void *data,
                                        size_t size, const char *name,
                                        const sac_onnx_options *options, sac_error *error);

#endif
