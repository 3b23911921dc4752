#include "ir/DType.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

namespace flagrelease {

namespace {

struct Row {
  DType type;
  const char *name;
  uint8_t bits;
};

// In the order of the enum: indexed by it.
constexpr Row kTypes[] = {
    {DType::F64, "F64", 64},
    {DType::F32, "F32", 32},
    {DType::F16, "F16", 16},
    {DType::BF16, "BF16", 16},
    {DType::F8E4M3, "F8_E4M3", 8},
    {DType::F8E5M2, "F8_E5M2", 8},
    {DType::F8E8M0, "F8_E8M0", 8},
    {DType::I64, "I64", 64},
    {DType::I32, "I32", 32},
    {DType::I16, "I16", 16},
    {DType::I8, "I8", 8},
    {DType::U64, "U64", 64},
    {DType::U32, "U32", 32},
    {DType::U16, "U16", 16},
    {DType::U8, "U8", 8},
    {DType::Bool, "BOOL", 8},
    {DType::F8E4M3Fnuz, "F8_E4M3FNUZ", 8},
    {DType::F8E5M2Fnuz, "F8_E5M2FNUZ", 8},
    {DType::F6E2M3, "F6_E2M3", 6},
    {DType::F6E3M2, "F6_E3M2", 6},
    {DType::F4, "F4", 4},
    {DType::C64, "C64", 64},
};

constexpr bool inEnumOrder() {
  for (size_t i = 0; i < std::size(kTypes); ++i)
    if (static_cast<size_t>(kTypes[i].type) != i)
      return false;
  return true;
}
static_assert(inEnumOrder() && std::size(kTypes) == static_cast<size_t>(kLastDType) + 1);

const Row &row(DType type) {
  assert(static_cast<size_t>(type) < std::size(kTypes));
  return kTypes[static_cast<size_t>(type)];
}

/// `value` as a float whose last bit is sticky ("round to odd"): rounding that to a format with at least two bits less is the
/// same as rounding the double directly (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
float roundToOdd(double value) {
  float nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value)
    return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value))
    --bits; // towards zero; from infinity this is the largest finite float
  return std::bit_cast<float>(bits | 1);
}

/// |value| >= 0, not NaN, below infinity's place: the code of a small float with `mantissa` bits whose exponent field 1 stands
/// for 2^`lowest`; nearest even. The caller looks after what lies above the largest code.
uint32_t narrowMagnitude(uint32_t bits, unsigned mantissa, int lowest) {
  int exponent = static_cast<int>(bits >> 23) - 127;
  if (exponent >= lowest) { // normal: re-bias, round the dropped bits; a carry walks into the exponent as it should
    unsigned drop = 23 - mantissa;
    uint32_t moved = bits - (static_cast<uint32_t>(lowest + 126) << 23);
    return (moved + (1u << (drop - 1)) - 1 + ((moved >> drop) & 1)) >> drop;
  }
  // Subnormal: the value in units of 2^(lowest - mantissa). The full significand is shifted right, sticky bits decide ties.
  if (exponent < lowest - static_cast<int>(mantissa) - 1)
    return 0;
  uint32_t significand = (bits & 0x7fffffu) | 0x800000u;
  unsigned shift = static_cast<unsigned>(23 + lowest - static_cast<int>(mantissa) - exponent);
  uint32_t half = 1u << (shift - 1), rest = significand & ((1u << shift) - 1), result = significand >> shift;
  return result + (rest > half || (rest == half && (result & 1)));
}

} // namespace

unsigned bitWidth(DType type) { return row(type).bits; }

unsigned byteWidth(DType type) { return (row(type).bits + 7) / 8; }

llvm::StringRef dtypeName(DType type) { return row(type).name; }

std::optional<DType> parseDType(llvm::StringRef name) {
  for (const Row &r : kTypes)
    if (name == r.name)
      return r.type;
  return std::nullopt;
}

bool isFloat(DType type) { return type <= DType::F8E8M0; }

bool hasNumbers(DType type) { return type <= DType::Bool; }

float bf16ToF32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t f32ToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40); // stays a NaN, quiet, with its sign
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

uint16_t f64ToBf16(double value) { return f32ToBf16(std::isnan(value) ? static_cast<float>(value) : roundToOdd(value)); }

float f16ToF32(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 0x1f;
  uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0x1f) // infinity, or a NaN made quiet as the F16C instructions do
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13) | (mantissa ? 0x400000u : 0));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  float magnitude = static_cast<float>(mantissa) * 0x1p-24f; // subnormal: exact
  return sign ? -magnitude : magnitude;
}

uint16_t f32ToF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u | ((bits >> 13) & 0x3ff)); // quiet NaN with the upper payload
  if (bits >= 0x477ff000u)                                                 // 65520 and above round to infinity
    return static_cast<uint16_t>(sign | 0x7c00u);
  if (bits < 0x38800000u) { // below 2^-14: subnormal
    if (bits < 0x33000000u) // below 2^-25: zero
      return sign;
    uint32_t mantissa = (bits & 0x7fffffu) | 0x800000u;
    unsigned shift = 126 - (bits >> 23); // 14 .. 24
    uint32_t half = 1u << (shift - 1);
    uint32_t result = mantissa >> shift;
    uint32_t rest = mantissa & ((1u << shift) - 1);
    result += rest > half || (rest == half && (result & 1));
    return static_cast<uint16_t>(sign | result);
  }
  bits -= 112u << 23;
  return static_cast<uint16_t>(sign | ((bits + 0xfffu + ((bits >> 13) & 1)) >> 13));
}

uint16_t f64ToF16(double value) { return f32ToF16(std::isnan(value) ? static_cast<float>(value) : roundToOdd(value)); }

// OCP 8-bit floating point,
// https://www.opencompute.org/documents/ocp-8-bit-floating-point-specification-ofp8-revision-1-0-2023-12-01-pdf-1
float f8e4m3ToF32(uint8_t bits) {
  unsigned exponent = (bits >> 3) & 0xf, mantissa = bits & 7;
  float magnitude;
  if (exponent == 0xf && mantissa == 7)
    magnitude = std::numeric_limits<float>::quiet_NaN(); // the only NaN; there is no infinity
  else if (exponent == 0)
    magnitude = static_cast<float>(mantissa) * 0x1p-9f;
  else
    magnitude = std::bit_cast<float>(((exponent + 120u) << 23) | (mantissa << 20));
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | (static_cast<uint32_t>(bits & 0x80u) << 24));
}

float f8e5m2ToF32(uint8_t bits) { return f16ToF32(static_cast<uint16_t>(bits << 8)); }

// OCP Microscaling Formats (MX) 1.0: a power of two, 255 is NaN.
float f8e8m0ToF32(uint8_t bits) {
  if (bits == 0xff)
    return std::numeric_limits<float>::quiet_NaN();
  return bits == 0 ? 0x1p-127f : std::bit_cast<float>(static_cast<uint32_t>(bits) << 23);
}

uint8_t f32ToF8E4m3(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  uint8_t sign = static_cast<uint8_t>((bits >> 24) & 0x80u);
  if (magnitude > 0x43e80000u) // 464; NaNs are above it too
    return sign | 0x7f;
  return static_cast<uint8_t>(sign | narrowMagnitude(magnitude, 3, -6));
}

uint8_t f32ToF8E5m2(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  uint8_t sign = static_cast<uint8_t>((bits >> 24) & 0x80u);
  if (magnitude > 0x7f800000u)
    return sign | 0x7e;
  if (magnitude >= 0x47700000u) // 61440, halfway from 57344 to what would be next
    return sign | 0x7c;
  return static_cast<uint8_t>(sign | narrowMagnitude(magnitude, 2, -14));
}

uint8_t f32ToF8E8m0(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (bits == 0 || bits >= 0x7f800000u) // zero, infinity, NaN, and everything with a sign
    return 0xff;
  if (bits < 0x00800000u) // float itself is subnormal: 2^-127 and below, or the next power
    return bits > 0x00400000u;
  return static_cast<uint8_t>((bits + 0x400000u) >> 23);
}

namespace {
constexpr float kE2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
} // namespace

float e2m1ToF32(uint8_t bits) { return kE2m1[bits & 0xf]; }

uint8_t f32ToE2m1(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  uint8_t sign = static_cast<uint8_t>((bits >> 28) & 8u);
  if (magnitude > 0x7f800000u)
    return sign ^ 8;
  if (magnitude > 0x40a00000u) // 5
    return sign | 7;
  return static_cast<uint8_t>(sign | narrowMagnitude(magnitude, 1, 0));
}

} // namespace flagrelease
