// The inner loops of quantising: ranges of blocks, rounding to integers, packing of nibbles. Meaning: ir/reference/Numbers.h.
// Chosen at run time; the vector paths are the plain loops compiled for wider registers, and give the same bits.
#pragma once

#include "ir/reference/Numbers.h"
#include "weights/Cast.h"

#include <cstddef>
#include <cstdint>

namespace flagrelease {

struct QuantKernels {
  /// The range of `count` numbers.
  NumberRange (*range)(const float *x, int64_t count);
  /// out[i] = quantizeOne(x[i], scale, zero, lo, hi) as a byte (two's complement).
  void (*quantize)(const float *x, float scale, float zero, float lo, float hi, uint8_t *out, int64_t count);
  /// out[i] = the E4M3 or E5M2 number nearest to x[i] / scale within [lo, hi]; 0 for a scale of 0.
  void (*quantizeE4m3)(const float *x, float scale, float lo, float hi, uint8_t *out, int64_t count);
  void (*quantizeE5m2)(const float *x, float scale, float lo, float hi, uint8_t *out, int64_t count);
  /// Eight codes into a word in the order of AWQ (fr::PackOrder): `count` words from 8 * count codes.
  void (*awqWords)(const uint8_t *codes, std::byte *out, int64_t count);
  /// Pairs of nibbles into bytes, the first one low: `count` bytes from 2 * count codes.
  void (*nibbles)(const uint8_t *codes, std::byte *out, int64_t count);
};

const QuantKernels &quantKernels(CpuLevel level = bestCpuLevel());

} // namespace flagrelease
