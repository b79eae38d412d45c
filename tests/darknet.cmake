# Darknet networks: the importer and detectors made of them.
sac_test(nn_darknet LIBS saccade_nn saccade_onednn)
sac_fuzz(darknet_cfg LIBS saccade_nn)
sac_fuzz(darknet_weights LIBS saccade_nn)
sac_fuzz(class_names LIBS saccade_teachers)
sac_test(teachers_network LIBS saccade_teachers TIMEOUT 240)
sac_cli_test(teach_network TOOLS teach synth TIMEOUT 300)
