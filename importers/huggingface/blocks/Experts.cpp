// Mixtures of experts: the chosen ones' feed-forward parts, weighted and summed. Who chooses is written in the recipe.
#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const StringRef kActs[] = {"silu", "gelu", "gelu_tanh", "relu", "relu2"};
const StringRef kFused[] = {"halves", "interleaved"};
const ParamSchema kParams[] = {
    {"experts", ParamType::Int, true, {}, {}, "how many"},
    {"width", ParamType::Int, true, {}, {}, "features inside an expert"},
    {"gate",
     ParamType::Tensor,
     false,
     {},
     {},
     "tensor [width, hidden], with {e} where the expert's number stands; without {e} all in one [experts, ..]"},
    {"up", ParamType::Tensor, false, {}, {}, "likewise"},
    {"gate_up", ParamType::Tensor, false, {}, {}, "likewise, both in one: [2 width, hidden]"},
    {"fused", ParamType::Enum, false, kFused, {}, "gate rows first, or rows of gate and up in turn; absent: halves"},
    {"down", ParamType::Tensor, true, {}, {}, "tensor [hidden, width]"},
    {"gate_up_bias", ParamType::Tensor, false, {}, {}, "[2 width]"},
    {"gate_bias", ParamType::Tensor, false, {}, {}, "[width]"},
    {"up_bias", ParamType::Tensor, false, {}, {}, "[width]"},
    {"down_bias", ParamType::Tensor, false, {}, {}, "[hidden]"},
    {"transposed", ParamType::Bool, false, {}, {}, "stored [in, out]"},
    {"down_transposed", ParamType::Bool, false, {}, {}, "`down` alone is stored so; absent: as the others"},
    {"either_order",
     ParamType::Bool,
     false,
     {},
     {},
     "files have stacks in both orders: a shape that fits one way only says which"},
    {"flat", ParamType::Bool, false, {}, {}, "experts stand one after the other along the first axis of a matrix"},
    {"act", ParamType::Enum, true, kActs, {}, ""},
    {"alpha", ParamType::Number, false, {}, {}, "silu is g * sigmoid(alpha g); absent: 1"},
    {"shift", ParamType::Number, false, {}, {}, "added to the up projection; absent: 0"},
    {"limit", ParamType::Number, false, {}, {}, "cuts the gate from above and up from both sides; null: no limit"},
    {"scores_first", ParamType::Bool, false, {}, {}, "the score scales what goes into an expert"},
};

/// All experts of one projection in one value [experts, outs, ins], or [experts, outs] of a bias.
FailureOr<Value> stackOf(BlockContext &context, StringRef parameter, int64_t experts, llvm::ArrayRef<int64_t> shape,
                         bool transposed) {
  const Param *param = context.step.find(parameter);
  FailureOr<bool> flat = context.flag("flat", false);
  if (failed(flat))
    return failure();
  llvm::SmallVector<int64_t> stored(shape);
  if (transposed)
    std::swap(stored[0], stored[1]);
  const bool perExpert = StringRef(param->nameTemplate->text()).contains("{e}");
  Value all;
  if (perExpert) {
    llvm::SmallVector<Value> parts;
    for (int64_t e = 0; e < experts; ++e) {
      Scope scope(&context.scope);
      scope.bind("e", json::Value(e));
      FailureOr<std::string> text = param->evalText(scope, context.diags());
      if (failed(text))
        return failure();
      StringRef name = *text;
      std::string whole = name.consume_front("/") || context.at.empty() ? name.str() : context.at + "." + name.str();
      Value one = context.weight(whole, stored, "experts of width " + Twine(shape[0]));
      DimExprs dims = dimsOf(one.getType());
      dims.insert(dims.begin(), DimExpr(1));
      parts.push_back(context.reshape(one, dims));
    }
    all = context.ops().create<fr::ConcatOp>(context.loc(), parts, 0);
  } else {
    FailureOr<std::string> name = context.tensorName(*param);
    if (failed(name))
      return failure();
    llvm::SmallVector<int64_t> dims(stored);
    if (*flat) {
      dims[0] *= experts;
      all = context.weight(*name, dims, Twine(experts) + " experts of width " + Twine(shape[0]));
      DimExprs whole{DimExpr(experts)};
      for (int64_t d : stored)
        whole.push_back(DimExpr(d));
      all = context.reshape(all, whole);
    } else {
      dims.insert(dims.begin(), experts);
      FailureOr<bool> either = context.flag("either_order", false);
      if (failed(either))
        return failure();
      const CheckpointTensor *tensor = *either ? context.graph.findTensor(*name) : nullptr;
      if (tensor && tensor->shape.size() == 3 && stored[0] != stored[1] && tensor->shape[1] == stored[1] &&
          tensor->shape[2] == stored[0]) {
        std::swap(dims[1], dims[2]);
        transposed = !transposed;
      }
      all = context.weight(*name, dims, Twine(experts) + " experts of width " + Twine(shape[0]));
    }
  }
  return transposed ? context.transpose(all, {0, 2, 1}) : all;
}

BlockResult buildMoe(BlockContext &context) {
  if (failed(context.operandCount(3, 3)))
    return failure();
  FailureOr<int64_t> experts = context.integer("experts"), width = context.integer("width");
  FailureOr<std::optional<std::string>> act = context.text("act"), fused = context.text("fused");
  FailureOr<bool> transposed = context.flag("transposed", false), first = context.flag("scores_first", false);
  if (failed(transposed))
    return failure();
  FailureOr<bool> downTransposed = context.flag("down_transposed", *transposed);
  FailureOr<std::optional<double>> alpha = context.optionalNumber("alpha"), shift = context.optionalNumber("shift"),
                                   limit = context.optionalNumber("limit");
  if (failed(experts) || failed(width) || failed(act) || failed(fused) || failed(downTransposed) || failed(first) ||
      failed(alpha) || failed(shift) || failed(limit))
    return failure();
  const int64_t hidden = context.width();
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  Value gate, up, gateBias, upBias, downBias;
  // Rows of gate and up out of a value whose axis 1 holds both.
  auto half = [&](Value both, int64_t which) -> Value {
    DimExprs dims = dimsOf(both.getType());
    if (fused->value_or("halves") == "halves")
      return ops.create<fr::SliceOp>(loc, both, 1, which * *width, *width);
    DimExprs pairs(dims);
    pairs[1] = DimExpr(*width);
    pairs.insert(pairs.begin() + 2, DimExpr(2));
    Value one = ops.create<fr::SliceOp>(loc, context.reshape(both, pairs), 2, which, 1);
    dims[1] = DimExpr(*width);
    return context.reshape(one, dims);
  };
  // Where a recipe names both layouts, the file decides.
  bool hasBoth = context.step.has("gate_up") && context.step.has("up");
  if (hasBoth) {
    Scope first(&context.scope);
    first.bind("e", json::Value(0));
    FailureOr<std::string> text = context.step.find("gate_up")->evalText(first, context.diags());
    if (failed(text))
      return failure();
    StringRef name = *text;
    std::string whole = name.consume_front("/") || context.at.empty() ? name.str() : context.at + "." + name.str();
    hasBoth = !context.graph.findTensor(whole);
  }
  const bool separate = hasBoth, chosen = context.step.has("gate_up") && context.step.has("up");
  auto stack = [&](StringRef name, llvm::ArrayRef<int64_t> shape) -> FailureOr<Value> {
    if (chosen && (separate                   ? name.starts_with("gate_up")
                   : name.starts_with("gate") ? !name.starts_with("gate_up")
                                              : name.starts_with("up")))
      return Value();
    const bool turned = shape.size() == 2 && (name == "down" ? *downTransposed : *transposed);
    return context.step.has(name) ? stackOf(context, name, *experts, shape, turned) : FailureOr<Value>(Value());
  };
  FailureOr<Value> both = stack("gate_up", {2 * *width, hidden}), bothBias = stack("gate_up_bias", {2 * *width}),
                   g = stack("gate", {*width, hidden}), u = stack("up", {*width, hidden}), down = stack("down", {hidden, *width}),
                   gb = stack("gate_bias", {*width}), ub = stack("up_bias", {*width}), db = stack("down_bias", {hidden});
  if (failed(both) || failed(bothBias) || failed(g) || failed(u) || failed(down) || failed(gb) || failed(ub) || failed(db))
    return failure();
  gate = *both ? half(*both, 0) : *g;
  up = *both ? half(*both, 1) : *u;
  gateBias = *bothBias ? half(*bothBias, 0) : *gb;
  upBias = *bothBias ? half(*bothBias, 1) : *ub;
  downBias = *db;
  if (!up)
    return context.diags().error(context.step.place.str(), "'moe' lacks `up` or `gate_up`", "name the tensors");
  return llvm::SmallVector<Value>{ops.create<fr::MoeOp>(
      loc, context.operands[0], context.operands[1], context.operands[2], gate, up, *down, gateBias, upBias, downBias,
      fr::ActKindAttr::get(ops.getContext(), *fr::symbolizeActKind(**act)), context.real(alpha->value_or(1)),
      context.real(shift->value_or(0)), *limit ? context.real(**limit) : FloatAttr(), *first ? ops.getUnitAttr() : UnitAttr())};
}

const StepSchema kSchemas[] = {{"moe", kParams, false, "experts on x by indices and scores: three inputs"}};
} // namespace

llvm::ArrayRef<StepBlock> flagrelease::expertSteps() {
  static constexpr BlockFunction kBuilders[] = {buildMoe};
  static const std::vector<StepBlock> steps = stepTable(kSchemas, kBuilders);
  return steps;
}
