// A planned network on either backend, for training or inference: what nn/train.c and nn/infer.c
// have in common.
#ifndef SAC_NN_PLAN_H
#define SAC_NN_PLAN_H

#include "nn/train.h"

// Which buffer of a plan, by node name.
typedef enum sac_plan_port {
    SAC_PORT_INPUT,
    SAC_PORT_OUTPUT,
    SAC_PORT_OUTPUT_GRAD,
    SAC_PORT_INPUT_GRAD,
    SAC_PORT_INPUT_U8, // int8 plans: bytes behind the pointer
    SAC_PORT_OUTPUT_U8
} sac_plan_port;

typedef struct sac_plan sac_plan;
// `net` and `params` are borrowed for the plan's life (params' data is read through its addresses).
SAC_NODISCARD sac_status sac_plan_create(sac_plan **plan, const sac_net *net, sac_params *params,
                                         const sac_plan_options *options, bool training,
                                         sac_error *error);
// Second instance of an inference plan; see sac_build_clone. `donor` must outlive it.
SAC_NODISCARD sac_status sac_plan_clone(sac_plan **plan, const sac_plan *donor, sac_error *error);
float *sac_plan_port_data(const sac_plan *plan, sac_plan_port port,
                          const char *name); // NULL: no such port
// See sac_infer_bind_input_u8.
SAC_NODISCARD sac_status sac_plan_bind(sac_plan *plan, bool output, const char *name, int part,
                                       void *data, bool *bound, sac_error *error);
sac_shape sac_plan_shape(const sac_plan *plan, const char *name); // ndims 0: unknown
SAC_NODISCARD sac_status sac_plan_load(sac_plan *plan,
                                       sac_error *error); // inference: reorders the weights again
SAC_NODISCARD sac_status sac_plan_forward(sac_plan *plan, sac_error *error);
SAC_NODISCARD sac_status sac_plan_backward(sac_plan *plan, sac_error *error);
struct sac_profile_step; // nn/infer.h
SAC_NODISCARD sac_status sac_plan_profile(sac_plan *plan, int repeats,
                                          struct sac_profile_step **steps, int *count,
                                          sac_error *error);
sac_rng *sac_plan_rng(sac_plan *plan);
int64_t sac_plan_bytes(const sac_plan *plan);
char *sac_plan_describe(const sac_plan *plan);
void sac_plan_close(sac_plan **plan);

// The same on the plain reference (nn/ref_plan.c).
typedef struct sac_ref_plan sac_ref_plan;
SAC_NODISCARD sac_status sac_ref_plan_create(sac_ref_plan **plan, const sac_net *net,
                                             sac_params *params, const sac_plan_options *options,
                                             bool training, sac_error *error);
float *sac_ref_plan_port_data(const sac_ref_plan *plan, sac_plan_port port, int node);
void sac_ref_plan_forward(sac_ref_plan *plan);
void sac_ref_plan_backward(sac_ref_plan *plan);
sac_rng *sac_ref_plan_rng(sac_ref_plan *plan);
int64_t sac_ref_plan_bytes(const sac_ref_plan *plan);
void sac_ref_plan_close(sac_ref_plan **plan);

// Parameters of a node by position, looked up through its `share` name; NULL beyond the operator's
// number.
void sac_plan_node_params(sac_param *params[4], const sac_net *net, int node, sac_params *store,
                          const sac_shape *shapes);
// need[i]: a gradient must reach node i (a trainable parameter lies at or before it, or input
// gradients are wanted).
void sac_plan_needs_grad(bool *need, const sac_net *net, sac_params *store, const sac_shape *shapes,
                         bool input_grad);

#endif
