#include "passes/States.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;
using namespace flagrelease;

/// Arguments are added to the function that holds the state; a caller would have to pass them through.
template <typename Use> static LogicalResult refuseCalled(ModuleOp module, ArrayRef<Use> uses) {
  llvm::DenseMap<StringRef, func::CallOp> calls;
  module.walk([&](func::CallOp call) { calls.try_emplace(call.getCallee(), call); });
  llvm::SmallPtrSet<Operation *, 4> reported;
  for (Use use : uses)
    if (func::CallOp call = calls.lookup(use.function.getSymName()); call && reported.insert(use.function).second) {
      InFlightDiagnostic d = use.function.emitOpError("keeps state '")
                             << use.state.getSymName() << "' and is called by another function";
      d.attachNote(call.getLoc()) << "called here; a part with states is an entry of its own";
    }
  return success(reported.empty());
}

FailureOr<SmallVector<StateUse>> flagrelease::findStates(ModuleOp module) {
  SmallVector<StateUse> uses;
  llvm::DenseMap<Operation *, fr::StateAppendOp> seen;
  SymbolTable symbols(module);
  bool bad = false;
  module.walk([&](fr::StateAppendOp append) {
    auto state = symbols.lookup<fr::StateOp>(append.getState());
    auto function = append->getParentOfType<func::FuncOp>();
    if (auto [it, fresh] = seen.try_emplace(state, append); !fresh) {
      InFlightDiagnostic d = append.emitOpError("extends state '") << state.getSymName() << "' a second time in one call";
      d.attachNote(it->second.getLoc()) << "first here";
      bad = true;
    }
    if (state.getKind() != fr::StateKind::KV) {
      append.emitOpError("extends state '") << state.getSymName() << "' of kind " << fr::stringifyStateKind(state.getKind())
                                            << "; only kv states grow by tokens";
      bad = true;
    }
    uses.push_back({state, append, function});
  });
  bad |= failed(refuseCalled<StateUse>(module, uses));
  if (bad)
    return failure();
  // Layer, then key before value, then the order of use.
  auto rank = [](fr::StateOp state) { return state.getPart() == "key" ? 0 : state.getPart() == "value" ? 1 : 2; };
  SmallVector<std::tuple<int64_t, int, size_t>> order;
  for (auto [i, use] : llvm::enumerate(uses))
    order.emplace_back(use.state.getLayer(), rank(use.state), i);
  llvm::sort(order);
  return llvm::map_to_vector(order, [&](const auto &key) { return uses[std::get<2>(key)]; });
}

FailureOr<SmallVector<FixedStateUse>> flagrelease::findFixedStates(ModuleOp module) {
  SymbolTable symbols(module);
  SmallVector<FixedStateUse> uses;
  llvm::DenseMap<Operation *, size_t> index;
  auto use = [&](StringRef name, Operation *op) -> FixedStateUse & {
    auto state = symbols.lookup<fr::StateOp>(name);
    auto [it, fresh] = index.try_emplace(state, uses.size());
    if (fresh)
      uses.push_back({state, {}, {}, op->getParentOfType<func::FuncOp>()});
    return uses[it->second];
  };
  bool bad = false;
  auto report = [&](Operation *op, const Twine &what, Operation *earlier, StringRef note) {
    InFlightDiagnostic d = op->emitOpError(what);
    if (earlier)
      d.attachNote(earlier->getLoc()) << note;
    bad = true;
  };
  auto inOneFunction = [&](FixedStateUse &state, Operation *op) {
    if (op->getParentOfType<func::FuncOp>() == state.function)
      return true;
    report(op, "uses state '" + state.state.getSymName() + "' of another function",
           state.update ? state.update.getOperation() : state.reads.front().getOperation(), "first here");
    return false;
  };
  module.walk([&](Operation *op) {
    if (auto read = dyn_cast<fr::StateReadOp>(op)) {
      FixedStateUse &state = use(read.getState(), op);
      if (!inOneFunction(state, op))
        return;
      if (state.update)
        report(op, "reads state '" + read.getState() + "' after its update; a read gives what the call before left", state.update,
               "updated here");
      state.reads.push_back(read);
    } else if (auto update = dyn_cast<fr::StateUpdateOp>(op)) {
      FixedStateUse &state = use(update.getState(), op);
      if (!inOneFunction(state, op))
        return;
      if (state.update)
        report(op, "updates state '" + update.getState() + "' a second time in one call", state.update, "first here");
      state.update = update;
    }
  });
  bad |= failed(refuseCalled<FixedStateUse>(module, uses));
  if (bad)
    return failure();
  llvm::stable_sort(uses, [](const FixedStateUse &a, const FixedStateUse &b) {
    fr::StateOp first = a.state, second = b.state; // accessors of ops are not const
    return first.getLayer() < second.getLayer();
  });
  return uses;
}

LogicalResult flagrelease::exposeFixedStates(ModuleOp module) {
  FailureOr<SmallVector<FixedStateUse>> uses = findFixedStates(module);
  if (failed(uses))
    return failure();
  for (FixedStateUse &use : *uses) {
    Value past = addArgument(use.function, use.state.getType(), stateName("past_states", use.state));
    addResult(use.function, use.update ? use.update.getValue() : past, stateName("present_states", use.state));
    for (fr::StateReadOp read : use.reads) {
      read.getResult().replaceAllUsesWith(past);
      read.erase();
    }
    if (use.update)
      use.update.erase();
  }
  return success();
}

static DictionaryAttr nameAttr(MLIRContext *context, StringRef name) {
  Builder builder(context);
  return builder.getDictionaryAttr(builder.getNamedAttr(kNameAttr, builder.getStringAttr(name)));
}

BlockArgument flagrelease::addArgument(func::FuncOp function, Type type, StringRef name) {
  unsigned index = function.getNumArguments();
  function.insertArgument(index, type, nameAttr(function.getContext(), name), function.getLoc());
  return function.getArgument(index);
}

void flagrelease::addResult(func::FuncOp function, Value value, StringRef name) {
  function.insertResult(function.getNumResults(), value.getType(), nameAttr(function.getContext(), name));
  auto ret = cast<func::ReturnOp>(function.getBody().front().getTerminator());
  ret->insertOperands(ret->getNumOperands(), value);
}

std::string flagrelease::stateName(StringRef prefix, fr::StateOp state) {
  return (prefix + "." + Twine(state.getLayer()) + "." + state.getPart()).str();
}

void flagrelease::eraseStates(ModuleOp module) {
  for (fr::StateOp state : llvm::make_early_inc_range(module.getOps<fr::StateOp>()))
    state.erase();
}
