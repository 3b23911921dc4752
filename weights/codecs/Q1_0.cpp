// q1_0 and q2_0: one and two bits with one scale.
// q1_0 block (128): d f16, bits[16], lowest first; x = d or -d. q2_0 block (64): d f16, q[16], lowest two bits first; x = d * (q
// - 1).
#include "weights/codecs/Kernel.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

struct Q1_0 {
  static constexpr int kElements = 128, kBytes = 18;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    for (int i = 0; i < 8; ++i) {
      U8x16 set;
      spreadBits(set, loadAs<uint16_t>(block + 2 + 2 * i));
      I8x16 sign = __builtin_convertvector(set & static_cast<uint8_t>(2), I8x16) - static_cast<int8_t>(1);
      emit(out + 16 * i, sign, d);
    }
  }
};

struct Q2_0 {
  static constexpr int kElements = 64, kBytes = 18;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    U32x16 shift;
    for (int i = 0; i < 16; ++i)
      shift[i] = static_cast<uint32_t>(2 * i);
    for (int i = 0; i < 4; ++i) {
      U32x16 q = U32x16(loadAs<uint32_t>(block + 2 + 4 * i)) >> shift & 3u;
      emit(out + 16 * i, __builtin_convertvector(q, I8x16) - static_cast<int8_t>(1), d);
    }
  }
};

} // namespace

void decodeQ1_0(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q1_0>(blocks, out, count, level);
}
void decodeQ2_0(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q2_0>(blocks, out, count, level);
}

} // namespace flagrelease::codecs
