// Networks written as ONNX files by tests/onnx_make.h: together they use every operator and variant
// that the importer reads, and full ResNet-50, SqueezeNet 1.1 and MobileNetV3 blocks. Weights are
// generated.
#ifndef SAC_TESTS_ONNX_MODELS_H
#define SAC_TESTS_ONNX_MODELS_H

#include "onnx_make.h"

// Convolutions: automatic padding, unequal padding, dilation, groups, a bias kept as half floats.
MAKE_UNUSED static void model_conv(onnx_make *m) {
    make_start(m, 11);
    make_input(m, "x", DIMS(0, 6, 11, 10));
    make_conv_begin(m, "x", "upper", 6, 8, 3, 3, 2, true);
    make_attr_text(m, "auto_pad", "SAME_UPPER");
    make_attr_ints(m, "strides", DIMS(2, 2));
    make_end(m);
    make_conv_begin(m, "x", "lower", 6, 4, 4, 2, 1, false);
    make_attr_text(m, "auto_pad", "SAME_LOWER");
    make_end(m);
    make_conv_begin(m, "lower", "valid", 4, 4, 2, 2, 4, true);
    make_attr_text(m, "auto_pad", "VALID");
    make_end(m);
    make_weights(m, "uneven.w", DIMS(5, 6, 3, 3), 0.3f, 0);
    const uint16_t half[5] = {0x3c00, 0xb800, 0x0001, 0x2e66, 0x8000}; // 1, -0.5, 2^-24, 0.1, -0
    make_tensor_bytes(m, "uneven.h", 10, DIMS(5), half, sizeof half);
    make_begin(m, "Cast", "uneven.h", "uneven.b");
    make_attr_int(m, "to", 1);
    make_end(m);
    make_begin(m, "Conv", "x uneven.w uneven.b", "uneven");
    make_attr_ints(m, "pads", DIMS(0, 1, 2, 3));
    make_attr_ints(m, "dilations", DIMS(2, 3));
    make_attr_ints(m, "strides", DIMS(1, 2));
    make_end(m);
    make_output(m, "upper");
    make_output(m, "valid");
    make_output(m, "uneven");
}

MAKE_UNUSED static void model_pool(onnx_make *m) {
    make_start(m, 11);
    make_input(m, "x", DIMS(0, 5, 12, 13));
    make_pool(m, "MaxPool", "x", "max", 3, 2, 0, true, false);
    make_pool(m, "MaxPool", "x", "max_pad", 3, 2, 1, true, false);
    make_pool(m, "AveragePool", "x", "mean_up", 3, 2, 0, true, false);
    make_pool(m, "AveragePool", "x", "mean_pad", 3, 2, 1, true, false);
    make_pool(m, "AveragePool", "x", "mean_counted", 3, 1, 1, false, true);
    make_begin(m, "MaxPool", "x", "max_same");
    make_attr_ints(m, "kernel_shape", DIMS(2, 4));
    make_attr_ints(m, "strides", DIMS(1, 2));
    make_attr_text(m, "auto_pad", "SAME_UPPER");
    make_end(m);
    make_node(m, "GlobalMaxPool", "x", "highest");
    make_node(m, "GlobalAveragePool", "x", "middle");
    make_begin(m, "ReduceMean", "x", "mean_flat");
    make_attr_ints(m, "axes", DIMS(-1, 2));
    make_attr_int(m, "keepdims", 0);
    make_end(m);
    make_begin(m, "ReduceMax", "x", "max_kept");
    make_attr_ints(m, "axes", DIMS(2, 3));
    make_end(m);
    static const char *const outputs[] = {"max",          "max_pad",  "mean_up", "mean_pad",
                                          "mean_counted", "max_same", "highest", "mean_flat",
                                          "max_kept",     "middle"};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) make_output(m, outputs[i]);
}

MAKE_UNUSED static void model_activations(onnx_make *m) {
    static const char *const plain[] = {"Relu", "Sigmoid", "HardSwish", "Mish", "Tanh", "Gelu"};
    make_start(m, 20);
    make_input(m, "in", DIMS(1, 4, 5, 6));
    make_number(m, "four", 4);
    make_number(m, "lowest", -1.5f);
    make_number(m, "most", 2.5f);
    make_number(m, "zero", 0);
    make_number(m, "slope", 0.2f);
    make_node(m, "Mul", "four in", "x"); // values in [-4, 4)
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        make_node(m, plain[i], "x", plain[i]);
        make_output(m, plain[i]);
    }
    make_begin(m, "LeakyRelu", "x", "leaky");
    make_attr_float(m, "alpha", 0.3f);
    make_end(m);
    make_begin(m, "HardSigmoid", "x", "hard");
    make_attr_float(m, "alpha", 0.25f);
    make_attr_float(m, "beta", 0.4f);
    make_end(m);
    make_node(m, "Clip", "x lowest most", "clip");
    make_node(m, "Clip", "x _ most", "clip_above");
    make_node(m, "Clip", "x zero", "clip_below");
    make_node(m, "PRelu", "x slope", "prelu");
    make_node(m, "Mul", "Sigmoid x", "silu");
    make_node(m, "Mul", "x hard", "gated");
    make_node(m, "Softplus", "x", "softplus");
    make_node(m, "Tanh", "softplus", "tanh_softplus");
    make_node(m, "Mul", "x tanh_softplus", "mish_parts");
    static const char *const outputs[] = {"leaky", "hard", "clip",  "clip_above", "clip_below",
                                          "prelu", "silu", "gated", "mish_parts"};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) make_output(m, outputs[i]);
}

MAKE_UNUSED static void model_arithmetic(onnx_make *m) {
    make_start(m, 13);
    make_input(m, "x", DIMS(0, 4, 5, 6));
    make_input(m, "y", DIMS(0, 4, 5, 6));
    make_number(m, "number", 1.75f);
    make_weights(m, "channel", DIMS(1, 4, 1, 1), 0.5f, 1.5f);
    make_weights(m, "columns", DIMS(6), 0.5f, 1.5f);
    make_number(m, "two", 2);
    make_node(m, "Add", "x number", "a1");
    make_node(m, "Sub", "a1 channel", "a2");
    make_node(m, "Mul", "channel a2", "a3");
    make_node(m, "Div", "a3 number", "a4");
    make_node(m, "Sub", "number a4", "a5");
    make_node(m, "Sub", "channel a5", "a6");
    make_node(m, "Div", "a6 channel", "a7");
    make_node(m, "Mul", "a7 columns", "a8");
    make_node(m, "Sub", "a8 y", "b1");
    make_node(m, "Mul", "b1 x", "b2");
    make_node(m, "Pow", "y two", "b3");
    make_node(m, "Neg", "b3", "b4");
    make_node(m, "Sum", "b2 b4 x", "sum");
    make_node(m, "GlobalAveragePool", "x", "factor");
    make_node(m, "Mul", "factor y", "excited");
    make_output(m, "a8");
    make_output(m, "sum");
    make_output(m, "excited");
}

// Arithmetic on shapes as exporters write it, and everything that moves elements.
MAKE_UNUSED static void model_shapes(onnx_make *m) {
    make_start(m, 13);
    make_input(m, "x", DIMS(0, 6, 4, 5));
    make_node(m, "Shape", "x", "shape");
    make_list(m, "axis0", DIMS(0));
    make_list(m, "minus1", DIMS(-1));
    make_list(m, "three", DIMS(3));
    make_tensor_bytes(m, "index0", 7, 0, NULL, (const int64_t[]){0}, 8);
    make_tensor_bytes(m, "index1", 7, 0, NULL, (const int64_t[]){1}, 8);
    make_node(m, "Gather", "shape index0", "n");
    make_node(m, "Unsqueeze", "n axis0", "n1");
    make_node(m, "Gather", "shape index1", "c");
    make_node(m, "Unsqueeze", "c axis0", "c1");
    make_node(m, "Div", "c1 three", "c3");
    make_begin(m, "Concat", "n1 three c3 minus1", "wanted");
    make_attr_int(m, "axis", 0);
    make_end(m);
    make_node(m, "Reshape", "x wanted", "groups"); // [N][3][2][20]
    make_begin(m, "Transpose", "groups", "shuffled");
    make_attr_ints(m, "perm", DIMS(0, 2, 1, 3));
    make_end(m);
    make_begin(m, "Flatten", "shuffled", "flat");
    make_end(m);
    make_begin(m, "Constant", "", "sizes");
    make_attr_tensor(m, "value", DIMS(3), (const int64_t[]){1, 2, 3});
    make_end(m);
    make_begin(m, "Split", "x sizes", "s0 s1 s2");
    make_attr_int(m, "axis", 1);
    make_end(m);
    make_begin(m, "Concat", "s2 s0 s1", "rotated");
    make_attr_int(m, "axis", -3);
    make_end(m);
    make_list(m, "starts", DIMS(1, -4));
    make_list(m, "ends", DIMS(INT64_MAX, -1));
    make_list(m, "axes", DIMS(2, -1));
    make_list(m, "steps", DIMS(2, 1));
    make_node(m, "Slice", "x starts ends axes steps", "cut"); // rows 1 3, columns 1 2 3
    make_node(m, "Elu", "cut", "unused"); // unknown to the importer, but no output needs it
    make_begin(m, "Gather", "cut index1", "row");
    make_attr_int(m, "axis", 2);
    make_end(m);
    make_node(m, "Unsqueeze", "row minus1", "column");
    make_node(m, "Squeeze", "column minus1", "back");
    make_node(m, "Identity", "back", "same");
    make_node(m, "Dropout", "same", "dropped");
    make_begin(m, "Cast", "dropped", "cast");
    make_attr_int(m, "to", 1);
    make_end(m);
    make_output(m, "shuffled");
    make_output(m, "flat");
    make_output(m, "rotated");
    make_output(m, "column");
    make_output(m, "cast");
}

MAKE_UNUSED static void model_dense(onnx_make *m) {
    make_start(m, 17);
    make_input(m, "x", DIMS(0, 12));
    make_input(m, "tokens", DIMS(0, 7, 12));
    make_weights(m, "w1", DIMS(8, 12), 0.5f, 0);
    make_weights(m, "b1", DIMS(1, 8), 0.5f, 0);
    make_begin(m, "Gemm", "x w1 b1", "gemm");
    make_attr_int(m, "transB", 1);
    make_attr_float(m, "alpha", 0.5f);
    make_attr_float(m, "beta", 2);
    make_end(m);
    make_weights(m, "w2", DIMS(8, 5), 0.5f, 0);
    make_weights(m, "b2", DIMS(5), 0.5f, 0);
    make_node(m, "MatMul", "gemm w2", "product");
    make_node(m, "Add", "product b2", "biased");
    make_node(m, "Softmax", "biased", "prob");
    make_weights(m, "w3", DIMS(12, 16), 0.5f, 0);
    make_weights(m, "b3", DIMS(16), 0.5f, 0);
    make_node(m, "MatMul", "tokens w3", "rows");
    make_node(m, "Add", "b3 rows", "rows_biased");
    make_weights(m, "ln.w", DIMS(16), 0.3f, 1);
    make_weights(m, "ln.b", DIMS(16), 0.3f, 0);
    make_begin(m, "LayerNormalization", "rows_biased ln.w ln.b", "normal");
    make_attr_float(m, "epsilon", 1e-4f);
    make_end(m);
    make_begin(m, "Transpose", "normal", "turned");
    make_attr_ints(m, "perm", DIMS(0, 2, 1));
    make_end(m);
    make_node(m, "MatMul", "normal turned", "attention");
    make_begin(m, "Softmax", "attention", "weights");
    make_attr_int(m, "axis", 1);
    make_end(m);
    make_output(m, "prob");
    make_output(m, "rows_biased");
    make_output(m, "weights");
}

MAKE_UNUSED static void model_resize(onnx_make *m) {
    make_start(m, 13);
    make_input(m, "x", DIMS(0, 3, 4, 5));
    make_floats(m, "roi", DIMS(0), NULL);
    make_floats(m, "scales", DIMS(4), (const float[]){1, 1, 2, 3});
    make_list(m, "sizes", DIMS(1, 3, 12, 10));
    make_begin(m, "Resize", "x roi scales", "asymmetric");
    make_attr_text(m, "mode", "nearest");
    make_attr_text(m, "coordinate_transformation_mode", "asymmetric");
    make_attr_text(m, "nearest_mode", "floor");
    make_end(m);
    make_begin(m, "Resize", "x _ _ sizes", "half_pixel");
    make_attr_text(m, "mode", "nearest");
    make_end(m);
    make_list(m, "pads", DIMS(0, 0, 1, 2, 0, 0, 3, 0));
    make_node(m, "Pad", "x pads", "padded");
    make_conv(m, "padded", "conv", 3, 8, 3, 2, 1, 1, true);
    make_pool(m, "MaxPool", "padded", "pool", 2, 2, 0, false, false);
    make_output(m, "asymmetric");
    make_output(m, "half_pixel");
    make_output(m, "conv");
    make_output(m, "pool");
}

// Attributes where newer versions have inputs, and Softmax over several axes at once.
MAKE_UNUSED static void model_old(onnx_make *m) {
    make_start(m, 9);
    make_input(m, "x", DIMS(1, 4, 5, 6));
    make_floats(m, "scales", DIMS(4), (const float[]){1, 1, 2, 2});
    make_node(m, "Upsample", "x scales", "up");
    make_begin(m, "Slice", "up", "cut");
    make_attr_ints(m, "starts", DIMS(1, 2));
    make_attr_ints(m, "ends", DIMS(4, 100));
    make_attr_ints(m, "axes", DIMS(1, 3));
    make_end(m);
    make_begin(m, "Clip", "cut", "clip");
    make_attr_float(m, "min", -0.5f);
    make_attr_float(m, "max", 0.75f);
    make_end(m);
    make_begin(m, "Pad", "clip", "padded");
    make_attr_ints(m, "pads", DIMS(0, 0, 1, 1, 0, 0, 1, 1));
    make_attr_text(m, "mode", "constant");
    make_end(m);
    make_batch_norm(m, "padded", "normal", 3);
    make_begin(m, "Split", "normal", "left right");
    make_attr_int(m, "axis", 3);
    make_attr_ints(m, "split", DIMS(5, 7));
    make_end(m);
    make_begin(m, "Softmax", "right", "prob");
    make_attr_int(m, "axis", 2);
    make_end(m);
    make_begin(m, "Squeeze", "left", "unused");
    make_end(m);
    make_output(m, "prob");
    make_output(m, "left");
}

// --- architectures -----------------------------------------------------------------------------

// Convolution, normalisation and (relu) rectifier; the name of the result in `y`.
MAKE_UNUSED static void resnet_unit(onnx_make *m, const char *x, char *y, const char *name,
                                    int64_t in, int64_t out, int64_t k, int64_t s, bool relu) {
    char conv[64], norm[64];
    (void)snprintf(conv, sizeof conv, "%.40s.conv", name);
    (void)snprintf(norm, sizeof norm, "%.40s.bn", name);
    make_conv(m, x, conv, in, out, k, s, k / 2, 1, false);
    make_batch_norm(m, conv, norm, out);
    (void)snprintf(y, 48, "%.40s%s", name, relu ? ".relu" : ".bn");
    if (relu) make_node(m, "Relu", norm, y);
}

// ResNet-50: stages of 3, 4, 6 and 3 bottlenecks, stride in the 3x3 convolution.
// Source: He et al., Deep Residual Learning, CVPR 2016, table 1.
MAKE_UNUSED static void model_resnet50(onnx_make *m) {
    static const int blocks[4] = {3, 4, 6, 3};
    char x[48], y[48], z[48], short_cut[48], name[48], inputs[100];
    int64_t channels = 64;
    make_start(m, 11);
    make_input(m, "image", DIMS(0, 3, 0, 0));
    resnet_unit(m, "image", y, "stem", 3, 64, 7, 2, true);
    make_pool(m, "MaxPool", y, "pool", 3, 2, 1, false, false);
    (void)snprintf(x, sizeof x, "pool");
    for (int stage = 0; stage < 4; stage++) {
        const int64_t width = 64 << stage;
        for (int b = 0; b < blocks[stage]; b++) {
            const int64_t s = b == 0 && stage > 0 ? 2 : 1;
            (void)snprintf(name, sizeof name, "s%d.%d.a", stage, b);
            resnet_unit(m, x, y, name, channels, width, 1, 1, true);
            (void)snprintf(name, sizeof name, "s%d.%d.b", stage, b);
            resnet_unit(m, y, z, name, width, width, 3, s, true);
            (void)snprintf(name, sizeof name, "s%d.%d.c", stage, b);
            resnet_unit(m, z, y, name, width, 4 * width, 1, 1, false);
            (void)snprintf(short_cut, sizeof short_cut, "%s", x);
            (void)snprintf(name, sizeof name, "s%d.%d.d", stage, b);
            if (b == 0) resnet_unit(m, x, short_cut, name, channels, 4 * width, 1, s, false);
            (void)snprintf(inputs, sizeof inputs, "%s %s", y, short_cut);
            (void)snprintf(z, sizeof z, "s%d.%d.sum", stage, b);
            make_node(m, "Add", inputs, z);
            // Halved, so that values do not grow from block to block.
            (void)snprintf(y, sizeof y, "s%d.%d.half", stage, b);
            (void)snprintf(inputs, sizeof inputs, "%s half", z);
            make_node(m, "Mul", inputs, y);
            (void)snprintf(x, sizeof x, "s%d.%d", stage, b);
            make_node(m, "Relu", y, x);
            channels = 4 * width;
        }
    }
    make_number(m, "half", 0.5f);
    make_node(m, "GlobalAveragePool", x, "features");
    make_node(m, "Flatten", "features", "flat");
    make_weights(m, "fc.w", DIMS(1000, 2048), 0.05f, 0);
    make_weights(m, "fc.b", DIMS(1000), 0.1f, 0);
    make_begin(m, "Gemm", "flat fc.w fc.b", "logits");
    make_attr_int(m, "transB", 1);
    make_end(m);
    make_output(m, "logits");
}

// SqueezeNet 1.1. Source: Iandola et al., arXiv:1602.07360, and the published v1.1 variant.
MAKE_UNUSED static void model_squeezenet(onnx_make *m) {
    static const int64_t squeeze[8] = {16, 16, 32, 32, 48, 48, 64, 64};
    char x[48] = "pool1", name[48], inputs[140], a[48], b[64], c[64];
    int64_t channels = 64;
    make_start(m, 11);
    make_input(m, "data", DIMS(0, 3, 63, 63));
    make_conv(m, "data", "conv1", 3, 64, 3, 2, 0, 1, true);
    make_node(m, "Relu", "conv1", "relu1");
    make_pool(m, "MaxPool", "relu1", "pool1", 3, 2, 0, true, false);
    for (int f = 0; f < 8; f++) {
        const int64_t s = squeeze[f];
        (void)snprintf(name, sizeof name, "fire%d.s", f + 2);
        make_conv(m, x, name, channels, s, 1, 1, 0, 1, true);
        (void)snprintf(a, sizeof a, "fire%d.r", f + 2);
        make_node(m, "Relu", name, a);
        for (int e = 0; e < 2; e++) {
            (void)snprintf(name, sizeof name, "fire%d.e%d", f + 2, e);
            make_conv(m, a, name, s, 4 * s, e == 0 ? 1 : 3, 1, e, 1, true);
            (void)snprintf(b, sizeof b, "%s.relu", name);
            make_node(m, "Relu", name, b);
            if (e == 0) memcpy(c, b, sizeof c);
        }
        (void)snprintf(inputs, sizeof inputs, "%s %s", c, b);
        (void)snprintf(x, sizeof x, "fire%d", f + 2);
        make_begin(m, "Concat", inputs, x);
        make_attr_int(m, "axis", 1);
        make_end(m);
        channels = 8 * s;
        if (f == 1 || f == 3) {
            (void)snprintf(name, sizeof name, "pool%d", f + 2);
            make_pool(m, "MaxPool", x, name, 3, 2, 0, true, false);
            memcpy(x, name, sizeof x);
        }
    }
    make_conv(m, x, "conv10", channels, 1000, 1, 1, 0, 1, true);
    make_node(m, "Relu", "conv10", "relu10");
    make_node(m, "GlobalAveragePool", "relu10", "features");
    make_begin(m, "Softmax", "features", "prob");
    make_attr_int(m, "axis", 1);
    make_end(m);
    make_output(m, "features");
    make_output(m, "prob");
}

// Two MobileNetV3 blocks: depthwise convolutions, squeeze and excitation, hard swish in the three
// ways exporters write it, ReLU6. Source: Howard et al., Searching for MobileNetV3, ICCV 2019,
// figure 4.
MAKE_UNUSED static void model_mobilenet(onnx_make *m) {
    make_start(m, 14);
    make_input(m, "x", DIMS(0, 3, 32, 32));
    make_number(m, "three", 3);
    make_number(m, "zero", 0);
    make_number(m, "six", 6);
    make_conv(m, "x", "c0", 3, 16, 3, 2, 1, 1, false);
    make_batch_norm(m, "c0", "n0", 16);
    make_node(m, "HardSwish", "n0", "h0");
    make_conv(m, "h0", "c1", 16, 64, 1, 1, 0, 1, false);
    make_batch_norm(m, "c1", "n1", 64);
    make_node(m, "Add", "n1 three", "p1"); // x relu6(x + 3) / 6
    make_node(m, "Clip", "p1 zero six", "q1");
    make_node(m, "Mul", "n1 q1", "r1");
    make_node(m, "Div", "r1 six", "h1");
    make_conv(m, "h1", "c2", 64, 64, 5, 2, 2, 64, false);
    make_batch_norm(m, "c2", "n2", 64);
    make_begin(m, "HardSigmoid", "n2", "g2");
    make_attr_float(m, "alpha", 1.0f / 6);
    make_end(m);
    make_node(m, "Mul", "n2 g2", "h2");
    make_node(m, "GlobalAveragePool", "h2", "se0");
    make_conv(m, "se0", "se1", 64, 16, 1, 1, 0, 1, true);
    make_node(m, "Relu", "se1", "se2");
    make_conv(m, "se2", "se3", 16, 64, 1, 1, 0, 1, true);
    make_begin(m, "HardSigmoid", "se3", "se4");
    make_attr_float(m, "alpha", 1.0f / 6);
    make_end(m);
    make_node(m, "Mul", "se4 h2", "e2");
    make_conv(m, "e2", "c3", 64, 24, 1, 1, 0, 1, false);
    make_batch_norm(m, "c3", "n3", 24);
    make_conv(m, "n3", "c4", 24, 72, 1, 1, 0, 1, false);
    make_batch_norm(m, "c4", "n4", 72);
    make_node(m, "Clip", "n4 zero six", "r4");
    make_conv(m, "r4", "c5", 72, 72, 3, 1, 1, 72, false);
    make_batch_norm(m, "c5", "n5", 72);
    make_node(m, "Clip", "n5 zero six", "r5");
    make_conv(m, "r5", "c6", 72, 24, 1, 1, 0, 1, false);
    make_batch_norm(m, "c6", "n6", 24);
    make_node(m, "Add", "n3 n6", "out");
    make_output(m, "out");
}

// A YOLOX network in small: space to depth by slices, SiLU, pooling pyramid, nearest upsampling,
// and for each of three grids box, object and class maps joined to [N][cells][5 + 2].
MAKE_UNUSED static void model_yolox(onnx_make *m) {
    char inputs[120], name[48], part[3][48];
    make_start(m, 11);
    make_input(m, "images", DIMS(1, 3, 64, 96));
    make_list(m, "even", DIMS(0));
    make_list(m, "odd", DIMS(1));
    make_list(m, "end", DIMS(INT64_MAX));
    make_list(m, "rows", DIMS(2));
    make_list(m, "columns", DIMS(3));
    make_list(m, "two", DIMS(2));
    for (int k = 0; k < 4; k++) {
        (void)snprintf(inputs, sizeof inputs, "images %s end rows two", k % 2 ? "odd" : "even");
        (void)snprintf(name, sizeof name, "r%d", k);
        make_node(m, "Slice", inputs, name);
        (void)snprintf(inputs, sizeof inputs, "r%d %s end columns two", k, k / 2 ? "odd" : "even");
        (void)snprintf(name, sizeof name, "q%d", k);
        make_node(m, "Slice", inputs, name);
    }
    make_begin(m, "Concat", "q0 q1 q2 q3", "focus");
    make_attr_int(m, "axis", 1);
    make_end(m);
    static const int64_t widths[5] = {12, 8, 12, 16, 24};
    char x[48] = "focus";
    for (int l = 0; l < 4; l++) { // strides 4, 8, 16, 32
        (void)snprintf(name, sizeof name, "down%d", l);
        make_conv(m, x, name, widths[l], widths[l + 1], 3, 2, 1, 1, true);
        (void)snprintf(inputs, sizeof inputs, "gate%d", l);
        make_node(m, "Sigmoid", name, inputs);
        (void)snprintf(x, sizeof x, "level%d", l);
        (void)snprintf(inputs, sizeof inputs, "down%d gate%d", l, l);
        make_node(m, "Mul", inputs, x);
    }
    make_pool(m, "MaxPool", "level3", "spp5", 3, 1, 1, false, false);
    make_begin(m, "Concat", "level3 spp5", "spp");
    make_attr_int(m, "axis", 1);
    make_end(m);
    make_floats(m, "roi", DIMS(0), NULL);
    make_floats(m, "twice", DIMS(4), (const float[]){1, 1, 2, 2});
    make_begin(m, "Resize", "spp roi twice", "up");
    make_attr_text(m, "mode", "nearest");
    make_attr_text(m, "coordinate_transformation_mode", "asymmetric");
    make_attr_text(m, "nearest_mode", "floor");
    make_end(m);
    make_begin(m, "Concat", "up level2", "neck");
    make_attr_int(m, "axis", 1);
    make_end(m);
    static const char *const feeds[3] = {"level1", "neck", "spp"};
    static const int64_t feed_width[3] = {12, 64, 48};
    make_list(m, "flat", DIMS(1, 7, -1));
    for (int g = 0; g < 3; g++) {
        (void)snprintf(name, sizeof name, "box%d", g);
        make_conv(m, feeds[g], name, feed_width[g], 4, 1, 1, 0, 1, true);
        (void)snprintf(name, sizeof name, "prob%d", g);
        make_conv(m, feeds[g], name, feed_width[g], 3, 1, 1, 0, 1, true);
        (void)snprintf(inputs, sizeof inputs, "score%d", g);
        make_node(m, "Sigmoid", name, inputs);
        (void)snprintf(inputs, sizeof inputs, "box%d score%d", g, g);
        (void)snprintf(name, sizeof name, "map%d", g);
        make_begin(m, "Concat", inputs, name);
        make_attr_int(m, "axis", 1);
        make_end(m);
        (void)snprintf(inputs, sizeof inputs, "map%d flat", g);
        (void)snprintf(part[g], sizeof part[g], "part%d", g);
        make_node(m, "Reshape", inputs, part[g]);
    }
    (void)snprintf(inputs, sizeof inputs, "%.20s %.20s %.20s", part[0], part[1], part[2]);
    make_begin(m, "Concat", inputs, "joined");
    make_attr_int(m, "axis", 2);
    make_end(m);
    make_begin(m, "Transpose", "joined", "output");
    make_attr_ints(m, "perm", DIMS(0, 2, 1));
    make_end(m);
    make_output(m, "output");
}

typedef struct onnx_model {
    const char *name;
    void (*make)(onnx_make *m);
} onnx_model;

MAKE_UNUSED static const onnx_model onnx_models[] = {
    {"conv", model_conv},
    {"pool", model_pool},
    {"activations", model_activations},
    {"arithmetic", model_arithmetic},
    {"shapes", model_shapes},
    {"dense", model_dense},
    {"resize", model_resize},
    {"old", model_old},
    {"mobilenet", model_mobilenet},
    {"yolox", model_yolox},
    {"squeezenet", model_squeezenet},
    {"resnet50", model_resnet50},
};
#define ONNX_MODELS (sizeof onnx_models / sizeof onnx_models[0])

// Input number `index` of a network: generated values in [-1, 1).
MAKE_UNUSED static void onnx_model_fill(float *x, int64_t count, int index) {
    for (int64_t i = 0; i < count; i++) x[i] = make_value(1000u + (uint32_t)index, (uint32_t)i);
}

#endif
