// q2_k: 256 elements in sixteen sub-blocks of 16; x = d * scale * q - dmin * offset.
// Block: s[16] (scale in the low nibble, offset in the high one), q[64], d f16, dmin f16. Byte i of 32 holds, lowest two bits
// first, elements i, i + 32, i + 64 and i + 96 of a half.
#include "weights/codecs/KAffine.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

struct Q2_K {
  static constexpr int kElements = 256, kBytes = 84;
  using Search = AffineSearch<16, 3, 15, -4, 8, 1>;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block + 80), dmin = halfAt(block + 82);
    for (int s = 0; s < 16; ++s) {
      uint32_t both = static_cast<uint32_t>(block[s]);
      U8x16 q;
      load(q, block + 16 + 32 * (s / 8) + 16 * (s % 2));
      emitMinus(out + 16 * s, q >> static_cast<uint8_t>(s % 8 / 2 * 2) & static_cast<uint8_t>(3),
                d * static_cast<float>(both & 0xf), dmin * static_cast<float>(both >> 4));
    }
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Search::Result result;
    Search::run(in, 256, result);
    U8x16 scale, offset;
    load(scale, result.scale);
    load(offset, result.offset);
    store(block, scale | offset << static_cast<uint8_t>(4));
    for (int part = 0; part < 4; ++part) {
      U8x16 packed(static_cast<uint8_t>(0));
      for (uint8_t two = 0; two < 4; ++two) {
        U8x16 q;
        load(q, result.q + 128 * (part / 2) + 32 * two + 16 * (part % 2));
        packed |= q << static_cast<uint8_t>(2 * two);
      }
      store(block + 16 + 16 * part, packed);
    }
    std::memcpy(block + 80, result.d, 2);
    std::memcpy(block + 82, result.dmin, 2);
  }
};

} // namespace

void decodeQ2_K(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q2_K>(blocks, out, count, level);
}
void encodeQ2_K(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<Q2_K, CpuLevel::Avx2>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
