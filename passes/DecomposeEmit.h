// How decompositions write ops: arithmetic on values that reads like the formula. Only for the Decompose*.cpp files.
#pragma once

#include "ir/Fr.h"
#include "passes/Decompose.h"

namespace flagrelease {

/// Makes ops at one place; the type of each result follows from its operands.
class Emit {
public:
  Emit(mlir::OpBuilder &builder, mlir::Location loc) : builder(builder), loc(loc) {}

  template <typename Op, typename... Args> mlir::Value make(Args &&...args) {
    return builder.create<Op>(loc, std::forward<Args>(args)...);
  }
  mlir::Value add(mlir::Value a, mlir::Value b) { return make<fr::AddOp>(a, b); }
  mlir::Value sub(mlir::Value a, mlir::Value b) { return make<fr::SubOp>(a, b); }
  mlir::Value mul(mlir::Value a, mlir::Value b) { return make<fr::MulOp>(a, b); }
  mlir::Value div(mlir::Value a, mlir::Value b) { return make<fr::DivOp>(a, b); }
  mlir::Value reduce(fr::ReduceKind kind, mlir::Value x, llvm::ArrayRef<int64_t> axes) {
    return make<fr::ReduceOp>(kind, x, axes);
  }
  mlir::Value compare(fr::Predicate predicate, mlir::Value a, mlir::Value b) { return make<fr::CompareOp>(predicate, a, b); }
  mlir::Value slice(mlir::Value x, int64_t axis, int64_t start, int64_t size);
  mlir::Value concat(mlir::ValueRange inputs, int64_t axis) { return make<fr::ConcatOp>(inputs, axis); }
  mlir::Value transpose(mlir::Value x, llvm::ArrayRef<int64_t> permutation) { return make<fr::TransposeOp>(x, permutation); }
  /// No op when the sizes are those that x has.
  mlir::Value reshape(mlir::Value x, llvm::ArrayRef<DimExpr> dims);
  /// No op when x has that element type.
  mlir::Value cast(mlir::Value x, mlir::Type element);
  /// 0, 1, ... size - 1.
  mlir::Value iota(const DimExpr &size);
  mlir::Value size(const DimExpr &size);
  /// A scalar of the element type of `like`; `number` is rounded to it once.
  mlir::Value scalar(double number, mlir::Value like) { return scalar(number, elementOf(like.getType())); }
  mlir::Value scalar(double number, mlir::Type element);
  mlir::Value floats(llvm::ArrayRef<float> numbers);

  mlir::Type f32() { return builder.getF32Type(); }
  mlir::Type f64() { return builder.getF64Type(); }
  mlir::Type i64() { return builder.getI64Type(); }

private:
  mlir::OpBuilder &builder;
  mlir::Location loc;
};

template <typename Op>
using DecomposeFunction = llvm::SmallVector<mlir::Value, 2> (*)(Op op, Emit &e, const DecomposeOptions &options);

/// An op replaced by the values that `function` computes.
template <typename Op, DecomposeFunction<Op> function> struct DecomposePattern : mlir::OpRewritePattern<Op> {
  DecomposePattern(mlir::MLIRContext *context, const DecomposeOptions &options, mlir::PatternBenefit benefit)
      : mlir::OpRewritePattern<Op>(context, benefit), options(options) {}
  mlir::LogicalResult matchAndRewrite(Op op, mlir::PatternRewriter &rewriter) const override {
    Emit emit(rewriter, op.getLoc());
    llvm::SmallVector<mlir::Value, 2> values = function(op, emit, options);
    rewriter.replaceOp(op, values);
    return mlir::success();
  }
  DecomposeOptions options;
};

template <typename Op, DecomposeFunction<Op> function>
void populateOne(mlir::RewritePatternSet &patterns, const DecomposeOptions &options, mlir::PatternBenefit benefit) {
  patterns.add<DecomposePattern<Op, function>>(patterns.getContext(), options, benefit);
}

// One function per op, in DecomposeActivations.cpp, DecomposeNorms.cpp, DecomposeAttention.cpp and DecomposeRope.cpp.
using Values = llvm::SmallVector<mlir::Value, 2>;
Values decomposeGelu(fr::GeluOp op, Emit &e, const DecomposeOptions &options);
Values decomposeSilu(fr::SiluOp op, Emit &e, const DecomposeOptions &options);
Values decomposeSoftmax(fr::SoftmaxOp op, Emit &e, const DecomposeOptions &options);
Values decomposeRmsNorm(fr::RmsNormOp op, Emit &e, const DecomposeOptions &options);
Values decomposeLayerNorm(fr::LayerNormOp op, Emit &e, const DecomposeOptions &options);
Values decomposeL2Norm(fr::L2NormOp op, Emit &e, const DecomposeOptions &options);
Values decomposeAttention(fr::AttentionOp op, Emit &e, const DecomposeOptions &options);
Values decomposeAttentionMask(fr::AttentionMaskOp op, Emit &e, const DecomposeOptions &options);
Values decomposeRope(fr::RopeOp op, Emit &e, const DecomposeOptions &options);
Values decomposeRopeTable(fr::RopeTableOp op, Emit &e, const DecomposeOptions &options);

} // namespace flagrelease
