#include "weights/params/Kernels.h"

namespace flagrelease {

namespace {
// One body for all levels: compilers turn these loops into vector code by themselves, and the target attribute says how wide. No
// reduction of floats is among them that depends on order: maxima and minima of bits and of numbers that are no NaN.

[[gnu::always_inline]] inline NumberRange rangeBody(const float *x, int64_t count) {
  // Lanes of their own: a single running maximum would be a chain.
  constexpr int kLanes = 32;
  uint32_t absBits[kLanes] = {};
  float least[kLanes] = {}, most[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      uint32_t u;
      __builtin_memcpy(&u, x + i + lane, sizeof u);
      u &= 0x7FFFFFFFu;
      absBits[lane] = u > absBits[lane] ? u : absBits[lane];
      least[lane] = x[i + lane] < least[lane] ? x[i + lane] : least[lane];
      most[lane] = x[i + lane] > most[lane] ? x[i + lane] : most[lane];
    }
  // By halves, which are vectors too.
#pragma clang loop unroll(full)
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) {
      absBits[lane] = absBits[lane + half] > absBits[lane] ? absBits[lane + half] : absBits[lane];
      least[lane] = least[lane + half] < least[lane] ? least[lane + half] : least[lane];
      most[lane] = most[lane + half] > most[lane] ? most[lane + half] : most[lane];
    }
  NumberRange range{absBits[0], least[0], most[0]};
  for (; i < count; ++i) {
    uint32_t u;
    __builtin_memcpy(&u, x + i, sizeof u);
    u &= 0x7FFFFFFFu;
    range.absBits = u > range.absBits ? u : range.absBits;
    range.least = x[i] < range.least ? x[i] : range.least;
    range.most = x[i] > range.most ? x[i] : range.most;
  }
  return range;
}

[[gnu::always_inline]] inline void quantizeBody(const float *x, float scale, float zero, float lo, float hi, uint8_t *out,
                                                int64_t count) {
  if (scale == 0) {
    for (int64_t i = 0; i < count; ++i)
      out[i] = static_cast<uint8_t>(quantizeOne(0, scale, zero, lo, hi));
    return;
  }
  const float low = lo - zero, high = hi - zero;
  constexpr float kMagic = 12582912.0f;
  for (int64_t i = 0; i < count; ++i) {
    float q = x[i] / scale;
    q = q < low ? low : q > high ? high : q;
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(((q + kMagic) - kMagic) + zero));
  }
}

[[gnu::always_inline]] inline void nibblesBody(const uint8_t *codes, std::byte *out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t pair;
    __builtin_memcpy(&pair, codes + 2 * i, sizeof pair);
    out[i] = static_cast<std::byte>((pair & 0x0F) | ((pair >> 4) & 0xF0));
  }
}

/// A format of eight bits: mantissa bits, smallest normal exponent, the least magnitude (as bits of a float) that is not a number
/// any more, and what comes out of it and of a NaN.
struct SmallFloat {
  int mantissa, least;
  uint32_t overflow, infinity, nan;
};
constexpr SmallFloat kE4m3 = {3, -6, 0x43e80001u, 0x7f, 0x7f}, kE5m2 = {2, -14, 0x47700000u, 0x7c, 0x7e};

/// f32ToF8E4m3 and f32ToF8E5m2 (ir/DType.h) without branches.
template <const SmallFloat &kFormat>
[[gnu::always_inline]] inline void quantizeSmallBody(const float *x, float scale, float lo, float hi, uint8_t *out,
                                                     int64_t count) {
  constexpr int kShift = 23 - kFormat.mantissa;
  constexpr uint32_t kLeastNormal = uint32_t(127 + kFormat.least) << 23, kBias = uint32_t(126 + kFormat.least)
                                                                                 << kFormat.mantissa;
  // A sum with this has no bits below the spacing of subnormals: the sum rounds, and its low bits are the number of spacings.
  constexpr uint32_t kMagicBits = (uint32_t(127 + kFormat.least - kFormat.mantissa + 23) << 23) | 0x400000u;
  float magic;
  __builtin_memcpy(&magic, &kMagicBits, sizeof magic);
  for (int64_t i = 0; i < count; ++i) {
    float y = scale == 0 ? 0.0f : x[i] / scale;
    y = y < lo ? lo : y > hi ? hi : y;
    uint32_t bits;
    __builtin_memcpy(&bits, &y, sizeof bits);
    const uint32_t magnitude = bits & 0x7FFFFFFFu, sign = bits >> 24 & 0x80u;
    float size, sum;
    __builtin_memcpy(&size, &magnitude, sizeof size);
    sum = size + magic;
    uint32_t low;
    __builtin_memcpy(&low, &sum, sizeof low);
    low -= kMagicBits;
    const uint32_t rounded = magnitude + ((1u << (kShift - 1)) - 1) + (magnitude >> kShift & 1);
    uint32_t code = magnitude < kLeastNormal ? low : (rounded >> kShift) - kBias;
    code = magnitude >= kFormat.overflow ? kFormat.infinity : code;
    code = magnitude > 0x7F800000u ? kFormat.nan : code;
    out[i] = static_cast<uint8_t>(code | sign);
  }
}

[[gnu::always_inline]] inline void awqWordsBody(const uint8_t *codes, std::byte *out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint64_t eight; // c0 .. c7, a byte each
    __builtin_memcpy(&eight, codes + 8 * i, sizeof eight);
    // c0 c2 c4 c6 into the lower half of the word, c1 c3 c5 c7 into the upper one.
    uint64_t even = eight & 0x000F000F000F000Fu, odd = eight >> 8 & 0x000F000F000F000Fu;
    even |= even >> 12, odd |= odd >> 12;
    const auto low = static_cast<uint32_t>((even & 0xFF) | (even >> 24 & 0xFF00));
    const auto high = static_cast<uint32_t>((odd & 0xFF) | (odd >> 24 & 0xFF00));
    const uint32_t word = low | high << 16;
    __builtin_memcpy(out + 4 * i, &word, sizeof word);
  }
}

#define FLAGRELEASE_KERNELS(level, attribute)                                                                                    \
  attribute NumberRange range##level(const float *x, int64_t count) { return rangeBody(x, count); }                              \
  attribute void quantize##level(const float *x, float scale, float zero, float lo, float hi, uint8_t *out, int64_t count) {     \
    quantizeBody(x, scale, zero, lo, hi, out, count);                                                                            \
  }                                                                                                                              \
  attribute void quantizeE4m3##level(const float *x, float scale, float lo, float hi, uint8_t *out, int64_t count) {             \
    quantizeSmallBody<kE4m3>(x, scale, lo, hi, out, count);                                                                      \
  }                                                                                                                              \
  attribute void quantizeE5m2##level(const float *x, float scale, float lo, float hi, uint8_t *out, int64_t count) {             \
    quantizeSmallBody<kE5m2>(x, scale, lo, hi, out, count);                                                                      \
  }                                                                                                                              \
  attribute void awqWords##level(const uint8_t *codes, std::byte *out, int64_t count) { awqWordsBody(codes, out, count); }       \
  attribute void nibbles##level(const uint8_t *codes, std::byte *out, int64_t count) { nibblesBody(codes, out, count); }         \
  constexpr QuantKernels k##level = {range##level,        quantize##level, quantizeE4m3##level,                                  \
                                     quantizeE5m2##level, awqWords##level, nibbles##level};

FLAGRELEASE_KERNELS(Plain, )
#if defined(__x86_64__)
FLAGRELEASE_KERNELS(Avx2, __attribute__((target("avx2"))))
FLAGRELEASE_KERNELS(Avx512, __attribute__((target("avx512f,avx512bw,avx512vl"))))
#endif
} // namespace

const QuantKernels &quantKernels(CpuLevel level) {
#if defined(__x86_64__)
  if (level == CpuLevel::Avx512)
    return kAvx512;
  if (level == CpuLevel::Avx2)
    return kAvx2;
#endif
  return kPlain;
}

} // namespace flagrelease
