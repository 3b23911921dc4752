// Runs a module with the reference functions in f64, on made-up weights.
#pragma once

#include "ir/Fr.h"
#include "ir/reference/Interpreter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <random>

namespace flagrelease::test {

/// Numbers in [-1, 1) that depend on the name of a param and the place in it only.
class FakeParams : public ParamReader {
public:
  LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, float *out, Diagnostics &) override {
    return fill(param, first, count, out);
  }
  LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, double *out, Diagnostics &) override {
    return fill(param, first, count, out);
  }
  LogicalResult readIntegers(fr::ParamOp, int64_t, int64_t count, int64_t *out, Diagnostics &) override {
    std::fill_n(out, count, 0);
    return success();
  }

private:
  template <typename T> LogicalResult fill(fr::ParamOp param, int64_t first, int64_t count, T *out) {
    int64_t row = 1;
    DimExprs dims = dimsOf(param.getType());
    for (const DimExpr &dim : llvm::ArrayRef(dims).drop_front())
      row *= dim.value();
    uint64_t seed = 1469598103934665603ull;
    for (char c : param.getSymName())
      seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    for (int64_t i = 0; i < count * row; ++i) {
      uint64_t x = (seed + static_cast<uint64_t>(first * row + i)) * 0x9E3779B97F4A7C15ull;
      x ^= x >> 31;
      x *= 0xBF58476D1CE4E5B9ull;
      out[i] = static_cast<T>(static_cast<double>(x >> 11) / (uint64_t(1) << 52) - 1);
    }
    return success();
  }
};

struct Module {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> op;

  explicit Module(llvm::StringRef text) {
    context.loadDialect<fr::FrDialect, mlir::func::FuncDialect>();
    op = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    REQUIRE(op);
  }
  static std::string decoder();

  template <typename... Passes> Module &apply(Passes... passes) {
    mlir::PassManager manager(&context);
    (manager.addPass(std::move(passes)), ...);
    REQUIRE(succeeded(manager.run(*op)));
    return *this;
  }
};

/// A session keeps states between its calls.
class Session {
public:
  explicit Session(Module &module) : interpreter(*module.op, params) {}
  NamedTensors run(const NamedTensors &inputs, bool taps = false) {
    Diagnostics diags;
    FailureOr<NamedTensors> out = interpreter.run("main", inputs, {taps, nullptr}, diags);
    for (const Problem &problem : diags.errors())
      UNSCOPED_INFO(problem.where << ": " << problem.what);
    REQUIRE(succeeded(out));
    return *out;
  }

private:
  FakeParams params;
  Interpreter<double> interpreter;
};

inline HostTensor randomFloats(std::vector<int64_t> shape, uint32_t seed, double scale = 2) {
  std::mt19937 engine(seed);
  HostTensor t(DType::F64, std::move(shape));
  for (int64_t i = 0; i < t.elements(); ++i)
    t.as<double>()[i] = scale * (static_cast<double>(engine()) / 4294967296.0 - 0.5);
  return t;
}

inline double largestDifference(const HostTensor &a, const HostTensor &b) {
  REQUIRE(a.shape == b.shape);
  double worst = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    double difference = std::fabs(a.at(i) - b.at(i));
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

} // namespace flagrelease::test
