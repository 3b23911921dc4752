// fr-replace-quantized: the numbers of a quantised source instead of its parts.
#include "passes/Passes.h"

#include "llvm/ADT/StringSet.h"

namespace flagrelease {
#define GEN_PASS_DEF_REPLACEQUANTIZED
#include "passes/Passes.h.inc"

namespace {
using namespace mlir;

struct ReplaceQuantizedPass : impl::ReplaceQuantizedBase<ReplaceQuantizedPass> {
  using ReplaceQuantizedBase::ReplaceQuantizedBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    constexpr llvm::StringLiteral kDerived = ".dequantized";
    llvm::StringSet<> parts;
    for (StringRef name : drop)
      parts.insert(name);
    SmallVector<fr::ParamOp> derived;
    for (fr::ParamOp param : module.getOps<fr::ParamOp>())
      if (param.getSymName().ends_with(kDerived)) {
        derived.push_back(param);
        param.walk([&](fr::GetOp get) { parts.insert(get.getWeight().getLeafReference().getValue()); });
      }
    for (fr::ParamOp param : llvm::make_early_inc_range(module.getOps<fr::ParamOp>()))
      if (param.getIdentity() && parts.contains(param.getSymName()))
        param.erase();
    for (fr::ParamOp param : derived) {
      StringAttr name = StringAttr::get(&getContext(), param.getSymName().drop_back(kDerived.size()));
      if (failed(SymbolTable::replaceAllSymbolUses(param, name, module)))
        return signalPassFailure();
      param.setSymNameAttr(name);
    }
  }
};
} // namespace
} // namespace flagrelease
