// The dialect `onnx` in C++. Definitions in OnnxOps.td. The namespace is onnx_ir because `onnx` is that of the protobuf classes.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/onnx/OnnxDialect.h.inc"

#define GET_OP_CLASSES
#include "ir/onnx/OnnxOps.h.inc"

#include <optional>
#include <string>

namespace flagrelease::onnx_ir {

/// Attribute of the module: the opset of each domain, {ai.onnx = 17 : i64}.
inline constexpr llvm::StringLiteral kOpsetAttr = "onnx.opset";

/// The opset of a domain in the module that holds `op`; nullopt when the module states none.
std::optional<int64_t> opsetOf(mlir::Operation *op, llvm::StringRef domain);

/// "f32", "i1", "ui8", "f8e4m3fn": as the schema table spells element types; empty when ONNX has no such type.
llvm::StringRef elementTypeName(mlir::Type element);
/// TensorProto.DataType of onnx.proto: 1 for f32, 16 for bf16; 0 when ONNX has no such type.
int32_t elementTypeNumber(mlir::Type element);

/// The largest constant of a graph in bytes; anything larger is a param.
inline constexpr int64_t kMaxConstantBytes = int64_t(1) << 20;

} // namespace flagrelease::onnx_ir
