#include "cli/Knowledge.h"

#include "importers/huggingface/GraphBuilder.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstdlib>

using namespace flagrelease;

FailureOr<std::string> flagrelease::homeFolder(Diagnostics &diags) {
  auto holds = [](llvm::StringRef folder) { return llvm::sys::fs::is_directory(folder + "/recipes/models"); };
  if (const char *given = std::getenv("FLAGRELEASE_HOME"); given && *given) {
    if (holds(given))
      return std::string(given);
    return diags.error("FLAGRELEASE_HOME", llvm::Twine(given) + " holds no recipes/models",
                       "unset it, or name the folder that holds recipes/", Cause::Environment);
  }
  std::string program = llvm::sys::fs::getMainExecutable(nullptr, nullptr);
  llvm::StringRef folder = llvm::sys::path::parent_path(program);
  for (const char *way : {"/../share/flagrelease", "", "/..", "/../.."}) {
    llvm::SmallString<256> path(folder);
    path += way;
    llvm::sys::path::remove_dots(path, /*remove_dot_dot=*/true);
    if (holds(path))
      return path.str().str();
  }
  return diags.error("recipes", "no folder recipes/ was found near " + program,
                     "set FLAGRELEASE_HOME to the folder that holds recipes/", Cause::Environment);
}

/// A misspelt --recipes would silently mean the shipped ones only.
static LogicalResult checkRecipesFolder(const Options &options, Diagnostics &diags) {
  if (options.recipes.empty() || llvm::sys::fs::is_directory(options.recipes))
    return success();
  return diags.error("--recipes", options.recipes + " is no folder",
                     "name a folder laid out as recipes/: models/, chips/, gates/, schemes/, ops/");
}

FailureOr<RecipeSet> flagrelease::loadModelRecipes(const Options &options, Diagnostics &diags) {
  FailureOr<std::string> home = homeFolder(diags);
  if (failed(home) || failed(checkRecipesFolder(options, diags)))
    return failure();
  return RecipeSet::load(*home + "/recipes", options.recipes, importerGrammar(), diags);
}

FailureOr<TargetRecipes> flagrelease::loadTargetRecipes(const Options &options, Diagnostics &diags) {
  FailureOr<std::string> home = homeFolder(diags);
  if (failed(home) || failed(checkRecipesFolder(options, diags)))
    return failure();
  return TargetRecipes::load(*home + "/recipes", options.recipes, diags);
}
