// A throw-away folder of recipe files, and what a reader said about it.
#pragma once

#include "text/Diagnostics.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <catch2/catch.hpp>

#include <string>

namespace flagrelease::test {

inline std::string shippedRecipes(StringRef folder) { return (Twine(FLAGRELEASE_SOURCE_DIR "/recipes/") + folder).str(); }

class RecipeFolder {
public:
  RecipeFolder() {
    llvm::SmallString<128> path;
    REQUIRE(!llvm::sys::fs::createUniqueDirectory("flagrelease-recipes", path));
    root = path.str().str();
  }
  ~RecipeFolder() { (void)llvm::sys::fs::remove_directories(root); }
  RecipeFolder(const RecipeFolder &) = delete;

  std::string write(StringRef name, StringRef text) const {
    const std::string path = root + "/" + name.str();
    std::error_code error;
    llvm::raw_fd_ostream out(path, error);
    REQUIRE(!error);
    out << text;
    return path;
  }

  std::string root;
};

/// One problem a line, folders cut from paths: `a.yaml:1:2: what`.
inline std::string said(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors()) {
    StringRef where = problem.where;
    text += where.substr(where.rfind('/') + 1).str() + ": " + problem.what + "\n";
  }
  return text;
}

} // namespace flagrelease::test
