#include "cli/Source.h"

#include "text/Escape.h"

#include <filesystem>

using namespace flagrelease;
namespace fs = std::filesystem;

bool flagrelease::isArtefact(const std::string &folder) {
  std::error_code ignored;
  return fs::exists(folder + "/manifest.json", ignored) || fs::exists(folder + "/manifest.rejected.json", ignored) ||
         fs::exists(folder + "/.flagrelease", ignored);
}

FailureOr<Source> flagrelease::resolveSource(const Options &options, Diagnostics &diags) {
  const std::string &text = options.source;
  llvm::StringRef id = text;
  bool hub = id.consume_front("hf://") || id.consume_front("ms://");
  std::error_code ignored;
  if (!hub && (fs::exists(text, ignored) || llvm::StringRef(text).starts_with(".") || llvm::StringRef(text).starts_with("/"))) {
    if (!fs::exists(text, ignored))
      return diags.error(escape::terminal(text), "no such file or folder", "name a checkpoint folder");
    fs::path path = fs::weakly_canonical(text, ignored);
    std::string name = path.filename().string();
    return Source{text, name.empty() ? "model" : name};
  }
  if (!hub && llvm::StringRef(text).count('/') != 1)
    return diags.error(escape::terminal(text), "no such file or folder", "name a checkpoint folder");
  return diags.error(escape::terminal(text), "is a hub id, and this version reads local folders only",
                     "download the repository with the hub's own client and name its folder");
}
