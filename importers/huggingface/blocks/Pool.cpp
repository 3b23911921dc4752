// One vector per row of the batch from a stream [batch, sequence, features].
#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const StringRef kKinds[] = {"last_token", "first_token", "mean"};
const ParamSchema kParams[] = {
    {"kind", ParamType::Enum, true, kKinds, {}, "which token, or the mean of the real ones"},
    {"pad",
     ParamType::Int,
     false,
     {},
     {},
     "last_token: the last id that is not this one; absent or null: the last with attention_mask 1"},
};
const ParamSchema kChoiceParams[] = {
    {"ids", ParamType::List, true, {}, {}, "token ids to choose from; the last one's share is the score"},
};
} // namespace

const StepSchema flagrelease::kPoolSchema = {"pool", kParams, false, "[batch, sequence, features] to [batch, features]"};
const StepSchema flagrelease::kChoiceScoreSchema = {"choice_score", kChoiceParams, false,
                                                    "softmax over the logits of a few tokens: the share of the last"};

BlockResult flagrelease::buildPool(BlockContext &context) {
  FailureOr<std::optional<std::string>> kind = context.text("kind");
  FailureOr<std::optional<int64_t>> pad = context.optionalInteger("pad");
  if (failed(kind) || failed(pad))
    return failure();
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  Value x = context.x();
  DimExpr s = context.dims()[1];
  auto integer = [&](int64_t value) {
    return ops.create<fr::ConstantOp>(loc, cast<ElementsAttr>(DenseElementsAttr::get(tensorType({}, ops.getI64Type()), value)))
        .getResult();
  };
  if (**kind == "first_token") {
    DimExpr b = context.dims()[0];
    Value first = ops.create<fr::GatherOp>(loc, x, integer(0), 1, 0);
    return llvm::SmallVector<Value>{context.reshape(first, {b, DimExpr(context.width())})};
  }
  Value real; // [B, S], i64: 1 where a token counts
  if (*pad) {
    Value ids = context.graph.input("input_ids");
    if (!ids)
      return failure();
    Value differs = ops.create<fr::CompareOp>(loc, fr::Predicate::NE, ids, integer(**pad));
    real = ops.create<fr::CastOp>(loc, tensorType(dimsOf(ids.getType()), ops.getI64Type()), differs);
  } else {
    Value mask = context.graph.input("attention_mask");
    if (!mask)
      return failure();
    real = mask;
    // The mask covers what is cached too: the columns of this call are the last S.
    if (dimsOf(mask.getType())[1] != s) {
      Value columns = ops.create<fr::IotaOp>(loc, tensorType({s}, ops.getI64Type()));
      Value past = ops.create<fr::SizeOp>(loc, tensorType({}, ops.getI64Type()), (dimsOf(mask.getType())[1] - s).str());
      real = ops.create<fr::GatherOp>(loc, mask, ops.create<fr::AddOp>(loc, columns, past), 1, 0);
    }
  }
  if (**kind == "mean") {
    Value weights = ops.create<fr::CastOp>(loc, tensorType(dimsOf(real.getType()), ops.getF32Type()), real);
    DimExprs column = dimsOf(real.getType());
    column.push_back(DimExpr(1));
    weights = context.reshape(weights, column);
    Value sum =
        ops.create<fr::ReduceOp>(loc, fr::ReduceKind::Sum, ops.create<fr::MulOp>(loc, x, weights), llvm::ArrayRef<int64_t>{1});
    Value count = ops.create<fr::ReduceOp>(loc, fr::ReduceKind::Sum, weights, llvm::ArrayRef<int64_t>{1});
    Value mean = ops.create<fr::DivOp>(loc, sum, count);
    return llvm::SmallVector<Value>{context.reshape(mean, {context.dims()[0], DimExpr(context.width())})};
  }
  // The last real token: the largest place * real. A row without one gives token 0, as transformers does.
  Value places = ops.create<fr::IotaOp>(loc, tensorType({dimsOf(real.getType())[1]}, ops.getI64Type()));
  Value last = ops.create<fr::ArgMaxOp>(loc, ops.create<fr::MulOp>(loc, places, real), 1);
  return llvm::SmallVector<Value>{ops.create<fr::GatherOp>(loc, x, last, 1, 1)};
}

BlockResult flagrelease::buildChoiceScore(BlockContext &context) {
  const Param *ids = context.step.find("ids");
  FailureOr<json::Value> list = ids->eval(context.scope, context.diags());
  if (failed(list))
    return failure();
  llvm::SmallVector<int64_t> wanted;
  for (const json::Value &id : list->array()) {
    if (!id.isInt() || id.integer() < 0 || id.integer() >= context.width())
      return context.diags().error(ids->place.str(),
                                   "token id " + json::toText(id) + " is outside 0.." + Twine(context.width() - 1),
                                   "give ids of this model's vocabulary");
    wanted.push_back(id.integer());
  }
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  int64_t n = wanted.size(), axis = rankOf(context.x().getType()) - 1;
  Value index = ops.create<fr::ConstantOp>(
      loc,
      cast<ElementsAttr>(DenseElementsAttr::get(tensorType({DimExpr(n)}, ops.getI64Type()), llvm::ArrayRef<int64_t>(wanted))));
  Value picked = ops.create<fr::GatherOp>(loc, context.x(), index, axis, 0);
  Value shares = ops.create<fr::SoftmaxOp>(loc, picked, axis);
  Value score = ops.create<fr::SliceOp>(loc, shares, axis, n - 1, 1);
  DimExprs dims = dimsOf(score.getType());
  dims.pop_back();
  return llvm::SmallVector<Value>{context.reshape(score, dims)};
}
