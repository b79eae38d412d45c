// The ONNX importer's frame: the protobuf message, the table of values, the walk over the nodes
// that the wanted outputs need, and the parameters. What an operator means stands in nn/onnx_*.c.
#include "nn/onnx.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "nn/onnx_import.h"
#include "nn/op.h"

#define MAX_FILE  ((size_t)INT32_MAX)
#define MAX_NODES 65536
#define MAX_NAMES 1048576 // of values
#define MIN_OPSET 7
#define MAX_OPSET 25

// --- messages ----------------------------------------------------------------------------------

sac_status onnx_fail(onnx_import *im, sac_status code, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (im->at == NULL) return sac_error_set(im->error, code, -1, "%s: %s", im->file, text);
    // Many exporters leave nodes without a name; every node has an output.
    const bool named = im->at->name != NULL && im->at->name[0] != '\0';
    const char *name = named ? im->at->name : im->at->n_output != 0 ? im->at->output[0] : "";
    return sac_error_set(im->error, code, -1, "%s: %.60s node '%.120s'%s: %s", im->file,
                         im->at->op_type != NULL ? im->at->op_type : "", name,
                         named ? "" : " (by its output)", text);
}

// --- values ------------------------------------------------------------------------------------

static uint64_t hash(const char *text) {
    uint64_t h = UINT64_C(14695981039346656037); // FNV-1a
    for (; *text != '\0'; text++) h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
    return h;
}

// The entry of a name, or the free one where it belongs.
static onnx_value *slot_of(onnx_value *values, int64_t capacity, const char *name) {
    int64_t at = (int64_t)(hash(name) & (uint64_t)(capacity - 1));
    while (values[at].name != NULL && strcmp(values[at].name, name) != 0)
        at = (at + 1) & (capacity - 1);
    return &values[at];
}

// The value of a name; made as UNKNOWN when it is new. NULL: out of memory, or too many. Pointers
// stay valid only until the next call.
static onnx_value *value_of(onnx_import *im, const char *name) {
    if (im->value_count * 2 >= im->value_capacity) {
        const int64_t capacity = im->value_capacity == 0 ? 1024 : 2 * im->value_capacity;
        onnx_value *grown = capacity <= 2 * MAX_NAMES ? sac_calloc(capacity, sizeof *grown) : NULL;
        if (grown == NULL) return NULL;
        for (int64_t i = 0; i < im->value_capacity; i++) {
            if (im->values[i].name != NULL)
                *slot_of(grown, capacity, im->values[i].name) = im->values[i];
        }
        sac_free(im->values);
        im->values = grown;
        im->value_capacity = capacity;
    }
    onnx_value *slot = slot_of(im->values, im->value_capacity, name);
    if (slot->name == NULL) {
        slot->name = name;
        im->value_count++;
    }
    return slot;
}

// --- attributes --------------------------------------------------------------------------------

// AttributeProto.type
enum { TYPE_FLOAT = 1, TYPE_INT, TYPE_STRING, TYPE_TENSOR, TYPE_GRAPH, TYPE_FLOATS, TYPE_INTS };

const Sac__Onnx__Attribute *onnx_attribute(const onnx_import *im, const char *name) {
    for (size_t i = 0; i < im->at->n_attribute; i++) {
        const Sac__Onnx__Attribute *a = im->at->attribute[i];
        if (a->name != NULL && strcmp(a->name, name) == 0) return a;
    }
    return NULL;
}

bool onnx_has(const onnx_import *im, const char *name) {
    return onnx_attribute(im, name) != NULL;
}

static sac_status wrong_type(onnx_import *im, const char *name, const char *wanted) {
    return onnx_damaged(im, "attribute '%s' is not %s", name, wanted);
}

sac_status onnx_int(onnx_import *im, const char *name, int64_t *value) {
    const Sac__Onnx__Attribute *a = onnx_attribute(im, name);
    if (a == NULL) return SAC_OK;
    if (a->has_type && a->type != TYPE_INT) return wrong_type(im, name, "a whole number");
    *value = a->has_i ? a->i : 0; // a zero may be left out
    return SAC_OK;
}

sac_status onnx_real(onnx_import *im, const char *name, double *value) {
    const Sac__Onnx__Attribute *a = onnx_attribute(im, name);
    if (a == NULL) return SAC_OK;
    if (a->has_type && a->type != TYPE_FLOAT) return wrong_type(im, name, "a number");
    *value = a->has_f ? (double)a->f : 0;
    return SAC_OK;
}

sac_status onnx_ints(onnx_import *im, const char *name, int64_t *values, int limit, int *count) {
    const Sac__Onnx__Attribute *a = onnx_attribute(im, name);
    if (a == NULL) return SAC_OK;
    if (a->has_type && a->type != TYPE_INTS) return wrong_type(im, name, "a list of whole numbers");
    if (a->n_ints > (size_t)limit)
        return onnx_damaged(im, "attribute '%s' has %zu numbers, expected at most %d", name,
                            a->n_ints, limit);
    for (size_t i = 0; i < a->n_ints; i++) values[i] = a->ints[i];
    *count = (int)a->n_ints;
    return SAC_OK;
}

sac_status onnx_choice(onnx_import *im, const char *name, const char *const *candidates, int count,
                       int *index) {
    const Sac__Onnx__Attribute *a = onnx_attribute(im, name);
    if (a == NULL) return SAC_OK;
    if (a->has_type && a->type != TYPE_STRING) return wrong_type(im, name, "a text");
    for (int i = 0; i < count; i++) {
        if (strlen(candidates[i]) == a->s.len &&
            (a->s.len == 0 || memcmp(candidates[i], a->s.data, a->s.len) == 0)) {
            *index = i;
            return SAC_OK;
        }
    }
    return onnx_refuse(im, "%s '%.*s'", name, (int)(a->s.len < 40 ? a->s.len : 40),
                       a->s.len != 0 ? (const char *)a->s.data : "");
}

// --- inputs and outputs ------------------------------------------------------------------------

bool onnx_given(const onnx_import *im, int input) {
    return (size_t)input < im->at->n_input && im->at->input[input][0] != '\0';
}

sac_status onnx_input(onnx_import *im, int input, onnx_value **value) {
    if (!onnx_given(im, input)) return onnx_damaged(im, "has no input %d", input);
    *value = value_of(im, im->at->input[input]);
    if (*value == NULL) return SAC_ERROR_MEMORY;
    if ((*value)->kind == ONNX_STORED) {
        onnx_tensor *tensor = NULL;
        const sac_status status = onnx_tensor_load(im, (*value)->stored, (*value)->name, &tensor);
        if (status < 0) return status;
        (*value)->tensor = tensor;
        (*value)->kind = ONNX_CONSTANT;
    }
    if ((*value)->kind == ONNX_UNKNOWN)
        return onnx_damaged(im,
                            "input %d, '%.120s', is made by no earlier node (nodes must come in "
                            "the order of execution, without cycles)",
                            input, im->at->input[input]);
    return SAC_OK;
}

bool onnx_is_constant(onnx_import *im, int input) {
    if (!onnx_given(im, input)) return false;
    const onnx_value *value = value_of(im, im->at->input[input]);
    return value != NULL && (value->kind == ONNX_STORED || value->kind == ONNX_CONSTANT);
}

sac_status onnx_input_node(onnx_import *im, int input, int *node) {
    onnx_value *value = NULL;
    sac_status status = onnx_input(im, input, &value);
    if (status < 0) return status;
    if (value->kind == ONNX_CONSTANT)
        return onnx_refuse(im, "input %d, '%.120s', is a constant", input, value->name);
    if (value->kind == ONNX_LATE) {
        if (value->late == ONNX_LATE_PAD) {
            status = onnx_pad_now(im, value->node, &value->attrs, -1 - input, node);
        } else if (value->late == ONNX_LATE_ACTIVATION) {
            status =
                onnx_emit_one(im, value->op, &value->attrs, value->node, -1 - input, NULL, node);
        } else if (value->late == ONNX_LATE_STEPS) {
            status = onnx_refuse(im,
                                 "input %d, '%.120s', is quantised; only DequantizeLinear may read "
                                 "it",
                                 input, value->name);
        } else {
            status = onnx_refuse(im,
                                 "input %d, '%.120s', is a Softplus outside of x * "
                                 "tanh(softplus(x))",
                                 input, value->name);
        }
        if (status < 0) return status;
        value->kind = ONNX_NODE;
        value->node = *node;
    }
    *node = value->node;
    return SAC_OK;
}

sac_status onnx_input_constant(onnx_import *im, int input, const onnx_tensor **tensor) {
    onnx_value *value = NULL;
    const sac_status status = onnx_input(im, input, &value);
    if (status < 0) return status;
    if (value->kind != ONNX_CONSTANT)
        return onnx_refuse(im,
                           "input %d, '%.120s', is computed, only a constant is supported there",
                           input, value->name);
    *tensor = value->tensor;
    return SAC_OK;
}

sac_status onnx_input_ints(onnx_import *im, int input, int64_t *values, int limit, int *count) {
    const onnx_tensor *t = NULL;
    const sac_status status = onnx_input_constant(im, input, &t);
    if (status < 0) return status;
    if (t->ndims > 1 || t->count > limit)
        return onnx_damaged(im,
                            "input %d holds %" PRId64 " numbers on %d axes, expected a list of "
                            "at most %d",
                            input, t->count, t->ndims, limit);
    for (int64_t k = 0; k < t->count; k++) {
        if (t->i != NULL) {
            values[k] = t->i[k];
        } else if (t->f[k] >= -1e15f && t->f[k] <= 1e15f && (float)(int64_t)t->f[k] == t->f[k]) {
            values[k] = (int64_t)t->f[k];
        } else {
            return onnx_damaged(im, "input %d must hold whole numbers, found %g", input,
                                (double)t->f[k]);
        }
    }
    *count = (int)t->count;
    return SAC_OK;
}

sac_status onnx_ints_of(onnx_import *im, int input, const char *name, int64_t *values, int limit,
                        int *count) {
    return onnx_given(im, input) ? onnx_input_ints(im, input, values, limit, count)
                                 : onnx_ints(im, name, values, limit, count);
}

// The value of an output, which nobody may have made before; NULL in *value for one that has no
// name.
static sac_status output_value(onnx_import *im, int output, onnx_value **value) {
    *value = NULL;
    if ((size_t)output >= im->at->n_output || im->at->output[output][0] == '\0') return SAC_OK;
    *value = value_of(im, im->at->output[output]);
    if (*value == NULL) return SAC_ERROR_MEMORY;
    if ((*value)->kind != ONNX_UNKNOWN)
        return onnx_damaged(im, "its output '%.120s' is already made by another node or constant",
                            im->at->output[output]);
    return SAC_OK;
}

sac_status onnx_output_node(onnx_import *im, int output, int node) {
    onnx_value *value = NULL;
    const sac_status status = output_value(im, output, &value);
    if (status < 0 || value == NULL) return status;
    value->kind = ONNX_NODE;
    value->node = node;
    return SAC_OK;
}

sac_status onnx_output_late(onnx_import *im, onnx_late late, sac_op_kind op, const sac_attrs *attrs,
                            int node) {
    onnx_value *value = NULL;
    const sac_status status = output_value(im, 0, &value);
    if (status < 0 || value == NULL) return status;
    value->kind = ONNX_LATE;
    value->late = late;
    value->op = op;
    if (attrs != NULL) value->attrs = *attrs;
    value->node = node;
    return SAC_OK;
}

sac_status onnx_output_constant(onnx_import *im, onnx_tensor *tensor) {
    onnx_value *value = NULL;
    const sac_status status = output_value(im, 0, &value);
    if (status < 0 || value == NULL) return status;
    value->kind = ONNX_CONSTANT;
    value->tensor = tensor;
    return SAC_OK;
}

// --- nodes -------------------------------------------------------------------------------------

#define MAX_BASE 100

// A name that the net accepts.
static void name_clean(const char *name, char base[MAX_BASE]) {
    size_t n = 0;
    for (; name[n] != '\0' && n + 1 < MAX_BASE; n++) {
        const char c = name[n];
        const bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '/';
        base[n] = keep ? c : '_';
    }
    base[n] = '\0';
    if (n == 0) (void)snprintf(base, MAX_BASE, "node");
}

// The same, with a suffix and a number where the net has that name already.
static void node_name(const onnx_import *im, const char *name, const char *suffix, char out[128]) {
    char base[MAX_BASE];
    name_clean(name, base);
    const char *dot = suffix != NULL ? "." : "";
    if (suffix == NULL) suffix = "";
    (void)snprintf(out, 128, "%s%s%s", base, dot, suffix);
    for (int k = 2; sac_net_find(im->net, out) >= 0; k++)
        (void)snprintf(out, 128, "%s%s%s_%d", base, dot, suffix, k);
}

static sac_status shapes_reserve(onnx_import *im, int count) {
    if (count <= im->shape_capacity) return SAC_OK;
    const int capacity = im->shape_capacity == 0 ? 256 : 2 * im->shape_capacity;
    sac_shape *grown = sac_recalloc(im->shapes, im->shape_capacity, capacity, sizeof *grown);
    if (grown == NULL) return SAC_ERROR_MEMORY;
    im->shapes = grown;
    im->shape_capacity = capacity;
    return SAC_OK;
}

sac_status onnx_emit(onnx_import *im, sac_op_kind kind, const sac_attrs *attrs, const int *src,
                     int src_count, int output, const char *suffix, int *node) {
    char name[128];
    sac_shape shapes[SAC_MAX_SRC], dst = {0};
    sac_error why = {0};
    const sac_op *op = sac_op_of(kind);
    // A negative output names the node after input -1 - output, for functions that were put off.
    const char *label = output < 0                          ? im->at->input[-1 - output]
                        : (size_t)output < im->at->n_output ? im->at->output[output]
                                                            : "";
    node_name(im, label, suffix, name);
    sac_status status = shapes_reserve(im, sac_net_count(im->net) + 1);
    if (status < 0) return status;
    for (int s = 0; s < src_count && s < SAC_MAX_SRC; s++) shapes[s] = im->shapes[src[s]];
    static const sac_attrs none = {0};
    const int index =
        sac_net_add_node(im->net, kind, name, attrs != NULL ? attrs : &none, src, src_count);
    if (index < 0) {
        // The builder keeps its first error and the check returns it, without looking at shapes.
        status = sac_net_check(im->net, &why);
        return onnx_fail(im, status == SAC_ERROR_MEMORY ? status : SAC_ERROR_UNSUPPORTED, "%s",
                         why.message);
    }
    status = op->shape(attrs != NULL ? attrs : &none, shapes, src_count, &dst, &why);
    if (status < 0) return onnx_fail(im, status, "%s", why.message);
    int64_t count = 1;
    for (int d = 0; d < dst.ndims; d++) {
        if (dst.dims[d] < 1 || !sac_mul(count, dst.dims[d], &count)) {
            char text[96];
            return onnx_fail(im, SAC_ERROR_SHAPE, "its result %s is empty or too large",
                             sac_shape_text(&dst, text));
        }
    }
    im->shapes[index] = dst;
    *node = index;
    return SAC_OK;
}

sac_status onnx_emit_one(onnx_import *im, sac_op_kind kind, const sac_attrs *attrs, int src,
                         int output, const char *suffix, int *node) {
    return onnx_emit(im, kind, attrs, &src, 1, output, suffix, node);
}

sac_status onnx_emit_reshape(onnx_import *im, int src, const sac_shape *shape, int output,
                             const char *suffix, int *node) {
    char text[2][96];
    const sac_shape *from = &im->shapes[src];
    if (sac_shape_equal(from, shape)) {
        *node = src;
        return SAC_OK;
    }
    if (shape->ndims < 2 || shape->dims[0] != from->dims[0])
        return onnx_refuse(im, "reshapes %s to %s, but axis 0 is the batch and stays",
                           sac_shape_text(from, text[0]), sac_shape_text(shape, text[1]));
    sac_attrs attrs = {.ndims = shape->ndims - 1};
    for (int d = 1; d < shape->ndims; d++) attrs.dims[d - 1] = shape->dims[d];
    return onnx_emit_one(im, SAC_OP_RESHAPE, &attrs, src, output, suffix, node);
}

sac_status onnx_emit_permute(onnx_import *im, int src, const int64_t *order, int output,
                             const char *suffix, int *node) {
    sac_attrs attrs = {.ndims = im->shapes[src].ndims};
    bool same = true;
    for (int d = 0; d < attrs.ndims; d++) {
        attrs.dims[d] = order[d];
        same = same && order[d] == d;
    }
    if (same) {
        *node = src;
        return SAC_OK;
    }
    if (order[0] != 0) return onnx_refuse(im, "moves axis 0, which is the batch and stays");
    return onnx_emit_one(im, SAC_OP_PERMUTE, &attrs, src, output, suffix, node);
}

static sac_status param_add(onnx_import *im, const onnx_param *param) {
    im->param_budget -= param->count;
    if (im->param_budget < 0)
        return onnx_refuse(im, "constants are used so often that the network is much larger than "
                               "the file");
    if (im->param_count == im->param_capacity) {
        const int capacity = im->param_capacity == 0 ? 256 : 2 * im->param_capacity;
        onnx_param *grown = sac_recalloc(im->params, im->param_capacity, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        im->params = grown;
        im->param_capacity = capacity;
    }
    im->params[im->param_count++] = *param;
    return SAC_OK;
}

sac_status onnx_param_set(onnx_import *im, int node, const char *suffix, float *data,
                          int64_t count) {
    if (data == NULL) return SAC_ERROR_MEMORY;
    const sac_status status = param_add(im, &(onnx_param){node, suffix, data, count, false});
    if (status < 0) sac_free(data);
    return status;
}

sac_status onnx_param_constant(onnx_import *im, int node, const char *suffix,
                               const onnx_tensor *tensor) {
    return param_add(im, &(onnx_param){node, suffix, tensor->f, tensor->count, true});
}

sac_status onnx_emit_affine(onnx_import *im, int src, float *scale, float *shift, int output,
                            const char *suffix, int *node) {
    const int64_t channels = im->shapes[src].dims[1];
    // 1 + epsilon is 1, so that nothing is rounded.
    const sac_attrs attrs = {.epsilon = 1e-30, .momentum = 0};
    float *mean = sac_calloc(channels, sizeof *mean),
          *variance = sac_calloc(channels, sizeof *mean);
    sac_status status = onnx_emit_one(im, SAC_OP_BATCH_NORM, &attrs, src, output, suffix, node);
    for (int64_t c = 0; variance != NULL && c < channels; c++) variance[c] = 1;
    // Each is handed over or freed, whatever came before.
    const struct {
        const char *suffix;
        float *data;
    } params[4] = {
        {"weight", scale}, {"bias", shift}, {"running_mean", mean}, {"running_var", variance}};
    for (int p = 0; p < 4; p++) {
        if (status < 0) {
            sac_free(params[p].data);
        } else {
            status = onnx_param_set(im, *node, params[p].suffix, params[p].data, channels);
        }
    }
    return status;
}

// --- the graph ---------------------------------------------------------------------------------

static sac_status model_check(onnx_import *im) {
    const Sac__Onnx__Model *model = im->model;
    if (model->graph == NULL || model->graph->n_node == 0)
        return onnx_damaged(im, "not an ONNX model: it has no graph with nodes");
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = model->opset_import[i]->domain;
        if (domain == NULL || domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0)
            im->opset = model->opset_import[i]->version;
    }
    if (im->opset < MIN_OPSET || im->opset > MAX_OPSET)
        return onnx_refuse(im, "operator set %" PRId64 ", expected %d to %d", im->opset, MIN_OPSET,
                           MAX_OPSET);
    if (model->graph->n_node > MAX_NODES)
        return onnx_refuse(im, "%zu nodes, expected at most %d", model->graph->n_node, MAX_NODES);
    if (model->graph->n_sparse_initializer > 0) return onnx_refuse(im, "it has sparse tensors");
    return SAC_OK;
}

static sac_status constants_list(onnx_import *im) {
    const Sac__Onnx__Graph *graph = im->model->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Sac__Onnx__Tensor *stored = graph->initializer[i];
        if (stored->name == NULL || stored->name[0] == '\0')
            return onnx_damaged(im, "constant %zu has no name", i);
        onnx_value *value = value_of(im, stored->name);
        if (value == NULL) return SAC_ERROR_MEMORY;
        if (value->kind != ONNX_UNKNOWN)
            return onnx_damaged(im, "two constants are named '%.120s'", stored->name);
        value->kind = ONNX_STORED;
        value->stored = stored;
    }
    return SAC_OK;
}

// Which nodes the wanted outputs need: need [nodes]. Also remembers which inputs are read.
static sac_status nodes_needed(onnx_import *im, const char *const *outputs, int output_count,
                               bool *need, bool *input_need) {
    const Sac__Onnx__Graph *graph = im->model->graph;
    sac_status status = SAC_OK;
    // A second table: name -> node or graph input, in `node`; kept apart from the values.
    onnx_import names = {0};
    int64_t *stack = NULL, top = 0;
    bool *pushed = NULL;
    const int64_t nodes = (int64_t)graph->n_node;
    stack = sac_calloc(nodes + 1, sizeof *stack);
    pushed = sac_calloc(nodes + 1, sizeof *pushed);
    SAC_TRY_ALLOC(stack);
    SAC_TRY_ALLOC(pushed);
    for (int64_t i = 0; i < nodes; i++) {
        for (size_t k = 0; k < graph->node[i]->n_output; k++) {
            if (graph->node[i]->output[k][0] == '\0') continue;
            onnx_value *value = value_of(&names, graph->node[i]->output[k]);
            SAC_TRY_ALLOC(value);
            value->kind = ONNX_NODE;
            value->node = (int)i;
        }
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        if (graph->input[i]->name == NULL) continue;
        onnx_value *value = value_of(&names, graph->input[i]->name);
        SAC_TRY_ALLOC(value);
        if (value->kind == ONNX_NODE) continue; // refused when that node is reached
        value->kind = ONNX_CONSTANT;
        value->node = (int)i;
    }
    for (int i = 0; i < output_count; i++) {
        const onnx_value *value = value_of(&names, outputs[i]);
        SAC_TRY_ALLOC(value);
        if (value->kind == ONNX_UNKNOWN) {
            status =
                onnx_fail(im, im->options->outputs != NULL ? SAC_ERROR_ARGUMENT : SAC_ERROR_FORMAT,
                          "no node makes the output '%.120s'", outputs[i]);
            goto fail;
        }
        if (value->kind == ONNX_CONSTANT) {
            input_need[value->node] = true;
        } else if (!pushed[value->node]) {
            pushed[value->node] = true;
            stack[top++] = value->node;
        }
    }
    while (top > 0) {
        const int64_t i = stack[--top];
        need[i] = true;
        for (size_t k = 0; k < graph->node[i]->n_input; k++) {
            const onnx_value *value = value_of(&names, graph->node[i]->input[k]);
            SAC_TRY_ALLOC(value);
            if (value->kind == ONNX_CONSTANT) {
                input_need[value->node] = true;
            } else if (value->kind == ONNX_NODE && !pushed[value->node]) {
                pushed[value->node] = true;
                stack[top++] = value->node;
            }
        }
    }
fail:
    sac_free(names.values);
    sac_free(stack);
    sac_free(pushed);
    return status;
}

// Pixels u8 may enter when all that reads them turns them into floats first: the input is then the
// floats.
static bool only_floats_read(const onnx_import *im, const char *name) {
    const Sac__Onnx__Graph *graph = im->model->graph;
    for (size_t i = 0; i < graph->n_node; i++) {
        const onnx_node *node = graph->node[i];
        for (size_t k = 0; k < node->n_input; k++) {
            if (strcmp(node->input[k], name) == 0 &&
                (node->op_type == NULL || (strcmp(node->op_type, "Cast") != 0 &&
                                           strcmp(node->op_type, "DequantizeLinear") != 0)))
                return false;
        }
    }
    return true;
}

static sac_status input_add(onnx_import *im, const Sac__Onnx__ValueInfo *info) {
    const Sac__Onnx__TensorType *type = info->type != NULL ? info->type->tensor_type : NULL;
    if (type == NULL || type->shape == NULL)
        return onnx_refuse(im, "input '%.120s' is not a tensor with sizes", info->name);
    if (type->elem_type != 1 && !(type->elem_type == 2 && only_floats_read(im, info->name)))
        return onnx_refuse(im,
                           "input '%.120s' has elements of type %d, expected 1 (float), or 2 "
                           "(uint8) read by Cast and DequantizeLinear only",
                           info->name, type->elem_type);
    const size_t ndims = type->shape->n_dim;
    if (ndims < 2 || ndims > SAC_MAX_DIMS)
        return onnx_refuse(im, "input '%.120s' has %zu axes, expected 2 to %d", info->name, ndims,
                           SAC_MAX_DIMS);
    sac_shape shape = {.ndims = (int)ndims};
    for (size_t d = 0; d < ndims; d++) {
        const Sac__Onnx__Dimension *dim = type->shape->dim[d];
        int64_t size = dim->has_dim_value ? dim->dim_value : 0;
        if (size < 0 || size > 65536)
            return onnx_damaged(im, "input '%.120s' has size %" PRId64 " on axis %zu", info->name,
                                size, d);
        if (d > 0 && (size == 0 || (im->options->replace && im->options->dims[d] != 0))) {
            size = im->options->dims[d];
            if (size < 1 || size > 65536)
                return onnx_fail(im, SAC_ERROR_ARGUMENT,
                                 "input '%.120s' leaves axis %zu ('%.40s') open: a size from 1 to "
                                 "65536 must be given for it",
                                 info->name, d, dim->dim_param != NULL ? dim->dim_param : "");
        }
        shape.dims[d] = size;
    }
    // Reshapes may have the batch written into their constants, so it must be what the file says.
    if (shape.dims[0] == 0) shape.dims[0] = im->batch > 0 ? im->batch : 1;
    if (im->batch > 0 && im->batch != shape.dims[0])
        return onnx_refuse(im,
                           "inputs have different sizes, %" PRId64 " and %" PRId64 ", on axis 0",
                           im->batch, shape.dims[0]);
    im->batch = shape.dims[0];
    char name[128];
    node_name(im, info->name, NULL, name);
    sac_status status = shapes_reserve(im, sac_net_count(im->net) + 1);
    if (status < 0) return status;
    const int node = sac_net_input(im->net, name, shape.ndims - 1, shape.dims + 1);
    if (node < 0) {
        sac_error why = {0};
        status = sac_net_check(im->net, &why);
        return onnx_fail(im, status, "%s", why.message);
    }
    im->shapes[node] = shape;
    onnx_value *value = value_of(im, info->name);
    if (value == NULL) return SAC_ERROR_MEMORY;
    if (value->kind == ONNX_STORED) return SAC_OK; // a constant listed as input, as old files do
    if (value->kind != ONNX_UNKNOWN)
        return onnx_damaged(im, "two inputs are named '%.120s'", info->name);
    value->kind = ONNX_NODE;
    value->node = node;
    return SAC_OK;
}

static sac_status inputs_add(onnx_import *im, const bool *input_need) {
    const Sac__Onnx__Graph *graph = im->model->graph;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = graph->input[i]->name;
        if (name == NULL || name[0] == '\0') return onnx_damaged(im, "input %zu has no name", i);
        if (!input_need[i]) continue;
        const onnx_value *value = value_of(im, name);
        if (value == NULL) return SAC_ERROR_MEMORY;
        if (value->kind == ONNX_STORED) continue; // a constant, which old files list here too
        const sac_status status = input_add(im, graph->input[i]);
        if (status < 0) return status;
    }
    if (im->batch == 0) im->batch = 1;
    return SAC_OK;
}

static sac_status node_import(onnx_import *im, const onnx_node *node) {
    im->at = node;
    const char *op_type = node->op_type != NULL ? node->op_type : "";
    if (node->domain != NULL && node->domain[0] != '\0' && strcmp(node->domain, "ai.onnx") != 0)
        return onnx_refuse(im, "operators of the domain '%.80s' are not supported", node->domain);
    const onnx_operator *op = onnx_operator_of(op_type);
    if (op == NULL) return onnx_refuse(im, "the operator %.60s is not supported", op_type);
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Sac__Onnx__Attribute *a = node->attribute[i];
        if (a->has_g || (a->ref_attr_name != NULL && a->ref_attr_name[0] != '\0'))
            return onnx_refuse(im, "attribute '%.60s' is a graph or a reference",
                               a->name != NULL ? a->name : "");
    }
    bool constant = op->fold != NULL;
    for (size_t i = 0; i < node->n_input && constant; i++)
        constant = !onnx_given(im, (int)i) || onnx_is_constant(im, (int)i);
    if (constant) return op->fold(im);
    if (op->import == NULL)
        return onnx_refuse(im, "the operator %.60s is supported on constants only", op_type);
    return op->import(im);
}

static sac_status graph_import(onnx_import *im, const bool *need) {
    const Sac__Onnx__Graph *graph = im->model->graph;
    sac_status status = SAC_OK;
    for (size_t i = 0; i < graph->n_node && status >= 0; i++) {
        if (need[i]) status = node_import(im, graph->node[i]);
    }
    if (status >= 0) im->at = NULL;
    return status;
}

// Gives each output a node under its own name.
static sac_status outputs_mark(onnx_import *im, const char *const *outputs, int output_count) {
    for (int i = 0; i < output_count; i++) {
        // Late functions and messages go through a node that reads the output.
        char *input = (char *)(uintptr_t)outputs[i];
        onnx_node reader = {.n_input = 1, .input = &input, .n_output = 1, .output = &input};
        char no_name[] = "", type[] = "output";
        reader.name = no_name;
        reader.op_type = type;
        im->at = &reader;
        int node = -1;
        sac_status status = onnx_input_node(im, 0, &node);
        if (status < 0) return status;
        // Identity, Dropout and Reshape to the same sizes make no node of their own.
        char wanted[MAX_BASE];
        name_clean(outputs[i], wanted);
        if (strcmp(wanted, sac_net_node(im->net, node)->name) != 0) {
            const sac_shape *shape = &im->shapes[node];
            sac_attrs attrs = {.ndims = shape->ndims - 1};
            for (int d = 1; d < shape->ndims; d++) attrs.dims[d - 1] = shape->dims[d];
            status = onnx_emit_one(im, SAC_OP_RESHAPE, &attrs, node, 0, NULL, &node);
            if (status < 0) return status;
        }
        sac_net_output(im->net, node);
    }
    im->at = NULL;
    return SAC_OK;
}

static sac_status params_fill(onnx_import *im, sac_params **params) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_params_create_constant(params, im->net, im->error));
    int64_t filled = 0;
    for (int i = 0; i < im->param_count; i++) {
        const onnx_param *from = &im->params[i];
        char name[192];
        (void)snprintf(name, sizeof name, "%s.%s", sac_net_node(im->net, from->node)->name,
                       from->suffix);
        sac_param *to = sac_params_find(*params, name);
        if (to == NULL || to->count != from->count) {
            status = onnx_damaged(im, "'%s' has %" PRId64 " values, the network needs %" PRId64,
                                  name, from->count, to != NULL ? to->count : 0);
            goto fail;
        }
        memcpy(to->data, from->data, (size_t)to->count * sizeof(float));
        filled++;
    }
    if (filled != sac_params_count(*params)) {
        status = onnx_damaged(im, "%" PRId64 " of %" PRId64 " parameters have no values",
                              sac_params_count(*params) - filled, sac_params_count(*params));
        goto fail;
    }
    SAC_TRY(sac_params_check_finite(*params, im->error));
fail:
    return status;
}

static sac_status import(onnx_import *im, sac_params **params) {
    sac_status status = SAC_OK;
    const Sac__Onnx__Graph *graph = im->model->graph;
    const char **outputs = NULL;
    bool *need = NULL, *input_need = NULL;
    SAC_TRY(model_check(im));
    const int64_t count = im->options->outputs != NULL ? (int64_t)im->options->output_count
                                                       : (int64_t)graph->n_output;
    if (count < 1 || count > 64) {
        status = onnx_fail(im, SAC_ERROR_ARGUMENT, "%" PRId64 " outputs, expected 1 to 64", count);
        goto fail;
    }
    outputs = sac_calloc(count, sizeof *outputs);
    need = sac_calloc((int64_t)graph->n_node, sizeof *need);
    input_need = sac_calloc((int64_t)graph->n_input, sizeof *input_need);
    SAC_TRY_ALLOC(outputs);
    SAC_TRY_ALLOC(need);
    SAC_TRY_ALLOC(input_need);
    for (int64_t i = 0; i < count; i++) {
        outputs[i] =
            im->options->outputs != NULL ? im->options->outputs[i] : graph->output[i]->name;
        if (outputs[i] == NULL || outputs[i][0] == '\0') {
            status = onnx_damaged(im, "output %" PRId64 " has no name", i);
            goto fail;
        }
    }
    SAC_TRY(sac_net_create(&im->net));
    SAC_TRY(nodes_needed(im, outputs, (int)count, need, input_need));
    SAC_TRY(constants_list(im));
    SAC_TRY(inputs_add(im, input_need));
    SAC_TRY(graph_import(im, need));
    SAC_TRY(outputs_mark(im, outputs, (int)count));
    sac_error why = {0};
    status = sac_net_check(im->net, &why);
    if (status < 0) {
        status = onnx_fail(im, status, "%s", why.message);
        goto fail;
    }
    SAC_TRY(params_fill(im, params));
fail:
    sac_free(outputs);
    sac_free(need);
    sac_free(input_need);
    return status;
}

static void import_close(onnx_import *im) {
    for (onnx_tensor *t = im->tensors; t != NULL;) {
        onnx_tensor *next = t->next;
        if (!t->borrowed) sac_free(t->f);
        sac_free(t->i);
        sac_free(t);
        t = next;
    }
    for (int i = 0; i < im->param_count; i++) {
        if (!im->params[i].borrowed) sac_free(im->params[i].data);
    }
    sac_free(im->params);
    sac_free(im->values);
    sac_free(im->shapes);
    sac_net_close(&im->net);
}

// --- protobuf ----------------------------------------------------------------------------------

// Blocks for the parser: in all no more than a file of that size can honestly need, so that a small
// hostile file (two bytes make an empty message) cannot ask for much memory.
typedef struct budget {
    size_t left;
    bool exceeded, no_memory;
} budget;

static void *budget_alloc(void *data, size_t size) {
    budget *b = data;
    if (size > b->left) {
        b->exceeded = true;
        return NULL;
    }
    b->left -= size;
    void *block = sac_calloc((int64_t)size, 1);
    if (block == NULL) b->no_memory = true;
    return block;
}

static void budget_free(void *data, void *block) {
    (void)data;
    sac_free(block);
}

sac_status sac_onnx_parse(sac_net **net, sac_params **params, const void *data, size_t size,
                          const char *name, const sac_onnx_options *options, sac_error *error) {
    static const sac_onnx_options defaults = {0};
    *net = NULL;
    *params = NULL;
    budget b = {.left = size > SIZE_MAX / 16 ? SIZE_MAX : 8 * size + (16 << 20)};
    ProtobufCAllocator allocator = {
        .alloc = budget_alloc, .free = budget_free, .allocator_data = &b};
    Sac__Onnx__Model *model = sac__onnx__model__unpack(&allocator, size, data);
    if (model == NULL) {
        if (b.no_memory)
            return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: out of memory", name);
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: not an ONNX file, or damaged or truncated: it is not a protobuf "
                             "message of a model%s",
                             name, b.exceeded ? " of sensible size" : "");
    }
    onnx_import im = {.file = name,
                      .model = model,
                      .options = options != NULL ? options : &defaults,
                      .tensor_budget = (int64_t)size + (1 << 22),
                      .param_budget = 4 * (int64_t)size + (1 << 22),
                      .error = error};
    sac_status status = import(&im, params);
    if (status < 0) {
        sac_params_close(params);
        status = sac_error_set(error, status, -1, "%s: %s", name, sac_status_name(status));
    } else {
        *net = im.net;
        im.net = NULL;
        status = SAC_OK;
    }
    import_close(&im);
    sac__onnx__model__free_unpacked(model, &allocator);
    return status;
}

sac_status sac_onnx_read(sac_net **net, sac_params **params, const char *path,
                         const sac_onnx_options *options, sac_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    *net = NULL;
    *params = NULL;
    sac_status status = sac_file_read(&data, &size, path, MAX_FILE, error);
    if (status < 0) return status;
    status = sac_onnx_parse(net, params, data, size, path, options, error);
    sac_free(data);
    return status;
}
