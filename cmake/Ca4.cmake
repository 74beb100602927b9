# ca4_library(NAME SOURCES … DEPS …): a static library `ca4_NAME` of src/NAME, with the project's warnings.
# ca4_test(NAME SOURCES … DEPS …): a gtest program `NAME_test`, registered with ctest under the label "unit".
# ca4_server_test(NAME SOURCES … DEPS …): a gtest program `NAME_test` that needs a real server: the tests in tests/ start both.
# APART … of each: sources whose names in unnamed namespaces are those of other sources too. The sanitizers' builds and clang-tidy, which
# read several sources as one (CMAKE_UNITY_BUILD), and the tests' builds read these by themselves.
include_guard()

find_package(Threads REQUIRED)
if(SKBUILD)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
else()
  find_package(GTest REQUIRED)
endif()
find_package(PkgConfig REQUIRED)

add_library(ca4_flags INTERFACE)
target_compile_features(ca4_flags INTERFACE cxx_std_20)
target_compile_options(ca4_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror)
if(CA4_FUZZ)
  # Clang has the instrumentation; its warnings are others than GCC's, which every other build keeps.
  target_compile_options(ca4_flags INTERFACE -w -fsanitize=fuzzer-no-link)
endif()
target_include_directories(ca4_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/generated)
target_link_libraries(ca4_flags INTERFACE Threads::Threads)
# GCC takes every file of a unity build but the one that it was given for a header, where unnamed namespaces would be a mistake.
target_compile_options(ca4_flags INTERFACE -Wno-subobject-linkage)
if(CA4_SANITIZE)
  target_compile_options(ca4_flags INTERFACE -fsanitize=${CA4_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(ca4_flags INTERFACE -fsanitize=${CA4_SANITIZE})
  target_compile_definitions(ca4_flags INTERFACE CA4_SANITIZED=1)
  if(CA4_SANITIZE STREQUAL "thread")
    # ThreadSanitizer does not know fences. Asio's stand beside locks that order the same accesses.
    target_compile_definitions(ca4_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

# A Debian library by its pkg-config name; its headers count as system headers, so our warnings stay ours.
function(ca4_pkg TARGET PACKAGE)
  pkg_check_modules(${TARGET} REQUIRED IMPORTED_TARGET GLOBAL ${PACKAGE})
  add_library(ca4::${TARGET} ALIAS PkgConfig::${TARGET})
endfunction()

function(ca4_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;APART;DEPS" ${ARGN})
  add_library(ca4_${NAME} STATIC ${ARG_SOURCES} ${ARG_APART})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_link_libraries(ca4_${NAME} PUBLIC ca4_flags ${ARG_DEPS})
endfunction()

function(ca4_server_test NAME)
  if(SKBUILD)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;APART;DEPS" ${ARGN})
  add_executable(${NAME}_test ${ARG_SOURCES} ${ARG_APART})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_link_libraries(${NAME}_test PRIVATE ca4_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  # Nobody waits for a test's own code to run, but for gmock's headers and templates to be compiled: half of a build from nothing. Not -O0:
  # with it simdjson's objects have another layout.
  target_compile_options(${NAME}_test PRIVATE $<$<CONFIG:Release>:-O1>)
  if(NOT CMAKE_UNITY_BUILD)
    # A few sources at a time, so that a change of one is compiled soon.
    set_target_properties(${NAME}_test PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
  endif()
endfunction()

function(ca4_test NAME)
  if(SKBUILD)
    return()
  endif()
  ca4_server_test(${NAME} ${ARGN})
  add_test(NAME ${NAME} COMMAND ${NAME}_test)
  set_tests_properties(${NAME} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
