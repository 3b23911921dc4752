// nvfp4 as GGUF stores it: 64 elements of E2M1, an E4M3 scale per 16. Block: s u8[4], q[32]; of the eight bytes of a group the
// low nibbles are elements 0-7, the high ones 8-15. The sign of a scale is not looked at; 0x7f, NaN elsewhere, is 0 here. (The
// factor per tensor is a tensor of its own.)
#include "weights/codecs/E2m1.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

struct NVFP4 {
  static constexpr int kElements = 64, kBytes = 36;

  /// Half of a group's scale.
  FLAGRELEASE_KERNEL float halfScale(uint8_t bits) {
    uint32_t exponent = (bits >> 3) & 0xf, mantissa = bits & 7;
    if (bits == 0x7f)
      return 0;
    return exponent == 0 ? static_cast<float>(mantissa) * 0x1p-10f
                         : std::bit_cast<float>(((exponent + 119u) << 23) | (mantissa << 20));
  }

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    for (int pair = 0; pair < 2; ++pair) {
      U8x16 low, high;
      nibbles(block + 4 + 16 * pair, low, high);
      U8x16 code[2] = {__builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
                       __builtin_shufflevector(low, high, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)};
      for (int g = 0; g < 2; ++g) {
        I8x16 value;
        twiceE2m1(value, code[g]);
        emit(out + 32 * pair + 16 * g, value, halfScale(static_cast<uint8_t>(block[2 * pair + g])));
      }
    }
  }
};

} // namespace

void decodeNVFP4(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<NVFP4>(blocks, out, count, level);
}

} // namespace flagrelease::codecs
