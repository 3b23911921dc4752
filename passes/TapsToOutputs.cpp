// fr-taps-to-outputs: alignment points as results.
#include "passes/Passes.h"
#include "passes/States.h"

#include "llvm/ADT/StringSet.h"

namespace flagrelease {
#define GEN_PASS_DEF_TAPSTOOUTPUTS
#include "passes/Passes.h.inc"

namespace {
using namespace mlir;

struct TapsToOutputsPass : impl::TapsToOutputsBase<TapsToOutputsPass> {
  void runOnOperation() override {
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>()) {
      SmallVector<fr::TapOp> taps;
      function.walk([&](fr::TapOp tap) { taps.push_back(tap); });
      llvm::StringSet<> names;
      for (unsigned i = 0; i < function.getNumResults(); ++i)
        if (auto name = function.getResultAttrOfType<StringAttr>(i, kNameAttr))
          names.insert(name.getValue());
      for (fr::TapOp tap : taps) {
        if (!names.insert(tap.getName()).second) {
          tap.emitOpError("has the name of another output: '") << tap.getName() << "'";
          return signalPassFailure();
        }
        addResult(function, tap.getValue(), tap.getName());
        tap.getResult().replaceAllUsesWith(tap.getValue());
        tap.erase();
      }
    }
  }
};
} // namespace
} // namespace flagrelease
