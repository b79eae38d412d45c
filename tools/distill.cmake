sac_tool(distill distill.c saccade_distill)
