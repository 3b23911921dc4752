// iq3_xxs, iq3_s: 256 elements; rows of four magnitudes from a code book, signs beside. Groups of 32.
// iq3_xxs block: d f16, code[64], then per group a u32 of 4 x 7 sign bits and s (4 bits); x = d * (s + 0.5) / 2 * row.
// iq3_s block: d f16, code[64], h[8] with the ninth code bit of each row, signs[32], s[4]; x = d * (2 s + 1) * row.
#include "weights/codecs/Grids.h"
#include "weights/codecs/Layouts.h"
#include "weights/codecs/Signs.h"

namespace flagrelease::codecs {

namespace {

struct IQ3_XXS {
  static constexpr int kElements = 256, kBytes = 98;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    for (int g = 0; g < 8; ++g) {
      uint32_t signs = loadAs<uint32_t>(block + 66 + 4 * g);
      float scale = d * (0.5f + static_cast<float>(signs >> 28)) * 0.5f;
      for (int h = 0; h < 2; ++h) {
        const std::byte *code = block + 2 + 8 * g + 4 * h;
        uint32_t rows[4];
        for (int i = 0; i < 4; ++i)
          rows[i] = kIq3xxsGrid[static_cast<uint8_t>(code[i])];
        uint32_t pair = evenSigns(signs >> (14 * h)) | evenSigns(signs >> (14 * h + 7)) << 8;
        emitSigned(out + 32 * g + 16 * h, rows, pair, scale);
      }
    }
  }
};

struct IQ3_S {
  static constexpr int kElements = 256, kBytes = 110;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    for (int i = 0; i < 16; ++i) {
      uint32_t high = static_cast<uint32_t>(block[66 + i / 2]) >> (4 * (i % 2));
      uint32_t rows[4];
      for (uint32_t r = 0; r < 4; ++r)
        rows[r] = kIq3sGrid[static_cast<uint32_t>(block[2 + 4 * i + static_cast<int>(r)]) | (high >> r & 1) << 8];
      int group = i / 2;
      uint32_t s = static_cast<uint32_t>(block[106 + group / 2]) >> (4 * (group % 2)) & 0xf;
      emitSigned(out + 16 * i, rows, loadAs<uint16_t>(block + 74 + 2 * i), d * static_cast<float>(1 + 2 * s));
    }
  }
};

} // namespace

void decodeIQ3_XXS(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ3_XXS>(blocks, out, count, level);
}
void decodeIQ3_S(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<IQ3_S>(blocks, out, count, level);
}

} // namespace flagrelease::codecs
