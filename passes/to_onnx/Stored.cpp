// Linear layers over weights that stay quantised while the graph runs.
#include "passes/to_onnx/Emitter.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

/// Numbers of `bits` bits packed along the last axis from the lowest bits on, or bytes as they are.
struct Packed {
  Value words; ///< ui8
  int64_t bits;
};

std::optional<Packed> packedRows(Value x) {
  while (auto reshape = x.getDefiningOp<fr::ReshapeOp>())
    x = reshape.getX();
  auto unpack = x.getDefiningOp<fr::UnpackOp>();
  if (!unpack)
    return elementOf(x.getType()).isUnsignedInteger(8) ? std::optional(Packed{x, 8}) : std::nullopt;
  if (unpack.getOrder() != fr::PackOrder::LowFirst || unpack.getAxis() + 1 != rankOf(unpack.getType()) ||
      !elementOf(unpack.getX().getType()).isUnsignedInteger(8))
    return std::nullopt;
  return Packed{unpack.getX(), unpack.getBits()};
}

int64_t elementsOf(Value x) { return cast<RankedTensorType>(x.getType()).getNumElements(); }

/// Signed bytes, or unsigned ones around 128, with one scale for each row of the last axis; null otherwise. What w8a8 and w8a16
/// store, and tokens that were quantised.
fr::DequantizeOp byteRows(Value x) {
  auto op = x.getDefiningOp<fr::DequantizeOp>();
  if (!op || op.getZero())
    return {};
  Type element = elementOf(op.getX().getType());
  if (!(element.isSignlessInteger(8) && op.getOffset() == 0) && !(element.isUnsignedInteger(8) && op.getOffset() == 128))
    return {};
  DimExprs dims = dimsOf(op.getType());
  const bool rows = !dims.empty() && dims.back().isStatic() && dims.back().value() <= op.getBlocks().back() &&
                    llvm::all_of(op.getBlocks().drop_back(), [](int64_t block) { return block == 1; });
  return rows ? op : fr::DequantizeOp();
}

/// Bytes of the `fr` function as unsigned ones around 128.
Value around128(Value bytes, Emitter &e) {
  const Type f32 = e.builder.getF32Type(), ui8 = e.builder.getIntegerType(8, /*isSigned=*/false);
  auto added = [&](Value x) { return e.cast(e.binary("Add", e.cast(x, f32), e.scalar(128, f32)), ui8); };
  if (elementOf(bytes.getType()).isUnsignedInteger(8))
    return e(bytes);
  if (auto quantize = bytes.getDefiningOp<fr::QuantizeOp>())
    return added(quantisedNumbers(quantize, e));
  if (!bytes.getDefiningOp<fr::UseOp>())
    return added(e(bytes));
  // In two's complement the highest bit alone differs.
  return e.partFirstOf({{"BitwiseXor",
                         [&] {
                           Value seen = e.view(e(bytes), cast<RankedTensorType>(bytes.getType()).getShape(), ui8);
                           Value high = e.constant(DenseElementsAttr::get(RankedTensorType::get({}, ui8), uint8_t(0x80)));
                           return Values{e.binary("BitwiseXor", seen, high)};
                         }},
                        {"Add", [&] { return Values{added(e(bytes))}; }}})[0];
}

} // namespace

std::optional<BlockedWeight> to_onnx::matchBlockedWeight(Value weight) {
  auto op = weight.getDefiningOp<fr::DequantizeOp>();
  if (!op || rankOf(op.getType()) != 2 || op.getBlocks()[0] != 1)
    return std::nullopt;
  std::optional<Packed> numbers = packedRows(op.getX());
  DimExprs dims = dimsOf(op.getType());
  if (!numbers)
    return std::nullopt;
  BlockedWeight found{numbers->words, op.getScale(), {}, dims[0].value(), dims[1].value(), numbers->bits, op.getBlocks()[1]};
  // The kernel's own conditions; a row of blocks must not be padded either.
  if ((found.bits != 2 && found.bits != 4 && found.bits != 8) || found.group < 16 || !llvm::isPowerOf2_64(found.group) ||
      found.k % found.group != 0 || elementsOf(found.words) * 8 != found.n * found.k * found.bits)
    return std::nullopt;
  if (!op.getZero())
    return op.getOffset() == int64_t(1) << (found.bits - 1) ? std::optional(found) : std::nullopt;
  std::optional<Packed> zeros = packedRows(op.getZero());
  const int64_t perRow = (found.k / found.group * found.bits + 7) / 8;
  if (op.getOffset() != 0 || !zeros || zeros->bits != found.bits || elementsOf(zeros->words) != found.n * perRow)
    return std::nullopt;
  found.zeros = zeros->words;
  return found;
}

Value to_onnx::matmulBlocked(Value x, const BlockedWeight &weight, Value bias, Type result, Emitter &e) {
  const int64_t blocks = weight.k / weight.group, perRow = (blocks * weight.bits + 7) / 8;
  Values inputs{x, e.reshape(e(weight.words), {DimExpr(weight.n), DimExpr(blocks), DimExpr(weight.group * weight.bits / 8)}),
                e.cast(e(weight.scale), elementOf(x.getType()))};
  if (weight.zeros)
    inputs.push_back(e.reshape(e(weight.zeros), {DimExpr(weight.n), DimExpr(perRow)}));
  if (bias) {
    while (inputs.size() < 5)
      inputs.push_back(e.none());
    inputs.push_back(bias);
  }
  return e.node("MatMulNBits", inputs, result,
                {e.i64("K", weight.k), e.i64("N", weight.n), e.i64("bits", weight.bits), e.i64("block_size", weight.group)},
                "com.microsoft");
}

bool to_onnx::isIntegerProduct(Value x, Value weight) {
  fr::DequantizeOp tokens = byteRows(x), rows = byteRows(weight);
  return tokens && rows && rankOf(rows.getType()) == 2 && rankOf(tokens.getType()) >= 2;
}

/// Both sides unsigned: ONNX Runtime has no fast kernel for two signed ones, and that for unsigned by signed saturates sums of
/// two products on processors without VNNI (docs/rationale.md).
Value to_onnx::matmulIntegers(Value x, Value weight, Value bias, Type result, Emitter &e) {
  const Type f32 = e.builder.getF32Type(), i32 = e.builder.getI32Type();
  fr::DequantizeOp tokens = byteRows(x), rows = byteRows(weight);
  Value a = around128(tokens.getX(), e), b = e.transpose(around128(rows.getX(), e), {1, 0});
  Value middle = e.constant(DenseElementsAttr::get(RankedTensorType::get({}, elementOf(a.getType())), uint8_t(128)));
  Value sums = e.cast(e.node("MatMulInteger", {a, b, middle, middle}, tensorType(dimsOf(result), i32)), f32);
  Value perRow = e.reshape(e.cast(e(rows.getScale()), f32), {dimsOf(rows.getType())[0]});
  Value y = e.cast(e.binary("Mul", e.binary("Mul", sums, perRow), e.cast(e(tokens.getScale()), f32)), elementOf(result));
  return bias ? e.binary("Add", y, bias) : y;
}
