// fr-drop-unused-params: what a graph format does not hold.
#include "passes/Passes.h"

#include "llvm/ADT/DenseSet.h"

namespace flagrelease {
#define GEN_PASS_DEF_DROPUNUSEDPARAMS
#include "passes/Passes.h.inc"

namespace {
struct DropUnusedParamsPass : impl::DropUnusedParamsBase<DropUnusedParamsPass> {
  void runOnOperation() override {
    llvm::DenseSet<mlir::StringAttr> used;
    getOperation().walk([&](fr::UseOp use) { used.insert(use.getParamAttr().getAttr()); });
    for (fr::ParamOp param : llvm::make_early_inc_range(getOperation().getOps<fr::ParamOp>()))
      if (!used.contains(param.getSymNameAttr())) {
        param.erase();
        ++dropped;
      }
  }
};
} // namespace
} // namespace flagrelease
