// Decoding of every block format against ggml's recorded results, and the same bits on every CPU level.
#include "tests/support/CodecOracle.h"
#include "weights/Digest.h"
#include "weights/codecs/Codec.h"
#include "weights/codecs/Kernel.h"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

/// As the oracle writes them: all NaNs alike.
std::vector<float> sameNans(std::vector<float> values) {
  for (float &value : values)
    if (std::isnan(value))
      value = std::bit_cast<float>(0x7fc00000u);
  return values;
}

std::string digestOf(const std::vector<float> &values) {
  return sha256(llvm::ArrayRef(reinterpret_cast<const std::byte *>(values.data()), values.size() * 4));
}

} // namespace

TEST_CASE("the table of block formats has ggml's ids and sizes, and finds what it lists") {
  const json::Value *sizes = codecOracle().facts.find("sizes");
  REQUIRE(sizes);
  CHECK(sizes->object().size() == blockFormats().size());
  for (const BlockInfo &info : blockFormats()) {
    INFO(info.name);
    const json::Value *size = sizes->find(info.name);
    REQUIRE(size);
    CHECK(size->array()[0].integer() == info.ggmlType);
    CHECK(size->array()[1].integer() == info.elements);
    CHECK(size->array()[2].integer() == info.bytes);
    CHECK(parseBlockFormat(info.name) == info.format);
    CHECK(blockFormatOfGgml(info.ggmlType) == info.format);
    CHECK(&blockInfo(info.format) == &info);
    CHECK(info.byteSize(3 * info.elements) == 3 * info.bytes);
    CHECK(findCodec(info.format)->format == info.format);
  }
  for (const char *name : {"", "f32", "Q4_0", "q8_1", "q8_k", "q4_0 "})
    CHECK_FALSE(parseBlockFormat(name));
  for (uint32_t id : {0u, 1u, 4u, 5u, 9u, 15u, 24u, 28u, 30u, 31u, 33u, 36u, 38u, 43u, 0xffffffffu})
    CHECK_FALSE(blockFormatOfGgml(id));
}

TEST_CASE("decoding gives ggml's numbers") {
  const CodecOracle &oracle = codecOracle();
  for (const BlockInfo &info : blockFormats())
    for (CpuLevel level : cpuLevels()) {
      const HostTensor &blocks = oracle.tensor(std::string("decode/") + info.name + "/blocks"),
                       &values = oracle.tensor(std::string("decode/") + info.name + "/values");
      std::vector<float> got = sameNans(decoded(info.format, blocks.bytes, level));
      REQUIRE(static_cast<int64_t>(got.size()) == values.elements());
      for (size_t i = 0; i < got.size(); ++i)
        if (std::bit_cast<uint32_t>(got[i]) != values.as<uint32_t>()[i])
          FAIL(info.name << ", level " << static_cast<int>(level) << ", block " << i / info.elements << ", element "
                         << i % info.elements << ": " << got[i] << " instead of " << values.as<float>()[i]);
    }
}

TEST_CASE("decoding of many random blocks has the digest of ggml's numbers") {
  const json::Value *digests = codecOracle().facts.find("decoded");
  REQUIRE(digests);
  // Numbered in the order of the oracle's table, which is that of ids.
  for (const BlockInfo &info : blockFormats()) {
    uint64_t number = 0;
    for (const BlockInfo &other : blockFormats())
      number += other.ggmlType < info.ggmlType;
    INFO(info.name);
    std::vector<std::byte> blocks = randomBytes(static_cast<size_t>(info.byteSize(65536)), number);
    REQUIRE(digests->find(info.name));
    CHECK(digestOf(sameNans(decoded(info.format, blocks, bestCpuLevel()))) == digests->find(info.name)->string());
  }
}

TEST_CASE("every level decodes to the same bits, NaNs included, at any alignment and count") {
  for (const BlockInfo &info : blockFormats()) {
    std::vector<std::byte> blocks = randomBytes(info.bytes * 300u + 1, 99);
    // All ones: NaN scales. Scales of infinity, zero and the smallest subnormal, wherever they lie.
    std::fill_n(blocks.begin(), info.bytes * 3, std::byte(0xff));
    for (size_t i = info.bytes * 3u; i < info.bytes * 40u; i += 2) {
      static constexpr uint16_t kHalves[] = {0x7c00, 0xfc00, 0, 0x8000, 1, 0x8001, 0x7e01, 0xfe77, 0x7c01};
      if (i % 5 == 0)
        std::memcpy(&blocks[i], &kHalves[i % 9], 2);
    }
    for (size_t shift : {0u, 1u}) {
      std::vector<float> plain(info.elements * 300u + 1, -7.0f);
      findCodec(info.format)->decode(blocks.data() + shift, plain.data(), info.elements * 300, CpuLevel::Plain);
      CHECK(plain.back() == -7.0f);
      for (CpuLevel level : cpuLevels()) {
        INFO(info.name << ", level " << static_cast<int>(level));
        std::vector<float> other(plain.size(), -7.0f);
        // One block, then the rest.
        findCodec(info.format)->decode(blocks.data() + shift, other.data(), info.elements, level);
        findCodec(info.format)
            ->decode(blocks.data() + shift + info.bytes, other.data() + info.elements, info.elements * 299, level);
        CHECK(std::memcmp(plain.data(), other.data(), plain.size() * 4) == 0);
      }
    }
  }
}

TEST_CASE("the kernels' conversion of halves is that of the whole program") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    float expected = f16ToF32(half), got = codecs::halfToFloat(half);
    if (std::isnan(expected) ? std::bit_cast<uint32_t>(got) != 0xffc00000u
                             : std::bit_cast<uint32_t>(expected) != std::bit_cast<uint32_t>(got))
      FAIL("half " << bits << ": " << got << " instead of " << expected);
    if (std::isnan(expected))
      continue;
    // The half itself, and the floats around it and around the midpoint to the next one.
    uint32_t single = std::bit_cast<uint32_t>(expected);
    for (uint32_t around : {single, single + 1, single - 1, single + 0xfff, single + 0x1000, single + 0x1001}) {
      float value = std::bit_cast<float>(around);
      if (!std::isnan(value) && codecs::floatToHalf(value) != f32ToF16(value))
        FAIL("to half: " << std::hexfloat << value << ": " << codecs::floatToHalf(value) << " instead of " << f32ToF16(value));
    }
  }
}
