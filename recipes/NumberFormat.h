// How numbers are named in recipes of chips, toolchains, operator tables, schemes and gates. Wider than DType (what checkpoints
// store): operator tables speak of strings and nibbles, chips of TF32.
#pragma once

#include "ir/DType.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace flagrelease {

enum class NumberFormat : uint8_t {
  FP64,
  FP32,
  TF32,
  FP16,
  BF16,
  FP8, ///< any 8-bit float: a chip's own table says no more
  FP8E4M3FN,
  FP8E4M3FNUZ,
  FP8E5M2,
  FP8E5M2FNUZ,
  FP8E8M0,
  FP6E2M3,
  FP6E3M2,
  FP4E2M1,
  Int64,
  Int32,
  Int16,
  Int8,
  Int4,
  UInt64,
  UInt32,
  UInt16,
  UInt8,
  UInt4,
  Complex64,
  Bool,
  String,
};

/// "fp32", "bf16", "fp8e4m3fn", "int64", "bool", "string": as written in recipes.
llvm::StringRef numberFormatName(NumberFormat format);
std::optional<NumberFormat> parseNumberFormat(llvm::StringRef name);
/// All names, in the order of the enum: for messages.
llvm::ArrayRef<llvm::StringRef> numberFormatNames();
NumberFormat numberFormatOf(DType type);
/// The inverse; nothing for what no checkpoint stores as it is (TF32, nibbles, strings, FP8 without its encoding).
std::optional<DType> dtypeOf(NumberFormat format);
/// True where `wider` takes in `format`: equal, or FP8 over its encodings.
bool covers(NumberFormat wider, NumberFormat format);

} // namespace flagrelease
