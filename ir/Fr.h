// The `fr` dialect in C++: ops, attributes, and the types with named sizes. Definitions in FrOps.td.
#pragma once

#include "ir/DType.h"
#include "ir/DimExpr.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "ir/FrEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "ir/FrAttrs.h.inc"

#include "ir/FrDialect.h.inc"

namespace flagrelease {
/// False for a type with a dynamic size that #fr.dims does not name: no `fr` op takes one.
bool hasNamedSizes(mlir::Type type);
} // namespace flagrelease

namespace flagrelease::fr {
class GetOp;
} // namespace flagrelease::fr

#define GET_OP_CLASSES
#include "ir/FrOps.h.inc"

namespace flagrelease {

/// A ranked tensor type; sizes that are not static are named by #fr.dims in its encoding.
mlir::RankedTensorType tensorType(llvm::ArrayRef<DimExpr> dims, mlir::Type element);
/// The sizes of a type made by tensorType. A dynamic size without a name is an unusable type: asserts.
DimExprs dimsOf(mlir::Type type);
inline int64_t rankOf(mlir::Type type) { return mlir::cast<mlir::RankedTensorType>(type).getRank(); }
inline mlir::Type elementOf(mlir::Type type) { return mlir::cast<mlir::RankedTensorType>(type).getElementType(); }

/// Element types of checkpoints and of MLIR. E8M0 and the unsigned types have no signless twin: they map to ui types and u8.
mlir::Type mlirType(DType type, mlir::MLIRContext *context);
std::optional<DType> dtypeOf(mlir::Type element);

/// The names of the symbol tables and of the entry function.
inline constexpr llvm::StringLiteral kSourceTable = "source";
inline constexpr llvm::StringLiteral kMainFunction = "main";
/// Attribute of arguments and results of functions: the name users see.
inline constexpr llvm::StringLiteral kNameAttr = "fr.name";
/// Attributes of arguments: the least and the largest number that checks put in (array<f64>), or the numbers themselves.
inline constexpr llvm::StringLiteral kRangeAttr = "fr.range", kExampleAttr = "fr.example";

} // namespace flagrelease
