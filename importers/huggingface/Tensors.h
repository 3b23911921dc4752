// From names in a recipe to tensors on disk, with every physical tensor accounted for.
#pragma once

#include "recipes/ModelRecipe.h"
#include "weights/Checkpoint.h"

#include "llvm/ADT/StringMap.h"

#include <set>
#include <string>
#include <vector>

namespace flagrelease {

class TensorTable {
public:
  TensorTable(const Checkpoint &checkpoint, const ModelRecipe &recipe);

  /// The physical tensor of a logical name: itself, a renamed one, or one whose prefix differs as `prefix:` of the recipe allows.
  const CheckpointTensor *find(StringRef logical) const;
  void consume(const CheckpointTensor &tensor) { consumed.insert(tensor.name); }
  bool isConsumed(StringRef physical) const { return consumed.count(physical.str()) != 0; }
  /// A logical name that the graph needs and nothing provides.
  void missing(std::string logical) { missingNames.insert(std::move(logical)); }
  bool anyMissing() const { return !missingNames.empty(); }

  struct Ignored {
    std::string name, reason;
  };
  /// Adds one problem for all missing tensors and one for all that nothing consumed; returns what `ignore:` lets go.
  std::vector<Ignored> account(Diagnostics &diags) const;

private:
  const Checkpoint &checkpoint;
  const ModelRecipe &recipe;
  llvm::StringMap<const CheckpointTensor *> byLogical;
  std::set<std::string> consumed, missingNames;
};

} // namespace flagrelease
