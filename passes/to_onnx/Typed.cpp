// Nodes whose result type follows from the operands, and the differences between opsets.
#include "passes/to_onnx/Emitter.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

DimExprs to_onnx::broadcastDims(ArrayRef<DimExpr> a, ArrayRef<DimExpr> b) {
  DimExprs out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    DimExpr x = i < a.size() ? a[a.size() - 1 - i] : DimExpr(1), y = i < b.size() ? b[b.size() - 1 - i] : DimExpr(1);
    assert((x == y || x == DimExpr(1) || y == DimExpr(1)) && "the verifier of the fr op has seen to it");
    out[out.size() - 1 - i] = x == DimExpr(1) ? y : x;
  }
  return out;
}

Value Emitter::binary(StringRef op, Value a, Value b, Type element) {
  DimExprs dims = broadcastDims(dimsOf(a.getType()), dimsOf(b.getType()));
  return node(op, {a, b}, tensorType(dims, element ? element : elementOf(a.getType())));
}

Value Emitter::cast(Value x, Type element) {
  if (elementOf(x.getType()) == element)
    return x;
  int64_t number = onnx_ir::elementTypeNumber(element);
  Type type = tensorType(dimsOf(x.getType()), element);
  if (number == 0)
    return error("ONNX has no element type for it", type);
  return node("Cast", {x}, type, {i64("to", number)});
}

Value Emitter::unsqueeze(Value x, ArrayRef<int64_t> axes) {
  DimExprs dims = dimsOf(x.getType());
  for (int64_t axis : axes)
    dims.insert(dims.begin() + axis, DimExpr(1));
  Type type = tensorType(dims, elementOf(x.getType()));
  return partFirstOf({{"Unsqueeze", [&] { return Values{node("Unsqueeze", {x, ints(axes)}, type)}; }},
                      {"Reshape", [&] { return Values{reshape(x, dims)}; }}})[0];
}

Value Emitter::transpose(Value x, ArrayRef<int64_t> permutation) {
  if (llvm::all_of(llvm::enumerate(permutation), [](auto p) { return static_cast<int64_t>(p.index()) == p.value(); }))
    return x;
  DimExprs dims = dimsOf(x.getType()), out;
  for (int64_t axis : permutation)
    out.push_back(dims[axis]);
  return node("Transpose", {x}, tensorType(out, elementOf(x.getType())), {i64s("perm", permutation)});
}

Value Emitter::matmul(Value a, Value b) {
  DimExprs x = dimsOf(a.getType()), y = dimsOf(b.getType());
  DimExpr m = x[x.size() - 2], n = y.back();
  DimExprs out = broadcastDims(ArrayRef(x).drop_back(2), ArrayRef(y).drop_back(2));
  out.push_back(m);
  out.push_back(n);
  return node("MatMul", {a, b}, tensorType(out, elementOf(a.getType())));
}

Value Emitter::concat(ValueRange parts, int64_t axis) {
  if (parts.size() == 1)
    return parts[0];
  DimExprs dims = dimsOf(parts[0].getType());
  for (Value part : parts.drop_front())
    dims[axis] = dims[axis] + dimsOf(part.getType())[axis];
  return node("Concat", parts, tensorType(dims, elementOf(parts[0].getType())), {i64("axis", axis)});
}

Value Emitter::slice(Value x, int64_t axis, const DimExpr &start, const DimExpr &size) {
  DimExprs dims = dimsOf(x.getType());
  dims[axis] = size;
  return node("Slice", {x, sizeVector(start), sizeVector(start + size), ints({axis})}, tensorType(dims, elementOf(x.getType())));
}

Values Emitter::split(Value x, int64_t axis, ArrayRef<int64_t> sizes) {
  if (sizes.size() == 1)
    return {x};
  return partFirstOf({{"Split",
                       [&] {
                         SmallVector<Type> types;
                         DimExprs dims = dimsOf(x.getType());
                         for (int64_t size : sizes) {
                           dims[axis] = DimExpr(size);
                           types.push_back(tensorType(dims, elementOf(x.getType())));
                         }
                         return nodes("Split", {x, ints(sizes)}, types, {i64("axis", axis)});
                       }},
                      {"Slice", [&] {
                         Values parts;
                         int64_t start = 0;
                         for (int64_t size : sizes) {
                           parts.push_back(slice(x, axis, start, size));
                           start += size;
                         }
                         return parts;
                       }}});
}

Value Emitter::where(Value condition, Value a, Value b) {
  DimExprs dims = broadcastDims(dimsOf(condition.getType()), broadcastDims(dimsOf(a.getType()), dimsOf(b.getType())));
  Type element = elementOf(a.getType());
  return partFirstOf({{"Where", [&] { return Values{node("Where", {condition, a, b}, tensorType(dims, element))}; }},
                      // Exact when both are finite: one of the products is 0.
                      {"arithmetic", [&] {
                         Value chosen = cast(condition, element);
                         Value other =
                             binary("Sub", isa<FloatType>(element) ? scalar(1, element) : cast(scalarInt(1), element), chosen);
                         return Values{binary("Add", binary("Mul", a, chosen), binary("Mul", b, other))};
                       }}})[0];
}

/// Axes are an input of ReduceSum since opset 13 and of the others since 18.
Value Emitter::reduce(StringRef op, Value x, ArrayRef<int64_t> axes) {
  DimExprs dims = dimsOf(x.getType());
  for (int64_t axis : axes)
    dims[axis] = DimExpr(1);
  Type type = tensorType(dims, elementOf(x.getType()));
  if (op == "ReduceSum" || opset() >= 18)
    return node(op, {x, ints(axes)}, type, {i64("keepdims", 1)});
  return node(op, {x}, type, {i64s("axes", axes), i64("keepdims", 1)});
}

Value Emitter::gather(Value x, Value indices, int64_t axis) {
  DimExprs from = dimsOf(x.getType()), index = dimsOf(indices.getType()), dims;
  dims.append(from.begin(), from.begin() + axis);
  dims.append(index.begin(), index.end());
  dims.append(from.begin() + axis + 1, from.end());
  return node("Gather", {x, indices}, tensorType(dims, elementOf(x.getType())), {i64("axis", axis)});
}

Value Emitter::expand(Value x, ArrayRef<DimExpr> dims) {
  if (ArrayRef<DimExpr>(dimsOf(x.getType())) == dims)
    return x;
  return node("Expand", {x, shape(dims)}, tensorType(dims, elementOf(x.getType())));
}

Value Emitter::cumsum(Value x, int64_t axis) {
  Type type = elementOf(x.getType());
  DimExprs dims = dimsOf(x.getType());
  return partFirstOf({{"CumSum", [&] { return Values{node("CumSum", {x, scalarInt(axis)}, x.getType())}; }},
                      // Column j of an upper triangle of ones sums what lies up to j. Exact in f32 up to 2^24 for whole numbers.
                      {"triangle", [&] {
                         SmallVector<int64_t> toLast;
                         for (int64_t i = 0; i < static_cast<int64_t>(dims.size()); ++i)
                           if (i != axis)
                             toLast.push_back(i);
                         toLast.push_back(axis);
                         SmallVector<int64_t> back(dims.size());
                         for (auto [i, from] : llvm::enumerate(toLast))
                           back[from] = i;
                         Type f32 = isa<FloatType>(type) ? type : Type(builder.getF32Type());
                         Value from = unsqueeze(iota(dims[axis]), {1}), below = unsqueeze(iota(dims[axis], DimExpr(1)), {0});
                         Value triangle = cast(compare("Less", from, below), f32);
                         Value rows = transpose(cast(x, f32), toLast);
                         bool isVector = dims.size() == 1;
                         if (isVector)
                           rows = unsqueeze(rows, {0});
                         Value sums = matmul(rows, triangle);
                         if (isVector)
                           sums = reshape(sums, dims);
                         return Values{cast(transpose(sums, back), type)};
                       }}})[0];
}
