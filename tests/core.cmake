foreach(unit status memory rng file json csv ranges npy)
    sac_test(core_${unit} LIBS saccade_core)
endforeach()
