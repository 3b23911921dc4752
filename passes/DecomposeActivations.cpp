// gelu, silu, softmax in primitive ops.
#include "passes/DecomposeEmit.h"

#include <cmath>

using namespace mlir;
using namespace flagrelease;

Values flagrelease::decomposeGelu(fr::GeluOp op, Emit &e, const DecomposeOptions &) {
  Value x = op.getX(), gate;
  if (op.getApproximate() == fr::GeluKind::None) {
    gate = e.make<fr::ErfOp>(e.mul(x, e.scalar(std::sqrt(0.5), x)));
  } else {
    Value cubic = e.mul(e.mul(e.mul(x, x), x), e.scalar(0.044715, x));
    gate = e.make<fr::TanhOp>(e.mul(e.add(x, cubic), e.scalar(std::sqrt(2 / 3.14159265358979323846), x)));
  }
  return {e.mul(e.mul(x, e.scalar(0.5, x)), e.add(gate, e.scalar(1, x)))};
}

Values flagrelease::decomposeSilu(fr::SiluOp op, Emit &e, const DecomposeOptions &) {
  return {e.mul(op.getX(), e.make<fr::SigmoidOp>(op.getX()))};
}

Values flagrelease::decomposeSoftmax(fr::SoftmaxOp op, Emit &e, const DecomposeOptions &) {
  Value x = op.getX();
  int64_t axis = op.getAxis();
  Value powers = e.make<fr::ExpOp>(e.sub(x, e.reduce(fr::ReduceKind::Max, x, axis)));
  return {e.div(powers, e.reduce(fr::ReduceKind::Sum, powers, axis))};
}
