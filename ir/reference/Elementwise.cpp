// Reference functions of the elementwise ops.
#include "ir/reference/Index.h"
#include "ir/reference/Reference.h"

#include <algorithm>
#include <cmath>

using namespace flagrelease;
using namespace mlir;

namespace {
#define REF_PARAMS Operation *op, MutableArrayRef<RefTensor<T> *> in, MutableArrayRef<RefTensor<T>> out, RefContext<T> &context

template <typename T, T (*F)(T)> LogicalResult unary(REF_PARAMS) {
  for (size_t i = 0; i < in[0]->f.size(); ++i)
    out[0].f[i] = F(in[0]->f[i]);
  return success();
}
/// The same for integers too.
template <typename T, T (*F)(T), int64_t (*I)(int64_t)> LogicalResult unaryAny(REF_PARAMS) {
  for (size_t i = 0; i < in[0]->i.size(); ++i)
    out[0].i[i] = I(in[0]->i[i]);
  return unary<T, F>(op, in, out, context);
}
template <typename T> T negF(T x) { return -x; }
template <typename T> T absF(T x) { return x < 0 ? -x : x; }
template <typename T> T notF(T x) { return x == 0; }
/// log(1 + e^x) without overflow.
template <typename T> T softplusF(T x) { return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x))); }
template <typename T> T expF(T x) { return std::exp(x); }
template <typename T> T logF(T x) { return std::log(x); }
template <typename T> T sqrtF(T x) { return std::sqrt(x); }
template <typename T> T rsqrtF(T x) { return T(1) / std::sqrt(x); }
template <typename T> T sinF(T x) { return std::sin(x); }
template <typename T> T cosF(T x) { return std::cos(x); }
template <typename T> T tanhF(T x) { return std::tanh(x); }
template <typename T> T erfF(T x) { return std::erf(x); }
template <typename T> T sigmoidF(T x) { return T(1) / (T(1) + std::exp(-x)); }
template <typename T> T siluF(T x) { return x / (T(1) + std::exp(-x)); }
template <typename T> T reluF(T x) { return x > 0 ? x : T(0); }
template <typename T> T floorF(T x) { return std::floor(x); }

template <typename T> LogicalResult gelu(REF_PARAMS) {
  bool tanhForm = cast<fr::GeluOp>(op).getApproximate() == fr::GeluKind::Tanh;
  const T c = T(0.7978845608028654), r = T(0.7071067811865476); // sqrt(2 / pi), 1 / sqrt(2)
  for (size_t i = 0; i < in[0]->f.size(); ++i) {
    T x = in[0]->f[i];
    out[0].f[i] =
        tanhForm ? T(0.5) * x * (T(1) + std::tanh(c * (x + T(0.044715) * x * x * x))) : T(0.5) * x * (T(1) + std::erf(x * r));
  }
  return success();
}

/// Reads an operand as float whatever it holds: i64 masks take part in float arithmetic.
template <typename T> T asFloat(const RefTensor<T> &x, int64_t i) { return x.integer ? static_cast<T>(x.i[i]) : x.f[i]; }

template <typename T, typename FloatF, typename IntF> LogicalResult binary(REF_PARAMS, FloatF floats, IntF ints) {
  const std::vector<int64_t> strides[2] = {broadcastStrides(in[0]->shape, out[0].shape),
                                           broadcastStrides(in[1]->shape, out[0].shape)};
  walk(out[0].shape, strides, [&](int64_t flat, const int64_t *at) {
    if (out[0].integer)
      out[0].i[flat] = ints(in[0]->i[at[0]], in[1]->i[at[1]]);
    else
      out[0].f[flat] = floats(asFloat(*in[0], at[0]), asFloat(*in[1], at[1]));
  });
  return success();
}
#define BINARY(name, floatExpr, intExpr)                                                                                         \
  template <typename T> LogicalResult name(REF_PARAMS) {                                                                         \
    return binary(                                                                                                               \
        op, in, out, context, [](T a, T b) -> T { return floatExpr; }, [](int64_t a, int64_t b) -> int64_t { return intExpr; }); \
  }
BINARY(addF, a + b, a + b)
BINARY(subF, a - b, a - b)
BINARY(mulF, a *b, a *b)
BINARY(divF, a / b, b == 0 ? 0 : a / b)
BINARY(powF, std::pow(a, b), static_cast<int64_t>(std::pow(static_cast<double>(a), static_cast<double>(b))))
BINARY(maximumF, a > b ? a : b, a > b ? a : b)
BINARY(minimumF, a < b ? a : b, a < b ? a : b)
BINARY(andF, T(a != 0 && b != 0), a != 0 && b != 0)
BINARY(orF, T(a != 0 || b != 0), a != 0 || b != 0)

template <typename V> bool compareValues(fr::Predicate predicate, V a, V b) {
  switch (predicate) {
  case fr::Predicate::EQ:
    return a == b;
  case fr::Predicate::NE:
    return a != b;
  case fr::Predicate::LT:
    return a < b;
  case fr::Predicate::LE:
    return a <= b;
  case fr::Predicate::GT:
    return a > b;
  case fr::Predicate::GE:
    return a >= b;
  }
  llvm_unreachable("all predicates are listed");
}

template <typename T> LogicalResult compare(REF_PARAMS) {
  fr::Predicate predicate = cast<fr::CompareOp>(op).getPredicate();
  const std::vector<int64_t> strides[2] = {broadcastStrides(in[0]->shape, out[0].shape),
                                           broadcastStrides(in[1]->shape, out[0].shape)};
  bool ints = in[0]->integer && in[1]->integer;
  walk(out[0].shape, strides, [&](int64_t flat, const int64_t *at) {
    out[0].i[flat] = ints ? compareValues(predicate, in[0]->i[at[0]], in[1]->i[at[1]])
                          : compareValues(predicate, asFloat(*in[0], at[0]), asFloat(*in[1], at[1]));
  });
  return success();
}

template <typename T> LogicalResult select(REF_PARAMS) {
  const std::vector<int64_t> strides[3] = {broadcastStrides(in[0]->shape, out[0].shape),
                                           broadcastStrides(in[1]->shape, out[0].shape),
                                           broadcastStrides(in[2]->shape, out[0].shape)};
  walk(out[0].shape, strides, [&](int64_t flat, const int64_t *at) {
    const RefTensor<T> &from = in[0]->i[at[0]] ? *in[1] : *in[2];
    int64_t offset = in[0]->i[at[0]] ? at[1] : at[2];
    if (out[0].integer)
      out[0].i[flat] = from.i[offset];
    else
      out[0].f[flat] = from.f[offset];
  });
  return success();
}
} // namespace

template <typename T> ArrayRef<RefEntry<T>> flagrelease::elementwiseReference() {
  static const RefEntry<T> table[] = {
      {"fr.neg", &unaryAny<T, negF<T>, negF<int64_t>>},
      {"fr.abs", &unaryAny<T, absF<T>, absF<int64_t>>},
      {"fr.not", &unaryAny<T, notF<T>, notF<int64_t>>},
      {"fr.softplus", &unary<T, softplusF<T>>},
      {"fr.exp", &unary<T, expF<T>>},
      {"fr.log", &unary<T, logF<T>>},
      {"fr.sqrt", &unary<T, sqrtF<T>>},
      {"fr.rsqrt", &unary<T, rsqrtF<T>>},
      {"fr.sin", &unary<T, sinF<T>>},
      {"fr.cos", &unary<T, cosF<T>>},
      {"fr.tanh", &unary<T, tanhF<T>>},
      {"fr.erf", &unary<T, erfF<T>>},
      {"fr.sigmoid", &unary<T, sigmoidF<T>>},
      {"fr.silu", &unary<T, siluF<T>>},
      {"fr.relu", &unary<T, reluF<T>>},
      {"fr.floor", &unary<T, floorF<T>>},
      {"fr.gelu", &gelu<T>},
      {"fr.add", &addF<T>},
      {"fr.sub", &subF<T>},
      {"fr.mul", &mulF<T>},
      {"fr.div", &divF<T>},
      {"fr.pow", &powF<T>},
      {"fr.maximum", &maximumF<T>},
      {"fr.minimum", &minimumF<T>},
      {"fr.and", &andF<T>},
      {"fr.or", &orF<T>},
      {"fr.compare", &compare<T>},
      {"fr.select", &select<T>},
  };
  return table;
}

namespace flagrelease {
template ArrayRef<RefEntry<float>> elementwiseReference<float>();
template ArrayRef<RefEntry<double>> elementwiseReference<double>();
} // namespace flagrelease
