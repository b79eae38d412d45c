// Wires the operators of a network into a oneDNN plan: forward in node order, backward in reverse
// with
// the contributions to each gradient summed. Layout decisions belong to the operators and
// nn/build.c.
#include "nn/plan.h"

#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/activation.h"
#include "nn/plan_private.h"

void sac_plan_node_params(sac_param *params[4], const sac_net *net, int index, sac_params *store,
                          const sac_shape *shapes) {
    const sac_node *node = sac_net_node(net, index);
    const sac_op *op = sac_op_of(node->kind);
    for (int i = 0; i < SAC_MAX_PARAMS; i++) params[i] = NULL;
    if (op == NULL || op->params == NULL) return;
    sac_param_spec specs[SAC_MAX_PARAMS];
    const int n = op->params(&node->attrs, &shapes[node->src[0]], specs);
    for (int i = 0; i < n; i++) {
        char name[192];
        (void)snprintf(name, sizeof name, "%s.%s", node->share, specs[i].suffix);
        params[i] = sac_params_find(store, name);
    }
}

void sac_plan_needs_grad(bool *need, const sac_net *net, sac_params *store, const sac_shape *shapes,
                         bool input_grad) {
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        need[i] = node->kind == SAC_OP_INPUT && input_grad;
        for (int s = 0; s < node->src_count; s++) need[i] = need[i] || need[node->src[s]];
        sac_param *params[SAC_MAX_PARAMS];
        sac_plan_node_params(params, net, i, store, shapes);
        for (int p = 0; p < SAC_MAX_PARAMS; p++)
            need[i] = need[i] || (params[p] != NULL && params[p]->trainable);
    }
}

int sac_plan_readers(const sac_net *net, int index) {
    int count = 0;
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        for (int s = 0; s < node->src_count; s++) count += node->src[s] == index;
    }
    return count;
}

// An activation directly behind a convolution or dense that nobody else reads runs as its
// post-operation.
bool sac_plan_fuses(const sac_net *net, int index) {
    const sac_node *node = sac_net_node(net, index);
    if (!sac_is_activation(node->kind)) return false;
    const sac_op_kind source = sac_net_node(net, node->src[0])->kind;
    return (source == SAC_OP_CONV || source == SAC_OP_DENSE) &&
           !sac_net_is_output(net, node->src[0]) && sac_plan_readers(net, node->src[0]) == 1;
}

// An input of one channel has the same bytes in both layouts; calling it channels-last spares a
// copy.
sac_layout sac_plan_input_layout(const sac_shape *shape, bool channels_last) {
    return channels_last || shape->ndims < 4 || shape->dims[1] == 1 ? SAC_LAYOUT_CHANNELS_LAST
                                                                    : SAC_LAYOUT_CHANNELS_FIRST;
}

sac_status sac_plan_wrap_error(sac_status status, const sac_node *node, const sac_error *why,
                               sac_error *error) {
    return sac_error_set(error, status, -1, "node '%s': %s", node->name,
                         why->code != SAC_OK ? why->message : sac_status_name(status));
}

typedef struct rounding_context {
    int64_t oc, k;
} rounding_context;

// buffers: weights, what they are worth when rounded to s8
static void rounding_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const rounding_context c = *(const rounding_context *)context;
    sac_quant_weights_fake(buffers[1], buffers[0], c.oc, c.k);
}

// Puts rounded weights in the place of a parameter: at each forward, or once per set of parameters
// in an inference plan. The gradient goes to the parameter itself (straight through).
static sac_status weights_round(sac_plan *plan, const sac_param *param, sac_buffer *buffer,
                                sac_error *error) {
    sac_status status = SAC_OK;
    sac_buffer rounded = -1;
    const rounding_context context = {.oc = param->shape.dims[0],
                                      .k = param->count / param->shape.dims[0]};
    SAC_TRY(
        sac_build_buffer(plan->build, sac_build_buffer_md(plan->build, *buffer), &rounded, error));
    const sac_buffer buffers[2] = {*buffer, rounded};
    if (!plan->training) sac_build_set_phase(plan->build, SAC_PHASE_LOAD);
    SAC_TRY(sac_build_kernel(plan->build, "weight rounding", rounding_kernel, &context,
                             sizeof context, buffers, 2, error));
    *buffer = rounded;
fail:
    sac_build_set_phase(plan->build, SAC_PHASE_FORWARD);
    return status;
}

sac_status sac_plan_params_bind(sac_plan *plan, int index, sac_params *store, bool rounded,
                                sac_error *error) {
    sac_status status = SAC_OK;
    sac_build_node *bn = &plan->nodes[index];
    sac_param *params[SAC_MAX_PARAMS];
    sac_plan_node_params(params, plan->net, index, store, plan->shapes);
    for (int p = 0; p < SAC_MAX_PARAMS; p++) {
        bn->param[p] = bn->diff_param[p] = -1;
        if (params[p] == NULL) continue;
        dnnl_memory_desc_t md = NULL;
        SAC_TRY(sac_build_md(&md, &params[p]->shape, SAC_LAYOUT_CHANNELS_FIRST, error));
        status = sac_build_external(plan->build, md, params[p]->data, &bn->param[p], error);
        if (status == SAC_OK && plan->training && params[p]->trainable) {
            status =
                sac_build_external(plan->build, md, params[p]->grad, &bn->diff_param[p], error);
        }
        dnnl_memory_desc_destroy(md);
        SAC_TRY(status);
    }
    if (params[0] != NULL && (rounded || sac_net_node(plan->net, index)->attrs.weight_quant))
        SAC_TRY(weights_round(plan, params[0], &bn->param[0], error));
fail:
    return status;
}

void sac_plan_node_clear(sac_plan *plan, int index) {
    const sac_node *node = sac_net_node(plan->net, index);
    sac_build_node *bn = &plan->nodes[index];
    *bn = (sac_build_node){.node = node,
                           .training = plan->training,
                           .src_count = node->src_count,
                           .dst_shape = plan->shapes[index],
                           .dst = -1,
                           .diff_dst = -1,
                           .fused = SAC_OP_COUNT};
    for (int s = 0; s < SAC_MAX_SRC; s++) bn->src[s] = bn->diff_src[s] = -1;
    for (int s = 0; s < 8; s++) bn->saved[s] = -1;
    for (int p = 0; p < SAC_MAX_PARAMS; p++) bn->param[p] = bn->diff_param[p] = -1;
    for (int s = 0; s < node->src_count; s++) bn->src_shape[s] = plan->shapes[node->src[s]];
}

static sac_status forward_build(sac_plan *plan, sac_params *store, const sac_plan_options *options,
                                sac_error *error) {
    sac_status status = SAC_OK;
    sac_build *build = plan->build;
    for (int i = 0; i < plan->count; i++) {
        const sac_node *node = sac_net_node(plan->net, i);
        sac_build_node *bn = &plan->nodes[i];
        const sac_op *op = sac_op_of(node->kind);
        sac_build_set_label(build, node->name);
        sac_plan_node_clear(plan, i);
        if (op == NULL) {
            SAC_TRY(sac_build_buffer_like(
                build, &plan->shapes[i],
                sac_plan_input_layout(&plan->shapes[i], options->channels_last),
                &plan->ports[i].input, error));
            sac_build_persist(build, plan->ports[i].input);
            bn->dst = plan->ports[i].input;
            continue;
        }
        for (int s = 0; s < node->src_count; s++) bn->src[s] = plan->nodes[node->src[s]].dst;
        if (!plan->training && sac_plan_fuses(plan->net, i)) {
            bn->dst = bn->src[0];
            continue;
        }
        if (!plan->training && (node->kind == SAC_OP_CONV || node->kind == SAC_OP_DENSE)) {
            for (int k = i + 1; k < plan->count; k++) {
                const sac_node *next = sac_net_node(plan->net, k);
                if (next->src_count == 1 && next->src[0] == i && sac_plan_fuses(plan->net, k)) {
                    bn->fused = next->kind;
                    bn->fused_attrs = next->attrs;
                }
            }
        }
        SAC_TRY(sac_plan_params_bind(plan, i, store, false, error));
        sac_error why = {0};
        status = op->build_forward(build, bn, &why);
        if (status != SAC_OK) return sac_plan_wrap_error(status, node, &why, error);
    }
    // Outputs are handed over dense, in places of their own.
    for (int i = 0; i < plan->count; i++) {
        if (!sac_net_is_output(plan->net, i)) continue;
        sac_build_set_label(build, sac_net_node(plan->net, i)->name);
        const sac_layout layout = sac_plan_input_layout(
            &plan->shapes[i], !plan->training && options->channels_last_outputs);
        SAC_TRY(sac_build_layout(build, plan->nodes[i].dst, &plan->shapes[i], layout,
                                 &plan->ports[i].output, error));
        sac_build_persist(build, plan->ports[i].output);
        if (!plan->training) continue;
        SAC_TRY(sac_build_buffer_like(build, &plan->shapes[i], layout, &plan->ports[i].output_grad,
                                      error));
        sac_build_persist(build, plan->ports[i].output_grad);
        SAC_TRY(sac_build_zero(build, plan->ports[i].output_grad, error));
    }
fail:
    return status;
}

#define MAX_CONTRIBUTIONS 64

typedef struct contributions {
    sac_buffer items[MAX_CONTRIBUTIONS];
    int count;
} contributions;

typedef struct sum_context {
    int64_t n;
    int count;
} sum_context;

static void sum_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const sum_context c = *(const sum_context *)context;
    float *dst = buffers[0];
    const float *a = buffers[1], *b = buffers[2];
#pragma omp parallel for simd schedule(static) if (c.n > 65536)
    for (int64_t i = 0; i < c.n; i++) dst[i] = a[i] + b[i];
}

// One gradient buffer out of all contributions, added pairwise in a fixed order.
static sac_status contributions_sum(sac_build *build, const contributions *all, sac_buffer *sum,
                                    sac_error *error) {
    sac_status status = SAC_OK;
    *sum = all->items[0];
    for (int i = 1; i < all->count; i++) {
        sac_buffer other = -1, dst = -1;
        const_dnnl_memory_desc_t md = sac_build_buffer_md(build, *sum);
        SAC_TRY(sac_build_reorder(build, all->items[i], md, &other, error));
        SAC_TRY(sac_build_buffer(build, sac_build_buffer_md(build, *sum), &dst, error));
        const sum_context context = {
            .n = (int64_t)(dnnl_memory_desc_get_size(sac_build_buffer_md(build, dst)) /
                           sizeof(float)),
            .count = 2};
        const sac_buffer buffers[3] = {dst, *sum, other};
        SAC_TRY(sac_build_kernel(build, "gradient-sum", sum_kernel, &context, sizeof context,
                                 buffers, 3, error));
        *sum = dst;
    }
fail:
    return status;
}

static sac_status contribute(contributions *to, sac_buffer gradient, sac_error *error) {
    if (to->count == MAX_CONTRIBUTIONS) {
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1, "a node feeds more than %d others",
                             MAX_CONTRIBUTIONS);
    }
    to->items[to->count++] = gradient;
    return SAC_OK;
}

static sac_status quant_check(const sac_net *net, const sac_quant *quant, sac_error *error) {
    for (int i = 0; i < sac_net_count(net); i++) {
        if (sac_quant_scale(quant, sac_net_node(net, i)->name) > 0) return SAC_OK;
    }
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                         "the quantisation table names no node of this network");
}

static sac_status backward_build(sac_plan *plan, sac_params *store, const sac_plan_options *options,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    sac_build *build = plan->build;
    bool *need = sac_calloc(plan->count, sizeof *need);
    contributions *grads = sac_calloc(plan->count, sizeof *grads);
    SAC_TRY_ALLOC(need);
    SAC_TRY_ALLOC(grads);
    sac_plan_needs_grad(need, plan->net, store, plan->shapes, options->input_grad);
    sac_build_set_phase(build, SAC_PHASE_BACKWARD);
    for (int i = plan->count - 1; i >= 0; i--) {
        const sac_node *node = sac_net_node(plan->net, i);
        sac_build_node *bn = &plan->nodes[i];
        sac_build_set_label(build, node->name);
        if (sac_net_is_output(plan->net, i))
            SAC_TRY(contribute(&grads[i], plan->ports[i].output_grad, error));
        if (grads[i].count == 0 || !need[i]) continue;
        SAC_TRY(contributions_sum(build, &grads[i], &bn->diff_dst, error));
        if (node->kind == SAC_OP_INPUT) {
            SAC_TRY(
                sac_build_layout(build, bn->diff_dst, &plan->shapes[i],
                                 sac_plan_input_layout(&plan->shapes[i], options->channels_last),
                                 &plan->ports[i].input_grad, error));
            sac_build_persist(build, plan->ports[i].input_grad);
            continue;
        }
        for (int s = 0; s < node->src_count; s++) bn->want_diff_src[s] = need[node->src[s]];
        sac_error why = {0};
        status = sac_op_of(node->kind)->build_backward(build, bn, &why);
        if (status != SAC_OK) {
            status = sac_plan_wrap_error(status, node, &why, error);
            goto fail;
        }
        for (int s = 0; s < node->src_count; s++) {
            if (bn->want_diff_src[s])
                SAC_TRY(contribute(&grads[node->src[s]], bn->diff_src[s], error));
        }
    }
fail:
    sac_free(need);
    sac_free(grads);
    return status;
}

sac_status sac_plan_create(sac_plan **out, const sac_net *net, sac_params *params,
                           const sac_plan_options *options, bool training, sac_error *error) {
    sac_status status = SAC_OK;
    sac_plan *plan = NULL;
    if (options->batch < 1 || options->batch > (1 << 20)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "batch must be 1 to 1048576");
    }
    if (training && options->quant != NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a training plan takes no quantisation table: train the network of "
                             "sac_quant_training_net");
    }
    if (options->bf16 && (training || options->quant != NULL)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "bf16 is for inference without a quantisation table");
    }
    SAC_TRY(sac_net_check(net, error));
    if (options->quant != NULL) SAC_TRY(quant_check(net, options->quant, error));
    for (int64_t i = 0; training && i < sac_params_count(params); i++) {
        const sac_param *p = sac_params_at(params, i);
        if (!p->trainable || p->grad != NULL || p->count == 0) continue;
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "parameters without gradients cannot learn ('%s')", p->name);
    }
    plan = sac_calloc(1, sizeof *plan);
    SAC_TRY_ALLOC(plan);
    plan->net = net;
    plan->training = training;
    plan->store = params;
    plan->options = *options;
    if (options->quant != NULL) {
        SAC_TRY(sac_quant_copy(&plan->quant, options->quant));
        plan->options.quant = plan->quant;
    }
    plan->count = sac_net_count(net);
    plan->shapes = sac_calloc(plan->count, sizeof *plan->shapes);
    plan->ports = sac_calloc(plan->count, sizeof *plan->ports);
    plan->nodes = sac_calloc(plan->count, sizeof *plan->nodes);
    SAC_TRY_ALLOC(plan->shapes);
    SAC_TRY_ALLOC(plan->ports);
    SAC_TRY_ALLOC(plan->nodes);
    for (int i = 0; i < plan->count; i++) {
        plan->ports[i] = (sac_ports){-1, -1, -1, -1, -1, -1, {-1, -1, -1, -1, -1, -1, -1, -1}};
    }
    SAC_TRY(sac_net_shapes(net, options->batch, plan->shapes, error));
    if (options->backend == SAC_BACKEND_REF) {
        SAC_TRY(sac_ref_plan_create(&plan->ref, net, params, options, training, error));
    } else {
        SAC_TRY(sac_build_create(&plan->build, training, options->bf16, error));
        if (options->quant != NULL) {
            SAC_TRY(sac_plan_u8_forward_build(plan, params, options, error));
        } else {
            SAC_TRY(forward_build(plan, params, options, error));
        }
        if (training) SAC_TRY(backward_build(plan, params, options, error));
        SAC_TRY(sac_build_finish(plan->build, error));
    }
    sac_rng_seed(sac_plan_rng(plan), options->seed, 0x64726f706f7574);
    if (!training) SAC_TRY(sac_plan_load(plan, error));
    *out = plan;
    return SAC_OK;
fail:
    sac_plan_close(&plan);
    return sac_error_set(error, status, -1, "planning a network: %s", sac_status_name(status));
}

sac_status sac_plan_clone(sac_plan **out, const sac_plan *donor, sac_error *error) {
    sac_status status = SAC_OK;
    sac_plan *plan = sac_calloc(1, sizeof *plan);
    SAC_TRY_ALLOC(plan);
    plan->net = donor->net;
    plan->store = donor->store;
    plan->options = donor->options;
    plan->count = donor->count;
    plan->shapes = sac_calloc(plan->count, sizeof *plan->shapes);
    plan->ports = sac_calloc(plan->count, sizeof *plan->ports);
    SAC_TRY_ALLOC(plan->shapes);
    SAC_TRY_ALLOC(plan->ports);
    memcpy(plan->shapes, donor->shapes, (size_t)plan->count * sizeof *plan->shapes);
    memcpy(plan->ports, donor->ports, (size_t)plan->count * sizeof *plan->ports);
    if (donor->ref != NULL) {
        SAC_TRY(
            sac_ref_plan_create(&plan->ref, plan->net, plan->store, &plan->options, false, error));
    } else {
        SAC_TRY(sac_build_clone(&plan->build, donor->build, error));
    }
    *out = plan;
    return SAC_OK;
fail:
    sac_plan_close(&plan);
    return sac_error_set(error, status, -1, "cloning a plan: %s", sac_status_name(status));
}

void sac_plan_close(sac_plan **plan_ptr) {
    if (plan_ptr == NULL || *plan_ptr == NULL) return;
    sac_plan *plan = *plan_ptr;
    for (int i = 0; i < plan->count && plan->nodes != NULL; i++) {
        if (plan->nodes[i].forward_pd != NULL)
            dnnl_primitive_desc_destroy(plan->nodes[i].forward_pd);
    }
    sac_build_close(&plan->build);
    sac_ref_plan_close(&plan->ref);
    sac_free(plan->shapes);
    sac_quant_close(&plan->quant);
    sac_free(plan->ports);
    sac_free(plan->nodes);
    sac_free(plan);
    *plan_ptr = NULL;
}

float *sac_plan_port_data(const sac_plan *plan, sac_plan_port port, const char *name) {
    const int i = sac_net_find(plan->net, name);
    if (i < 0) return NULL;
    if (plan->ref != NULL) return sac_ref_plan_port_data(plan->ref, port, i);
    const sac_ports *p = &plan->ports[i];
    const sac_buffer ids[] = {[SAC_PORT_INPUT] = p->input,
                              [SAC_PORT_OUTPUT] = p->output,
                              [SAC_PORT_OUTPUT_GRAD] = p->output_grad,
                              [SAC_PORT_INPUT_GRAD] = p->input_grad,
                              [SAC_PORT_INPUT_U8] = p->input_u8,
                              [SAC_PORT_OUTPUT_U8] = p->output_u8};
    const sac_buffer id = ids[port];
    return id >= 0 ? sac_build_data(plan->build, id) : NULL;
}

sac_status sac_plan_bind(sac_plan *plan, bool output, const char *name, int part, void *data,
                         bool *bound, sac_error *error) {
    const int i = sac_net_find(plan->net, name);
    sac_buffer id = -1;
    if (i >= 0 && plan->ref == NULL && part >= 0 && part < SAC_U8_MAX_PARTS) {
        const sac_ports *p = &plan->ports[i];
        id = p->input_parts[part];
        if (part == 0 && id < 0) id = output ? p->output_u8 : p->input_u8;
    }
    *bound = id >= 0 && sac_build_data(plan->build, id) != NULL;
    return *bound ? sac_build_bind(plan->build, id, data, error) : SAC_OK;
}

sac_shape sac_plan_shape(const sac_plan *plan, const char *name) {
    const int i = sac_net_find(plan->net, name);
    return i >= 0 ? plan->shapes[i] : (sac_shape){0};
}

sac_status sac_plan_load(sac_plan *plan, sac_error *error) {
    return plan->ref != NULL ? SAC_OK : sac_build_run(plan->build, SAC_PHASE_LOAD, error);
}

sac_status sac_plan_forward(sac_plan *plan, sac_error *error) {
    if (plan->ref == NULL) return sac_build_run(plan->build, SAC_PHASE_FORWARD, error);
    sac_ref_plan_forward(plan->ref);
    return SAC_OK;
}

sac_status sac_plan_backward(sac_plan *plan, sac_error *error) {
    if (plan->ref == NULL) return sac_build_run(plan->build, SAC_PHASE_BACKWARD, error);
    sac_ref_plan_backward(plan->ref);
    return SAC_OK;
}

sac_rng *sac_plan_rng(sac_plan *plan) {
    return plan->ref != NULL ? sac_ref_plan_rng(plan->ref) : sac_build_rng(plan->build);
}

int64_t sac_plan_bytes(const sac_plan *plan) {
    return plan->ref != NULL ? sac_ref_plan_bytes(plan->ref) : sac_build_arena_bytes(plan->build);
}

char *sac_plan_describe(const sac_plan *plan) {
    return plan->ref != NULL ? sac_strdup("reference\n") : sac_build_describe(plan->build);
}
