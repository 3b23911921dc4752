// A folder of its own for one test, removed with all that is in it; and what tests do with small files.
#pragma once

#include "text/Diagnostics.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace flagrelease::test {

class TempFolder {
public:
  explicit TempFolder(const std::string &parent = std::filesystem::temp_directory_path().string()) {
    std::string pattern = parent + "/flagrelease-test-XXXXXX";
    if (::mkdtemp(pattern.data()))
      path = std::filesystem::canonical(pattern).string();
  }
  ~TempFolder() {
    std::error_code ignored;
    if (!path.empty())
      std::filesystem::remove_all(path, ignored);
  }
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;
  std::string operator/(const std::string &name) const { return path + "/" + name; }

  std::string path;
};

inline void writeFile(const std::string &path, const std::string &content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// All problems as one text, for looking up what a message must say.
inline std::string textOf(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors())
    text += "[" + std::to_string(static_cast<int>(problem.cause)) + "] " + problem.where + ": " + problem.what + " | " +
            problem.remedy + "\n";
  for (const Problem &note : diags.remarks())
    text += "[note] " + note.where + ": " + note.what + "\n";
  return text;
}

} // namespace flagrelease::test
