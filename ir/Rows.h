// Rows of a weight in another order, as ops inside a param.
#pragma once

#include "ir/Fr.h"

namespace flagrelease::fr {

/// The first dimension of `value` is split into axes of `sizes`, axis j of the result is axis `permutation[j]`, and the axes
/// become one dimension again. What is in a row does not matter: numbers, or the bytes of blocks.
mlir::Value shuffleRows(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value, llvm::ArrayRef<int64_t> sizes,
                        llvm::ArrayRef<int64_t> permutation);

} // namespace flagrelease::fr
