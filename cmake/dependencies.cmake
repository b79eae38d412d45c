# Targets for the libraries of others: saccade_jansson, saccade_ffmpeg, saccade_cairo, saccade_protobuf_c, saccade_matio,
# saccade_openmp, saccade_onednn. Each is found on this machine; nothing is downloaded here.

function(sac_pkg_config target)
    add_library(${target} INTERFACE)
    pkg_check_modules(${target}_pc IMPORTED_TARGET ${ARGN})
    if(NOT ${target}_pc_FOUND)
        string(REPLACE ";" ", " wanted "${ARGN}")
        message(FATAL_ERROR "Not found by pkg-config: ${wanted}. Run tools/setup, which installs what the build needs.")
    endif()
    target_link_libraries(${target} INTERFACE PkgConfig::${target}_pc)
endfunction()

sac_pkg_config(saccade_jansson jansson>=2.11)
# The libraries of FFmpeg 5.1.
sac_pkg_config(saccade_ffmpeg libavformat>=59.27 libavcodec>=59.37 libavutil>=57.28 libswscale>=6.7)
# Capture devices are loaded when one is opened, see video/ffmpeg.h: only the header is needed here.
pkg_check_modules(saccade_avdevice libavdevice>=59.7)
if(NOT saccade_avdevice_FOUND)
    message(FATAL_ERROR "Not found by pkg-config: libavdevice>=59.7. Run tools/setup, which installs what the build needs.")
endif()
target_include_directories(saccade_ffmpeg INTERFACE ${saccade_avdevice_INCLUDE_DIRS})
target_link_libraries(saccade_ffmpeg INTERFACE ${CMAKE_DL_LIBS})
sac_pkg_config(saccade_cairo cairo>=1.16)

# Reads .mat files; HDF5 is underneath it for format 7.3, zlib for the check of format 5.
sac_pkg_config(saccade_matio matio>=1.5.17 zlib)

# Reads ONNX files: the run-time in C, and the compiler of nn/onnx.proto.
sac_pkg_config(saccade_protobuf_c libprotobuf-c>=1.3)
find_program(SACCADE_PROTOC_C protoc-c)
if(NOT SACCADE_PROTOC_C)
    message(FATAL_ERROR "protoc-c is missing. Run tools/setup, which installs what the build needs.")
endif()

add_library(saccade_math INTERFACE)
target_link_libraries(saccade_math INTERFACE m)

add_library(saccade_openmp INTERFACE)
if(SACCADE_OPENMP)
    find_package(OpenMP REQUIRED COMPONENTS C)
    target_link_libraries(saccade_openmp INTERFACE OpenMP::OpenMP_C)
endif()

include(onednn)
