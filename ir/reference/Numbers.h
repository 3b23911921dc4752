// The meaning of the ops that say how weights are stored (pack, quantize, ...), element by element: what the reference functions,
// the param evaluator and its vector paths all compute. Plain code without libm; the same bits on every machine.
#pragma once

#include "ir/DType.h"
#include "ir/Fr.h"

#include <cstdint>
#include <cstring>

namespace flagrelease {

/// Bit at which element `i` of a word stream starts. Words are little endian, so the stream is one of bytes.
inline int64_t packedBit(int64_t i, unsigned bits, fr::PackOrder order, unsigned wordBits) {
  constexpr int kAwq[8] = {0, 4, 1, 5, 2, 6, 3, 7}; // where nibble i of a word stands: the words hold 0, 2, 4, 6, 1, 3, 5, 7
  const int64_t perWord = wordBits / bits;
  switch (order) {
  case fr::PackOrder::LowFirst:
    return i * bits;
  case fr::PackOrder::HighFirst:
    return i / perWord * wordBits + (perWord - 1 - i % perWord) * bits;
  case fr::PackOrder::Awq:
    return i / 8 * 32 + kAwq[i % 8] * 4;
  }
  return 0;
}

/// Element `i` of a packed stream; `bits` is at most 8, so it touches at most two words.
inline uint8_t unpackOne(const int64_t *words, int64_t i, unsigned bits, fr::PackOrder order, unsigned wordBits) {
  const int64_t bit = packedBit(i, bits, order, wordBits), word = bit / wordBits;
  const unsigned shift = static_cast<unsigned>(bit % wordBits);
  const uint64_t mask = wordBits == 32 ? 0xFFFFFFFFu : 0xFFu;
  uint64_t value = (static_cast<uint64_t>(words[word]) & mask) >> shift;
  if (shift + bits > wordBits)
    value |= (static_cast<uint64_t>(words[word + 1]) & mask) << (wordBits - shift);
  return static_cast<uint8_t>(value & ((1u << bits) - 1));
}

/// Rounds to nearest, ties to even; exact for |x| < 2^22, which the callers' clamps guarantee.
inline float roundEven(float x) {
  constexpr float kMagic = 12582912.0f; // 1.5 * 2^23: adding it leaves no bits below one
  return (x + kMagic) - kMagic;
}

/// The stored integer of x: round(x / scale) + zero within [lo, hi]. x / 0 is 0.
inline int32_t quantizeOne(float x, float scale, float zero, float lo, float hi) {
  float q = scale == 0 ? 0.0f : x / scale;
  // Clamped before rounding, so that the rounding trick holds; the bounds are integers, so the order does not matter.
  q = q < lo - zero ? lo - zero : q > hi - zero ? hi - zero : q;
  return static_cast<int32_t>(roundEven(q) + zero);
}

/// 2^floor(log2(x)) of a positive finite number; the smallest normal for what is smaller.
inline float floorPowerOfTwo(float x) {
  uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  u &= 0x7F800000u;
  u = u ? u : 0x00800000u;
  float power;
  std::memcpy(&power, &u, sizeof power);
  return power;
}

/// What a block's scale follows from. Numbers that are not finite make `absBits` at least that of infinity.
struct NumberRange {
  uint32_t absBits = 0;      ///< bits of max|x|: floats without sign order like integers, NaN above infinity
  float least = 0, most = 0; ///< min(x, 0), max(x, 0)
  float largest() const {
    float value;
    std::memcpy(&value, &absBits, sizeof value);
    return value;
  }
  /// The number of largest magnitude with its sign; of two, the negative one.
  float signedLargest() const { return -least >= most ? least : most; }
  void merge(const NumberRange &other) {
    absBits = other.absBits > absBits ? other.absBits : absBits;
    least = other.least < least ? other.least : least;
    most = other.most > most ? other.most : most;
  }
};

inline NumberRange rangeOf(const float *x, int64_t count) {
  NumberRange range;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t u;
    std::memcpy(&u, x + i, sizeof u);
    u &= 0x7FFFFFFFu;
    range.absBits = u > range.absBits ? u : range.absBits;
    range.least = x[i] < range.least ? x[i] : range.least;
    range.most = x[i] > range.most ? x[i] : range.most;
  }
  return range;
}

/// fr.quant_scale of one block.
inline float scaleOf(const NumberRange &range, fr::ScaleRule rule, float lo, float hi) {
  constexpr uint32_t kInfinity = 0x7F800000u;
  if (range.absBits >= kInfinity) {
    const uint32_t nan = 0x7FC00000u;
    float value;
    std::memcpy(&value, &nan, sizeof value);
    return value;
  }
  if (range.absBits == 0)
    return 1.0f;
  switch (rule) {
  case fr::ScaleRule::AbsMax:
    return range.largest() / hi;
  case fr::ScaleRule::SignedMax:
    return range.signedLargest() / lo;
  case fr::ScaleRule::MinMax:
    return (range.most - range.least) / (hi - lo);
  case fr::ScaleRule::PowerOfTwo:
    return floorPowerOfTwo(range.largest()) / floorPowerOfTwo(hi);
  }
  return 1.0f;
}

/// fr.quant_zero of one block.
inline int32_t zeroOf(const NumberRange &range, float scale, float lo, float hi) {
  float zero = scale == 0 ? lo : lo - roundEven(range.least / scale < -4096.0f ? -4096.0f : range.least / scale);
  return static_cast<int32_t>(zero < lo ? lo : zero > hi ? hi : zero);
}

} // namespace flagrelease
