// From `fr` to `onnx`: the only place that knows which operators of ONNX an `fr` op becomes.
//
// Each op has ways in order of preference: an operator of ONNX Runtime, a standard operator, a decomposition. A way is usable
// when every node that it makes exists at the opset and is taken by the toolchain. Opset differences (axes as inputs or
// attributes), shape arithmetic and the folding of static sizes live here, so that exporters print without thinking.
#pragma once

#include "text/Diagnostics.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace flagrelease {

/// A node that a way would make, as the toolchain's operator table is asked about it.
struct OnnxNodeQuery {
  llvm::StringRef domain; ///< "ai.onnx", "com.microsoft"
  llvm::StringRef op;
  int64_t opset = 0;                   ///< of that domain, as the graph imports it
  llvm::ArrayRef<mlir::Type> operands; ///< element types; a null type for an absent optional input
  llvm::ArrayRef<mlir::Type> results;  ///< element types
};

struct OnnxTarget {
  /// Opset of ai.onnx: the highest that the toolchain takes, within what the schema table covers.
  int64_t opset = 17;
  /// Whether the toolchain takes a node. Without it: every operator of the standard, and none of com.microsoft.
  std::function<bool(const OnnxNodeQuery &)> supported;
};

/// How ops of one kind were lowered.
struct OnnxChoice {
  std::string op;                 ///< "fr.rms_norm"
  std::string way;                ///< "RMSNormalization", "decomposed"
  std::vector<std::string> nodes; ///< distinct operators made, sorted: "com.microsoft:Gelu", "MatMul"
  int64_t count = 0;              ///< ops lowered like this
};

/// A node in the module that the toolchain does not take: no way without it was found.
struct OnnxMissing {
  std::string op;                    ///< "CumSum", "com.microsoft:Gelu"
  std::vector<std::string> operands; ///< element types, "" for an absent one
  std::string cause;                 ///< "fr.attention_mask"
  int64_t count = 0;
};

/// What a plan prints. Ordered by name: equal modules give equal reports.
struct OnnxReport {
  std::vector<OnnxChoice> choices;
  std::vector<OnnxMissing> missing;
};

/// Lowers every function of a module whose states are gone; taps that are left disappear. Fails for an opset outside the table, a
/// state, a size that no input carries; the module is not to be used then. Nodes that the toolchain does not take are no failure
/// here: they stand in `report.missing` and the caller judges.
LogicalResult convertToOnnx(mlir::ModuleOp module, const OnnxTarget &target, OnnxReport &report, Diagnostics &diags);

} // namespace flagrelease
