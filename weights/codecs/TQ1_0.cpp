// tq1_0 and tq2_0: 256 ternary elements with one scale; x = d * t, t in -1 0 1.
// tq1_0 block: q[48], h[4], d f16. A byte is a fraction of 256 in base 3: its digits, most significant first, are elements that
// lie a run apart. Runs of 32 from q[0..31] (five digits), of 16 from q[32..47] (five), of 4 from h (four). tq2_0 block: q[64], d
// f16. Byte i of 32 holds elements i, i + 32, i + 64, i + 96 of a half, lowest two bits first.
#include "weights/codecs/Kernel.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

struct TQ1_0 {
  static constexpr int kElements = 256, kBytes = 54;

  /// The leading digit, minus one; what follows it moves up.
  FLAGRELEASE_KERNEL void takeDigit(I8x16 &digit, U8x16 &fraction) {
    Lanes<uint16_t> tripled = __builtin_convertvector(fraction, Lanes<uint16_t>) * static_cast<uint16_t>(3);
    digit = __builtin_convertvector(tripled >> static_cast<uint16_t>(8), I8x16) - static_cast<int8_t>(1);
    fraction = __builtin_convertvector(tripled, U8x16);
  }

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block + 52);
    for (int part = 0; part < 3; ++part) {
      U8x16 fraction;
      load(fraction, block + 16 * part);
      float *to = part < 2 ? out + 16 * part : out + 160;
      for (int digit = 0; digit < 5; ++digit, to += part < 2 ? 32 : 16) {
        I8x16 value;
        takeDigit(value, fraction);
        emit(to, value, d);
      }
    }
    std::byte last[16];
    for (int i = 0; i < 16; ++i)
      last[i] = block[48 + i % 4];
    U8x16 fraction;
    load(fraction, last);
    I8x16 digits[4];
    for (I8x16 &digit : digits)
      takeDigit(digit, fraction);
    I8x16 front = __builtin_shufflevector(digits[0], digits[1], 0, 1, 2, 3, 16, 17, 18, 19, 0, 0, 0, 0, 0, 0, 0, 0);
    I8x16 back = __builtin_shufflevector(digits[2], digits[3], 0, 1, 2, 3, 16, 17, 18, 19, 0, 0, 0, 0, 0, 0, 0, 0);
    emit(out + 240, __builtin_shufflevector(front, back, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), d);
  }
};

struct TQ2_0 {
  static constexpr int kElements = 256, kBytes = 66;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block + 64);
    for (int part = 0; part < 4; ++part) {
      U8x16 q;
      load(q, block + 16 * part);
      for (uint8_t l = 0; l < 4; ++l) {
        U8x16 two = q >> static_cast<uint8_t>(2 * l) & static_cast<uint8_t>(3);
        emit(out + 128 * (part / 2) + 32 * l + 16 * (part % 2), __builtin_convertvector(two, I8x16) - static_cast<int8_t>(1), d);
      }
    }
  }
};

} // namespace

void decodeTQ1_0(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<TQ1_0>(blocks, out, count, level);
}
void decodeTQ2_0(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<TQ2_0>(blocks, out, count, level);
}

} // namespace flagrelease::codecs
