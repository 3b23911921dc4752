// Which tensors a recipe names, before any checkpoint is there: for finding the recipe that is nearest to an unknown model.
#pragma once

#include "recipes/ModelRecipe.h"

namespace flagrelease {

/// Names of tensors and modules of the trunk and of the tasks, with '*' for every {expression}, sorted. A module stands for its
/// weight and bias.
std::set<std::string> tensorPatterns(const ModelRecipe &recipe);

/// The same form for a name in a file: '*' for each part that is a number.
std::string tensorPattern(StringRef name);

} // namespace flagrelease
