// flagrelease-opt: mlir-opt with the dialects and passes of flagrelease.
//
//   flagrelease-opt module.mlir --fr-cache-none --cse
//   flagrelease-opt module.mlir --fr-mutate="kind=rope-theta layer=1"
#include "ir/Fr.h"
#include "ir/onnx/Onnx.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

namespace {
// Everything the tool knows, one line each: a new dialect or a new set of passes is added here (and linked in CMakeLists.txt).
// By name and not by mlir/InitAll*.h, which costs a minute to compile and time at every start.
using DialectEntry = void (*)(mlir::DialectRegistry &);
const DialectEntry kDialects[] = {
    [](mlir::DialectRegistry &registry) { registry.insert<flagrelease::fr::FrDialect>(); },
    [](mlir::DialectRegistry &registry) { registry.insert<flagrelease::onnx_ir::OnnxDialect>(); },
    [](mlir::DialectRegistry &registry) { registry.insert<mlir::func::FuncDialect>(); },
};
using PassEntry = void (*)();
const PassEntry kPasses[] = {
    [] { flagrelease::registerFlagreleasePasses(); }, // passes/Passes.td
    [] { mlir::registerCanonicalizerPass(); },
    [] { mlir::registerCSEPass(); },
    [] { mlir::registerSymbolDCEPass(); },
};
} // namespace

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  for (DialectEntry entry : kDialects)
    entry(registry);
  for (PassEntry entry : kPasses)
    entry();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "flagrelease-opt: passes on modules of flagrelease\n", registry));
}
