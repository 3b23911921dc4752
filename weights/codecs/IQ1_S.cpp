// iq1_s, iq1_m: 256 elements; rows of eight of -1 0 1 from a code book of 2048, shifted by an eighth up or down.
// iq1_s block: d f16, code[32], per group of 32 a u16: 4 x 3 code bits, s (3 bits), sign of the shift; x = d * (2 s + 1) * (row +
// shift). iq1_m block: code[32], h[16] with a nibble per row (3 code bits and the sign of the shift), s u16[4]: four times 3 bits
// for the sixteen halves of groups; the top nibbles of the four words are d, f16, lowest first.
#include "weights/codecs/Grids.h"
#include "weights/codecs/Kernel.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

/// Two rows, each with its shift.
FLAGRELEASE_KERNEL void emitShifted(float *out, const uint64_t (&rows)[2], float first, float second, float scale) {
  I8x16 value;
  load(value, rows);
  F32x16 shift;
  for (int i = 0; i < 16; ++i)
    shift[i] = i < 8 ? first : second;
  F32x16 sum = __builtin_convertvector(value, F32x16) + shift; // exact
  store(out, sum * scale);
}

struct IQ1_S {
  static constexpr int kElements = 256, kBytes = 50;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    for (int g = 0; g < 8; ++g) {
      uint32_t high = loadAs<uint16_t>(block + 34 + 2 * g);
      float scale = d * static_cast<float>(2 * (high >> 12 & 7) + 1), shift = high & 0x8000 ? -0.125f : 0.125f;
      for (int h = 0; h < 2; ++h) {
        const std::byte *code = block + 2 + 4 * g + 2 * h;
        uint64_t rows[2] = {kIq1sGrid[static_cast<uint32_t>(code[0]) | (high >> (6 * h) & 7) << 8],
                            kIq1sGrid[static_cast<uint32_t>(code[1]) | (high >> (6 * h + 3) & 7) << 8]};
        emitShifted(out + 32 * g + 16 * h, rows, shift, shift, scale);
      }
    }
  }
};

struct IQ1_M {
  static constexpr int kElements = 256, kBytes = 56;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    uint32_t s[4], half = 0;
    for (int i = 0; i < 4; ++i) {
      s[i] = loadAs<uint16_t>(block + 48 + 2 * i);
      half |= (s[i] >> 12) << (4 * i);
    }
    float d = halfToFloat(static_cast<uint16_t>(half));
    for (int i = 0; i < 16; ++i) {
      uint32_t high = static_cast<uint32_t>(block[32 + i]);
      uint64_t rows[2] = {kIq1sGrid[static_cast<uint32_t>(block[2 * i]) | (high & 7) << 8],
                          kIq1sGrid[static_cast<uint32_t>(block[2 * i + 1]) | (high >> 4 & 7) << 8]};
      float scale = d * static_cast<float>(2 * (s[i / 4] >> (3 * (i % 4)) & 7) + 1);
      emitShifted(out + 16 * i, rows, high & 8 ? -0.125f : 0.125f, high & 0x80 ? -0.125f : 0.125f, scale);
    }
  }
};

} // namespace

void decodeIQ1_S(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ1_S>(blocks, out, count, level);
}
void decodeIQ1_M(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ1_M>(blocks, out, count, level);
}

} // namespace flagrelease::codecs
