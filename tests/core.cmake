foreach(unit status memory spill rng file json csv ranges spans npy safetensors options text time)
    sac_test(core_${unit} LIBS saccade_core)
endforeach()

add_executable(tool_probe tool_probe.c)
set_target_properties(tool_probe PROPERTIES OUTPUT_NAME tool-probe RUNTIME_OUTPUT_DIRECTORY "${SACCADE_TEST_BIN}")
target_link_libraries(tool_probe PRIVATE saccade_tool)
sac_cli_test(core_tool)
sac_cli_test(public_headers)

foreach(format npy safetensors csv ranges spans config)
    sac_fuzz(${format} LIBS saccade_core SECONDS 3)
endforeach()

if(TARGET saccade)
    # Slow: a program linked to a sanitized library would need the sanitizer too, so this runs in the release build.
    sac_cli_test(install LABELS slow TIMEOUT 180)
else()
    sac_skip_test(cli_install "libsaccade is not built")
endif()

# Tests write their .mat files with libmatio.
sac_test(core_mat LIBS saccade_mat saccade_matio)
sac_fuzz(mat LIBS saccade_mat SECONDS 3)
