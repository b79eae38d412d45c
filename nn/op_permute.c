// Permutation of axes: axis d of the output is axis order[d] of the input, N stays first. In a plan
// it is a view with permuted strides; whoever needs another layout reorders, so that a
// channels-last picture becomes tokens [N][H*W][C] without a copy.
#include "nn/op.h"
#include "nn/strides.h"

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)src_count;
    char text[96];
    if (attrs->ndims != src->ndims)
        return sac_error_set(error, SAC_ERROR_SHAPE, -1, "order has %d axes, input %s has %d",
                             attrs->ndims, sac_shape_text(src, text), src->ndims);
    unsigned seen = 0;
    dst->ndims = src->ndims;
    for (int d = 0; d < src->ndims; d++) {
        int64_t from = attrs->dims[d];
        if (from < 0 || from >= src->ndims || (seen >> from & 1u))
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "order[%d] = %lld is not a permutation of the axes 0 to %d", d,
                                 (long long)from, src->ndims - 1);
        seen |= 1u << from;
        dst->dims[d] = src->dims[from];
    }
    if (attrs->dims[0] != 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "order[0] = %lld, expected 0: N stays the first axis",
                             (long long)attrs->dims[0]);
    return SAC_OK;
}

// Index in the input of output element `index`, both row-major.
static int64_t source_index(const sac_ref *ref, int64_t index) {
    sac_strides from = sac_strides_row_major(&ref->src_shape[0]);
    int64_t source = 0;
    for (int d = ref->dst_shape.ndims - 1; d >= 0; d--) {
        source += index % ref->dst_shape.dims[d] * from.strides[ref->attrs->dims[d]];
        index /= ref->dst_shape.dims[d];
    }
    return source;
}

// dst[i_0][i_1].. = src[..i_d at axis order[d]..]
static void ref_forward(const sac_ref *ref) {
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) ref->dst[i] = ref->src[0][source_index(ref, i)];
}

// dst[i] = src[source(i)]  =>  diff_src[source(i)] = diff_dst[i]
static void ref_backward(const sac_ref *ref) {
    if (!ref->diff_src[0]) return;
    int64_t count = sac_shape_count(&ref->dst_shape);
    for (int64_t i = 0; i < count; i++) ref->diff_src[0][source_index(ref, i)] = ref->diff_dst[i];
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    int order[SAC_MAX_DIMS] = {0};
    for (int d = 0; d < node->dst_shape.ndims; d++) order[d] = (int)node->node->attrs.dims[d];
    return sac_strides_permuted(build, node->src[0], &node->src_shape[0], order, &node->dst, error);
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    if (!node->want_diff_src[0]) return SAC_OK;
    int inverse[SAC_MAX_DIMS] = {0};
    for (int d = 0; d < node->dst_shape.ndims; d++) inverse[node->node->attrs.dims[d]] = d;
    return sac_strides_permuted(build, node->diff_dst, &node->dst_shape, inverse,
                                &node->diff_src[0], error);
}

const sac_op sac_op_permute = {
    .name = "permute",
    .min_src = 1,
    .max_src = 1,
    .shape = shape,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
