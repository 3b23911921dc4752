// The reference functions of both sides of each decomposition, on random inputs.
#include "tests/passes/RunModule.h"

#include "passes/Decompose.h"
#include "passes/Passes.h"

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
struct Case {
  const char *name;
  const char *op;                                             ///< one line: the op on %x, %y ... giving %0
  std::vector<std::pair<std::string, std::string>> arguments; ///< letter and type
  std::string result;
  double tolerance = 1e-13;
};

const std::string X = "tensor<2x3x6xf32>", IDS = "tensor<2x3xi64>", MASK = "tensor<2x1x3x5xi1>", PAD = "tensor<2x5xi64>";
const std::string Q = "tensor<2x4x3x6xf32>", K = "tensor<2x2x5x6xf32>", V = "tensor<2x2x5x4xf32>", T = "tensor<2x3x2xf32>",
                  O = "tensor<2x4x3x4xf32>";

const Case kCases[] = {
    // Its constants are f32 in the graph and f64 in this run of the reference.
    {"gelu none", "fr.gelu %x none : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X, 1e-7},
    {"gelu tanh", "fr.gelu %x tanh : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X, 1e-7},
    {"silu", "fr.silu %x : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X},
    {"softmax last", "fr.softmax %x axis 2 : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X},
    {"softmax middle", "fr.softmax %x axis 1 : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X},
    {"l2_norm", "fr.l2_norm %x eps 1.0e-12 : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X},
    {"l2_norm with a large eps", "fr.l2_norm %x eps 1.0e+01 : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X},
    {"rms_norm", "fr.rms_norm %x eps 0.25 : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X},
    {"rms_norm with weight and offset",
     "fr.rms_norm %x, %w eps 0.25 {offset = 1.0 : f64} : (tensor<2x3x6xf32>, tensor<6xbf16>) -> tensor<2x3x6xf32>",
     {{"x", X}, {"w", "tensor<6xbf16>"}},
     X},
    {"layer_norm", "fr.layer_norm %x eps 0.25 : (tensor<2x3x6xf32>) -> tensor<2x3x6xf32>", {{"x", X}}, X},
    {"layer_norm with weight and bias",
     "fr.layer_norm %x weight %w bias %b eps 0.25 : (tensor<2x3x6xf32>, tensor<6xf16>, tensor<6xf32>) -> tensor<2x3x6xf32>",
     {{"x", X}, {"w", "tensor<6xf16>"}, {"b", "tensor<6xf32>"}},
     X},
    {"rope half",
     "fr.rope %q, %c, %s : (tensor<2x4x3x6xf32>, tensor<2x3x3xf32>, tensor<2x3x3xf32>) -> tensor<2x4x3x6xf32>",
     {{"q", Q}, {"c", "tensor<2x3x3xf32>"}, {"s", "tensor<2x3x3xf32>"}},
     Q},
    {"rope partial",
     "fr.rope %q, %c, %s : (tensor<2x4x3x6xf32>, tensor<2x3x2xf32>, tensor<2x3x2xf32>) -> tensor<2x4x3x6xf32>",
     {{"q", Q}, {"c", T}, {"s", T}},
     Q},
    {"rope interleaved",
     "fr.rope %q, %c, %s {interleaved} : (tensor<2x4x3x6xf32>, tensor<2x3x3xf32>, tensor<2x3x3xf32>) -> tensor<2x4x3x6xf32>",
     {{"q", Q}, {"c", "tensor<2x3x3xf32>"}, {"s", "tensor<2x3x3xf32>"}},
     Q},
    {"rope interleaved partial, one table for the batch",
     "fr.rope %q, %c, %s {interleaved} : (tensor<2x4x3x6xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>) -> tensor<2x4x3x6xf32>",
     {{"q", Q}, {"c", "tensor<1x3x2xf32>"}, {"s", "tensor<1x3x2xf32>"}},
     Q},
    {"rope_table default",
     "fr.rope_table default %i dim 6 theta 1.0e+04 : (tensor<2x3xi64>) -> (tensor<2x3x3xf32>, tensor<2x3x3xf32>)",
     {{"i", IDS}},
     "tensor<2x3x3xf32>"},
    {"rope_table llama3",
     "fr.rope_table llama3 %i dim 6 theta 5.0e+05 {factor = 8.0 : f64, low_freq_factor = 1.0 : f64, high_freq_factor = 4.0 : "
     "f64, original_max = 16 : i64} : (tensor<2x3xi64>) -> (tensor<2x3x3xf32>, tensor<2x3x3xf32>)",
     {{"i", IDS}},
     "tensor<2x3x3xf32>"},
    {"rope_table yarn",
     "fr.rope_table yarn %i dim 6 theta 1.0e+04 {factor = 4.0 : f64, beta_fast = 32.0 : f64, beta_slow = 1.0 : f64, original_max "
     "= 16 : i64, attention_scaling = 1.25 : f64} : (tensor<2x3xi64>) -> (tensor<2x3x3xf32>, tensor<2x3x3xf32>)",
     {{"i", IDS}},
     "tensor<2x3x3xf32>"},
    {"rope_table dynamic within",
     "fr.rope_table dynamic %i dim 6 theta 1.0e+04 {factor = 2.0 : f64, original_max = 64 : i64} : (tensor<2x3xi64>) -> "
     "(tensor<2x3x3xf32>, tensor<2x3x3xf32>)",
     {{"i", IDS}},
     "tensor<2x3x3xf32>"},
    // The frequencies themselves are rounded to f32 by the reference; the decomposition runs in f64 here.
    {"rope_table dynamic beyond",
     "fr.rope_table dynamic %i dim 6 theta 1.0e+04 {factor = 2.0 : f64, original_max = 8 : i64} : (tensor<2x3xi64>) -> "
     "(tensor<2x3x3xf32>, tensor<2x3x3xf32>)",
     {{"i", IDS}},
     "tensor<2x3x3xf32>",
     1e-5},
    {"rope_table longrope short",
     "fr.rope_table longrope %i dim 4 theta 1.0e+04 {short_factor = array<f64: 1.0, 1.5>, long_factor = array<f64: 2.0, 3.0>, "
     "original_max = 64 : i64, attention_scaling = 1.125 : f64} : (tensor<2x3xi64>) -> (tensor<2x3x2xf32>, tensor<2x3x2xf32>)",
     {{"i", IDS}},
     T},
    {"rope_table longrope long",
     "fr.rope_table longrope %i dim 4 theta 1.0e+04 {short_factor = array<f64: 1.0, 1.5>, long_factor = array<f64: 2.0, 3.0>, "
     "original_max = 8 : i64} : (tensor<2x3xi64>) -> (tensor<2x3x2xf32>, tensor<2x3x2xf32>)",
     {{"i", IDS}},
     T},
    {"mask causal", "fr.attention_mask {causal = true} : tensor<2x1x3x5xi1>", {}, MASK},
    {"mask that hides nothing", "fr.attention_mask {causal = false} : tensor<2x1x3x5xi1>", {}, MASK},
    {"mask window without padding", "fr.attention_mask {causal = true, window = 2 : i64} : tensor<2x1x3x5xi1>", {}, MASK},
    {"mask padding", "fr.attention_mask padding %p : tensor<2x5xi64> {causal = false} : tensor<2x1x3x5xi1>", {{"p", PAD}}, MASK},
    {"mask padding, causal, window, diagonal",
     "fr.attention_mask padding %p : tensor<2x5xi64> {causal = true, window = 2 : i64, diagonal = -1 : i64} : tensor<2x1x3x5xi1>",
     {{"p", PAD}},
     MASK},
    {"mask columns",
     "fr.attention_mask padding %p : tensor<2x5xi64> columns %n : tensor<3xi64> {causal = true, window = 3 : i64} : "
     "tensor<2x1x3x5xi1>",
     {{"p", PAD}, {"n", "tensor<3xi64>"}},
     MASK},
    {"attention grouped",
     "fr.attention %q, %k, %v scale 0.5 : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x4xf32>) -> tensor<2x4x3x4xf32>",
     {{"q", Q}, {"k", K}, {"v", V}},
     O},
    {"attention masked, capped",
     "fr.attention %q, %k, %v, %m scale 0.5 {softcap = 1.5 : f64} : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, "
     "tensor<2x2x5x4xf32>, tensor<2x1x3x5xi1>) -> tensor<2x4x3x4xf32>",
     {{"q", Q}, {"k", K}, {"v", V}, {"m", MASK}},
     O},
    {"attention that sees nothing",
     "fr.attention %q, %k, %v, %z scale 0.5 : (tensor<2x4x3x6xf32>, tensor<2x2x5x6xf32>, tensor<2x2x5x4xf32>, "
     "tensor<2x1x3x5xi1>) -> tensor<2x4x3x4xf32>",
     {{"q", Q}, {"k", K}, {"v", V}, {"z", MASK}},
     O},
    {"attention, as many key heads",
     "fr.attention %q, %q, %q scale 0.5 : (tensor<2x4x3x6xf32>, tensor<2x4x3x6xf32>, tensor<2x4x3x6xf32>) -> tensor<2x4x3x6xf32>",
     {{"q", Q}},
     Q},
};

std::vector<int64_t> shapeOf(llvm::StringRef type) {
  std::vector<int64_t> shape;
  type.consume_front("tensor<");
  int64_t size;
  while (!type.consumeInteger(10, size)) {
    shape.push_back(size);
    type.consume_front("x");
  }
  return shape;
}

NamedTensors inputsOf(const Case &c) {
  NamedTensors inputs;
  uint32_t seed = 7;
  for (const auto &[name, type] : c.arguments) {
    std::vector<int64_t> shape = shapeOf(type);
    if (name == "i") // positions around a length of 8
      inputs[name] = HostTensor::ofInts(shape, {0, 1, 2, 9, 10, 11});
    else if (name == "p") // a hole in the middle and padding at both ends
      inputs[name] = HostTensor::ofInts(shape, {1, 1, 0, 1, 1, 0, 1, 1, 1, 0});
    else if (name == "n")
      inputs[name] = HostTensor::ofInts(shape, {1, 2, 4});
    else if (name == "m") {
      std::vector<int64_t> bits;
      for (int64_t i = 0; i < 30; ++i)
        bits.push_back(i % 3 != 1);
      inputs[name] = HostTensor::ofInts(shape, bits);
    } else if (name == "z")
      inputs[name] = HostTensor::ofInts(shape, std::vector<int64_t>(30, 0));
    else
      inputs[name] = randomFloats(shape, ++seed, 4);
  }
  return inputs;
}

std::string moduleOf(const Case &c) {
  bool two = llvm::StringRef(c.op).starts_with("fr.rope_table");
  std::string arguments;
  for (const auto &[name, type] : c.arguments)
    arguments += (arguments.empty() ? "%" : ", %") + name + ": " + type + " {fr.name = \"" + name + "\"}";
  std::string results = "(" + c.result + " {fr.name = \"r0\"}" + (two ? ", " + c.result + " {fr.name = \"r1\"})" : ")");
  return "func.func @main(" + arguments + ") -> " + results + " {\n  %0" + (two ? ":2" : "") + " = " + c.op + "\n  return " +
         (two ? "%0#0, %0#1 : " + c.result + ", " + c.result : "%0 : " + c.result) + "\n}\n";
}
} // namespace

TEST_CASE("both sides of every decomposition have the same meaning") {
  std::set<std::string> seen;
  for (const Case &c : kCases) {
    CAPTURE(c.name);
    Module whole(moduleOf(c)), parts(moduleOf(c));
    std::string op = llvm::StringRef(c.op).split(' ').first.str();
    seen.insert(op);
    parts.apply(createDecomposeComposites({{}, true}));
    parts.op->walk([&](mlir::Operation *inner) { CHECK(inner->getName().getStringRef().str() != op); });
    NamedTensors inputs = inputsOf(c), expected = Session(whole).run(inputs), got = Session(parts).run(inputs);
    REQUIRE(expected.size() == got.size());
    for (const auto &[name, tensor] : expected)
      CHECK(largestDifference(tensor, got.at(name)) <= c.tolerance);
  }
  for (const Decomposition &entry : decompositions()) {
    CAPTURE(entry.op.str());
    CHECK(seen.count(entry.op.str()) == 1);
  }
}

TEST_CASE("decompositions are found by name") {
  CHECK(findDecomposition("fr.softmax") == findDecomposition("softmax"));
  REQUIRE(findDecomposition("rope"));
  CHECK(findDecomposition("rope")->op == "fr.rope");
  CHECK(findDecomposition("fr.linear") == nullptr);
  CHECK(findDecomposition("") == nullptr);
  mlir::MLIRContext context;
  context.loadDialect<fr::FrDialect>();
  mlir::RewritePatternSet patterns(&context);
  CHECK(populateDecomposePatterns({"fr.rope", "nothing", "softmax"}, patterns) == "nothing");
}
