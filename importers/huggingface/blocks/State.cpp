// States that keep their size between calls, and what slides over a sequence with one.
#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const StringRef kKinds[] = {"conv", "recurrent", "window"};
const ParamSchema kSizeItem[] = {{"item", ParamType::Size}};
const ParamSchema kStateParams[] = {
    {"kind", ParamType::Enum, true, kKinds, {}, ""},
    {"name", ParamType::String, true, {}, {}, "of this state in its layer: conv, ssm, ..."},
    {"shape", ParamType::List, true, {}, kSizeItem, "sizes, the batch first"},
    {"init", ParamType::Number, false, {}, {}, "before the first token; absent: 0"},
};
const ParamSchema kUpdateParams[] = {{"name", ParamType::String, true, {}, {}, "as in `state`"}};
const ParamSchema kAppendParams[] = {
    {"name", ParamType::String, true, {}, {}, "of this cache in its layer: latent, key, ..."},
    {"axis", ParamType::Int, true, {}, {}, "of the tokens"},
    {"layer", ParamType::Int, false, {}, {}, "index of the cache; absent: of the repeat around"}};
const ParamSchema kCausalConvParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "module of the kernel [channels, 1, kernel]"},
    {"bias", ParamType::Bool, false, {}, {}, "absent: the file decides"},
    {"kernel", ParamType::Int, true, {}, {}, "tokens that one sees, itself counted"},
    {"act", ParamType::String, false, {}, {}, "activation of the result; absent: none"},
    {"name", ParamType::String, false, {}, {}, "of the state in its layer; absent: conv"},
};

BlockResult one(Value value) { return llvm::SmallVector<Value>{value}; }

BlockResult buildState(BlockContext &context) {
  FailureOr<std::optional<std::string>> kind = context.text("kind"), name = context.text("name");
  FailureOr<DimExprs> shape = context.sizes("shape");
  FailureOr<std::optional<double>> init = context.optionalNumber("init");
  if (failed(kind) || failed(name) || failed(shape) || failed(init))
    return failure();
  return one(context.graph.readState(*fr::symbolizeStateKind(**kind), **name, tensorType(*shape, context.ops().getF32Type()),
                                     init->value_or(0)));
}

BlockResult buildUpdate(BlockContext &context) {
  FailureOr<std::optional<std::string>> name = context.text("name");
  if (failed(name) || failed(context.graph.updateState(**name, context.x(), context.step.place)))
    return failure();
  return one(context.x());
}

BlockResult buildAppend(BlockContext &context) {
  FailureOr<std::optional<std::string>> name = context.text("name");
  FailureOr<int64_t> axis = context.axis("axis", context.dims().size());
  FailureOr<std::optional<int64_t>> layer = context.optionalInteger("layer");
  if (failed(name) || failed(axis) || failed(layer))
    return failure();
  return one(context.graph.appendState(**name, context.x(), *axis, *layer));
}

/// Depthwise over tokens [B, S, C]: each sees itself and the kernel - 1 before it, those of earlier calls through a state.
BlockResult buildCausalConv(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight");
  FailureOr<int64_t> kernel = context.integer("kernel");
  FailureOr<std::optional<std::string>> act = context.text("act"), name = context.text("name");
  if (failed(module) || failed(kernel) || failed(act) || failed(name))
    return failure();
  FailureOr<bool> bias = context.flag("bias", context.graph.findTensor(*module + ".bias") != nullptr);
  if (failed(bias))
    return failure();
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  DimExprs dims = context.dims(); // [B, S, C]
  const int64_t channels = context.width();
  Value x = context.transpose(context.x(), {0, 2, 1});
  if (*kernel > 1) {
    Type state = tensorType({dims[0], DimExpr(channels), DimExpr(*kernel - 1)}, ops.getF32Type());
    const std::string part = name->value_or("conv");
    Value past = context.graph.readState(fr::StateKind::Conv, part, state, 0);
    x = ops.create<fr::ConcatOp>(loc, ValueRange{past, x}, 2);
    if (failed(context.graph.updateState(part, context.slice(x, 2, dims[1], DimExpr(*kernel - 1)), context.step.place)))
      return failure();
  }
  Value weight =
      context.weight(*module + ".weight", {channels, 1, *kernel}, "channels " + Twine(channels) + ", kernel " + Twine(*kernel));
  Value shift = *bias ? context.weight(*module + ".bias", {channels}, "channels " + Twine(channels)) : Value();
  Value y = ops.create<fr::ConvOp>(loc, x, weight, shift, llvm::ArrayRef<int64_t>{1}, llvm::ArrayRef<int64_t>{0},
                                   llvm::ArrayRef<int64_t>{0}, llvm::ArrayRef<int64_t>{1}, channels);
  if (*act) {
    FailureOr<Value> active = activation(context, **act, y, context.step.find("act")->place);
    if (failed(active))
      return failure();
    y = *active;
  }
  return one(context.transpose(y, {0, 2, 1}));
}

const StepSchema kSchemas[] = {
    {"state", kStateParams, false, "what a state of this layer holds from the call before"},
    {"update_state", kUpdateParams, false, "what the next call finds in the state; passes it on"},
    {"append_state", kAppendParams, false, "extends a cache of this layer by its input and gives all of it"},
    {"causal_conv1d", kCausalConvParams, false, "depthwise convolution over tokens [B, S, C] that looks back only"},
};
} // namespace

llvm::ArrayRef<StepBlock> flagrelease::stateSteps() {
  static constexpr BlockFunction kBuilders[] = {buildState, buildUpdate, buildAppend, buildCausalConv};
  static const std::vector<StepBlock> steps = stepTable(kSchemas, kBuilders);
  return steps;
}
