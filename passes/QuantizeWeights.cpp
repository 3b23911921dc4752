// fr-quantize-weights: matrices as small numbers with scales.
#include "ir/BlockFormat.h"
#include "passes/GgufParams.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"

namespace flagrelease {
#define GEN_PASS_DEF_QUANTIZEWEIGHTS
#include "passes/Passes.h.inc"

namespace {
using namespace mlir;

/// What a matrix is to the graph.
struct Matrix {
  fr::ParamOp param;
  SmallVector<fr::UseOp> uses;
  bool linear = false, embedding = false, output = false, other = false;
};

/// A value on its way to a result of the function: through what only passes it on.
bool reachesResult(Value value) {
  for (Operation *user : value.getUsers()) {
    if (isa<func::ReturnOp>(user))
      return true;
    if (isa<fr::TapOp, fr::ReshapeOp, fr::CastOp, fr::SliceOp, fr::GatherOp>(user) && user->getOperand(0) == value &&
        reachesResult(user->getResult(0)))
      return true;
  }
  return false;
}

struct QuantizeWeightsPass : impl::QuantizeWeightsBase<QuantizeWeightsPass> {
  using QuantizeWeightsBase::QuantizeWeightsBase;

  void runOnOperation() override {
    if (failed(checkOptions()))
      return signalPassFailure();
    ModuleOp module = getOperation();
    llvm::MapVector<StringAttr, Matrix> matrices;
    module.walk([&](fr::UseOp use) {
      auto param = module.lookupSymbol<fr::ParamOp>(use.getParamAttr());
      if (rankOf(param.getType()) < 2 || !isa<FloatType>(elementOf(param.getType())))
        return;
      Matrix &matrix = matrices[param.getSymNameAttr()];
      matrix.param = param;
      matrix.uses.push_back(use);
      for (OpOperand &operand : use.getResult().getUses()) {
        if (auto linear = dyn_cast<fr::LinearOp>(operand.getOwner()); linear && operand.getOperandNumber() == 1) {
          matrix.linear = true;
          matrix.output |= reachesResult(linear.getResult());
        } else if (isa<fr::EmbeddingOp>(operand.getOwner())) {
          matrix.embedding = true;
        } else {
          matrix.other = true;
        }
      }
    });
    SmallVector<Attribute> done;
    NamedAttrList kept, fallbacks;
    Builder names(&getContext());
    bool good = true;
    for (auto &[name, matrix] : matrices) {
      std::string reason = reasonToKeep(matrix);
      if (reason.empty()) {
        done.push_back(name);
        good &= succeeded(kind == "blocks" ? quantizeBlocks(matrix) : quantize(matrix));
      } else if (StringRef(reason).starts_with("!")) {
        if (!fallback) {
          InFlightDiagnostic error = emitError(answerAt(NameLoc::get(name))) << reason.substr(1);
          error.attachNote() << "choose a scheme whose groups fit, or pass --allow-type-fallback: such tensors stay as they are";
          good = false;
        }
        kept.append(name, names.getStringAttr(reason.substr(1)));
        fallbacks.append(name, names.getStringAttr(reason.substr(1)));
      } else {
        kept.append(name, names.getStringAttr(reason));
      }
    }
    if (!good)
      return signalPassFailure();
    module->setAttr("fr.quantized", names.getArrayAttr(done));
    module->setAttr("fr.kept", kept.getDictionary(&getContext()));
    if (!fallbacks.empty())
      module->setAttr("fr.fallback", fallbacks.getDictionary(&getContext()));
  }

private:
  LogicalResult checkOptions() {
    auto refuse = [&](const Twine &what) { return getOperation().emitError() << "fr-quantize-weights: " << what; };
    if (!llvm::is_contained({"int", "fp8", "blocks"}, StringRef(kind)))
      return refuse("kind '" + kind + "' is none of int, fp8, blocks");
    if (!llvm::is_contained({"compressed-tensors", "fp8", "onnx", "effective"}, StringRef(layout)))
      return refuse("layout '" + layout + "' is none of compressed-tensors, fp8, onnx, effective");
    if (bits < 2 || bits > 8 || rows < 0 || columns < 0)
      return refuse("integers have 2 to 8 bits, blocks a size of 0 or more");
    std::optional<DType> type = parseDType(StringRef(scale).upper());
    if (!type || !isFloat(*type))
      return refuse("scale '" + scale + "' is no float type");
    scaleType = *type;
    for (StringRef entry : formats) {
      auto [name, format] = entry.rsplit('=');
      std::optional<BlockFormat> known = parseBlockFormat(format);
      if (!known)
        return refuse("'" + entry + "' names no block format");
      blockOf[name] = *known;
    }
    return success();
  }

  /// Empty: it is quantised. With '!': it should be, and cannot.
  std::string reasonToKeep(Matrix &matrix) {
    DimExprs dims = dimsOf(matrix.param.getType());
    if (kind == "blocks") {
      auto it = blockOf.find(matrix.param.getSymName());
      return it == blockOf.end() ? "the scheme says so" : "";
    }
    if (!matrix.linear)
      return matrix.embedding ? "a table that is looked up" : "no layer multiplies by it";
    if (matrix.embedding && llvm::is_contained(skip, "embedding"))
      return "a table that is looked up";
    if (matrix.output && llvm::is_contained(skip, "output"))
      return "the head";
    if (matrix.other)
      return "used by another op than a linear layer";
    const int64_t width = dims.back().value(), group = columns ? int64_t(columns) : width;
    if (width % group != 0 && rows == 1)
      return ("!its rows of " + Twine(width) + " numbers are no whole groups of " + Twine(group)).str();
    return "";
  }

  SmallVector<int64_t> blocksOf(ArrayRef<int64_t> shape) const {
    return {rows ? std::min<int64_t>(rows, shape[0]) : shape[0], columns ? std::min<int64_t>(columns, shape[1]) : shape[1]};
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
    OpBuilder inner(&getContext());
    inner.setInsertionPointToEnd(&param.getBody().emplaceBlock());
    Value value = build(inner);
    inner.create<fr::YieldOp>(like.getLoc(), value);
    param.setTypeAttr(TypeAttr::get(value.getType()));
    param->setAttr(kKeepTypeAttr, b.getUnitAttr());
    last = param;
    return param;
  }

  Type ui8() { return IntegerType::get(&getContext(), 8, IntegerType::Unsigned); }
  RankedTensorType tensor(ArrayRef<int64_t> shape, Type element) { return RankedTensorType::get(shape, element); }

  /// lo, hi and the rule of scales.
  struct Range {
    double lo, hi;
    fr::ScaleRule rule;
    Type element;
  };
  Range range() {
    Builder b(&getContext());
    if (kind == "fp8")
      return {-448, 448, fr::ScaleRule::AbsMax, b.getFloat8E4M3FNType()};
    const double half = static_cast<double>(int64_t(1) << (bits - 1));
    if (!symmetric)
      return {0, 2 * half - 1, fr::ScaleRule::MinMax, ui8()};
    // 8 bits lose nothing worth having by leaving -128 out. Of 16 values each one counts: the largest number gets -8 exactly.
    const fr::ScaleRule rule = bits >= 8 ? fr::ScaleRule::AbsMax : fr::ScaleRule::SignedMax;
    const double least = bits >= 8 ? 1 - half : -half;
    return {least, half - 1, rule, b.getI8Type()};
  }

  struct Parts {
    Value codes, scale, zero;
    SmallVector<int64_t> shape, blocks;
  };

  Value storedScale(OpBuilder &b, Location loc, Value scale) {
    Type element = mlirType(scaleType, &getContext());
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
    if (kind == "int" && !symmetric)
      parts.zero = b.create<fr::QuantZeroOp>(loc, x, parts.scale, f64(r.lo), f64(r.hi), parts.blocks);
    const int64_t offset = fromZero && kind == "int" && symmetric ? int64_t(1) << (bits - 1) : 0;
    parts.codes = b.create<fr::QuantizeOp>(loc, tensor(parts.shape, fromZero ? ui8() : r.element), x, parts.scale, parts.zero,
                                           f64(r.lo + offset), f64(r.hi + offset), parts.blocks, offset);
    return parts;
  }

  Value dequantized(const Parts &parts, OpBuilder &b, Location loc) {
    return b.create<fr::DequantizeOp>(loc, tensor(parts.shape, b.getF32Type()), parts.codes, parts.scale, parts.zero,
                                      parts.blocks,
                                      /*offset=*/0);
  }

  LogicalResult quantize(Matrix &matrix) {
    fr::ParamOp param = matrix.param;
    last = {};
    if (rankOf(param.getType()) != 2)
      return emitError(param.getLoc()) << "has " << rankOf(param.getType()) << " dimensions; schemes store matrices";
    StringRef base = param.getSymName();
    base.consume_back(kDerived);
    if (layout == "onnx")
      return storeOnnx(matrix, base.str());
    // What the graph computes with.
    fr::ParamOp effective = addParam(param, base + ".effective", /*isPrivate=*/true,
                                     [&](OpBuilder &b) { return dequantized(partsOf(param, b), b, param.getLoc()); });
    if (layout != "effective" && failed(storeCheckpoint(param, base.str())))
      return failure();
    for (fr::UseOp use : matrix.uses) {
      use.setParamAttr(FlatSymbolRefAttr::get(effective.getSymNameAttr()));
      use.getResult().setType(cast<RankedTensorType>(effective.getType()));
    }
    if (layout != "effective")
      param.erase();
    return success();
  }

  /// Names and packing of compressed-tensors, or of FP8 checkpoints with blocks.
  LogicalResult storeCheckpoint(fr::ParamOp param, const std::string &name) {
    Location loc = param.getLoc();
    // The old name goes to the new tensor; the old param lives until its bodies are copied.
    param.setSymName(name + ".source");
    if (kind == "fp8" || (bits == 8 && !packed)) {
      addParam(param, name, false, [&](OpBuilder &b) { return partsOf(param, b).codes; });
      if (kind == "int" && !symmetric)
        addParam(param, name + "_zero_point", false, [&](OpBuilder &b) { return partsOf(param, b).zero; });
    } else {
      addParam(param, name + "_packed", false,
               [&](OpBuilder &b) { return pack(partsOf(param, b, /*fromZero=*/true).codes, 1, b, loc); });
      if (!symmetric)
        addParam(param, name + "_zero_point", false, [&](OpBuilder &b) { return pack(partsOf(param, b).zero, 0, b, loc); });
      addParam(param, name + "_shape", false, [&](OpBuilder &b) -> Value {
        auto type = tensor({2}, b.getI64Type());
        auto shape = cast<RankedTensorType>(param.getType()).getShape();
        return b.create<fr::ConstantOp>(loc, cast<ElementsAttr>(DenseIntElementsAttr::get(type, shape)));
      });
    }
    addParam(param, name + (layout == "fp8" ? "_scale_inv" : "_scale"), false, [&](OpBuilder &b) {
      Parts parts = partsOf(param, b);
      // One scale for the tensor is a vector of one in compressed-tensors.
      if (parts.blocks[0] == parts.shape[0] && parts.blocks[1] == parts.shape[1] && rows == 0)
        return Value(b.create<fr::ReshapeOp>(loc, tensor({1}, elementOf(parts.scale.getType())), parts.scale));
      return parts.scale;
    });
    return success();
  }

  Value pack(Value codes, int64_t axis, OpBuilder &b, Location loc) {
    SmallVector<int64_t> shape(cast<RankedTensorType>(codes.getType()).getShape());
    shape[axis] = (shape[axis] * bits + 31) / 32;
    return b.create<fr::PackOp>(loc, tensor(shape, b.getI32Type()), codes, bits, fr::PackOrder::LowFirst, axis);
  }

  /// What ONNX's operators read: groups apart, unsigned codes of 4 bits packed into bytes; i8 by rows.
  LogicalResult storeOnnx(Matrix &matrix, const std::string &base) {
    fr::ParamOp param = matrix.param;
    Location loc = param.getLoc();
    if (kind != "int")
      return emitError(loc) << "layout onnx stores integers, not " << kind;
    const bool grouped = columns != 0;
    fr::ParamOp codes, scale, zero;
    scale = addParam(param, base + "_scale", false, [&](OpBuilder &b) { return partsOf(param, b).scale; });
    SmallVector<int64_t> shape(cast<RankedTensorType>(param.getType()).getShape()), blocks = blocksOf(shape);
    const int64_t groups = shape[1] / blocks[1];
    if (!grouped) {
      codes = addParam(param, base + "_q", false, [&](OpBuilder &b) { return partsOf(param, b).codes; });
    } else {
      codes = addParam(param, base + "_q", false, [&](OpBuilder &b) -> Value {
        Value values = partsOf(param, b, /*fromZero=*/true).codes;
        if (bits == 8)
          return b.create<fr::ReshapeOp>(loc, tensor({shape[0], groups, blocks[1]}, ui8()), values);
        auto packed = tensor({shape[0], shape[1] * bits / 8}, ui8());
        Value words = b.create<fr::PackOp>(loc, packed, values, bits, fr::PackOrder::LowFirst, 1);
        return b.create<fr::ReshapeOp>(loc, tensor({shape[0], groups, blocks[1] * bits / 8}, ui8()), words);
      });
      if (!symmetric)
        zero = addParam(param, base + "_zero", false, [&](OpBuilder &b) -> Value {
          Value zeros = partsOf(param, b).zero;
          if (bits == 8)
            return zeros;
          return b.create<fr::PackOp>(loc, tensor({shape[0], (groups * bits + 7) / 8}, ui8()), zeros, bits,
                                      fr::PackOrder::LowFirst, 1);
        });
    }
    for (fr::UseOp use : matrix.uses) {
      OpBuilder b(use);
      auto used = [&](fr::ParamOp p) -> Value {
        return b.create<fr::UseOp>(loc, p.getType(), SymbolRefAttr::get(p.getSymNameAttr()));
      };
      Value x = used(codes), s = used(scale), z;
      if (grouped && bits < 8)
        x = b.create<fr::UnpackOp>(loc, tensor({shape[0], groups, blocks[1]}, ui8()), x, bits, fr::PackOrder::LowFirst, 2);
      if (grouped)
        x = b.create<fr::ReshapeOp>(loc, tensor(shape, ui8()), x);
      if (zero) {
        z = used(zero);
        if (bits < 8)
          z = b.create<fr::UnpackOp>(loc, tensor({shape[0], groups}, ui8()), z, bits, fr::PackOrder::LowFirst, 1);
      }
      Value w = b.create<fr::DequantizeOp>(loc, tensor(shape, b.getF32Type()), x, s, z, blocks,
                                           grouped && symmetric ? int64_t(1) << (bits - 1) : 0);
      use.getResult().replaceAllUsesWith(w);
      use.erase();
    }
    param.erase();
    return success();
  }

  /// Formats of ggml: the param holds the blocks, the graph uses the numbers that they stand for.
  LogicalResult quantizeBlocks(Matrix &matrix) {
    fr::ParamOp param = matrix.param;
    last = {};
    Location loc = param.getLoc();
    const BlockInfo &info = blockInfo(blockOf[param.getSymName()]);
    SmallVector<int64_t> shape(cast<RankedTensorType>(param.getType()).getShape()), bytes = shape;
    if (shape.back() % info.elements != 0)
      return emitError(loc) << "its rows of " << shape.back() << " numbers are no whole blocks of " << info.name;
    bytes.back() = info.byteSize(shape.back());
    auto encode = [&](OpBuilder &b) -> Value {
      return b.create<fr::EncodeOp>(loc, tensor(bytes, ui8()), cloneBody(param, b), info.name);
    };
    fr::ParamOp effective = addParam(param, param.getSymName() + ".effective", true, [&](OpBuilder &b) -> Value {
      return b.create<fr::DecodeOp>(loc, tensor(shape, b.getF32Type()), encode(b), info.name);
    });
    for (fr::UseOp use : matrix.uses) {
      use.setParamAttr(FlatSymbolRefAttr::get(effective.getSymNameAttr()));
      use.getResult().setType(cast<RankedTensorType>(effective.getType()));
    }
    return success();
  }

  static constexpr llvm::StringLiteral kDerived = ".dequantized";
  DType scaleType = DType::F32;
  llvm::StringMap<BlockFormat> blockOf;
  fr::ParamOp last;
};
} // namespace
} // namespace flagrelease
