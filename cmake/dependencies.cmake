# What voxgrad stands on. One row each: pkg-config module (or -lLIBRARY/HEADER where a package brings none), Debian package. A|B: the first
# that is there; Debian and Ubuntu call by their own names what modules and Spack bring.
# Sets VOXGRAD_DEPENDENCIES (imported targets).
# Used by the build and, installed, by find_package(voxgrad).
set(voxgrad_rows
    "openblas libopenblas-dev"
    "lapacke|openblas liblapacke-dev"
    "hdf5-openmpi|hdf5 libhdf5-openmpi-dev"
    "libpcre2-8 libpcre2-dev"
    "libutf8proc libutf8proc-dev"
    "jansson libjansson-dev"
    "libfyaml libfyaml-dev"
    "zlib zlib1g-dev"
    "expat libexpat1-dev"
    "-lgiftiio/gifti_io.h libgiftiio-dev"
    "-lnifti2/nifti2_io.h libnifti2-dev"
    "-lznz/znzlib.h libznz-dev")

set(VOXGRAD_DEPENDENCIES "")
set(VOXGRAD_REQUIRES "") # their modules, for voxgrad.pc
set(voxgrad_missing "")
find_package(PkgConfig)
if(NOT PkgConfig_FOUND)
    message(FATAL_ERROR "pkg-config is missing. On Debian or Ubuntu: apt-get install pkg-config")
endif()
foreach(row IN LISTS voxgrad_rows)
    separate_arguments(row)
    list(GET row 0 module)
    list(GET row 1 package)
    string(REGEX REPLACE "[|].*" "" name ${module}) # PkgConfig::NAME is called by the first, whichever is there
    string(MAKE_C_IDENTIFIER ${name} name)
    if(module MATCHES "^-l(.*)/(.*)$")
        set(library ${CMAKE_MATCH_1})
        find_library(VOXGRAD_${library}_LIBRARY ${library})
        find_path(VOXGRAD_${library}_INCLUDE ${CMAKE_MATCH_2} PATH_SUFFIXES nifti gifti)
        mark_as_advanced(VOXGRAD_${library}_LIBRARY VOXGRAD_${library}_INCLUDE)
        if(VOXGRAD_${library}_LIBRARY AND VOXGRAD_${library}_INCLUDE)
            add_library(voxgrad_${library} INTERFACE IMPORTED GLOBAL)
            target_link_libraries(voxgrad_${library} INTERFACE ${VOXGRAD_${library}_LIBRARY})
            target_include_directories(voxgrad_${library} SYSTEM INTERFACE ${VOXGRAD_${library}_INCLUDE})
            list(APPEND VOXGRAD_DEPENDENCIES voxgrad_${library})
        else()
            list(APPEND voxgrad_missing ${package})
        endif()
        continue()
    endif()
    string(REPLACE "|" ";" names ${module})
    pkg_search_module(${name} QUIET IMPORTED_TARGET GLOBAL ${names})
    if(${name}_FOUND)
        list(APPEND VOXGRAD_REQUIRES ${${name}_MODULE_NAME})
        list(APPEND VOXGRAD_DEPENDENCIES PkgConfig::${name})
    else()
        list(APPEND voxgrad_missing ${package})
    endif()
endforeach()
find_package(MPI QUIET COMPONENTS C)
if(MPI_C_FOUND)
    list(APPEND VOXGRAD_DEPENDENCIES MPI::MPI_C)
else()
    list(APPEND voxgrad_missing libopenmpi-dev openmpi-bin)
endif()
find_package(OpenMP QUIET COMPONENTS C)
if(OpenMP_C_FOUND)
    list(APPEND VOXGRAD_DEPENDENCIES OpenMP::OpenMP_C)
else()
    list(APPEND voxgrad_missing libgomp1)
endif()
if(voxgrad_missing)
    list(JOIN voxgrad_missing " " voxgrad_missing)
    message(FATAL_ERROR "voxgrad needs libraries that are not here. On Debian or Ubuntu: apt-get install ${voxgrad_missing}")
endif()
