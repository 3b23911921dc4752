// Verifiers of weights, params and states.
#include "ir/FrInfer.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::fr;

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
  if (getKind() != StateKind::KV) {
    for (const DimExpr &dim : dimsOf(getType()))
      if (dim.symbols().count("P"))
        return emitOpError("of kind ") << stringifyStateKind(getKind()) << " keeps its size; " << getType() << " grows";
    return success();
  }
  if (getAxis() < 0 || getAxis() >= rankOf(getType()))
    return emitOpError("grows along axis ") << getAxis() << " of " << getType();
  return success();
}

LogicalResult StateAppendOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto state = tables.lookupNearestSymbolFrom<StateOp>(*this, getStateAttr());
  if (!state)
    return emitOpError("names no state: ") << getStateAttr();
  if (state.getKind() != StateKind::KV)
    return emitOpError("extends state '") << getState() << "' of kind " << stringifyStateKind(state.getKind())
                                          << "; only kv states grow by tokens";
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

static LogicalResult verifyFixedState(Operation *op, SymbolTableCollection &tables, FlatSymbolRefAttr name, Type type) {
  auto state = tables.lookupNearestSymbolFrom<StateOp>(op, name);
  if (!state)
    return op->emitOpError("names no state: ") << name;
  if (state.getKind() == StateKind::KV)
    return op->emitOpError("state '") << name.getValue() << "' is of kind kv: it is appended to";
  if (state.getType() != type)
    return op->emitOpError("has type ") << type << " but the state has " << state.getType();
  return success();
}
LogicalResult StateReadOp::verifySymbolUses(SymbolTableCollection &tables) {
  return verifyFixedState(*this, tables, getStateAttr(), getType());
}
LogicalResult StateUpdateOp::verifySymbolUses(SymbolTableCollection &tables) {
  return verifyFixedState(*this, tables, getStateAttr(), getValue().getType());
}
