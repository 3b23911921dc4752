// A place in a text file: what stands in front of a message about YAML or about JSON syntax.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstddef>
#include <memory>
#include <string>

namespace flagrelease {

/// `file:line:col`; line and column count from 1, columns count bytes (as compilers do). Line 0: the file as a whole.
/// The file name is shared, so that a place in every node of a big file costs one pointer.
struct Place {
  std::shared_ptr<const std::string> file;
  unsigned line = 0;
  unsigned col = 0;

  std::string str() const;
  /// The same line, `bytes` further right.
  Place right(unsigned bytes) const { return {file, line, col + bytes}; }
};

/// Line and column (from 1) of a byte offset. An offset past the end means the end.
struct LineCol {
  unsigned line;
  unsigned col;
};
LineCol lineColOf(llvm::StringRef text, size_t offset);

} // namespace flagrelease
