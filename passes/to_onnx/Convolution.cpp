// Ops over spatial dimensions.
#include "passes/to_onnx/Emitter.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

SmallVector<int64_t> both(ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  SmallVector<int64_t> margins(low);
  margins.append(high.begin(), high.end());
  return margins;
}

SmallVector<int64_t> kernelOf(Value weight) {
  return SmallVector<int64_t>(cast<RankedTensorType>(weight.getType()).getShape().drop_front(2));
}

/// x, weight and bias in the type of the result.
template <typename Op> Values convInputs(Op op, Emitter &e) {
  Type element = elementOf(op.getType());
  Values inputs{e.cast(e(op.getX()), element), e.cast(e(op.getWeight()), element)};
  if (op.getBias())
    inputs.push_back(e.cast(e(op.getBias()), element));
  return inputs;
}

Values lowerConv(fr::ConvOp op, Emitter &e) {
  return {e.node("Conv", convInputs(op, e), op.getType(),
                 {e.i64s("kernel_shape", kernelOf(op.getWeight())), e.i64s("strides", op.getStrides()),
                  e.i64s("pads", both(op.getLow(), op.getHigh())), e.i64s("dilations", op.getDilations()),
                  e.i64("group", op.getGroups())})};
}

Values lowerConvTranspose(fr::ConvTransposeOp op, Emitter &e) {
  return {e.node("ConvTranspose", convInputs(op, e), op.getType(),
                 {e.i64s("kernel_shape", kernelOf(op.getWeight())), e.i64s("strides", op.getStrides()),
                  e.i64s("pads", both(op.getLow(), op.getHigh())), e.i64s("dilations", op.getDilations()),
                  e.i64s("output_padding", op.getExtra()), e.i64("group", op.getGroups())})};
}

Values lowerPool(fr::PoolOp op, Emitter &e) {
  NamedAttrs attributes{e.i64s("kernel_shape", op.getKernel()), e.i64s("strides", op.getStrides()),
                        e.i64s("pads", both(op.getLow(), op.getHigh()))};
  if (op.getKind() == fr::PoolKind::Max)
    return {e.node("MaxPool", {e(op.getX())}, op.getType(), attributes)};
  attributes.push_back(e.i64("count_include_pad", op.getCountMargin()));
  return {e.node("AveragePool", {e(op.getX())}, op.getType(), attributes)};
}

Values lowerInterpolate(fr::InterpolateOp op, Emitter &e) {
  static constexpr StringLiteral kModes[] = {"nearest", "linear", "cubic"};
  Value x = e(op.getX());
  const bool nearest = op.getMode() == fr::Interpolation::Nearest;
  NamedAttrs attributes{e.text("mode", kModes[static_cast<int>(op.getMode())]),
                        e.text("coordinate_transformation_mode", nearest                ? "asymmetric"
                                                                 : op.getAlignCorners() ? "align_corners"
                                                                                        : "half_pixel")};
  if (nearest)
    attributes.push_back(e.text("nearest_mode", "floor"));
  if (op.getMode() == fr::Interpolation::Cubic)
    attributes.push_back(e.f32("cubic_coeff_a", -0.75));
  return {e.node("Resize", {x, e.none(), e.none(), e.shape(dimsOf(op.getType()))}, op.getType(), attributes)};
}

/// A group is one row of a norm without scale; scale and shift go by channel afterwards.
Values lowerGroupNorm(fr::GroupNormOp op, Emitter &e) {
  Value x = e(op.getX());
  Type element = elementOf(x.getType());
  DimExprs dims = dimsOf(x.getType());
  const int64_t groups = op.getGroups();
  const double eps = op.getEps().convertToDouble();
  DimExprs perGroup{dims[0], DimExpr(groups), *productOf(ArrayRef(dims).drop_front()).dividedBy(groups)};
  Value rows = e.reshape(x, perGroup);
  Value y = e.firstOf(
      {{"InstanceNormalization",
        [&] {
          return Values{e.node("InstanceNormalization", {rows, e.splat(1, {groups}, element), e.splat(0, {groups}, element)},
                               rows.getType(), {e.f32("epsilon", eps)})};
        }},
       {"decomposed", [&] {
          Value centred = e.binary("Sub", rows, e.reduce("ReduceMean", rows, {2}));
          Value variance = e.reduce("ReduceMean", e.binary("Mul", centred, centred), {2});
          return Values{e.binary("Div", centred, e.unary("Sqrt", e.binary("Add", variance, e.scalar(eps, element))))};
        }}})[0];
  y = e.reshape(y, dims);
  DimExprs column(dims.size() - 1, DimExpr(1));
  column[0] = dims[1];
  if (op.getWeight())
    y = e.binary("Mul", y, e.reshape(e.cast(e(op.getWeight()), element), column));
  if (op.getBias())
    y = e.binary("Add", y, e.reshape(e.cast(e(op.getBias()), element), column));
  return {y};
}

} // namespace

ArrayRef<Lowering> to_onnx::convolutionLowerings() {
  static const Lowering table[] = {
      lowering<fr::ConvOp, lowerConv>("fr.conv"),
      lowering<fr::ConvTransposeOp, lowerConvTranspose>("fr.conv_transpose"),
      lowering<fr::PoolOp, lowerPool>("fr.pool"),
      lowering<fr::InterpolateOp, lowerInterpolate>("fr.interpolate"),
      lowering<fr::GroupNormOp, lowerGroupNorm>("fr.group_norm"),
  };
  return table;
}
