# What a Debian package of ca4 holds, and how CPack makes it: `make package`.
include_guard()
include(GNUInstallDirs)

set(package ${CMAKE_SOURCE_DIR}/deploy/package)
# Whoever publishes packages puts an address of theirs here.
set(contact "The CA4 authors <maintainers@ca4.invalid>")
set(pages ${CMAKE_INSTALL_DATADIR}/doc/ca4)

install(TARGETS ca4 RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
file(GLOB units ${CMAKE_SOURCE_DIR}/deploy/systemd/*.service)
install(FILES ${units} DESTINATION /lib/systemd/system)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/deploy/systemd/ca4-.service.d DESTINATION /lib/systemd/system)
install(FILES ${package}/ca4.toml DESTINATION /etc/ca4)
file(GLOB documents ${CMAKE_SOURCE_DIR}/docs/*.md)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/CHANGELOG.md ${documents} ${package}/copyright DESTINATION ${pages})

# Written by the program itself, or packed as Debian wants them: without a time, so that the same input gives the same package.
install(CODE "
  set(made \"${CMAKE_BINARY_DIR}/package\")
  file(MAKE_DIRECTORY \${made})
  foreach(shell bash zsh)
    execute_process(COMMAND $<TARGET_FILE:ca4> completion \${shell} OUTPUT_FILE \${made}/\${shell} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  execute_process(COMMAND gzip -9cn ${package}/ca4.1 OUTPUT_FILE \${made}/ca4.1.gz COMMAND_ERROR_IS_FATAL ANY)
  # The time of SOURCE_DATE_EPOCH, where it is set.
  string(TIMESTAMP now \"%a, %d %b %Y %H:%M:%S +0000\" UTC)
  set(entry \"ca4 (${PROJECT_VERSION}) unstable; urgency=medium\\n\\n  * See CHANGELOG.md beside this.\\n\\n -- ${contact}  \${now}\\n\")
  file(WRITE \${made}/changelog \"\${entry}\")
  execute_process(COMMAND gzip -9cn \${made}/changelog OUTPUT_FILE \${made}/changelog.gz COMMAND_ERROR_IS_FATAL ANY)
")
install(FILES ${CMAKE_BINARY_DIR}/package/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ca4)
install(FILES ${CMAKE_BINARY_DIR}/package/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _ca4)
install(FILES ${CMAKE_BINARY_DIR}/package/ca4.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/package/changelog.gz DESTINATION ${pages})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ca4)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "${contact}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "pipeline for image embeddings and GPU metadata")
set(CPACK_PACKAGE_DESCRIPTION
"CA4 takes image embeddings and hardware metadata from GPUs that come and go
to a searchable store, and loses none: one program that embeds, accepts,
stores and searches, on a folder, or on Kafka, MongoDB and S3.")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_SOURCE_DIR}/build/package)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
# As in every Debian package, whatever the mask of who builds it.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
# The libraries come from what is linked, by dpkg-shlibdeps.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, openssh-client")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${package}/conffiles ${package}/postinst ${package}/prerm ${package}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
