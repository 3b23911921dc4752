// What attention blocks share: heads out of features, and softmax(scale q k^T + mask) v with its options.
#pragma once

#include "importers/huggingface/blocks/Blocks.h"

namespace flagrelease {

/// [B, S, count * dim] to [B, count, S, dim], and back.
mlir::Value splitHeads(BlockContext &context, mlir::Value x, int64_t count, int64_t dim);
mlir::Value mergeHeads(BlockContext &context, mlir::Value heads);

/// The parameters of a step that say who sees whom (kAttendParams).
struct AttendOptions {
  bool causal = true, cache = true, twoSided = false;
  std::optional<int64_t> window, chunk, cacheLayer;
  std::optional<double> scale, softcap;
  mlir::Value bias;    ///< added to the scores
  mlir::Value sinks;   ///< [n]
  mlir::Value mask;    ///< i1: what it hides stays hidden
  mlir::Value alsoSee; ///< i1: what it shows is seen, if the key is no padding
  mlir::Value padding; ///< i64 [B, T]; null: all keys are real
};
FailureOr<AttendOptions> attendOptions(BlockContext &context);
/// Heads [B, n, S, d], [B, k, T, d], [B, k, T, dv] to [B, n, S, dv].
FailureOr<mlir::Value> attend(BlockContext &context, mlir::Value q, mlir::Value k, mlir::Value v, const AttendOptions &options);

extern const llvm::ArrayRef<ParamSchema> kAttendParams;

} // namespace flagrelease
