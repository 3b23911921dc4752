// A small tensor in host memory: inputs, outputs, taps. Weights never become HostTensors as a whole (weights/).
#pragma once

#include "ir/DType.h"

#include <cstddef>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace flagrelease {

/// Row-major, dense, little endian.
struct HostTensor {
  DType type = DType::F32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;

  HostTensor() = default;
  HostTensor(DType type, std::vector<int64_t> shape) : type(type), shape(std::move(shape)) {
    bytes.resize(static_cast<size_t>(elements()) * byteWidth(type));
  }

  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : shape)
      n *= d;
    return n;
  }
  template <typename T> T *as() { return reinterpret_cast<T *>(bytes.data()); }
  template <typename T> const T *as() const { return reinterpret_cast<const T *>(bytes.data()); }

  /// Element `i` as a double; exact for every type up to 2^53.
  double at(int64_t i) const;

  static HostTensor ofInts(std::vector<int64_t> shape, const std::vector<int64_t> &values) {
    HostTensor t(DType::I64, std::move(shape));
    std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
    return t;
  }
  static HostTensor ofFloats(std::vector<int64_t> shape, const std::vector<float> &values) {
    HostTensor t(DType::F32, std::move(shape));
    std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
    return t;
  }
};

/// Ordered, so that everything printed from it is reproducible.
using NamedTensors = std::map<std::string, HostTensor>;

} // namespace flagrelease
