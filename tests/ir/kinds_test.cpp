// Reference functions against torch: what the kinds of models brought (tests/ir/kinds/make_oracle.py), in float and double.
#include "tests/ir/KindsOracle.h"

#include "ir/Fr.h"
#include "ir/reference/Interpreter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"

#include <set>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

/// The functions take all their tensors as arguments.
struct NoParams : ParamReader {
  LogicalResult readRows(fr::ParamOp, int64_t, int64_t, float *, Diagnostics &) override { return failure(); }
  LogicalResult readRows(fr::ParamOp, int64_t, int64_t, double *, Diagnostics &) override { return failure(); }
  LogicalResult readIntegers(fr::ParamOp, int64_t, int64_t, int64_t *, Diagnostics &) override { return failure(); }
};

struct Parsed {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> op;
  explicit Parsed(const std::string &text) {
    context.loadDialect<fr::FrDialect, mlir::func::FuncDialect>();
    op = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    REQUIRE(op);
  }
};

template <typename T>
FailureOr<NamedTensors> run(Parsed &module, const std::string &function, const NamedTensors &inputs, std::string &problems) {
  NoParams params;
  Diagnostics diags;
  FailureOr<NamedTensors> out = Interpreter<T>(*module.op, params).run(function, inputs, {false, nullptr}, diags);
  for (const Problem &problem : diags.errors())
    problems += problem.where + ": " + problem.what + "\n";
  return out;
}

template <typename T> void checkAll(double tolerance) {
  Parsed module(kindsModule());
  for (const OracleCase &oracle : oracleCases()) {
    std::string problems;
    FailureOr<NamedTensors> got = run<T>(module, oracle.function, oracle.inputs, problems);
    INFO("@" << oracle.function << "\n" << problems);
    REQUIRE(succeeded(got));
    checkAgainst(oracle, *got, tolerance);
  }
}

} // namespace

TEST_CASE("reference functions give torch's numbers, in double", "[kinds]") { checkAll<double>(1e-9); }
TEST_CASE("reference functions give torch's numbers, in float", "[kinds]") { checkAll<float>(1e-5); }

TEST_CASE("every function of the module of kinds has a case", "[kinds]") {
  std::set<std::string> functions, cases;
  Parsed module(kindsModule());
  for (auto function : module.op->getOps<mlir::func::FuncOp>())
    functions.insert(function.getName().str());
  for (const OracleCase &oracle : oracleCases())
    cases.insert(oracle.function);
  CHECK(functions == cases);
}

TEST_CASE("what the sizes of a call do not allow is said", "[kinds]") {
  struct Row {
    const char *module;
    NamedTensors inputs;
    const char *problem;
  };
  auto floats = [](std::vector<int64_t> shape) { return HostTensor(DType::F32, std::move(shape)); };
  const Row rows[] = {
      {R"(func.func @main(%x: tensor<?xf32, #fr.dims<S>> {fr.name = "x"}) -> (tensor<3xf32> {fr.name = "y"}) {
            %0, %1 = fr.top_k %x k 3 : (tensor<?xf32, #fr.dims<S>>) -> (tensor<3xf32>, tensor<3xi64>)
            return %0 : tensor<3xf32>
          })",
       {{"x", floats({2})}},
       "fr.top_k: takes the 3 largest of 2\n"},
      {R"(func.func @main(%x: tensor<?xf32, #fr.dims<S>> {fr.name = "x"}) -> (tensor<3xf32> {fr.name = "y"}) {
            %0 = fr.narrow %x axis 0 start "S + -3" size "3" : (tensor<?xf32, #fr.dims<S>>) -> tensor<3xf32>
            return %0 : tensor<3xf32>
          })",
       {{"x", floats({2})}},
       "fr.narrow: takes 3 elements from 'S + -3' on of 2\n"},
      {R"(func.func @main(%x: tensor<?xf32, #fr.dims<S>> {fr.name = "x"}) -> (tensor<?xf32, #fr.dims<S + 4>> {fr.name = "y"}) {
            %0 = fr.pad %x reflect low [2] high [2] : (tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<S + 4>>
            return %0 : tensor<?xf32, #fr.dims<S + 4>>
          })",
       {{"x", floats({2})}},
       "fr.pad: a margin of 2 reflects a size of 2\n"},
      {R"(func.func @main(%x: tensor<1x1x?xf32, #fr.dims<_, _, S>> {fr.name = "x"}, %w: tensor<1x1x5xf32> {fr.name = "w"})
              -> (tensor<1x1x?xf32, #fr.dims<_, _, S + -4>> {fr.name = "y"}) {
            %0 = fr.conv %x, %w strides [1] low [0] high [0] dilations [1]
                : (tensor<1x1x?xf32, #fr.dims<_, _, S>>, tensor<1x1x5xf32>) -> tensor<1x1x?xf32, #fr.dims<_, _, S + -4>>
            return %0 : tensor<1x1x?xf32, #fr.dims<_, _, S + -4>>
          })",
       {{"x", floats({1, 1, 3})}, {"w", floats({1, 1, 5})}},
       "fr.conv: would give [1, 1, -1]: an input is too short\n"},
      {R"(func.func @main(%x: tensor<1x2xf32> {fr.name = "x"}, %i: tensor<1x1xi64> {fr.name = "i"}, %s: tensor<1x1xf32> {fr.name = "s"},
                          %up: tensor<3x4x2xf32> {fr.name = "up"}, %down: tensor<3x2x4xf32> {fr.name = "down"}) -> (tensor<1x2xf32> {fr.name = "y"}) {
            %0 = fr.moe %x, %i, %s up %up down %down relu
                : (tensor<1x2xf32>, tensor<1x1xi64>, tensor<1x1xf32>, tensor<3x4x2xf32>, tensor<3x2x4xf32>) -> tensor<1x2xf32>
            return %0 : tensor<1x2xf32>
          })",
       {{"x", floats({1, 2})},
        {"i", HostTensor::ofInts({1, 1}, {3})},
        {"s", floats({1, 1})},
        {"up", floats({3, 4, 2})},
        {"down", floats({3, 2, 4})}},
       "fr.moe: expert 3 is outside 0..2\n"},
  };
  for (const Row &row : rows) {
    INFO(row.module);
    Parsed module(row.module);
    std::string problems;
    CHECK(failed(run<double>(module, "main", row.inputs, problems)));
    CHECK(problems == row.problem);
  }
}
