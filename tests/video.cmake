foreach(unit scale source luma damage picture)
    sac_test(video_${unit} LIBS saccade_video saccade_core SOURCES video_make.c)
    if(TARGET test_video_${unit})
        # The tests encode pictures of kinds that the product only reads.
        target_link_libraries(test_video_${unit} PRIVATE saccade_ffmpeg)
    endif()
endforeach()

foreach(unit dataset layouts)
    sac_test(video_${unit} LIBS saccade_dataset saccade_mat saccade_matio SOURCES video_make.c)
    if(TARGET test_video_${unit})
        target_link_libraries(test_video_${unit} PRIVATE saccade_ffmpeg)
    endif()
endforeach()

sac_fuzz(picture LIBS saccade_video saccade_ffmpeg SECONDS 4)
sac_fuzz(video LIBS saccade_video saccade_ffmpeg SECONDS 6)
sac_test(video_flow LIBS saccade_video saccade_core SOURCES flow_scenes.c)

# One data set in every layout, for the CLI test of the tools.
if(TARGET saccade_dataset)
    add_executable(tool_make-layouts make_layouts.c)
    set_target_properties(tool_make-layouts PROPERTIES OUTPUT_NAME make-layouts RUNTIME_OUTPUT_DIRECTORY "${SACCADE_TEST_BIN}")
    target_link_libraries(tool_make-layouts PRIVATE saccade_dataset saccade_matio)
endif()
sac_cli_test(layouts TOOLS teach distill student-bench student-calibrate synth make-model make-layouts TIMEOUT 600)
sac_cli_test(damaged_clips TOOLS teach distill student-bench student-calibrate student-run synth make-model TIMEOUT 300)
