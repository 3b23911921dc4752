// Layers with weights, norms, softmax.
#include "passes/to_onnx/Emitter.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

Values lowerEmbedding(fr::EmbeddingOp op, Emitter &e) {
  Value ids = e(op.getIds()), table = e(op.getTable());
  Type element = elementOf(op.getType());
  // Rows are picked as they are stored and widened afterwards: the table is never held twice.
  return e.firstOf({{"Gather", [&] { return Values{e.cast(e.gather(table, ids, 0), element)}; }},
                    {"cast first", [&] { return Values{e.gather(e.cast(table, element), ids, 0)}; }}});
}

/// The weight keeps the layout of the file, [out, in]. Gemm reads it as it lies; ONNX Runtime loads such a model three times as
/// fast as one where it has to turn every weight, and with less memory (docs/rationale.md).
Values lowerLinear(fr::LinearOp op, Emitter &e) {
  Value x = e(op.getX());
  Type element = elementOf(op.getType());
  Value weight = e.cast(e(op.getWeight()), element);
  Value bias = op.getBias() ? e.cast(e(op.getBias()), element) : Value();
  auto turned = [&] {
    Value y = e.matmul(x, e.transpose(weight, {1, 0}));
    return Values{bias ? e.binary("Add", y, bias) : y};
  };
  if (rankOf(x.getType()) < 2)
    return turned();
  return e.firstOf({{"Gemm",
                     [&] {
                       DimExprs dims = dimsOf(x.getType());
                       Value rows = e.reshape(x, {flatDim(ArrayRef(dims).drop_back()), dims.back()});
                       Values inputs{rows, weight};
                       if (bias)
                         inputs.push_back(bias);
                       DimExprs out{dimsOf(rows.getType())[0], dimsOf(weight.getType())[0]};
                       Value y = e.node("Gemm", inputs, tensorType(out, element), {e.i64("transB", 1)});
                       return Values{e.reshape(y, dimsOf(op.getType()))};
                     }},
                    {"MatMul", turned}});
}

Values lowerMatmul(fr::MatmulOp op, Emitter &e) {
  Type element = elementOf(op.getType());
  return {e.matmul(e.cast(e(op.getLhs()), element), e.cast(e(op.getRhs()), element))};
}

/// The scale of a norm in the type of the activations; a null value for a scale of ones.
Value normScale(Value weight, const APFloat &offset, Type element, Emitter &e) {
  if (!weight)
    return {};
  Value scale = e.cast(e(weight), element);
  double shift = offset.convertToDouble();
  return shift == 0 ? scale : e.binary("Add", scale, e.scalar(shift, element));
}

/// Fused norms demand a scale.
Value orOnes(Value scale, Value x, Emitter &e) {
  return scale ? scale : e.splat(1, {dimsOf(x.getType()).back().value()}, elementOf(x.getType()));
}

Values lowerRmsNorm(fr::RmsNormOp op, Emitter &e) {
  Value x = e(op.getX());
  Type element = elementOf(x.getType());
  double eps = op.getEps().convertToDouble();
  int64_t last = rankOf(x.getType()) - 1;
  Value scale = normScale(op.getWeight(), op.getOffset(), element, e);
  return e.firstOf({{"RMSNormalization",
                     [&] {
                       return Values{e.node("RMSNormalization", {x, orOnes(scale, x, e)}, x.getType(),
                                            {e.i64("axis", -1), e.f32("epsilon", eps), e.i64("stash_type", 1)})};
                     }},
                    {"SimplifiedLayerNormalization",
                     [&] {
                       return Values{e.node("SimplifiedLayerNormalization", {x, orOnes(scale, x, e)}, x.getType(),
                                            {e.i64("axis", -1), e.f32("epsilon", eps), e.i64("stash_type", 1)})};
                     }},
                    {"decomposed", [&] {
                       Value square = e.reduce("ReduceMean", e.binary("Mul", x, x), {last});
                       Value root = e.unary("Sqrt", e.binary("Add", square, e.scalar(eps, element)));
                       Value y = e.binary("Div", x, root);
                       return Values{scale ? e.binary("Mul", y, scale) : y};
                     }}});
}

Values lowerLayerNorm(fr::LayerNormOp op, Emitter &e) {
  Value x = e(op.getX());
  Type element = elementOf(x.getType());
  double eps = op.getEps().convertToDouble();
  int64_t last = rankOf(x.getType()) - 1;
  Value scale = normScale(op.getWeight(), op.getOffset(), element, e);
  Value bias = op.getBias() ? e.cast(e(op.getBias()), element) : Value();
  return e.firstOf({{"LayerNormalization",
                     [&] {
                       Values inputs{x, orOnes(scale, x, e)};
                       if (bias)
                         inputs.push_back(bias);
                       return Values{e.node("LayerNormalization", inputs, x.getType(),
                                            {e.i64("axis", -1), e.f32("epsilon", eps), e.i64("stash_type", 1)})};
                     }},
                    {"decomposed", [&] {
                       Value centred = e.binary("Sub", x, e.reduce("ReduceMean", x, {last}));
                       Value variance = e.reduce("ReduceMean", e.binary("Mul", centred, centred), {last});
                       Value y = e.binary("Div", centred, e.unary("Sqrt", e.binary("Add", variance, e.scalar(eps, element))));
                       if (scale)
                         y = e.binary("Mul", y, scale);
                       return Values{bias ? e.binary("Add", y, bias) : y};
                     }}});
}

Values lowerSoftmax(fr::SoftmaxOp op, Emitter &e) {
  Value x = e(op.getX());
  return {e.node("Softmax", {x}, x.getType(), {e.i64("axis", op.getAxis())})};
}

Values lowerL2Norm(fr::L2NormOp op, Emitter &e) {
  Value x = e(op.getX());
  int64_t last = rankOf(x.getType()) - 1;
  Value norm = e.firstOf(
      {{"ReduceL2", [&] { return Values{e.reduce("ReduceL2", x, {last})}; }},
       {"decomposed", [&] { return Values{e.unary("Sqrt", e.reduce("ReduceSum", e.binary("Mul", x, x), {last}))}; }}})[0];
  return {e.binary("Div", x, e.binary("Max", norm, e.scalar(op.getEps().convertToDouble(), elementOf(x.getType()))))};
}

} // namespace

ArrayRef<Lowering> to_onnx::layerLowerings() {
  static const Lowering table[] = {
      lowering<fr::EmbeddingOp, lowerEmbedding>("fr.embedding"),  lowering<fr::LinearOp, lowerLinear>("fr.linear"),
      lowering<fr::MatmulOp, lowerMatmul>("fr.matmul"),           lowering<fr::RmsNormOp, lowerRmsNorm>("fr.rms_norm"),
      lowering<fr::LayerNormOp, lowerLayerNorm>("fr.layer_norm"), lowering<fr::SoftmaxOp, lowerSoftmax>("fr.softmax"),
      lowering<fr::L2NormOp, lowerL2Norm>("fr.l2_norm"),
  };
  return table;
}
