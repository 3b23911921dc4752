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
  NumberRange range;
  for (int lane = 0; lane < kLanes; ++lane) {
    range.absBits = absBits[lane] > range.absBits ? absBits[lane] : range.absBits;
    range.least = least[lane] < range.least ? least[lane] : range.least;
    range.most = most[lane] > range.most ? most[lane] : range.most;
  }
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

#define FLAGRELEASE_KERNELS(level, attribute)                                                                                    \
  attribute NumberRange range##level(const float *x, int64_t count) { return rangeBody(x, count); }                              \
  attribute void quantize##level(const float *x, float scale, float zero, float lo, float hi, uint8_t *out, int64_t count) {     \
    quantizeBody(x, scale, zero, lo, hi, out, count);                                                                            \
  }                                                                                                                              \
  attribute void nibbles##level(const uint8_t *codes, std::byte *out, int64_t count) { nibblesBody(codes, out, count); }         \
  constexpr QuantKernels k##level = {range##level, quantize##level, nibbles##level};

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
