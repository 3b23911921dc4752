// Digests of ranges of a stream that comes by in pieces.
#pragma once

#include "weights/Digest.h"
#include "weights/Placer.h"

#include "llvm/ADT/ArrayRef.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

class RangeDigests {
public:
  explicit RangeDigests(const std::vector<ByteRange> &ranges) : ranges(ranges) {
    for (size_t i = 1; i < ranges.size(); ++i)
      assert(ranges[i - 1].offset + ranges[i - 1].bytes <= ranges[i].offset && "ranges rise and do not overlap");
  }

  /// The next bytes of the stream.
  void update(llvm::ArrayRef<std::byte> bytes) {
    uint64_t begin = position, end = position + bytes.size();
    position = end;
    while (digests.size() < ranges.size()) {
      const ByteRange &range = ranges[digests.size()];
      uint64_t from = std::max(range.offset, begin), to = std::min(range.offset + range.bytes, end);
      if (range.bytes != 0 && from >= end)
        return;
      if (range.bytes != 0 && from < to)
        state.update(bytes.slice(from - begin, to - from));
      if (range.offset + range.bytes > end)
        return;
      digests.push_back(state.hex());
      state = Sha256();
    }
  }

  /// Digests of the ranges that are complete, in their order.
  const std::vector<std::string> &done() const { return digests; }

private:
  const std::vector<ByteRange> &ranges;
  uint64_t position = 0;
  Sha256 state;
  std::vector<std::string> digests;
};

} // namespace flagrelease
