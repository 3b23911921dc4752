#include "validators/Metrics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace flagrelease {

namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// x / y where 0 / 0 is "no difference" and x / 0 is "all wrong".
double ratio(double x, double y) { return x == 0 ? 0 : y == 0 ? kInfinity : x / y; }

/// log(sum(exp(row))) of a row without NaN and +inf; -inf entries have no weight.
double logSumExp(llvm::ArrayRef<double> row, double largest) {
  double sum = 0;
  for (double v : row)
    sum += std::exp(v - largest);
  return largest + std::log(sum);
}

/// Infinite where either row is no distribution: NaN, +inf, or nothing but -inf.
double divergence(llvm::ArrayRef<double> got, llvm::ArrayRef<double> ref) {
  auto largest = [](llvm::ArrayRef<double> row) {
    double most = -kInfinity;
    for (double v : row) {
      if (std::isnan(v))
        return v;
      most = std::max(most, v);
    }
    return most;
  };
  const double mostGot = largest(got), mostRef = largest(ref);
  if (!std::isfinite(mostGot) || !std::isfinite(mostRef))
    return kInfinity;
  const double normGot = logSumExp(got, mostGot), normRef = logSumExp(ref, mostRef);
  double sum = 0;
  for (size_t i = 0; i < ref.size(); ++i)
    if (const double logP = ref[i] - normRef; logP > -kInfinity)
      sum += std::exp(logP) * (logP - (got[i] - normGot));
  // It is never negative but for rounding.
  return std::isnan(sum) ? kInfinity : std::max(sum, 0.0);
}

/// Indices of the k largest, the first of equals first; NaN last.
std::vector<int64_t> largest(llvm::ArrayRef<double> row, int64_t k) {
  std::vector<int64_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  auto before = [&](int64_t a, int64_t b) {
    const double x = std::isnan(row[a]) ? -kInfinity : row[a], y = std::isnan(row[b]) ? -kInfinity : row[b];
    return x > y || (x == y && a < b);
  };
  k = std::min<int64_t>(k, row.size());
  std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

double sharedLargest(llvm::ArrayRef<double> got, llvm::ArrayRef<double> ref, int64_t k) {
  const std::vector<int64_t> a = largest(got, k), b = largest(ref, k);
  std::vector<int64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return b.empty() ? 1 : static_cast<double>(both.size()) / static_cast<double>(b.size());
}

/// (max - min) / max|.| of the finite elements; 0 for a row of zeros.
double spread(llvm::ArrayRef<double> row) {
  double low = kInfinity, high = -kInfinity, most = 0;
  for (double v : row)
    if (std::isfinite(v)) {
      low = std::min(low, v);
      high = std::max(high, v);
      most = std::max(most, std::abs(v));
    }
  return most == 0 ? 0 : (high - low) / most;
}
} // namespace

int64_t rowWidth(const HostTensor &tensor) { return tensor.shape.empty() ? 1 : tensor.shape.back(); }

int64_t rowCount(const HostTensor &tensor) {
  int64_t rows = 1;
  for (size_t d = 0; d + 1 < tensor.shape.size(); ++d)
    rows *= tensor.shape[d];
  return rows;
}

std::vector<double> rowOf(const HostTensor &tensor, int64_t row) {
  const int64_t width = rowWidth(tensor);
  std::vector<double> values(width);
  if (tensor.type == DType::F32) {
    const float *from = tensor.as<float>() + row * width;
    std::copy_n(from, width, values.data());
  } else {
    for (int64_t i = 0; i < width; ++i)
      values[i] = tensor.at(row * width + i);
  }
  return values;
}

std::vector<double> logSoftmax(std::vector<double> row) {
  if (row.empty())
    return row;
  const double norm = logSumExp(row, *std::max_element(row.begin(), row.end()));
  for (double &value : row)
    value -= norm;
  return row;
}

int64_t argMax(llvm::ArrayRef<double> row) {
  int64_t best = 0;
  for (size_t i = 1; i < row.size(); ++i)
    if (row[i] > row[best] || (std::isnan(row[best]) && !std::isnan(row[i])))
      best = static_cast<int64_t>(i);
  return best;
}

double topMargin(llvm::ArrayRef<double> row) {
  if (row.size() < 2)
    return 0;
  const int64_t best = argMax(row);
  double second = -kInfinity;
  for (size_t i = 0; i < row.size(); ++i)
    if (static_cast<int64_t>(i) != best && row[i] > second)
      second = row[i];
  return row[best] - second;
}

void Distance::merge(const Distance &other) {
  auto worse = [](std::optional<double> a, std::optional<double> b, auto pick) {
    return a && b ? std::optional(pick(*a, *b)) : a ? a : b;
  };
  auto most = [](double a, double b) { return std::max(a, b); };
  auto least = [](double a, double b) { return std::min(a, b); };
  nmse = most(nmse, other.nmse);
  maxAbs = most(maxAbs, other.maxAbs);
  maxRelative = most(maxRelative, other.maxRelative);
  cosine = least(cosine, other.cosine);
  kl = worse(kl, other.kl, most);
  topK = worse(topK, other.topK, least);
  logprob = worse(logprob, other.logprob, most);
  rows += other.rows;
  notFinite += other.notFinite;
  constantRows += other.constantRows;
}

void DistanceGroup::add(const HostTensor &got, const RowSelection &rowsGot, const HostTensor &ref, const RowSelection &rowsRef) {
  assert(rowsGot.size() == rowsRef.size() && rowWidth(got) == rowWidth(ref) && "the caller compares shapes");
  for (size_t r = 0; r < rowsRef.size(); ++r) {
    const std::vector<double> x = rowOf(got, rowsGot[r]), y = rowOf(ref, rowsRef[r]);
    double dot = 0, xx = 0, yy = 0;
    bool broken = false;
    for (size_t i = 0; i < y.size(); ++i) {
      const bool same = x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]));
      if (same && !std::isfinite(y[i]))
        continue;
      if (!std::isfinite(x[i]) || !std::isfinite(y[i])) {
        broken = true;
        if (std::isfinite(y[i]))
          ++sum.notFinite;
        continue;
      }
      const double difference = x[i] - y[i];
      squares += difference * difference;
      sum.maxAbs = std::max(sum.maxAbs, std::abs(difference));
      referenceSquares += y[i] * y[i];
      referenceMax = std::max(referenceMax, std::abs(y[i]));
      dot += x[i] * y[i], xx += x[i] * x[i], yy += y[i] * y[i];
    }
    double cosine = xx == 0 && yy == 0 ? 1 : xx == 0 || yy == 0 ? 0 : dot / (std::sqrt(xx) * std::sqrt(yy));
    if (broken) {
      squares = sum.maxAbs = kInfinity;
      cosine = -1;
    }
    sum.cosine = std::min(sum.cosine, std::clamp(cosine, -1.0, 1.0));
    if (options.distribution) {
      sum.kl = std::max(sum.kl.value_or(0), broken ? kInfinity : divergence(x, y));
      sum.topK = std::min(sum.topK.value_or(1), broken ? 0 : sharedLargest(x, y, options.k));
    }
    if (options.constant.referenceSpread > 0 && y.size() > 1 && spread(x) <= options.constant.spread &&
        spread(y) > options.constant.referenceSpread && !broken)
      ++sum.constantRows;
    ++sum.rows;
  }
}

Distance DistanceGroup::finish() const {
  Distance result = sum;
  result.nmse = ratio(squares, referenceSquares);
  result.maxRelative = ratio(sum.maxAbs, referenceMax);
  return result;
}

Distance distance(const HostTensor &got, const HostTensor &ref, const DistanceOptions &options) {
  assert(got.shape == ref.shape && "the caller compares shapes");
  RowSelection rows(rowCount(ref));
  std::iota(rows.begin(), rows.end(), 0);
  DistanceGroup group(options);
  group.add(got, rows, ref, rows);
  return group.finish();
}

} // namespace flagrelease
