#include "weights/TensorEntry.h"

#include <limits>

namespace flagrelease {

std::optional<uint64_t> tensorBytes(DType type, const std::vector<int64_t> &shape) {
  bool empty = false;
  for (int64_t dimension : shape) {
    if (dimension < 0)
      return std::nullopt;
    empty |= dimension == 0;
  }
  if (empty)
    return 0;
  // Bits of a row first: what remains are whole bytes, and 2^63 of them fit where 2^66 bits would not.
  uint64_t bits = bitWidth(type), bytes = 0;
  uint64_t last = shape.empty() ? 1 : static_cast<uint64_t>(shape.back());
  if (bits % 8 == 0)
    bytes = bits / 8;
  else if (last % (bits == 4 ? 2 : 4) != 0)
    return std::nullopt;
  else if (bits == 4)
    bytes = 1, last /= 2;
  else
    bytes = 3, last /= 4;
  if (__builtin_mul_overflow(bytes, last, &bytes) || bytes > std::numeric_limits<int64_t>::max())
    return std::nullopt;
  for (size_t i = 0; i + 1 < shape.size(); ++i)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(shape[i]), &bytes) || bytes > std::numeric_limits<int64_t>::max())
      return std::nullopt;
  return bytes;
}

std::string shapeToText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

} // namespace flagrelease
