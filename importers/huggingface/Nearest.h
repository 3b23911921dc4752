// What an unknown checkpoint is most like: the shipped recipes by the names of its tensors and the keys of its config.
#pragma once

#include "recipes/RecipeSet.h"
#include "weights/Checkpoint.h"

namespace flagrelease {

struct NearRecipe {
  std::string name;
  size_t known = 0, all = 0;            ///< patterns of the file that the recipe names, and all of them
  std::vector<std::string> unknown;     ///< patterns of the file that it does not name
  std::vector<std::string> absent;      ///< names of the recipe that the file does not have
  std::vector<std::string> unknownKeys; ///< keys of the config that it does not refer to, and that are no inert ones
};

/// The `count` nearest, best first: by known patterns, then by absent ones, then by unknown keys. Recipes that share no pattern
/// are left out. Recipes that cannot be read are too.
std::vector<NearRecipe> nearestRecipes(const Checkpoint &checkpoint, const json::Object &config, const RecipeSet &recipes,
                                       size_t count);

} // namespace flagrelease
