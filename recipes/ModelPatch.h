// Flattening of a model recipe on the level of YAML: `like:` and `patch:`. Private to the model recipe reader.
#pragma once

#include "recipes/ModelRecipe.h"

namespace flagrelease {

/// The child over the parent (which is flattened already): `recipe` and `match` are the child's; `prefix`, `defaults`, `graph`,
/// `hidden`, `split`, `stack`, `derive` replace the parent's; of `configs`, `let`, `sizes`, `inputs`, `graphs`, `tasks`,
/// `ignore`, `inert`, `host`, `gguf` the child is a merge patch (RFC 7386: null deletes a key, lists are replaced); `rename` puts
/// the child's entries first.
yaml::Node mergeRecipes(const yaml::Node &child, const yaml::Node &parent);

/// Applies every entry of `patch` (id path → merge patch with $before, $after, $replace, $delete) to `recipe`.
LogicalResult applyPatches(yaml::Node &recipe, const yaml::Node &patch, Diagnostics &diags);

/// The steps of a list that an id path names. A path starts in `graph`, or with "tasks.NAME" or "graphs.NAME"; of a parallel the
/// next component is the number of the branch, of a choose the label of the case.
struct StepPlace {
  yaml::Node *list;
  size_t index;
};
FailureOr<StepPlace> findStep(yaml::Node &recipe, StringRef path, const Place &place, Diagnostics &diags);

} // namespace flagrelease
