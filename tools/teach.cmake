sac_tool(teach teach.c saccade_teachers saccade_eval saccade_video saccade_nn)
