#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;

llvm::ArrayRef<StepBlock> flagrelease::importerBlocks() {
  static const StepBlock kBlocks[] = {
      {&kAttentionSchema, buildAttention}, {&kChoiceScoreSchema, buildChoiceScore},
      {&kEmbedSchema, buildEmbed},         {&kL2NormSchema, buildL2Norm},
      {&kLayerNormSchema, buildLayerNorm}, {&kLinearSchema, buildLinear},
      {&kLmHeadSchema, buildLmHead},       {&kMlpSchema, buildMlp},
      {&kPoolSchema, buildPool},           {&kRmsNormSchema, buildRmsNorm},
  };
  return kBlocks;
}

StepGrammar flagrelease::importerGrammar() {
  static const std::vector<StepSchema> steps = [] {
    std::vector<StepSchema> all;
    for (const StepBlock &block : importerBlocks())
      all.push_back(*block.schema);
    return all;
  }();
  return {steps, plannedSteps()};
}
