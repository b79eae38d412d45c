// ONNX operators on single elements: activations, Clip, Softmax, and Add, Sub, Mul, Div of tensors
// with each other or with constants.
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/onnx_import.h"
#include "nn/op.h"

// --- activations -------------------------------------------------------------------------------

sac_status onnx_activation(onnx_import *im) {
    sac_status status = SAC_OK;
    static const struct {
        const char *name;
        sac_op_kind kind;
        bool late; // may become part of x * f(x)
        double alpha, beta;
    } table[] = {
        {"Relu", SAC_OP_RELU, false, 0, 0},
        {"LeakyRelu", SAC_OP_LEAKY_RELU, false, 0.01, 0},
        {"Sigmoid", SAC_OP_SIGMOID, true, 0, 0},
        {"HardSigmoid", SAC_OP_HARD_SIGMOID, true, 0.2, 0.5},
        {"HardSwish", SAC_OP_HARD_SWISH, false, 1.0 / 6, 0.5},
        {"Mish", SAC_OP_MISH, false, 0, 0},
        {"Tanh", SAC_OP_TANH, false, 0, 0},
        {"Gelu", SAC_OP_GELU, false, 0, 0},
        {"Swish", SAC_OP_SWISH, false, 1, 0},
        {"Softplus", SAC_OP_COUNT, true, 0, 0},
    };
    static const char *const exact[] = {"none"};
    size_t k = 0;
    while (k + 1 < sizeof table / sizeof table[0] && strcmp(table[k].name, im->at->op_type) != 0)
        k++;
    sac_attrs attrs = {.alpha = table[k].alpha, .beta = table[k].beta};
    int node = -1, approximate = 0;
    onnx_value *value = NULL;
    SAC_TRY(onnx_input(im, 0, &value));
    if (table[k].kind == SAC_OP_TANH && value->kind == ONNX_LATE &&
        value->late == ONNX_LATE_SOFTPLUS)
        return onnx_output_late(im, ONNX_LATE_TANH_SOFTPLUS, SAC_OP_COUNT, NULL, value->node);
    SAC_TRY(onnx_input_node(im, 0, &node));
    if (table[k].alpha != 0) SAC_TRY(onnx_real(im, "alpha", &attrs.alpha));
    if (table[k].beta != 0 && table[k].kind == SAC_OP_HARD_SIGMOID)
        SAC_TRY(onnx_real(im, "beta", &attrs.beta));
    if (table[k].kind == SAC_OP_GELU)
        SAC_TRY(onnx_choice(im, "approximate", exact, 1, &approximate));
    if (table[k].late) {
        return onnx_output_late(
            im, table[k].kind == SAC_OP_COUNT ? ONNX_LATE_SOFTPLUS : ONNX_LATE_ACTIVATION,
            table[k].kind, &attrs, node);
    }
    SAC_TRY(onnx_emit_one(im, table[k].kind, &attrs, node, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// Limits: inputs since opset 11, attributes before; both may be missing.
sac_status onnx_clip(onnx_import *im) {
    sac_status status = SAC_OK;
    double limits[2] = {-(double)FLT_MAX, (double)FLT_MAX};
    int node = -1;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_real(im, "min", &limits[0]));
    SAC_TRY(onnx_real(im, "max", &limits[1]));
    for (int k = 0; k < 2; k++) {
        const onnx_tensor *t = NULL;
        if (!onnx_given(im, 1 + k)) continue;
        SAC_TRY(onnx_input_constant(im, 1 + k, &t));
        if (t->f == NULL || t->count != 1 || isnan(t->f[0])) {
            status = onnx_damaged(im, "its limits are not numbers");
            goto fail;
        }
        limits[k] = (double)t->f[0];
    }
    // Infinity is no limit.
    for (int k = 0; k < 2; k++)
        limits[k] = fmin(fmax(limits[k], -(double)FLT_MAX), (double)FLT_MAX);
    const sac_attrs attrs = {.alpha = limits[0], .beta = limits[1]};
    const bool relu = limits[0] == 0 && limits[1] == (double)FLT_MAX;
    SAC_TRY(onnx_emit_one(im, relu ? SAC_OP_RELU : SAC_OP_CLIP, relu ? NULL : &attrs, node, 0, NULL,
                          &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// One slope for all channels.
sac_status onnx_prelu(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    int node = -1;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_input_constant(im, 1, &t));
    for (int64_t k = 0; t->f != NULL && k < t->count; k++) {
        if (t->f[k] != t->f[0]) {
            status = onnx_refuse(im, "has slopes that differ from channel to channel");
            goto fail;
        }
    }
    if (t->f == NULL || t->count == 0) {
        status = onnx_damaged(im, "has no slope");
        goto fail;
    }
    const sac_attrs attrs = {.alpha = (double)t->f[0]};
    SAC_TRY(onnx_emit_one(im, SAC_OP_LEAKY_RELU, &attrs, node, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// Before opset 13 the axes from `axis` on count as one.
sac_status onnx_softmax(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t given = im->opset < 13 ? 1 : -1;
    int node = -1;
    sac_attrs attrs = {0};
    SAC_TRY(onnx_int(im, "axis", &given));
    SAC_TRY(onnx_input_node(im, 0, &node));
    const sac_shape shape = im->shapes[node];
    SAC_TRY(onnx_axis(im, given, shape.ndims, &attrs.axis));
    if (attrs.axis == 0) {
        status = onnx_refuse(im, "goes along axis 0, which is the batch");
        goto fail;
    }
    int64_t behind = 1;
    for (int d = attrs.axis + 1; d < shape.ndims; d++) behind *= shape.dims[d];
    const bool joined = im->opset < 13 && behind != 1;
    if (joined) {
        sac_shape flat = shape;
        flat.ndims = attrs.axis + 1;
        flat.dims[attrs.axis] *= behind;
        SAC_TRY(onnx_emit_reshape(im, node, &flat, 0, "flat", &node));
    }
    SAC_TRY(onnx_emit_one(im, SAC_OP_SOFTMAX, &attrs, node, 0, joined ? "softmax" : NULL, &node));
    if (joined) SAC_TRY(onnx_emit_reshape(im, node, &shape, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// --- with a constant ---------------------------------------------------------------------------

// Along which axis of a node a constant varies: -1 along none, -2 along several, or it does not
// fit.
static int axis_of(const onnx_tensor *t, const sac_shape *shape) {
    int axis = -1;
    if (t->f == NULL || t->count < 1 || t->ndims > shape->ndims) return -2;
    for (int d = 0; d < t->ndims; d++) {
        const int own = shape->ndims - t->ndims + d;
        if (t->dims[d] == 1) continue;
        if (t->dims[d] != shape->dims[own] || axis >= 0) return -2;
        axis = own;
    }
    for (int64_t k = 1; k < t->count; k++) {
        if (t->f[k] != t->f[0]) return axis;
    }
    return axis == 0 ? -2 : -1; // equal values: one number, but never one per sample
}

// Factor and summand that `op` with the number v means: '+' x + v, '-' x - v, 'r' v - x, '*' x v,
// '/' x / v.
static void line_of(char op, float v, float *factor, float *summand) {
    *factor = op == 'r' ? -1 : op == '*' ? v : op == '/' ? 1 / v : 1;
    *summand = op == '+' || op == 'r' ? v : op == '-' ? -v : 0;
}

// x op constant, for input `constant` of the node.
static sac_status with_constant(onnx_import *im, char op, int constant) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    int node = -1;
    char text[2][96];
    SAC_TRY(onnx_input_node(im, 1 - constant, &node));
    SAC_TRY(onnx_input_constant(im, constant, &t));
    const sac_shape shape = im->shapes[node];
    const int axis = axis_of(t, &shape);
    if (axis == -2 || axis == 0 || (axis > 1 && axis != shape.ndims - 1)) {
        status = onnx_refuse(im,
                             "a constant %s with a tensor %s, expected one number, or one per "
                             "channel",
                             onnx_dims_text(t->ndims, t->dims, text[0]),
                             sac_shape_text(&shape, text[1]));
        goto fail;
    }
    if (axis == -1) {
        float factor = 1, summand = 0;
        line_of(op, t->f[0], &factor, &summand);
        const sac_attrs attrs = {.alpha = (double)factor, .beta = (double)summand};
        SAC_TRY(onnx_emit_one(im, SAC_OP_LINEAR, &attrs, node, 0, NULL, &node));
        return onnx_output_node(im, 0, node);
    }
    // One per channel; along the last axis that axis becomes the channels for a moment.
    int64_t there[SAC_MAX_DIMS] = {0, axis}, back[SAC_MAX_DIMS] = {0};
    for (int d = 2; d < shape.ndims; d++) there[d] = d - 1;
    for (int d = 0; d < shape.ndims; d++) back[there[d]] = d;
    if (axis > 1) SAC_TRY(onnx_emit_permute(im, node, there, 0, "channels", &node));
    const int64_t channels = shape.dims[axis];
    float *factors = sac_calloc(channels, sizeof *factors),
          *summands = sac_calloc(channels, sizeof *summands);
    for (int64_t c = 0; factors != NULL && summands != NULL && c < channels; c++)
        line_of(op, t->f[c], &factors[c], &summands[c]);
    SAC_TRY(onnx_emit_affine(im, node, factors, summands, 0, axis > 1 ? "line" : NULL, &node));
    if (axis > 1) SAC_TRY(onnx_emit_permute(im, node, back, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// The input that is a constant, or -1; with two inputs.
static int constant_input(onnx_import *im) {
    return onnx_is_constant(im, 0) ? 0 : onnx_is_constant(im, 1) ? 1 : -1;
}

// --- of two or more tensors --------------------------------------------------------------------

sac_status onnx_add(onnx_import *im) {
    sac_status status = SAC_OK;
    const size_t inputs = im->at->n_input;
    const int constant = constant_input(im);
    int src[SAC_MAX_SRC], count = 0, node = -1;
    if (constant >= 0 && inputs == 2) return with_constant(im, '+', constant);
    for (size_t k = 0; k < inputs; k++) {
        SAC_TRY(onnx_input_node(im, (int)k, &src[count++]));
        if (count < SAC_MAX_SRC && k + 1 < inputs) continue;
        if (count == 1) break;
        SAC_TRY(
            onnx_emit(im, SAC_OP_ADD, NULL, src, count, 0, k + 1 < inputs ? "part" : NULL, &node));
        src[0] = node;
        count = 1;
    }
    if (inputs == 0) {
        status = onnx_damaged(im, "has no inputs");
        goto fail;
    }
    status = onnx_output_node(im, 0, src[0]);
fail:
    return status;
}

sac_status onnx_sub(onnx_import *im) {
    sac_status status = SAC_OK;
    const int constant = constant_input(im);
    const sac_attrs negative = {.alpha = -1};
    int src[2] = {-1, -1}, node = -1;
    if (constant >= 0) return with_constant(im, constant == 0 ? 'r' : '-', constant);
    for (int k = 0; k < 2; k++) SAC_TRY(onnx_input_node(im, k, &src[k]));
    SAC_TRY(onnx_emit_one(im, SAC_OP_LINEAR, &negative, src[1], 0, "negative", &src[1]));
    SAC_TRY(onnx_emit(im, SAC_OP_ADD, NULL, src, 2, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// x * Sigmoid(x), x * HardSigmoid(x), x * Tanh(Softplus(x)): one activation; *node stays -1
// otherwise.
static sac_status self_gated(onnx_import *im, int *node) {
    onnx_value *values[2] = {NULL, NULL};
    for (int k = 0; k < 2; k++) {
        const sac_status status = onnx_input(im, k, &values[k]);
        if (status < 0) return status;
    }
    // The second look-up may have moved the table.
    const sac_status again = onnx_input(im, 0, &values[0]);
    if (again < 0) return again;
    for (int k = 0; k < 2; k++) {
        const onnx_value *gate = values[k], *x = values[1 - k];
        if (gate->kind != ONNX_LATE || x->kind != ONNX_NODE || x->node != gate->node) continue;
        if (gate->late == ONNX_LATE_TANH_SOFTPLUS)
            return onnx_emit_one(im, SAC_OP_MISH, NULL, x->node, 0, NULL, node);
        if (gate->late != ONNX_LATE_ACTIVATION) continue;
        const bool hard = gate->op == SAC_OP_HARD_SIGMOID;
        const sac_attrs attrs = {.alpha = hard ? gate->attrs.alpha : 1,
                                 .beta = hard ? gate->attrs.beta : 0};
        return onnx_emit_one(im, hard ? SAC_OP_HARD_SWISH : SAC_OP_SWISH, &attrs, x->node, 0, NULL,
                             node);
    }
    return SAC_OK;
}

sac_status onnx_mul(onnx_import *im) {
    sac_status status = SAC_OK;
    const int constant = constant_input(im);
    int src[2] = {-1, -1}, node = -1;
    if (constant >= 0) return with_constant(im, '*', constant);
    SAC_TRY(self_gated(im, &node));
    if (node < 0) {
        for (int k = 0; k < 2; k++) SAC_TRY(onnx_input_node(im, k, &src[k]));
        // The factors per channel come second.
        if (sac_shape_count(&im->shapes[src[0]]) < sac_shape_count(&im->shapes[src[1]])) {
            const int first = src[0];
            src[0] = src[1];
            src[1] = first;
        }
        SAC_TRY(onnx_emit(im, SAC_OP_MUL, NULL, src, 2, 0, NULL, &node));
    }
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

sac_status onnx_div(onnx_import *im) {
    if (!onnx_is_constant(im, 1)) return onnx_refuse(im, "divides by a computed tensor");
    return with_constant(im, '/', 1);
}

sac_status onnx_pow(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    int node = -1;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_input_constant(im, 1, &t));
    const double exponent = t->count == 1 ? (t->f != NULL ? (double)t->f[0] : (double)t->i[0]) : 0;
    if (exponent != 2) {
        status = onnx_refuse(im, "only squares are supported");
        goto fail;
    }
    SAC_TRY(onnx_emit(im, SAC_OP_MUL, NULL, (int[]){node, node}, 2, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

sac_status onnx_neg(onnx_import *im) {
    sac_status status = SAC_OK;
    const sac_attrs attrs = {.alpha = -1};
    int node = -1;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_emit_one(im, SAC_OP_LINEAR, &attrs, node, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}
