#include "importers/huggingface/Rearranged.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringSet.h"

using namespace flagrelease;
using namespace mlir;

namespace {
bool moves(Operation *op) { return isa<fr::ReshapeOp, fr::TransposeOp, fr::SliceOp, fr::ConcatOp>(op); }

class Rearranger {
public:
  explicit Rearranger(ModuleOp module) : module(module), symbols(module) {}

  void run() {
    auto main = module.lookupSymbol<func::FuncOp>(kMainFunction);
    if (!main)
      return;
    SmallVector<Operation *> roots;
    for (Operation &op : main.getBody().front())
      if (moves(&op) && isMade(op.getResult(0)) && isRoot(&op))
        roots.push_back(&op);
    for (Operation *root : roots)
      hoist(root, main);
    // What only led to them is of no use any more.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(main.getBody().front())))
      if ((moves(&op) || isa<fr::UseOp>(op)) && op.use_empty())
        op.erase();
  }

private:
  /// Of params alone, by moving elements.
  bool isMade(Value value) {
    if (auto it = made.find(value); it != made.end())
      return it->second;
    Operation *op = value.getDefiningOp();
    bool is = op && (isa<fr::UseOp>(op) || (moves(op) && llvm::all_of(op->getOperands(), [&](Value v) { return isMade(v); })));
    return made[value] = is;
  }

  bool isRoot(Operation *op) {
    bool wanted = joins(op), last = false;
    for (Operation *user : op->getUsers()) {
      wanted |= isa<fr::MoeOp>(user);
      last |= !(moves(user) && isMade(user->getResult(0)));
    }
    return wanted && last;
  }

  bool joins(Operation *op) {
    if (isa<fr::ConcatOp>(op))
      return true;
    return llvm::any_of(op->getOperands(), [&](Value v) { return moves(v.getDefiningOp()) && joins(v.getDefiningOp()); });
  }

  /// The value inside the body of a param.
  Value clone(Value value, OpBuilder &b, IRMapping &mapping) {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    Operation *op = value.getDefiningOp();
    Value result;
    if (auto use = dyn_cast<fr::UseOp>(op)) {
      auto param = symbols.lookup<fr::ParamOp>(use.getParam());
      IRMapping inner;
      for (Operation &each : param.getBody().front().without_terminator())
        b.clone(each, inner);
      result = inner.lookup(param.getBody().front().getTerminator()->getOperand(0));
    } else {
      for (Value operand : op->getOperands())
        (void)clone(operand, b, mapping);
      result = b.clone(*op, mapping)->getResult(0);
    }
    mapping.map(value, result);
    return result;
  }

  void hoist(Operation *root, func::FuncOp main) {
    std::string base = "rearranged";
    if (auto name = dyn_cast<NameLoc>(root->getLoc()); name && !name.getName().empty())
      base = name.getName().str();
    std::string name = base + ".0";
    for (unsigned i = 1; symbols.lookup(name); ++i)
      name = base + "." + std::to_string(i);
    OpBuilder b(main);
    auto type = cast<RankedTensorType>(root->getResult(0).getType());
    auto param = b.create<fr::ParamOp>(root->getLoc(), name, type, b.getStringAttr("private"));
    symbols.insert(param);
    Block &body = param.getBody().emplaceBlock();
    b.setInsertionPointToEnd(&body);
    IRMapping mapping;
    Value value = clone(root->getResult(0), b, mapping);
    b.create<fr::YieldOp>(root->getLoc(), value);
    b.setInsertionPoint(root);
    Value use = b.create<fr::UseOp>(root->getLoc(), type, SymbolRefAttr::get(b.getContext(), param.getSymName()));
    root->getResult(0).replaceAllUsesWith(use);
    made[use] = true;
  }

  ModuleOp module;
  SymbolTable symbols;
  llvm::DenseMap<Value, bool> made;
};
} // namespace

void flagrelease::paramsOfRearranged(ModuleOp module) { Rearranger(module).run(); }
