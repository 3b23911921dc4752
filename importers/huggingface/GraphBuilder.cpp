#include "importers/huggingface/GraphBuilder.h"

#include "text/Nearest.h"

#include "llvm/Support/ErrorHandling.h"

using namespace flagrelease;
using namespace mlir;
using llvm::SmallVector;

namespace {
/// No model has more layers; a config that says so is refused before anything is built.
constexpr int64_t kMaxIterations = 4096;
constexpr unsigned kMaxCallDepth = 8;

std::string join(StringRef at, StringRef name) {
  if (name.consume_front("/") || at.empty())
    return name.str();
  return name.empty() ? at.str() : (at + "." + name).str();
}
} // namespace

std::string flagrelease::commonPrefix(llvm::ArrayRef<std::string> names) {
  if (names.empty())
    return "";
  SmallVector<StringRef> shared;
  StringRef(names.front()).split(shared, '.');
  shared.pop_back();
  for (const std::string &name : names.drop_front()) {
    SmallVector<StringRef> parts;
    StringRef(name).split(parts, '.');
    size_t n = 0;
    while (n < shared.size() && n + 1 < parts.size() && shared[n] == parts[n])
      ++n;
    shared.truncate(n);
  }
  return llvm::join(shared, ".");
}

GraphBuilder::GraphBuilder(ModuleOp module, const ModelRecipe &recipe, TensorTable &tensors, Diagnostics &diags)
    : module(module), recipe(recipe), tensors(tensors), diags(diags), builder(module.getContext()) {}

LogicalResult GraphBuilder::begin(const Scope &scope) {
  struct Input {
    std::string name;
    Type type;
    std::vector<double> range = {}, example = {};
  };
  std::vector<Input> declared;
  DimExpr b = DimExpr::symbol("B"), s = DimExpr::symbol("S"), p = DimExpr::symbol("P");
  Type i64 = builder.getI64Type();
  if (recipe.inputs.empty()) {
    declared = {{"input_ids", tensorType({b, s}, i64)},
                {"attention_mask", tensorType({b, p + s}, i64)},
                {"position_ids", tensorType({b, s}, i64)}};
  }
  for (const GraphInput &in : recipe.inputs) {
    if (in.when) {
      FailureOr<bool> wanted = in.when->evalBool(scope, diags);
      if (failed(wanted))
        return failure();
      if (!*wanted)
        continue;
    }
    DimExprs dims;
    for (const Template &dim : in.dims) {
      FailureOr<std::string> text = dim.eval(scope, diags);
      if (failed(text))
        return failure();
      std::optional<DimExpr> expr = DimExpr::parse(*text);
      if (!expr)
        return diags.error(dim.place().str(), "'" + *text + "' is no size",
                           "write a number or an affine expression of named sizes");
      dims.push_back(*expr);
    }
    Type element = in.dtype == "int64" ? i64 : in.dtype == "bool" ? Type(builder.getI1Type()) : Type(builder.getF32Type());
    declared.push_back({in.name, tensorType(dims, element)});
    auto numbers = [&](const std::optional<Expr> &expr, std::vector<double> &into) -> LogicalResult {
      if (!expr)
        return success();
      FailureOr<json::Value> list = expr->eval(scope, diags);
      if (failed(list))
        return failure();
      if (!list->isArray() || !llvm::all_of(list->array(), [](const json::Value &item) { return item.asNumber().has_value(); }))
        return diags.error(expr->place().str(), "is no list of numbers", "write [0, 999]");
      for (const json::Value &item : list->array())
        into.push_back(*item.asNumber());
      return success();
    };
    if (failed(numbers(in.range, declared.back().range)) || failed(numbers(in.example, declared.back().example)))
      return failure();
    if (in.range && declared.back().range.size() != 2)
      return diags.error(in.range->place().str(), "a range has two numbers", "write [least, largest]");
  }
  SmallVector<Type> types;
  for (const Input &in : declared)
    types.push_back(in.type);
  builder.setInsertionPointToEnd(module.getBody());
  function = builder.create<func::FuncOp>(builder.getUnknownLoc(), kMainFunction, builder.getFunctionType(types, {}));
  Block *body = function.addEntryBlock();
  for (auto [i, in] : llvm::enumerate(declared)) {
    function.setArgAttr(i, kNameAttr, builder.getStringAttr(in.name));
    if (!in.range.empty())
      function.setArgAttr(i, kRangeAttr, builder.getDenseF64ArrayAttr(in.range));
    if (!in.example.empty())
      function.setArgAttr(i, kExampleAttr, builder.getDenseF64ArrayAttr(in.example));
    inputs[in.name] = body->getArgument(i);
  }
  builder.setInsertionPointToEnd(body);
  return success();
}

LogicalResult GraphBuilder::finish(llvm::ArrayRef<std::pair<std::string, Value>> outputs) {
  SmallVector<Value> values;
  SmallVector<Type> types;
  for (const auto &[name, value] : outputs) {
    values.push_back(value);
    types.push_back(value.getType());
  }
  builder.create<func::ReturnOp>(builder.getUnknownLoc(), values);
  function.setType(builder.getFunctionType(function.getArgumentTypes(), types));
  for (auto [i, output] : llvm::enumerate(outputs))
    function.setResultAttr(i, kNameAttr, builder.getStringAttr(output.first));
  return success();
}

Value GraphBuilder::lookup(StringRef name) const {
  if (auto it = named.find(name.str()); it != named.end())
    return it->second;
  for (const Frame &frame : llvm::reverse(frames))
    if (auto it = frame.ids.find(name.str()); it != frame.ids.end())
      return it->second;
  if (auto it = inputs.find(name.str()); it != inputs.end())
    return it->second;
  return {};
}

Value GraphBuilder::input(StringRef name) {
  auto it = inputs.find(name.str());
  if (it != inputs.end())
    return it->second;
  (void)diags.error(name, "a block needs this input, and the recipe does not declare it",
                    "add it to `inputs:` of recipe " + recipe.name);
  return {};
}

Value GraphBuilder::weight(const std::string &name, llvm::ArrayRef<int64_t> sizes, const Twine &sizesFrom) {
  used.push_back(name);
  DimExprs expected(sizes.begin(), sizes.end());
  const CheckpointTensor *tensor = tensors.find(name);
  // Zeros of the right type stand in, so that the import goes on and finds everything else that is missing.
  auto standIn = [&]() -> Value {
    auto type = tensorType(expected, builder.getF32Type());
    return builder.create<fr::ConstantOp>(loc(), cast<ElementsAttr>(DenseElementsAttr::get(type, 0.0f)));
  };
  if (!tensor) {
    tensors.missing(name);
    return standIn();
  }
  tensors.consume(*tensor);
  if (llvm::ArrayRef<int64_t>(tensor->shape) != sizes) {
    auto text = [](llvm::ArrayRef<int64_t> shape) {
      std::string out = "[";
      for (auto [i, d] : llvm::enumerate(shape))
        out += (i ? ", " : "") + std::to_string(d);
      return out + "]";
    };
    (void)diags.error(tensor->name,
                      "has shape " + text(tensor->shape) + ", config.json says " + text(sizes) + " (" + sizesFrom + ")",
                      "config.json and the tensors are of different models: restore both from one revision");
    return standIn();
  }
  if (!hasNumbers(tensor->type)) {
    (void)diags.error(tensor->name, "holds " + dtypeName(tensor->type) + ", whose numbers this version does not compute with",
                      "use a checkpoint that stores it as F32, F16, BF16 or F8_E4M3");
  } else if (!isFloat(tensor->type)) {
    (void)diags.error(tensor->name, "holds " + dtypeName(tensor->type) + ", the model needs floating-point numbers here",
                      "the checkpoint is quantised in a way that this recipe does not know");
  }
  return use(*tensor);
}

/// A param as a value. Inside a scan it is read before the first step.
Value GraphBuilder::use(const CheckpointTensor &tensor) {
  OpBuilder::InsertionGuard guard(builder);
  if (beforeScan)
    builder.restoreInsertionPoint(*beforeScan);
  DimExprs dims(tensor.shape.begin(), tensor.shape.end());
  auto type = tensorType(dims, mlirType(tensor.type, builder.getContext()));
  return builder.create<fr::UseOp>(loc(), type, SymbolRefAttr::get(builder.getContext(), tensors.paramOf(tensor)));
}

Value GraphBuilder::tensor(const std::string &name) {
  used.push_back(name);
  const CheckpointTensor *tensor = tensors.find(name);
  if (!tensor) {
    tensors.missing(name);
    return {};
  }
  tensors.consume(*tensor);
  return use(*tensor);
}

Value GraphBuilder::appendState(StringRef part, Value value, int64_t axis, std::optional<int64_t> index) {
  const int64_t number = index.value_or(layer < 0 ? 0 : layer);
  std::string symbol = ("kv." + Twine(number) + "." + part).str();
  DimExprs dims = dimsOf(value.getType());
  DimExprs all = dims, past = dims;
  past[axis] = DimExpr::symbol("P");
  all[axis] = past[axis] + dims[axis];
  Type element = elementOf(value.getType());
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(function);
    builder.create<fr::StateOp>(loc(), symbol, fr::StateKind::KV, number, part, axis, tensorType(past, element),
                                llvm::APFloat(0.0));
  }
  return builder.create<fr::StateAppendOp>(loc(), tensorType(all, element), symbol, value);
}

Value GraphBuilder::readState(fr::StateKind kind, StringRef part, Type type, double init) {
  int64_t index = layer < 0 ? 0 : layer;
  std::string symbol = ("state." + Twine(index) + "." + part).str();
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(function);
    builder.create<fr::StateOp>(loc(), symbol, kind, index, part, 0, cast<RankedTensorType>(type), llvm::APFloat(init));
  }
  return builder.create<fr::StateReadOp>(loc(), type, symbol);
}

LogicalResult GraphBuilder::updateState(StringRef part, Value value, const Place &at) {
  std::string symbol = ("state." + Twine(layer < 0 ? 0 : layer) + "." + part).str();
  auto state = module.lookupSymbol<fr::StateOp>(symbol);
  if (!state)
    return diags.error(at.str(), "no step of this layer reads the state '" + part + "'", "read it first");
  if (state.getType() != value.getType())
    return diags.error(at.str(), "the state '" + part + "' changes its type", "give back what `state` reads, with other numbers");
  builder.create<fr::StateUpdateOp>(loc(), symbol, value);
  return success();
}

const HiddenList *GraphBuilder::hiddenListOf(const std::string &path) const {
  if (!frames.back().top || path.empty())
    return nullptr;
  for (const HiddenList &list : recipe.hidden)
    if (llvm::is_contained(list.steps, path))
      return &list;
  return nullptr;
}

std::vector<std::pair<std::string, std::string>> GraphBuilder::hiddenTaps() const {
  std::vector<std::pair<std::string, std::string>> taps;
  for (const HiddenList &list : recipe.hidden)
    if (auto it = hidden.find(list.name); it != hidden.end())
      for (auto [i, name] : llvm::enumerate(it->second))
        taps.emplace_back(list.name + "." + std::to_string(i), name);
  return taps;
}

Value GraphBuilder::tap(const std::string &name, Value value) {
  if (name.empty() || !tapNames.insert(name).second)
    return value;
  return builder.create<fr::TapOp>(loc(), name, value);
}

LogicalResult GraphBuilder::run(const StepList &steps, Value &stream, const Scope &scope, const std::string &at) {
  top = &scope;
  return runBody(steps, stream, scope, at, /*top=*/true);
}

LogicalResult GraphBuilder::runBody(const StepList &steps, Value &stream, const Scope &scope, const std::string &at, bool top) {
  frames.push_back({{}, top});
  LogicalResult result = success();
  for (const Step &step : steps)
    if (failed(result = runStep(step, stream, scope, at)))
      break;
  // The recipe's own list and the task's stay visible: heads and outputs name their ids.
  if (!top)
    frames.pop_back();
  return result;
}

LogicalResult GraphBuilder::runStep(const Step &step, Value &stream, const Scope &scope, const std::string &outerAt) {
  if (step.when) {
    FailureOr<bool> wanted = step.when->evalBool(scope, diags);
    if (failed(wanted))
      return failure();
    if (!*wanted) {
      if (!step.id.empty())
        skipped.insert(step.id);
      return success();
    }
  }
  std::string at = outerAt;
  if (step.at && step.kind != "repeat") {
    FailureOr<std::string> more = step.at->eval(scope, diags);
    if (failed(more))
      return failure();
    at = join(at, *more);
  }
  SmallVector<Value> operands;
  for (const Template &name : step.in) {
    FailureOr<std::string> text = name.eval(scope, diags);
    if (failed(text))
      return failure();
    Value value = *text == "stream" ? stream : lookup(*text);
    if (!value)
      return diags.error(name.place().str(), "no value is called '" + *text + "' here",
                         "name an id or an `out:` of an earlier step");
    operands.push_back(value);
  }
  if (operands.empty() && stream)
    operands.push_back(stream);

  size_t before = used.size();
  FailureOr<SmallVector<Value>> results = failure();
  if (step.kind == "residual" || step.kind == "repeat" || step.kind == "parallel" || step.kind == "choose" ||
      step.kind == "scope") {
    if (operands.empty())
      return diags.error(step.place.str(), "'" + step.kind + "' has nothing to work on",
                         "start the graph with a step that reads an input");
    FailureOr<Value> value = failure();
    if (step.kind == "residual")
      value = residual(step, operands.front(), scope, at);
    else if (step.kind == "repeat")
      value = repeat(step, operands.front(), scope, at);
    else if (step.kind == "parallel")
      value = parallel(step, operands.front(), scope, at);
    else if (step.kind == "choose")
      value = choose(step, operands.front(), scope, at);
    else {
      Scope inner(&scope);
      inner.bindLets(step.let);
      Value x = operands.front();
      value = failed(runBody(step.body, x, inner, at)) ? FailureOr<Value>(failure()) : FailureOr<Value>(x);
    }
    if (failed(value))
      return failure();
    results = SmallVector<Value>{*value};
  } else if (step.kind == "scan") {
    results = scan(step, scope, at);
  } else if (step.kind == "call") {
    results = call(step, operands.empty() ? Value() : operands.front(), scope, at);
  } else if (step.kind == "push" || step.kind == "pop") {
    FailureOr<std::string> name = std::string("stack");
    if (const Param *param = step.find("stack"); param && failed(name = param->evalText(scope, diags)))
      return failure();
    std::vector<Value> &stack = stacks[*name];
    if (step.kind == "push") {
      stack.push_back(operands.front());
      results = SmallVector<Value>{operands.front()};
    } else {
      if (stack.empty())
        return diags.error(step.place.str(), "the stack '" + *name + "' is empty", "push before pop");
      results = SmallVector<Value>{stack.back()};
      stack.pop_back();
    }
  } else {
    const StepBlock *found = nullptr;
    for (const StepBlock &block : importerBlocks())
      if (block.schema->kind == step.kind)
        found = &block;
    if (!found)
      return diags.error(step.place.str(), "block '" + step.kind + "' is not built yet", "see `flagrelease list ops`");
    place = at.empty() ? step.id : at + "." + step.id;
    BlockContext context(*this, step, scope, at, operands);
    results = build(*found, context);
    if (failed(results))
      return failure();
  }
  if (failed(results))
    return failure();

  // What `hidden:` lists at the top level gets a tap, named by its weights.
  if (const HiddenList *list = hiddenListOf(step.id); list && step.kind != "repeat" && !results->empty()) {
    std::string name = commonPrefix(llvm::ArrayRef(used).drop_front(before));
    results->front() = tap(name.empty() ? step.id : name, results->front());
    hidden[list->name].push_back(name.empty() ? step.id : name);
  }
  if (!step.id.empty() && !results->empty())
    frames.back().ids[step.id] = results->front();
  if (step.out.empty()) {
    if (!results->empty())
      stream = results->front();
    return success();
  }
  for (auto [name, value] : llvm::zip(step.out, *results)) {
    FailureOr<std::string> text = name.eval(scope, diags);
    if (failed(text))
      return failure();
    if (*text == "stream")
      stream = value;
    else
      named[*text] = value;
  }
  return success();
}

/// MLIR ends the process when an op's result types cannot be inferred from its operands. Here that is a problem of the recipe or
/// of config.json: what the op has said is in the diagnostics already, and the step is named.
static LogicalResult fitting(const Step &step, llvm::ArrayRef<Value> operands, Diagnostics &diags,
                             llvm::function_ref<LogicalResult()> make) {
  struct DoesNotFit {};
  auto raise = [](void *, const char *, bool) { throw DoesNotFit(); };
  try {
    llvm::ScopedFatalErrorHandler handler(raise);
    return make();
  } catch (const DoesNotFit &) {
    std::string shapes;
    for (Value operand : operands) {
      std::string sizes;
      for (const DimExpr &dim : dimsOf(operand.getType()))
        sizes += (sizes.empty() ? "" : ", ") + dim.str();
      shapes += (shapes.empty() ? "[" : ", [") + sizes + "]";
    }
    return diags.error(step.place.str(), "'" + step.kind + "' does not fit its inputs " + shapes,
                       "config.json and the tensors are of different models, or the recipe is wrong here");
  }
}

FailureOr<SmallVector<Value>> GraphBuilder::build(const StepBlock &block, BlockContext &context) {
  FailureOr<SmallVector<Value>> built = failure();
  if (failed(fitting(context.step, context.operands, diags, [&] { return LogicalResult(built = block.build(context)); })))
    return failure();
  return built;
}

FailureOr<Value> GraphBuilder::residual(const Step &step, Value x, const Scope &scope, const std::string &at) {
  Value branch = x;
  // The branch is tapped where its last block with weights ends (before any post-norm), named by that block's weights.
  frames.push_back({});
  const Step *last = nullptr;
  for (const Step &inner : step.body)
    if (!StringRef(inner.kind).ends_with("norm"))
      last = &inner;
  for (const Step &inner : step.body) {
    size_t before = used.size();
    if (failed(runStep(inner, branch, scope, at))) {
      frames.pop_back();
      return failure();
    }
    if (&inner == last && used.size() > before)
      branch = tap(commonPrefix(llvm::ArrayRef(used).drop_front(before)), branch);
  }
  frames.pop_back();
  FailureOr<std::optional<double>> scale = step.getNumber("scale", scope, diags);
  if (failed(scale))
    return failure();
  if (*scale && **scale != 1.0) {
    Value factor = builder.create<fr::ConstantOp>(
        loc(), cast<ElementsAttr>(DenseElementsAttr::get(tensorType({}, builder.getF32Type()), static_cast<float>(**scale))));
    branch = builder.create<fr::MulOp>(loc(), branch, factor);
  }
  Value sum;
  if (failed(fitting(step, {x, branch}, diags, [&] {
        sum = builder.create<fr::AddOp>(loc(), x, branch);
        return success();
      })))
    return failure();
  return sum;
}

FailureOr<Value> GraphBuilder::repeat(const Step &step, Value x, const Scope &scope, const std::string &at) {
  std::vector<json::Value> items;
  if (const Param *over = step.find("over")) {
    FailureOr<json::Value> list = over->eval(scope, diags);
    if (failed(list))
      return failure();
    items.assign(list->array().begin(), list->array().end());
  } else {
    FailureOr<std::optional<int64_t>> times = step.getInt("times", scope, diags);
    if (failed(times))
      return failure();
    if (!*times || **times < 0 || **times > kMaxIterations)
      return diags.error(step.find("times") ? step.find("times")->place.str() : step.place.str(),
                         "repeats " + Twine(*times ? **times : 0) + " times; 0 to " + Twine(kMaxIterations) + " is possible",
                         "correct config.json: " +
                             (step.find("times") && step.find("times")->expr ? step.find("times")->expr->text() : StringRef()));
    for (int64_t i = 0; i < **times; ++i)
      items.emplace_back(i);
  }
  const HiddenList *list = hiddenListOf(step.id), *exits = hiddenListOf(step.id + ".out");
  int64_t outerLayer = layer;
  for (auto [i, item] : llvm::enumerate(items)) {
    if (++iterations > kMaxIterations)
      return diags.error(step.place.str(), "more than " + Twine(kMaxIterations) + " layers", "correct config.json");
    Scope inner(&scope);
    if (!step.index.empty())
      inner.bind(step.index, item);
    inner.bindLets(step.let);
    std::string innerAt = at;
    if (step.at) {
      FailureOr<std::string> more = step.at->eval(inner, diags);
      if (failed(more))
        return failure();
      innerAt = join(at, *more);
    }
    layer = i;
    place = innerAt;
    std::string name = innerAt.empty() || innerAt == at ? step.id + "." + std::to_string(i) : innerAt;
    x = tap(name, x);
    if (list)
      hidden[list->name].push_back(name);
    if (failed(runBody(step.body, x, inner, innerAt)))
      return failure();
    if (exits) {
      x = tap(name + ".out", x);
      hidden[exits->name].push_back(name + ".out");
    }
    // One layer's worth of missing tensors says enough; a config that promises thousands of layers ends here.
    if (tensors.anyMissing() && i >= 1)
      break;
  }
  layer = outerLayer;
  return x;
}

FailureOr<Value> GraphBuilder::parallel(const Step &step, Value x, const Scope &scope, const std::string &at) {
  SmallVector<Value> results;
  for (const StepList &branch : step.branches) {
    Value value = x;
    if (failed(runBody(branch, value, scope, at)))
      return failure();
    results.push_back(value);
  }
  FailureOr<std::optional<std::string>> join = step.getText("join", scope, diags);
  if (failed(join) || results.empty())
    return failure();
  std::string kind = join->value_or("add");
  Value total = results.front();
  if (failed(fitting(step, results, diags, [&] {
        if (kind == "concat") {
          total = builder.create<fr::ConcatOp>(loc(), results, rankOf(results.front().getType()) - 1);
          return success();
        }
        for (Value value : llvm::ArrayRef(results).drop_front())
          total = kind == "mul" ? builder.create<fr::MulOp>(loc(), total, value).getResult()
                                : builder.create<fr::AddOp>(loc(), total, value).getResult();
        return success();
      })))
    return failure();
  return total;
}

FailureOr<Value> GraphBuilder::choose(const Step &step, Value x, const Scope &scope, const std::string &at) {
  const Param *by = step.find("by");
  FailureOr<json::Value> value = by->eval(scope, diags);
  if (failed(value))
    return failure();
  std::string label = value->isString() ? value->string().str() : json::toText(*value);
  const Case *chosen = nullptr;
  std::vector<std::string> labels;
  for (const Case &one : step.cases) {
    labels.push_back(one.label);
    if (one.label == label || (one.label == "else" && !chosen))
      chosen = &one;
  }
  if (!chosen)
    return diags.error(by->place.str(), "no case for '" + label + "'" + nearestNote(label, llvm::ArrayRef<std::string>(labels)),
                       "this value of config.json is not covered by recipe " + recipe.name);
  if (failed(runBody(chosen->body, x, scope, at)))
    return failure();
  return x;
}

FailureOr<SmallVector<Value>> GraphBuilder::scan(const Step &step, const Scope &scope, const std::string &at) {
  FailureOr<std::optional<std::string>> name = step.getText("name", scope, diags);
  FailureOr<std::optional<int64_t>> axis = step.getInt("axis", scope, diags);
  if (failed(name) || failed(axis))
    return failure();
  auto values = [&](StringRef parameter, SmallVector<std::string> &names, SmallVector<Value> &out) -> LogicalResult {
    const Param *mapping = step.find(parameter);
    for (const Param &entry : mapping ? llvm::ArrayRef<Param>(mapping->nested) : llvm::ArrayRef<Param>()) {
      FailureOr<std::string> text = entry.evalText(scope, diags);
      if (failed(text))
        return failure();
      Value value = lookup(*text);
      if (!value)
        return diags.error(entry.place.str(), "no value is called '" + *text + "' here",
                           "name an id or an `out:` of an earlier step");
      names.push_back(entry.name);
      out.push_back(value);
    }
    return success();
  };
  SmallVector<std::string> stateNames, sliceNames;
  SmallVector<Value> inits, sequences;
  if (failed(values("carry", stateNames, inits)) || failed(values("over", sliceNames, sequences)))
    return failure();
  if (sequences.empty())
    return diags.error(step.place.str(), "a scan without a sequence has no steps", "name one in `over`");
  Region region;
  Block &body = region.emplaceBlock();
  DimExpr steps;
  for (Value init : inits)
    body.addArgument(init.getType(), loc());
  for (Value sequence : sequences) {
    DimExprs dims = dimsOf(sequence.getType());
    if (**axis < 0 || **axis >= static_cast<int64_t>(dims.size()) || (sequence != sequences.front() && dims[**axis] != steps))
      return diags.error(step.place.str(), "the sequences of a scan have the same size along `axis`", "check their shapes");
    steps = dims[**axis];
    dims.erase(dims.begin() + **axis);
    body.addArgument(tensorType(dims, elementOf(sequence.getType())), loc());
  }
  // The names of the body hide those outside, for its length.
  std::map<std::string, Value> outerNamed = named;
  for (auto [i, inner] : llvm::enumerate(llvm::concat<std::string>(stateNames, sliceNames)))
    named[inner] = body.getArgument(i);
  OpBuilder::InsertPoint outside = builder.saveInsertionPoint();
  std::optional<OpBuilder::InsertPoint> outerUses = beforeScan;
  if (!beforeScan)
    beforeScan = outside;
  builder.setInsertionPointToEnd(&body);
  Value stream;
  LogicalResult built = runBody(step.body, stream, scope, at);
  SmallVector<Value> yielded;
  SmallVector<Type> types;
  if (succeeded(built)) {
    for (const std::string &state : stateNames)
      yielded.push_back(lookup(state));
    if (stream)
      yielded.push_back(stream);
    for (auto [i, value] : llvm::enumerate(yielded)) {
      if (i < stateNames.size()) {
        if (value.getType() != inits[i].getType())
          built = diags.error(step.place.str(), "the state '" + stateNames[i] + "' changes its shape from one step to the next",
                              "bind a value of the same shape to its name");
        types.push_back(inits[i].getType());
      } else {
        DimExprs dims = dimsOf(value.getType());
        if (**axis > static_cast<int64_t>(dims.size()))
          built =
              diags.error(step.place.str(), "what the body makes has no place for axis " + Twine(**axis), "give it more axes");
        else
          dims.insert(dims.begin() + **axis, steps);
        types.push_back(tensorType(dims, elementOf(value.getType())));
      }
    }
    builder.create<fr::ScanYieldOp>(loc(), yielded);
  }
  named = std::move(outerNamed);
  beforeScan = outerUses;
  builder.restoreInsertionPoint(outside);
  if (failed(built))
    return failure();
  auto op = builder.create<fr::ScanOp>(loc(), types, builder.getStringAttr(**name), inits, sequences,
                                       builder.getI64IntegerAttr(**axis));
  op.getBody().takeBody(region);
  return SmallVector<Value>(op.getResults());
}

FailureOr<SmallVector<Value>> GraphBuilder::call(const Step &step, Value x, const Scope &scope, const std::string &at) {
  FailureOr<std::optional<std::string>> name = step.getText("graph", scope, diags);
  if (failed(name) || !*name)
    return failure();
  const NamedGraph *graph = recipe.findGraph(**name);
  if (!graph)
    return diags.error(step.place.str(), "no graph is called '" + **name + "'", "add it to `graphs:`");
  if (callDepth >= kMaxCallDepth)
    return diags.error(step.place.str(), "graphs call each other more than " + Twine(kMaxCallDepth) + " deep",
                       "end the recursion");
  SmallVector<Value> operands;
  for (const Template &in : step.in) {
    FailureOr<std::string> text = in.eval(scope, diags);
    if (failed(text))
      return failure();
    operands.push_back(*text == "stream" ? x : lookup(*text));
  }
  if (operands.empty() && x)
    operands.push_back(x);
  // Arguments are evaluated where the call stands; the graph itself sees them and the recipe's own names, not the caller's.
  Scope arguments(&scope);
  arguments.bindLets(step.let);
  Scope inner(top ? top : &scope);
  for (const Let &let : step.let) {
    FailureOr<std::optional<json::Value>> value = arguments.lookup(let.name, diags);
    if (failed(value))
      return failure();
    if (*value)
      inner.bind(let.name, **value);
  }
  inner.bindLets(graph->let);
  // A called graph sees its inputs and its arguments, not the caller's names.
  ++callDepth;
  std::vector<Frame> outerFrames = std::exchange(frames, {});
  std::map<std::string, Value> outerNamed = named;
  std::erase_if(named, [](const auto &entry) {
    return !StringRef(entry.first).contains('.');
  }); // "kv.3" is one of a list that layers share
  Frame frame;
  for (auto [in, value] : llvm::zip(graph->in, operands))
    frame.ids[in] = value;
  frames.push_back(frame);
  Value stream = operands.empty() ? Value() : operands.front();
  LogicalResult result = success(); // in the frame of the arguments: `out` may name steps of the graph by their ids
  for (const Step &each : graph->body)
    if (failed(result = runStep(each, stream, inner, at)))
      break;
  SmallVector<Value> results;
  for (const std::string &out : graph->out)
    if (Value value = lookup(out))
      results.push_back(value);
  if (graph->out.empty())
    results.push_back(stream);
  frames = std::move(outerFrames);
  named = std::move(outerNamed);
  --callDepth;
  if (failed(result))
    return failure();
  return results;
}
