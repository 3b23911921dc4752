#include "passes/StoreWeights.h"

#include "passes/GgufParams.h"

#include "mlir/IR/IRMapping.h"

namespace flagrelease::stored {

namespace {
using namespace mlir;

constexpr llvm::StringLiteral kDerived = ".dequantized", kEffective = ".effective";

/// Makes the params of one matrix.
class Store {
public:
  Store(const Numbers &numbers, MLIRContext *context) : n(numbers), context(context) {}

  LogicalResult matrix(fr::ParamOp param, ArrayRef<fr::UseOp> uses) {
    if (rankOf(param.getType()) != 2)
      return emitError(param.getLoc()) << "has " << rankOf(param.getType()) << " dimensions; schemes store matrices";
    StringRef base = param.getSymName();
    base.consume_back(kDerived);
    const std::string name = base.str();
    if (n.layout == Layout::Onnx)
      return onnx(param, uses, name);
    const bool mxfp4 = n.kind == Kind::Mxfp4;
    read(uses, addParam(param, name + kEffective, /*isPrivate=*/true, [&](OpBuilder &b) {
           return mxfp4 ? decoded(param, BlockFormat::MXFP4, b) : dequantized(partsOf(param, b), b, param.getLoc());
         }));
    if (n.layout == Layout::Effective)
      return success();
    // The old name goes to the new tensor; the old param lives until its bodies are copied.
    param.setSymName(name + ".source");
    if (mxfp4)
      pairs(param, name);
    else if (n.layout == Layout::Gptq)
      gptq(param, name);
    else
      checkpoint(param, name);
    param.erase();
    return success();
  }

  LogicalResult blocks(fr::ParamOp param, BlockFormat format, ArrayRef<fr::UseOp> uses) {
    const BlockInfo &info = blockInfo(format);
    const int64_t width = shapeOf(param).back();
    if (width % info.elements != 0)
      return emitError(param.getLoc()) << "its rows of " << width << " numbers are no whole blocks of " << info.name;
    read(uses, addParam(param, param.getSymName() + kEffective, true, [&](OpBuilder &b) { return decoded(param, format, b); }));
    return success();
  }

private:
  static SmallVector<int64_t> shapeOf(fr::ParamOp param) {
    return SmallVector<int64_t>(cast<RankedTensorType>(param.getType()).getShape());
  }

  /// The graph computes with `effective`.
  static void read(ArrayRef<fr::UseOp> uses, fr::ParamOp effective) {
    for (fr::UseOp use : uses) {
      use.setParamAttr(FlatSymbolRefAttr::get(effective.getSymNameAttr()));
      use.getResult().setType(cast<RankedTensorType>(effective.getType()));
    }
  }

  SmallVector<int64_t> blocksOf(ArrayRef<int64_t> shape) const {
    return {n.rows ? std::min<int64_t>(n.rows, shape[0]) : shape[0],
            n.columns ? std::min<int64_t>(n.columns, shape[1]) : shape[1]};
  }

  /// Copies the body of a param and returns its value in f32.
  Value cloneBody(fr::ParamOp from, OpBuilder &b) {
    IRMapping mapping;
    Value value;
    for (Operation &op : from.getBody().front()) {
      if (auto yield = dyn_cast<fr::YieldOp>(op))
        value = mapping.lookup(yield.getValue());
      else
        b.clone(op, mapping);
    }
    auto type = cast<RankedTensorType>(value.getType());
    if (type.getElementType().isF32())
      return value;
    return b.create<fr::CastOp>(from.getLoc(), RankedTensorType::get(type.getShape(), b.getF32Type()), value);
  }

  fr::ParamOp addParam(fr::ParamOp like, const Twine &name, bool isPrivate, function_ref<Value(OpBuilder &)> build) {
    OpBuilder b(like);
    b.setInsertionPointAfter(last ? last : like);
    auto param =
        b.create<fr::ParamOp>(like.getLoc(), name.str(), like.getType(), isPrivate ? b.getStringAttr("private") : StringAttr());
    OpBuilder inner(context);
    inner.setInsertionPointToEnd(&param.getBody().emplaceBlock());
    Value value = build(inner);
    inner.create<fr::YieldOp>(like.getLoc(), value);
    param.setTypeAttr(TypeAttr::get(value.getType()));
    param->setAttr(kKeepTypeAttr, b.getUnitAttr());
    last = param;
    return param;
  }

  Type ui8() { return IntegerType::get(context, 8, IntegerType::Unsigned); }
  RankedTensorType tensor(ArrayRef<int64_t> shape, Type element) { return RankedTensorType::get(shape, element); }

  /// lo, hi and the rule of scales.
  struct Range {
    double lo, hi;
    fr::ScaleRule rule;
    Type element;
  };
  Range range() {
    Builder b(context);
    if (n.kind == Kind::Fp8)
      return {-448, 448, fr::ScaleRule::AbsMax, b.getFloat8E4M3FNType()};
    const double half = static_cast<double>(int64_t(1) << (n.bits - 1));
    if (!n.symmetric)
      return {0, 2 * half - 1, fr::ScaleRule::MinMax, ui8()};
    // 8 bits lose nothing worth having by leaving -128 out. Of 16 values each one counts: the largest number gets -8 exactly.
    const fr::ScaleRule rule = n.bits >= 8 ? fr::ScaleRule::AbsMax : fr::ScaleRule::SignedMax;
    const double least = n.bits >= 8 ? 1 - half : -half;
    return {least, half - 1, rule, b.getI8Type()};
  }

  struct Parts {
    Value codes, scale, zero;
    SmallVector<int64_t> shape, blocks;
  };

  Value storedScale(OpBuilder &b, Location loc, Value scale) {
    Type element = mlirType(n.scale, context);
    if (elementOf(scale.getType()) == element)
      return scale;
    return b.create<fr::CastOp>(loc, tensor(cast<RankedTensorType>(scale.getType()).getShape(), element), scale);
  }

  /// codes, scales and zeros of a matrix: one expression, of which each stored tensor takes its part. With `fromZero` codes are
  /// unsigned: of symmetric integers, 2^(bits - 1) more than the number.
  Parts partsOf(fr::ParamOp param, OpBuilder &b, bool fromZero = false) {
    Location loc = param.getLoc();
    Parts parts;
    Value x = cloneBody(param, b);
    parts.shape.assign(cast<RankedTensorType>(x.getType()).getShape().begin(),
                       cast<RankedTensorType>(x.getType()).getShape().end());
    parts.blocks = blocksOf(parts.shape);
    Range r = range();
    auto f64 = [](double v) { return llvm::APFloat(v); };
    Value scale = b.create<fr::QuantScaleOp>(loc, x, r.rule, f64(r.lo), f64(r.hi), parts.blocks);
    parts.scale = storedScale(b, loc, scale);
    if (n.kind == Kind::Int && !n.symmetric)
      parts.zero = b.create<fr::QuantZeroOp>(loc, x, parts.scale, f64(r.lo), f64(r.hi), parts.blocks);
    const int64_t offset = fromZero && n.kind == Kind::Int && n.symmetric ? int64_t(1) << (n.bits - 1) : 0;
    parts.codes = b.create<fr::QuantizeOp>(loc, tensor(parts.shape, fromZero ? ui8() : r.element), x, parts.scale, parts.zero,
                                           f64(r.lo + offset), f64(r.hi + offset), parts.blocks, offset);
    return parts;
  }

  Value dequantized(const Parts &parts, OpBuilder &b, Location loc) {
    return b.create<fr::DequantizeOp>(loc, tensor(parts.shape, b.getF32Type()), parts.codes, parts.scale, parts.zero,
                                      parts.blocks,
                                      /*offset=*/0);
  }

  Value transposed(Value x, OpBuilder &b, Location loc) { return b.create<fr::TransposeOp>(loc, x, ArrayRef<int64_t>{1, 0}); }

  Value constant(ElementsAttr value, OpBuilder &b, Location loc) { return b.create<fr::ConstantOp>(loc, value); }

  Value pack(Value codes, int64_t axis, Type word, OpBuilder &b, Location loc) {
    SmallVector<int64_t> shape(cast<RankedTensorType>(codes.getType()).getShape());
    const int64_t width = word.getIntOrFloatBitWidth();
    shape[axis] = (shape[axis] * n.bits + width - 1) / width;
    return b.create<fr::PackOp>(loc, tensor(shape, word), codes, n.bits, fr::PackOrder::LowFirst, axis);
  }

  /// Names and packing of compressed-tensors, or of FP8 checkpoints with blocks.
  void checkpoint(fr::ParamOp param, const std::string &name) {
    Location loc = param.getLoc();
    Type word = IntegerType::get(context, 32);
    if (n.kind == Kind::Fp8 || (n.bits == 8 && !n.packed)) {
      addParam(param, name, false, [&](OpBuilder &b) { return partsOf(param, b).codes; });
      if (n.kind == Kind::Int && !n.symmetric)
        addParam(param, name + "_zero_point", false, [&](OpBuilder &b) { return partsOf(param, b).zero; });
    } else {
      addParam(param, name + "_packed", false,
               [&](OpBuilder &b) { return pack(partsOf(param, b, /*fromZero=*/true).codes, 1, word, b, loc); });
      if (!n.symmetric)
        addParam(param, name + "_zero_point", false, [&](OpBuilder &b) { return pack(partsOf(param, b).zero, 0, word, b, loc); });
      addParam(param, name + "_shape", false, [&](OpBuilder &b) {
        return constant(cast<ElementsAttr>(DenseIntElementsAttr::get(tensor({2}, b.getI64Type()), shapeOf(param))), b, loc);
      });
    }
    addParam(param, name + (n.layout == Layout::Fp8 ? "_scale_inv" : "_scale"), false, [&](OpBuilder &b) {
      Parts parts = partsOf(param, b);
      // One scale for the tensor is a vector of one in compressed-tensors.
      if (parts.blocks[0] == parts.shape[0] && parts.blocks[1] == parts.shape[1] && n.rows == 0)
        return Value(b.create<fr::ReshapeOp>(loc, tensor({1}, elementOf(parts.scale.getType())), parts.scale));
      return parts.scale;
    });
  }

  /// Integers along the input features, groups in order. Zeros are stored less one; that of symmetric integers is the middle.
  void gptq(fr::ParamOp param, StringRef name) {
    Location loc = param.getLoc();
    Type word = IntegerType::get(context, 32);
    name.consume_back(".weight");
    const SmallVector<int64_t> shape = shapeOf(param);
    const int64_t group = blocksOf(shape)[1], groups = shape[1] / group;
    addParam(param, name + ".qweight", false,
             [&](OpBuilder &b) { return pack(transposed(partsOf(param, b, /*fromZero=*/true).codes, b, loc), 0, word, b, loc); });
    addParam(param, name + ".qzeros", false, [&](OpBuilder &b) {
      APInt zeros(32, 0), middle(32, (uint64_t(1) << (n.bits - 1)) - 1);
      for (int64_t bit = 0; bit < 32; bit += n.bits)
        zeros |= middle.shl(static_cast<unsigned>(bit));
      return constant(DenseElementsAttr::get(tensor({groups, shape[0] * n.bits / 32}, word), zeros), b, loc);
    });
    addParam(param, name + ".scales", false, [&](OpBuilder &b) { return transposed(partsOf(param, b).scale, b, loc); });
    addParam(param, name + ".g_idx", false, [&](OpBuilder &b) {
      SmallVector<int32_t> groupOf(shape[1]);
      for (auto [feature, number] : llvm::enumerate(groupOf))
        number = static_cast<int32_t>(static_cast<int64_t>(feature) / group);
      return constant(cast<ElementsAttr>(DenseIntElementsAttr::get(tensor({shape[1]}, word), ArrayRef<int32_t>(groupOf))), b,
                      loc);
    });
  }

  /// MXFP4 as compressed-tensors has it: the same numbers and powers of two as ggml's blocks, of which a byte of scale and 16
  /// bytes with the numbers i and i + 16 are one; here neighbours share a byte.
  void pairs(fr::ParamOp param, const std::string &name) {
    Location loc = param.getLoc();
    const SmallVector<int64_t> shape = shapeOf(param);
    const BlockInfo &info = blockInfo(BlockFormat::MXFP4);
    const int64_t groups = shape[1] / info.elements, half = info.elements / 2;
    auto reshape = [&](Value x, ArrayRef<int64_t> to, OpBuilder &b) -> Value {
      return b.create<fr::ReshapeOp>(loc, tensor(to, ui8()), x);
    };
    auto bytes = [&](int64_t begin, int64_t count, OpBuilder &b) -> Value {
      Value all = reshape(encoded(param, BlockFormat::MXFP4, b), {shape[0], groups, info.bytes}, b);
      return b.create<fr::SliceOp>(loc, all, /*axis=*/2, begin, count);
    };
    addParam(param, name + "_packed", false, [&](OpBuilder &b) {
      Value codes = b.create<fr::UnpackOp>(loc, tensor({shape[0], groups, info.elements}, ui8()), bytes(1, half, b), 4,
                                           fr::PackOrder::LowFirst, 2);
      codes = reshape(codes, {shape[0], groups, half, 2}, b);
      codes = b.create<fr::TransposeOp>(loc, codes, ArrayRef<int64_t>{0, 1, 3, 2});
      return pack(reshape(codes, shape, b), 1, ui8(), b, loc);
    });
    addParam(param, name + "_scale", false, [&](OpBuilder &b) { return reshape(bytes(0, 1, b), {shape[0], groups}, b); });
  }

  /// What ONNX's operators read: groups apart, unsigned codes of 4 bits packed into bytes; i8 by rows.
  LogicalResult onnx(fr::ParamOp param, ArrayRef<fr::UseOp> uses, const std::string &base) {
    Location loc = param.getLoc();
    if (n.kind != Kind::Int)
      return emitError(loc) << "layout onnx stores integers only";
    const bool grouped = n.columns != 0;
    fr::ParamOp codes, scale, zero;
    scale = addParam(param, base + "_scale", false, [&](OpBuilder &b) { return partsOf(param, b).scale; });
    SmallVector<int64_t> shape(cast<RankedTensorType>(param.getType()).getShape()), blocks = blocksOf(shape);
    const int64_t groups = shape[1] / blocks[1];
    if (!grouped) {
      codes = addParam(param, base + "_q", false, [&](OpBuilder &b) { return partsOf(param, b).codes; });
    } else {
      codes = addParam(param, base + "_q", false, [&](OpBuilder &b) -> Value {
        Value values = partsOf(param, b, /*fromZero=*/true).codes;
        if (n.bits == 8)
          return b.create<fr::ReshapeOp>(loc, tensor({shape[0], groups, blocks[1]}, ui8()), values);
        auto packed = tensor({shape[0], shape[1] * n.bits / 8}, ui8());
        Value words = b.create<fr::PackOp>(loc, packed, values, n.bits, fr::PackOrder::LowFirst, 1);
        return b.create<fr::ReshapeOp>(loc, tensor({shape[0], groups, blocks[1] * n.bits / 8}, ui8()), words);
      });
      if (!n.symmetric)
        zero = addParam(param, base + "_zero", false, [&](OpBuilder &b) -> Value {
          Value zeros = partsOf(param, b).zero;
          if (n.bits == 8)
            return zeros;
          return b.create<fr::PackOp>(loc, tensor({shape[0], (groups * n.bits + 7) / 8}, ui8()), zeros, n.bits,
                                      fr::PackOrder::LowFirst, 1);
        });
    }
    for (fr::UseOp use : uses) {
      OpBuilder b(use);
      auto used = [&](fr::ParamOp p) -> Value {
        return b.create<fr::UseOp>(loc, p.getType(), SymbolRefAttr::get(p.getSymNameAttr()));
      };
      Value x = used(codes), s = used(scale), z;
      if (grouped && n.bits < 8)
        x = b.create<fr::UnpackOp>(loc, tensor({shape[0], groups, blocks[1]}, ui8()), x, n.bits, fr::PackOrder::LowFirst, 2);
      if (grouped)
        x = b.create<fr::ReshapeOp>(loc, tensor(shape, ui8()), x);
      if (zero) {
        z = used(zero);
        if (n.bits < 8)
          z = b.create<fr::UnpackOp>(loc, tensor({shape[0], groups}, ui8()), z, n.bits, fr::PackOrder::LowFirst, 1);
      }
      Value w = b.create<fr::DequantizeOp>(loc, tensor(shape, b.getF32Type()), x, s, z, blocks,
                                           grouped && n.symmetric ? int64_t(1) << (n.bits - 1) : 0);
      use.getResult().replaceAllUsesWith(w);
      use.erase();
    }
    param.erase();
    return success();
  }

  Value encoded(fr::ParamOp param, BlockFormat format, OpBuilder &b) {
    const BlockInfo &info = blockInfo(format);
    SmallVector<int64_t> bytes = shapeOf(param);
    bytes.back() = info.byteSize(bytes.back());
    return b.create<fr::EncodeOp>(param.getLoc(), tensor(bytes, ui8()), cloneBody(param, b), info.name);
  }
  Value decoded(fr::ParamOp param, BlockFormat format, OpBuilder &b) {
    return b.create<fr::DecodeOp>(param.getLoc(), tensor(shapeOf(param), b.getF32Type()), encoded(param, format, b),
                                  blockInfo(format).name);
  }

  const Numbers &n;
  MLIRContext *context;
  fr::ParamOp last; ///< after which the next param stands
};
} // namespace

LogicalResult storeMatrix(const Numbers &numbers, fr::ParamOp param, ArrayRef<fr::UseOp> uses) {
  return Store(numbers, param.getContext()).matrix(param, uses);
}

LogicalResult storeBlocks(BlockFormat format, fr::ParamOp param, ArrayRef<fr::UseOp> uses) {
  const Numbers numbers{.kind = Kind::Blocks};
  return Store(numbers, param.getContext()).blocks(param, format, uses);
}

void roundInput(fr::LinearOp linear) {
  OpBuilder b(linear);
  Location loc = linear.getLoc();
  Value x = linear.getX();
  DimExprs dims = dimsOf(x.getType());
  SmallVector<int64_t> rows(dims.size(), 1);
  rows.back() = dims.back().value();
  const llvm::APFloat most(127.0), least(-127.0);
  Value scale = b.create<fr::QuantScaleOp>(loc, x, fr::ScaleRule::AbsMax, least, most, rows);
  Value codes =
      b.create<fr::QuantizeOp>(loc, tensorType(dims, b.getI8Type()), x, scale, Value(), least, most, rows, /*offset=*/0);
  linear.getXMutable().assign(
      b.create<fr::DequantizeOp>(loc, tensorType(dims, b.getF32Type()), codes, scale, Value(), rows, /*offset=*/0));
}

} // namespace flagrelease::stored
