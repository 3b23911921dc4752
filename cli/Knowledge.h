// The recipes, loaded when a verb asks for them.
#pragma once

#include "cli/Options.h"
#include "recipes/RecipeSet.h"
#include "recipes/TargetRecipes.h"

namespace flagrelease {

inline constexpr const char *kVersion = FLAGRELEASE_VERSION;
inline constexpr const char *kTool = "flagrelease " FLAGRELEASE_VERSION;

/// The folder that holds recipes/ and devices/: beside the program (an installation keeps them in ../share/flagrelease), or the
/// source tree that the program was built in. FLAGRELEASE_HOME overrides.
FailureOr<std::string> homeFolder(Diagnostics &diags);

FailureOr<RecipeSet> loadModelRecipes(const Options &options, Diagnostics &diags);
FailureOr<TargetRecipes> loadTargetRecipes(const Options &options, Diagnostics &diags);

} // namespace flagrelease
