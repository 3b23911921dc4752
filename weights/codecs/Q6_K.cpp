// q6_k: 256 elements in sixteen sub-blocks of 16; x = d * scale * (q - 32), scale a signed byte.
// Block: l[128], h[64], s i8[16], d f16. Per half of 128: the low nibbles of l[0..63] are elements 0-63, the high ones 64-127;
// the two high bits of elements i, i + 32, i + 64, i + 96 are in h[i] (i < 32), lowest first.
#include "weights/codecs/KSymmetric.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

struct Q6_K {
  static constexpr int kElements = 256, kBytes = 210;
  using Search = SymmetricSearch<32, 128, -8, 8, 2>;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block + 208);
    for (int i = 0; i < 16; ++i) {
      int half = i / 8, run = i % 8 / 2; // of 32
      float scale = d * static_cast<float>(static_cast<int8_t>(block[192 + i]));
      U8x16 low, high;
      load(low, block + 64 * half + 32 * (run % 2) + 16 * (i % 2));
      load(high, block + 128 + 32 * half + 16 * (i % 2));
      low = run < 2 ? low & static_cast<uint8_t>(0xf) : low >> static_cast<uint8_t>(4);
      high = high >> static_cast<uint8_t>(2 * run) & static_cast<uint8_t>(3);
      U8x16 q = low | high << static_cast<uint8_t>(4);
      emit(out + 16 * i, __builtin_convertvector(q, I8x16) - static_cast<int8_t>(32), scale);
    }
  }

  FLAGRELEASE_KERNEL void encodeBlock(const float *in, std::byte *block) {
    Search::Result result;
    Search::run(in, 256, result);
    for (int half = 0; half < 2; ++half)
      for (int part = 0; part < 2; ++part) {
        U8x16 q[4], high(static_cast<uint8_t>(0));
        for (uint8_t run = 0; run < 4; ++run) {
          load(q[run], result.q + 128 * half + 32 * run + 16 * part);
          high |= q[run] >> static_cast<uint8_t>(4) << static_cast<uint8_t>(2 * run);
        }
        for (int low = 0; low < 2; ++low)
          store(block + 64 * half + 32 * low + 16 * part,
                (q[low] & static_cast<uint8_t>(0xf)) | q[low + 2] << static_cast<uint8_t>(4));
        store(block + 128 + 32 * half + 16 * part, high);
      }
    U8x16 scale;
    load(scale, result.scale);
    store(block + 192, scale - static_cast<uint8_t>(128));
    std::memcpy(block + 208, result.d, 2);
  }
};

} // namespace

void decodeQ6_K(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q6_K>(blocks, out, count, level);
}
void encodeQ6_K(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  encodeBlocks<Q6_K, CpuLevel::Avx2>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
