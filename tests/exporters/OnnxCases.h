// Modules of `fr` with small functions, their inputs and weights, and the artefact that the ONNX exporter makes of one function.
#pragma once

#include "exporters/Exporter.h"
#include "ir/HostTensor.h"
#include "ir/reference/Interpreter.h"
#include "passes/to_onnx/ToOnnx.h"

#include "mlir/IR/OwningOpRef.h"

#include <set>
#include <string>
#include <vector>

namespace flagrelease::test {

/// A line `// VARIANT opset=17 refuse=Where,CumSum contrib=com.microsoft:Gelu forbid=Shape refuse_f64=true` of a module:
/// a toolchain that takes the standard without `refuse` and of other operators `contrib`, or, with `table=ort_cpu`, one that
/// takes what the operator table of recipes/ops says. `forbid` must not be in the result.
struct Variant {
  std::string text;
  int64_t opset = 17;
  std::set<std::string> refuse, contrib, forbid;
  bool refuseF64 = false;
  std::string table;

  OnnxTarget target() const; ///< must not outlive the variant
};
std::vector<Variant> variantsOf(llvm::StringRef moduleText);

/// The module of one file, its dialects loaded.
mlir::OwningOpRef<mlir::ModuleOp> parseModule(llvm::StringRef text, mlir::MLIRContext &context);

/// A checkpoint of one file that holds the weights of a module, random, at offsets that are aligned to nothing. Params are
/// identities of them or casts.
class TestWeights : public ParamReader {
public:
  explicit TestWeights(mlir::ModuleOp module);
  const Checkpoint &checkpoint() const { return source; }
  const std::string &fileContent() const { return file; }
  /// The bytes of a param in its own type.
  std::string paramBytes(fr::ParamOp param) const;

  LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, float *out, Diagnostics &diags) override;
  LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, double *out, Diagnostics &diags) override;
  LogicalResult readIntegers(fr::ParamOp param, int64_t first, int64_t count, int64_t *out, Diagnostics &diags) override;

private:
  std::vector<double> values(fr::ParamOp param) const;
  Checkpoint source;
  std::string file;
};

/// Inputs of a function at these sizes: by name of the argument (see the .cpp), else random.
NamedTensors inputsFor(mlir::func::FuncOp function, const DimExpr::Bindings &sizes, uint64_t seed);

/// Writes what the plan says; derived tensors are computed from the params of `module`, which may be at any level.
void writeArtefact(const ExportPlan &plan, mlir::ModuleOp module, const TestWeights &weights, const std::string &folder);

} // namespace flagrelease::test
