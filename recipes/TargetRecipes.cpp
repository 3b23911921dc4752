#include "recipes/TargetRecipes.h"

#include "text/Nearest.h"

namespace flagrelease {

static std::string below(StringRef folder, StringRef name) { return folder.empty() ? "" : (folder + "/" + name).str(); }

FailureOr<TargetRecipes> TargetRecipes::load(StringRef folder, StringRef extra, Diagnostics &diags) {
  // All three are read even when one is wrong, so that one run shows every problem.
  FailureOr<ChipSet> chips = ChipSet::load(below(folder, "chips"), below(extra, "chips"), diags);
  FailureOr<OpTables> ops = OpTables::load(below(folder, "ops"), below(extra, "ops"), diags);
  FailureOr<Schemes> schemes = Schemes::load(below(folder, "schemes"), below(extra, "schemes"), diags);
  if (failed(chips) || failed(ops) || failed(schemes) || failed(checkToolchains(*chips, *ops, diags)))
    return failure();
  TargetRecipes all;
  all.chips = std::move(*chips);
  all.ops = std::move(*ops);
  all.schemes = std::move(*schemes);
  all.folder = folder.str();
  all.extra = extra.str();
  return all;
}

FailureOr<std::vector<std::string>> TargetRecipes::gateNames(Diagnostics &diags) const {
  FailureOr<std::vector<RecipePath>> paths = recipeFilesIn(below(folder, "gates"), below(extra, "gates"), diags);
  if (failed(paths))
    return failure();
  std::vector<std::string> names;
  for (const RecipePath &path : *paths)
    names.push_back(recipeStem(path.path));
  return names;
}

FailureOr<Gate> TargetRecipes::gate(StringRef nameOrPath, Diagnostics &diags) const {
  const std::vector<std::string> known = schemes.names();
  if (nameOrPath.contains('/') || nameOrPath.ends_with(".yaml"))
    return readGate(nameOrPath, known, diags);
  FailureOr<std::vector<RecipePath>> paths = recipeFilesIn(below(folder, "gates"), below(extra, "gates"), diags);
  if (failed(paths))
    return failure();
  std::vector<std::string> names;
  for (const RecipePath &path : *paths) {
    names.push_back(recipeStem(path.path));
    if (names.back() == nameOrPath)
      return readGate(path.path, known, diags);
  }
  return diags.error("--gate", "unknown gate '" + Twine(nameOrPath) + "'" + nearestNote(nameOrPath, names),
                     "known: " + Twine(listed(names)) + "; a path to a file must hold a '/' or end in .yaml");
}

} // namespace flagrelease
