// Heads, rotary positions and attention as steps of their own: what a recipe builds unusual attention from.
#include "importers/huggingface/blocks/Heads.h"

#include <cmath>

using namespace flagrelease;
using namespace mlir;

namespace {
const ParamSchema kParams[] = {
    {"causal", ParamType::Bool, false, {}, {}, "a token sees only itself and what is before it; absent: true"},
    {"cache", ParamType::Bool, false, {}, {}, "keys and values of earlier calls are kept; absent: as causal"},
    {"cache_layer", ParamType::Int, false, {}, {}, "index of the cache; absent: of the repeat around"},
    {"window", ParamType::Int, false, {}, {}, "a token sees this many tokens back, itself counted; null: all"},
    {"two_sided", ParamType::Bool, false, {}, {}, "the window reaches as far ahead"},
    {"chunk", ParamType::Int, false, {}, {}, "a token sees those of its own run of so many tokens; null: all"},
    {"scale", ParamType::Number, false, {}, {}, "of the scores; absent: head_dim ** -0.5"},
    {"softcap", ParamType::Number, false, {}, {}, "scores become cap * tanh(scores / cap)"},
    {"score_bias", ParamType::Value, false, {}, {}, "added to the scores, spreads to [B, n, S, T]"},
    {"sinks",
     ParamType::Tensor,
     false,
     {},
     {},
     "the tensor by its whole name, [heads]: one more score of each head, without a value"},
    {"mask", ParamType::Value, false, {}, {}, "i1, spreads to [B, 1, S, T]: what it hides stays hidden"},
    {"also_see", ParamType::Value, false, {}, {}, "i1, spreads likewise: what it shows is seen, if the key is real"},
    {"padding", ParamType::Value, false, {}, {}, "int [B, T]: 0 for keys that are none; absent: attention_mask, if there is one"},
    {"padded", ParamType::Bool, false, {}, {}, "false: all keys are real"},
};
const ParamSchema kHeadsParams[] = {{"count", ParamType::Int, true, {}, {}, "heads"},
                                    {"dim", ParamType::Int, false, {}, {}, "features of each; absent: what is left"}};
const ParamSchema kTableParams[] = {
    {"positions", ParamType::Value, false, {}, {}, "ints or numbers of any shape; absent: position_ids"}};
const ParamSchema kRotateParams[] = {
    {"cos", ParamType::Value, true, {}, {}, "[B or 1, S, dim / 2]"},
    {"sin", ParamType::Value, true, {}, {}, ""},
    {"interleaved", ParamType::Bool, false, {}, {}, "pairs are (2j, 2j + 1), not (j, j + dim / 2)"}};

const ParamSchema kAlibiParams[] = {
    {"heads", ParamType::Int, true, {}, {}, ""},
    {"max", ParamType::Number, false, {}, {}, "slope i of n is 2^(-max i / n); absent: 8"},
    {"scale", ParamType::Number, false, {}, {}, "of the slopes; absent: 1"},
    {"back", ParamType::Bool, false, {}, {}, "places are counted back from the last key: 0, -1, ..., the same up to rounding"},
    {"count_real", ParamType::Bool, false, {}, {}, "the place of a key is its number among the real ones, by attention_mask"},
    {"keys", ParamType::Size, false, {}, {}, "how many; absent: P + S"},
};

const std::vector<ParamSchema> &tableParams() {
  static const std::vector<ParamSchema> all = [] {
    std::vector<ParamSchema> copy(std::begin(kTableParams), std::end(kTableParams));
    for (const ParamSchema &param : kRopeParams)
      if (param.name != "interleaved" && param.name != "when")
        copy.push_back(param);
    for (ParamSchema &param : copy)
      if (param.name == "dim")
        param.required = true;
    return copy;
  }();
  return all;
}

BlockResult buildHeads(BlockContext &context) {
  FailureOr<int64_t> count = context.integer("count");
  FailureOr<std::optional<int64_t>> dim = context.optionalInteger("dim");
  if (failed(count) || failed(dim))
    return failure();
  if (context.dims().size() != 3 || context.width() % *count != 0 || (*dim && **dim * *count != context.width()))
    return context.diags().error(context.step.place.str(),
                                 Twine(*count) + " heads do not fit " + Twine(context.width()) + " features",
                                 "correct config.json, or the step");
  return llvm::SmallVector<Value>{splitHeads(context, context.x(), *count, context.width() / *count)};
}
BlockResult buildMergeHeads(BlockContext &context) { return llvm::SmallVector<Value>{mergeHeads(context, context.x())}; }

BlockResult buildRopeTable(BlockContext &context) {
  FailureOr<Value> positions = context.value("positions");
  FailureOr<int64_t> dim = context.integer("dim");
  if (failed(positions) || failed(dim))
    return failure();
  FailureOr<std::pair<Value, Value>> tables =
      ropeTables(context, [&](StringRef name) { return context.step.find(name); }, *dim, *positions);
  if (failed(tables))
    return failure();
  return llvm::SmallVector<Value>{tables->first, tables->second};
}

BlockResult buildRope(BlockContext &context) {
  FailureOr<Value> cos = context.value("cos"), sin = context.value("sin");
  FailureOr<bool> interleaved = context.flag("interleaved", false);
  if (failed(cos) || failed(sin) || failed(interleaved))
    return failure();
  llvm::SmallVector<Value> results;
  for (Value heads : context.operands)
    results.push_back(context.ops().create<fr::RopeOp>(context.loc(), heads, *cos, *sin, *interleaved));
  return results;
}

BlockResult buildAttend(BlockContext &context) {
  if (failed(context.operandCount(3, 3)))
    return failure();
  FailureOr<AttendOptions> options = attendOptions(context);
  if (failed(options))
    return failure();
  FailureOr<Value> y = attend(context, context.operands[0], context.operands[1], context.operands[2], *options);
  return failed(y) ? BlockResult(failure()) : llvm::SmallVector<Value>{*y};
}

/// Slopes of linear biases (arXiv:2108.12409): 2^(-max i / n) for n heads, n a power of two. For other counts: those of the power
/// below, then every second one of the power above.
std::vector<double> alibiSlopes(int64_t heads, double most) {
  auto slopes = [&](int64_t n) {
    std::vector<double> out;
    for (int64_t i = 1; i <= n; ++i)
      out.push_back(std::exp2(-most * static_cast<double>(i) / static_cast<double>(n)));
    return out;
  };
  int64_t below = 1;
  while (2 * below <= heads)
    below *= 2;
  if (below == heads)
    return slopes(heads);
  std::vector<double> above = slopes(2 * below), out = slopes(below);
  for (size_t i = 0; i < above.size() && static_cast<int64_t>(out.size()) < heads; i += 2)
    out.push_back(above[i]);
  return out;
}

BlockResult buildAlibi(BlockContext &context) {
  FailureOr<int64_t> heads = context.integer("heads");
  FailureOr<std::optional<double>> most = context.optionalNumber("max"), scale = context.optionalNumber("scale");
  FailureOr<bool> back = context.flag("back", false), count = context.flag("count_real", false);
  FailureOr<std::string> keysText = context.step.has("keys") ? context.step.find("keys")->evalText(context.scope, context.diags())
                                                             : FailureOr<std::string>(std::string("P + S"));
  if (failed(heads) || failed(most) || failed(scale) || failed(back) || failed(count) || failed(keysText))
    return failure();
  std::optional<DimExpr> keys = DimExpr::parse(*keysText);
  if (!keys)
    return context.diags().error(context.step.place.str(), "'" + *keysText + "' is no size", "name the number of keys");
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  std::vector<float> slopes;
  for (double slope : alibiSlopes(*heads, most->value_or(8)))
    slopes.push_back(static_cast<float>(slope * scale->value_or(1)));
  Value table = ops.create<fr::ConstantOp>(
      loc, cast<ElementsAttr>(DenseElementsAttr::get(RankedTensorType::get({1, *heads, 1, 1}, ops.getF32Type()),
                                                     llvm::ArrayRef<float>(slopes))));
  Value places; // i64, of keys
  DimExpr batch(1);
  if (*count) { // the place of a key among the real ones
    Value mask = context.graph.input("attention_mask");
    if (!mask)
      return failure();
    batch = dimsOf(mask.getType())[0];
    Value one = context.integerConstant({1}, {});
    places = ops.create<fr::MulOp>(loc, ops.create<fr::SubOp>(loc, ops.create<fr::CumsumOp>(loc, mask, 1), one), mask);
  } else {
    places = ops.create<fr::IotaOp>(loc, tensorType({*keys}, ops.getI64Type()));
  }
  if (*back)
    places = ops.create<fr::SubOp>(loc, places,
                                   ops.create<fr::SizeOp>(loc, tensorType({}, ops.getI64Type()), (*keys - DimExpr(1)).str()));
  Value row = ops.create<fr::CastOp>(loc, tensorType(dimsOf(places.getType()), ops.getF32Type()), places);
  row = context.reshape(row, {batch, DimExpr(1), DimExpr(1), *keys});
  return llvm::SmallVector<Value>{ops.create<fr::MulOp>(loc, row, table)};
}

/// The columns of attention_mask that belong to the tokens of this call, [B, S, 1], f32.
BlockResult buildRealTokens(BlockContext &context) {
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  Value mask = context.graph.input("attention_mask");
  if (!mask)
    return failure();
  DimExprs dims = dimsOf(mask.getType());
  const DimExpr tokens = context.operands.empty() ? DimExpr::symbol("S") : context.dims()[1];
  Value own = context.slice(mask, 1, dims[1] - tokens, tokens);
  Value real = ops.create<fr::CastOp>(loc, tensorType({dims[0], tokens}, ops.getF32Type()), own);
  return llvm::SmallVector<Value>{context.reshape(real, {dims[0], tokens, DimExpr(1)})};
}

const StepSchema kSchemas[] = {
    {"heads", kHeadsParams, false, "[B, S, heads * dim] to [B, heads, S, dim]"},
    {"merge_heads", {}, false, "[B, heads, S, dim] to [B, S, heads * dim]"},
    {"rope", kRotateParams, false, "rotates the first features of heads; one result for each input"},
    {"alibi", kAlibiParams, false,
     "biases that grow with the distance, for `score_bias`: slope * place of the key, [1 or B, heads, 1, keys]"},
    {"real_tokens", {}, false, "1 for each token of its input [B, S, ..] that is none of padding, [B, S, 1]"},
    {"attend", kParams, false, "softmax(scale q k^T + mask) v of three inputs: heads of queries, keys and values"},
};
const StepSchema &tableSchema() {
  static const StepSchema schema = {"rope_table", tableParams(), false,
                                    "cosines and sines of rotary positions: `out` names both"};
  return schema;
}
} // namespace

const llvm::ArrayRef<ParamSchema> flagrelease::kAttendParams = kParams;

Value flagrelease::splitHeads(BlockContext &context, Value x, int64_t count, int64_t dim) {
  DimExprs dims = dimsOf(x.getType());
  return context.transpose(context.reshape(x, {dims[0], dims[1], DimExpr(count), DimExpr(dim)}), {0, 2, 1, 3});
}

Value flagrelease::mergeHeads(BlockContext &context, Value heads) {
  DimExprs dims = dimsOf(heads.getType());
  return context.reshape(context.transpose(heads, {0, 2, 1, 3}), {dims[0], dims[2], dims[1] * dims[3]});
}

FailureOr<AttendOptions> flagrelease::attendOptions(BlockContext &context) {
  AttendOptions options;
  FailureOr<bool> causal = context.flag("causal", true), twoSided = context.flag("two_sided", false),
                  padded = context.flag("padded", true);
  FailureOr<std::optional<int64_t>> window = context.optionalInteger("window"), chunk = context.optionalInteger("chunk"),
                                    cacheLayer = context.optionalInteger("cache_layer");
  FailureOr<std::optional<double>> scale = context.optionalNumber("scale"), softcap = context.optionalNumber("softcap");
  FailureOr<Value> bias = context.value("score_bias"), mask = context.value("mask"), alsoSee = context.value("also_see"),
                   padding = context.value("padding");
  if (failed(causal) || failed(twoSided) || failed(padded) || failed(window) || failed(chunk) || failed(cacheLayer) ||
      failed(scale) || failed(softcap) || failed(bias) || failed(mask) || failed(alsoSee) || failed(padding))
    return failure();
  FailureOr<bool> cache = context.flag("cache", *causal);
  if (failed(cache))
    return failure();
  if (*window && **window < 1)
    return context.diags().error("config.json: sliding_window",
                                 "is " + Twine(**window) + "; a window holds at least the token itself",
                                 "restore the checkpoint's own config.json");
  options.causal = *causal, options.cache = *cache, options.twoSided = *twoSided;
  options.cacheLayer = *cacheLayer;
  options.window = *window, options.chunk = *chunk, options.scale = *scale, options.softcap = *softcap;
  options.bias = *bias, options.mask = *mask, options.alsoSee = *alsoSee, options.padding = *padding;
  if (!options.padding && *padded && context.graph.hasInput("attention_mask"))
    options.padding = context.graph.input("attention_mask");
  if (!*padded)
    options.padding = Value();
  if (const Param *sinks = context.step.find("sinks")) {
    FailureOr<std::string> name = context.tensorName(*sinks);
    if (failed(name))
      return failure();
    options.sinks = context.graph.tensor(*name);
  }
  return options;
}

FailureOr<Value> flagrelease::attend(BlockContext &context, Value q, Value k, Value v, const AttendOptions &options) {
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  if (options.cache) {
    k = context.graph.appendState("key", k, 2, options.cacheLayer);
    v = context.graph.appendState("value", v, 2, options.cacheLayer);
  }
  DimExprs dims = dimsOf(q.getType());
  const DimExpr seen = dimsOf(k.getType())[2];
  auto number = [&](std::optional<int64_t> value) { return value ? ops.getI64IntegerAttr(*value) : IntegerAttr(); };
  Value mask;
  if (options.padding || options.causal || options.window || options.chunk) {
    Value padding = options.padding;
    if (padding && dimsOf(padding.getType()) != DimExprs{dims[0], seen})
      return context.diags().error(context.step.place.str(),
                                   "the padding mask has " + dimsOf(padding.getType()).back().str() + " columns for " +
                                       seen.str() + " keys",
                                   "name the mask of these keys in `padding`, or say `padded: false`");
    DimExpr batch = padding ? dims[0] : DimExpr(1);
    mask = ops.create<fr::AttentionMaskOp>(loc, tensorType({batch, DimExpr(1), dims[2], seen}, ops.getI1Type()), padding, Value(),
                                           ops.getBoolAttr(options.causal), number(options.window), ops.getI64IntegerAttr(0),
                                           number(options.chunk), options.twoSided ? ops.getUnitAttr() : UnitAttr());
    if (options.alsoSee) {
      Value more = options.alsoSee;
      if (padding) { // a key that is none is seen by nobody
        DimExprs row{dims[0], DimExpr(1), DimExpr(1), seen};
        Value real =
            ops.create<fr::CompareOp>(loc, fr::Predicate::NE, context.reshape(padding, row), context.integerConstant({0}, {}));
        more = ops.create<fr::AndOp>(loc, more, real);
      }
      mask = ops.create<fr::OrOp>(loc, mask, more);
    }
    if (options.mask)
      mask = ops.create<fr::AndOp>(loc, mask, options.mask);
  } else {
    mask = options.mask;
  }
  if (mask) {
    DimExprs have = dimsOf(mask.getType());
    while (have.size() < 4)
      have.insert(have.begin(), DimExpr(1));
    mask = context.reshape(mask, have);
    DimExprs whole{have[0], have[1], dims[2], seen};
    if (have != whole)
      mask = ops.create<fr::BroadcastOp>(loc, tensorType(whole, ops.getI1Type()), mask);
  }
  const double scale = options.scale ? *options.scale : 1.0 / std::sqrt(static_cast<double>(dims[3].value()));
  return ops
      .create<fr::AttentionOp>(loc, q, k, v, mask, options.bias, options.sinks, context.real(scale),
                               options.softcap ? context.real(*options.softcap) : FloatAttr())
      .getResult();
}

llvm::ArrayRef<StepBlock> flagrelease::headSteps() {
  static constexpr BlockFunction kBuilders[] = {buildHeads, buildMergeHeads, buildRope, buildAlibi, buildRealTokens, buildAttend};
  static const std::vector<StepBlock> steps = [] {
    std::vector<StepBlock> table = stepTable(kSchemas, kBuilders);
    table.push_back({&tableSchema(), buildRopeTable});
    return table;
  }();
  return steps;
}
