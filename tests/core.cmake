sac_test(core_rng LIBS saccade_core)
