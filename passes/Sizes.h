// Replaces size symbols everywhere in a module.
#pragma once

#include "ir/Fr.h"

namespace flagrelease {

using SizeMap = std::map<std::string, DimExpr>;

/// Replaces symbols in the types of arguments, results and values, in declared states and in fr.size; a size that has become a
/// number turns static, an fr.size that has become one turns into a constant. Fails with a diagnostic when a size would become
/// negative or subtract a symbol: such a tensor has no meaning.
mlir::LogicalResult replaceSizes(mlir::ModuleOp module, const SizeMap &by);

/// Symbols that occur in types of the module, in alphabetical order.
std::vector<std::string> sizeSymbols(mlir::ModuleOp module);

} // namespace flagrelease
