// What evidence a migration rests on (DESIGN section 4): reference and artefact come from the same recipe, so a wrong recipe
// agrees with itself. The tests compare fixtures with transformers; every option value that one of them has exercised is proven,
// and is listed in recipes/models/_evidence.json.
#pragma once

#include "ir/Fr.h"
#include "recipes/ModelRecipe.h"
#include "text/Json.h"

#include <map>
#include <string>
#include <vector>

namespace flagrelease {

struct Imported;

/// The option values that an imported module has, sorted: "qwen3: rope=yarn". They are read from the graph, not from the config:
/// kinds of ops, scaling of rotary positions, which layers have windows, key heads, biases, ties, norms, the task.
std::vector<std::string> optionsOf(const Imported &imported);

/// Option value -> fixtures that prove it, three at most.
using Evidence = std::map<std::string, std::vector<std::string>>;

/// The text of _evidence.json, and back. A missing file is no evidence.
std::string evidenceText(const Evidence &evidence);
FailureOr<Evidence> readEvidence(const std::string &path, Diagnostics &diags);

/// Those of `options` that nothing proves. Evidence lies beside the recipes it is about: recipes of a user's folder have what
/// that folder has, and a recipe made of files of two folders has none.
FailureOr<std::vector<std::string>> unprovenOptions(const std::vector<std::string> &options, llvm::ArrayRef<RecipeText> recipe,
                                                    Diagnostics &diags);

} // namespace flagrelease
