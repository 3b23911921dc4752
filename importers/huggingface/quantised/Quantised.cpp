#include "importers/huggingface/quantised/Quantised.h"

#include "text/Nearest.h"
#include "weights/Safetensors.h"

#include "llvm/Support/FileSystem.h"

#include <limits>

using namespace flagrelease;
using namespace mlir;
using json::Object;

namespace {
constexpr QuantisedMethod kMethods[] = {
    {"gptq", declareGptq},
    {"awq", declareAwq},
    {"compressed-tensors", declareCompressedTensors},
    {"fp8", declareFp8},
    {"modelopt", declareModelOpt},
    {"mxfp4", declareMxfp4},
    {"bitsandbytes", declareBitsAndBytes},
};

/// `quantization_config`, or what NVIDIA's tools write beside config.json.
FailureOr<std::optional<Object>> settingsOf(const Checkpoint &checkpoint, const Object &config, Diagnostics &diags) {
  for (StringRef key : {"quantization_config", "compression_config"})
    if (const json::Value *value = config.find(key); value && !value->isNull()) {
      if (!value->isObject())
        return diags.error("config.json: " + key, "is a " + value->kindName() + ", not a mapping", "correct config.json");
      Object settings = value->object();
      if (!settings.contains("quant_method") && settings.contains("quant_algo"))
        settings.set("quant_method", "modelopt");
      return std::optional(settings);
    }
  std::string path = checkpoint.folder + "/hf_quant_config.json";
  if (!llvm::sys::fs::exists(path))
    return std::optional<Object>();
  FailureOr<json::Value> root = json::parseFile(path, diags);
  if (failed(root))
    return failure();
  const json::Value *inner = root->find("quantization");
  if (!inner || !inner->isObject())
    return diags.error("hf_quant_config.json: quantization", "is missing or no mapping", "restore the file from where it came");
  const json::Value *algorithm = inner->find("quant_algo");
  if (!algorithm || algorithm->isNull())
    return std::optional<Object>();
  Object settings = inner->object();
  settings.set("quant_method", "modelopt");
  return std::optional(settings);
}
/// A small number without a scale is no weight: what the graph would take for one is a part that lost its others.
LogicalResult allScaled(const Checkpoint &checkpoint, const DerivedTensors &result, Diagnostics &diags) {
  llvm::StringSet<> used;
  for (const DerivedTensor &derived : result.tensors)
    used.insert(derived.sources.begin(), derived.sources.end());
  bool good = true;
  for (const CheckpointTensor &tensor : checkpoint.tensors)
    if ((tensor.type == DType::F8E4M3 || tensor.type == DType::F8E5M2 || tensor.type == DType::I8) &&
        StringRef(tensor.name).ends_with(".weight") && !used.contains(tensor.name)) {
      (void)diags.error(tensor.name, "is " + dtypeName(tensor.type) + " and no scale stands beside it (" + result.method + ")",
                        "complete the download, or correct quantization_config");
      good = false;
    }
  return success(good);
}
} // namespace

FailureOr<DerivedTensors> flagrelease::declareQuantised(ModuleOp module, const Checkpoint &checkpoint, const Object &config,
                                                        Diagnostics &diags) {
  DerivedTensors result;
  FailureOr<std::optional<Object>> settings = settingsOf(checkpoint, config, diags);
  if (failed(settings))
    return failure();
  if (!*settings)
    return result;
  std::vector<std::string> known;
  for (const QuantisedMethod &method : kMethods)
    known.push_back(method.name.str());
  const json::Value *name = (*settings)->find("quant_method");
  if (!name || !name->isString())
    return diags.error("config.json: quantization_config.quant_method", "is missing or no text", "known are: " + listed(known));
  for (const QuantisedMethod &method : kMethods) {
    if (method.name != name->string())
      continue;
    result.method = method.name.str();
    QuantisedBuilder builder(module, checkpoint, **settings, result, diags);
    builder.builder.setInsertionPointToEnd(module.getBody());
    if (failed(method.declare(builder)) || failed(allScaled(checkpoint, result, diags)))
      return failure();
    return result;
  }
  return diags.error("config.json: quantization_config.quant_method",
                     "'" + name->string() + "' is not known" + nearestNote(name->string(), known), "known are: " + listed(known));
}

const CheckpointTensor *QuantisedBuilder::need(const Twine &name, StringRef of) {
  const CheckpointTensor *tensor = find(name);
  if (!tensor)
    (void)diags.error(name, "is missing: " + of + " is quantised (" + result.method + ") and needs it",
                      "complete the download, or correct quantization_config");
  return tensor;
}

LogicalResult QuantisedBuilder::misfit(const CheckpointTensor &tensor, const Twine &expected) {
  std::string shape = "[";
  for (auto [i, d] : llvm::enumerate(tensor.shape))
    shape += (i ? ", " : "") + std::to_string(d);
  return diags.error(tensor.name, "is " + dtypeName(tensor.type) + " " + shape + "], expected " + expected,
                     "quantization_config and the tensors are of different checkpoints: restore both from one revision");
}

void QuantisedBuilder::ignore(const Twine &name, StringRef reason) {
  if (find(name))
    result.ignored.emplace_back(name.str(), reason.str());
}

LogicalResult QuantisedBuilder::forEach(StringRef suffix,
                                        llvm::function_ref<LogicalResult(const std::string &, const CheckpointTensor &)> visit) {
  bool good = true;
  for (const CheckpointTensor &tensor : checkpoint.tensors)
    if (StringRef base = tensor.name; base.consume_back(suffix))
      good &= succeeded(visit(base.str(), tensor)); // all problems in one run
  return success(good);
}

LogicalResult QuantisedBuilder::derive(const Twine &name, std::vector<int64_t> shape, llvm::function_ref<Value()> build) {
  DerivedTensor derived;
  derived.name = name.str();
  if (!names.insert(derived.name).second)
    return diags.error(name, "is stored in two ways (" + result.method + ")", "restore the checkpoint");
  derived.param = derived.name + kDerivedSuffix.str();
  derived.shape = shape;
  loc = NameLoc::get(builder.getStringAttr(derived.name));
  auto type = RankedTensorType::get(shape, builder.getF32Type());
  auto param = builder.create<fr::ParamOp>(loc, derived.param, type, StringAttr());
  sources = &derived.sources;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(&param.getBody().emplaceBlock());
  Value value = build();
  builder.create<fr::YieldOp>(loc, value);
  sources = nullptr;
  result.tensors.push_back(std::move(derived));
  return success();
}

Value QuantisedBuilder::get(const CheckpointTensor &tensor) {
  if (sources && !llvm::is_contained(*sources, tensor.name))
    sources->push_back(tensor.name);
  auto type = RankedTensorType::get(tensor.shape, mlirType(tensor.type, builder.getContext()));
  auto path = SymbolRefAttr::get(builder.getContext(), kSourceTable, {FlatSymbolRefAttr::get(builder.getContext(), tensor.name)});
  return builder.create<fr::GetOp>(loc, type, path);
}

static RankedTensorType withElement(Value value, Type element) {
  return RankedTensorType::get(cast<RankedTensorType>(value.getType()).getShape(), element);
}

Value QuantisedBuilder::unpack(Value words, int64_t bits, fr::PackOrder order, int64_t axis, int64_t count) {
  llvm::SmallVector<int64_t> shape(cast<RankedTensorType>(words.getType()).getShape());
  shape[axis] = count;
  auto type = RankedTensorType::get(shape, IntegerType::get(builder.getContext(), 8, IntegerType::Unsigned));
  return builder.create<fr::UnpackOp>(loc, type, words, bits, order, axis);
}

Value QuantisedBuilder::f32(Value x) {
  if (elementOf(x.getType()).isF32())
    return x;
  return builder.create<fr::CastOp>(loc, withElement(x, builder.getF32Type()), x);
}

Value QuantisedBuilder::constant(llvm::ArrayRef<float> values) {
  llvm::SmallVector<int64_t> shape;
  if (values.size() != 1)
    shape.push_back(static_cast<int64_t>(values.size()));
  auto type = RankedTensorType::get(shape, builder.getF32Type());
  return builder.create<fr::ConstantOp>(loc, cast<ElementsAttr>(DenseElementsAttr::get(type, values)));
}

Value QuantisedBuilder::lookUp(Value x, llvm::ArrayRef<float> table) { return gather(constant(table), x); }
Value QuantisedBuilder::gather(Value table, Value indices) {
  return builder.create<fr::GatherOp>(loc, table, indices, /*axis=*/0, /*batch_dims=*/0);
}

Value QuantisedBuilder::reshape(Value x, llvm::ArrayRef<int64_t> shape) {
  if (cast<RankedTensorType>(x.getType()).getShape() == shape)
    return x;
  return builder.create<fr::ReshapeOp>(loc, RankedTensorType::get(shape, elementOf(x.getType())), x);
}

Value QuantisedBuilder::transpose2(Value x) { return builder.create<fr::TransposeOp>(loc, x, llvm::ArrayRef<int64_t>{1, 0}); }

Value QuantisedBuilder::dequantize(Value x, Value scale, Value zero, llvm::ArrayRef<int64_t> blocks, int64_t offset) {
  return builder.create<fr::DequantizeOp>(loc, withElement(x, builder.getF32Type()), x, scale, zero, blocks, offset);
}

LogicalResult QuantisedBuilder::readSmall(const CheckpointTensor &tensor, std::vector<std::byte> &bytes) {
  constexpr uint64_t kLimit = uint64_t(1) << 20;
  if (tensor.bytes > kLimit)
    return diags.error(tensor.name, "has " + Twine(tensor.bytes) + " bytes, and holds a few numbers only",
                       "restore the checkpoint");
  FailureOr<std::shared_ptr<FileSource>> file = FileSource::open(checkpoint.files[tensor.file].path, diags);
  if (failed(file))
    return failure();
  bytes.resize(tensor.bytes);
  return (*file)->read(tensor.offset, bytes, diags);
}

FailureOr<std::vector<int64_t>> QuantisedBuilder::integers(const CheckpointTensor &tensor) {
  HostTensor host(tensor.type, tensor.shape);
  if (isFloat(tensor.type))
    return misfit(tensor, "integers");
  if (failed(readSmall(tensor, host.bytes)))
    return failure();
  std::vector<int64_t> out;
  for (int64_t i = 0; i < host.elements(); ++i)
    out.push_back(tensor.type == DType::I64 ? host.as<int64_t>()[i] : static_cast<int64_t>(host.at(i)));
  return out;
}

FailureOr<std::string> QuantisedBuilder::text(const CheckpointTensor &tensor) {
  if (tensor.type != DType::U8)
    return misfit(tensor, "U8: the bytes of a text");
  std::vector<std::byte> bytes;
  if (failed(readSmall(tensor, bytes)))
    return failure();
  return std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size());
}

FailureOr<int64_t> QuantisedBuilder::integer(StringRef key, int64_t otherwise) {
  const json::Value *value = settings.find(key);
  if (!value || value->isNull())
    return otherwise;
  if (!value->isInt())
    return diags.error(where(key), "is " + json::toText(*value) + ", not an integer", "correct config.json");
  return value->integer();
}

FailureOr<bool> QuantisedBuilder::flag(StringRef key, bool otherwise) {
  const json::Value *value = settings.find(key);
  if (!value || value->isNull())
    return otherwise;
  if (!value->isBool())
    return diags.error(where(key), "is " + json::toText(*value) + ", not true or false", "correct config.json");
  return value->boolean();
}

FailureOr<std::string> QuantisedBuilder::word(StringRef key, StringRef otherwise) {
  const json::Value *value = settings.find(key);
  if (!value || value->isNull())
    return otherwise.str();
  if (!value->isString())
    return diags.error(where(key), "is " + json::toText(*value) + ", not text", "correct config.json");
  return value->string().str();
}

llvm::ArrayRef<float> QuantisedBuilder::e2m1Table() {
  static constexpr float table[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  return table;
}

llvm::ArrayRef<float> QuantisedBuilder::e8m0Table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (int i = 0; i < 256; ++i)
      values[i] = f8e8m0ToF32(static_cast<uint8_t>(i));
    return values;
  }();
  return table;
}
