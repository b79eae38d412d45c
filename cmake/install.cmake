# libsaccade: the runtime, the video source and the metrics as one shared library with the public headers, a CMake package
# and a pkg-config file. No training code: teachers and distillation stay in the tools. Symbols are hidden unless a
# public header marks them SAC_API. When oneDNN came from tools/setup it travels along, found relative to the library.

set(saccade_private_libdir "${CMAKE_INSTALL_LIBDIR}/saccade")
if(SACCADE_ONEDNN_BUNDLED)
    file(RELATIVE_PATH saccade_bin_to_private "/${CMAKE_INSTALL_BINDIR}" "/${saccade_private_libdir}")
    set(SACCADE_TOOL_RPATH "$ORIGIN/${saccade_bin_to_private}")
endif()

set(saccade_parts "")
foreach(part core eval video student)
    if(TARGET saccade_${part})
        list(APPEND saccade_parts saccade_${part})
    endif()
endforeach()

if(TARGET saccade_core AND TARGET saccade_student AND TARGET saccade_video AND TARGET saccade_eval AND TARGET saccade_nn)
    file(WRITE "${PROJECT_BINARY_DIR}/generated/saccade.c" "// Everything comes from the static libraries.\n")
    add_library(saccade SHARED "${PROJECT_BINARY_DIR}/generated/saccade.c")
    set_target_properties(saccade PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
    foreach(part IN LISTS saccade_parts)
        # Whole archives, or functions that nothing inside calls would be missing; what nobody can reach goes again.
        target_link_options(saccade PRIVATE "LINKER:--whole-archive,$<TARGET_FILE:${part}>,--no-whole-archive")
        set_property(TARGET saccade APPEND PROPERTY LINK_DEPENDS "$<TARGET_FILE:${part}>")
    endforeach()
    target_link_options(saccade PRIVATE LINKER:--gc-sections)
    if(NOT SACCADE_SANITIZE)
        target_link_options(saccade PRIVATE LINKER:-z,defs)
    endif()
    target_link_libraries(saccade PRIVATE ${saccade_parts})
    if(SACCADE_ONEDNN_BUNDLED)
        set_target_properties(saccade PROPERTIES INSTALL_RPATH "$ORIGIN/saccade")
    endif()

    include(CMakePackageConfigHelpers)
    set(saccade_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/saccade")
    set(SACCADE_LIBRARY "${CMAKE_INSTALL_LIBDIR}/libsaccade.so.${PROJECT_VERSION}")
    configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/saccade-config.cmake.in"
        "${PROJECT_BINARY_DIR}/generated/saccade-config.cmake"
        INSTALL_DESTINATION "${saccade_package_dir}" PATH_VARS SACCADE_LIBRARY CMAKE_INSTALL_INCLUDEDIR)
    # Below 1.0 a minor release may change the interface.
    write_basic_package_version_file("${PROJECT_BINARY_DIR}/generated/saccade-config-version.cmake"
        VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
    # Relative to the .pc file, so that an installed tree can be moved.
    file(RELATIVE_PATH SACCADE_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    configure_file("${PROJECT_SOURCE_DIR}/cmake/saccade.pc.in" "${PROJECT_BINARY_DIR}/generated/saccade.pc" @ONLY)

    install(TARGETS saccade LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
    install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/saccade" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h")
    install(FILES "${PROJECT_BINARY_DIR}/generated/saccade-config.cmake"
        "${PROJECT_BINARY_DIR}/generated/saccade-config-version.cmake" DESTINATION "${saccade_package_dir}")
    install(FILES "${PROJECT_BINARY_DIR}/generated/saccade.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
    install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/saccade")
    if(SACCADE_ONEDNN_BUNDLED)
        get_filename_component(saccade_onednn_folder "${saccade_onednn_file}" DIRECTORY)
        file(GLOB saccade_onednn_files "${saccade_onednn_folder}/libdnnl.so.*")
        install(FILES ${saccade_onednn_files} DESTINATION "${saccade_private_libdir}")
        install(DIRECTORY "${saccade_onednn_root}/share/doc/" DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/saccade/onednn"
            OPTIONAL)
    endif()
endif()
