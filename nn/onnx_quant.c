// ONNX operators of quantised networks in QDQ form: QuantizeLinear, DequantizeLinear. Constants
// become the f32 that their steps stand for; a pair on a computed value becomes the rounding that
// it is (SAC_OP_FAKE_QUANT). No integer arithmetic.
#include <inttypes.h>
#include <math.h>

#include "core/check.h"
#include "nn/onnx_import.h"

#define TYPE_UINT8 2
#define MAX_COUNT  ((int64_t)1 << 31)

// One scale > 0 for a whole tensor.
static sac_status one_scale(onnx_import *im, double *scale) {
    const onnx_tensor *t = NULL;
    const sac_status status = onnx_input_constant(im, 1, &t);
    if (status < 0) return status;
    if (t->f == NULL || t->count != 1)
        return onnx_refuse(im, "has %" PRId64 " scales, expected one for a computed tensor",
                           t->count);
    if (!(t->f[0] > 0) || !isfinite(t->f[0]))
        return onnx_damaged(im, "its scale is %g, expected more than 0", (double)t->f[0]);
    *scale = (double)t->f[0];
    return SAC_OK;
}

// A zero point that is absent or 0 of type u8.
static sac_status no_zero_point(onnx_import *im) {
    onnx_value *value = NULL;
    if (!onnx_given(im, 2)) return SAC_OK;
    const sac_status status = onnx_input(im, 2, &value);
    if (status < 0) return status;
    if (value->kind != ONNX_CONSTANT || value->stored == NULL ||
        value->stored->data_type != TYPE_UINT8)
        return onnx_refuse(im, "quantises to another type than uint8");
    if (value->tensor->i == NULL || value->tensor->count != 1 || value->tensor->i[0] != 0)
        return onnx_refuse(im, "has a zero point other than one 0");
    return SAC_OK;
}

sac_status onnx_quantize(onnx_import *im) {
    sac_status status = SAC_OK;
    sac_attrs attrs = {0};
    int node = -1;
    int64_t type = 0;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(one_scale(im, &attrs.alpha));
    SAC_TRY(no_zero_point(im));
    SAC_TRY(onnx_int(im, "output_dtype", &type));
    if (type != 0 && type != TYPE_UINT8) {
        status = onnx_refuse(im, "quantises to another type than uint8");
        goto fail;
    }
    status = onnx_output_late(im, ONNX_LATE_STEPS, SAC_OP_FAKE_QUANT, &attrs, node);
fail:
    return status;
}

sac_status onnx_dequantize(onnx_import *im) {
    sac_status status = SAC_OK;
    onnx_value *value = NULL;
    double scale = 0;
    int node = -1;
    SAC_TRY(one_scale(im, &scale));
    SAC_TRY(no_zero_point(im));
    SAC_TRY(onnx_input(im, 0, &value)); // last, for its address
    if (value->kind == ONNX_LATE && value->late == ONNX_LATE_STEPS) {
        if (value->attrs.alpha != scale) {
            status = onnx_refuse(im, "its scale %g is not the %g of the QuantizeLinear before it",
                                 scale, value->attrs.alpha);
            goto fail;
        }
        SAC_TRY(onnx_emit_one(im, SAC_OP_FAKE_QUANT, &(sac_attrs){.alpha = scale}, value->node, 0,
                              NULL, &node));
    } else if (value->kind == ONNX_NODE &&
               sac_net_node(im->net, value->node)->kind == SAC_OP_INPUT) {
        // Only an input of bytes can stand here in a valid file.
        SAC_TRY(onnx_emit_one(im, SAC_OP_LINEAR, &(sac_attrs){.alpha = scale}, value->node, 0, NULL,
                              &node));
    } else {
        status = onnx_refuse(im, "its input is not the result of a QuantizeLinear");
        goto fail;
    }
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// Steps to f32: one scale, or one per place along `axis`.
sac_status onnx_fold_dequantize(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *q = NULL, *scale = NULL, *zero = NULL;
    onnx_tensor *out = NULL;
    int64_t given = 1, block = 0, inner = 1;
    int axis = 0;
    SAC_TRY(onnx_input_constant(im, 0, &q));
    SAC_TRY(onnx_input_constant(im, 1, &scale));
    if (onnx_given(im, 2)) SAC_TRY(onnx_input_constant(im, 2, &zero));
    SAC_TRY(onnx_int(im, "axis", &given));
    SAC_TRY(onnx_int(im, "block_size", &block));
    if (q->i == NULL || scale->f == NULL || (zero != NULL && zero->i == NULL)) {
        status = onnx_refuse(im, "expected whole numbers and scales of floats");
        goto fail;
    }
    if (block != 0) {
        status = onnx_refuse(im, "has one scale per block");
        goto fail;
    }
    const bool single = scale->count == 1;
    if (!single) SAC_TRY(onnx_axis(im, given, q->ndims, &axis));
    if ((!single && (scale->ndims != 1 || scale->count != q->dims[axis])) ||
        (zero != NULL && zero->count != scale->count)) {
        status = onnx_damaged(im, "%" PRId64 " scales do not fit the tensor", scale->count);
        goto fail;
    }
    for (int d = axis + 1; d < q->ndims; d++) inner *= q->dims[d];
    SAC_TRY(onnx_tensor_new(im, q->ndims, q->dims, true, MAX_COUNT, &out));
    for (int64_t k = 0; k < q->count; k++) {
        const int64_t c = single ? 0 : k / inner % scale->count;
        // Any integers may be given: their difference need not fit 64 bits.
        out->f[k] =
            (float)((double)q->i[k] - (zero != NULL ? (double)zero->i[c] : 0.0)) * scale->f[c];
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}
