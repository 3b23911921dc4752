// Private to ir/: what the verifiers and the inference of result types share. Operands are checked here and in the importer: the
// importer speaks of tensors and config keys, these messages of ops.
#pragma once

#include "ir/Fr.h"

#include "llvm/ADT/STLExtras.h"

namespace flagrelease::fr {
using namespace mlir; // as generated code does

inline LogicalResult fail(std::optional<Location> loc, const Twine &message) { return emitOptionalError(loc, message); }

inline FailureOr<DimExprs> broadcast(ArrayRef<DimExpr> a, ArrayRef<DimExpr> b, std::optional<Location> loc) {
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

inline bool isFloatElement(Type t) { return isa<FloatType>(t); }

/// Activations stay f32 in `fr` modules; a stored narrower operand does not narrow the result.
inline Type promote(Type a, Type b) {
  if (a == b)
    return a;
  if (isFloatElement(a) != isFloatElement(b))
    return isFloatElement(a) ? a : b;
  return a.getIntOrFloatBitWidth() >= b.getIntOrFloatBitWidth() ? a : b;
}

inline LogicalResult axisInRange(int64_t axis, int64_t rank, std::optional<Location> loc) {
  if (axis < 0 || axis >= rank)
    return fail(loc, "axis " + Twine(axis) + " is outside a tensor of rank " + Twine(rank));
  return success();
}

#define INFER(OpName)                                                                                                            \
  LogicalResult OpName::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, ValueRange operands,                 \
                                         DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,            \
                                         SmallVectorImpl<Type> &results)
#define ADAPTOR(OpName) OpName::Adaptor op(operands, attributes, properties, regions)

} // namespace flagrelease::fr
