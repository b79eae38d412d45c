// ONNX operators with weights or windows: Conv, pools, normalisations, Gemm, MatMul, Pad, Resize
// and means over the picture.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/onnx_import.h"
#include "nn/op.h"

// --- windows -----------------------------------------------------------------------------------

#define MAX_WINDOW 1024

// The attributes that convolutions and pools share, for a source of `shape` whose kernel is already
// in attrs (D H W; unused leading axes 1). `before` and `behind` is padding that a Pad before it
// brought.
static sac_status window_read(onnx_import *im, const sac_shape *shape, bool ceil_mode,
                              sac_attrs *attrs, const int64_t *before, const int64_t *behind) {
    sac_status status = SAC_OK;
    static const char *const autos[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    enum { NOTSET, VALID, SAME_UPPER, SAME_LOWER };
    const int spatial = shape->ndims - 2, first = 3 - spatial;
    int64_t strides[3] = {1, 1, 1}, dilations[3] = {1, 1, 1}, pads[6] = {0};
    int n_strides = spatial, n_dilations = spatial, n_pads = 2 * spatial, mode = NOTSET;
    SAC_TRY(onnx_ints(im, "strides", strides, 3, &n_strides));
    SAC_TRY(onnx_ints(im, "dilations", dilations, 3, &n_dilations));
    SAC_TRY(onnx_ints(im, "pads", pads, 6, &n_pads));
    SAC_TRY(onnx_choice(im, "auto_pad", autos, 4, &mode));
    if (n_strides != spatial || n_dilations != spatial || n_pads != 2 * spatial) {
        status =
            onnx_damaged(im, "strides, dilations or pads do not fit its %d axes of space", spatial);
        goto fail;
    }
    for (int i = 0; i < 3; i++) {
        attrs->stride[i] = 1;
        attrs->dilation[i] = attrs->pad[i] = attrs->pad_extra[i] = 0;
    }
    for (int i = 0; i < spatial; i++) {
        const int64_t k = attrs->kernel[first + i], s = strides[i], g = dilations[i];
        int64_t p = pads[i], q = pads[spatial + i];
        if (k < 1 || k > MAX_WINDOW || s < 1 || s > MAX_WINDOW || g < 1 || g > MAX_WINDOW ||
            p < 0 || p > MAX_WINDOW || q < 0 || q > MAX_WINDOW) {
            status = onnx_refuse(im,
                                 "kernel %" PRId64 ", stride %" PRId64 ", dilation %" PRId64
                                 " and padding %" PRId64 " and %" PRId64
                                 ", expected 1 to %d, padding from 0",
                                 k, s, g, p, q, MAX_WINDOW);
            goto fail;
        }
        const int64_t size = shape->dims[2 + i], reach = (k - 1) * g + 1;
        if (mode == VALID) {
            p = q = 0;
        } else if (mode != NOTSET) { // as many outputs as ceil(size / stride)
            int64_t all = (size + s - 1) / s;
            all = (all - 1) * s + reach - size;
            if (all < 0) all = 0;
            p = mode == SAME_UPPER ? all / 2 : all - all / 2;
            q = all - p;
        }
        if (ceil_mode && mode == NOTSET && size + p + q >= reach) {
            int64_t outputs = (size + p + q - reach + s - 1) / s + 1;
            if ((outputs - 1) * s >= size + p) outputs--; // a window must begin inside
            const int64_t needed = (outputs - 1) * s + reach - size - p;
            if (needed > q) q = needed;
        }
        p += before != NULL ? before[first + i] : 0;
        q += behind != NULL ? behind[first + i] : 0;
        attrs->stride[first + i] = s;
        attrs->dilation[first + i] = g - 1;
        attrs->pad[first + i] = p;
        attrs->pad_extra[first + i] = q - p;
    }
fail:
    return status;
}

static sac_status picture_check(onnx_import *im, const sac_shape *shape) {
    char text[96];
    if (shape->ndims == 4 || shape->ndims == 5) return SAC_OK;
    return onnx_refuse(im, "its input is %s, expected [N][C][H][W] or [N][C][D][H][W]",
                       sac_shape_text(shape, text));
}

sac_status onnx_conv(onnx_import *im) {
    sac_status status = SAC_OK;
    int node = -1;
    const onnx_tensor *wei = NULL, *bia = NULL;
    int64_t kernel[3] = {0}, before[3] = {0}, behind[3] = {0};
    int n_kernel = -1;
    sac_attrs attrs = {.kernel = {1, 1, 1}, .groups = 1};
    onnx_value *value = NULL;
    SAC_TRY(onnx_input(im, 0, &value));
    if (value->kind == ONNX_LATE && value->late == ONNX_LATE_PAD) {
        node = value->node;
        for (int i = 0; i < 3; i++) {
            before[i] = value->attrs.pad[i];
            behind[i] = value->attrs.pad[i] + value->attrs.pad_extra[i];
        }
    } else {
        SAC_TRY(onnx_input_node(im, 0, &node));
    }
    const sac_shape shape = im->shapes[node];
    SAC_TRY(picture_check(im, &shape));
    SAC_TRY(onnx_input_constant(im, 1, &wei));
    if (onnx_given(im, 2)) SAC_TRY(onnx_input_constant(im, 2, &bia));
    SAC_TRY(onnx_int(im, "group", &attrs.groups));
    SAC_TRY(onnx_ints(im, "kernel_shape", kernel, 3, &n_kernel));
    const int spatial = shape.ndims - 2;
    bool fits = wei->f != NULL && wei->ndims == shape.ndims &&
                (n_kernel < 0 || n_kernel == spatial) && attrs.groups >= 1 &&
                attrs.groups <= shape.dims[1] && wei->count > 0 &&
                shape.dims[1] % attrs.groups == 0 && wei->dims[1] == shape.dims[1] / attrs.groups;
    for (int i = 0; fits && i < spatial; i++) {
        attrs.kernel[3 - spatial + i] = wei->dims[2 + i];
        fits = n_kernel < 0 || kernel[i] == wei->dims[2 + i];
    }
    if (fits && bia != NULL) fits = bia->f != NULL && bia->count == wei->dims[0];
    if (!fits) {
        char text[2][96];
        status = onnx_fail(
            im, SAC_ERROR_SHAPE,
            "weights %s%s do not fit the input %s with %" PRId64 " groups and the kernel",
            onnx_dims_text(wei->ndims, wei->dims, text[0]), bia != NULL ? " or the bias" : "",
            sac_shape_text(&shape, text[1]), attrs.groups);
        goto fail;
    }
    attrs.channels = wei->dims[0];
    attrs.bias = bia != NULL;
    SAC_TRY(window_read(im, &shape, false, &attrs, before, behind));
    SAC_TRY(onnx_emit_one(im, SAC_OP_CONV, &attrs, node, 0, NULL, &node));
    SAC_TRY(onnx_param_constant(im, node, "weight", wei));
    if (bia != NULL) SAC_TRY(onnx_param_constant(im, node, "bias", bia));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

sac_status onnx_pool(onnx_import *im) {
    sac_status status = SAC_OK;
    const bool mean = im->at->op_type[0] == 'A';
    int node = -1, n_kernel = 0;
    int64_t kernel[3] = {0}, ceil_mode = 0, count_pad = 0, order = 0;
    sac_attrs attrs = {.kernel = {1, 1, 1}};
    SAC_TRY(onnx_input_node(im, 0, &node));
    const sac_shape shape = im->shapes[node];
    SAC_TRY(picture_check(im, &shape));
    const int spatial = shape.ndims - 2;
    SAC_TRY(onnx_ints(im, "kernel_shape", kernel, 3, &n_kernel));
    SAC_TRY(onnx_int(im, "ceil_mode", &ceil_mode));
    SAC_TRY(onnx_int(im, "count_include_pad", &count_pad));
    SAC_TRY(onnx_int(im, "storage_order", &order));
    if (n_kernel != spatial) {
        status = onnx_damaged(im, "kernel_shape has %d numbers, expected %d", n_kernel, spatial);
        goto fail;
    }
    for (int i = 0; i < spatial; i++) attrs.kernel[3 - spatial + i] = kernel[i];
    sac_attrs whole = attrs; // without rounding up
    SAC_TRY(window_read(im, &shape, false, &whole, NULL, NULL));
    SAC_TRY(window_read(im, &shape, ceil_mode != 0, &attrs, NULL, NULL));
    bool padded = false, longer = false;
    for (int i = 0; i < 3; i++) {
        if (attrs.dilation[i] != 0) {
            status = onnx_refuse(im, "has a dilated window");
            goto fail;
        }
        padded = padded || whole.pad[i] != 0 || whole.pad_extra[i] != 0;
        longer = longer || attrs.pad_extra[i] != whole.pad_extra[i];
    }
    attrs.count_pad = mean && count_pad != 0 && padded;
    if (attrs.count_pad && longer) {
        status = onnx_refuse(im, "rounds its size up (ceil_mode) and counts padding");
        goto fail;
    }
    SAC_TRY(
        onnx_emit_one(im, mean ? SAC_OP_AVG_POOL : SAC_OP_MAX_POOL, &attrs, node, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

static sac_status global_pool(onnx_import *im, bool mean, int node, const char *suffix, int *out) {
    const sac_attrs attrs = {.size = {1, 1, 1}};
    return onnx_emit_one(im, mean ? SAC_OP_ADAPTIVE_AVG_POOL : SAC_OP_ADAPTIVE_MAX_POOL, &attrs,
                         node, 0, suffix, out);
}

sac_status onnx_global_pool(onnx_import *im) {
    sac_status status = SAC_OK;
    int node = -1;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(picture_check(im, &im->shapes[node]));
    SAC_TRY(global_pool(im, strcmp(im->at->op_type, "GlobalAveragePool") == 0, node, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// ReduceMean and ReduceMax over all axes of space.
sac_status onnx_reduce(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t axes[SAC_ONNX_MAX_DIMS], keep = 1;
    int node = -1, count = -1;
    bool reduced[SAC_MAX_DIMS] = {false};
    SAC_TRY(onnx_input_node(im, 0, &node));
    const sac_shape shape = im->shapes[node];
    SAC_TRY(onnx_int(im, "keepdims", &keep));
    SAC_TRY(onnx_ints_of(im, 1, "axes", axes, SAC_ONNX_MAX_DIMS, &count));
    for (int k = 0; k < count; k++) {
        int axis = 0;
        SAC_TRY(onnx_axis(im, axes[k], shape.ndims, &axis));
        reduced[axis] = true;
    }
    bool space = shape.ndims == 4 || shape.ndims == 5;
    for (int d = 0; d < shape.ndims; d++) space = space && reduced[d] == (d >= 2);
    if (!space) {
        char text[96];
        status = onnx_refuse(im, "reduces other axes of %s than height and width (and depth)",
                             sac_shape_text(&shape, text));
        goto fail;
    }
    const sac_shape flat = {.ndims = 2, .dims = {shape.dims[0], shape.dims[1]}};
    SAC_TRY(global_pool(im, strcmp(im->at->op_type, "ReduceMean") == 0, node, keep ? NULL : "pool",
                        &node));
    if (!keep) SAC_TRY(onnx_emit_reshape(im, node, &flat, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// --- normalisations ----------------------------------------------------------------------------

// Constant input `input` of `count` floats.
static sac_status floats_input(onnx_import *im, int input, int64_t count, const onnx_tensor **t) {
    const sac_status status = onnx_input_constant(im, input, t);
    if (status < 0) return status;
    if ((*t)->f == NULL || (*t)->count != count)
        return onnx_fail(im, SAC_ERROR_SHAPE, "input %d has %" PRId64 " values, expected %" PRId64,
                         input, (*t)->count, count);
    return SAC_OK;
}

sac_status onnx_batch_norm(onnx_import *im) {
    sac_status status = SAC_OK;
    static const char *const suffixes[4] = {"weight", "bias", "running_mean", "running_var"};
    const onnx_tensor *t[4] = {NULL};
    int node = -1;
    int64_t training = 0, spatial = 1;
    sac_attrs attrs = {.epsilon = 1e-5, .momentum = 0.1};
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_int(im, "training_mode", &training));
    SAC_TRY(onnx_int(im, "spatial", &spatial));
    SAC_TRY(onnx_real(im, "epsilon", &attrs.epsilon));
    if (training != 0 || spatial != 1) {
        status = onnx_refuse(im, "is in training mode or not per channel");
        goto fail;
    }
    if (attrs.epsilon == 0) attrs.epsilon = 1e-30;
    const int64_t channels = im->shapes[node].dims[1];
    for (int p = 0; p < 4; p++) SAC_TRY(floats_input(im, 1 + p, channels, &t[p]));
    SAC_TRY(onnx_emit_one(im, SAC_OP_BATCH_NORM, &attrs, node, 0, NULL, &node));
    for (int p = 0; p < 4; p++) SAC_TRY(onnx_param_constant(im, node, suffixes[p], t[p]));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

sac_status onnx_layer_norm(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *scale = NULL, *bias = NULL;
    int node = -1, axis = 0;
    int64_t given = -1;
    sac_attrs attrs = {.epsilon = 1e-5};
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_int(im, "axis", &given));
    SAC_TRY(onnx_real(im, "epsilon", &attrs.epsilon));
    const sac_shape shape = im->shapes[node];
    SAC_TRY(onnx_axis(im, given, shape.ndims, &axis));
    if (axis != shape.ndims - 1) {
        status = onnx_refuse(im, "normalises more than the last axis");
        goto fail;
    }
    const int64_t width = shape.dims[axis];
    SAC_TRY(floats_input(im, 1, width, &scale));
    if (onnx_given(im, 2)) SAC_TRY(floats_input(im, 2, width, &bias));
    SAC_TRY(onnx_emit_one(im, SAC_OP_LAYER_NORM, &attrs, node, 0, NULL, &node));
    SAC_TRY(onnx_param_constant(im, node, "weight", scale));
    status = bias != NULL
                 ? onnx_param_constant(im, node, "bias", bias)
                 : onnx_param_set(im, node, "bias", sac_calloc(width, sizeof(float)), width);
    if (status < 0) goto fail;
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// --- products ----------------------------------------------------------------------------------

// factor * B as [OC][K], from [K][OC] or already [OC][K]. NULL: out of memory.
static float *weights_of(const onnx_tensor *t, bool as_is, float factor) {
    float *out = sac_calloc(t->count, sizeof *out);
    if (out == NULL) return NULL;
    const int64_t rows = t->dims[0], columns = t->dims[1];
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c++)
            out[as_is ? r * columns + c : c * rows + r] = factor * t->f[r * columns + c];
    }
    return out;
}

sac_status onnx_gemm(onnx_import *im) {
    sac_status status = SAC_OK;
    double alpha = 1, beta = 1;
    int64_t trans_a = 0, trans_b = 0;
    int node = -1;
    const onnx_tensor *wei = NULL, *bia = NULL;
    char text[2][96];
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_input_constant(im, 1, &wei));
    if (onnx_given(im, 2)) SAC_TRY(onnx_input_constant(im, 2, &bia));
    SAC_TRY(onnx_real(im, "alpha", &alpha));
    SAC_TRY(onnx_real(im, "beta", &beta));
    SAC_TRY(onnx_int(im, "transA", &trans_a));
    SAC_TRY(onnx_int(im, "transB", &trans_b));
    const sac_shape shape = im->shapes[node];
    if (trans_a != 0) {
        status = onnx_refuse(im, "transposes its computed input");
        goto fail;
    }
    const int k_axis = trans_b != 0 ? 1 : 0;
    if (shape.ndims != 2 || wei->f == NULL || wei->ndims != 2 || wei->count == 0 ||
        wei->dims[k_axis] != shape.dims[1]) {
        status = onnx_fail(im, SAC_ERROR_SHAPE, "weights %s do not fit the input %s",
                           onnx_dims_text(wei->ndims, wei->dims, text[0]),
                           sac_shape_text(&shape, text[1]));
        goto fail;
    }
    const sac_attrs attrs = {.channels = wei->dims[1 - k_axis], .bias = bia != NULL};
    const bool rows = bia != NULL && bia->ndims == 2 && bia->dims[0] != 1;
    if (bia != NULL && (bia->f == NULL || rows || bia->ndims > 2 ||
                        (bia->count != 1 && bia->count != attrs.channels))) {
        status = onnx_fail(im, SAC_ERROR_SHAPE, "bias %s does not fit %" PRId64 " outputs",
                           onnx_dims_text(bia->ndims, bia->dims, text[0]), attrs.channels);
        goto fail;
    }
    SAC_TRY(onnx_emit_one(im, SAC_OP_DENSE, &attrs, node, 0, NULL, &node));
    SAC_TRY(onnx_param_set(im, node, "weight", weights_of(wei, trans_b != 0, (float)alpha),
                           wei->count));
    if (bia != NULL) {
        float *values = sac_calloc(attrs.channels, sizeof *values);
        for (int64_t c = 0; values != NULL && c < attrs.channels; c++)
            values[c] = (float)beta * bia->f[bia->count == 1 ? 0 : c];
        SAC_TRY(onnx_param_set(im, node, "bias", values, attrs.channels));
    }
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// [N][T..][K] times [K][L]: the last axis becomes the channels of a 1x1 convolution, which in a
// plan's channels-last layout moves nothing.
static sac_status tokens_matmul(onnx_import *im, int node, const onnx_tensor *wei, int *out) {
    sac_status status = SAC_OK;
    const sac_shape shape = im->shapes[node];
    const sac_attrs attrs = {
        .channels = wei->dims[1], .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .groups = 1};
    static const int64_t to[3][4] = {{0}, {0, 2, 1}, {0, 3, 1, 2}};
    static const int64_t back[3][4] = {{0}, {0, 2, 1}, {0, 2, 3, 1}};
    const int which = shape.ndims - 2;
    SAC_TRY(onnx_emit_permute(im, node, to[which], 0, "channels", &node));
    if (shape.ndims == 3) {
        sac_shape picture = im->shapes[node];
        picture.ndims = 4;
        picture.dims[3] = 1;
        SAC_TRY(onnx_emit_reshape(im, node, &picture, 0, "picture", &node));
    }
    SAC_TRY(onnx_emit_one(im, SAC_OP_CONV, &attrs, node, 0, "product", &node));
    SAC_TRY(onnx_param_set(im, node, "weight", weights_of(wei, false, 1), wei->count));
    if (shape.ndims == 3) {
        sac_shape rows = im->shapes[node];
        rows.ndims = 3;
        SAC_TRY(onnx_emit_reshape(im, node, &rows, 0, "rows", &node));
    }
    SAC_TRY(onnx_emit_permute(im, node, back[which], 0, NULL, out));
fail:
    return status;
}

sac_status onnx_matmul(onnx_import *im) {
    sac_status status = SAC_OK;
    int src[2] = {-1, -1}, node = -1;
    const onnx_tensor *wei = NULL;
    char text[2][96];
    SAC_TRY(onnx_input_node(im, 0, &src[0]));
    const sac_shape shape = im->shapes[src[0]];
    if (!onnx_is_constant(im, 1)) {
        SAC_TRY(onnx_input_node(im, 1, &src[1]));
        SAC_TRY(onnx_emit(im, SAC_OP_MATMUL, NULL, src, 2, 0, NULL, &node));
        return onnx_output_node(im, 0, node);
    }
    SAC_TRY(onnx_input_constant(im, 1, &wei));
    if (wei->f == NULL || wei->ndims != 2 || wei->count == 0 || shape.ndims > 4 ||
        wei->dims[0] != shape.dims[shape.ndims - 1]) {
        status = onnx_fail(im, SAC_ERROR_SHAPE, "weights %s do not fit the input %s",
                           onnx_dims_text(wei->ndims, wei->dims, text[0]),
                           sac_shape_text(&shape, text[1]));
        goto fail;
    }
    if (shape.ndims == 2) {
        const sac_attrs attrs = {.channels = wei->dims[1]};
        SAC_TRY(onnx_emit_one(im, SAC_OP_DENSE, &attrs, src[0], 0, NULL, &node));
        SAC_TRY(onnx_param_set(im, node, "weight", weights_of(wei, false, 1), wei->count));
    } else {
        SAC_TRY(tokens_matmul(im, src[0], wei, &node));
    }
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// --- padding and resizing ----------------------------------------------------------------------

sac_status onnx_pad(onnx_import *im) {
    sac_status status = SAC_OK;
    static const char *const modes[] = {"constant"};
    int64_t pads[2 * SAC_ONNX_MAX_DIMS];
    int node = -1, count = -1, mode = 0;
    double fill = 0;
    sac_attrs attrs = {0};
    SAC_TRY(onnx_input_node(im, 0, &node));
    const sac_shape shape = im->shapes[node];
    SAC_TRY(onnx_choice(im, "mode", modes, 1, &mode));
    SAC_TRY(onnx_ints_of(im, 1, "pads", pads, 2 * SAC_ONNX_MAX_DIMS, &count));
    SAC_TRY(onnx_real(im, "value", &fill));
    if (onnx_given(im, 2)) {
        const onnx_tensor *t = NULL;
        SAC_TRY(onnx_input_constant(im, 2, &t));
        if (t->f != NULL && t->count == 1) fill = (double)t->f[0];
    }
    if (count != 2 * shape.ndims || onnx_given(im, 3)) {
        status = onnx_refuse(im, "pads some axes only, expected %d numbers", 2 * shape.ndims);
        goto fail;
    }
    bool none = true, space = fill == 0;
    for (int d = 0; d < shape.ndims; d++) {
        const int64_t before = pads[d], behind = pads[shape.ndims + d];
        none = none && before == 0 && behind == 0;
        if (before < 0 || behind < 0 || before > MAX_WINDOW || behind > MAX_WINDOW ||
            ((before != 0 || behind != 0) && (d < 2 || shape.ndims < 4))) {
            space = false;
        } else if (d >= 2 && shape.ndims >= 4) {
            attrs.pad[d + 5 - shape.ndims - 2] = before;
            attrs.pad_extra[d + 5 - shape.ndims - 2] = behind - before;
        }
    }
    if (none) return onnx_output_node(im, 0, node);
    if (!space) {
        status = onnx_refuse(im,
                             "pads with other than zeros, or other than height and width by 0 to "
                             "%d",
                             MAX_WINDOW);
        goto fail;
    }
    status = onnx_output_late(im, ONNX_LATE_PAD, SAC_OP_CONV, &attrs, node);
fail:
    return status;
}

// A depthwise 1x1 convolution with weights of 1.
sac_status onnx_pad_now(onnx_import *im, int src, const sac_attrs *pad, int output, int *node) {
    sac_status status = SAC_OK;
    const int64_t channels = im->shapes[src].dims[1];
    sac_attrs attrs = *pad;
    attrs.channels = attrs.groups = channels;
    for (int i = 0; i < 3; i++) attrs.kernel[i] = attrs.stride[i] = 1;
    SAC_TRY(onnx_emit_one(im, SAC_OP_CONV, &attrs, src, output, NULL, node));
    float *ones = sac_calloc(channels, sizeof *ones);
    for (int64_t c = 0; ones != NULL && c < channels; c++) ones[c] = 1;
    SAC_TRY(onnx_param_set(im, *node, "weight", ones, channels));
fail:
    return status;
}

enum { ASYMMETRIC, HALF_PIXEL, PYTORCH_HALF_PIXEL, ALIGN_CORNERS };
enum { FLOOR, ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, CEIL };

// True when nearest-neighbour resizing by a whole factor with these rules repeats each pixel.
static bool repeats(int64_t size, int64_t factor, int coordinates, int nearest) {
    const double f = (double)factor;
    for (int64_t x = 0; x < size * factor; x++) {
        double from = (double)x / f;
        if (coordinates == HALF_PIXEL || coordinates == PYTORCH_HALF_PIXEL)
            from = ((double)x + 0.5) / f - 0.5;
        if (coordinates == ALIGN_CORNERS && size * factor > 1)
            from = (double)x * (double)(size - 1) / (double)(size * factor - 1);
        double at = nearest == FLOOR               ? floor(from)
                    : nearest == CEIL              ? ceil(from)
                    : nearest == ROUND_PREFER_CEIL ? floor(from + 0.5)
                                                   : ceil(from - 0.5);
        at = at < 0 ? 0 : at > (double)(size - 1) ? (double)(size - 1) : at;
        if ((int64_t)at != x / factor) return false;
    }
    return true;
}

// Scales per axis: whole factors; from an input of floats or the attribute of old Upsample.
static sac_status scales_read(onnx_import *im, int input, const sac_shape *shape,
                              int64_t *factors) {
    const float *values = NULL;
    int64_t count = 0;
    const Sac__Onnx__Attribute *a = onnx_attribute(im, "scales");
    if (onnx_given(im, input)) {
        const onnx_tensor *t = NULL;
        const sac_status status = onnx_input_constant(im, input, &t);
        if (status < 0) return status;
        values = t->f;
        count = t->count;
    } else if (a != NULL) {
        values = a->floats;
        count = (int64_t)a->n_floats;
    }
    if (values == NULL || count != shape->ndims)
        return onnx_damaged(im, "%" PRId64 " scales for %d axes", count, shape->ndims);
    for (int d = 0; d < shape->ndims; d++) {
        if (!(values[d] >= 1 && values[d] <= 65536) || values[d] != floorf(values[d]))
            return onnx_refuse(im, "scale %g on axis %d, expected a whole number",
                               (double)values[d], d);
        factors[d] = (int64_t)values[d];
    }
    return SAC_OK;
}

sac_status onnx_resize(onnx_import *im) {
    sac_status status = SAC_OK;
    static const char *const modes[] = {"nearest"};
    static const char *const coordinates[] = {"asymmetric", "half_pixel", "pytorch_half_pixel",
                                              "align_corners"};
    static const char *const nearests[] = {"floor", "round_prefer_floor", "round_prefer_ceil",
                                           "ceil"};
    static const char *const policies[] = {"stretch"};
    const bool upsample = im->at->op_type[0] == 'U', old = upsample || im->opset < 11;
    int node = -1, mode = 0, policy = 0;
    int coordinate = old ? ASYMMETRIC : HALF_PIXEL, nearest = old ? FLOOR : ROUND_PREFER_FLOOR;
    int64_t factors[SAC_MAX_DIMS] = {1, 1, 1, 1, 1};
    SAC_TRY(onnx_input_node(im, 0, &node));
    const sac_shape shape = im->shapes[node];
    SAC_TRY(picture_check(im, &shape));
    SAC_TRY(onnx_choice(im, "mode", modes, 1, &mode));
    SAC_TRY(onnx_choice(im, "coordinate_transformation_mode", coordinates, 4, &coordinate));
    SAC_TRY(onnx_choice(im, "nearest_mode", nearests, 4, &nearest));
    SAC_TRY(onnx_choice(im, "keep_aspect_ratio_policy", policies, 1, &policy));
    if (onnx_has(im, "axes")) {
        status = onnx_refuse(im, "resizes named axes");
        goto fail;
    }
    if (!old && onnx_given(im, 3)) {
        int64_t sizes[SAC_ONNX_MAX_DIMS];
        int count = 0;
        SAC_TRY(onnx_input_ints(im, 3, sizes, SAC_ONNX_MAX_DIMS, &count));
        if (count != shape.ndims) {
            status = onnx_damaged(im, "%d sizes for %d axes", count, shape.ndims);
            goto fail;
        }
        for (int d = 0; d < shape.ndims; d++) {
            if (sizes[d] < 1 || sizes[d] % shape.dims[d] != 0 || sizes[d] > 65536) {
                status = onnx_refuse(im, "resizes %" PRId64 " to %" PRId64 ", expected a multiple",
                                     shape.dims[d], sizes[d]);
                goto fail;
            }
            factors[d] = sizes[d] / shape.dims[d];
        }
    } else {
        SAC_TRY(scales_read(im, old ? 1 : 2, &shape, factors));
    }
    sac_attrs attrs = {.size = {1, 1, 1}};
    bool fits = factors[0] == 1 && factors[1] == 1, one = true;
    for (int d = 2; d < shape.ndims; d++) {
        fits = fits && shape.dims[d] * factors[d] <= 65536 &&
               repeats(shape.dims[d], factors[d], coordinate, nearest);
        one = one && factors[d] == 1;
        attrs.size[d - (shape.ndims - 3)] = factors[d];
    }
    if (!fits) {
        status = onnx_refuse(im, "%s with %s does not just repeat pixels of height and width",
                             coordinates[coordinate], nearests[nearest]);
        goto fail;
    }
    if (!one) SAC_TRY(onnx_emit_one(im, SAC_OP_UPSAMPLE, &attrs, node, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}
