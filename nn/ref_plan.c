// Plans on the plain reference: every tensor dense and channels-first, every operator by its
// textbook
// loops. Slow on purpose; it defines what the oneDNN plans must compute.
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/op.h"
#include "nn/plan.h"
#include "nn/quant.h"

typedef struct tensors {
    float *value, *grad, *workspace;
    float *weights;         // rounded, of nodes with weight_quant; steps in an int8 plan
    float scale;            // int8 plans: of the value; 0: f32
    float *steps, *factors; // of a conv or dense in integers: its source, the scales of its weights
    float *bf16[2];         // of what multiplies in a bf16 plan: its two factors
    uint8_t *port_u8;
    float *port, *port_grad; // inputs handed over channels-last live in a copy of their own
} tensors;

struct sac_ref_plan {
    const sac_net *net;
    sac_params *params;
    bool training, channels_last, channels_last_outputs, input_grad;
    sac_shape *shapes;
    tensors *t;
    bool *need, *reached;
    bool outputs_u8;
    float *scratch; // largest gradient contribution
    int count;
    int64_t bytes;
    sac_rng rng;
};

void sac_ref_plan_close(sac_ref_plan **plan_ptr) {
    if (plan_ptr == NULL || *plan_ptr == NULL) return;
    sac_ref_plan *plan = *plan_ptr;
    for (int i = 0; i < plan->count && plan->t != NULL; i++) {
        sac_free(plan->t[i].value);
        sac_free(plan->t[i].grad);
        sac_free(plan->t[i].workspace);
        sac_free(plan->t[i].weights);
        sac_free(plan->t[i].steps);
        sac_free(plan->t[i].factors);
        sac_free(plan->t[i].bf16[0]);
        sac_free(plan->t[i].bf16[1]);
        sac_free(plan->t[i].port_u8);
        sac_free(plan->t[i].port);
        sac_free(plan->t[i].port_grad);
    }
    sac_free(plan->t);
    sac_free(plan->shapes);
    sac_free(plan->need);
    sac_free(plan->reached);
    sac_free(plan->scratch);
    sac_free(plan);
    *plan_ptr = NULL;
}

static bool own_port(const sac_ref_plan *plan, int i) {
    const sac_shape *shape = &plan->shapes[i];
    return sac_net_node(plan->net, i)->kind == SAC_OP_INPUT && plan->channels_last &&
           shape->ndims >= 4 && shape->dims[1] > 1;
}

// Outputs that are handed over in another layout than they are computed in.
static bool own_output(const sac_ref_plan *plan, int i) {
    const sac_shape *shape = &plan->shapes[i];
    return !plan->training && plan->channels_last_outputs && sac_net_is_output(plan->net, i) &&
           shape->ndims >= 4 && shape->dims[1] > 1;
}

static sac_ref ref_of(const sac_ref_plan *plan, int i) {
    const sac_node *node = sac_net_node(plan->net, i);
    sac_ref ref = {.attrs = &node->attrs,
                   .training = plan->training,
                   .src_count = node->src_count,
                   .dst_shape = plan->shapes[i],
                   .dst = plan->t[i].value,
                   .workspace = plan->t[i].workspace};
    for (int s = 0; s < node->src_count; s++) {
        ref.src_shape[s] = plan->shapes[node->src[s]];
        ref.src[s] = plan->t[node->src[s]].value;
    }
    sac_param *params[SAC_MAX_PARAMS];
    sac_plan_node_params(params, plan->net, i, plan->params, plan->shapes);
    for (int p = 0; p < SAC_MAX_PARAMS; p++) {
        if (params[p] == NULL) continue;
        ref.param[p] = params[p]->data;
        if (!params[p]->trainable) ref.state[p] = params[p]->data;
        if (plan->training && params[p]->trainable) ref.diff_param[p] = params[p]->grad;
    }
    if (plan->t[i].weights != NULL) ref.param[0] = plan->t[i].weights;
    return ref;
}

// A conv or dense on a source in the table.
static bool in_integers(const sac_ref_plan *plan, int i) {
    const sac_node *node = sac_net_node(plan->net, i);
    return (node->kind == SAC_OP_CONV || node->kind == SAC_OP_DENSE) &&
           plan->t[node->src[0]].scale > 0;
}

static sac_status quant_create(sac_ref_plan *plan, const sac_plan_options *options) {
    sac_status status = SAC_OK;
    plan->outputs_u8 = options->outputs_u8;
    for (int i = 0; i < plan->count; i++) {
        const sac_node *node = sac_net_node(plan->net, i);
        tensors *t = &plan->t[i];
        t->scale = sac_quant_scale(options->quant, node->name);
        if (t->scale > 0 && (node->kind == SAC_OP_INPUT || sac_net_is_output(plan->net, i))) {
            t->port_u8 = sac_calloc(sac_shape_count(&plan->shapes[i]), 1);
            SAC_TRY_ALLOC(t->port_u8);
        }
        if (!in_integers(plan, i)) continue;
        sac_param *params[SAC_MAX_PARAMS];
        sac_plan_node_params(params, plan->net, i, plan->params, plan->shapes);
        if (t->weights == NULL) t->weights = sac_calloc(params[0]->count, sizeof(float));
        t->steps = sac_calloc(sac_shape_count(&plan->shapes[node->src[0]]), sizeof(float));
        t->factors = sac_calloc(params[0]->shape.dims[0], sizeof(float));
        SAC_TRY_ALLOC(t->weights);
        SAC_TRY_ALLOC(t->steps);
        SAC_TRY_ALLOC(t->factors);
    }
fail:
    return status;
}

// The factors of a convolution, dense layer or matrix product; 0: not one.
static int factors_of(const sac_ref_plan *plan, int i, const float *data[2], int64_t count[2]) {
    const sac_node *node = sac_net_node(plan->net, i);
    if (node->kind != SAC_OP_CONV && node->kind != SAC_OP_DENSE && node->kind != SAC_OP_MATMUL)
        return 0;
    data[0] = plan->t[node->src[0]].value;
    count[0] = sac_shape_count(&plan->shapes[node->src[0]]);
    if (node->kind == SAC_OP_MATMUL) {
        data[1] = plan->t[node->src[1]].value;
        count[1] = sac_shape_count(&plan->shapes[node->src[1]]);
    } else {
        sac_param *params[SAC_MAX_PARAMS];
        sac_plan_node_params(params, plan->net, i, plan->params, plan->shapes);
        data[1] = params[0]->data;
        count[1] = params[0]->count;
    }
    return 2;
}

static sac_status bf16_create(sac_ref_plan *plan) {
    sac_status status = SAC_OK;
    for (int i = 0; i < plan->count; i++) {
        const float *data[2];
        int64_t count[2];
        for (int f = 0; f < factors_of(plan, i, data, count); f++) {
            plan->t[i].bf16[f] = sac_calloc(count[f], sizeof(float));
            SAC_TRY_ALLOC(plan->t[i].bf16[f]);
        }
    }
fail:
    return status;
}

// The nearest number with 8 bits of mantissa, ties to even; what is not finite stays so.
static float bf16_of(float value) {
    uint32_t bits;
    if (!isfinite(value)) return value;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void multiply_bf16(sac_ref_plan *plan, int i, const sac_op *op) {
    const float *data[2];
    int64_t count[2];
    for (int f = 0; f < factors_of(plan, i, data, count); f++)
        for (int64_t e = 0; e < count[f]; e++) plan->t[i].bf16[f][e] = bf16_of(data[f][e]);
    sac_ref ref = ref_of(plan, i);
    ref.src[0] = plan->t[i].bf16[0];
    if (sac_net_node(plan->net, i)->kind == SAC_OP_MATMUL) {
        ref.src[1] = plan->t[i].bf16[1];
    } else {
        ref.param[0] = plan->t[i].bf16[1];
    }
    op->ref_forward(&ref);
}

sac_status sac_ref_plan_create(sac_ref_plan **out, const sac_net *net, sac_params *params,
                               const sac_plan_options *options, bool training, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t largest = 1;
    sac_ref_plan *plan = sac_calloc(1, sizeof *plan);
    SAC_TRY_ALLOC(plan);
    plan->net = net;
    plan->params = params;
    plan->training = training;
    plan->channels_last = options->channels_last;
    plan->channels_last_outputs = options->channels_last_outputs;
    plan->input_grad = options->input_grad;
    plan->count = sac_net_count(net);
    plan->shapes = sac_calloc(plan->count, sizeof *plan->shapes);
    plan->t = sac_calloc(plan->count, sizeof *plan->t);
    plan->need = sac_calloc(plan->count, sizeof *plan->need);
    plan->reached = sac_calloc(plan->count, sizeof *plan->reached);
    SAC_TRY_ALLOC(plan->shapes);
    SAC_TRY_ALLOC(plan->t);
    SAC_TRY_ALLOC(plan->need);
    SAC_TRY_ALLOC(plan->reached);
    SAC_TRY(sac_net_shapes(net, options->batch, plan->shapes, error));
    sac_plan_needs_grad(plan->need, net, params, plan->shapes, options->input_grad);
    for (int i = 0; i < plan->count; i++) {
        const sac_node *node = sac_net_node(net, i);
        const sac_op *op = sac_op_of(node->kind);
        const int64_t n = sac_shape_count(&plan->shapes[i]);
        int64_t workspace = 0;
        if (op != NULL && op->ref_workspace != NULL) {
            sac_shape src[SAC_MAX_SRC];
            for (int s = 0; s < node->src_count; s++) src[s] = plan->shapes[node->src[s]];
            workspace = op->ref_workspace(&node->attrs, src, &plan->shapes[i]);
        }
        plan->t[i].value = sac_calloc(n, sizeof(float));
        plan->t[i].workspace = sac_calloc(workspace, sizeof(float));
        SAC_TRY_ALLOC(plan->t[i].value);
        SAC_TRY_ALLOC(plan->t[i].workspace);
        if (node->attrs.weight_quant) {
            sac_param *params_of[SAC_MAX_PARAMS];
            sac_plan_node_params(params_of, net, i, params, plan->shapes);
            plan->t[i].weights = sac_calloc(params_of[0]->count, sizeof(float));
            SAC_TRY_ALLOC(plan->t[i].weights);
        }
        if (training) {
            plan->t[i].grad = sac_calloc(n, sizeof(float));
            SAC_TRY_ALLOC(plan->t[i].grad);
        }
        if (own_output(plan, i)) {
            plan->t[i].port = sac_calloc(n, sizeof(float));
            SAC_TRY_ALLOC(plan->t[i].port);
        }
        if (own_port(plan, i) || (training && sac_net_is_output(net, i))) {
            plan->t[i].port = sac_calloc(n, sizeof(float));
            plan->t[i].port_grad = sac_calloc(n, sizeof(float));
            SAC_TRY_ALLOC(plan->t[i].port);
            SAC_TRY_ALLOC(plan->t[i].port_grad);
        }
        plan->bytes += 2 * n * (int64_t)sizeof(float);
        if (n > largest) largest = n;
    }
    if (options->quant != NULL) SAC_TRY(quant_create(plan, options));
    if (options->bf16) SAC_TRY(bf16_create(plan));
    plan->scratch = sac_calloc(largest, sizeof(float));
    SAC_TRY_ALLOC(plan->scratch);
    *out = plan;
    return SAC_OK;
fail:
    sac_ref_plan_close(&plan);
    return status;
}

float *sac_ref_plan_port_data(const sac_ref_plan *plan, sac_plan_port port, int i) {
    const tensors *t = &plan->t[i];
    const bool input = sac_net_node(plan->net, i)->kind == SAC_OP_INPUT;
    const bool output = sac_net_is_output(plan->net, i);
    switch (port) {
    case SAC_PORT_INPUT_U8:
        return input ? (float *)(void *)t->port_u8 : NULL;
    case SAC_PORT_OUTPUT_U8:
        return output && plan->outputs_u8 ? (float *)(void *)t->port_u8 : NULL;
    case SAC_PORT_INPUT:
        return !input || t->port_u8 != NULL ? NULL : own_port(plan, i) ? t->port : t->value;
    case SAC_PORT_OUTPUT:
        return !output || (plan->outputs_u8 && t->port_u8 != NULL) ? NULL
               : own_output(plan, i)                               ? t->port
                                                                   : t->value;
    case SAC_PORT_OUTPUT_GRAD:
        return output ? t->port_grad : NULL;
    case SAC_PORT_INPUT_GRAD:
        return !input || !plan->input_grad ? NULL : own_port(plan, i) ? t->port_grad : t->grad;
    }
    return NULL;
}

// dst channels-first <- src channels-last (to_first), or the other way round.
static void swap_layout(float *dst, const float *src, const sac_shape *shape, bool to_first) {
    const int64_t n = shape->dims[0], c = shape->dims[1], space = sac_shape_count(shape) / (n * c);
    for (int64_t b = 0; b < n; b++) {
        for (int64_t k = 0; k < c; k++) {
            for (int64_t s = 0; s < space; s++) {
                const int64_t first = (b * c + k) * space + s, last = (b * space + s) * c + k;
                if (to_first) {
                    dst[first] = src[last];
                } else {
                    dst[last] = src[first];
                }
            }
        }
    }
}

static void weights_round(sac_ref_plan *plan, int i) {
    sac_param *params[SAC_MAX_PARAMS];
    sac_plan_node_params(params, plan->net, i, plan->params, plan->shapes);
    const int64_t oc = params[0]->shape.dims[0];
    sac_quant_weights_fake(plan->t[i].weights, params[0]->data, oc, params[0]->count / oc);
}

// Place of element i (channels-first) in channels-last order.
static int64_t last_place(int64_t i, const sac_shape *shape) {
    if (shape->ndims < 4) return i;
    const int64_t c = shape->dims[1], area = sac_shape_count(shape) / (shape->dims[0] * c);
    const int64_t n = i / (c * area), channel = i / area % c, at = i % area;
    return (n * area + at) * c + channel;
}

static void input_dequantise(const sac_ref_plan *plan, int i) {
    const tensors *t = &plan->t[i];
    for (int64_t k = 0; k < sac_shape_count(&plan->shapes[i]); k++) {
        const int64_t at = plan->channels_last ? last_place(k, &plan->shapes[i]) : k;
        t->value[k] = (float)((double)t->scale * t->port_u8[at]);
    }
}

// acc = sum of whole numbers, exact; dst = acc s_src s_wei[oc] + bia[oc].
static void multiply_integers(sac_ref_plan *plan, int i, const sac_op *op) {
    const sac_node *node = sac_net_node(plan->net, i);
    const tensors *t = &plan->t[i], *src = &plan->t[node->src[0]];
    sac_param *params[SAC_MAX_PARAMS];
    sac_plan_node_params(params, plan->net, i, plan->params, plan->shapes);
    const int64_t oc = params[0]->shape.dims[0], k = params[0]->count / oc;
    for (int64_t e = 0; e < sac_shape_count(&plan->shapes[node->src[0]]); e++)
        t->steps[e] = (float)rint((double)src->value[e] / (double)src->scale);
    for (int64_t c = 0; c < oc; c++) {
        sac_quant_weights(NULL, &t->factors[c], params[0]->data + c * k, 1, k);
        for (int64_t e = 0; e < k; e++)
            t->weights[c * k + e] =
                (float)sac_quant_step(params[0]->data[c * k + e], t->factors[c]);
    }
    sac_attrs attrs = node->attrs;
    attrs.bias = false;
    sac_ref ref = ref_of(plan, i);
    ref.attrs = &attrs;
    ref.src[0] = t->steps;
    ref.param[0] = t->weights;
    op->ref_forward(&ref);
    const sac_shape *shape = &plan->shapes[i];
    const int64_t area = sac_shape_count(shape) / (shape->dims[0] * oc);
    for (int64_t e = 0; e < sac_shape_count(shape); e++) {
        const int64_t c = e / area % oc;
        const double bias = node->attrs.bias ? (double)params[1]->data[c] : 0.0;
        t->value[e] =
            (float)((double)t->value[e] * (double)src->scale * (double)t->factors[c] + bias);
    }
}

static void quantise(const sac_ref_plan *plan, int i) {
    const tensors *t = &plan->t[i];
    for (int64_t e = 0; e < sac_shape_count(&plan->shapes[i]); e++) {
        double q = rint((double)t->value[e] / (double)t->scale);
        q = q > 0 ? q : 0;
        q = q < 255 ? q : 255;
        t->value[e] = (float)((double)t->scale * q);
        if (t->port_u8 != NULL) t->port_u8[last_place(e, &plan->shapes[i])] = (uint8_t)q;
    }
}

void sac_ref_plan_forward(sac_ref_plan *plan) {
    for (int i = 0; i < plan->count; i++) {
        const sac_op *op = sac_op_of(sac_net_node(plan->net, i)->kind);
        if (op == NULL) {
            if (plan->t[i].scale > 0) {
                input_dequantise(plan, i);
            } else if (own_port(plan, i)) {
                swap_layout(plan->t[i].value, plan->t[i].port, &plan->shapes[i], true);
            }
            continue;
        }
        if (in_integers(plan, i)) {
            multiply_integers(plan, i, op);
        } else if (plan->t[i].bf16[0] != NULL) {
            multiply_bf16(plan, i, op);
        } else {
            sac_ref ref = ref_of(plan, i);
            ref.rng = &plan->rng;
            if (plan->t[i].weights != NULL) weights_round(plan, i);
            op->ref_forward(&ref);
        }
        if (plan->t[i].scale > 0) quantise(plan, i);
        if (own_output(plan, i))
            swap_layout(plan->t[i].port, plan->t[i].value, &plan->shapes[i], false);
    }
    for (int i = 0; i < plan->count && plan->training; i++) {
        if (!sac_net_is_output(plan->net, i)) continue;
        memset(plan->t[i].port_grad, 0, (size_t)sac_shape_count(&plan->shapes[i]) * sizeof(float));
    }
}

void sac_ref_plan_backward(sac_ref_plan *plan) {
    for (int i = 0; i < plan->count; i++) {
        const size_t bytes = (size_t)sac_shape_count(&plan->shapes[i]) * sizeof(float);
        plan->reached[i] = sac_net_is_output(plan->net, i);
        if (plan->reached[i]) {
            memcpy(plan->t[i].grad, plan->t[i].port_grad, bytes);
        } else {
            memset(plan->t[i].grad, 0, bytes);
        }
    }
    for (int i = plan->count - 1; i >= 0; i--) {
        const sac_node *node = sac_net_node(plan->net, i);
        if (!plan->reached[i] || !plan->need[i]) continue;
        if (node->kind == SAC_OP_INPUT) {
            if (own_port(plan, i))
                swap_layout(plan->t[i].port_grad, plan->t[i].grad, &plan->shapes[i], false);
            continue;
        }
        // One source at a time, so that a node fed twice by the same source gets both
        // contributions; parameter
        // gradients are taken with the first call only.
        sac_ref ref = ref_of(plan, i);
        ref.rng = &plan->rng;
        ref.diff_dst = plan->t[i].grad;
        bool params_done = false;
        for (int s = 0; s < node->src_count; s++) {
            if (!plan->need[node->src[s]]) continue;
            ref.diff_src[s] = plan->scratch;
            sac_op_of(node->kind)->ref_backward(&ref);
            ref.diff_src[s] = NULL;
            params_done = true;
            for (int p = 0; p < SAC_MAX_PARAMS; p++) ref.diff_param[p] = NULL;
            float *grad = plan->t[node->src[s]].grad;
            const int64_t n = sac_shape_count(&plan->shapes[node->src[s]]);
            for (int64_t k = 0; k < n; k++) grad[k] += plan->scratch[k];
            plan->reached[node->src[s]] = true;
        }
        if (!params_done) sac_op_of(node->kind)->ref_backward(&ref);
    }
}

sac_rng *sac_ref_plan_rng(sac_ref_plan *plan) {
    return &plan->rng;
}

int64_t sac_ref_plan_bytes(const sac_ref_plan *plan) {
    return plan->bytes;
}
