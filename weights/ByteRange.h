// A run of bytes of a file or of a stream.
#pragma once

#include <compare>
#include <cstdint>

namespace flagrelease {

struct ByteRange {
  uint64_t offset = 0, bytes = 0;
  auto operator<=>(const ByteRange &) const = default;
};

} // namespace flagrelease
