sac_tool(synth synth.c saccade_bench)
