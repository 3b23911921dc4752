// q5_0 and q5_1: 32 elements of five bits. Four of them lie as in q4_0, the fifth of element i is bit i of h.
// q5_0 block: d f16, h u32, q[16]; x = d * (q - 16). q5_1 block: d f16, m f16, h u32, q[16]; x = d * q + m.
#include "weights/codecs/Layouts.h"
#include "weights/codecs/Round.h"

namespace flagrelease::codecs {

namespace {

FLAGRELEASE_KERNEL void unpackFive(const std::byte *high, U8x16 (&q)[2]) {
  nibbles(high + 4, q[0], q[1]);
  for (int h = 0; h < 2; ++h) {
    U8x16 fifth;
    spreadBits(fifth, loadAs<uint16_t>(high + 2 * h));
    q[h] |= fifth & static_cast<uint8_t>(16);
  }
}

FLAGRELEASE_KERNEL void packFive(std::byte *high, const U8x16 (&q)[2]) {
  for (int h = 0; h < 2; ++h) {
    uint16_t bits = gatherBits(q[h] >> static_cast<uint8_t>(4) & static_cast<uint8_t>(1));
    std::memcpy(high + 2 * h, &bits, 2);
  }
  store(high + 4, (q[0] & static_cast<uint8_t>(0xf)) | q[1] << static_cast<uint8_t>(4));
}

struct Q5_0 {
  static constexpr int kElements = 32, kBytes = 22;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    U8x16 q[2];
    unpackFive(block + 2, q);
    for (int h = 0; h < 2; ++h)
      emit(out + 16 * h, __builtin_convertvector(q[h], I8x16) - static_cast<int8_t>(16), d);
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Block32 b;
    Block32::read(b, in);
    float d = Block32::signedLargest(b) / -16.0f, id = inverse(d);
    storeHalf(block, d);
    U8x16 q[2];
    for (int h = 0; h < 2; ++h) {
      cutToByte(q[h], b.x[h] * id + 16.5f);
      q[h] = q[h] < static_cast<uint8_t>(31) ? q[h] : U8x16(static_cast<uint8_t>(31));
    }
    packFive(block + 2, q);
  }
};

struct Q5_1 {
  static constexpr int kElements = 32, kBytes = 24;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block), m = halfAt(block + 2);
    U8x16 q[2];
    unpackFive(block + 4, q);
    for (int h = 0; h < 2; ++h)
      emitPlus(out + 16 * h, q[h], d, m);
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Block32 b;
    Block32::read(b, in);
    float low, high;
    Block32::range(b, low, high);
    float d = (high - low) / 31.0f, id = inverse(d);
    storeHalf(block, d);
    storeHalf(block + 2, low);
    U8x16 q[2];
    for (int h = 0; h < 2; ++h)
      cutToByte(q[h], (b.x[h] - low) * id + 0.5f);
    packFive(block + 4, q);
  }
};

} // namespace

void decodeQ5_0(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q5_0>(blocks, out, count, level);
}
void encodeQ5_0(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<Q5_0>(in, blocks, count, level);
}
void decodeQ5_1(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q5_1>(blocks, out, count, level);
}
void encodeQ5_1(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<Q5_1>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
