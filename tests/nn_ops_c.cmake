# Operators: slice, multiply, activations of imported networks, gradient reversal; padding of unequal sides, dilation.
sac_test(nn_ops_c LIBS saccade_nn saccade_onednn TIMEOUT 300)
