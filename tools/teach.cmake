sac_tool(teach teach.c saccade_teachers saccade_eval saccade_video saccade_nn)
if(TARGET tool_teach)
    target_sources(tool_teach PRIVATE teach_options.c teach_presets.c)
endif()
