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
    eraseStates(getOperation());
    if (failed(replaceSizes(getOperation(), {{"P", DimExpr(0)}})))
      signalPassFailure();
  }
};
} // namespace
} // namespace flagrelease
