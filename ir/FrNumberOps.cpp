// Result types and verifiers of the ops that say how numbers are stored.
#include "ir/BlockFormat.h"
#include "ir/FrInfer.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::fr;

namespace {
/// Bits of a word that holds small integers; 0 for what is none.
int64_t wordBits(Type element) {
  if (element.isSignlessInteger(32))
    return 32;
  return element.isUnsignedInteger(8) ? 8 : 0;
}
bool isSmallInteger(Type element) { return element.isUnsignedInteger(8) || element.isSignlessInteger(8); }
bool isFloat8(Type element) { return isa<Float8E4M3FNType, Float8E5M2Type>(element); }

/// Packed words and small integers along one axis; all other sizes are equal.
LogicalResult checkPacking(Operation *op, Type words, Type values, int64_t bits, PackOrder order, int64_t axis) {
  int64_t word = wordBits(elementOf(words));
  if (!word)
    return op->emitOpError("words are i32 or ui8, not ") << elementOf(words);
  if (!isSmallInteger(elementOf(values)))
    return op->emitOpError("small integers are i8 or ui8, not ") << elementOf(values);
  if (bits < 1 || bits > 8 || (order != PackOrder::LowFirst && word % bits != 0) ||
      (order == PackOrder::Awq && (bits != 4 || word != 32)))
    return op->emitOpError("cannot hold integers of ")
           << bits << " bits in words of " << word << " bits in order " << stringifyPackOrder(order);
  DimExprs packed = dimsOf(words), plain = dimsOf(values);
  if (packed.size() != plain.size() || axis < 0 || axis >= static_cast<int64_t>(packed.size()))
    return op->emitOpError("axis ") << axis << " of " << words << " and " << values;
  for (size_t d = 0; d < packed.size(); ++d) {
    if (!packed[d].isStatic() || !plain[d].isStatic())
      return op->emitOpError("sizes of weights are numbers");
    if (static_cast<int64_t>(d) != axis && packed[d] != plain[d])
      return op->emitOpError("changes a size other than that of axis ") << axis;
  }
  return success();
}

int64_t wordsFor(int64_t count, int64_t bits, int64_t word) { return (count * bits + word - 1) / word; }

/// Sizes of what there is one of for each block; nothing when they do not fit.
FailureOr<DimExprs> blockDims(Type x, ArrayRef<int64_t> blocks, std::optional<Location> loc) {
  DimExprs dims = dimsOf(x);
  if (dims.size() != blocks.size())
    return fail(loc, "blocks of rank " + Twine(blocks.size()) + " for a tensor of rank " + Twine(dims.size()));
  for (auto [dim, block] : llvm::zip_equal(dims, blocks)) {
    if (block == 1)
      continue; // one for each: the size may have a name
    if (!dim.isStatic() || block < 1)
      return fail(loc, "blocks of size " + Twine(block) + " along a size " + dim.str());
    dim = DimExpr(dim.value() / block + (dim.value() % block != 0));
  }
  return dims;
}

LogicalResult checkBlocks(Operation *op, Value x, Value scale, Value zero, ArrayRef<int64_t> blocks) {
  FailureOr<DimExprs> dims = blockDims(x.getType(), blocks, op->getLoc());
  if (failed(dims))
    return failure();
  for (Value each : {scale, zero})
    if (each && dimsOf(each.getType()) != *dims)
      return op->emitOpError("has one scale or zero for each block of ") << x.getType() << ", not " << each.getType();
  return success();
}

/// Of stored numbers: floats, and E8M0 which MLIR 19 carries as si8.
bool isStoredFloat(Type element) { return isa<FloatType>(element) || element.isSignedInteger(8); }

std::string number(double value) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%g", value);
  return text;
}
} // namespace

LogicalResult UnpackOp::verify() {
  if (failed(checkPacking(*this, getX().getType(), getType(), getBits(), getOrder(), getAxis())))
    return failure();
  int64_t words = dimsOf(getX().getType())[getAxis()].value(), count = dimsOf(getType())[getAxis()].value();
  if (wordsFor(count, getBits(), wordBits(elementOf(getX().getType()))) > words)
    return emitOpError("takes ") << count << " integers of " << getBits() << " bits out of " << words << " words";
  if (!elementOf(getType()).isUnsignedInteger(8))
    return emitOpError("gives ui8, not ") << elementOf(getType());
  return success();
}

LogicalResult PackOp::verify() {
  if (failed(checkPacking(*this, getType(), getX().getType(), getBits(), getOrder(), getAxis())))
    return failure();
  int64_t count = dimsOf(getX().getType())[getAxis()].value(), words = dimsOf(getType())[getAxis()].value();
  if (wordsFor(count, getBits(), wordBits(elementOf(getType()))) != words)
    return emitOpError("puts ") << count << " integers of " << getBits() << " bits into " << words << " words";
  return success();
}

LogicalResult DequantizeOp::verify() {
  if (failed(checkBlocks(*this, getX(), getScale(), getZero(), getBlocks())))
    return failure();
  if (dimsOf(getType()) != dimsOf(getX().getType()) || !elementOf(getType()).isF32())
    return emitOpError("gives f32 of the sizes of x, not ") << getType();
  if (!isStoredFloat(elementOf(getScale().getType())))
    return emitOpError("scales are floats, not ") << elementOf(getScale().getType());
  return success();
}

INFER(QuantScaleOp) {
  ADAPTOR(QuantScaleOp);
  FailureOr<DimExprs> dims = blockDims(op.getX().getType(), op.getBlocks(), loc);
  if (failed(dims))
    return failure();
  if (!isFloatElement(elementOf(op.getX().getType())))
    return fail(loc, "scales of floats");
  const double lo = op.getLo().convertToDouble(), hi = op.getHi().convertToDouble();
  if (!(lo < hi && hi > 0) || (op.getRule() == ScaleRule::SignedMax && !(lo < 0)))
    return fail(loc, "no scale for the range " + number(lo) + " to " + number(hi));
  results.push_back(tensorType(*dims, Float32Type::get(context)));
  return success();
}

INFER(QuantZeroOp) {
  ADAPTOR(QuantZeroOp);
  FailureOr<DimExprs> dims = blockDims(op.getX().getType(), op.getBlocks(), loc);
  if (failed(dims))
    return failure();
  if (dimsOf(op.getScale().getType()) != *dims || !isFloatElement(elementOf(op.getX().getType())))
    return fail(loc, "one scale for each block of floats");
  const double lo = op.getLo().convertToDouble(), hi = op.getHi().convertToDouble();
  if (!(lo < hi && lo >= 0 && hi <= 255))
    return fail(loc, "range " + number(lo) + " to " + number(hi) + " is none of ui8");
  results.push_back(tensorType(*dims, IntegerType::get(context, 8, IntegerType::Unsigned)));
  return success();
}

LogicalResult QuantizeOp::verify() {
  if (failed(checkBlocks(*this, getX(), getScale(), getZero(), getBlocks())))
    return failure();
  if (!isFloatElement(elementOf(getX().getType())) || !isStoredFloat(elementOf(getScale().getType())))
    return emitOpError("x and scales are floats, not ") << getX().getType() << " and " << getScale().getType();
  Type element = elementOf(getType());
  if (dimsOf(getType()) != dimsOf(getX().getType()) || (!isSmallInteger(element) && !isFloat8(element)))
    return emitOpError("gives i8, ui8 or an 8-bit float of the sizes of x, not ") << getType();
  double lo = getLo().convertToDouble(), hi = getHi().convertToDouble();
  bool fits = element.isUnsignedInteger(8) ? lo >= 0 && hi <= 255 : !isSmallInteger(element) || (lo >= -128 && hi <= 127);
  if (!(lo < hi) || !fits)
    return emitOpError("range ") << lo << " to " << hi << " is none of " << element;
  return success();
}

/// A row of `plain` elements in blocks of a format: its bytes, or nothing with a message.
static LogicalResult checkBlockRows(Operation *op, StringRef format, Type bytes, Type plain) {
  std::optional<BlockFormat> known = parseBlockFormat(format);
  if (!known)
    return op->emitOpError("'") << format << "' is no block format";
  const BlockInfo &info = blockInfo(*known);
  DimExprs packed = dimsOf(bytes), dims = dimsOf(plain);
  if (packed.empty() || packed.size() != dims.size() || !packed.back().isStatic() || !dims.back().isStatic() ||
      ArrayRef(packed).drop_back() != ArrayRef(dims).drop_back())
    return op->emitOpError("rows of ") << plain << " and of " << bytes << " do not correspond";
  if (dims.back().value() % info.elements != 0 || packed.back().value() != dims.back().value() / info.elements * info.bytes)
    return op->emitOpError("a row of ") << dims.back().value() << " numbers is not " << packed.back().value() << " bytes of "
                                        << format << " (" << info.elements << " numbers in " << info.bytes << " bytes)";
  if (!elementOf(bytes).isUnsignedInteger(8) || !isFloatElement(elementOf(plain)))
    return op->emitOpError("blocks are ui8 and numbers are floats");
  return success();
}
LogicalResult EncodeOp::verify() { return checkBlockRows(*this, getFormat(), getType(), getX().getType()); }
LogicalResult DecodeOp::verify() {
  if (!elementOf(getType()).isF32())
    return emitOpError("gives f32, not ") << elementOf(getType());
  return checkBlockRows(*this, getFormat(), getX().getType(), getType());
}
