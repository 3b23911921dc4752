// Rotary positions. Frequencies are constants of the graph unless they depend on the length of the text.
#include "ir/Rope.h"
#include "passes/to_onnx/Emitter.h"

#include <cmath>

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

Value frequencies(fr::RopeTableOp op, int64_t length, Emitter &e) {
  std::vector<float> values = ropeFrequencies(op, length);
  return e.floats(SmallVector<double>(values.begin(), values.end()), {op.getDim() / 2}, e.builder.getF32Type());
}

/// The largest position of the call + 1, i64 [1, 1, 1].
Value textLength(Value ids, Emitter &e) {
  SmallVector<int64_t> axes{0, 1};
  Value last = e.reduce("ReduceMax", ids, axes);
  return e.reshape(e.binary("Add", last, e.cast(e.ints({1}), elementOf(ids.getType()))), {DimExpr(1), DimExpr(1), DimExpr(1)});
}

Value longropeFrequencies(fr::RopeTableOp op, Value ids, Emitter &e) {
  int64_t original = *op.getOriginalMax();
  Value isLong = e.compare("Greater", textLength(ids, e), e.cast(e.ints({original}), elementOf(ids.getType())));
  return e.where(isLong, frequencies(op, original + 1, e), frequencies(op, original, e));
}

/// Dynamic NTK: theta grows with the text; 1 / theta'^(2j / dim). Each rounding is that of ir/Rope.cpp.
Value dynamicFrequencies(fr::RopeTableOp op, Value ids, Emitter &e) {
  Type f32 = e.builder.getF32Type(), f64 = e.builder.getF64Type();
  int64_t original = *op.getOriginalMax(), dim = op.getDim(), half = dim / 2;
  float factor = static_cast<float>(op.getFactor()->convertToDouble());
  Value limit = e.cast(e.ints({original}), elementOf(ids.getType()));
  Value length = e.cast(e.binary("Max", textLength(ids, e), limit), f32);
  // Exactly 1 for a text within the original length, because Max has made `length` the original then.
  Value ratio = e.binary("Sub", e.binary("Div", e.binary("Mul", length, e.scalar(factor, f32)), e.scalar(original, f32)),
                         e.scalar(factor - 1.0f, f32));
  double exponent = dim / static_cast<double>(dim - 2);
  return e.firstOf({{"in f64",
                     [&] {
                       Value power = e.cast(e.binary("Pow", e.cast(ratio, f64), e.scalar(exponent, f64)), f32);
                       Value grown = e.binary("Mul", power, e.scalar(op.getTheta().convertToDouble(), f32));
                       SmallVector<double> exponents;
                       for (int64_t j = 0; j < half; ++j)
                         exponents.push_back(static_cast<float>(2 * j) / static_cast<float>(dim));
                       Value powers = e.cast(e.binary("Pow", e.cast(grown, f64), e.floats(exponents, {1, 1, half}, f64)), f32);
                       return Values{e.binary("Div", e.scalar(1, f32), powers)};
                     }},
                    // Without f64: only the ratio is raised, so that an error of one unit does not grow with theta.
                    {"in f32", [&] {
                       SmallVector<double> exponents;
                       for (int64_t j = 0; j < half; ++j)
                         exponents.push_back(-exponent * 2 * static_cast<double>(j) / static_cast<double>(dim));
                       Value shrink = e.binary("Pow", ratio, e.floats(exponents, {1, 1, half}, f32));
                       return Values{e.binary("Mul", frequencies(op, original, e), shrink)};
                     }}})[0];
}

Values lowerRopeTable(fr::RopeTableOp op, Emitter &e) {
  Type f32 = e.builder.getF32Type();
  Value ids = e(op.getPositionIds());
  Value inverse = op.getKind() == fr::RopeKind::Dynamic    ? dynamicFrequencies(op, ids, e)
                  : op.getKind() == fr::RopeKind::Longrope ? longropeFrequencies(op, ids, e)
                                                           : frequencies(op, 0, e);
  Value angle = e.binary("Mul", e.unsqueeze(e.cast(ids, f32), {rankOf(ids.getType())}), inverse);
  double scaling = op.getAttentionScaling().convertToDouble();
  Values tables{e.unary("Cos", angle), e.unary("Sin", angle)};
  if (scaling != 1)
    for (Value &table : tables)
      table = e.binary("Mul", table, e.scalar(scaling, f32));
  return tables;
}

/// x_a cos - x_b sin, x_b cos + x_a sin.
std::pair<Value, Value> rotate(Value a, Value b, Value cos, Value sin, Emitter &e) {
  return {e.binary("Sub", e.binary("Mul", a, cos), e.binary("Mul", b, sin)),
          e.binary("Add", e.binary("Mul", b, cos), e.binary("Mul", a, sin))};
}

Value rotateDecomposed(fr::RopeOp op, Value x, Value cosTable, Value sinTable, Emitter &e) {
  Value cos = e.unsqueeze(cosTable, {1}), sin = e.unsqueeze(sinTable, {1}); // heads share the angles
  DimExprs dims = dimsOf(x.getType());
  int64_t half = dimsOf(cos.getType()).back().value(), all = dims.back().value(), rest = all - 2 * half;
  if (!op.getInterleaved()) {
    SmallVector<int64_t> sizes{half, half};
    if (rest > 0)
      sizes.push_back(rest);
    Values parts = e.split(x, 3, sizes);
    auto [a, b] = rotate(parts[0], parts[1], cos, sin, e);
    parts[0] = a;
    parts[1] = b;
    return e.concat(parts, 3);
  }
  Values parts{x};
  if (rest > 0)
    parts = e.split(x, 3, {2 * half, rest});
  DimExprs rotated(dims), pairs(dims.begin(), dims.end() - 1), one(pairs);
  rotated.back() = DimExpr(2 * half);
  pairs.append({DimExpr(half), DimExpr(2)});
  one.push_back(DimExpr(half));
  Values both = e.split(e.reshape(parts[0], pairs), 4, {1, 1});
  auto [a, b] = rotate(e.reshape(both[0], one), e.reshape(both[1], one), cos, sin, e);
  parts[0] = e.reshape(e.concat({e.unsqueeze(a, {4}), e.unsqueeze(b, {4})}, 4), rotated);
  return e.concat(parts, 3);
}

Values lowerRope(fr::RopeOp op, Emitter &e) {
  Value x = e(op.getX()), cos = e(op.getCos()), sin = e(op.getSin());
  int64_t rotated = 2 * dimsOf(cos.getType()).back().value(), all = dimsOf(x.getType()).back().value();
  return e.firstOf({{"RotaryEmbedding",
                     [&] {
                       NamedAttrs attributes{e.i64("interleaved", op.getInterleaved())};
                       if (rotated != all)
                         attributes.push_back(e.i64("rotary_embedding_dim", rotated));
                       // It takes one table for each row of the batch.
                       DimExprs table = dimsOf(cos.getType());
                       table[0] = dimsOf(x.getType())[0];
                       return Values{
                           e.node("RotaryEmbedding", {x, e.expand(cos, table), e.expand(sin, table)}, x.getType(), attributes)};
                     }},
                    {"decomposed", [&] { return Values{rotateDecomposed(op, x, cos, sin, e)}; }}});
}

} // namespace

ArrayRef<Lowering> to_onnx::rotaryLowerings() {
  static const Lowering table[] = {
      lowering<fr::RopeTableOp, lowerRopeTable>("fr.rope_table"),
      lowering<fr::RopeOp, lowerRope>("fr.rope"),
  };
  return table;
}
