// The forward pass of an int8 plan; nn/quant.h defines what it computes. Values are followed from
// node to node as u8 in parts (nn/u8_conv.h) or as f32, and are converted only where an operator
// needs the other form. Convolutions take ReLU and residual sum behind them into their last step.
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/clones.h"
#include "core/memory.h"
#include "nn/activation.h"
#include "nn/plan_private.h"
#include "nn/u8_head.h"

// A node's value. One of the forms exists first; the other is made when somebody needs it.
typedef struct value {
    bool u8; // the parts below hold it; only [N][C][H][W]
    int parts;
    sac_buffer buffer[SAC_U8_MAX_PARTS];
    sac_u8_part part[SAC_U8_MAX_PARTS];
    sac_buffer f32; // -1: not yet
} value;

// Of a convolution; buffer -1: none.
typedef struct weights {
    sac_buffer buffer;
    float dst_scale;
    sac_u8_conv conv; // whose choice of kernel they are packed for
} weights;

typedef struct planner {
    sac_plan *plan;
    sac_build *build;
    sac_params *store;
    const sac_plan_options *options;
    value *values;   // [nodes]
    float *scales;   // [nodes]; 0: f32
    bool *done;      // [nodes] taken into an earlier node's step
    weights *packed; // [nodes]
    sac_u8_isa isa;
} planner;

static const sac_node *node_at(const planner *p, int i) {
    return sac_net_node(p->plan->net, i);
}

static bool image(const sac_shape *shape) {
    return shape->ndims == 4;
}

static bool same_scale(float a, float b) {
    return !(a < b) && !(b < a);
}

static uint8_t *bytes_of(float *buffer) {
    return (uint8_t *)buffer;
}

static sac_status buffer_u8(sac_build *build, int64_t bytes, sac_buffer *buffer, sac_error *error) {
    return sac_build_raw(build, (bytes + 3) / 4, buffer, error);
}

// The value as one dense channels-last block.
static void value_dense(value *v, const sac_shape *shape, sac_buffer buffer) {
    const int64_t c = shape->dims[1], h = shape->dims[2], w = shape->dims[3];
    v->u8 = true;
    v->parts = 1;
    v->buffer[0] = buffer;
    v->part[0] = (sac_u8_part){.batch = h * w * c, .row = w * c, .pixel = c, .channels = c};
}

// --- conversions -------------------------------------------------------------------------------

typedef struct convert_context {
    int64_t n, c, h, w, count;
    float scale;
    int parts;
    sac_u8_part part[SAC_U8_MAX_PARTS];
} convert_context;

SAC_CLONES static void widen(float *restrict dst, const uint8_t *restrict src, int64_t n,
                             float scale) {
    for (int64_t i = 0; i < n; i++) dst[i] = scale * (float)src[i];
}

SAC_CLONES static void narrow(uint8_t *restrict dst, const float *restrict src, int64_t n,
                              float inverse) {
    for (int64_t i = 0; i < n; i++) {
        float v = src[i] * inverse;
        v = v > 0.0f ? v : 0.0f;
        v = v < 255.0f ? v : 255.0f;
        dst[i] = (uint8_t)(int32_t)rintf(v);
    }
}

// buffers: dst f32 [N][H][W][C], src of each part
static void widen_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const convert_context *k = context;
    for (int64_t y = 0; y < k->n * k->h; y++) {
        float *dst = buffers[0] + y * k->w * k->c;
        for (int p = 0; p < k->parts; p++) {
            const sac_u8_part *part = &k->part[p];
            const uint8_t *src = bytes_of(buffers[1 + p]) + part->offset + y / k->h * part->batch +
                                 y % k->h * part->row;
            if (part->channels == k->c && part->pixel == k->c) {
                widen(dst, src, k->w * k->c, k->scale);
            } else {
                for (int64_t x = 0; x < k->w; x++)
                    widen(dst + x * k->c, src + x * part->pixel, part->channels, k->scale);
            }
            dst += part->channels;
        }
    }
}

// buffers: dst u8 [N][H][W][C], src of each part
static void gather_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const convert_context *k = context;
    for (int64_t y = 0; y < k->n * k->h; y++) {
        uint8_t *dst = bytes_of(buffers[0]) + y * k->w * k->c;
        for (int p = 0; p < k->parts; p++) {
            const sac_u8_part *part = &k->part[p];
            const uint8_t *src = bytes_of(buffers[1 + p]) + part->offset + y / k->h * part->batch +
                                 y % k->h * part->row;
            if (part->channels == k->c && part->pixel == k->c) {
                memcpy(dst, src, (size_t)(k->w * k->c));
            } else {
                for (int64_t x = 0; x < k->w; x++)
                    memcpy(dst + x * k->c, src + x * part->pixel, (size_t)part->channels);
            }
            dst += part->channels;
        }
    }
}

// buffers: src f32, dst u8, in the same order of elements
static void narrow_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const convert_context *k = context;
    narrow(bytes_of(buffers[1]), buffers[0], k->count, 1.0f / k->scale);
}

// buffers: src u8, dst f32, in the same order of elements
static void widen_flat_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const convert_context *k = context;
    widen(buffers[1], bytes_of(buffers[0]), k->count, k->scale);
}

static convert_context convert_of(const planner *p, int i) {
    const sac_shape *s = &p->plan->shapes[i];
    const value *v = &p->values[i];
    convert_context k = {.count = sac_shape_count(s), .scale = p->scales[i], .parts = v->parts};
    if (image(s)) {
        k.n = s->dims[0];
        k.c = s->dims[1];
        k.h = s->dims[2];
        k.w = s->dims[3];
    }
    memcpy(k.part, v->part, sizeof k.part);
    return k;
}

static sac_status parts_kernel(planner *p, int i, const char *name, sac_kernel kernel,
                               sac_buffer dst, sac_error *error) {
    const convert_context k = convert_of(p, i);
    sac_buffer buffers[1 + SAC_U8_MAX_PARTS] = {dst};
    for (int s = 0; s < k.parts; s++) buffers[1 + s] = p->values[i].buffer[s];
    return sac_build_kernel(p->build, name, kernel, &k, sizeof k, buffers, 1 + k.parts, error);
}

// The value of node i as f32.
static sac_status as_f32(planner *p, int i, sac_buffer *out, sac_error *error) {
    sac_status status = SAC_OK;
    value *v = &p->values[i];
    if (v->f32 < 0) {
        SAC_TRY(sac_build_buffer_like(p->build, &p->plan->shapes[i], SAC_LAYOUT_CHANNELS_LAST,
                                      &v->f32, error));
        SAC_TRY(parts_kernel(p, i, "u8 to f32", widen_kernel, v->f32, error));
    }
    *out = v->f32;
fail:
    return status;
}

// After an operator left the f32 value of node i: rounds it where the table says so.
static sac_status take_f32(planner *p, int i, sac_buffer f32, sac_error *error) {
    sac_status status = SAC_OK;
    value *v = &p->values[i];
    const sac_shape *shape = &p->plan->shapes[i];
    sac_buffer plain = -1, bytes = -1;
    v->f32 = f32;
    if (p->scales[i] <= 0) return SAC_OK;
    SAC_TRY(sac_build_layout(p->build, f32, shape, SAC_LAYOUT_CHANNELS_LAST, &plain, error));
    SAC_TRY(buffer_u8(p->build, sac_shape_count(shape), &bytes, error));
    const convert_context k = convert_of(p, i);
    const sac_buffer buffers[2] = {plain, bytes};
    SAC_TRY(
        sac_build_kernel(p->build, "f32 to u8", narrow_kernel, &k, sizeof k, buffers, 2, error));
    v->f32 = -1;
    if (image(shape)) {
        value_dense(v, shape, bytes);
        return SAC_OK;
    }
    // No operator takes these as u8: only the rounding counts.
    SAC_TRY(sac_build_buffer_like(p->build, shape, SAC_LAYOUT_CHANNELS_LAST, &v->f32, error));
    const sac_buffer back[2] = {bytes, v->f32};
    SAC_TRY(
        sac_build_kernel(p->build, "u8 to f32", widen_flat_kernel, &k, sizeof k, back, 2, error));
fail:
    return status;
}

// --- nodes -------------------------------------------------------------------------------------

static sac_status input_build(planner *p, int i, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_shape *shape = &p->plan->shapes[i];
    sac_ports *ports = &p->plan->ports[i];
    value *v = &p->values[i];
    if (p->scales[i] <= 0) {
        SAC_TRY(sac_build_buffer_like(p->build, shape,
                                      sac_plan_input_layout(shape, p->options->channels_last),
                                      &ports->input, error));
        sac_build_persist(p->build, ports->input);
        v->f32 = ports->input;
        return SAC_OK;
    }
    const int parts = p->options->input_parts;
    if (parts > 0) {
        if (parts > SAC_U8_MAX_PARTS || !image(shape) || shape->dims[1] % parts != 0)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "input '%s' cannot lie in %d parts",
                                 node_at(p, i)->name, parts);
        sac_shape part = *shape;
        part.dims[1] /= parts;
        for (int k = 0; k < parts; k++) {
            value one = {0};
            SAC_TRY(buffer_u8(p->build, sac_shape_count(&part), &ports->input_parts[k], error));
            sac_build_persist(p->build, ports->input_parts[k]);
            value_dense(&one, &part, ports->input_parts[k]);
            v->buffer[k] = one.buffer[0];
            v->part[k] = one.part[0];
        }
        v->u8 = true;
        v->parts = parts;
        return SAC_OK;
    }
    SAC_TRY(buffer_u8(p->build, sac_shape_count(shape), &ports->input_u8, error));
    sac_build_persist(p->build, ports->input_u8);
    const bool last = p->options->channels_last || shape->ndims < 4 || shape->dims[1] == 1;
    if (image(shape) && last) {
        value_dense(v, shape, ports->input_u8);
    } else if (image(shape) && shape->dims[1] <= SAC_U8_MAX_PARTS) {
        const int64_t plane = shape->dims[2] * shape->dims[3];
        v->u8 = true;
        v->parts = (int)shape->dims[1];
        for (int c = 0; c < v->parts; c++) {
            v->buffer[c] = ports->input_u8;
            v->part[c] = (sac_u8_part){.offset = c * plane,
                                       .batch = v->parts * plane,
                                       .row = shape->dims[3],
                                       .pixel = 1,
                                       .channels = 1};
        }
    } else {
        const convert_context k = convert_of(p, i);
        sac_buffer f32 = -1;
        SAC_TRY(sac_build_buffer_like(
            p->build, shape, sac_plan_input_layout(shape, p->options->channels_last), &f32, error));
        const sac_buffer buffers[2] = {ports->input_u8, f32};
        SAC_TRY(sac_build_kernel(p->build, "u8 to f32", widen_flat_kernel, &k, sizeof k, buffers, 2,
                                 error));
        SAC_TRY(take_f32(p, i, f32, error));
    }
fail:
    return status;
}

// Channels [begin, begin + length) of a value, by naming parts of its parts. False: too many.
static bool view_append(value *v, const value *of, int64_t begin, int64_t length) {
    for (int s = 0; s < of->parts && length > 0; s++) {
        sac_u8_part part = of->part[s];
        if (begin >= part.channels) {
            begin -= part.channels;
            continue;
        }
        const int64_t here = part.channels - begin < length ? part.channels - begin : length;
        if (v->parts == SAC_U8_MAX_PARTS) return false;
        part.offset += begin;
        part.channels = here;
        v->buffer[v->parts] = of->buffer[s];
        v->part[v->parts++] = part;
        length -= here;
        begin = 0;
    }
    return true;
}

// Slices and concatenations of channels move nothing. False: not of this kind.
static bool view_build(planner *p, int i) {
    const sac_node *node = node_at(p, i);
    value v = {.u8 = true, .f32 = -1};
    if (node->kind != SAC_OP_SLICE && node->kind != SAC_OP_CONCAT) return false;
    if (node->attrs.axis != 1 || (node->kind == SAC_OP_SLICE && node->attrs.step != 1))
        return false;
    for (int s = 0; s < node->src_count; s++) {
        const int src = node->src[s];
        if (!p->values[src].u8 || !same_scale(p->scales[src], p->scales[i])) return false;
        const bool slice = node->kind == SAC_OP_SLICE;
        if (!view_append(&v, &p->values[src], slice ? node->attrs.begin : 0,
                         slice ? node->attrs.length : p->plan->shapes[src].dims[1]))
            return false;
    }
    p->values[i] = v;
    return true;
}

// The node behind i when it is the only reader and i is neither output nor rounded; else -1.
static int only_reader(const planner *p, int i) {
    const sac_net *net = p->plan->net;
    if (sac_net_is_output(net, i) || p->scales[i] > 0 || sac_plan_readers(net, i) != 1) return -1;
    for (int k = i + 1; k < p->plan->count; k++) {
        const sac_node *node = sac_net_node(net, k);
        for (int s = 0; s < node->src_count; s++) {
            if (node->src[s] == i) return k;
        }
    }
    return -1;
}

typedef struct packing {
    sac_u8_conv conv;
    double s_src, s_dst;
    bool bias;
} packing;

// buffers: packed, weights, bias
static void pack_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const packing *k = context;
    sac_u8_conv_pack(&k->conv, buffers[0], buffers[1], k->bias ? buffers[2] : NULL, k->s_src,
                     k->s_dst);
}

enum { CONV_DST, CONV_PACKED, CONV_SCRATCH, CONV_RESIDUAL, CONV_SRC };

static void conv_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const sac_u8_conv *c = context;
    const uint8_t *src[SAC_U8_MAX_PARTS] = {NULL};
    for (int s = 0; s < c->parts; s++) src[s] = bytes_of(buffers[CONV_SRC + s]);
    sac_u8_conv_run(c, buffers[CONV_DST], buffers[CONV_PACKED], buffers[CONV_SCRATCH], src,
                    c->residual.channels > 0 ? bytes_of(buffers[CONV_RESIDUAL]) : NULL);
}

static bool conv_fits(const planner *p, int i) {
    const sac_node *node = node_at(p, i);
    const sac_attrs *a = &node->attrs;
    return node->kind == SAC_OP_CONV && p->values[node->src[0]].u8 && a->groups == 1 &&
           a->dilation[1] == 0 && a->dilation[2] == 0 && a->kernel[1] <= SAC_U8_MAX_KERNEL &&
           a->pad[1] < a->kernel[1] && a->pad[2] < a->kernel[2] &&
           // exact in 32 bits
           a->kernel[1] * a->kernel[2] * p->plan->shapes[node->src[0]].dims[1] <
               INT32_MAX / (255 * 127);
}

// Which nodes behind convolution i its last step computes as well; returns the last of them.
static int conv_absorb(planner *p, int i, sac_u8_conv *c, int *residual) {
    int last = i, next = only_reader(p, i);
    *residual = -1;
    if (next >= 0 && node_at(p, next)->kind == SAC_OP_ADD && node_at(p, next)->src_count == 2) {
        const sac_node *add = node_at(p, next);
        const int other = add->src[0] == i ? add->src[1] : add->src[0];
        const int relu = only_reader(p, next);
        if (other < i && other != i && p->values[other].u8 && p->values[other].parts == 1 &&
            relu >= 0 && node_at(p, relu)->kind == SAC_OP_RELU && p->scales[relu] > 0) {
            *residual = other;
            p->done[next] = p->done[relu] = true;
            return relu;
        }
    }
    if (next >= 0 && node_at(p, next)->kind == SAC_OP_RELU) {
        p->done[next] = true;
        c->relu = true;
        last = next;
    }
    return last;
}

// Weights of an earlier convolution with the same parameters and factors, or -1.
static sac_buffer packed_before(const planner *p, int i, float dst_scale, const sac_u8_conv *c) {
    for (int k = 0; k < i; k++) {
        const sac_node *a = node_at(p, k), *b = node_at(p, i);
        if (p->packed[k].buffer >= 0 && strcmp(a->share, b->share) == 0 &&
            same_scale(p->scales[a->src[0]], p->scales[b->src[0]]) &&
            same_scale(p->packed[k].dst_scale, dst_scale) &&
            sac_u8_conv_packs_alike(&p->packed[k].conv, c))
            return p->packed[k].buffer;
    }
    return -1;
}

static sac_status conv_build(planner *p, int i, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_node *node = node_at(p, i);
    const sac_attrs *a = &node->attrs;
    const sac_shape *src = &p->plan->shapes[node->src[0]], *dst = &p->plan->shapes[i];
    const value *from = &p->values[node->src[0]];
    sac_build_node *bn = &p->plan->nodes[i];
    int residual = -1;
    sac_buffer scratch = -1, out = -1;
    sac_u8_conv c = {.n = src->dims[0],
                     .ic = src->dims[1],
                     .ih = src->dims[2],
                     .iw = src->dims[3],
                     .oc = dst->dims[1],
                     .oh = dst->dims[2],
                     .ow = dst->dims[3],
                     .kh = a->kernel[1],
                     .kw = a->kernel[2],
                     .sh = a->stride[1],
                     .sw = a->stride[2],
                     .ph = a->pad[1],
                     .pw = a->pad[2],
                     .parts = from->parts};
    memcpy(c.part, from->part, sizeof c.part);
    const int last = conv_absorb(p, i, &c, &residual);
    c.to_f32 = p->scales[last] <= 0;
    if (residual >= 0) {
        c.residual = p->values[residual].part[0];
        c.residual_mul = (float)((double)p->scales[residual] / (double)p->scales[last]);
    }
    sac_u8_conv_prepare(&c, p->isa);

    const float dst_scale = c.to_f32 ? 1.0f : p->scales[last];
    sac_buffer packed = packed_before(p, i, dst_scale, &c);
    if (packed < 0) {
        SAC_TRY(sac_plan_params_bind(p->plan, i, p->store, false, error));
        SAC_TRY(buffer_u8(p->build, (int64_t)sac_u8_conv_packed_bytes(&c), &packed, error));
        const packing pack = {.conv = c,
                              .s_src = (double)p->scales[node->src[0]],
                              .s_dst = (double)dst_scale,
                              .bias = bn->param[1] >= 0};
        const sac_buffer buffers[3] = {packed, bn->param[0], bn->param[1]};
        sac_build_set_phase(p->build, SAC_PHASE_LOAD);
        status = sac_build_kernel(p->build, "weights to s8", pack_kernel, &pack, sizeof pack,
                                  buffers, pack.bias ? 3 : 2, error);
        sac_build_set_phase(p->build, SAC_PHASE_FORWARD);
        SAC_TRY(status);
    }
    p->packed[i] = (weights){.buffer = packed, .dst_scale = dst_scale, .conv = c};
    SAC_TRY(buffer_u8(p->build, (int64_t)sac_u8_conv_scratch_bytes(&c), &scratch, error));
    if (c.to_f32) {
        SAC_TRY(sac_build_buffer_like(p->build, dst, SAC_LAYOUT_CHANNELS_LAST, &out, error));
        p->values[last].f32 = out;
    } else {
        SAC_TRY(buffer_u8(p->build, sac_shape_count(dst), &out, error));
        value_dense(&p->values[last], dst, out);
    }
    sac_buffer buffers[CONV_SRC + SAC_U8_MAX_PARTS] = {
        [CONV_DST] = out,
        [CONV_PACKED] = packed,
        [CONV_SCRATCH] = scratch,
        [CONV_RESIDUAL] = residual >= 0 ? p->values[residual].buffer[0] : -1};
    for (int s = 0; s < c.parts; s++) buffers[CONV_SRC + s] = from->buffer[s];
    static const char *const names[] = {[SAC_U8_PLAIN] = "u8-convolution-plain",
                                        [SAC_U8_AVX2] = "u8-convolution-avx2",
                                        [SAC_U8_AVX_VNNI] = "u8-convolution-avx-vnni",
                                        [SAC_U8_VNNI] = "u8-convolution-vnni",
                                        [SAC_U8_AMX] = "u8-convolution-amx"};
    SAC_TRY(sac_build_kernel(p->build, names[c.isa], conv_kernel, &c, sizeof c, buffers,
                             CONV_SRC + c.parts, error));
fail:
    return status;
}

typedef struct head_packing {
    sac_u8_head head;
    double s_src;
    bool bias;
} head_packing;

// buffers: packed, weights, bias
static void head_pack_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const head_packing *k = context;
    sac_u8_head_pack(&k->head, buffers[0], buffers[1], k->bias ? buffers[2] : NULL, k->s_src);
}

// buffers: dst, packed, scratch, src
static void head_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    sac_u8_head_run(context, buffers[0], buffers[1], buffers[2], bytes_of(buffers[3]));
}

// The adaptive max pooling that takes all of convolution i, a 1x1 to one channel; else -1.
static int head_pool(const planner *p, int i) {
    const sac_attrs *a = &node_at(p, i)->attrs;
    const int pool = only_reader(p, i);
    if (!conv_fits(p, i) || a->channels != 1 || a->kernel[1] != 1 || a->kernel[2] != 1 ||
        a->stride[1] != 1 || a->stride[2] != 1 || a->pad_extra[1] != 0 || a->pad_extra[2] != 0 ||
        pool < 0 || node_at(p, pool)->kind != SAC_OP_ADAPTIVE_MAX_POOL || p->scales[pool] > 0)
        return -1;
    return pool;
}

static sac_status as_dense(planner *p, int i, sac_buffer *out, sac_error *error);

static sac_status head_build(planner *p, int i, int pool, sac_error *error) {
    sac_status status = SAC_OK;
    const int from = node_at(p, i)->src[0], next = only_reader(p, pool);
    const sac_shape *src = &p->plan->shapes[from], *dst = &p->plan->shapes[pool];
    const sac_build_node *bn = &p->plan->nodes[i];
    int last = pool;
    sac_buffer packed = -1, scratch = -1, in = -1;
    head_packing k = {.head = {.n = src->dims[0],
                               .c = src->dims[1],
                               .h = src->dims[2],
                               .w = src->dims[3],
                               .oh = dst->dims[2],
                               .ow = dst->dims[3]},
                      .s_src = (double)p->scales[from]};
    p->done[pool] = true;
    if (next >= 0 && node_at(p, next)->kind == SAC_OP_SIGMOID && p->scales[next] <= 0) {
        p->done[next] = k.head.sigmoid = true;
        last = next;
    }
    sac_u8_head_prepare(&k.head, p->isa);
    SAC_TRY(as_dense(p, from, &in, error));
    SAC_TRY(sac_plan_params_bind(p->plan, i, p->store, false, error));
    k.bias = bn->param[1] >= 0;
    SAC_TRY(buffer_u8(p->build, (int64_t)sac_u8_head_packed_bytes(&k.head), &packed, error));
    const sac_buffer pack[3] = {packed, bn->param[0], bn->param[1]};
    sac_build_set_phase(p->build, SAC_PHASE_LOAD);
    status = sac_build_kernel(p->build, "weights to s8", head_pack_kernel, &k, sizeof k, pack,
                              k.bias ? 3 : 2, error);
    sac_build_set_phase(p->build, SAC_PHASE_FORWARD);
    SAC_TRY(status);
    SAC_TRY(buffer_u8(p->build, (int64_t)sac_u8_head_scratch_bytes(&k.head), &scratch, error));
    SAC_TRY(sac_build_buffer_like(p->build, dst, SAC_LAYOUT_CHANNELS_LAST, &p->values[last].f32,
                                  error));
    const sac_buffer buffers[4] = {p->values[last].f32, packed, scratch, in};
    static const char *const names[] = {[SAC_U8_PLAIN] = "u8-convolution-head-plain",
                                        [SAC_U8_AVX2] = "u8-convolution-head-avx2",
                                        [SAC_U8_VNNI] = "u8-convolution-head-vnni"};
    SAC_TRY(sac_build_kernel(p->build, names[k.head.isa], head_kernel, &k.head, sizeof k.head,
                             buffers, 4, error));
fail:
    return status;
}

typedef struct pool_context {
    int64_t n, c, ih, iw, oh, ow, k[2], s[2], p[2];
} pool_context;

SAC_CLONES_INTEGER static void larger(uint8_t *restrict dst, const uint8_t *restrict src,
                                      int64_t n) {
    for (int64_t i = 0; i < n; i++) dst[i] = src[i] > dst[i] ? src[i] : dst[i];
}

// buffers: dst, src, both dense channels-last. Padding never wins: values are at least 0.
static void pool_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const pool_context *k = context;
#pragma omp parallel for schedule(static) if (k->n * k->oh * k->ow * k->c > 65536)
    for (int64_t r = 0; r < k->n * k->oh; r++) {
        uint8_t *dst = bytes_of(buffers[0]) + r * k->ow * k->c;
        memset(dst, 0, (size_t)(k->ow * k->c));
        for (int64_t ky = 0; ky < k->k[0]; ky++) {
            const int64_t y = r % k->oh * k->s[0] - k->p[0] + ky;
            if (y < 0 || y >= k->ih) continue;
            const uint8_t *src = bytes_of(buffers[1]) + (r / k->oh * k->ih + y) * k->iw * k->c;
            for (int64_t ox = 0; ox < k->ow; ox++) {
                const int64_t x = ox * k->s[1] - k->p[1];
                const int64_t first = x < 0 ? 0 : x;
                const int64_t end = x + k->k[1] < k->iw ? x + k->k[1] : k->iw;
                for (int64_t at = first; at < end; at++)
                    larger(dst + ox * k->c, src + at * k->c, k->c);
            }
        }
    }
}

// The value of node i as one dense channels-last block.
static sac_status as_dense(planner *p, int i, sac_buffer *out, sac_error *error) {
    sac_status status = SAC_OK;
    value *v = &p->values[i];
    value dense_form = {0};
    value_dense(&dense_form, &p->plan->shapes[i], -1);
    if (v->parts != 1 || memcmp(&v->part[0], &dense_form.part[0], sizeof v->part[0]) != 0) {
        sac_buffer dense = -1;
        SAC_TRY(buffer_u8(p->build, sac_shape_count(&p->plan->shapes[i]), &dense, error));
        SAC_TRY(parts_kernel(p, i, "gather", gather_kernel, dense, error));
        value_dense(v, &p->plan->shapes[i], dense);
    }
    *out = v->buffer[0];
fail:
    return status;
}

static sac_status pool_build(planner *p, int i, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_node *node = node_at(p, i);
    const sac_attrs *a = &node->attrs;
    const sac_shape *src = &p->plan->shapes[node->src[0]], *dst = &p->plan->shapes[i];
    sac_buffer from = -1, to = -1;
    const pool_context k = {.n = src->dims[0],
                            .c = src->dims[1],
                            .ih = src->dims[2],
                            .iw = src->dims[3],
                            .oh = dst->dims[2],
                            .ow = dst->dims[3],
                            .k = {a->kernel[1], a->kernel[2]},
                            .s = {a->stride[1], a->stride[2]},
                            .p = {a->pad[1], a->pad[2]}};
    SAC_TRY(as_dense(p, node->src[0], &from, error));
    SAC_TRY(buffer_u8(p->build, sac_shape_count(dst), &to, error));
    const sac_buffer buffers[2] = {to, from};
    SAC_TRY(
        sac_build_kernel(p->build, "u8-max-pool", pool_kernel, &k, sizeof k, buffers, 2, error));
    value_dense(&p->values[i], dst, to);
fail:
    return status;
}

// Any operator, in f32 between conversions; an activation behind a conv or dense goes with it.
static sac_status f32_build(planner *p, int i, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_node *node = node_at(p, i);
    const sac_op *op = sac_op_of(node->kind);
    sac_build_node *bn = &p->plan->nodes[i];
    int last = i;
    for (int s = 0; s < node->src_count; s++) SAC_TRY(as_f32(p, node->src[s], &bn->src[s], error));
    const bool multiplies = node->kind == SAC_OP_CONV || node->kind == SAC_OP_DENSE;
    if (multiplies) {
        const int next = only_reader(p, i);
        if (next >= 0 && sac_plan_fuses(p->plan->net, next)) {
            bn->fused = node_at(p, next)->kind;
            bn->fused_attrs = node_at(p, next)->attrs;
            p->done[next] = true;
            last = next;
        }
    }
    SAC_TRY(sac_plan_params_bind(p->plan, i, p->store, multiplies && p->scales[node->src[0]] > 0,
                                 error));
    sac_error why = {0};
    status = op->build_forward(p->build, bn, &why);
    if (status != SAC_OK) return sac_plan_wrap_error(status, node, &why, error);
    SAC_TRY(take_f32(p, last, bn->dst, error));
fail:
    return status;
}

static sac_status node_build(planner *p, int i, sac_error *error) {
    const sac_node *node = node_at(p, i);
    if (node->kind == SAC_OP_INPUT) return input_build(p, i, error);
    if (p->scales[i] > 0 && view_build(p, i)) return SAC_OK;
    const int head = node->kind == SAC_OP_CONV ? head_pool(p, i) : -1;
    if (head >= 0) return head_build(p, i, head, error);
    if (conv_fits(p, i)) return conv_build(p, i, error);
    if (node->kind == SAC_OP_MAX_POOL && p->values[node->src[0]].u8 &&
        same_scale(p->scales[node->src[0]], p->scales[i]))
        return pool_build(p, i, error);
    return f32_build(p, i, error);
}

static sac_status output_build(planner *p, int i, sac_error *error) {
    sac_status status = SAC_OK;
    sac_ports *ports = &p->plan->ports[i];
    const sac_shape *shape = &p->plan->shapes[i];
    sac_buffer buffer = -1;
    if (p->options->outputs_u8 && p->values[i].u8) {
        // In a place of its own, also when it is an input as it came.
        SAC_TRY(as_dense(p, i, &buffer, error));
        if (buffer == ports->input_u8) {
            SAC_TRY(buffer_u8(p->build, sac_shape_count(shape), &buffer, error));
            SAC_TRY(parts_kernel(p, i, "gather", gather_kernel, buffer, error));
        }
        ports->output_u8 = buffer;
        sac_build_persist(p->build, buffer);
        return SAC_OK;
    }
    SAC_TRY(as_f32(p, i, &buffer, error));
    SAC_TRY(sac_build_layout(p->build, buffer, shape,
                             sac_plan_input_layout(shape, p->options->channels_last_outputs),
                             &ports->output, error));
    sac_build_persist(p->build, ports->output);
fail:
    return status;
}

sac_status sac_plan_u8_forward_build(sac_plan *plan, sac_params *store,
                                     const sac_plan_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    const int count = plan->count;
    planner p = {.plan = plan,
                 .build = plan->build,
                 .store = store,
                 .options = options,
                 .isa = sac_u8_isa_best()};
    p.values = sac_calloc(count, sizeof *p.values);
    p.scales = sac_calloc(count, sizeof *p.scales);
    p.done = sac_calloc(count, sizeof *p.done);
    p.packed = sac_calloc(count, sizeof *p.packed);
    SAC_TRY_ALLOC(p.values);
    SAC_TRY_ALLOC(p.scales);
    SAC_TRY_ALLOC(p.done);
    SAC_TRY_ALLOC(p.packed);
    for (int i = 0; i < count; i++) {
        p.values[i].f32 = p.packed[i].buffer = -1;
        p.scales[i] = sac_quant_scale(options->quant, node_at(&p, i)->name);
    }
    for (int i = 0; i < count; i++) {
        sac_build_set_label(plan->build, node_at(&p, i)->name);
        sac_plan_node_clear(plan, i);
        if (!p.done[i]) SAC_TRY(node_build(&p, i, error));
    }
    for (int i = 0; i < count; i++) {
        if (!sac_net_is_output(plan->net, i)) continue;
        sac_build_set_label(plan->build, node_at(&p, i)->name);
        SAC_TRY(output_build(&p, i, error));
    }
fail:
    sac_free(p.values);
    sac_free(p.scales);
    sac_free(p.done);
    sac_free(p.packed);
    return status;
}
