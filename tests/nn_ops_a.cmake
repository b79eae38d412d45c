# Operators: pooling, adaptive pooling, upsampling, normalisations, dropout.
sac_test(nn_ops_a LIBS saccade_nn saccade_onednn)
sac_test(nn_ops_a_plan LIBS saccade_nn saccade_onednn TIMEOUT 240)
