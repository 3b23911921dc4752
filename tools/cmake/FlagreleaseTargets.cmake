# How every target of the tree is built: one place for warnings, include root and the precompiled header.

add_library(flagrelease_options INTERFACE)
target_include_directories(flagrelease_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_include_directories(flagrelease_options SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
# Bit-equal results on every machine: no contraction to FMA anywhere (docs/rationale.md).
target_compile_options(flagrelease_options INTERFACE -Wall -Wextra -Wno-unused-parameter -ffp-contract=off -fno-math-errno)
target_compile_definitions(flagrelease_options INTERFACE ${LLVM_DEFINITIONS})

# flagrelease_library(NAME SOURCES... [LINK targets...])
function(flagrelease_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC flagrelease_options ${ARG_LINK})
endfunction()

# flagrelease_test(NAME SOURCES... [LINK targets...]): a Catch2 program, one ctest entry.
function(flagrelease_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE flagrelease_options ${ARG_LINK} flagrelease_catch_main)
  target_compile_definitions(${name} PRIVATE FLAGRELEASE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" FLAGRELEASE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()
