#include "importers/huggingface/Import.h"

#include "importers/gguf/GgufSource.h"
#include "importers/huggingface/Evidence.h"
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Rearranged.h"
#include "importers/huggingface/SourceFiles.h"
#include "importers/huggingface/quantised/Quantised.h"
#include "text/Nearest.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace flagrelease;
using namespace mlir;

std::string flagrelease::architectureOf(const json::Object &config) {
  const json::Value *list = config.find("architectures");
  if (!list || !list->isArray() || list->array().empty() || !list->array().front().isString())
    return "";
  return list->array().front().string().str();
}

namespace {
bool fileExists(const std::string &folder, StringRef name) {
  llvm::SmallString<256> path(folder);
  llvm::sys::path::append(path, name);
  return llvm::sys::fs::exists(path);
}

/// Whether the file holds the head of a task: the weight of its lm_head step. A name that is computed counts as held.
bool hasHead(const Task &task, const TensorTable &tensors) {
  for (const Step &step : task.body)
    if (step.kind == "lm_head")
      if (const Param *weight = step.find("weight"); weight && weight->nameTemplate && weight->nameTemplate->isLiteral())
        return tensors.find(weight->nameTemplate->text().str() + ".weight") != nullptr;
  return true;
}

/// DESIGN section 4: --task, else the architecture, else the files.
FailureOr<const Task *> chooseTask(const ModelRecipe &recipe, const ModelConfig &config, const TensorTable &tensors,
                                   const Checkpoint &checkpoint, const ImportOptions &options, Diagnostics &diags) {
  std::vector<std::string> names;
  for (const Task &task : recipe.tasks)
    names.push_back(task.name);
  if (!options.task.empty()) {
    if (const Task *task = recipe.findTask(options.task))
      return task;
    return diags.error("--task",
                       "recipe " + recipe.name + " has no task '" + options.task + "'" +
                           nearestNote(options.task, llvm::ArrayRef<std::string>(names)),
                       "it has: " + listed(names));
  }
  // sentence-transformers keeps its pooling in modules.json, whatever architecture the config names.
  if (!checkpoint.gguf && fileExists(checkpoint.folder, "modules.json"))
    if (const Task *task = recipe.findTask("embedding"))
      return task;
  for (const Task &task : recipe.tasks)
    for (const MatchEntry &entry : task.match)
      if (matches(entry, config.raw, /*globs=*/true)) {
        // An architecture says what the class was; a trunk without its head, and with no tie to stand in, is an encoder.
        const json::Value *tied = config.values.find("tie_word_embeddings");
        bool headless = task.name == "causal_lm" && !hasHead(task, tensors) && tied && tied->isBool() && !tied->boolean();
        if (const Task *embedding = recipe.findTask("embedding"); headless && embedding)
          return embedding;
        return &task;
      }
  if (const Task *embedding = recipe.findTask("embedding"))
    return embedding;
  return diags.error("config.json: architectures",
                     "'" + architectureOf(config.raw) + "' says no task that recipe " + recipe.name + " has",
                     "pass --task, one of: " + listed(names));
}

/// Erases ops of @main that no output needs; names the params that nothing reads any more.
std::set<std::string> dropUnused(ModuleOp module) {
  std::set<std::string> dead;
  auto main = module.lookupSymbol<func::FuncOp>(kMainFunction);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(main.getBody().front()))) {
    if (!op.use_empty() || (!isPure(&op) && !isa<fr::ScanOp>(op)) || op.hasTrait<OpTrait::IsTerminator>())
      continue;
    if (auto use = dyn_cast<fr::UseOp>(op))
      dead.insert(use.getParam().str());
    op.erase();
  }
  module.walk([&](fr::UseOp use) { dead.erase(use.getParam().str()); });
  return dead;
}

/// Every physical tensor is a weight and, as it is, a param: checkpoint formats print them all.
void declareTensors(ModuleOp module, const Checkpoint &checkpoint) {
  OpBuilder b(module.getBodyRegion());
  Location unknown = b.getUnknownLoc();
  auto table = b.create<fr::WeightsOp>(unknown, kSourceTable);
  mlir::Block *weights = &table.getBody().emplaceBlock();
  for (const CheckpointTensor &tensor : checkpoint.tensors) {
    Location loc = NameLoc::get(b.getStringAttr(tensor.name));
    auto type = RankedTensorType::get(tensor.shape, mlirType(tensor.type, b.getContext()));
    OpBuilder::atBlockEnd(weights).create<fr::WeightOp>(loc, tensor.name, type, IntegerAttr());
    auto param = b.create<fr::ParamOp>(loc, tensor.name, type, StringAttr());
    OpBuilder inner(param.getBody());
    param.getBody().emplaceBlock();
    inner.setInsertionPointToEnd(&param.getBody().front());
    auto path = SymbolRefAttr::get(b.getContext(), kSourceTable, {FlatSymbolRefAttr::get(b.getContext(), tensor.name)});
    Value value = inner.create<fr::GetOp>(loc, type, path);
    inner.create<fr::YieldOp>(loc, value);
  }
}
} // namespace

FailureOr<Imported> flagrelease::importHuggingFace(const Checkpoint &checkpoint, const RecipeSet &recipes,
                                                   const ImportOptions &options, MLIRContext &context, Diagnostics &diags) {
  context.loadDialect<fr::FrDialect, func::FuncDialect>();
  // A GGUF file says in its own words what config.json and the names of tensors say.
  std::optional<GgufSource> gguf;
  if (checkpoint.gguf) {
    FailureOr<GgufSource> source = readGgufSource(checkpoint, recipes, diags);
    if (failed(source))
      return failure();
    gguf = std::move(*source);
  }
  const Checkpoint &named = gguf ? gguf->named : checkpoint;
  FailureOr<json::Object> raw = gguf ? FailureOr<json::Object>(gguf->config) : readConfig(checkpoint.folder, diags);
  if (failed(raw))
    return failure();
  FailureOr<const RecipeHead *> head = recipes.match(*raw, "config.json", diags);
  if (failed(head))
    return failure();
  FailureOr<ModelRecipe> recipe = recipes.read((*head)->name, diags);
  if (failed(recipe))
    return failure();
  for (const NotBuilt &part : recipe->notBuilt)
    (void)diags.error(part.place.str(), "recipe " + recipe->name + " needs " + part.what + ", which is not built yet",
                      "this family cannot be migrated with this version");
  if (!recipe->notBuilt.empty())
    return failure();
  FailureOr<ConfigClasses> classes = classesOf(*recipe, recipes, diags);
  FailureOr<const InertKeys *> inert = recipes.inert(diags);
  if (failed(classes) || failed(inert))
    return failure();
  FailureOr<ModelConfig> config = normaliseConfig(*raw, *recipe, *classes, diags);
  if (failed(config))
    return failure();
  checkConfigKeys(*config, *recipe, **inert, *classes, options.assumeInert, diags);

  Imported result;
  result.module = ModuleOp::create(UnknownLoc::get(&context));
  DerivedTensors derived;
  if (gguf) {
    declareGgufTensors(*result.module, checkpoint, *gguf);
  } else {
    declareTensors(*result.module, checkpoint);
    FailureOr<DerivedTensors> parts = declareQuantised(*result.module, checkpoint, config->raw, diags);
    if (failed(parts))
      return failure();
    result.quantised = parts->method;
    derived = std::move(*parts);
  }
  TensorTable tensors(named, *recipe, std::move(derived));
  FailureOr<const Task *> task = chooseTask(*recipe, *config, tensors, checkpoint, options, diags);
  if (failed(task))
    return failure();

  Scope configScope;
  configScope.bindAll(config->values);
  Scope scope(&configScope);
  scope.bindLets(recipe->let);
  // What recipes may ask besides: the task, and which tensors there are.
  configScope.bind("task", json::Value((*task)->name));
  if (recipe->configKeys().count("stored"))
    configScope.bind("stored", json::Value(tensors.names()));

  // Messages of op builders name ops; they become problems like all others.
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &message) {
    std::string where = "graph";
    if (auto named = dyn_cast<NameLoc>(message.getLocation()))
      where = named.getName().str();
    (void)diags.error(where, message.str(),
                      "config.json and the tensors are of different models: restore both from one revision");
  });
  GraphBuilder graph(*result.module, *recipe, tensors, diags);
  Value stream;
  if (failed(graph.begin(scope)) || failed(graph.run(recipe->graph, stream, scope, "")))
    return failure();

  Scope taskScope(&scope);
  for (const TaskOption &option : (*task)->options) {
    auto given = options.taskValues.find(option.name);
    if (given != options.taskValues.end()) {
      taskScope.bind(option.name, json::Value(given->second));
      continue;
    }
    if (!option.token.empty() && !gguf) {
      FailureOr<std::optional<int64_t>> id = tokenId(checkpoint.folder, option.token, diags);
      if (failed(id))
        return failure();
      if (*id) {
        taskScope.bind(option.name, json::Value(**id));
        continue;
      }
    }
    if (option.otherwise) {
      FailureOr<std::optional<json::Value>> value = option.otherwise->evalOptional(scope, diags);
      if (failed(value))
        return failure();
      if (*value) {
        taskScope.bind(option.name, **value);
        continue;
      }
    }
    return diags.error("task " + (*task)->name,
                       "needs a value for '" + option.name + "'" +
                           (option.token.empty() ? std::string() : ": tokenizer.json has no token '" + option.token + "'"),
                       "pass --task-option " + option.name + "=ID");
  }
  FailureOr<std::optional<std::string>> pooling = std::optional<std::string>();
  if (!gguf)
    pooling = sentencePooling(checkpoint.folder, diags);
  if (failed(pooling))
    return failure();
  if (*pooling)
    taskScope.bind("sentence_pooling", json::Value(**pooling));
  taskScope.bindLets((*task)->let);
  if (failed(graph.run((*task)->body, stream, taskScope, "")))
    return failure();
  std::vector<std::pair<std::string, Value>> outputs;
  for (const auto &[name, from] : (*task)->outputs) {
    Value value = from == "stream" ? stream : graph.lookup(from);
    if (!value && graph.wasSkipped(from))
      continue; // this checkpoint does not have it
    if (!value)
      return diags.error(recipe->files.front(),
                         "task " + (*task)->name + " has an output '" + name + "' of '" + from + "', which no step makes",
                         "name an id or an `out:` of the recipe");
    outputs.emplace_back(name, value);
  }
  if (outputs.empty())
    outputs.emplace_back((*task)->name == "embedding" ? "sentence_embedding" : "logits", stream);
  if (failed(graph.finish(outputs)))
    return failure();

  // What the graph reads and no output of this task needs.
  std::set<std::string> dead = dropUnused(*result.module);
  FailureOr<std::vector<TensorTable::Ignored>> ignored = tensors.account(scope, diags);
  if (failed(ignored))
    return failure();
  result.ignored = std::move(*ignored);
  for (const CheckpointTensor &tensor : checkpoint.tensors)
    if (dead.count(tensor.name) && tensors.isConsumed(tensor.name))
      result.ignored.push_back({tensor.name, "no output of task " + (*task)->name + " needs it"});
  // The file decides about ties; but a file that has a head of its own where the config says it has none contradicts itself,
  // unless both hold the same bytes.
  const json::Value *tied = config->values.find("tie_word_embeddings");
  const CheckpointTensor *head_ = tensors.find("lm_head.weight"), *table = tensors.find("model.embed_tokens.weight");
  if (tied && tied->isBool() && tied->boolean() && head_ && table && !tensors.isDerived(*head_) && !tensors.isDerived(*table) &&
      raw->contains("tie_word_embeddings")) {
    FailureOr<bool> same = sameBytes(checkpoint, *head_, *table, diags);
    if (failed(same))
      return failure();
    if (!*same)
      (void)diags.error("config.json: tie_word_embeddings", "is true, but " + head_->name + " and " + table->name + " differ",
                        "set it to false if the head is the model's own, or remove the head from the checkpoint");
  }
  if (diags.hasErrors())
    return failure();
  paramsOfRearranged(*result.module);
  if (failed(verify(*result.module)))
    return failure();
  result.module->walk([&](fr::RopeTableOp rope) {
    result.lengthDependent |= rope.getKind() == fr::RopeKind::Dynamic || rope.getKind() == fr::RopeKind::Longrope;
  });
  if (recipe->gguf) {
    FailureOr<std::vector<GgufTensorPlan>> plans = GgufModel(*recipe->gguf, scope).tensors(diags);
    if (failed(plans))
      return failure();
    for (const GgufTensorPlan &plan : *plans)
      if (const CheckpointTensor *tensor = tensors.find(plan.logical))
        result.ggufParams[plan.logical] = tensors.paramOf(*tensor);
    std::set<std::string> held;
    for (const auto &[logical, param] : result.ggufParams)
      held.insert(param);
    GgufModel gguf(*recipe->gguf, scope);
    SymbolTable symbols(*result.module);
    result.module->walk([&](fr::UseOp use) {
      StringRef name = use.getParam();
      auto param = symbols.lookup<fr::ParamOp>(name);
      const bool stored = !param.getBody().front().getOps<fr::GetOp>().empty(); // else it is made of constants
      if (!stored || !held.insert(name.str()).second)
        return;
      name.consume_back(kDerivedSuffix);
      if (!gguf.isIgnored(name))
        result.ggufLeft.push_back(name.str());
    });
  }
  for (StringRef key : {"max_length", "max_position_embeddings"}) {
    if (key == "max_length" && llvm::none_of(recipe->let, [](const Let &let) { return let.name == "max_length"; }))
      continue; // a key of the sampling loop, unless the recipe says what it means
    FailureOr<std::optional<json::Value>> value = scope.lookup(key, diags);
    if (failed(value))
      return failure();
    if (*value && (*value)->isInt()) {
      result.maxLength = (*value)->integer();
      break;
    }
  }
  for (const Let &size : recipe->sizes) {
    FailureOr<int64_t> value = size.value.evalInt(scope, diags);
    if (failed(value))
      return failure();
    result.sizes[size.name] = *value;
  }
  result.recipe = recipe->name;
  result.recipeFiles = recipe->texts;
  result.task = (*task)->name;
  result.architecture = architectureOf(*raw);
  result.config = config->values;
  result.hidden = graph.hiddenTaps();
  FailureOr<std::vector<std::string>> unproven = unprovenOptions(optionsOf(result), result.recipeFiles, diags);
  if (failed(unproven))
    return failure();
  result.unprovenOptions = std::move(*unproven);
  result.family = std::make_shared<const ModelRecipe>(std::move(*recipe));
  return result;
}
