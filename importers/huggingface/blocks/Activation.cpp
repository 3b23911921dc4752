// Activations by the names that config.json uses, and the functions of one value that recipes need besides.
#include "importers/huggingface/blocks/Blocks.h"

#include "text/Nearest.h"

using namespace flagrelease;
using namespace mlir;

namespace {
using Make = Value (*)(BlockContext &, Value);
struct Entry {
  StringRef name;
  Make make;
};

template <typename Op> Value simple(BlockContext &context, Value x) { return context.ops().create<Op>(context.loc(), x); }
template <typename Op> Value binary(BlockContext &context, Value a, Value b) {
  return context.ops().create<Op>(context.loc(), a, b);
}
Value gelu(BlockContext &context, Value x) { return context.ops().create<fr::GeluOp>(context.loc(), x, fr::GeluKind::None); }
Value geluTanh(BlockContext &context, Value x) { return context.ops().create<fr::GeluOp>(context.loc(), x, fr::GeluKind::Tanh); }
/// x sigmoid(1.702 x)
Value quickGelu(BlockContext &context, Value x) {
  return binary<fr::MulOp>(context, x, simple<fr::SigmoidOp>(context, binary<fr::MulOp>(context, x, context.constant(1.702))));
}
Value relu2(BlockContext &context, Value x) {
  Value relu = simple<fr::ReluOp>(context, x);
  return binary<fr::MulOp>(context, relu, relu);
}
Value relu6(BlockContext &context, Value x) {
  return binary<fr::MinimumOp>(context, simple<fr::ReluOp>(context, x), context.constant(6));
}
/// x tanh(log(1 + e^x)) (arXiv:1908.08681)
Value mish(BlockContext &context, Value x) {
  return binary<fr::MulOp>(context, x, simple<fr::TanhOp>(context, simple<fr::SoftplusOp>(context, x)));
}
Value hardSigmoid(BlockContext &context, Value x) {
  return binary<fr::DivOp>(context, relu6(context, binary<fr::AddOp>(context, x, context.constant(3))), context.constant(6));
}
Value hardSwish(BlockContext &context, Value x) { return binary<fr::MulOp>(context, x, hardSigmoid(context, x)); }
Value square(BlockContext &context, Value x) { return binary<fr::MulOp>(context, x, x); }
Value same(BlockContext &, Value x) { return x; }

const Entry kActivations[] = {
    {"silu", simple<fr::SiluOp>},
    {"swish", simple<fr::SiluOp>},
    {"gelu", gelu},
    {"gelu_python", gelu},
    {"gelu_new", geluTanh},
    {"gelu_fast", geluTanh},
    {"gelu_pytorch_tanh", geluTanh},
    {"gelu_accurate", geluTanh},
    {"gelu_python_tanh", geluTanh},
    {"quick_gelu", quickGelu},
    {"relu", simple<fr::ReluOp>},
    {"relu2", relu2},
    {"relu6", relu6},
    {"tanh", simple<fr::TanhOp>},
    {"sigmoid", simple<fr::SigmoidOp>},
    {"mish", mish},
    {"hard_sigmoid", hardSigmoid},
    {"hardsigmoid", hardSigmoid},
    {"hard_swish", hardSwish},
    {"hardswish", hardSwish},
    {"linear", same},
    {"identity", same},
};
/// Names of recipes, not of configs.
const Entry kFunctions[] = {
    {"softplus", simple<fr::SoftplusOp>}, {"exp", simple<fr::ExpOp>},     {"log", simple<fr::LogOp>},
    {"sqrt", simple<fr::SqrtOp>},         {"rsqrt", simple<fr::RsqrtOp>}, {"neg", simple<fr::NegOp>},
    {"abs", simple<fr::AbsOp>},           {"sin", simple<fr::SinOp>},     {"cos", simple<fr::CosOp>},
    {"floor", simple<fr::FloorOp>},       {"erf", simple<fr::ErfOp>},     {"square", square},
    {"not", simple<fr::NotOp>},
};
} // namespace

llvm::ArrayRef<StringRef> flagrelease::activationNames() {
  static const std::vector<StringRef> names = [] {
    std::vector<StringRef> all;
    for (const Entry &entry : kActivations)
      all.push_back(entry.name);
    return all;
  }();
  return names;
}

FailureOr<Value> flagrelease::activation(BlockContext &context, StringRef name, Value x, const Place &place) {
  for (llvm::ArrayRef<Entry> table : {llvm::ArrayRef<Entry>(kActivations), llvm::ArrayRef<Entry>(kFunctions)})
    for (const Entry &entry : table)
      if (entry.name == name)
        return entry.make(context, x);
  return context.diags().error(place.str(), "unknown activation '" + name + "'" + nearestNote(name, activationNames()),
                               "known are: " + listed(activationNames()));
}
