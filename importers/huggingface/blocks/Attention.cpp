// Multi-head attention with shared key heads (GQA, arXiv:2305.13245), rotary positions, optional norms of q and k, windows: the
// common shape in one step. What is unusual is written with `heads`, `rope` and `attend`.
#include "importers/huggingface/blocks/Heads.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const StringRef kNormKinds[] = {"rms", "layer"};
const ParamSchema kQkNorm[] = {
    {"kind", ParamType::Enum, true, kNormKinds, {}, "rms or layer norm of each head"},
    {"q", ParamType::Tensor, false, {}, {}, "module of the norm of queries, [head_dim]; absent: no weight"},
    {"k", ParamType::Tensor, false, {}, {}, "module of the norm of keys, [head_dim]; absent: no weight"},
    {"eps", ParamType::Number, true, {}, {}, ""},
    {"offset", ParamType::Number, false, {}, {}, "added to the weights: 1 for zero-centred ones"},
    {"v", ParamType::Bool, false, {}, {}, "values get an RMS norm without a weight"},
    {"after_rope", ParamType::Bool, false, {}, {}, "behind the rotation; absent: before it"},
    {"whole", ParamType::Bool, false, {}, {}, "one norm over all heads of a token, [heads * head_dim]"},
    {"when", ParamType::Bool, false, {}, {}, "false: no norm"},
};
const ParamSchema kBias[] = {
    {"q", ParamType::Bool, false, {}, {}, ""},
    {"k", ParamType::Bool, false, {}, {}, ""},
    {"v", ParamType::Bool, false, {}, {}, ""},
    {"o", ParamType::Bool, false, {}, {}, ""},
};
const ParamSchema kOther[] = {{"value", ParamType::Value, true, {}, {}, ""},
                              {"when", ParamType::Bool, false, {}, {}, "false: the layer uses its own"}};
const ParamSchema kParams[] = {
    {"q", ParamType::Tensor, false, {}, {}, "module [heads * head_dim, hidden]"},
    {"k", ParamType::Tensor, false, {}, {}, "module [kv_heads * head_dim, hidden]"},
    {"v", ParamType::Tensor, false, {}, {}, "module [kv_heads * head_dim, hidden]"},
    {"qkv", ParamType::Tensor, false, {}, {}, "or one module with the rows of q, then k, then v"},
    {"grouped", ParamType::Bool, false, {}, {}, "rows of qkv are sorted by key head: its queries, its key, its value"},
    {"clip", ParamType::Number, false, {}, {}, "q, k and v are cut at -clip and clip; null: not"},
    {"o", ParamType::Tensor, true, {}, {}, "module [width, heads * head_dim]"},
    {"bias", ParamType::Bool, false, {}, kBias, "all four, or a mapping by projection (of qkv: q); absent: none"},
    {"transposed", ParamType::Bool, false, {}, {}, "weights are stored [in, out]"},
    {"heads", ParamType::Int, true, {}, {}, "query heads"},
    {"kv_heads", ParamType::Int, false, {}, {}, "key heads; absent: as many as heads"},
    {"head_dim", ParamType::Int, true, {}, {}, "features of a head"},
    {"width", ParamType::Int, false, {}, {}, "features of the result; absent: as many as the input has"},
    {"memory", ParamType::Mapping, false, {}, kOther, "keys and values are projected from this value (cross attention)"},
    {"keep", ParamType::Bind, false, {}, {}, "binds this layer's keys and values for other layers"},
    {"reuse",
     ParamType::Mapping,
     false,
     {},
     kOther,
     "takes the keys and values that another layer kept; k and v have no tensors then"},
    {"qk_norm", ParamType::Mapping, false, {}, kQkNorm, ""},
    {"rope", ParamType::Mapping, false, {}, {}, ""}, // its keys are set below: one table for all blocks
};

/// The schema with the shared rope keys and those of `attend` in it.
const std::vector<ParamSchema> &params() {
  static const std::vector<ParamSchema> all = [] {
    std::vector<ParamSchema> copy(std::begin(kParams), std::end(kParams));
    copy.back().nested = kRopeParams;
    copy.insert(copy.end(), kAttendParams.begin(), kAttendParams.end());
    return copy;
  }();
  return all;
}

/// Whether a mapping's `when` is true or absent.
FailureOr<bool> wanted(BlockContext &context, const Param *mapping) {
  if (!mapping)
    return false;
  const Param *when = mapping->find("when");
  return when ? when->evalBool(context.scope, context.diags()) : FailureOr<bool>(true);
}

/// The norms of a step, evaluated.
struct Norms {
  std::string kind, q, k;
  double eps = 0, offset = 0;
  bool values = false, afterRope = false, whole = false;
};
FailureOr<std::optional<Norms>> readNorms(BlockContext &context) {
  const Param *mapping = context.step.find("qk_norm");
  FailureOr<bool> use = wanted(context, mapping);
  if (failed(use))
    return failure();
  if (!*use)
    return std::optional<Norms>();
  Norms norms;
  auto flag = [&](StringRef key, bool &into) -> LogicalResult {
    const Param *param = mapping->find(key);
    if (!param)
      return success();
    FailureOr<bool> value = param->evalBool(context.scope, context.diags());
    if (failed(value))
      return failure();
    into = *value;
    return success();
  };
  auto name = [&](StringRef key, std::string &into) -> LogicalResult {
    const Param *param = mapping->find(key);
    if (!param)
      return success();
    FailureOr<std::string> value = context.tensorName(*param);
    if (failed(value))
      return failure();
    into = *value;
    return success();
  };
  FailureOr<std::string> kind = mapping->find("kind")->evalText(context.scope, context.diags());
  FailureOr<double> eps = mapping->find("eps")->evalNumber(context.scope, context.diags());
  if (failed(kind) || failed(eps) || failed(name("q", norms.q)) || failed(name("k", norms.k)) ||
      failed(flag("v", norms.values)) || failed(flag("after_rope", norms.afterRope)) || failed(flag("whole", norms.whole)))
    return failure();
  if (const Param *offset = mapping->find("offset")) {
    FailureOr<double> value = offset->evalNumber(context.scope, context.diags());
    if (failed(value))
      return failure();
    norms.offset = *value;
  }
  norms.kind = *kind, norms.eps = *eps;
  return std::optional<Norms>(norms);
}

Value applyNorm(BlockContext &context, const Norms &norms, const std::string &module, Value x) {
  const int64_t features = dimsOf(x.getType()).back().value();
  const std::string from = norms.whole ? "heads x head_dim" : "head_dim";
  Value weight = module.empty() ? Value() : context.weight(module + ".weight", {features}, from);
  if (norms.kind == "rms")
    return context.ops().create<fr::RmsNormOp>(context.loc(), x, weight, context.real(norms.eps), context.real(norms.offset));
  Value bias = !module.empty() && context.graph.findTensor(module + ".bias") ? context.weight(module + ".bias", {features}, from)
                                                                             : Value();
  return context.ops().create<fr::LayerNormOp>(context.loc(), x, weight, bias, context.real(norms.eps),
                                               context.real(norms.offset));
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
  FailureOr<int64_t> width = context.step.has("width") ? context.integer("width") : FailureOr<int64_t>(context.width());
  FailureOr<bool> transposed = context.flag("transposed", false), grouped = context.flag("grouped", false);
  FailureOr<std::optional<double>> clip = context.optionalNumber("clip");
  FailureOr<std::optional<Norms>> norms = readNorms(context);
  FailureOr<AttendOptions> options = attendOptions(context);
  if (failed(keyHeads) || failed(width) || failed(transposed) || failed(grouped) || failed(clip) || failed(norms) ||
      failed(options))
    return failure();
  if (*heads % *keyHeads != 0)
    return context.diags().error("config.json: num_key_value_heads",
                                 Twine(*heads) + " query heads do not share " + Twine(*keyHeads) + " key heads evenly",
                                 "restore the checkpoint's own config.json");
  // Another value that keys and values come from, or keys and values of another layer.
  auto other = [&](StringRef parameter) -> FailureOr<std::string> {
    const Param *mapping = context.step.find(parameter);
    FailureOr<bool> use = wanted(context, mapping);
    if (failed(use))
      return failure();
    return *use ? mapping->find("value")->evalText(context.scope, context.diags()) : FailureOr<std::string>(std::string());
  };
  FailureOr<std::string> memoryName = other("memory"), reuse = other("reuse");
  if (failed(memoryName) || failed(reuse))
    return failure();
  Value x = context.x(), memory = x;
  auto named = [&](const std::string &name) -> FailureOr<Value> {
    if (Value value = context.graph.lookup(name))
      return value;
    return context.diags().error(context.step.place.str(), "no value is called '" + name + "' here",
                                 "bind it in an earlier step");
  };
  if (!memoryName->empty()) {
    FailureOr<Value> value = named(*memoryName);
    if (failed(value))
      return failure();
    memory = *value;
    options->cache = false;
  }

  const std::string sizes = std::to_string(*heads) + " and " + std::to_string(*keyHeads) + " heads of " +
                            std::to_string(*headDim) + ", hidden size " + std::to_string(context.width());
  auto project = [&](StringRef which, Value from, int64_t count) -> FailureOr<Value> {
    FailureOr<std::string> module = context.tensorName(which);
    FailureOr<bool> bias = biasOf(context, which);
    if (failed(module) || failed(bias))
      return failure();
    if (module->empty())
      return context.diags().error(context.step.place.str(), "'attention' lacks '" + which + "'",
                                   "name its module, or all three in `qkv`");
    return context.linear(from, *module, count * *headDim, *bias, sizes, *transposed);
  };
  FailureOr<Value> q = failure(), k = failure(), v = failure();
  if (context.step.has("qkv")) {
    FailureOr<std::string> module = context.tensorName("qkv");
    FailureOr<bool> bias = biasOf(context, "q");
    if (failed(module) || failed(bias))
      return failure();
    const int64_t own = *heads * *headDim, shared = *keyHeads * *headDim, last = static_cast<int64_t>(context.dims().size()) - 1;
    FailureOr<Value> all = context.linear(x, *module, own + 2 * shared, *bias, sizes, *transposed);
    if (failed(all))
      return failure();
    if (*grouped) {
      const int64_t group = *heads / *keyHeads;
      DimExprs dims = context.dims();
      Value sorted = context.reshape(*all, {dims[0], dims[1], DimExpr(*keyHeads), DimExpr(group + 2), DimExpr(*headDim)});
      auto part = [&](int64_t start, int64_t size) {
        return context.reshape(context.slice(sorted, 3, DimExpr(start), DimExpr(size)),
                               {dims[0], dims[1], DimExpr(*keyHeads * size * *headDim)});
      };
      q = part(0, group), k = part(group, 1), v = part(group + 1, 1);
    } else {
      q = context.slice(*all, last, DimExpr(0), DimExpr(own));
      k = context.slice(*all, last, DimExpr(own), DimExpr(shared));
      v = context.slice(*all, last, DimExpr(own + shared), DimExpr(shared));
    }
  } else {
    if (failed(q = project("q", x, *heads)))
      return failure();
    if (reuse->empty() && (failed(k = project("k", memory, *keyHeads)) || failed(v = project("v", memory, *keyHeads))))
      return failure();
  }
  const bool ownKeys = reuse->empty();
  if (*clip) {
    auto cut = [&](Value x) {
      Value low = context.ops().create<fr::MaximumOp>(context.loc(), x, context.constant(-**clip));
      return context.ops().create<fr::MinimumOp>(context.loc(), low, context.constant(**clip)).getResult();
    };
    q = cut(*q);
    if (ownKeys)
      k = cut(*k), v = cut(*v);
  }
  auto norm = [&](bool whole, bool after) {
    if (!*norms || (*norms)->whole != whole || (!whole && (*norms)->afterRope != after))
      return;
    q = applyNorm(context, **norms, (*norms)->q, *q);
    if (ownKeys)
      k = applyNorm(context, **norms, (*norms)->k, *k);
  };
  norm(true, false);
  q = splitHeads(context, *q, *heads, *headDim);
  if (ownKeys) {
    k = splitHeads(context, *k, *keyHeads, *headDim);
    v = splitHeads(context, *v, *keyHeads, *headDim);
  }
  norm(false, false);
  if (ownKeys && *norms && (*norms)->values)
    v = context.ops().create<fr::RmsNormOp>(context.loc(), *v, Value(), context.real((*norms)->eps), context.real(0)).getResult();
  const Param *rope = context.step.find("rope");
  FailureOr<bool> turn = wanted(context, rope);
  if (failed(turn))
    return failure();
  if (*turn) {
    FailureOr<std::pair<Value, Value>> tables = ropeTables(context, [&](StringRef name) { return rope->find(name); }, *headDim);
    if (failed(tables))
      return failure();
    bool interleaved = false;
    if (const Param *given = rope->find("interleaved")) {
      FailureOr<bool> value = given->evalBool(context.scope, context.diags());
      if (failed(value))
        return failure();
      interleaved = *value;
    }
    auto rotate = [&](Value x) {
      return context.ops().create<fr::RopeOp>(context.loc(), x, tables->first, tables->second, interleaved).getResult();
    };
    q = rotate(*q);
    if (ownKeys)
      k = rotate(*k);
  }
  norm(false, true);
  if (!ownKeys) {
    k = named(*reuse);
    v = named(*reuse + "#values");
    if (failed(k) || failed(v))
      return failure();
    options->cache = false;
  } else if (options->cache) {
    k = context.graph.appendState("key", *k, 2, options->cacheLayer);
    v = context.graph.appendState("value", *v, 2, options->cacheLayer);
    options->cache = false;
  }
  if (const Param *keep = context.step.find("keep")) {
    FailureOr<std::string> name = keep->evalText(context.scope, context.diags());
    if (failed(name))
      return failure();
    context.graph.bind(*name, *k);
    context.graph.bind(*name + "#values", *v);
  }
  FailureOr<Value> mixed = attend(context, *q, *k, *v, *options);
  if (failed(mixed))
    return failure();
  FailureOr<std::string> module = context.tensorName("o");
  FailureOr<bool> bias = biasOf(context, "o");
  if (failed(module) || failed(bias))
    return failure();
  FailureOr<Value> out = context.linear(mergeHeads(context, *mixed), *module, *width, *bias, sizes, *transposed);
  if (failed(out))
    return failure();
  return llvm::SmallVector<Value>{*out};
}
