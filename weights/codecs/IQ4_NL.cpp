// iq4_nl, iq4_xs: four bits that index sixteen unevenly spaced numbers, nibbles as in q4_0.
// iq4_nl block (32): d f16, q[16]; x = d * number. iq4_xs block (256): d f16, h u16, l[4], q[128]; group g of 32 has the scale
// d * (s - 32), the low nibble of s from nibble g of l, its two high bits from bits 2 g of h.
#include "weights/codecs/Kernel.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

constexpr int8_t kNumbers[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

FLAGRELEASE_KERNEL void decode32(const std::byte *q, float *out, float scale) {
  int8_t number[32];
  for (int i = 0; i < 16; ++i) {
    number[i] = kNumbers[static_cast<uint8_t>(q[i]) & 0xf];
    number[i + 16] = kNumbers[static_cast<uint8_t>(q[i]) >> 4];
  }
  for (int h = 0; h < 2; ++h) {
    I8x16 value;
    load(value, number + 16 * h);
    emit(out + 16 * h, value, scale);
  }
}

struct IQ4_NL {
  static constexpr int kElements = 32, kBytes = 18;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) { decode32(block + 2, out, halfAt(block)); }
};

struct IQ4_XS {
  static constexpr int kElements = 256, kBytes = 136;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    uint32_t high = loadAs<uint16_t>(block + 2);
    for (int g = 0; g < 8; ++g) {
      uint32_t s = (static_cast<uint32_t>(block[4 + g / 2]) >> (4 * (g % 2)) & 0xf) | (high >> (2 * g) & 3) << 4;
      decode32(block + 8 + 16 * g, out + 32 * g, d * static_cast<float>(static_cast<int>(s) - 32));
    }
  }
};

} // namespace

void decodeIQ4_NL(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ4_NL, CpuLevel::Avx2>(blocks, out, count, level);
}
void decodeIQ4_XS(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ4_XS, CpuLevel::Avx2>(blocks, out, count, level);
}

} // namespace flagrelease::codecs
