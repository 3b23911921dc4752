#include "tests/support/CodecOracle.h"
#include "weights/Safetensors.h"

#include <catch2/catch.hpp>

namespace flagrelease::test {

const CodecOracle &codecOracle() {
  static const CodecOracle oracle = [] {
    CodecOracle read;
    Diagnostics diags;
    FailureOr<NamedTensors> tensors = readSafetensors(FLAGRELEASE_CODEC_ORACLE ".safetensors", diags);
    FailureOr<json::Value> facts = json::parseFile(FLAGRELEASE_CODEC_ORACLE ".json", diags);
    REQUIRE(succeeded(tensors));
    REQUIRE(succeeded(facts));
    read.tensors = std::move(*tensors);
    read.facts = std::move(*facts);
    return read;
  }();
  return oracle;
}

const HostTensor &CodecOracle::tensor(const std::string &name) const {
  INFO(name);
  REQUIRE(tensors.count(name) == 1);
  return tensors.at(name);
}

std::vector<float> CodecOracle::input(size_t row) const {
  const HostTensor &all = tensor("encode/input");
  size_t width = static_cast<size_t>(all.shape[1]);
  std::vector<float> values(width);
  std::memcpy(values.data(), all.bytes.data() + row * width * 4, width * 4);
  return values;
}

std::vector<std::byte> randomBytes(size_t count, uint64_t seed) {
  std::vector<std::byte> bytes(count + 8);
  for (size_t i = 0; i < count; i += 8) {
    uint64_t z = seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    std::memcpy(bytes.data() + i, &z, 8);
  }
  bytes.resize(count);
  return bytes;
}

std::vector<float> decoded(BlockFormat format, const std::vector<std::byte> &blocks, CpuLevel level) {
  const BlockInfo &info = blockInfo(format);
  std::vector<float> values(blocks.size() / info.bytes * info.elements);
  findCodec(format)->decode(blocks.data(), values.data(), static_cast<int64_t>(values.size()), level);
  return values;
}

std::vector<std::byte> encoded(BlockFormat format, const std::vector<float> &values, CpuLevel level) {
  std::vector<std::byte> blocks(static_cast<size_t>(blockInfo(format).byteSize(static_cast<int64_t>(values.size()))));
  findCodec(format)->encode(values.data(), blocks.data(), static_cast<int64_t>(values.size()), level);
  return blocks;
}

double squaredError(BlockFormat format, const std::vector<float> &values, const std::vector<std::byte> &blocks) {
  std::vector<float> back = decoded(format, blocks, CpuLevel::Plain);
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    double off = static_cast<double>(values[i]) - static_cast<double>(back[i]);
    sum += off * off;
  }
  return sum;
}

std::vector<CpuLevel> cpuLevels() {
  std::vector<CpuLevel> levels;
  for (CpuLevel level : {CpuLevel::Plain, CpuLevel::Avx2, CpuLevel::Avx512})
    if (cpuHas(level))
      levels.push_back(level);
  return levels;
}

} // namespace flagrelease::test
