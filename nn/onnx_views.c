// ONNX operators that move or rename elements: Identity and its like, Concat, Slice, Split, Gather,
// Reshape, Flatten, Squeeze, Unsqueeze, Transpose. Axis 0 of a node, the batch, never moves.
#include <inttypes.h>
#include <string.h>

#include "core/check.h"
#include "nn/onnx_import.h"
#include "nn/op.h"

#define MAX_GATHER 4096 // places that one Gather may pick of a computed tensor

sac_status onnx_axis(onnx_import *im, int64_t given, int ndims, int *axis) {
    if (given < -ndims || given >= ndims)
        return onnx_damaged(im, "axis %" PRId64 " of %d axes", given, ndims);
    *axis = (int)(given < 0 ? given + ndims : given);
    return SAC_OK;
}

sac_status onnx_same(onnx_import *im) {
    sac_status status = SAC_OK;
    int node = -1;
    if (strcmp(im->at->op_type, "Cast") == 0) {
        int64_t to = 0;
        SAC_TRY(onnx_int(im, "to", &to));
        if (to != 1 && to != 10 && to != 11 && to != 16) {
            status = onnx_refuse(im, "casts a computed tensor to type %" PRId64, to);
            goto fail;
        }
    }
    SAC_TRY(onnx_input_node(im, 0, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// More inputs than a node takes are joined in steps.
sac_status onnx_concat(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t given = 0;
    int src[SAC_MAX_SRC], count = 0, node = -1;
    sac_attrs attrs = {0};
    const size_t inputs = im->at->n_input;
    SAC_TRY(onnx_int(im, "axis", &given));
    for (size_t k = 0; k < inputs; k++) {
        SAC_TRY(onnx_input_node(im, (int)k, &src[count++]));
        if (k == 0) {
            SAC_TRY(onnx_axis(im, given, im->shapes[src[0]].ndims, &attrs.axis));
            if (attrs.axis == 0) {
                status = onnx_refuse(im, "joins along axis 0, which is the batch");
                goto fail;
            }
        }
        if (count < SAC_MAX_SRC && k + 1 < inputs) continue;
        SAC_TRY(onnx_emit(im, SAC_OP_CONCAT, &attrs, src, count, 0, k + 1 < inputs ? "part" : NULL,
                          &node));
        src[0] = node;
        count = 1;
    }
    if (node < 0) {
        status = onnx_damaged(im, "has no inputs");
        goto fail;
    }
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

sac_status onnx_slice_range(onnx_import *im, int64_t start, int64_t end, int64_t step, int64_t size,
                            int64_t *begin, int64_t *length) {
    if (step == 0) return onnx_damaged(im, "a slice has step 0");
    if (step < -INT64_MAX) step = -INT64_MAX;
    if (start < 0) start += size;
    if (end < 0) end += size;
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    start = start < 0 ? 0 : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    *begin = start;
    if (step > 0) {
        *length = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        *length = start > end ? (start - end - 1) / -step + 1 : 0;
    }
    return SAC_OK;
}

sac_status onnx_slice_read(onnx_import *im, int ndims, const int64_t *dims, int64_t *begin,
                           int64_t *length, int64_t *step) {
    sac_status status = SAC_OK;
    int64_t starts[SAC_ONNX_MAX_DIMS], ends[SAC_ONNX_MAX_DIMS], axes[SAC_ONNX_MAX_DIMS],
        steps[SAC_ONNX_MAX_DIMS];
    int n = -1, n_ends = -1, n_axes = -1, n_steps = -1;
    bool seen[SAC_ONNX_MAX_DIMS] = {false};
    // Inputs since opset 10, attributes before.
    SAC_TRY(onnx_ints_of(im, 1, "starts", starts, SAC_ONNX_MAX_DIMS, &n));
    SAC_TRY(onnx_ints_of(im, 2, "ends", ends, SAC_ONNX_MAX_DIMS, &n_ends));
    SAC_TRY(onnx_ints_of(im, 3, "axes", axes, SAC_ONNX_MAX_DIMS, &n_axes));
    SAC_TRY(onnx_ints_of(im, 4, "steps", steps, SAC_ONNX_MAX_DIMS, &n_steps));
    if (n < 0 || n != n_ends || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n)) {
        status = onnx_damaged(im, "its starts, ends, axes and steps differ in number");
        goto fail;
    }
    for (int d = 0; d < ndims; d++) {
        begin[d] = 0;
        length[d] = dims[d];
        step[d] = 1;
    }
    for (int k = 0; k < n; k++) {
        int axis = 0;
        SAC_TRY(onnx_axis(im, n_axes >= 0 ? axes[k] : k, ndims, &axis));
        if (seen[axis]) {
            status = onnx_damaged(im, "slices axis %d twice", axis);
            goto fail;
        }
        seen[axis] = true;
        step[axis] = n_steps >= 0 ? steps[k] : 1;
        SAC_TRY(onnx_slice_range(im, starts[k], ends[k], step[axis], dims[axis], &begin[axis],
                                 &length[axis]));
    }
fail:
    return status;
}

// One axis cut out of a node; nothing when it is all of it.
static sac_status cut(onnx_import *im, int src, int axis, int64_t begin, int64_t length,
                      int64_t step, int output, const char *suffix, int *node) {
    const int64_t size = im->shapes[src].dims[axis];
    if (begin == 0 && length == size && step == 1) {
        *node = src;
        return SAC_OK;
    }
    if (axis == 0) return onnx_refuse(im, "cuts axis 0, which is the batch");
    if (length < 1) return onnx_refuse(im, "keeps nothing of axis %d", axis);
    if (step < 0) return onnx_refuse(im, "goes backwards along axis %d", axis);
    const sac_attrs attrs = {.axis = axis, .begin = begin, .length = length, .step = step};
    return onnx_emit_one(im, SAC_OP_SLICE, &attrs, src, output, suffix, node);
}

sac_status onnx_slice(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t begin[SAC_ONNX_MAX_DIMS], length[SAC_ONNX_MAX_DIMS], step[SAC_ONNX_MAX_DIMS];
    int node = -1;
    SAC_TRY(onnx_input_node(im, 0, &node));
    const sac_shape shape = im->shapes[node];
    SAC_TRY(onnx_slice_read(im, shape.ndims, shape.dims, begin, length, step));
    // The last cut carries the output's name.
    int last = 0;
    for (int d = 0; d < shape.ndims; d++) {
        if (length[d] != shape.dims[d]) last = d;
    }
    for (int d = 0; d < shape.ndims; d++)
        SAC_TRY(cut(im, node, d, begin[d], length[d], step[d], 0, d == last ? NULL : "cut", &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

sac_status onnx_split(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t given = 0, sizes[64], begin = 0;
    int node = -1, axis = 0, count = -1;
    const size_t outputs = im->at->n_output;
    SAC_TRY(onnx_int(im, "axis", &given));
    SAC_TRY(onnx_input_node(im, 0, &node));
    const sac_shape shape = im->shapes[node];
    SAC_TRY(onnx_axis(im, given, shape.ndims, &axis));
    SAC_TRY(onnx_ints_of(im, 1, "split", sizes, 64, &count));
    if (outputs > 64 || (count >= 0 && (size_t)count != outputs)) {
        status = onnx_damaged(im, "%d sizes for %zu outputs, expected as many, at most 64", count,
                              outputs);
        goto fail;
    }
    const int64_t size = shape.dims[axis], parts = (int64_t)outputs;
    for (int64_t k = 0; k < parts; k++) {
        // Without sizes all are equal, the last perhaps smaller (opset 18).
        const int64_t equal = (size + parts - 1) / parts, left = size - begin;
        const int64_t length = count >= 0 ? sizes[k] : left < equal ? left : equal;
        int part = -1;
        if (length < 1 || length > left || (k == parts - 1 && length != left)) {
            status = onnx_damaged(im, "its sizes do not sum up to %" PRId64, size);
            goto fail;
        }
        SAC_TRY(cut(im, node, axis, begin, length, 1, (int)k, NULL, &part));
        SAC_TRY(onnx_output_node(im, (int)k, part));
        begin += length;
    }
fail:
    return status;
}

// A list of indices: the longest pieces that go up in even steps, cut out and joined.
static sac_status gather_list(onnx_import *im, int src, int axis, const onnx_tensor *index) {
    sac_status status = SAC_OK;
    const int64_t size = im->shapes[src].dims[axis], count = index->count;
    const sac_attrs attrs = {.axis = axis};
    int parts[SAC_MAX_SRC], part_count = 0, node = -1;
    if (axis == 0) return onnx_refuse(im, "picks along axis 0, which is the batch");
    if (count < 1 || count > MAX_GATHER)
        return onnx_refuse(im, "picks %" PRId64 " places of a computed tensor, expected 1 to %d",
                           count, MAX_GATHER);
    for (int64_t i = 0; i < count; i++) {
        if (index->i[i] < -size || index->i[i] >= size)
            return onnx_damaged(im, "index %" PRId64 " on an axis of %" PRId64, index->i[i], size);
    }
    for (int64_t i = 0; i < count;) {
        const int64_t begin = index->i[i] < 0 ? index->i[i] + size : index->i[i];
        int64_t length = 1, step = 1;
        for (int64_t last = begin; i + length < count; length++) {
            const int64_t given = index->i[i + length], at = given < 0 ? given + size : given;
            if (length == 1 ? at <= last : at - last != step) break;
            step = at - last;
            last = at;
        }
        const bool only = length == count;
        SAC_TRY(cut(im, src, axis, begin, length, step, 0, only ? NULL : "cut", &node));
        parts[part_count++] = node;
        i += length;
        if (part_count < SAC_MAX_SRC && i < count) continue;
        if (part_count == 1) break;
        SAC_TRY(onnx_emit(im, SAC_OP_CONCAT, &attrs, parts, part_count, 0,
                          i < count ? "part" : NULL, &node));
        parts[0] = node;
        part_count = 1;
    }
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

// One index of one axis of a node, or a list of them.
sac_status onnx_gather(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t given = 0;
    int node = -1, axis = 0;
    const onnx_tensor *index = NULL;
    SAC_TRY(onnx_int(im, "axis", &given));
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_input_constant(im, 1, &index));
    sac_shape shape = im->shapes[node];
    SAC_TRY(onnx_axis(im, given, shape.ndims, &axis));
    if (index->i == NULL || index->ndims > 1) {
        status = onnx_refuse(im, "takes more than a list of indices of a computed tensor");
        goto fail;
    }
    if (index->ndims == 1) return gather_list(im, node, axis, index);
    const int64_t size = shape.dims[axis], at = index->i[0] < 0 ? index->i[0] + size : index->i[0];
    if (at < 0 || at >= size) {
        status = onnx_damaged(im, "index %" PRId64 " on an axis of %" PRId64, index->i[0], size);
        goto fail;
    }
    SAC_TRY(cut(im, node, axis, at, 1, 1, 0, "cut", &node));
    for (int d = axis; d + 1 < shape.ndims; d++) shape.dims[d] = shape.dims[d + 1];
    shape.ndims--;
    SAC_TRY(onnx_emit_reshape(im, node, &shape, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}

sac_status onnx_reshape_dims(onnx_import *im, int ndims, const int64_t *dims, int *out_ndims,
                             int64_t *out) {
    sac_status status = SAC_OK;
    int64_t keep_zero = 0, count = 1, known = 1;
    int unknown = -1;
    SAC_TRY(onnx_int(im, "allowzero", &keep_zero));
    SAC_TRY(onnx_input_ints(im, 1, out, SAC_ONNX_MAX_DIMS, out_ndims));
    for (int d = 0; d < ndims; d++) count *= dims[d]; // of a checked tensor
    for (int d = 0; d < *out_ndims; d++) {
        if (out[d] == 0 && keep_zero == 0) {
            if (d >= ndims) {
                status = onnx_damaged(im, "keeps axis %d of %d axes", d, ndims);
                goto fail;
            }
            out[d] = dims[d];
        }
        if (out[d] == -1 && unknown < 0) {
            unknown = d;
        } else if (!sac_mul(known, out[d], &known)) {
            status = onnx_damaged(im, "reshapes to size %" PRId64 " on axis %d", out[d], d);
            goto fail;
        }
    }
    if (unknown >= 0) {
        if (known == 0 || count % known != 0) {
            status =
                onnx_damaged(im, "%" PRId64 " elements do not fill rows of %" PRId64, count, known);
            goto fail;
        }
        out[unknown] = count / known;
    }
fail:
    return status;
}

// The node at input 0 with the elements under other sizes, as output 0.
static sac_status reshape_to(onnx_import *im, int node, int ndims, const int64_t *dims) {
    sac_shape shape = {.ndims = ndims};
    if (ndims > SAC_MAX_DIMS)
        return onnx_refuse(im, "makes %d axes, expected at most %d", ndims, SAC_MAX_DIMS);
    for (int d = 0; d < ndims; d++) shape.dims[d] = dims[d];
    const sac_status status = onnx_emit_reshape(im, node, &shape, 0, NULL, &node);
    return status < 0 ? status : onnx_output_node(im, 0, node);
}

sac_status onnx_reshape(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t dims[SAC_ONNX_MAX_DIMS];
    int node = -1, ndims = 0;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_reshape_dims(im, im->shapes[node].ndims, im->shapes[node].dims, &ndims, dims));
    status = reshape_to(im, node, ndims, dims);
fail:
    return status;
}

sac_status onnx_flatten(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t given = 1, dims[2] = {1, 1};
    int node = -1;
    SAC_TRY(onnx_int(im, "axis", &given));
    SAC_TRY(onnx_input_node(im, 0, &node));
    const sac_shape *shape = &im->shapes[node];
    // One behind the last axis is allowed too.
    if (given < -shape->ndims || given > shape->ndims) {
        status = onnx_damaged(im, "axis %" PRId64 " of %d axes", given, shape->ndims);
        goto fail;
    }
    if (given < 0) given += shape->ndims;
    for (int d = 0; d < shape->ndims; d++) dims[d < given ? 0 : 1] *= shape->dims[d];
    status = reshape_to(im, node, 2, dims);
fail:
    return status;
}

sac_status onnx_squeeze_dims(onnx_import *im, bool insert, int ndims, const int64_t *dims,
                             int *out_ndims, int64_t *out) {
    sac_status status = SAC_OK;
    int64_t axes[SAC_ONNX_MAX_DIMS];
    int count = -1, from = 0;
    bool marked[2 * SAC_ONNX_MAX_DIMS] = {false};
    SAC_TRY(onnx_ints_of(im, 1, "axes", axes, SAC_ONNX_MAX_DIMS, &count));
    const int full = insert ? ndims + (count > 0 ? count : 0) : ndims;
    if (full > SAC_ONNX_MAX_DIMS) {
        status = onnx_refuse(im, "makes %d axes, expected at most %d", full, SAC_ONNX_MAX_DIMS);
        goto fail;
    }
    for (int k = 0; k < count; k++) {
        int axis = 0;
        SAC_TRY(onnx_axis(im, axes[k], full, &axis));
        if (marked[axis] || (!insert && dims[axis] != 1)) {
            status = onnx_damaged(im, "axis %d is named twice or not of size 1", axis);
            goto fail;
        }
        marked[axis] = true;
    }
    *out_ndims = 0;
    if (insert) {
        for (int d = 0; d < full; d++) out[(*out_ndims)++] = marked[d] ? 1 : dims[from++];
    } else {
        for (int d = 0; d < ndims; d++) {
            const bool drop = count >= 0 ? marked[d] : dims[d] == 1;
            if (!drop) out[(*out_ndims)++] = dims[d];
        }
    }
fail:
    return status;
}

static sac_status squeeze(onnx_import *im, bool insert) {
    sac_status status = SAC_OK;
    int64_t dims[SAC_ONNX_MAX_DIMS];
    int node = -1, ndims = 0;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(
        onnx_squeeze_dims(im, insert, im->shapes[node].ndims, im->shapes[node].dims, &ndims, dims));
    status = reshape_to(im, node, ndims, dims);
fail:
    return status;
}

sac_status onnx_squeeze(onnx_import *im) {
    return squeeze(im, false);
}

sac_status onnx_unsqueeze(onnx_import *im) {
    return squeeze(im, true);
}

sac_status onnx_transpose_order(onnx_import *im, int ndims, int64_t *order) {
    int count = -1;
    bool seen[SAC_ONNX_MAX_DIMS] = {false};
    for (int d = 0; d < ndims; d++) order[d] = ndims - 1 - d;
    const sac_status status = onnx_ints(im, "perm", order, SAC_ONNX_MAX_DIMS, &count);
    if (status < 0) return status;
    bool fits = count < 0 || count == ndims;
    for (int d = 0; fits && d < ndims; d++) {
        fits = order[d] >= 0 && order[d] < ndims && !seen[order[d]];
        if (fits) seen[order[d]] = true;
    }
    return fits ? SAC_OK : onnx_damaged(im, "perm is not an order of its %d axes", ndims);
}

sac_status onnx_transpose(onnx_import *im) {
    sac_status status = SAC_OK;
    int64_t order[SAC_ONNX_MAX_DIMS];
    int node = -1;
    SAC_TRY(onnx_input_node(im, 0, &node));
    SAC_TRY(onnx_transpose_order(im, im->shapes[node].ndims, order));
    SAC_TRY(onnx_emit_permute(im, node, order, 0, NULL, &node));
    status = onnx_output_node(im, 0, node);
fail:
    return status;
}
