#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;

llvm::ArrayRef<StepBlock> flagrelease::importerBlocks() {
  static const std::vector<StepBlock> blocks = [] {
    std::vector<StepBlock> all = {
        {&kAttentionSchema, buildAttention}, {&kChoiceScoreSchema, buildChoiceScore},
        {&kEmbedSchema, buildEmbed},         {&kL2NormSchema, buildL2Norm},
        {&kLayerNormSchema, buildLayerNorm}, {&kLinearSchema, buildLinear},
        {&kLmHeadSchema, buildLmHead},       {&kMlpSchema, buildMlp},
        {&kPoolSchema, buildPool},           {&kPositionsSchema, buildPositions},
        {&kRmsNormSchema, buildRmsNorm},
    };
    for (llvm::ArrayRef<StepBlock> table :
         {shapeSteps(), mathSteps(), convolutionSteps(), headSteps(), stateSteps(), expertSteps()})
      all.insert(all.end(), table.begin(), table.end());
    return all;
  }();
  return blocks;
}

StepGrammar flagrelease::importerGrammar() {
  static const std::vector<StepSchema> steps = [] {
    std::vector<StepSchema> all;
    for (const StepBlock &block : importerBlocks())
      all.push_back(*block.schema);
    return all;
  }();
  return {steps, {}};
}
