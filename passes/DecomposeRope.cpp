// Rotary positions in primitive ops.
#include "ir/Rope.h"
#include "passes/DecomposeEmit.h"

using namespace mlir;
using namespace flagrelease;

Values flagrelease::decomposeRope(fr::RopeOp op, Emit &e, const DecomposeOptions &) {
  Value x = op.getX();
  DimExprs xd = dimsOf(x.getType()), cd = dimsOf(op.getCos().getType());
  const int64_t half = cd[2].value(), rotated = 2 * half, features = xd[3].value();
  DimExprs tableDims{cd[0], DimExpr(1), cd[1], cd[2]}; // the same for all heads
  Value cosine = e.reshape(op.getCos(), tableDims), sine = e.reshape(op.getSin(), tableDims);
  Value turning = e.slice(x, 3, 0, rotated), a, b;
  DimExprs pairs{xd[0], xd[1], xd[2], DimExpr(half), DimExpr(2)}, halves{xd[0], xd[1], xd[2], DimExpr(half)};
  if (op.getInterleaved()) {
    Value pair = e.reshape(turning, pairs);
    a = e.reshape(e.slice(pair, 4, 0, 1), halves);
    b = e.reshape(e.slice(pair, 4, 1, 1), halves);
  } else {
    a = e.slice(turning, 3, 0, half);
    b = e.slice(turning, 3, half, half);
  }
  Value ya = e.sub(e.mul(a, cosine), e.mul(b, sine)), yb = e.add(e.mul(b, cosine), e.mul(a, sine));
  Value y;
  if (op.getInterleaved()) {
    pairs[4] = DimExpr(1);
    DimExprs flat{xd[0], xd[1], xd[2], DimExpr(rotated)};
    y = e.reshape(e.concat({e.reshape(ya, pairs), e.reshape(yb, pairs)}, 4), flat);
    return {rotated == features ? y : e.concat({y, e.slice(x, 3, rotated, features - rotated)}, 3)};
  }
  if (rotated == features)
    return {e.concat({ya, yb}, 3)};
  return {e.concat({ya, yb, e.slice(x, 3, rotated, features - rotated)}, 3)};
}

/// The largest position + 1, as a scalar.
static Value lengthOf(Emit &e, Value positions) {
  SmallVector<int64_t> axes;
  for (int64_t i = 0; i < rankOf(positions.getType()); ++i)
    axes.push_back(i);
  Value last = e.reshape(e.reduce(fr::ReduceKind::Max, positions, axes), {});
  return e.add(last, e.scalar(1, last));
}

/// NTK-aware scaling: beyond the original length theta grows with it. The steps and their roundings are those of
/// ropeFrequencies (ir/Rope.cpp).
static Value dynamicFrequencies(Emit &e, fr::RopeTableOp op, Value length, const DecomposeOptions &options) {
  const int64_t dim = op.getDim(), original = *op.getOriginalMax();
  const float factor = static_cast<float>(op.getFactor()->convertToDouble());
  Type wide = options.float64 ? e.f64() : e.f32();
  Value longer = e.cast(length, e.f32());
  Value ratio =
      e.sub(e.div(e.mul(longer, e.scalar(factor, e.f32())), e.scalar(original, e.f32())), e.scalar(factor - 1.0f, e.f32()));
  // A ratio below 1 would belong to a length that the select below discards; 1 keeps pow finite there.
  ratio = e.make<fr::MaximumOp>(ratio, e.scalar(1, e.f32()));
  Value power = e.make<fr::PowOp>(e.cast(ratio, wide), e.scalar(dim / static_cast<double>(dim - 2), wide));
  Value theta = e.mul(e.cast(power, e.f32()), e.scalar(static_cast<float>(op.getTheta().convertToDouble()), e.f32()));
  std::vector<float> exponents;
  for (int64_t j = 0; j < dim / 2; ++j)
    exponents.push_back(static_cast<float>(2 * j) / static_cast<float>(dim));
  Value powers = e.cast(e.make<fr::PowOp>(e.cast(theta, wide), e.cast(e.floats(exponents), wide)), e.f32());
  return e.div(e.scalar(1, e.f32()), powers);
}

Values flagrelease::decomposeRopeTable(fr::RopeTableOp op, Emit &e, const DecomposeOptions &options) {
  Value positions = op.getPositionIds(), frequencies;
  if (!ropeDependsOnLength(op)) {
    frequencies = e.floats(ropeFrequencies(op, 1));
  } else {
    const int64_t original = *op.getOriginalMax();
    Value length = lengthOf(e, positions);
    Value beyond = e.compare(fr::Predicate::GT, length, e.scalar(static_cast<double>(original), length));
    Value shortOnes = e.floats(ropeFrequencies(op, 1));
    Value longOnes = op.getKind() == fr::RopeKind::Dynamic ? dynamicFrequencies(e, op, length, options)
                                                           : e.floats(ropeFrequencies(op, original + 1));
    frequencies = e.make<fr::SelectOp>(beyond, longOnes, shortOnes);
  }
  DimExprs column = dimsOf(positions.getType());
  column.push_back(DimExpr(1));
  Value angles = e.mul(e.reshape(e.cast(positions, e.f32()), column), frequencies);
  Value cosine = e.make<fr::CosOp>(angles), sine = e.make<fr::SinOp>(angles);
  double scaling = op.getAttentionScaling().convertToDouble();
  if (scaling != 1) {
    cosine = e.mul(cosine, e.scalar(scaling, cosine));
    sine = e.mul(sine, e.scalar(scaling, sine));
  }
  return {cosine, sine};
}
