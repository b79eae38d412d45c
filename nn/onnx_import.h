// The importer's inside, shared by nn/onnx*.c: values of the graph, constants, attributes of a
// node, and how operators add nodes to the net.
#ifndef SAC_NN_ONNX_IMPORT_H
#define SAC_NN_ONNX_IMPORT_H

#include "nn/net.h"
#include "nn/onnx.h"
#include "nn/onnx.pb-c.h"
#include "nn/params.h"

#define SAC_ONNX_MAX_DIMS 8

typedef Sac__Onnx__Node onnx_node;

// A constant: floats (all floating types) or whole numbers (all others, bool as 0 and 1).
typedef struct onnx_tensor {
    int ndims;
    int64_t dims[SAC_ONNX_MAX_DIMS], count;
    float *f;      // [count], or
    int64_t *i;    // [count]
    bool borrowed; // f lies in the parsed message
    struct onnx_tensor *next;
} onnx_tensor;

// What a name in the graph stands for.
typedef enum onnx_kind {
    ONNX_UNKNOWN,  // not made yet
    ONNX_STORED,   // constant of the file, not looked at yet
    ONNX_CONSTANT, // constant
    ONNX_NODE,     // a node of the net
    // A function of a node that is added when somebody asks for it, because it may become part of a
    // larger one first: x * Sigmoid(x), Conv(Pad(x)).
    ONNX_LATE,
} onnx_kind;

typedef enum onnx_late {
    ONNX_LATE_ACTIVATION, // `op` with `attrs`: SIGMOID, HARD_SIGMOID
    ONNX_LATE_SOFTPLUS,   // log(1 + exp(x)); only inside Mish
    ONNX_LATE_TANH_SOFTPLUS,
    ONNX_LATE_STEPS, // u8 steps of attrs.alpha; only for DequantizeLinear
    ONNX_LATE_PAD,   // zeros around the picture: attrs.pad and attrs.pad_extra
} onnx_late;

typedef struct onnx_value {
    const char *name;
    onnx_kind kind;
    const Sac__Onnx__Tensor *stored;
    onnx_tensor *tensor;
    int node; // NODE: it; LATE: what the function is of
    onnx_late late;
    sac_op_kind op;
    sac_attrs attrs;
} onnx_value;

typedef struct onnx_param {
    int node;
    const char *suffix;
    float *data;
    int64_t count;
    bool borrowed; // data belongs to a constant
} onnx_param;

typedef struct onnx_import {
    const char *file;
    const Sac__Onnx__Model *model;
    const sac_onnx_options *options;
    int64_t opset, batch;
    // Elements that constants and parameters may still take, so that a small hostile file that uses
    // one constant again and again cannot ask for much memory.
    int64_t tensor_budget, param_budget;
    sac_net *net;
    sac_shape *shapes; // [shape_capacity], by node
    int shape_capacity;
    onnx_value *values; // [value_capacity] open addressing by name
    int64_t value_capacity, value_count;
    onnx_tensor *tensors; // all constants, freed together
    onnx_param *params;
    int param_count, param_capacity;
    const onnx_node *at; // node being imported, for messages
    sac_error *error;
} onnx_import;

// ---- messages: "FILE: Conv node 'NAME': ..." ---------------------------------------------------

sac_status onnx_fail(onnx_import *im, sac_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define onnx_refuse(im, ...)  onnx_fail(im, SAC_ERROR_UNSUPPORTED, __VA_ARGS__)
#define onnx_damaged(im, ...) onnx_fail(im, SAC_ERROR_FORMAT, __VA_ARGS__)

// ---- attributes of im->at: absent ones leave the value -----------------------------------------

SAC_NODISCARD sac_status onnx_int(onnx_import *im, const char *name, int64_t *value);
SAC_NODISCARD sac_status onnx_real(onnx_import *im, const char *name, double *value);
// At most `limit` numbers; *count stays when absent.
SAC_NODISCARD sac_status onnx_ints(onnx_import *im, const char *name, int64_t *values, int limit,
                                   int *count);
// Compares a text attribute with the candidates; *index stays when absent. Others are refused.
SAC_NODISCARD sac_status onnx_choice(onnx_import *im, const char *name,
                                     const char *const *candidates, int count, int *index);
bool onnx_has(const onnx_import *im, const char *name);
const Sac__Onnx__Attribute *onnx_attribute(const onnx_import *im, const char *name);

// ---- inputs and outputs of im->at --------------------------------------------------------------

bool onnx_given(const onnx_import *im, int input);
bool onnx_is_constant(onnx_import *im, int input);
// The value itself; FORMAT when missing or not made yet.
SAC_NODISCARD sac_status onnx_input(onnx_import *im, int input, onnx_value **value);
// A node of the net; late functions are added now; a constant is refused.
SAC_NODISCARD sac_status onnx_input_node(onnx_import *im, int input, int *node);
// A constant; refused otherwise.
SAC_NODISCARD sac_status onnx_input_constant(onnx_import *im, int input,
                                             const onnx_tensor **tensor);
// Whole numbers of a constant of at most one axis (floats without fraction pass).
SAC_NODISCARD sac_status onnx_input_ints(onnx_import *im, int input, int64_t *values, int limit,
                                         int *count);
// From an input (newer opsets) or an attribute of that name (older ones); *count stays if neither.
SAC_NODISCARD sac_status onnx_ints_of(onnx_import *im, int input, const char *name, int64_t *values,
                                      int limit, int *count);
SAC_NODISCARD sac_status onnx_output_node(onnx_import *im, int output, int node);
SAC_NODISCARD sac_status onnx_output_late(onnx_import *im, onnx_late late, sac_op_kind op,
                                          const sac_attrs *attrs, int node);
SAC_NODISCARD sac_status onnx_output_constant(onnx_import *im, onnx_tensor *tensor);

// ---- nodes -------------------------------------------------------------------------------------

// Adds a node named like output `output` of im->at (-1 - k: like its input k), plus `.suffix`
// (NULL: none), and checks its shape.
SAC_NODISCARD sac_status onnx_emit(onnx_import *im, sac_op_kind kind, const sac_attrs *attrs,
                                   const int *src, int src_count, int output, const char *suffix,
                                   int *node);
// The same with one source.
SAC_NODISCARD sac_status onnx_emit_one(onnx_import *im, sac_op_kind kind, const sac_attrs *attrs,
                                       int src, int output, const char *suffix, int *node);
SAC_NODISCARD sac_status onnx_emit_reshape(onnx_import *im, int src, const sac_shape *shape,
                                           int output, const char *suffix, int *node);
SAC_NODISCARD sac_status onnx_emit_permute(onnx_import *im, int src, const int64_t *order,
                                           int output, const char *suffix, int *node);
// Hands over the values of a parameter; `data` (sac_calloc) is taken in any case, NULL: out of
// memory.
SAC_NODISCARD sac_status onnx_param_set(onnx_import *im, int node, const char *suffix, float *data,
                                        int64_t count);
// The same with the floats of a constant as they are.
SAC_NODISCARD sac_status onnx_param_constant(onnx_import *im, int node, const char *suffix,
                                             const onnx_tensor *tensor);
// dst = scale * src + shift per channel (axis 1), as a batch normalisation with mean 0 and variance
// 1. scale and shift [channels] are taken in any case.
SAC_NODISCARD sac_status onnx_emit_affine(onnx_import *im, int src, float *scale, float *shift,
                                          int output, const char *suffix, int *node);

// ---- constants (nn/onnx_tensor.c) --------------------------------------------------------------

// A fresh zeroed constant owned by the importer. FORMAT when a size is negative or the product is
// above `limit`.
SAC_NODISCARD sac_status onnx_tensor_new(onnx_import *im, int ndims, const int64_t *dims,
                                         bool floats, int64_t limit, onnx_tensor **tensor);
SAC_NODISCARD sac_status onnx_tensor_load(onnx_import *im, const Sac__Onnx__Tensor *stored,
                                          const char *name, onnx_tensor **tensor);
// "[2][3]" into a buffer of at least 96 bytes; returns it.
char *onnx_dims_text(int ndims, const int64_t *dims, char *buffer);

// ---- operators ---------------------------------------------------------------------------------

typedef sac_status (*onnx_handler)(onnx_import *im);
typedef struct onnx_operator {
    const char *name;
    onnx_handler fold;   // all inputs constant; NULL: not computed
    onnx_handler import; // NULL: only on constants
} onnx_operator;

const onnx_operator *onnx_operator_of(const char *name); // NULL: unknown

// nn/onnx_fold.c
sac_status onnx_fold_same(onnx_import *im);
sac_status onnx_fold_cast(onnx_import *im);
sac_status onnx_fold_constant(onnx_import *im);
sac_status onnx_fold_constant_of_shape(onnx_import *im);
sac_status onnx_fold_gather(onnx_import *im);
sac_status onnx_fold_concat(onnx_import *im);
sac_status onnx_fold_slice(onnx_import *im);
sac_status onnx_fold_reshape(onnx_import *im);
sac_status onnx_fold_squeeze(onnx_import *im);
sac_status onnx_fold_unsqueeze(onnx_import *im);
sac_status onnx_fold_transpose(onnx_import *im);
sac_status onnx_fold_binary(onnx_import *im);
sac_status onnx_fold_unary(onnx_import *im);
sac_status onnx_fold_range(onnx_import *im);
sac_status onnx_fold_shape(onnx_import *im);

// nn/onnx_layers.c
sac_status onnx_conv(onnx_import *im);
sac_status onnx_pool(onnx_import *im);
sac_status onnx_global_pool(onnx_import *im);
sac_status onnx_reduce(onnx_import *im);
sac_status onnx_batch_norm(onnx_import *im);
sac_status onnx_layer_norm(onnx_import *im);
sac_status onnx_gemm(onnx_import *im);
sac_status onnx_matmul(onnx_import *im);
sac_status onnx_pad(onnx_import *im);
sac_status onnx_resize(onnx_import *im);
// Adds what a late pad stands for; `output` as for onnx_emit.
sac_status onnx_pad_now(onnx_import *im, int src, const sac_attrs *attrs, int output, int *node);

// nn/onnx_pointwise.c
sac_status onnx_activation(onnx_import *im);
sac_status onnx_clip(onnx_import *im);
sac_status onnx_prelu(onnx_import *im);
sac_status onnx_softmax(onnx_import *im);
sac_status onnx_add(onnx_import *im);
sac_status onnx_sub(onnx_import *im);
sac_status onnx_mul(onnx_import *im);
sac_status onnx_div(onnx_import *im);
sac_status onnx_pow(onnx_import *im);
sac_status onnx_neg(onnx_import *im);

// nn/onnx_quant.c
sac_status onnx_fold_dequantize(onnx_import *im);
sac_status onnx_quantize(onnx_import *im);
sac_status onnx_dequantize(onnx_import *im);

// nn/onnx_views.c
sac_status onnx_same(onnx_import *im);
sac_status onnx_concat(onnx_import *im);
sac_status onnx_slice(onnx_import *im);
sac_status onnx_split(onnx_import *im);
sac_status onnx_gather(onnx_import *im);
sac_status onnx_reshape(onnx_import *im);
sac_status onnx_flatten(onnx_import *im);
sac_status onnx_squeeze(onnx_import *im);
sac_status onnx_unsqueeze(onnx_import *im);
sac_status onnx_transpose(onnx_import *im);
// Begin, length and step of a slice on an axis of `size`, after ONNX' rules (negative from the end,
// clamped).
SAC_NODISCARD sac_status onnx_slice_range(onnx_import *im, int64_t start, int64_t end, int64_t step,
                                          int64_t size, int64_t *begin, int64_t *length);
// Starts, ends, axes, steps of a Slice on `ndims` axes, per axis.
SAC_NODISCARD sac_status onnx_slice_read(onnx_import *im, int ndims, const int64_t *dims,
                                         int64_t *begin, int64_t *length, int64_t *step);
// Axis in [0, ndims) of one counted from the end.
SAC_NODISCARD sac_status onnx_axis(onnx_import *im, int64_t given, int ndims, int *axis);
// New sizes of a Reshape of `dims` to `wanted`.
SAC_NODISCARD sac_status onnx_reshape_dims(onnx_import *im, int ndims, const int64_t *dims,
                                           int *out_ndims, int64_t *out);
// Sizes without (squeeze) or with further axes of size 1.
SAC_NODISCARD sac_status onnx_squeeze_dims(onnx_import *im, bool insert, int ndims,
                                           const int64_t *dims, int *out_ndims, int64_t *out);
SAC_NODISCARD sac_status onnx_transpose_order(onnx_import *im, int ndims, int64_t *order);

#endif
