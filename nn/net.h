// Description of a network: a list of nodes (operator, name, attributes, inputs) in execution
// order. Pure data: it knows no sizes of a batch, no
// memory and no backend; nn/train.h and nn/infer.h plan it. Serialises to JSON (stored in model
// files).
#ifndef SAC_NN_NET_H
#define SAC_NN_NET_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "saccade/status.h"

#define SAC_MAX_DIMS 5
#define SAC_MAX_SRC  8

// Sizes of a tensor, outermost first: N, then C, then D H W (3D) / H W (2D), or any axes for token
// tensors [N][T][C].
typedef struct sac_shape {
    int ndims; // 1..5
    int64_t dims[SAC_MAX_DIMS];
} sac_shape;

typedef enum sac_op_kind {
    SAC_OP_INPUT,
    SAC_OP_CONV,     // 2D or 3D by the input's ndims; groups
    SAC_OP_MAX_POOL, // kernel, stride, pad
    SAC_OP_AVG_POOL, // kernel, stride, pad; padding is counted in the mean only with count_pad
    // to `size`; cell i covers [floor(i*S/O), ceil((i+1)*S/O)); size 1 = global
    SAC_OP_ADAPTIVE_MAX_POOL,
    SAC_OP_ADAPTIVE_AVG_POOL, // same cells, mean
    SAC_OP_UPSAMPLE,          // nearest, integer factors `size`
    SAC_OP_BATCH_NORM,        // per channel over N and space
    SAC_OP_LAYER_NORM,        // over the last axis
    SAC_OP_DENSE,             // flattens all axes behind N: [N][K] -> [N][channels]
    SAC_OP_MATMUL,            // [N..][M][K] x [N..][K][L]; batched over leading axes; two inputs
    SAC_OP_RELU,
    SAC_OP_LEAKY_RELU, // alpha
    SAC_OP_GELU,       // exact (erf)
    SAC_OP_SIGMOID,
    SAC_OP_SOFTMAX, // over `axis`
    SAC_OP_DROPOUT, // rate; identity at inference
    SAC_OP_ADD,     // element-wise, 2..SAC_MAX_SRC equal shapes
    SAC_OP_CONCAT,  // along `axis`
    SAC_OP_RESHAPE, // per-sample axes `dims` (N kept), channels-first order of elements
    SAC_OP_PERMUTE, // `order` of all axes, order[0] = 0
    SAC_OP_SLICE,   // `length` cells of `axis`, from `begin` in steps of `step`
    SAC_OP_MUL,     // element-wise, two equal shapes, or the second [N][C][1]..[1]
    SAC_OP_CLIP,    // min(max(x, alpha), beta)
    SAC_OP_LINEAR,  // alpha x + beta
    SAC_OP_TANH,
    SAC_OP_SWISH,        // x sigmoid(alpha x); alpha 1: SiLU
    SAC_OP_HARD_SIGMOID, // min(max(alpha x + beta, 0), 1)
    SAC_OP_HARD_SWISH,   // x times that
    SAC_OP_MISH,         // x tanh(log(1 + exp(x)))
    SAC_OP_GRAD_REVERSE, // identity; backward diff_src = -alpha diff_dst, alpha >= 0
    SAC_OP_FAKE_QUANT,   // alpha * min(max(round(x / alpha), 0), 255), alpha the scale > 0
    SAC_OP_COUNT
} sac_op_kind;

typedef struct sac_attrs {
    int64_t channels; // CONV, DENSE: output channels
    int64_t kernel[3], stride[3],
        pad[3]; // D H W; 2D operators use [1] and [2] and leave [0] at 1, 1, 0
    // CONV, pools: the padding behind the input is pad + pad_extra (>= 0); 0: symmetric. Rounding
    // the output size of a pool up is a pad_extra that completes the last window.
    int64_t pad_extra[3];
    int64_t dilation[3];         // CONV: input cells skipped between two taps; 0: none
    bool count_pad;              // AVG_POOL: divides by the whole kernel; else by its cells inside
    int64_t groups;              // CONV, >= 1
    bool bias;                   // CONV, DENSE
    bool weight_quant;           // CONV, DENSE: weights are rounded to s8 first (nn/quant.h)
    int64_t size[3];             // ADAPTIVE_*: output D H W; UPSAMPLE: factors D H W
    double alpha;                // LEAKY_RELU slope; see the operators above
    double beta;                 // CLIP, LINEAR, HARD_SIGMOID, HARD_SWISH
    double epsilon, momentum;    // norms; running = (1 - momentum) * running + momentum * batch
    double rate;                 // DROPOUT in [0, 1)
    int axis;                    // SOFTMAX, CONCAT, SLICE: axis >= 1
    int64_t begin, length, step; // SLICE: begin >= 0, length >= 1, step >= 1
    int ndims;                   // RESHAPE: number of per-sample axes; PERMUTE: number of axes
    int64_t dims[SAC_MAX_DIMS];  // RESHAPE: sizes behind N; PERMUTE: order
} sac_attrs;

typedef struct sac_node {
    sac_op_kind kind;
    char *name; // unique, e.g. "stem.conv"
    char *
        // name whose parameters this node uses: its own, or an earlier node's (weight sharing)
        share;
    sac_attrs attrs;
    int src_count;
    int src[SAC_MAX_SRC]; // indices of earlier nodes
    sac_shape shape;      // INPUT only: [C][D][H][W] without N (ndims = axes behind N)
} sac_node;

typedef struct sac_net sac_net;

// Builders append a node and return its index, or -1 once anything went wrong (sticky;
// sac_net_check tells the first cause). src -1 is passed through,
// so calls can be chained without looking.
SAC_NODISCARD sac_status sac_net_create(sac_net **net);
int sac_net_input(sac_net *net, const char *name, int ndims, const int64_t *dims);
int sac_net_add_node(sac_net *net, sac_op_kind kind, const char *name, const sac_attrs *attrs,
                     const int *src, int src_count);
// Makes node `index` use the parameters of `name` (an earlier node of equal kind and attributes).
void sac_net_share(sac_net *net, int index, const char *name);
// Marks a node as output under its own name (any number of outputs).
void sac_net_output(sac_net *net, int index);

// Shorthands. k, s, p apply to H and W (and to D in the 3D form).
int sac_net_conv2d(sac_net *net, const char *name, int src, int64_t channels, int64_t k, int64_t s,
                   int64_t p, int64_t groups, bool bias);
int sac_net_conv3d(sac_net *net, const char *name, int src, int64_t channels, const int64_t k[3],
                   const int64_t s[3], const int64_t p[3], int64_t groups, bool bias);
int sac_net_pool(sac_net *net, sac_op_kind kind, const char *name, int src, const int64_t k[3],
                 const int64_t s[3], const int64_t p[3]);
int sac_net_adaptive_pool(sac_net *net, sac_op_kind kind, const char *name, int src, int64_t d,
                          int64_t h, int64_t w);
int sac_net_upsample(sac_net *net, const char *name, int src, int64_t d, int64_t h, int64_t w);
int sac_net_batch_norm(sac_net *net, const char *name, int src); // epsilon 1e-5, momentum 0.1
int sac_net_layer_norm(sac_net *net, const char *name, int src); // epsilon 1e-5
int sac_net_dense(sac_net *net, const char *name, int src, int64_t channels, bool bias);
// RELU, LEAKY_RELU (alpha 0.01), GELU, SIGMOID, TANH, SWISH (alpha 1), HARD_SIGMOID and HARD_SWISH
// (alpha 1/6, beta 1/2), MISH.
int sac_net_unary(sac_net *net, sac_op_kind kind, const char *name, int src);
int sac_net_clip(sac_net *net, const char *name, int src, double low, double high);
int sac_net_linear(sac_net *net, const char *name, int src, double alpha, double beta);
// Identity forward, diff_src = -lambda diff_dst backward; lambda in [0, 1000].
// Source: Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016, equation 17.
int sac_net_grad_reverse(sac_net *net, const char *name, int src, double lambda);
// x rounded to u8 steps of `scale`, scale in (0, 1000]; the gradient passes where 0 <= x <= 255
// scale.
int sac_net_fake_quant(sac_net *net, const char *name, int src, double scale);
int sac_net_mul(sac_net *net, const char *name, int a, int b);
int sac_net_slice(sac_net *net, const char *name, int src, int axis, int64_t begin, int64_t length,
                  int64_t step);
int sac_net_softmax(sac_net *net, const char *name, int src, int axis);
int sac_net_dropout(sac_net *net, const char *name, int src, double rate);
int sac_net_add(sac_net *net, const char *name, int a, int b);
int sac_net_matmul(sac_net *net, const char *name, int a, int b);
int sac_net_concat(sac_net *net, const char *name, const int *src, int count, int axis);
int sac_net_reshape(sac_net *net, const char *name, int src, int ndims, const int64_t *dims);
int sac_net_permute(sac_net *net, const char *name, int src, int ndims, const int64_t *order);

// First error of the builders, or a full shape check with batch 1. SAC_ERROR_ARGUMENT,
// SAC_ERROR_SHAPE (names the node), SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_net_check(const sac_net *net, sac_error *error);
int sac_net_count(const sac_net *net);
const sac_node *sac_net_node(const sac_net *net, int index);
int sac_net_find(const sac_net *net, const char *name); // -1 when absent
bool sac_net_is_output(const sac_net *net, int index);
// Shapes of every node for a batch: shapes [count].
SAC_NODISCARD sac_status sac_net_shapes(const sac_net *net, int64_t batch, sac_shape *shapes,
                                        sac_error *error);
// Multiply-accumulates of one sample per node (conv, dense, matmul; others 0).
int64_t sac_net_macs(const sac_net *net, int index);
json_t *sac_net_to_json(const sac_net *net); // new reference
// Hostile input: unknown operators, bad references, sizes out of range (dims up to 65536, 4096
// nodes) give SAC_ERROR_FORMAT naming `name` and the node.
SAC_NODISCARD sac_status sac_net_from_json(sac_net **net, const json_t *json, const char *name,
                                           sac_error *error);
const char *sac_op_kind_name(sac_op_kind kind);
void sac_net_close(sac_net **net);

#endif
