// One tensor of a checkpoint file, whatever the format of the file: where its bytes are, and what they are.
#pragma once

#include "ir/DType.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

struct TensorEntry {
  std::string name;
  DType type = DType::F32;
  std::vector<int64_t> shape; ///< row-major; empty for a scalar; a zero makes an empty tensor
  uint64_t offset = 0;        ///< of the first byte, from the start of the file
  uint64_t bytes = 0;         ///< tensorBytes(type, shape)
};

/// product(shape) * bitWidth(type) / 8; nullopt if a dimension is negative, the product leaves [0, 2^63), or rows of elements of
/// fewer than 8 bits would not end at a byte (F4: an even last dimension).
std::optional<uint64_t> tensorBytes(DType type, const std::vector<int64_t> &shape);

/// "[2, 3]", for messages.
std::string shapeToText(const std::vector<int64_t> &shape);

} // namespace flagrelease
