// Steps that are one op: embeddings, norms, projections.
#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const ParamSchema kEmbedParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "module of the table [vocabulary, hidden]"},
    {"scale", ParamType::Number, false, {}, {}, "the rows are multiplied by it"},
    {"rows", ParamType::Int, false, {}, {}, "size of the vocabulary; absent: vocab_size"},
    {"width", ParamType::Int, false, {}, {}, "features; absent: hidden_size"},
};
const ParamSchema kRmsNormParams[] = {
    {"weight", ParamType::Tensor, false, {}, {}, "module [features]; absent: no weight"},
    {"eps", ParamType::Number, true, {}, {}, ""},
    {"offset", ParamType::Number, false, {}, {}, "added to the weight: 1 for zero-centred weights"},
};
const ParamSchema kLayerNormParams[] = {
    {"weight", ParamType::Tensor, false, {}, {}, "module [features]; absent: no weight"},
    {"eps", ParamType::Number, true, {}, {}, ""},
    {"bias", ParamType::Bool, false, {}, {}, "absent: the file decides"},
    {"offset", ParamType::Number, false, {}, {}, "added to the weight"},
};
const ParamSchema kLinearParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "module [out, in]"},
    {"bias", ParamType::Bool, false, {}, {}, "absent: the file decides"},
    {"width", ParamType::Int, false, {}, {}, "rows; absent: those on disk"},
    {"transposed", ParamType::Bool, false, {}, {}, "stored [in, out]"},
};
const ParamSchema kPositionsParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "module of the table [positions, width]"},
    {"rows", ParamType::Int, false, {}, {}, "absent: those on disk"},
    {"offset", ParamType::Int, false, {}, {}, "added to the position; absent: 0"},
    {"ids", ParamType::Value, false, {}, {}, "ints [B, S]; absent: position_ids, or 0, 1, 2, ... where that is no input"},
};
const ParamSchema kLmHeadParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "module [vocabulary, hidden]"},
    {"tied_to", ParamType::Tensor, false, {}, {}, "module whose weight serves when the file has no own"},
    {"bias", ParamType::Bool, false, {}, {}, "absent: the file decides"},
    {"scale", ParamType::Number, false, {}, {}, "the logits are multiplied by it"},
};
const ParamSchema kL2NormParams[] = {{"eps", ParamType::Number, false, {}, {}, "absent: 1e-12"}};

Value splat(BlockContext &context, double value) {
  OpBuilder &ops = context.ops();
  return ops.create<fr::ConstantOp>(
      context.loc(), cast<ElementsAttr>(DenseElementsAttr::get(tensorType({}, ops.getF32Type()), static_cast<float>(value))));
}

/// A size given by the step, else by the config key, else one that the file has.
FailureOr<int64_t> sizeOr(BlockContext &context, StringRef parameter, StringRef key) {
  if (context.step.has(parameter))
    return context.integer(parameter);
  FailureOr<std::optional<json::Value>> value = context.scope.lookup(key, context.diags());
  if (failed(value))
    return failure();
  if (!*value || !(*value)->isInt() || (*value)->integer() < 1 || (*value)->integer() > (int64_t(1) << 31))
    return context.diags().error("config.json: " + key,
                                 *value ? "is " + json::toText(**value) + ", not a size" : std::string("is missing"),
                                 "restore the checkpoint's own config.json");
  return (*value)->integer();
}

FailureOr<bool> biasOrFile(BlockContext &context, const std::string &module) {
  return context.flag("bias", context.graph.findTensor(module + ".bias") != nullptr);
}
} // namespace

const StepSchema flagrelease::kEmbedSchema = {"embed", kEmbedParams, false, "rows of a table by input_ids"};
const StepSchema flagrelease::kRmsNormSchema = {"rms_norm", kRmsNormParams, false, "x / sqrt(mean(x^2) + eps) * weight"};
const StepSchema flagrelease::kLayerNormSchema = {"layer_norm", kLayerNormParams, false,
                                                  "(x - mean) / sqrt(var + eps) * weight + bias"};
const StepSchema flagrelease::kLinearSchema = {"linear", kLinearParams, false, "x W^T + b"};
const StepSchema flagrelease::kPositionsSchema = {"positions", kPositionsParams, false, "x plus rows of a table by position"};
const StepSchema flagrelease::kLmHeadSchema = {"lm_head", kLmHeadParams, false,
                                               "projection to the vocabulary, tied or not: the file decides"};
const StepSchema flagrelease::kL2NormSchema = {"l2_norm", kL2NormParams, false, "x / max(|x|, eps) over the features"};

BlockResult flagrelease::buildEmbed(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight");
  FailureOr<int64_t> rows = sizeOr(context, "rows", "vocab_size"), width = sizeOr(context, "width", "hidden_size");
  FailureOr<std::optional<double>> scale = context.optionalNumber("scale");
  if (failed(module) || failed(rows) || failed(width) || failed(scale))
    return failure();
  Value ids = context.operands.empty() ? context.graph.input("input_ids") : context.x();
  if (!ids)
    return failure();
  Value table =
      context.weight(*module + ".weight", {*rows, *width}, "vocab_size " + Twine(*rows) + ", hidden_size " + Twine(*width));
  Value x = context.ops().create<fr::EmbeddingOp>(context.loc(), ids, table);
  if (*scale)
    x = context.ops().create<fr::MulOp>(context.loc(), x, splat(context, **scale));
  return llvm::SmallVector<Value>{x};
}

BlockResult flagrelease::buildRmsNorm(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight");
  FailureOr<double> eps = context.number("eps");
  FailureOr<std::optional<double>> offset = context.optionalNumber("offset");
  if (failed(module) || failed(eps) || failed(offset))
    return failure();
  Value weight =
      module->empty() ? Value() : context.weight(*module + ".weight", {context.width()}, "features " + Twine(context.width()));
  return llvm::SmallVector<Value>{context.ops().create<fr::RmsNormOp>(context.loc(), context.x(), weight, context.real(*eps),
                                                                      context.real(offset->value_or(0)))};
}

BlockResult flagrelease::buildLayerNorm(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight");
  FailureOr<double> eps = context.number("eps");
  FailureOr<std::optional<double>> offset = context.optionalNumber("offset");
  if (failed(module) || failed(eps) || failed(offset))
    return failure();
  Value weight, bias;
  if (!module->empty()) {
    FailureOr<bool> hasBias = biasOrFile(context, *module);
    if (failed(hasBias))
      return failure();
    weight = context.weight(*module + ".weight", {context.width()}, "features " + Twine(context.width()));
    if (*hasBias)
      bias = context.weight(*module + ".bias", {context.width()}, "features " + Twine(context.width()));
  }
  return llvm::SmallVector<Value>{context.ops().create<fr::LayerNormOp>(context.loc(), context.x(), weight, bias,
                                                                        context.real(*eps), context.real(offset->value_or(0)))};
}

BlockResult flagrelease::buildLinear(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight");
  if (failed(module))
    return failure();
  FailureOr<bool> bias = biasOrFile(context, *module), transposed = context.flag("transposed", false);
  FailureOr<std::optional<int64_t>> width = context.optionalInteger("width");
  if (failed(bias) || failed(width) || failed(transposed))
    return failure();
  const CheckpointTensor *tensor = context.graph.findTensor(*module + ".weight");
  int64_t rows = *width ? **width : tensor && tensor->shape.size() == 2 ? tensor->shape[*transposed ? 1 : 0] : 1;
  FailureOr<Value> y = context.linear(context.x(), *module, rows, *bias, "features " + Twine(context.width()), *transposed);
  if (failed(y))
    return failure();
  return llvm::SmallVector<Value>{*y};
}

BlockResult flagrelease::buildPositions(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight");
  FailureOr<std::optional<int64_t>> rows = context.optionalInteger("rows"), offset = context.optionalInteger("offset");
  FailureOr<Value> ids = context.value("ids");
  if (failed(module) || failed(rows) || failed(offset) || failed(ids))
    return failure();
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  if (!*ids && context.graph.hasInput("position_ids"))
    *ids = context.graph.input("position_ids");
  if (!*ids) {
    DimExpr tokens = context.dims()[context.dims().size() - 2];
    *ids = ops.create<fr::IotaOp>(loc, tensorType({tokens}, ops.getI64Type()));
  }
  if (offset->value_or(0) != 0)
    *ids = ops.create<fr::AddOp>(loc, *ids, context.integerConstant({**offset}, {}));
  const CheckpointTensor *tensor = context.graph.findTensor(*module + ".weight");
  const int64_t count = *rows ? **rows + offset->value_or(0) : tensor && tensor->shape.size() == 2 ? tensor->shape[0] : 1;
  Value table =
      context.weight(*module + ".weight", {count, context.width()}, Twine(count) + " positions, width " + Twine(context.width()));
  return llvm::SmallVector<Value>{ops.create<fr::AddOp>(loc, context.x(), ops.create<fr::EmbeddingOp>(loc, *ids, table))};
}

BlockResult flagrelease::buildLmHead(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight"), tied = context.tensorName("tied_to");
  FailureOr<int64_t> rows = sizeOr(context, "rows", "vocab_size");
  FailureOr<std::optional<double>> scale = context.optionalNumber("scale");
  if (failed(module) || failed(tied) || failed(rows) || failed(scale))
    return failure();
  // The file decides: an own head is used whatever the config says, an absent one is tied.
  std::string from = *module;
  if (!tied->empty() && !context.graph.findTensor(*module + ".weight"))
    from = *tied;
  FailureOr<bool> bias = biasOrFile(context, *module);
  if (failed(bias))
    return failure();
  Value weight = context.weight(from + ".weight", {*rows, context.width()},
                                "vocab_size " + Twine(*rows) + ", hidden size " + Twine(context.width()));
  Value offset = *bias ? context.weight(*module + ".bias", {*rows}, "vocab_size " + Twine(*rows)) : Value();
  Value logits = context.ops().create<fr::LinearOp>(context.loc(), context.x(), weight, offset);
  if (*scale)
    logits = context.ops().create<fr::MulOp>(context.loc(), logits, splat(context, **scale));
  return llvm::SmallVector<Value>{logits};
}

BlockResult flagrelease::buildL2Norm(BlockContext &context) {
  FailureOr<std::optional<double>> eps = context.optionalNumber("eps");
  if (failed(eps))
    return failure();
  return llvm::SmallVector<Value>{
      context.ops().create<fr::L2NormOp>(context.loc(), context.x(), context.real(eps->value_or(1e-12)))};
}
