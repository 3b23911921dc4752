// Reference function of mixtures of experts. The numbers of an expert are read when a token has chosen it, and only then.
#include "ir/reference/Reference.h"

#include <algorithm>
#include <cmath>

using namespace flagrelease;
using namespace mlir;

namespace {
#define REF_PARAMS Operation *op, MutableArrayRef<RefTensor<T> *> in, MutableArrayRef<RefTensor<T>> out, RefContext<T> &context

template <typename T> T activate(T x, fr::ActKind kind, T alpha) {
  switch (kind) {
  case fr::ActKind::Silu:
    return x / (T(1) + std::exp(-alpha * x));
  case fr::ActKind::Gelu:
    return T(0.5) * x * (T(1) + std::erf(x * T(0.7071067811865476)));
  case fr::ActKind::GeluTanh:
    return T(0.5) * x * (T(1) + std::tanh(T(0.7978845608028654) * (x + T(0.044715) * x * x * x)));
  case fr::ActKind::Relu:
    return std::max(x, T(0));
  case fr::ActKind::Relu2:
    return std::max(x, T(0)) * std::max(x, T(0));
  }
  llvm_unreachable("all activations are listed");
}

/// Slice `e` of a stack of experts; null when it cannot be read.
template <typename T> const T *expert(RefTensor<T> &stack, int64_t e, std::vector<T> &buffer, RefContext<T> &context) {
  const int64_t size = stack.elements() / stack.shape[0];
  if (!stack.param)
    return stack.f.data() + e * size;
  buffer.resize(size);
  return succeeded(context.params.readRows(stack.param, e, 1, buffer.data(), context.diags)) ? buffer.data() : nullptr;
}

template <typename T> LogicalResult moe(REF_PARAMS) {
  auto moeOp = cast<fr::MoeOp>(op);
  auto at = [&](Value value) -> RefTensor<T> * {
    if (!value)
      return nullptr;
    for (auto [i, operand] : llvm::enumerate(op->getOperands()))
      if (operand == value)
        return in[i];
    llvm_unreachable("an operand of the op");
  };
  RefTensor<T> &x = *at(moeOp.getX()), &indices = *at(moeOp.getIndices()), &scores = *at(moeOp.getScores());
  RefTensor<T> *gate = at(moeOp.getGate()), &up = *at(moeOp.getUp()), &down = *at(moeOp.getDown());
  RefTensor<T> *gateBias = at(moeOp.getGateBias()), *upBias = at(moeOp.getUpBias()), *downBias = at(moeOp.getDownBias());
  for (RefTensor<T> *value : {&x, &indices, &scores, gateBias, upBias, downBias})
    if (value && failed(context.materialise(*value)))
      return failure();
  const int64_t width = x.shape.back(), experts = up.shape[0], inner = up.shape[1], k = indices.shape.back();
  const int64_t tokens = width ? x.elements() / width : 0;
  const T alpha = static_cast<T>(moeOp.getAlpha().convertToDouble()), shift = static_cast<T>(moeOp.getShift().convertToDouble());
  const bool scoresFirst = moeOp.getScoresFirst();

  std::vector<std::vector<int64_t>> chosen(experts); // places token * k + choice
  for (int64_t i = 0; i < tokens * k; ++i) {
    if (indices.i[i] < 0 || indices.i[i] >= experts)
      return context.diags.error("fr.moe", "expert " + Twine(indices.i[i]) + " is outside 0.." + Twine(experts - 1));
    chosen[indices.i[i]].push_back(i);
  }
  std::fill(out[0].f.begin(), out[0].f.end(), T(0));
  std::vector<T> gateRows, upRows, downRows, rows, g, u, y;
  for (int64_t e = 0; e < experts; ++e) {
    const auto count = static_cast<int64_t>(chosen[e].size());
    if (count == 0)
      continue;
    const T *gateNumbers = gate ? expert(*gate, e, gateRows, context) : nullptr, *upNumbers = expert(up, e, upRows, context),
            *downNumbers = expert(down, e, downRows, context);
    if ((gate && !gateNumbers) || !upNumbers || !downNumbers)
      return failure();
    rows.resize(count * width), g.resize(count * inner), u.resize(count * inner), y.resize(count * width);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t j = 0; j < width; ++j)
        rows[r * width + j] = x.f[chosen[e][r] / k * width + j] * (scoresFirst ? scores.f[chosen[e][r]] : T(1));
    matmulTransposed(count, inner, width, rows.data(), upNumbers, u.data(), inner);
    if (gate)
      matmulTransposed(count, inner, width, rows.data(), gateNumbers, g.data(), inner);
    for (int64_t i = 0; i < count * inner; ++i) {
      u[i] += upBias ? upBias->f[e * inner + i % inner] : T(0);
      if (!gate) {
        u[i] = activate(u[i], moeOp.getAct(), alpha);
        continue;
      }
      g[i] += gateBias ? gateBias->f[e * inner + i % inner] : T(0);
      if (moeOp.getLimit()) {
        const T limit = static_cast<T>(moeOp.getLimit()->convertToDouble());
        g[i] = std::min(g[i], limit);
        u[i] = std::clamp(u[i], -limit, limit);
      }
      u[i] = activate(g[i], moeOp.getAct(), alpha) * (u[i] + shift);
    }
    matmulTransposed(count, width, inner, u.data(), downNumbers, y.data(), width);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t j = 0; j < width; ++j)
        out[0].f[chosen[e][r] / k * width + j] +=
            (y[r * width + j] + (downBias ? downBias->f[e * width + j] : T(0))) * (scoresFirst ? T(1) : scores.f[chosen[e][r]]);
  }
  return success();
}
} // namespace

template <typename T> ArrayRef<RefEntry<T>> flagrelease::expertReference() {
  static const RefEntry<T> table[] = {{"fr.moe", &moe<T>, true}};
  return table;
}

namespace flagrelease {
template ArrayRef<RefEntry<float>> expertReference<float>();
template ArrayRef<RefEntry<double>> expertReference<double>();
} // namespace flagrelease
