// One file per block, one table of all. A block's schema is the documentation of its parameters.
#pragma once

#include "importers/huggingface/GraphBuilder.h"

#include "llvm/ADT/STLFunctionalExtras.h"

namespace flagrelease {

extern const StepSchema kAttentionSchema, kMlpSchema, kEmbedSchema, kRmsNormSchema, kLayerNormSchema, kLinearSchema,
    kLmHeadSchema, kPoolSchema, kL2NormSchema, kChoiceScoreSchema, kPositionsSchema;

using BlockResult = FailureOr<llvm::SmallVector<mlir::Value>>;
BlockResult buildAttention(BlockContext &context);
BlockResult buildMlp(BlockContext &context);
BlockResult buildEmbed(BlockContext &context);
BlockResult buildRmsNorm(BlockContext &context);
BlockResult buildLayerNorm(BlockContext &context);
BlockResult buildLinear(BlockContext &context);
BlockResult buildLmHead(BlockContext &context);
BlockResult buildPool(BlockContext &context);
BlockResult buildPositions(BlockContext &context);
BlockResult buildL2Norm(BlockContext &context);
BlockResult buildChoiceScore(BlockContext &context);

/// Steps with tables of their own: one per file.
llvm::ArrayRef<StepBlock> shapeSteps();
llvm::ArrayRef<StepBlock> mathSteps();
llvm::ArrayRef<StepBlock> convolutionSteps();
llvm::ArrayRef<StepBlock> headSteps();
llvm::ArrayRef<StepBlock> stateSteps();
llvm::ArrayRef<StepBlock> expertSteps();
/// Schemas and builders side by side.
template <size_t N> std::vector<StepBlock> stepTable(const StepSchema (&schemas)[N], const BlockFunction (&builders)[N]) {
  std::vector<StepBlock> table;
  for (size_t i = 0; i < N; ++i)
    table.push_back({&schemas[i], builders[i]});
  return table;
}

/// An activation by its name in config.json (`hidden_act`); the names are transformers' ACT2FN.
FailureOr<mlir::Value> activation(BlockContext &context, StringRef name, mlir::Value x, const Place &place);
/// The names that activation() knows, for schemas and messages.
llvm::ArrayRef<StringRef> activationNames();

/// Rotary tables (cos, sin) for `positions` (null: the input `position_ids`), from the keys theta, scaling, dim, angles and
/// factor of a step or of its mapping `rope`; `find` looks one up.
FailureOr<std::pair<mlir::Value, mlir::Value>>
ropeTables(BlockContext &context, llvm::function_ref<const Param *(StringRef)> find, int64_t headDim, mlir::Value positions = {});
extern const llvm::ArrayRef<ParamSchema> kRopeParams;

} // namespace flagrelease
