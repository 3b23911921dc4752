// From names in a recipe to tensors on disk, with every physical tensor accounted for.
#pragma once

#include "importers/huggingface/quantised/Quantised.h"
#include "recipes/ModelRecipe.h"
#include "weights/Checkpoint.h"

#include "llvm/ADT/StringMap.h"

#include <set>
#include <string>
#include <vector>

namespace flagrelease {

class TensorTable {
public:
  TensorTable(const Checkpoint &checkpoint, const ModelRecipe &recipe, DerivedTensors derived = {});

  /// The tensor of a logical name: itself, a renamed one, or one whose prefix differs as `prefix:` of the recipe allows. A
  /// derived one stands for its parts: it has a shape and type f32, and lies in no file.
  const CheckpointTensor *find(StringRef logical) const;
  bool isDerived(const CheckpointTensor &tensor) const { return derivedOf(tensor) != nullptr; }
  /// The symbol of the param that gives its numbers.
  std::string paramOf(const CheckpointTensor &tensor) const;
  void consume(const CheckpointTensor &tensor);
  bool isConsumed(StringRef physical) const { return consumed.count(physical.str()) != 0; }
  /// A logical name that the graph needs and nothing provides.
  void missing(std::string logical) { missingNames.insert(std::move(logical)); }
  bool anyMissing() const { return !missingNames.empty(); }

  struct Ignored {
    std::string name, reason;
  };
  /// Adds one problem for all missing tensors and one for all that nothing consumed; returns what `ignore:` lets go. Fails when a
  /// pattern of the recipe cannot be evaluated.
  FailureOr<std::vector<Ignored>> account(const Scope &scope, Diagnostics &diags) const;
  /// All logical names, with and without the prefixes of the recipe.
  json::Array names() const;

private:
  const DerivedTensor *derivedOf(const CheckpointTensor &tensor) const;

  const Checkpoint &checkpoint;
  const ModelRecipe &recipe;
  DerivedTensors derived;
  std::vector<CheckpointTensor> standIns; ///< one for each derived tensor, in their order
  llvm::StringMap<const CheckpointTensor *> byLogical;
  std::set<std::string> consumed, missingNames;
};

} // namespace flagrelease
