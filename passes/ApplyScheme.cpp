// fr-apply-scheme: the stored float type of params.
#include "passes/GgufParams.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"

#include <deque>

namespace flagrelease {
#define GEN_PASS_DEF_APPLYSCHEME
#include "passes/Passes.h.inc"

namespace {
using namespace mlir;

/// Follows a changed element type to the results of ops that take it over. Layers (linear, norms, embedding) have the type of
/// their activations, so this mostly ends at once.
LogicalResult propagate(std::deque<Value> changed) {
  while (!changed.empty()) {
    Value value = changed.front();
    changed.pop_front();
    for (Operation *user : value.getUsers()) {
      SmallVector<Type> types(user->getResultTypes());
      if (auto infer = dyn_cast<InferTypeOpInterface>(user)) {
        types.clear();
        if (failed(infer.inferReturnTypes(user->getContext(), user->getLoc(), user->getOperands(), user->getAttrDictionary(),
                                          user->getPropertiesStorage(), user->getRegions(), types)))
          return failure();
      } else if (isa<fr::ReshapeOp, fr::TapOp>(user)) {
        types[0] = tensorType(dimsOf(types[0]), elementOf(value.getType()));
      } else if (!isa<fr::CastOp>(user)) {
        return user->emitOpError("takes a param whose type changes from what it was declared with");
      }
      for (auto [result, type] : llvm::zip(user->getResults(), types))
        if (result.getType() != type) {
          result.setType(type);
          changed.push_back(result);
        }
    }
  }
  return success();
}

bool movesOnly(fr::ParamOp param) {
  return llvm::all_of(param.getBody().front(), [](Operation &op) {
    return isa<fr::GetOp, fr::ReshapeOp, fr::TransposeOp, fr::SliceOp, fr::ConcatOp, fr::YieldOp>(op);
  });
}

struct ApplySchemePass : impl::ApplySchemeBase<ApplySchemePass> {
  using ApplySchemeBase::ApplySchemeBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    std::optional<DType> type = parseDType(StringRef(dtype).upper());
    if (!type || (*type != DType::F32 && *type != DType::F16 && *type != DType::BF16)) {
      module.emitError() << "fr-apply-scheme: dtype '" << dtype << "' is none of f32, f16, bf16";
      return signalPassFailure();
    }
    Type element = mlirType(*type, &getContext());
    llvm::DenseMap<StringAttr, fr::ParamOp> rewritten;
    for (fr::ParamOp param : module.getOps<fr::ParamOp>()) {
      // Private params are steps on the way to others: they keep the precision they were given. Those that only move stored
      // numbers are stored as these are.
      if (!isa<FloatType>(elementOf(param.getType())) || elementOf(param.getType()) == element || param->hasAttr(kKeepTypeAttr) ||
          (SymbolTable::getSymbolVisibility(param) == SymbolTable::Visibility::Private && !movesOnly(param)))
        continue;
      auto yield = cast<fr::YieldOp>(param.getBody().front().getTerminator());
      auto to = tensorType(dimsOf(param.getType()), element);
      OpBuilder builder(yield);
      Value stored = builder.create<fr::CastOp>(param.getLoc(), to, yield.getValue());
      yield.getValueMutable().assign(stored);
      param.setTypeAttr(TypeAttr::get(to));
      rewritten[param.getSymNameAttr()] = param;
    }
    std::deque<Value> changed;
    module.walk([&](fr::UseOp use) {
      if (fr::ParamOp param = rewritten.lookup(use.getParamAttr().getAttr())) {
        use.getResult().setType(cast<RankedTensorType>(param.getType()));
        changed.push_back(use.getResult());
      }
    });
    if (failed(propagate(std::move(changed))))
      signalPassFailure();
  }
};
} // namespace
} // namespace flagrelease
