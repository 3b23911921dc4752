#include "importers/gguf/GgufSource.h"

#include "ir/Rows.h"
#include "text/Escape.h"
#include "text/Nearest.h"
#include "weights/Gguf.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <charconv>
#include <cstring>

using namespace flagrelease;
using namespace mlir;

namespace {
constexpr size_t kMaxList = 65536; // longer lists are vocabularies, which no config holds

/// A float of the file as the shortest decimal that reads back as the same float: 1e-05, not 9.99999974e-06.
double shortest(float value) {
  char text[32];
  auto [end, error] = std::to_chars(text, text + sizeof text, value);
  double out = value;
  std::from_chars(text, end, out);
  return out;
}

std::optional<json::Value> valueOf(const GgufValue &value, size_t i) {
  if (std::optional<StringRef> text = value.asText(i))
    return json::Value(*text);
  if (std::optional<bool> flag = value.asBool(i))
    return json::Value(*flag);
  if (std::optional<int64_t> number = value.asInt(i))
    return json::Value(*number);
  if (std::optional<double> number = value.asNumber(i))
    return json::Value(value.type() == GgufType::F32 ? shortest(static_cast<float>(*number)) : *number);
  return std::nullopt; // an integer past int64
}

json::Object keysOf(const GgufKeyValues &values) {
  json::Object out;
  for (const auto &[key, value] : values.all()) {
    if (!value.isList()) {
      if (std::optional<json::Value> one = valueOf(value, 0))
        out.set(key, *one);
      continue;
    }
    if (value.size() > kMaxList)
      continue;
    json::Array list;
    for (size_t i = 0; i < value.size(); ++i)
      list.push_back(valueOf(value, i).value_or(json::Value()));
    out.set(key, json::Value(std::move(list)));
  }
  return out;
}

/// The recipe that reads files of an architecture.
FailureOr<ModelRecipe> recipeOf(StringRef arch, const std::string &where, const RecipeSet &recipes, Diagnostics &diags) {
  std::vector<std::string> known;
  for (const RecipeHead &head : recipes.heads()) {
    Diagnostics own; // a recipe with mistakes is a problem of those who ask for it
    FailureOr<ModelRecipe> recipe = recipes.read(head.name, own);
    if (failed(recipe) || !recipe->gguf || recipe->gguf->reads.empty())
      continue;
    if (recipe->gguf->arch == arch)
      return recipe;
    known.push_back(recipe->gguf->arch);
  }
  llvm::sort(known);
  return diags.error(where + ": general.architecture",
                     "'" + escape::terminal(arch, 80) + "' is read by no recipe" +
                         nearestNote(arch, llvm::ArrayRef<std::string>(known)),
                     "known are: " + listed(known));
}

/// The numbers of a tensor that `made` names, which say something about the config.
FailureOr<std::vector<double>> numbersOf(const Checkpoint &checkpoint, const CheckpointTensor &tensor, Diagnostics &diags) {
  if (tensor.type != DType::F32 || tensor.shape.size() != 1 || tensor.shape[0] > static_cast<int64_t>(kMaxList))
    return diags.error(tensor.name, "is no short list of F32 numbers", "the file is of another kind than its architecture says");
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(checkpoint.files[tensor.file].path, diags);
  std::vector<float> values(static_cast<size_t>(tensor.shape[0]));
  if (failed(source) ||
      failed((*source)->read(tensor.offset, {reinterpret_cast<std::byte *>(values.data()), tensor.bytes}, diags)))
    return failure();
  std::vector<double> out;
  for (float value : values)
    out.push_back(shortest(value));
  return out;
}
} // namespace

FailureOr<GgufSource> flagrelease::readGgufSource(const Checkpoint &checkpoint, const RecipeSet &recipes, Diagnostics &diags) {
  const std::string &where = checkpoint.files.front().name;
  std::optional<StringRef> arch = checkpoint.gguf->text("general.architecture");
  if (!arch)
    return diags.error(where + ": general.architecture", "is missing, or no text", "the file is no model");
  FailureOr<ModelRecipe> recipe = recipeOf(*arch, where, recipes, diags);
  if (failed(recipe))
    return failure();
  const GgufSection &section = *recipe->gguf;

  GgufFileFacts facts;
  facts.keys = keysOf(*checkpoint.gguf);
  if (const GgufValue *tokens = checkpoint.gguf->find("tokenizer.ggml.tokens"))
    facts.tokens = static_cast<int64_t>(tokens->size());
  for (const CheckpointTensor &tensor : checkpoint.tensors)
    facts.shapes[tensor.name] = tensor.block ? tensor.decoded : tensor.shape;
  for (const GgufMadeRule &rule : section.made)
    if (const CheckpointTensor *tensor = checkpoint.find(rule.name)) {
      FailureOr<std::vector<double>> values = numbersOf(checkpoint, *tensor, diags);
      if (failed(values))
        return failure();
      facts.made[rule.name] = std::move(*values);
    }
  FailureOr<json::Object> config = ggufConfig(section, facts, where, diags);
  if (failed(config))
    return failure();

  GgufSource source;
  source.config = std::move(*config);
  source.named.folder = checkpoint.folder;
  source.named.files = checkpoint.files;
  source.named.gguf = checkpoint.gguf;
  Scope values, scope(&values);
  values.bindAll(source.config);
  scope.bindLets(recipe->let);
  GgufModel model(section, scope);
  FailureOr<std::vector<GgufTensorPlan>> plans = model.tensors(diags);
  if (failed(plans))
    return failure();
  std::map<StringRef, const GgufTensorPlan *> byName;
  for (const GgufTensorPlan &plan : *plans)
    byName[plan.name] = &plan;
  for (const CheckpointTensor &tensor : checkpoint.tensors) {
    if (facts.made.count(tensor.name))
      continue;
    CheckpointTensor named = tensor;
    GgufSource::Origin origin{tensor.name, {}};
    if (auto plan = byName.find(tensor.name); plan != byName.end()) {
      named.name = plan->second->logical;
      FailureOr<RowShuffle> shuffle = model.shuffle(*plan->second->rule, tensor.shape.front(), diags);
      if (failed(shuffle))
        return failure();
      origin.rows = shuffle->inverse();
    }
    if (tensor.block) {
      named.type = DType::F32;
      named.shape = tensor.decoded;
      named.block.reset();
    }
    source.origins[named.name] = std::move(origin);
    source.named.tensors.push_back(std::move(named));
  }
  source.named.buildIndex();
  return source;
}

void flagrelease::declareGgufTensors(ModuleOp module, const Checkpoint &checkpoint, const GgufSource &source) {
  OpBuilder b(module.getBodyRegion());
  auto table = b.create<fr::WeightsOp>(b.getUnknownLoc(), kSourceTable);
  mlir::Block *weights = &table.getBody().emplaceBlock();
  for (const CheckpointTensor &tensor : checkpoint.tensors) {
    auto type = RankedTensorType::get(tensor.shape, mlirType(tensor.type, b.getContext()));
    OpBuilder::atBlockEnd(weights).create<fr::WeightOp>(NameLoc::get(b.getStringAttr(tensor.name)), tensor.name, type,
                                                        IntegerAttr());
  }
  for (const CheckpointTensor &named : source.named.tensors) {
    const GgufSource::Origin &origin = source.origins.at(named.name);
    const CheckpointTensor &stored = *checkpoint.find(origin.physical);
    Location loc = NameLoc::get(b.getStringAttr(named.name));
    auto type = RankedTensorType::get(named.shape, mlirType(named.type, b.getContext()));
    auto storedType = RankedTensorType::get(stored.shape, mlirType(stored.type, b.getContext()));
    auto param = b.create<fr::ParamOp>(loc, named.name, type, StringAttr());
    param.getBody().emplaceBlock();
    OpBuilder inner = OpBuilder::atBlockEnd(&param.getBody().front());
    auto path = SymbolRefAttr::get(b.getContext(), kSourceTable, {FlatSymbolRefAttr::get(b.getContext(), origin.physical)});
    Value value = inner.create<fr::GetOp>(loc, storedType, path);
    // Rows move as they are stored: a row is a whole number of blocks.
    if (!origin.rows.identity())
      value = fr::shuffleRows(inner, loc, value, origin.rows.sizes, origin.rows.permutation);
    if (stored.block)
      value = inner.create<fr::DecodeOp>(loc, type, value, blockInfo(*stored.block).name);
    inner.create<fr::YieldOp>(loc, value);
  }
}
