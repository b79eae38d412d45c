// What makes a network run in 8 bits: a table with the scale of each quantised activation, the
// quantisation of weights, and the network that is fine-tuned under both. Nothing here runs a
// network; nn/calibrate.h finds the scales, nn/infer.h and nn/train.h plan.
//
// An activation in the table is u8 without zero point: value = scale * q, q = 0..255. The integer
// network is defined node by node, from the dequantised values of the sources:
//   - conv and dense whose source is in the table take weights of s8, symmetric per output channel:
//     w = s_wei[oc] * q, q = -127..127, s_wei[oc] = max |w[oc]| / 127 (1 for a channel of zeros).
//     The sum over the products is an exact integer; bias stays f32. Every other conv and dense
//     keeps its f32 weights.
//   - a node in the table then gives q = saturate_u8(round_half_even(v / scale)), v its real value;
//     one that is not keeps v as f32.
// A conv that is followed by a ReLU (and a residual sum) in the table is therefore
//   dst = saturate_u8(round_half_even(relu(acc * s_src * s_wei[oc] + bia[oc] [+ residual]) /
//   s_dst)).
// Networks are quantised after folding (nn/fold.h): batch normalisation must be part of the weights
// before these are rounded. Names are those of the folded network, which keeps the names of
// activations, so one table serves a network before and after folding and any part of it that
// keeps the names. Names that a network does not have are ignored.
//
// Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference, CVPR 2018, sections 2 and 3; scales per channel as in
// Krishnamoorthi, Quantizing deep convolutional networks for efficient inference, 2018, section
// 3.1. Deviation: no zero points (all quantised activations are >= 0), bias in f32 instead of s32.
#ifndef SAC_NN_QUANT_H
#define SAC_NN_QUANT_H

#include "nn/net.h"
#include "nn/params.h"

#define SAC_QUANT_MAX_SCALE 1e3 // scales lie in [1e-12, 1e3]
#define SAC_QUANT_MIN_SCALE 1e-12

// Table from node name to scale. Plain data, not shared between threads while it is changed.
typedef struct sac_quant sac_quant;
SAC_NODISCARD sac_status sac_quant_create(sac_quant **quant); // empty; SAC_ERROR_MEMORY
// Adds or replaces. SAC_ERROR_ARGUMENT: empty or overlong name, or a scale out of range;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_quant_set(sac_quant *quant, const char *name, double scale,
                                       sac_error *error);
// 0: the node is not quantised. NULL-safe in `quant`.
float sac_quant_scale(const sac_quant *quant, const char *name);
int sac_quant_count(const sac_quant *quant);
const char *sac_quant_name(const sac_quant *quant, int index); // in the order of insertion
SAC_NODISCARD sac_status sac_quant_copy(sac_quant **copy, const sac_quant *quant);
void sac_quant_close(sac_quant **quant); // NULL-safe

// {"version": 1, "activations": {"stem0.relu1": 0.0123, ...}}; new reference, NULL on lack of
// memory. Scales survive exactly. Reading treats the text as hostile: SAC_ERROR_FORMAT naming
// `name` and what is wrong (not an object, more than 4096 entries, a scale that is no number or out
// of range, a name no node can have); SAC_ERROR_UNSUPPORTED for another version; SAC_ERROR_MEMORY.
json_t *sac_quant_to_json(const sac_quant *quant);
SAC_NODISCARD sac_status sac_quant_from_json(sac_quant **quant, const json_t *json,
                                             const char *name, sac_error *error);

// Weights [oc][k] of one conv or dense: scales [oc] and, where q is not NULL, integers [oc][k].
void sac_quant_weights(int8_t *q, float *scales, const float *weights, int64_t oc, int64_t k);
// q of one weight under the scale of its channel.
int8_t sac_quant_step(float weight, float scale);
// fake[oc][k] = s_wei[oc] * q: what the rounded weights are worth. May be `weights` itself.
void sac_quant_weights_fake(float *fake, const float *weights, int64_t oc, int64_t k);

// The groups of nodes of a folded network that are worth quantising; group[i] is -1 for nodes that
// stay f32. Members of one group need one scale: a pass-through operator (slice, concatenation,
// max pooling, adaptive max pooling, nearest upsampling, reshape, permute) and its sources, and the
// activations of convolutions that share weights. Groups hold inputs and outputs of ReLU and of
// clips that cannot go below zero, and are read (through pass-through operators) by a conv or
// dense. `group` has sac_net_count(net) elements; returns their number, -1 on lack of memory.
int sac_quant_groups(int *group, const sac_net *net);

// The network to fine-tune: `folded` (nn/fold.h), with a node SAC_OP_FAKE_QUANT named NAME/u8
// behind each input and activation in the table where rounding happens, and with conv and dense on
// quantised sources marked weight_quant. Names, sharing and outputs of the other nodes are kept, so
// the parameters of `folded` fit as they are, and what was trained goes back the same way. Scales
// stay fixed while training; weights' scales follow the weights. The caller closes the net.
// SAC_ERROR_ARGUMENT: the network holds a batch normalisation (fold first), or nothing of it is in
// the table; SAC_ERROR_SHAPE, SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_quant_training_net(sac_net **out, const sac_net *folded,
                                                const sac_quant *quant, sac_error *error);

// True when there are kernels for this CPU's products of u8 and s8 (nn/u8_isa.h), so that an int8
// plan is the fast one. Elsewhere int8 plans give the same numbers by plain loops, slower than f32:
// callers that choose automatically should then choose f32.
bool sac_quant_cpu_is_fast(void);

#endif
