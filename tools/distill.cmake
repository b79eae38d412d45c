sac_tool(distill distill.c saccade_distill)
if(TARGET tool_distill)
    target_sources(tool_distill PRIVATE distill_display.c distill_options.c distill_results.c distill_stages.c)
endif()
