#include "text/Place.h"

#include <algorithm>

using namespace flagrelease;

std::string Place::str() const {
  std::string out = file ? *file : std::string("<text>");
  if (line)
    out += ":" + std::to_string(line) + ":" + std::to_string(col);
  return out;
}

LineCol flagrelease::lineColOf(llvm::StringRef text, size_t offset) {
  offset = std::min(offset, text.size());
  llvm::StringRef before = text.take_front(offset);
  size_t lastBreak = before.rfind('\n');
  unsigned line = static_cast<unsigned>(before.count('\n')) + 1;
  size_t start = lastBreak == llvm::StringRef::npos ? 0 : lastBreak + 1;
  return {line, static_cast<unsigned>(offset - start) + 1};
}
