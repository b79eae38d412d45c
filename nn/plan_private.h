// The inside of an oneDNN plan, shared by nn/plan.c (f32) and nn/plan_u8.c (int8). Not for others.
#ifndef SAC_NN_PLAN_PRIVATE_H
#define SAC_NN_PLAN_PRIVATE_H

#include "nn/build_run.h"
#include "nn/op.h"
#include "nn/plan.h"
#include "nn/quant.h"
#include "nn/u8_conv.h"

typedef struct sac_ports {
    sac_buffer input, output, output_grad, input_grad;
    sac_buffer input_u8, output_u8;
    sac_buffer input_parts[SAC_U8_MAX_PARTS]; // with that option, instead of input_u8
} sac_ports;

struct sac_plan {
    const sac_net *net;
    bool training;
    sac_shape *shapes;        // [nodes]
    sac_params *store;        // borrowed
    sac_plan_options options; // as planned
    sac_quant *quant;         // what options.quant points to; NULL in a clone
    sac_ref_plan *ref;        // set: everything goes to the reference
    sac_build *build;
    sac_ports *ports;      // [nodes]
    sac_build_node *nodes; // [nodes]
    int count;
};

// A node before its operator is built: sources, no buffers.
void sac_plan_node_clear(sac_plan *plan, int index);
// Buffers of the node's parameters; with `rounded` the weights are what they are worth in s8.
SAC_NODISCARD sac_status sac_plan_params_bind(sac_plan *plan, int index, sac_params *store,
                                              bool rounded, sac_error *error);
int sac_plan_readers(const sac_net *net, int index);
// An activation directly behind a convolution or dense that nobody else reads.
bool sac_plan_fuses(const sac_net *net, int index);
sac_layout sac_plan_input_layout(const sac_shape *shape, bool channels_last);
sac_status sac_plan_wrap_error(sac_status status, const sac_node *node, const sac_error *why,
                               sac_error *error);

// The forward pass of an int8 plan.
SAC_NODISCARD sac_status sac_plan_u8_forward_build(sac_plan *plan, sac_params *store,
                                                   const sac_plan_options *options,
                                                   sac_error *error);

#endif
