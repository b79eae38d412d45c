// Element-wise activations as oneDNN knows them: alone (nn/op_eltwise.c) or fused behind a
// convolution or dense layer of an inference plan.
#ifndef SAC_NN_ACTIVATION_H
#define SAC_NN_ACTIVATION_H

#include <oneapi/dnnl/dnnl.h>

#include "nn/net.h"

typedef struct sac_activation {
    dnnl_alg_kind_t kind;       // forward, also as a post-operation
    dnnl_alg_kind_t train_kind; // of the pair forward and backward in a training plan
    float alpha, beta;
    bool from_dst; // backward reads dst instead of src
} sac_activation;

// True for the operators below, which a convolution or dense layer can absorb at inference.
bool sac_is_activation(sac_op_kind kind);
// `kind` must be an activation.
sac_activation sac_activation_of(sac_op_kind kind, const sac_attrs *attrs);

#endif
