// Mixtures of experts. The one way that every toolchain can take is dense: all experts see all tokens, and a token's share of the
// experts that it did not choose is 0. It costs experts / k times the arithmetic that is needed.
#include "passes/to_onnx/Emitter.h"

#include <cmath>

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

Value activate(fr::MoeOp op, Value x, Emitter &e) {
  Type element = elementOf(x.getType());
  auto number = [&](double value) { return e.scalar(value, element); };
  switch (op.getAct()) {
  case fr::ActKind::Silu: {
    double alpha = op.getAlpha().convertToDouble();
    Value inner = alpha == 1 ? x : e.binary("Mul", x, number(alpha));
    return e.binary("Mul", x, e.unary("Sigmoid", inner));
  }
  case fr::ActKind::Gelu: {
    Value erf = e.unary("Erf", e.binary("Mul", x, number(std::sqrt(0.5))));
    return e.binary("Mul", e.binary("Mul", x, number(0.5)), e.binary("Add", erf, number(1)));
  }
  case fr::ActKind::GeluTanh: {
    Value cube = e.binary("Mul", e.binary("Mul", x, x), x);
    Value inner = e.binary("Mul", e.binary("Add", x, e.binary("Mul", cube, number(0.044715))),
                           number(std::sqrt(2 / 3.14159265358979323846)));
    return e.binary("Mul", e.binary("Mul", x, number(0.5)), e.binary("Add", e.unary("Tanh", inner), number(1)));
  }
  case fr::ActKind::Relu:
    return e.unary("Relu", x);
  case fr::ActKind::Relu2: {
    Value relu = e.unary("Relu", x);
    return e.binary("Mul", relu, relu);
  }
  }
  llvm_unreachable("all activations are listed");
}

/// [T, E]: what each token gives to each expert.
Value sharesOf(fr::MoeOp op, const DimExpr &tokens, int64_t experts, int64_t k, Type element, Emitter &e) {
  Value indices = e.reshape(e.cast(e(op.getIndices()), e.builder.getI64Type()), {tokens, DimExpr(k), DimExpr(1)});
  Value scores = e.reshape(e.cast(e(op.getScores()), element), {tokens, DimExpr(k), DimExpr(1)});
  Value chosen = e.cast(e.compare("Equal", indices, e.iota(DimExpr(experts))), element); // [T, k, E]
  return e.reshape(e.reduce("ReduceSum", e.binary("Mul", chosen, scores), {1}), {tokens, DimExpr(experts)});
}

Values lowerMoe(fr::MoeOp op, Emitter &e) {
  Value x = e(op.getX());
  Type element = elementOf(x.getType());
  DimExprs dims = dimsOf(x.getType()), stack = dimsOf(op.getUp().getType());
  const DimExpr tokens = productOf(ArrayRef(dims).drop_back());
  const int64_t experts = stack[0].value(), inner = stack[1].value(), width = stack[2].value(),
                k = dimsOf(op.getIndices().getType()).back().value();
  Value shares = e.transpose(e.unsqueeze(sharesOf(op, tokens, experts, k, element, e), {2}), {1, 0, 2}); // [E, T, 1]
  Value rows = e.reshape(x, {DimExpr(1), tokens, DimExpr(width)});
  if (op.getScoresFirst())
    rows = e.binary("Mul", rows, shares);
  auto project = [&](Value values, Value weights, Value bias, int64_t outs) {
    Value y = e.matmul(values, e.transpose(e.cast(e(weights), element), {0, 2, 1}));
    if (bias)
      y = e.binary("Add", y, e.reshape(e.cast(e(bias), element), {DimExpr(experts), DimExpr(1), DimExpr(outs)}));
    return y;
  };
  Value middle = project(rows, op.getUp(), op.getUpBias(), inner);
  if (!op.getGate()) {
    middle = activate(op, middle, e);
  } else {
    Value gate = project(rows, op.getGate(), op.getGateBias(), inner);
    if (op.getLimit()) {
      double limit = op.getLimit()->convertToDouble();
      gate = e.binary("Min", gate, e.scalar(limit, element));
      middle = e.binary("Min", e.binary("Max", middle, e.scalar(-limit, element)), e.scalar(limit, element));
    }
    if (double shift = op.getShift().convertToDouble(); shift != 0)
      middle = e.binary("Add", middle, e.scalar(shift, element));
    middle = e.binary("Mul", activate(op, gate, e), middle);
  }
  Value y = project(middle, op.getDown(), op.getDownBias(), width);
  if (op.getScoresFirst()) // what was not chosen has share 0
    shares = e.cast(e.unary("Not", e.compare("Equal", shares, e.scalar(0, element))), element);
  return {e.reshape(e.reduce("ReduceSum", e.binary("Mul", y, shares), {0}), dims)};
}

} // namespace

ArrayRef<Lowering> to_onnx::expertLowerings() {
  static const Lowering table[] = {lowering<fr::MoeOp, lowerMoe>("fr.moe")};
  return table;
}
