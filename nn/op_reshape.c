// Reshape of the axes behind N: the elements of a sample keep their channels-first order and get
// new axes. In a plan it is a view of the same memory whenever strides can express it (splitting or
// joining neighbouring axes), otherwise one reorder to channels-first comes before.
#include <string.h>

#include "nn/op.h"
#include "nn/strides.h"

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)src_count;
    char text[96];
    if (attrs->ndims < 1 || attrs->ndims > SAC_MAX_DIMS - 1)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "reshape to %d axes behind N, expected 1 to %d", attrs->ndims,
                             SAC_MAX_DIMS - 1);
    int64_t wanted = 1, found = 1;
    *dst = (sac_shape){.ndims = attrs->ndims + 1, .dims = {src->dims[0]}};
    for (int d = 0; d < attrs->ndims; d++) {
        if (attrs->dims[d] < 1 || !sac_mul(wanted, attrs->dims[d], &wanted))
            return sac_error_set(
                error, SAC_ERROR_ARGUMENT, -1,
                "reshape axis %d has size %lld, expected at least 1 and a product below 2^63", d,
                (long long)attrs->dims[d]);
        dst->dims[d + 1] = attrs->dims[d];
    }
    for (int d = 1; d < src->ndims; d++) {
        if (!sac_mul(found, src->dims[d], &found))
            return sac_error_set(error, SAC_ERROR_SHAPE, -1, "input %s has too many elements",
                                 sac_shape_text(src, text));
    }
    if (wanted != found)
        return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                             "input %s has %lld elements per sample, the new axes hold %lld",
                             sac_shape_text(src, text), (long long)found, (long long)wanted);
    return SAC_OK;
}

// dst[i] = src[i] in channels-first order.
static void ref_forward(const sac_ref *ref) {
    memcpy(ref->dst, ref->src[0], (size_t)sac_shape_count(&ref->dst_shape) * sizeof(float));
}

// dst[i] = src[i]  =>  diff_src[i] = diff_dst[i]
static void ref_backward(const sac_ref *ref) {
    if (!ref->diff_src[0]) return;
    memcpy(ref->diff_src[0], ref->diff_dst,
           (size_t)sac_shape_count(&ref->dst_shape) * sizeof(float));
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    return sac_strides_reshaped(build, node->src[0], &node->src_shape[0], &node->dst_shape,
                                &node->dst, error);
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    return sac_strides_reshaped(build, node->diff_dst, &node->dst_shape, &node->src_shape[0],
                                &node->diff_src[0], error);
}

const sac_op sac_op_reshape = {
    .name = "reshape",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
