#include "passes/to_onnx/Emitter.h"

#include "ir/onnx/Schema.h"

#include <set>

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;
using onnx_ir::NodeOp;

Emitter::Emitter(func::FuncOp function, const OnnxTarget &target, Diagnostics &diags)
    : builder(function.getContext()), function(function), target(target), diags(diags), loc(function.getLoc()) {}

/// A name that people recognise in a viewer: the op's own, that of the weights it uses, or the kind of the op.
Location Emitter::locationOf(Operation *op) const {
  Location found = op->getLoc();
  if (auto fused = dyn_cast<FusedLoc>(found))
    for (Location part : fused.getLocations())
      if (isa<NameLoc>(part))
        found = part;
  if (isa<NameLoc>(found))
    return found;
  for (Value operand : op->getOperands()) {
    while (Operation *stored = operand.getDefiningOp()) {
      if (!isStorage(stored))
        break;
      operand = stored->getOperand(0);
    }
    if (auto use = operand.getDefiningOp<fr::UseOp>()) {
      StringRef param = use.getParam();
      return NameLoc::get(StringAttr::get(op->getContext(), param.rsplit('.').first), found);
    }
  }
  return NameLoc::get(StringAttr::get(op->getContext(), op->getName().stripDialect()), found);
}

void Emitter::begin(Operation *op) {
  current = op;
  builder.setInsertionPoint(op);
  loc = locationOf(op);
  made.clear();
  misses.clear();
  chosen = "";
}

void Emitter::finish(Operation *op, ValueRange results) {
  for (auto [from, to] : llvm::zip_equal(op->getResults(), results))
    mapping[from] = to;
}

Value Emitter::operator()(Value fr) {
  if (auto it = mapping.find(fr); it != mapping.end())
    return it->second;
  Operation *op = fr.getDefiningOp();
  return op && isStorage(op) ? lowerStorage(op, *this) : fr;
}

Value Emitter::error(const Twine &what, Type type) {
  hasFailed = true;
  (void)diags.error(current->getName().getStringRef(), what);
  // Never leaves this pass: the conversion fails as a whole.
  return builder.create<UnrealizedConversionCastOp>(loc, type, ValueRange()).getResult(0);
}

bool Emitter::isTaken(StringRef op, StringRef domain, ValueRange inputs, ArrayRef<Type> results) {
  StringRef domainName = domain.empty() ? StringRef(kOnnxDomain) : domain;
  int64_t version = domain.empty() ? target.opset : 1;
  SmallVector<Type> operandTypes, resultTypes;
  for (Value input : inputs)
    operandTypes.push_back(isa<NoneType>(input.getType()) ? Type() : elementOf(input.getType()));
  for (Type type : results)
    resultTypes.push_back(elementOf(type));
  const OnnxSchema *schema = findOnnxSchema(domainName, op, version);
  bool taken = schema && (target.supported ? target.supported({domainName, op, version, operandTypes, resultTypes})
                                           : isStandardOnnx(domainName, op));
  if (!taken) {
    Miss miss{domain.empty() ? op.str() : (domain + ":" + op).str(), {}, schema != nullptr};
    for (Type type : operandTypes)
      miss.operands.push_back(type ? onnx_ir::elementTypeName(type).str() : "");
    misses.push_back(std::move(miss));
  }
  return taken;
}

onnx_ir::ScanOp Emitter::scan(ValueRange inputs, int64_t states, int64_t axis, ArrayRef<Type> results) {
  (void)isTaken("Scan", "", inputs, results);
  auto op = builder.create<onnx_ir::ScanOp>(loc, results, inputs, states, axis);
  made.push_back(op);
  return op;
}

Values Emitter::nodes(StringRef op, ValueRange inputs, ArrayRef<Type> results, NamedAttrs attributes, StringRef domain) {
  (void)isTaken(op, domain, inputs, results);
  auto node = builder.create<NodeOp>(loc, results, op, domain.empty() ? StringAttr() : builder.getStringAttr(domain),
                                     attributes.empty() ? DictionaryAttr() : builder.getDictionaryAttr(attributes), inputs);
  made.push_back(node);
  return Values(node.getOutputs());
}

void Emitter::forget(size_t cached) {
  for (; cacheLog.size() > cached; cacheLog.pop_back()) {
    if (cacheLog.back().constant)
      constants.erase(cacheLog.back().constant);
    else
      sizes.erase(cacheLog.back().size);
  }
}

void Emitter::rollBack(size_t operations, size_t missCount, size_t cached) {
  forget(cached);
  for (; made.size() > operations; made.pop_back())
    made.back()->erase();
  misses.truncate(missCount);
}

std::pair<Values, StringRef> Emitter::choose(ArrayRef<Way> ways) {
  size_t operations = made.size(), missCount = misses.size(), cached = cacheLog.size();
  const Way *best = nullptr;
  // What does not exist is worse than any number of nodes that the toolchain may refuse.
  std::pair<size_t, size_t> fewest{~size_t(0), ~size_t(0)};
  for (const Way &way : ways) {
    Values values = way.make();
    size_t lacking = misses.size() - missCount;
    if (lacking == 0)
      return {values, way.name};
    std::pair<size_t, size_t> cost{
        llvm::count_if(ArrayRef(misses).drop_front(missCount), [](const Miss &m) { return !m.exists; }), lacking};
    if (cost < fewest) {
      fewest = cost;
      best = &way;
    }
    rollBack(operations, missCount, cached);
  }
  return {best->make(), best->name};
}

Values Emitter::firstOf(ArrayRef<Way> ways) {
  auto [values, name] = choose(ways);
  chosen = name; // of the outermost call, which returns last
  return values;
}

std::vector<std::string> Emitter::operatorsMade() const {
  std::set<std::string> names;
  for (Operation *op : made)
    if (isa<onnx_ir::ScanOp>(op))
      names.insert("Scan");
    else if (auto node = dyn_cast<NodeOp>(op))
      names.insert((node.getDomain() ? node.getDomain()->str() + ":" : std::string()) + node.getOpType().str());
  return {names.begin(), names.end()};
}

NamedAttribute Emitter::i64(StringRef name, int64_t value) {
  return builder.getNamedAttr(name, builder.getI64IntegerAttr(value));
}
NamedAttribute Emitter::f32(StringRef name, double value) {
  return builder.getNamedAttr(name, builder.getF32FloatAttr(static_cast<float>(value)));
}
NamedAttribute Emitter::i64s(StringRef name, ArrayRef<int64_t> values) {
  return builder.getNamedAttr(name, builder.getDenseI64ArrayAttr(values));
}
NamedAttribute Emitter::text(StringRef name, StringRef value) { return builder.getNamedAttr(name, builder.getStringAttr(value)); }
