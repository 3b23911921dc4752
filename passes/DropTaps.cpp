// fr-drop-taps: the graph without alignment points.
#include "passes/Passes.h"

namespace flagrelease {
#define GEN_PASS_DEF_DROPTAPS
#include "passes/Passes.h.inc"

namespace {
struct DropTapsPass : impl::DropTapsBase<DropTapsPass> {
  void runOnOperation() override {
    getOperation().walk([](fr::TapOp tap) {
      tap.getResult().replaceAllUsesWith(tap.getValue());
      tap.erase();
    });
  }
};
} // namespace
} // namespace flagrelease
