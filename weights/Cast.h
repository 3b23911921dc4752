// Conversion of runs of elements between F64, F32, F16 and BF16.
//
// Meaning: ir/DType.h, one rounding to nearest even from the stored value (F64 to F16 does not pass through F32). The vector
// paths are chosen at run time and give the same bits as the plain one, NaN payloads included.
#pragma once

#include "ir/DType.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace flagrelease {

enum class CpuLevel : uint8_t { Plain, Avx2, Avx512 };

/// The best level this CPU has. FLAGRELEASE_CPU=plain|avx2|avx512 lowers it (tests, and to compare machines); read once.
CpuLevel bestCpuLevel();
/// True if this CPU can run `level`.
bool cpuHas(CpuLevel level);

/// What a narrower exponent lost. Indices count from the first element of the call, plus `base`.
struct RangeLoss {
  int64_t overflows = 0;     ///< finite became infinite
  int64_t firstOverflow = 0; ///< index, valid if overflows > 0
  double firstValue = 0;     ///< what stood there
  int64_t underflows = 0;    ///< not zero became zero

  /// Adds the losses of the elements that follow, `base` elements further on. Merge in rising order of base.
  void merge(const RangeLoss &later, int64_t base);
};

/// True for the sixteen pairs that castElements converts.
bool canCast(DType from, DType to);

/// Converts `count` elements from `in` to `out`, which do not overlap and need no alignment. `loss` may be null.
void castElements(DType from, const std::byte *in, DType to, std::byte *out, int64_t count, RangeLoss *loss = nullptr,
                  std::optional<CpuLevel> level = std::nullopt);

} // namespace flagrelease
