#include "ir/reference/Interpreter.h"

#include "ir/reference/Index.h"

#include "llvm/ADT/DenseMap.h"

#include <algorithm>

using namespace flagrelease;
using namespace mlir;

template <typename T> std::vector<int64_t> RefContext<T>::shapeOf(Type type) const {
  std::vector<int64_t> shape;
  for (const DimExpr &dim : dimsOf(type)) {
    std::optional<int64_t> value = dim.evaluate(sizes);
    assert(value && "a size symbol that no argument binds");
    shape.push_back(*value);
  }
  return shape;
}

template <typename T> LogicalResult RefContext<T>::materialise(RefTensor<T> &value) {
  if (!value.param)
    return success();
  fr::ParamOp param = value.param;
  value.param = {};
  int64_t rows = value.shape.empty() ? 1 : value.shape[0];
  if (value.integer) {
    value.i.resize(value.elements());
    return params.readIntegers(param, 0, rows, value.i.data(), diags);
  }
  value.f.resize(value.elements());
  return params.readRows(param, 0, rows, value.f.data(), diags);
}

template <typename T> const RefEntry<T> *flagrelease::findReference(StringRef opName) {
  for (ArrayRef<RefEntry<T>> table : {elementwiseReference<T>(), shapeReference<T>(), numberReference<T>(), layerReference<T>(),
                                      attentionReference<T>(), convolutionReference<T>(), expertReference<T>()})
    for (const RefEntry<T> &entry : table)
      if (entry.name == opName)
        return &entry;
  return nullptr;
}

namespace {
template <typename T> RefTensor<T> fromHost(const HostTensor &host) {
  RefTensor<T> value;
  value.shape = host.shape;
  value.integer = !isFloat(host.type);
  if (value.integer) {
    value.i.resize(host.elements());
    for (int64_t i = 0; i < host.elements(); ++i)
      value.i[i] = host.type == DType::I64 ? host.as<int64_t>()[i] : static_cast<int64_t>(host.at(i));
  } else {
    value.f.resize(host.elements());
    for (int64_t i = 0; i < host.elements(); ++i)
      value.f[i] = static_cast<T>(host.at(i));
  }
  return value;
}

template <typename T> HostTensor toHost(const RefTensor<T> &value) {
  if (value.integer) {
    HostTensor host(DType::I64, value.shape);
    std::memcpy(host.bytes.data(), value.i.data(), host.bytes.size());
    return host;
  }
  HostTensor host(std::is_same_v<T, double> ? DType::F64 : DType::F32, value.shape);
  std::memcpy(host.bytes.data(), value.f.data(), host.bytes.size());
  return host;
}

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (auto [i, d] : llvm::enumerate(shape))
    text += (i ? ", " : "") + std::to_string(d);
  return text + "]";
}

/// Appends along `axis`; an empty state takes the value as it is.
template <typename T> void append(RefTensor<T> &state, const RefTensor<T> &value, int64_t axis) {
  if (state.shape.empty()) {
    state = value;
    return;
  }
  int64_t outer = 1, inner = 1;
  for (int64_t d = 0; d < axis; ++d)
    outer *= value.shape[d];
  for (size_t d = axis + 1; d < value.shape.size(); ++d)
    inner *= value.shape[d];
  int64_t a = state.shape[axis] * inner, b = value.shape[axis] * inner;
  std::vector<T> joined(outer * (a + b));
  for (int64_t o = 0; o < outer; ++o) {
    std::copy_n(state.f.data() + o * a, a, joined.data() + o * (a + b));
    std::copy_n(value.f.data() + o * b, b, joined.data() + o * (a + b) + a);
  }
  state.f = std::move(joined);
  state.shape[axis] += value.shape[axis];
}
} // namespace

template <typename T>
FailureOr<NamedTensors> Interpreter<T>::run(StringRef name, const NamedTensors &inputs, const Request &request,
                                            Diagnostics &diags) {
  auto function = module.lookupSymbol<func::FuncOp>(name);
  if (!function)
    return diags.error(name, "the module has no such function");
  RefContext<T> context{{}, params, diags};

  // P is the length of what is cached: the size of any state along its axis, 0 before the first call. A module whose cache
  // consists of inputs has no states: there the inputs say what P is.
  module.walk([&](fr::StateOp state) {
    if (state.getKind() != fr::StateKind::KV)
      return;
    auto it = states.find(state.getSymName().str());
    int64_t length = it == states.end() ? 0 : it->second.shape[state.getAxis()];
    context.sizes["P"] = std::max(context.sizes["P"], length);
  });

  Block &body = function.getBody().front();
  Values values;
  // Symbols first from arguments that hold one alone, then from sums.
  for (int round = 0; round < 2; ++round)
    for (BlockArgument argument : body.getArguments()) {
      std::string label = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kNameAttr).str();
      auto it = inputs.find(label);
      if (it == inputs.end()) {
        std::string have;
        for (const auto &[key, tensor] : inputs)
          have += (have.empty() ? "" : ", ") + key;
        return diags.error(label, "this input is missing; given are: " + have, "add the tensor " + label);
      }
      DimExprs dims = dimsOf(argument.getType());
      if (dims.size() != it->second.shape.size())
        return diags.error(label, "has rank " + Twine(it->second.shape.size()) + ", the model takes rank " + Twine(dims.size()));
      for (auto [d, dim] : llvm::enumerate(dims))
        if (!dim.bind(it->second.shape[d], context.sizes)) {
          std::string expected;
          for (const DimExpr &e : dims)
            expected += (expected.empty() ? "" : ", ") + e.str();
          return diags.error(label, "has shape " + shapeText(it->second.shape) + ", the model takes [" + expected + "]",
                             "sizes with one name must be equal in all inputs");
        }
      if (round == 1)
        values[argument] = fromHost<T>(it->second);
    }

  NamedTensors outputs;
  if (failed(runBlock(body, values, context, request, outputs)))
    return failure();
  auto ret = cast<func::ReturnOp>(body.getTerminator());
  for (auto [i, operand] : llvm::enumerate(ret.getOperands())) {
    if (failed(context.materialise(values[operand])))
      return failure();
    outputs[function.getResultAttrOfType<StringAttr>(i, kNameAttr).str()] = toHost(values[operand]);
  }
  return outputs;
}

template <typename T>
LogicalResult Interpreter<T>::runBlock(Block &block, Values &values, RefContext<T> &context, const Request &request,
                                       NamedTensors &outputs) {
  // A value is freed after its last reader, so that memory holds a layer's activations and not a model's. Readers inside a body
  // count at the op that has it; what a block yields outlives it.
  DenseMap<Value, unsigned> uses;
  SmallVector<std::pair<Operation *, SmallVector<Value>>> reads;
  for (Operation &op : block) {
    SmallVector<Value> read(op.getOperands());
    for (Region &region : op.getRegions())
      region.walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          if (operand.getParentBlock() == &block)
            read.push_back(operand);
      });
    for (Value operand : read)
      ++uses[operand];
    reads.emplace_back(&op, std::move(read));
  }
  for (auto &[op, read] : reads) {
    if (op->hasTrait<OpTrait::IsTerminator>())
      return success();
    if (request.stop && request.stop())
      return context.diags.error(op->getName().getStringRef(), "stopped on request", "run the same command again", Cause::Later);
    if (failed(runOp(*op, values, context, request, outputs)))
      return failure();
    for (Value operand : read)
      if (--uses[operand] == 0 && operand.getParentBlock() == &block)
        values.erase(operand);
  }
  return success();
}

template <typename T>
LogicalResult Interpreter<T>::runOp(Operation &op, Values &values, RefContext<T> &context, const Request &request,
                                    NamedTensors &outputs) {
  if (auto use = dyn_cast<fr::UseOp>(op)) {
    RefTensor<T> lazy;
    lazy.param = module.lookupSymbol<fr::ParamOp>(use.getParam());
    lazy.shape = context.shapeOf(use.getType());
    lazy.integer = !isa<FloatType>(elementOf(use.getType()));
    values[use.getResult()] = std::move(lazy);
    return success();
  }
  if (auto tap = dyn_cast<fr::TapOp>(op)) {
    RefTensor<T> value = values[tap.getValue()];
    if (failed(context.materialise(value)))
      return failure();
    if (request.taps)
      outputs[tap.getName().str()] = toHost(value);
    values[tap.getResult()] = std::move(value);
    return success();
  }
  if (auto appendOp = dyn_cast<fr::StateAppendOp>(op)) {
    RefTensor<T> &state = states[appendOp.getState().str()];
    append(state, values[appendOp.getValue()], module.lookupSymbol<fr::StateOp>(appendOp.getState()).getAxis());
    values[appendOp.getResult()] = state;
    return success();
  }
  if (auto read = dyn_cast<fr::StateReadOp>(op)) {
    if (auto it = states.find(read.getState().str()); it != states.end()) {
      values[read.getResult()] = it->second;
      return success();
    }
    RefTensor<T> first;
    first.shape = context.shapeOf(read.getType());
    first.f.assign(first.elements(),
                   static_cast<T>(module.lookupSymbol<fr::StateOp>(read.getState()).getInit().convertToDouble()));
    values[read.getResult()] = std::move(first);
    return success();
  }
  if (auto update = dyn_cast<fr::StateUpdateOp>(op)) {
    states[update.getState().str()] = values[update.getValue()];
    return success();
  }
  if (auto scan = dyn_cast<fr::ScanOp>(op))
    return runScan(scan, values, context, request);

  const RefEntry<T> *entry = findReference<T>(op.getName().getStringRef());
  if (!entry)
    return context.diags.error(op.getName().getStringRef(), "the reference device has no meaning for this op");
  // Look-ups may move the map's values, so all operands are there before any is pointed at.
  for (Value operand : op.getOperands())
    (void)values[operand];
  SmallVector<RefTensor<T> *> operands;
  for (Value operand : op.getOperands()) {
    RefTensor<T> &value = values[operand];
    operands.push_back(&value);
    if (!entry->lazyWeights && failed(context.materialise(value)))
      return failure();
  }
  SmallVector<RefTensor<T>> results(op.getNumResults());
  for (auto [i, result] : llvm::enumerate(results)) {
    result.shape = context.shapeOf(op.getResult(i).getType());
    if (llvm::any_of(result.shape, [](int64_t size) { return size < 0; }))
      return context.diags.error(op.getName().getStringRef(), "would give " + shapeText(result.shape) + ": an input is too short",
                                 "give longer inputs");
    result.integer = !isa<FloatType>(elementOf(op.getResult(i).getType()));
    if (result.integer)
      result.i.resize(result.elements());
    else
      result.f.resize(result.elements());
  }
  if (failed(entry->function(&op, operands, results, context)))
    return failure();
  for (auto [i, result] : llvm::enumerate(results))
    values[op.getResult(i)] = std::move(result);
  return success();
}

template <typename T>
LogicalResult Interpreter<T>::runScan(fr::ScanOp scan, Values &values, RefContext<T> &context, const Request &request) {
  Block &body = scan.getBody().front();
  const int64_t axis = scan.getAxis();
  const size_t stateCount = scan.getInits().size();
  SmallVector<RefTensor<T>> carried, outputs;
  auto whole = [&](Value value) -> FailureOr<RefTensor<T>> {
    if (failed(context.materialise(values[value])))
      return failure();
    return values[value];
  };
  for (Value init : scan.getInits()) {
    FailureOr<RefTensor<T>> value = whole(init);
    if (failed(value))
      return failure();
    carried.push_back(std::move(*value));
  }
  SmallVector<RefTensor<T>> sequences;
  for (Value sequence : scan.getSequences()) {
    FailureOr<RefTensor<T>> value = whole(sequence);
    if (failed(value))
      return failure();
    sequences.push_back(std::move(*value));
  }
  for (Type type : llvm::drop_begin(scan.getResultTypes(), stateCount)) {
    RefTensor<T> output;
    output.shape = context.shapeOf(type);
    output.integer = !isa<FloatType>(elementOf(type));
    output.integer ? output.i.resize(output.elements()) : output.f.resize(output.elements());
    outputs.push_back(std::move(output));
  }
  // One slice along the axis, out of or into a tensor that has it.
  auto copySlice = [&](RefTensor<T> &with, RefTensor<T> &without, int64_t step, bool out) {
    auto [outer, inner] = outerInner(with.shape, axis);
    const int64_t n = with.shape[axis];
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t j = 0; j < inner; ++j) {
        const int64_t a = (o * n + step) * inner + j, b = o * inner + j;
        if (with.integer)
          out ? without.i[b] = with.i[a] : with.i[a] = without.i[b];
        else
          out ? without.f[b] = with.f[a] : with.f[a] = without.f[b];
      }
  };
  NamedTensors none;
  const Request inner{false, request.stop};
  for (int64_t step = 0, steps = sequences.front().shape[axis]; step < steps; ++step) {
    for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
      if (i < stateCount) {
        values[argument] = carried[i];
        continue;
      }
      RefTensor<T> slice;
      slice.integer = sequences[i - stateCount].integer;
      slice.shape = sequences[i - stateCount].shape;
      slice.shape.erase(slice.shape.begin() + axis);
      slice.integer ? slice.i.resize(slice.elements()) : slice.f.resize(slice.elements());
      copySlice(sequences[i - stateCount], slice, step, true);
      values[argument] = std::move(slice);
    }
    if (failed(runBlock(body, values, context, inner, none)))
      return failure();
    for (auto [i, yielded] : llvm::enumerate(body.getTerminator()->getOperands())) {
      if (failed(context.materialise(values[yielded])))
        return failure();
      if (i < stateCount)
        carried[i] = values[yielded];
      else
        copySlice(outputs[i - stateCount], values[yielded], step, false);
    }
  }
  for (auto [i, result] : llvm::enumerate(scan.getResults()))
    values[result] = std::move(i < stateCount ? carried[i] : outputs[i - stateCount]);
  return success();
}

namespace flagrelease {
template struct RefContext<float>;
template struct RefContext<double>;
template const RefEntry<float> *findReference<float>(StringRef);
template const RefEntry<double> *findReference<double>(StringRef);
template class Interpreter<float>;
template class Interpreter<double>;
} // namespace flagrelease
