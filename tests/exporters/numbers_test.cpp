// Every fr op, lowered for several opsets and toolchains, exported and run by ONNX Runtime, against the reference in fp64.
#include "tests/devices/Support.h"
#include "tests/exporters/OnnxCases.h"
#include "tests/ir/KindsOracle.h"

#include "ir/onnx/Onnx.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"

#include <cstdlib>
#include <filesystem>
#include <sstream>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

const DimExpr::Bindings kSizes[] = {
    {{"B", 1}, {"S", 1}, {"C", 0}}, {{"B", 1}, {"S", 7}, {"C", 0}}, {{"B", 3}, {"S", 24}, {"C", 0}},
    {{"B", 1}, {"S", 1}, {"C", 5}}, {{"B", 3}, {"S", 7}, {"C", 5}},
};

std::string textOfFile(const std::string &path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string problems(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors())
    text += problem.where + ": " + problem.what + "\n";
  return text;
}

/// The largest difference, relative to 1 for numbers below it.
double largestDifference(const HostTensor &expected, const HostTensor &got) {
  double worst = 0;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    double difference = std::abs(expected.at(i) - got.at(i)) / std::max(1.0, std::abs(expected.at(i)));
    worst = std::max(worst, std::isnan(difference) ? 1e30 : difference);
  }
  return worst;
}

void runVariant(const std::string &text, const std::string &stem, const Variant &variant, int number, Device &device) {
  mlir::MLIRContext context;
  auto original = parseModule(text, context), module = parseModule(text, context);
  REQUIRE(original);
  TestWeights weights(*original);
  Diagnostics diags;
  OnnxReport report;
  LogicalResult converted = convertToOnnx(*module, variant.target(), report, diags);
  INFO(stem << " " << variant.text << "\n" << problems(diags));
  REQUIRE(succeeded(converted));
  for (const OnnxMissing &missing : report.missing)
    UNSCOPED_INFO("missing " << missing.op << " for " << missing.cause);
  REQUIRE(report.missing.empty());
  std::set<std::string> made;
  module->walk([&](onnx_ir::NodeOp node) {
    made.insert(node.getOpType().str());
    std::string name = (node.getDomain() ? node.getDomain()->str() + ":" : std::string()) + node.getOpType().str();
    CHECK(variant.refuse.count(name) == 0);
    CHECK(variant.forbid.count(name) == 0);
  });
  for (const std::string &name : variant.contrib) // the way that was offered was taken
    CHECK(made.count(llvm::StringRef(name).rsplit(':').second.empty() ? name : llvm::StringRef(name).rsplit(':').second.str()) ==
          1);

  Interpreter<double> reference(*original, weights);
  for (auto function : original->getOps<mlir::func::FuncOp>()) {
    std::string name = function.getName().str();
    INFO("@" << name);
    ExportRequest request;
    request.module = *module;
    request.checkpoint = &weights.checkpoint();
    request.function = name;
    request.leastUse = 0; // weights lie at any byte of a file that other functions share
    FailureOr<ExportPlan> plan = findExporter("onnx")->run(request, diags);
    INFO(problems(diags));
    REQUIRE(succeeded(plan));
    std::string folder =
        std::string(FLAGRELEASE_BINARY_DIR) + "/tests/exporters/models/" + stem + "." + name + "." + std::to_string(number);
    std::filesystem::remove_all(folder);
    writeArtefact(*plan, *original, weights, folder);
    FailureOr<LoadedModel> loaded = device.load(folder, {}, diags);
    INFO(problems(diags));
    REQUIRE(succeeded(loaded));
    uint64_t seed = 1;
    for (const DimExpr::Bindings &sizes : kSizes) {
      INFO("B=" << sizes.at("B") << " S=" << sizes.at("S") << " C=" << sizes.at("C"));
      NamedTensors inputs = inputsFor(function, sizes, seed++);
      FailureOr<NamedTensors> expected = reference.run(name, inputs, {}, diags);
      FailureOr<NamedTensors> got = device.run(inputs, diags);
      INFO(problems(diags));
      REQUIRE(succeeded(expected));
      REQUIRE(succeeded(got));
      for (const auto &[output, tensor] : *expected) {
        INFO(output);
        REQUIRE(got->count(output) == 1);
        REQUIRE(got->at(output).shape == tensor.shape);
        CHECK(largestDifference(tensor, got->at(output)) < 2e-5);
      }
      if (stem == "static")
        break;
    }
  }
}

} // namespace

TEST_CASE("every op gives the reference's numbers on ONNX Runtime", "[numbers]") {
  if (!haveOrt())
    return;
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice("ort:cpu", testConfig(), diags);
  REQUIRE(succeeded(device));
  for (const char *stem : {"elementwise", "shape", "gather", "layers", "rotary", "attention", "static", "quant", "kinds"}) {
    std::string text = textOfFile(std::string(FLAGRELEASE_SOURCE_DIR) + "/tests/exporters/Inputs/" + stem + ".mlir");
    std::vector<Variant> variants = variantsOf(text);
    REQUIRE(!variants.empty());
    for (auto [number, variant] : llvm::enumerate(variants))
      runVariant(text, stem, variant, static_cast<int>(number), **device);
  }
}

TEST_CASE("what the kinds of models brought gives torch's numbers on ONNX Runtime", "[numbers]") {
  if (!haveOrt())
    return;
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice("ort:cpu", testConfig(), diags);
  REQUIRE(succeeded(device));
  const std::string text = kindsModule();
  mlir::MLIRContext context;
  auto module = parseModule(text, context);
  REQUIRE(module);
  TestWeights weights(*module);
  Variant variant;
  OnnxReport report;
  REQUIRE(succeeded(convertToOnnx(*module, variant.target(), report, diags)));
  for (const OracleCase &oracle : oracleCases()) {
    INFO("@" << oracle.function);
    ExportRequest request;
    request.module = *module;
    request.checkpoint = &weights.checkpoint();
    request.function = oracle.function;
    request.leastUse = 0;
    FailureOr<ExportPlan> plan = findExporter("onnx")->run(request, diags);
    REQUIRE(succeeded(plan));
    const std::string folder = std::string(FLAGRELEASE_BINARY_DIR) + "/tests/exporters/models/oracle." + oracle.function;
    std::filesystem::remove_all(folder);
    writeArtefact(*plan, *module, weights, folder);
    FailureOr<LoadedModel> loaded = (*device)->load(folder, {}, diags);
    INFO(problems(diags));
    REQUIRE(succeeded(loaded));
    FailureOr<NamedTensors> got = (*device)->run(oracle.inputs, diags);
    INFO(problems(diags));
    REQUIRE(succeeded(got));
    checkAgainst(oracle, *got, 1e-5);
  }
}
