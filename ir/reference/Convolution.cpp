// Reference functions of the ops over spatial dimensions. Everything is computed as if there were three of them.
#include "ir/reference/Reference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

using namespace flagrelease;
using namespace mlir;

namespace {
#define REF_PARAMS Operation *op, MutableArrayRef<RefTensor<T> *> in, MutableArrayRef<RefTensor<T>> out, RefContext<T> &context

using Spatial = std::array<int64_t, 3>;

/// The last entries of a list, with `fill` for the dimensions that are not there.
template <typename List> Spatial spatial(const List &list, int64_t fill) {
  Spatial all{fill, fill, fill};
  const int64_t missing = 3 - static_cast<int64_t>(list.size());
  for (int64_t d = missing; d < 3; ++d)
    all[d] = list[d - missing];
  return all;
}
template <typename T> Spatial spatialOf(const RefTensor<T> &x) {
  return spatial(llvm::ArrayRef<int64_t>(x.shape).drop_front(2), 1);
}
int64_t volume(const Spatial &s) { return s[0] * s[1] * s[2]; }

template <typename Visit> void forAll(const Spatial &size, Visit visit) {
  for (int64_t a = 0; a < size[0]; ++a)
    for (int64_t b = 0; b < size[1]; ++b)
      for (int64_t c = 0; c < size[2]; ++c)
        visit(Spatial{a, b, c});
}
int64_t flat(const Spatial &at, const Spatial &size) { return (at[0] * size[1] + at[1]) * size[2] + at[2]; }

/// Columns of a kernel's window: the patch under each output position is a row of [positions, channels * kernel], so that the
/// product with the kernel is a matrix product.
template <typename T> LogicalResult conv(REF_PARAMS) {
  auto convOp = cast<fr::ConvOp>(op);
  const RefTensor<T> &x = *in[0], &w = *in[1];
  const Spatial size = spatialOf(x), kernel = spatialOf(w), result = spatialOf(out[0]);
  const Spatial stride = spatial(convOp.getStrides(), 1), low = spatial(convOp.getLow(), 0),
                dilation = spatial(convOp.getDilations(), 1);
  const int64_t groups = convOp.getGroups(), batch = x.shape[0], channels = x.shape[1], outs = w.shape[0];
  const int64_t inGroup = channels / groups, outGroup = outs / groups, patch = inGroup * volume(kernel);
  const int64_t positions = volume(result), area = volume(size);
  // As many positions at a time as the bound on memory allows.
  const int64_t tile =
      std::clamp<int64_t>(context.tileBytes / std::max<int64_t>(1, patch * sizeof(T)), 1, std::max<int64_t>(1, positions));
  std::vector<T> columns(tile * patch), product(tile * outGroup);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t first = 0; first < positions; first += tile) {
        const int64_t count = std::min(tile, positions - first);
        for (int64_t p = 0; p < count; ++p) {
          const int64_t at = first + p;
          const Spatial to{at / (result[1] * result[2]), at / result[2] % result[1], at % result[2]};
          T *row = columns.data() + p * patch;
          for (int64_t c = 0; c < inGroup; ++c) {
            const T *plane = x.f.data() + (b * channels + g * inGroup + c) * area;
            forAll(kernel, [&](const Spatial &k) {
              Spatial from;
              bool inside = true;
              for (int d = 0; d < 3; ++d) {
                from[d] = to[d] * stride[d] - low[d] + k[d] * dilation[d];
                inside &= from[d] >= 0 && from[d] < size[d];
              }
              *row++ = inside ? plane[flat(from, size)] : T(0);
            });
          }
        }
        matmulTransposed(count, outGroup, patch, columns.data(), w.f.data() + g * outGroup * patch, product.data(), outGroup);
        for (int64_t p = 0; p < count; ++p)
          for (int64_t o = 0; o < outGroup; ++o)
            out[0].f[(b * outs + g * outGroup + o) * positions + first + p] =
                product[p * outGroup + o] + (in.size() > 2 ? in[2]->f[g * outGroup + o] : T(0));
      }
  return success();
}

template <typename T> LogicalResult convTranspose(REF_PARAMS) {
  auto convOp = cast<fr::ConvTransposeOp>(op);
  const RefTensor<T> &x = *in[0], &w = *in[1];
  const Spatial size = spatialOf(x), kernel = spatialOf(w), result = spatialOf(out[0]);
  const Spatial stride = spatial(convOp.getStrides(), 1), low = spatial(convOp.getLow(), 0),
                dilation = spatial(convOp.getDilations(), 1);
  const int64_t groups = convOp.getGroups(), batch = x.shape[0], channels = x.shape[1], outGroup = w.shape[1];
  const int64_t inGroup = channels / groups, outs = outGroup * groups, area = volume(size), positions = volume(result);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t o = 0; o < outs; ++o)
      std::fill_n(out[0].f.data() + (b * outs + o) * positions, positions, in.size() > 2 ? in[2]->f[o] : T(0));
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t o = 0; o < outGroup; ++o) {
        const T *plane = x.f.data() + (b * channels + c) * area;
        const T *weights = w.f.data() + (c * outGroup + o) * volume(kernel);
        T *to = out[0].f.data() + (b * outs + c / inGroup * outGroup + o) * positions;
        forAll(size, [&](const Spatial &from) {
          const T value = plane[flat(from, size)];
          forAll(kernel, [&](const Spatial &k) {
            Spatial at;
            for (int d = 0; d < 3; ++d) {
              at[d] = from[d] * stride[d] - low[d] + k[d] * dilation[d];
              if (at[d] < 0 || at[d] >= result[d])
                return;
            }
            to[flat(at, result)] += value * weights[flat(k, kernel)];
          });
        });
      }
  return success();
}

template <typename T> LogicalResult pool(REF_PARAMS) {
  auto poolOp = cast<fr::PoolOp>(op);
  const Spatial size = spatialOf(*in[0]), result = spatialOf(out[0]), kernel = spatial(poolOp.getKernel(), 1);
  const Spatial stride = spatial(poolOp.getStrides(), 1), low = spatial(poolOp.getLow(), 0);
  const bool isMax = poolOp.getKind() == fr::PoolKind::Max;
  for (int64_t plane = 0, planes = in[0]->shape[0] * in[0]->shape[1]; plane < planes; ++plane) {
    const T *x = in[0]->f.data() + plane * volume(size);
    T *y = out[0].f.data() + plane * volume(result);
    forAll(result, [&](const Spatial &to) {
      T total = isMax ? -std::numeric_limits<T>::infinity() : T(0);
      int64_t count = 0;
      forAll(kernel, [&](const Spatial &k) {
        Spatial from;
        for (int d = 0; d < 3; ++d) {
          from[d] = to[d] * stride[d] - low[d] + k[d];
          if (from[d] < 0 || from[d] >= size[d])
            return;
        }
        const T value = x[flat(from, size)];
        total = isMax ? std::max(total, value) : total + value;
        ++count;
      });
      y[flat(to, result)] =
          isMax ? total : total / static_cast<T>(poolOp.getCountMargin() ? volume(kernel) : std::max<int64_t>(1, count));
    });
  }
  return success();
}

/// Samples and their shares for place `i` of n among m samples along one dimension.
template <typename T> struct Taps {
  std::array<int64_t, 4> at;
  std::array<T, 4> share;
  int count;
};
template <typename T> Taps<T> tapsAt(int64_t i, int64_t n, int64_t m, fr::Interpolation mode, bool alignCorners) {
  Taps<T> taps{{}, {}, 1};
  auto clamped = [&](int64_t j) { return std::clamp<int64_t>(j, 0, m - 1); };
  if (mode == fr::Interpolation::Nearest) {
    taps.at[0] = clamped(i * m / n);
    taps.share[0] = T(1);
    return taps;
  }
  const T ratio =
      alignCorners ? (n > 1 ? static_cast<T>(m - 1) / static_cast<T>(n - 1) : T(0)) : static_cast<T>(m) / static_cast<T>(n);
  T place = alignCorners ? static_cast<T>(i) * ratio : (static_cast<T>(i) + T(0.5)) * ratio - T(0.5);
  if (mode == fr::Interpolation::Linear) {
    place = std::max(place, T(0));
    const int64_t first = clamped(static_cast<int64_t>(std::floor(place)));
    const T rest = std::min(place - static_cast<T>(first), T(1));
    return {{first, clamped(first + 1), 0, 0}, {T(1) - rest, rest, 0, 0}, 2};
  }
  const int64_t first = static_cast<int64_t>(std::floor(place));
  const T t = place - static_cast<T>(first), a = T(-0.75);
  auto inner = [&](T x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  auto outer = [&](T x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  return {{clamped(first - 1), clamped(first), clamped(first + 1), clamped(first + 2)},
          {outer(t + 1), inner(t), inner(1 - t), outer(2 - t)},
          4};
}

template <typename T> LogicalResult interpolate(REF_PARAMS) {
  auto resize = cast<fr::InterpolateOp>(op);
  const Spatial size = spatialOf(*in[0]), result = spatialOf(out[0]);
  std::array<std::vector<Taps<T>>, 3> taps;
  for (int d = 0; d < 3; ++d)
    for (int64_t i = 0; i < result[d]; ++i)
      taps[d].push_back(tapsAt<T>(i, result[d], size[d], size[d] == result[d] ? fr::Interpolation::Nearest : resize.getMode(),
                                  resize.getAlignCorners()));
  for (int64_t plane = 0, planes = in[0]->shape[0] * in[0]->shape[1]; plane < planes; ++plane) {
    const T *x = in[0]->f.data() + plane * volume(size);
    T *y = out[0].f.data() + plane * volume(result);
    forAll(result, [&](const Spatial &to) {
      const Taps<T> &u = taps[0][to[0]], &v = taps[1][to[1]], &w = taps[2][to[2]];
      T sum = 0;
      for (int i = 0; i < u.count; ++i)
        for (int j = 0; j < v.count; ++j)
          for (int k = 0; k < w.count; ++k)
            sum += u.share[i] * v.share[j] * w.share[k] * x[flat({u.at[i], v.at[j], w.at[k]}, size)];
      y[flat(to, result)] = sum;
    });
  }
  return success();
}

template <typename T> LogicalResult groupNorm(REF_PARAMS) {
  auto norm = cast<fr::GroupNormOp>(op);
  const T eps = static_cast<T>(norm.getEps().convertToDouble());
  const RefTensor<T> *weight = norm.getWeight() ? in[1] : nullptr;
  const RefTensor<T> *bias = norm.getBias() ? in[norm.getWeight() ? 2 : 1] : nullptr;
  const int64_t channels = in[0]->shape[1], groups = norm.getGroups(), perGroup = channels / groups;
  const int64_t area = channels ? in[0]->elements() / (in[0]->shape[0] * channels) : 0, width = perGroup * area;
  for (int64_t group = 0; group < in[0]->shape[0] * groups; ++group) {
    const T *x = in[0]->f.data() + group * width;
    T *y = out[0].f.data() + group * width;
    T mean = 0, variance = 0;
    for (int64_t i = 0; i < width; ++i)
      mean += x[i];
    mean /= static_cast<T>(width);
    for (int64_t i = 0; i < width; ++i)
      variance += (x[i] - mean) * (x[i] - mean);
    const T scale = T(1) / std::sqrt(variance / static_cast<T>(width) + eps);
    for (int64_t i = 0; i < width; ++i) {
      const int64_t channel = group % groups * perGroup + i / area;
      y[i] = (x[i] - mean) * scale * (weight ? weight->f[channel] : T(1)) + (bias ? bias->f[channel] : T(0));
    }
  }
  return success();
}
} // namespace

template <typename T> ArrayRef<RefEntry<T>> flagrelease::convolutionReference() {
  static const RefEntry<T> table[] = {
      {"fr.conv", &conv<T>},
      {"fr.conv_transpose", &convTranspose<T>},
      {"fr.pool", &pool<T>},
      {"fr.interpolate", &interpolate<T>},
      {"fr.group_norm", &groupNorm<T>},
  };
  return table;
}

namespace flagrelease {
template ArrayRef<RefEntry<float>> convolutionReference<float>();
template ArrayRef<RefEntry<double>> convolutionReference<double>();
} // namespace flagrelease
