// Export of a network for inference as an ONNX file, so that other runtimes can execute it. Batch
// normalisations are folded as in our own plans (nn/fold.h); what the network says is written
// exactly, also what ONNX has no operator for: adaptive pooling becomes Gather and MaxPool, or
// Slice, AveragePool and Concat where cells overlap. No training graphs, no optimisation beyond the
// folding.
//
// In 8 bits (a table of nn/quant.h) the file has the QDQ form that runtimes turn into integer
// kernels: QuantizeLinear and DequantizeLinear, u8 without zero point and with the table's scales,
// behind every node of the table; weights s8 with one scale per output channel behind a
// DequantizeLinear. A bias whose sum is rounded to u8 next is s32 in steps of s_src * s_wei, as
// runtimes want it (half a step, at most, from our f32 bias); other biases stay f32.
//
// The opset is the lowest that has the operators: 13, 17 with layer normalisation, 20 with GELU.
// Only the domain ai.onnx. Parameters that are shared, or happen to be equal, stand in the file
// once.
#ifndef SAC_NN_ONNX_EXPORT_H
#define SAC_NN_ONNX_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/net.h"
#include "nn/params.h"
#include "nn/quant.h"

typedef struct sac_onnx_pair {
    const char *key, *value;
} sac_onnx_pair;

typedef struct sac_onnx_export_options {
    int64_t batch; // size of axis 0; 0: left open under the name "N"
    // The inputs take pixels u8 of the same shape, and the graph itself computes
    // (x - mean) / scale. In 8 bits pixels enter as they are when the table says just that.
    bool input_u8;
    const sac_quant *quant; // NULL: f32
    // Besides the table, for runtimes that cannot keep the f32 sum of a convolution until a
    // residual is added (ONNX Runtime then runs that convolution in f32): nodes whose value is
    // rounded to u8 around 128, value = scale * (q - 128). Costs a rounding that our own plans do
    // not have. NULL: none.
    const sac_quant *centred;
    double mean, scale;                 // scale > 0; used with input_u8 only
    const char *name;                   // of the graph; NULL: "network"
    const char *doc;                    // for people; NULL: none
    const char *input_doc, *output_doc; // of every input and output; NULL: none
    const sac_onnx_pair *properties;    // metadata_props [property_count]
    int property_count;
} sac_onnx_export_options;

// The bytes of the file; sac_free them. Inputs and outputs carry the names of their nodes, f32
// [N][C]... (inputs u8 with input_u8); inner values carry node names, and what a node needs besides
// "NODE.something".
//   options  NULL: open batch, f32 inputs, no texts
// SAC_ERROR_UNSUPPORTED  an operator that cannot be written, naming the node; more than 2 GiB
// SAC_ERROR_NUMERIC      a parameter is not finite, naming it
// SAC_ERROR_ARGUMENT     options out of range, parameters that do not belong to the network
// SAC_ERROR_SHAPE        the network does not check (sac_net_check)
// SAC_ERROR_MEMORY
// On failure *data is NULL. Any thread. Equal arguments give equal bytes.
// Numerics: an f32 runtime gives the outputs of our own backends up to the order of summation; 1e-5
// for outputs of size 1.
// Source: ONNX operator specifications, opsets 13 to 20.
SAC_NODISCARD sac_status sac_onnx_export(uint8_t **data, size_t *size, const sac_net *net,
                                         const sac_params *params,
                                         const sac_onnx_export_options *options, sac_error *error);

#endif
