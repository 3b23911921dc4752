// Walks the steps of a recipe and builds the graph. Blocks and primitive ops (blocks/) see it through BlockContext.
#pragma once

#include "importers/huggingface/Config.h"
#include "importers/huggingface/Tensors.h"
#include "ir/Fr.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include "llvm/ADT/StringExtras.h"

#include <optional>

namespace flagrelease {

class BlockContext;

/// Turns one step into ops and returns its results (one for most). Problems are in the Diagnostics of the builder.
using BlockFunction = FailureOr<llvm::SmallVector<mlir::Value>> (*)(BlockContext &);

/// A kind of step with C++ behind it: a block or a primitive op.
struct StepBlock {
  const StepSchema *schema;
  BlockFunction build;
};
/// All of them, in the order of blocks/Blocks.cpp.
llvm::ArrayRef<StepBlock> importerBlocks();
/// Their schemas.
StepGrammar importerGrammar();

class GraphBuilder {
public:
  GraphBuilder(mlir::ModuleOp module, const ModelRecipe &recipe, TensorTable &tensors, Diagnostics &diags);

  /// Declares @main with the recipe's inputs and positions the builder in it.
  LogicalResult begin(const Scope &scope);
  /// Runs a list of steps on a stream. `stream` may be null at the start of the graph.
  LogicalResult run(const StepList &steps, mlir::Value &stream, const Scope &scope, const std::string &at);
  /// Returns from @main.
  LogicalResult finish(llvm::ArrayRef<std::pair<std::string, mlir::Value>> outputs);

  /// A value by name: bound by `out`, an id of this list or one around it, an input, or "stream".
  mlir::Value lookup(StringRef name) const;
  /// "hidden.0" … and the taps that stand for them, list by list.
  std::vector<std::pair<std::string, std::string>> hiddenTaps() const;

  // Used by blocks.
  mlir::OpBuilder &ops() { return builder; }
  mlir::Location loc() { return mlir::NameLoc::get(builder.getStringAttr(place)); }
  Diagnostics &diagnostics() { return diags; }
  mlir::Value input(StringRef name);
  /// The tensor `name`, which must have these sizes; missing and wrong ones are reported and stood in for, so that all problems
  /// appear in one run.
  mlir::Value weight(const std::string &name, llvm::ArrayRef<int64_t> sizes, const llvm::Twine &sizesFrom);
  const CheckpointTensor *findTensor(const std::string &name) const { return tensors.find(name); }
  /// The tensor of exactly this name as it is stored, whatever its shape; missing ones are reported, and null then.
  mlir::Value tensor(const std::string &name);
  /// Binds a name that later steps of any list may read.
  void bind(StringRef name, mlir::Value value) { named[name.str()] = value; }
  /// Appends to a cache of this layer and returns all of it. `part` is "key" or "value".
  /// `index` names the cache where a layer has several; absent: the number of the layer.
  mlir::Value appendState(StringRef part, mlir::Value value, int64_t axis, std::optional<int64_t> index = std::nullopt);
  /// A state of this layer that keeps its size: what the call before left, zeros (or `init`) at first.
  mlir::Value readState(fr::StateKind kind, StringRef part, mlir::Type type, double init);
  LogicalResult updateState(StringRef part, mlir::Value value, const Place &at);
  /// A step of this id was left out by its `when`.
  bool wasSkipped(StringRef id) const { return skipped.count(id.str()) != 0; }
  bool hasInput(StringRef name) const { return inputs.count(name.str()) != 0; }
  int64_t layerIndex() const { return layer; }

private:
  friend class BlockContext;
  struct Frame {
    std::map<std::string, mlir::Value> ids;
    bool top = false; ///< the recipe's own list: `hidden:` paths start here
  };
  LogicalResult runStep(const Step &step, mlir::Value &stream, const Scope &scope, const std::string &at);
  FailureOr<llvm::SmallVector<mlir::Value>> dispatch(const Step &step, mlir::Value x, const Scope &scope, const std::string &at);
  FailureOr<mlir::Value> residual(const Step &step, mlir::Value x, const Scope &scope, const std::string &at);
  FailureOr<mlir::Value> repeat(const Step &step, mlir::Value x, const Scope &scope, const std::string &at);
  FailureOr<mlir::Value> parallel(const Step &step, mlir::Value x, const Scope &scope, const std::string &at);
  FailureOr<mlir::Value> choose(const Step &step, mlir::Value x, const Scope &scope, const std::string &at);
  FailureOr<llvm::SmallVector<mlir::Value>> scan(const Step &step, const Scope &scope, const std::string &at);
  FailureOr<llvm::SmallVector<mlir::Value>> call(const Step &step, mlir::Value x, const Scope &scope, const std::string &at);
  /// The list of `hidden:` that a step of the recipe's own list stands in; null if none.
  const HiddenList *hiddenListOf(const std::string &path) const;
  FailureOr<llvm::SmallVector<mlir::Value>> build(const StepBlock &block, BlockContext &context);
  mlir::Value use(const CheckpointTensor &tensor);
  mlir::Value tap(const std::string &name, mlir::Value value);
  LogicalResult runBody(const StepList &steps, mlir::Value &stream, const Scope &scope, const std::string &at, bool top = false);

  mlir::ModuleOp module;
  const ModelRecipe &recipe;
  TensorTable &tensors;
  Diagnostics &diags;
  mlir::OpBuilder builder;
  mlir::func::FuncOp function;
  std::vector<Frame> frames;
  std::map<std::string, mlir::Value> named, inputs;
  std::map<std::string, std::vector<mlir::Value>> stacks;
  std::vector<std::string> used;                          ///< logical names of tensors in order of use: taps are named by them
  std::map<std::string, std::vector<std::string>> hidden; ///< taps by the name of their list
  std::set<std::string> tapNames, skipped;
  std::string place; ///< for locations
  /// Inside the body of a scan: where params are read, so that no step reads them anew.
  std::optional<mlir::OpBuilder::InsertPoint> beforeScan;
  int64_t layer = -1, iterations = 0;
  unsigned callDepth = 0;
  const Scope *top = nullptr; ///< of the list that run() was given: what a called graph sees beside its arguments
};

/// "a.b" for the names "a.b.q.weight" and "a.b.k.weight"; a single name loses its last part.
std::string commonPrefix(llvm::ArrayRef<std::string> names);

/// What a block sees: its step, its operands and the builder.
class BlockContext {
public:
  BlockContext(GraphBuilder &graph, const Step &step, const Scope &scope, const std::string &at,
               llvm::SmallVector<mlir::Value> operands)
      : graph(graph), step(step), scope(scope), at(at), operands(std::move(operands)) {}

  GraphBuilder &graph;
  const Step &step;
  const Scope &scope;
  const std::string &at;
  llvm::SmallVector<mlir::Value> operands;

  mlir::Value x() const { return operands.front(); }
  mlir::OpBuilder &ops() { return graph.ops(); }
  mlir::Location loc() { return graph.loc(); }
  Diagnostics &diags() { return graph.diagnostics(); }
  /// Sizes of x, named.
  DimExprs dims() const { return dimsOf(operands.front().getType()); }
  /// The static last size of x.
  int64_t width() const;

  /// The tensor parameter's name with `at` in front: a module ("…q_proj") or a tensor. Empty if the parameter is absent.
  FailureOr<std::string> tensorName(StringRef parameter);
  FailureOr<std::string> tensorName(const Param &parameter);
  /// An int parameter that is required by the schema. `least` guards against nonsense in config.json.
  FailureOr<int64_t> integer(StringRef parameter, int64_t least = 1);
  FailureOr<std::optional<int64_t>> optionalInteger(StringRef parameter);
  FailureOr<std::optional<double>> optionalNumber(StringRef parameter);
  FailureOr<double> number(StringRef parameter);
  FailureOr<bool> flag(StringRef parameter, bool otherwise);
  FailureOr<std::optional<std::string>> text(StringRef parameter);

  /// A value parameter: the named value of the graph; null if the parameter is absent.
  FailureOr<mlir::Value> value(StringRef parameter);
  /// An axis of a value of this rank; negative ones count from the end.
  FailureOr<int64_t> axis(StringRef parameter, int64_t rank);
  /// A list of ints, or one int for each of `count` entries; `otherwise` when absent.
  FailureOr<llvm::SmallVector<int64_t>> integers(StringRef parameter, size_t count, std::optional<int64_t> otherwise);
  /// A list of sizes ("B", "{heads}").
  FailureOr<DimExprs> sizes(StringRef parameter);
  FailureOr<DimExpr> size(StringRef parameter);
  mlir::Value constant(double value); ///< f32 []
  mlir::Value integerConstant(llvm::ArrayRef<int64_t> values, llvm::ArrayRef<int64_t> shape);
  mlir::Value slice(mlir::Value value, int64_t axis, const DimExpr &start, const DimExpr &size);
  /// Fails unless there are `count` operands.
  LogicalResult operandCount(size_t least, size_t most);

  /// x W^T (+ b): W is <module>.weight [outs, width of x], or [width of x, outs] when it is stored transposed.
  FailureOr<mlir::Value> linear(mlir::Value x, const std::string &module, int64_t outs, bool bias, const llvm::Twine &sizesFrom,
                                bool transposed = false);
  mlir::Value weight(const std::string &name, llvm::ArrayRef<int64_t> sizes, const llvm::Twine &sizesFrom) {
    return graph.weight(name, sizes, sizesFrom);
  }
  mlir::Value reshape(mlir::Value value, llvm::ArrayRef<DimExpr> dims);
  mlir::Value transpose(mlir::Value value, llvm::ArrayRef<int64_t> permutation);
  mlir::FloatAttr real(double value) { return ops().getF64FloatAttr(value); }
};

} // namespace flagrelease
