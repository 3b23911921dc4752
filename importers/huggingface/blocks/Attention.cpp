// Multi-head attention with shared key heads (GQA, arXiv:2305.13245), rotary positions, optional norms of q and k, windows.
#include "importers/huggingface/blocks/Blocks.h"

#include <cmath>

using namespace flagrelease;
using namespace mlir;

namespace {
const StringRef kNormKinds[] = {"rms", "layer"};
const ParamSchema kQkNorm[] = {
    {"kind", ParamType::Enum, true, kNormKinds, {}, "rms or layer norm of each head before the rotation"},
    {"q", ParamType::Tensor, true, {}, {}, "module of the norm of queries, [head_dim]"},
    {"k", ParamType::Tensor, true, {}, {}, "module of the norm of keys, [head_dim]"},
    {"eps", ParamType::Number, true, {}, {}, ""},
};
const ParamSchema kBias[] = {
    {"q", ParamType::Bool, false, {}, {}, ""},
    {"k", ParamType::Bool, false, {}, {}, ""},
    {"v", ParamType::Bool, false, {}, {}, ""},
    {"o", ParamType::Bool, false, {}, {}, ""},
};
const ParamSchema kParams[] = {
    {"q", ParamType::Tensor, true, {}, {}, "module [heads * head_dim, hidden]"},
    {"k", ParamType::Tensor, true, {}, {}, "module [kv_heads * head_dim, hidden]"},
    {"v", ParamType::Tensor, true, {}, {}, "module [kv_heads * head_dim, hidden]"},
    {"o", ParamType::Tensor, true, {}, {}, "module [hidden, heads * head_dim]"},
    {"bias", ParamType::Bool, false, {}, kBias, "all four, or a mapping by projection; absent: none"},
    {"heads", ParamType::Int, true, {}, {}, "query heads"},
    {"kv_heads", ParamType::Int, false, {}, {}, "key heads; absent: as many as heads"},
    {"head_dim", ParamType::Int, true, {}, {}, "features of a head"},
    {"causal", ParamType::Bool, false, {}, {}, "a token sees only itself and what is before it; absent: true"},
    {"window", ParamType::Int, false, {}, {}, "a token sees this many tokens back, itself counted; null: all"},
    {"scale", ParamType::Number, false, {}, {}, "of the scores; absent: head_dim ** -0.5"},
    {"softcap", ParamType::Number, false, {}, {}, "scores become cap * tanh(scores / cap)"},
    {"qk_norm", ParamType::Mapping, false, {}, kQkNorm, ""},
    {"rope", ParamType::Mapping, false, {}, {}, ""}, // its keys are set below: one table for all blocks
};

/// The schema with the shared rope keys in it.
const std::vector<ParamSchema> &params() {
  static const std::vector<ParamSchema> all = [] {
    std::vector<ParamSchema> copy(std::begin(kParams), std::end(kParams));
    copy.back().nested = kRopeParams;
    return copy;
  }();
  return all;
}

FailureOr<Value> headNorm(BlockContext &context, const Param &norm, StringRef which, Value heads, int64_t headDim) {
  FailureOr<std::string> kind = norm.find("kind")->evalText(context.scope, context.diags());
  FailureOr<std::string> module = context.tensorName(*norm.find(which));
  FailureOr<double> eps = norm.find("eps")->evalNumber(context.scope, context.diags());
  if (failed(kind) || failed(module) || failed(eps))
    return failure();
  Value weight = context.weight(*module + ".weight", {headDim}, "head_dim");
  if (*kind == "rms")
    return context.ops().create<fr::RmsNormOp>(context.loc(), heads, weight, context.real(*eps), context.real(0)).getResult();
  Value bias = context.graph.findTensor(*module + ".bias") ? context.weight(*module + ".bias", {headDim}, "head_dim") : Value();
  return context.ops()
      .create<fr::LayerNormOp>(context.loc(), heads, weight, bias, context.real(*eps), context.real(0))
      .getResult();
}

FailureOr<bool> biasOf(BlockContext &context, StringRef projection) {
  const Param *bias = context.step.find("bias");
  if (!bias)
    return false;
  if (bias->isMapping) {
    const Param *one = bias->find(projection);
    return one ? one->evalBool(context.scope, context.diags()) : FailureOr<bool>(false);
  }
  return bias->evalBool(context.scope, context.diags());
}
} // namespace

const StepSchema flagrelease::kAttentionSchema = {"attention", params(), false,
                                                  "softmax(scale q k^T + mask) v on heads of a stream [batch, sequence, hidden]"};

BlockResult flagrelease::buildAttention(BlockContext &context) {
  FailureOr<int64_t> heads = context.integer("heads"), headDim = context.integer("head_dim");
  if (failed(heads) || failed(headDim))
    return failure();
  FailureOr<int64_t> keyHeads = context.step.has("kv_heads") ? context.integer("kv_heads") : heads;
  FailureOr<std::optional<int64_t>> window = context.optionalInteger("window");
  FailureOr<bool> causal = context.flag("causal", true);
  FailureOr<std::optional<double>> scale = context.optionalNumber("scale"), softcap = context.optionalNumber("softcap");
  if (failed(keyHeads) || failed(window) || failed(causal) || failed(scale) || failed(softcap))
    return failure();
  if (*heads % *keyHeads != 0)
    return context.diags().error("config.json: num_key_value_heads",
                                 Twine(*heads) + " query heads do not share " + Twine(*keyHeads) + " key heads evenly",
                                 "restore the checkpoint's own config.json");
  if (*window && **window < 1)
    return context.diags().error("config.json: sliding_window",
                                 "is " + Twine(**window) + "; a window holds at least the token itself",
                                 "restore the checkpoint's own config.json");

  OpBuilder &ops = context.ops();
  Value x = context.x();
  DimExprs sizes = context.dims();
  DimExpr b = sizes[0], s = sizes[1];
  auto project = [&](StringRef which, int64_t count) -> FailureOr<Value> {
    FailureOr<std::string> module = context.tensorName(which);
    FailureOr<bool> bias = biasOf(context, which);
    if (failed(module) || failed(bias))
      return failure();
    FailureOr<Value> y =
        context.linear(x, *module, count * *headDim, *bias,
                       Twine(count) + " heads of " + Twine(*headDim) + ", hidden size " + Twine(context.width()));
    if (failed(y))
      return failure();
    return context.reshape(*y, {b, s, DimExpr(count), DimExpr(*headDim)});
  };
  FailureOr<Value> q = project("q", *heads), k = project("k", *keyHeads), v = project("v", *keyHeads);
  if (failed(q) || failed(k) || failed(v))
    return failure();
  if (const Param *norm = context.step.find("qk_norm")) {
    if (failed(q = headNorm(context, *norm, "q", *q, *headDim)) || failed(k = headNorm(context, *norm, "k", *k, *headDim)))
      return failure();
  }
  const int64_t headsFirst[] = {0, 2, 1, 3};
  Value queries = context.transpose(*q, headsFirst), keys = context.transpose(*k, headsFirst),
        values = context.transpose(*v, headsFirst);
  if (const Param *rope = context.step.find("rope")) {
    FailureOr<std::pair<Value, Value>> tables = ropeTables(context, *rope, *headDim);
    if (failed(tables))
      return failure();
    bool interleaved = false;
    if (const Param *given = rope->find("interleaved")) {
      FailureOr<bool> value = given->evalBool(context.scope, context.diags());
      if (failed(value))
        return failure();
      interleaved = *value;
    }
    queries = ops.create<fr::RopeOp>(context.loc(), queries, tables->first, tables->second, interleaved);
    keys = ops.create<fr::RopeOp>(context.loc(), keys, tables->first, tables->second, interleaved);
  }
  // What is not causal cannot grow token by token: it has no cache.
  if (*causal) {
    keys = context.graph.appendState("key", keys, 2);
    values = context.graph.appendState("value", values, 2);
  }
  Value padding = context.graph.input("attention_mask");
  if (!padding)
    return failure();
  DimExpr seen = dimsOf(keys.getType())[2];
  Value mask = ops.create<fr::AttentionMaskOp>(
      context.loc(), tensorType({b, DimExpr(1), s, seen}, ops.getI1Type()), padding, Value(), ops.getBoolAttr(*causal),
      *window ? ops.getI64IntegerAttr(**window) : IntegerAttr(), ops.getI64IntegerAttr(0));
  double factor = *scale ? **scale : 1.0 / std::sqrt(static_cast<double>(*headDim));
  Value mixed = ops.create<fr::AttentionOp>(context.loc(), queries, keys, values, mask, context.real(factor),
                                            *softcap ? context.real(**softcap) : FloatAttr());
  Value flat = context.reshape(context.transpose(mixed, headsFirst), {b, s, DimExpr(*heads * *headDim)});
  FailureOr<std::string> module = context.tensorName("o");
  FailureOr<bool> bias = biasOf(context, "o");
  if (failed(module) || failed(bias))
    return failure();
  FailureOr<Value> out = context.linear(flat, *module, context.width(), *bias, Twine(*heads) + " heads of " + Twine(*headDim));
  if (failed(out))
    return failure();
  return llvm::SmallVector<Value>{*out};
}
