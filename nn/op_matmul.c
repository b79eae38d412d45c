// Product of the last two axes of two inputs, batched over the axes before: [N..][M][K] x
// [N..][K][L] -> [N..][M][L]. Strided inputs (transposed axes, split heads of an attention) are
// multiplied as they lie where oneDNN has a fast kernel for that, and made row-major otherwise. No
// broadcasting.
#include "nn/op.h"
#include "nn/strides.h"

static sac_status shape(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error) {
    (void)attrs, (void)src_count;
    char a_text[96], b_text[96];
    const sac_shape *a = &src[0], *b = &src[1];
    int n = a->ndims;
    if (n < 3 || b->ndims != n)
        return sac_error_set(
            error, SAC_ERROR_SHAPE, -1,
            "inputs %s and %s, expected [N..][M][K] and [N..][K][L] with equal numbers of axes",
            sac_shape_text(a, a_text), sac_shape_text(b, b_text));
    for (int d = 0; d < n - 2; d++) {
        if (a->dims[d] != b->dims[d])
            return sac_error_set(error, SAC_ERROR_SHAPE, -1, "inputs %s and %s differ in axis %d",
                                 sac_shape_text(a, a_text), sac_shape_text(b, b_text), d);
    }
    if (a->dims[n - 1] != b->dims[n - 2])
        return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                             "inputs %s and %s: the last axis of the first has to equal the last "
                             "but one of the second",
                             sac_shape_text(a, a_text), sac_shape_text(b, b_text));
    *dst = *a;
    dst->dims[n - 1] = b->dims[n - 1];
    return SAC_OK;
}

static int64_t macs(const sac_attrs *attrs, const sac_shape *src, const sac_shape *dst) {
    (void)attrs;
    return sac_shape_count(dst) * src[0].dims[src[0].ndims - 1];
}

typedef struct sizes {
    int64_t batch, m, k, l;
} sizes;

static sizes sizes_of(const sac_ref *ref) {
    int n = ref->dst_shape.ndims;
    sizes s = {.m = ref->dst_shape.dims[n - 2],
               .k = ref->src_shape[0].dims[n - 1],
               .l = ref->dst_shape.dims[n - 1]};
    s.batch = sac_shape_count(&ref->dst_shape) / (s.m * s.l);
    return s;
}

// dst[b][m][l] = sum_k a[b][m][k] * b[b][k][l]
static void ref_forward(const sac_ref *ref) {
    sizes s = sizes_of(ref);
    for (int64_t n = 0; n < s.batch; n++) {
        const float *a = ref->src[0] + n * s.m * s.k, *b = ref->src[1] + n * s.k * s.l;
        for (int64_t m = 0; m < s.m; m++) {
            for (int64_t l = 0; l < s.l; l++) {
                double sum = 0;
                for (int64_t k = 0; k < s.k; k++) sum += (double)a[m * s.k + k] * b[k * s.l + l];
                ref->dst[(n * s.m + m) * s.l + l] = (float)sum;
            }
        }
    }
}

// dst[m][l] = sum_k a[m][k] * b[k][l]
//   =>  diff_a[m][k] = sum_l diff_dst[m][l] * b[k][l],  diff_b[k][l] = sum_m a[m][k] *
//   diff_dst[m][l]
static void ref_backward(const sac_ref *ref) {
    sizes s = sizes_of(ref);
    for (int64_t n = 0; n < s.batch; n++) {
        const float *a = ref->src[0] + n * s.m * s.k, *b = ref->src[1] + n * s.k * s.l,
                    *diff_dst = ref->diff_dst + n * s.m * s.l;
        for (int64_t m = 0; ref->diff_src[0] && m < s.m; m++) {
            for (int64_t k = 0; k < s.k; k++) {
                double sum = 0;
                for (int64_t l = 0; l < s.l; l++)
                    sum += (double)diff_dst[m * s.l + l] * b[k * s.l + l];
                ref->diff_src[0][(n * s.m + m) * s.k + k] = (float)sum;
            }
        }
        for (int64_t k = 0; ref->diff_src[1] && k < s.k; k++) {
            for (int64_t l = 0; l < s.l; l++) {
                double sum = 0;
                for (int64_t m = 0; m < s.m; m++)
                    sum += (double)a[m * s.k + k] * diff_dst[m * s.l + l];
                ref->diff_src[1][(n * s.k + k) * s.l + l] = (float)sum;
            }
        }
    }
}

// --- oneDNN ------------------------------------------------------------------------------------

static sac_shape shape_of(const sac_build *build, sac_buffer buffer) {
    int32_t ndims = 0;
    dnnl_dims_t *dims = NULL;
    sac_shape shape = {0};
    const_dnnl_memory_desc_t md = sac_build_buffer_md(build, buffer);
    if (dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &ndims) == dnnl_success &&
        dnnl_memory_desc_query(md, dnnl_query_dims, (void *)&dims) == dnnl_success &&
        ndims <= SAC_MAX_DIMS) {
        shape.ndims = ndims;
        memcpy(shape.dims, *dims, (size_t)ndims * sizeof(int64_t));
    }
    return shape;
}

// *dst (row-major, new) = a x b. Tries the layouts as they are, then row-major ones.
static sac_status multiply(sac_build *build, sac_buffer a, sac_buffer b, const sac_shape *dst_shape,
                           sac_buffer *dst, const char *what, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_memory_desc_t dst_md = NULL;
    dnnl_primitive_desc_t pd = NULL;
    sac_shape a_shape = shape_of(build, a), b_shape = shape_of(build, b);
    sac_strides rows = sac_strides_row_major(dst_shape);

    SAC_TRY(sac_strides_md(&dst_md, &rows, error));
    if (dnnl_matmul_primitive_desc_create(&pd, sac_build_engine(build),
                                          sac_build_buffer_md(build, a),
                                          sac_build_buffer_md(build, b), NULL, dst_md,
                                          sac_build_products_attr(build)) != dnnl_success)
        pd = NULL;
    if (!pd || sac_pd_is_ref(pd)) {
        if (pd) dnnl_primitive_desc_destroy(pd);
        pd = NULL;
        SAC_TRY(sac_build_layout(build, a, &a_shape, SAC_LAYOUT_CHANNELS_FIRST, &a, error));
        SAC_TRY(sac_build_layout(build, b, &b_shape, SAC_LAYOUT_CHANNELS_FIRST, &b, error));
        SAC_TRY(sac_dnnl_status(dnnl_matmul_primitive_desc_create(
                                    &pd, sac_build_engine(build), sac_build_buffer_md(build, a),
                                    sac_build_buffer_md(build, b), NULL, dst_md,
                                    sac_build_products_attr(build)),
                                what, error));
    }
    SAC_TRY(sac_build_buffer(build, dst_md, dst, error));
    SAC_TRY(sac_build_primitive(
        build, pd, (sac_arg[]){{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, *dst}}, 3,
        error));
fail:
    if (dst_md) dnnl_memory_desc_destroy(dst_md);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return status;
}

// View with the last two axes exchanged.
static sac_status transposed(sac_build *build, sac_buffer src, const sac_shape *shape,
                             sac_buffer *out, sac_error *error) {
    int order[SAC_MAX_DIMS] = {0, 1, 2, 3, 4};
    order[shape->ndims - 2] = shape->ndims - 1;
    order[shape->ndims - 1] = shape->ndims - 2;
    return sac_strides_permuted(build, src, shape, order, out, error);
}

static sac_status build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    return multiply(build, node->src[0], node->src[1], &node->dst_shape, &node->dst,
                    "matmul forward", error);
}

static sac_status build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    sac_buffer other = -1;
    if (node->want_diff_src[0]) {
        SAC_TRY(transposed(build, node->src[1], &node->src_shape[1], &other, error));
        SAC_TRY(multiply(build, node->diff_dst, other, &node->src_shape[0], &node->diff_src[0],
                         "matmul backward, first input", error));
    }
    if (node->want_diff_src[1]) {
        SAC_TRY(transposed(build, node->src[0], &node->src_shape[0], &other, error));
        SAC_TRY(multiply(build, other, node->diff_dst, &node->src_shape[1], &node->diff_src[1],
                         "matmul backward, second input", error));
    }
fail:
    return status;
}

const sac_op sac_op_matmul = {
    .name = "matmul",
    .min_src = 2,
    .max_src = 2,
    .shape = shape,
    .macs = macs,
    .ref_forward = ref_forward,
    .ref_backward = ref_backward,
    .build_forward = build_forward,
    .build_backward = build_backward,
};
