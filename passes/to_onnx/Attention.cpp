// Attention and its mask.
#include "passes/to_onnx/Emitter.h"

#include <limits>

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

/// The parts of the mask are conditions on a query row [.., S, 1] and a key column [.., 1, T]; all must hold.
Values lowerAttentionMask(fr::AttentionMaskOp op, Emitter &e) {
  Type i1 = e.builder.getI1Type(), i64 = e.builder.getI64Type();
  DimExprs dims = dimsOf(op.getType());
  const DimExpr &queries = dims[2], &keys = dims[3];
  Value mask, real;
  auto also = [&](Value condition) { mask = mask ? e.compare("And", mask, condition) : condition; };

  if (op.getPadding()) {
    real = e.cast(e(op.getPadding()), i1); // [B, T]
    also(e.unsqueeze(real, {1, 2}));
  }
  // The column of each query: where its own key stands.
  Value column = op.getQueryColumns() ? e.cast(e(op.getQueryColumns()), i64) : Value();
  auto columnPlus = [&](int64_t n) {
    if (!column)
      return e.iota(queries, keys - queries + DimExpr(n));
    return n == 0 ? column : e.binary("Add", column, e.ints({n}));
  };
  if (op.getCausal())
    also(e.partFirstOf({{"LessOrEqual",
                         [&] {
                           return Values{e.compare("LessOrEqual", e.unsqueeze(e.iota(keys), {0, 1, 2}),
                                                   e.unsqueeze(columnPlus(op.getDiagonal()), {0, 1, 3}))};
                         }},
                        {"Less", [&] {
                           return Values{e.compare("Less", e.unsqueeze(e.iota(keys), {0, 1, 2}),
                                                   e.unsqueeze(columnPlus(op.getDiagonal() + 1), {0, 1, 3}))};
                         }}})[0]);
  if (op.getWindow() || op.getChunk()) {
    // Places among real tokens: positions, or with padding their running count.
    Value keyRank, queryRank;
    if (real) {
      Value count = e.cumsum(e.cast(real, i64), 1); // [B, T]
      keyRank = e.unsqueeze(count, {1, 2});
      queryRank = e.unsqueeze(e.gather(count, columnPlus(0), 1), {1, 3});
    } else {
      keyRank = e.unsqueeze(e.iota(keys), {0, 1, 2});
      queryRank = e.unsqueeze(columnPlus(0), {0, 1, 3});
    }
    if (op.getWindow())
      also(e.compare("Less", e.binary("Sub", queryRank, keyRank), e.scalarInt(*op.getWindow())));
    if (op.getWindow() && op.getTwoSided())
      also(e.compare("Less", e.binary("Sub", keyRank, queryRank), e.scalarInt(*op.getWindow())));
    if (op.getChunk()) {
      auto chunk = [&](Value rank) { // a count begins with 1, a position with 0
        Value place = real ? e.binary("Sub", rank, e.scalarInt(1)) : rank;
        return e.binary("Div", place, e.scalarInt(*op.getChunk()));
      };
      also(e.compare("Equal", chunk(queryRank), chunk(keyRank)));
    }
  }
  if (!mask)
    mask = e.constant(DenseElementsAttr::get(RankedTensorType::get({1, 1, 1, 1}, i1), true));
  return {e.expand(mask, dims)};
}

/// Query heads that share a key head are rows of one product, so keys and values are never repeated: q [B, n, S, d] is read as
/// [B, k, n/k * S, d].
Value attentionDecomposed(fr::AttentionOp op, Value q, Value k, Value v, Value mask, Value bias, Value sinks, Emitter &e) {
  Type element = elementOf(q.getType());
  DimExprs qDims = dimsOf(q.getType()), kDims = dimsOf(k.getType()), vDims = dimsOf(v.getType());
  int64_t heads = qDims[1].value(), keyHeads = kDims[1].value(), group = heads / keyHeads;
  DimExpr rows = qDims[2] * group;

  Value scaled = e.binary("Mul", q, e.scalar(op.getScale().convertToDouble(), element));
  Value grouped = e.reshape(scaled, {qDims[0], DimExpr(keyHeads), rows, qDims[3]});
  Value scores = e.matmul(grouped, e.transpose(k, {0, 1, 3, 2}));
  scores = e.reshape(scores, {qDims[0], DimExpr(heads), qDims[2], kDims[2]});
  if (op.getSoftcap()) {
    Value cap = e.scalar(op.getSoftcap()->convertToDouble(), element);
    scores = e.binary("Mul", e.unary("Tanh", e.binary("Div", scores, cap)), cap);
  }
  if (bias)
    scores = e.binary("Add", scores, bias);
  if (mask) {
    APFloat lowest = APFloat::getLargest(cast<FloatType>(element).getFloatSemantics(), /*Negative=*/true);
    scores = e.where(mask, scores, e.constant(DenseElementsAttr::get(RankedTensorType::get({}, element), lowest)));
  }
  if (sinks) { // one more column, which is dropped after it has taken its share
    Value column = e.expand(e.reshape(sinks, {DimExpr(1), DimExpr(heads), DimExpr(1), DimExpr(1)}),
                            {qDims[0], DimExpr(heads), qDims[2], DimExpr(1)});
    scores = e.concat({scores, column}, 3);
  }
  Value weights = e.node("Softmax", {scores}, scores.getType(), {e.i64("axis", -1)});
  if (sinks)
    weights = e.slice(weights, 3, DimExpr(0), kDims[2]);
  weights = e.reshape(weights, {qDims[0], DimExpr(keyHeads), rows, kDims[2]});
  return e.reshape(e.matmul(weights, v), {qDims[0], DimExpr(heads), qDims[2], vDims[3]});
}

Values lowerAttention(fr::AttentionOp op, Emitter &e) {
  Value q = e(op.getQ()), k = e(op.getK()), v = e(op.getV());
  Value mask = op.getMask() ? e(op.getMask()) : Value();
  Type element = elementOf(q.getType());
  Value bias = op.getBias() ? e.cast(e(op.getBias()), element) : Value();
  Value sinks = op.getSinks() ? e.cast(e(op.getSinks()), element) : Value();
  // Attention of opset 23 is no way: ONNX Runtime gives 0 where a query sees nothing (docs/rationale.md, "ONNX").
  return {attentionDecomposed(op, q, k, v, mask, bias, sinks, e)};
}

} // namespace

ArrayRef<Lowering> to_onnx::attentionLowerings() {
  static const Lowering table[] = {
      lowering<fr::AttentionMaskOp, lowerAttentionMask>("fr.attention_mask"),
      lowering<fr::AttentionOp, lowerAttention>("fr.attention"),
  };
  return table;
}
