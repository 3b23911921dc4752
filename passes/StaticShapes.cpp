// fr-static-shapes: numbers for size symbols.
#include "passes/Passes.h"
#include "passes/Sizes.h"

#include "llvm/ADT/StringExtras.h"

namespace flagrelease {
#define GEN_PASS_DEF_STATICSHAPES
#include "passes/Passes.h.inc"

namespace {
struct StaticShapesPass : impl::StaticShapesBase<StaticShapesPass> {
  using StaticShapesBase::StaticShapesBase;

  void runOnOperation() override {
    mlir::ModuleOp module = getOperation();
    std::vector<std::string> known = sizeSymbols(module);
    SizeMap by;
    for (llvm::StringRef text : sizes) {
      auto [symbol, number] = text.split('=');
      int64_t value = 0;
      if (number.getAsInteger(10, value) || value <= 0) {
        module.emitError() << "fr-static-shapes: '" << text << "' is not symbol=number with a positive number";
        return signalPassFailure();
      }
      if (!llvm::is_contained(known, symbol)) {
        module.emitError() << "fr-static-shapes: no tensor has a size " << symbol << "; the sizes are "
                           << llvm::join(known, ", ");
        return signalPassFailure();
      }
      by[symbol.str()] = DimExpr(value);
    }
    if (failed(replaceSizes(module, by)))
      signalPassFailure();
  }
};
} // namespace
} // namespace flagrelease
