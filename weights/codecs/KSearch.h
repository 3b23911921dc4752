// The search behind q2_k ... q6_k: scales and codes of a super-block of 256 elements with a small sum of squared errors.
//
// A super-block has sub-blocks (16 or 32 elements) with a small integer scale each, times a common F16 number. Sixteen sub-blocks
// are handled at a time, one per vector lane, so that no sum runs across lanes and each lane's result depends on its own
// sub-block:
//   1. per sub-block, several step sizes around range / levels are tried: codes by rounding, then the least-squares line through
//      (code, x); the best is improved by rounding to its own line and fitting again (Lloyd's iteration);
//   2. the common numbers are those that let the largest scale just fit; the scales become integers;
//   3. per sub-block, neighbouring integer scales are tried, with the error as it will be after decoding;
//      where one sub-block is far larger than most, with other common numbers too (up to twice as large);
//   4. the common numbers are fitted to codes and scales by least squares, and kept if that is better.
// Data are multiplied by a power of two first, so that squares neither overflow nor vanish.
#pragma once

#include "weights/codecs/Kernel.h"

namespace flagrelease::codecs {

/// Sixteen sub-blocks of E elements that follow each other: x[e][lane], times the power of two of the super-block.
template <int E> struct SubBlocks {
  static constexpr int kSupers = E * 16 / 256, kLanes = 16 / kSupers; ///< super-blocks, and lanes of each
  F32x16 x[E];
  float unit[kSupers];    ///< x = data * unit
  bool constant[kSupers]; ///< all 256 are the same number

  /// `elements` is 256, or 512 where two super-blocks fit; missing ones are zeros.
  FLAGRELEASE_KERNEL void read(SubBlocks &sub, const float *in, int64_t elements) {
    alignas(64) float turned[E * 16] = {};
    for (int lane = 0; lane < static_cast<int>(elements) / E; ++lane)
      for (int e = 0; e < E; ++e)
        turned[e * 16 + lane] = in[lane * E + e];
    U32x16 top(0u);
    for (int e = 0; e < E; ++e) {
      load(sub.x[e], turned + 16 * e);
      dropNonFinite(sub.x[e]);
      U32x16 bits;
      load(bits, &sub.x[e]);
      bits &= 0x7fffffffu;
      top = top > bits ? top : bits;
    }
    F32x16 factor;
    for (int s = 0; s < kSupers; ++s) {
      uint32_t largest = 0;
      for (int lane = s * kLanes; lane < (s + 1) * kLanes; ++lane)
        largest = top[lane] > largest ? top[lane] : largest;
      uint32_t exponent = 254 - (largest >> 23); // that of the inverse of the largest's power of two
      exponent = exponent < 1 ? 1 : exponent > 253 ? 253 : exponent;
      sub.unit[s] = std::bit_cast<float>(exponent << 23);
      for (int lane = s * kLanes; lane < (s + 1) * kLanes; ++lane)
        factor[lane] = sub.unit[s];
    }
    I32x16 differ(0);
    for (int e = 0; e < E; ++e) {
      sub.x[e] *= factor;
      differ |= sub.x[e] != sub.x[0];
    }
    for (int s = 0; s < kSupers; ++s) {
      sub.constant[s] = true;
      for (int lane = s * kLanes; lane < (s + 1) * kLanes; ++lane)
        sub.constant[s] &= differ[lane] == 0 && sub.x[0][lane] == sub.x[0][s * kLanes];
    }
  }

  /// The number of a constant super-block.
  FLAGRELEASE_KERNEL float numberOf(const SubBlocks &sub, int super) {
    return sub.x[0][super * kLanes] * std::bit_cast<float>((254u << 23) - std::bit_cast<uint32_t>(sub.unit[super]));
  }
};

/// The F16 that is nearest to `scaled` / unit, and its value times unit. Where F16 is subnormal, and so coarse, it is rounded
/// away from zero: then the largest integer scale still fits.
FLAGRELEASE_KERNEL void commonNumber(float scaled, float unit, uint16_t &half, float &value) {
  float wanted = scaled * std::bit_cast<float>((254u << 23) - std::bit_cast<uint32_t>(unit));
  half = floatToHalf(wanted);
  uint16_t magnitude = half & 0x7fff;
  float got = halfToFloat(magnitude), size = wanted < 0 ? -wanted : wanted;
  if (magnitude < 0x400 && got < size)
    ++half;
  if (magnitude == 0x7c00)
    --half;
  value = halfToFloat(half) * unit;
}

/// One number per super-block in its lanes.
template <int Supers> FLAGRELEASE_KERNEL void spread(F32x16 &out, const float (&values)[Supers]) {
  for (int lane = 0; lane < 16; ++lane)
    out[lane] = values[lane * Supers / 16];
}
/// Sum over the lanes of each super-block, in rising order.
template <int Supers> FLAGRELEASE_KERNEL void sumLanes(float (&out)[Supers], const F32x16 &values) {
  for (int s = 0; s < Supers; ++s) {
    out[s] = 0;
    for (int lane = s * (16 / Supers); lane < (s + 1) * (16 / Supers); ++lane)
      out[s] += values[lane];
  }
}

/// True if most sub-blocks of a super-block (`Count` lanes from `first`) have steps far below the largest. Their integer scales
/// are small then, and it matters which numbers the common one lets them have: other common numbers are worth trying.
template <int Count> FLAGRELEASE_KERNEL bool unevenScales(const F32x16 &s, float largest, int first) {
  int small = 0;
  for (int lane = first; lane < first + Count; ++lane)
    small += (s[lane] < 0 ? -s[lane] : s[lane]) * 8.0f < largest;
  return small * 2 > Count;
}

FLAGRELEASE_KERNEL void clamp(F32x16 &x, float low, float high) {
  x = x > low ? x : F32x16(low);
  x = x < high ? x : F32x16(high);
}
/// 1 / x, and 0 for 0.
FLAGRELEASE_KERNEL void invert(F32x16 &out, const F32x16 &x) { out = x != 0.0f ? 1.0f / x : F32x16(0.0f); }

/// Codes out of the lanes, in the order of the data, plus `bias`.
template <int E> FLAGRELEASE_KERNEL void writeCodes(uint8_t (&out)[E * 16], const F32x16 (&q)[E], float bias) {
  alignas(64) uint8_t turned[E * 16];
  for (int e = 0; e < E; ++e)
    store(turned + 16 * e, __builtin_convertvector(__builtin_convertvector(q[e] + bias, I32x16), U8x16));
  for (int lane = 0; lane < 16; ++lane)
    for (int e = 0; e < E; ++e)
      out[lane * E + e] = turned[e * 16 + lane];
}
FLAGRELEASE_KERNEL void writeScales(uint8_t (&out)[16], const F32x16 &scale, float bias) {
  store(out, __builtin_convertvector(__builtin_convertvector(scale + bias, I32x16), U8x16));
}

} // namespace flagrelease::codecs
