#include "ir/Rope.h"

#include <algorithm>
#include <cmath>

using namespace flagrelease;

namespace {
/// theta ^ (2j / dim) as f32, from an exponent that is f32 already.
std::vector<float> powers(double theta, int64_t dim) {
  std::vector<float> out(dim / 2);
  for (int64_t j = 0; j < dim / 2; ++j)
    out[j] = static_cast<float>(std::pow(theta, static_cast<double>(static_cast<float>(2 * j) / static_cast<float>(dim))));
  return out;
}
} // namespace

std::pair<double, double> flagrelease::yarnRange(double betaFast, double betaSlow, int64_t dim, double theta, int64_t originalMax,
                                                 bool truncate) {
  const double pi = 3.14159265358979323846;
  auto index = [&](double rotations) { return dim * std::log(originalMax / (rotations * 2 * pi)) / (2 * std::log(theta)); };
  double low = index(betaFast), high = index(betaSlow);
  if (truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  return {std::max(low, 0.0), std::min(high, static_cast<double>(dim - 1))};
}

bool flagrelease::ropeDependsOnLength(fr::RopeTableOp op) {
  return op.getKind() == fr::RopeKind::Dynamic || op.getKind() == fr::RopeKind::Longrope;
}

std::vector<float> flagrelease::ropeFrequencies(fr::RopeTableOp op, int64_t length) {
  const int64_t dim = op.getDim(), half = dim / 2;
  double theta = op.getTheta().convertToDouble();
  auto number = [](std::optional<llvm::APFloat> value, double absent) { return value ? value->convertToDouble() : absent; };
  const float factor = static_cast<float>(number(op.getFactor(), 1.0));
  std::vector<float> inv(half);

  switch (op.getKind()) {
  case fr::RopeKind::Default:
  case fr::RopeKind::Linear: {
    std::vector<float> p = powers(theta, dim);
    for (int64_t j = 0; j < half; ++j) {
      inv[j] = 1.0f / p[j];
      if (op.getKind() == fr::RopeKind::Linear)
        inv[j] /= factor;
    }
    return inv;
  }
  case fr::RopeKind::Dynamic: {
    int64_t originalMax = *op.getOriginalMax();
    float ratio = factor * static_cast<float>(std::max(length, originalMax)) / static_cast<float>(originalMax) - (factor - 1.0f);
    float grown =
        static_cast<float>(theta) * static_cast<float>(std::pow(static_cast<double>(ratio), dim / static_cast<double>(dim - 2)));
    std::vector<float> p = powers(length > originalMax ? grown : theta, dim);
    for (int64_t j = 0; j < half; ++j)
      inv[j] = 1.0f / p[j];
    return inv;
  }
  case fr::RopeKind::Llama3: {
    const double pi = 3.14159265358979323846;
    const double lowFactor = number(op.getLowFreqFactor(), 1.0), highFactor = number(op.getHighFreqFactor(), 4.0);
    const double original = static_cast<double>(*op.getOriginalMax());
    const double lowWavelength = original / lowFactor, highWavelength = original / highFactor;
    std::vector<float> p = powers(theta, dim);
    for (int64_t j = 0; j < half; ++j) {
      float f = 1.0f / p[j];
      float wavelength = static_cast<float>(2 * pi) / f;
      if (wavelength < highWavelength) {
        inv[j] = f;
      } else if (wavelength > lowWavelength) {
        inv[j] = f / factor;
      } else {
        float smooth = (static_cast<float>(original) / wavelength - static_cast<float>(lowFactor)) /
                       static_cast<float>(highFactor - lowFactor);
        inv[j] = (1.0f - smooth) * (f / factor) + smooth * f;
      }
    }
    return inv;
  }
  case fr::RopeKind::Yarn: {
    auto [low, high] = yarnRange(number(op.getBetaFast(), 32.0), number(op.getBetaSlow(), 1.0), dim, theta, *op.getOriginalMax(),
                                 op.getTruncate());
    if (low == high)
      high += 0.001; // as the published formula does: no division by zero
    std::vector<float> p = powers(theta, dim);
    for (int64_t j = 0; j < half; ++j) {
      float ramp = std::clamp((static_cast<float>(j) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
      float keep = 1.0f - ramp;
      inv[j] = (1.0f / (factor * p[j])) * (1.0f - keep) + (1.0f / p[j]) * keep;
    }
    return inv;
  }
  case fr::RopeKind::Longrope: {
    llvm::ArrayRef<double> factors = length > *op.getOriginalMax() ? *op.getLongFactor() : *op.getShortFactor();
    std::vector<float> p = powers(theta, dim);
    for (int64_t j = 0; j < half; ++j)
      inv[j] = 1.0f / (static_cast<float>(factors[j]) * p[j]);
    return inv;
  }
  case fr::RopeKind::Proportional: {
    std::vector<float> p = powers(theta, dim);
    for (int64_t j = 0; j < half; ++j)
      inv[j] = j < *op.getAngles() ? 1.0f / p[j] / factor : 0.0f;
    return inv;
  }
  }
  llvm_unreachable("all kinds are listed");
}
