// Encoding: byte equality with ggml, errors against ggml's, the same bytes on every CPU level and however the work is cut.
#include "tests/support/CodecOracle.h"
#include "weights/Digest.h"
#include "weights/Safetensors.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

/// Errors of our own search may be this much larger than ggml's, as the project promises.
constexpr double kAllowed = 1.02;

bool isSearched(BlockFormat format) { return format >= BlockFormat::Q2_K && format <= BlockFormat::Q6_K; }

std::vector<const BlockInfo *> writtenFormats() {
  std::vector<const BlockInfo *> formats;
  for (const BlockInfo &info : blockFormats())
    if (findCodec(info.format)->encode)
      formats.push_back(&info);
  return formats;
}

size_t rowCount() { return static_cast<size_t>(codecOracle().tensor("encode/input").shape[0]); }
std::string rowName(size_t row) { return codecOracle().facts.find("rows")->array()[row].string().str(); }

} // namespace

TEST_CASE("eleven formats are written") { CHECK(writtenFormats().size() == 11); }

TEST_CASE("the formats with one scale per 32 elements have ggml's bytes") {
  for (const BlockInfo *info : writtenFormats()) {
    if (isSearched(info->format))
      continue;
    const HostTensor &expected = codecOracle().tensor(std::string("encode/") + info->name);
    for (size_t row = 0; row < rowCount(); ++row)
      for (CpuLevel level : cpuLevels()) {
        std::vector<std::byte> got = encoded(info->format, codecOracle().input(row), level);
        const std::byte *wanted = expected.bytes.data() + row * got.size();
        for (size_t i = 0; i < got.size(); ++i)
          if (got[i] != wanted[i])
            FAIL(info->name << ", " << rowName(row) << ", level " << static_cast<int>(level) << ", block " << i / info->bytes
                            << ", byte " << i % info->bytes << ": " << static_cast<int>(got[i]) << " instead of "
                            << static_cast<int>(wanted[i]));
      }
  }
}

TEST_CASE("the formats with a search have at most 1.02 times ggml's error on every kind of data") {
  for (const BlockInfo *info : writtenFormats()) {
    if (!isSearched(info->format))
      continue;
    const HostTensor &errors = codecOracle().tensor(std::string("error/") + info->name);
    for (size_t row = 0; row < rowCount(); ++row) {
      std::vector<float> values = codecOracle().input(row);
      double error = squaredError(info->format, values, encoded(info->format, values, bestCpuLevel()));
      INFO(info->name << ", " << rowName(row) << ": " << error << ", ggml " << errors.at(static_cast<int64_t>(row)));
      // Where ggml's scale overflows there is nothing to compare with: its error is NaN.
      CHECK(std::isfinite(error));
      CHECK_FALSE(error > kAllowed * errors.at(static_cast<int64_t>(row)));
    }
  }
}

TEST_CASE("where the common scale is subnormal in F16, small integer scales make up for it") {
  // The largest of this row is 4e-5; with the largest integer scale, the common one would be about 1e-8 and round to zero.
  size_t row = 0;
  while (rowName(row) != "tiny")
    ++row;
  std::vector<float> values = codecOracle().input(row);
  double energy = 0;
  for (float value : values)
    energy += static_cast<double>(value) * static_cast<double>(value);
  for (BlockFormat format : {BlockFormat::Q4_K, BlockFormat::Q5_K, BlockFormat::Q6_K})
    CHECK(squaredError(format, values, encoded(format, values, bestCpuLevel())) < 0.01 * energy);
}

TEST_CASE("the tensors of the example model have ggml's bytes, or at most 1.02 times its error") {
  Diagnostics diags;
  FailureOr<NamedTensors> model =
      readSafetensors(FLAGRELEASE_SOURCE_DIR "/examples/models/kjv-qwen3-5m/model.safetensors", diags);
  REQUIRE(succeeded(model));
  const json::Value *recorded = codecOracle().facts.find("model");
  REQUIRE(recorded);
  CHECK(recorded->object().size() >= 40);
  for (const json::Member &member : recorded->object()) {
    REQUIRE(model->count(member.key));
    const HostTensor &tensor = model->at(member.key);
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    castElements(tensor.type, tensor.bytes.data(), DType::F32, reinterpret_cast<std::byte *>(values.data()), tensor.elements());
    for (const BlockInfo *info : writtenFormats()) {
      INFO(member.key << ", " << info->name);
      std::vector<std::byte> blocks = encoded(info->format, values, bestCpuLevel());
      const json::Value *expected = member.value.find(info->name);
      REQUIRE(expected);
      if (isSearched(info->format))
        CHECK(squaredError(info->format, values, blocks) <= kAllowed * expected->number());
      else
        CHECK(sha256(blocks) == expected->string());
    }
  }
}

TEST_CASE("every level writes the same bytes, at any alignment, however the work is cut") {
  for (const BlockInfo *info : writtenFormats())
    for (size_t row = 0; row < rowCount(); ++row) {
      std::vector<float> values = codecOracle().input(row);
      int64_t count = static_cast<int64_t>(values.size());
      std::vector<std::byte> plain = encoded(info->format, values, CpuLevel::Plain);
      for (CpuLevel level : cpuLevels()) {
        INFO(info->name << ", " << rowName(row) << ", level " << static_cast<int>(level));
        std::vector<std::byte> out(plain.size() + 2, std::byte(0x5a));
        // Pieces of one block and of three, so that blocks meet other neighbours than in one go.
        for (int64_t done = 0, piece = info->elements; done < count; done += piece, piece = 3 * info->elements) {
          piece = std::min(piece, count - done);
          findCodec(info->format)->encode(values.data() + done, out.data() + 1 + info->byteSize(done), piece, level);
        }
        CHECK(std::memcmp(plain.data(), out.data() + 1, plain.size()) == 0);
        CHECK((out.front() == std::byte(0x5a) && out.back() == std::byte(0x5a)));
      }
    }
}

TEST_CASE("what has no code becomes zero, and spoils nothing beside it") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  for (const BlockInfo *info : writtenFormats()) {
    std::vector<float> damaged = codecOracle().input(0), repaired = damaged;
    for (size_t i = 0; i < damaged.size(); i += 37)
      damaged[i] = i % 3 == 0 ? kNan : i % 3 == 1 ? kInfinity : -kInfinity, repaired[i] = 0;
    for (CpuLevel level : cpuLevels()) {
      INFO(info->name << ", level " << static_cast<int>(level));
      CHECK(encoded(info->format, damaged, level) == encoded(info->format, repaired, level));
    }
    // Nothing but damage, and the largest and smallest numbers: some bytes, the same on every level.
    for (float value : {kNan, kInfinity, 3.4e38f, -3.4e38f, 1e-45f, -1e-38f, 65504.0f}) {
      std::vector<float> all(512, value);
      for (size_t i = 0; i < all.size(); i += 7)
        all[i] *= -0.9f;
      std::vector<std::byte> plain = encoded(info->format, all, CpuLevel::Plain);
      for (CpuLevel level : cpuLevels()) {
        INFO(info->name << ", " << value << ", level " << static_cast<int>(level));
        CHECK(encoded(info->format, all, level) == plain);
      }
    }
  }
}

TEST_CASE("mxfp4 below 2^-125, where ggml's exponent wraps around, keeps the numbers it can and makes no NaN scale") {
  for (float scale : {0x1p-126f, 0x1p-130f, 0x1p-140f, 0x1p-149f}) {
    std::vector<float> values(32);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = scale * static_cast<float>(i % 3);
    std::vector<std::byte> block = encoded(BlockFormat::MXFP4, values, CpuLevel::Plain);
    CHECK(block[0] == std::byte(0));
    std::vector<float> back = decoded(BlockFormat::MXFP4, block, CpuLevel::Plain);
    for (size_t i = 0; i < values.size(); ++i)
      CHECK(std::fabs(back[i] - values[i]) <= 0x1p-129f); // half of the step, which is 0.5 * 2^-127
  }
}

TEST_CASE("encoding what was decoded changes nothing where the codes span the scale") {
  // q8_0 with a code of 127 or -127, mxfp4 with one of magnitude 4 or 6: decoding is exact, and encoding finds the same scale.
  std::vector<float> values = codecOracle().input(0);
  for (BlockFormat format : {BlockFormat::Q8_0, BlockFormat::MXFP4}) {
    std::vector<float> once = decoded(format, encoded(format, values, bestCpuLevel()), bestCpuLevel());
    std::vector<float> twice = decoded(format, encoded(format, once, bestCpuLevel()), bestCpuLevel());
    CHECK(once == twice);
  }
}
