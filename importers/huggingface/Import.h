// Importer `huggingface`: a checkpoint folder in Hugging Face or ModelScope layout becomes an `fr` module. It reads config.json
// and tensor headers; it decides nothing about the target.
#pragma once

#include "importers/huggingface/Config.h"
#include "importers/huggingface/Tensors.h"
#include "ir/Fr.h"
#include "recipes/RecipeSet.h"
#include "weights/Checkpoint.h"

#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <memory>

namespace flagrelease {

struct ImportOptions {
  std::string task;                          ///< empty: by the architecture, else by the files
  std::vector<std::string> assumeInert;      ///< config keys that the user vouches for
  std::map<std::string, int64_t> taskValues; ///< values of task options, such as the token ids of a reranker
};

/// What the importer found, beside the module.
struct Imported {
  mlir::OwningOpRef<mlir::ModuleOp> module; ///< @main with states and taps; every physical tensor has a param
  std::string recipe, task, architecture;
  std::vector<RecipeText> recipeFiles;                     ///< what was read, with its bytes: the manifest states digests
  json::Object config;                                     ///< normalised
  std::vector<std::pair<std::string, std::string>> hidden; ///< "hidden.0", "hidden.1", … and their taps
  std::vector<TensorTable::Ignored> ignored;               ///< tensors that the model does not use, with the recipe's reason
  std::vector<std::string> unprovenOptions;                ///< option values of the recipe that no passing fixture has exercised
  std::string quantised;                                   ///< `quant_method` of the source; empty: weights are stored as numbers
  std::map<std::string, int64_t> sizes; ///< of named sizes but B, S and P: what checks take, and a graph of fixed shapes
  int64_t maxLength = 0;                ///< positions; 0: unlimited
  bool lengthDependent = false;         ///< rotary frequencies depend on the total length: cached and uncached runs differ
  std::vector<std::string> notes;
  std::shared_ptr<const ModelRecipe> family; ///< the recipe, flattened
  /// Logical tensor → symbol of the param that gives it, of those that the recipe's gguf section names.
  std::map<std::string, std::string> ggufParams;
  std::vector<std::string> ggufLeft; ///< params that the model reads, and that section neither names nor ignores
};

/// The dialects that an import needs are loaded into `context`.
FailureOr<Imported> importHuggingFace(const Checkpoint &checkpoint, const RecipeSet &recipes, const ImportOptions &options,
                                      mlir::MLIRContext &context, Diagnostics &diags);

/// The architecture that a config names: `architectures[0]`; empty if there is none.
std::string architectureOf(const json::Object &config);

} // namespace flagrelease
