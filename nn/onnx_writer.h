// Builds the message of an ONNX file piece by piece: nodes, attributes, constants, inputs, outputs,
// metadata, all in blocks freed together. Knows the format, not what a network means; no checks of
// shapes.
#ifndef SAC_NN_ONNX_WRITER_H
#define SAC_NN_ONNX_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/onnx.pb-c.h"
#include "saccade/status.h"

// Element types of ONNX tensors.
typedef enum onnx_type {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7
} onnx_type;

typedef Sac__Onnx__Node onnx_out;

// Lack of memory is sticky: the functions then return NULL, accept NULL, and onnx_writer_pack
// reports it.
typedef struct onnx_writer {
    struct onnx_block *blocks;
    onnx_out **nodes;
    Sac__Onnx__Tensor **tensors;
    Sac__Onnx__ValueInfo **inputs, **outputs;
    Sac__Onnx__StringPair **properties;
    int64_t node_count, tensor_count, input_count, output_count, property_count;
    const char *producer, *producer_version, *doc, *graph_name; // borrowed
    int64_t opset;
    bool failed;
} onnx_writer;

// A zeroed block, or a formatted text, that lives as long as the writer.
void *onnx_writer_alloc(onnx_writer *w, int64_t count, size_t size);
char *onnx_writer_text(onnx_writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Appends a node with one output, which also names the node. Inputs [count]; "" is one left out.
// Names are borrowed for the writer's life, as all texts below.
onnx_out *onnx_writer_node(onnx_writer *w, const char *op, const char *output,
                           const char *const *inputs, int count);
void onnx_writer_int(onnx_writer *w, onnx_out *node, const char *name, int64_t value);
void onnx_writer_real(onnx_writer *w, onnx_out *node, const char *name, double value);
void onnx_writer_string(onnx_writer *w, onnx_out *node, const char *name, const char *value);
void onnx_writer_ints(onnx_writer *w, onnx_out *node, const char *name, int count,
                      const int64_t *values); // copied

// A constant; data is copied. The same type, sizes and data as one before give that one's name, so
// that shared weights stand in the file once. ndims 0: a scalar.
const char *onnx_writer_tensor(onnx_writer *w, const char *name, onnx_type type, int ndims,
                               const int64_t *dims, const void *data);

// dims [ndims]; 0 is left open under the name "N".
void onnx_writer_port(onnx_writer *w, bool input, const char *name, onnx_type type, int ndims,
                      const int64_t *dims, const char *doc);
void onnx_writer_property(onnx_writer *w, const char *key, const char *value);

// The file's bytes, sac_free them. SAC_ERROR_UNSUPPORTED: more than 2 GiB, which the format cannot
// hold; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status onnx_writer_pack(onnx_writer *w, uint8_t **data, size_t *size,
                                          sac_error *error);
void onnx_writer_close(onnx_writer *w);

#endif
