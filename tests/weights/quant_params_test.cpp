// Params whose bodies quantise and dequantise, against the formulas in double arithmetic, against words that other software
// packed, and against the reference functions. Whole, in pieces, and on every CpuLevel.
#include "ir/BlockFormat.h"
#include "ir/reference/Reference.h"
#include "tests/support/TempFolder.h"
#include "weights/Safetensors.h"
#include "weights/params/ParamEvaluator.h"

#include "mlir/Parser/Parser.h"

#include "llvm/ADT/DenseMap.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <thread>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
uint64_t next(uint64_t &state) { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; }

/// About as weights are spread, with exact zeros, and a row of zeros.
HostTensor weights(std::vector<int64_t> shape, uint64_t seed) {
  HostTensor tensor(DType::BF16, shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const auto a = static_cast<double>(next(seed) % 2001) - 1000, b = static_cast<double>(next(seed) % 2001) - 1000;
    const bool zero = next(seed) % 19 == 0 || i / shape.back() == 2;
    tensor.as<uint16_t>()[i] = f64ToBf16(zero ? 0.0 : (a + b) * 1e-4);
  }
  return tensor;
}

HostTensor bytes(DType type, std::vector<int64_t> shape, uint64_t seed, unsigned lo, unsigned hi) {
  HostTensor tensor(type, shape);
  for (std::byte &byte : tensor.bytes)
    byte = static_cast<std::byte>(lo + next(seed) % (hi - lo + 1));
  return tensor;
}

struct Param {
  explicit Param(const std::string &text, const NamedTensors &extra = {}) {
    tensors = {{"w", weights({37, 200}, 1)},
               {"wide", weights({5, 512}, 2)},
               {"stack", weights({3, 20, 32}, 3)},
               {"words", bytes(DType::I32, {12, 37}, 4, 0, 255)},
               {"halves", bytes(DType::U8, {37, 100}, 5, 0, 255)},
               {"f8", bytes(DType::F8E4M3, {37, 200}, 6, 0, 126)},
               {"e8m0", bytes(DType::F8E8M0, {3, 2}, 7, 110, 130)},
               {"scales", weights({4, 37}, 8)},
               {"index", HostTensor(DType::I32, {128})}};
    for (int i = 0; i < 128; ++i)
      tensors["index"].as<int32_t>()[i] = (i * 37 + 11) % 128 / 32;
    for (const auto &[name, tensor] : extra)
      tensors[name] = tensor;
    REQUIRE(succeeded(writeSafetensors(folder / "model.safetensors", tensors, {}, diags)));
    checkpoint = std::make_unique<Checkpoint>(*openCheckpoint(folder.path, diags));
    context.loadDialect<fr::FrDialect>();
    std::string source = "fr.weights @s {\n";
    for (const CheckpointTensor &tensor : checkpoint->tensors) {
      source += "  fr.weight @" + tensor.name + " : tensor<";
      for (int64_t d : tensor.shape)
        source += std::to_string(d) + "x";
      const char *element = tensor.type == DType::BF16     ? "bf16"
                            : tensor.type == DType::F32    ? "f32"
                            : tensor.type == DType::I32    ? "i32"
                            : tensor.type == DType::U8     ? "ui8"
                            : tensor.type == DType::F8E8M0 ? "si8"
                                                           : "f8E4M3FN";
      source += std::string(element) + ">\n";
    }
    module = mlir::parseSourceString<mlir::ModuleOp>(source + "}\n" + text, &context);
    REQUIRE(module);
    param = module->lookupSymbol<fr::ParamOp>("p");
    sources = *openSources(*checkpoint, diags);
    INFO(textOf(diags));
    REQUIRE(!diags.hasErrors());
  }

  HostTensor read(CpuLevel level = bestCpuLevel()) {
    HostTensor out(*dtypeOf(elementOf(param.getType())), shape());
    ParamEvaluator evaluator(*checkpoint, sources, level);
    LogicalResult done = evaluator.readBytes(param, 0, out.bytes, nullptr, diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(done));
    return out;
  }
  std::string problem() {
    HostTensor out(*dtypeOf(elementOf(param.getType())), shape());
    ParamEvaluator evaluator(*checkpoint, sources);
    REQUIRE(failed(evaluator.readBytes(param, 0, out.bytes, nullptr, diags)));
    REQUIRE(diags.errors().size() == 1);
    return textOf(diags);
  }
  std::vector<int64_t> shape() {
    llvm::ArrayRef<int64_t> sizes = mlir::cast<mlir::RankedTensorType>(param.getType()).getShape();
    return {sizes.begin(), sizes.end()};
  }
  /// The numbers of a stored tensor.
  std::vector<double> numbers(const std::string &name) {
    std::vector<double> out;
    for (int64_t i = 0; i < tensors.at(name).elements(); ++i)
      out.push_back(tensors.at(name).at(i));
    return out;
  }

  TempFolder folder;
  mlir::MLIRContext context;
  NamedTensors tensors;
  Diagnostics diags;
  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<std::shared_ptr<FileSource>> sources;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  fr::ParamOp param;
};

class NoParams final : public ParamReader {
  LogicalResult readRows(fr::ParamOp, int64_t, int64_t, float *, Diagnostics &) override { return failure(); }
  LogicalResult readRows(fr::ParamOp, int64_t, int64_t, double *, Diagnostics &) override { return failure(); }
  LogicalResult readIntegers(fr::ParamOp, int64_t, int64_t, int64_t *, Diagnostics &) override { return failure(); }
};

/// The param by the reference functions, op by op: its numbers, without a rounding at the end.
std::vector<double> byReference(Param &p) {
  NoParams none;
  Diagnostics diags;
  RefContext<float> context{{}, none, diags};
  llvm::DenseMap<mlir::Value, RefTensor<float>> values;
  for (mlir::Operation &op : p.param.getBody().front()) {
    if (auto yield = llvm::dyn_cast<fr::YieldOp>(op)) {
      const RefTensor<float> &value = values[yield.getValue()];
      return value.integer ? std::vector<double>(value.i.begin(), value.i.end())
                           : std::vector<double>(value.f.begin(), value.f.end());
    }
    RefTensor<float> result;
    result.shape = context.shapeOf(op.getResult(0).getType());
    result.integer = !llvm::isa<mlir::FloatType>(elementOf(op.getResult(0).getType()));
    result.i.resize(result.integer ? result.elements() : 0);
    result.f.resize(result.integer ? 0 : result.elements());
    if (auto get = llvm::dyn_cast<fr::GetOp>(op)) {
      const HostTensor &stored = p.tensors.at(get.getWeight().getLeafReference().getValue().str());
      for (int64_t i = 0; i < stored.elements(); ++i)
        if (stored.type == DType::F8E8M0)
          result.i[i] = stored.as<uint8_t>()[i];
        else if (result.integer)
          result.i[i] = static_cast<int64_t>(stored.at(i));
        else
          result.f[i] = static_cast<float>(stored.at(i));
    } else {
      llvm::SmallVector<RefTensor<float> *> operands;
      for (mlir::Value operand : op.getOperands())
        operands.push_back(&values.find(operand)->second);
      const RefEntry<float> *entry = findReference<float>(op.getName().getStringRef());
      REQUIRE(entry);
      REQUIRE(succeeded(entry->function(&op, operands, result, context)));
    }
    values[op.getResult(0)] = std::move(result);
  }
  return {};
}

/// Every way of reading gives the same bytes; returns them.
HostTensor readEveryWay(Param &p, bool reference = true) {
  const HostTensor whole = p.read();
  for (CpuLevel level : {CpuLevel::Plain, CpuLevel::Avx2, CpuLevel::Avx512})
    if (cpuHas(level))
      CHECK(p.read(level).bytes == whole.bytes);
  // In pieces that respect nothing but whole elements.
  ParamEvaluator evaluator(*p.checkpoint, p.sources);
  const int64_t width = byteWidth(whole.type), count = whole.elements();
  uint64_t state = 9;
  int wrong = 0;
  for (int piece = 0; piece < 60; ++piece) {
    const int64_t first = static_cast<int64_t>(next(state)) % count;
    const int64_t length = 1 + static_cast<int64_t>(next(state)) % std::min<int64_t>(count - first, piece % 2 ? 9 : 4000);
    std::vector<std::byte> part(length * width);
    REQUIRE(succeeded(evaluator.readBytes(p.param, first * width, part, nullptr, p.diags)));
    wrong += !std::equal(part.begin(), part.end(), whole.bytes.begin() + first * width);
  }
  CHECK(wrong == 0);
  if (reference) {
    const std::vector<double> expected = byReference(p);
    REQUIRE(static_cast<int64_t>(expected.size()) == count);
    for (int64_t i = 0; i < count; ++i)
      if (!(whole.at(i) == expected[i]))
        FAIL("element " << i << " is " << whole.at(i) << ", the reference has " << expected[i]);
  }
  return whole;
}

/// x as stored, one block: what the rules of fr.quant_scale say, in double.
struct Block {
  double most = 0, least = 0, largest = 0, signedLargest = 0;
  void add(double x) {
    most = std::max(most, x), least = std::min(least, x);
    if (std::fabs(x) > largest || (std::fabs(x) == largest && x < 0))
      largest = std::fabs(x), signedLargest = x;
  }
  double scale(const std::string &rule, double lo, double hi) const {
    if (largest == 0)
      return 1;
    if (rule == "abs_max")
      return largest / hi;
    if (rule == "signed_max")
      return signedLargest / lo;
    if (rule == "min_max")
      return (most - least) / (hi - lo);
    return std::exp2(std::floor(std::log2(largest)) - std::floor(std::log2(hi)));
  }
};

int64_t blockOf(int64_t flat, int64_t columns, int64_t rowsOfBlock, int64_t columnsOfBlock) {
  const int64_t across = (columns + columnsOfBlock - 1) / columnsOfBlock;
  return flat / columns / rowsOfBlock * across + flat % columns / columnsOfBlock;
}

std::vector<Block> blocksOf(const std::vector<double> &x, int64_t columns, int64_t rowsOfBlock, int64_t columnsOfBlock) {
  std::vector<Block> blocks(blockOf(static_cast<int64_t>(x.size()) - 1, columns, rowsOfBlock, columnsOfBlock) + 1);
  for (size_t i = 0; i < x.size(); ++i)
    blocks[blockOf(static_cast<int64_t>(i), columns, rowsOfBlock, columnsOfBlock)].add(x[i]);
  return blocks;
}

/// Where the exact quotient is this near to a tie, the division in float may have rounded to the other side.
bool isRounded(double quotient, double got) {
  return std::fabs(got - quotient) <= 0.5 + 1e-4 && (std::fabs(got - quotient) < 0.5 - 1e-4 || got == std::nearbyint(got));
}

std::string type(const std::vector<int64_t> &shape, const std::string &element) {
  std::string text = "tensor<";
  for (int64_t d : shape)
    text += std::to_string(d) + "x";
  return text + element + ">";
}

struct Scheme {
  std::string rule;
  double lo, hi;
  int64_t rows, columns; ///< of a block
  std::string element;
};

const Scheme kSchemes[] = {
    {"abs_max", -127, 127, 1, 200, "i8"},       // per row
    {"abs_max", -8, 7, 1, 32, "i8"},            // groups, the last one partial
    {"abs_max", -128, 127, 37, 200, "i8"},      // per tensor
    {"abs_max", -127, 127, 16, 48, "i8"},       // partial in both directions
    {"abs_max", -127, 127, 128, 128, "i8"},     // larger than there are rows
    {"abs_max", -127, 127, 37, 1, "i8"},        // per column
    {"abs_max", -127, 127, 1, 1, "i8"},         // each number
    {"signed_max", -8, 7, 1, 32, "i8"},         //
    {"power_of_two", -6, 6, 1, 32, "i8"},       //
    {"abs_max", -448, 448, 1, 200, "f8E4M3FN"}, //
    {"abs_max", -448, 448, 16, 128, "f8E4M3FN"},
    {"abs_max", -57344, 57344, 1, 32, "f8E5M2"},
    {"power_of_two", -448, 448, 1, 32, "f8E4M3FN"},
};

std::string bodyOf(const Scheme &s, const std::string &name, std::vector<int64_t> shape, const std::string &yield = "%q") {
  const int64_t rows = (shape[0] + s.rows - 1) / s.rows, columns = (shape[1] + s.columns - 1) / s.columns;
  const std::string blocks = " blocks [" + std::to_string(s.rows) + ", " + std::to_string(s.columns) + "] : ";
  const std::string range = " range " + std::to_string(s.lo) + " to " + std::to_string(s.hi) + blocks;
  const std::string x = type(shape, "f32"), stored = type(shape, "bf16"), scales = type({rows, columns}, "f32"),
                    q = type(shape, s.element);
  const std::string result = yield == "%q" ? q : scales;
  return "fr.param @p : " + result + " {\n  %w = fr.get @s::@" + name + " : " + stored + "\n  %x = fr.cast %w : (" + stored +
         ") -> " + x + "\n  %s = fr.quant_scale %x " + s.rule + range + "(" + x + ") -> " + scales +
         "\n  %q = fr.quantize %x, %s" + range + "(" + x + ", " + scales + ") -> " + q + "\n  fr.yield " + yield + " : " +
         result + "\n}\n";
}
} // namespace

TEST_CASE("numbers in blocks of all shapes are quantised by all rules") {
  for (const Scheme &s : kSchemes) {
    INFO(s.rule << " " << s.lo << " to " << s.hi << ", blocks of " << s.rows << " x " << s.columns << ", " << s.element);
    Param scales(bodyOf(s, "w", {37, 200}, "%s")), codes(bodyOf(s, "w", {37, 200}));
    const std::vector<double> x = codes.numbers("w");
    const std::vector<Block> blocks = blocksOf(x, 200, s.rows, s.columns);
    const HostTensor scale = readEveryWay(scales), code = readEveryWay(codes);
    REQUIRE(scale.elements() == static_cast<int64_t>(blocks.size()));
    for (size_t b = 0; b < blocks.size(); ++b)
      CHECK(scale.at(b) == Approx(blocks[b].scale(s.rule, s.lo, s.hi)).epsilon(1e-7).margin(0));
    std::vector<double> fp8; // all finite numbers of the type
    for (int c = 0; c < 256 && s.element != "i8"; ++c)
      if (float v = s.element == "f8E5M2" ? f8e5m2ToF32(c) : f8e4m3ToF32(c); std::isfinite(v))
        fp8.push_back(v);
    int wrong = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      double quotient = x[i] / scale.at(blockOf(i, 200, s.rows, s.columns));
      quotient = std::clamp(quotient, s.lo, s.hi);
      if (s.element == "i8") {
        wrong += !isRounded(quotient, code.at(i));
        continue;
      }
      double best = 1e300;
      for (double v : fp8)
        best = std::min(best, std::fabs(v - quotient));
      wrong += std::fabs(code.at(i) - quotient) > best * (1 + 1e-5) + 1e-12;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("ties go to the even number, and what has no room saturates") {
  // Scale 1 exactly: the largest is 127.
  HostTensor x = HostTensor::ofFloats({1, 8}, {127, 0.5f, 1.5f, -0.5f, -2.5f, 126.5f, -127, 3.4999998f});
  Param p(R"(fr.param @p : tensor<1x8xi8> {
    %x = fr.get @s::@x : tensor<1x8xf32>
    %s = fr.quant_scale %x abs_max range -127.0 to 127.0 blocks [1, 8] : (tensor<1x8xf32>) -> tensor<1x1xf32>
    %q = fr.quantize %x, %s range -100.0 to 100.0 blocks [1, 8] : (tensor<1x8xf32>, tensor<1x1xf32>) -> tensor<1x8xi8>
    fr.yield %q : tensor<1x8xi8>
  })",
          {{"x", x}});
  const int expected[] = {100, 0, 2, 0, -2, 100, -100, 3};
  const HostTensor got = readEveryWay(p);
  for (int i = 0; i < 8; ++i)
    CHECK(got.at(i) == expected[i]);
}

TEST_CASE("zero points") {
  const std::string head = R"(
    %w = fr.get @s::@w : tensor<37x200xbf16>
    %x = fr.cast %w : (tensor<37x200xbf16>) -> tensor<37x200xf32>
    %s = fr.quant_scale %x min_max range 0.0 to 15.0 blocks [1, 64] : (tensor<37x200xf32>) -> tensor<37x4xf32>
    %z = fr.quant_zero %x, %s range 0.0 to 15.0 blocks [1, 64] : (tensor<37x200xf32>, tensor<37x4xf32>) -> tensor<37x4xui8>
    %q = fr.quantize %x, %s, %z range 0.0 to 15.0 blocks [1, 64] : (tensor<37x200xf32>, tensor<37x4xf32>, tensor<37x4xui8>) -> tensor<37x200xui8>
)";
  Param zeros("fr.param @p : tensor<37x4xui8> {" + head + "fr.yield %z : tensor<37x4xui8>\n}");
  Param codes("fr.param @p : tensor<37x200xui8> {" + head + "fr.yield %q : tensor<37x200xui8>\n}");
  const HostTensor zero = readEveryWay(zeros), code = readEveryWay(codes);
  const std::vector<double> x = codes.numbers("w");
  const std::vector<Block> blocks = blocksOf(x, 200, 1, 64);
  for (size_t b = 0; b < blocks.size(); ++b) {
    const double scale = blocks[b].scale("min_max", 0, 15);
    CHECK(isRounded(-blocks[b].least / scale, zero.at(b)));
  }
  int wrong = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t b = blockOf(i, 200, 1, 64);
    const double quotient = std::clamp(x[i] / blocks[b].scale("min_max", 0, 15), -zero.at(b), 15 - zero.at(b));
    wrong += !isRounded(quotient, code.at(i) - zero.at(b));
  }
  CHECK(wrong == 0);
  // The zeros of four rows of groups in one word, as three bits and as nibbles.
  Param packed(
      "fr.param @p : tensor<5x4xi32> {" + head +
      "%p = fr.pack %z bits 4 low_first axis 0 : (tensor<37x4xui8>) -> tensor<5x4xi32>\nfr.yield %p : tensor<5x4xi32>\n}");
  const HostTensor words = readEveryWay(packed);
  for (int64_t i = 0; i < 37 * 4; ++i)
    CHECK((words.as<uint32_t>()[i / 4 / 8 * 4 + i % 4] >> (i / 4 % 8 * 4) & 15) == zero.at(i));
}

TEST_CASE("blocks that are too large to hold, and scales of scales") {
  const HostTensor big = weights({1100, 1000}, 10);
  for (const Scheme &s : {Scheme{"abs_max", -127, 127, 1100, 1000, "i8"}, Scheme{"abs_max", -127, 127, 1100, 1, "i8"},
                          Scheme{"abs_max", -127, 127, 1, 1000, "i8"}}) {
    Param codes(bodyOf(s, "big", {1100, 1000}), {{"big", big}});
    const std::vector<double> x = codes.numbers("big");
    const std::vector<Block> blocks = blocksOf(x, 1000, s.rows, s.columns);
    const HostTensor code = readEveryWay(codes, /*reference=*/false);
    int wrong = 0;
    for (size_t i = 0; i < x.size(); ++i)
      wrong += !isRounded(x[i] / blocks[blockOf(i, 1000, s.rows, s.columns)].scale(s.rule, s.lo, s.hi), code.at(i));
    CHECK(wrong == 0);
  }
  // Quantised again: a scale of the whole that needs a scale of the whole.
  Param twice(R"(fr.param @p : tensor<1100x1000xi8> {
    %w = fr.get @s::@big : tensor<1100x1000xbf16>
    %x = fr.cast %w : (tensor<1100x1000xbf16>) -> tensor<1100x1000xf32>
    %s = fr.quant_scale %x abs_max range -7.0 to 7.0 blocks [1100, 1000] : (tensor<1100x1000xf32>) -> tensor<1x1xf32>
    %q = fr.quantize %x, %s range -7.0 to 7.0 blocks [1100, 1000] : (tensor<1100x1000xf32>, tensor<1x1xf32>) -> tensor<1100x1000xi8>
    %y = fr.dequantize %q, %s blocks [1100, 1000] : (tensor<1100x1000xi8>, tensor<1x1xf32>) -> tensor<1100x1000xf32>
    %t = fr.quant_scale %y abs_max range -7.0 to 7.0 blocks [1100, 1000] : (tensor<1100x1000xf32>) -> tensor<1x1xf32>
    %r = fr.quantize %y, %t range -7.0 to 7.0 blocks [1100, 1000] : (tensor<1100x1000xf32>, tensor<1x1xf32>) -> tensor<1100x1000xi8>
    fr.yield %r : tensor<1100x1000xi8>
  })",
              {{"big", big}});
  Param once(bodyOf({"abs_max", -7, 7, 1100, 1000, "i8"}, "big", {1100, 1000}), {{"big", big}});
  CHECK(twice.read().bytes == once.read().bytes);
}

TEST_CASE("scales that are stored narrower are those that numbers are divided by") {
  // The largest of a block of 448-ths: 1/448 has no short form, so F16 and E8M0 differ from f32 in it.
  for (const char *element : {"f16", "si8"}) {
    Param p(std::string(R"(fr.param @p : tensor<37x200xi8> {
    %w = fr.get @s::@w : tensor<37x200xbf16>
    %x = fr.cast %w : (tensor<37x200xbf16>) -> tensor<37x200xf32>
    %s = fr.quant_scale %x abs_max range -127.0 to 127.0 blocks [1, 200] : (tensor<37x200xf32>) -> tensor<37x1xf32>
    %h = fr.cast %s : (tensor<37x1xf32>) -> tensor<37x1x)") +
            element + R"(>
    %q = fr.quantize %x, %h range -127.0 to 127.0 blocks [1, 200] : (tensor<37x200xf32>, tensor<37x1x)" +
            element + R"(>) -> tensor<37x200xi8>
    fr.yield %q : tensor<37x200xi8>
  })");
    const std::vector<double> x = p.numbers("w");
    const std::vector<Block> blocks = blocksOf(x, 200, 1, 200);
    const HostTensor code = readEveryWay(p, /*reference=*/std::string(element) == "none");
    int wrong = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      double scale = blocks[i / 200].scale("abs_max", -127, 127);
      if (std::string(element) == "f16") {
        const double unit = std::exp2(std::max(-14.0, std::floor(std::log2(scale))) - 10);
        scale = std::nearbyint(scale / unit) * unit;
      } else {
        const double below = std::exp2(std::floor(std::log2(scale)));
        scale = scale / below >= 1.5 ? 2 * below : below;
      }
      wrong += !isRounded(std::clamp(x[i] / scale, -127.0, 127.0), code.at(i));
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("packing is that of the software that reads it") {
  HostTensor rising = HostTensor::ofFloats({1, 8}, {0, 1, 2, 3, 4, 5, 6, 7});
  HostTensor mixed = HostTensor::ofFloats({1, 16}, {3, -4, 2, -1, 0, 1, -2, -3, 3, 3, -4, -4, 1, -1, 2, 0});
  auto packed = [](const HostTensor &x, const std::string &lo, const std::string &hi, const std::string &integer,
                   const std::string &pack, const std::string &result) {
    const std::string n = std::to_string(x.shape[1]);
    HostTensor one = HostTensor::ofFloats({1, 1}, {1});
    return Param("fr.param @p : " + result + " {\n%x = fr.get @s::@x : tensor<1x" + n +
                     "xf32>\n%s = fr.get @s::@one : tensor<1x1xf32>\n" + "%q = fr.quantize %x, %s range " + lo + " to " + hi +
                     " blocks [1, " + n + "] : (tensor<1x" + n + "xf32>, tensor<1x1xf32>) -> tensor<1x" + n + "x" + integer +
                     ">\n%p = fr.pack %q " + pack + " axis 1 : (tensor<1x" + n + "x" + integer + ">) -> " + result +
                     "\nfr.yield %p : " + result + "\n}",
                 {{"x", x}, {"one", one}})
        .read();
  };
  // AutoGPTQ and compressed-tensors: the first one in the lowest bits. AutoAWQ: 0, 2, 4, 6, 1, 3, 5, 7. bitsandbytes: high first.
  CHECK(packed(rising, "0.0", "15.0", "ui8", "bits 4 low_first", "tensor<1x1xi32>").as<uint32_t>()[0] == 0x76543210);
  CHECK(packed(rising, "0.0", "15.0", "ui8", "bits 4 awq", "tensor<1x1xi32>").as<uint32_t>()[0] == 0x75316420);
  CHECK(packed(rising, "0.0", "15.0", "ui8", "bits 4 high_first", "tensor<1x1xi32>").as<uint32_t>()[0] == 0x01234567);
  const HostTensor high = packed(rising, "0.0", "15.0", "ui8", "bits 4 high_first", "tensor<1x4xui8>"),
                   low = packed(rising, "0.0", "15.0", "ui8", "bits 4 low_first", "tensor<1x4xui8>");
  CHECK(std::vector<uint8_t>(high.as<uint8_t>(), high.as<uint8_t>() + 4) == std::vector<uint8_t>{0x01, 0x23, 0x45, 0x67});
  CHECK(std::vector<uint8_t>(low.as<uint8_t>(), low.as<uint8_t>() + 4) == std::vector<uint8_t>{0x10, 0x32, 0x54, 0x76});
  // compressed_tensors 0.20, pack_to_int32 of these integers without the offset 2^(bits - 1) that it adds.
  const HostTensor three = packed(mixed, "-4.0", "3.0", "i8", "bits 3 low_first", "tensor<1x2xi32>");
  CHECK(std::vector<uint32_t>(three.as<uint32_t>(), three.as<uint32_t>() + 2) == std::vector<uint32_t>{0x1bb88ea3, 0xb99});
  const HostTensor two = packed(mixed, "-2.0", "1.0", "i8", "bits 2 low_first", "tensor<1x1xi32>");
  CHECK(two.as<uint32_t>()[0] == 0x1da5a4d9);
  const HostTensor eight = packed(mixed, "-128.0", "127.0", "i8", "bits 8 low_first", "tensor<1x4xi32>");
  CHECK(std::vector<uint32_t>(eight.as<uint32_t>(), eight.as<uint32_t>() + 4) ==
        std::vector<uint32_t>{0xff02fc03, 0xfdfe0100, 0xfcfc0303, 0x2ff01});
}

TEST_CASE("packed along both axes, in all orders and widths, and unpacked again") {
  const std::string head = R"(
    %w = fr.get @s::@w : tensor<37x200xbf16>
    %x = fr.cast %w : (tensor<37x200xbf16>) -> tensor<37x200xf32>
    %s = fr.quant_scale %x abs_max range LO to HI blocks [1, 64] : (tensor<37x200xf32>) -> tensor<37x4xf32>
    %q = fr.quantize %x, %s range LO to HI blocks [1, 64] : (tensor<37x200xf32>, tensor<37x4xf32>) -> tensor<37x200xi8>
)";
  for (int bits : {2, 3, 4, 5, 8})
    for (const char *order : {"low_first", "high_first", "awq"})
      for (int word : {8, 32})
        for (int axis : {0, 1}) {
          const std::string name = order;
          if ((name != "low_first" && word % bits != 0) || (name == "awq" && (bits != 4 || word != 32)))
            continue;
          INFO(bits << " bits, " << order << ", words of " << word << " bits, axis " << axis);
          std::string body = head;
          for (size_t at; (at = body.find("LO")) != std::string::npos;)
            body.replace(at, 2, std::to_string(-(1 << (bits - 1))) + ".0");
          for (size_t at; (at = body.find("HI")) != std::string::npos;)
            body.replace(at, 2, std::to_string((1 << (bits - 1)) - 1) + ".0");
          std::vector<int64_t> shape{37, 200};
          const int64_t count = shape[axis];
          shape[axis] = (count * bits + word - 1) / word;
          const std::string words = type(shape, word == 32 ? "i32" : "ui8"),
                            how = " bits " + std::to_string(bits) + " " + name + " axis " + std::to_string(axis) + " : ";
          Param codes("fr.param @p : tensor<37x200xi8> {" + body + "fr.yield %q : tensor<37x200xi8>\n}");
          body += "%p = fr.pack %q" + how + "(tensor<37x200xi8>) -> " + words + "\n";
          Param packed("fr.param @p : " + words + " {" + body + "fr.yield %p : " + words + "\n}");
          Param back("fr.param @p : tensor<37x200xui8> {" + body + "%u = fr.unpack %p" + how + "(" + words +
                     ") -> tensor<37x200xui8>\nfr.yield %u : tensor<37x200xui8>\n}");
          readEveryWay(packed);
          const HostTensor code = codes.read(), again = readEveryWay(back);
          int wrong = 0;
          for (int64_t i = 0; i < code.elements(); ++i)
            wrong += (code.as<uint8_t>()[i] & ((1 << bits) - 1)) != again.as<uint8_t>()[i];
          CHECK(wrong == 0);
        }
}

TEST_CASE("dequantised numbers are (q - zero) * scale, rounded once to f32 at each step") {
  // As GPTQ stores it: three bits along the inputs, the group of an input by an index.
  Param gptq(R"(fr.param @p : tensor<37x128xf32> {
    %0 = fr.get @s::@words : tensor<12x37xi32>
    %1 = fr.unpack %0 bits 3 low_first axis 0 : (tensor<12x37xi32>) -> tensor<128x37xui8>
    %2 = fr.get @s::@scales : tensor<4x37xbf16>
    %3 = fr.cast %2 : (tensor<4x37xbf16>) -> tensor<4x37xf32>
    %4 = fr.get @s::@index : tensor<128xi32>
    %5 = fr.gather %3[%4] axis 0 : (tensor<4x37xf32>, tensor<128xi32>) -> tensor<128x37xf32>
    %6 = fr.dequantize %1, %5 blocks [1, 1] offset 3 : (tensor<128x37xui8>, tensor<128x37xf32>) -> tensor<128x37xf32>
    %7 = fr.transpose %6 [1, 0] : (tensor<128x37xf32>) -> tensor<37x128xf32>
    fr.yield %7 : tensor<37x128xf32>
  })");
  const HostTensor got = readEveryWay(gptq);
  const HostTensor &words = gptq.tensors["words"];
  for (int64_t n = 0; n < 37; ++n)
    for (int64_t k = 0; k < 128; ++k) {
      int q = 0;
      for (int64_t bit = 0; bit < 3; ++bit)
        q |= (words.as<uint32_t>()[(k * 3 + bit) / 32 * 37 + n] >> ((k * 3 + bit) % 32) & 1) << bit;
      const double scale = gptq.tensors["scales"].at((k * 37 + 11) % 128 / 32 * 37 + n);
      CHECK(got.at(n * 128 + k) == static_cast<double>(static_cast<float>((q - 3) * scale)));
    }
  // fp8 with powers of two for blocks of 16 x 128, partial at both ends.
  Param fp8(R"(fr.param @p : tensor<37x200xf32> {
    %0 = fr.get @s::@f8 : tensor<37x200xf8E4M3FN>
    %1 = fr.get @s::@e8m0 : tensor<3x2xsi8>
    %2 = fr.dequantize %0, %1 blocks [16, 128] : (tensor<37x200xf8E4M3FN>, tensor<3x2xsi8>) -> tensor<37x200xf32>
    fr.yield %2 : tensor<37x200xf32>
  })");
  const HostTensor wide = readEveryWay(fp8);
  for (int64_t i = 0; i < 37 * 200; ++i) {
    const int power = fp8.tensors["e8m0"].as<uint8_t>()[i / 200 / 16 * 2 + i % 200 / 128] - 127;
    CHECK(wide.at(i) == std::ldexp(fp8.tensors["f8"].at(i), power));
  }
}

TEST_CASE("powers of two in a graph are read as their bytes") {
  Param p(R"(fr.param @p : tensor<3x2xsi8> {
    %0 = fr.get @s::@e8m0 : tensor<3x2xsi8>
    fr.yield %0 : tensor<3x2xsi8>
  })");
  ParamEvaluator evaluator(*p.checkpoint, p.sources);
  std::vector<int64_t> got(6);
  REQUIRE(succeeded(evaluator.readIntegers(p.param, 0, 3, got.data(), p.diags)));
  for (int i = 0; i < 6; ++i)
    CHECK(static_cast<uint8_t>(got[i]) == p.tensors["e8m0"].as<uint8_t>()[i]);
}

TEST_CASE("reshaped blocks of a stack are read in pieces") {
  Param p(R"(fr.param @p : tensor<3x640xi8> {
    %0 = fr.get @s::@stack : tensor<3x20x32xbf16>
    %1 = fr.cast %0 : (tensor<3x20x32xbf16>) -> tensor<3x20x32xf32>
    %2 = fr.reshape %1 : (tensor<3x20x32xf32>) -> tensor<3x640xf32>
    %3 = fr.quant_scale %2 abs_max range -127.0 to 127.0 blocks [1, 48] : (tensor<3x640xf32>) -> tensor<3x14xf32>
    %4 = fr.quantize %2, %3 range -127.0 to 127.0 blocks [1, 48] : (tensor<3x640xf32>, tensor<3x14xf32>) -> tensor<3x640xi8>
    fr.yield %4 : tensor<3x640xi8>
  })");
  readEveryWay(p);
}

TEST_CASE("block formats are written and read row by row") {
  // q8_0: a block of 32 is an F16 scale largest / 127 and the rounded quotients.
  Param encoded(R"(fr.param @p : tensor<5x544xui8> {
    %0 = fr.get @s::@wide : tensor<5x512xbf16>
    %1 = fr.encode %0 "q8_0" : (tensor<5x512xbf16>) -> tensor<5x544xui8>
    fr.yield %1 : tensor<5x544xui8>
  })");
  const HostTensor blocks = readEveryWay(encoded, false);
  const std::vector<double> x = encoded.numbers("wide");
  for (int64_t b = 0; b < 80; ++b) {
    double largest = 0;
    for (int64_t i = 0; i < 32; ++i)
      largest = std::max(largest, std::fabs(x[b * 32 + i]));
    uint16_t half;
    std::memcpy(&half, blocks.bytes.data() + b * 34, 2);
    CHECK(f16ToF32(half) == Approx(largest / 127).epsilon(0x1p-10));
    for (int64_t i = 0; i < 32 && largest > 0; ++i)
      CHECK(isRounded(x[b * 32 + i] / (largest / 127), static_cast<int8_t>(blocks.bytes[b * 34 + 2 + i])));
  }
  Param decoded(R"(fr.param @p : tensor<5x512xf32> {
    %0 = fr.get @s::@blocks : tensor<5x544xui8>
    %1 = fr.decode %0 "q8_0" : (tensor<5x544xui8>) -> tensor<5x512xf32>
    fr.yield %1 : tensor<5x512xf32>
  })",
                {{"blocks", HostTensor(blocks)}});
  const HostTensor numbers = readEveryWay(decoded, false);
  for (int64_t i = 0; i < 5 * 512; ++i) {
    uint16_t half;
    std::memcpy(&half, blocks.bytes.data() + i / 32 * 34, 2);
    CHECK(numbers.at(i) == static_cast<double>(f16ToF32(half)) * static_cast<int8_t>(blocks.bytes[i / 32 * 34 + 2 + i % 32]));
  }
  for (const char *format : {"q4_0", "q4_k", "mxfp4"}) {
    const BlockInfo &info = blockInfo(*parseBlockFormat(format));
    const std::string result = type({5, 512 / info.elements * info.bytes}, "ui8");
    Param other("fr.param @p : " + result + " {\n%0 = fr.get @s::@wide : tensor<5x512xbf16>\n%1 = fr.encode %0 \"" + format +
                "\" : (tensor<5x512xbf16>) -> " + result + "\nfr.yield %1 : " + result + "\n}");
    readEveryWay(other, false);
  }
}

TEST_CASE("what is not finite, and what is damaged, is said with the param's name") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const std::string quantise = R"(fr.param @p : tensor<2x32xi8> {
    %x = fr.get @s::@x : tensor<2x32xf32>
    %s = fr.quant_scale %x RULE range LO to 127.0 blocks BLOCKS : (tensor<2x32xf32>) -> tensor<COUNTxf32>
    %q = fr.quantize %x, %s range -127.0 to 127.0 blocks BLOCKS : (tensor<2x32xf32>, tensor<COUNTxf32>) -> tensor<2x32xi8>
    fr.yield %q : tensor<2x32xi8>
  })";
  auto with = [](std::string text, std::vector<std::pair<std::string, std::string>> changes) {
    for (const auto &[from, to] : changes)
      for (size_t at; (at = text.find(from)) != std::string::npos;)
        text.replace(at, from.size(), to);
    return text;
  };
  const std::string said =
      "[2] p: holds a NaN or an infinity, which has no place in a quantised tensor | restore the checkpoint, "
      "or keep this tensor as it is stored\n";
  for (float bad : {nan, infinity, -infinity}) {
    HostTensor x(DType::F32, {2, 32});
    std::fill_n(x.as<float>(), 64, 0.25f);
    x.as<float>()[45] = bad;
    for (const char *rule : {"abs_max", "signed_max", "min_max", "power_of_two"})
      for (const char *blocks : {"[1, 32]", "[2, 32]"}) {
        INFO(bad << " " << rule << " " << blocks);
        Param p(
            with(quantise, {{"BLOCKS", blocks}, {"RULE", rule}, {"LO", "-127.0"}, {"COUNT", blocks[1] == '1' ? "2x1" : "1x1"}}),
            {{"x", x}});
        CHECK(p.problem() == said);
      }
    // Scales that are given say nothing about the numbers.
    HostTensor one = HostTensor::ofFloats({2, 1}, {1, 1});
    for (const char *element : {"i8", "f8E4M3FN"}) {
      Param given(with(R"(fr.param @p : tensor<2x32xTYPE> {
      %x = fr.get @s::@x : tensor<2x32xf32>
      %s = fr.get @s::@one : tensor<2x1xf32>
      %q = fr.quantize %x, %s range -127.0 to 127.0 blocks [1, 32] : (tensor<2x32xf32>, tensor<2x1xf32>) -> tensor<2x32xTYPE>
      fr.yield %q : tensor<2x32xTYPE>
    })",
                       {{"TYPE", element}}),
                  {{"x", x}, {"one", one}});
      CHECK(given.problem() == said);
    }
    Param encoded(R"(fr.param @p : tensor<2x34xui8> {
      %x = fr.get @s::@x : tensor<2x32xf32>
      %q = fr.encode %x "q8_0" : (tensor<2x32xf32>) -> tensor<2x34xui8>
      fr.yield %q : tensor<2x34xui8>
    })",
                  {{"x", x}});
    CHECK(encoded.problem() == said);
    HostTensor scale = HostTensor::ofFloats({37, 1}, std::vector<float>(37, 1.0f));
    scale.as<float>()[36] = bad;
    Param dequantised(R"(fr.param @p : tensor<37x200xf32> {
      %0 = fr.get @s::@f8 : tensor<37x200xf8E4M3FN>
      %1 = fr.get @s::@scale : tensor<37x1xf32>
      %2 = fr.dequantize %0, %1 blocks [1, 200] : (tensor<37x200xf8E4M3FN>, tensor<37x1xf32>) -> tensor<37x200xf32>
      fr.yield %2 : tensor<37x200xf32>
    })",
                      {{"scale", scale}});
    CHECK(dequantised.problem() == said);
  }
  // A range that overflows: the numbers are finite, their difference is not.
  HostTensor wide(DType::F32, {2, 32});
  wide.as<float>()[0] = 3e38f, wide.as<float>()[1] = -3e38f;
  Param overflow(with(quantise, {{"BLOCKS", "[1, 32]"}, {"RULE", "min_max"}, {"LO", "126.0"}, {"COUNT", "2x1"}}), {{"x", wide}});
  CHECK(overflow.problem() == said);
  // Blocks whose scale is no number.
  HostTensor blocks(DType::U8, {1, 34});
  blocks.as<uint8_t>()[1] = 0x7C; // infinity in F16
  blocks.as<uint8_t>()[2] = 1;
  Param decoded(R"(fr.param @p : tensor<1x32xf32> {
    %0 = fr.get @s::@blocks : tensor<1x34xui8>
    %1 = fr.decode %0 "q8_0" : (tensor<1x34xui8>) -> tensor<1x32xf32>
    fr.yield %1 : tensor<1x32xf32>
  })",
                {{"blocks", blocks}});
  CHECK(decoded.problem() == said);
  // An index that names no group.
  HostTensor index = HostTensor(DType::I32, {4});
  for (int bad : {4, -1}) {
    index.as<int32_t>()[2] = bad;
    Param gathered(R"(fr.param @p : tensor<4x37xf32> {
      %0 = fr.get @s::@scales : tensor<4x37xbf16>
      %1 = fr.cast %0 : (tensor<4x37xbf16>) -> tensor<4x37xf32>
      %2 = fr.get @s::@groups : tensor<4xi32>
      %3 = fr.gather %1[%2] axis 0 : (tensor<4x37xf32>, tensor<4xi32>) -> tensor<4x37xf32>
      fr.yield %3 : tensor<4x37xf32>
    })",
                   {{"groups", index}});
    CHECK(gathered.problem() ==
          "[2] p: index " + std::to_string(bad) + " is outside a table of 4 entries | the checkpoint is damaged: restore it\n");
  }
  Param iq(R"(fr.param @p : tensor<5x132xui8> {
    %x = fr.get @s::@wide : tensor<5x512xbf16>
    %q = fr.encode %x "iq2_xxs" : (tensor<5x512xbf16>) -> tensor<5x132xui8>
    fr.yield %q : tensor<5x132xui8>
  })");
  CHECK(iq.problem() == "[2] p: iq2_xxs is a format that this program only reads | choose another scheme\n");
}

TEST_CASE("blocks whose scale F16 does not hold are counted as losses of range") {
  // One outlier in the second row: what it may be, by the numbers that a block's scale is made of (weights/codecs/Codec.h).
  struct Row {
    const char *format;
    float holds, loses;
  };
  for (Row row :
       {Row{"q4_0", 65504.0f * 8, 65520.0f * 8}, Row{"q4_0", -65504.0f * 8, -65520.0f * 8},
        Row{"q5_0", 65504.0f * 16, 65520.0f * 16}, Row{"q8_0", 65504.0f * 127, 65520.0f * 127}, Row{"q4_1", -65504.0f, -65520.0f},
        Row{"q5_1", -65504.0f, -65520.0f}, Row{"q4_k", 1e6f, 1e9f}, Row{"q6_k", 1e6f, 1e10f}, Row{"mxfp4", 1e30f, 0}}) {
    const BlockInfo &info = blockInfo(*parseBlockFormat(row.format));
    for (float outlier : {row.holds, row.loses}) {
      if (outlier == 0)
        continue; // mxfp4 has a scale for every float
      INFO(row.format << " " << outlier);
      HostTensor x(DType::F32, {2, 512});
      std::fill_n(x.as<float>(), 1024, 0.25f);
      x.as<float>()[700] = outlier;
      const std::string result = type({2, 512 / info.elements * info.bytes}, "ui8");
      Param encoded("fr.param @p : " + result + " {\n%0 = fr.get @s::@x : tensor<2x512xf32>\n%1 = fr.encode %0 \"" + row.format +
                        "\" : (tensor<2x512xf32>) -> " + result + "\nfr.yield %1 : " + result + "\n}",
                    {{"x", x}});
      HostTensor out(DType::U8, encoded.shape());
      RangeLoss loss;
      REQUIRE(succeeded(
          ParamEvaluator(*encoded.checkpoint, encoded.sources).readBytes(encoded.param, 0, out.bytes, &loss, encoded.diags)));
      CHECK(loss.overflows == (outlier == row.loses));
      if (loss.overflows)
        CHECK(loss.firstValue == outlier);
    }
  }
}

TEST_CASE("a scale of 0 stores zeros and gives zeros") {
  // Numbers so small that the largest, divided by 127, has no float.
  HostTensor tiny(DType::F32, {1, 32});
  tiny.as<float>()[3] = 1e-45f;
  Param p(bodyOf({"abs_max", -127, 127, 1, 32, "i8"}, "tiny", {1, 32}), {{"tiny", [&] {
                                                                            HostTensor narrow(DType::BF16, {1, 32});
                                                                            narrow.as<uint16_t>()[3] = 1; // 2^-133
                                                                            return narrow;
                                                                          }()}});
  const HostTensor code = readEveryWay(p);
  for (int i = 0; i < 32; ++i)
    CHECK(std::abs(code.at(i)) <= 127);
  HostTensor none = HostTensor::ofFloats({37, 1}, std::vector<float>(37, 0.0f));
  Param zero(R"(fr.param @p : tensor<37x200xf32> {
    %0 = fr.get @s::@f8 : tensor<37x200xf8E4M3FN>
    %1 = fr.get @s::@none : tensor<37x1xf32>
    %2 = fr.dequantize %0, %1 blocks [1, 200] : (tensor<37x200xf8E4M3FN>, tensor<37x1xf32>) -> tensor<37x200xf32>
    fr.yield %2 : tensor<37x200xf32>
  })",
             {{"none", none}});
  const HostTensor zeros = readEveryWay(zero);
  for (int64_t i = 0; i < zeros.elements(); ++i)
    CHECK(zeros.at(i) == 0);
}

TEST_CASE("integers, scales and zeros of one matrix are found in one pass over the source, in any order and at once") {
  const std::string x =
      "%w = fr.get @s::@w : tensor<37x200xbf16>\n"
      "%x = fr.cast %w : (tensor<37x200xbf16>) -> tensor<37x200xf32>\n"
      "%s = fr.quant_scale %x min_max range 0.0 to 15.0 blocks [1, 32] : (tensor<37x200xf32>) -> tensor<37x7xf32>\n";
  const std::string z = "%z = fr.quant_zero %x, %s range 0.0 to 15.0 blocks [1, 32] : (tensor<37x200xf32>, tensor<37x7xf32>) -> "
                        "tensor<37x7xui8>\n";
  const std::string q = "%q = fr.quantize %x, %s, %z range 0.0 to 15.0 blocks [1, 32] : (tensor<37x200xf32>, tensor<37x7xf32>, "
                        "tensor<37x7xui8>) -> tensor<37x200xui8>\n";
  Param p("fr.param @p : tensor<37x200xui8> {\n" + x + z + q + "fr.yield %q : tensor<37x200xui8>\n}\n" +
          "fr.param @scale : tensor<37x7xf32> {\n" + x + "fr.yield %s : tensor<37x7xf32>\n}\n" +
          "fr.param @zero : tensor<37x7xui8> {\n" + x + z + "fr.yield %z : tensor<37x7xui8>\n}\n");
  auto read = [&](ParamEvaluator &evaluator, const std::string &name) {
    p.param = p.module->lookupSymbol<fr::ParamOp>(name);
    HostTensor out(*dtypeOf(elementOf(p.param.getType())), p.shape());
    REQUIRE(succeeded(evaluator.readBytes(p.param, 0, out.bytes, nullptr, p.diags)));
    return out.bytes;
  };
  std::map<std::string, std::vector<std::byte>> alone;
  for (const char *name : {"p", "scale", "zero"}) {
    ParamEvaluator evaluator(*p.checkpoint, p.sources);
    auto bytes = read(evaluator, name);
    alone[name] = {bytes.begin(), bytes.end()};
  }
  std::vector<std::string> order = {"p", "scale", "zero"};
  do {
    ParamEvaluator evaluator(*p.checkpoint, p.sources);
    for (const std::string &name : order) {
      auto bytes = read(evaluator, name);
      CHECK((std::vector<std::byte>(bytes.begin(), bytes.end()) == alone[name]));
    }
  } while (std::next_permutation(order.begin(), order.end()));

  // At once, in pieces.
  for (int run = 0; run < 20; ++run) {
    ParamEvaluator evaluator(*p.checkpoint, p.sources);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (const std::string &name : order)
      threads.emplace_back([&, name, param = p.module->lookupSymbol<fr::ParamOp>(name)] {
        Diagnostics diags;
        const std::vector<std::byte> &expected = alone[name];
        for (size_t at = 0, step = expected.size() / 37; at < expected.size(); at += step) {
          std::vector<std::byte> part(step);
          wrong += failed(evaluator.readBytes(param, static_cast<int64_t>(at), part, nullptr, diags)) ||
                   !std::equal(part.begin(), part.end(), expected.begin() + at);
        }
      });
    for (std::thread &thread : threads)
      thread.join();
    CHECK(wrong == 0);
  }

  // The source is not looked at again.
  ParamEvaluator evaluator(*p.checkpoint, p.sources);
  (void)read(evaluator, "p");
  const std::string path = p.folder / "model.safetensors";
  std::string content = readFile(path);
  const auto &tensor = *p.checkpoint->find("w");
  std::fill_n(content.begin() + tensor.offset, tensor.bytes, '\x3f');
  std::ofstream(path, std::ios::binary | std::ios::in | std::ios::out) << content;
  for (const char *name : {"scale", "zero"}) {
    auto bytes = read(evaluator, name);
    CHECK((std::vector<std::byte>(bytes.begin(), bytes.end()) == alone[name]));
  }
  ParamEvaluator other(*p.checkpoint, p.sources);
  auto bytes = read(other, "scale");
  CHECK_FALSE((std::vector<std::byte>(bytes.begin(), bytes.end()) == alone["scale"])); // the file is another one indeed
}
