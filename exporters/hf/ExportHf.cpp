#include "exporters/hf/ExportHf.h"

#include "exporters/hf/QuantizationConfig.h"
#include "exporters/hf/Shards.h"
#include "ir/Fr.h"
#include "weights/Safetensors.h"

#include "llvm/ADT/STLExtras.h"

#include <numeric>

using namespace flagrelease;
using namespace flagrelease::hf_export;

StringRef flagrelease::torchName(DType type) {
  switch (type) {
  case DType::F64:
    return "float64";
  case DType::F32:
    return "float32";
  case DType::F16:
    return "float16";
  case DType::BF16:
    return "bfloat16";
  default:
    return "";
  }
}

FailureOr<std::string> flagrelease::hfConfig(StringRef text, std::optional<DType> floats, llvm::ArrayRef<json::Edit> more,
                                             Diagnostics &diags) {
  const char *const kFile = "config.json";
  FailureOr<json::Value> root = json::parse(text, kFile, diags);
  if (failed(root))
    return failure();
  if (!root->isObject())
    return diags.error(kFile, "is a " + root->kindName() + ", not a mapping", "correct the file in the source");
  std::vector<json::Edit> edits;
  if (floats) {
    StringRef name = torchName(*floats);
    bool stated = false;
    auto restate = [&](const json::Object &object, llvm::ArrayRef<std::string> above) {
      for (const char *key : {"torch_dtype", "dtype"})
        if (const json::Value *value = object.find(key); value && (value->isString() || value->isNull())) {
          stated |= above.empty();
          // An older spelling has a prefix, which stays.
          StringRef prefix = value->isString() && value->string().starts_with("torch.") ? "torch." : "";
          if (value->isString() && value->string() == (prefix + name).str())
            continue;
          std::vector<std::string> path(above.begin(), above.end());
          path.push_back(key);
          edits.push_back({std::move(path), json::Value((prefix + name).str())});
        }
    };
    restate(root->object(), {});
    for (const json::Member &member : root->object()) // text_config and the like state it again
      if (member.value.isObject() && StringRef(member.key).ends_with("_config"))
        restate(member.value.object(), {member.key});
    if (!stated)
      edits.push_back({{"torch_dtype"}, json::Value(name)}); // read by old and new versions
  }
  edits.insert(edits.end(), more.begin(), more.end());
  return edits.empty() ? FailureOr<std::string>(text.str()) : json::edited(text, kFile, edits, diags);
}

namespace {

/// The params in the order of the source: that of the first tensor each one is made of, then that of the module.
FailureOr<std::vector<Stored>> storedParams(const ExportRequest &request, Diagnostics &diags) {
  mlir::ModuleOp module = request.module;
  const std::vector<CheckpointTensor> &weights = request.checkpoint->tensors;
  std::vector<Stored> stored;
  bool good = true;
  for (fr::ParamOp param : module.getOps<fr::ParamOp>()) {
    // A private param is a step on the way to others.
    if (mlir::SymbolTable::getSymbolVisibility(param) == mlir::SymbolTable::Visibility::Private)
      continue;
    Stored tensor;
    tensor.name = param.getSymName().str();
    auto type = mlir::cast<mlir::RankedTensorType>(param.getType());
    std::optional<DType> element = dtypeOf(type.getElementType());
    std::optional<uint64_t> bytes =
        element && type.hasStaticShape() ? tensorBytes(*element, type.getShape().vec()) : std::optional<uint64_t>();
    if (!bytes || tensor.name == "__metadata__") {
      good = succeeded(diags.error(tensor.name, "safetensors have no way to hold it",
                                   "choose another scheme, or correct the tensor in the source"));
      continue;
    }
    tensor.type = *element;
    tensor.shape = type.getShape().vec();
    tensor.bytes = *bytes;
    param.walk([&](fr::GetOp get) {
      const CheckpointTensor *weight = request.checkpoint->find(get.getWeight().getLeafReference().getValue());
      if (!weight) // members of a family have no tensor of that name
        good = succeeded(diags.error(
            tensor.name, "is made of " + get.getWeight().getLeafReference().getValue() + ", which is no tensor of its own",
            "the format writes each tensor under the name it has in the source"));
      else if (!tensor.first || weight < tensor.first)
        tensor.first = weight;
    });
    tensor.unchanged = param.getIdentity() && tensor.first && tensor.first->name == tensor.name &&
                       tensor.first->type == tensor.type && tensor.first->shape == tensor.shape;
    stored.push_back(std::move(tensor));
  }
  if (!good)
    return failure();
  std::vector<size_t> order(stored.size());
  std::iota(order.begin(), order.end(), 0);
  auto place = [&](const Stored &tensor) {
    return tensor.first ? tensor.first - weights.data() : static_cast<std::ptrdiff_t>(weights.size());
  };
  llvm::sort(order, [&](size_t a, size_t b) {
    return place(stored[a]) != place(stored[b]) ? place(stored[a]) < place(stored[b]) : a < b;
  });
  std::vector<Stored> sorted;
  for (size_t index : order)
    sorted.push_back(std::move(stored[index]));
  return sorted;
}

} // namespace

FailureOr<ExportPlan> flagrelease::exportHf(const ExportRequest &request, Diagnostics &diags) {
  assert(request.checkpoint && request.beside && "a checkpoint format is made of a checkpoint");
  FailureOr<std::vector<Stored>> tensors = storedParams(request, diags);
  if (failed(tensors))
    return failure();
  const SideFile *config = request.beside->find("config.json");
  if (!config)
    return diags.error("config.json", "is not among the files of the source that can be carried over",
                       "put config.json beside the weights");
  std::vector<json::Edit> edits = request.configEdits;
  if (request.dequantised)
    edits.push_back({{"quantization_config"}, std::nullopt});
  if (request.scheme && request.scheme->weights)
    edits.push_back({{"quantization_config"}, hfQuantizationConfig(*request.scheme, request.module)});
  FailureOr<std::string> text = hfConfig(config->content, request.floats, edits, diags);
  FailureOr<Layout> layout = failed(text) ? FailureOr<Layout>(failure()) : layOutShards(request, *tensors, diags);
  if (failed(layout))
    return failure();

  ExportPlan plan;
  std::string index = layout->files.size() > 1 ? indexJson(*layout) : std::string();
  plan.files = std::move(layout->files);
  llvm::sort(plan.files,
             [](const ExportedFile &a, const ExportedFile &b) { return a.kind != b.kind ? a.kind < b.kind : a.path < b.path; });
  auto add = [&](std::string path, std::string content) {
    ExportedFile file;
    file.path = std::move(path);
    file.bytes = content.size();
    file.content = std::move(content);
    plan.files.push_back(std::move(file));
  };
  if (!index.empty())
    add("model.safetensors.index.json", std::move(index));
  add("config.json", std::move(*text));
  return plan;
}
