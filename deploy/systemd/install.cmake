# Run by cmake --install and cpack, which say CMAKE_INSTALL_PREFIX; TRANSPORTD_SYSTEMD is this folder. The files name
# their places as they are for /usr, and here as they are for the prefix.
if(CMAKE_INSTALL_PREFIX MATCHES "^/usr(/local)?/?$")
  set(etc /etc/transportd)
else()
  set(etc ${CMAKE_INSTALL_PREFIX}/etc/transportd)
endif()

function(install_file name to)
  file(READ ${TRANSPORTD_SYSTEMD}/${name} text)
  string(REPLACE /etc/transportd ${etc} text "${text}")
  string(REPLACE /usr/bin/ ${CMAKE_INSTALL_PREFIX}/bin/ text "${text}")
  message(STATUS "Installing: $ENV{DESTDIR}${to}")
  file(WRITE $ENV{DESTDIR}${to} "${text}")
  file(CHMOD $ENV{DESTDIR}${to} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

install_file(transportd.service ${CMAKE_INSTALL_PREFIX}/lib/systemd/system/transportd.service)
install_file(transportd.sysusers ${CMAKE_INSTALL_PREFIX}/lib/sysusers.d/transportd.conf)
# What the administrator has changed stays.
foreach(name transportd.conf policy.txtpb)
  if(EXISTS $ENV{DESTDIR}${etc}/${name})
    message(STATUS "Stays as it is: $ENV{DESTDIR}${etc}/${name}")
  else()
    install_file(${name} ${etc}/${name})
  endif()
endforeach()
