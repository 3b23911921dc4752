// What a scheme asks of the passes, by the format that holds it.
#include "cli/Planning.h"
#include "exporters/gguf/ExportGguf.h"
#include "text/Nearest.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const char *kindName(WeightNumbers::Kind kind) {
  switch (kind) {
  case WeightNumbers::Kind::Int:
    return "int";
  case WeightNumbers::Kind::Fp8:
    return "fp8";
  case WeightNumbers::Kind::Blocks:
    return "blocks";
  }
  llvm_unreachable("all kinds are listed");
}

/// Parts of a quantised source that nothing reads.
std::vector<std::string> ignoredParts(const Model &model) {
  std::vector<std::string> names;
  for (const TensorTable::Ignored &entry : model.imported.ignored)
    names.push_back(entry.name);
  return names;
}

/// "blk.3.attn_v.weight": layer 3, part attn_v. "output.weight": part output, no layer.
std::pair<std::string, int64_t> partOf(StringRef name) {
  int64_t layer = -1;
  if (name.consume_front("blk.")) {
    auto [number, rest] = name.split('.');
    if (number.getAsInteger(10, layer))
      layer = -1;
    name = rest;
  }
  name.consume_back(".weight");
  return {name.str(), layer};
}

/// Chooses the format of each tensor of a mixture.
class Mixture {
public:
  Mixture(const Options &options, const Model &model, MigrationPlan &plan, Diagnostics &diags)
      : options(options), model(model), plan(plan), numbers(*plan.scheme->weights), diags(diags) {}

  LogicalResult run() {
    FamilyScope family(*model.imported.family, model.imported.config);
    GgufModel gguf(*model.imported.family->gguf, family.scope());
    FailureOr<std::vector<GgufTensorPlan>> tensors = gguf.tensors(diags);
    auto keys = gguf.keys(diags);
    if (failed(tensors) || failed(keys))
      return failure();
    const std::string &arch = model.imported.family->gguf->arch;
    facts.bind("arch", json::Value(arch));
    for (const auto &[key, type, value] : *keys)
      if (key == arch + ".attention.head_count")
        facts.bind("heads", value);
      else if (key == arch + ".attention.head_count_kv")
        facts.bind("kv_heads", value);
    for (const GgufTensorPlan &tensor : *tensors) {
      auto [part, layer] = partOf(tensor.name);
      layers = std::max(layers, layer + 1);
      tied &= part != "output" || shapeOf(tensor).empty();
    }
    bool good = true;
    for (const GgufTensorPlan &tensor : *tensors)
      if (shapeOf(tensor).size() >= 2 && !tensor.rule->f32 && StringRef(tensor.name).ends_with(".weight"))
        good &= succeeded(one(tensor));
    plan.pipeline.quantize->formats = std::move(effective);
    return success(good);
  }

private:
  std::vector<int64_t> shapeOf(const GgufTensorPlan &tensor) const {
    auto it = model.imported.ggufParams.find(tensor.logical);
    if (it == model.imported.ggufParams.end())
      return {};
    ModuleOp module = model.imported.module.get();
    auto param = module.lookupSymbol<fr::ParamOp>(it->second);
    return param ? cast<RankedTensorType>(param.getType()).getShape().vec() : std::vector<int64_t>();
  }

  FailureOr<BlockFormat> ruled(const std::string &part, int64_t layer) {
    for (const BlockRule &rule : numbers.rules) {
      if (!rule.tensor.empty() && rule.tensor != part)
        continue;
      if (rule.when) {
        Scope scope(&facts);
        scope.bind("i", json::Value(layer));
        scope.bind("n", json::Value(layers));
        scope.bind("tied", json::Value(tied));
        FailureOr<bool> holds = rule.when->evalBool(scope, diags);
        if (failed(holds))
          return failure();
        if (!*holds)
          continue;
      }
      return rule.format;
    }
    return numbers.format;
  }

  LogicalResult one(const GgufTensorPlan &tensor) {
    const int64_t width = shapeOf(tensor).back();
    auto [part, layer] = partOf(tensor.name);
    FailureOr<BlockFormat> wanted = ruled(part, layer);
    if (failed(wanted))
      return failure();
    BlockFormat format = *wanted;
    const BlockInfo &asked = blockInfo(format);
    auto fits = [&] { return width % blockInfo(format).elements == 0; };
    if (!fits() && !options.allowTypeFallback)
      return diags.error(
          tensor.name,
          "its rows of " + Twine(width) + " numbers are no whole blocks of " + asked.name + " (" + Twine(asked.elements) +
              " numbers)",
          "choose another scheme, or pass --allow-type-fallback: such tensors get the format that the scheme names instead",
          Cause::Answer);
    // The stand-in's own blocks may not fit either.
    for (auto other = numbers.instead.find(format); !fits() && other != numbers.instead.end();
         other = numbers.instead.find(format))
      format = other->second;
    if (&blockInfo(format) != &asked || !fits())
      plan.fallbacks[tensor.name] = ("its rows of " + Twine(width) + " numbers are no whole blocks of " + asked.name + ": " +
                                     (fits() ? "stored as " + Twine(blockInfo(format).name) : Twine("stays as it is")))
                                        .str();
    if (!fits())
      return success();
    plan.blocks[tensor.name] = format;
    std::string param = model.imported.ggufParams.at(tensor.logical);
    if (StringRef name = param; plan.pipeline.replaceQuantized && name.consume_back(kDerivedSuffix))
      param = name.str();
    effective.push_back(param + "=" + blockInfo(format).name);
    return success();
  }

  const Options &options;
  const Model &model;
  MigrationPlan &plan;
  const WeightNumbers &numbers;
  Diagnostics &diags;
  Scope facts; ///< of the model, for rules
  int64_t layers = 0;
  bool tied = true;
  std::vector<std::string> effective;
};
} // namespace

LogicalResult flagrelease::planScheme(const Options &options, const Model &model, MigrationPlan &plan, Diagnostics &diags) {
  const Scheme &scheme = *plan.scheme;
  if (!scheme.formats.empty() && !llvm::is_contained(scheme.formats, plan.format))
    return diags.error("--scheme " + scheme.name, "format " + plan.format + " does not hold it",
                       "ask for --format " + listed(scheme.formats) + ", or see `flagrelease list schemes`");
  const bool blocks = scheme.weights && scheme.weights->kind == WeightNumbers::Kind::Blocks;
  if (blocks && !plan.exporter->ggufSection && (!plan.exporter->checkpoint || scheme.weights->format != BlockFormat::MXFP4))
    return diags.error("--scheme " + scheme.name,
                       "format " + plan.format + " does not hold blocks of " + blockInfo(scheme.weights->format).name,
                       "ask for --format gguf, or see `flagrelease list schemes`");
  if (plan.exporter->ggufSection && !model.imported.family->gguf)
    return diags.error("--format " + plan.format, "recipe " + model.imported.recipe + " has no gguf section",
                       "choose another format", Cause::Answer);
  if (plan.exporter->ggufSection && !model.imported.ggufLeft.empty()) {
    for (const std::string &tensor : model.imported.ggufLeft)
      (void)diags.error(tensor,
                        "has no place in a GGUF file: the gguf section of recipe " + model.imported.recipe + " does not name it",
                        "name it under `tensors`, or under `ignore` with the reason why files do without it", Cause::Answer);
    return failure();
  }
  const bool inBlocks =
      llvm::any_of(model.checkpoint->tensors, [](const CheckpointTensor &tensor) { return tensor.block.has_value(); });
  plan.requantised = scheme.weights && (inBlocks || !model.imported.quantised.empty());
  if (plan.requantised && !options.allowRequantize)
    return diags.error("--scheme " + scheme.name,
                       "the source is quantised already (" + (inBlocks ? std::string("GGUF blocks") : model.imported.quantised) +
                           "): its weights would be rounded a second time",
                       "start from the original checkpoint, or pass --allow-requantize");
  const bool keepsSource = !scheme.weights && !scheme.dtype;
  if (!keepsSource && plan.exporter->checkpoint && !model.imported.quantised.empty())
    plan.pipeline.replaceQuantized = ignoredParts(model);
  if (keepsSource && plan.exporter->ggufSection && !model.imported.quantised.empty())
    return diags.error("--scheme " + scheme.name, "GGUF does not hold " + model.imported.quantised + " weights as they are",
                       "ask for --scheme bf16, fp16 or fp32");
  if (!plan.exporter->ggufSection)
    plan.layout = scheme.weights ? scheme.layout : keepsSource ? layoutOf(model.imported.config) : "";
  if (plan.layout.empty() && keepsSource && !plan.exporter->ggufSection)
    plan.layout = model.imported.quantised; // by a file of its own
  if (!scheme.weights)
    return success();

  const WeightNumbers &numbers = *scheme.weights;
  PipelineOptions::Quantize quantize;
  quantize.kind = kindName(numbers.kind);
  quantize.bits = numbers.bits, quantize.symmetric = numbers.symmetric;
  quantize.rows = numbers.rows, quantize.columns = numbers.columns;
  quantize.scale = dtypeName(numbers.scale).lower();
  quantize.packed = scheme.activationBits == 0;
  quantize.skip = scheme.skip;
  quantize.fallback = options.allowTypeFallback;
  if (!plan.exporter->checkpoint) {
    quantize.layout = "onnx";
    quantize.scale = "f32"; // what MatMulNBits computes with
    quantize.activations = scheme.activationBits;
  } else if (!plan.exporter->ggufSection) {
    quantize.layout = scheme.layout == "gptq" || scheme.layout == "fp8" ? scheme.layout : "compressed-tensors";
    if (blocks)
      quantize.kind = "mxfp4"; // the same numbers, in that layout's order
  }
  plan.pipeline.quantize = std::move(quantize);
  plan.rounds = true;
  return blocks && plan.exporter->ggufSection ? Mixture(options, model, plan, diags).run() : success();
}

PipelineOptions flagrelease::referencePipeline(const MigrationPlan &plan) {
  PipelineOptions pipeline;
  pipeline.replaceQuantized = plan.pipeline.replaceQuantized;
  pipeline.quantize = plan.pipeline.quantize;
  if (pipeline.quantize)
    pipeline.quantize->layout = "effective";
  return pipeline;
}
