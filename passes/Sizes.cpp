#include "passes/Sizes.h"

#include "mlir/IR/AttrTypeSubElements.h"

#include <set>

using namespace mlir;
using namespace flagrelease;

namespace {
bool hasMeaning(const DimExpr &size) {
  if (size.offset() < 0 && size.isStatic())
    return false;
  for (const auto &[symbol, coefficient] : size.coefficients())
    if (coefficient < 0)
      return false;
  return true;
}
} // namespace

LogicalResult flagrelease::replaceSizes(ModuleOp module, const SizeMap &by) {
  std::string problem;
  AttrTypeReplacer replacer;
  replacer.addReplacement([&](RankedTensorType type) -> std::optional<std::pair<Type, WalkResult>> {
    if (!isa_and_nonnull<fr::DimsAttr>(type.getEncoding()))
      return std::make_pair(Type(type), WalkResult::skip());
    DimExprs dims = dimsOf(type);
    for (DimExpr &dim : dims) {
      DimExpr replaced = dim.replaceSymbols(by);
      if (problem.empty() && replaced != dim && !hasMeaning(replaced))
        problem = "the size " + dim.str() + " becomes " + replaced.str();
      dim = hasMeaning(replaced) ? replaced : dim;
    }
    return std::make_pair(Type(tensorType(dims, type.getElementType())), WalkResult::skip());
  });

  WalkResult walked = module.walk<WalkOrder::PreOrder>([&](Operation *op) -> WalkResult {
    if (isa<fr::WeightsOp, fr::ParamOp>(op))
      return WalkResult::skip(); // tensors of files have numbers for sizes
    replacer.replaceElementsIn(op, /*replaceAttrs=*/true, /*replaceLocs=*/false, /*replaceTypes=*/true);
    if (!problem.empty())
      return op->emitOpError(problem);
    return WalkResult::advance();
  });
  if (walked.wasInterrupted())
    return failure();

  module.walk([&](fr::NarrowOp op) {
    op.setStart(DimExpr::parse(op.getStart())->replaceSymbols(by).str());
    op.setSize(DimExpr::parse(op.getSize())->replaceSymbols(by).str());
  });
  module.walk([&](fr::SizeOp op) {
    DimExpr size = DimExpr::parse(op.getExpression())->replaceSymbols(by);
    OpBuilder builder(op);
    if (size.isStatic()) {
      auto value = DenseIntElementsAttr::get(cast<ShapedType>(op.getType()), ArrayRef<int64_t>(size.value()));
      op.getResult().replaceAllUsesWith(builder.create<fr::ConstantOp>(op.getLoc(), value));
      op.erase();
    } else {
      op.setExpression(size.str());
    }
  });
  return success();
}

std::vector<std::string> flagrelease::sizeSymbols(ModuleOp module) {
  std::set<std::string> symbols;
  auto add = [&](Type type) {
    if (hasNamedSizes(type))
      for (const DimExpr &dim : dimsOf(type))
        symbols.merge(dim.symbols());
  };
  module.walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      add(type);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (BlockArgument argument : block.getArguments())
          add(argument.getType());
  });
  return {symbols.begin(), symbols.end()};
}
