// Params of a GGUF file: one for each of its tensors, under its name there, in the order of the file.
//
// Each is made of the param that gives the logical tensor: the same expression, then rows in the file's order, then the type.
// Matrices take `floats`; tensors of one dimension and those that the recipe says are f32 (as ggml's kernels want them), and have
// the attribute fr.keep_type, so that no scheme changes them. Other params become private: steps on the way, and what the graph
// of a reference run reads.
#pragma once

#include "ir/BlockFormat.h"
#include "ir/DType.h"
#include "recipes/GgufSection.h"
#include "text/Diagnostics.h"

#include <map>
#include <optional>
#include <string>

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace flagrelease {

/// A unit attribute of a param whose type no scheme changes.
inline constexpr llvm::StringLiteral kKeepTypeAttr = "fr.keep_type";

struct GgufParamRequest {
  const GgufModel *model = nullptr;
  /// Logical tensor → symbol of the param that gives it, as numbers of a float type and in its logical shape.
  std::map<std::string, std::string> params;
  std::map<std::string, BlockFormat> blocks; ///< name in the file → how its rows are stored; overrides `floats`
  std::optional<DType> floats;               ///< F32, F16 or BF16; nothing keeps the param's type
};

/// Adds the params. A tensor that files must have and the model lacks is a problem; so is one with more than four dimensions.
LogicalResult addGgufParams(mlir::ModuleOp module, const GgufParamRequest &request, Diagnostics &diags);

} // namespace flagrelease
