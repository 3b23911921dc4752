#include "cli/Planning.h"

#include "exporters/Exporter.h"
#include "exporters/gguf/ExportGguf.h"
#include "ir/onnx/Onnx.h"
#include "ir/onnx/Schema.h"
#include "passes/GgufParams.h"
#include "passes/Sizes.h"
#include "passes/to_onnx/Toolchain.h"
#include "text/Nearest.h"
#include "text/Sizes.h"
#include "weights/Digest.h"
#include "weights/TensorEntry.h"

#include <filesystem>

using namespace flagrelease;
using namespace mlir;

int64_t Model::vocabulary() const {
  auto main = imported.module.get().lookupSymbol<func::FuncOp>(kMainFunction);
  for (unsigned i = 0; main && i < main.getNumArguments(); ++i)
    if (main.getArgAttrOfType<StringAttr>(i, kNameAttr) == "input_ids")
      for (Operation *user : main.getArgument(i).getUsers())
        if (auto embedding = dyn_cast<fr::EmbeddingOp>(user))
          return dimsOf(embedding.getTable().getType())[0].value();
  return configInt("vocab_size", 0);
}

int64_t Model::configInt(StringRef key, int64_t otherwise) const {
  const json::Value *value = imported.config.find(key);
  return value && value->isInt() ? value->integer() : otherwise;
}

std::optional<int64_t> Model::padId() const {
  const json::Value *value = imported.config.find("pad_token_id");
  return value && value->isInt() ? std::optional(value->integer()) : std::nullopt;
}

FailureOr<Model> flagrelease::openModel(const Options &options, Console &console, Diagnostics &diags) {
  FailureOr<Source> source = resolveSource(options, diags);
  if (failed(source))
    return failure();
  FailureOr<RecipeSet> recipes = loadModelRecipes(options, diags);
  if (failed(recipes))
    return failure();
  FailureOr<Checkpoint> checkpoint = openCheckpoint(source->folder, diags);
  if (failed(checkpoint))
    return failure();
  Model model;
  model.source = *source;
  model.checkpoint = std::make_unique<Checkpoint>(std::move(*checkpoint));
  model.context = std::make_unique<MLIRContext>(MLIRContext::Threading::DISABLED);
  model.context->loadDialect<onnx_ir::OnnxDialect>();
  ImportOptions import;
  import.task = options.task;
  import.assumeInert = options.assumeInert;
  for (const std::string &option : options.taskOptions) {
    auto [key, value] = StringRef(option).split('=');
    int64_t number = 0;
    if (key.empty() || value.getAsInteger(10, number))
      return diags.error("--task-option", "'" + option + "' is not NAME=INTEGER", "for example --task-option yes_token=9693");
    import.taskValues[key.str()] = number;
  }
  FailureOr<Imported> imported = importHuggingFace(*model.checkpoint, *recipes, import, *model.context, diags);
  if (failed(imported))
    return failure();
  model.imported = std::move(*imported);
  return model;
}

StringRef flagrelease::planVerdictName(PlanVerdict verdict) {
  switch (verdict) {
  case PlanVerdict::Feasible:
    return "FEASIBLE";
  case PlanVerdict::Likely:
    return "LIKELY";
  case PlanVerdict::Infeasible:
    return "INFEASIBLE";
  }
  llvm_unreachable("all verdicts are listed");
}

namespace {
LogicalResult chooseCache(const Options &options, const Model &model, MigrationPlan &plan, Diagnostics &diags) {
  if (plan.exporter->checkpoint) {
    if (!options.kvCache.empty())
      return diags.error("--kv-cache", plan.toolchain->engine + " keeps its own cache: format " + plan.format + " holds weights",
                         "leave --kv-cache out");
    plan.cacheText = "engine";
    return success();
  }
  // What keeps something between calls can make text step by step. Behind an encoder that is not the default: each call would
  // run the encoder again.
  bool generates = false;
  model.imported.module.get().walk([&](fr::StateOp) { generates = true; });
  std::string text = options.kvCache;
  if (text.empty())
    text = model.imported.task == "causal_lm" && !plan.toolchain->staticShapes ? "dynamic" : "none";
  StringRef mode = text;
  if (mode == "none") {
    plan.pipeline.cache = PipelineOptions::Cache::None;
  } else if (mode == "dynamic") {
    if (plan.toolchain->staticShapes)
      return diags.error("--kv-cache",
                         plan.toolchain->engine + " for " + plan.chip->name + " compiles fixed shapes, a dynamic cache has none",
                         "use --kv-cache none, or static:N");
    plan.pipeline.cache = PipelineOptions::Cache::Dynamic;
  } else if (mode.consume_front("static:")) {
    int64_t columns = 0;
    if (mode.getAsInteger(10, columns) || columns < 1)
      return diags.error("--kv-cache", "'" + text + "' names no number of columns", "for example --kv-cache static:2048");
    if (model.maxLength() && columns > model.maxLength())
      return diags.error("--kv-cache",
                         "a cache of " + Twine(columns) + " columns is longer than the model's " + Twine(model.maxLength()) +
                             " positions",
                         "use at most static:" + Twine(model.maxLength()));
    plan.pipeline.cache = PipelineOptions::Cache::Static;
    plan.pipeline.cacheSize = columns;
  } else {
    return diags.error("--kv-cache", "'" + text + "' is not none, dynamic or static:N", "for example --kv-cache dynamic");
  }
  if (!generates && plan.pipeline.cache != PipelineOptions::Cache::None)
    return diags.error("--kv-cache", "task " + model.imported.task + " makes no text, it has no cache", "leave --kv-cache out");
  plan.cacheText = text;
  return success();
}

LogicalResult chooseShards(const Options &options, MigrationPlan &plan, Diagnostics &diags) {
  if (options.shardSize.empty())
    return success();
  if (!plan.exporter->checkpoint)
    return diags.error("--shard-size", "format " + plan.format + " has no shards: its weights stay in the files of the source",
                       "leave --shard-size out");
  FailureOr<uint64_t> size = parseSize(options.shardSize, "--shard-size", diags);
  if (failed(size))
    return failure();
  if (*size == 0)
    return diags.error("--shard-size", "a file of " + options.shardSize + " holds nothing", "for example --shard-size 2GB");
  plan.shardSize = *size;
  plan.reshard = true;
  return success();
}

/// Whether the toolchain takes weights of a type. Where it does not say, the chip of an engine that computes in it decides.
bool takes(const MigrationPlan &plan, DType type) {
  if (!plan.toolchain->stores.empty())
    return plan.toolchain->storesIn(numberFormatOf(type));
  return !plan.exporter->checkpoint || plan.chip->supports(numberFormatOf(type)) != Support::None;
}

/// As a first answer; lower() counts what ships.
uint64_t bytesOf(const Model &model, const Scheme &scheme) {
  uint64_t total = 0;
  for (const CheckpointTensor &tensor : model.checkpoint->tensors) {
    total += tensorBytes(scheme.storedAs(tensor.type), tensor.shape).value_or(0);
  }
  return total;
}

uint64_t cacheBytes(const Model &model, int64_t context, int64_t batch) {
  uint64_t total = 0;
  ModuleOp module = *model.imported.module;
  for (fr::StateOp state : module.getOps<fr::StateOp>()) {
    uint64_t bytes = 4; // caches are f32 where activations are
    for (const DimExpr &dim : dimsOf(state.getType()))
      bytes *= static_cast<uint64_t>(dim.evaluate({{"B", batch}, {"P", context}, {"S", context}}).value_or(1));
    total += bytes;
  }
  return total;
}
} // namespace

FailureOr<MigrationPlan> flagrelease::choosePlan(const Options &options, const Model &model, const TargetRecipes &targets,
                                                 Diagnostics &diags) {
  MigrationPlan plan;
  FailureOr<const ChipRecipe *> chip = targets.chips.get(options.chip, "--chip", diags);
  FailureOr<const Scheme *> scheme = targets.schemes.get(options.scheme, "--scheme", diags);
  if (failed(chip) || failed(scheme))
    return failure();
  plan.chip = *chip;
  plan.scheme = *scheme;
  if (options.format.empty()) {
    for (const Toolchain &toolchain : plan.chip->toolchains)
      if (findExporter(toolchain.format) &&
          (plan.scheme->formats.empty() || llvm::is_contained(plan.scheme->formats, toolchain.format))) {
        plan.toolchain = &toolchain;
        break;
      }
    if (!plan.toolchain)
      return diags.error("--format",
                         "no exporter exists for the formats of " + plan.chip->name + ": " + listed(plan.chip->formats()),
                         "see `flagrelease list formats`");
  } else {
    std::vector<std::string> known;
    for (const Exporter &exporter : exporters())
      known.push_back(exporter.name.str());
    if (!findExporter(options.format))
      return diags.error(
          "--format", "unknown format '" + options.format + "'" + nearestNote(options.format, llvm::ArrayRef<std::string>(known)),
          "known are: " + listed(known));
    plan.toolchain = plan.chip->toolchain(options.format);
    if (!plan.toolchain)
      return diags.error("--format",
                         "no toolchain of " + plan.chip->name + " takes " + options.format +
                             ", it has: " + listed(plan.chip->formats()),
                         "choose one of those, or another chip");
  }
  plan.format = plan.toolchain->format;
  plan.exporter = findExporter(plan.format);
  if (failed(chooseShards(options, plan, diags)))
    return failure();
  if (!plan.toolchain->ops.empty()) {
    FailureOr<const OpTable *> table = targets.ops.get(plan.toolchain->ops, plan.toolchain->place.str(), diags);
    if (failed(table))
      return failure();
    plan.table = *table;
  }
  // Stored types that the toolchain cannot load need another scheme, which the user chooses.
  std::map<std::string, std::string> refused;
  for (const CheckpointTensor &tensor : model.checkpoint->tensors) {
    DType stored = plan.scheme->storedAs(tensor.type);
    if (isFloat(tensor.type) && byteWidth(stored) < byteWidth(tensor.type))
      plan.rounds = true;
    if (isFloat(tensor.type) && stored != tensor.type && byteWidth(stored) == byteWidth(tensor.type))
      plan.rounds = true;
    if (plan.exporter->checkpoint && isFloat(stored) && !takes(plan, stored))
      refused.emplace(dtypeName(stored).str(), tensor.name);
  }
  // A graph holds what its params make of the source: a dequantised weight is no FP8 any more.
  if (!plan.exporter->checkpoint) {
    ModuleOp module = *model.imported.module;
    module.walk([&](fr::UseOp use) {
      std::optional<DType> type = dtypeOf(elementOf(use.getType()));
      if (type && isFloat(*type) && !takes(plan, plan.scheme->storedAs(*type)))
        refused.emplace(dtypeName(plan.scheme->storedAs(*type)).str(), use.getParam().str());
    });
  }
  for (const auto &[type, tensor] : refused) {
    std::vector<std::string> possible;
    for (const auto &[name, other] : targets.schemes.all())
      if (other.dtype && takes(plan, *other.dtype))
        possible.push_back("--scheme " + name);
    (void)diags.error("--scheme " + options.scheme,
                      plan.toolchain->engine + (plan.toolchain->stores.empty() ? " on " + plan.chip->name : std::string()) +
                          " cannot load " + type + " (tensor " + tensor + ")",
                      "ask for " + listed(possible));
  }
  if (failed(planScheme(options, model, plan, diags)))
    return failure();
  if (plan.exporter->checkpoint && !plan.layout.empty() && !llvm::is_contained(plan.toolchain->loads, plan.layout))
    return diags.error("--scheme " + options.scheme,
                       plan.toolchain->engine + " for " + plan.chip->name + " does not load " + plan.layout,
                       "it loads " + (plan.toolchain->loads.empty() ? "plain numbers only" : listed(plan.toolchain->loads)) +
                           "; ask for one of those, or --scheme bf16");
  if (!refused.empty() || failed(chooseCache(options, model, plan, diags)))
    return failure();

  plan.context = options.context;
  plan.batch = options.batch ? options.batch : 1;
  if (plan.toolchain->staticShapes) {
    int64_t longest = model.maxLength() ? model.maxLength() : 512;
    if (!plan.context)
      plan.context = std::min<int64_t>(512, longest);
    ModuleOp module = *model.imported.module;
    const std::map<std::string, int64_t> text = {{"B", plan.batch},
                                                 {"S", plan.pipeline.cache == PipelineOptions::Cache::Static ? 1 : plan.context}};
    for (const std::string &symbol : sizeSymbols(module)) {
      auto named = model.imported.sizes.find(symbol);
      if (auto known = text.find(symbol); known != text.end())
        plan.pipeline.sizes.emplace_back(symbol, known->second);
      else if (named != model.imported.sizes.end())
        plan.pipeline.sizes.emplace_back(symbol, named->second);
      else if (symbol != "P")
        return diags.error("--chip " + plan.chip->name,
                           plan.toolchain->engine + " compiles fixed shapes, and nothing says what " + symbol + " is",
                           "name it under `sizes:` of recipe " + model.imported.recipe);
    }
  } else if (!plan.context) {
    plan.context = model.maxLength() ? std::min<int64_t>(model.maxLength(), 4096) : 4096;
  }
  if (model.maxLength() && plan.context > model.maxLength())
    return diags.error("--context",
                       Twine(plan.context) + " is longer than the model's " + Twine(model.maxLength()) + " positions",
                       "use at most " + Twine(model.maxLength()));
  plan.pipeline.floats = plan.scheme->dtype;
  if (!plan.exporter->checkpoint) {
    plan.pipeline.taps = PipelineOptions::Taps::Drop;
    plan.pipeline.dropUnusedParams = true;
  }
  plan.limits = plan.toolchain->limits;

  plan.weightBytes = bytesOf(model, *plan.scheme);
  plan.cacheBytes = plan.pipeline.cache == PipelineOptions::Cache::None ? 0 : cacheBytes(model, plan.context, plan.batch);
  int64_t hidden = model.configInt("hidden_size", 0), inner = model.configInt("intermediate_size", 0),
          heads = model.configInt("num_attention_heads", 0);
  // The largest values alive together: a layer's streams, its feed-forward part, the scores, and the logits.
  uint64_t rows = static_cast<uint64_t>(plan.context) * plan.batch;
  plan.activationBytes =
      4 * (rows * (4 * hidden + 2 * inner) + rows * plan.context * heads + rows * static_cast<uint64_t>(model.vocabulary()));
  plan.diskBytes = plan.weightBytes;
  return plan;
}

namespace {
void judge(ModuleOp module, MigrationPlan &plan, const Options &options) {
  std::map<std::string, PlannedOperator> found;
  DictionaryAttr opsets = module->getAttrOfType<DictionaryAttr>(onnx_ir::kOpsetAttr);
  module.walk([&](Operation *op) {
    auto node = dyn_cast<onnx_ir::NodeOp>(op);
    if (!node && !isa<onnx_ir::ScanOp>(op))
      return;
    StringRef domain = node ? node.getDomain().value_or("") : StringRef(), type = node ? node.getOpType() : StringRef("Scan");
    std::string name = domain.empty() || domain == "ai.onnx" ? type.str() : (domain + ":" + type).str();
    PlannedOperator &entry = found[name];
    entry.name = name;
    ++entry.count;
    if (!plan.table)
      return;
    std::vector<Type> operands, results;
    for (Value operand : op->getOperands())
      operands.push_back(isa<RankedTensorType>(operand.getType()) ? elementOf(operand.getType()) : Type());
    for (Value result : op->getResults())
      results.push_back(elementOf(result.getType()));
    auto opset = opsets ? dyn_cast_or_null<IntegerAttr>(opsets.get(domain.empty() ? "ai.onnx" : domain)) : IntegerAttr();
    OpLookup look =
        lookUp(*plan.table, {domain.empty() ? "ai.onnx" : domain, type, opset ? opset.getInt() : 1, operands, results});
    // The weakest of its uses speaks for an operator.
    if (entry.count == 1 || look.verdict < entry.level) {
      entry.level = look.verdict;
      entry.reason = look.reason;
    }
  });
  plan.operators.clear();
  int64_t weak = 0;
  for (auto &[name, entry] : found) {
    plan.operators.push_back(entry);
    if (!plan.table)
      continue;
    bool bad = entry.level == OpVerdict::Unsupported ||
               (options.strictPlan && (entry.level == OpVerdict::Unknown || entry.level == OpVerdict::Listed));
    if (bad)
      plan.reasons.push_back("operator " + name + " (" + std::to_string(entry.count) + " times): " + entry.reason);
    else if (entry.level == OpVerdict::Listed || entry.level == OpVerdict::Unknown)
      ++weak;
  }
  if (!plan.reasons.empty()) {
    plan.verdict = PlanVerdict::Infeasible;
    return;
  }
  judgeMemory(plan);
  if (plan.verdict == PlanVerdict::Feasible && weak) {
    plan.verdict = PlanVerdict::Likely;
    plan.reasons.push_back(std::to_string(weak) +
                           " operators are listed by name only, or not listed: the toolchain may refuse them");
  }
}
} // namespace

/// Bytes of all tensors that ship.
static uint64_t storedBytes(ModuleOp module) {
  uint64_t total = 0;
  for (fr::ParamOp param : module.getOps<fr::ParamOp>())
    if (SymbolTable::getSymbolVisibility(param) != SymbolTable::Visibility::Private)
      if (std::optional<DType> type = dtypeOf(elementOf(param.getType())))
        total += tensorBytes(*type, cast<RankedTensorType>(param.getType()).getShape().vec()).value_or(0);
  return total;
}

/// The params of a GGUF file, under its names and in its order.
static LogicalResult addGgufTensors(const Model &model, const MigrationPlan &plan, ModuleOp module, Diagnostics &diags) {
  FamilyScope family(*model.imported.family, model.imported.config);
  GgufModel gguf(*model.imported.family->gguf, family.scope());
  GgufParamRequest request;
  request.model = &gguf;
  request.params = model.imported.ggufParams;
  if (plan.pipeline.replaceQuantized)
    for (auto &[logical, param] : request.params)
      if (StringRef name = param; name.consume_back(kDerivedSuffix))
        param = name.str();
  request.blocks = plan.blocks;
  request.floats = plan.scheme->dtype;
  return success(succeeded(gguf.check(model.imported.task, diags)) && succeeded(addGgufParams(module, request, diags)));
}

FailureOr<OwningOpRef<ModuleOp>> flagrelease::lower(const Model &model, const MigrationPlan &plan, bool taps,
                                                    const std::string &dumpDir, MigrationPlan *judged, const Options &options,
                                                    Diagnostics &diags) {
  OwningOpRef<ModuleOp> module = cast<ModuleOp>(model.imported.module.get()->clone());
  PipelineOptions pipeline = plan.pipeline;
  if (taps)
    pipeline.taps = PipelineOptions::Taps::Outputs;
  if (!dumpDir.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(dumpDir, ignored);
  }
  if (failed(runPipeline(*module, pipeline, dumpDir, diags)))
    return failure();
  if (plan.exporter->ggufSection && failed(addGgufTensors(model, plan, *module, diags)))
    return failure();
  // Of a quantised source that stays as it is, its parts ship. The numbers that they stand for are steps of the graph.
  if (plan.exporter->checkpoint)
    for (fr::ParamOp param : module->getOps<fr::ParamOp>())
      if (param.getSymName().ends_with(kDerivedSuffix))
        SymbolTable::setSymbolVisibility(param, SymbolTable::Visibility::Private);
  if (judged) {
    judged->weightBytes = judged->diskBytes = storedBytes(*module);
    if (auto left = (*module)->getAttrOfType<DictionaryAttr>(kFallbackAttr))
      for (NamedAttribute entry : left)
        judged->fallbacks[entry.getName().str()] = cast<StringAttr>(entry.getValue()).str() + ": stays as it is";
  }
  if (plan.exporter->checkpoint) {
    if (judged)
      judgeCheckpoint(model, options.strictPlan, *judged);
    return module;
  }
  OnnxTarget target;
  if (plan.table) {
    target = onnxTarget(*plan.table, std::min<int64_t>(plan.toolchain->opset.last, plan.table->opset.last));
    if (options.strictPlan)
      target.supported = [table = plan.table](const OnnxNodeQuery &query) {
        return lookUp(*table, query).verdict >= OpVerdict::Native;
      };
  }
  OnnxReport report;
  if (failed(convertToOnnx(*module, target, report, diags)))
    return failure();
  if (judged) {
    judged->lowering = report;
    judge(*module, *judged, options);
  }
  return module;
}

Fingerprint flagrelease::fingerprintOf(const Options &options, const Model &model, const MigrationPlan &plan,
                                       const std::string &moduleDigest, const std::string &besideDigest) {
  Fingerprint print;
  print.add(*model.checkpoint);
  print.add("module", moduleDigest);
  print.add("files beside the weights", besideDigest);
  for (const RecipeText &recipe : model.imported.recipeFiles)
    print.add("recipe " + recipeStem(recipe.path), sha256(recipe.bytes));
  print.add("chip", plan.chip->name + " " + sha256(plan.chip->file.bytes));
  if (plan.table)
    for (const RecipeFile &file : plan.table->files)
      print.add("operators " + file.stem, sha256(file.bytes));
  print.add("--format", plan.format);
  print.add("--scheme", plan.scheme->name);
  print.add("--task", model.imported.task);
  print.add("--kv-cache", plan.cacheText);
  if (plan.toolchain->staticShapes || plan.exporter->checkpoint)
    print.add("--context", std::to_string(plan.context));
  if (plan.toolchain->staticShapes)
    print.add("--batch", std::to_string(plan.batch));
  if (plan.reshard)
    print.add("--shard-size", std::to_string(plan.shardSize));
  print.add("--link", options.link ? "yes" : "no");
  print.add("tool", kTool);
  return print;
}
