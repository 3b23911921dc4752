#include "weights/OutputPlace.h"

#include "text/Sizes.h"
#include "weights/Files.h"

#include "llvm/ADT/STLExtras.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sys/statvfs.h>

namespace flagrelease {

namespace {

namespace fs = std::filesystem;

constexpr StringRef kOutputNames[] = {
    "model", "serve",       "README.md",   "attestations", "manifest.json", "manifest.rejected.json",
    "repro", "report.json", "report.html", "logs",         ".flagrelease"};
constexpr const char *kCacheVariables[] = {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "MODELSCOPE_CACHE"};

/// Absolute, with links resolved as far as the path exists.
fs::path resolved(const std::string &path) {
  std::error_code error;
  fs::path result = fs::absolute(path, error);
  // Resolving can bring forth a further link behind a ".." of something that does not exist yet.
  for (int round = 0; round < 8; ++round) {
    fs::path next = fs::weakly_canonical(result, error);
    if (error || next == result)
      break;
    result = next;
  }
  return result.has_filename() ? result : result.parent_path(); // "a/" is "a"
}

bool isInside(const fs::path &inner, const fs::path &outer) {
  auto mismatch = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return mismatch.first == outer.end();
}

/// The part of the path that makes it a cache, or empty.
std::string cacheOf(const fs::path &path) {
  std::string before;
  for (const fs::path &part : path) {
    std::string name = part.string();
    StringRef text = name;
    if (text.starts_with("models--") || text.starts_with("datasets--") || text.starts_with("spaces--"))
      return name;
    if (before == ".cache" && (text == "huggingface" || text == "modelscope"))
      return ".cache/" + name;
    before = name;
  }
  for (const char *variable : kCacheVariables)
    if (const char *value = std::getenv(variable); value && *value && isInside(path, resolved(value)))
      return std::string(variable) + "=" + value;
  return "";
}

} // namespace

bool isOutputName(StringRef name) { return llvm::is_contained(kOutputNames, name); }

LogicalResult checkOutputPlace(const std::string &out, const std::vector<std::string> &sources, Diagnostics &diags) {
  fs::path target = resolved(out);
  const char *remedy = "choose a folder of its own for --out";
  bool ok = true;
  if (std::string cache = cacheOf(target); !cache.empty())
    ok = succeeded(diags.error("--out " + out, "lies in a cache that a hub client owns (" + cache + ")", remedy));
  for (const std::string &source : sources) {
    fs::path from = resolved(source);
    if (isInside(target, from))
      ok = succeeded(diags.error("--out " + out, "lies in the source " + source, remedy));
    else if (isInside(from, target) && isOutputName((*from.lexically_relative(target).begin()).string()))
      ok = succeeded(diags.error("--out " + out, "would be written over the source " + source, remedy));
  }
  return success(ok);
}

LogicalResult checkDiskSpace(const std::string &out, uint64_t bytes, Diagnostics &diags) {
  fs::path place = resolved(out);
  std::error_code error;
  while (!fs::exists(place, error) && place.has_relative_path())
    place = place.parent_path();
  struct statvfs info;
  if (::statvfs(place.c_str(), &info) != 0)
    return systemError(diags, out, "ask for the free space of its file system", errno);
  uint64_t available = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  if (available >= bytes)
    return success();
  return diags.error(
      "--out " + out,
      "needs " + humanBytes(bytes) + " (" + Twine(bytes) + " bytes); its file system has " + humanBytes(available) + " free",
      "free some space, choose another disk, or use --link where the output is on the disk of the source", Cause::Environment);
}

} // namespace flagrelease
