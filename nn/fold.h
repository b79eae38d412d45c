// Simplifies a trained network for inference: batch normalisation folded into the convolution or
// dense before it, dropout removed. The result is again plain data.
#ifndef SAC_NN_FOLD_H
#define SAC_NN_FOLD_H

#include "nn/params.h"

// For y = s * (conv(x) + b - mean) + beta with s = gamma / sqrt(var + epsilon): weight' = s *
// weight, bias' = s * (b - mean) + beta. A norm is folded when it
// is the only reader of its source and the source is no output. Nodes that share parameters, and
// the norms' too where these are folded, go on sharing.
// Outputs keep their names (a folded norm that is an output gives its
// name to the convolution).
SAC_NODISCARD sac_status sac_fold_net(sac_net **folded, const sac_net *net, sac_error *error);
// Computes the folded network's parameters from the original's; may be repeated after training
// steps.
SAC_NODISCARD sac_status sac_fold_params(sac_params *folded_params, const sac_net *folded,
                                         const sac_net *net, const sac_params *params,
                                         sac_error *error);

#endif
