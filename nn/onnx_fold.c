// Operators on constants: the arithmetic on shapes that exporters leave in a graph, and moves of
// weights. Results are computed while reading, so no node of the net stands for them.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/onnx_import.h"

// Largest result of an operator that can make much out of little.
#define MAX_GROWN (INT64_C(1) << 22)
#define MAX_MOVED (INT64_C(1) << 31)

static double real_at(const onnx_tensor *t, int64_t k) {
    return t->f != NULL ? (double)t->f[k] : (double)t->i[k];
}

static size_t element_bytes(const onnx_tensor *t) {
    return t->f != NULL ? sizeof(float) : sizeof(int64_t);
}

static uint8_t *bytes_of(const onnx_tensor *t) {
    return t->f != NULL ? (uint8_t *)t->f : (uint8_t *)t->i;
}

// The same elements under other sizes.
static sac_status resized(onnx_import *im, const onnx_tensor *t, int ndims, const int64_t *dims) {
    sac_status status = SAC_OK;
    onnx_tensor *out = NULL;
    char text[2][96];
    SAC_TRY(onnx_tensor_new(im, ndims, dims, t->f != NULL, MAX_MOVED, &out));
    if (out->count != t->count) {
        return onnx_damaged(im, "%s does not become %s: the number of elements differs",
                            onnx_dims_text(t->ndims, t->dims, text[0]),
                            onnx_dims_text(ndims, dims, text[1]));
    }
    memcpy(bytes_of(out), bytes_of(t), (size_t)t->count * element_bytes(t));
    return onnx_output_constant(im, out);
fail:
    return status;
}

sac_status onnx_fold_same(onnx_import *im) {
    onnx_value *value = NULL;
    sac_status status = onnx_input(im, 0, &value);
    if (status < 0) return status;
    return onnx_output_constant(im, value->tensor);
}

sac_status onnx_fold_cast(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    onnx_tensor *out = NULL;
    int64_t to = 0;
    SAC_TRY(onnx_int(im, "to", &to));
    SAC_TRY(onnx_input_constant(im, 0, &t));
    const bool real = to == 1 || to == 10 || to == 11 || to == 16;
    if (!real && (to < 2 || to > 13 || to == 8)) {
        status = onnx_refuse(im, "casts to type %" PRId64, to);
        goto fail;
    }
    SAC_TRY(onnx_tensor_new(im, t->ndims, t->dims, real, MAX_MOVED, &out));
    for (int64_t k = 0; k < t->count; k++) {
        const double v = real_at(t, k);
        if (real) {
            out->f[k] = (float)v;
        } else if (t->i != NULL) {
            out->i[k] = t->i[k];
        } else if (v > -9e18 && v < 9e18) {
            out->i[k] = (int64_t)v;
        } else {
            status = onnx_damaged(im, "casts %g to a whole number", v);
            goto fail;
        }
        if (!real && to == 9) out->i[k] = v != 0;
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}

sac_status onnx_fold_constant(onnx_import *im) {
    sac_status status = SAC_OK;
    onnx_tensor *out = NULL;
    const Sac__Onnx__Attribute *a = onnx_attribute(im, "value");
    if (a != NULL) {
        if (a->t == NULL) return onnx_damaged(im, "attribute 'value' is not a tensor");
        SAC_TRY(onnx_tensor_load(im, a->t, im->at->n_output > 0 ? im->at->output[0] : "", &out));
        return onnx_output_constant(im, out);
    }
    const bool list = onnx_has(im, "value_ints") || onnx_has(im, "value_floats");
    a = onnx_attribute(im, onnx_has(im, "value_ints")     ? "value_ints"
                           : onnx_has(im, "value_floats") ? "value_floats"
                           : onnx_has(im, "value_int")    ? "value_int"
                                                          : "value_float");
    if (a == NULL) return onnx_refuse(im, "its value is not a tensor or number");
    const bool real = strncmp(a->name, "value_float", 11) == 0;
    const int64_t count = !list ? 1 : (int64_t)(real ? a->n_floats : a->n_ints);
    SAC_TRY(onnx_tensor_new(im, list ? 1 : 0, &count, real, MAX_GROWN, &out));
    for (int64_t k = 0; k < count; k++) {
        if (real) {
            out->f[k] = list ? a->floats[k] : a->f;
        } else {
            out->i[k] = list ? a->ints[k] : a->i;
        }
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}

sac_status onnx_fold_constant_of_shape(onnx_import *im) {
    sac_status status = SAC_OK;
    onnx_tensor *out = NULL, *value = NULL;
    int64_t dims[SAC_ONNX_MAX_DIMS] = {0};
    int ndims = 0;
    const Sac__Onnx__Attribute *a = onnx_attribute(im, "value");
    SAC_TRY(onnx_input_ints(im, 0, dims, SAC_ONNX_MAX_DIMS, &ndims));
    if (a != NULL && a->t != NULL) {
        SAC_TRY(onnx_tensor_load(im, a->t, "value", &value));
        if (value->count != 1) {
            status = onnx_damaged(im, "attribute 'value' has %" PRId64 " elements, expected 1",
                                  value->count);
            goto fail;
        }
    }
    SAC_TRY(onnx_tensor_new(im, ndims, dims, value == NULL || value->f != NULL, MAX_GROWN, &out));
    for (int64_t k = 0; value != NULL && k < out->count; k++) {
        if (value->f != NULL) {
            out->f[k] = value->f[0];
        } else {
            out->i[k] = value->i[0];
        }
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}

// dst[o][j][i] = src[o][index[j]][i]
sac_status onnx_fold_gather(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL, *index = NULL;
    onnx_tensor *out = NULL;
    int64_t given = 0, dims[2 * SAC_ONNX_MAX_DIMS], outer = 1, inner = 1;
    int axis = 0, ndims = 0;
    SAC_TRY(onnx_int(im, "axis", &given));
    SAC_TRY(onnx_input_constant(im, 0, &t));
    SAC_TRY(onnx_input_constant(im, 1, &index));
    SAC_TRY(onnx_axis(im, given, t->ndims, &axis));
    if (index->i == NULL) {
        status = onnx_damaged(im, "its indices are not whole numbers");
        goto fail;
    }
    for (int d = 0; d < axis; d++) outer *= dims[ndims++] = t->dims[d];
    for (int d = 0; d < index->ndims; d++) dims[ndims++] = index->dims[d];
    for (int d = axis + 1; d < t->ndims; d++) inner *= dims[ndims++] = t->dims[d];
    SAC_TRY(onnx_tensor_new(im, ndims, dims, t->f != NULL, MAX_GROWN, &out));
    const size_t bytes = (size_t)inner * element_bytes(t);
    const int64_t size = t->dims[axis];
    uint8_t *to = bytes_of(out);
    for (int64_t o = 0; out->count > 0 && o < outer; o++) {
        for (int64_t j = 0; j < index->count; j++, to += bytes) {
            const int64_t at = index->i[j] < 0 ? index->i[j] + size : index->i[j];
            if (at < 0 || at >= size) {
                status =
                    onnx_damaged(im, "index %" PRId64 " on an axis of %" PRId64, index->i[j], size);
                goto fail;
            }
            memcpy(to, bytes_of(t) + (size_t)(o * size + at) * bytes, bytes);
        }
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}

sac_status onnx_fold_concat(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *first = NULL, *t = NULL;
    onnx_tensor *out = NULL;
    int64_t given = 0, dims[SAC_ONNX_MAX_DIMS] = {0}, outer = 1, begin = 0, inner = 1;
    int axis = 0;
    SAC_TRY(onnx_int(im, "axis", &given));
    SAC_TRY(onnx_input_constant(im, 0, &first));
    SAC_TRY(onnx_axis(im, given, first->ndims, &axis));
    memcpy(dims, first->dims, sizeof dims);
    for (size_t k = 1; k < im->at->n_input; k++) {
        SAC_TRY(onnx_input_constant(im, (int)k, &t));
        bool fits = t->ndims == first->ndims && (t->f != NULL) == (first->f != NULL);
        for (int d = 0; fits && d < t->ndims; d++) fits = d == axis || t->dims[d] == dims[d];
        if (!fits || !sac_add(dims[axis], t->dims[axis], &dims[axis])) {
            status = onnx_damaged(im, "its constants do not fit each other");
            goto fail;
        }
    }
    SAC_TRY(onnx_tensor_new(im, first->ndims, dims, first->f != NULL, MAX_MOVED, &out));
    for (int d = 0; d < axis; d++) outer *= dims[d];
    for (int d = axis + 1; d < first->ndims; d++) inner *= dims[d];
    const size_t row = (size_t)(dims[axis] * inner) * element_bytes(out);
    for (size_t k = 0; k < im->at->n_input; k++) {
        SAC_TRY(onnx_input_constant(im, (int)k, &t));
        const size_t run = (size_t)(t->dims[axis] * inner) * element_bytes(out);
        for (int64_t o = 0; run > 0 && o < outer; o++) {
            memcpy(bytes_of(out) + (size_t)o * row + (size_t)begin, bytes_of(t) + (size_t)o * run,
                   run);
        }
        begin += (int64_t)run;
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}

// Copies the elements at begin + i * step per axis of `t`, whose element strides are `strides`.
static void gather_strided(onnx_tensor *out, const onnx_tensor *t, const int64_t *begin,
                           const int64_t *step, const int64_t *strides) {
    int64_t at[SAC_ONNX_MAX_DIMS] = {0};
    const size_t bytes = element_bytes(t);
    for (int64_t k = 0; k < out->count; k++) {
        int64_t from = 0;
        for (int d = 0; d < out->ndims; d++) from += (begin[d] + at[d] * step[d]) * strides[d];
        memcpy(bytes_of(out) + (size_t)k * bytes, bytes_of(t) + (size_t)from * bytes, bytes);
        for (int d = out->ndims - 1; d >= 0 && ++at[d] == out->dims[d]; d--) at[d] = 0;
    }
}

static void row_major(const onnx_tensor *t, int64_t *strides) {
    int64_t step = 1;
    for (int d = t->ndims - 1; d >= 0; d--) {
        strides[d] = step;
        step *= t->dims[d];
    }
}

sac_status onnx_fold_slice(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    onnx_tensor *out = NULL;
    int64_t begin[SAC_ONNX_MAX_DIMS], length[SAC_ONNX_MAX_DIMS], step[SAC_ONNX_MAX_DIMS],
        strides[SAC_ONNX_MAX_DIMS];
    SAC_TRY(onnx_input_constant(im, 0, &t));
    SAC_TRY(onnx_slice_read(im, t->ndims, t->dims, begin, length, step));
    SAC_TRY(onnx_tensor_new(im, t->ndims, length, t->f != NULL, MAX_MOVED, &out));
    row_major(t, strides);
    gather_strided(out, t, begin, step, strides);
    status = onnx_output_constant(im, out);
fail:
    return status;
}

sac_status onnx_fold_transpose(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    onnx_tensor *out = NULL;
    int64_t order[SAC_ONNX_MAX_DIMS], dims[SAC_ONNX_MAX_DIMS], plain[SAC_ONNX_MAX_DIMS],
        strides[SAC_ONNX_MAX_DIMS];
    static const int64_t zero[SAC_ONNX_MAX_DIMS] = {0},
                         one[SAC_ONNX_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
    SAC_TRY(onnx_input_constant(im, 0, &t));
    SAC_TRY(onnx_transpose_order(im, t->ndims, order));
    row_major(t, plain);
    for (int d = 0; d < t->ndims; d++) {
        dims[d] = t->dims[order[d]];
        strides[d] = plain[order[d]];
    }
    SAC_TRY(onnx_tensor_new(im, t->ndims, dims, t->f != NULL, MAX_MOVED, &out));
    gather_strided(out, t, zero, one, strides);
    status = onnx_output_constant(im, out);
fail:
    return status;
}

sac_status onnx_fold_reshape(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    int64_t dims[SAC_ONNX_MAX_DIMS];
    int ndims = 0;
    SAC_TRY(onnx_input_constant(im, 0, &t));
    SAC_TRY(onnx_reshape_dims(im, t->ndims, t->dims, &ndims, dims));
    status = resized(im, t, ndims, dims);
fail:
    return status;
}

static sac_status fold_squeeze(onnx_import *im, bool insert) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    int64_t dims[SAC_ONNX_MAX_DIMS];
    int ndims = 0;
    SAC_TRY(onnx_input_constant(im, 0, &t));
    SAC_TRY(onnx_squeeze_dims(im, insert, t->ndims, t->dims, &ndims, dims));
    status = resized(im, t, ndims, dims);
fail:
    return status;
}

sac_status onnx_fold_squeeze(onnx_import *im) {
    return fold_squeeze(im, false);
}

sac_status onnx_fold_unsqueeze(onnx_import *im) {
    return fold_squeeze(im, true);
}

// a op b of whole numbers; false for results that do not exist.
static bool whole(char op, int64_t a, int64_t b, int64_t *out) {
    switch (op) {
    case '+':
        return !__builtin_add_overflow(a, b, out);
    case '-':
        return !__builtin_sub_overflow(a, b, out);
    case '*':
        return !__builtin_mul_overflow(a, b, out);
    default:
        if (b == 0 || (a == INT64_MIN && b == -1)) return false;
        *out = a / b;
        return true;
    }
}

static float real(char op, float a, float b) {
    return op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
}

// Add, Sub, Mul, Div with broadcasting.
sac_status onnx_fold_binary(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t[2] = {NULL, NULL};
    onnx_tensor *out = NULL;
    const char op = im->at->op_type[0] == 'A'   ? '+'
                    : im->at->op_type[0] == 'S' ? '-'
                    : im->at->op_type[0] == 'M' ? '*'
                                                : '/';
    int64_t dims[SAC_ONNX_MAX_DIMS], strides[2][SAC_ONNX_MAX_DIMS], at[SAC_ONNX_MAX_DIMS] = {0};
    char text[2][96];
    for (int k = 0; k < 2; k++) SAC_TRY(onnx_input_constant(im, k, &t[k]));
    const int ndims = t[0]->ndims > t[1]->ndims ? t[0]->ndims : t[1]->ndims;
    bool fits = (t[0]->f != NULL) == (t[1]->f != NULL);
    for (int d = 0; d < ndims; d++) dims[d] = 1;
    for (int k = 0; k < 2; k++) {
        int64_t plain[SAC_ONNX_MAX_DIMS];
        row_major(t[k], plain);
        for (int d = 0; d < ndims; d++) {
            const int own = d - (ndims - t[k]->ndims);
            const int64_t size = own >= 0 ? t[k]->dims[own] : 1;
            strides[k][d] = size != 1 ? plain[own] : 0;
            if (size != 1 && dims[d] != 1 && dims[d] != size) fits = false;
            if (size != 1) dims[d] = size;
        }
    }
    if (!fits) {
        status = onnx_damaged(im, "constants of sizes %s and %s do not fit each other",
                              onnx_dims_text(t[0]->ndims, t[0]->dims, text[0]),
                              onnx_dims_text(t[1]->ndims, t[1]->dims, text[1]));
        goto fail;
    }
    SAC_TRY(onnx_tensor_new(im, ndims, dims, t[0]->f != NULL, INT64_C(1) << 26, &out));
    for (int64_t k = 0; k < out->count; k++) {
        int64_t a = 0, b = 0;
        for (int d = 0; d < ndims; d++) {
            a += at[d] * strides[0][d];
            b += at[d] * strides[1][d];
        }
        if (out->f != NULL) {
            out->f[k] = real(op, t[0]->f[a], t[1]->f[b]);
        } else if (!whole(op, t[0]->i[a], t[1]->i[b], &out->i[k])) {
            status = onnx_damaged(im, "%" PRId64 " %c %" PRId64 " has no result", t[0]->i[a], op,
                                  t[1]->i[b]);
            goto fail;
        }
        for (int d = ndims - 1; d >= 0 && ++at[d] == dims[d]; d--) at[d] = 0;
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}

// Floor, Ceil, Sqrt, Neg
sac_status onnx_fold_unary(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t = NULL;
    onnx_tensor *out = NULL;
    const char op = im->at->op_type[0];
    SAC_TRY(onnx_input_constant(im, 0, &t));
    SAC_TRY(onnx_tensor_new(im, t->ndims, t->dims, t->f != NULL, MAX_MOVED, &out));
    for (int64_t k = 0; k < t->count; k++) {
        if (t->f == NULL) {
            if (op == 'S' || t->i[k] == INT64_MIN) {
                status = onnx_damaged(im, "%" PRId64 " has no result", t->i[k]);
                goto fail;
            }
            out->i[k] = op == 'N' ? -t->i[k] : t->i[k];
        } else {
            out->f[k] = op == 'F'   ? floorf(t->f[k])
                        : op == 'C' ? ceilf(t->f[k])
                        : op == 'S' ? sqrtf(t->f[k])
                                    : -t->f[k];
        }
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}

sac_status onnx_fold_range(onnx_import *im) {
    sac_status status = SAC_OK;
    const onnx_tensor *t[3] = {NULL, NULL, NULL};
    onnx_tensor *out = NULL;
    for (int k = 0; k < 3; k++) {
        SAC_TRY(onnx_input_constant(im, k, &t[k]));
        if (t[k]->count != 1 || (t[k]->f != NULL) != (t[0]->f != NULL)) {
            status = onnx_damaged(im, "input %d is not a number like the others", k);
            goto fail;
        }
    }
    const double start = real_at(t[0], 0), step = real_at(t[2], 0),
                 steps = ceil((real_at(t[1], 0) - start) / step);
    if (!(steps <= (double)MAX_GROWN)) { // also for a step of 0
        status = onnx_damaged(im, "makes %g numbers, expected at most %" PRId64, steps, MAX_GROWN);
        goto fail;
    }
    const int64_t count = steps > 0 ? (int64_t)steps : 0;
    SAC_TRY(onnx_tensor_new(im, 1, &count, t[0]->f != NULL, MAX_GROWN, &out));
    for (int64_t k = 0; k < count; k++) {
        if (out->f != NULL) {
            out->f[k] = (float)(start + (double)k * step);
        } else if (__builtin_mul_overflow(k, t[2]->i[0], &out->i[k]) ||
                   __builtin_add_overflow(out->i[k], t[0]->i[0], &out->i[k])) {
            status = onnx_damaged(im, "leaves the range of whole numbers");
            goto fail;
        }
    }
    status = onnx_output_constant(im, out);
fail:
    return status;
}

// Sizes of a node or constant, from `start` to `end`.
sac_status onnx_fold_shape(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t start = 0, end = SAC_ONNX_MAX_DIMS, begin = 0, length = 0;
    int64_t dims[SAC_ONNX_MAX_DIMS] = {0};
    int ndims = 0, node = -1;
    onnx_tensor *out = NULL;
    SAC_TRY(onnx_int(im, "start", &start));
    SAC_TRY(onnx_int(im, "end", &end));
    if (onnx_is_constant(im, 0)) {
        const onnx_tensor *t = NULL;
        SAC_TRY(onnx_input_constant(im, 0, &t));
        ndims = t->ndims;
        memcpy(dims, t->dims, sizeof t->dims);
    } else {
        SAC_TRY(onnx_input_node(im, 0, &node));
        ndims = im->shapes[node].ndims;
        for (int d = 0; d < ndims; d++) dims[d] = im->shapes[node].dims[d];
    }
    SAC_TRY(onnx_slice_range(im, start, end, 1, ndims, &begin, &length));
    SAC_TRY(onnx_tensor_new(im, 1, &length, false, MAX_GROWN, &out));
    for (int64_t k = 0; k < length; k++) out->i[k] = dims[begin + k];
    status = onnx_output_constant(im, out);
fail:
    return status;
}
