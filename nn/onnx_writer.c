// Building of ONNX messages; see nn/onnx_writer.h. Memory comes in blocks of one list.
#include "nn/onnx_writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

#define MAX_ATTRIBUTES 8

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw tensor data is little-endian");

typedef struct onnx_block {
    struct onnx_block *next;
    _Alignas(16) uint8_t bytes[];
} onnx_block;

void *onnx_writer_alloc(onnx_writer *w, int64_t count, size_t size) {
    int64_t bytes = 0;
    onnx_block *block = NULL;
    if (!w->failed && sac_mul(count, (int64_t)size, &bytes) &&
        sac_add(bytes, (int64_t)sizeof *block, &bytes))
        block = sac_calloc(bytes, 1);
    if (block == NULL) {
        w->failed = true;
        return NULL;
    }
    block->next = w->blocks;
    w->blocks = block;
    return block->bytes;
}

char *onnx_writer_text(onnx_writer *w, const char *format, ...) {
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    const int length = vsnprintf(NULL, 0, format, list);
    char *text = length >= 0 ? onnx_writer_alloc(w, (int64_t)length + 1, 1) : NULL;
    if (text != NULL) (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(list);
    return text;
}

// Room for one more pointer in a growing array; the capacity is the next power of two.
static bool grow(onnx_writer *w, void *array, int64_t count) {
    void **items = NULL;
    memcpy(&items, array, sizeof items);
    if (w->failed) return false;
    if (count == 0 || (count & (count - 1)) == 0) {
        const int64_t capacity = count == 0 ? 1 : 2 * count;
        items = sac_recalloc(items, count, capacity, sizeof *items);
        if (items == NULL) {
            w->failed = true;
            return false;
        }
        memcpy(array, &items, sizeof items);
    }
    return true;
}

// protobuf-c's structures hold char *, which packing only reads.
static char *borrowed(const char *text) {
    return (char *)(uintptr_t)text;
}

onnx_out *onnx_writer_node(onnx_writer *w, const char *op, const char *output,
                           const char *const *inputs, int count) {
    onnx_out *node = onnx_writer_alloc(w, 1, sizeof *node);
    char **names = onnx_writer_alloc(w, (int64_t)count + 1, sizeof *names);
    Sac__Onnx__Attribute **attributes = onnx_writer_alloc(w, MAX_ATTRIBUTES, sizeof *attributes);
    if (attributes == NULL || output == NULL || !grow(w, &w->nodes, w->node_count)) {
        w->failed = true;
        return NULL;
    }
    sac__onnx__node__init(node);
    for (int i = 0; i < count; i++) {
        if (inputs[i] == NULL) w->failed = true;
        names[i] = borrowed(inputs[i]);
    }
    names[count] = borrowed(output);
    node->n_input = (size_t)count;
    node->input = names;
    node->n_output = 1;
    node->output = names + count;
    node->name = borrowed(output);
    node->op_type = borrowed(op);
    node->attribute = attributes;
    w->nodes[w->node_count++] = node;
    return w->failed ? NULL : node;
}

enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_STRING = 3, TYPE_INTS = 7 };

static Sac__Onnx__Attribute *attribute(onnx_writer *w, onnx_out *node, const char *name, int type) {
    Sac__Onnx__Attribute *a = onnx_writer_alloc(w, 1, sizeof *a);
    if (a == NULL || node == NULL || node->n_attribute == MAX_ATTRIBUTES) {
        w->failed = true;
        return NULL;
    }
    sac__onnx__attribute__init(a);
    a->name = borrowed(name);
    a->has_type = 1;
    a->type = type;
    node->attribute[node->n_attribute++] = a;
    return a;
}

void onnx_writer_int(onnx_writer *w, onnx_out *node, const char *name, int64_t value) {
    Sac__Onnx__Attribute *a = attribute(w, node, name, TYPE_INT);
    if (a == NULL) return;
    a->has_i = 1;
    a->i = value;
}

void onnx_writer_real(onnx_writer *w, onnx_out *node, const char *name, double value) {
    Sac__Onnx__Attribute *a = attribute(w, node, name, TYPE_FLOAT);
    if (a == NULL) return;
    a->has_f = 1;
    a->f = (float)value;
}

void onnx_writer_string(onnx_writer *w, onnx_out *node, const char *name, const char *value) {
    Sac__Onnx__Attribute *a = attribute(w, node, name, TYPE_STRING);
    if (a == NULL) return;
    a->has_s = 1;
    a->s = (ProtobufCBinaryData){.len = strlen(value), .data = (uint8_t *)borrowed(value)};
}

void onnx_writer_ints(onnx_writer *w, onnx_out *node, const char *name, int count,
                      const int64_t *values) {
    Sac__Onnx__Attribute *a = attribute(w, node, name, TYPE_INTS);
    int64_t *copy = onnx_writer_alloc(w, count, sizeof *copy);
    if (a == NULL || copy == NULL) return;
    memcpy(copy, values, (size_t)count * sizeof *copy);
    a->n_ints = (size_t)count;
    a->ints = copy;
}

static size_t size_of(onnx_type type) {
    return type == ONNX_INT64 ? 8 : type == ONNX_FLOAT || type == ONNX_INT32 ? 4 : 1;
}

static bool same_tensor(const Sac__Onnx__Tensor *t, onnx_type type, int ndims, const int64_t *dims,
                        const void *data, size_t bytes) {
    return t->data_type == (int32_t)type && t->n_dims == (size_t)ndims &&
           (ndims == 0 || memcmp(t->dims, dims, (size_t)ndims * sizeof *dims) == 0) &&
           t->raw_data.len == bytes && memcmp(t->raw_data.data, data, bytes) == 0;
}

const char *onnx_writer_tensor(onnx_writer *w, const char *name, onnx_type type, int ndims,
                               const int64_t *dims, const void *data) {
    int64_t bytes = (int64_t)size_of(type);
    for (int d = 0; d < ndims; d++) {
        if (!sac_mul(bytes, dims[d], &bytes)) w->failed = true;
    }
    if (w->failed) return NULL;
    for (int64_t i = 0; i < w->tensor_count; i++) {
        if (same_tensor(w->tensors[i], type, ndims, dims, data, (size_t)bytes))
            return w->tensors[i]->name;
    }
    Sac__Onnx__Tensor *t = onnx_writer_alloc(w, 1, sizeof *t);
    int64_t *sizes = onnx_writer_alloc(w, ndims, sizeof *sizes);
    uint8_t *copy = onnx_writer_alloc(w, bytes, 1);
    if (copy == NULL || name == NULL || !grow(w, &w->tensors, w->tensor_count)) {
        w->failed = true;
        return NULL;
    }
    sac__onnx__tensor__init(t);
    if (ndims > 0) memcpy(sizes, dims, (size_t)ndims * sizeof *dims);
    if (bytes > 0) memcpy(copy, data, (size_t)bytes);
    t->n_dims = (size_t)ndims;
    t->dims = sizes;
    t->has_data_type = 1;
    t->data_type = (int32_t)type;
    t->name = borrowed(name);
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){.len = (size_t)bytes, .data = copy};
    w->tensors[w->tensor_count++] = t;
    return name;
}

void onnx_writer_port(onnx_writer *w, bool input, const char *name, onnx_type type, int ndims,
                      const int64_t *dims, const char *doc) {
    struct port {
        Sac__Onnx__ValueInfo info;
        Sac__Onnx__Type type;
        Sac__Onnx__TensorType tensor;
        Sac__Onnx__Shape shape;
    } *port = onnx_writer_alloc(w, 1, sizeof *port);
    Sac__Onnx__Dimension **axes = onnx_writer_alloc(w, ndims, sizeof *axes);
    Sac__Onnx__Dimension *axis = onnx_writer_alloc(w, ndims, sizeof *axis);
    if (axis == NULL || name == NULL ||
        !(input ? grow(w, &w->inputs, w->input_count) : grow(w, &w->outputs, w->output_count))) {
        w->failed = true;
        return;
    }
    sac__onnx__value_info__init(&port->info);
    sac__onnx__type__init(&port->type);
    sac__onnx__tensor_type__init(&port->tensor);
    sac__onnx__shape__init(&port->shape);
    for (int d = 0; d < ndims; d++) {
        sac__onnx__dimension__init(&axis[d]);
        axes[d] = &axis[d];
        axis[d].has_dim_value = dims[d] != 0;
        axis[d].dim_value = dims[d];
        if (dims[d] == 0) axis[d].dim_param = borrowed("N");
    }
    port->shape.n_dim = (size_t)ndims;
    port->shape.dim = axes;
    port->tensor.has_elem_type = 1;
    port->tensor.elem_type = (int32_t)type;
    port->tensor.shape = &port->shape;
    port->type.tensor_type = &port->tensor;
    port->info.name = borrowed(name);
    port->info.type = &port->type;
    port->info.doc_string = borrowed(doc);
    if (input) {
        w->inputs[w->input_count++] = &port->info;
    } else {
        w->outputs[w->output_count++] = &port->info;
    }
}

void onnx_writer_property(onnx_writer *w, const char *key, const char *value) {
    Sac__Onnx__StringPair *pair = onnx_writer_alloc(w, 1, sizeof *pair);
    if (pair == NULL || !grow(w, &w->properties, w->property_count)) return;
    sac__onnx__string_pair__init(pair);
    pair->key = borrowed(key);
    pair->value = borrowed(value);
    w->properties[w->property_count++] = pair;
}

sac_status onnx_writer_pack(onnx_writer *w, uint8_t **data, size_t *size, sac_error *error) {
    sac_status status = SAC_OK;
    *data = NULL;
    if (w->failed) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the ONNX file");
    Sac__Onnx__Model model = SAC__ONNX__MODEL__INIT;
    Sac__Onnx__Graph graph = SAC__ONNX__GRAPH__INIT;
    Sac__Onnx__OperatorSet opset = SAC__ONNX__OPERATOR_SET__INIT;
    Sac__Onnx__OperatorSet *opsets[1] = {&opset};
    graph.n_node = (size_t)w->node_count;
    graph.node = w->nodes;
    graph.name = borrowed(w->graph_name);
    graph.n_initializer = (size_t)w->tensor_count;
    graph.initializer = w->tensors;
    graph.n_input = (size_t)w->input_count;
    graph.input = w->inputs;
    graph.n_output = (size_t)w->output_count;
    graph.output = w->outputs;
    opset.domain = borrowed("");
    opset.has_version = 1;
    opset.version = w->opset;
    model.has_ir_version = 1;
    model.ir_version = w->opset >= 19 ? 9 : 8; // the IR version that the opset came with, or later
    model.producer_name = borrowed(w->producer);
    model.producer_version = borrowed(w->producer_version);
    model.doc_string = borrowed(w->doc);
    model.graph = &graph;
    model.n_opset_import = 1;
    model.opset_import = opsets;
    model.n_metadata_props = (size_t)w->property_count;
    model.metadata_props = w->properties;
    const size_t bytes = sac__onnx__model__get_packed_size(&model);
    if (bytes > (size_t)INT32_MAX)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "the network takes %zu bytes, an ONNX file holds at most %d", bytes,
                             INT32_MAX);
    *data = sac_calloc((int64_t)bytes, 1);
    SAC_TRY_ALLOC(*data);
    *size = sac__onnx__model__pack(&model, *data);
    return SAC_OK;
fail:
    return sac_error_set(error, status, -1, "no memory for an ONNX file of %zu bytes", bytes);
}

void onnx_writer_close(onnx_writer *w) {
    while (w->blocks != NULL) {
        onnx_block *next = w->blocks->next;
        sac_free(w->blocks);
        w->blocks = next;
    }
    sac_free(w->nodes);
    sac_free(w->tensors);
    sac_free(w->inputs);
    sac_free(w->outputs);
    sac_free(w->properties);
    *w = (onnx_writer){0};
}
