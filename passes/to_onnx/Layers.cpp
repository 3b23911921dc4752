// Layers with weights, norms, softmax.
#include "passes/to_onnx/Emitter.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

Values lowerEmbedding(fr::EmbeddingOp op, Emitter &e) {
  Value ids = e(op.getIds());
  Type element = elementOf(op.getType());
  if (Operation *table = op.getTable().getDefiningOp(); table && isStorage(table))
    return {e.cast(lowerStoredRows(op.getTable(), ids, e), element)};
  Value table = e(op.getTable());
  // Rows are picked as they are stored and widened afterwards: the table is never held twice.
  return e.firstOf({{"Gather", [&] { return Values{e.cast(e.gather(table, ids, 0), element)}; }},
                    {"cast first", [&] { return Values{e.gather(e.cast(table, element), ids, 0)}; }}});
}

/// The weight keeps the layout of the file, [out, in]. Gemm reads it as it lies; ONNX Runtime loads such a model three times as
/// fast as one where it has to turn every weight, and with less memory (docs/rationale.md). A weight that is stored quantised
/// goes to an operator that reads it so, where the toolchain has one.
Values lowerLinear(fr::LinearOp op, Emitter &e) {
  Type element = elementOf(op.getType());
  // Inside the ways: what a quantised operand becomes is for each of them to say.
  auto weight = [&] { return e.cast(e(op.getWeight()), element); };
  auto bias = [&] { return op.getBias() ? e.cast(e(op.getBias()), element) : Value(); };
  auto turned = [&] {
    Value x = e(op.getX()), w = weight(), b = bias();
    Value y = e.matmul(x, e.transpose(w, {1, 0}));
    return Values{b ? e.binary("Add", y, b) : y};
  };
  if (rankOf(op.getX().getType()) < 2)
    return turned();
  auto integers = [&] { return Values{matmulIntegers(op.getX(), op.getWeight(), bias(), op.getType(), e)}; };
  std::optional<BlockedWeight> blocks = matchBlockedWeight(op.getWeight());
  auto blocked = [&] { return Values{matmulBlocked(e(op.getX()), *blocks, bias(), op.getType(), e)}; };
  auto gemm = [&] {
    Value x = e(op.getX()), w = weight(), b = bias();
    DimExprs dims = dimsOf(x.getType());
    Values inputs{e.reshape(x, {productOf(ArrayRef(dims).drop_back()), dims.back()}), w};
    if (b)
      inputs.push_back(b);
    DimExprs out{dimsOf(inputs[0].getType())[0], dimsOf(w.getType())[0]};
    Value y = e.node("Gemm", inputs, tensorType(out, element), {e.i64("transB", 1)});
    return Values{e.reshape(y, dimsOf(op.getType()))};
  };
  SmallVector<Way> ways;
  if (isIntegerProduct(op.getX(), op.getWeight()))
    ways.push_back({"MatMulInteger", integers});
  if (blocks)
    ways.push_back({"MatMulNBits", blocked});
  ways.push_back({"Gemm", gemm});
  ways.push_back({"MatMul", turned});
  return e.firstOf(ways);
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
