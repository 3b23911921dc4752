// Super-blocks of one number only, for weights/codecs/KSearch.h. There is nothing to search but how F16 rounds, and there is much
// room: many products of an integer scale and a code come close to the number.
#pragma once

#include "weights/codecs/KSearch.h"

namespace flagrelease::codecs {

/// The F16 next to `wanted` (zero or more), at most the largest number.
FLAGRELEASE_KERNEL uint16_t nearHalf(float wanted) {
  uint16_t half = floatToHalf(wanted);
  return half < 0x7c00 ? half : 0x7bff;
}

struct ConstantAffine {
  uint16_t d, dmin;
  uint8_t scale, offset, q;
};
/// d * scale * q - dmin * offset close to `value`. One of the two terms carries it, the other corrects what F16 lost.
template <int QMax, int SMax> FLAGRELEASE_KERNEL void fitConstant(float value, ConstantAffine &best) {
  best = {};
  float size = value < 0 ? -value : value, least = size;
  int full = value < 0 ? 1 : QMax, partner = value < 0 ? QMax : 1; // codes that go with the carrying and the correcting term
  for (int scale = SMax; scale > SMax / 2 && least > 0; --scale)
    for (uint16_t up = 0; up < 2; ++up) {
      uint16_t carry = nearHalf(size / static_cast<float>(scale * full));
      carry = carry < 0x7bff ? static_cast<uint16_t>(carry + up) : carry;
      float got = halfToFloat(carry) * static_cast<float>(scale * full), over = got - size;
      uint16_t correct = over > 0 ? nearHalf(over / static_cast<float>(SMax * partner)) : 0;
      float off = (got - halfToFloat(correct) * static_cast<float>(SMax * partner)) - size;
      off = off < 0 ? -off : off;
      if (off >= least)
        continue;
      least = off;
      uint8_t carryScale = static_cast<uint8_t>(scale), correctScale = correct ? SMax : 0;
      if (value < 0)
        best = {correct, carry, correctScale, carryScale, static_cast<uint8_t>(correct ? QMax : 0)};
      else
        best = {carry, correct, carryScale, correctScale, QMax};
    }
}

struct ConstantSymmetric {
  uint16_t d;
  int scale, q;
};
template <int QHalf, int SHalf> FLAGRELEASE_KERNEL void fitConstant(float value, ConstantSymmetric &best) {
  best = {};
  float size = value < 0 ? -value : value, least = size;
  for (int scale = SHalf; scale > SHalf / 2 && least > 0; --scale)
    for (int q = QHalf; q > QHalf / 2; --q) {
      uint16_t half = nearHalf(size / static_cast<float>(scale * q));
      float off = halfToFloat(half) * static_cast<float>(scale * q) - size;
      off = off < 0 ? -off : off;
      if (off >= least)
        continue;
      least = off;
      best = {static_cast<uint16_t>(value < 0 ? half | 0x8000 : half), -scale, -q};
    }
}

} // namespace flagrelease::codecs
