// Strict reader of model recipes, with a grammar that has each kind of parameter; `like:` finds the input itself.
#include "recipes/ModelRecipe.h"
#include "tests/fuzz/Fuzz.h"

using namespace flagrelease;

namespace {
const ParamSchema kNorm[] = {{"weight", ParamType::Tensor, true}, {"eps", ParamType::Number, true}};
const StringRef kActs[] = {"silu", "gelu"};
const ParamSchema kBias[] = {{"q", ParamType::Bool}, {"o", ParamType::Bool}};
const ParamSchema kItem[] = {{"item", ParamType::Int}};
const ParamSchema kMix[] = {{"weight", ParamType::Tensor, true},
                            {"act", ParamType::Enum, false, kActs},
                            {"bias", ParamType::Bool, false, {}, kBias},
                            {"heads", ParamType::Int},
                            {"exact", ParamType::Flag},
                            {"sizes", ParamType::List, false, {}, kItem},
                            {"memory", ParamType::Value},
                            {"keep", ParamType::Bind},
                            {"mode", ParamType::String}};
const StepSchema kSteps[] = {{"norm", kNorm}, {"attention", kMix}, {"mlp", kMix}, {"embedding", kNorm}, {"head", kNorm}};
const StepSchema kLater[] = {{"mamba", kNorm}};
const StepGrammar kGrammar = {kSteps, kLater};
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Diagnostics diags;
  yaml::Limits limits;
  limits.maxBytes = 64 << 10;
  FailureOr<yaml::Node> root = yaml::parse(fuzz::textOf(data, size), "f.yaml", diags, limits);
  if (failed(root))
    return 0;
  auto load = [&](StringRef name, const Place &from, Diagnostics &d) -> FailureOr<yaml::Node> {
    if (name == "f")
      return *root;
    return d.error(from.str(), "no model recipe '" + name + "'");
  };
  FailureOr<ModelRecipe> recipe = readModelRecipe("r", *root, kGrammar, load, diags);
  fuzz::requireAnswer(failed(recipe), diags);
  if (failed(recipe))
    return 0;
  (void)recipe->configKeys();
  FailureOr<yaml::Node> again = yaml::parse(recipe->print(), "again.yaml", diags);
  fuzz::require(succeeded(again));
  return 0;
}
