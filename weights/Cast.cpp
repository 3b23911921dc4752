#include "weights/Cast.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/ErrorHandling.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace flagrelease {

namespace {

/// Four kernels are all there is; a cast is a widening to float and a narrowing, on a block that stays in the first-level cache.
struct Kernels {
  void (*halfToFloat)(const uint16_t *in, float *out, int64_t n);
  void (*brainToFloat)(const uint16_t *in, float *out, int64_t n);
  void (*floatToHalf)(const float *in, uint16_t *out, int64_t n);
  void (*floatToBrain)(const float *in, uint16_t *out, int64_t n);
};

void halfToFloatPlain(const uint16_t *in, float *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = f16ToF32(in[i]);
}
void brainToFloatPlain(const uint16_t *in, float *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = bf16ToF32(in[i]);
}
void floatToHalfPlain(const float *in, uint16_t *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = f32ToF16(in[i]);
}
void floatToBrainPlain(const float *in, uint16_t *out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = f32ToBf16(in[i]);
}
constexpr Kernels kPlain = {halfToFloatPlain, brainToFloatPlain, floatToHalfPlain, floatToBrainPlain};

#if defined(__x86_64__)

#define FLAGRELEASE_AVX2 __attribute__((target("avx2,f16c")))
#define FLAGRELEASE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

FLAGRELEASE_AVX2 void halfToFloatAvx2(const uint16_t *in, float *out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(in + i))));
  halfToFloatPlain(in + i, out + i, n - i);
}
FLAGRELEASE_AVX2 void brainToFloatAvx2(const uint16_t *in, float *out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(in + i)));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + i), _mm256_slli_epi32(wide, 16));
  }
  brainToFloatPlain(in + i, out + i, n - i);
}
FLAGRELEASE_AVX2 void floatToHalfAvx2(const float *in, uint16_t *out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
  floatToHalfPlain(in + i, out + i, n - i);
}
FLAGRELEASE_AVX2 void floatToBrainAvx2(const float *in, uint16_t *out, int64_t n) {
  const __m256i one = _mm256_set1_epi32(1), bias = _mm256_set1_epi32(0x7fff), magnitude = _mm256_set1_epi32(0x7fffffff);
  const __m256i infinity = _mm256_set1_epi32(0x7f800000), quiet = _mm256_set1_epi32(0x40);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(in + i));
    __m256i high = _mm256_srli_epi32(bits, 16);
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, bias), _mm256_and_si256(high, one)), 16);
    __m256i isNan = _mm256_cmpgt_epi32(_mm256_and_si256(bits, magnitude), infinity);
    __m256i result = _mm256_blendv_epi8(rounded, _mm256_or_si256(high, quiet), isNan);
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(result, result), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out + i), _mm256_castsi256_si128(packed));
  }
  floatToBrainPlain(in + i, out + i, n - i);
}
constexpr Kernels kAvx2 = {halfToFloatAvx2, brainToFloatAvx2, floatToHalfAvx2, floatToBrainAvx2};

FLAGRELEASE_AVX512 void halfToFloatAvx512(const uint16_t *in, float *out, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(in + i))));
  halfToFloatPlain(in + i, out + i, n - i);
}
FLAGRELEASE_AVX512 void brainToFloatAvx512(const uint16_t *in, float *out, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(in + i)));
    _mm512_storeu_si512(out + i, _mm512_slli_epi32(wide, 16));
  }
  brainToFloatPlain(in + i, out + i, n - i);
}
FLAGRELEASE_AVX512 void floatToHalfAvx512(const float *in, uint16_t *out, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + i),
                        _mm512_cvtps_ph(_mm512_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
  floatToHalfPlain(in + i, out + i, n - i);
}
FLAGRELEASE_AVX512 void floatToBrainAvx512(const float *in, uint16_t *out, int64_t n) {
  const __m512i one = _mm512_set1_epi32(1), bias = _mm512_set1_epi32(0x7fff), magnitude = _mm512_set1_epi32(0x7fffffff);
  const __m512i infinity = _mm512_set1_epi32(0x7f800000), quiet = _mm512_set1_epi32(0x40);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    __m512i bits = _mm512_loadu_si512(in + i);
    __m512i high = _mm512_srli_epi32(bits, 16);
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, bias), _mm512_and_si512(high, one)), 16);
    __mmask16 isNan = _mm512_cmpgt_epi32_mask(_mm512_and_si512(bits, magnitude), infinity);
    __m512i result = _mm512_mask_or_epi32(rounded, isNan, high, quiet);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + i), _mm512_cvtepi32_epi16(result));
  }
  floatToBrainPlain(in + i, out + i, n - i);
}
constexpr Kernels kAvx512 = {halfToFloatAvx512, brainToFloatAvx512, floatToHalfAvx512, floatToBrainAvx512};

const Kernels &kernelsOf(CpuLevel level) {
  return level == CpuLevel::Avx512 ? kAvx512 : level == CpuLevel::Avx2 ? kAvx2 : kPlain;
}

#else

const Kernels &kernelsOf(CpuLevel) { return kPlain; }

#endif

constexpr int64_t kBlock = 1024;

/// Which magnitudes of a float become infinite or zero in a type, as bit patterns: [overflow, infinity) and (0, zero].
struct Range {
  uint32_t overflow, zero;
};
Range rangeOf(DType type) {
  switch (type) {
  case DType::F16:
    return {0x477ff000u, 0x33000000u}; // 65520 and above; 2^-25 and below
  case DType::BF16:
    return {0x7f7f8000u, 0x00008000u}; // 2^128 - 2^119 and above; 2^-134 and below
  default:
    return {0x7f800000u, 0};
  }
}

/// Losses of a block of floats. The counting loops are plain integer code, which compilers turn into vectors.
void countLoss(const float *in, int64_t n, DType to, RangeLoss &loss) {
  Range range = rangeOf(to);
  uint32_t overflows = 0, underflows = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits = std::bit_cast<uint32_t>(in[i]) & 0x7fffffffu;
    overflows += (bits >= range.overflow) & (bits < 0x7f800000u);
    underflows += (bits != 0) & (bits <= range.zero);
  }
  loss.underflows += underflows;
  if (overflows == 0)
    return;
  for (int64_t i = 0; i < n && loss.overflows == 0; ++i) {
    uint32_t bits = std::bit_cast<uint32_t>(in[i]) & 0x7fffffffu;
    if (bits >= range.overflow && bits < 0x7f800000u) {
      loss.firstOverflow = i;
      loss.firstValue = in[i];
      break;
    }
  }
  loss.overflows += overflows;
}

/// F64 on the reading side: element by element, it is rare in checkpoints.
template <typename To, To (*narrow)(double)>
void castDoubles(const std::byte *in, std::byte *out, int64_t count, RangeLoss *loss, double (*back)(To)) {
  for (int64_t i = 0; i < count; ++i) {
    double value;
    std::memcpy(&value, in + i * 8, 8);
    To result = narrow(value);
    std::memcpy(out + i * static_cast<int64_t>(sizeof(To)), &result, sizeof(To));
    if (!loss)
      continue;
    double seen = back(result);
    if (std::isinf(seen) && std::isfinite(value)) {
      if (loss->overflows++ == 0)
        loss->firstOverflow = i, loss->firstValue = value;
    } else if (seen == 0 && value != 0)
      ++loss->underflows;
  }
}

void castFromDouble(const std::byte *in, DType to, std::byte *out, int64_t count, RangeLoss *loss) {
  switch (to) {
  case DType::F32:
    return castDoubles<float, +[](double v) { return static_cast<float>(v); }>(in, out, count, loss,
                                                                               [](float v) { return double(v); });
  case DType::F16:
    return castDoubles<uint16_t, f64ToF16>(in, out, count, loss, [](uint16_t v) { return double(f16ToF32(v)); });
  case DType::BF16:
    return castDoubles<uint16_t, f64ToBf16>(in, out, count, loss, [](uint16_t v) { return double(bf16ToF32(v)); });
  default:
    llvm_unreachable("canCast was false");
  }
}

/// `n` elements of `from` as floats in `block`.
void widen(const Kernels &kernels, DType from, const std::byte *in, float *block, int64_t n) {
  alignas(64) uint16_t raw[kBlock];
  if (from == DType::F32) {
    std::memcpy(block, in, static_cast<size_t>(n) * 4);
    return;
  }
  std::memcpy(raw, in, static_cast<size_t>(n) * 2);
  (from == DType::F16 ? kernels.halfToFloat : kernels.brainToFloat)(raw, block, n);
}

void narrow(const Kernels &kernels, const float *block, DType to, std::byte *out, int64_t n) {
  alignas(64) uint16_t raw[kBlock];
  switch (to) {
  case DType::F32:
    std::memcpy(out, block, static_cast<size_t>(n) * 4);
    return;
  case DType::F64:
    for (int64_t i = 0; i < n; ++i) {
      double value = block[i];
      std::memcpy(out + i * 8, &value, 8);
    }
    return;
  default:
    (to == DType::F16 ? kernels.floatToHalf : kernels.floatToBrain)(block, raw, n);
    std::memcpy(out, raw, static_cast<size_t>(n) * 2);
  }
}

} // namespace

bool cpuHas(CpuLevel level) {
  if (level == CpuLevel::Plain)
    return true;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (level == CpuLevel::Avx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

CpuLevel bestCpuLevel() {
  static const CpuLevel level = [] {
    const char *wish = std::getenv("FLAGRELEASE_CPU");
    llvm::StringRef text = wish ? wish : "";
    CpuLevel most = text == "plain" ? CpuLevel::Plain : text == "avx2" ? CpuLevel::Avx2 : CpuLevel::Avx512;
    for (CpuLevel candidate : {CpuLevel::Avx512, CpuLevel::Avx2})
      if (candidate <= most && cpuHas(candidate))
        return candidate;
    return CpuLevel::Plain;
  }();
  return level;
}

void RangeLoss::merge(const RangeLoss &later, int64_t base) {
  if (overflows == 0 && later.overflows > 0) {
    firstOverflow = base + later.firstOverflow;
    firstValue = later.firstValue;
  }
  overflows += later.overflows;
  underflows += later.underflows;
}

bool canCast(DType from, DType to) { return from <= DType::BF16 && to <= DType::BF16; }

void castElements(DType from, const std::byte *in, DType to, std::byte *out, int64_t count, RangeLoss *loss,
                  std::optional<CpuLevel> level) {
  assert(canCast(from, to));
  if (from == to) {
    if (count)
      std::memcpy(out, in, static_cast<size_t>(count) * byteWidth(from));
    return;
  }
  if (from == DType::F64)
    return castFromDouble(in, to, out, count, loss);
  const Kernels &kernels = kernelsOf(level.value_or(bestCpuLevel()));
  // Nothing is lost, and nothing needs a copy that is aligned.
  if (to == DType::F32 && reinterpret_cast<uintptr_t>(in) % alignof(uint16_t) == 0 &&
      reinterpret_cast<uintptr_t>(out) % alignof(float) == 0)
    return (from == DType::F16 ? kernels.halfToFloat : kernels.brainToFloat)(reinterpret_cast<const uint16_t *>(in),
                                                                             reinterpret_cast<float *>(out), count);
  alignas(64) float block[kBlock];
  for (int64_t done = 0; done < count; done += kBlock) {
    int64_t n = std::min(kBlock, count - done);
    widen(kernels, from, in + done * byteWidth(from), block, n);
    narrow(kernels, block, to, out + done * byteWidth(to), n);
    if (loss && to != DType::F32 && to != DType::F64) {
      RangeLoss here;
      countLoss(block, n, to, here);
      loss->merge(here, done);
    }
  }
}

} // namespace flagrelease
