// Constants, and sizes that are known only when the graph runs: they come from the shapes of the inputs that carry them.
#include "passes/to_onnx/Emitter.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

Value Emitter::constant(ElementsAttr value) {
  if (Value known = constants.lookup(value))
    return known;
  auto op = builder.create<onnx_ir::ConstantOp>(loc, value);
  made.push_back(op);
  constants[value] = op;
  cacheLog.push_back({value, ""});
  return op;
}

Value Emitter::none() {
  auto op = builder.create<onnx_ir::NoneOp>(loc);
  made.push_back(op);
  return op;
}

Value Emitter::view(Value param, ArrayRef<int64_t> shape, Type element) {
  auto op = builder.create<onnx_ir::ViewOp>(loc, RankedTensorType::get(shape, element), param);
  made.push_back(op);
  return op;
}

Value Emitter::ints(ArrayRef<int64_t> values) {
  return constant(
      DenseElementsAttr::get(RankedTensorType::get({static_cast<int64_t>(values.size())}, builder.getI64Type()), values));
}

Value Emitter::scalarInt(int64_t value) {
  return constant(DenseElementsAttr::get(RankedTensorType::get({}, builder.getI64Type()), value));
}

static APFloat rounded(double value, Type element) {
  APFloat number(value);
  bool losesInfo = false;
  number.convert(cast<FloatType>(element).getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
  return number;
}

Value Emitter::floats(ArrayRef<double> values, ArrayRef<int64_t> shape, Type element) {
  SmallVector<APFloat> numbers;
  for (double value : values)
    numbers.push_back(rounded(value, element));
  return constant(DenseElementsAttr::get(RankedTensorType::get(shape, element), numbers));
}

Value Emitter::scalar(double value, Type element) { return floats({value}, {}, element); }

Value Emitter::splat(double value, ArrayRef<int64_t> shape, Type element) {
  return constant(DenseElementsAttr::get(RankedTensorType::get(shape, element), rounded(value, element)));
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

std::optional<std::pair<Value, int64_t>> Emitter::carrier(const DimExpr &expr) const {
  func::FuncOp mutableHandle = function; // accessors of ops are not const
  for (Value argument : mutableHandle.getArguments()) {
    DimExprs dims = dimsOf(argument.getType());
    auto it = llvm::find(dims, expr);
    if (it != dims.end())
      return std::pair(argument, it - dims.begin());
  }
  return std::nullopt;
}

Value Emitter::carried(Value argument, int64_t dim, bool isScalar) {
  Type i64 = builder.getI64Type();
  Value all = node("Shape", {argument}, RankedTensorType::get({rankOf(argument.getType())}, i64));
  return isScalar ? node("Gather", {all, scalarInt(dim)}, RankedTensorType::get({}, i64), {this->i64("axis", 0)})
                  : node("Gather", {all, ints({dim})}, RankedTensorType::get({1}, i64), {this->i64("axis", 0)});
}

/// A symbol that no input carries alone follows from one that carries it in a sum or a multiple: P of an input of size P + S, H
/// of one of size 8*H.
std::optional<Value> Emitter::symbol(const std::string &name, bool isScalar) {
  if (auto found = carrier(DimExpr::symbol(name)))
    return carried(found->first, found->second, isScalar);
  for (Value argument : function.getArguments())
    for (auto [i, dim] : llvm::enumerate(dimsOf(argument.getType()))) {
      auto it = dim.coefficients().find(name);
      if (it == dim.coefficients().end())
        continue;
      DimExpr others = dim - DimExpr::symbol(name) * it->second;
      std::set<std::string> needed = others.symbols();
      bool known = !needed.count(name) &&
                   llvm::all_of(needed, [&](const std::string &other) { return carrier(DimExpr::symbol(other)).has_value(); });
      if (!known)
        continue;
      Value value = carried(argument, i, isScalar);
      if (others != DimExpr(0))
        value = binary("Sub", value, size(others, isScalar));
      if (it->second != 1)
        value = binary("Div", value, isScalar ? scalarInt(it->second) : ints({it->second}));
      return value;
    }
  return std::nullopt;
}

Value Emitter::size(const DimExpr &expr, bool isScalar) {
  if (expr.isStatic())
    return isScalar ? scalarInt(expr.value()) : ints({expr.value()});
  std::string key = (isScalar ? "[] " : "[1] ") + expr.str();
  if (Value known = sizes.lookup(key))
    return known;
  auto number = [&](int64_t n) { return isScalar ? scalarInt(n) : ints({n}); };
  Value sum;
  if (auto found = carrier(expr)) {
    sum = carried(found->first, found->second, isScalar);
  } else {
    for (const auto &[product, coefficient] : expr.coefficients()) {
      Value term;
      for (const std::string &factor : DimExpr::factors(product)) {
        std::optional<Value> value;
        if (auto floor = DimExpr::floorOf(factor)) // of a length, which is not negative: Div rounds down
          value = binary("Div", size(floor->first, isScalar), number(floor->second));
        else
          value = symbol(factor, isScalar);
        if (!value)
          return error("no input of the function carries the size " + factor,
                       RankedTensorType::get(isScalar ? ArrayRef<int64_t>{} : ArrayRef<int64_t>{1}, builder.getI64Type()));
        term = term ? binary("Mul", term, *value) : *value;
      }
      if (coefficient != 1)
        term = binary("Mul", term, number(coefficient));
      sum = sum ? binary("Add", sum, term) : term;
    }
    if (expr.offset() != 0)
      sum = binary("Add", sum, number(expr.offset()));
  }
  sizes[key] = sum;
  cacheLog.push_back({{}, key});
  return sum;
}

Value Emitter::shape(ArrayRef<DimExpr> dims) {
  SmallVector<Value> parts;
  SmallVector<int64_t> known;
  for (const DimExpr &dim : dims) {
    if (dim.isStatic()) {
      known.push_back(dim.value());
      continue;
    }
    if (!known.empty())
      parts.push_back(ints(known));
    known.clear();
    parts.push_back(sizeVector(dim));
  }
  if (!known.empty() || parts.empty())
    parts.push_back(ints(known));
  return parts.size() == 1 ? parts[0] : concat(parts, 0);
}

Value Emitter::iota(const DimExpr &count, const DimExpr &start) {
  if (count.isStatic() && start.isStatic()) {
    SmallVector<int64_t> values(count.value());
    for (auto [i, value] : llvm::enumerate(values))
      value = start.value() + static_cast<int64_t>(i);
    return ints(values);
  }
  Type type = tensorType({count}, builder.getI64Type());
  return node("Range", {sizeScalar(start), sizeScalar(start + count), scalarInt(1)}, type);
}

/// A size that may be 0 in a call: tokens in the cache. Beside it, -1 in a Reshape would not be determined.
static bool mayBeZero(const DimExpr &dim) {
  return dim.isStatic() ? dim.value() == 0 : dim == DimExpr::symbol("P") * dim.coefficients().begin()->second;
}

Value Emitter::reshape(Value x, ArrayRef<DimExpr> dims) {
  DimExprs from = dimsOf(x.getType());
  if (ArrayRef(from) == dims)
    return x;
  Type type = tensorType(dims, elementOf(x.getType()));
  // 0 copies the size at the same place; -1 may stand once for what follows from the rest.
  SmallVector<int64_t> entries;
  bool inferred = false, plain = true;
  bool zero = llvm::any_of(dims, mayBeZero);
  for (auto [i, dim] : llvm::enumerate(dims)) {
    if (dim.isStatic() && dim.value() != 0) {
      entries.push_back(dim.value());
    } else if (i < from.size() && from[i] == dim) {
      entries.push_back(0);
    } else if (!inferred && !zero) {
      inferred = true;
      entries.push_back(-1);
    } else {
      plain = false;
    }
  }
  return node("Reshape", {x, plain ? ints(entries) : shape(dims)}, type);
}
