// fr-cache-static: states as inputs and outputs of fixed size, written at given columns.
#include "passes/Passes.h"
#include "passes/Sizes.h"
#include "passes/States.h"

#include "llvm/ADT/MapVector.h"

namespace flagrelease {
#define GEN_PASS_DEF_CACHESTATIC
#include "passes/Passes.h.inc"

namespace {
using namespace mlir;

struct CacheStaticPass : impl::CacheStaticBase<CacheStaticPass> {
  using CacheStaticBase::CacheStaticBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    FailureOr<SmallVector<StateUse>> uses = findStates(module);
    if (failed(uses) || failed(exposeFixedStates(module)))
      return signalPassFailure();
    const int64_t columns = size;
    if (columns <= 0) {
      module.emitError() << "fr-cache-static: a cache of " << columns << " columns holds nothing; give size=N";
      return signalPassFailure();
    }
    const DimExpr tokens = DimExpr::symbol("S"), past = DimExpr::symbol("P");
    llvm::SmallMapVector<Operation *, Value, 2> positions; // by function
    auto positionOf = [&](func::FuncOp function) {
      Value &position = positions[function];
      if (!position)
        position = addArgument(function, tensorType({tokens}, IntegerType::get(&getContext(), 64)), "cache_position");
      return position;
    };
    for (StateUse &use : *uses)
      positionOf(use.function);

    for (StateUse &use : *uses) {
      // The cache is as long as what an append returns, P + S: both become `size` below.
      BlockArgument cache = addArgument(use.function, use.append.getType(), stateName("past_key_values", use.state));
      OpBuilder builder(use.append);
      Value all = builder.create<fr::ScatterOp>(use.append.getLoc(), cache, positionOf(use.function), use.append.getValue(),
                                                use.state.getAxis());
      addResult(use.function, all, stateName("present", use.state));
      use.append.getResult().replaceAllUsesWith(all);
      use.append.erase();
    }
    eraseStates(module);

    for (auto &[op, position] : positions) {
      auto function = cast<func::FuncOp>(op);
      // A query's own column is no longer the end of what there is.
      function.walk([&, position = position](fr::AttentionMaskOp mask) {
        if (!mask.getQueryColumns() && dimsOf(mask.getType())[3] == past + tokens)
          mask.getQueryColumnsMutable().assign(position);
      });
      replacePastSizes(function, position, columns);
    }
    if (failed(replaceSizes(module, {{"P", DimExpr(columns) - tokens}})))
      signalPassFailure();
  }

  /// In a value (not a type) P + S is the number of columns and what P is beyond that counts the tokens before this call: the
  /// first of `cache_position`.
  void replacePastSizes(func::FuncOp function, Value position, int64_t columns) {
    SmallVector<fr::SizeOp> sizes;
    function.walk([&](fr::SizeOp op) { sizes.push_back(op); });
    for (fr::SizeOp op : sizes) {
      auto coefficient = [&](StringRef symbol) {
        auto terms = DimExpr::parse(op.getExpression())->coefficients();
        auto it = terms.find(symbol.str());
        return it == terms.end() ? 0 : it->second;
      };
      int64_t p = coefficient("P"), whole = p > 0 ? std::clamp<int64_t>(coefficient("S"), 0, p) : 0, alone = p - whole;
      if (p == 0)
        continue;
      OpBuilder builder(op);
      Location loc = op.getLoc();
      auto scalar = [&](int64_t value) -> Value {
        return builder.create<fr::ConstantOp>(
            loc, DenseIntElementsAttr::get(cast<ShapedType>(op.getType()), ArrayRef<int64_t>(value)));
      };
      DimExpr rest = *DimExpr::parse(op.getExpression()) - DimExpr::symbol("P") * p - DimExpr::symbol("S") * whole +
                     DimExpr(whole * columns);
      Value value = builder.create<fr::SizeOp>(loc, op.getType(), builder.getStringAttr(rest.str()));
      if (alone != 0) {
        Value first = builder.create<fr::GatherOp>(loc, position, scalar(0), 0, 0);
        value = builder.create<fr::AddOp>(loc, value, builder.create<fr::MulOp>(loc, first, scalar(alone)));
      }
      op.getResult().replaceAllUsesWith(value);
      op.erase();
    }
  }
};
} // namespace
} // namespace flagrelease
