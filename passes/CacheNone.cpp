// fr-cache-none: no state between calls.
#include "passes/Passes.h"
#include "passes/Sizes.h"
#include "passes/States.h"

namespace flagrelease {
#define GEN_PASS_DEF_CACHENONE
#include "passes/Passes.h.inc"

namespace {
struct CacheNonePass : impl::CacheNoneBase<CacheNonePass> {
  void runOnOperation() override {
    mlir::FailureOr<llvm::SmallVector<StateUse>> uses = findStates(getOperation());
    if (failed(uses))
      return signalPassFailure();
    for (StateUse &use : *uses) {
      // The types agree only after P is gone; nothing verifies in between.
      use.append.getResult().replaceAllUsesWith(use.append.getValue());
      use.append.erase();
    }
    mlir::FailureOr<llvm::SmallVector<FixedStateUse>> fixed = findFixedStates(getOperation());
    if (failed(fixed))
      return signalPassFailure();
    for (FixedStateUse &use : *fixed) {
      for (fr::StateReadOp read : use.reads) {
        mlir::OpBuilder builder(read);
        mlir::Type element = elementOf(read.getType());
        const double init = use.state.getInit().convertToDouble();
        mlir::Attribute number = isa<mlir::FloatType>(element)
                                     ? mlir::Attribute(builder.getFloatAttr(element, init))
                                     : mlir::Attribute(builder.getIntegerAttr(element, static_cast<int64_t>(init)));
        mlir::Value first =
            builder.create<fr::ConstantOp>(read.getLoc(), cast<mlir::ElementsAttr>(mlir::DenseElementsAttr::get(
                                                              mlir::cast<mlir::ShapedType>(tensorType({}, element)), number)));
        read.getResult().replaceAllUsesWith(builder.create<fr::BroadcastOp>(read.getLoc(), read.getType(), first));
        read.erase();
      }
      if (use.update)
        use.update.erase();
    }
    eraseStates(getOperation());
    if (failed(replaceSizes(getOperation(), {{"P", DimExpr(0)}})))
      signalPassFailure();
  }
};
} // namespace
} // namespace flagrelease
