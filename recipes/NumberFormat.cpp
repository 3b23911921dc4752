#include "recipes/NumberFormat.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/ErrorHandling.h"

namespace flagrelease {

// In the order of the enum.
static constexpr llvm::StringLiteral kSpellings[] = {
    "fp64",        "fp32",    "tf32",    "fp16",    "bf16",    "fp8",   "fp8e4m3fn", "fp8e4m3fnuz", "fp8e5m2",
    "fp8e5m2fnuz", "fp8e8m0", "fp6e2m3", "fp6e3m2", "fp4e2m1", "int64", "int32",     "int16",       "int8",
    "int4",        "uint64",  "uint32",  "uint16",  "uint8",   "uint4", "complex64", "bool",        "string"};
static_assert(std::size(kSpellings) == static_cast<size_t>(NumberFormat::String) + 1);

llvm::ArrayRef<llvm::StringRef> numberFormatNames() {
  static const llvm::SmallVector<llvm::StringRef, 32> names(std::begin(kSpellings), std::end(kSpellings));
  return names;
}

llvm::StringRef numberFormatName(NumberFormat format) { return kSpellings[static_cast<size_t>(format)]; }

std::optional<NumberFormat> parseNumberFormat(llvm::StringRef name) {
  for (auto [index, spelling] : llvm::enumerate(kSpellings))
    if (spelling == name)
      return static_cast<NumberFormat>(index);
  return std::nullopt;
}

NumberFormat numberFormatOf(DType type) {
  switch (type) {
  case DType::F64:
    return NumberFormat::FP64;
  case DType::F32:
    return NumberFormat::FP32;
  case DType::F16:
    return NumberFormat::FP16;
  case DType::BF16:
    return NumberFormat::BF16;
  case DType::F8E4M3:
    return NumberFormat::FP8E4M3FN;
  case DType::F8E5M2:
    return NumberFormat::FP8E5M2;
  case DType::F8E8M0:
    return NumberFormat::FP8E8M0;
  case DType::I64:
    return NumberFormat::Int64;
  case DType::I32:
    return NumberFormat::Int32;
  case DType::I16:
    return NumberFormat::Int16;
  case DType::I8:
    return NumberFormat::Int8;
  case DType::U64:
    return NumberFormat::UInt64;
  case DType::U32:
    return NumberFormat::UInt32;
  case DType::U16:
    return NumberFormat::UInt16;
  case DType::U8:
    return NumberFormat::UInt8;
  case DType::Bool:
    return NumberFormat::Bool;
  case DType::F8E4M3Fnuz:
    return NumberFormat::FP8E4M3FNUZ;
  case DType::F8E5M2Fnuz:
    return NumberFormat::FP8E5M2FNUZ;
  case DType::F6E2M3:
    return NumberFormat::FP6E2M3;
  case DType::F6E3M2:
    return NumberFormat::FP6E3M2;
  case DType::F4:
    return NumberFormat::FP4E2M1;
  case DType::C64:
    return NumberFormat::Complex64;
  }
  llvm_unreachable("a DType that is none");
}

std::optional<DType> dtypeOf(NumberFormat format) {
  for (auto type = uint8_t(0); type <= static_cast<uint8_t>(kLastDType); ++type)
    if (numberFormatOf(static_cast<DType>(type)) == format)
      return static_cast<DType>(type);
  return std::nullopt;
}

bool covers(NumberFormat wider, NumberFormat format) {
  return wider == format ||
         (wider == NumberFormat::FP8 && format >= NumberFormat::FP8E4M3FN && format <= NumberFormat::FP8E5M2FNUZ);
}

} // namespace flagrelease
