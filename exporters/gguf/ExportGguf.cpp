#include "exporters/gguf/ExportGguf.h"

#include "ir/Fr.h"
#include "text/Escape.h"
#include "weights/Gguf.h"

#include "llvm/ADT/STLExtras.h"

#include <cstdio>

using namespace flagrelease;
using namespace mlir;

FamilyScope::FamilyScope(const ModelRecipe &recipe, const json::Object &config) : own(&values) {
  values.bindAll(config);
  own.bindLets(recipe.let);
}

namespace {
constexpr uint32_t kQuantizationVersion = 2; // ggml.h, GGML_QNT_VERSION
constexpr const char *kHead = "token_embd.weight";

/// general.file_type (llama.h, enum llama_ftype) of a file whose matrices are mostly of a type.
constexpr std::pair<uint32_t, uint32_t> kFileTypes[] = {{0, 0},   {1, 1},   {2, 2},   {3, 3},   {8, 7},   {6, 8},   {7, 9},
                                                        {10, 10}, {11, 12}, {12, 14}, {13, 16}, {14, 18}, {16, 19}, {17, 20},
                                                        {18, 23}, {19, 24}, {20, 25}, {21, 26}, {22, 28}, {23, 30}, {29, 31},
                                                        {30, 32}, {34, 36}, {35, 37}, {39, 38}};

/// One tensor of the plan and the param that gives it.
struct Planned {
  GgufTensor tensor;
  std::string param;
};

/// How the last op of a param writes numbers into blocks; nothing where it yields plain elements.
std::optional<BlockFormat> blockOf(fr::ParamOp param, const Checkpoint *checkpoint) {
  if (fr::GetOp identity = param.getIdentity()) {
    const CheckpointTensor *tensor = checkpoint ? checkpoint->find(identity.getWeight().getLeafReference().getValue()) : nullptr;
    return tensor ? tensor->block : std::nullopt;
  }
  auto encode = cast<fr::YieldOp>(param.getBody().front().getTerminator()).getValue().getDefiningOp<fr::EncodeOp>();
  return encode ? parseBlockFormat(encode.getFormat()) : std::nullopt;
}

LogicalResult planTensors(const ExportRequest &request, std::vector<Planned> &out, Diagnostics &diags) {
  bool good = true;
  ModuleOp module = request.module;
  for (fr::ParamOp param : module.getOps<fr::ParamOp>()) {
    if (SymbolTable::getSymbolVisibility(param) == SymbolTable::Visibility::Private)
      continue;
    auto type = cast<RankedTensorType>(param.getType());
    Planned one;
    one.param = param.getSymName().str();
    one.tensor.name = one.param;
    one.tensor.shape.assign(type.getShape().begin(), type.getShape().end());
    std::optional<DType> element = dtypeOf(type.getElementType());
    one.tensor.block = element == DType::U8 ? blockOf(param, request.checkpoint) : std::nullopt;
    one.tensor.type = element.value_or(DType::U8);
    if (one.tensor.block) {
      const BlockInfo &info = blockInfo(*one.tensor.block);
      one.tensor.shape.back() = one.tensor.shape.back() / info.bytes * info.elements;
    }
    auto refuse = [&](const Twine &what, const Twine &remedy) {
      (void)diags.error(escape::terminal(one.param, 80), what, remedy, Cause::Answer);
      good = false;
    };
    if (one.tensor.name.size() > kGgufMaxName)
      refuse("its name has " + Twine(one.tensor.name.size()) + " bytes; GGUF allows " + Twine(kGgufMaxName), "");
    else if (type.getRank() < 1 || type.getRank() > static_cast<int64_t>(kGgufMaxRank))
      refuse("has " + Twine(type.getRank()) + " dimensions; GGUF tensors have 1 to 4", "");
    else if (!element || !ggmlTypeOf(one.tensor.type, one.tensor.block))
      refuse("is of " + (element ? dtypeName(*element) : StringRef("a type")) + ", which GGUF does not have",
             "use another --scheme");
    else if (!ggufTensorBytes(one.tensor.type, one.tensor.block, one.tensor.shape))
      refuse("its shape has an empty dimension", "");
    out.push_back(std::move(one));
  }
  if (good && out.empty())
    (void)diags.error("--format gguf", "the module has no tensor to print", "");
  return failure(!good || out.empty());
}

/// The file type that most bytes of matrices have.
uint32_t fileTypeOf(const std::vector<Planned> &tensors) {
  std::map<uint32_t, uint64_t> bytes;
  for (const Planned &one : tensors)
    if (one.tensor.shape.size() > 1)
      bytes[*ggmlTypeOf(one.tensor.type, one.tensor.block)] +=
          *ggufTensorBytes(one.tensor.type, one.tensor.block, one.tensor.shape);
  uint32_t most = 0;
  for (const auto &[type, size] : bytes)
    if (!bytes.count(most) || size > bytes[most])
      most = type;
  for (const auto &[type, file] : kFileTypes)
    if (type == most)
      return file;
  return 1024; // "guessed": a type that no file type stands for
}

GgufValue valueOf(GgufKeyType type, const json::Value &value) {
  switch (type) {
  case GgufKeyType::U32:
    return GgufValue::u32(static_cast<uint32_t>(value.integer()));
  case GgufKeyType::F32:
    return GgufValue::f32(static_cast<float>(value.number()));
  case GgufKeyType::Bool:
    return GgufValue::boolean(value.boolean());
  case GgufKeyType::String:
    return GgufValue::text(value.string().str());
  case GgufKeyType::U32s: {
    std::string raw;
    for (const json::Value &one : value.array())
      raw += GgufValue::u32(static_cast<uint32_t>(one.integer())).bytes();
    return GgufValue::raw(GgufType::U32, true, std::move(raw));
  }
  case GgufKeyType::F32s: {
    std::vector<float> list;
    for (const json::Value &one : value.array())
      list.push_back(static_cast<float>(one.number()));
    return GgufValue::f32s(list);
  }
  }
  llvm_unreachable("all types");
}

/// Which tensors make a file: as many as fit, in order, at least one.
std::vector<std::vector<Planned>> shard(std::vector<Planned> tensors, uint64_t limit, uint64_t alignment) {
  std::vector<std::vector<Planned>> files(1);
  uint64_t size = 0;
  for (Planned &one : tensors) {
    uint64_t bytes = *ggufTensorBytes(one.tensor.type, one.tensor.block, one.tensor.shape);
    bytes = (bytes + alignment - 1) / alignment * alignment;
    if (limit && size + bytes > limit && !files.back().empty()) {
      files.emplace_back();
      size = 0;
    }
    size += bytes;
    files.back().push_back(std::move(one));
  }
  return files;
}
} // namespace

FailureOr<GgufKeyValues> flagrelease::ggufKeyValues(const GgufTarget &target, int64_t rows, Diagnostics &diags) {
  const GgufSection &section = *target.recipe->gguf;
  FamilyScope family(*target.recipe, *target.config);
  GgufModel model(section, family.scope());
  auto keys = model.keys(diags);
  if (failed(keys))
    return failure();
  GgufKeyValues out;
  out.add("general.architecture", GgufValue::text(section.arch));
  out.add("general.type", GgufValue::text("model"));
  out.add("general.name", GgufValue::text(target.name));
  for (const auto &[key, type, value] : *keys)
    out.add(key, valueOf(type, value));
  const json::Value *positions = target.config->find("max_position_embeddings");
  std::optional<int64_t> length = out.integer(section.arch + ".context_length");
  if (length && positions && positions->isInt() && *length < positions->integer())
    diags.note("--format gguf", "the file's context ends at " + Twine(*length) + " of the model's " +
                                    Twine(positions->integer()) +
                                    " positions: past it, llama.cpp would compute something else than the model");
  if (target.fileType)
    out.add("general.file_type", GgufValue::u32(*target.fileType));
  out.add("general.quantization_version", GgufValue::u32(kQuantizationVersion));
  if (target.source) {
    for (const auto &[key, value] : target.source->all())
      if (StringRef(key).starts_with("tokenizer."))
        out.add(key, value);
  } else if (failed(addTokenizer({target.folder, rows, target.config, target.tokenizers}, out, diags)))
    return failure();
  for (const auto &[key, value] : target.origin)
    out.add("flagrelease." + key, GgufValue::text(value));
  return out;
}

FailureOr<ExportPlan> flagrelease::exportGguf(const ExportRequest &request, Diagnostics &diags) {
  assert(request.gguf && request.gguf->recipe && request.gguf->recipe->gguf && "what the format needs to know");
  std::vector<Planned> tensors;
  if (failed(planTensors(request, tensors, diags)))
    return failure();
  GgufTarget target = *request.gguf;
  if (request.checkpoint)
    target.source = request.checkpoint->gguf.get();
  if (!target.fileType)
    target.fileType = fileTypeOf(tensors);
  auto embedding = llvm::find_if(tensors, [](const Planned &one) { return one.tensor.name == kHead; });
  if (embedding == tensors.end())
    return diags.error(kHead, "is not among the tensors to print", "the recipe's gguf section must name it");
  FailureOr<GgufKeyValues> keys = ggufKeyValues(target, embedding->tensor.shape.front(), diags);
  if (failed(keys))
    return failure();

  ExportPlan plan;
  const size_t total = tensors.size();
  std::vector<std::vector<Planned>> shards = shard(std::move(tensors), request.shardSize, target.alignment);
  for (size_t i = 0; i < shards.size(); ++i) {
    GgufKeyValues own = i == 0 ? *keys : GgufKeyValues();
    std::string path = request.stem + ".gguf";
    if (shards.size() > 1) {
      own.add("split.no", GgufValue::integer(GgufType::U16, static_cast<int64_t>(i)));
      own.add("split.count", GgufValue::integer(GgufType::U16, static_cast<int64_t>(shards.size())));
      own.add("split.tensors.count", GgufValue::integer(GgufType::I32, static_cast<int64_t>(total)));
      char number[48];
      std::snprintf(number, sizeof number, "-%05zu-of-%05zu.gguf", i + 1, shards.size());
      path = request.stem + number;
    }
    ExportedFile file;
    file.kind = ExportedFile::Kind::Derived;
    file.path = path;
    std::vector<GgufTensor> infos;
    for (const Planned &one : shards[i])
      infos.push_back(one.tensor);
    file.head = layOutGguf(own, infos, target.alignment, file.bytes);
    for (auto [one, info] : llvm::zip(shards[i], infos)) {
      ExportedTensor entry;
      entry.param = one.param;
      entry.type = info.block ? DType::U8 : info.type;
      entry.shape = info.storedShape();
      entry.offset = info.offset;
      entry.bytes = info.bytes;
      file.tensors.push_back(std::move(entry));
    }
    plan.files.push_back(std::move(file));
  }
  return plan;
}
