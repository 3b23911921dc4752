// The functions behind the table of Codec.cpp, one pair per format, each in the file that is named after its layout.
#pragma once

#include "weights/Cast.h"

#include <cstddef>
#include <cstdint>

namespace flagrelease::codecs {

#define FLAGRELEASE_READ_ONLY(NAME) void decode##NAME(const std::byte *blocks, float *out, int64_t count, CpuLevel level);
#define FLAGRELEASE_BOTH_WAYS(NAME)                                                                                              \
  FLAGRELEASE_READ_ONLY(NAME)                                                                                                    \
  void encode##NAME(const float *in, std::byte *blocks, int64_t count, CpuLevel level);

FLAGRELEASE_BOTH_WAYS(Q4_0)
FLAGRELEASE_BOTH_WAYS(Q4_1)
FLAGRELEASE_BOTH_WAYS(Q5_0)
FLAGRELEASE_BOTH_WAYS(Q5_1)
FLAGRELEASE_BOTH_WAYS(Q8_0)
FLAGRELEASE_BOTH_WAYS(Q2_K)
FLAGRELEASE_BOTH_WAYS(Q3_K)
FLAGRELEASE_BOTH_WAYS(Q4_K)
FLAGRELEASE_BOTH_WAYS(Q5_K)
FLAGRELEASE_BOTH_WAYS(Q6_K)
FLAGRELEASE_BOTH_WAYS(MXFP4)
FLAGRELEASE_READ_ONLY(IQ2_XXS)
FLAGRELEASE_READ_ONLY(IQ2_XS)
FLAGRELEASE_READ_ONLY(IQ3_XXS)
FLAGRELEASE_READ_ONLY(IQ1_S)
FLAGRELEASE_READ_ONLY(IQ4_NL)
FLAGRELEASE_READ_ONLY(IQ3_S)
FLAGRELEASE_READ_ONLY(IQ2_S)
FLAGRELEASE_READ_ONLY(IQ4_XS)
FLAGRELEASE_READ_ONLY(IQ1_M)
FLAGRELEASE_READ_ONLY(TQ1_0)
FLAGRELEASE_READ_ONLY(TQ2_0)
FLAGRELEASE_READ_ONLY(NVFP4)
FLAGRELEASE_READ_ONLY(Q1_0)
FLAGRELEASE_READ_ONLY(Q2_0)

#undef FLAGRELEASE_READ_ONLY
#undef FLAGRELEASE_BOTH_WAYS

} // namespace flagrelease::codecs
