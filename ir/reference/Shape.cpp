// Reference functions of the ops that move, pick, count or reduce elements.
#include "ir/reference/Index.h"
#include "ir/reference/Reference.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace flagrelease;
using namespace mlir;

namespace {
#define REF_PARAMS Operation *op, MutableArrayRef<RefTensor<T> *> in, MutableArrayRef<RefTensor<T>> out, RefContext<T> &context

template <typename T> void copyElement(RefTensor<T> &to, int64_t i, const RefTensor<T> &from, int64_t j) {
  if (to.integer)
    to.i[i] = from.i[j];
  else
    to.f[i] = from.f[j];
}

template <typename T> LogicalResult constant(REF_PARAMS) {
  auto elements = cast<fr::ConstantOp>(op).getValue();
  int64_t i = 0;
  if (out[0].integer) {
    if (elementOf(op->getResult(0).getType()).isInteger(1)) {
      for (bool value : elements.template getValues<bool>())
        out[0].i[i++] = value;
    } else {
      for (const APInt &value : elements.template getValues<APInt>())
        out[0].i[i++] = value.getSExtValue();
    }
  } else {
    for (APFloat value : elements.template getValues<APFloat>()) {
      bool lost = false;
      value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
      out[0].f[i++] = static_cast<T>(value.convertToDouble());
    }
  }
  return success();
}

/// Computing types are kept, so a cast between floats changes nothing here; integers truncate toward zero, i1 is "not zero".
template <typename T> LogicalResult castValues(REF_PARAMS) {
  bool toBool = elementOf(op->getResult(0).getType()).isInteger(1);
  for (int64_t i = 0, n = out[0].elements(); i < n; ++i) {
    if (out[0].integer) {
      int64_t value = in[0]->integer ? in[0]->i[i] : static_cast<int64_t>(in[0]->f[i]);
      out[0].i[i] = toBool ? (in[0]->integer ? value != 0 : in[0]->f[i] != 0) : value;
    } else {
      out[0].f[i] = in[0]->integer ? static_cast<T>(in[0]->i[i]) : in[0]->f[i];
    }
  }
  return success();
}

template <typename T> LogicalResult reshape(REF_PARAMS) {
  out[0].f = in[0]->f;
  out[0].i = in[0]->i;
  return success();
}

template <typename T> LogicalResult transpose(REF_PARAMS) {
  std::vector<int64_t> own = stridesOf(in[0]->shape);
  std::vector<int64_t> strides[1];
  for (int64_t axis : cast<fr::TransposeOp>(op).getPermutation())
    strides[0].push_back(own[axis]);
  walk(out[0].shape, strides, [&](int64_t flat, const int64_t *at) { copyElement(out[0], flat, *in[0], at[0]); });
  return success();
}

template <typename T> LogicalResult slice(REF_PARAMS) {
  auto sliceOp = cast<fr::SliceOp>(op);
  auto [outer, inner] = outerInner(in[0]->shape, sliceOp.getAxis());
  int64_t from = in[0]->shape[sliceOp.getAxis()], size = sliceOp.getSize(), start = sliceOp.getStart();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < size * inner; ++j)
      copyElement(out[0], o * size * inner + j, *in[0], (o * from + start) * inner + j);
  return success();
}

template <typename T> LogicalResult narrow(REF_PARAMS) {
  auto narrowOp = cast<fr::NarrowOp>(op);
  const int64_t axis = narrowOp.getAxis(), from = in[0]->shape[axis], size = out[0].shape[axis];
  std::optional<int64_t> start = DimExpr::parse(narrowOp.getStart())->evaluate(context.sizes);
  if (!start || *start < 0 || *start + size > from)
    return context.diags.error("fr.narrow",
                               "takes " + Twine(size) + " elements from '" + narrowOp.getStart() + "' on of " + Twine(from));
  auto [outer, inner] = outerInner(in[0]->shape, axis);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < size * inner; ++j)
      copyElement(out[0], o * size * inner + j, *in[0], (o * from + *start) * inner + j);
  return success();
}

template <typename T> LogicalResult broadcastTo(REF_PARAMS) {
  const std::vector<int64_t> strides[1] = {broadcastStrides(in[0]->shape, out[0].shape)};
  walk(out[0].shape, strides, [&](int64_t flat, const int64_t *at) { copyElement(out[0], flat, *in[0], at[0]); });
  return success();
}

template <typename T> LogicalResult pad(REF_PARAMS) {
  auto padOp = cast<fr::PadOp>(op);
  const std::vector<int64_t> own = stridesOf(in[0]->shape), places[1] = {stridesOf(out[0].shape)};
  const fr::PadMode mode = padOp.getMode();
  if (mode == fr::PadMode::Reflect)
    for (auto [low, high, size] : llvm::zip_equal(padOp.getLow(), padOp.getHigh(), in[0]->shape))
      if (low + high > 0 && std::max(low, high) >= size)
        return context.diags.error("fr.pad", "a margin of " + Twine(std::max(low, high)) + " reflects a size of " + Twine(size),
                                   "give longer inputs");
  const double value = padOp.getValue().convertToDouble();
  walk(out[0].shape, places, [&](int64_t flat, const int64_t *) {
    int64_t rest = flat, from = 0;
    bool inside = true;
    for (size_t d = 0; d < own.size(); ++d) {
      const int64_t size = in[0]->shape[d];
      int64_t i = rest / places[0][d] - padOp.getLow()[d];
      rest %= places[0][d];
      if (mode == fr::PadMode::Edge)
        i = std::clamp<int64_t>(i, 0, size - 1);
      else if (mode == fr::PadMode::Reflect)
        i = i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
      inside &= i >= 0 && i < size;
      from += i * own[d];
    }
    if (inside)
      copyElement(out[0], flat, *in[0], from);
    else if (out[0].integer)
      out[0].i[flat] = static_cast<int64_t>(value);
    else
      out[0].f[flat] = static_cast<T>(value);
  });
  return success();
}

template <typename T> LogicalResult topK(REF_PARAMS) {
  const int64_t k = cast<fr::TopKOp>(op).getK(), n = in[0]->shape.back();
  if (k > n)
    return context.diags.error("fr.top_k", "takes the " + Twine(k) + " largest of " + Twine(n), "give longer inputs");
  std::vector<int64_t> order(n);
  for (int64_t row = 0; row < (n ? in[0]->elements() / n : 0); ++row) {
    std::iota(order.begin(), order.end(), 0);
    auto larger = [&](auto *x) {
      std::stable_sort(order.begin(), order.end(), [x](int64_t a, int64_t b) { return x[a] > x[b]; });
    };
    if (in[0]->integer)
      larger(in[0]->i.data() + row * n);
    else
      larger(in[0]->f.data() + row * n);
    for (int64_t j = 0; j < k; ++j) {
      copyElement(out[0], row * k + j, *in[0], row * n + order[j]);
      out[1].i[row * k + j] = order[j];
    }
  }
  return success();
}

template <typename T> LogicalResult concat(REF_PARAMS) {
  int64_t axis = cast<fr::ConcatOp>(op).getAxis(), done = 0;
  auto [outer, inner] = outerInner(out[0].shape, axis);
  int64_t row = out[0].shape[axis] * inner;
  for (RefTensor<T> *input : in) {
    int64_t part = input->shape[axis] * inner;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t j = 0; j < part; ++j)
        copyElement(out[0], o * row + done + j, *input, o * part + j);
    done += part;
  }
  return success();
}

LogicalResult indexOutside(int64_t index, int64_t size, Operation *op, Diagnostics &diags) {
  return diags.error(op->getName().getStringRef(), "index " + Twine(index) + " is outside 0.." + Twine(size - 1),
                     "token ids must be smaller than the vocabulary");
}

template <typename T> LogicalResult gather(REF_PARAMS) {
  auto gatherOp = cast<fr::GatherOp>(op);
  int64_t axis = gatherOp.getAxis(), batch = gatherOp.getBatchDims(), size = in[0]->shape[axis];
  int64_t shared = 1, between = 1, rest = 1, picks = 1;
  for (int64_t d = 0; d < batch; ++d)
    shared *= in[0]->shape[d];
  for (int64_t d = batch; d < axis; ++d)
    between *= in[0]->shape[d];
  for (size_t d = axis + 1; d < in[0]->shape.size(); ++d)
    rest *= in[0]->shape[d];
  for (size_t d = batch; d < in[1]->shape.size(); ++d)
    picks *= in[1]->shape[d];
  int64_t flat = 0;
  for (int64_t b = 0; b < shared; ++b)
    for (int64_t m = 0; m < between; ++m)
      for (int64_t p = 0; p < picks; ++p) {
        int64_t index = in[1]->i[b * picks + p];
        if (index < 0)
          index += size;
        if (index < 0 || index >= size)
          return indexOutside(in[1]->i[b * picks + p], size, op, context.diags);
        for (int64_t r = 0; r < rest; ++r)
          copyElement(out[0], flat++, *in[0], (((b * between) + m) * size + index) * rest + r);
      }
  return success();
}

template <typename T> LogicalResult iota(REF_PARAMS) {
  for (int64_t i = 0; i < out[0].elements(); ++i)
    out[0].i[i] = i;
  return success();
}

template <typename T> LogicalResult size(REF_PARAMS) {
  std::optional<int64_t> value = DimExpr::parse(cast<fr::SizeOp>(op).getExpression())->evaluate(context.sizes);
  if (!value)
    return context.diags.error("fr.size", "no input has a size '" + cast<fr::SizeOp>(op).getExpression() + "'");
  out[0].i[0] = *value;
  return success();
}

template <typename T> LogicalResult cumsum(REF_PARAMS) {
  int64_t axis = cast<fr::CumsumOp>(op).getAxis();
  auto [outer, inner] = outerInner(in[0]->shape, axis);
  int64_t n = in[0]->shape[axis];
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t r = 0; r < inner; ++r)
      for (int64_t j = 0; j < n; ++j) {
        int64_t at = (o * n + j) * inner + r;
        if (out[0].integer)
          out[0].i[at] = in[0]->i[at] + (j ? out[0].i[at - inner] : 0);
        else
          out[0].f[at] = in[0]->f[at] + (j ? out[0].f[at - inner] : T(0));
      }
  return success();
}

template <typename T> LogicalResult reduce(REF_PARAMS) {
  auto reduceOp = cast<fr::ReduceOp>(op);
  // Walk the operand; the output is read with stride 0 along reduced axes.
  const std::vector<int64_t> strides[1] = {broadcastStrides(out[0].shape, in[0]->shape)};
  fr::ReduceKind kind = reduceOp.getKind();
  std::vector<bool> seen(out[0].elements());
  walk(in[0]->shape, strides, [&](int64_t flat, const int64_t *at) {
    auto fold = [&](auto &acc, auto value) {
      if (!seen[at[0]])
        acc = value;
      else if (kind == fr::ReduceKind::Max)
        acc = std::max(acc, value);
      else if (kind == fr::ReduceKind::Min)
        acc = std::min(acc, value);
      else
        acc += value;
    };
    if (out[0].integer)
      fold(out[0].i[at[0]], in[0]->i[flat]);
    else
      fold(out[0].f[at[0]], in[0]->f[flat]);
    seen[at[0]] = true;
  });
  if (kind == fr::ReduceKind::Mean && out[0].elements() > 0) {
    int64_t count = in[0]->elements() / out[0].elements();
    for (T &value : out[0].f)
      value /= static_cast<T>(count);
    for (int64_t &value : out[0].i)
      value /= std::max<int64_t>(count, 1);
  }
  return success();
}

template <typename T> LogicalResult argMax(REF_PARAMS) {
  int64_t axis = cast<fr::ArgMaxOp>(op).getAxis();
  auto [outer, inner] = outerInner(in[0]->shape, axis);
  int64_t n = in[0]->shape[axis];
  auto value = [&](int64_t at) { return in[0]->integer ? static_cast<double>(in[0]->i[at]) : static_cast<double>(in[0]->f[at]); };
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t r = 0; r < inner; ++r) {
      int64_t best = 0;
      for (int64_t j = 1; j < n; ++j)
        if (value((o * n + j) * inner + r) > value((o * n + best) * inner + r))
          best = j;
      out[0].i[o * inner + r] = best;
    }
  return success();
}

template <typename T> LogicalResult scatter(REF_PARAMS) {
  int64_t axis = op->getAttrOfType<IntegerAttr>("axis").getInt();
  out[0].f = in[0]->f;
  out[0].i = in[0]->i;
  auto [outer, inner] = outerInner(in[0]->shape, axis);
  int64_t size = in[0]->shape[axis], picks = in[1]->elements();
  for (int64_t p = 0; p < picks; ++p) {
    int64_t index = in[1]->i[p];
    if (index < 0 || index >= size)
      return context.diags.error("fr.scatter", "column " + Twine(index) + " is outside a cache of " + Twine(size),
                                 "use a larger --kv-cache static:N, or fewer tokens");
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t r = 0; r < inner; ++r)
        copyElement(out[0], (o * size + index) * inner + r, *in[2], (o * picks + p) * inner + r);
  }
  return success();
}
} // namespace

template <typename T> ArrayRef<RefEntry<T>> flagrelease::shapeReference() {
  static const RefEntry<T> table[] = {
      {"fr.constant", &constant<T>},
      {"fr.cast", &castValues<T>},
      {"fr.reshape", &reshape<T>},
      {"fr.transpose", &transpose<T>},
      {"fr.slice", &slice<T>},
      {"fr.concat", &concat<T>},
      {"fr.gather", &gather<T>},
      {"fr.iota", &iota<T>},
      {"fr.size", &size<T>},
      {"fr.cumsum", &cumsum<T>},
      {"fr.reduce", &reduce<T>},
      {"fr.arg_max", &argMax<T>},
      {"fr.scatter", &scatter<T>},
      {"fr.narrow", &narrow<T>},
      {"fr.broadcast", &broadcastTo<T>},
      {"fr.pad", &pad<T>},
      {"fr.top_k", &topK<T>},
  };
  return table;
}

namespace flagrelease {
template ArrayRef<RefEntry<float>> shapeReference<float>();
template ArrayRef<RefEntry<double>> shapeReference<double>();
} // namespace flagrelease
