// Steps that are one op on the shape of a value, and those that make values: params, constants, indices.
#include "importers/huggingface/blocks/Blocks.h"

#include <algorithm>

using namespace flagrelease;
using namespace mlir;

namespace {
const ParamSchema kSizeItem[] = {{"item", ParamType::Size}};
const ParamSchema kIntItem[] = {{"item", ParamType::Int}};
const StringRef kTypes[] = {"float", "int", "bool"};
const StringRef kPadModes[] = {"constant", "edge", "reflect"};

const ParamSchema kParamParams[] = {
    {"weight", ParamType::Tensor, true, {}, {}, "the tensor, by its whole name"},
    {"optional", ParamType::Bool, false, {}, {}, "true: without it the step gives zeros of `shape`"},
    {"shape", ParamType::List, false, {}, kIntItem, "what the shape must be; absent: what the file says"},
};
const ParamSchema kConstantParams[] = {
    {"value", ParamType::Expr, true, {}, {}, "a number, or a list of numbers in row-major order"},
    {"shape", ParamType::List, false, {}, kIntItem, "absent: [] for a number, [n] for a list"},
    {"type", ParamType::Enum, false, kTypes, {}, "absent: float"},
};
const ParamSchema kIotaParams[] = {{"size", ParamType::Size, true, {}, {}, "how many: 0, 1, ..., size - 1"}};
const ParamSchema kSizeParams[] = {{"of", ParamType::Size, true, {}, {}, "a size, as an int of the graph"}};
const ParamSchema kCastParams[] = {{"to", ParamType::Enum, true, kTypes, {}, ""}};
const ParamSchema kReshapeParams[] = {
    {"dims", ParamType::List, false, {}, kIntItem, "0 keeps the size at this place, -1 is what is left"},
    {"to", ParamType::List, false, {}, kSizeItem, "or: sizes by name"},
    {"like", ParamType::Value, false, {}, {}, "or: the sizes of this value"},
};
const ParamSchema kExpandParams[] = {
    {"to", ParamType::List, false, {}, kSizeItem, "sizes of the result"},
    {"like", ParamType::Value, false, {}, {}, "or: the sizes of this value"},
};
const ParamSchema kTransposeParams[] = {
    {"order", ParamType::List, true, {}, kIntItem, "dimension i of the result is dimension order[i]"}};
const ParamSchema kAxisParams[] = {{"axis", ParamType::Int, true, {}, {}, "negative: from the end"}};
const ParamSchema kSliceParams[] = {
    {"axis", ParamType::Int, true, {}, {}, "negative: from the end"},
    {"from", ParamType::Int, false, {}, {}, "absent: 0; negative: from the end"},
    {"to", ParamType::Int, false, {}, {}, "absent: the end; negative: from the end"},
    {"step", ParamType::Int, false, {}, {}, "absent: 1"},
};
const ParamSchema kSelectParams[] = {
    {"axis", ParamType::Int, true, {}, {}, "disappears"},
    {"index", ParamType::Int, true, {}, {}, "negative: from the end"},
};
const ParamSchema kSplitParams[] = {
    {"axis", ParamType::Int, true, {}, {}, "negative: from the end"},
    {"sizes", ParamType::List, true, {}, kIntItem, "of the parts; list their names in `out`"},
};
const ParamSchema kGatherParams[] = {
    {"axis", ParamType::Int, true, {}, {}, "of the first input, where the second one's indices pick"},
    {"batch_dims", ParamType::Int, false, {}, {}, "leading dimensions that both share; absent: 0"},
};
const ParamSchema kRollParams[] = {
    {"axis", ParamType::Int, true, {}, {}, ""},
    {"by", ParamType::Int, true, {}, {}, "places towards the end; what falls off comes back at the start"},
};
const ParamSchema kPadParams[] = {
    {"low", ParamType::List, true, {}, kIntItem, "elements before, by dimension"},
    {"high", ParamType::List, true, {}, kIntItem, "elements after, by dimension"},
    {"mode", ParamType::Enum, false, kPadModes, {}, "absent: constant"},
    {"value", ParamType::Number, false, {}, {}, "of constant; absent: 0"},
};

Type elementType(BlockContext &context, StringRef name) {
  OpBuilder &ops = context.ops();
  return name == "float" ? Type(ops.getF32Type()) : name == "int" ? Type(ops.getI64Type()) : Type(ops.getI1Type());
}

BlockResult one(Value value) { return llvm::SmallVector<Value>{value}; }

FailureOr<llvm::SmallVector<int64_t>> intList(BlockContext &context, StringRef name) {
  llvm::SmallVector<int64_t> out;
  FailureOr<json::Value> value = context.step.find(name)->eval(context.scope, context.diags());
  if (failed(value))
    return failure();
  for (const json::Value &item : value->array()) {
    if (!item.isInt())
      return context.diags().error(context.step.place.str(), "'" + name + "' holds " + json::toText(item), "write ints");
    out.push_back(item.integer());
  }
  return out;
}

/// Sizes of a tensor that is there as numbers.
FailureOr<llvm::SmallVector<int64_t>> shapeList(BlockContext &context) {
  FailureOr<llvm::SmallVector<int64_t>> shape = intList(context, "shape");
  if (succeeded(shape))
    for (int64_t size : *shape)
      if (size < 0)
        return context.diags().error(context.step.place.str(), "'shape' holds " + Twine(size), "write sizes");
  return shape;
}

BlockResult buildParam(BlockContext &context) {
  FailureOr<std::string> name = context.tensorName("weight");
  FailureOr<bool> optional = context.flag("optional", false);
  if (failed(name) || failed(optional))
    return failure();
  llvm::SmallVector<int64_t> shape;
  if (context.step.has("shape")) {
    FailureOr<llvm::SmallVector<int64_t>> given = shapeList(context);
    if (failed(given))
      return failure();
    shape = *given;
    if (*optional && !context.graph.findTensor(*name))
      return one(context.ops().create<fr::ConstantOp>(
          context.loc(),
          cast<ElementsAttr>(DenseElementsAttr::get(RankedTensorType::get(shape, context.ops().getF32Type()), 0.0f))));
  }
  Value value = context.graph.tensor(*name);
  if (!value) { // reported; what follows is found out with something of the right type
    if (!context.step.has("shape"))
      return failure();
    return one(context.ops().create<fr::ConstantOp>(
        context.loc(),
        cast<ElementsAttr>(DenseElementsAttr::get(RankedTensorType::get(shape, context.ops().getF32Type()), 0.0f))));
  }
  if (context.step.has("shape") && cast<RankedTensorType>(value.getType()).getShape() != llvm::ArrayRef<int64_t>(shape)) {
    std::string wanted;
    for (int64_t d : shape)
      wanted += (wanted.empty() ? "" : ", ") + std::to_string(d);
    std::string has;
    for (int64_t d : cast<RankedTensorType>(value.getType()).getShape())
      has += (has.empty() ? "" : ", ") + std::to_string(d);
    return context.diags().error(*name, "has shape [" + has + "], config.json says [" + wanted + "]",
                                 "config.json and the tensors are of different models: restore both from one revision");
  }
  Type element = elementOf(value.getType());
  bool isInteger = isa<IntegerType>(element) && !element.isSignedInteger(8);
  Type target = isInteger ? Type(context.ops().getI64Type()) : Type(context.ops().getF32Type());
  return one(context.ops().create<fr::CastOp>(context.loc(), tensorType(dimsOf(value.getType()), target), value));
}

BlockResult buildConstant(BlockContext &context) {
  const Param *parameter = context.step.find("value");
  FailureOr<json::Value> value = parameter->eval(context.scope, context.diags());
  FailureOr<std::optional<std::string>> type = context.text("type");
  if (failed(value) || failed(type))
    return failure();
  std::vector<json::Value> items;
  llvm::SmallVector<int64_t> shape;
  if (value->isArray()) {
    items.assign(value->array().begin(), value->array().end());
    shape.push_back(static_cast<int64_t>(items.size()));
  } else {
    items.push_back(*value);
  }
  if (context.step.has("shape")) {
    FailureOr<llvm::SmallVector<int64_t>> given = shapeList(context);
    if (failed(given))
      return failure();
    shape = *given;
  }
  int64_t count = 1;
  for (int64_t d : shape)
    count *= d;
  if (items.size() != 1 && count != static_cast<int64_t>(items.size()))
    return context.diags().error(parameter->place.str(), Twine(items.size()) + " numbers for " + Twine(count) + " places",
                                 "correct `shape`");
  std::vector<double> numbers;
  for (const json::Value &item : items) {
    std::optional<double> number = item.isBool() ? std::optional<double>(item.boolean()) : item.asNumber();
    if (!number)
      return context.diags().error(parameter->place.str(), "a constant holds numbers, not " + json::toText(item), "correct it");
    numbers.push_back(*number);
  }
  if (numbers.size() == 1)
    numbers.resize(std::max<int64_t>(count, 1), numbers.front());
  Type element = elementType(context, type->value_or("float"));
  auto tensor = RankedTensorType::get(shape, element);
  DenseElementsAttr elements;
  if (element.isF32()) {
    std::vector<float> floats(numbers.begin(), numbers.end());
    elements = DenseElementsAttr::get(tensor, llvm::ArrayRef<float>(floats));
  } else if (element.isInteger(1)) {
    llvm::SmallVector<bool> bools;
    for (double number : numbers)
      bools.push_back(number != 0);
    elements = DenseElementsAttr::get(tensor, llvm::ArrayRef<bool>(bools));
  } else {
    std::vector<int64_t> ints(numbers.begin(), numbers.end());
    elements = DenseElementsAttr::get(tensor, llvm::ArrayRef<int64_t>(ints));
  }
  return one(context.ops().create<fr::ConstantOp>(context.loc(), cast<ElementsAttr>(elements)));
}

BlockResult buildIota(BlockContext &context) {
  FailureOr<DimExpr> size = context.size("size");
  if (failed(size))
    return failure();
  return one(context.ops().create<fr::IotaOp>(context.loc(), tensorType({*size}, context.ops().getI64Type())));
}

BlockResult buildSize(BlockContext &context) {
  FailureOr<DimExpr> size = context.size("of");
  if (failed(size))
    return failure();
  return one(context.ops().create<fr::SizeOp>(context.loc(), tensorType({}, context.ops().getI64Type()), size->str()));
}

BlockResult buildCast(BlockContext &context) {
  FailureOr<std::optional<std::string>> to = context.text("to");
  if (failed(to))
    return failure();
  return one(
      context.ops().create<fr::CastOp>(context.loc(), tensorType(context.dims(), elementType(context, **to)), context.x()));
}

/// The sizes of the value that `like` names, or those of `to`; false where the step has neither.
FailureOr<bool> givenSizes(BlockContext &context, DimExprs &sizes) {
  if (context.step.has("like")) {
    FailureOr<Value> like = context.value("like");
    if (failed(like))
      return failure();
    sizes = dimsOf(like->getType());
    return true;
  }
  if (!context.step.has("to"))
    return false;
  FailureOr<DimExprs> to = context.sizes("to");
  if (failed(to))
    return failure();
  sizes = *to;
  return true;
}

BlockResult buildReshape(BlockContext &context) {
  DimExprs from = context.dims(), to;
  FailureOr<bool> given = givenSizes(context, to);
  if (failed(given))
    return failure();
  if (!*given && context.step.has("dims")) {
    FailureOr<llvm::SmallVector<int64_t>> numbers = intList(context, "dims");
    if (failed(numbers))
      return failure();
    std::optional<size_t> rest;
    for (auto [i, size] : llvm::enumerate(*numbers)) {
      if (size == 0 && i < from.size())
        to.push_back(from[i]);
      else if (size > 0)
        to.push_back(DimExpr(size));
      else if (size == -1 && !rest)
        rest = i, to.push_back(DimExpr(1));
      else
        return context.diags().error(context.step.place.str(), "size " + Twine(size) + " at place " + Twine(i) + " of `dims`",
                                     "0 keeps a size, -1 may stand once");
    }
    if (rest) {
      // What both sides share drops out first: a quotient of polynomials is asked for only where it is one.
      DimExprs left(from), right(to);
      right.erase(right.begin() + *rest);
      for (auto it = right.begin(); it != right.end();) {
        auto match = llvm::find(left, *it);
        if (match == left.end()) {
          ++it;
          continue;
        }
        left.erase(match);
        it = right.erase(it);
      }
      std::optional<DimExpr> quotient = productOf(left).dividedBy(productOf(right));
      if (!quotient)
        return context.diags().error(context.step.place.str(),
                                     productOf(from).str() + " elements do not fill rows of " + productOf(right).str(),
                                     "correct `dims`");
      to[*rest] = *quotient;
    }
  } else if (!*given) {
    return context.diags().error(context.step.place.str(), "'reshape' lacks its sizes", "give one of `dims`, `to`, `like`");
  }
  if (productOf(from) != productOf(to)) {
    auto text = [](llvm::ArrayRef<DimExpr> dims) {
      std::string out;
      for (const DimExpr &dim : dims)
        out += (out.empty() ? "" : ", ") + dim.str();
      return "[" + out + "]";
    };
    return context.diags().error(context.step.place.str(), text(from) + " cannot become " + text(to), "correct the sizes");
  }
  return one(context.reshape(context.x(), to));
}

BlockResult buildExpand(BlockContext &context) {
  DimExprs to;
  if (failed(givenSizes(context, to)))
    return failure();
  return one(context.ops().create<fr::BroadcastOp>(context.loc(), tensorType(to, elementOf(context.x().getType())), context.x()));
}

BlockResult buildTranspose(BlockContext &context) {
  FailureOr<llvm::SmallVector<int64_t>> order = intList(context, "order");
  if (failed(order))
    return failure();
  return one(context.transpose(context.x(), *order));
}

BlockResult buildConcat(BlockContext &context) {
  FailureOr<int64_t> axis = context.axis("axis", context.dims().size());
  if (failed(axis))
    return failure();
  return one(context.ops().create<fr::ConcatOp>(context.loc(), context.operands, *axis));
}

BlockResult buildStack(BlockContext &context) {
  FailureOr<int64_t> axis = context.axis("axis", context.dims().size() + 1);
  if (failed(axis))
    return failure();
  llvm::SmallVector<Value> parts;
  for (Value operand : context.operands) {
    DimExprs dims = dimsOf(operand.getType());
    dims.insert(dims.begin() + *axis, DimExpr(1));
    parts.push_back(context.reshape(operand, dims));
  }
  return one(context.ops().create<fr::ConcatOp>(context.loc(), parts, *axis));
}

BlockResult buildSlice(BlockContext &context) {
  DimExprs dims = context.dims();
  FailureOr<int64_t> axis = context.axis("axis", dims.size());
  FailureOr<std::optional<int64_t>> from = context.optionalInteger("from"), to = context.optionalInteger("to"),
                                    step = context.optionalInteger("step");
  if (failed(axis) || failed(from) || failed(to) || failed(step))
    return failure();
  const DimExpr size = dims[*axis];
  auto place = [&](int64_t at) { return at < 0 ? size + DimExpr(at) : DimExpr(at); };
  DimExpr start = place(from->value_or(0)), end = *to ? place(**to) : size;
  Value part = context.slice(context.x(), *axis, start, end - start);
  if (step->value_or(1) == 1)
    return one(part);
  DimExpr count = end - start;
  if (!count.isStatic() || **step < 1)
    return context.diags().error(context.step.place.str(), "a step of " + Twine(**step) + " along a size " + count.str(),
                                 "it needs a number");
  llvm::SmallVector<int64_t> picks;
  for (int64_t i = 0; i < count.value(); i += **step)
    picks.push_back(i);
  Value indices = context.integerConstant(picks, {static_cast<int64_t>(picks.size())});
  return one(context.ops().create<fr::GatherOp>(context.loc(), part, indices, *axis, 0));
}

BlockResult buildSelect(BlockContext &context) {
  DimExprs dims = context.dims();
  FailureOr<int64_t> axis = context.axis("axis", dims.size());
  FailureOr<int64_t> index = context.step.find("index")->evalInt(context.scope, context.diags());
  if (failed(axis) || failed(index))
    return failure();
  DimExpr at = *index < 0 ? dims[*axis] + DimExpr(*index) : DimExpr(*index);
  Value part = context.slice(context.x(), *axis, at, DimExpr(1));
  dims.erase(dims.begin() + *axis);
  return one(context.reshape(part, dims));
}

BlockResult buildSplit(BlockContext &context) {
  DimExprs dims = context.dims();
  FailureOr<int64_t> axis = context.axis("axis", dims.size());
  FailureOr<llvm::SmallVector<int64_t>> sizes = intList(context, "sizes");
  if (failed(axis) || failed(sizes))
    return failure();
  int64_t total = 0;
  llvm::SmallVector<Value> parts;
  for (int64_t size : *sizes)
    total += size;
  if (DimExpr(total) != dims[*axis])
    return context.diags().error(context.step.place.str(),
                                 "parts of " + Twine(total) + " elements for a size " + dims[*axis].str(), "correct `sizes`");
  total = 0;
  for (int64_t size : *sizes) {
    parts.push_back(context.slice(context.x(), *axis, DimExpr(total), DimExpr(size)));
    total += size;
  }
  return parts;
}

BlockResult buildGather(BlockContext &context) {
  FailureOr<std::optional<int64_t>> batch = context.optionalInteger("batch_dims");
  if (failed(context.operandCount(2, 2)) || failed(batch))
    return failure();
  FailureOr<int64_t> axis = context.axis("axis", context.dims().size());
  if (failed(axis))
    return failure();
  return one(
      context.ops().create<fr::GatherOp>(context.loc(), context.operands[0], context.operands[1], *axis, batch->value_or(0)));
}

BlockResult buildRoll(BlockContext &context) {
  DimExprs dims = context.dims();
  FailureOr<int64_t> axis = context.axis("axis", dims.size());
  FailureOr<int64_t> by = context.step.find("by")->evalInt(context.scope, context.diags());
  if (failed(axis) || failed(by))
    return failure();
  const DimExpr size = dims[*axis];
  DimExpr head = *by < 0 ? DimExpr(-*by) : size - DimExpr(*by); // what goes to the end of the result
  if (size.isStatic() && size.value() > 0)
    head = DimExpr(((-*by % size.value()) + size.value()) % size.value());
  if (head == DimExpr(0) || head == size)
    return one(context.x());
  Value first = context.slice(context.x(), *axis, DimExpr(0), head),
        second = context.slice(context.x(), *axis, head, size - head);
  return one(context.ops().create<fr::ConcatOp>(context.loc(), ValueRange{second, first}, *axis));
}

BlockResult buildPad(BlockContext &context) {
  FailureOr<llvm::SmallVector<int64_t>> low = intList(context, "low"), high = intList(context, "high");
  FailureOr<std::optional<std::string>> mode = context.text("mode");
  FailureOr<std::optional<double>> value = context.optionalNumber("value");
  if (failed(low) || failed(high) || failed(mode) || failed(value))
    return failure();
  return one(context.ops().create<fr::PadOp>(context.loc(), context.x(), *low, *high,
                                             *fr::symbolizePadMode(mode->value_or("constant")),
                                             llvm::APFloat(value->value_or(0))));
}

const StepSchema kSchemas[] = {
    {"param", kParamParams, false, "a tensor of the checkpoint as a value"},
    {"constant", kConstantParams, false, "numbers that stand in the graph"},
    {"iota", kIotaParams, false, "0, 1, 2, ... as ints"},
    {"size", kSizeParams, false, "a size as an int"},
    {"cast", kCastParams, false, "the same numbers in another type"},
    {"reshape", kReshapeParams, false, "the same elements with other sizes"},
    {"expand", kExpandParams, false, "repeated along sizes of 1, and along new leading dimensions"},
    {"transpose", kTransposeParams, false, "dimensions in another order"},
    {"concat", kAxisParams, false, "its inputs one after the other along an axis"},
    {"stack", kAxisParams, false, "its inputs one after the other along a new axis"},
    {"slice", kSliceParams, false, "a range of an axis"},
    {"select", kSelectParams, false, "one element of an axis"},
    {"split", kSplitParams, false, "parts along an axis"},
    {"gather", kGatherParams, false, "picks along an axis of the first input by the second"},
    {"roll", kRollParams, false, "shifted along an axis, around the end"},
    {"pad", kPadParams, false, "with a margin"},
    {"identity", {}, false, "its input: names a value with `out`"},
};
BlockResult buildIdentity(BlockContext &context) { return one(context.x()); }
} // namespace

llvm::ArrayRef<StepBlock> flagrelease::shapeSteps() {
  static constexpr BlockFunction kBuilders[] = {buildParam,  buildConstant,  buildIota,   buildSize,  buildCast,    buildReshape,
                                                buildExpand, buildTranspose, buildConcat, buildStack, buildSlice,   buildSelect,
                                                buildSplit,  buildGather,    buildRoll,   buildPad,   buildIdentity};
  static const std::vector<StepBlock> steps = stepTable(kSchemas, kBuilders);
  return steps;
}
