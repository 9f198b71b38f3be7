# The report's page: its own style and script, and the two libraries it is made with, bundled into voxgrad with their licences.
# One row each: asset, file, Debian package. What of the browser's policy needs a checksum gets it here, from the file's bytes.
set(report_rows
    "D3 nodejs/d3/dist/d3.min.js node-d3"
    "THREE javascript/three/three.min.js libjs-three"
    "D3_LICENCE doc/node-d3/copyright node-d3"
    "THREE_LICENCE doc/libjs-three/copyright libjs-three")

set(ASSET_STYLE_PATH ${CMAKE_SOURCE_DIR}/src/report/page/page.css)
set(ASSET_SCRIPT_PATH ${CMAKE_SOURCE_DIR}/src/report/page/page.js)
set(report_missing "")
foreach(row IN LISTS report_rows)
    separate_arguments(row)
    list(GET row 0 asset)
    list(GET row 1 file)
    list(GET row 2 package)
    find_file(ASSET_${asset}_PATH ${file} PATHS /usr/share NO_DEFAULT_PATH)
    mark_as_advanced(ASSET_${asset}_PATH)
    if(NOT ASSET_${asset}_PATH)
        list(APPEND report_missing ${package})
    endif()
endforeach()
if(report_missing)
    list(REMOVE_DUPLICATES report_missing)
    list(JOIN report_missing " " report_missing)
    message(FATAL_ERROR "The report's page is made with libraries that are not here. On Debian or Ubuntu: apt-get install ${report_missing}")
endif()

set(report_files "")
foreach(asset STYLE SCRIPT D3 THREE D3_LICENCE THREE_LICENCE)
    file(SHA256 ${ASSET_${asset}_PATH} ASSET_${asset}_SHA256)
    list(APPEND report_files ${ASSET_${asset}_PATH})
endforeach()
configure_file(cmake/report_assets.h.in ${CMAKE_BINARY_DIR}/generated/report_assets.h @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${report_files})
set_source_files_properties(src/report/assets.c PROPERTIES OBJECT_DEPENDS "${report_files}")
