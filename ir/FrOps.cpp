// Result types and verifiers of the `fr` ops. Operands are checked here and in the importer: the importer speaks of tensors and
// config keys, these messages of ops.
#include "ir/Fr.h"

#include "ir/BlockFormat.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::fr;

//===----------------------------------------------------------------------===//
// Weights, params, state
//===----------------------------------------------------------------------===//

LogicalResult WeightOp::verify() {
  bool braces = getSymName().contains("{e}");
  if (getFamily().has_value() != braces)
    return emitOpError("a family of tensors has '{e}' in its name and a count, a single tensor has neither");
  return success();
}

// The implicit terminator of a param that is being built; verify() below refuses it if it stays.
void YieldOp::build(OpBuilder &, OperationState &) {}

LogicalResult ParamOp::verify() {
  auto yield = cast<YieldOp>(getBody().front().getTerminator());
  if (!yield.getValue())
    return emitOpError("yields nothing");
  if (yield.getValue().getType() != getType())
    return emitOpError("is declared as ") << getType() << " but yields " << yield.getValue().getType();
  return success();
}

GetOp ParamOp::getIdentity() {
  auto yield = cast<YieldOp>(getBody().front().getTerminator());
  return yield.getValue() ? yield.getValue().getDefiningOp<GetOp>() : GetOp();
}

LogicalResult GetOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto weight = tables.lookupNearestSymbolFrom<WeightOp>(*this, getWeight());
  if (!weight)
    return emitOpError("names no weight: ") << getWeight();
  if (weight.getType() != getType())
    return emitOpError("has type ") << getType() << " but the weight has " << weight.getType();
  return success();
}

LogicalResult UseOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto param = tables.lookupNearestSymbolFrom<ParamOp>(*this, getParamAttr());
  if (!param)
    return emitOpError("names no param: ") << getParamAttr();
  if (param.getType() != getType())
    return emitOpError("has type ") << getType() << " but the param has " << param.getType();
  return success();
}

LogicalResult StateOp::verify() {
  if (getAxis() < 0 || getAxis() >= rankOf(getType()))
    return emitOpError("grows along axis ") << getAxis() << " of " << getType();
  return success();
}

LogicalResult StateAppendOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto state = tables.lookupNearestSymbolFrom<StateOp>(*this, getStateAttr());
  if (!state)
    return emitOpError("names no state: ") << getStateAttr();
  DimExprs all = dimsOf(state.getType()), part = dimsOf(getValue().getType());
  size_t axis = state.getAxis();
  if (all.size() != part.size())
    return emitOpError("value and state differ in rank");
  if (elementOf(state.getType()) != elementOf(getValue().getType()))
    return emitOpError("appends ") << elementOf(getValue().getType()) << " to a state of " << elementOf(state.getType());
  all[axis] = all[axis] + part[axis];
  part[axis] = all[axis];
  if (all != part || tensorType(all, elementOf(getValue().getType())) != getType())
    return emitOpError("appends ") << getValue().getType() << " to " << state.getType() << " but returns " << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Result types
//===----------------------------------------------------------------------===//

namespace {
LogicalResult fail(std::optional<Location> loc, const Twine &message) { return emitOptionalError(loc, message); }

FailureOr<DimExprs> broadcast(ArrayRef<DimExpr> a, ArrayRef<DimExpr> b, std::optional<Location> loc) {
  DimExprs out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    DimExpr x = i < a.size() ? a[a.size() - 1 - i] : DimExpr(1), y = i < b.size() ? b[b.size() - 1 - i] : DimExpr(1);
    if (x != y && x != DimExpr(1) && y != DimExpr(1)) {
      (void)fail(loc, "sizes " + x.str() + " and " + y.str() + " do not broadcast");
      return failure();
    }
    out[out.size() - 1 - i] = x == DimExpr(1) ? y : x;
  }
  return out;
}

bool isFloatElement(Type t) { return isa<FloatType>(t); }

/// Activations stay f32 in `fr` modules; a stored narrower operand does not narrow the result.
Type promote(Type a, Type b) {
  if (a == b)
    return a;
  if (isFloatElement(a) != isFloatElement(b))
    return isFloatElement(a) ? a : b;
  return a.getIntOrFloatBitWidth() >= b.getIntOrFloatBitWidth() ? a : b;
}

LogicalResult axisInRange(int64_t axis, int64_t rank, std::optional<Location> loc) {
  if (axis < 0 || axis >= rank)
    return fail(loc, "axis " + Twine(axis) + " is outside a tensor of rank " + Twine(rank));
  return success();
}
} // namespace

#define INFER(OpName)                                                                                                            \
  LogicalResult OpName::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, ValueRange operands,                 \
                                         DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,            \
                                         SmallVectorImpl<Type> &results)
#define ADAPTOR(OpName) OpName::Adaptor op(operands, attributes, properties, regions)

#define INFER_UNARY(OpName)                                                                                                      \
  INFER(OpName) {                                                                                                                \
    results.push_back(operands[0].getType());                                                                                    \
    return success();                                                                                                            \
  }
INFER_UNARY(NegOp)
INFER_UNARY(ExpOp)
INFER_UNARY(LogOp)
INFER_UNARY(SqrtOp)
INFER_UNARY(RsqrtOp)
INFER_UNARY(SinOp)
INFER_UNARY(CosOp)
INFER_UNARY(TanhOp)
INFER_UNARY(ErfOp)
INFER_UNARY(SigmoidOp)
INFER_UNARY(SiluOp)
INFER_UNARY(ReluOp)
INFER_UNARY(FloorOp)
INFER_UNARY(GeluOp)
INFER_UNARY(L2NormOp)

static LogicalResult inferBinary(ValueRange operands, std::optional<Location> loc, SmallVectorImpl<Type> &results,
                                 Type element = {}) {
  FailureOr<DimExprs> dims = broadcast(dimsOf(operands[0].getType()), dimsOf(operands[1].getType()), loc);
  if (failed(dims))
    return failure();
  if (!element)
    element = promote(elementOf(operands[0].getType()), elementOf(operands[1].getType()));
  results.push_back(tensorType(*dims, element));
  return success();
}
#define INFER_BINARY(OpName)                                                                                                     \
  INFER(OpName) { return inferBinary(operands, loc, results); }
INFER_BINARY(AddOp)
INFER_BINARY(SubOp)
INFER_BINARY(MulOp)
INFER_BINARY(DivOp)
INFER_BINARY(PowOp)
INFER_BINARY(MaximumOp)
INFER_BINARY(MinimumOp)
INFER_BINARY(AndOp)
INFER_BINARY(OrOp)

INFER(CompareOp) { return inferBinary(operands, loc, results, IntegerType::get(context, 1)); }

INFER(SelectOp) {
  if (!elementOf(operands[0].getType()).isInteger(1))
    return fail(loc, "a condition is i1");
  SmallVector<Type> both;
  if (failed(inferBinary(operands.drop_front(), loc, both)))
    return failure();
  FailureOr<DimExprs> dims = broadcast(dimsOf(operands[0].getType()), dimsOf(both[0]), loc);
  if (failed(dims))
    return failure();
  results.push_back(tensorType(*dims, elementOf(both[0])));
  return success();
}

INFER(ConstantOp) {
  ADAPTOR(ConstantOp);
  results.push_back(op.getValue().getType());
  return success();
}
OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

LogicalResult CastOp::verify() {
  if (dimsOf(getX().getType()) != dimsOf(getType()))
    return emitOpError("changes sizes from ") << getX().getType() << " to " << getType();
  return success();
}
OpFoldResult CastOp::fold(FoldAdaptor) { return getX().getType() == getType() ? OpFoldResult(getX()) : OpFoldResult(); }

LogicalResult ReshapeOp::verify() {
  if (elementOf(getX().getType()) != elementOf(getType()))
    return emitOpError("changes the element type from ") << elementOf(getX().getType()) << " to " << elementOf(getType());
  // Sizes are polynomials of degree one each, so element counts are compared after removing what both sides share.
  DimExprs from = dimsOf(getX().getType()), to = dimsOf(getType());
  int64_t constantFrom = 1, constantTo = 1;
  for (auto it = from.begin(); it != from.end();) {
    auto match = it->isStatic() ? to.end() : llvm::find(to, *it);
    if (it->isStatic()) {
      constantFrom *= it->value();
      it = from.erase(it);
    } else if (match != to.end()) {
      to.erase(match);
      it = from.erase(it);
    } else {
      ++it;
    }
  }
  for (auto it = to.begin(); it != to.end();) {
    if (it->isStatic()) {
      constantTo *= it->value();
      it = to.erase(it);
    } else {
      ++it;
    }
  }
  // One size on each side may be a multiple of the other: [B, 2*S] <-> [B, S, 2].
  if (from.size() == 1 && to.size() == 1)
    return from[0] * constantFrom == to[0] * constantTo
               ? success()
               : emitOpError("changes the element count from ") << getX().getType() << " to " << getType();
  if (!from.empty() || !to.empty() || constantFrom != constantTo)
    return emitOpError("changes the element count from ") << getX().getType() << " to " << getType();
  return success();
}

INFER(TransposeOp) {
  ADAPTOR(TransposeOp);
  DimExprs dims = dimsOf(op.getX().getType()), out;
  SmallVector<bool> seen(dims.size());
  for (int64_t axis : op.getPermutation()) {
    if (failed(axisInRange(axis, dims.size(), loc)))
      return failure();
    if (seen[axis])
      return fail(loc, "permutation names dimension " + Twine(axis) + " twice");
    seen[axis] = true;
    out.push_back(dims[axis]);
  }
  if (out.size() != dims.size())
    return fail(loc, "permutation has " + Twine(out.size()) + " entries for rank " + Twine(dims.size()));
  results.push_back(tensorType(out, elementOf(op.getX().getType())));
  return success();
}

INFER(SliceOp) {
  ADAPTOR(SliceOp);
  DimExprs dims = dimsOf(op.getX().getType());
  int64_t axis = op.getAxis(), start = op.getStart(), size = op.getSize();
  if (failed(axisInRange(axis, dims.size(), loc)))
    return failure();
  if (!dims[axis].isStatic() || start < 0 || size < 0 || start + size > dims[axis].value())
    return fail(loc, "slice [" + Twine(start) + ", " + Twine(start + size) + ") of a size " + dims[axis].str());
  dims[axis] = DimExpr(size);
  results.push_back(tensorType(dims, elementOf(op.getX().getType())));
  return success();
}

INFER(ConcatOp) {
  ADAPTOR(ConcatOp);
  if (op.getInputs().empty())
    return fail(loc, "concat of nothing");
  DimExprs dims = dimsOf(op.getInputs()[0].getType());
  int64_t axis = op.getAxis();
  if (failed(axisInRange(axis, dims.size(), loc)))
    return failure();
  for (Value input : op.getInputs().drop_front()) {
    DimExprs other = dimsOf(input.getType());
    if (elementOf(input.getType()) != elementOf(op.getInputs()[0].getType()))
      return fail(loc, "concat of different element types");
    if (other.size() != dims.size())
      return fail(loc, "concat of ranks " + Twine(dims.size()) + " and " + Twine(other.size()));
    for (size_t i = 0; i < dims.size(); ++i)
      if (static_cast<int64_t>(i) != axis && dims[i] != other[i])
        return fail(loc, "concat of sizes " + dims[i].str() + " and " + other[i].str());
    dims[axis] = dims[axis] + other[axis];
  }
  results.push_back(tensorType(dims, elementOf(op.getInputs()[0].getType())));
  return success();
}

INFER(GatherOp) {
  ADAPTOR(GatherOp);
  DimExprs x = dimsOf(op.getX().getType()), indices = dimsOf(op.getIndices().getType()), out;
  int64_t axis = op.getAxis(), batch = op.getBatchDims();
  if (failed(axisInRange(axis, x.size(), loc)))
    return failure();
  if (!isa<IntegerType>(elementOf(op.getIndices().getType())))
    return fail(loc, "indices are integers");
  if (batch < 0 || batch > axis || batch > static_cast<int64_t>(indices.size()))
    return fail(loc, "batch_dims " + Twine(batch) + " does not fit axis " + Twine(axis));
  for (int64_t i = 0; i < batch; ++i)
    if (x[i] != indices[i])
      return fail(loc, "batch sizes " + x[i].str() + " and " + indices[i].str() + " differ");
  out.append(x.begin(), x.begin() + axis);
  out.append(indices.begin() + batch, indices.end());
  out.append(x.begin() + axis + 1, x.end());
  results.push_back(tensorType(out, elementOf(op.getX().getType())));
  return success();
}

INFER(ScatterOp) {
  ADAPTOR(ScatterOp);
  DimExprs x = dimsOf(op.getX().getType()), indices = dimsOf(op.getIndices().getType()),
           updates = dimsOf(op.getUpdates().getType());
  int64_t axis = op.getAxis();
  if (failed(axisInRange(axis, x.size(), loc)))
    return failure();
  if (indices.size() != 1 || !elementOf(op.getIndices().getType()).isInteger(64))
    return fail(loc, "scatter takes a vector of i64 places");
  DimExprs expected = x;
  expected[axis] = indices[0];
  if (updates != expected || elementOf(op.getUpdates().getType()) != elementOf(op.getX().getType()))
    return fail(loc, "updates do not fit " + indices[0].str() + " places along axis " + Twine(axis));
  results.push_back(op.getX().getType());
  return success();
}

LogicalResult IotaOp::verify() {
  if (rankOf(getType()) != 1 || !elementOf(getType()).isInteger(64))
    return emitOpError("returns an i64 vector, not ") << getType();
  return success();
}

LogicalResult SizeOp::verify() {
  if (!DimExpr::parse(getExpression()))
    return emitOpError("'") << getExpression() << "' is not an affine size";
  if (rankOf(getType()) != 0 || !elementOf(getType()).isInteger(64))
    return emitOpError("returns an i64 scalar, not ") << getType();
  return success();
}

INFER(CumsumOp) {
  ADAPTOR(CumsumOp);
  results.push_back(op.getX().getType());
  return axisInRange(op.getAxis(), rankOf(op.getX().getType()), loc);
}

INFER(ReduceOp) {
  ADAPTOR(ReduceOp);
  DimExprs dims = dimsOf(op.getX().getType());
  for (int64_t axis : op.getAxes()) {
    if (failed(axisInRange(axis, dims.size(), loc)))
      return failure();
    dims[axis] = DimExpr(1);
  }
  results.push_back(tensorType(dims, elementOf(op.getX().getType())));
  return success();
}

INFER(ArgMaxOp) {
  ADAPTOR(ArgMaxOp);
  DimExprs dims = dimsOf(op.getX().getType());
  if (failed(axisInRange(op.getAxis(), dims.size(), loc)))
    return failure();
  dims.erase(dims.begin() + op.getAxis());
  results.push_back(tensorType(dims, IntegerType::get(context, 64)));
  return success();
}

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
  return success();
}

INFER(AttentionOp) {
  ADAPTOR(AttentionOp);
  DimExprs q = dimsOf(op.getQ().getType()), k = dimsOf(op.getK().getType()), v = dimsOf(op.getV().getType());
  if (q.size() != 4 || k.size() != 4 || v.size() != 4)
    return fail(loc, "heads have rank 4");
  if (q[3] != k[3] || k[1] != v[1] || k[2] != v[2] || q[0] != k[0])
    return fail(loc, "q, k and v do not fit");
  if (!q[1].isStatic() || !k[1].isStatic() || k[1].value() == 0 || q[1].value() % k[1].value() != 0)
    return fail(loc, q[1].str() + " query heads do not share " + k[1].str() + " key heads evenly");
  if (op.getMask()) {
    DimExprs mask = dimsOf(op.getMask().getType());
    if (!elementOf(op.getMask().getType()).isInteger(1))
      return fail(loc, "a mask is i1");
    if (mask.size() == 4 && ((mask[0] != q[0] && mask[0] != DimExpr(1)) || mask[1] != DimExpr(1)))
      return fail(loc, "the mask has [" + mask[0].str() + ", " + mask[1].str() + "] rows for batch " + q[0].str());
    if (mask.size() != 4 || mask[2] != q[2] || mask[3] != k[2])
      return fail(loc, "the mask does not fit " + q[2].str() + " queries and " + k[2].str() + " keys");
  }
  q[3] = v[3];
  results.push_back(tensorType(q, elementOf(op.getQ().getType())));
  return success();
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

namespace {
/// Bits of a word that holds small integers; 0 for what is none.
int64_t wordBits(Type element) {
  if (element.isSignlessInteger(32))
    return 32;
  return element.isUnsignedInteger(8) ? 8 : 0;
}
bool isSmallInteger(Type element) { return element.isUnsignedInteger(8) || element.isSignlessInteger(8); }
bool isFloat8(Type element) { return isa<Float8E4M3FNType, Float8E5M2Type>(element); }

/// Packed words and small integers along one axis; all other sizes are equal.
LogicalResult checkPacking(Operation *op, Type words, Type values, int64_t bits, PackOrder order, int64_t axis) {
  int64_t word = wordBits(elementOf(words));
  if (!word)
    return op->emitOpError("words are i32 or ui8, not ") << elementOf(words);
  if (!isSmallInteger(elementOf(values)))
    return op->emitOpError("small integers are i8 or ui8, not ") << elementOf(values);
  if (bits < 1 || bits > 8 || (order != PackOrder::LowFirst && word % bits != 0) ||
      (order == PackOrder::Awq && (bits != 4 || word != 32)))
    return op->emitOpError("cannot hold integers of ")
           << bits << " bits in words of " << word << " bits in order " << stringifyPackOrder(order);
  DimExprs packed = dimsOf(words), plain = dimsOf(values);
  if (packed.size() != plain.size() || axis < 0 || axis >= static_cast<int64_t>(packed.size()))
    return op->emitOpError("axis ") << axis << " of " << words << " and " << values;
  for (size_t d = 0; d < packed.size(); ++d) {
    if (!packed[d].isStatic() || !plain[d].isStatic())
      return op->emitOpError("sizes of weights are numbers");
    if (static_cast<int64_t>(d) != axis && packed[d] != plain[d])
      return op->emitOpError("changes a size other than that of axis ") << axis;
  }
  return success();
}

int64_t wordsFor(int64_t count, int64_t bits, int64_t word) { return (count * bits + word - 1) / word; }

/// Sizes of what there is one of for each block; nothing when they do not fit.
FailureOr<DimExprs> blockDims(Type x, ArrayRef<int64_t> blocks, std::optional<Location> loc) {
  DimExprs dims = dimsOf(x);
  if (dims.size() != blocks.size())
    return fail(loc, "blocks of rank " + Twine(blocks.size()) + " for a tensor of rank " + Twine(dims.size()));
  for (auto [dim, block] : llvm::zip_equal(dims, blocks)) {
    if (block == 1)
      continue; // one for each: the size may have a name
    if (!dim.isStatic() || block < 1)
      return fail(loc, "blocks of size " + Twine(block) + " along a size " + dim.str());
    dim = DimExpr(dim.value() / block + (dim.value() % block != 0));
  }
  return dims;
}

LogicalResult checkBlocks(Operation *op, Value x, Value scale, Value zero, ArrayRef<int64_t> blocks) {
  FailureOr<DimExprs> dims = blockDims(x.getType(), blocks, op->getLoc());
  if (failed(dims))
    return failure();
  for (Value each : {scale, zero})
    if (each && dimsOf(each.getType()) != *dims)
      return op->emitOpError("has one scale or zero for each block of ") << x.getType() << ", not " << each.getType();
  return success();
}

/// Of stored numbers: floats, and E8M0 which MLIR 19 carries as si8.
bool isStoredFloat(Type element) { return isa<FloatType>(element) || element.isSignedInteger(8); }

std::string number(double value) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%g", value);
  return text;
}
} // namespace

LogicalResult UnpackOp::verify() {
  if (failed(checkPacking(*this, getX().getType(), getType(), getBits(), getOrder(), getAxis())))
    return failure();
  int64_t words = dimsOf(getX().getType())[getAxis()].value(), count = dimsOf(getType())[getAxis()].value();
  if (wordsFor(count, getBits(), wordBits(elementOf(getX().getType()))) > words)
    return emitOpError("takes ") << count << " integers of " << getBits() << " bits out of " << words << " words";
  if (!elementOf(getType()).isUnsignedInteger(8))
    return emitOpError("gives ui8, not ") << elementOf(getType());
  return success();
}

LogicalResult PackOp::verify() {
  if (failed(checkPacking(*this, getType(), getX().getType(), getBits(), getOrder(), getAxis())))
    return failure();
  int64_t count = dimsOf(getX().getType())[getAxis()].value(), words = dimsOf(getType())[getAxis()].value();
  if (wordsFor(count, getBits(), wordBits(elementOf(getType()))) != words)
    return emitOpError("puts ") << count << " integers of " << getBits() << " bits into " << words << " words";
  return success();
}

LogicalResult DequantizeOp::verify() {
  if (failed(checkBlocks(*this, getX(), getScale(), getZero(), getBlocks())))
    return failure();
  if (dimsOf(getType()) != dimsOf(getX().getType()) || !elementOf(getType()).isF32())
    return emitOpError("gives f32 of the sizes of x, not ") << getType();
  if (!isStoredFloat(elementOf(getScale().getType())))
    return emitOpError("scales are floats, not ") << elementOf(getScale().getType());
  return success();
}

INFER(QuantScaleOp) {
  ADAPTOR(QuantScaleOp);
  FailureOr<DimExprs> dims = blockDims(op.getX().getType(), op.getBlocks(), loc);
  if (failed(dims))
    return failure();
  if (!isFloatElement(elementOf(op.getX().getType())))
    return fail(loc, "scales of floats");
  const double lo = op.getLo().convertToDouble(), hi = op.getHi().convertToDouble();
  if (!(lo < hi && hi > 0) || (op.getRule() == ScaleRule::SignedMax && !(lo < 0)))
    return fail(loc, "no scale for the range " + number(lo) + " to " + number(hi));
  results.push_back(tensorType(*dims, Float32Type::get(context)));
  return success();
}

INFER(QuantZeroOp) {
  ADAPTOR(QuantZeroOp);
  FailureOr<DimExprs> dims = blockDims(op.getX().getType(), op.getBlocks(), loc);
  if (failed(dims))
    return failure();
  if (dimsOf(op.getScale().getType()) != *dims || !isFloatElement(elementOf(op.getX().getType())))
    return fail(loc, "one scale for each block of floats");
  const double lo = op.getLo().convertToDouble(), hi = op.getHi().convertToDouble();
  if (!(lo < hi && lo >= 0 && hi <= 255))
    return fail(loc, "range " + number(lo) + " to " + number(hi) + " is none of ui8");
  results.push_back(tensorType(*dims, IntegerType::get(context, 8, IntegerType::Unsigned)));
  return success();
}

LogicalResult QuantizeOp::verify() {
  if (failed(checkBlocks(*this, getX(), getScale(), getZero(), getBlocks())))
    return failure();
  if (!isFloatElement(elementOf(getX().getType())) || !isStoredFloat(elementOf(getScale().getType())))
    return emitOpError("x and scales are floats, not ") << getX().getType() << " and " << getScale().getType();
  Type element = elementOf(getType());
  if (dimsOf(getType()) != dimsOf(getX().getType()) || (!isSmallInteger(element) && !isFloat8(element)))
    return emitOpError("gives i8, ui8 or an 8-bit float of the sizes of x, not ") << getType();
  double lo = getLo().convertToDouble(), hi = getHi().convertToDouble();
  bool fits = element.isUnsignedInteger(8) ? lo >= 0 && hi <= 255 : !isSmallInteger(element) || (lo >= -128 && hi <= 127);
  if (!(lo < hi) || !fits)
    return emitOpError("range ") << lo << " to " << hi << " is none of " << element;
  return success();
}

/// A row of `plain` elements in blocks of a format: its bytes, or nothing with a message.
static LogicalResult checkBlockRows(Operation *op, StringRef format, Type bytes, Type plain) {
  std::optional<BlockFormat> known = parseBlockFormat(format);
  if (!known)
    return op->emitOpError("'") << format << "' is no block format";
  const BlockInfo &info = blockInfo(*known);
  DimExprs packed = dimsOf(bytes), dims = dimsOf(plain);
  if (packed.empty() || packed.size() != dims.size() || !packed.back().isStatic() || !dims.back().isStatic() ||
      ArrayRef(packed).drop_back() != ArrayRef(dims).drop_back())
    return op->emitOpError("rows of ") << plain << " and of " << bytes << " do not correspond";
  if (dims.back().value() % info.elements != 0 || packed.back().value() != dims.back().value() / info.elements * info.bytes)
    return op->emitOpError("a row of ") << dims.back().value() << " numbers is not " << packed.back().value() << " bytes of "
                                        << format << " (" << info.elements << " numbers in " << info.bytes << " bytes)";
  if (!elementOf(bytes).isUnsignedInteger(8) || !isFloatElement(elementOf(plain)))
    return op->emitOpError("blocks are ui8 and numbers are floats");
  return success();
}
LogicalResult EncodeOp::verify() { return checkBlockRows(*this, getFormat(), getType(), getX().getType()); }
LogicalResult DecodeOp::verify() {
  if (!elementOf(getType()).isF32())
    return emitOpError("gives f32, not ") << elementOf(getType());
  return checkBlockRows(*this, getFormat(), getX().getType(), getType());
}
