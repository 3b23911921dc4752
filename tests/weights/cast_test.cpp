// Every path that this CPU has against the one-element conversions, which dtype_test checks against the compiler's types.
#include "weights/Cast.h"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

using namespace flagrelease;

namespace {

double widen(DType type, const std::byte *at) {
  uint16_t h;
  float f;
  double d;
  switch (type) {
  case DType::F64:
    return std::memcpy(&d, at, 8), d;
  case DType::F32:
    return std::memcpy(&f, at, 4), f;
  case DType::F16:
    return std::memcpy(&h, at, 2), f16ToF32(h);
  default:
    return std::memcpy(&h, at, 2), bf16ToF32(h);
  }
}

void narrow(DType type, double value, std::byte *to) {
  float f = static_cast<float>(value);
  uint16_t h = type == DType::F16 ? f64ToF16(value) : f64ToBf16(value);
  if (type == DType::F64)
    std::memcpy(to, &value, 8);
  else if (type == DType::F32)
    std::memcpy(to, &f, 4);
  else
    std::memcpy(to, &h, 2);
}

constexpr DType kTypes[] = {DType::F64, DType::F32, DType::F16, DType::BF16};

std::vector<std::byte> input(DType type, int64_t count) {
  std::mt19937_64 random(static_cast<unsigned>(type) + 1);
  std::vector<std::byte> bytes(static_cast<size_t>(count) * byteWidth(type));
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = random();
    if (byteWidth(type) == 2)
      bits = static_cast<uint64_t>(i); // every pattern once
    // Half of the doubles and floats near the range of F16, where rounding and subnormals matter.
    if (type == DType::F64 && i % 2)
      bits = std::bit_cast<uint64_t>(std::ldexp(static_cast<double>(bits >> 11), static_cast<int>(bits % 48) - 84));
    if (type == DType::F32 && i % 2)
      bits = std::bit_cast<uint32_t>(
          static_cast<float>(std::ldexp(static_cast<double>(bits >> 40), static_cast<int>(bits % 48) - 52)));
    std::memcpy(bytes.data() + i * byteWidth(type), &bits, byteWidth(type));
  }
  return bytes;
}

} // namespace

TEST_CASE("all paths give the bits of the one-element conversions") {
  const int64_t count = 65536 + 13;
  for (DType from : kTypes)
    for (DType to : kTypes) {
      if (from == to)
        continue;
      std::vector<std::byte> in = input(from, count), expected(static_cast<size_t>(count) * byteWidth(to)), plain;
      for (int64_t i = 0; i < count; ++i)
        narrow(to, widen(from, in.data() + i * byteWidth(from)), expected.data() + i * byteWidth(to));
      for (CpuLevel level : {CpuLevel::Plain, CpuLevel::Avx2, CpuLevel::Avx512}) {
        if (!cpuHas(level)) {
          WARN("this CPU has no level " << int(level) << ": not run");
          continue;
        }
        std::vector<std::byte> out(expected.size() + 1);
        RangeLoss loss;
        castElements(from, in.data(), to, out.data() + 1, count, &loss, level); // + 1: no alignment needed
        out.erase(out.begin());
        if (level == CpuLevel::Plain)
          plain = out;
        INFO(dtypeName(from).str() << " to " << dtypeName(to).str() << ", level " << int(level));
        CHECK(out == plain);
        int64_t wrong = 0, overflows = 0, underflows = 0, first = -1;
        for (int64_t i = 0; i < count; ++i) {
          double before = widen(from, in.data() + i * byteWidth(from)), after = widen(to, out.data() + i * byteWidth(to));
          bool same = std::memcmp(out.data() + i * byteWidth(to), expected.data() + i * byteWidth(to), byteWidth(to)) == 0;
          wrong += std::isnan(before) ? !std::isnan(after) : !same;
          if (std::isfinite(before) && std::isinf(after) && overflows++ == 0)
            first = i;
          underflows += before != 0 && after == 0;
        }
        CHECK(wrong == 0);
        CHECK(loss.overflows == overflows);
        CHECK(loss.underflows == underflows);
        if (overflows) {
          CHECK(loss.firstOverflow == first);
          CHECK(loss.firstValue == widen(from, in.data() + first * byteWidth(from)));
        }
      }
    }
}

TEST_CASE("a short run, an empty run, and merged losses") {
  uint16_t in[3] = {f32ToBf16(70000), f32ToBf16(1), f32ToBf16(-1e9f)}, out[3];
  RangeLoss loss, total;
  castElements(DType::BF16, reinterpret_cast<std::byte *>(in), DType::F16, reinterpret_cast<std::byte *>(out), 3, &loss);
  CHECK(loss.overflows == 2);
  CHECK(loss.firstOverflow == 0);
  CHECK(out[1] == 0x3c00);
  total.merge(RangeLoss{}, 0);
  total.merge(loss, 100);
  total.merge(loss, 200);
  CHECK(total.overflows == 4);
  CHECK(total.firstOverflow == 100);
  CHECK(total.firstValue == bf16ToF32(in[0]));
  castElements(DType::F32, nullptr, DType::F16, nullptr, 0);
  CHECK_FALSE(canCast(DType::F32, DType::I8));
}
