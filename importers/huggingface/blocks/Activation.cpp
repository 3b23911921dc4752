// Activations by the names that config.json uses.
#include "importers/huggingface/blocks/Blocks.h"

#include "text/Nearest.h"

using namespace flagrelease;
using namespace mlir;

namespace {
enum class Act { Silu, Gelu, GeluTanh, Relu, Tanh, Sigmoid };
struct Entry {
  StringRef name;
  Act act;
};
const Entry kActivations[] = {
    {"silu", Act::Silu},         {"swish", Act::Silu},         {"gelu", Act::Gelu},
    {"gelu_new", Act::GeluTanh}, {"gelu_fast", Act::GeluTanh}, {"gelu_pytorch_tanh", Act::GeluTanh},
    {"relu", Act::Relu},         {"tanh", Act::Tanh},          {"sigmoid", Act::Sigmoid},
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
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  for (const Entry &entry : kActivations) {
    if (entry.name != name)
      continue;
    switch (entry.act) {
    case Act::Silu:
      return ops.create<fr::SiluOp>(loc, x).getResult();
    case Act::Gelu:
      return ops.create<fr::GeluOp>(loc, x, fr::GeluKind::None).getResult();
    case Act::GeluTanh:
      return ops.create<fr::GeluOp>(loc, x, fr::GeluKind::Tanh).getResult();
    case Act::Relu:
      return ops.create<fr::ReluOp>(loc, x).getResult();
    case Act::Tanh:
      return ops.create<fr::TanhOp>(loc, x).getResult();
    case Act::Sigmoid:
      return ops.create<fr::SigmoidOp>(loc, x).getResult();
    }
  }
  return context.diags().error(place.str(), "unknown activation '" + name + "'" + nearestNote(name, activationNames()),
                               "known are: " + listed(activationNames()));
}
