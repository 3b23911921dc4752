// The rule by which a fixture's weights are made: splitmix64-v1 (tests/fixtures/FORMAT.md, "Values").
#pragma once

#include "ir/DType.h"
#include "text/Json.h"

#include <cstddef>
#include <vector>

namespace flagrelease::test {

/// One tensor of tensors.json.
struct FixtureTensor {
  std::string name;
  DType type = DType::F32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes; ///< row-major, little endian
};

/// Makes the tensor that an entry of tensors.json describes.
FailureOr<FixtureTensor> makeTensor(const json::Value &entry, Diagnostics &diags);

/// The same numbers stored in another floating-point type (F64, F32, F16, BF16), rounded once. Other tensors stay as they are.
void storeAs(FixtureTensor &tensor, DType type);

} // namespace flagrelease::test
