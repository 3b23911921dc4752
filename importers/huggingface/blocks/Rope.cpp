// Rotary tables from a config's rope mapping (formulas: transformers, modeling_rope_utils; yarn arXiv:2309.00071, longrope
// arXiv:2402.13753). The mapping is normalised (importers/huggingface/Config.h).
#include "importers/huggingface/blocks/Blocks.h"

#include "text/Nearest.h"

#include <cmath>

using namespace flagrelease;
using namespace mlir;

namespace {
const ParamSchema kParams[] = {
    {"theta", ParamType::Number, true, {}, {}, "base of the frequencies"},
    {"scaling", ParamType::Expr, false, {}, {}, "rope_scaling of the config, or null"},
    {"dim", ParamType::Int, false, {}, {}, "rotary features of a head; absent: all"},
    {"interleaved", ParamType::Bool, false, {}, {}, "pairs are (2j, 2j + 1), not (j, j + dim / 2)"},
    {"angles", ParamType::Int, false, {}, {}, "only so many pairs turn, with exponents over all of dim (proportional)"},
    {"when", ParamType::Bool, false, {}, {}, "false: no rotation here"},
};

/// Reads numbers of the mapping; remembers what is missing.
class Scaling {
public:
  Scaling(const json::Object &mapping, BlockContext &context) : mapping(mapping), context(context) {}

  std::optional<double> number(StringRef key) const {
    const json::Value *value = mapping.find(key);
    return value ? value->asNumber() : std::nullopt;
  }
  double required(StringRef key) {
    if (std::optional<double> value = number(key))
      return *value;
    (void)context.diags().error("config.json: rope_scaling." + key, "is missing; rope_type " + type().str() + " needs it",
                                "restore the checkpoint's own config.json");
    ok = false;
    return 1.0;
  }
  std::vector<double> list(StringRef key, int64_t size) {
    std::vector<double> out;
    const json::Value *value = mapping.find(key);
    if (value && value->isArray())
      for (const json::Value &item : value->array())
        if (std::optional<double> n = item.asNumber())
          out.push_back(*n);
    if (static_cast<int64_t>(out.size()) != size) {
      (void)context.diags().error("config.json: rope_scaling." + key,
                                  "holds " + Twine(out.size()) + " numbers, the heads need " + Twine(size),
                                  "restore the checkpoint's own config.json");
      ok = false;
      out.assign(size, 1.0);
    }
    return out;
  }
  bool boolean(StringRef key, bool otherwise) const {
    const json::Value *value = mapping.find(key);
    return value && value->isBool() ? value->boolean() : otherwise;
  }
  StringRef type() const { return mapping.find("rope_type")->string(); }
  bool ok = true;

private:
  const json::Object &mapping;
  BlockContext &context;
};

double yarnScale(double factor, double mscale) { return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0; }
} // namespace

const llvm::ArrayRef<ParamSchema> flagrelease::kRopeParams = kParams;

FailureOr<std::pair<Value, Value>> flagrelease::ropeTables(BlockContext &context,
                                                           llvm::function_ref<const Param *(StringRef)> find, int64_t headDim,
                                                           Value positions) {
  FailureOr<double> theta = find("theta")->evalNumber(context.scope, context.diags());
  if (failed(theta))
    return failure();
  int64_t dim = headDim;
  if (const Param *given = find("dim")) {
    FailureOr<json::Value> value = given->eval(context.scope, context.diags());
    if (failed(value))
      return failure();
    if (value->isInt())
      dim = value->integer();
  }
  if (dim <= 0 || dim > headDim || dim % 2 != 0)
    return context.diags().error("config.json: head_dim",
                                 "rotary size " + Twine(dim) + " is not even and at most " + Twine(headDim),
                                 "restore the checkpoint's own config.json");
  json::Value scaling;
  if (const Param *given = find("scaling")) {
    FailureOr<std::optional<json::Value>> value = given->expr ? given->expr->evalOptional(context.scope, context.diags())
                                                              : FailureOr<std::optional<json::Value>>(std::nullopt);
    if (failed(value))
      return failure();
    if (*value)
      scaling = **value;
  }

  OpBuilder &ops = context.ops();
  auto real = [&](double value) { return ops.getF64FloatAttr(value); };
  if (!positions && !(positions = context.graph.input("position_ids")))
    return failure();
  fr::RopeKind kind = fr::RopeKind::Default;
  NamedAttrList attributes;
  double attentionScaling = 1.0;
  if (scaling.isObject()) {
    Scaling s(scaling.object(), context);
    static const StringRef kinds[] = {"default", "linear", "dynamic", "llama3", "yarn", "longrope"};
    std::optional<fr::RopeKind> known = fr::symbolizeRopeKind(s.type());
    if (!known)
      return context.diags().error("config.json: rope_scaling.rope_type",
                                   "unknown kind '" + s.type() + "'" + nearestNote(s.type(), llvm::ArrayRef<StringRef>(kinds)),
                                   "known are: " + listed(llvm::ArrayRef<StringRef>(kinds)));
    kind = *known;
    auto originalMax = [&] {
      attributes.set("original_max", ops.getI64IntegerAttr(static_cast<int64_t>(s.required("original_max_position_embeddings"))));
    };
    // Where the factor is absent, the ratio of both lengths says it.
    auto factorOrRatio = [&] {
      if (std::optional<double> given = s.number("factor"))
        return *given;
      return s.required("max_position_embeddings") / s.required("original_max_position_embeddings");
    };
    switch (kind) {
    case fr::RopeKind::Default:
    case fr::RopeKind::Proportional: // by `angles`, not by a config's type
      break;
    case fr::RopeKind::Linear:
      attributes.set("factor", real(s.required("factor")));
      break;
    case fr::RopeKind::Dynamic:
      attributes.set("factor", real(s.required("factor")));
      attributes.set("original_max", ops.getI64IntegerAttr(static_cast<int64_t>(s.required("max_position_embeddings"))));
      break;
    case fr::RopeKind::Llama3:
      attributes.set("factor", real(s.required("factor")));
      attributes.set("low_freq_factor", real(s.required("low_freq_factor")));
      attributes.set("high_freq_factor", real(s.required("high_freq_factor")));
      originalMax();
      break;
    case fr::RopeKind::Yarn: {
      double factor = factorOrRatio();
      attributes.set("factor", real(factor));
      // 0 counts as absent, as in the published code.
      auto orDefault = [&](StringRef key, double otherwise) {
        double value = s.number(key).value_or(otherwise);
        return value == 0 ? otherwise : value;
      };
      attributes.set("beta_fast", real(orDefault("beta_fast", 32)));
      attributes.set("beta_slow", real(orDefault("beta_slow", 1)));
      if (!s.boolean("truncate", true))
        attributes.set("truncate", ops.getBoolAttr(false));
      originalMax();
      double mscale = s.number("mscale").value_or(0), all = s.number("mscale_all_dim").value_or(0);
      if (std::optional<double> given = s.number("attention_factor"))
        attentionScaling = *given;
      else if (mscale != 0 && all != 0)
        attentionScaling = yarnScale(factor, mscale) / yarnScale(factor, all);
      else
        attentionScaling = yarnScale(factor, 1);
      break;
    }
    case fr::RopeKind::Longrope: {
      originalMax();
      attributes.set("short_factor", ops.getDenseF64ArrayAttr(s.list("short_factor", dim / 2)));
      attributes.set("long_factor", ops.getDenseF64ArrayAttr(s.list("long_factor", dim / 2)));
      double factor = factorOrRatio(), original = s.required("original_max_position_embeddings");
      if (std::optional<double> given = s.number("attention_factor"))
        attentionScaling = *given;
      else
        attentionScaling = factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original));
      break;
    }
    }
    if (!s.ok)
      return failure();
  }
  if (const Param *given = find("angles")) {
    FailureOr<std::optional<json::Value>> angles = given->expr->evalOptional(context.scope, context.diags());
    if (failed(angles))
      return failure();
    if (*angles && (*angles)->isInt()) {
      kind = fr::RopeKind::Proportional;
      attributes.set("angles", ops.getI64IntegerAttr((*angles)->integer()));
    }
  }
  attributes.set("dim", ops.getI64IntegerAttr(dim));
  attributes.set("theta", real(*theta));
  attributes.set("kind", fr::RopeKindAttr::get(ops.getContext(), kind));
  if (attentionScaling != 1.0)
    attributes.set("attention_scaling", real(attentionScaling));
  auto table = ops.create<fr::RopeTableOp>(context.loc(), ValueRange{positions}, attributes.getAttrs());
  return std::pair<Value, Value>(table.getCos(), table.getSin());
}
