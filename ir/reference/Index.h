// Row-major index arithmetic shared by the reference functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace flagrelease {

inline std::vector<int64_t> stridesOf(const std::vector<int64_t> &shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;)
    strides[d - 1] = strides[d] * shape[d];
  return strides;
}

/// Strides with which an operand of `shape` is read while walking `out`: 0 where it broadcasts.
inline std::vector<int64_t> broadcastStrides(const std::vector<int64_t> &shape, const std::vector<int64_t> &out) {
  std::vector<int64_t> own = stridesOf(shape), strides(out.size(), 0);
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (shape[shape.size() - 1 - d] != 1)
      strides[out.size() - 1 - d] = own[shape.size() - 1 - d];
  return strides;
}

/// Calls visit(flatOutputIndex, offsets...) for each element of `out`, each operand's offset kept by its strides.
template <std::size_t N, typename Visit>
void walk(const std::vector<int64_t> &out, const std::vector<int64_t> (&strides)[N], Visit visit) {
  int64_t total = 1;
  for (int64_t d : out)
    total *= d;
  std::vector<int64_t> index(out.size(), 0);
  int64_t offsets[N] = {};
  for (int64_t flat = 0; flat < total; ++flat) {
    visit(flat, offsets);
    for (std::size_t d = out.size(); d-- > 0;) {
      for (std::size_t n = 0; n < N; ++n)
        offsets[n] += strides[n][d];
      if (++index[d] < out[d])
        break;
      for (std::size_t n = 0; n < N; ++n)
        offsets[n] -= strides[n][d] * out[d];
      index[d] = 0;
    }
  }
}

/// The product of sizes before and after `axis`.
inline std::pair<int64_t, int64_t> outerInner(const std::vector<int64_t> &shape, int64_t axis) {
  int64_t outer = 1, inner = 1;
  for (int64_t d = 0; d < axis; ++d)
    outer *= shape[d];
  for (std::size_t d = axis + 1; d < shape.size(); ++d)
    inner *= shape[d];
  return {outer, inner};
}

} // namespace flagrelease
