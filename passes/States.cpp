#include "passes/States.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;
using namespace flagrelease;

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
  // Arguments are added to the function that holds the state; a caller would have to pass them through.
  llvm::DenseMap<StringRef, func::CallOp> calls;
  module.walk([&](func::CallOp call) { calls.try_emplace(call.getCallee(), call); });
  llvm::SmallPtrSet<Operation *, 4> reported;
  for (StateUse &use : uses)
    if (func::CallOp call = calls.lookup(use.function.getSymName()); call && reported.insert(use.function).second) {
      InFlightDiagnostic d = use.function.emitOpError("keeps state '")
                             << use.state.getSymName() << "' and is called by another function";
      d.attachNote(call.getLoc()) << "called here; a part with states is an entry of its own";
      bad = true;
    }
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
