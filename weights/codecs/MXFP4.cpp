// mxfp4 (OCP Microscaling 1.0): 32 elements of E2M1 with a common power of two. Block: e u8 (E8M0, 2^(e-127)), q[16] as in q4_0.
#include "weights/codecs/E2m1.h"
#include "weights/codecs/Layouts.h"
#include "weights/codecs/Round.h"

namespace flagrelease::codecs {

namespace {

/// floor(log2(x)) as it comes out when log2 is rounded to a float first: just below 2^k that gives k, and it is what ggml
/// encodes with. `bits` are those of a positive number. How many floats below 2^k are taken for 2^k: half a unit in the last
/// place of k, times ln 2; the unit depends on the number of bits of |k|, with one less for the inside of a power of two.
FLAGRELEASE_KERNEL int floorLog2(uint32_t bits) {
  constexpr uint8_t kTaken[8] = {0, 1, 2, 5, 11, 22, 44, 88};
  int exponent = static_cast<int>(bits >> 23);
  if (exponent == 0) // subnormal
    return std::bit_width(bits) - 150;
  int k = exponent - 126; // the power above
  unsigned magnitude = static_cast<unsigned>(k < 0 ? -k : k);
  if (k > 0 && std::has_single_bit(magnitude))
    --magnitude;
  unsigned width = magnitude ? static_cast<unsigned>(std::bit_width(magnitude)) - 1 : 0;
  uint32_t below = 0x800000u - (bits & 0x7fffffu);
  return k != 0 && magnitude != 0 && below <= kTaken[width] ? k : k - 1;
}

/// Half of the block's scale.
FLAGRELEASE_KERNEL float halfScale(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

struct MXFP4 {
  static constexpr int kElements = 32, kBytes = 17;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfScale(static_cast<uint8_t>(block[0]));
    U8x16 code[2];
    nibbles(block + 1, code[0], code[1]);
    for (int h = 0; h < 2; ++h) {
      I8x16 value;
      twiceE2m1(value, code[h]);
      emit(out + 16 * h, value, d);
    }
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Block32 b;
    Block32::read(b, in);
    int e = b.largest ? floorLog2(b.largest) + 125 : 0; // the largest becomes 4 or 6
    uint8_t exponent = static_cast<uint8_t>(e > 0 ? e : 0);
    block[0] = static_cast<std::byte>(exponent);
    float d = halfScale(exponent);
    I32x16 code[2];
    for (int h = 0; h < 2; ++h) {
      F32x16 magnitude;
      absolute(magnitude, b.x[h]);
      // Midpoints go to the smaller one. A comparison that holds is -1.
      code[h] = -((magnitude > d * 0.5f) + (magnitude > d * 1.5f) + (magnitude > d * 2.5f) + (magnitude > d * 3.5f) +
                  (magnitude > d * 5.0f) + (magnitude > d * 7.0f) + (magnitude > d * 10.0f));
      code[h] |= (b.x[h] < 0.0f) & (code[h] > 0) & 8;
    }
    store(block + 1, __builtin_convertvector(code[0] | code[1] << 4, U8x16));
  }
};

} // namespace

void decodeMXFP4(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<MXFP4>(blocks, out, count, level);
}
void encodeMXFP4(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<MXFP4>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
