// Reference functions of rotary positions and attention.
#include "ir/Rope.h"
#include "ir/reference/Index.h"
#include "ir/reference/Reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace flagrelease;
using namespace mlir;

namespace {
#define REF_PARAMS Operation *op, MutableArrayRef<RefTensor<T> *> in, MutableArrayRef<RefTensor<T>> out, RefContext<T> &context

template <typename T> LogicalResult ropeTable(REF_PARAMS) {
  auto rope = cast<fr::RopeTableOp>(op);
  int64_t length = 1;
  for (int64_t position : in[0]->i)
    length = std::max(length, position + 1);
  for (T position : in[0]->f)
    length = std::max(length, static_cast<int64_t>(position) + 1);
  std::vector<float> frequencies = ropeFrequencies(rope, length);
  T scaling = static_cast<T>(rope.getAttentionScaling().convertToDouble());
  int64_t half = frequencies.size();
  for (int64_t token = 0; token < in[0]->elements(); ++token)
    for (int64_t j = 0; j < half; ++j) {
      T angle = (in[0]->integer ? static_cast<T>(in[0]->i[token]) : in[0]->f[token]) * static_cast<T>(frequencies[j]);
      out[0].f[token * half + j] = std::cos(angle) * scaling;
      out[1].f[token * half + j] = std::sin(angle) * scaling;
    }
  return success();
}

template <typename T> LogicalResult rope(REF_PARAMS) {
  bool interleaved = cast<fr::RopeOp>(op).getInterleaved();
  const std::vector<int64_t> &shape = in[0]->shape;
  int64_t heads = shape[1], tokens = shape[2], d = shape[3], half = in[1]->shape[2];
  bool shared = in[1]->shape[0] == 1;
  out[0].f = in[0]->f;
  for (int64_t b = 0; b < shape[0]; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t s = 0; s < tokens; ++s) {
        const T *x = in[0]->f.data() + ((b * heads + h) * tokens + s) * d;
        T *y = out[0].f.data() + ((b * heads + h) * tokens + s) * d;
        const T *cosine = in[1]->f.data() + ((shared ? 0 : b) * tokens + s) * half;
        const T *sine = in[2]->f.data() + ((shared ? 0 : b) * tokens + s) * half;
        for (int64_t j = 0; j < half; ++j) {
          int64_t p = interleaved ? 2 * j : j, q = interleaved ? 2 * j + 1 : j + half;
          y[p] = x[p] * cosine[j] - x[q] * sine[j];
          y[q] = x[q] * cosine[j] + x[p] * sine[j];
        }
      }
  return success();
}

template <typename T> LogicalResult attentionMask(REF_PARAMS) {
  auto maskOp = cast<fr::AttentionMaskOp>(op);
  const RefTensor<T> *padding = maskOp.getPadding() ? in[0] : nullptr;
  const RefTensor<T> *columns = maskOp.getQueryColumns() ? in[padding ? 1 : 0] : nullptr;
  int64_t batch = out[0].shape[0], queries = out[0].shape[2], keys = out[0].shape[3];
  for (int64_t b = 0; b < batch; ++b) {
    // Running count of real tokens: the distance that a window measures.
    std::vector<int64_t> count(keys);
    for (int64_t j = 0; j < keys; ++j)
      count[j] = (j ? count[j - 1] : 0) + (padding ? padding->i[b * keys + j] : 1);
    for (int64_t i = 0; i < queries; ++i) {
      int64_t column = columns ? columns->i[i] : keys - queries + i;
      // Where only padding hides keys, there may be more queries than keys.
      const bool placed = maskOp.getCausal() || maskOp.getWindow() || maskOp.getChunk();
      if (placed && (column < 0 || column >= keys))
        return context.diags.error("cache_position", "column " + Twine(column) + " is outside " + Twine(keys) + " columns",
                                   "use a larger --kv-cache static:N, or fewer tokens");
      for (int64_t j = 0; j < keys; ++j) {
        bool visible = !padding || padding->i[b * keys + j] != 0;
        if (maskOp.getCausal())
          visible &= j <= column + maskOp.getDiagonal();
        if (maskOp.getWindow())
          visible &= count[j] > count[column] - *maskOp.getWindow();
        if (maskOp.getWindow() && maskOp.getTwoSided())
          visible &= count[j] < count[column] + *maskOp.getWindow();
        // The running count of the first real token is 1.
        if (maskOp.getChunk())
          visible &= (count[j] - 1) / *maskOp.getChunk() == (count[column] - 1) / *maskOp.getChunk();
        out[0].i[(b * queries + i) * keys + j] = visible;
      }
    }
  }
  return success();
}

template <typename T> LogicalResult attention(REF_PARAMS) {
  auto attentionOp = cast<fr::AttentionOp>(op);
  const RefTensor<T> &q = *in[0], &k = *in[1], &v = *in[2];
  unsigned next = 3;
  const RefTensor<T> *mask = attentionOp.getMask() ? in[next++] : nullptr;
  const RefTensor<T> *bias = attentionOp.getBias() ? in[next++] : nullptr;
  const RefTensor<T> *sinks = attentionOp.getSinks() ? in[next++] : nullptr;
  int64_t batch = q.shape[0], heads = q.shape[1], queries = q.shape[2], d = q.shape[3];
  int64_t keyHeads = k.shape[1], keys = k.shape[2], dv = v.shape[3], group = heads / keyHeads;
  T scale = static_cast<T>(attentionOp.getScale().convertToDouble());
  T cap = attentionOp.getSoftcap() ? static_cast<T>(attentionOp.getSoftcap()->convertToDouble()) : T(0);
  const T hidden = static_cast<T>(std::numeric_limits<float>::lowest());
  // Strides of what broadcasts over [B, n, S, T].
  auto strides = [&](const RefTensor<T> *x) {
    return x ? broadcastStrides(x->shape, {batch, heads, queries, keys}) : std::vector<int64_t>(4, 0);
  };
  const std::vector<int64_t> maskStrides = strides(mask), biasStrides = strides(bias);
  auto place = [](const std::vector<int64_t> &stride, int64_t b, int64_t h, int64_t i, int64_t j) {
    return b * stride[0] + h * stride[1] + i * stride[2] + j * stride[3];
  };
  std::vector<T> scores(keys);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < queries; ++i) {
        const T *query = q.f.data() + ((b * heads + h) * queries + i) * d;
        const T *key = k.f.data() + (b * keyHeads + h / group) * keys * d;
        const T *value = v.f.data() + (b * keyHeads + h / group) * keys * dv;
        T top = -std::numeric_limits<T>::infinity(), sum = 0;
        for (int64_t j = 0; j < keys; ++j) {
          T dot = 0;
          for (int64_t x = 0; x < d; ++x)
            dot += query[x] * key[j * d + x];
          dot *= scale;
          if (cap != 0)
            dot = cap * std::tanh(dot / cap);
          if (bias)
            dot += bias->f[place(biasStrides, b, h, i, j)];
          if (mask && !mask->i[place(maskStrides, b, h, i, j)])
            dot = hidden;
          scores[j] = dot;
          top = std::max(top, dot);
        }
        if (sinks)
          top = std::max(top, sinks->f[h]);
        for (T &score : scores)
          sum += score = std::exp(score - top);
        if (sinks)
          sum += std::exp(sinks->f[h] - top);
        T *result = out[0].f.data() + ((b * heads + h) * queries + i) * dv;
        std::fill_n(result, dv, T(0));
        for (int64_t j = 0; j < keys; ++j)
          for (int64_t x = 0; x < dv; ++x)
            result[x] += scores[j] / sum * value[j * dv + x];
      }
  return success();
}
} // namespace

template <typename T> ArrayRef<RefEntry<T>> flagrelease::attentionReference() {
  static const RefEntry<T> table[] = {
      {"fr.rope_table", &ropeTable<T>},
      {"fr.rope", &rope<T>},
      {"fr.attention_mask", &attentionMask<T>},
      {"fr.attention", &attention<T>},
  };
  return table;
}

namespace flagrelease {
template ArrayRef<RefEntry<float>> attentionReference<float>();
template ArrayRef<RefEntry<double>> attentionReference<double>();
} // namespace flagrelease
