// Element types of tensors as checkpoints store them. Names are those of the safetensors format
// (https://github.com/huggingface/safetensors, "Format").
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace flagrelease {

enum class DType : uint8_t {
  F64,
  F32,
  F16,
  BF16,
  F8E4M3,
  F8E5M2,
  F8E8M0,
  I64,
  I32,
  I16,
  I8,
  U64,
  U32,
  U16,
  U8,
  Bool,
  // Read, counted and carried; nothing computes with their numbers (hasNumbers).
  F8E4M3Fnuz,
  F8E5M2Fnuz,
  F6E2M3,
  F6E3M2,
  F4, ///< E2M1; two elements in a byte, the first in the low half
  C64,
};
constexpr DType kLastDType = DType::C64;

/// Bits of one element: 4, 6, or a multiple of 8.
unsigned bitWidth(DType type);
/// Bytes of one element; 1 for those of fewer than 8 bits, whose tensors are measured by tensorBytes (weights/TensorEntry.h).
unsigned byteWidth(DType type);
/// "F32", "BF16", "F8_E4M3", "BOOL": as written in a safetensors header.
llvm::StringRef dtypeName(DType type);
/// The inverse of dtypeName; nullopt for anything else.
std::optional<DType> parseDType(llvm::StringRef name);
/// True for F64 ... F8E8M0.
bool isFloat(DType type);
/// True for F64 ... Bool: the types whose elements are numbers to this program, not only bytes.
bool hasNumbers(DType type);

// Conversions of one element, exact or rounded once to nearest, ties to even. Used by every reader and writer, so that a
// number has one meaning in the whole program.
float bf16ToF32(uint16_t bits);
uint16_t f32ToBf16(float value);
/// Direct from double: rounding through float first would round twice.
uint16_t f64ToBf16(double value);
float f16ToF32(uint16_t bits);
uint16_t f32ToF16(float value);
uint16_t f64ToF16(double value);
float f8e4m3ToF32(uint8_t bits);
float f8e5m2ToF32(uint8_t bits);
float f8e8m0ToF32(uint8_t bits);

} // namespace flagrelease
