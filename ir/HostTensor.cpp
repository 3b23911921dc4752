#include "ir/HostTensor.h"

#include "llvm/Support/ErrorHandling.h"

#include <cassert>

namespace flagrelease {

namespace {
template <typename T> T load(const HostTensor &tensor, int64_t i) {
  T value; // bytes need not be aligned for T when they were read from a file
  std::memcpy(&value, tensor.bytes.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return value;
}
} // namespace

double HostTensor::at(int64_t i) const {
  assert(i >= 0 && i < elements() && "element out of range");
  switch (type) {
  case DType::F64:
    return load<double>(*this, i);
  case DType::F32:
    return load<float>(*this, i);
  case DType::F16:
    return f16ToF32(load<uint16_t>(*this, i));
  case DType::BF16:
    return bf16ToF32(load<uint16_t>(*this, i));
  case DType::F8E4M3:
    return f8e4m3ToF32(load<uint8_t>(*this, i));
  case DType::F8E5M2:
    return f8e5m2ToF32(load<uint8_t>(*this, i));
  case DType::F8E8M0:
    return f8e8m0ToF32(load<uint8_t>(*this, i));
  case DType::I64:
    return static_cast<double>(load<int64_t>(*this, i));
  case DType::I32:
    return load<int32_t>(*this, i);
  case DType::I16:
    return load<int16_t>(*this, i);
  case DType::I8:
    return load<int8_t>(*this, i);
  case DType::U64:
    return static_cast<double>(load<uint64_t>(*this, i));
  case DType::U32:
    return load<uint32_t>(*this, i);
  case DType::U16:
    return load<uint16_t>(*this, i);
  case DType::U8:
    return load<uint8_t>(*this, i);
  case DType::Bool:
    return load<uint8_t>(*this, i) != 0;
  case DType::F8E4M3Fnuz:
  case DType::F8E5M2Fnuz:
  case DType::F6E2M3:
  case DType::F6E3M2:
  case DType::F4:
  case DType::C64:
    break; // readers of host tensors refuse them
  }
  llvm_unreachable("a type without numbers");
}

} // namespace flagrelease
