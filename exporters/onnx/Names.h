// Names of nodes and values: what people see in a viewer, in logs of engines, and in taps.
#pragma once

#include "mlir/IR/Location.h"
#include "llvm/ADT/StringMap.h"

#include <string>

namespace flagrelease::onnx_export {

/// Gives each node a name of its own: "model.layers.3.self_attn/MatMul", the second of them "…/MatMul_1".
class Names {
public:
  /// Claims a name that is fixed from outside; false if it is taken.
  bool claim(llvm::StringRef name) { return taken.try_emplace(name, 0).second; }
  /// `base`, or base_1, base_2, ... if it is taken.
  std::string unique(llvm::StringRef base);
  /// After the place of the op in the model, if its location has one.
  std::string ofNode(mlir::Location location, llvm::StringRef opType);

private:
  llvm::StringMap<unsigned> taken; ///< name -> the last suffix tried
};

} // namespace flagrelease::onnx_export
