// Verifiers of the ops with a body.
#include "ir/FrInfer.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::fr;

// The implicit terminator of a body that is being built; the verifier below refuses it if it stays.
void ScanYieldOp::build(OpBuilder &, OperationState &) {}

LogicalResult ScanOp::verify() {
  if (getSequences().empty())
    return emitOpError("needs a sequence: it says how many steps there are");
  auto along = [&](Type type, DimExpr &size, DimExprs &rest) -> LogicalResult {
    rest = dimsOf(type);
    if (getAxis() < 0 || getAxis() >= static_cast<int64_t>(rest.size()))
      return emitOpError("runs along axis ") << getAxis() << " of " << type;
    size = rest[getAxis()];
    rest.erase(rest.begin() + getAxis());
    return success();
  };
  Block &body = getBody().front();
  const size_t states = getInits().size();
  if (body.getNumArguments() != states + getSequences().size())
    return emitOpError("has ") << states << " states and " << getSequences().size() << " sequences, its body takes "
                               << body.getNumArguments() << " values";
  DimExpr steps;
  for (auto [i, init] : llvm::enumerate(getInits()))
    if (init.getType() != body.getArgument(i).getType())
      return emitOpError("state ") << i << " is " << init.getType() << " and " << body.getArgument(i).getType() << " in the body";
  for (auto [i, sequence] : llvm::enumerate(getSequences())) {
    DimExpr size;
    DimExprs rest;
    if (failed(along(sequence.getType(), size, rest)))
      return failure();
    if (i > 0 && size != steps)
      return emitOpError("sequences have ") << steps.str() << " and " << size.str() << " elements";
    steps = size;
    Type slice = body.getArgument(states + i).getType();
    if (tensorType(rest, elementOf(sequence.getType())) != slice)
      return emitOpError("sequence ") << i << " is " << sequence.getType() << ", its slice in the body " << slice;
  }
  auto yield = cast<ScanYieldOp>(body.getTerminator());
  if (yield.getValues().size() != getNumResults() || getNumResults() < states)
    return emitOpError("yields ") << yield.getValues().size() << " values for " << getNumResults() << " results";
  for (auto [i, value] : llvm::enumerate(yield.getValues())) {
    Type result = getResult(i).getType();
    if (i < states) {
      if (value.getType() != getInits()[i].getType() || result != value.getType())
        return emitOpError("state ") << i << " changes from " << getInits()[i].getType() << " to " << value.getType();
      continue;
    }
    DimExpr size;
    DimExprs rest;
    if (failed(along(result, size, rest)))
      return failure();
    if (size != steps || tensorType(rest, elementOf(result)) != value.getType())
      return emitOpError("stacks ") << value.getType() << " to " << result;
  }
  return success();
}
