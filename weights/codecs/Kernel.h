// How the codecs' inner loops are written: once, on vectors of clang's own kind, and compiled for each CpuLevel.
//
// A kernel is a struct with a static always-inline `run`. runKernel() instantiates it in functions that differ in nothing but the
// instruction set, so all levels compute the same IEEE operations in the same order: sums run over the lanes of a fixed vector
// of sixteen, however many registers that takes. Vectors are never passed or returned by value (their ABI depends on the level).
#pragma once

#include "weights/Cast.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define FLAGRELEASE_KERNEL static inline __attribute__((always_inline))

namespace flagrelease::codecs {

template <typename T> using Lanes = T __attribute__((ext_vector_type(16)));
using F32x16 = Lanes<float>;
using I32x16 = Lanes<int32_t>;
using U32x16 = Lanes<uint32_t>;
using U8x16 = Lanes<uint8_t>;
using I8x16 = Lanes<int8_t>;

template <typename V> FLAGRELEASE_KERNEL void load(V &value, const void *from) { std::memcpy(&value, from, sizeof(V)); }
template <typename V> FLAGRELEASE_KERNEL void store(void *to, const V &value) { std::memcpy(to, &value, sizeof(V)); }
template <typename T> FLAGRELEASE_KERNEL T loadAs(const std::byte *from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

/// f16ToF32 of ir/DType.h where it can be inlined, but for one thing: every NaN becomes the one that x86 makes of 0 * infinity,
/// so that a result does not depend on which of two NaNs an instruction passes on.
FLAGRELEASE_KERNEL float halfToFloat(uint16_t half) {
  uint32_t sign = (half & 0x8000u) << 16, magnitude = half & 0x7fffu;
  if (magnitude > 0x7c00u)
    return std::bit_cast<float>(0xffc00000u);
  float value = magnitude < 0x400u ? std::bit_cast<float>(0x3f000000u | magnitude) - 0.5f // subnormal: units of 2^-24
                                   : std::bit_cast<float>((magnitude << 13) + (magnitude == 0x7c00u ? 0x70000000u : 0x38000000u));
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}
FLAGRELEASE_KERNEL float halfAt(const std::byte *from) { return halfToFloat(loadAs<uint16_t>(from)); }

/// f32ToF16 of ir/DType.h, for numbers and infinities.
FLAGRELEASE_KERNEL uint16_t floatToHalf(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude >= 0x477ff000u) // 65520 and above
    half = 0x7c00u;
  else if (magnitude < 0x38800000u) // below 2^-14: adding 0.5 rounds to units of 2^-24
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  else
    half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1)) >> 13;
  return static_cast<uint16_t>(half | ((bits >> 16) & 0x8000u));
}
FLAGRELEASE_KERNEL void storeHalf(std::byte *to, float value) {
  uint16_t half = floatToHalf(value);
  std::memcpy(to, &half, 2);
}

/// Four bits each of sixteen bytes.
FLAGRELEASE_KERNEL void nibbles(const std::byte *from, U8x16 &low, U8x16 &high) {
  U8x16 both;
  load(both, from);
  low = both & static_cast<uint8_t>(0xf);
  high = both >> static_cast<uint8_t>(4);
}

/// Numbers where there is a NaN or an infinity in x: zero.
FLAGRELEASE_KERNEL void dropNonFinite(F32x16 &x) {
  U32x16 bits;
  load(bits, &x);
  bits = (bits & 0x7f800000u) == 0x7f800000u ? U32x16(0u) : bits;
  load(x, &bits);
}

FLAGRELEASE_KERNEL void absolute(F32x16 &out, const F32x16 &x) {
  U32x16 bits;
  load(bits, &x);
  bits &= 0x7fffffffu;
  load(out, &bits);
}

/// To the nearest integer, ties to even, for magnitudes below 2^22.
FLAGRELEASE_KERNEL void roundEven(F32x16 &x) { x = (x + 12582912.0f) - 12582912.0f; }

/// out = value * scale, sixteen of them.
FLAGRELEASE_KERNEL void emit(float *out, const I8x16 &value, float scale) {
  store(out, __builtin_convertvector(value, F32x16) * scale);
}
/// out = value * scale + offset, rounded after each step.
FLAGRELEASE_KERNEL void emitPlus(float *out, const U8x16 &value, float scale, float offset) {
  F32x16 scaled = __builtin_convertvector(value, F32x16) * scale;
  store(out, scaled + offset);
}
/// out = value * scale - offset.
FLAGRELEASE_KERNEL void emitMinus(float *out, const U8x16 &value, float scale, float offset) {
  F32x16 scaled = __builtin_convertvector(value, F32x16) * scale;
  store(out, scaled - offset);
}

/// 255 in the lanes whose bit is set.
FLAGRELEASE_KERNEL void spreadBits(U8x16 &mask, uint16_t bits) {
  Lanes<uint16_t> single;
  for (int i = 0; i < 16; ++i)
    single[i] = static_cast<uint16_t>(1u << i);
  Lanes<int16_t> chosen = (Lanes<uint16_t>(bits) & single) != static_cast<uint16_t>(0);
  mask = __builtin_convertvector(chosen, U8x16);
}
/// The inverse, from lanes that are 0 or 1.
FLAGRELEASE_KERNEL uint16_t gatherBits(const U8x16 &ones) {
  Lanes<uint16_t> place;
  for (int i = 0; i < 16; ++i)
    place[i] = static_cast<uint16_t>(i);
  return __builtin_reduce_or(__builtin_convertvector(ones, Lanes<uint16_t>) << place);
}

#if defined(__x86_64__)
#define FLAGRELEASE_KERNEL_AVX2 __attribute__((target("avx2,f16c")))
#define FLAGRELEASE_KERNEL_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#else
#define FLAGRELEASE_KERNEL_AVX2
#define FLAGRELEASE_KERNEL_AVX512
#endif

template <typename Kernel, typename In, typename Out> void runPlain(const In *in, Out *out, int64_t count) {
  Kernel::run(in, out, count);
}
template <typename Kernel, typename In, typename Out>
FLAGRELEASE_KERNEL_AVX2 void runAvx2(const In *in, Out *out, int64_t count) {
  Kernel::run(in, out, count);
}
template <typename Kernel, typename In, typename Out>
FLAGRELEASE_KERNEL_AVX512 void runAvx512(const In *in, Out *out, int64_t count) {
  Kernel::run(in, out, count);
}
/// `Widest` is Avx2 for kernels that vectors of 512 bits make slower: measured on Zen 4, whose units take them in halves, the
/// searches of q*_k lose 3 to 20 %, and look-ups by scalar loads a third.
template <typename Kernel, CpuLevel Widest = CpuLevel::Avx512, typename In, typename Out>
void runKernel(const In *in, Out *out, int64_t count, CpuLevel level) {
  if constexpr (Widest == CpuLevel::Avx512)
    if (level == CpuLevel::Avx512)
      return runAvx512<Kernel>(in, out, count);
  if (level != CpuLevel::Plain)
    return runAvx2<Kernel>(in, out, count);
  runPlain<Kernel>(in, out, count);
}

/// Decodes block by block: Layout has kElements, kBytes and decodeBlock(const std::byte *block, float *out).
template <typename Layout> struct DecodeKernel {
  FLAGRELEASE_KERNEL void run(const std::byte *__restrict in, float *__restrict out, int64_t count) {
    for (int64_t done = 0; done < count; done += Layout::kElements, in += Layout::kBytes)
      Layout::decodeBlock(in, out + done);
  }
};
/// Encodes block by block: encodeBlock(const float *in, std::byte *block).
template <typename Layout> struct EncodeKernel {
  FLAGRELEASE_KERNEL void run(const float *__restrict in, std::byte *__restrict out, int64_t count) {
    for (int64_t done = 0; done < count; done += Layout::kElements, out += Layout::kBytes)
      Layout::encodeBlock(in + done, out);
  }
};
template <typename Layout, CpuLevel Widest = CpuLevel::Avx512>
void decodeBlocks(const std::byte *blocks, float *out, int64_t count, CpuLevel level) {
  runKernel<DecodeKernel<Layout>, Widest>(blocks, out, count, level);
}
template <typename Layout, CpuLevel Widest = CpuLevel::Avx512>
void encodeBlocks(const float *in, std::byte *blocks, int64_t count, CpuLevel level) {
  runKernel<EncodeKernel<Layout>, Widest>(in, blocks, count, level);
}

} // namespace flagrelease::codecs
