// iq2_xxs, iq2_xs, iq2_s: 256 elements; rows of eight magnitudes from a code book, signs beside. Groups of 32.
// iq2_xxs block: d f16, groups of u64: four bytes of code, then 4 x 7 sign bits and s (4 bits); x = d * (s + 0.5) / 4 * row.
// iq2_xs block: d f16, u16[32] of 9 code and 7 sign bits, s[8]: the low nibble for the first half of the group.
// iq2_s block: d f16, code[32], signs[32], h[8] with two more code bits per row, s[8].
#include "weights/codecs/Grids.h"
#include "weights/codecs/Layouts.h"
#include "weights/codecs/Signs.h"

namespace flagrelease::codecs {

namespace {

FLAGRELEASE_KERNEL float scaleOf(float d, uint32_t s) { return d * (0.5f + static_cast<float>(s)) * 0.25f; }

struct IQ2_XXS {
  static constexpr int kElements = 256, kBytes = 66;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    for (int g = 0; g < 8; ++g) {
      const std::byte *group = block + 2 + 8 * g;
      uint32_t signs = loadAs<uint32_t>(group + 4);
      for (int h = 0; h < 2; ++h) {
        uint64_t rows[2] = {kIq2xxsGrid[static_cast<uint8_t>(group[2 * h])], kIq2xxsGrid[static_cast<uint8_t>(group[2 * h + 1])]};
        uint32_t pair = evenSigns(signs >> (14 * h)) | evenSigns(signs >> (14 * h + 7)) << 8;
        emitSigned(out + 32 * g + 16 * h, rows, pair, scaleOf(d, signs >> 28));
      }
    }
  }
};

struct IQ2_XS {
  static constexpr int kElements = 256, kBytes = 74;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    for (int i = 0; i < 16; ++i) {
      uint32_t first = loadAs<uint16_t>(block + 2 + 4 * i), second = loadAs<uint16_t>(block + 4 + 4 * i);
      uint64_t rows[2] = {kIq2xsGrid[first & 511], kIq2xsGrid[second & 511]};
      uint32_t s = static_cast<uint32_t>(block[66 + i / 2]) >> (4 * (i % 2)) & 0xf;
      emitSigned(out + 16 * i, rows, evenSigns(first >> 9) | evenSigns(second >> 9) << 8, scaleOf(d, s));
    }
  }
};

struct IQ2_S {
  static constexpr int kElements = 256, kBytes = 82;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    for (int i = 0; i < 16; ++i) {
      uint32_t high = static_cast<uint32_t>(block[66 + i / 2]) >> (4 * (i % 2));
      uint64_t rows[2] = {kIq2sGrid[static_cast<uint32_t>(block[2 + 2 * i]) | (high & 3) << 8],
                          kIq2sGrid[static_cast<uint32_t>(block[3 + 2 * i]) | (high >> 2 & 3) << 8]};
      uint32_t s = static_cast<uint32_t>(block[74 + i / 2]) >> (4 * (i % 2)) & 0xf;
      emitSigned(out + 16 * i, rows, loadAs<uint16_t>(block + 34 + 2 * i), scaleOf(d, s));
    }
  }
};

} // namespace

void decodeIQ2_XXS(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ2_XXS>(blocks, out, count, level);
}
void decodeIQ2_XS(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ2_XS>(blocks, out, count, level);
}
void decodeIQ2_S(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ2_S>(blocks, out, count, level);
}

} // namespace flagrelease::codecs
