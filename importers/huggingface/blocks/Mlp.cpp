// Feed-forward: down(act(gate x) * up x), or down(act(up x)) without a gate (SwiGLU and relatives, arXiv:2002.05202).
#include "importers/huggingface/blocks/Blocks.h"

using namespace flagrelease;
using namespace mlir;

namespace {
const ParamSchema kParams[] = {
    {"gate", ParamType::Tensor, false, {}, {}, "module [width, hidden]; absent: no gate"},
    {"up", ParamType::Tensor, true, {}, {}, "module [width, hidden]"},
    {"down", ParamType::Tensor, true, {}, {}, "module [hidden, width]"},
    {"act", ParamType::String, true, {}, {}, "activation, by its name in config.json"},
    {"bias", ParamType::Bool, false, {}, {}, "of all projections"},
    {"width", ParamType::Int, false, {}, {}, "features inside; absent: the rows of `up` on disk"},
};
} // namespace

const StepSchema flagrelease::kMlpSchema = {"mlp", kParams, false, "gated or plain feed-forward block"};

BlockResult flagrelease::buildMlp(BlockContext &context) {
  FailureOr<std::string> up = context.tensorName("up"), gate = context.tensorName("gate"), down = context.tensorName("down");
  FailureOr<std::optional<std::string>> act = context.text("act");
  FailureOr<bool> bias = context.flag("bias", false);
  FailureOr<std::optional<int64_t>> given = context.optionalInteger("width");
  if (failed(up) || failed(gate) || failed(down) || failed(act) || failed(bias) || failed(given))
    return failure();
  int64_t width = given->value_or(0);
  std::string from = "intermediate size " + std::to_string(width);
  if (!*given) {
    const CheckpointTensor *tensor = context.graph.findTensor(*up + ".weight");
    width = tensor && tensor->shape.size() == 2 ? tensor->shape[0] : 1;
    from = "rows of " + *up;
  }
  if (width < 1 || width > (int64_t(1) << 31))
    return context.diags().error("config.json: intermediate_size", "is " + Twine(width) + ", which no model has",
                                 "correct config.json");
  from += ", hidden size " + std::to_string(context.width());
  FailureOr<Value> a = context.linear(context.x(), gate->empty() ? *up : *gate, width, *bias, from);
  if (failed(a) || failed(a = activation(context, act->value_or(""), *a, context.step.find("act")->place)))
    return failure();
  if (!gate->empty()) {
    FailureOr<Value> u = context.linear(context.x(), *up, width, *bias, from);
    if (failed(u))
      return failure();
    a = context.ops().create<fr::MulOp>(context.loc(), *a, *u).getResult();
  }
  FailureOr<Value> y = context.linear(*a, *down, context.width(), *bias, from);
  if (failed(y))
    return failure();
  return llvm::SmallVector<Value>{*y};
}
