// Declarations of all operators; nn/op_table.c maps kinds to them.
#ifndef SAC_NN_OP_LIST_H
#define SAC_NN_OP_LIST_H

#include "nn/op.h"

extern const sac_op sac_op_conv;
extern const sac_op sac_op_max_pool;
extern const sac_op sac_op_avg_pool;
extern const sac_op sac_op_adaptive_max_pool;
extern const sac_op sac_op_adaptive_avg_pool;
extern const sac_op sac_op_upsample;
extern const sac_op sac_op_batch_norm;
extern const sac_op sac_op_layer_norm;
extern const sac_op sac_op_dense;
extern const sac_op sac_op_matmul;
extern const sac_op sac_op_relu;
extern const sac_op sac_op_leaky_relu;
extern const sac_op sac_op_gelu;
extern const sac_op sac_op_sigmoid;
extern const sac_op sac_op_softmax;
extern const sac_op sac_op_dropout;
extern const sac_op sac_op_add;
extern const sac_op sac_op_concat;
extern const sac_op sac_op_reshape;
extern const sac_op sac_op_permute;
extern const sac_op sac_op_slice;
extern const sac_op sac_op_mul;
extern const sac_op sac_op_clip;
extern const sac_op sac_op_linear;
extern const sac_op sac_op_tanh;
extern const sac_op sac_op_swish;
extern const sac_op sac_op_hard_sigmoid;
extern const sac_op sac_op_hard_swish;
extern const sac_op sac_op_mish;
extern const sac_op sac_op_grad_reverse;
extern const sac_op sac_op_fake_quant;

#endif
