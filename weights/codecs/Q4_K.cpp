// q4_k and q5_k: 256 elements in eight sub-blocks of 32; x = d * scale * q - dmin * offset, scale and offset of six bits.
// q4_k block: d f16, dmin f16, scales[12], q[128]: of 32 bytes, the low nibbles are one sub-block, the high ones the next.
// q5_k block: d f16, dmin f16, scales[12], h[32], q[128] as above; the fifth bit of element i of sub-block s is bit s of h[i].
// scales: byte s (s < 4) holds scale s, byte 4 + s offset s, in the low six bits; their high two are the high bits of scale and
// offset 4 + s, whose low four are the low and high nibble of byte 8 + s.
#include "weights/codecs/KAffine.h"
#include "weights/codecs/Layouts.h"

namespace flagrelease::codecs {

namespace {

FLAGRELEASE_KERNEL void unpackScales(const std::byte *packed, uint32_t (&scale)[8], uint32_t (&offset)[8]) {
  for (int s = 0; s < 4; ++s) {
    uint32_t first = static_cast<uint32_t>(packed[s]), second = static_cast<uint32_t>(packed[4 + s]),
             third = static_cast<uint32_t>(packed[8 + s]);
    scale[s] = first & 63, offset[s] = second & 63;
    scale[4 + s] = (third & 0xf) | (first >> 6) << 4;
    offset[4 + s] = third >> 4 | (second >> 6) << 4;
  }
}

FLAGRELEASE_KERNEL void packScales(std::byte *packed, const uint8_t *scale, const uint8_t *offset) {
  for (int s = 0; s < 4; ++s) {
    packed[s] = static_cast<std::byte>(scale[s] | (scale[4 + s] >> 4) << 6);
    packed[4 + s] = static_cast<std::byte>(offset[s] | (offset[4 + s] >> 4) << 6);
    packed[8 + s] = static_cast<std::byte>((scale[4 + s] & 0xf) | (offset[4 + s] & 0xf) << 4);
  }
}

/// Two super-blocks at a time.
template <typename Layout> struct EncodePairs {
  FLAGRELEASE_KERNEL void run(const float *__restrict in, std::byte *__restrict out, int64_t count) {
    for (int64_t done = 0; done < count; done += 512) {
      int64_t elements = count - done < 512 ? count - done : 512;
      typename Layout::Search::Result result;
      Layout::Search::run(in + done, elements, result);
      for (int p = 0; p < static_cast<int>(elements) / 256; ++p, out += Layout::kBytes) {
        std::memcpy(out, &result.d[p], 2);
        std::memcpy(out + 2, &result.dmin[p], 2);
        packScales(out + 4, result.scale + 8 * p, result.offset + 8 * p);
        Layout::packCodes(out + 16, result.q + 256 * p);
      }
    }
  }
};

FLAGRELEASE_KERNEL void packLowNibbles(std::byte *to, const uint8_t *q) {
  for (int part = 0; part < 8; ++part) {
    U8x16 first, second;
    load(first, q + 64 * (part / 2) + 16 * (part % 2));
    load(second, q + 64 * (part / 2) + 16 * (part % 2) + 32);
    store(to + 16 * part, (first & static_cast<uint8_t>(0xf)) | second << static_cast<uint8_t>(4));
  }
}

struct Q4_K {
  static constexpr int kElements = 256, kBytes = 144;
  using Search = AffineSearch<32, 15, 63, -6, 10, 2>;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block), dmin = halfAt(block + 2);
    uint32_t scale[8], offset[8];
    unpackScales(block + 4, scale, offset);
    for (int part = 0; part < 8; ++part) {
      int s = part / 2 * 2;
      U8x16 low, high;
      nibbles(block + 16 + 16 * part, low, high);
      float *to = out + 64 * (part / 2) + 16 * (part % 2);
      emitMinus(to, low, d * static_cast<float>(scale[s]), dmin * static_cast<float>(offset[s]));
      emitMinus(to + 32, high, d * static_cast<float>(scale[s + 1]), dmin * static_cast<float>(offset[s + 1]));
    }
  }

  FLAGRELEASE_KERNEL void packCodes(std::byte *to, const uint8_t *q) { packLowNibbles(to, q); }
};

struct Q5_K {
  static constexpr int kElements = 256, kBytes = 176;
  using Search = AffineSearch<32, 31, 63, -6, 10, 2>;

  FLAGRELEASE_KERNEL void decodeBlock(const std::byte *block, float *out) {
    float d = halfAt(block), dmin = halfAt(block + 2);
    uint32_t scale[8], offset[8];
    unpackScales(block + 4, scale, offset);
    for (int part = 0; part < 8; ++part) {
      uint8_t s = static_cast<uint8_t>(part / 2 * 2);
      U8x16 low, high, fifth;
      nibbles(block + 48 + 16 * part, low, high);
      load(fifth, block + 16 + 16 * (part % 2));
      low |= (fifth >> s & static_cast<uint8_t>(1)) << static_cast<uint8_t>(4);
      high |= (fifth >> static_cast<uint8_t>(s + 1) & static_cast<uint8_t>(1)) << static_cast<uint8_t>(4);
      float *to = out + 64 * (part / 2) + 16 * (part % 2);
      emitMinus(to, low, d * static_cast<float>(scale[s]), dmin * static_cast<float>(offset[s]));
      emitMinus(to + 32, high, d * static_cast<float>(scale[s + 1]), dmin * static_cast<float>(offset[s + 1]));
    }
  }

  FLAGRELEASE_KERNEL void packCodes(std::byte *to, const uint8_t *q) {
    for (int part = 0; part < 2; ++part) {
      U8x16 fifth(static_cast<uint8_t>(0));
      for (uint8_t s = 0; s < 8; ++s) {
        U8x16 codes;
        load(codes, q + 32 * s + 16 * part);
        fifth |= codes >> static_cast<uint8_t>(4) << s;
      }
      store(to + 16 * part, fifth);
    }
    packLowNibbles(to + 32, q);
  }
};

} // namespace

void decodeQ4_K(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q4_K>(blocks, out, count, level);
}
void encodeQ4_K(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  runKernel<EncodePairs<Q4_K>, CpuLevel::Avx2>(in, blocks, count, level);
}
void decodeQ5_K(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  decodeBlocks<Q5_K>(blocks, out, count, level);
}
void encodeQ5_K(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  runKernel<EncodePairs<Q5_K>, CpuLevel::Avx2>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
