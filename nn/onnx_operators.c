// Which function imports which ONNX operator. Names not listed here are refused.
#include <stdlib.h>
#include <string.h>

#include "nn/onnx_import.h"

static int by_name(const void *key, const void *entry) {
    return strcmp(key, ((const onnx_operator *)entry)->name);
}

const onnx_operator *onnx_operator_of(const char *name) {
    // In strcmp order.
    static const onnx_operator table[] = {
        {"Add", onnx_fold_binary, onnx_add},
        {"AveragePool", NULL, onnx_pool},
        {"BatchNormalization", NULL, onnx_batch_norm},
        {"Cast", onnx_fold_cast, onnx_same},
        {"Ceil", onnx_fold_unary, NULL},
        {"Clip", NULL, onnx_clip},
        {"Concat", onnx_fold_concat, onnx_concat},
        {"Constant", onnx_fold_constant, NULL},
        {"ConstantOfShape", onnx_fold_constant_of_shape, NULL},
        {"Conv", NULL, onnx_conv},
        {"DequantizeLinear", onnx_fold_dequantize, onnx_dequantize},
        {"Div", onnx_fold_binary, onnx_div},
        {"Dropout", onnx_fold_same, onnx_same},
        {"Flatten", NULL, onnx_flatten},
        {"Floor", onnx_fold_unary, NULL},
        {"Gather", onnx_fold_gather, onnx_gather},
        {"Gelu", NULL, onnx_activation},
        {"Gemm", NULL, onnx_gemm},
        {"GlobalAveragePool", NULL, onnx_global_pool},
        {"GlobalMaxPool", NULL, onnx_global_pool},
        {"HardSigmoid", NULL, onnx_activation},
        {"HardSwish", NULL, onnx_activation},
        {"Identity", onnx_fold_same, onnx_same},
        {"LayerNormalization", NULL, onnx_layer_norm},
        {"LeakyRelu", NULL, onnx_activation},
        {"MatMul", NULL, onnx_matmul},
        {"MaxPool", NULL, onnx_pool},
        {"Mish", NULL, onnx_activation},
        {"Mul", onnx_fold_binary, onnx_mul},
        {"Neg", onnx_fold_unary, onnx_neg},
        {"PRelu", NULL, onnx_prelu},
        {"Pad", NULL, onnx_pad},
        {"Pow", NULL, onnx_pow},
        {"QuantizeLinear", NULL, onnx_quantize},
        {"Range", onnx_fold_range, NULL},
        {"ReduceMax", NULL, onnx_reduce},
        {"ReduceMean", NULL, onnx_reduce},
        {"Relu", NULL, onnx_activation},
        {"Reshape", onnx_fold_reshape, onnx_reshape},
        {"Resize", NULL, onnx_resize},
        {"Shape", onnx_fold_shape, onnx_fold_shape},
        {"Sigmoid", NULL, onnx_activation},
        {"Slice", onnx_fold_slice, onnx_slice},
        {"Softmax", NULL, onnx_softmax},
        {"Softplus", NULL, onnx_activation},
        {"Split", NULL, onnx_split},
        {"Sqrt", onnx_fold_unary, NULL},
        {"Squeeze", onnx_fold_squeeze, onnx_squeeze},
        {"Sub", onnx_fold_binary, onnx_sub},
        {"Sum", NULL, onnx_add},
        {"Swish", NULL, onnx_activation},
        {"Tanh", NULL, onnx_activation},
        {"Transpose", onnx_fold_transpose, onnx_transpose},
        {"Unsqueeze", onnx_fold_unsqueeze, onnx_unsqueeze},
        {"Upsample", NULL, onnx_resize},
    };
    return bsearch(name, table, sizeof table / sizeof table[0], sizeof table[0], by_name);
}
