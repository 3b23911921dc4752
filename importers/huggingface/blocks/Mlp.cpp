// Feed-forward: down(act(gate x) * up x), or down(act(up x)) without a gate (SwiGLU and relatives, arXiv:2002.05202).
#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const ParamSchema kParams[] = {
    {"gate", ParamType::Tensor, false, {}, {}, "module [width, hidden]; absent: no gate"},
    {"up", ParamType::Tensor, false, {}, {}, "module [width, hidden]"},
    {"gate_up", ParamType::Tensor, false, {}, {}, "or one module with the rows of both, gate first"},
    {"down", ParamType::Tensor, true, {}, {}, "module [hidden, width]"},
    {"act", ParamType::String, true, {}, {}, "activation, by its name in config.json"},
    {"bias", ParamType::Bool, false, {}, {}, "of all projections"},
    {"width", ParamType::Int, false, {}, {}, "features inside; absent: the rows of `up` on disk"},
    {"transposed", ParamType::Bool, false, {}, {}, "weights are stored [in, out]"},
};
} // namespace

const StepSchema flagrelease::kMlpSchema = {"mlp", kParams, false, "gated or plain feed-forward block"};

BlockResult flagrelease::buildMlp(BlockContext &context) {
  FailureOr<std::string> up = context.tensorName("up"), gate = context.tensorName("gate"), down = context.tensorName("down");
  FailureOr<std::optional<std::string>> act = context.text("act");
  FailureOr<bool> bias = context.flag("bias", false);
  FailureOr<std::optional<int64_t>> given = context.optionalInteger("width");
  FailureOr<std::string> both = context.tensorName("gate_up");
  FailureOr<bool> transposed = context.flag("transposed", false);
  if (failed(up) || failed(gate) || failed(down) || failed(act) || failed(bias) || failed(given) || failed(both) ||
      failed(transposed))
    return failure();
  if (up->empty() == both->empty())
    return context.diags().error(context.step.place.str(), "'mlp' takes one of `up` and `gate_up`", "name the module");
  int64_t width = given->value_or(0);
  std::string from = "intermediate size " + std::to_string(width);
  if (!*given) {
    const std::string &module = both->empty() ? *up : *both;
    const CheckpointTensor *tensor = context.graph.findTensor(module + ".weight");
    width = tensor && tensor->shape.size() == 2 ? tensor->shape[*transposed ? 1 : 0] / (both->empty() ? 1 : 2) : 1;
    from = "rows of " + module;
  }
  if (width < 1 || width > (int64_t(1) << 31))
    return context.diags().error("config.json: intermediate_size", "is " + Twine(width) + ", which no model has",
                                 "correct config.json");
  from += ", hidden size " + std::to_string(context.width());
  FailureOr<Value> a = failure(), u = failure();
  if (!both->empty()) {
    FailureOr<Value> all = context.linear(context.x(), *both, 2 * width, *bias, from, *transposed);
    if (failed(all))
      return failure();
    const int64_t last = rankOf(all->getType()) - 1;
    a = context.slice(*all, last, DimExpr(0), DimExpr(width));
    u = context.slice(*all, last, DimExpr(width), DimExpr(width));
  } else {
    a = context.linear(context.x(), gate->empty() ? *up : *gate, width, *bias, from, *transposed);
    if (failed(a) || (!gate->empty() && failed(u = context.linear(context.x(), *up, width, *bias, from, *transposed))))
      return failure();
  }
  if (failed(a) || failed(a = activation(context, act->value_or(""), *a, context.step.find("act")->place)))
    return failure();
  if (succeeded(u))
    a = context.ops().create<fr::MulOp>(context.loc(), *a, *u).getResult();
  FailureOr<Value> y = context.linear(*a, *down, context.width(), *bias, from, *transposed);
  if (failed(y))
    return failure();
  return llvm::SmallVector<Value>{*y};
}
