sac_test(nn_plan LIBS saccade_nn saccade_onednn TIMEOUT 300)
sac_test(nn_net LIBS saccade_nn)
sac_test(nn_quant LIBS saccade_nn saccade_onednn)
sac_test(nn_int8 LIBS saccade_nn saccade_onednn TIMEOUT 240)
