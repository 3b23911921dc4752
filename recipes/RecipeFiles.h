// The files of a recipe folder: found by name in a fixed order, read bounded, parsed, and kept with their bytes, because reports
// and manifests state the digest of every recipe that was used.
#pragma once

#include "text/Diagnostics.h"
#include "text/Yaml.h"

#include <string>
#include <vector>

namespace flagrelease {

struct RecipePath {
  std::string path;
  bool shipped = true; ///< false: from the folder of --recipes, whose commands run only when the user allows it
};

struct RecipeFile {
  std::string path;
  bool shipped = true;
  std::string stem;  ///< file name without `.yaml`
  std::string bytes; ///< what a digest is taken of
  yaml::Node root;
};

/// Reads and parses one file of at most 4 MiB.
FailureOr<RecipeFile> readRecipeFile(const RecipePath &path, Diagnostics &diags);

/// The `.yaml` files of a folder, sorted by name. A missing folder, or one without such a file, is a problem. `extra` (empty, or
/// a folder of the same layout that may be missing) adds files and replaces those of the same name.
FailureOr<std::vector<RecipePath>> recipeFilesIn(StringRef folder, StringRef extra, Diagnostics &diags);

/// The file name without folder and `.yaml`.
std::string recipeStem(StringRef path);

} // namespace flagrelease
