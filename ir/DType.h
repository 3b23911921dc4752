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
// number has one meaning in the whole program. Formats of eight bits and less behave as those of ml_dtypes
// (https://github.com/jax-ml/ml_dtypes): float8_e4m3fn, float8_e5m2, float8_e8m0fnu, float4_e2m1fn.
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
/// E4M3 has no infinity: above 464 (the midpoint past 448) and from an infinity comes its NaN. Clamp first to saturate.
uint8_t f32ToF8E4m3(float value);
/// Above 61440 comes an infinity.
uint8_t f32ToF8E5m2(float value);
/// The nearest power of two on the number line, the larger one when halfway. Zero, negative numbers, NaN and what lies above
/// give 255, which is NaN; anything positive below 2^-127 gives 2^-127, what lies between that and 2^-126 gives 2^-126.
uint8_t f32ToF8E8m0(float value);
/// E2M1 in the low four bits: 0 0.5 1 1.5 2 3 4 6 and their negatives; the high bits are not looked at.
float e2m1ToF32(uint8_t bits);
/// Saturates at 6, infinities too. There is no NaN: one becomes a zero of the other sign, as in ml_dtypes.
uint8_t f32ToE2m1(float value);

} // namespace flagrelease
