#include "tests/exporters/OnnxCases.h"

#include "ir/onnx/Schema.h"
#include "passes/to_onnx/Toolchain.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

using namespace flagrelease;
using namespace flagrelease::test;

static const OpTable &tableNamed(const std::string &name) {
  static const OpTables tables = [] {
    Diagnostics diags;
    FailureOr<OpTables> loaded = OpTables::load(FLAGRELEASE_SOURCE_DIR "/recipes/ops", "", diags);
    return succeeded(loaded) ? std::move(*loaded) : OpTables();
  }();
  const OpTable *table = tables.find(name);
  if (!table)
    llvm::report_fatal_error(llvm::Twine("no operator table ") + name);
  return *table;
}

OnnxTarget Variant::target() const {
  if (!table.empty())
    return onnxTarget(tableNamed(table), opset);
  OnnxTarget target;
  target.opset = opset;
  target.supported = [this](const OnnxNodeQuery &query) {
    std::string name = query.domain == kOnnxDomain ? query.op.str() : (query.domain + ":" + query.op).str();
    auto isF64 = [](mlir::Type type) { return type && type.isF64(); };
    if (refuse.count(name) || (refuseF64 && (llvm::any_of(query.operands, isF64) || llvm::any_of(query.results, isF64))))
      return false;
    return isStandardOnnx(query.domain, query.op) || contrib.count(name) != 0;
  };
  return target;
}

std::vector<Variant> test::variantsOf(StringRef moduleText) {
  std::vector<Variant> variants;
  llvm::SmallVector<StringRef> lines;
  moduleText.split(lines, '\n');
  for (StringRef line : lines) {
    if (!line.consume_front("// VARIANT "))
      continue;
    Variant variant;
    variant.text = line.str();
    llvm::SmallVector<StringRef> words, names;
    line.split(words, ' ', -1, false);
    for (StringRef word : words) {
      auto [key, value] = word.split('=');
      names.clear();
      value.split(names, ',');
      auto fill = [&](std::set<std::string> &set) {
        for (StringRef name : names)
          set.insert(name.str());
      };
      if (key == "opset")
        value.getAsInteger(10, variant.opset);
      else if (key == "refuse")
        fill(variant.refuse);
      else if (key == "contrib")
        fill(variant.contrib);
      else if (key == "forbid")
        fill(variant.forbid);
      else if (key == "refuse_f64")
        variant.refuseF64 = true;
      else if (key == "table")
        variant.table = value.str();
      else
        llvm::report_fatal_error(llvm::Twine("unknown word in a VARIANT line: ") + word);
    }
    variants.push_back(std::move(variant));
  }
  return variants;
}

mlir::OwningOpRef<mlir::ModuleOp> test::parseModule(StringRef text, mlir::MLIRContext &context) {
  context.loadDialect<fr::FrDialect, mlir::func::FuncDialect>();
  return mlir::parseSourceString<mlir::ModuleOp>(text, &context);
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

namespace {
double elementAt(const char *bytes, DType type, int64_t i) {
  HostTensor one(type, {1});
  std::memcpy(one.bytes.data(), bytes + i * byteWidth(type), byteWidth(type));
  return one.at(0);
}

void append(std::string &out, double value, DType type) {
  auto put = [&](auto bits) { out.append(reinterpret_cast<const char *>(&bits), sizeof bits); };
  switch (type) {
  case DType::F32:
    return put(static_cast<float>(value));
  case DType::F16:
    return put(f64ToF16(value));
  case DType::BF16:
    return put(f64ToBf16(value));
  case DType::I8:
    return put(static_cast<int8_t>(value));
  case DType::U8:
    return put(static_cast<uint8_t>(value));
  default:
    return put(value);
  }
}
} // namespace

TestWeights::TestWeights(mlir::ModuleOp module) : file("some head") {
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  CheckpointFile entry;
  entry.name = "model.safetensors";
  module.walk([&](fr::WeightOp weight) {
    auto type = mlir::cast<mlir::RankedTensorType>(weight.getType());
    CheckpointTensor tensor{weight.getSymName().str(), *dtypeOf(type.getElementType()), type.getShape().vec(), 0, file.size(), 0};
    auto number = [&]() -> double {
      if (tensor.type == DType::U8)
        return static_cast<double>(random() % 256);
      if (tensor.type == DType::I8)
        return static_cast<double>(random() % 256) - 128;
      if (!weight.getSymName().contains("scale"))
        return normal(random);
      const double size = 0.01 + 0.05 * std::abs(normal(random)); // of any sign, as the number of largest magnitude has it
      return random() % 3 ? size : -size;
    };
    for (int64_t i = 0; i < type.getNumElements(); ++i)
      append(file, number(), tensor.type);
    tensor.bytes = file.size() - tensor.offset;
    file += "gap"; // offsets are aligned to nothing
    source.tensors.push_back(tensor);
  });
  entry.bytes = file.size();
  source.files.push_back(entry);
  source.buildIndex();
}

std::vector<double> TestWeights::values(fr::ParamOp param) const {
  fr::GetOp get;
  param.walk([&](fr::GetOp op) { get = op; });
  const CheckpointTensor *tensor = source.find(get.getWeight().getLeafReference().getValue());
  auto type = mlir::cast<mlir::RankedTensorType>(param.getType());
  std::string rounded;
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    append(rounded, elementAt(file.data() + tensor->offset, tensor->type, i), *dtypeOf(type.getElementType()));
  std::vector<double> out(type.getNumElements());
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = elementAt(rounded.data(), *dtypeOf(type.getElementType()), i);
  return out;
}

std::string TestWeights::paramBytes(fr::ParamOp param) const {
  std::string bytes;
  for (double value : values(param))
    append(bytes, value, *dtypeOf(elementOf(param.getType())));
  return bytes;
}

template <typename T>
static void copyRows(const std::vector<double> &all, fr::ParamOp param, int64_t first, int64_t count, T *out) {
  auto type = mlir::cast<mlir::RankedTensorType>(param.getType());
  int64_t row = type.getRank() == 0 ? 1 : type.getNumElements() / type.getDimSize(0);
  std::copy_n(all.begin() + first * row, count * row, out);
}
LogicalResult TestWeights::readRows(fr::ParamOp param, int64_t first, int64_t count, float *out, Diagnostics &) {
  copyRows(values(param), param, first, count, out);
  return success();
}
LogicalResult TestWeights::readRows(fr::ParamOp param, int64_t first, int64_t count, double *out, Diagnostics &) {
  copyRows(values(param), param, first, count, out);
  return success();
}
LogicalResult TestWeights::readIntegers(fr::ParamOp param, int64_t first, int64_t count, int64_t *out, Diagnostics &) {
  copyRows(values(param), param, first, count, out);
  return success();
}

//===----------------------------------------------------------------------===//
// Inputs and artefact
//===----------------------------------------------------------------------===//

NamedTensors test::inputsFor(mlir::func::FuncOp function, const DimExpr::Bindings &sizes, uint64_t seed) {
  std::mt19937_64 random(seed);
  NamedTensors inputs;
  for (mlir::BlockArgument argument : function.getArguments()) {
    std::string name = function.getArgAttrOfType<mlir::StringAttr>(argument.getArgNumber(), kNameAttr).str();
    std::vector<int64_t> shape;
    for (const DimExpr &dim : dimsOf(argument.getType()))
      shape.push_back(*dim.evaluate(sizes));
    DType type = *dtypeOf(elementOf(argument.getType()));
    HostTensor tensor(type, shape);
    int64_t n = tensor.elements(), last = shape.empty() ? 1 : shape.back();
    auto ints = [&](auto value) {
      for (int64_t i = 0; i < n; ++i)
        tensor.as<int64_t>()[i] = value(i);
    };
    auto between = [&](int64_t low, int64_t high) {
      return [&, low, high](int64_t) { return low + int64_t(random() % (high - low)); };
    };
    auto bound = [&](const char *symbol) {
      auto it = sizes.find(symbol);
      return it == sizes.end() ? int64_t(0) : it->second;
    };
    if (type == DType::F32) {
      std::uniform_real_distribution<float> uniform(name == "positive" ? 0.1f : -2.0f, 2.0f);
      for (int64_t i = 0; i < n; ++i)
        tensor.as<float>()[i] = uniform(random);
    } else if (name == "mask") {
      // The first row is full, later ones are padded at the left, every other one at the right too.
      ints([&](int64_t i) {
        int64_t row = i / last, column = i % last, left = std::min(last - 1, 3 * row);
        return int64_t(column >= left && !(row > 0 && row % 2 == 0 && last > left + 2 && column == last - 1));
      });
    } else if (name == "position_ids") {
      ints([&](int64_t i) { return i % last + i / last; });
    } else if (name == "columns") {
      ints([&](int64_t i) { return i + bound("C"); });
    } else if (name == "ids") {
      ints(between(0, 8));
    } else if (name == "index") {
      ints(between(0, bound("S")));
    } else {
      ints(name == "nonzero" ? between(1, 6) : between(-5, 6));
    }
    inputs[name] = std::move(tensor);
  }
  return inputs;
}

void test::writeArtefact(const ExportPlan &plan, mlir::ModuleOp module, const TestWeights &weights, const std::string &folder) {
  std::filesystem::create_directories(folder);
  for (const ExportedFile &file : plan.files) {
    std::ofstream out(folder + "/" + file.path, std::ios::binary);
    if (file.kind == ExportedFile::Kind::Placed) {
      out << weights.fileContent();
    } else if (file.kind == ExportedFile::Kind::Written) {
      out << file.content;
    } else {
      std::string bytes(file.bytes, '\0');
      for (const ExportedTensor &tensor : file.tensors)
        bytes.replace(tensor.offset, tensor.bytes, weights.paramBytes(module.lookupSymbol<fr::ParamOp>(tensor.param)));
      out << bytes;
    }
  }
}
