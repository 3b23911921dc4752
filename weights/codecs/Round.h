// What the encoders of the formats with one scale per 32 elements share. Here byte equality with ggml is the point: each step is
// the same IEEE operation on the same operands as in its quantize_row_*_ref.
#pragma once

#include "weights/codecs/Kernel.h"

namespace flagrelease::codecs {

/// 32 elements, NaNs and infinities dropped.
struct Block32 {
  F32x16 x[2];
  uint32_t largest; ///< bits of the largest magnitude

  FLAGRELEASE_KERNEL void read(Block32 &block, const float *in) {
    U32x16 top(0u);
    for (int h = 0; h < 2; ++h) {
      load(block.x[h], in + 16 * h);
      dropNonFinite(block.x[h]);
      U32x16 bits;
      load(bits, &block.x[h]);
      bits &= 0x7fffffffu;
      top = top > bits ? top : bits;
    }
    block.largest = __builtin_reduce_max(top);
  }

  /// The first element of the largest magnitude, with its sign; +0 if all are zero.
  FLAGRELEASE_KERNEL float signedLargest(const Block32 &block) {
    if (block.largest == 0)
      return 0;
    U32x16 bits[2];
    load(bits[0], &block.x[0]);
    load(bits[1], &block.x[1]);
    U32x16 negative(block.largest | 0x80000000u), positive(block.largest);
    bool down = __builtin_reduce_or((bits[0] == negative) | (bits[1] == negative)) != 0;
    bool up = __builtin_reduce_or((bits[0] == positive) | (bits[1] == positive)) != 0;
    if (down && up)
      for (int i = 0; i < 32; ++i)
        if ((bits[i / 16][i % 16] & 0x7fffffffu) == block.largest) {
          down = bits[i / 16][i % 16] >> 31;
          break;
        }
    return std::bit_cast<float>(block.largest | (down ? 0x80000000u : 0));
  }

  /// Smallest and largest element. Of several zeros as the smallest, the sign of the first counts.
  FLAGRELEASE_KERNEL void range(const Block32 &block, float &low, float &high) {
    F32x16 least = block.x[0] < block.x[1] ? block.x[0] : block.x[1], most = block.x[0] > block.x[1] ? block.x[0] : block.x[1];
    low = least[0], high = most[0];
    for (int i = 1; i < 16; ++i) {
      low = least[i] < low ? least[i] : low;
      high = most[i] > high ? most[i] : high;
    }
    if (low != 0)
      return;
    for (int i = 0; i < 32; ++i)
      if (block.x[i / 16][i % 16] == 0) {
        low = block.x[i / 16][i % 16];
        break;
      }
    high = high == 0 ? low : high; // so that their difference is +0
  }
};

/// Cut towards zero, to a byte. What fits no byte (the inverse of a subnormal scale is infinite) becomes 0, as the low byte of
/// what x86 converts such numbers to.
FLAGRELEASE_KERNEL void cutToByte(U8x16 &out, const F32x16 &value) {
  F32x16 safe = ((value > -256.0f) & (value < 256.0f)) ? value : F32x16(0.0f);
  out = __builtin_convertvector(__builtin_convertvector(safe, I32x16), U8x16);
}

FLAGRELEASE_KERNEL float inverse(float scale) { return scale != 0 ? 1.0f / scale : 0.0f; }

} // namespace flagrelease::codecs
