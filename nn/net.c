// The network description: builders, shape propagation and JSON. Knows the operators' shape rules
// but
// no memory, no backend and no batch size beyond the one asked for.
#include "nn/net.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "nn/op.h"

#define MAX_NODES 4096
#define MAX_NAME  128
#define MAX_SIZE  65536
// Largest tensor any plan accepts, in elements: keeps every size product far from overflow.
#define MAX_ELEMENTS (INT64_C(1) << 36)

struct sac_net {
    sac_node *nodes;
    bool *outputs;
    int count, capacity;
    sac_error error; // first failure of a builder
};

// Which attributes an operator has; drives JSON both ways and the range checks.
enum {
    HAS_CHANNELS = 1,
    HAS_WINDOW = 2,
    HAS_GROUPS = 4,
    HAS_BIAS = 8,
    HAS_SIZE = 16,
    HAS_ALPHA = 32,
    HAS_EPSILON = 64,
    HAS_MOMENTUM = 128,
    HAS_RATE = 256,
    HAS_AXIS = 512,
    HAS_DIMS = 1024,
    HAS_BETA = 2048,
    HAS_SLICE = 4096,
    HAS_DILATION = 8192,
    HAS_COUNT_PAD = 16384,
    HAS_WEIGHT_QUANT = 32768,
};

static unsigned attrs_of(sac_op_kind kind) {
    switch (kind) {
    case SAC_OP_CONV:
        return HAS_CHANNELS | HAS_WINDOW | HAS_DILATION | HAS_GROUPS | HAS_BIAS | HAS_WEIGHT_QUANT;
    case SAC_OP_MAX_POOL:
        return HAS_WINDOW;
    case SAC_OP_AVG_POOL:
        return HAS_WINDOW | HAS_COUNT_PAD;
    case SAC_OP_ADAPTIVE_MAX_POOL:
    case SAC_OP_ADAPTIVE_AVG_POOL:
    case SAC_OP_UPSAMPLE:
        return HAS_SIZE;
    case SAC_OP_BATCH_NORM:
        return HAS_EPSILON | HAS_MOMENTUM;
    case SAC_OP_LAYER_NORM:
        return HAS_EPSILON;
    case SAC_OP_DENSE:
        return HAS_CHANNELS | HAS_BIAS | HAS_WEIGHT_QUANT;
    case SAC_OP_LEAKY_RELU:
    case SAC_OP_SWISH:
    case SAC_OP_GRAD_REVERSE:
    case SAC_OP_FAKE_QUANT:
        return HAS_ALPHA;
    case SAC_OP_CLIP:
    case SAC_OP_LINEAR:
    case SAC_OP_HARD_SIGMOID:
    case SAC_OP_HARD_SWISH:
        return HAS_ALPHA | HAS_BETA;
    case SAC_OP_SLICE:
        return HAS_AXIS | HAS_SLICE;
    case SAC_OP_SOFTMAX:
    case SAC_OP_CONCAT:
        return HAS_AXIS;
    case SAC_OP_DROPOUT:
        return HAS_RATE;
    case SAC_OP_RESHAPE:
    case SAC_OP_PERMUTE:
        return HAS_DIMS;
    default:
        return 0;
    }
}

static bool in_range(int64_t value, int64_t lo, int64_t hi) {
    return value >= lo && value <= hi;
}

// Largest magnitude of alpha and beta: limits and factors of the two-parameter operators may be any
// float (a one-sided clip), slopes may not.
static double alpha_limit(sac_op_kind kind) {
    return attrs_of(kind) & HAS_BETA ? (double)FLT_MAX : 1e3;
}

static sac_status attrs_check(sac_op_kind kind, const sac_attrs *a, sac_error *error) {
    const unsigned has = attrs_of(kind);
    const char *bad = NULL;
    if ((has & HAS_CHANNELS) && !in_range(a->channels, 1, MAX_SIZE))
        bad = "channels must be 1 to 65536";
    for (int i = 0; i < 3; i++) {
        if (!(has & HAS_WINDOW)) break;
        if (!in_range(a->kernel[i], 1, 1024)) bad = "kernel sizes must be 1 to 1024";
        if (!in_range(a->stride[i], 1, 1024)) bad = "strides must be 1 to 1024";
        if (!in_range(a->pad[i], 0, 1024)) bad = "padding must be 0 to 1024";
        if (!in_range(a->pad_extra[i], -1024, 1024) ||
            !in_range(a->pad[i] + a->pad_extra[i], 0, 1024))
            bad = "padding behind the input, pad + pad_extra, must be 0 to 1024";
        if ((has & HAS_DILATION) && !in_range(a->dilation[i], 0, 1024))
            bad = "dilation must be 0 to 1024";
    }
    if ((has & HAS_GROUPS) && !in_range(a->groups, 1, MAX_SIZE)) bad = "groups must be 1 to 65536";
    for (int i = 0; i < 3; i++) {
        if ((has & HAS_SIZE) && !in_range(a->size[i], 1, MAX_SIZE))
            bad = "sizes must be 1 to 65536";
    }
    if ((has & HAS_ALPHA) && !(fabs(a->alpha) <= alpha_limit(kind)))
        bad = has & HAS_BETA ? "alpha must be a number that a float can hold"
                             : "alpha must be -1000 to 1000";
    if ((has & HAS_BETA) && !(fabs(a->beta) <= alpha_limit(kind)))
        bad = "beta must be a number that a float can hold";
    if ((has & HAS_SLICE) &&
        (!in_range(a->begin, 0, MAX_ELEMENTS) || !in_range(a->length, 1, MAX_ELEMENTS) ||
         !in_range(a->step, 1, MAX_ELEMENTS)))
        bad = "a slice needs begin >= 0, length >= 1 and step >= 1";
    if ((has & HAS_EPSILON) && !(a->epsilon > 0 && a->epsilon <= 1))
        bad = "epsilon must be in (0, 1]";
    if ((has & HAS_MOMENTUM) && !(a->momentum >= 0 && a->momentum <= 1))
        bad = "momentum must be in [0, 1]";
    if ((has & HAS_RATE) && !(a->rate >= 0 && a->rate < 1)) bad = "rate must be in [0, 1)";
    if ((has & HAS_AXIS) && !in_range(a->axis, 1, SAC_MAX_DIMS - 1)) bad = "axis must be 1 to 4";
    if (has & HAS_DIMS) {
        const int most = kind == SAC_OP_RESHAPE ? SAC_MAX_DIMS - 1 : SAC_MAX_DIMS;
        if (!in_range(a->ndims, 1, most)) {
            bad = "too many or too few axes";
        } else {
            for (int i = 0; i < a->ndims; i++) {
                if (kind == SAC_OP_RESHAPE && !in_range(a->dims[i], 1, MAX_ELEMENTS))
                    bad = "sizes must be positive";
                if (kind == SAC_OP_PERMUTE && !in_range(a->dims[i], 0, a->ndims - 1))
                    bad = "axis out of range";
            }
        }
    }
    if (bad != NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s", bad);
    return SAC_OK;
}

sac_status sac_net_create(sac_net **net) {
    *net = sac_calloc(1, sizeof **net);
    return *net != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

void sac_net_close(sac_net **net) {
    if (net == NULL || *net == NULL) return;
    for (int i = 0; i < (*net)->count; i++) {
        sac_free((*net)->nodes[i].name);
        sac_free((*net)->nodes[i].share);
    }
    sac_free((*net)->nodes);
    sac_free((*net)->outputs);
    sac_free(*net);
    *net = NULL;
}

static bool name_valid(const char *name) {
    const size_t length = name != NULL ? strlen(name) : 0;
    if (length == 0 || length > MAX_NAME) return false;
    for (size_t i = 0; i < length; i++) {
        const char c = name[i];
        const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '/';
        if (!ok) return false;
    }
    return true;
}

static int append(sac_net *net, const sac_node *node) {
    if (net->error.code != SAC_OK) return -1;
    if (!name_valid(node->name)) {
        (void)sac_error_set(&net->error, SAC_ERROR_ARGUMENT, -1,
                            "node name must be 1 to %d letters, digits or . _ - /", MAX_NAME);
        return -1;
    }
    if (sac_net_find(net, node->name) >= 0) {
        (void)sac_error_set(&net->error, SAC_ERROR_ARGUMENT, -1, "two nodes are named '%s'",
                            node->name);
        return -1;
    }
    if (net->count == net->capacity) {
        const int capacity = net->capacity == 0 ? 32 : 2 * net->capacity;
        if (capacity > MAX_NODES) {
            (void)sac_error_set(&net->error, SAC_ERROR_ARGUMENT, -1,
                                "a network has at most %d nodes", MAX_NODES);
            return -1;
        }
        sac_node *nodes = sac_recalloc(net->nodes, net->capacity, capacity, sizeof *nodes);
        if (nodes != NULL) net->nodes = nodes;
        bool *outputs = sac_recalloc(net->outputs, net->capacity, capacity, sizeof *outputs);
        if (outputs != NULL) net->outputs = outputs;
        if (nodes == NULL || outputs == NULL) {
            (void)sac_error_set(&net->error, SAC_ERROR_MEMORY, -1, "out of memory");
            return -1;
        }
        net->capacity = capacity;
    }
    sac_node *slot = &net->nodes[net->count];
    *slot = *node;
    slot->name = sac_strdup(node->name);
    slot->share = sac_strdup(node->share != NULL ? node->share : node->name);
    if (slot->name == NULL || slot->share == NULL) {
        sac_free(slot->name);
        sac_free(slot->share);
        memset(slot, 0, sizeof *slot);
        (void)sac_error_set(&net->error, SAC_ERROR_MEMORY, -1, "out of memory");
        return -1;
    }
    net->outputs[net->count] = false;
    return net->count++;
}

int sac_net_input(sac_net *net, const char *name, int ndims, const int64_t *dims) {
    sac_node node = {.kind = SAC_OP_INPUT, .name = (char *)(uintptr_t)name};
    if (ndims < 1 || ndims > SAC_MAX_DIMS - 1) {
        (void)sac_error_set(&net->error, SAC_ERROR_ARGUMENT, -1,
                            "input '%s' needs 1 to 4 axes behind N", name);
        return -1;
    }
    node.shape.ndims = ndims;
    for (int i = 0; i < ndims; i++) {
        node.shape.dims[i] = dims[i];
        if (!in_range(dims[i], 1, MAX_SIZE)) {
            (void)sac_error_set(&net->error, SAC_ERROR_SHAPE, -1,
                                "input '%s': sizes must be 1 to %d", name, MAX_SIZE);
            return -1;
        }
    }
    return append(net, &node);
}

int sac_net_add_node(sac_net *net, sac_op_kind kind, const char *name, const sac_attrs *attrs,
                     const int *src, int src_count) {
    if (net->error.code != SAC_OK) return -1;
    const sac_op *op = sac_op_of(kind);
    if (op == NULL) {
        (void)sac_error_set(&net->error, SAC_ERROR_ARGUMENT, -1, "node '%s': not an operator",
                            name);
        return -1;
    }
    if (src_count < op->min_src || src_count > op->max_src) {
        (void)sac_error_set(&net->error, SAC_ERROR_ARGUMENT, -1,
                            "%s '%s' takes %d to %d inputs, not %d", op->name, name, op->min_src,
                            op->max_src, src_count);
        return -1;
    }
    sac_node node = {.kind = kind, .name = (char *)(uintptr_t)name, .src_count = src_count};
    if (attrs != NULL) node.attrs = *attrs;
    for (int i = 0; i < src_count; i++) {
        node.src[i] = src[i];
        if (src[i] < 0 || src[i] >= net->count) {
            (void)sac_error_set(&net->error, SAC_ERROR_ARGUMENT, -1,
                                "%s '%s': input %d is not an earlier node", op->name, name, i);
            return -1;
        }
    }
    sac_error why = {0};
    if (attrs_check(kind, &node.attrs, &why) != SAC_OK) {
        (void)sac_error_set(&net->error, why.code, -1, "%s '%s': %s", op->name, name, why.message);
        return -1;
    }
    return append(net, &node);
}

void sac_net_share(sac_net *net, int index, const char *name) {
    if (net->error.code != SAC_OK) return;
    const int owner = sac_net_find(net, name);
    if (index < 0 || index >= net->count || owner < 0 || owner >= index ||
        net->nodes[owner].kind != net->nodes[index].kind) {
        (void)sac_error_set(
            &net->error, SAC_ERROR_ARGUMENT, -1,
            "'%s' cannot be shared: it must be an earlier node of the same operator", name);
        return;
    }
    char *copy = sac_strdup(net->nodes[owner].share);
    if (copy == NULL) {
        (void)sac_error_set(&net->error, SAC_ERROR_MEMORY, -1, "out of memory");
        return;
    }
    sac_free(net->nodes[index].share);
    net->nodes[index].share = copy;
}

void sac_net_output(sac_net *net, int index) {
    if (net->error.code != SAC_OK) return;
    if (index < 0 || index >= net->count) {
        (void)sac_error_set(&net->error, SAC_ERROR_ARGUMENT, -1, "output is not a node");
        return;
    }
    net->outputs[index] = true;
}

int sac_net_conv2d(sac_net *net, const char *name, int src, int64_t channels, int64_t k, int64_t s,
                   int64_t p, int64_t groups, bool bias) {
    const sac_attrs a = {.channels = channels,
                         .kernel = {1, k, k},
                         .stride = {1, s, s},
                         .pad = {0, p, p},
                         .groups = groups,
                         .bias = bias};
    return sac_net_add_node(net, SAC_OP_CONV, name, &a, &src, 1);
}

int sac_net_conv3d(sac_net *net, const char *name, int src, int64_t channels, const int64_t k[3],
                   const int64_t s[3], const int64_t p[3], int64_t groups, bool bias) {
    sac_attrs a = {.channels = channels, .groups = groups, .bias = bias};
    memcpy(a.kernel, k, sizeof a.kernel);
    memcpy(a.stride, s, sizeof a.stride);
    memcpy(a.pad, p, sizeof a.pad);
    return sac_net_add_node(net, SAC_OP_CONV, name, &a, &src, 1);
}

int sac_net_pool(sac_net *net, sac_op_kind kind, const char *name, int src, const int64_t k[3],
                 const int64_t s[3], const int64_t p[3]) {
    sac_attrs a = {0};
    memcpy(a.kernel, k, sizeof a.kernel);
    memcpy(a.stride, s, sizeof a.stride);
    memcpy(a.pad, p, sizeof a.pad);
    return sac_net_add_node(net, kind, name, &a, &src, 1);
}

int sac_net_adaptive_pool(sac_net *net, sac_op_kind kind, const char *name, int src, int64_t d,
                          int64_t h, int64_t w) {
    const sac_attrs a = {.size = {d, h, w}};
    return sac_net_add_node(net, kind, name, &a, &src, 1);
}

int sac_net_upsample(sac_net *net, const char *name, int src, int64_t d, int64_t h, int64_t w) {
    const sac_attrs a = {.size = {d, h, w}};
    return sac_net_add_node(net, SAC_OP_UPSAMPLE, name, &a, &src, 1);
}

int sac_net_batch_norm(sac_net *net, const char *name, int src) {
    const sac_attrs a = {.epsilon = 1e-5, .momentum = 0.1};
    return sac_net_add_node(net, SAC_OP_BATCH_NORM, name, &a, &src, 1);
}

int sac_net_layer_norm(sac_net *net, const char *name, int src) {
    const sac_attrs a = {.epsilon = 1e-5};
    return sac_net_add_node(net, SAC_OP_LAYER_NORM, name, &a, &src, 1);
}

int sac_net_dense(sac_net *net, const char *name, int src, int64_t channels, bool bias) {
    const sac_attrs a = {.channels = channels, .bias = bias};
    return sac_net_add_node(net, SAC_OP_DENSE, name, &a, &src, 1);
}

int sac_net_unary(sac_net *net, sac_op_kind kind, const char *name, int src) {
    sac_attrs a = {0};
    if (kind == SAC_OP_LEAKY_RELU) a.alpha = 0.01;
    if (kind == SAC_OP_SWISH) a.alpha = 1;
    if (kind == SAC_OP_HARD_SIGMOID || kind == SAC_OP_HARD_SWISH) {
        a.alpha = 1.0 / 6;
        a.beta = 0.5;
    }
    return sac_net_add_node(net, kind, name, &a, &src, 1);
}

int sac_net_clip(sac_net *net, const char *name, int src, double low, double high) {
    const sac_attrs a = {.alpha = low, .beta = high};
    return sac_net_add_node(net, SAC_OP_CLIP, name, &a, &src, 1);
}

int sac_net_linear(sac_net *net, const char *name, int src, double alpha, double beta) {
    const sac_attrs a = {.alpha = alpha, .beta = beta};
    return sac_net_add_node(net, SAC_OP_LINEAR, name, &a, &src, 1);
}

int sac_net_grad_reverse(sac_net *net, const char *name, int src, double lambda) {
    const sac_attrs a = {.alpha = lambda};
    return sac_net_add_node(net, SAC_OP_GRAD_REVERSE, name, &a, &src, 1);
}

int sac_net_fake_quant(sac_net *net, const char *name, int src, double scale) {
    const sac_attrs a = {.alpha = scale};
    return sac_net_add_node(net, SAC_OP_FAKE_QUANT, name, &a, &src, 1);
}

int sac_net_mul(sac_net *net, const char *name, int a, int b) {
    const int src[2] = {a, b};
    return sac_net_add_node(net, SAC_OP_MUL, name, NULL, src, 2);
}

int sac_net_slice(sac_net *net, const char *name, int src, int axis, int64_t begin, int64_t length,
                  int64_t step) {
    const sac_attrs a = {.axis = axis, .begin = begin, .length = length, .step = step};
    return sac_net_add_node(net, SAC_OP_SLICE, name, &a, &src, 1);
}

int sac_net_softmax(sac_net *net, const char *name, int src, int axis) {
    const sac_attrs a = {.axis = axis};
    return sac_net_add_node(net, SAC_OP_SOFTMAX, name, &a, &src, 1);
}

int sac_net_dropout(sac_net *net, const char *name, int src, double rate) {
    const sac_attrs a = {.rate = rate};
    return sac_net_add_node(net, SAC_OP_DROPOUT, name, &a, &src, 1);
}

int sac_net_add(sac_net *net, const char *name, int a, int b) {
    const int src[2] = {a, b};
    return sac_net_add_node(net, SAC_OP_ADD, name, NULL, src, 2);
}

int sac_net_matmul(sac_net *net, const char *name, int a, int b) {
    const int src[2] = {a, b};
    return sac_net_add_node(net, SAC_OP_MATMUL, name, NULL, src, 2);
}

int sac_net_concat(sac_net *net, const char *name, const int *src, int count, int axis) {
    const sac_attrs a = {.axis = axis};
    return sac_net_add_node(net, SAC_OP_CONCAT, name, &a, src, count);
}

static int axes_node(sac_net *net, sac_op_kind kind, const char *name, int src, int ndims,
                     const int64_t *dims) {
    sac_attrs a = {.ndims = ndims};
    for (int i = 0; i < ndims && i < SAC_MAX_DIMS; i++) a.dims[i] = dims[i];
    return sac_net_add_node(net, kind, name, &a, &src, 1);
}

int sac_net_reshape(sac_net *net, const char *name, int src, int ndims, const int64_t *dims) {
    return axes_node(net, SAC_OP_RESHAPE, name, src, ndims, dims);
}

int sac_net_permute(sac_net *net, const char *name, int src, int ndims, const int64_t *order) {
    return axes_node(net, SAC_OP_PERMUTE, name, src, ndims, order);
}

int sac_net_count(const sac_net *net) {
    return net->count;
}

const sac_node *sac_net_node(const sac_net *net, int index) {
    return &net->nodes[index];
}

int sac_net_find(const sac_net *net, const char *name) {
    for (int i = 0; i < net->count; i++) {
        if (strcmp(net->nodes[i].name, name) == 0) return i;
    }
    return -1;
}

bool sac_net_is_output(const sac_net *net, int index) {
    return net->outputs[index];
}

sac_status sac_net_shapes(const sac_net *net, int64_t batch, sac_shape *shapes, sac_error *error) {
    if (net->error.code != SAC_OK) {
        return sac_error_set(error, net->error.code, -1, "%s", net->error.message);
    }
    for (int i = 0; i < net->count; i++) {
        const sac_node *node = &net->nodes[i];
        sac_shape *dst = &shapes[i];
        if (node->kind == SAC_OP_INPUT) {
            dst->ndims = node->shape.ndims + 1;
            dst->dims[0] = batch;
            for (int d = 0; d < node->shape.ndims; d++) dst->dims[d + 1] = node->shape.dims[d];
        } else {
            const sac_op *op = sac_op_of(node->kind);
            sac_shape src[SAC_MAX_SRC];
            for (int s = 0; s < node->src_count; s++) src[s] = shapes[node->src[s]];
            sac_error why = {0};
            const sac_status status = op->shape(&node->attrs, src, node->src_count, dst, &why);
            if (status != SAC_OK) {
                return sac_error_set(error, status, i, "%s '%s': %s", op->name, node->name,
                                     why.code != SAC_OK ? why.message : sac_status_name(status));
            }
        }
        int64_t count = 1;
        for (int d = 0; d < dst->ndims; d++) {
            if (dst->dims[d] < 1 || !sac_mul(count, dst->dims[d], &count) || count > MAX_ELEMENTS) {
                char text[96];
                return sac_error_set(error, SAC_ERROR_SHAPE, i,
                                     "node '%s': size %s is empty or too large", node->name,
                                     sac_shape_text(dst, text));
            }
        }
    }
    return SAC_OK;
}

// Shared nodes must agree in the shapes of their parameters.
static sac_status shares_check(const sac_net *net, const sac_shape *shapes, sac_error *error) {
    for (int i = 0; i < net->count; i++) {
        const sac_node *node = &net->nodes[i];
        if (node->kind == SAC_OP_INPUT || strcmp(node->name, node->share) == 0) continue;
        const sac_node *owner = &net->nodes[sac_net_find(net, node->share)];
        const sac_op *op = sac_op_of(node->kind);
        sac_param_spec a[SAC_MAX_PARAMS], b[SAC_MAX_PARAMS];
        const int na = op->params != NULL ? op->params(&node->attrs, &shapes[node->src[0]], a) : 0;
        const int nb =
            op->params != NULL ? op->params(&owner->attrs, &shapes[owner->src[0]], b) : 0;
        bool equal = na == nb;
        for (int p = 0; equal && p < na; p++) equal = sac_shape_equal(&a[p].shape, &b[p].shape);
        if (!equal) {
            return sac_error_set(
                error, SAC_ERROR_SHAPE, i,
                "node '%s' cannot share the parameters of '%s': their shapes differ", node->name,
                node->share);
        }
    }
    return SAC_OK;
}

sac_status sac_net_check(const sac_net *net, sac_error *error) {
    if (net->error.code != SAC_OK)
        return sac_error_set(error, net->error.code, -1, "%s", net->error.message);
    if (net->count == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the network has no nodes");
    sac_shape *shapes = sac_calloc(net->count, sizeof *shapes);
    if (shapes == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "out of memory");
    sac_status status = sac_net_shapes(net, 1, shapes, error);
    if (status == SAC_OK) status = shares_check(net, shapes, error);
    sac_free(shapes);
    if (status != SAC_OK) return status;
    bool any = false;
    for (int i = 0; i < net->count; i++) any = any || net->outputs[i];
    if (!any) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the network has no output");
    return SAC_OK;
}

int64_t sac_net_macs(const sac_net *net, int index) {
    const sac_op *op = sac_op_of(net->nodes[index].kind);
    if (op == NULL || op->macs == NULL) return 0;
    sac_shape *shapes = sac_calloc(net->count, sizeof *shapes);
    if (shapes == NULL) return 0;
    int64_t macs = 0;
    if (sac_net_shapes(net, 1, shapes, NULL) == SAC_OK) {
        sac_shape src[SAC_MAX_SRC];
        const sac_node *node = &net->nodes[index];
        for (int s = 0; s < node->src_count; s++) src[s] = shapes[node->src[s]];
        macs = op->macs(&node->attrs, src, &shapes[index]);
    }
    sac_free(shapes);
    return macs;
}

static json_t *ints_to_json(const int64_t *values, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(array, json_integer(values[i]));
    return array;
}

static bool any_set(const int64_t values[3]) {
    return values[0] != 0 || values[1] != 0 || values[2] != 0;
}

static json_t *node_to_json(const sac_net *net, const sac_node *node) {
    const sac_attrs *a = &node->attrs;
    const unsigned has = attrs_of(node->kind);
    json_t *json = json_object();
    json_object_set_new(json, "op", json_string(sac_op_kind_name(node->kind)));
    json_object_set_new(json, "name", json_string(node->name));
    if (node->kind == SAC_OP_INPUT) {
        json_object_set_new(json, "shape", ints_to_json(node->shape.dims, node->shape.ndims));
        return json;
    }
    json_t *src = json_array();
    for (int i = 0; i < node->src_count; i++) {
        json_array_append_new(src, json_string(net->nodes[node->src[i]].name));
    }
    json_object_set_new(json, "src", src);
    if (strcmp(node->share, node->name) != 0)
        json_object_set_new(json, "share", json_string(node->share));
    if (has & HAS_CHANNELS) json_object_set_new(json, "channels", json_integer(a->channels));
    if (has & HAS_WINDOW) {
        json_object_set_new(json, "kernel", ints_to_json(a->kernel, 3));
        json_object_set_new(json, "stride", ints_to_json(a->stride, 3));
        json_object_set_new(json, "pad", ints_to_json(a->pad, 3));
        // Written only where used: descriptions without them stay as they always were.
        if (any_set(a->pad_extra))
            json_object_set_new(json, "pad_extra", ints_to_json(a->pad_extra, 3));
    }
    if ((has & HAS_DILATION) && any_set(a->dilation))
        json_object_set_new(json, "dilation", ints_to_json(a->dilation, 3));
    if ((has & HAS_COUNT_PAD) && a->count_pad) json_object_set_new(json, "count_pad", json_true());
    if (has & HAS_GROUPS) json_object_set_new(json, "groups", json_integer(a->groups));
    if (has & HAS_BIAS) json_object_set_new(json, "bias", json_boolean(a->bias));
    if ((has & HAS_WEIGHT_QUANT) && a->weight_quant)
        json_object_set_new(json, "weight_quant", json_true());
    if (has & HAS_SIZE) json_object_set_new(json, "size", ints_to_json(a->size, 3));
    if (has & HAS_ALPHA) json_object_set_new(json, "alpha", json_real(a->alpha));
    if (has & HAS_BETA) json_object_set_new(json, "beta", json_real(a->beta));
    if (has & HAS_SLICE) {
        json_object_set_new(json, "begin", json_integer(a->begin));
        json_object_set_new(json, "length", json_integer(a->length));
        json_object_set_new(json, "step", json_integer(a->step));
    }
    if (has & HAS_EPSILON) json_object_set_new(json, "epsilon", json_real(a->epsilon));
    if (has & HAS_MOMENTUM) json_object_set_new(json, "momentum", json_real(a->momentum));
    if (has & HAS_RATE) json_object_set_new(json, "rate", json_real(a->rate));
    if (has & HAS_AXIS) json_object_set_new(json, "axis", json_integer(a->axis));
    if (has & HAS_DIMS) json_object_set_new(json, "dims", ints_to_json(a->dims, a->ndims));
    return json;
}

json_t *sac_net_to_json(const sac_net *net) {
    json_t *nodes = json_array();
    json_t *outputs = json_array();
    for (int i = 0; i < net->count; i++) {
        json_array_append_new(nodes, node_to_json(net, &net->nodes[i]));
        if (net->outputs[i]) json_array_append_new(outputs, json_string(net->nodes[i].name));
    }
    return json_pack("{s:o, s:o}", "nodes", nodes, "outputs", outputs);
}

// Reads an array of lo..hi integers; its length must lie in [min_count, max_count].
static sac_status ints_from_json(const json_t *object, const char *key, int min_count,
                                 int max_count, int64_t *values, int *count, const char *name,
                                 sac_error *error) {
    json_t *array = NULL;
    sac_status status = sac_json_get_array(object, key, &array, name, error);
    if (status != SAC_OK) return status;
    const size_t n = json_array_size(array);
    if (n < (size_t)min_count || n > (size_t)max_count) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: \"%s\" needs %d to %d numbers, has %zu", name, key, min_count,
                             max_count, n);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item)) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: \"%s\" must hold integers", name,
                                 key);
        }
        values[i] = json_integer_value(item);
    }
    if (count != NULL) *count = (int)n;
    return SAC_OK;
}

static sac_status attrs_from_json(sac_attrs *a, sac_op_kind kind, const json_t *json,
                                  const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    const unsigned has = attrs_of(kind);
    int64_t axis = 0;
    if (has & HAS_CHANNELS)
        SAC_TRY(sac_json_get_int(json, "channels", 1, MAX_SIZE, &a->channels, name, error));
    if (has & HAS_WINDOW) {
        SAC_TRY(ints_from_json(json, "kernel", 3, 3, a->kernel, NULL, name, error));
        SAC_TRY(ints_from_json(json, "stride", 3, 3, a->stride, NULL, name, error));
        SAC_TRY(ints_from_json(json, "pad", 3, 3, a->pad, NULL, name, error));
        if (json_object_get(json, "pad_extra") != NULL)
            SAC_TRY(ints_from_json(json, "pad_extra", 3, 3, a->pad_extra, NULL, name, error));
    }
    if ((has & HAS_DILATION) && json_object_get(json, "dilation") != NULL)
        SAC_TRY(ints_from_json(json, "dilation", 3, 3, a->dilation, NULL, name, error));
    if ((has & HAS_COUNT_PAD) && json_object_get(json, "count_pad") != NULL)
        SAC_TRY(sac_json_get_bool(json, "count_pad", &a->count_pad, name, error));
    if (has & HAS_GROUPS)
        SAC_TRY(sac_json_get_int(json, "groups", 1, MAX_SIZE, &a->groups, name, error));
    if (has & HAS_BIAS) SAC_TRY(sac_json_get_bool(json, "bias", &a->bias, name, error));
    if ((has & HAS_WEIGHT_QUANT) && json_object_get(json, "weight_quant") != NULL)
        SAC_TRY(sac_json_get_bool(json, "weight_quant", &a->weight_quant, name, error));
    if (has & HAS_SIZE) SAC_TRY(ints_from_json(json, "size", 3, 3, a->size, NULL, name, error));
    if (has & HAS_ALPHA)
        SAC_TRY(sac_json_get_real(json, "alpha", -alpha_limit(kind), alpha_limit(kind), &a->alpha,
                                  name, error));
    if (has & HAS_BETA)
        SAC_TRY(sac_json_get_real(json, "beta", -alpha_limit(kind), alpha_limit(kind), &a->beta,
                                  name, error));
    if (has & HAS_SLICE) {
        SAC_TRY(sac_json_get_int(json, "begin", 0, MAX_ELEMENTS, &a->begin, name, error));
        SAC_TRY(sac_json_get_int(json, "length", 1, MAX_ELEMENTS, &a->length, name, error));
        SAC_TRY(sac_json_get_int(json, "step", 1, MAX_ELEMENTS, &a->step, name, error));
    }
    if (has & HAS_EPSILON)
        SAC_TRY(sac_json_get_real(json, "epsilon", 0, 1, &a->epsilon, name, error));
    if (has & HAS_MOMENTUM)
        SAC_TRY(sac_json_get_real(json, "momentum", 0, 1, &a->momentum, name, error));
    if (has & HAS_RATE) SAC_TRY(sac_json_get_real(json, "rate", 0, 1, &a->rate, name, error));
    if (has & HAS_AXIS) {
        SAC_TRY(sac_json_get_int(json, "axis", 1, SAC_MAX_DIMS - 1, &axis, name, error));
        a->axis = (int)axis;
    }
    if (has & HAS_DIMS)
        SAC_TRY(ints_from_json(json, "dims", 1, SAC_MAX_DIMS, a->dims, &a->ndims, name, error));
fail:
    return status;
}

static sac_status node_from_json(sac_net *net, const json_t *json, const char *name,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    const char *op_name = NULL, *node_name = NULL;
    SAC_TRY(sac_json_get_text(json, "op", &op_name, name, error));
    SAC_TRY(sac_json_get_text(json, "name", &node_name, name, error));
    sac_op_kind kind = SAC_OP_COUNT;
    for (int k = 0; k < SAC_OP_COUNT; k++) {
        if (strcmp(sac_op_kind_name((sac_op_kind)k), op_name) == 0) {
            kind = (sac_op_kind)k;
            break;
        }
    }
    if (kind == SAC_OP_COUNT) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: node '%.80s' has the unknown operator '%.40s'", name, node_name,
                             op_name);
    }
    if (kind == SAC_OP_INPUT) {
        int64_t dims[SAC_MAX_DIMS];
        int ndims = 0;
        SAC_TRY(ints_from_json(json, "shape", 1, SAC_MAX_DIMS - 1, dims, &ndims, name, error));
        (void)sac_net_input(net, node_name, ndims, dims);
        return SAC_OK;
    }
    sac_attrs attrs = {0};
    SAC_TRY(attrs_from_json(&attrs, kind, json, name, error));
    json_t *src_names = NULL;
    SAC_TRY(sac_json_get_array(json, "src", &src_names, name, error));
    int src[SAC_MAX_SRC];
    const size_t src_count = json_array_size(src_names);
    if (src_count > SAC_MAX_SRC) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: node '%.80s' has more than %d inputs", name, node_name,
                             SAC_MAX_SRC);
    }
    for (size_t i = 0; i < src_count; i++) {
        const char *text = json_string_value(json_array_get(src_names, i));
        src[i] = text != NULL ? sac_net_find(net, text) : -1;
        if (src[i] < 0) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: node '%.80s': input %zu is not an earlier node", name,
                                 node_name, i);
        }
    }
    const int index = sac_net_add_node(net, kind, node_name, &attrs, src, (int)src_count);
    if (index >= 0 && json_object_get(json, "share") != NULL) {
        const char *share = NULL;
        SAC_TRY(sac_json_get_text(json, "share", &share, name, error));
        sac_net_share(net, index, share);
    }
fail:
    return status;
}

sac_status sac_net_from_json(sac_net **net_out, const json_t *json, const char *name,
                             sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *net = NULL;
    json_t *nodes = NULL, *outputs = NULL;
    SAC_TRY(sac_net_create(&net));
    SAC_TRY(sac_json_get_array(json, "nodes", &nodes, name, error));
    SAC_TRY(sac_json_get_array(json, "outputs", &outputs, name, error));
    for (size_t i = 0; i < json_array_size(nodes) && net->error.code == SAC_OK; i++) {
        SAC_TRY(node_from_json(net, json_array_get(nodes, i), name, error));
    }
    for (size_t i = 0; i < json_array_size(outputs) && net->error.code == SAC_OK; i++) {
        const char *text = json_string_value(json_array_get(outputs, i));
        sac_net_output(net, text != NULL ? sac_net_find(net, text) : -1);
    }
    sac_error why = {0};
    if (sac_net_check(net, &why) != SAC_OK) {
        status = why.code == SAC_ERROR_MEMORY ? why.code : SAC_ERROR_FORMAT;
        (void)sac_error_set(error, status, -1, "%s: network description: %s", name, why.message);
        goto fail;
    }
    *net_out = net;
    return SAC_OK;
fail:
    sac_net_close(&net);
    return status;
}
