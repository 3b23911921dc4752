// fr-mutate: finds the layer and applies one of the mistakes below to it.
#include "passes/Mutate.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"

namespace flagrelease {
#define GEN_PASS_DEF_MUTATE
#include "passes/Passes.h.inc"

namespace {
using namespace mlir;

/// The layer as its ops in order, and what a mistake needs to make its own.
struct Site {
  ModuleOp module;
  int64_t layer;
  StringRef tensor;
  SmallVector<Operation *> ops;

  template <typename Op> SmallVector<Op> all() const {
    SmallVector<Op> found;
    for (Operation *op : ops)
      if (auto match = dyn_cast<Op>(op))
        found.push_back(match);
    return found;
  }
  bool contains(Operation *op) const { return llvm::is_contained(ops, op); }
  LogicalResult lacks(const Twine &what) { return module.emitError() << "fr-mutate: layer " << layer << " has " << what; }
};

/// `op` again, right behind it, for this layer alone; the caller changes the copy.
template <typename Op> Op copyForLayer(Site &site, Op op) {
  OpBuilder builder(op->getContext());
  builder.setInsertionPointAfter(op);
  auto copy = cast<Op>(builder.clone(*op));
  for (auto [from, to] : llvm::zip(op->getResults(), copy->getResults()))
    from.replaceUsesWithIf(to, [&](OpOperand &use) { return site.contains(use.getOwner()); });
  return copy;
}

/// The value with a new op behind it, seen by users in this layer only.
Value behind(Site &site, Value value, llvm::function_ref<Value(OpBuilder &, Location)> make) {
  OpBuilder builder(value.getContext());
  builder.setInsertionPointAfterValue(value);
  SmallVector<OpOperand *> uses;
  for (OpOperand &use : value.getUses())
    if (site.contains(use.getOwner()))
      uses.push_back(&use);
  Value changed = make(builder, value.getLoc());
  for (OpOperand *use : uses)
    use->set(changed);
  return changed;
}

Value splat(OpBuilder &builder, Location loc, double number) {
  auto type = tensorType({}, builder.getF32Type());
  return builder.create<fr::ConstantOp>(loc, DenseElementsAttr::get(type, static_cast<float>(number)));
}

/// Back through ops that keep the numbers of a head together, to the op that made them.
Operation *makerOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (isa<fr::ReshapeOp, fr::TransposeOp, fr::CastOp, fr::TapOp, fr::RopeOp>(op))
      value = op->getOperand(0);
    else if (auto append = dyn_cast<fr::StateAppendOp>(op))
      value = append.getValue();
    else
      return op;
  }
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Params
//===----------------------------------------------------------------------===//

/// The param that a mistake changes: the one named, or the first of the layer of at least `rank`.
fr::UseOp chooseUse(Site &site, int64_t rank) {
  if (!site.tensor.empty()) {
    fr::UseOp found;
    site.module.walk([&](fr::UseOp use) {
      if (!found && use.getParam() == site.tensor)
        found = use;
    });
    // A named tensor may lie outside layers (embedding, head): then its users are what is changed.
    if (found)
      for (Operation *user : found->getUsers())
        if (!site.contains(user))
          site.ops.push_back(user);
    return found;
  }
  for (Operation *op : site.ops)
    for (Value operand : op->getOperands())
      if (auto use = operand.getDefiningOp<fr::UseOp>())
        if (isa<FloatType>(elementOf(use.getType())) && rankOf(use.getType()) >= rank)
          return use;
  return {};
}

LogicalResult noTensor(Site &site) {
  if (site.tensor.empty())
    return site.lacks("no such param");
  return site.module.emitError() << "fr-mutate: nothing uses a param '" << site.tensor << "'";
}

LogicalResult scaleTensor(Site &site) {
  fr::UseOp use = chooseUse(site, 1);
  if (!use)
    return noTensor(site);
  behind(site, use, [&](OpBuilder &b, Location loc) { return b.create<fr::MulOp>(loc, use, splat(b, loc, 1.01)); });
  return success();
}

LogicalResult swapRows(Site &site) {
  fr::UseOp use = chooseUse(site, 2);
  if (!use)
    return noTensor(site);
  int64_t rows = dimsOf(use.getType())[0].value();
  if (rows < 2)
    return site.module.emitError() << "fr-mutate: '" << use.getParam() << "' has " << rows << " row";
  behind(site, use, [&](OpBuilder &b, Location loc) -> Value {
    SmallVector<Value> parts{b.create<fr::SliceOp>(loc, use, 0, 1, 1), b.create<fr::SliceOp>(loc, use, 0, 0, 1)};
    if (rows > 2)
      parts.push_back(b.create<fr::SliceOp>(loc, use, 0, 2, rows - 2));
    return b.create<fr::ConcatOp>(loc, parts, 0);
  });
  return success();
}

LogicalResult dropBias(Site &site) {
  for (auto linear : site.all<fr::LinearOp>()) {
    if (!linear.getBias())
      continue;
    auto use = linear.getBias().getDefiningOp<fr::UseOp>();
    if (!site.tensor.empty() && (!use || use.getParam() != site.tensor))
      continue;
    linear.getBiasMutable().clear();
    return success();
  }
  return site.lacks("no linear with a bias" + (site.tensor.empty() ? std::string() : " '" + site.tensor.str() + "'"));
}

//===----------------------------------------------------------------------===//
// Norms and feed-forward
//===----------------------------------------------------------------------===//

LogicalResult swapGateAndUp(Site &site) {
  for (auto mul : site.all<fr::MulOp>())
    for (int side : {0, 1}) {
      Operation *act = mul->getOperand(side).getDefiningOp();
      if (!act || !isa<fr::SiluOp, fr::GeluOp, fr::ReluOp, fr::SigmoidOp, fr::TanhOp>(act))
        continue;
      // A copy stands right before the product: there both projections are known.
      OpBuilder builder(mul);
      Operation *swapped = builder.clone(*act);
      swapped->setOperand(0, mul->getOperand(1 - side));
      mul->setOperands({swapped->getResult(0), act->getOperand(0)});
      return success();
    }
  return site.lacks("no product of an activation and another projection");
}

LogicalResult swapQkNorms(Site &site) {
  for (auto attention : site.all<fr::AttentionOp>()) {
    Operation *q = makerOf(attention.getQ()), *k = makerOf(attention.getK());
    if (!isa_and_nonnull<fr::RmsNormOp, fr::LayerNormOp>(q) || !isa_and_nonnull<fr::RmsNormOp, fr::LayerNormOp>(k) ||
        q->getName() != k->getName() || q->getNumOperands() < 2 || q->getNumOperands() != k->getNumOperands())
      continue;
    if (q->getOperand(1).getType() != k->getOperand(1).getType())
      return site.lacks("q and k norms of different sizes");
    // Weights may be read just before their norm: read them again before the earlier one.
    Operation *first = q->isBeforeInBlock(k) ? q : k;
    OpBuilder builder(first);
    for (unsigned i = 1; i < q->getNumOperands(); ++i) {
      auto ofQ = q->getOperand(i).getDefiningOp<fr::UseOp>(), ofK = k->getOperand(i).getDefiningOp<fr::UseOp>();
      if (!ofQ || !ofK)
        return site.lacks("q and k norms whose weights are computed");
      Value readQ = builder.clone(*ofQ)->getResult(0), readK = builder.clone(*ofK)->getResult(0);
      q->setOperand(i, readK);
      k->setOperand(i, readQ);
    }
    return success();
  }
  return site.lacks("no norms on q and k");
}

LogicalResult growEps(Site &site) {
  auto norms = site.all<fr::RmsNormOp>();
  if (norms.empty())
    return site.lacks("no rms_norm");
  for (fr::RmsNormOp norm : norms)
    norm.setEps(llvm::APFloat(norm.getEps().convertToDouble() * 10));
  return success();
}

LogicalResult otherGelu(Site &site) {
  auto gelus = site.all<fr::GeluOp>();
  if (gelus.empty())
    return site.lacks("no gelu");
  for (fr::GeluOp gelu : gelus)
    gelu.setApproximate(gelu.getApproximate() == fr::GeluKind::None ? fr::GeluKind::Tanh : fr::GeluKind::None);
  return success();
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// The rotary tables that this layer reads, copied for it.
FailureOr<SmallVector<fr::RopeTableOp>> copyTables(Site &site) {
  llvm::SetVector<Operation *> tables;
  for (auto rope : site.all<fr::RopeOp>())
    if (auto table = rope.getCos().getDefiningOp<fr::RopeTableOp>())
      tables.insert(table);
  if (tables.empty())
    return site.lacks("no rotary positions");
  SmallVector<fr::RopeTableOp> copies;
  for (Operation *table : tables)
    copies.push_back(copyForLayer(site, cast<fr::RopeTableOp>(table)));
  return copies;
}

LogicalResult growTheta(Site &site) {
  FailureOr<SmallVector<fr::RopeTableOp>> tables = copyTables(site);
  if (failed(tables))
    return failure();
  for (fr::RopeTableOp table : *tables)
    table.setTheta(llvm::APFloat(table.getTheta().convertToDouble() * 1.01));
  return success();
}

/// Positions of a cached call one too far: + min(P, 1).
LogicalResult shiftPositions(Site &site) {
  FailureOr<SmallVector<fr::RopeTableOp>> tables = copyTables(site);
  if (failed(tables))
    return failure();
  for (fr::RopeTableOp table : *tables) {
    OpBuilder b(table);
    Location loc = table.getLoc();
    auto scalar = tensorType({}, b.getI64Type());
    Value past = b.create<fr::SizeOp>(loc, scalar, b.getStringAttr("P"));
    Value one = b.create<fr::ConstantOp>(loc, DenseIntElementsAttr::get(scalar, ArrayRef<int64_t>(1)));
    Value shift = b.create<fr::MinimumOp>(loc, past, one);
    table.getPositionIdsMutable().assign(b.create<fr::AddOp>(loc, table.getPositionIds(), shift));
  }
  return success();
}

LogicalResult scaleHead(Site &site) {
  for (auto attention : site.all<fr::AttentionOp>()) {
    OpBuilder b(attention);
    SmallVector<float> factors(dimsOf(attention.getQ().getType())[1].value(), 1.0f);
    factors.front() = 1.1f;
    auto type = tensorType({DimExpr(1), DimExpr(static_cast<int64_t>(factors.size())), DimExpr(1), DimExpr(1)}, b.getF32Type());
    Value factor = b.create<fr::ConstantOp>(attention.getLoc(), DenseElementsAttr::get(type, ArrayRef<float>(factors)));
    attention.getQMutable().assign(b.create<fr::MulOp>(attention.getLoc(), attention.getQ(), factor));
    return success();
  }
  return site.lacks("no attention");
}

/// Query head h reads key head h % k instead of h / (n / k): repeat where repeat_interleave is right.
LogicalResult reorderKeyHeads(Site &site) {
  for (auto attention : site.all<fr::AttentionOp>()) {
    int64_t heads = dimsOf(attention.getQ().getType())[1].value(), keyHeads = dimsOf(attention.getK().getType())[1].value();
    if (keyHeads == 1 || keyHeads == heads)
      return site.lacks(Twine(heads) + " query heads and " + Twine(keyHeads) + " key heads: any order is the right one");
    OpBuilder b(attention);
    Location loc = attention.getLoc();
    SmallVector<int64_t> order;
    for (int64_t h = 0; h < heads; ++h)
      order.push_back(h % keyHeads);
    Value indices = b.create<fr::ConstantOp>(
        loc, DenseIntElementsAttr::get(tensorType({DimExpr(heads)}, b.getI64Type()), ArrayRef<int64_t>(order)));
    attention.getKMutable().assign(b.create<fr::GatherOp>(loc, attention.getK(), indices, 1, 0));
    attention.getVMutable().assign(b.create<fr::GatherOp>(loc, attention.getV(), indices, 1, 0));
    return success();
  }
  return site.lacks("no attention");
}

/// Applies `change` to a copy of each mask of the layer; `change` says whether the mask has what it changes.
LogicalResult changeMasks(Site &site, StringRef what, llvm::function_ref<bool(fr::AttentionMaskOp)> has,
                          llvm::function_ref<void(fr::AttentionMaskOp)> change) {
  llvm::SetVector<Operation *> masks;
  for (auto attention : site.all<fr::AttentionOp>())
    if (attention.getMask())
      if (auto mask = attention.getMask().getDefiningOp<fr::AttentionMaskOp>(); mask && has(mask))
        masks.insert(mask);
  if (masks.empty())
    return site.lacks("no mask " + what);
  for (Operation *mask : masks)
    change(copyForLayer(site, cast<fr::AttentionMaskOp>(mask)));
  return success();
}

LogicalResult moveDiagonal(Site &site, int64_t by) {
  return changeMasks(
      site, "that is causal", [](fr::AttentionMaskOp mask) { return mask.getCausal(); },
      [&](fr::AttentionMaskOp mask) { mask.setDiagonal(mask.getDiagonal() + by); });
}
LogicalResult causalPlus(Site &site) { return moveDiagonal(site, 1); }
LogicalResult causalMinus(Site &site) { return moveDiagonal(site, -1); }

LogicalResult ignoreWindow(Site &site) {
  return changeMasks(
      site, "with a window", [](fr::AttentionMaskOp mask) { return mask.getWindow().has_value(); },
      [](fr::AttentionMaskOp mask) { mask.removeWindowAttr(); });
}

LogicalResult ignorePadding(Site &site) {
  return changeMasks(
      site, "that reads padding", [](fr::AttentionMaskOp mask) { return bool(mask.getPadding()); },
      [](fr::AttentionMaskOp mask) { mask.getPaddingMutable().clear(); });
}

struct Entry {
  Mutation info;
  LogicalResult (*apply)(Site &site);
};

constexpr auto kAlways = Mutation::Seen::Always;
const Entry kMutations[] = {
    {{"bias", "a bias is dropped", kAlways}, &dropBias},
    {{"gate-up", "gate and up projections are swapped", kAlways}, &swapGateAndUp},
    {{"qk-norm", "the norms of q and k are swapped", kAlways}, &swapQkNorms},
    {{"rope-theta", "theta of the rotary positions is 1 % larger", kAlways}, &growTheta},
    {{"rms-eps", "eps of the layer's rms norms is ten times as large", kAlways}, &growEps},
    {{"gelu", "gelu is exact instead of tanh, or tanh instead of exact", kAlways}, &otherGelu},
    {{"head-scale", "the scores of the first head are 10 % larger", kAlways}, &scaleHead},
    {{"kv-order", "key and value heads are repeated in the wrong order", kAlways}, &reorderKeyHeads},
    {{"causal-plus", "a query sees one token of its future", Mutation::Seen::WithPrefill}, &causalPlus},
    {{"causal-minus", "a query does not see its own token", kAlways}, &causalMinus},
    {{"window", "the sliding window is ignored", kAlways}, &ignoreWindow},
    {{"padding", "padded tokens are seen", Mutation::Seen::WithPadding}, &ignorePadding},
    {{"decode-position", "positions are one too large once there is a cache", Mutation::Seen::WithCache}, &shiftPositions},
    {{"tensor-scale", "one tensor is 1 % larger", kAlways}, &scaleTensor},
    {{"tensor-rows", "the first two rows of one tensor are swapped", kAlways}, &swapRows},
};

/// The number at the end of "model.layers.3"; nullopt for other names.
std::optional<int64_t> layerOf(StringRef tap) {
  int64_t number = 0;
  auto [prefix, last] = tap.rsplit('.');
  if (last.empty() || last.getAsInteger(10, number) || number < 0)
    return std::nullopt;
  return number;
}

/// The ops between the tap at the entry of the layer and the last tap below it; without such a tap, up to the next layer.
SmallVector<Operation *> findLayer(ModuleOp module, int64_t layer) {
  SmallVector<Operation *> ops;
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    if (function.isExternal())
      continue;
    std::string current; // name of the tap at the entry of the layer that the walk is in
    size_t lastTap = 0;
    for (Operation &op : function.getBody().front().without_terminator()) {
      auto tap = dyn_cast<fr::TapOp>(op);
      bool below = tap && !current.empty() && tap.getName().starts_with(current + ".");
      if (tap && !below && layerOf(tap.getName())) {
        if (!ops.empty())
          break;
        current = tap.getName().str();
      }
      if (current.empty() || layerOf(current) != layer)
        continue;
      ops.push_back(&op);
      if (below)
        lastTap = ops.size();
    }
    if (lastTap)
      ops.resize(lastTap);
    if (!ops.empty())
      break;
  }
  return ops;
}

struct MutatePass : impl::MutateBase<MutatePass> {
  using MutateBase::MutateBase;
  void runOnOperation() override {
    if (failed(mutate(getOperation(), kind, layer, tensor)))
      signalPassFailure();
  }
};
} // namespace

ArrayRef<Mutation> mutations() {
  static const SmallVector<Mutation> infos = llvm::map_to_vector(kMutations, [](const Entry &entry) { return entry.info; });
  return infos;
}

LogicalResult mutate(ModuleOp module, StringRef kind, int64_t layer, StringRef tensor) {
  const Entry *entry = llvm::find_if(kMutations, [&](const Entry &e) { return e.info.kind == kind; });
  if (entry == std::end(kMutations)) {
    std::string known;
    for (const Mutation &info : mutations())
      known += (known.empty() ? "" : ", ") + info.kind.str();
    return module.emitError() << "fr-mutate: no kind '" << kind << "'; there are " << known;
  }
  Site site{module, layer, tensor, findLayer(module, layer)};
  if (site.ops.empty() && tensor.empty())
    return module.emitError() << "fr-mutate: no tap starts layer " << layer;
  return entry->apply(site);
}
} // namespace flagrelease
