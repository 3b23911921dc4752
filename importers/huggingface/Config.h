// config.json as recipes see it: the two spellings of a format are one here (transformers before and after 4.57), class defaults
// fill what the file leaves out, and every key of the file is accounted for.
#pragma once

#include "recipes/RecipeSet.h"
#include "text/Diagnostics.h"
#include "text/Json.h"

#include <set>
#include <string>
#include <vector>

namespace flagrelease {

struct ModelConfig {
  json::Object raw;    ///< as the file has it
  json::Object values; ///< normalised: aliases resolved, rope in one spelling, defaults below
};

/// Reads <folder>/config.json. Fails if it is missing, no JSON or no mapping.
FailureOr<json::Object> readConfig(const std::string &folder, Diagnostics &diags);

/// Merges class defaults under the file's keys and normalises:
///  * `dtype` / `torch_dtype`: `dtype`
///  * `rope_parameters`, `rope_scaling`, `rope_theta`, `partial_rotary_factor`, `original_max_position_embeddings`:
///    `rope_theta` (a number), `rope_scaling` (null, or a mapping with rope_type and all that its formula needs),
///    `partial_rotary_factor` (absent if the file and the class have none). A `rope_scaling` mapping wins over
///    `rope_parameters`, keys inside it win over top-level keys.
/// The same holds for each member of `configs:` of the recipe; the keys of a flat one are copied to the top.
/// Null pointers stand for classes that are not known.
struct ConfigClasses {
  const ClassDefaults *root = nullptr;
  std::vector<const ClassDefaults *> parts; ///< one for each of ModelRecipe::configs
};
/// The classes that a recipe names.
FailureOr<ConfigClasses> classesOf(const ModelRecipe &recipe, const RecipeSet &recipes, Diagnostics &diags);
FailureOr<ModelConfig> normaliseConfig(json::Object raw, const ModelRecipe &recipe, const ConfigClasses &classes,
                                       Diagnostics &diags);

/// Reports every key of the file that neither the recipe refers to, nor is inert, nor equals its default, nor stands in
/// `assumeInert`; nested keys of rope mappings and of `configs:` included.
void checkConfigKeys(const ModelConfig &config, const ModelRecipe &recipe, const InertKeys &inert, const ConfigClasses &classes,
                     const std::vector<std::string> &assumeInert, Diagnostics &diags);

} // namespace flagrelease
