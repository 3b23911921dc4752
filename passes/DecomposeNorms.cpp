// rms_norm, layer_norm, l2_norm in primitive ops, all over the last axis.
#include "passes/DecomposeEmit.h"

using namespace mlir;
using namespace flagrelease;

static Value meanOfSquares(Emit &e, Value x) { return e.reduce(fr::ReduceKind::Mean, e.mul(x, x), rankOf(x.getType()) - 1); }

/// x / sqrt(power + eps) * (weight + offset)
static Value scaled(Emit &e, Value x, Value power, double eps, Value weight, double offset) {
  Value y = e.mul(x, e.make<fr::RsqrtOp>(e.add(power, e.scalar(eps, power))));
  if (!weight)
    return y;
  // A narrow stored weight is widened here, so that no op below mixes float types.
  Value factor = e.cast(weight, elementOf(x.getType()));
  return e.mul(y, offset == 0 ? factor : e.add(factor, e.scalar(offset, factor)));
}

Values flagrelease::decomposeRmsNorm(fr::RmsNormOp op, Emit &e, const DecomposeOptions &) {
  return {scaled(e, op.getX(), meanOfSquares(e, op.getX()), op.getEps().convertToDouble(), op.getWeight(),
                 op.getOffset().convertToDouble())};
}

Values flagrelease::decomposeLayerNorm(fr::LayerNormOp op, Emit &e, const DecomposeOptions &) {
  Value x = op.getX();
  Value centred = e.sub(x, e.reduce(fr::ReduceKind::Mean, x, rankOf(x.getType()) - 1));
  Value y = scaled(e, centred, meanOfSquares(e, centred), op.getEps().convertToDouble(), op.getWeight(),
                   op.getOffset().convertToDouble());
  return {op.getBias() ? e.add(y, e.cast(op.getBias(), elementOf(x.getType()))) : y};
}

Values flagrelease::decomposeL2Norm(fr::L2NormOp op, Emit &e, const DecomposeOptions &) {
  Value x = op.getX();
  Value length = e.make<fr::SqrtOp>(e.reduce(fr::ReduceKind::Sum, e.mul(x, x), rankOf(x.getType()) - 1));
  return {e.div(x, e.make<fr::MaximumOp>(length, e.scalar(op.getEps().convertToDouble(), length)))};
}
