// Convolution, 2D and 3D, with stride, padding, dilation and groups (depthwise when groups =
// channels). dst[n,oc,o] = bia[oc] + sum_{ic,k} wei[oc,ic,k] * src[n, g*IC/G + ic, o*stride - pad +
// k*(dilation + 1)], in cross-correlation form, g the group of oc. src (N,IC,[ID,]IH,IW), wei
// (OC,IC/G,[KD,]KH,KW), dst (N,OC,[OD,]OH,OW).
#include <inttypes.h>

#include "core/memory.h"
#include "nn/activation.h"
#include "nn/op_list.h"

// Sizes of a 2D or 3D convolution, 2D as depth 1.
typedef struct sizes {
    int64_t n, ic, oc, groups, in[3], out[3], kernel[3], stride[3], pad[3],
        reach[3]; // reach: from one tap to the next
} sizes;

static sizes sizes_of(const sac_attrs *a, const sac_shape *src, const sac_shape *dst) {
    sizes s = {.n = src->dims[0], .ic = src->dims[1], .oc = a->channels, .groups = a->groups};
    const int spatial = src->ndims - 2;
    for (int i = 0; i < 3; i++) {
        const int axis = i - (3 - spatial);
        s.in[i] = axis >= 0 ? src->dims[2 + axis] : 1;
        s.out[i] = axis >= 0 ? dst->dims[2 + axis] : 1;
        s.kernel[i] = axis >= 0 ? a->kernel[i] : 1;
        s.stride[i] = axis >= 0 ? a->stride[i] : 1;
        s.pad[i] = axis >= 0 ? a->pad[i] : 0;
        s.reach[i] = axis >= 0 ? a->dilation[i] + 1 : 1;
    }
    return s;
}

static sac_status conv_shape(const sac_attrs *a, const sac_shape *src, int src_count,
                             sac_shape *dst, sac_error *error) {
    (void)src_count;
    char text[96];
    const int nd = src->ndims;
    if (nd != 4 && nd != 5) {
        return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                             "needs [N][C][H][W] or [N][C][D][H][W], found %s",
                             sac_shape_text(src, text));
    }
    if (src->dims[1] % a->groups != 0 || a->channels % a->groups != 0) {
        return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                             "groups %" PRId64 " must divide %" PRId64 " input and %" PRId64
                             " output channels",
                             a->groups, src->dims[1], a->channels);
    }
    *dst = *src;
    dst->dims[1] = a->channels;
    for (int axis = 2; axis < nd; axis++) {
        const int i = axis - 2 + (5 - nd);
        const int64_t span = (a->kernel[i] - 1) * (a->dilation[i] + 1) + 1;
        const int64_t room = src->dims[axis] + 2 * a->pad[i] + a->pad_extra[i] - span;
        if (room < 0) {
            return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                 "kernel %" PRId64 " exceeds the padded input of %s", span,
                                 sac_shape_text(src, text));
        }
        dst->dims[axis] = room / a->stride[i] + 1;
    }
    return SAC_OK;
}

static int conv_params(const sac_attrs *a, const sac_shape *src, sac_param_spec *specs) {
    sac_shape wei = {.ndims = src->ndims, .dims = {a->channels, src->dims[1] / a->groups}};
    int64_t fan_in = wei.dims[1];
    for (int axis = 2; axis < src->ndims; axis++) {
        wei.dims[axis] = a->kernel[axis - 2 + (5 - src->ndims)];
        fan_in *= wei.dims[axis];
    }
    specs[0] = (sac_param_spec){
        .suffix = "weight", .shape = wei, .trainable = true, .init = SAC_INIT_HE, .fan_in = fan_in};
    if (!a->bias) return 1;
    specs[1] = (sac_param_spec){.suffix = "bias",
                                .shape = {.ndims = 1, .dims = {a->channels}},
                                .trainable = true,
                                .init = SAC_INIT_ZERO};
    return 2;
}

static int64_t conv_macs(const sac_attrs *a, const sac_shape *src, const sac_shape *dst) {
    int64_t macs = sac_shape_count(dst) * (src->dims[1] / a->groups);
    for (int axis = 2; axis < src->ndims; axis++) macs *= a->kernel[axis - 2 + (5 - src->ndims)];
    return macs;
}

// Calls body for each (input position, kernel position) pair that meets output position o.
#define FOR_WINDOW(s, o)                                                                           \
    for (int64_t kd = 0, id; kd < (s).kernel[0]; kd++)                                             \
        if ((id = (o)[0] * (s).stride[0] - (s).pad[0] + kd * (s).reach[0]) >= 0 && id < (s).in[0]) \
            for (int64_t kh = 0, ih; kh < (s).kernel[1]; kh++)                                     \
                if ((ih = (o)[1] * (s).stride[1] - (s).pad[1] + kh * (s).reach[1]) >= 0 &&         \
                    ih < (s).in[1])                                                                \
                    for (int64_t kw = 0, iw; kw < (s).kernel[2]; kw++)                             \
                        if ((iw = (o)[2] * (s).stride[2] - (s).pad[2] + kw * (s).reach[2]) >= 0 && \
                            iw < (s).in[2])

#define SRC_AT(s, n, c) ((((n) * (s).ic + (c)) * (s).in[0] + id) * (s).in[1] + ih) * (s).in[2] + iw
#define WEI_AT(s, oc, c, icg)                                                                      \
    ((((oc) * (icg) + (c)) * (s).kernel[0] + kd) * (s).kernel[1] + kh) * (s).kernel[2] + kw

static void conv_ref_forward(const sac_ref *ref) {
    const sizes s = sizes_of(ref->attrs, &ref->src_shape[0], &ref->dst_shape);
    const int64_t icg = s.ic / s.groups, ocg = s.oc / s.groups;
    const float *src = ref->src[0], *wei = ref->param[0],
                *bia = ref->attrs->bias ? ref->param[1] : NULL;
    float *dst = ref->dst;
    for (int64_t n = 0; n < s.n; n++) {
        for (int64_t oc = 0; oc < s.oc; oc++) {
            for (int64_t od = 0; od < s.out[0]; od++) {
                for (int64_t oh = 0; oh < s.out[1]; oh++) {
                    for (int64_t ow = 0; ow < s.out[2]; ow++) {
                        const int64_t o[3] = {od, oh, ow};
                        double sum = bia != NULL ? (double)bia[oc] : 0.0;
                        for (int64_t c = 0; c < icg; c++) {
                            const int64_t ic = oc / ocg * icg + c;
                            FOR_WINDOW(s, o)
                            sum +=
                                (double)src[SRC_AT(s, n, ic)] * (double)wei[WEI_AT(s, oc, c, icg)];
                        }
                        *dst++ = (float)sum;
                    }
                }
            }
        }
    }
}

// sum over all outputs of dst = bia + sum wei * src, so
// diff_src[i] = sum wei * diff_dst over the outputs that read i, diff_wei = sum src * diff_dst,
// diff_bia = sum diff_dst.
static void conv_ref_backward(const sac_ref *ref) {
    const sizes s = sizes_of(ref->attrs, &ref->src_shape[0], &ref->dst_shape);
    const int64_t icg = s.ic / s.groups, ocg = s.oc / s.groups;
    const int64_t src_count = sac_shape_count(&ref->src_shape[0]);
    const int64_t wei_count = s.oc * icg * s.kernel[0] * s.kernel[1] * s.kernel[2];
    double *diff_src = ref->diff_src[0] != NULL ? sac_calloc(src_count, sizeof *diff_src) : NULL;
    double *diff_wei = sac_calloc(wei_count, sizeof *diff_wei);
    double *diff_bia = sac_calloc(s.oc, sizeof *diff_bia);
    const float *src = ref->src[0], *wei = ref->param[0], *diff_dst = ref->diff_dst;
    if (diff_wei == NULL || diff_bia == NULL || (ref->diff_src[0] != NULL && diff_src == NULL))
        goto done;
    for (int64_t n = 0; n < s.n; n++) {
        for (int64_t oc = 0; oc < s.oc; oc++) {
            for (int64_t od = 0; od < s.out[0]; od++) {
                for (int64_t oh = 0; oh < s.out[1]; oh++) {
                    for (int64_t ow = 0; ow < s.out[2]; ow++) {
                        const int64_t o[3] = {od, oh, ow};
                        const double g = (double)*diff_dst++;
                        diff_bia[oc] += g;
                        for (int64_t c = 0; c < icg; c++) {
                            const int64_t ic = oc / ocg * icg + c;
                            FOR_WINDOW(s, o) {
                                diff_wei[WEI_AT(s, oc, c, icg)] +=
                                    g * (double)src[SRC_AT(s, n, ic)];
                                if (diff_src != NULL)
                                    diff_src[SRC_AT(s, n, ic)] +=
                                        g * (double)wei[WEI_AT(s, oc, c, icg)];
                            }
                        }
                    }
                }
            }
        }
    }
    for (int64_t i = 0; diff_src != NULL && i < src_count; i++)
        ref->diff_src[0][i] = (float)diff_src[i];
    for (int64_t i = 0; ref->diff_param[0] != NULL && i < wei_count; i++)
        ref->diff_param[0][i] += (float)diff_wei[i];
    for (int64_t i = 0; ref->attrs->bias && ref->diff_param[1] != NULL && i < s.oc; i++)
        ref->diff_param[1][i] += (float)diff_bia[i];
done:
    sac_free(diff_src);
    sac_free(diff_wei);
    sac_free(diff_bia);
}

// Shapes and descriptors a oneDNN convolution needs. Weights get a group axis when groups > 1.
typedef struct geometry {
    int spatial;
    dnnl_dims_t strides, dilates, pad_l, pad_r;
    int wei_ndims;
    dnnl_dims_t wei_dims;
} geometry;

static geometry geometry_of(const sac_build_node *node) {
    const sac_attrs *a = &node->node->attrs;
    const sac_shape *src = &node->src_shape[0], *dst = &node->dst_shape;
    geometry g = {.spatial = src->ndims - 2};
    int w = 0;
    if (a->groups > 1) g.wei_dims[w++] = a->groups;
    g.wei_dims[w++] = a->channels / a->groups;
    g.wei_dims[w++] = src->dims[1] / a->groups;
    for (int axis = 0; axis < g.spatial; axis++) {
        const int i = axis + 3 - g.spatial;
        g.strides[axis] = a->stride[i];
        g.pad_l[axis] = a->pad[i];
        // Right padding is what the last window reads beyond the input (negative when the stride
        // leaves a rest unread).
        g.pad_r[axis] = (dst->dims[2 + axis] - 1) * a->stride[i] +
                        (a->kernel[i] - 1) * (a->dilation[i] + 1) + 1 - src->dims[2 + axis] -
                        a->pad[i];
        g.dilates[axis] = a->dilation[i];
        g.wei_dims[w++] = a->kernel[i];
    }
    g.wei_ndims = w;
    return g;
}

static sac_status wei_md(dnnl_memory_desc_t *md, const geometry *g, bool plain, sac_error *error) {
    static const dnnl_format_tag_t tags[7] = {[4] = dnnl_abcd, [5] = dnnl_abcde, [6] = dnnl_abcdef};
    return sac_dnnl_status(
        dnnl_memory_desc_create_with_tag(md, g->wei_ndims, g->wei_dims, dnnl_f32,
                                         plain ? tags[g->wei_ndims] : dnnl_format_tag_any),
        "weight layout", error);
}

static sac_status post_ops_attr(dnnl_primitive_attr_t *attr, const sac_build *build,
                                const sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_post_ops_t ops = NULL;
    SAC_TRY(sac_dnnl_status(dnnl_primitive_attr_clone(attr, sac_build_products_attr(build)),
                            "attributes", error));
    if (node->fused != SAC_OP_COUNT) {
        const sac_activation act = sac_activation_of(node->fused, &node->fused_attrs);
        SAC_TRY(sac_dnnl_status(dnnl_post_ops_create(&ops), "post-ops", error));
        SAC_TRY(sac_dnnl_status(dnnl_post_ops_append_eltwise(ops, act.kind, act.alpha, act.beta),
                                "post-ops", error));
        SAC_TRY(sac_dnnl_status(dnnl_primitive_attr_set_post_ops(*attr, ops), "post-ops", error));
    }
fail:
    if (ops != NULL) dnnl_post_ops_destroy(ops);
    return status;
}

static sac_status conv_build_forward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    const geometry g = geometry_of(node);
    const bool bias = node->param[1] >= 0;
    dnnl_memory_desc_t src = NULL, dst = NULL, wei = NULL, wei_plain = NULL, bia = NULL;
    dnnl_primitive_attr_t attr = NULL;
    sac_buffer weights = -1, view = -1;
    const sac_shape bia_shape = {.ndims = 1, .dims = {node->node->attrs.channels}};
    SAC_TRY(sac_build_md(&src, &node->src_shape[0], SAC_LAYOUT_CHANNELS_LAST, error));
    SAC_TRY(sac_build_md(&dst, &node->dst_shape, SAC_LAYOUT_CHANNELS_LAST, error));
    SAC_TRY(sac_build_md(&bia, &bia_shape, SAC_LAYOUT_CHANNELS_FIRST, error));
    SAC_TRY(wei_md(&wei, &g, false, error));
    SAC_TRY(wei_md(&wei_plain, &g, true, error));
    SAC_TRY(post_ops_attr(&attr, build, node, error));
    SAC_TRY(sac_dnnl_status(dnnl_convolution_forward_primitive_desc_create(
                                &node->forward_pd, sac_build_engine(build),
                                node->training ? dnnl_forward_training : dnnl_forward_inference,
                                dnnl_convolution_direct, src, wei, bias ? bia : NULL, dst,
                                g.strides, g.dilates, g.pad_l, g.pad_r, attr),
                            "convolution", error));
    SAC_TRY(sac_build_reorder(build, node->src[0], src, &node->saved[0], error));
    SAC_TRY(sac_build_view(build, node->param[0], wei_plain, &view, error));
    SAC_TRY(sac_build_weights(
        build, view, dnnl_primitive_desc_query_md(node->forward_pd, dnnl_query_weights_md, 0),
        &weights, error));
    SAC_TRY(sac_build_buffer(build, dst, &node->dst, error));
    const sac_arg args[] = {{DNNL_ARG_SRC, node->saved[0]},
                            {DNNL_ARG_WEIGHTS, weights},
                            {DNNL_ARG_BIAS, node->param[1]},
                            {DNNL_ARG_DST, node->dst}};
    SAC_TRY(sac_build_primitive(build, node->forward_pd, args, 4, error));
fail:
    if (src != NULL) dnnl_memory_desc_destroy(src);
    if (dst != NULL) dnnl_memory_desc_destroy(dst);
    if (wei != NULL) dnnl_memory_desc_destroy(wei);
    if (wei_plain != NULL) dnnl_memory_desc_destroy(wei_plain);
    if (bia != NULL) dnnl_memory_desc_destroy(bia);
    if (attr != NULL) dnnl_primitive_attr_destroy(attr);
    return status;
}

static sac_status backward_data(sac_build *build, sac_build_node *node, const geometry *g,
                                dnnl_memory_desc_t src, dnnl_memory_desc_t dst,
                                dnnl_memory_desc_t wei, dnnl_memory_desc_t wei_plain,
                                sac_buffer diff_dst, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer view = -1, weights = -1;
    SAC_TRY(sac_dnnl_status(dnnl_convolution_backward_data_primitive_desc_create(
                                &pd, sac_build_engine(build), dnnl_convolution_direct, src, wei,
                                dst, g->strides, g->dilates, g->pad_l, g->pad_r, node->forward_pd,
                                sac_build_attr(build)),
                            "convolution backward data", error));
    SAC_TRY(sac_build_view(build, node->param[0], wei_plain, &view, error));
    SAC_TRY(sac_build_weights(
        build, view, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), &weights, error));
    SAC_TRY(sac_build_buffer(build, src, &node->diff_src[0], error));
    const sac_arg args[] = {{DNNL_ARG_DIFF_DST, diff_dst},
                            {DNNL_ARG_WEIGHTS, weights},
                            {DNNL_ARG_DIFF_SRC, node->diff_src[0]}};
    SAC_TRY(sac_build_primitive(build, pd, args, 3, error));
fail:
    if (pd != NULL) dnnl_primitive_desc_destroy(pd);
    return status;
}

static sac_status backward_weights(sac_build *build, sac_build_node *node, const geometry *g,
                                   dnnl_memory_desc_t src, dnnl_memory_desc_t dst,
                                   dnnl_memory_desc_t wei, dnnl_memory_desc_t wei_plain,
                                   dnnl_memory_desc_t bia, sac_buffer diff_dst, sac_error *error) {
    sac_status status = SAC_OK;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer view = -1, diff_wei = -1, diff_bia = -1;
    const bool bias = node->diff_param[1] >= 0;
    SAC_TRY(sac_dnnl_status(dnnl_convolution_backward_weights_primitive_desc_create(
                                &pd, sac_build_engine(build), dnnl_convolution_direct, src, wei,
                                bias ? bia : NULL, dst, g->strides, g->dilates, g->pad_l, g->pad_r,
                                node->forward_pd, sac_build_attr(build)),
                            "convolution backward weights", error));
    SAC_TRY(sac_build_buffer(build, dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0),
                             &diff_wei, error));
    if (bias) SAC_TRY(sac_build_buffer(build, bia, &diff_bia, error));
    const sac_arg args[] = {{DNNL_ARG_SRC, node->saved[0]},
                            {DNNL_ARG_DIFF_DST, diff_dst},
                            {DNNL_ARG_DIFF_WEIGHTS, diff_wei},
                            {DNNL_ARG_DIFF_BIAS, diff_bia}};
    SAC_TRY(sac_build_primitive(build, pd, args, 4, error));
    SAC_TRY(sac_build_view(build, node->diff_param[0], wei_plain, &view, error));
    SAC_TRY(sac_build_accumulate(build, diff_wei, view, error));
    if (bias) SAC_TRY(sac_build_accumulate(build, diff_bia, node->diff_param[1], error));
fail:
    if (pd != NULL) dnnl_primitive_desc_destroy(pd);
    return status;
}

static sac_status conv_build_backward(sac_build *build, sac_build_node *node, sac_error *error) {
    sac_status status = SAC_OK;
    const geometry g = geometry_of(node);
    dnnl_memory_desc_t src = NULL, dst = NULL, wei = NULL, wei_plain = NULL, bia = NULL;
    sac_buffer diff_dst = -1;
    const sac_shape bia_shape = {.ndims = 1, .dims = {node->node->attrs.channels}};
    SAC_TRY(sac_build_md(&src, &node->src_shape[0], SAC_LAYOUT_CHANNELS_LAST, error));
    SAC_TRY(sac_build_md(&dst, &node->dst_shape, SAC_LAYOUT_CHANNELS_LAST, error));
    SAC_TRY(sac_build_md(&bia, &bia_shape, SAC_LAYOUT_CHANNELS_FIRST, error));
    SAC_TRY(wei_md(&wei, &g, false, error));
    SAC_TRY(wei_md(&wei_plain, &g, true, error));
    SAC_TRY(sac_build_reorder(build, node->diff_dst, dst, &diff_dst, error));
    if (node->want_diff_src[0]) {
        SAC_TRY(backward_data(build, node, &g, src, dst, wei, wei_plain, diff_dst, error));
    }
    if (node->diff_param[0] >= 0) {
        SAC_TRY(backward_weights(build, node, &g, src, dst, wei, wei_plain, bia, diff_dst, error));
    }
fail:
    if (src != NULL) dnnl_memory_desc_destroy(src);
    if (dst != NULL) dnnl_memory_desc_destroy(dst);
    if (wei != NULL) dnnl_memory_desc_destroy(wei);
    if (wei_plain != NULL) dnnl_memory_desc_destroy(wei_plain);
    if (bia != NULL) dnnl_memory_desc_destroy(bia);
    return status;
}

const sac_op sac_op_conv = {
    .name = "conv",
    .min_src = 1,
    .max_src = 1,
    .shape = conv_shape,
    .params = conv_params,
    .macs = conv_macs,
    .ref_forward = conv_ref_forward,
    .ref_backward = conv_ref_backward,
    .build_forward = conv_build_forward,
    .build_backward = conv_build_backward,
};
