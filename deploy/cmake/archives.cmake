# gRPC, protobuf, Abseil, re2, upb, c-ares and zlib from their archives (.a). What Debian exports are the shared ones; the
# archives lie beside them. The C and C++ libraries and OpenSSL stay shared: a security update of those needs no new
# build.
get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target ${imported})
  if(NOT target MATCHES "^(gRPC|protobuf|absl|re2|c-ares|ZLIB)::")
    continue()
  endif()
  get_target_property(type ${target} TYPE)
  if(type MATCHES "^(INTERFACE_LIBRARY|EXECUTABLE|STATIC_LIBRARY)$")
    continue()
  endif()
  get_target_property(shared ${target} LOCATION)
  string(REGEX REPLACE "\\.so[.0-9]*$" ".a" archive "${shared}")
  if(target STREQUAL "gRPC::grpc_plugin_support" OR target STREQUAL "protobuf::libprotoc")
    continue()  # Of the generators only.
  endif()
  if(NOT EXISTS "${archive}")
    message(FATAL_ERROR "TRANSPORTD_STATIC_GRPC: ${target} has no archive ${archive}")
  endif()
  get_target_property(configurations ${target} IMPORTED_CONFIGURATIONS)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${archive})
  foreach(configuration ${configurations})
    if(configuration)
      set_target_properties(${target} PROPERTIES IMPORTED_LOCATION_${configuration} ${archive})
    endif()
  endforeach()
endforeach()
# Of re2 there is no target with a file: it is this variable here (server/policy), and a name alone in gRPC's.
find_library(RE2_LIBRARY libre2.a REQUIRED)
set_target_properties(re2::re2 PROPERTIES INTERFACE_LINK_LIBRARIES ${RE2_LIBRARY})

# What a program is made of, for its bill of materials: deploy/docker/sbom reads the archives from the linker's map.
add_link_options(LINKER:-Map=$<TARGET_PROPERTY:NAME>.map)
