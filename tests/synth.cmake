sac_test(synth LIBS saccade_video TIMEOUT 240)
sac_test(synth_write LIBS saccade_dataset TIMEOUT 240)
sac_cli_test(synth TOOLS synth)
