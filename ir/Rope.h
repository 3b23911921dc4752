// Rotary frequencies (RoFormer, arXiv:2104.09864; scaled kinds as transformers' modeling_rope_utils defines them).
#pragma once

#include "ir/Fr.h"

#include <vector>

namespace flagrelease {

/// inv_freq[j], j < dim / 2, for a call whose largest position is `length` - 1. Each step is rounded to f32 as engines do it, so
/// the table is one set of constants for every device. `length` matters for kinds dynamic and longrope only.
std::vector<float> ropeFrequencies(fr::RopeTableOp op, int64_t length);

/// True if ropeFrequencies depends on `length`.
bool ropeDependsOnLength(fr::RopeTableOp op);

/// yarn (arXiv:2309.00071) blends two tables: [low, high] is the range of frequency indices over which the blend runs.
std::pair<double, double> yarnRange(double betaFast, double betaSlow, int64_t dim, double theta, int64_t originalMax,
                                    bool truncate);

} // namespace flagrelease
