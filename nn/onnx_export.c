// Export of networks as ONNX; see nn/onnx_export.h. One function per group of operators turns a
// node into ONNX nodes; the message itself is built by nn/onnx_writer.h.
#include "nn/onnx_export.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/fold.h"
#include "nn/onnx_writer.h"
#include "nn/op.h"
#include "nn/plan.h"
#include "saccade/version.h"

#define MIN_OPSET 13

typedef struct exporter {
    onnx_writer w;
    const sac_net *net; // folded
    sac_params *params;
    sac_shape *shapes;   // [count], batch 1
    const char **values; // [count] name under which a node's value is read
    float *scales;       // [count] of nodes whose value is u8 steps; 0: f32
    float *centred;      // [count] of those whose value is u8 steps around 128; 0: it is not
    const char *dst;     // name that the node being written gives its value
    const sac_onnx_export_options *options;
    sac_error *error;
} exporter;

#define NAMES(...)                                                                                 \
    (const char *const[]){__VA_ARGS__},                                                            \
        (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

// "BASE.suffix", made different from every node's name.
static const char *inner(exporter *e, const char *base, const char *suffix) {
    char *name =
        base != NULL && suffix != NULL ? onnx_writer_text(&e->w, "%s.%s", base, suffix) : NULL;
    while (name != NULL && sac_net_find(e->net, name) >= 0)
        name = onnx_writer_text(&e->w, "%s_", name);
    return name;
}

static const char *floats(exporter *e, const sac_node *node, const char *suffix,
                          const sac_param *param) {
    return onnx_writer_tensor(&e->w, inner(e, node->name, suffix), ONNX_FLOAT, param->shape.ndims,
                              param->shape.dims, param->data);
}

static const char *scalar(exporter *e, const sac_node *node, const char *suffix, double value) {
    const float data = (float)value;
    return onnx_writer_tensor(&e->w, inner(e, node->name, suffix), ONNX_FLOAT, 0, NULL, &data);
}

static const char *whole(exporter *e, const char *base, const char *suffix, int count,
                         const int64_t *data) {
    const int64_t dims[1] = {count};
    return onnx_writer_tensor(&e->w, inner(e, base, suffix), ONNX_INT64, 1, dims, data);
}

// One node from one value to another.
static onnx_out *step(exporter *e, const char *op, const char *dst, const char *src) {
    return onnx_writer_node(&e->w, op, dst, &src, 1);
}

static onnx_out *step2(exporter *e, const char *op, const char *dst, const char *a, const char *b) {
    return onnx_writer_node(&e->w, op, dst, NAMES(a, b));
}

static void need_opset(exporter *e, int64_t opset) {
    if (e->w.opset < opset) e->w.opset = opset;
}

// --- 8 bits ------------------------------------------------------------------------------------

// dst = scale * (saturate_u8(round_half_even(src / scale) + zero) - zero): the pair that runtimes
// recognise.
static void round_u8(exporter *e, const char *base, const char *dst, const char *src, float scale,
                     uint8_t zero) {
    const char *step_size =
        onnx_writer_tensor(&e->w, inner(e, base, "scale"), ONNX_FLOAT, 0, NULL, &scale);
    const char *zero_point =
        onnx_writer_tensor(&e->w, inner(e, base, "zero"), ONNX_UINT8, 0, NULL, &zero);
    const char *q = inner(e, base, "u8");
    (void)onnx_writer_node(&e->w, "QuantizeLinear", q, NAMES(src, step_size, zero_point));
    (void)onnx_writer_node(&e->w, "DequantizeLinear", dst, NAMES(q, step_size, zero_point));
}

// dst[c][...] = scales[c] * q[c][...] of a constant of s8 or s32.
static const char *dequantised(exporter *e, const char *base, onnx_type type,
                               const sac_shape *shape, const void *q, const float *scales) {
    const int64_t channels[1] = {shape->dims[0]};
    const char *dst = inner(e, base, "f32");
    const char *steps = onnx_writer_tensor(&e->w, inner(e, base, type == ONNX_INT8 ? "s8" : "s32"),
                                           type, shape->ndims, shape->dims, q);
    const char *sizes =
        onnx_writer_tensor(&e->w, inner(e, base, "scales"), ONNX_FLOAT, 1, channels, scales);
    const void *zeros = onnx_writer_alloc(&e->w, channels[0], sizeof(int32_t));
    if (zeros == NULL) return NULL;
    const char *zero_points =
        onnx_writer_tensor(&e->w, inner(e, base, "zeros"), type, 1, channels, zeros);
    onnx_out *out =
        onnx_writer_node(&e->w, "DequantizeLinear", dst, NAMES(steps, sizes, zero_points));
    onnx_writer_int(&e->w, out, "axis", 0);
    return dst;
}

// Whether the value of node `index`, perhaps behind activations, is rounded to u8 and nothing else.
// Runtimes then run a conv or dense in integers, and want a bias of integers for that.
static bool ends_in_u8(const exporter *e, int index) {
    for (;;) {
        int reader = -1, readers = 0;
        if (e->scales[index] > 0 || e->centred[index] > 0) return true;
        for (int i = index + 1; i < sac_net_count(e->net); i++) {
            const sac_node *node = sac_net_node(e->net, i);
            for (int s = 0; s < node->src_count; s++) {
                if (node->src[s] != index) continue;
                reader = i;
                readers++;
            }
        }
        if (readers != 1) return false;
        const sac_op_kind kind = sac_net_node(e->net, reader)->kind;
        if (kind == SAC_OP_FAKE_QUANT) return true;
        if (kind != SAC_OP_RELU && kind != SAC_OP_CLIP) return false;
        index = reader;
    }
}

// Bias in steps of scales[c] * src_scale, which replaces scales; NULL when it does not fit s32.
static const char *bias_s32(exporter *e, const sac_node *node, const sac_param *param,
                            float *scales, float src_scale) {
    int32_t *steps = onnx_writer_alloc(&e->w, param->count, sizeof *steps);
    if (steps == NULL) return NULL;
    for (int64_t c = 0; c < param->count; c++) {
        scales[c] *= src_scale;
        const double value = rint((double)param->data[c] / (double)scales[c]);
        if (!(scales[c] > 0) || !(fabs(value) <= (double)INT32_MAX)) return NULL;
        steps[c] = (int32_t)value;
    }
    return dequantised(e, inner(e, node->name, "bias"), ONNX_INT32, &param->shape, steps, scales);
}

// Writes a conv or dense that reads `src`, with weights and bias of its kind.
static onnx_out *weighted(exporter *e, const char *op, int index, sac_param *const param[4],
                          const char *src) {
    const sac_node *node = sac_net_node(e->net, index);
    const float src_scale = e->scales[node->src[0]];
    const char *inputs[3] = {src, NULL, NULL};
    if (node->attrs.weight_quant || (e->options->quant != NULL && src_scale > 0)) {
        const int64_t channels = param[0]->shape.dims[0];
        int8_t *q = onnx_writer_alloc(&e->w, param[0]->count, sizeof *q);
        float *scales = onnx_writer_alloc(&e->w, channels, sizeof *scales);
        if (q == NULL || scales == NULL) return NULL;
        sac_quant_weights(q, scales, param[0]->data, channels, param[0]->count / channels);
        inputs[1] =
            dequantised(e, inner(e, node->name, "weight"), ONNX_INT8, &param[0]->shape, q, scales);
        if (node->attrs.bias && src_scale > 0 && ends_in_u8(e, index))
            inputs[2] = bias_s32(e, node, param[1], scales, src_scale);
    } else {
        inputs[1] = floats(e, node, "weight", param[0]);
    }
    if (node->attrs.bias && inputs[2] == NULL) inputs[2] = floats(e, node, "bias", param[1]);
    return onnx_writer_node(&e->w, op, e->dst, inputs, node->attrs.bias ? 3 : 2);
}

// --- windows -----------------------------------------------------------------------------------

// Kernel, stride and padding of the axes in space: attributes of conv and pools, 2D or 3D.
static void window(exporter *e, onnx_out *out, const sac_attrs *attrs, int ndims) {
    const int space = ndims - 2, first = 3 - space;
    int64_t pads[6];
    bool padded = false;
    for (int a = 0; a < space; a++) {
        pads[a] = attrs->pad[first + a];
        pads[space + a] = attrs->pad[first + a] + attrs->pad_extra[first + a];
        padded = padded || pads[space + a] != 0;
    }
    onnx_writer_ints(&e->w, out, "kernel_shape", space, attrs->kernel + first);
    onnx_writer_ints(&e->w, out, "strides", space, attrs->stride + first);
    if (padded) onnx_writer_ints(&e->w, out, "pads", 2 * space, pads);
}

static void conv(exporter *e, int index, sac_param *const param[4], const sac_shape *shape,
                 const char *src) {
    const sac_node *node = sac_net_node(e->net, index);
    const int space = shape->ndims - 2;
    onnx_out *out = weighted(e, "Conv", index, param, src);
    int64_t dilations[3];
    bool dilated = false;
    for (int a = 0; a < space; a++) {
        dilations[a] = node->attrs.dilation[3 - space + a] + 1;
        dilated = dilated || dilations[a] > 1;
    }
    window(e, out, &node->attrs, shape->ndims);
    if (dilated) onnx_writer_ints(&e->w, out, "dilations", space, dilations);
    if (node->attrs.groups > 1) onnx_writer_int(&e->w, out, "group", node->attrs.groups);
}

static void pool(exporter *e, const sac_node *node, const sac_shape *shape, const char *src) {
    const bool max = node->kind == SAC_OP_MAX_POOL;
    onnx_out *out = step(e, max ? "MaxPool" : "AveragePool", e->dst, src);
    window(e, out, &node->attrs, shape->ndims);
    if (!max) onnx_writer_int(&e->w, out, "count_include_pad", node->attrs.count_pad ? 1 : 0);
}

// --- adaptive pooling --------------------------------------------------------------------------

// Cell i of `cells` along an axis of `size` covers [begin, end).
static int64_t cell_begin(int64_t i, int64_t size, int64_t cells) {
    return i * size / cells;
}

static int64_t cell_end(int64_t i, int64_t size, int64_t cells) {
    return ((i + 1) * size + cells - 1) / cells;
}

static const char *const axis_names[3] = {"depth", "rows", "columns"};

// The maximum knows no repetition: every cell becomes a window of the longest cell's length, filled
// up with its last place again. One Gather lays the windows side by side.
static const char *spread(exporter *e, const sac_node *node, const char *src, int axis,
                          int64_t size, int64_t cells, int a, int64_t *length) {
    *length = 0;
    for (int64_t i = 0; i < cells; i++) {
        const int64_t n = cell_end(i, size, cells) - cell_begin(i, size, cells);
        if (n > *length) *length = n;
    }
    int64_t *index = onnx_writer_alloc(&e->w, cells * *length, sizeof *index);
    if (index == NULL) return NULL;
    for (int64_t i = 0; i < cells; i++) {
        const int64_t begin = cell_begin(i, size, cells), end = cell_end(i, size, cells);
        for (int64_t k = 0; k < *length; k++)
            index[i * *length + k] = begin + k < end ? begin + k : end - 1;
    }
    const int64_t dims[1] = {cells * *length};
    const char *dst = inner(e, node->name, axis_names[a]);
    const char *places =
        onnx_writer_tensor(&e->w, inner(e, dst, "places"), ONNX_INT64, 1, dims, index);
    onnx_writer_int(&e->w, step2(e, "Gather", dst, src, places), "axis", axis);
    return dst;
}

// The mean does: each cell is cut out and averaged along this axis, and the means are joined.
static const char *cell_means(exporter *e, const sac_node *node, const char *src, int axis,
                              int ndims, int64_t size, int64_t cells, int a) {
    const char **parts = onnx_writer_alloc(&e->w, cells, sizeof *parts);
    const char *dst = inner(e, node->name, axis_names[a]);
    if (parts == NULL || dst == NULL) return NULL;
    const int64_t axes[1] = {axis};
    const char *axis_list = whole(e, dst, "axis", 1, axes);
    for (int64_t i = 0; i < cells; i++) {
        const int64_t from[1] = {cell_begin(i, size, cells)}, to[1] = {cell_end(i, size, cells)};
        const char *cell = inner(e, dst, onnx_writer_text(&e->w, "%" PRId64, i));
        const char *cut = inner(e, cell, "cut");
        (void)onnx_writer_node(
            &e->w, "Slice", cut,
            NAMES(src, whole(e, cell, "from", 1, from), whole(e, cell, "to", 1, to), axis_list));
        parts[i] = inner(e, cell, "mean");
        onnx_out *mean = step(e, "AveragePool", parts[i], cut);
        int64_t kernel[3] = {1, 1, 1};
        kernel[axis - 2] = to[0] - from[0];
        onnx_writer_ints(&e->w, mean, "kernel_shape", ndims - 2, kernel);
    }
    if (cells == 1) {
        (void)step(e, "Identity", dst, parts[0]);
    } else {
        onnx_out *joined = onnx_writer_node(&e->w, "Concat", dst, parts, (int)cells);
        onnx_writer_int(&e->w, joined, "axis", axis);
    }
    return dst;
}

static void adaptive_pool(exporter *e, const sac_node *node, const sac_shape *shape,
                          const char *src) {
    const bool max = node->kind == SAC_OP_ADAPTIVE_MAX_POOL;
    const int space = shape->ndims - 2, first = 3 - space;
    int64_t kernel[3] = {1, 1, 1};
    bool global = true, same = true;
    for (int a = 0; a < space; a++) {
        global = global && node->attrs.size[first + a] == 1;
        same = same && node->attrs.size[first + a] == shape->dims[2 + a];
    }
    if (same) {
        (void)step(e, "Identity", e->dst, src);
        return;
    }
    if (global) {
        (void)step(e, max ? "GlobalMaxPool" : "GlobalAveragePool", e->dst, src);
        return;
    }
    for (int a = 0; a < space; a++) {
        const int64_t size = shape->dims[2 + a], cells = node->attrs.size[first + a];
        if (size % cells == 0) {
            kernel[a] = size / cells;
        } else if (max) {
            src = spread(e, node, src, 2 + a, size, cells, first + a, &kernel[a]);
        } else {
            src = cell_means(e, node, src, 2 + a, shape->ndims, size, cells, first + a);
        }
    }
    onnx_out *out = step(e, max ? "MaxPool" : "AveragePool", e->dst, src);
    onnx_writer_ints(&e->w, out, "kernel_shape", space, kernel);
    onnx_writer_ints(&e->w, out, "strides", space, kernel);
}

// --- layers without windows --------------------------------------------------------------------

static void dense(exporter *e, int index, sac_param *const param[4], const sac_shape *shape,
                  const char *src) {
    if (shape->ndims > 2) {
        const char *flat = inner(e, sac_net_node(e->net, index)->name, "flat");
        onnx_writer_int(&e->w, step(e, "Flatten", flat, src), "axis", 1);
        src = flat;
    }
    onnx_writer_int(&e->w, weighted(e, "Gemm", index, param, src), "transB", 1);
}

static void batch_norm(exporter *e, const sac_node *node, sac_param *const param[4],
                       const char *src) {
    onnx_out *out = onnx_writer_node(
        &e->w, "BatchNormalization", e->dst,
        NAMES(src, floats(e, node, "weight", param[0]), floats(e, node, "bias", param[1]),
              floats(e, node, "running_mean", param[2]), floats(e, node, "running_var", param[3])));
    onnx_writer_real(&e->w, out, "epsilon", node->attrs.epsilon);
}

static void layer_norm(exporter *e, const sac_node *node, sac_param *const param[4],
                       const char *src) {
    need_opset(e, 17);
    onnx_out *out = onnx_writer_node(
        &e->w, "LayerNormalization", e->dst,
        NAMES(src, floats(e, node, "weight", param[0]), floats(e, node, "bias", param[1])));
    onnx_writer_int(&e->w, out, "axis", -1);
    onnx_writer_real(&e->w, out, "epsilon", node->attrs.epsilon);
}

static void upsample(exporter *e, const sac_node *node, const sac_shape *shape, const char *src) {
    float scales[SAC_MAX_DIMS] = {1, 1, 1, 1, 1};
    for (int d = 2; d < shape->ndims; d++)
        scales[d] = (float)node->attrs.size[d - (shape->ndims - 3)];
    const int64_t dims[1] = {shape->ndims};
    const char *factors =
        onnx_writer_tensor(&e->w, inner(e, node->name, "scales"), ONNX_FLOAT, 1, dims, scales);
    onnx_out *out = onnx_writer_node(&e->w, "Resize", e->dst, NAMES(src, "", factors));
    onnx_writer_string(&e->w, out, "mode", "nearest");
    onnx_writer_string(&e->w, out, "coordinate_transformation_mode", "asymmetric");
    onnx_writer_string(&e->w, out, "nearest_mode", "floor");
}

static void slice(exporter *e, const sac_node *node, const char *src) {
    const sac_attrs *a = &node->attrs;
    const int64_t end = a->begin + (a->length - 1) * a->step + 1, axis = a->axis;
    (void)onnx_writer_node(&e->w, "Slice", e->dst,
                           NAMES(src, whole(e, node->name, "starts", 1, &a->begin),
                                 whole(e, node->name, "ends", 1, &end),
                                 whole(e, node->name, "axes", 1, &axis),
                                 whole(e, node->name, "steps", 1, &a->step)));
}

static void reshape(exporter *e, const sac_node *node, const char *src) {
    int64_t dims[SAC_MAX_DIMS] = {0}; // 0: the batch stays
    for (int d = 0; d < node->attrs.ndims; d++) dims[d + 1] = node->attrs.dims[d];
    (void)step2(e, "Reshape", e->dst, src,
                whole(e, node->name, "shape", node->attrs.ndims + 1, dims));
}

// x f(x), with f(x) the value `gate`.
static void gated(exporter *e, const char *src, const char *gate) {
    (void)step2(e, "Mul", e->dst, src, gate);
}

static void activation(exporter *e, const sac_node *node, const char *src) {
    const double alpha = node->attrs.alpha, beta = node->attrs.beta;
    onnx_out *out = NULL;
    const char *gate = NULL, *middle = NULL;
    switch (node->kind) {
    case SAC_OP_RELU:
        (void)step(e, "Relu", e->dst, src);
        break;
    case SAC_OP_SIGMOID:
        (void)step(e, "Sigmoid", e->dst, src);
        break;
    case SAC_OP_TANH:
        (void)step(e, "Tanh", e->dst, src);
        break;
    case SAC_OP_LEAKY_RELU:
        onnx_writer_real(&e->w, step(e, "LeakyRelu", e->dst, src), "alpha", alpha);
        break;
    case SAC_OP_GELU:
        need_opset(e, 20);
        (void)step(e, "Gelu", e->dst, src);
        break;
    case SAC_OP_CLIP:
        (void)onnx_writer_node(
            &e->w, "Clip", e->dst,
            NAMES(src, scalar(e, node, "low", alpha), scalar(e, node, "high", beta)));
        break;
    case SAC_OP_LINEAR:
        middle = inner(e, node->name, "scaled");
        (void)step2(e, "Mul", middle, src, scalar(e, node, "alpha", alpha));
        (void)step2(e, "Add", e->dst, middle, scalar(e, node, "beta", beta));
        break;
    case SAC_OP_SWISH:
        gate = inner(e, node->name, "gate");
        middle = src;
        if (alpha != 1) {
            middle = inner(e, node->name, "scaled");
            (void)step2(e, "Mul", middle, src, scalar(e, node, "alpha", alpha));
        }
        (void)step(e, "Sigmoid", gate, middle);
        gated(e, src, gate);
        break;
    case SAC_OP_HARD_SIGMOID:
    case SAC_OP_HARD_SWISH:
        gate = node->kind == SAC_OP_HARD_SIGMOID ? e->dst : inner(e, node->name, "gate");
        out = step(e, "HardSigmoid", gate, src);
        onnx_writer_real(&e->w, out, "alpha", alpha);
        onnx_writer_real(&e->w, out, "beta", beta);
        if (node->kind == SAC_OP_HARD_SWISH) gated(e, src, gate);
        break;
    default: // MISH
        gate = inner(e, node->name, "gate");
        middle = inner(e, node->name, "softplus");
        (void)step(e, "Softplus", middle, src);
        (void)step(e, "Tanh", gate, middle);
        gated(e, src, gate);
        break;
    }
}

// --- the walk ----------------------------------------------------------------------------------

static void input(exporter *e, int index) {
    const sac_node *node = sac_net_node(e->net, index);
    const sac_onnx_export_options *o = e->options;
    sac_shape shape = e->shapes[index];
    shape.dims[0] = o->batch;
    onnx_writer_port(&e->w, true, node->name, o->input_u8 ? ONNX_UINT8 : ONNX_FLOAT, shape.ndims,
                     shape.dims, o->input_doc);
    const float scale = e->scales[index];
    const char *value = node->name;
    if (o->input_u8 && scale > 0 && o->mean == 0 && fabs(o->scale * (double)scale - 1) < 1e-6) {
        // The pixels are the steps of the table.
        const uint8_t zero = 0;
        e->values[index] = inner(e, node->name, "rounded");
        (void)onnx_writer_node(&e->w, "DequantizeLinear", e->values[index],
                               NAMES(value, scalar(e, node, "scale", (double)scale),
                                     onnx_writer_tensor(&e->w, inner(e, node->name, "zero"),
                                                        ONNX_UINT8, 0, NULL, &zero)));
        return;
    }
    if (o->input_u8) {
        value = inner(e, node->name, "pixels");
        onnx_writer_int(&e->w, step(e, "Cast", value, node->name), "to", ONNX_FLOAT);
        if (o->mean != 0) {
            const char *centred = inner(e, node->name, "centred");
            (void)step2(e, "Sub", centred, value, scalar(e, node, "mean", o->mean));
            value = centred;
        }
        if (o->scale != 1) {
            const char *scaled = inner(e, node->name, "scaled");
            (void)step2(e, "Div", scaled, value, scalar(e, node, "divisor", o->scale));
            value = scaled;
        }
    }
    if (scale > 0) {
        const char *rounded = inner(e, node->name, "rounded");
        round_u8(e, node->name, rounded, value, scale, 0);
        value = rounded;
    }
    e->values[index] = value;
}

static sac_status emit(exporter *e, int index) {
    const sac_node *node = sac_net_node(e->net, index);
    const char *src[SAC_MAX_SRC] = {NULL};
    sac_param *param[SAC_MAX_PARAMS];
    onnx_out *out = NULL;
    if (node->kind == SAC_OP_INPUT) {
        input(e, index);
        return SAC_OK;
    }
    for (int s = 0; s < node->src_count; s++) src[s] = e->values[node->src[s]];
    const sac_shape *shape = &e->shapes[node->src[0]]; // of the first source
    sac_plan_node_params(param, e->net, index, e->params, e->shapes);
    e->values[index] = node->name;
    const bool centred = e->centred[index] > 0 && !(e->scales[index] > 0);
    const bool rounds = centred || (e->scales[index] > 0 && node->kind != SAC_OP_FAKE_QUANT);
    e->dst = rounds ? inner(e, node->name, "real") : node->name;
    switch (node->kind) {
    case SAC_OP_CONV:
        conv(e, index, param, shape, src[0]);
        break;
    case SAC_OP_MAX_POOL:
    case SAC_OP_AVG_POOL:
        pool(e, node, shape, src[0]);
        break;
    case SAC_OP_ADAPTIVE_MAX_POOL:
    case SAC_OP_ADAPTIVE_AVG_POOL:
        adaptive_pool(e, node, shape, src[0]);
        break;
    case SAC_OP_UPSAMPLE:
        upsample(e, node, shape, src[0]);
        break;
    case SAC_OP_BATCH_NORM:
        batch_norm(e, node, param, src[0]);
        break;
    case SAC_OP_LAYER_NORM:
        layer_norm(e, node, param, src[0]);
        break;
    case SAC_OP_DENSE:
        dense(e, index, param, shape, src[0]);
        break;
    case SAC_OP_MATMUL:
        (void)step2(e, "MatMul", e->dst, src[0], src[1]);
        break;
    case SAC_OP_RELU:
    case SAC_OP_LEAKY_RELU:
    case SAC_OP_GELU:
    case SAC_OP_SIGMOID:
    case SAC_OP_CLIP:
    case SAC_OP_LINEAR:
    case SAC_OP_TANH:
    case SAC_OP_SWISH:
    case SAC_OP_HARD_SIGMOID:
    case SAC_OP_HARD_SWISH:
    case SAC_OP_MISH:
        activation(e, node, src[0]);
        break;
    case SAC_OP_SOFTMAX:
        onnx_writer_int(&e->w, step(e, "Softmax", e->dst, src[0]), "axis", node->attrs.axis);
        break;
    case SAC_OP_DROPOUT:
    case SAC_OP_GRAD_REVERSE:
        (void)step(e, "Identity", e->dst, src[0]);
        break;
    case SAC_OP_ADD:
        (void)onnx_writer_node(&e->w, node->src_count == 2 ? "Add" : "Sum", e->dst, src,
                               node->src_count);
        break;
    case SAC_OP_MUL:
        (void)step2(e, "Mul", e->dst, src[0], src[1]);
        break;
    case SAC_OP_CONCAT:
        out = onnx_writer_node(&e->w, "Concat", e->dst, src, node->src_count);
        onnx_writer_int(&e->w, out, "axis", node->attrs.axis);
        break;
    case SAC_OP_RESHAPE:
        reshape(e, node, src[0]);
        break;
    case SAC_OP_PERMUTE:
        onnx_writer_ints(&e->w, step(e, "Transpose", e->dst, src[0]), "perm", node->attrs.ndims,
                         node->attrs.dims);
        break;
    case SAC_OP_SLICE:
        slice(e, node, src[0]);
        break;
    case SAC_OP_FAKE_QUANT:
        round_u8(e, node->name, e->dst, src[0], e->scales[index], 0);
        break;
    default:
        return sac_error_set(e->error, SAC_ERROR_UNSUPPORTED, -1,
                             "node '%s': operator %s cannot be written as ONNX", node->name,
                             sac_op_kind_name(node->kind));
    }
    if (rounds && centred) {
        round_u8(e, node->name, node->name, e->dst, e->centred[index], 128);
    } else if (rounds) {
        round_u8(e, node->name, node->name, e->dst, e->scales[index], 0);
    }
    return SAC_OK;
}

static sac_status check_options(const sac_onnx_export_options *o, sac_error *error) {
    if (o->batch < 0 || o->batch > 65536)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a batch of %" PRId64 ", expected 0 to 65536", o->batch);
    if (o->input_u8 && (!isfinite(o->mean) || !isfinite(o->scale) || !(o->scale > 0)))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "pixels (x - %g) / %g, expected finite numbers and a divisor above 0",
                             o->mean, o->scale);
    return SAC_OK;
}

sac_status sac_onnx_export(uint8_t **data, size_t *size, const sac_net *net,
                           const sac_params *params, const sac_onnx_export_options *options,
                           sac_error *error) {
    sac_status status = SAC_OK;
    const sac_onnx_export_options none = {0};
    sac_net *folded = NULL;
    exporter e = {.options = options != NULL ? options : &none, .error = error};
    *data = NULL;
    *size = 0;
    SAC_TRY(check_options(e.options, error));
    SAC_TRY(sac_net_check(net, error));
    SAC_TRY(sac_params_check_finite(params, error));
    SAC_TRY(sac_fold_net(&folded, net, error));
    SAC_TRY(sac_params_create(&e.params, folded, error));
    SAC_TRY(sac_fold_params(e.params, folded, net, params, error));
    SAC_TRY(sac_params_check_finite(e.params, error));
    e.net = folded;
    const int count = sac_net_count(folded);
    SAC_TRY_ALLOC(e.shapes = sac_calloc(count, sizeof *e.shapes));
    SAC_TRY_ALLOC(e.values = sac_calloc(count, sizeof *e.values));
    SAC_TRY_ALLOC(e.scales = sac_calloc(count, sizeof *e.scales));
    SAC_TRY_ALLOC(e.centred = sac_calloc(count, sizeof *e.centred));
    SAC_TRY(sac_net_shapes(folded, 1, e.shapes, error));
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(folded, i);
        e.scales[i] = node->kind == SAC_OP_FAKE_QUANT
                          ? (float)node->attrs.alpha
                          : sac_quant_scale(e.options->quant, node->name);
        if (node->kind != SAC_OP_INPUT)
            e.centred[i] = sac_quant_scale(e.options->centred, node->name);
    }
    e.w.opset = MIN_OPSET;
    e.w.producer = "saccade";
    e.w.producer_version = sac_version();
    e.w.doc = e.options->doc;
    e.w.graph_name = e.options->name != NULL ? e.options->name : "network";
    for (int i = 0; i < e.options->property_count; i++)
        onnx_writer_property(&e.w, e.options->properties[i].key, e.options->properties[i].value);
    for (int i = 0; i < count; i++) SAC_TRY(emit(&e, i));
    for (int i = 0; i < count; i++) {
        if (!sac_net_is_output(folded, i)) continue;
        sac_shape shape = e.shapes[i];
        shape.dims[0] = e.options->batch;
        onnx_writer_port(&e.w, false, sac_net_node(folded, i)->name, ONNX_FLOAT, shape.ndims,
                         shape.dims, e.options->output_doc);
    }
    status = onnx_writer_pack(&e.w, data, size, error);
fail:
    onnx_writer_close(&e.w);
    sac_free(e.shapes);
    sac_free(e.values);
    sac_free(e.scales);
    sac_free(e.centred);
    sac_params_close(&e.params);
    sac_net_close(&folded);
    if (status < 0) sac_error_set(error, status, -1, "ONNX export: %s", sac_status_name(status));
    return status;
}
