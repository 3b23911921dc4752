// What ggml and ml_dtypes make of the block formats (tests/weights/make_codec_oracle.py), and data to try codecs on.
#pragma once

#include "ir/HostTensor.h"
#include "text/Json.h"
#include "weights/codecs/Codec.h"

#include <string>
#include <vector>

namespace flagrelease::test {

struct CodecOracle {
  NamedTensors tensors;
  json::Value facts; ///< rows, sizes, decoded, model, versions

  const HostTensor &tensor(const std::string &name) const;
  /// Row `row` of encode/input.
  std::vector<float> input(size_t row) const;
};
/// Read once; a test fails if the files are damaged.
const CodecOracle &codecOracle();

/// `count` bytes of splitmix64.
std::vector<std::byte> randomBytes(size_t count, uint64_t seed);

std::vector<float> decoded(BlockFormat format, const std::vector<std::byte> &blocks, CpuLevel level);
std::vector<std::byte> encoded(BlockFormat format, const std::vector<float> &values, CpuLevel level);
/// Sum of squares of values - decoded.
double squaredError(BlockFormat format, const std::vector<float> &values, const std::vector<std::byte> &blocks);

/// Those that this CPU can run.
std::vector<CpuLevel> cpuLevels();

} // namespace flagrelease::test
