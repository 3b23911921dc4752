// Result types and verifiers of layers.
#include "ir/FrInfer.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::fr;

INFER(EmbeddingOp) {
  ADAPTOR(EmbeddingOp);
  DimExprs out = dimsOf(op.getIds().getType()), table = dimsOf(op.getTable().getType());
  if (!isa<IntegerType>(elementOf(op.getIds().getType())))
    return fail(loc, "ids are integers");
  if (table.size() != 2)
    return fail(loc, "an embedding table has rank 2, not " + Twine(table.size()));
  out.push_back(table[1]);
  results.push_back(tensorType(out, Float32Type::get(context)));
  return success();
}

INFER(LinearOp) {
  ADAPTOR(LinearOp);
  DimExprs x = dimsOf(op.getX().getType()), w = dimsOf(op.getWeight().getType());
  if (w.size() != 2 || x.empty())
    return fail(loc, "a linear weight has rank 2, not " + Twine(w.size()));
  if (x.back() != w[1])
    return fail(loc, "input has " + x.back().str() + " features, the weight takes " + w[1].str());
  if (op.getBias() && dimsOf(op.getBias().getType()) != DimExprs{w[0]})
    return fail(loc, "bias and weight [" + w[0].str() + ", " + w[1].str() + "] do not fit");
  x.back() = w[0];
  results.push_back(tensorType(x, elementOf(op.getX().getType())));
  return success();
}

INFER(MatmulOp) {
  ADAPTOR(MatmulOp);
  DimExprs a = dimsOf(op.getLhs().getType()), b = dimsOf(op.getRhs().getType());
  if (a.size() < 2 || b.size() < 2 || a.back() != b[b.size() - 2])
    return fail(loc, "inner sizes do not fit");
  DimExpr m = a[a.size() - 2], n = b.back();
  FailureOr<DimExprs> out = broadcast(ArrayRef(a).drop_back(2), ArrayRef(b).drop_back(2), loc);
  if (failed(out))
    return failure();
  out->append({m, n});
  results.push_back(tensorType(*out, elementOf(op.getLhs().getType())));
  return success();
}

static LogicalResult checkScale(Value weight, Value x, std::optional<Location> loc) {
  if (weight && dimsOf(weight.getType()) != DimExprs{dimsOf(x.getType()).back()})
    return fail(loc, "scale and features differ: " + dimsOf(x.getType()).back().str());
  return success();
}
INFER(RmsNormOp) {
  ADAPTOR(RmsNormOp);
  results.push_back(op.getX().getType());
  return checkScale(op.getWeight(), op.getX(), loc);
}
INFER(LayerNormOp) {
  ADAPTOR(LayerNormOp);
  results.push_back(op.getX().getType());
  if (failed(checkScale(op.getWeight(), op.getX(), loc)))
    return failure();
  return checkScale(op.getBias(), op.getX(), loc);
}
INFER(SoftmaxOp) {
  ADAPTOR(SoftmaxOp);
  results.push_back(op.getX().getType());
  return axisInRange(op.getAxis(), rankOf(op.getX().getType()), loc);
}

INFER(RopeTableOp) {
  ADAPTOR(RopeTableOp);
  DimExprs dims = dimsOf(op.getPositionIds().getType());
  int64_t dim = op.getDim();
  if (dim <= 0 || dim % 2 != 0)
    return fail(loc, "rotary size " + Twine(dim) + " is not even and positive");
  dims.push_back(DimExpr(dim / 2));
  results.assign(2, tensorType(dims, Float32Type::get(context)));
  return success();
}

LogicalResult RopeTableOp::verify() {
  auto need = [&](bool present, StringRef name) -> LogicalResult {
    return present ? success() : emitOpError("of kind ") << stringifyRopeKind(getKind()) << " needs " << name;
  };
  int64_t half = getDim() / 2;
  switch (getKind()) {
  case RopeKind::Default:
    return success();
  case RopeKind::Linear:
    return need(getFactor().has_value(), "factor");
  case RopeKind::Dynamic:
    return failure(failed(need(getFactor().has_value(), "factor")) || failed(need(getOriginalMax().has_value(), "original_max")));
  case RopeKind::Llama3:
    return failure(failed(need(getFactor().has_value(), "factor")) ||
                   failed(need(getLowFreqFactor().has_value(), "low_freq_factor")) ||
                   failed(need(getHighFreqFactor().has_value(), "high_freq_factor")) ||
                   failed(need(getOriginalMax().has_value(), "original_max")));
  case RopeKind::Yarn:
    return failure(failed(need(getFactor().has_value(), "factor")) || failed(need(getBetaFast().has_value(), "beta_fast")) ||
                   failed(need(getBetaSlow().has_value(), "beta_slow")) ||
                   failed(need(getOriginalMax().has_value(), "original_max")));
  case RopeKind::Longrope: {
    if (failed(need(getShortFactor().has_value(), "short_factor")) || failed(need(getLongFactor().has_value(), "long_factor")) ||
        failed(need(getOriginalMax().has_value(), "original_max")))
      return failure();
    if (static_cast<int64_t>(getShortFactor()->size()) != half || static_cast<int64_t>(getLongFactor()->size()) != half)
      return emitOpError("needs ") << half << " factors, has " << getShortFactor()->size() << " short and "
                                   << getLongFactor()->size() << " long";
    return success();
  }
  case RopeKind::Proportional:
    return getAngles() && *getAngles() >= 1 && *getAngles() <= half ? success() : emitOpError("turns 1 to ") << half << " pairs";
  }
  llvm_unreachable("all kinds are listed");
}

INFER(RopeOp) {
  ADAPTOR(RopeOp);
  DimExprs x = dimsOf(op.getX().getType()), cos = dimsOf(op.getCos().getType());
  if (op.getCos().getType() != op.getSin().getType())
    return fail(loc, "cosines and sines differ in type");
  if (x.size() != 4 || cos.size() != 3 || !cos[2].isStatic() || !x[3].isStatic() || 2 * cos[2].value() > x[3].value())
    return fail(loc, "rotary tables do not fit the heads");
  if (cos[0] != x[0] && cos[0] != DimExpr(1))
    return fail(loc, "rotary tables for batch " + cos[0].str() + ", heads of batch " + x[0].str());
  if (cos[1] != x[2])
    return fail(loc, "positions " + cos[1].str() + " and tokens " + x[2].str() + " differ");
  results.push_back(op.getX().getType());
  return success();
}

LogicalResult AttentionMaskOp::verify() {
  DimExprs mask = dimsOf(getType());
  if (mask.size() != 4 || mask[1] != DimExpr(1) || !elementOf(getType()).isInteger(1))
    return emitOpError("returns i1 [B, 1, S, T], not ") << getType();
  auto isI64 = [](Value value) { return elementOf(value.getType()).isInteger(64); };
  if (getPadding() && (!isI64(getPadding()) || dimsOf(getPadding().getType()) != DimExprs{mask[0], mask[3]}))
    return emitOpError("padding is i64 [B, T] of ") << getType() << ", not " << getPadding().getType();
  if (getQueryColumns() && (!isI64(getQueryColumns()) || dimsOf(getQueryColumns().getType()) != DimExprs{mask[2]}))
    return emitOpError("columns are i64 [S] of ") << getType() << ", not " << getQueryColumns().getType();
  if (getWindow() && *getWindow() <= 0)
    return emitOpError("has a window of ") << *getWindow() << ": no query would see anything";
  if (getChunk() && *getChunk() <= 0)
    return emitOpError("has chunks of ") << *getChunk();
  return success();
}

INFER(AttentionOp) {
  ADAPTOR(AttentionOp);
  DimExprs q = dimsOf(op.getQ().getType()), k = dimsOf(op.getK().getType()), v = dimsOf(op.getV().getType());
  if (q.size() != 4 || k.size() != 4 || v.size() != 4)
    return fail(loc, "heads have rank 4");
  if (q[3] != k[3] || k[1] != v[1] || k[2] != v[2] || q[0] != k[0] || k[0] != v[0])
    return fail(loc, "q, k and v do not fit");
  if (!q[1].isStatic() || !k[1].isStatic() || k[1].value() == 0 || q[1].value() % k[1].value() != 0)
    return fail(loc, q[1].str() + " query heads do not share " + k[1].str() + " key heads evenly");
  if (op.getMask()) {
    DimExprs mask = dimsOf(op.getMask().getType());
    if (!elementOf(op.getMask().getType()).isInteger(1))
      return fail(loc, "a mask is i1");
    if (mask.size() == 4 && ((mask[0] != q[0] && mask[0] != DimExpr(1)) || (mask[1] != DimExpr(1) && mask[1] != q[1])))
      return fail(loc, "the mask has [" + mask[0].str() + ", " + mask[1].str() + "] rows for batch " + q[0].str());
    if (mask.size() != 4 || mask[2] != q[2] || mask[3] != k[2])
      return fail(loc, "the mask does not fit " + q[2].str() + " queries and " + k[2].str() + " keys");
  }
  if (op.getBias()) {
    FailureOr<DimExprs> all = broadcast({q[0], q[1], q[2], k[2]}, dimsOf(op.getBias().getType()), loc);
    if (failed(all) || *all != DimExprs{q[0], q[1], q[2], k[2]})
      return fail(loc, "the bias does not spread over scores of " + q[2].str() + " queries and " + k[2].str() + " keys");
  }
  if (op.getSinks() && dimsOf(op.getSinks().getType()) != DimExprs{q[1]})
    return fail(loc, "there is one sink for each of " + q[1].str() + " heads");
  q[3] = v[3];
  results.push_back(tensorType(q, elementOf(op.getQ().getType())));
  return success();
}

INFER(GroupNormOp) {
  ADAPTOR(GroupNormOp);
  DimExprs dims = dimsOf(op.getX().getType());
  if (dims.size() < 2 || !dims[1].isStatic() || op.getGroups() < 1 || dims[1].value() % op.getGroups() != 0)
    return fail(loc, Twine(op.getGroups()) + " groups do not divide the channels");
  for (Value each : {op.getWeight(), op.getBias()})
    if (each && dimsOf(each.getType()) != DimExprs{dims[1]})
      return fail(loc, "scale and shift have one entry for each of " + dims[1].str() + " channels");
  results.push_back(op.getX().getType());
  return success();
}

/// The spatial sizes that windows leave; fails with a message.
static LogicalResult windowSizes(MutableArrayRef<DimExpr> sizes, ArrayRef<int64_t> kernel, ArrayRef<int64_t> strides,
                                 ArrayRef<int64_t> low, ArrayRef<int64_t> high, ArrayRef<int64_t> dilations,
                                 std::optional<Location> loc) {
  const size_t rank = sizes.size();
  if (rank < 1 || rank > 3)
    return fail(loc, "has 1 to 3 spatial dimensions, not " + Twine(rank));
  for (ArrayRef<int64_t> each : {kernel, strides, low, high, dilations})
    if (each.size() != rank)
      return fail(loc, "attributes have one entry for each of " + Twine(rank) + " spatial dimensions");
  for (size_t d = 0; d < rank; ++d) {
    if (kernel[d] < 1 || strides[d] < 1 || dilations[d] < 1 || low[d] < 0 || high[d] < 0)
      return fail(loc, "a window of " + Twine(kernel[d]) + " with stride " + Twine(strides[d]));
    DimExpr room = sizes[d] + DimExpr(low[d] + high[d] - dilations[d] * (kernel[d] - 1) - 1);
    if (room.isStatic() && room.value() < 0)
      return fail(loc, "a window of " + Twine(kernel[d]) + " does not fit a size " + sizes[d].str());
    sizes[d] = room.floorDividedBy(strides[d]) + DimExpr(1);
  }
  return success();
}

/// Sizes of a kernel [.., .., spatial], which are numbers.
static FailureOr<SmallVector<int64_t>> kernelOf(Value weight, size_t rank, std::optional<Location> loc) {
  DimExprs dims = dimsOf(weight.getType());
  SmallVector<int64_t> kernel;
  if (dims.size() != rank || rank < 3 || rank > 5)
    return fail(loc, "the kernel has rank " + Twine(dims.size()) + ", the input " + Twine(rank) + "; both are 3 to 5");
  if (!llvm::all_of(dims, [](const DimExpr &dim) { return dim.isStatic(); }))
    return fail(loc, "the sizes of a kernel are numbers");
  for (const DimExpr &dim : ArrayRef(dims).drop_front(2))
    kernel.push_back(dim.value());
  return kernel;
}

INFER(ConvOp) {
  ADAPTOR(ConvOp);
  DimExprs x = dimsOf(op.getX().getType()), w = dimsOf(op.getWeight().getType());
  FailureOr<SmallVector<int64_t>> kernel = kernelOf(op.getWeight(), x.size(), loc);
  if (failed(kernel))
    return failure();
  const int64_t groups = op.getGroups();
  if (groups < 1 || x[1] != w[1] * groups || w[0].value() % groups != 0)
    return fail(loc, "input has " + x[1].str() + " channels, the kernel takes " + Twine(groups) + " x " + w[1].str());
  if (op.getBias() && dimsOf(op.getBias().getType()) != DimExprs{w[0]})
    return fail(loc, "bias and kernel do not fit");
  if (failed(windowSizes(MutableArrayRef(x).drop_front(2), *kernel, op.getStrides(), op.getLow(), op.getHigh(), op.getDilations(),
                         loc)))
    return failure();
  x[1] = w[0];
  results.push_back(tensorType(x, elementOf(op.getX().getType())));
  return success();
}

INFER(ConvTransposeOp) {
  ADAPTOR(ConvTransposeOp);
  DimExprs x = dimsOf(op.getX().getType()), w = dimsOf(op.getWeight().getType());
  FailureOr<SmallVector<int64_t>> kernel = kernelOf(op.getWeight(), x.size(), loc);
  if (failed(kernel))
    return failure();
  const size_t rank = kernel->size();
  for (ArrayRef<int64_t> each : {op.getStrides(), op.getLow(), op.getHigh(), op.getDilations(), op.getExtra()})
    if (each.size() != rank || llvm::any_of(each, [](int64_t n) { return n < 0; }))
      return fail(loc, "attributes have one entry for each of " + Twine(rank) + " spatial dimensions");
  if (op.getGroups() < 1 || x[1] != w[0] || w[0].value() % op.getGroups() != 0)
    return fail(loc, "input has " + x[1].str() + " channels, the kernel takes " + w[0].str());
  x[1] = w[1] * op.getGroups();
  if (op.getBias() && dimsOf(op.getBias().getType()) != DimExprs{x[1]})
    return fail(loc, "bias and kernel do not fit");
  for (size_t d = 0; d < rank; ++d) {
    if (op.getStrides()[d] < 1 || op.getDilations()[d] < 1)
      return fail(loc, "strides and dilations are at least 1");
    DimExpr size = (x[2 + d] - DimExpr(1)) * op.getStrides()[d] +
                   DimExpr(op.getDilations()[d] * ((*kernel)[d] - 1) + 1 + op.getExtra()[d] - op.getLow()[d] - op.getHigh()[d]);
    if (size.isStatic() && size.value() < 1)
      return fail(loc, "margins leave nothing of a size " + x[2 + d].str());
    x[2 + d] = size;
  }
  results.push_back(tensorType(x, elementOf(op.getX().getType())));
  return success();
}

INFER(PoolOp) {
  ADAPTOR(PoolOp);
  DimExprs x = dimsOf(op.getX().getType());
  if (x.size() < 3)
    return fail(loc, "pools [B, C, spatial], not rank " + Twine(x.size()));
  const SmallVector<int64_t> ones(x.size() - 2, 1);
  if (failed(
          windowSizes(MutableArrayRef(x).drop_front(2), op.getKernel(), op.getStrides(), op.getLow(), op.getHigh(), ones, loc)))
    return failure();
  results.push_back(tensorType(x, elementOf(op.getX().getType())));
  return success();
}

LogicalResult InterpolateOp::verify() {
  DimExprs from = dimsOf(getX().getType()), to = dimsOf(getType());
  if (from.size() < 3 || from.size() > 5 || from.size() != to.size() || from[0] != to[0] || from[1] != to[1] ||
      elementOf(getX().getType()) != elementOf(getType()))
    return emitOpError("changes spatial sizes only, not ") << getX().getType() << " to " << getType();
  return success();
}

INFER(MoeOp) {
  ADAPTOR(MoeOp);
  DimExprs x = dimsOf(op.getX().getType()), indices = dimsOf(op.getIndices().getType()), up = dimsOf(op.getUp().getType()),
           down = dimsOf(op.getDown().getType());
  auto isStack = [](const DimExprs &dims) {
    return dims.size() == 3 && llvm::all_of(dims, [](const DimExpr &dim) { return dim.isStatic(); });
  };
  if (!isStack(up) || !isStack(down) || x.empty())
    return fail(loc, "experts are stacked along a first axis of three, whose sizes are numbers");
  if (x.back() != up[2] || down[1] != x.back() || down[2] != up[1] || down[0] != up[0])
    return fail(loc, "experts [" + up[0].str() + ", " + up[1].str() + ", " + up[2].str() + "] and [" + down[0].str() + ", " +
                         down[1].str() + ", " + down[2].str() + "] do not fit " + x.back().str() + " features");
  if (op.getGate() && dimsOf(op.getGate().getType()) != up)
    return fail(loc, "gate and up differ in shape");
  if (dimsOf(op.getScores().getType()) != indices || indices.size() != x.size() ||
      ArrayRef(indices).drop_back() != ArrayRef(x).drop_back() || !indices.back().isStatic() ||
      !isa<IntegerType>(elementOf(op.getIndices().getType())))
    return fail(loc, "indices and scores have one entry for each token and choice");
  for (auto [bias, size] :
       {std::pair<Value, DimExpr>{op.getGateBias(), up[1]}, {op.getUpBias(), up[1]}, {op.getDownBias(), down[1]}})
    if (bias && dimsOf(bias.getType()) != DimExprs{up[0], size})
      return fail(loc, "biases have one row for each expert");
  results.push_back(op.getX().getType());
  return success();
}
