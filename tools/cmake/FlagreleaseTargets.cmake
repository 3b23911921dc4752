# How every target of the tree is built: one place for warnings, include root and the precompiled header.

add_library(flagrelease_options INTERFACE)
target_include_directories(flagrelease_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_include_directories(flagrelease_options SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
# Bit-equal results on every machine: no contraction to FMA anywhere (docs/rationale.md).
target_compile_options(flagrelease_options INTERFACE -Wall -Wextra -Wno-unused-parameter -ffp-contract=off -fno-math-errno)
target_compile_definitions(flagrelease_options INTERFACE ${LLVM_DEFINITIONS})

# MLIR's headers take seconds to parse; they are parsed once. ccache needs to be told that a precompiled header is safe.
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES ccache)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ccache)
endif()
file(WRITE ${PROJECT_BINARY_DIR}/mlir_pch.cpp "")
add_library(flagrelease_mlir_pch STATIC ${PROJECT_BINARY_DIR}/mlir_pch.cpp)
target_link_libraries(flagrelease_mlir_pch PUBLIC flagrelease_options)
target_compile_options(flagrelease_mlir_pch PUBLIC "SHELL:-Xclang -fno-pch-timestamp")
target_precompile_headers(flagrelease_mlir_pch PRIVATE
  <algorithm> <cmath> <map> <memory> <optional> <set> <string> <vector>
  <mlir/Bytecode/BytecodeOpInterface.h> <mlir/Dialect/Func/IR/FuncOps.h> <mlir/IR/Builders.h> <mlir/IR/BuiltinOps.h> <mlir/IR/BuiltinTypes.h>
  <mlir/IR/Dialect.h> <mlir/IR/OpImplementation.h> <mlir/IR/PatternMatch.h> <mlir/IR/SymbolTable.h> <mlir/IR/Verifier.h>
  <mlir/Interfaces/InferTypeOpInterface.h> <mlir/Interfaces/SideEffectInterfaces.h> <mlir/Pass/Pass.h>)

# flagrelease_library(NAME [USES_MLIR] SOURCES... [LINK targets...]): USES_MLIR says that the sources include MLIR's headers.
function(flagrelease_library name)
  cmake_parse_arguments(ARG "USES_MLIR" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC flagrelease_options ${ARG_LINK})
  if(ARG_USES_MLIR)
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:flagrelease_mlir_pch>)
    target_precompile_headers(${name} REUSE_FROM flagrelease_mlir_pch)
  endif()
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
