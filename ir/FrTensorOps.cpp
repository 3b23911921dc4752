// Result types and verifiers of elementwise ops and of those that move data.
#include "ir/FrInfer.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::fr;

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
INFER_UNARY(AbsOp)
INFER_UNARY(NotOp)
INFER_UNARY(SoftplusOp)
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
  if (productOf(dimsOf(getX().getType())) != productOf(dimsOf(getType())))
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

LogicalResult NarrowOp::verify() {
  DimExprs dims = dimsOf(getX().getType());
  std::optional<DimExpr> start = DimExpr::parse(getStart()), size = DimExpr::parse(getSize());
  if (!start || !size)
    return emitOpError("'") << (start ? getSize() : getStart()) << "' is no size";
  if (getAxis() < 0 || getAxis() >= static_cast<int64_t>(dims.size()))
    return emitOpError("axis ") << getAxis() << " is outside a tensor of rank " << dims.size();
  DimExpr left = dims[getAxis()] - *start - *size;
  if (start->isStatic() && start->value() < 0)
    return emitOpError("starts at ") << start->value();
  if (left.isStatic() && left.value() < 0)
    return emitOpError("takes [") << start->str() << ", " << (*start + *size).str() << ") of a size " << dims[getAxis()].str();
  dims[getAxis()] = *size;
  if (tensorType(dims, elementOf(getX().getType())) != getType())
    return emitOpError("gives ") << tensorType(dims, elementOf(getX().getType())) << ", not " << getType();
  return success();
}

LogicalResult BroadcastOp::verify() {
  DimExprs from = dimsOf(getX().getType()), to = dimsOf(getType());
  if (elementOf(getX().getType()) != elementOf(getType()) || from.size() > to.size())
    return emitOpError("cannot make ") << getType() << " of " << getX().getType();
  for (size_t i = 0; i < from.size(); ++i) {
    const DimExpr &own = from[from.size() - 1 - i], &wanted = to[to.size() - 1 - i];
    if (own != wanted && own != DimExpr(1))
      return emitOpError("cannot repeat a size ") << own.str() << " to " << wanted.str();
  }
  return success();
}

INFER(PadOp) {
  ADAPTOR(PadOp);
  DimExprs dims = dimsOf(op.getX().getType());
  if (op.getLow().size() != dims.size() || op.getHigh().size() != dims.size())
    return fail(loc, "a margin has one entry for each of " + Twine(dims.size()) + " dimensions");
  for (auto [dim, low, high] : llvm::zip_equal(dims, op.getLow(), op.getHigh())) {
    if (low < 0 || high < 0)
      return fail(loc, "a margin is not negative");
    if (op.getMode() == PadMode::Reflect && dim.isStatic() && std::max(low, high) >= dim.value() && low + high > 0)
      return fail(loc, "a margin of " + Twine(std::max(low, high)) + " reflects a size of " + dim.str());
    dim = dim + DimExpr(low + high);
  }
  results.push_back(tensorType(dims, elementOf(op.getX().getType())));
  return success();
}

INFER(TopKOp) {
  ADAPTOR(TopKOp);
  DimExprs dims = dimsOf(op.getX().getType());
  if (dims.empty() || op.getK() < 1 || (dims.back().isStatic() && dims.back().value() < op.getK()))
    return fail(loc, "the " + Twine(op.getK()) + " largest of " + (dims.empty() ? "a scalar" : dims.back().str()));
  dims.back() = DimExpr(op.getK());
  results.push_back(tensorType(dims, elementOf(op.getX().getType())));
  results.push_back(tensorType(dims, IntegerType::get(context, 64)));
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
    return emitOpError("'") << getExpression() << "' is no size";
  if (rankOf(getType()) != 0 || !elementOf(getType()).isInteger(64))
    return emitOpError("returns an i64 scalar, not ") << getType();
  return success();
}

INFER(CumsumOp) {
  ADAPTOR(CumsumOp);
  if (elementOf(op.getX().getType()).isInteger(1))
    return fail(loc, "adds numbers, not truth values: cast them first");
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
