#include "recipes/RecipeFiles.h"

#include "text/TextFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <map>

namespace flagrelease {

constexpr size_t kMaxBytes = size_t(4) << 20;

std::string recipeStem(StringRef path) { return llvm::sys::path::stem(path).str(); }

FailureOr<RecipeFile> readRecipeFile(const RecipePath &path, Diagnostics &diags) {
  FailureOr<std::string> bytes = readTextFile(path.path, kMaxBytes, diags);
  if (failed(bytes))
    return failure();
  FailureOr<yaml::Node> root = yaml::parse(*bytes, path.path, diags);
  if (failed(root))
    return failure();
  return RecipeFile{path.path, path.shipped, recipeStem(path.path), std::move(*bytes), std::move(*root)};
}

/// Adds the files of one folder by name, over those that are there.
static std::error_code list(StringRef folder, bool shipped, std::map<std::string, RecipePath> &found) {
  std::error_code error;
  for (llvm::sys::fs::directory_iterator it(folder, error), end; it != end && !error; it.increment(error)) {
    StringRef name = llvm::sys::path::filename(it->path());
    // Editors leave hidden files beside what they edit.
    if (name.ends_with(".yaml") && !name.starts_with("."))
      found[name.str()] = RecipePath{it->path(), shipped};
  }
  return error;
}

FailureOr<std::vector<RecipePath>> recipeFilesIn(StringRef folder, StringRef extra, Diagnostics &diags) {
  std::map<std::string, RecipePath> found;
  if (std::error_code error = list(folder, true, found))
    return diags.error(folder, "cannot list the folder: " + error.message(),
                       "it should hold the recipes that come with the program", Cause::Environment);
  if (found.empty())
    return diags.error(folder, "holds no .yaml file", "it should hold the recipes that come with the program",
                       Cause::Environment);
  if (!extra.empty())
    if (std::error_code error = list(extra, false, found); error && error != std::errc::no_such_file_or_directory)
      return diags.error(extra, "cannot list the folder: " + error.message());
  std::vector<RecipePath> paths;
  for (auto &[name, path] : found)
    paths.push_back(std::move(path));
  return paths;
}

} // namespace flagrelease
