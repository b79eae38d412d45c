# INTERFACE target saccade_onednn: oneDNN >= 3.1 (C API) from SACCADE_ONEDNN_DIR, from build/deps/onednn
# (where tools/setup unpacks it) or from the system, in this order. SACCADE_ONEDNN_BUNDLED tells the install
# rules that the library has to travel with ours. Debian's own CMake package is avoided on purpose: it asks
# for OpenCL headers that a CPU build does not need.

set(SACCADE_ONEDNN_BUNDLED OFF)
set(saccade_onednn_root "")
if(SACCADE_ONEDNN_DIR)
    set(saccade_onednn_root "${SACCADE_ONEDNN_DIR}")
elseif(EXISTS "${PROJECT_SOURCE_DIR}/build/deps/onednn/include/dnnl.h")
    set(saccade_onednn_root "${PROJECT_SOURCE_DIR}/build/deps/onednn")
endif()

if(saccade_onednn_root)
    find_path(saccade_onednn_include dnnl.h PATHS "${saccade_onednn_root}/include" NO_DEFAULT_PATH NO_CACHE)
    find_library(saccade_onednn_file dnnl PATHS "${saccade_onednn_root}/lib" NO_DEFAULT_PATH NO_CACHE)
    set(SACCADE_ONEDNN_BUNDLED ON)
else()
    find_path(saccade_onednn_include dnnl.h NO_CACHE)
    find_library(saccade_onednn_file dnnl NO_CACHE)
endif()

set(saccade_onednn_version "none")
foreach(header oneapi/dnnl/dnnl_version.h dnnl_version.h)
    if(saccade_onednn_include AND EXISTS "${saccade_onednn_include}/${header}")
        file(STRINGS "${saccade_onednn_include}/${header}" lines REGEX "^#define DNNL_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
        if(lines)
            string(REGEX MATCHALL "[0-9]+" numbers "${lines}")
            list(JOIN numbers "." saccade_onednn_version)
            break()
        endif()
    endif()
endforeach()

add_library(saccade_onednn INTERFACE)
if(saccade_onednn_file AND saccade_onednn_version VERSION_GREATER_EQUAL 3.1)
    message(STATUS "oneDNN ${saccade_onednn_version}: ${saccade_onednn_file}")
    add_library(saccade_onednn_library SHARED IMPORTED)
    set_target_properties(saccade_onednn_library PROPERTIES
        IMPORTED_LOCATION "${saccade_onednn_file}"
        INTERFACE_INCLUDE_DIRECTORIES "${saccade_onednn_include}")
    target_link_libraries(saccade_onednn INTERFACE saccade_onednn_library)
    # The library is built for GNU OpenMP; loading a second OpenMP run time beside it would double the threads.
    target_link_libraries(saccade_onednn INTERFACE saccade_openmp)
    if(NOT SACCADE_OPENMP)
        # Our code sets the thread count of the run time that oneDNN brings in.
        target_link_libraries(saccade_onednn INTERFACE gomp)
    endif()
elseif("nn" IN_LIST SACCADE_PARTS)
    message(FATAL_ERROR "oneDNN 3.1 or newer was not found (found: ${saccade_onednn_version} ${saccade_onednn_file}). "
        "Run tools/setup, which puts it into build/deps/onednn, or name a folder with include/ and lib/ by "
        "-DSACCADE_ONEDNN_DIR=FOLDER.")
endif()
