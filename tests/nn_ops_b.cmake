# Losses, the optimiser and the operators dense, matmul, activations, softmax, add, concat, reshape, permute.
sac_test(nn_loss LIBS saccade_nn saccade_openmp)
sac_test(nn_optim LIBS saccade_nn saccade_openmp)
sac_test(nn_roofline LIBS saccade_nn)
sac_test(nn_ops_b LIBS saccade_nn saccade_onednn TIMEOUT 300)
sac_test(nn_ops_views LIBS saccade_nn saccade_onednn)
