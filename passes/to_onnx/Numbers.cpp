// How numbers are stored: packed integers, scales for blocks of them, and quantisation while the graph runs.
#include "passes/to_onnx/Emitter.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

Type byteType(Emitter &e) { return e.builder.getIntegerType(8, /*isSigned=*/false); }

Value byteSplat(uint8_t value, ArrayRef<int64_t> shape, Emitter &e) {
  return e.constant(DenseElementsAttr::get(RankedTensorType::get(shape, byteType(e)), value));
}

/// ui8 words along `axis` as `count` integers of `bits` bits each, in elements of type `element`.
Value unpackBytes(Value words, int64_t bits, fr::PackOrder order, int64_t axis, int64_t count, Type element, Emitter &e) {
  DimExprs dims = dimsOf(words.getType()), wanted = dims;
  wanted[axis] = DimExpr(count);
  if (!elementOf(words.getType()).isUnsignedInteger(8) || 8 % bits != 0)
    return e.error("integers of " + Twine(bits) + " bits in words of " +
                       Twine(elementOf(words.getType()).getIntOrFloatBitWidth()) + " bits have no form in ONNX",
                   tensorType(wanted, element));
  const int64_t perWord = 8 / bits;
  auto shiftOf = [&](int64_t i) { return bits * (order == fr::PackOrder::HighFirst ? perWord - 1 - i : i); };
  // The numbers of a word side by side on an axis of their own, which then merges with that of the words; padding goes before the
  // element type changes, because Slice takes no nibbles.
  auto joined = [&](ArrayRef<Value> parts) {
    Value all = parts[0];
    if (perWord > 1) {
      Values columns;
      for (Value part : parts)
        columns.push_back(e.unsqueeze(part, {axis + 1}));
      DimExprs flat = dims;
      flat[axis] = dims[axis] * perWord;
      all = e.reshape(e.concat(columns, axis + 1), flat);
    }
    return e.cast(dims[axis] * perWord == DimExpr(count) ? all : e.slice(all, axis, 0, count), element);
  };
  auto shift = [&](Value x, int64_t by, StringRef direction) {
    return by == 0 ? x
                   : e.node("BitShift", {x, byteSplat(static_cast<uint8_t>(by), {}, e)}, x.getType(),
                            {e.text("direction", direction)});
  };
  return e.partFirstOf({{"masks",
                         [&] {
                           SmallVector<Value> parts;
                           for (int64_t i = 0; i < perWord; ++i) {
                             Value part = shift(words, shiftOf(i), "RIGHT");
                             parts.push_back(
                                 shiftOf(i) + bits == 8 ? part : e.binary("BitwiseAnd", part, byteSplat((1 << bits) - 1, {}, e)));
                           }
                           return Values{joined(parts)};
                         }},
                        {"shifts",
                         [&] {
                           SmallVector<Value> parts;
                           for (int64_t i = 0; i < perWord; ++i)
                             parts.push_back(shift(shift(words, 8 - bits - shiftOf(i), "LEFT"), 8 - bits, "RIGHT"));
                           return Values{joined(parts)};
                         }},
                        // Digits of a whole number up to 255: exact in every float type but bf16.
                        {"arithmetic", [&] {
                           Type f32 = e.builder.getF32Type();
                           const double base = static_cast<double>(1 << bits);
                           SmallVector<Value> parts(perWord);
                           Value rest = e.cast(words, f32);
                           for (int64_t digit = 0; digit < perWord; ++digit) {
                             const int64_t i = shiftOf(digit) / bits; // the inverse of shiftOf is itself
                             if (digit + 1 == perWord) {
                               parts[i] = rest;
                               break;
                             }
                             Value above = e.unary("Floor", e.binary("Mul", rest, e.scalar(1 / base, f32)));
                             parts[i] = e.binary("Sub", rest, e.binary("Mul", above, e.scalar(base, f32)));
                             rest = above;
                           }
                           return Values{joined(parts)};
                         }}})[0];
}

/// x joined with what there is one of for each block, by one operator after the other.
Value blockwise(Value x, ArrayRef<std::pair<StringRef, Value>> steps, ArrayRef<int64_t> blocks, Emitter &e) {
  DimExprs dims = dimsOf(x.getType()), split, splitPer;
  SmallVector<std::pair<StringRef, Value>> whole(steps);
  bool splits = false;
  for (auto [d, dim] : llvm::enumerate(dims)) {
    const int64_t block = blocks[d];
    const bool one = block == 1, all = !one && dim.value() <= block, even = !one && !all && dim.value() % block == 0;
    if (!one && !all && !even) { // blocks that end early: each element finds its own
      if (dim.value() * 8 > onnx_ir::kMaxConstantBytes)
        return e.error("blocks of " + Twine(block) + " along " + Twine(dim.value()) + " are too many to be told apart",
                       x.getType());
      SmallVector<int64_t> blockOf(dim.value());
      for (auto [i, number] : llvm::enumerate(blockOf))
        number = static_cast<int64_t>(i) / block;
      for (auto &[op, per] : whole)
        per = e.gather(per, e.ints(blockOf), static_cast<int64_t>(d));
    }
    splits |= even;
    if (even) {
      split.append({DimExpr(dim.value() / block), DimExpr(block)});
      splitPer.append({DimExpr(dim.value() / block), DimExpr(1)});
    } else {
      split.push_back(dim);
      splitPer.push_back(all ? DimExpr(1) : dim);
    }
  }
  Value y = splits ? e.reshape(x, split) : x;
  for (auto [op, per] : whole)
    y = e.binary(op, y, splits ? e.reshape(per, splitPer) : per);
  return splits ? e.reshape(y, dims) : y;
}

/// The param whose bytes, read as nibbles, are the numbers of `x` in their order; null if there is none.
Value nibblesOf(Value x) {
  while (auto reshape = x.getDefiningOp<fr::ReshapeOp>())
    x = reshape.getX();
  auto unpack = x.getDefiningOp<fr::UnpackOp>();
  if (!unpack || unpack.getBits() != 4 || unpack.getOrder() != fr::PackOrder::LowFirst ||
      !unpack.getX().getDefiningOp<fr::UseOp>())
    return {};
  DimExprs words = dimsOf(unpack.getX().getType()), dims = dimsOf(unpack.getType());
  const bool noPadding = unpack.getAxis() + 1 == static_cast<int64_t>(dims.size()) && words.back() * 2 == dims.back();
  return noPadding && elementOf(unpack.getX().getType()).isUnsignedInteger(8) ? unpack.getX() : Value();
}

SmallVector<int64_t> staticShape(ArrayRef<DimExpr> dims) {
  SmallVector<int64_t> shape;
  for (const DimExpr &dim : dims)
    shape.push_back(dim.value());
  return shape;
}

/// Makes what storage ops say, of a whole tensor or of the rows `ids` of a table.
class Storage {
public:
  explicit Storage(Emitter &e, Value ids = {}) : e(e), ids(ids) {}

  /// A value of the `fr` function, in elements of type `element`.
  Value make(Value fr, Type element) {
    Operation *op = fr.getDefiningOp();
    if (auto unpack = dyn_cast_or_null<fr::UnpackOp>(op))
      return unpackBytes(make(unpack.getX(), elementOf(unpack.getX().getType())), unpack.getBits(), unpack.getOrder(),
                         unpack.getAxis() + addedAxes(), dimsOf(unpack.getType())[unpack.getAxis()].value(), element, e);
    if (auto reshape = dyn_cast_or_null<fr::ReshapeOp>(op); reshape && isStorage(op))
      return e.reshape(make(reshape.getX(), element), rows(dimsOf(reshape.getType())));
    if (auto dequantize = dyn_cast_or_null<fr::DequantizeOp>(op))
      return e.cast(make(dequantize), element);
    return e.cast(ids ? e.gather(e(fr), ids, 0) : e(fr), element);
  }
  Value make(Value fr) { return make(fr, elementOf(fr.getType())); }

  /// Whether each row of a table is stored apart from the others.
  static bool hasRows(Value fr) {
    Operation *op = fr.getDefiningOp();
    if (auto unpack = dyn_cast_or_null<fr::UnpackOp>(op))
      return unpack.getAxis() > 0 && hasRows(unpack.getX());
    if (auto reshape = dyn_cast_or_null<fr::ReshapeOp>(op); reshape && isStorage(op))
      return dimsOf(reshape.getType())[0] == dimsOf(reshape.getX().getType())[0] && hasRows(reshape.getX());
    if (auto dequantize = dyn_cast_or_null<fr::DequantizeOp>(op))
      return dequantize.getBlocks()[0] == 1 && llvm::all_of(op->getOperands(), hasRows);
    return true;
  }

private:
  int64_t addedAxes() const { return ids ? rankOf(ids.getType()) - 1 : 0; }
  DimExprs rows(DimExprs dims) const {
    if (!ids)
      return dims;
    DimExprs out = dimsOf(ids.getType());
    out.append(dims.begin() + 1, dims.end());
    return out;
  }

  Value make(fr::DequantizeOp op) {
    DimExprs dims = dimsOf(op.getType());
    ArrayRef<int64_t> blocks = op.getBlocks();
    const Type f32 = e.builder.getF32Type(), stored = elementOf(op.getX().getType());
    auto decomposed = [&] { return Values{decompose(op)}; };
    // Blocks along the last axis only, all of one size; or one for the whole tensor.
    const bool isStatic = llvm::all_of(dims, [](const DimExpr &dim) { return dim.isStatic(); });
    const bool single =
        isStatic && llvm::all_of(llvm::zip_equal(dims, blocks), [](auto p) { return std::get<0>(p).value() <= std::get<1>(p); });
    const bool alongRows = isStatic && !dims.empty() && llvm::all_of(blocks.drop_back(), [](int64_t b) { return b == 1; }) &&
                           (dims.back().value() <= blocks.back() || dims.back().value() % blocks.back() == 0);
    const bool oneZero = !op.getZero() || op.getOffset() == 0;
    if (ids || !(single || alongRows) || !oneZero || isa_and_nonnull<fr::QuantizeOp>(op.getX().getDefiningOp()))
      return decomposed()[0];
    const int64_t size = single ? 0 : std::min(dims.back().value(), blocks.back());
    SmallVector<Way> ways;
    Value packed = nibblesOf(op.getX());
    auto blocked = [&](Type element, Value x) {
      Value y = e.node("DequantizeLinear", withScales(op, x, element, dimsOf(op.getScale().getType())), op.getType(),
                       {e.i64("axis", rankOf(op.getType()) - 1), e.i64("block_size", size)});
      return Values{y};
    };
    auto nibbles = [&] {
      const Type ui4 = e.builder.getIntegerType(4, /*isSigned=*/false);
      return blocked(ui4, e.view(packed, staticShape(dims), ui4));
    };
    auto bytes = [&] { return blocked(stored, make(op.getX())); };
    // One scale for each row of a matrix whose rows are the blocks.
    auto byRow = [&] {
      int64_t count = 1;
      for (const DimExpr &dim : dims)
        count *= dim.value();
      DimExprs matrix = single ? dims : DimExprs{DimExpr(count / size), DimExpr(size)};
      DimExprs scales = single ? DimExprs{} : DimExprs{matrix[0]};
      Value x = e.reshape(make(op.getX()), matrix);
      NamedAttrs attributes;
      if (!single)
        attributes.push_back(e.i64("axis", 0));
      Value y = e.node("DequantizeLinear", withScales(op, x, stored, scales), tensorType(matrix, f32), attributes);
      return Values{e.reshape(y, dims)};
    };
    const bool manyBlocks = !single && size < dims.back().value();
    const bool zeroFits = !op.getZero() || elementOf(op.getZero().getType()) == stored;
    if (manyBlocks && packed && e.opset() >= 21)
      ways.push_back({"DequantizeLinear of nibbles", nibbles});
    // By rows first: ONNX Runtime takes eight times as long for blocks (docs/rationale.md).
    if (zeroFits)
      ways.push_back({"DequantizeLinear", byRow});
    if (manyBlocks && zeroFits && e.opset() >= 21)
      ways.push_back({"DequantizeLinear of blocks", bytes});
    ways.push_back({"decomposed", decomposed});
    return e.partFirstOf(ways)[0];
  }

  /// Operands of DequantizeLinear: x, scales and, where they are not 0, zeros in the element type of x.
  Values withScales(fr::DequantizeOp op, Value x, Type element, ArrayRef<DimExpr> dims) {
    Values inputs{x, e.reshape(make(op.getScale(), e.builder.getF32Type()), dims)};
    if (Value zero = op.getZero()) {
      Value packed = element.isUnsignedInteger(4) ? nibblesOf(zero) : Value();
      inputs.push_back(packed ? e.view(packed, staticShape(dims), element) : e.reshape(make(zero, element), dims));
    } else if (op.getOffset() != 0) {
      SmallVector<int64_t> ones(dims.size(), 1);
      inputs.push_back(e.cast(e.expand(byteSplat(static_cast<uint8_t>(op.getOffset()), ones, e), dims), element));
    }
    return inputs;
  }

  Value decompose(fr::DequantizeOp op) {
    const Type f32 = e.builder.getF32Type();
    SmallVector<int64_t> blocks(addedAxes(), 1);
    blocks.append(op.getBlocks().begin(), op.getBlocks().end());
    Value x = make(op.getX(), f32), scale = make(op.getScale(), f32);
    SmallVector<std::pair<StringRef, Value>> steps;
    Value offset = op.getOffset() != 0 ? e.scalar(static_cast<double>(op.getOffset()), f32) : Value();
    if (op.getZero()) {
      Value zero = make(op.getZero(), f32);
      steps.push_back({"Sub", offset ? e.binary("Add", zero, offset) : zero});
    } else if (offset) {
      x = e.binary("Sub", x, offset);
    }
    steps.push_back({"Mul", scale});
    return blockwise(x, steps, blocks, e);
  }

  Emitter &e;
  Value ids; ///< of the graph that is made
};

/// Axes that are one block each; nothing when an axis holds several blocks of more than one element.
std::optional<SmallVector<int64_t>> wholeAxes(Type x, ArrayRef<int64_t> blocks) {
  SmallVector<int64_t> axes;
  for (auto [d, dim] : llvm::enumerate(dimsOf(x))) {
    if (blocks[d] == 1)
      continue;
    if (dim.value() > blocks[d])
      return std::nullopt;
    axes.push_back(static_cast<int64_t>(d));
  }
  return axes;
}

Values lowerQuantScale(fr::QuantScaleOp op, Emitter &e) {
  const Type f32 = e.builder.getF32Type();
  std::optional<SmallVector<int64_t>> axes = wholeAxes(op.getX().getType(), op.getBlocks());
  if (op.getRule() != fr::ScaleRule::AbsMax || !axes)
    return {e.error("with rule " + fr::stringifyScaleRule(op.getRule()) + " or several blocks along an axis has no form in ONNX",
                    op.getType())};
  Value size = e.unary("Abs", e.cast(e(op.getX()), f32));
  Value largest = axes->empty() ? size : e.reduce("ReduceMax", size, *axes);
  Value scale = e.binary("Div", largest, e.scalar(op.getHi().convertToDouble(), f32));
  return {e.where(e.compare("Equal", largest, e.scalar(0, f32)), e.scalar(1, f32), scale)};
}

Values lowerQuantize(fr::QuantizeOp op, Emitter &e) {
  Type element = elementOf(op.getType());
  if (isa<FloatType>(element))
    return {e.error("to an 8-bit float has no form in ONNX that saturates alike", op.getType())};
  return {e.cast(quantisedNumbers(op, e), element)};
}

} // namespace

Value to_onnx::quantisedNumbers(fr::QuantizeOp op, Emitter &e) {
  const Type f32 = e.builder.getF32Type();
  Value scale = e.cast(e(op.getScale()), f32), x = e.cast(e(op.getX()), f32), y;
  if (op.getScale().getDefiningOp<fr::QuantScaleOp>()) { // which gives no zeros
    y = blockwise(x, {{"Div", scale}}, op.getBlocks(), e);
  } else { // x / 0 is 0
    Value isZero = e.compare("Equal", scale, e.scalar(0, f32));
    Value safe = e.where(isZero, e.scalar(1, f32), scale), usable = e.cast(e.unary("Not", isZero), f32);
    y = blockwise(x, {{"Div", safe}, {"Mul", usable}}, op.getBlocks(), e);
  }
  y = e.unary("Round", y);
  if (op.getZero())
    y = blockwise(y, {{"Add", e.cast(e(op.getZero()), f32)}}, op.getBlocks(), e);
  if (op.getOffset() != 0)
    y = e.binary("Add", y, e.scalar(static_cast<double>(op.getOffset()), f32));
  Value lo = e.scalar(op.getLo().convertToDouble(), f32), hi = e.scalar(op.getHi().convertToDouble(), f32);
  return e.node("Clip", {y, lo, hi}, y.getType());
}

bool to_onnx::isStorage(Operation *op) {
  return isa<fr::UnpackOp, fr::DequantizeOp>(op) ||
         (isa<fr::ReshapeOp>(op) && elementOf(op->getResult(0).getType()).isInteger(8));
}

Value to_onnx::lowerStorage(Operation *op, Emitter &e) { return Storage(e).make(op->getResult(0)); }

Value to_onnx::lowerStoredRows(Value table, Value ids, Emitter &e) {
  return Storage::hasRows(table) ? Storage(e, ids).make(table) : e.gather(Storage(e).make(table), ids, 0);
}

ArrayRef<Lowering> to_onnx::numberLowerings() {
  static const Lowering table[] = {
      lowering<fr::QuantScaleOp, lowerQuantScale>("fr.quant_scale"),
      lowering<fr::QuantizeOp, lowerQuantize>("fr.quantize"),
  };
  return table;
}
