// What the targets share. A target reads what it is given and holds the reader to its promises: it ends soon, touches no byte
// that is not its own (the sanitizers look), and either gives a result or says what is wrong.
#pragma once

#include "text/Diagnostics.h"
#include "weights/ByteSource.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace flagrelease::fuzz {

inline StringRef textOf(const uint8_t *data, size_t size) { return {reinterpret_cast<const char *>(data), size}; }

inline MemorySource sourceOf(StringRef bytes, const char *name) {
  const auto *first = reinterpret_cast<const std::byte *>(bytes.data());
  return MemorySource(name, std::vector<std::byte>(first, first + bytes.size()));
}

/// Ends the program, which libFuzzer reports with the input.
inline void require(bool holds) {
  if (!holds)
    std::abort();
}

/// A reader that failed has said why; one that did not has not.
inline void requireAnswer(bool refused, const Diagnostics &diags) {
  require(refused == diags.hasErrors());
  for (const Problem &problem : diags.errors())
    require(!problem.where.empty() && !problem.what.empty());
}

} // namespace flagrelease::fuzz
