// Signs of the iq2 and iq3 formats: eight bits say which of eight elements are negative.
#pragma once

#include "weights/codecs/Kernel.h"

namespace flagrelease::codecs {

/// Where a format stores seven of the eight, the number of negative elements is even.
FLAGRELEASE_KERNEL uint32_t evenSigns(uint32_t seven) {
  seven &= 127;
  return seven | static_cast<uint32_t>(std::popcount(seven) & 1) << 7;
}

/// Two rows of eight (four rows of four) as lanes, negative where `signs` has a bit, times scale.
template <typename Row>
FLAGRELEASE_KERNEL void emitSigned(float *out, const Row (&rows)[16 / sizeof(Row)], uint32_t signs, float scale) {
  I8x16 value;
  load(value, rows);
  U8x16 mask;
  spreadBits(mask, static_cast<uint16_t>(signs));
  I8x16 negative = __builtin_convertvector(mask, I8x16);
  emit(out, (value ^ negative) - negative, scale);
}

} // namespace flagrelease::codecs
