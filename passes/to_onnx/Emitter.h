// Makes nodes of the dialect `onnx` with their types, and takes them back when a way turns out to be unusable.
#pragma once

#include "ir/Fr.h"
#include "ir/onnx/Onnx.h"
#include "passes/to_onnx/ToOnnx.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

#include <optional>

namespace flagrelease::to_onnx {

using mlir::Type;
using mlir::Value;
using mlir::ValueRange;
using Values = llvm::SmallVector<Value, 2>;
using NamedAttrs = llvm::SmallVector<mlir::NamedAttribute, 4>;

/// One of the ways to lower an op; `name` is what a plan prints.
struct Way {
  llvm::StringLiteral name;
  llvm::function_ref<Values()> make;
};

class Emitter {
public:
  Emitter(mlir::func::FuncOp function, const OnnxTarget &target, Diagnostics &diags);

  /// Nodes made from now on stand before `op` and carry its name.
  void begin(mlir::Operation *op);
  /// What `op` became.
  void finish(mlir::Operation *op, ValueRange results);
  /// The value that stands for a value of the `fr` function; what says how a weight is stored is made anew (see isStorage).
  Value operator()(Value fr);
  int64_t opset() const { return target.opset; }
  bool failed() const { return hasFailed; }
  /// Adds a problem and returns a value of the type, so that making goes on to the end of the op; the module is given up then.
  Value error(const llvm::Twine &what, Type type);

  //--- nodes -------------------------------------------------------------------------------------------------------------------
  Values nodes(llvm::StringRef op, ValueRange inputs, llvm::ArrayRef<Type> results, NamedAttrs attributes = {},
               llvm::StringRef domain = "");
  Value node(llvm::StringRef op, ValueRange inputs, Type result, NamedAttrs attributes = {}, llvm::StringRef domain = "") {
    return nodes(op, inputs, {result}, std::move(attributes), domain)[0];
  }
  /// The first way whose nodes the toolchain takes; if there is none, the one that lacks fewest, whose nodes are then reported.
  /// It is the way of the op that a plan prints.
  Values firstOf(llvm::ArrayRef<Way> ways);
  /// The same for a part of an op, which no plan prints.
  Values partFirstOf(llvm::ArrayRef<Way> ways) { return choose(ways).first; }
  /// The operator Scan with an empty body; the toolchain is asked about it as about any node.
  onnx_ir::ScanOp scan(ValueRange inputs, int64_t states, int64_t axis, llvm::ArrayRef<Type> results);
  /// Constants and sizes made between both calls stand in a body and are not used after it.
  size_t enterBody() const { return cacheLog.size(); }
  void leaveBody(size_t entered) { forget(entered); }
  mlir::NamedAttribute i64(llvm::StringRef name, int64_t value);
  mlir::NamedAttribute f32(llvm::StringRef name, double value);
  mlir::NamedAttribute i64s(llvm::StringRef name, llvm::ArrayRef<int64_t> values);
  mlir::NamedAttribute text(llvm::StringRef name, llvm::StringRef value);

  //--- constants and sizes
  //-------------------------------------------------------------------------------------------------------
  Value constant(mlir::ElementsAttr value);
  Value ints(llvm::ArrayRef<int64_t> values); ///< i64 [n]
  Value scalarInt(int64_t value);             ///< i64 []
  Value scalar(double value, Type element);   ///< float [], rounded once
  Value floats(llvm::ArrayRef<double> values, llvm::ArrayRef<int64_t> shape, Type element);
  Value splat(double value, llvm::ArrayRef<int64_t> shape, Type element);
  Value none();
  /// The bytes of a param as a tensor of another element type and shape.
  Value view(Value param, llvm::ArrayRef<int64_t> shape, Type element);
  Value sizeScalar(const DimExpr &expr) { return size(expr, true); }  ///< i64 []
  Value sizeVector(const DimExpr &expr) { return size(expr, false); } ///< i64 [1]
  /// i64 [n]; a constant when all are static.
  Value shape(llvm::ArrayRef<DimExpr> dims);
  /// start, start + 1, ..., i64 [count].
  Value iota(const DimExpr &count, const DimExpr &start = DimExpr(0));

  //--- typed helpers: result types follow from the operands
  //----------------------------------------------------------------------
  Value unary(llvm::StringRef op, Value x) { return node(op, {x}, x.getType()); }
  /// Shapes broadcast; the element type is that of `a` unless given.
  Value binary(llvm::StringRef op, Value a, Value b, Type element = {});
  Value compare(llvm::StringRef op, Value a, Value b) { return binary(op, a, b, builder.getI1Type()); }
  Value cast(Value x, Type element);
  Value reshape(Value x, llvm::ArrayRef<DimExpr> dims);
  Value unsqueeze(Value x, llvm::ArrayRef<int64_t> axes); ///< axes of the result, ascending
  Value transpose(Value x, llvm::ArrayRef<int64_t> permutation);
  Value matmul(Value a, Value b);
  Value concat(ValueRange parts, int64_t axis);
  Value slice(Value x, int64_t axis, const DimExpr &start, const DimExpr &size);
  Values split(Value x, int64_t axis, llvm::ArrayRef<int64_t> sizes);
  Value where(Value condition, Value a, Value b);
  Value reduce(llvm::StringRef op, Value x, llvm::ArrayRef<int64_t> axes); ///< reduced axes stay with size 1
  Value gather(Value x, Value indices, int64_t axis);
  Value expand(Value x, llvm::ArrayRef<DimExpr> dims);
  Value cumsum(Value x, int64_t axis);

  mlir::OpBuilder builder;

  //--- what was made
  //-------------------------------------------------------------------------------------------------------------
  struct Miss {
    std::string op;
    std::vector<std::string> operands;
    bool exists = true; ///< false: ONNX has no such operator at this opset, so no toolchain can take it
  };
  /// Since begin(): the name of the way chosen, the operators made, and those the toolchain does not take.
  llvm::StringRef way() const { return chosen; }
  std::vector<std::string> operatorsMade() const;
  llvm::ArrayRef<Miss> missed() const { return misses; }

private:
  std::pair<Values, llvm::StringRef> choose(llvm::ArrayRef<Way> ways);
  Value size(const DimExpr &expr, bool isScalar);
  /// An argument of the function and the dimension of it that has this size.
  std::optional<std::pair<Value, int64_t>> carrier(const DimExpr &expr) const;
  Value carried(Value argument, int64_t dim, bool isScalar);
  std::optional<Value> symbol(const std::string &name, bool isScalar);
  mlir::Location locationOf(mlir::Operation *op) const;
  bool isTaken(llvm::StringRef op, llvm::StringRef domain, ValueRange inputs, llvm::ArrayRef<Type> results);
  void rollBack(size_t operations, size_t missCount, size_t cached);
  void forget(size_t cached);

  mlir::func::FuncOp function;
  const OnnxTarget &target;
  Diagnostics &diags;
  mlir::Operation *current = nullptr;
  mlir::Location loc;
  llvm::DenseMap<Value, Value> mapping;
  llvm::SmallVector<mlir::Operation *, 16> made; ///< since begin()
  llvm::SmallVector<Miss, 2> misses;
  llvm::StringRef chosen;
  bool hasFailed = false;
  /// Constants and sizes already made, and the order in which they came, to forget those that are taken back.
  llvm::DenseMap<mlir::Attribute, Value> constants;
  llvm::StringMap<Value> sizes;
  struct Cached {
    mlir::Attribute constant;
    std::string size;
  };
  std::vector<Cached> cacheLog;
};

/// Sizes of two operands after broadcasting.
DimExprs broadcastDims(llvm::ArrayRef<DimExpr> a, llvm::ArrayRef<DimExpr> b);

/// One `fr` op and how it becomes nodes. A function returns one value per result.
struct Lowering {
  llvm::StringLiteral op;
  Values (*lower)(mlir::Operation *, Emitter &);
};

/// A row of a table from a function on the typed op.
template <typename Op, Values (*F)(Op, Emitter &)> Lowering lowering(llvm::StringLiteral name) {
  return {name, [](mlir::Operation *op, Emitter &e) { return F(llvm::cast<Op>(op), e); }};
}

/// Ops that say how numbers are stored: dequantize, unpack, reshapes of small integers. What becomes of them depends on who takes
/// them (an operator that reads packed weights needs none), so they are lowered at each use; equal nodes become one afterwards.
bool isStorage(mlir::Operation *op);
Value lowerStorage(mlir::Operation *op, Emitter &e);
/// Rows `ids` of a stored table: picked before they are unpacked.
Value lowerStoredRows(Value table, Value ids, Emitter &e);

/// What quantize stores, still in f32.
Value quantisedNumbers(fr::QuantizeOp op, Emitter &e);

/// A weight [N, K] of unsigned integers in blocks of `group` along K, as MatMulNBits takes it.
struct BlockedWeight {
  Value words; ///< ui8, N * K * bits / 8 of them: each row's numbers from the lowest bits on
  Value scale; ///< [N, K / group], any float
  Value zeros; ///< ui8 [N, ceil(K / group * bits / 8)], packed likewise; null: every zero is 2^(bits - 1)
  int64_t n, k, bits, group;
};
/// Values are those of the `fr` function. Nothing for a weight that is stored otherwise.
std::optional<BlockedWeight> matchBlockedWeight(Value weight);
/// x, bias (or null) and the result are those of the graph that is made.
Value matmulBlocked(Value x, const BlockedWeight &weight, Value bias, Type result, Emitter &e);
/// Both operands of a linear layer, of the `fr` function, are bytes around a middle, with one scale for each row.
bool isIntegerProduct(Value x, Value weight);
Value matmulIntegers(Value x, Value weight, Value bias, Type result, Emitter &e);

// One table per file.
llvm::ArrayRef<Lowering> elementwiseLowerings();
llvm::ArrayRef<Lowering> shapeLowerings();
llvm::ArrayRef<Lowering> layerLowerings();
llvm::ArrayRef<Lowering> numberLowerings();
llvm::ArrayRef<Lowering> rotaryLowerings();
llvm::ArrayRef<Lowering> attentionLowerings();
llvm::ArrayRef<Lowering> convolutionLowerings();
llvm::ArrayRef<Lowering> expertLowerings();

} // namespace flagrelease::to_onnx
