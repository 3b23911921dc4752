// Elements of MX and NV fp4: E2M1 codes of four bits, sign on top.
#pragma once

#include "weights/codecs/Kernel.h"

namespace flagrelease::codecs {

/// Twice the values, which are integers then: 0 1 2 3 4 6 8 12 and their negatives.
FLAGRELEASE_KERNEL void twiceE2m1(I8x16 &out, const U8x16 &code) {
  I8x16 c = __builtin_convertvector(code & static_cast<uint8_t>(7), I8x16);
  // A comparison that holds is -1.
  I8x16 over4 = __builtin_convertvector(c > static_cast<int8_t>(4), I8x16),
        over5 = __builtin_convertvector(c > static_cast<int8_t>(5), I8x16),
        over6 = __builtin_convertvector(c > static_cast<int8_t>(6), I8x16),
        negative = __builtin_convertvector(code > static_cast<uint8_t>(7), I8x16);
  I8x16 magnitude = c - over4 - over5 - over6 - over6 - over6;
  out = (magnitude ^ negative) - negative;
}

} // namespace flagrelease::codecs
