// Which operator implements which kind, and the small shape helpers every operator needs.
// The operators themselves live in one file each.
#include <inttypes.h>
#include <stdio.h>

#include "nn/op_list.h"

const sac_op *sac_op_of(sac_op_kind kind) {
    static const sac_op *const table[SAC_OP_COUNT] = {
        [SAC_OP_CONV] = &sac_op_conv,
        [SAC_OP_MAX_POOL] = &sac_op_max_pool,
        [SAC_OP_AVG_POOL] = &sac_op_avg_pool,
        [SAC_OP_ADAPTIVE_MAX_POOL] = &sac_op_adaptive_max_pool,
        [SAC_OP_ADAPTIVE_AVG_POOL] = &sac_op_adaptive_avg_pool,
        [SAC_OP_UPSAMPLE] = &sac_op_upsample,
        [SAC_OP_BATCH_NORM] = &sac_op_batch_norm,
        [SAC_OP_LAYER_NORM] = &sac_op_layer_norm,
        [SAC_OP_DENSE] = &sac_op_dense,
        [SAC_OP_MATMUL] = &sac_op_matmul,
        [SAC_OP_RELU] = &sac_op_relu,
        [SAC_OP_LEAKY_RELU] = &sac_op_leaky_relu,
        [SAC_OP_GELU] = &sac_op_gelu,
        [SAC_OP_SIGMOID] = &sac_op_sigmoid,
        [SAC_OP_SOFTMAX] = &sac_op_softmax,
        [SAC_OP_DROPOUT] = &sac_op_dropout,
        [SAC_OP_ADD] = &sac_op_add,
        [SAC_OP_CONCAT] = &sac_op_concat,
        [SAC_OP_RESHAPE] = &sac_op_reshape,
        [SAC_OP_PERMUTE] = &sac_op_permute,
        [SAC_OP_SLICE] = &sac_op_slice,
        [SAC_OP_MUL] = &sac_op_mul,
        [SAC_OP_CLIP] = &sac_op_clip,
        [SAC_OP_LINEAR] = &sac_op_linear,
        [SAC_OP_TANH] = &sac_op_tanh,
        [SAC_OP_SWISH] = &sac_op_swish,
        [SAC_OP_HARD_SIGMOID] = &sac_op_hard_sigmoid,
        [SAC_OP_HARD_SWISH] = &sac_op_hard_swish,
        [SAC_OP_MISH] = &sac_op_mish,
        [SAC_OP_GRAD_REVERSE] = &sac_op_grad_reverse,
        [SAC_OP_FAKE_QUANT] = &sac_op_fake_quant,
    };
    return kind < SAC_OP_COUNT ? table[kind] : NULL;
}

const char *sac_op_kind_name(sac_op_kind kind) {
    const sac_op *op = sac_op_of(kind);
    return op != NULL ? op->name : "input";
}

int64_t sac_shape_count(const sac_shape *shape) {
    int64_t count = 1;
    for (int i = 0; i < shape->ndims; i++) count *= shape->dims[i];
    return count;
}

bool sac_shape_equal(const sac_shape *a, const sac_shape *b) {
    if (a->ndims != b->ndims) return false;
    for (int i = 0; i < a->ndims; i++) {
        if (a->dims[i] != b->dims[i]) return false;
    }
    return true;
}

char *sac_shape_text(const sac_shape *shape, char *buffer) {
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 0; i < shape->ndims && used < 90; i++) {
        int n = snprintf(buffer + used, 96 - used, "[%" PRId64 "]", shape->dims[i]);
        if (n > 0) used += (size_t)n;
    }
    return buffer;
}

sac_space sac_shape_space(const sac_shape *shape) {
    const int64_t *last = shape->dims + shape->ndims;
    return (sac_space){.d = shape->ndims == 5 ? last[-3] : 1, .h = last[-2], .w = last[-1]};
}

sac_status sac_shape_check_space(const sac_shape *shape, sac_error *error) {
    char text[96];
    if (shape->ndims == 4 || shape->ndims == 5) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                         "input is %s, expected [N][C][H][W] or [N][C][D][H][W]",
                         sac_shape_text(shape, text));
}
