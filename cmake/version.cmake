# Target saccade_version: writes generated/version.h with the project version and the git commit at every
# build, touching the file only when it changed. Run as a script (-P) it is that writer.

if(CMAKE_SCRIPT_MODE_FILE)
    set(commit "")
    find_program(git git)
    if(git AND EXISTS "${SOURCE}/.git")
        execute_process(COMMAND "${git}" -C "${SOURCE}" describe --always --dirty --abbrev=12 --exclude=*
            OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
        if(failed)
            set(commit "")
        endif()
    endif()
    set(text "// Written by cmake/version.cmake.\n#define SAC_VERSION \"${VERSION}\"\n#define SAC_COMMIT \"${commit}\"\n")
    set(before "")
    if(EXISTS "${OUTPUT}")
        file(READ "${OUTPUT}" before)
    endif()
    if(NOT before STREQUAL text)
        file(WRITE "${OUTPUT}" "${text}")
    endif()
    return()
endif()

set(SACCADE_GENERATED_DIR "${PROJECT_BINARY_DIR}/generated")
add_custom_target(saccade_version
    COMMAND "${CMAKE_COMMAND}" -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
        -DOUTPUT=${SACCADE_GENERATED_DIR}/version.h -P "${PROJECT_SOURCE_DIR}/cmake/version.cmake"
    BYPRODUCTS "${SACCADE_GENERATED_DIR}/version.h"
    COMMENT "")
