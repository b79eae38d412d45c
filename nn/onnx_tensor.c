// Constants of an ONNX file: the many ways to store a tensor, brought to floats or whole numbers.
// Bytes are little-endian, as the format demands, and so is every machine this builds on.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/onnx_import.h"

#define MAX_STORED (INT64_C(1) << 31)

// TensorProto.DataType
enum {
    DATA_FLOAT = 1,
    DATA_UINT8,
    DATA_INT8,
    DATA_UINT16,
    DATA_INT16,
    DATA_INT32,
    DATA_INT64,
    DATA_STRING,
    DATA_BOOL,
    DATA_FLOAT16,
    DATA_DOUBLE,
    DATA_UINT32,
    DATA_UINT64,
    DATA_BFLOAT16 = 16,
};

char *onnx_dims_text(int ndims, const int64_t *dims, char *buffer) {
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 0; i < ndims && used < 70; i++) {
        const int n = snprintf(buffer + used, 96 - used, "[%" PRId64 "]", dims[i]);
        if (n > 0) used += (size_t)n;
    }
    return buffer;
}

// Elements of a tensor; false when a size is negative or the product too large, sizes of 0 counted
// as 1 there, so that strides cannot overflow either.
static bool count_of(int ndims, const int64_t *dims, int64_t limit, int64_t *count) {
    int64_t product = 1;
    *count = 1;
    for (int d = 0; d < ndims; d++) {
        if (!sac_mul(product, dims[d] == 0 ? 1 : dims[d], &product) || product > limit)
            return false;
        *count *= dims[d];
    }
    return true;
}

sac_status onnx_tensor_new(onnx_import *im, int ndims, const int64_t *dims, bool floats,
                           int64_t limit, onnx_tensor **out) {
    int64_t count = 0;
    char text[96];
    if (ndims > SAC_ONNX_MAX_DIMS)
        return onnx_refuse(im, "a constant has %d axes, expected at most %d", ndims,
                           SAC_ONNX_MAX_DIMS);
    if (!count_of(ndims, dims, limit, &count))
        return onnx_damaged(im, "a constant has sizes %s, expected at most %" PRId64 " elements",
                            onnx_dims_text(ndims, dims, text), limit);
    im->tensor_budget -= count;
    if (im->tensor_budget < 0)
        return onnx_refuse(im, "its constants grow much larger than the file");
    onnx_tensor *t = sac_calloc(1, sizeof *t);
    if (t == NULL) return SAC_ERROR_MEMORY;
    t->next = im->tensors;
    im->tensors = t;
    t->ndims = ndims;
    t->count = count;
    for (int d = 0; d < ndims; d++) t->dims[d] = dims[d];
    if (floats) {
        t->f = sac_calloc(count, sizeof *t->f);
    } else {
        t->i = sac_calloc(count, sizeof *t->i);
    }
    if (t->f == NULL && t->i == NULL) return SAC_ERROR_MEMORY;
    *out = t;
    return SAC_OK;
}

static float from_half(uint16_t bits) {
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 31,
                   fraction = bits & 1023;
    uint32_t out;
    float value;
    if (exponent == 0) { // zero and numbers below the normal range: fraction * 2^-24
        value = (float)fraction * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    if (exponent == 31) {
        out = sign | 0x7f800000u | fraction << 13;
    } else {
        out = sign | (exponent + 112) << 23 | fraction << 13;
    }
    memcpy(&value, &out, sizeof value);
    return value;
}

static float from_bfloat(uint16_t bits) {
    const uint32_t out = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &out, sizeof value);
    return value;
}

static size_t size_of(int type) {
    switch (type) {
    case DATA_UINT8:
    case DATA_INT8:
    case DATA_BOOL:
        return 1;
    case DATA_UINT16:
    case DATA_INT16:
    case DATA_FLOAT16:
    case DATA_BFLOAT16:
        return 2;
    case DATA_FLOAT:
    case DATA_INT32:
    case DATA_UINT32:
        return 4;
    case DATA_INT64:
    case DATA_DOUBLE:
    case DATA_UINT64:
        return 8;
    default:
        return 0;
    }
}

static bool is_real(int type) {
    return type == DATA_FLOAT || type == DATA_FLOAT16 || type == DATA_DOUBLE ||
           type == DATA_BFLOAT16;
}

#define RAW(type, at, field)                                                                       \
    do {                                                                                           \
        type value_;                                                                               \
        memcpy(&value_, raw + (size_t)(at) * sizeof value_, sizeof value_);                        \
        (field) = value_;                                                                          \
    } while (0)

static void from_raw(onnx_tensor *t, int type, const uint8_t *raw) {
    for (int64_t k = 0; k < t->count; k++) {
        uint16_t half = 0;
        double wide = 0;
        switch (type) {
        case DATA_FLOAT:
            RAW(float, k, t->f[k]);
            break;
        case DATA_DOUBLE:
            RAW(double, k, wide);
            t->f[k] = (float)wide;
            break;
        case DATA_FLOAT16:
            RAW(uint16_t, k, half);
            t->f[k] = from_half(half);
            break;
        case DATA_BFLOAT16:
            RAW(uint16_t, k, half);
            t->f[k] = from_bfloat(half);
            break;
        case DATA_INT8:
            RAW(int8_t, k, t->i[k]);
            break;
        case DATA_INT16:
            RAW(int16_t, k, t->i[k]);
            break;
        case DATA_UINT16:
            RAW(uint16_t, k, t->i[k]);
            break;
        case DATA_INT32:
            RAW(int32_t, k, t->i[k]);
            break;
        case DATA_UINT32:
            RAW(uint32_t, k, t->i[k]);
            break;
        case DATA_INT64:
        case DATA_UINT64:
            RAW(int64_t, k, t->i[k]);
            break;
        default: // UINT8, BOOL
            t->i[k] = raw[k];
            break;
        }
    }
}

// Numbers in the typed fields. int32_data holds all whole types up to 32 bits and the bits of
// halves.
static void from_field(onnx_tensor *t, int type, const Sac__Onnx__Tensor *s) {
    for (int64_t k = 0; k < t->count; k++) {
        switch (type) {
        case DATA_FLOAT:
            t->f[k] = s->float_data[k];
            break;
        case DATA_DOUBLE:
            t->f[k] = (float)s->double_data[k];
            break;
        case DATA_FLOAT16:
            t->f[k] = from_half((uint16_t)s->int32_data[k]);
            break;
        case DATA_BFLOAT16:
            t->f[k] = from_bfloat((uint16_t)s->int32_data[k]);
            break;
        case DATA_INT64:
            t->i[k] = s->int64_data[k];
            break;
        case DATA_UINT32:
        case DATA_UINT64:
            t->i[k] = (int64_t)s->uint64_data[k];
            break;
        default:
            t->i[k] = s->int32_data[k];
            break;
        }
    }
}

sac_status onnx_tensor_load(onnx_import *im, const Sac__Onnx__Tensor *s, const char *name,
                            onnx_tensor **out) {
    sac_status status = SAC_OK;
    const int type = s->has_data_type ? s->data_type : 0;
    const size_t element = size_of(type);
    char text[96];
    if (s->n_external_data > 0 || (s->has_data_location && s->data_location != 0))
        return onnx_refuse(im, "constant '%.120s' has its data in another file", name);
    if (s->has_segment) return onnx_refuse(im, "constant '%.120s' is cut into segments", name);
    if (element == 0)
        return onnx_refuse(im, "constant '%.120s' has elements of type %d", name, type);
    if (s->n_dims > SAC_ONNX_MAX_DIMS)
        return onnx_refuse(im, "constant '%.120s' has %zu axes, expected at most %d", name,
                           s->n_dims, SAC_ONNX_MAX_DIMS);
    int64_t count = 0;
    if (!count_of((int)s->n_dims, s->dims, MAX_STORED, &count))
        return onnx_damaged(im, "constant '%.120s' has impossible sizes %s", name,
                            onnx_dims_text((int)s->n_dims, s->dims, text));
    const size_t fields = type == DATA_FLOAT                           ? s->n_float_data
                          : type == DATA_DOUBLE                        ? s->n_double_data
                          : type == DATA_INT64                         ? s->n_int64_data
                          : type == DATA_UINT32 || type == DATA_UINT64 ? s->n_uint64_data
                                                                       : s->n_int32_data;
    // Bytes or elements held must be exactly what the sizes say, before anything is allocated for
    // them.
    const bool raw = s->has_raw_data;
    if (raw ? s->raw_data.len != (size_t)count * element : fields != (size_t)count)
        return onnx_damaged(im, "constant '%.120s' holds %zu %s, its sizes %s need %" PRId64, name,
                            raw ? s->raw_data.len : fields, raw ? "bytes" : "elements",
                            onnx_dims_text((int)s->n_dims, s->dims, text),
                            raw ? count * (int64_t)element : count);
    if (raw && type == DATA_FLOAT && count > 0) {
        // Nearly all weights: the bytes stay where the parser put them, in a block of their own.
        onnx_tensor *t = sac_calloc(1, sizeof *t);
        SAC_TRY_ALLOC(t);
        t->next = im->tensors;
        im->tensors = t;
        t->ndims = (int)s->n_dims;
        for (size_t d = 0; d < s->n_dims; d++) t->dims[d] = s->dims[d];
        t->count = count;
        t->f = (float *)(void *)s->raw_data.data;
        t->borrowed = true;
        *out = t;
        return SAC_OK;
    }
    SAC_TRY(onnx_tensor_new(im, (int)s->n_dims, s->dims, is_real(type), MAX_STORED, out));
    if (raw) {
        from_raw(*out, type, s->raw_data.data);
    } else {
        from_field(*out, type, s);
    }
fail:
    return status;
}
