// The search of weights/codecs/KSearch.h for x = d * scale * q - dmin * offset: q2_k, q4_k, q5_k.
#pragma once

#include "weights/codecs/KConstant.h"

namespace flagrelease::codecs {

/// q in 0 ... QMax, scale and offset in 0 ... SMax; sub-blocks of E. Steps[] / 8 is added to QMax in turn.
template <int E, int QMax, int SMax, int StepFrom, int StepTo, int StepBy> struct AffineSearch {
  using Sub = SubBlocks<E>;
  static constexpr int kSupers = Sub::kSupers;

  struct Result {
    uint8_t q[E * 16];
    uint8_t scale[16], offset[16];
    uint16_t d[kSupers], dmin[kSupers];
  };

  FLAGRELEASE_KERNEL void code(F32x16 &q, const F32x16 &x, const F32x16 &m, const F32x16 &inverse) {
    q = (x + m) * inverse;
    clamp(q, 0.0f, static_cast<float>(QMax));
    roundEven(q);
  }

  /// Codes for (1 / inverse, m), then the least-squares s and m for these, m >= 0, and the error.
  FLAGRELEASE_KERNEL void fitLine(const Sub &sub, const F32x16 &sumX, const F32x16 &sumXX, const F32x16 &offset,
                                  const F32x16 &inverse, F32x16 &s, F32x16 &m, F32x16 &error) {
    F32x16 sumQ(0.0f), sumQQ(0.0f), sumXQ(0.0f);
    for (int e = 0; e < E; ++e) {
      F32x16 q;
      code(q, sub.x[e], offset, inverse);
      sumQ += q;
      sumQQ += q * q;
      sumXQ += sub.x[e] * q;
    }
    const float n = E;
    F32x16 determinant = n * sumQQ - sumQ * sumQ, inverseOf;
    invert(inverseOf, determinant);
    s = (n * sumXQ - sumX * sumQ) * inverseOf;
    m = (s * sumQ - sumX) * (1.0f / n);
    F32x16 alone, inverseQQ;
    invert(inverseQQ, sumQQ);
    alone = sumXQ * inverseQQ;
    s = m < 0.0f ? alone : s;
    m = m < 0.0f ? F32x16(0.0f) : m;
    s = s > 0.0f ? s : F32x16(0.0f);
    error = sumXX + s * (s * sumQQ - 2.0f * sumXQ) + m * (n * m + 2.0f * (sumX - s * sumQ));
  }

  /// The error after decoding with these numbers.
  FLAGRELEASE_KERNEL void errorOf(const Sub &sub, const F32x16 &s, const F32x16 &m, F32x16 &error) {
    F32x16 inverse;
    invert(inverse, s);
    error = F32x16(0.0f);
    for (int e = 0; e < E; ++e) {
      F32x16 q;
      code(q, sub.x[e], m, inverse);
      F32x16 off = sub.x[e] + m - s * q;
      error += off * off;
    }
  }

  /// Integer scales near s / d and m / dmin with the smallest error.
  FLAGRELEASE_KERNEL void chooseScales(const Sub &sub, const F32x16 &sumX, const F32x16 &s, const F32x16 &m, const F32x16 &d,
                                       const F32x16 &dmin, F32x16 &scale, F32x16 &offset, F32x16 &error) {
    F32x16 inverseD, inverseMin;
    invert(inverseD, d);
    invert(inverseMin, dmin);
    F32x16 middle = s * inverseD, first = m * inverseMin;
    clamp(middle, 0.0f, SMax);
    roundEven(middle);
    clamp(first, 0.0f, SMax);
    roundEven(first);
    scale = middle, offset = first;
    errorOf(sub, d * scale, dmin * offset, error);
    for (float move : {-1.0f, 0.0f, 1.0f}) {
      F32x16 tried = middle + move;
      clamp(tried, 0.0f, SMax);
      F32x16 step = d * tried, inverse, sumQ(0.0f), start = dmin * first;
      invert(inverse, step);
      for (int e = 0; e < E; ++e) {
        F32x16 q;
        code(q, sub.x[e], start, inverse);
        sumQ += q;
      }
      F32x16 best = (step * sumQ - sumX) * (1.0f / E) * inverseMin, seen;
      clamp(best, 0.0f, SMax);
      roundEven(best);
      errorOf(sub, step, dmin * best, seen);
      I32x16 better = seen < error;
      scale = better ? tried : scale;
      offset = better ? best : offset;
      error = better ? seen : error;
    }
  }

  struct Common {
    uint16_t d[kSupers], dmin[kSupers];
  };
  /// Common numbers with which the largest scale and offset just fit, times a factor each.
  FLAGRELEASE_KERNEL void scaledCommon(const Sub &sub, const float (&most)[kSupers], const float (&mostM)[kSupers], float factor,
                                       float factorM, Common &common, F32x16 &d, F32x16 &dmin) {
    float commonD[kSupers], commonMin[kSupers];
    for (int p = 0; p < kSupers; ++p) {
      commonNumber(most[p] / SMax * factor, sub.unit[p], common.d[p], commonD[p]);
      commonNumber(mostM[p] / SMax * factorM, sub.unit[p], common.dmin[p], commonMin[p]);
    }
    spread(d, commonD);
    spread(dmin, commonMin);
  }

  FLAGRELEASE_KERNEL void run(const float *in, int64_t elements, Result &result) {
    Sub sub;
    Sub::read(sub, in, elements);
    F32x16 low(0.0f), high = sub.x[0], sumX(0.0f), sumXX(0.0f);
    for (int e = 0; e < E; ++e) {
      low = sub.x[e] < low ? sub.x[e] : low;
      high = sub.x[e] > high ? sub.x[e] : high;
      sumX += sub.x[e];
      sumXX += sub.x[e] * sub.x[e];
    }
    F32x16 perWidth;
    invert(perWidth, high - low);
    // The whole range first; others must be better by more than what rounding does to the error.
    F32x16 s, m, error, nextS, nextM, nextError, noise = sumXX * 1e-6f;
    fitLine(sub, sumX, sumXX, -low, perWidth * static_cast<float>(QMax), s, m, error);
    for (int step = StepFrom; step <= StepTo; step += StepBy) {
      if (step == 0)
        continue;
      fitLine(sub, sumX, sumXX, -low, perWidth * (QMax + static_cast<float>(step) * 0.125f), nextS, nextM, nextError);
      I32x16 better = nextError + noise < error;
      s = better ? nextS : s;
      m = better ? nextM : m;
      error = better ? nextError : error;
    }
    for (int again = 0; again < kLloyd; ++again) {
      F32x16 inverse;
      invert(inverse, s);
      fitLine(sub, sumX, sumXX, m, inverse, nextS, nextM, nextError);
      I32x16 better = nextError + noise < error;
      s = better ? nextS : s;
      m = better ? nextM : m;
      error = better ? nextError : error;
    }
    // A sub-block of one value has no line.
    s = high > low ? s : F32x16(0.0f);
    m = high > low ? m : -low;

    F32x16 d, dmin, scale, offset;
    float most[kSupers], mostM[kSupers];
    bool uneven[kSupers], anyUneven = false;
    for (int p = 0; p < kSupers; ++p) {
      most[p] = mostM[p] = 0;
      for (int lane = p * Sub::kLanes; lane < (p + 1) * Sub::kLanes; ++lane) {
        most[p] = s[lane] > most[p] ? s[lane] : most[p];
        mostM[p] = m[lane] > mostM[p] ? m[lane] : mostM[p];
      }
      uneven[p] =
          unevenScales<Sub::kLanes>(s, most[p], p * Sub::kLanes) || unevenScales<Sub::kLanes>(m, mostM[p], p * Sub::kLanes);
      anyUneven |= uneven[p];
    }
    Common common;
    scaledCommon(sub, most, mostM, 1, 1, common, d, dmin);
    chooseScales(sub, sumX, s, m, d, dmin, scale, offset, error);
    for (int p = 0; p < kSupers; ++p)
      result.d[p] = common.d[p], result.dmin[p] = common.dmin[p];
    // A super-block's result must not depend on the one beside it: only uneven ones may change here.
    for (int tried = 1; anyUneven && tried < 9; ++tried) {
      F32x16 otherD, otherMin, otherScale, otherOffset, otherError;
      scaledCommon(sub, most, mostM, kLarger[tried / 3], kLarger[tried % 3], common, otherD, otherMin);
      chooseScales(sub, sumX, s, m, otherD, otherMin, otherScale, otherOffset, otherError);
      float before[kSupers], after[kSupers];
      sumLanes(before, error);
      sumLanes(after, otherError);
      for (int p = 0; p < kSupers; ++p) {
        if (!uneven[p] || !(after[p] < before[p]))
          continue;
        result.d[p] = common.d[p], result.dmin[p] = common.dmin[p];
        for (int lane = p * Sub::kLanes; lane < (p + 1) * Sub::kLanes; ++lane) {
          d[lane] = otherD[lane], dmin[lane] = otherMin[lane];
          scale[lane] = otherScale[lane], offset[lane] = otherOffset[lane], error[lane] = otherError[lane];
        }
      }
    }
    for (int again = 0; again < kRefits; ++again)
      refit(sub, scale, offset, d, dmin, error, result);

    F32x16 q[E], stepOf = d * scale, inverse, shift = dmin * offset;
    invert(inverse, stepOf);
    for (int e = 0; e < E; ++e)
      code(q[e], sub.x[e], shift, inverse);
    writeCodes(result.q, q, 0);
    writeScales(result.scale, scale, 0);
    writeScales(result.offset, offset, 0);
    for (int p = 0; p < kSupers; ++p)
      if (sub.constant[p]) {
        ConstantAffine fit;
        fitConstant<QMax, SMax>(Sub::numberOf(sub, p), fit);
        result.d[p] = fit.d, result.dmin[p] = fit.dmin;
        std::memset(result.q + 256 * p, fit.q, 256);
        std::memset(result.scale + Sub::kLanes * p, fit.scale, Sub::kLanes);
        std::memset(result.offset + Sub::kLanes * p, fit.offset, Sub::kLanes);
      }
  }

  /// The common numbers by least squares over the super-block.
  FLAGRELEASE_KERNEL void refit(const Sub &sub, const F32x16 &scale, const F32x16 &offset, F32x16 &d, F32x16 &dmin, F32x16 &error,
                                Result &result) {
    F32x16 step = d * scale, shift = dmin * offset, inverse, sumQ(0.0f), sumQQ(0.0f), sumXQ(0.0f), sumX(0.0f);
    invert(inverse, step);
    for (int e = 0; e < E; ++e) {
      F32x16 q;
      code(q, sub.x[e], shift, inverse);
      sumQ += q;
      sumQQ += q * q;
      sumXQ += sub.x[e] * q;
      sumX += sub.x[e];
    }
    float aa[kSupers], ab[kSupers], bb[kSupers], xa[kSupers], xb[kSupers], newD[kSupers], newMin[kSupers];
    sumLanes(aa, scale * scale * sumQQ);
    sumLanes(ab, scale * offset * sumQ);
    sumLanes(bb, offset * offset * static_cast<float>(E));
    sumLanes(xa, scale * sumXQ);
    sumLanes(xb, offset * sumX);
    uint16_t half[kSupers], halfMin[kSupers];
    for (int p = 0; p < kSupers; ++p) {
      float determinant = aa[p] * bb[p] - ab[p] * ab[p];
      float wantedD = determinant > 0 ? (xa[p] * bb[p] - ab[p] * xb[p]) / determinant : aa[p] > 0 ? xa[p] / aa[p] : 0;
      float wantedMin = determinant > 0 ? (ab[p] * xa[p] - aa[p] * xb[p]) / determinant : bb[p] > 0 ? -xb[p] / bb[p] : 0;
      commonNumber(wantedD > 0 ? wantedD : 0, sub.unit[p], half[p], newD[p]);
      commonNumber(wantedMin > 0 ? wantedMin : 0, sub.unit[p], halfMin[p], newMin[p]);
    }
    F32x16 triedD, triedMin, seen;
    spread(triedD, newD);
    spread(triedMin, newMin);
    errorOf(sub, triedD * scale, triedMin * offset, seen);
    float before[kSupers], after[kSupers];
    sumLanes(before, error);
    sumLanes(after, seen);
    for (int p = 0; p < kSupers; ++p)
      if (after[p] < before[p]) {
        result.d[p] = half[p], result.dmin[p] = halfMin[p];
        for (int lane = p * Sub::kLanes; lane < (p + 1) * Sub::kLanes; ++lane)
          d[lane] = triedD[lane], dmin[lane] = triedMin[lane], error[lane] = seen[lane];
      }
  }

  static constexpr int kLloyd = 2, kRefits = 1;
  static constexpr float kLarger[3] = {1, 1.25f, 1.6f};
};

} // namespace flagrelease::codecs
