// Steps over spatial dimensions of a value [B, C, ..].
#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const StringRef kPools[] = {"max", "average"};
const StringRef kModes[] = {"nearest", "linear", "cubic"};
const ParamSchema kSizeItem[] = {{"item", ParamType::Size}};

const ParamSchema kConvParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "module of the kernel [channels, channels of x / groups, ..]"},
    {"bias", ParamType::Bool, false, {}, {}, "absent: the file decides"},
    {"kernel_value", ParamType::Value, false, {}, {}, "this value instead of the module's weight"},
    {"channels", ParamType::Int, false, {}, {}, "of the result; absent: those on disk"},
    {"kernel", ParamType::Expr, false, {}, {}, "size of the window, one for all dimensions or a list; absent: that on disk"},
    {"stride", ParamType::Expr, false, {}, {}, "one or a list; absent: 1"},
    {"padding", ParamType::Expr, false, {}, {}, "zeros on both sides, one or a list; absent: 0"},
    {"padding_high", ParamType::Expr, false, {}, {}, "zeros after, where they differ from those before"},
    {"dilation", ParamType::Expr, false, {}, {}, "one or a list; absent: 1"},
    {"groups", ParamType::Int, false, {}, {}, "absent: 1"},
};
const ParamSchema kTransposeParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "module of the kernel [channels of x, channels / groups, ..]"},
    {"bias", ParamType::Bool, false, {}, {}, "absent: the file decides"},
    {"kernel_value", ParamType::Value, false, {}, {}, "this value instead of the module's weight"},
    {"stride", ParamType::Expr, false, {}, {}, "one or a list; absent: 1"},
    {"padding", ParamType::Expr, false, {}, {}, "one or a list; absent: 0"},
    {"extra", ParamType::Expr, false, {}, {}, "output_padding, one or a list; absent: 0"},
    {"dilation", ParamType::Expr, false, {}, {}, "one or a list; absent: 1"},
    {"groups", ParamType::Int, false, {}, {}, "absent: 1"},
};
const ParamSchema kPoolParams[] = {
    {"kind", ParamType::Enum, true, kPools, {}, ""},
    {"kernel", ParamType::Expr, true, {}, {}, "one or a list"},
    {"stride", ParamType::Expr, false, {}, {}, "one or a list; absent: the kernel"},
    {"padding", ParamType::Expr, false, {}, {}, "one or a list; absent: 0"},
    {"count_margin", ParamType::Bool, false, {}, {}, "a mean counts the padding; absent: true"},
};
const ParamSchema kInterpolateParams[] = {
    {"factor", ParamType::Int, false, {}, {}, "sizes times this"},
    {"to", ParamType::List, false, {}, kSizeItem, "or: the spatial sizes"},
    {"like", ParamType::Value, false, {}, {}, "or: those of this value [B, C, ..]"},
    {"mode", ParamType::Enum, true, kModes, {}, ""},
    {"align_corners", ParamType::Bool, false, {}, {}, "absent: false"},
};
const ParamSchema kGroupNormParams[] = {{"weight", ParamType::Tensor, false, {}, {}, "module [channels]; absent: no weight"},
                                        {"groups", ParamType::Int, true, {}, {}, ""},
                                        {"eps", ParamType::Number, true, {}, {}, ""}};
const ParamSchema kBatchNormParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "module with weight, bias, running_mean and running_var [channels]"},
    {"eps", ParamType::Number, true, {}, {}, ""}};

BlockResult one(Value value) { return llvm::SmallVector<Value>{value}; }

/// The kernel of a step and its bias (null without one).
FailureOr<std::pair<Value, Value>> kernelOf(BlockContext &context, bool transposed, int64_t groups, size_t spatial) {
  FailureOr<std::string> module = context.tensorName("weight");
  FailureOr<Value> given = context.value("kernel_value");
  if (failed(module) || failed(given))
    return failure();
  if (groups < 1)
    return context.diags().error(context.step.place.str(), Twine(groups) + " groups of channels",
                                 "correct config.json, or the step");
  Value kernel = *given;
  if (!kernel) {
    const CheckpointTensor *tensor = context.graph.findTensor(*module + ".weight");
    llvm::SmallVector<int64_t> shape;
    if (tensor && tensor->shape.size() == spatial + 2)
      shape.assign(tensor->shape.begin(), tensor->shape.end());
    else
      shape.assign(spatial + 2, 1);
    DimExpr channels = context.dims()[1];
    if (channels.isStatic())
      shape[transposed ? 0 : 1] = transposed ? channels.value() : channels.value() / groups;
    if (!transposed && context.step.has("channels")) {
      FailureOr<int64_t> outs = context.integer("channels");
      if (failed(outs))
        return failure();
      shape[0] = *outs;
    }
    if (!transposed && context.step.has("kernel")) {
      FailureOr<llvm::SmallVector<int64_t>> sizes = context.integers("kernel", spatial, std::nullopt);
      if (failed(sizes))
        return failure();
      std::copy(sizes->begin(), sizes->end(), shape.begin() + 2);
    }
    kernel = context.weight(*module + ".weight", shape, "channels " + Twine(shape[0]) + ", groups " + Twine(groups));
  }
  FailureOr<bool> bias = context.flag("bias", context.graph.findTensor(*module + ".bias") != nullptr);
  if (failed(bias))
    return failure();
  const int64_t outs = dimsOf(kernel.getType())[transposed ? 1 : 0].value() * (transposed ? groups : 1);
  return std::pair<Value, Value>(kernel, *bias ? context.weight(*module + ".bias", {outs}, "channels " + Twine(outs)) : Value());
}

/// x has `spatial` axes behind batch and channels; without a number, any.
LogicalResult spatialAxes(BlockContext &context, std::optional<size_t> spatial, size_t least = 0) {
  const size_t rank = context.dims().size();
  if (spatial ? rank == *spatial + 2 : rank >= least + 2)
    return success();
  return context.diags().error(context.step.place.str(),
                               "takes [batch, channels] and " + (spatial ? std::to_string(*spatial) + " " : std::string()) +
                                   "spatial axes, not rank " + Twine(rank),
                               "reshape first");
}

/// The static number of channels of x [batch, channels, ..].
FailureOr<int64_t> channelsOf(BlockContext &context) {
  if (failed(spatialAxes(context, std::nullopt)))
    return failure();
  const DimExpr channels = context.dims()[1];
  if (!channels.isStatic())
    return context.diags().error(context.step.place.str(), "the channels have no fixed size here: " + channels.str(),
                                 "transpose first");
  return channels.value();
}

template <size_t Spatial> BlockResult buildConv(BlockContext &context) {
  if (failed(spatialAxes(context, Spatial)))
    return failure();
  FailureOr<std::optional<int64_t>> groups = context.optionalInteger("groups");
  auto stride = context.integers("stride", Spatial, 1), low = context.integers("padding", Spatial, 0),
       dilation = context.integers("dilation", Spatial, 1);
  if (failed(groups) || failed(stride) || failed(low) || failed(dilation))
    return failure();
  auto high = context.step.has("padding_high") ? context.integers("padding_high", Spatial, 0) : low;
  FailureOr<std::pair<Value, Value>> kernel = kernelOf(context, false, groups->value_or(1), Spatial);
  if (failed(high) || failed(kernel))
    return failure();
  return one(context.ops().create<fr::ConvOp>(context.loc(), context.x(), kernel->first, kernel->second, *stride, *low, *high,
                                              *dilation, groups->value_or(1)));
}

template <size_t Spatial> BlockResult buildConvTranspose(BlockContext &context) {
  if (failed(spatialAxes(context, Spatial)))
    return failure();
  FailureOr<std::optional<int64_t>> groups = context.optionalInteger("groups");
  auto stride = context.integers("stride", Spatial, 1), padding = context.integers("padding", Spatial, 0),
       dilation = context.integers("dilation", Spatial, 1), extra = context.integers("extra", Spatial, 0);
  if (failed(groups) || failed(stride) || failed(padding) || failed(dilation) || failed(extra))
    return failure();
  FailureOr<std::pair<Value, Value>> kernel = kernelOf(context, true, groups->value_or(1), Spatial);
  if (failed(kernel))
    return failure();
  return one(context.ops().create<fr::ConvTransposeOp>(context.loc(), context.x(), kernel->first, kernel->second, *stride,
                                                       *padding, *padding, *dilation, *extra, groups->value_or(1)));
}

template <size_t Spatial> BlockResult buildWindows(BlockContext &context) {
  FailureOr<std::optional<std::string>> kind = context.text("kind");
  auto kernel = context.integers("kernel", Spatial, std::nullopt), padding = context.integers("padding", Spatial, 0);
  FailureOr<bool> margin = context.flag("count_margin", true);
  if (failed(kind) || failed(kernel) || failed(padding) || failed(margin))
    return failure();
  auto stride = context.step.has("stride") ? context.integers("stride", Spatial, 1) : kernel;
  if (failed(stride))
    return failure();
  return one(context.ops().create<fr::PoolOp>(context.loc(), *fr::symbolizePoolKind(**kind), context.x(), *kernel, *stride,
                                              *padding, *padding, **kind == "average" && *margin));
}

BlockResult buildInterpolate(BlockContext &context) {
  DimExprs dims = context.dims();
  FailureOr<std::optional<std::string>> mode = context.text("mode");
  FailureOr<bool> corners = context.flag("align_corners", false);
  if (failed(mode) || failed(corners) || failed(spatialAxes(context, std::nullopt, 1)))
    return failure();
  if (context.step.has("factor")) {
    FailureOr<int64_t> factor = context.integer("factor");
    if (failed(factor))
      return failure();
    for (DimExpr &dim : llvm::drop_begin(dims, 2))
      dim = dim * *factor;
  } else {
    DimExprs to;
    if (context.step.has("like")) {
      FailureOr<Value> like = context.value("like");
      if (failed(like))
        return failure();
      to = dimsOf(like->getType());
      to.erase(to.begin(), to.begin() + std::min<size_t>(2, to.size()));
    } else if (context.step.has("to")) {
      FailureOr<DimExprs> sizes = context.sizes("to");
      if (failed(sizes))
        return failure();
      to = *sizes;
    }
    if (to.size() + 2 != dims.size())
      return context.diags().error(context.step.place.str(),
                                   Twine(to.size()) + " sizes for " + Twine(dims.size() - 2) + " spatial axes",
                                   "give one for each spatial axis");
    std::copy(to.begin(), to.end(), dims.begin() + 2);
  }
  return one(context.ops().create<fr::InterpolateOp>(context.loc(), tensorType(dims, elementOf(context.x().getType())),
                                                     context.x(), *fr::symbolizeInterpolation(**mode), *corners));
}

BlockResult buildGroupNorm(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight");
  FailureOr<int64_t> groups = context.integer("groups");
  FailureOr<double> eps = context.number("eps");
  FailureOr<int64_t> found = channelsOf(context);
  if (failed(module) || failed(groups) || failed(eps) || failed(found))
    return failure();
  const int64_t channels = *found;
  Value weight, bias;
  if (!module->empty()) {
    weight = context.weight(*module + ".weight", {channels}, "channels " + Twine(channels));
    bias = context.weight(*module + ".bias", {channels}, "channels " + Twine(channels));
  }
  return one(context.ops().create<fr::GroupNormOp>(context.loc(), context.x(), weight, bias,
                                                   context.ops().getI64IntegerAttr(*groups), context.real(*eps)));
}

/// As in inference: a scale and a shift of each channel, which follow from four vectors.
BlockResult buildBatchNorm(BlockContext &context) {
  FailureOr<std::string> module = context.tensorName("weight");
  FailureOr<double> eps = context.number("eps");
  FailureOr<int64_t> found = channelsOf(context);
  if (failed(module) || failed(eps) || failed(found))
    return failure();
  DimExprs dims = context.dims();
  const int64_t channels = *found;
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  DimExprs column(dims.size() - 1, DimExpr(1));
  column[0] = dims[1];
  auto vector = [&](StringRef name) {
    return context.reshape(context.weight((*module + "." + name).str(), {channels}, "channels " + Twine(channels)), column);
  };
  Value mean = vector("running_mean"), variance = vector("running_var"), weight = vector("weight"), bias = vector("bias");
  Value scale = ops.create<fr::MulOp>(loc, weight,
                                      ops.create<fr::RsqrtOp>(loc, ops.create<fr::AddOp>(loc, variance, context.constant(*eps))));
  Value centred = ops.create<fr::SubOp>(loc, context.x(), mean);
  return one(ops.create<fr::AddOp>(loc, ops.create<fr::MulOp>(loc, centred, scale), bias));
}

const StepSchema kSchemas[] = {
    {"conv1d", kConvParams, false, "convolution over a sequence, [batch, channels, length]"},
    {"conv2d", kConvParams, false, "convolution over an image, [batch, channels, height, width]"},
    {"conv3d", kConvParams, false, "convolution over frames of an image"},
    {"conv_transpose1d", kTransposeParams, false, "the transpose of conv1d"},
    {"conv_transpose2d", kTransposeParams, false, "the transpose of conv2d"},
    {"pool1d", kPoolParams, false, "maximum or mean of windows of a sequence"},
    {"pool2d", kPoolParams, false, "maximum or mean of windows of an image"},
    {"interpolate", kInterpolateParams, false, "other spatial sizes"},
    {"group_norm", kGroupNormParams, false, "norm over groups of channels"},
    {"batch_norm", kBatchNormParams, false, "norm of each channel by stored statistics"},
};
} // namespace

llvm::ArrayRef<StepBlock> flagrelease::convolutionSteps() {
  static constexpr BlockFunction kBuilders[] = {buildConv<1>,          buildConv<2>,    buildConv<3>,    buildConvTranspose<1>,
                                                buildConvTranspose<2>, buildWindows<1>, buildWindows<2>, buildInterpolate,
                                                buildGroupNorm,        buildBatchNorm};
  static const std::vector<StepBlock> steps = stepTable(kSchemas, kBuilders);
  return steps;
}
