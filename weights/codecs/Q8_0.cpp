// q8_0: 32 signed bytes and their scale. Block: d f16, q i8[32]; x = d * q.
#include "weights/codecs/Layouts.h"
#include "weights/codecs/Round.h"

namespace flagrelease::codecs {

namespace {

struct Q8_0 {
  static constexpr int kElements = 32, kBytes = 34;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block);
    for (int h = 0; h < 2; ++h) {
      I8x16 q;
      load(q, block + 2 + 16 * h);
      emit(out + 16 * h, q, d);
    }
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Block32 b;
    Block32::read(b, in);
    float d = std::bit_cast<float>(b.largest) / 127.0f, id = inverse(d);
    storeHalf(block, d);
    for (int h = 0; h < 2; ++h) {
      F32x16 scaled = b.x[h] * id;
      F32x16 safe = ((scaled > -256.0f) & (scaled < 256.0f)) ? scaled : F32x16(0.0f);
      I32x16 whole = __builtin_convertvector(safe, I32x16);
      F32x16 rest = safe - __builtin_convertvector(whole, F32x16); // exact
      // Halves away from zero. A comparison that holds is -1 in its lane.
      I32x16 up = rest >= 0.5f, down = rest <= -0.5f;
      store(block + 2 + 16 * h, __builtin_convertvector(whole - up + down, I8x16));
    }
  }
};

} // namespace

void decodeQ8_0(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q8_0>(blocks, out, count, level);
}
void encodeQ8_0(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<Q8_0>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
