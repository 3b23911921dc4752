// Reference functions of layers without attention. Weights are read by rows, so a matrix is never held whole.
#include "ir/reference/Index.h"
#include "ir/reference/Reference.h"

#include <algorithm>
#include <cmath>
#include <map>

using namespace flagrelease;
using namespace mlir;

namespace {
#define REF_PARAMS Operation *op, MutableArrayRef<RefTensor<T> *> in, MutableArrayRef<RefTensor<T>> out, RefContext<T> &context

template <typename T> LogicalResult embedding(REF_PARAMS) {
  RefTensor<T> &table = *in[1];
  int64_t vocabulary = table.shape[0], width = table.shape[1];
  // Each id is read once, however often it occurs: a prompt touches few rows of a large table.
  std::map<int64_t, std::vector<T>> rows;
  for (int64_t token = 0; token < in[0]->elements(); ++token) {
    int64_t id = in[0]->i[token];
    if (id < 0 || id >= vocabulary)
      return context.diags.error("input_ids",
                                 "id " + Twine(id) + " at place " + Twine(token) + " is outside 0.." + Twine(vocabulary - 1),
                                 "use ids of this model's tokenizer");
    const T *row = nullptr;
    if (!table.param) {
      row = table.f.data() + id * width;
    } else {
      auto [it, fresh] = rows.try_emplace(id);
      if (fresh) {
        it->second.resize(width);
        if (failed(context.params.readRows(table.param, id, 1, it->second.data(), context.diags)))
          return failure();
      }
      row = it->second.data();
    }
    std::copy_n(row, width, out[0].f.data() + token * width);
  }
  return success();
}

template <typename T> LogicalResult linear(REF_PARAMS) {
  RefTensor<T> &x = *in[0], &weight = *in[1];
  if (failed(context.materialise(x)) || (in.size() > 2 && failed(context.materialise(*in[2]))))
    return failure();
  int64_t outs = weight.shape[0], width = weight.shape[1], tokens = width ? x.elements() / width : 0;
  int64_t tile = std::clamp<int64_t>(context.tileBytes / std::max<int64_t>(1, width * sizeof(T)), 1, std::max<int64_t>(outs, 1));
  std::vector<T> rows;
  for (int64_t first = 0; first < outs; first += tile) {
    int64_t count = std::min(tile, outs - first);
    const T *block = nullptr;
    if (weight.param) {
      rows.resize(count * width);
      if (failed(context.params.readRows(weight.param, first, count, rows.data(), context.diags)))
        return failure();
      block = rows.data();
    } else {
      block = weight.f.data() + first * width;
    }
    matmulTransposed(tokens, count, width, x.f.data(), block, out[0].f.data() + first, outs);
  }
  if (in.size() > 2)
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t o = 0; o < outs; ++o)
        out[0].f[t * outs + o] += in[2]->f[o];
  return success();
}

template <typename T> LogicalResult matmul(REF_PARAMS) {
  const RefTensor<T> &a = *in[0], &b = *in[1];
  int64_t m = a.shape[a.shape.size() - 2], k = a.shape.back(), n = b.shape.back();
  std::vector<int64_t> batch(out[0].shape.begin(), out[0].shape.end() - 2);
  auto lead = [&](const std::vector<int64_t> &shape, int64_t block) {
    std::vector<int64_t> strides = broadcastStrides({shape.begin(), shape.end() - 2}, batch);
    for (int64_t &s : strides)
      s *= block;
    return strides;
  };
  const std::vector<int64_t> strides[2] = {lead(a.shape, m * k), lead(b.shape, k * n)};
  std::vector<T> transposed(n * k);
  walk(batch, strides, [&](int64_t flat, const int64_t *at) {
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < n; ++j)
        transposed[j * k + i] = b.f[at[1] + i * n + j];
    matmulTransposed(m, n, k, a.f.data() + at[0], transposed.data(), out[0].f.data() + flat * m * n, n);
  });
  return success();
}

template <typename T> LogicalResult rmsNorm(REF_PARAMS) {
  auto norm = cast<fr::RmsNormOp>(op);
  T eps = static_cast<T>(norm.getEps().convertToDouble()), offset = static_cast<T>(norm.getOffset().convertToDouble());
  int64_t width = in[0]->shape.back();
  for (int64_t row = 0; row < in[0]->elements(); row += width) {
    const T *x = in[0]->f.data() + row;
    T sum = 0;
    for (int64_t j = 0; j < width; ++j)
      sum += x[j] * x[j];
    T scale = T(1) / std::sqrt(sum / static_cast<T>(width) + eps);
    for (int64_t j = 0; j < width; ++j)
      out[0].f[row + j] = x[j] * scale * (in.size() > 1 ? in[1]->f[j] + offset : T(1));
  }
  return success();
}

template <typename T> LogicalResult layerNorm(REF_PARAMS) {
  auto norm = cast<fr::LayerNormOp>(op);
  T eps = static_cast<T>(norm.getEps().convertToDouble()), offset = static_cast<T>(norm.getOffset().convertToDouble());
  const RefTensor<T> *weight = norm.getWeight() ? in[1] : nullptr;
  const RefTensor<T> *bias = norm.getBias() ? in[norm.getWeight() ? 2 : 1] : nullptr;
  int64_t width = in[0]->shape.back();
  for (int64_t row = 0; row < in[0]->elements(); row += width) {
    const T *x = in[0]->f.data() + row;
    T mean = 0, variance = 0;
    for (int64_t j = 0; j < width; ++j)
      mean += x[j];
    mean /= static_cast<T>(width);
    for (int64_t j = 0; j < width; ++j)
      variance += (x[j] - mean) * (x[j] - mean);
    T scale = T(1) / std::sqrt(variance / static_cast<T>(width) + eps);
    for (int64_t j = 0; j < width; ++j)
      out[0].f[row + j] = (x[j] - mean) * scale * (weight ? weight->f[j] + offset : T(1)) + (bias ? bias->f[j] : T(0));
  }
  return success();
}

template <typename T> LogicalResult softmax(REF_PARAMS) {
  int64_t axis = cast<fr::SoftmaxOp>(op).getAxis();
  auto [outer, inner] = outerInner(in[0]->shape, axis);
  int64_t n = in[0]->shape[axis];
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t r = 0; r < inner; ++r) {
      auto at = [&](int64_t j) { return (o * n + j) * inner + r; };
      T top = -std::numeric_limits<T>::infinity(), sum = 0;
      for (int64_t j = 0; j < n; ++j)
        top = std::max(top, in[0]->f[at(j)]);
      for (int64_t j = 0; j < n; ++j)
        sum += out[0].f[at(j)] = std::exp(in[0]->f[at(j)] - top);
      for (int64_t j = 0; j < n; ++j)
        out[0].f[at(j)] /= sum;
    }
  return success();
}

template <typename T> LogicalResult l2Norm(REF_PARAMS) {
  T eps = static_cast<T>(cast<fr::L2NormOp>(op).getEps().convertToDouble());
  int64_t width = in[0]->shape.back();
  for (int64_t row = 0; row < in[0]->elements(); row += width) {
    T sum = 0;
    for (int64_t j = 0; j < width; ++j)
      sum += in[0]->f[row + j] * in[0]->f[row + j];
    T norm = std::max(std::sqrt(sum), eps);
    for (int64_t j = 0; j < width; ++j)
      out[0].f[row + j] = in[0]->f[row + j] / norm;
  }
  return success();
}
} // namespace

template <typename T> ArrayRef<RefEntry<T>> flagrelease::layerReference() {
  static const RefEntry<T> table[] = {
      {"fr.embedding", &embedding<T>, true},
      {"fr.linear", &linear<T>, true},
      {"fr.matmul", &matmul<T>},
      {"fr.rms_norm", &rmsNorm<T>},
      {"fr.layer_norm", &layerNorm<T>},
      {"fr.softmax", &softmax<T>},
      {"fr.l2_norm", &l2Norm<T>},
  };
  return table;
}

namespace flagrelease {
template ArrayRef<RefEntry<float>> layerReference<float>();
template ArrayRef<RefEntry<double>> layerReference<double>();
} // namespace flagrelease
