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
/// `defaults` may be null (no class known).
FailureOr<ModelConfig> normaliseConfig(json::Object raw, const ClassDefaults *defaults,
                                       const std::vector<DefaultOverride> &overrides, Diagnostics &diags);

/// Reports every key of the file that neither the recipe refers to, nor is inert, nor equals its default, nor stands in
/// `assumeInert`; nested keys of rope mappings included.
void checkConfigKeys(const ModelConfig &config, const ModelRecipe &recipe, const InertKeys &inert, const ClassDefaults *defaults,
                     const std::vector<std::string> &assumeInert, Diagnostics &diags);

} // namespace flagrelease
