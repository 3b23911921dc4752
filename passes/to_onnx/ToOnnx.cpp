#include "passes/to_onnx/ToOnnx.h"

#include "ir/onnx/Schema.h"
#include "passes/to_onnx/Emitter.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Transforms/CSE.h"
#include "llvm/ADT/StringMap.h"

#include <set>

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

using Table = llvm::StringMap<const Lowering *>;

Table allLowerings() {
  Table table;
  for (ArrayRef<Lowering> rows : {elementwiseLowerings(), shapeLowerings(), layerLowerings(), numberLowerings(),
                                  rotaryLowerings(), attentionLowerings(), convolutionLowerings(), expertLowerings()})
    for (const Lowering &row : rows)
      table[row.op] = &row;
  return table;
}

class Conversion {
public:
  Conversion(ModuleOp module, const OnnxTarget &target, Diagnostics &diags)
      : module(module), target(target), diags(diags), table(allLowerings()) {}

  LogicalResult run(OnnxReport &report) {
    if (target.opset < oldestOnnxOpset() || target.opset > newestOnnxOpset())
      return diags.error("opset", "ONNX opset " + Twine(target.opset) + " is outside " + Twine(oldestOnnxOpset()) + " to " +
                                      Twine(newestOnnxOpset()));
    if (failed(judge()))
      return failure();
    setOpsets(true);
    for (func::FuncOp function : module.getOps<func::FuncOp>())
      if (!function.isExternal() && failed(lower(function)))
        return failure();
    bool usesMicrosoft = false;
    module.walk([&](onnx_ir::NodeOp node) { usesMicrosoft |= node.getDomainName() == kMicrosoftDomain; });
    setOpsets(usesMicrosoft);
    if (failed(verify(module)))
      return diags.error("convert-fr-to-onnx", "made a module that the schema table refuses");
    for (auto &[key, count] : choices) {
      auto &[op, way, nodes] = key;
      report.choices.push_back({op, way, nodes, count});
    }
    for (auto &[key, count] : missing) {
      auto &[op, operands, cause] = key;
      report.missing.push_back({op, operands, cause, count});
    }
    return success();
  }

private:
  /// What this pass cannot lower, all of it, before anything changes.
  LogicalResult judge() {
    std::set<std::string> refused;
    for (func::FuncOp function : module.getOps<func::FuncOp>())
      function.getBody().walk([&](Operation *op) {
        StringRef name = op->getName().getStringRef();
        if (!isa<fr::UseOp, fr::TapOp, func::ReturnOp, fr::ScanOp, fr::ScanYieldOp>(op) && !isStorage(op) &&
            !table.contains(name))
          refused.insert(name.str());
      });
    for (const std::string &name : refused)
      (void)diags.error(name, "has no form in ONNX",
                        StringRef(name).starts_with("fr.state") ? "run a pass of the cache modes first" : "");
    return failure(!refused.empty());
  }

  LogicalResult lower(func::FuncOp function) {
    Emitter emitter(function, target, diags);
    SmallVector<Operation *> old;
    if (failed(lower(function.getBody().front(), emitter, old)))
      return failure();
    for (Operation *op : llvm::reverse(old))
      op->erase();
    tidy(function);
    separateResults(cast<func::ReturnOp>(function.getBody().front().getTerminator()), emitter);
    return success();
  }

  /// What the ops of a block become stands before each of them; they themselves go to `old`.
  LogicalResult lower(Block &block, Emitter &emitter, SmallVectorImpl<Operation *> &old) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (isa<fr::UseOp, onnx_ir::YieldOp>(op))
        continue;
      emitter.begin(&op);
      if (auto ret = dyn_cast<func::ReturnOp>(op)) {
        for (OpOperand &operand : ret->getOpOperands())
          operand.set(emitter(operand.get()));
        if (emitter.failed())
          return failure();
        count(op, emitter);
        continue;
      }
      if (auto yield = dyn_cast<fr::ScanYieldOp>(op)) {
        SmallVector<Value> values;
        for (Value value : yield.getValues())
          values.push_back(emitter(value));
        // A result of a body is a value of its own, as one of a function is.
        llvm::SmallPtrSet<Value, 4> taken;
        for (Value &value : values)
          if (!value.getDefiningOp<onnx_ir::NodeOp>() || value.getParentBlock() != &block || !taken.insert(value).second)
            value = emitter.node("Identity", {value}, value.getType());
        emitter.builder.create<onnx_ir::YieldOp>(op.getLoc(), values);
        yield.erase();
        return success(!emitter.failed());
      }
      old.push_back(&op);
      if (isStorage(&op))
        continue; // made where it is used
      if (auto tap = dyn_cast<fr::TapOp>(op)) {
        emitter.finish(tap, {emitter(tap.getValue())});
        count(op, emitter);
        continue;
      }
      if (auto scan = dyn_cast<fr::ScanOp>(op)) {
        if (failed(lowerScan(scan, emitter, old)))
          return failure();
        continue;
      }
      Values results = table.lookup(op.getName().getStringRef())->lower(&op, emitter);
      if (emitter.failed())
        return failure();
      for (auto [from, to] : llvm::zip_equal(op.getResults(), results))
        if (from.getType() != to.getType())
          return diags.error(op.getName().getStringRef(), "was lowered to another type");
      emitter.finish(&op, results);
      count(op, emitter);
    }
    return success();
  }

  /// The body moves into the operator and is lowered there.
  LogicalResult lowerScan(fr::ScanOp scan, Emitter &emitter, SmallVectorImpl<Operation *> &old) {
    SmallVector<Value> inputs;
    for (Value operand : scan->getOperands())
      inputs.push_back(emitter(operand));
    onnx_ir::ScanOp made = emitter.scan(inputs, scan.getInits().size(), scan.getAxis(), SmallVector<Type>(scan.getResultTypes()));
    emitter.finish(scan, made.getResults());
    count(*scan, emitter);
    made.getBody().takeBody(scan.getBody());
    const size_t entered = emitter.enterBody();
    if (failed(lower(made.getBody().front(), emitter, old)))
      return failure();
    emitter.leaveBody(entered);
    return success();
  }

  /// Each result of a function is a value of its own that a node computed: it takes the result's name.
  void separateResults(func::ReturnOp ret, Emitter &emitter) {
    llvm::SmallPtrSet<Value, 8> taken;
    emitter.begin(ret);
    for (OpOperand &operand : ret->getOpOperands()) {
      Value value = operand.get();
      if (!value.getDefiningOp<onnx_ir::NodeOp>() || !taken.insert(value).second)
        operand.set(emitter.node("Identity", {value}, value.getType()));
    }
    count(*ret, emitter);
  }

  void count(Operation &op, Emitter &emitter) {
    std::vector<std::string> nodes = emitter.operatorsMade();
    std::string name = op.getName().getStringRef().str();
    if (!nodes.empty()) {
      StringRef way = emitter.way();
      std::string direct = nodes.size() == 1 ? nodes[0] : "decomposed";
      ++choices[{name, way.empty() ? direct : way.str(), nodes}];
    }
    for (const Emitter::Miss &miss : emitter.missed())
      ++missing[{miss.op, miss.operands, name}];
  }

  /// Equal nodes become one (the widened weight that two layers share, the shape of an input), unused ones go.
  void tidy(func::FuncOp function) {
    IRRewriter rewriter(module.getContext());
    DominanceInfo dominance(function);
    eliminateCommonSubExpressions(rewriter, dominance, function);
    dropUnused(function.getBody().front());
  }

  void dropUnused(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      for (Region &region : op.getRegions())
        dropUnused(region.front());
      if (op.use_empty() && !op.hasTrait<OpTrait::IsTerminator>())
        op.erase();
    }
  }

  /// The opset of each domain that has operators in the module.
  void setOpsets(bool withMicrosoft) {
    Builder b(module.getContext());
    SmallVector<NamedAttribute> domains{b.getNamedAttr(kOnnxDomain, b.getI64IntegerAttr(target.opset))};
    if (withMicrosoft)
      domains.push_back(b.getNamedAttr(kMicrosoftDomain, b.getI64IntegerAttr(1)));
    module->setAttr(onnx_ir::kOpsetAttr, b.getDictionaryAttr(domains));
  }

  ModuleOp module;
  const OnnxTarget &target;
  Diagnostics &diags;
  Table table;
  std::map<std::tuple<std::string, std::string, std::vector<std::string>>, int64_t> choices;
  std::map<std::tuple<std::string, std::vector<std::string>, std::string>, int64_t> missing;
};

} // namespace

LogicalResult flagrelease::convertToOnnx(ModuleOp module, const OnnxTarget &target, OnnxReport &report, Diagnostics &diags) {
  module.getContext()->loadDialect<onnx_ir::OnnxDialect>();
  return Conversion(module, target, diags).run(report);
}
