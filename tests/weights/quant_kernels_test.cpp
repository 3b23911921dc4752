// The vector loops of quantising against the one-element functions, on every path that this CPU has.
#include "ir/DType.h"
#include "weights/params/Kernels.h"

#include <catch2/catch.hpp>

#include <bit>
#include <limits>
#include <vector>

using namespace flagrelease;

TEST_CASE("numbers of eight bits are those of the one-element conversions, on every path") {
  // Every upper half of a float with lower halves around what rounds, and counts that are no multiple of a register.
  std::vector<float> x;
  for (uint32_t high = 0; high < 0x10000; ++high)
    for (uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      x.push_back(std::bit_cast<float>(high << 16 | low));
  x.resize(x.size() - 5);
  const float huge = std::numeric_limits<float>::max();
  struct Case {
    float scale, lo, hi;
  };
  for (Case with : {Case{1, -huge, huge}, Case{1, -448, 448}, Case{0.37f, -57344, 57344}, Case{0, -448, 448}})
    for (CpuLevel level : {CpuLevel::Plain, CpuLevel::Avx2, CpuLevel::Avx512}) {
      if (!cpuHas(level))
        continue;
      const QuantKernels &kernels = quantKernels(level);
      for (bool e4m3 : {true, false}) {
        std::vector<uint8_t> out(x.size() + 1, 0xAA);
        (e4m3 ? kernels.quantizeE4m3 : kernels.quantizeE5m2)(x.data(), with.scale, with.lo, with.hi, out.data(),
                                                             static_cast<int64_t>(x.size()));
        for (size_t i = 0; i < x.size(); ++i) {
          float y = with.scale == 0 ? 0.0f : x[i] / with.scale;
          y = y < with.lo ? with.lo : y > with.hi ? with.hi : y;
          if (uint8_t expected = e4m3 ? f32ToF8E4m3(y) : f32ToF8E5m2(y); out[i] != expected)
            FAIL((e4m3 ? "e4m3 of " : "e5m2 of ") << std::hexfloat << x[i] << " / " << with.scale << ": " << int(out[i])
                                                  << " instead of " << int(expected) << ", level " << int(level));
        }
        CHECK(out.back() == 0xAA);
      }
    }
}

TEST_CASE("words in the order of AWQ have each code where packedBit says, on every path") {
  std::vector<uint8_t> codes(8 * 1001);
  uint32_t state = 1;
  for (uint8_t &code : codes)
    code = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24); // more than four bits: cut off
  std::vector<uint32_t> expected(codes.size() / 8);
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto bit = static_cast<size_t>(packedBit(static_cast<int64_t>(i), 4, fr::PackOrder::Awq, 32));
    expected[bit / 32] |= uint32_t(codes[i] & 15) << bit % 32;
  }
  for (CpuLevel level : {CpuLevel::Plain, CpuLevel::Avx2, CpuLevel::Avx512}) {
    if (!cpuHas(level))
      continue;
    std::vector<uint32_t> out(expected.size());
    quantKernels(level).awqWords(codes.data(), reinterpret_cast<std::byte *>(out.data()), static_cast<int64_t>(out.size()));
    CHECK(out == expected);
  }
}
