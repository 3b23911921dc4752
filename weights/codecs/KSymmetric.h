// The search of weights/codecs/KSearch.h for x = d * scale * q with codes of both signs: q3_k, q6_k.
#pragma once

#include "weights/codecs/KConstant.h"

namespace flagrelease::codecs {

/// q in -QHalf ... QHalf - 1, scale in -SHalf ... SHalf - 1; sub-blocks of 16.
template <int QHalf, int SHalf, int StepFrom, int StepTo, int StepBy> struct SymmetricSearch {
  static constexpr int E = 16;
  using Sub = SubBlocks<E>;

  struct Result {
    uint8_t q[E * 16]; ///< plus QHalf
    uint8_t scale[16]; ///< plus SHalf
    uint16_t d[1];
  };

  FLAGRELEASE_KERNEL void code(F32x16 &q, const F32x16 &x, const F32x16 &inverse) {
    q = x * inverse;
    clamp(q, static_cast<float>(-QHalf), static_cast<float>(QHalf - 1));
    roundEven(q);
  }

  /// Codes for 1 / inverse, the least-squares scale for these, and by how much it lessens the sum of squares.
  FLAGRELEASE_KERNEL void fitScale(const Sub &sub, const F32x16 &inverse, F32x16 &s, F32x16 &gain) {
    F32x16 sumQQ(0.0f), sumXQ(0.0f), inverseQQ;
    for (int e = 0; e < E; ++e) {
      F32x16 q;
      code(q, sub.x[e], inverse);
      sumQQ += q * q;
      sumXQ += sub.x[e] * q;
    }
    invert(inverseQQ, sumQQ);
    s = sumXQ * inverseQQ;
    gain = sumXQ * s;
  }

  FLAGRELEASE_KERNEL void errorOf(const Sub &sub, const F32x16 &s, F32x16 &error) {
    F32x16 inverse;
    invert(inverse, s);
    error = F32x16(0.0f);
    for (int e = 0; e < E; ++e) {
      F32x16 q;
      code(q, sub.x[e], inverse);
      F32x16 off = sub.x[e] - s * q;
      error += off * off;
    }
  }

  FLAGRELEASE_KERNEL void keepBetter(F32x16 &s, F32x16 &gain, const F32x16 &nextS, const F32x16 &nextGain) {
    I32x16 better = nextGain > gain * 1.000001f; // by more than rounding does
    s = better ? nextS : s;
    gain = better ? nextGain : gain;
  }

  FLAGRELEASE_KERNEL void run(const float *in, int64_t elements, Result &result) {
    Sub sub;
    Sub::read(sub, in, elements);
    F32x16 low = sub.x[0], high = sub.x[0];
    for (int e = 0; e < E; ++e) {
      low = sub.x[e] < low ? sub.x[e] : low;
      high = sub.x[e] > high ? sub.x[e] : high;
    }
    // The largest magnitude becomes -QHalf, or QHalf - 1 with the other sign of the scale, or something nearby.
    F32x16 largest = -low > high ? low : high, perLargest, s, gain, nextS, nextGain, inverse;
    invert(perLargest, largest);
    fitScale(sub, perLargest * static_cast<float>(-QHalf), s, gain);
    for (int step = StepFrom; step <= StepTo; step += StepBy) {
      if (step == 0)
        continue;
      fitScale(sub, perLargest * (static_cast<float>(step) * -0.125f - QHalf), nextS, nextGain);
      keepBetter(s, gain, nextS, nextGain);
    }
    for (int again = 0; again < kLloyd; ++again) {
      invert(inverse, s);
      fitScale(sub, inverse, nextS, nextGain);
      keepBetter(s, gain, nextS, nextGain);
    }

    float most = 0;
    for (int lane = 0; lane < 16; ++lane)
      most = (s[lane] < 0 ? -s[lane] : s[lane]) > (most < 0 ? -most : most) ? s[lane] : most;
    float common;
    commonNumber(most / -SHalf, sub.unit[0], result.d[0], common);
    F32x16 scale, error;
    chooseScales(sub, s, common, scale, error);
    if (unevenScales<16>(s, most < 0 ? -most : most, 0))
      for (int part = 15; part > 7; --part) {
        uint16_t half;
        float tried;
        commonNumber(most / -SHalf * (16.0f / static_cast<float>(part)), sub.unit[0], half, tried);
        F32x16 otherScale, otherError;
        chooseScales(sub, s, tried, otherScale, otherError);
        float before[1], after[1];
        sumLanes(before, error);
        sumLanes(after, otherError);
        if (after[0] < before[0])
          result.d[0] = half, common = tried, scale = otherScale, error = otherError;
      }
    for (int again = 0; again < kRefits; ++again)
      refit(sub, scale, common, error, result);

    F32x16 q[E];
    invert(inverse, common * scale);
    for (int e = 0; e < E; ++e)
      code(q[e], sub.x[e], inverse);
    writeCodes(result.q, q, QHalf);
    writeScales(result.scale, scale, SHalf);
    if (sub.constant[0]) {
      ConstantSymmetric fit;
      fitConstant<QHalf, SHalf>(Sub::numberOf(sub, 0), fit);
      result.d[0] = fit.d;
      std::memset(result.q, fit.q + QHalf, sizeof result.q);
      std::memset(result.scale, fit.scale + SHalf, sizeof result.scale);
    }
  }

  FLAGRELEASE_KERNEL void chooseScales(const Sub &sub, const F32x16 &s, float d, F32x16 &scale, F32x16 &error) {
    F32x16 middle = s * (d != 0 ? 1.0f / d : 0.0f);
    clamp(middle, -SHalf, SHalf - 1);
    roundEven(middle);
    scale = middle;
    errorOf(sub, d * scale, error);
    for (float move : {-1.0f, 1.0f}) {
      F32x16 tried = middle + move, seen;
      clamp(tried, -SHalf, SHalf - 1);
      errorOf(sub, d * tried, seen);
      I32x16 better = seen < error;
      scale = better ? tried : scale;
      error = better ? seen : error;
    }
  }

  /// The common number by least squares over the super-block.
  FLAGRELEASE_KERNEL void refit(const Sub &sub, const F32x16 &scale, float &d, F32x16 &error, Result &result) {
    F32x16 inverse, sumQQ(0.0f), sumXQ(0.0f);
    invert(inverse, d * scale);
    for (int e = 0; e < E; ++e) {
      F32x16 q;
      code(q, sub.x[e], inverse);
      sumQQ += q * q;
      sumXQ += sub.x[e] * q;
    }
    float aa[1], xa[1], before[1], after[1], tried;
    sumLanes(aa, scale * scale * sumQQ);
    sumLanes(xa, scale * sumXQ);
    uint16_t half;
    commonNumber(aa[0] > 0 ? xa[0] / aa[0] : 0, sub.unit[0], half, tried);
    F32x16 seen;
    errorOf(sub, tried * scale, seen);
    sumLanes(before, error);
    sumLanes(after, seen);
    if (after[0] < before[0])
      result.d[0] = half, d = tried, error = seen;
  }

  static constexpr int kLloyd = 2, kRefits = 1;
};

} // namespace flagrelease::codecs
