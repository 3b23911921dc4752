// Deliberate mistakes, one at a time: whether the validator catches each and names the right layer is its mutation score.
#pragma once

#include "ir/Fr.h"

namespace flagrelease {

struct Mutation {
  llvm::StringLiteral kind;
  llvm::StringLiteral what;
  /// What a case list must hold to catch it: anything, a call of several tokens, a call with a cache, or a padded row.
  enum class Seen { Always, WithPrefill, WithCache, WithPadding } seen;
};

/// All kinds, in the order of the table in the docs.
llvm::ArrayRef<Mutation> mutations();

/// Applies `kind` to one layer of the module. `tensor` names a param for kinds that change one; it may then lie outside layers.
/// Emits a diagnostic and fails on an unknown kind or layer, and when the layer has nothing to mutate.
mlir::LogicalResult mutate(mlir::ModuleOp module, llvm::StringRef kind, int64_t layer, llvm::StringRef tensor = "");

} // namespace flagrelease
