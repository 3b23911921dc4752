// fr-cache-dynamic: states as inputs and outputs that grow with the text.
#include "passes/Passes.h"
#include "passes/States.h"

namespace flagrelease {
#define GEN_PASS_DEF_CACHEDYNAMIC
#include "passes/Passes.h.inc"

namespace {
struct CacheDynamicPass : impl::CacheDynamicBase<CacheDynamicPass> {
  void runOnOperation() override {
    mlir::FailureOr<llvm::SmallVector<StateUse>> uses = findStates(getOperation());
    if (failed(uses) || failed(exposeFixedStates(getOperation())))
      return signalPassFailure();
    for (StateUse &use : *uses) {
      mlir::Value past = addArgument(use.function, use.state.getType(), stateName("past_key_values", use.state));
      mlir::OpBuilder builder(use.append);
      mlir::Value all =
          builder.create<fr::ConcatOp>(use.append.getLoc(), mlir::ValueRange{past, use.append.getValue()}, use.state.getAxis());
      addResult(use.function, all, stateName("present", use.state));
      use.append.getResult().replaceAllUsesWith(all);
      use.append.erase();
    }
    eraseStates(getOperation());
  }
};
} // namespace
} // namespace flagrelease
