// q4_0 and q4_1: 32 elements of four bits. The low nibble of byte i is element i, the high one element i + 16.
// q4_0 block: d f16, q[16]; x = d * (q - 8). q4_1 block: d f16, m f16, q[16]; x = d * q + m.
#include "weights/codecs/Layouts.h"
#include "weights/codecs/Round.h"

namespace flagrelease::codecs {

namespace {

FLAGRELEASE_KERNEL void packNibbles(std::byte *to, const F32x16 (&value)[2]) {
  U8x16 q[2];
  for (int h = 0; h < 2; ++h) {
    cutToByte(q[h], value[h]);
    q[h] = q[h] < static_cast<uint8_t>(15) ? q[h] : U8x16(static_cast<uint8_t>(15));
  }
  store(to, q[0] | q[1] << static_cast<uint8_t>(4));
}

struct Q4_0 {
  static constexpr int kElements = 32, kBytes = 18;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    U8x16 low, high;
    nibbles(block + 2, low, high);
    emit(out, __builtin_convertvector(low, I8x16) - static_cast<int8_t>(8), d);
    emit(out + 16, __builtin_convertvector(high, I8x16) - static_cast<int8_t>(8), d);
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Block32 b;
    Block32::read(b, in);
    float d = Block32::signedLargest(b) / -8.0f, id = inverse(d);
    storeHalf(block, d);
    F32x16 value[2] = {b.x[0] * id + 8.5f, b.x[1] * id + 8.5f};
    packNibbles(block + 2, value);
  }
};

struct Q4_1 {
  static constexpr int kElements = 32, kBytes = 20;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block), m = halfAt(block + 2);
    U8x16 low, high;
    nibbles(block + 4, low, high);
    emitPlus(out, low, d, m);
    emitPlus(out + 16, high, d, m);
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Block32 b;
    Block32::read(b, in);
    float low, high;
    Block32::range(b, low, high);
    float d = (high - low) / 15.0f, id = inverse(d);
    storeHalf(block, d);
    storeHalf(block + 2, low);
    F32x16 value[2] = {(b.x[0] - low) * id + 0.5f, (b.x[1] - low) * id + 0.5f};
    packNibbles(block + 4, value);
  }
};

} // namespace

void decodeQ4_0(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q4_0>(blocks, out, count, level);
}
void encodeQ4_0(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<Q4_0>(in, blocks, count, level);
}
void decodeQ4_1(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q4_1>(blocks, out, count, level);
}
void encodeQ4_1(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<Q4_1>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
