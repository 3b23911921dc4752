// Ops that move data, make indices, or reduce.
#include "passes/to_onnx/Emitter.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

Values lowerConstant(fr::ConstantOp op, Emitter &e) { return {e.constant(op.getValue())}; }
Values lowerReshape(fr::ReshapeOp op, Emitter &e) { return {e.reshape(e(op.getX()), dimsOf(op.getType()))}; }
Values lowerTranspose(fr::TransposeOp op, Emitter &e) { return {e.transpose(e(op.getX()), op.getPermutation())}; }
Values lowerSlice(fr::SliceOp op, Emitter &e) { return {e.slice(e(op.getX()), op.getAxis(), op.getStart(), op.getSize())}; }
Values lowerIota(fr::IotaOp op, Emitter &e) { return {e.iota(dimsOf(op.getType())[0])}; }
Values lowerSize(fr::SizeOp op, Emitter &e) { return {e.sizeScalar(*DimExpr::parse(op.getExpression()))}; }

Values lowerConcat(fr::ConcatOp op, Emitter &e) {
  Values parts;
  for (Value input : op.getInputs())
    parts.push_back(e.cast(e(input), elementOf(op.getType())));
  return {e.concat(parts, op.getAxis())};
}

/// x with `axis` moved to position `to`.
Value moveAxis(Value x, int64_t axis, int64_t to, Emitter &e) {
  SmallVector<int64_t> permutation;
  for (int64_t i = 0; i < rankOf(x.getType()); ++i)
    if (i != axis)
      permutation.push_back(i);
  permutation.insert(permutation.begin() + to, axis);
  return e.transpose(x, permutation);
}

/// With b leading dimensions shared, and the picked axis right behind them.
Value gatherBatched(Value x, Value indices, int64_t b, Emitter &e) {
  DimExprs from = dimsOf(x.getType()), index = dimsOf(indices.getType());
  DimExprs dims(index);
  dims.append(from.begin() + b + 1, from.end());
  Type type = tensorType(dims, elementOf(x.getType()));
  auto gatherNd = [&] {
    Value column = e.unsqueeze(indices, {rankOf(indices.getType())});
    return Values{e.node("GatherND", {x, column}, type, {e.i64("batch_dims", b)})};
  };
  if (b != 1)
    return gatherNd()[0];
  return e.firstOf({{"GatherND", gatherNd},
                    // Rows of a flat table: the number in the batch times the length of the axis, plus the index.
                    {"Gather", [&] {
                       Type i64 = e.builder.getI64Type();
                       Value first = e.binary("Mul", e.iota(from[0]), e.sizeScalar(from[1]));
                       SmallVector<int64_t> trailing;
                       for (int64_t i = 1; i < rankOf(indices.getType()); ++i)
                         trailing.push_back(i);
                       Value rows =
                           e.binary("Add", e.cast(indices, i64), trailing.empty() ? first : e.unsqueeze(first, trailing));
                       DimExprs flat{productOf(ArrayRef(from).take_front(2))};
                       flat.append(from.begin() + 2, from.end());
                       Value table = e.reshape(x, flat);
                       return Values{e.node("Gather", {table, rows}, type, {e.i64("axis", 0)})};
                     }}})[0];
}

Values lowerGather(fr::GatherOp op, Emitter &e) {
  Value x = e(op.getX()), indices = e(op.getIndices());
  int64_t axis = op.getAxis(), b = op.getBatchDims();
  if (b == 0)
    return {e.gather(x, indices, axis)};
  // GatherND picks right behind the shared dimensions; what lies between them and the axis moves behind it and back.
  Value picked = gatherBatched(moveAxis(x, axis, b, e), indices, b, e);
  int64_t between = axis - b, added = rankOf(indices.getType()) - b, rank = rankOf(picked.getType());
  SmallVector<int64_t> permutation;
  for (int64_t i = 0; i < b; ++i)
    permutation.push_back(i);
  for (int64_t i = 0; i < between; ++i)
    permutation.push_back(b + added + i);
  for (int64_t i = 0; i < added; ++i)
    permutation.push_back(b + i);
  for (int64_t i = b + added + between; i < rank; ++i)
    permutation.push_back(i);
  return {e.transpose(picked, permutation)};
}

Values lowerNarrow(fr::NarrowOp op, Emitter &e) {
  return {e.slice(e(op.getX()), op.getAxis(), *DimExpr::parse(op.getStart()), *DimExpr::parse(op.getSize()))};
}

Values lowerBroadcast(fr::BroadcastOp op, Emitter &e) { return {e.expand(e(op.getX()), dimsOf(op.getType()))}; }

Values lowerPad(fr::PadOp op, Emitter &e) {
  static constexpr StringLiteral kModes[] = {"constant", "edge", "reflect"};
  Value x = e(op.getX());
  SmallVector<int64_t> margins(op.getLow());
  margins.append(op.getHigh().begin(), op.getHigh().end());
  Type element = elementOf(x.getType());
  Values inputs{x, e.ints(margins)};
  if (double value = op.getValue().convertToDouble(); value != 0)
    inputs.push_back(isa<FloatType>(element) ? e.scalar(value, element)
                                             : e.cast(e.scalarInt(static_cast<int64_t>(value)), element));
  return {e.node("Pad", inputs, op.getType(), {e.text("mode", kModes[static_cast<int>(op.getMode())])})};
}

Values lowerTopK(fr::TopKOp op, Emitter &e) {
  return e.nodes("TopK", {e(op.getX()), e.ints({static_cast<int64_t>(op.getK())})},
                 {op.getValues().getType(), op.getIndices().getType()}, {e.i64("axis", -1)});
}

Values lowerCumsum(fr::CumsumOp op, Emitter &e) { return {e.cumsum(e(op.getX()), op.getAxis())}; }

/// The same places are written in every row, so the vector of indices is spread over the updates.
Values lowerScatter(fr::ScatterOp op, Emitter &e) {
  Value x = e(op.getX()), updates = e(op.getUpdates()), indices = e(op.getIndices());
  int64_t axis = op.getAxis(), rank = rankOf(x.getType());
  DimExprs along(rank, DimExpr(1));
  along[axis] = dimsOf(indices.getType())[0];
  Value places = e.expand(e.reshape(indices, along), dimsOf(updates.getType()));
  return {e.node("ScatterElements", {x, places, updates}, x.getType(), {e.i64("axis", axis)})};
}

Values lowerReduce(fr::ReduceOp op, Emitter &e) {
  static constexpr StringLiteral kNames[] = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"};
  return {e.reduce(kNames[static_cast<int>(op.getKind())], e(op.getX()), op.getAxes())};
}

Values lowerArgMax(fr::ArgMaxOp op, Emitter &e) {
  Value x = e(op.getX());
  if (elementOf(x.getType()).isInteger(1)) // ArgMax takes numbers only
    x = e.cast(x, e.builder.getI32Type());
  return {e.node("ArgMax", {x}, op.getType(), {e.i64("axis", op.getAxis()), e.i64("keepdims", 0)})};
}

} // namespace

ArrayRef<Lowering> to_onnx::shapeLowerings() {
  static const Lowering table[] = {
      lowering<fr::ConstantOp, lowerConstant>("fr.constant"),
      lowering<fr::ReshapeOp, lowerReshape>("fr.reshape"),
      lowering<fr::TransposeOp, lowerTranspose>("fr.transpose"),
      lowering<fr::SliceOp, lowerSlice>("fr.slice"),
      lowering<fr::ConcatOp, lowerConcat>("fr.concat"),
      lowering<fr::GatherOp, lowerGather>("fr.gather"),
      lowering<fr::IotaOp, lowerIota>("fr.iota"),
      lowering<fr::SizeOp, lowerSize>("fr.size"),
      lowering<fr::CumsumOp, lowerCumsum>("fr.cumsum"),
      lowering<fr::ReduceOp, lowerReduce>("fr.reduce"),
      lowering<fr::ScatterOp, lowerScatter>("fr.scatter"),
      lowering<fr::ArgMaxOp, lowerArgMax>("fr.arg_max"),
      lowering<fr::NarrowOp, lowerNarrow>("fr.narrow"),
      lowering<fr::BroadcastOp, lowerBroadcast>("fr.broadcast"),
      lowering<fr::PadOp, lowerPad>("fr.pad"),
      lowering<fr::TopKOp, lowerTopK>("fr.top_k"),
  };
  return table;
}
