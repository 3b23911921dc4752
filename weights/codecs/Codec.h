// Block codecs: rows of floats to and from the block formats of ir/BlockFormat.h.
//
// Decoding gives exactly the numbers that ggml's dequantize_row_* gives (a NaN is a NaN; which one is not said). Encoding is
//   byte for byte that of ggml_quantize_chunk without importance weights for q8_0, q4_0, q4_1, q5_0, q5_1, and for mxfp4
//     blocks whose largest magnitude is 2^-125 or more (below, ggml's exponent wraps around);
//   a search of our own for q2_k ... q6_k, which makes the sum of squared errors small (weights/codecs/KSearch.h).
// Bytes and floats are the same on every CpuLevel.
#pragma once

#include "ir/BlockFormat.h"
#include "weights/Cast.h"

#include <cstddef>
#include <cstdint>

namespace flagrelease {

struct BlockCodec {
  BlockFormat format;
  /// `count` elements, a multiple of the block's; blocks need no alignment, in and out do not overlap. Every bit pattern has a
  /// meaning; damaged scales give infinities and NaNs.
  void (*decode)(const std::byte *blocks, float *out, int64_t count, CpuLevel level);
  /// Null: the format is only read. NaNs and infinities have no code: who calls looks for them first and says so (they are a
  /// diagnostic there); one that comes here all the same is encoded as zero. A number that F16 cannot hold becomes its infinity
  /// in q*_0 and q*_1, as ggml has it, and then decodes to infinities and NaNs (magnitudes from 65520 in q*_1, whose minimum is
  /// such a number, from 8 * 65520 in q4_0 and more with more bits); q*_k and mxfp4 saturate.
  void (*encode)(const float *in, std::byte *blocks, int64_t count, CpuLevel level);
};

/// Never null: each format can be decoded.
const BlockCodec *findCodec(BlockFormat format);

} // namespace flagrelease
