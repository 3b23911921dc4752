// q3_k: 256 elements in sixteen sub-blocks of 16; x = d * (scale - 32) * (q - 4), scale of six bits.
// Block: h[32], q[64], s[12], d f16. q: the low two bits, as in q2_k; the third bit of element i of 32 is in h[i], bit 0 for the
// first 32 elements. s: bytes 0-7 hold the low nibbles of scales 0-7 (low) and 8-15 (high); bytes 8-11 two high bits each of
// scales i, i + 4, i + 8, i + 12.
#include "weights/codecs/KSymmetric.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

struct Q3_K {
  static constexpr int kElements = 256, kBytes = 110;
  using Search = SymmetricSearch<4, 32, -12, 8, 1>;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block + 108);
    const std::byte *s = block + 96;
    for (int i = 0; i < 16; ++i) {
      uint32_t scale =
          (static_cast<uint32_t>(s[i % 8]) >> (i / 8 * 4) & 0xf) | (static_cast<uint32_t>(s[8 + i % 4]) >> (i / 4 * 2) & 3) << 4;
      U8x16 low, high;
      load(low, block + 32 + 32 * (i / 8) + 16 * (i % 2));
      load(high, block + 16 * (i % 2));
      low = low >> static_cast<uint8_t>(i % 8 / 2 * 2) & static_cast<uint8_t>(3);
      high = high >> static_cast<uint8_t>(i / 2) & static_cast<uint8_t>(1);
      U8x16 q = low | high << static_cast<uint8_t>(2);
      emit(out + 16 * i, __builtin_convertvector(q, I8x16) - static_cast<int8_t>(4),
           d * static_cast<float>(static_cast<int>(scale) - 32));
    }
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Search::Result result;
    Search::run(in, 256, result);
    for (int part = 0; part < 2; ++part) {
      U8x16 third(static_cast<uint8_t>(0));
      for (uint8_t run = 0; run < 8; ++run) {
        U8x16 q;
        load(q, result.q + 32 * run + 16 * part);
        third |= q >> static_cast<uint8_t>(2) << run;
      }
      store(block + 16 * part, third);
    }
    for (int part = 0; part < 4; ++part) {
      U8x16 packed(static_cast<uint8_t>(0));
      for (uint8_t two = 0; two < 4; ++two) {
        U8x16 q;
        load(q, result.q + 128 * (part / 2) + 32 * two + 16 * (part % 2));
        packed |= (q & static_cast<uint8_t>(3)) << static_cast<uint8_t>(2 * two);
      }
      store(block + 32 + 16 * part, packed);
    }
    const uint8_t *s = result.scale;
    for (int i = 0; i < 8; ++i)
      block[96 + i] = static_cast<std::byte>((s[i] & 0xf) | (s[8 + i] & 0xf) << 4);
    for (int i = 0; i < 4; ++i)
      block[104 + i] = static_cast<std::byte>(s[i] >> 4 | s[4 + i] >> 4 << 2 | s[8 + i] >> 4 << 4 | s[12 + i] >> 4 << 6);
    std::memcpy(block + 108, result.d, 2);
  }
};

} // namespace

void decodeQ3_K(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q3_K>(blocks, out, count, level);
}
void encodeQ3_K(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<Q3_K, CpuLevel::Avx2>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
