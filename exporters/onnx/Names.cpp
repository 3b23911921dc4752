#include "exporters/onnx/Names.h"

using namespace flagrelease::onnx_export;
using llvm::StringRef;

std::string Names::unique(StringRef base) {
  if (claim(base))
    return base.str();
  std::string name;
  do
    name = (base + "_" + llvm::Twine(++taken[base])).str();
  while (!claim(name));
  return name;
}

std::string Names::ofNode(mlir::Location location, StringRef opType) {
  if (auto named = mlir::dyn_cast<mlir::NameLoc>(location))
    return unique((named.getName().getValue() + "/" + opType).str());
  return unique(opType);
}
