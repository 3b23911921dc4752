// A GGUF checkpoint as the other importer sees a folder: a config.json, and tensors under the names of the recipe's graph. Both
// come from the recipe's gguf section, read backwards.
#pragma once

#include "ir/Fr.h"
#include "recipes/RecipeSet.h"
#include "weights/Checkpoint.h"

#include <map>

namespace flagrelease {

struct GgufSource {
  json::Object config; ///< as config.json would have it, with `architectures`
  /// The same files, with the tensors under their logical names, in the shape and type of their numbers: what is stored in blocks
  /// is F32. Tensors that the section does not know keep their own name; those that became part of the config are left out.
  Checkpoint named;
  struct Origin {
    std::string physical;
    RowShuffle rows; ///< what brings the file's rows into the graph's order
  };
  std::map<std::string, Origin> origins; ///< by logical name
};

/// Chooses the recipe by general.architecture: the one whose gguf section reads it. Problems are said under the file's name.
FailureOr<GgufSource> readGgufSource(const Checkpoint &checkpoint, const RecipeSet &recipes, Diagnostics &diags);

/// Declares the physical tensors, and one param for each tensor of `source.named`: rows put into order, blocks decoded.
void declareGgufTensors(mlir::ModuleOp module, const Checkpoint &checkpoint, const GgufSource &source);

} // namespace flagrelease
