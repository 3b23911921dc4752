// fr-decompose and the table of decompositions.
#include "passes/DecomposeEmit.h"
#include "passes/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/STLExtras.h"

namespace flagrelease {
#define GEN_PASS_DEF_DECOMPOSECOMPOSITES
#include "passes/Passes.h.inc"

using namespace mlir;

llvm::ArrayRef<Decomposition> decompositions() {
  static const Decomposition table[] = {
      {"fr.attention", "fr.matmul fr.transpose fr.reshape fr.select fr.softmax fr.mul fr.tanh fr.constant",
       &populateOne<fr::AttentionOp, decomposeAttention>},
      {"fr.attention_mask", "fr.iota fr.size fr.compare fr.and fr.cumsum fr.gather fr.add fr.sub fr.reshape fr.constant",
       &populateOne<fr::AttentionMaskOp, decomposeAttentionMask>},
      {"fr.gelu", "fr.erf fr.tanh fr.mul fr.add fr.constant", &populateOne<fr::GeluOp, decomposeGelu>},
      {"fr.l2_norm", "fr.mul fr.reduce fr.sqrt fr.maximum fr.div fr.constant", &populateOne<fr::L2NormOp, decomposeL2Norm>},
      {"fr.layer_norm", "fr.reduce fr.sub fr.mul fr.add fr.rsqrt fr.constant", &populateOne<fr::LayerNormOp, decomposeLayerNorm>},
      {"fr.rms_norm", "fr.mul fr.reduce fr.add fr.rsqrt fr.constant", &populateOne<fr::RmsNormOp, decomposeRmsNorm>},
      {"fr.rope", "fr.slice fr.concat fr.reshape fr.mul fr.add fr.sub", &populateOne<fr::RopeOp, decomposeRope>},
      {"fr.rope_table",
       "fr.cast fr.mul fr.cos fr.sin fr.reshape fr.constant (dynamic, longrope: fr.reduce fr.select fr.compare fr.pow fr.div "
       "fr.sub fr.add)",
       &populateOne<fr::RopeTableOp, decomposeRopeTable>},
      {"fr.silu", "fr.sigmoid fr.mul", &populateOne<fr::SiluOp, decomposeSilu>},
      {"fr.softmax", "fr.reduce fr.sub fr.exp fr.div", &populateOne<fr::SoftmaxOp, decomposeSoftmax>},
  };
  return table;
}

const Decomposition *findDecomposition(StringRef op) {
  op.consume_front("fr.");
  for (const Decomposition &entry : decompositions())
    if (entry.op.drop_front(3) == op)
      return &entry;
  return nullptr;
}

StringRef populateDecomposePatterns(llvm::ArrayRef<StringRef> ops, RewritePatternSet &patterns, const DecomposeOptions &options,
                                    PatternBenefit benefit) {
  for (StringRef op : ops) {
    const Decomposition *entry = findDecomposition(op);
    if (!entry)
      return op;
    entry->populate(patterns, options, benefit);
  }
  return "";
}

Value Emit::slice(Value x, int64_t axis, int64_t start, int64_t size) {
  if (DimExpr(size) == dimsOf(x.getType())[axis])
    return x;
  return make<fr::SliceOp>(x, axis, start, size);
}

Value Emit::reshape(Value x, ArrayRef<DimExpr> dims) {
  RankedTensorType type = tensorType(dims, elementOf(x.getType()));
  return type == x.getType() ? x : make<fr::ReshapeOp>(type, x);
}

Value Emit::cast(Value x, Type element) {
  return elementOf(x.getType()) == element ? x : make<fr::CastOp>(tensorType(dimsOf(x.getType()), element), x);
}

Value Emit::iota(const DimExpr &size) { return make<fr::IotaOp>(tensorType({size}, i64())); }

Value Emit::size(const DimExpr &size) {
  auto type = tensorType({}, i64());
  if (size.isStatic())
    return make<fr::ConstantOp>(DenseIntElementsAttr::get(type, ArrayRef<int64_t>(size.value())));
  return make<fr::SizeOp>(type, builder.getStringAttr(size.str()));
}

Value Emit::scalar(double number, Type element) {
  RankedTensorType type = tensorType({}, element);
  Attribute value = isa<FloatType>(element) ? Attribute(builder.getFloatAttr(element, number))
                                            : Attribute(builder.getIntegerAttr(element, static_cast<int64_t>(number)));
  return make<fr::ConstantOp>(cast<ElementsAttr>(DenseElementsAttr::get(type, value)));
}

Value Emit::floats(ArrayRef<float> numbers) {
  RankedTensorType type = tensorType({DimExpr(static_cast<int64_t>(numbers.size()))}, f32());
  return make<fr::ConstantOp>(cast<ElementsAttr>(DenseElementsAttr::get(type, numbers)));
}

namespace {
struct DecomposePass : impl::DecomposeCompositesBase<DecomposePass> {
  using DecomposeCompositesBase::DecomposeCompositesBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    SmallVector<StringRef> names(ops.begin(), ops.end());
    if (names.empty())
      for (const Decomposition &entry : decompositions())
        names.push_back(entry.op);
    if (StringRef unknown = populateDecomposePatterns(names, patterns, {float64}); !unknown.empty()) {
      std::string known;
      for (const Decomposition &entry : decompositions())
        known += (known.empty() ? "" : ", ") + entry.op.drop_front(3).str();
      getOperation().emitError() << "fr-decompose: no decomposition of '" << unknown << "'; there are " << known;
      return signalPassFailure();
    }
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace flagrelease
