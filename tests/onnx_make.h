// Makes ONNX files for the tests: a writer of protobuf bytes of our own, independent of the library
// that reads them, generated weights, and small networks that together use every operator of the
// importer.
#ifndef SAC_TESTS_ONNX_MAKE_H
#define SAC_TESTS_ONNX_MAKE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAKE_UNUSED __attribute__((unused))

typedef struct make_bytes {
    uint8_t *data;
    size_t size, capacity;
} make_bytes;

// Parts of a model under construction; `node` is the open node.
typedef struct onnx_make {
    make_bytes graph, node;
    int64_t opset;
    uint32_t seed; // of the next generated weights
} onnx_make;

// --- protobuf ----------------------------------------------------------------------------------

MAKE_UNUSED static void make_raw(make_bytes *b, const void *data, size_t size) {
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size) + 256;
        b->data = realloc(b->data, b->capacity);
        if (b->data == NULL) abort();
    }
    if (size > 0) memcpy(b->data + b->size, data, size);
    b->size += size;
}

MAKE_UNUSED static void make_varint(make_bytes *b, uint64_t v) {
    do {
        const uint8_t byte = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
        make_raw(b, &byte, 1);
        v >>= 7;
    } while (v != 0);
}

MAKE_UNUSED static void make_whole(make_bytes *b, int field, int64_t v) {
    make_varint(b, (uint64_t)field << 3);
    make_varint(b, (uint64_t)v);
}

MAKE_UNUSED static void make_block(make_bytes *b, int field, const void *data, size_t size) {
    make_varint(b, (uint64_t)field << 3 | 2);
    make_varint(b, size);
    make_raw(b, data, size);
}

MAKE_UNUSED static void make_text(make_bytes *b, int field, const char *text) {
    make_block(b, field, text, strlen(text));
}

// Appends a message and frees it.
MAKE_UNUSED static void make_message(make_bytes *b, int field, make_bytes *message) {
    make_block(b, field, message->data, message->size);
    free(message->data);
    *message = (make_bytes){0};
}

// --- values ------------------------------------------------------------------------------------

// Number `i` of a stream, in [-1, 1), exact in f32.
MAKE_UNUSED static float make_value(uint32_t seed, uint32_t i) {
    uint32_t h = (i + 1) * 2654435761u + seed * 974711u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    return (float)(h >> 16) / 32768.0f - 1.0f;
}

MAKE_UNUSED static void make_dims(make_bytes *tensor, int ndims, const int64_t *dims) {
    for (int d = 0; d < ndims; d++) make_whole(tensor, 1, dims[d]);
}

MAKE_UNUSED static void make_tensor_bytes(onnx_make *m, const char *name, int type, int ndims,
                                          const int64_t *dims, const void *data, size_t size) {
    make_bytes t = {0};
    make_dims(&t, ndims, dims);
    make_whole(&t, 2, type);
    make_text(&t, 8, name);
    make_block(&t, 9, data, size);
    make_message(&m->graph, 5, &t);
}

MAKE_UNUSED static int64_t make_count(int ndims, const int64_t *dims) {
    int64_t n = 1;
    for (int d = 0; d < ndims; d++) n *= dims[d];
    return n;
}

MAKE_UNUSED static void make_floats(onnx_make *m, const char *name, int ndims, const int64_t *dims,
                                    const float *values) {
    make_tensor_bytes(m, name, 1, ndims, dims, values,
                      (size_t)make_count(ndims, dims) * sizeof *values);
}

// offset + scale * value, from the next stream.
MAKE_UNUSED static void make_weights(onnx_make *m, const char *name, int ndims, const int64_t *dims,
                                     float scale, float offset) {
    const int64_t n = make_count(ndims, dims);
    float *values = malloc((size_t)n * sizeof *values);
    if (values == NULL) abort();
    const uint32_t seed = ++m->seed;
    for (int64_t i = 0; i < n; i++) values[i] = offset + scale * make_value(seed, (uint32_t)i);
    make_floats(m, name, ndims, dims, values);
    free(values);
}

#define DIMS(...)                                                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) {                 \
        __VA_ARGS__                                                                                \
    }

// A list of whole numbers as int64 data.
MAKE_UNUSED static void make_list(onnx_make *m, const char *name, int count,
                                  const int64_t *values) {
    const int64_t dims[1] = {count};
    make_tensor_bytes(m, name, 7, 1, dims, values, (size_t)count * sizeof *values);
}

MAKE_UNUSED static void make_number(onnx_make *m, const char *name, float value) {
    make_floats(m, name, 0, NULL, &value);
}

// An input or output of floats; size 0 is left open.
MAKE_UNUSED static void make_port(onnx_make *m, bool input, const char *name, int ndims,
                                  const int64_t *dims) {
    make_bytes info = {0}, type = {0}, tensor = {0}, shape = {0};
    for (int d = 0; d < ndims; d++) {
        make_bytes dim = {0};
        if (dims[d] > 0) {
            make_whole(&dim, 1, dims[d]);
        } else {
            make_text(&dim, 2, d == 0 ? "N" : "open");
        }
        make_message(&shape, 1, &dim);
    }
    make_whole(&tensor, 1, 1);
    if (ndims > 0) {
        make_message(&tensor, 2, &shape);
    } else {
        free(shape.data);
    }
    make_message(&type, 1, &tensor);
    make_text(&info, 1, name);
    make_message(&info, 2, &type);
    make_message(&m->graph, input ? 11 : 12, &info);
}

MAKE_UNUSED static void make_input(onnx_make *m, const char *name, int ndims, const int64_t *dims) {
    make_port(m, true, name, ndims, dims);
}

// Without sizes: no reader needs those of outputs.
MAKE_UNUSED static void make_output(onnx_make *m, const char *name) {
    make_port(m, false, name, 0, NULL);
}

// --- nodes -------------------------------------------------------------------------------------

static void make_names(make_bytes *b, int field, const char *names) {
    for (const char *at = names;;) {
        const size_t length = strcspn(at, " ");
        if (length == 1 && at[0] == '_') { // an optional input that is left out
            make_block(b, field, "", 0);
        } else if (length > 0) {
            make_block(b, field, at, length);
        }
        if (at[length] == '\0') return;
        at += length + 1;
    }
}

// Opens a node; names are separated by blanks, "_" is a missing one.
MAKE_UNUSED static void make_begin(onnx_make *m, const char *op, const char *inputs,
                                   const char *outputs) {
    make_names(&m->node, 1, inputs);
    make_names(&m->node, 2, outputs);
    make_text(&m->node, 3, outputs);
    make_text(&m->node, 4, op);
}

MAKE_UNUSED static void make_end(onnx_make *m) {
    make_message(&m->graph, 1, &m->node);
}

MAKE_UNUSED static void make_node(onnx_make *m, const char *op, const char *inputs,
                                  const char *outputs) {
    make_begin(m, op, inputs, outputs);
    make_end(m);
}

MAKE_UNUSED static void make_attr_int(onnx_make *m, const char *name, int64_t value) {
    make_bytes a = {0};
    make_text(&a, 1, name);
    make_whole(&a, 3, value);
    make_whole(&a, 20, 2);
    make_message(&m->node, 5, &a);
}

MAKE_UNUSED static void make_attr_float(onnx_make *m, const char *name, float value) {
    make_bytes a = {0};
    make_text(&a, 1, name);
    make_varint(&a, 2 << 3 | 5);
    make_raw(&a, &value, sizeof value);
    make_whole(&a, 20, 1);
    make_message(&m->node, 5, &a);
}

MAKE_UNUSED static void make_attr_ints(onnx_make *m, const char *name, int count,
                                       const int64_t *values) {
    make_bytes a = {0};
    make_text(&a, 1, name);
    for (int i = 0; i < count; i++) make_whole(&a, 8, values[i]);
    make_whole(&a, 20, 7);
    make_message(&m->node, 5, &a);
}

MAKE_UNUSED static void make_attr_text(onnx_make *m, const char *name, const char *value) {
    make_bytes a = {0};
    make_text(&a, 1, name);
    make_text(&a, 4, value);
    make_whole(&a, 20, 3);
    make_message(&m->node, 5, &a);
}

// A tensor attribute of whole numbers kept in int64_data.
MAKE_UNUSED static void make_attr_tensor(onnx_make *m, const char *name, int ndims,
                                         const int64_t *dims, const int64_t *values) {
    make_bytes a = {0}, t = {0}, packed = {0};
    make_dims(&t, ndims, dims);
    make_whole(&t, 2, 7);
    for (int64_t i = 0; i < make_count(ndims, dims); i++) make_varint(&packed, (uint64_t)values[i]);
    make_message(&t, 7, &packed);
    make_text(&a, 1, name);
    make_message(&a, 5, &t);
    make_whole(&a, 20, 4);
    make_message(&m->node, 5, &a);
}

// --- the file ----------------------------------------------------------------------------------

MAKE_UNUSED static void make_start(onnx_make *m, int64_t opset) {
    *m = (onnx_make){.opset = opset};
}

// The bytes, malloc'd; the maker is empty afterwards.
MAKE_UNUSED static uint8_t *make_finish(onnx_make *m, size_t *size) {
    make_bytes model = {0}, opset = {0};
    make_text(&m->graph, 2, "generated");
    make_whole(&model, 1, 8);
    make_text(&opset, 1, "");
    make_whole(&opset, 2, m->opset);
    make_message(&model, 8, &opset);
    make_message(&model, 7, &m->graph);
    free(m->node.data);
    *m = (onnx_make){0};
    *size = model.size;
    return model.data;
}

// --- layers ------------------------------------------------------------------------------------

// Weights "<y>.w" (and "<y>.b") drawn so that values keep their size through a rectifier.
MAKE_UNUSED static void make_conv_begin(onnx_make *m, const char *x, const char *y, int64_t in,
                                        int64_t out, int64_t kh, int64_t kw, int64_t group,
                                        bool bias) {
    char w[72], b[72], inputs[200];
    (void)snprintf(w, sizeof w, "%.64s.w", y);
    (void)snprintf(b, sizeof b, "%.64s.b", y);
    const float fan = (float)(in / group * kh * kw);
    float scale = 1;
    for (int i = 0; i < 20; i++) scale = 0.5f * (scale + 6.0f / fan / scale); // sqrt(6 / fan)
    make_weights(m, w, DIMS(out, in / group, kh, kw), scale, 0);
    if (bias) make_weights(m, b, DIMS(out), 0.1f, 0);
    (void)snprintf(inputs, sizeof inputs, bias ? "%s %s %s" : "%s %s", x, w, b);
    make_begin(m, "Conv", inputs, y);
    if (group != 1) make_attr_int(m, "group", group);
}

// Square kernel k, stride s, padding p on all sides.
MAKE_UNUSED static void make_conv(onnx_make *m, const char *x, const char *y, int64_t in,
                                  int64_t out, int64_t k, int64_t s, int64_t p, int64_t group,
                                  bool bias) {
    make_conv_begin(m, x, y, in, out, k, k, group, bias);
    make_attr_ints(m, "kernel_shape", DIMS(k, k));
    make_attr_ints(m, "strides", DIMS(s, s));
    make_attr_ints(m, "pads", DIMS(p, p, p, p));
    make_end(m);
}

MAKE_UNUSED static void make_batch_norm(onnx_make *m, const char *x, const char *y, int64_t c) {
    char name[4][64], inputs[300];
    static const float scale[4] = {0.2f, 0.2f, 0.2f, 0.5f}, offset[4] = {1, 0, 0, 1};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name[i], sizeof name[i], "%s.n%d", y, i);
        make_weights(m, name[i], DIMS(c), scale[i], offset[i]);
    }
    (void)snprintf(inputs, sizeof inputs, "%s %s %s %s %s", x, name[0], name[1], name[2], name[3]);
    make_node(m, "BatchNormalization", inputs, y);
}

MAKE_UNUSED static void make_pool(onnx_make *m, const char *op, const char *x, const char *y,
                                  int64_t k, int64_t s, int64_t p, bool up, bool count_pad) {
    make_begin(m, op, x, y);
    make_attr_ints(m, "kernel_shape", DIMS(k, k));
    make_attr_ints(m, "strides", DIMS(s, s));
    if (p > 0) make_attr_ints(m, "pads", DIMS(p, p, p, p));
    if (up) make_attr_int(m, "ceil_mode", 1);
    if (count_pad) make_attr_int(m, "count_include_pad", 1);
    make_end(m);
}

#endif
