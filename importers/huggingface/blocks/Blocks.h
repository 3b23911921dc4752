// One file per block, one table of all. A block's schema is the documentation of its parameters.
#pragma once

#include "importers/huggingface/GraphBuilder.h"

namespace flagrelease {

extern const StepSchema kAttentionSchema, kMlpSchema, kEmbedSchema, kRmsNormSchema, kLayerNormSchema, kLinearSchema,
    kLmHeadSchema, kPoolSchema, kL2NormSchema, kChoiceScoreSchema;

using BlockResult = FailureOr<llvm::SmallVector<mlir::Value>>;
BlockResult buildAttention(BlockContext &context);
BlockResult buildMlp(BlockContext &context);
BlockResult buildEmbed(BlockContext &context);
BlockResult buildRmsNorm(BlockContext &context);
BlockResult buildLayerNorm(BlockContext &context);
BlockResult buildLinear(BlockContext &context);
BlockResult buildLmHead(BlockContext &context);
BlockResult buildPool(BlockContext &context);
BlockResult buildL2Norm(BlockContext &context);
BlockResult buildChoiceScore(BlockContext &context);

/// An activation by its name in config.json (`hidden_act`); the names are transformers' ACT2FN.
FailureOr<mlir::Value> activation(BlockContext &context, StringRef name, mlir::Value x, const Place &place);
/// The names that activation() knows, for schemas and messages.
llvm::ArrayRef<StringRef> activationNames();

/// Rotary tables (cos, sin) for `position_ids`, from the mapping `rope: {theta, scaling, dim}` of a step.
FailureOr<std::pair<mlir::Value, mlir::Value>> ropeTables(BlockContext &context, const Param &rope, int64_t headDim);
extern const llvm::ArrayRef<ParamSchema> kRopeParams;

} // namespace flagrelease
