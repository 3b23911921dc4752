// Steps that are one op of arithmetic on values.
#include "importers/huggingface/blocks/Blocks.h"

#include "llvm/ADT/StringSet.h"

#include <cmath>

using namespace flagrelease;
using namespace mlir;

namespace {
const ParamSchema kIntItem[] = {{"item", ParamType::Int}};
const StringRef kPredicates[] = {"eq", "ne", "lt", "le", "gt", "ge"};
const StringRef kReductions[] = {"sum", "mean", "max", "min"};

const ParamSchema kByParams[] = {{"by", ParamType::Number, false, {}, {}, "the second value: a number instead of one in `in`"}};
const ParamSchema kScaleParams[] = {{"by", ParamType::Number, true, {}, {}, ""}};
const ParamSchema kScaleByParams[] = {{"weight", ParamType::Tensor, true, {}, {}, "the tensor by its whole name, [features]"},
                                      {"axis", ParamType::Int, false, {}, {}, "of the features; absent: the last"}};
const ParamSchema kActParams[] = {
    {"kind", ParamType::String, true, {}, {}, "a name of config.json's, or exp, log, sqrt, neg, ..."}};
const ParamSchema kCompareParams[] = {{"kind", ParamType::Enum, true, kPredicates, {}, ""},
                                      {"by", ParamType::Number, false, {}, {}, "the second value as a number"}};
const ParamSchema kSoftcapParams[] = {{"cap", ParamType::Number, true, {}, {}, "cap * tanh(x / cap)"}};
const ParamSchema kReduceParams[] = {
    {"kind", ParamType::Enum, true, kReductions, {}, ""},
    {"axes", ParamType::List, true, {}, kIntItem, "negative: from the end"},
    {"keep", ParamType::Bool, false, {}, {}, "true: they stay with size 1; absent: they disappear"}};
const ParamSchema kAxisParams[] = {{"axis", ParamType::Int, true, {}, {}, "negative: from the end"}};
const ParamSchema kTopKParams[] = {
    {"k", ParamType::Int, true, {}, {}, "of the last axis; `out` names the values and their places"}};
const ParamSchema kMatmulParams[] = {{"transpose_a", ParamType::Bool, false, {}, {}, "of the last two axes"},
                                     {"transpose_b", ParamType::Bool, false, {}, {}, "of the last two axes"}};
const ParamSchema kEinsumParams[] = {{"equation", ParamType::String, true, {}, {}, "bsd,de->bse, of two inputs"}};
const ParamSchema kSinusoidParams[] = {
    {"width", ParamType::Int, true, {}, {}, "features: half of them sines"},
    {"max_period", ParamType::Number, false, {}, {}, "absent: 10000"},
    {"shift", ParamType::Number, false, {}, {}, "frequency j is max_period ** (-j / (width / 2 - shift)); absent: 0"},
    {"flip", ParamType::Bool, false, {}, {}, "cosines first"},
    {"scale", ParamType::Number, false, {}, {}, "of the angles; absent: 1"},
};
const ParamSchema kMagnitudeParams[] = {
    {"like", ParamType::Value, true, {}, {}, "the result has the root mean square of this value over the features"},
    {"eps", ParamType::Number, false, {}, {}, "least square of its own; absent: 1e-5"}};

BlockResult one(Value value) { return llvm::SmallVector<Value>{value}; }

template <typename Op> BlockResult buildMany(BlockContext &context) {
  FailureOr<std::optional<double>> by = context.optionalNumber("by");
  if (failed(by) || failed(context.operandCount(*by ? 1 : 2, 64)))
    return failure();
  Value total = context.x();
  for (Value operand : llvm::ArrayRef(context.operands).drop_front())
    total = context.ops().create<Op>(context.loc(), total, operand);
  if (*by) {
    Value number = isa<IntegerType>(elementOf(total.getType())) ? context.integerConstant({static_cast<int64_t>(**by)}, {})
                                                                : context.constant(**by);
    total = context.ops().create<Op>(context.loc(), total, number);
  }
  return one(total);
}

BlockResult buildScale(BlockContext &context) {
  FailureOr<double> by = context.number("by");
  if (failed(by))
    return failure();
  return one(*by == 1 ? context.x()
                      : context.ops().create<fr::MulOp>(context.loc(), context.x(), context.constant(*by)).getResult());
}

/// A vector of weights along an axis of x, as a value that spreads over it.
FailureOr<Value> alongAxis(BlockContext &context) {
  FailureOr<std::string> name = context.tensorName("weight");
  DimExprs dims = context.dims();
  const auto rank = static_cast<int64_t>(dims.size());
  FailureOr<int64_t> axis = context.step.has("axis") ? context.axis("axis", rank) : FailureOr<int64_t>(rank - 1);
  if (failed(name) || failed(axis))
    return failure();
  if (!dims[*axis].isStatic())
    return context.diags().error(context.step.place.str(), "the features have no fixed size here: " + dims[*axis].str(),
                                 "choose another axis");
  Value weight = context.weight(*name, {dims[*axis].value()}, "features " + Twine(dims[*axis].value()));
  if (*axis == rank - 1)
    return weight;
  DimExprs column(rank - *axis, DimExpr(1));
  column[0] = dims[*axis];
  return context.reshape(weight, column);
}
BlockResult buildScaleBy(BlockContext &context) {
  FailureOr<Value> weight = alongAxis(context);
  return failed(weight) ? BlockResult(failure()) : one(context.ops().create<fr::MulOp>(context.loc(), context.x(), *weight));
}
BlockResult buildShiftBy(BlockContext &context) {
  FailureOr<Value> weight = alongAxis(context);
  return failed(weight) ? BlockResult(failure()) : one(context.ops().create<fr::AddOp>(context.loc(), context.x(), *weight));
}

BlockResult buildAct(BlockContext &context) {
  FailureOr<std::optional<std::string>> kind = context.text("kind");
  if (failed(kind))
    return failure();
  FailureOr<Value> y = activation(context, kind->value_or(""), context.x(), context.step.find("kind")->place);
  return failed(y) ? BlockResult(failure()) : one(*y);
}

BlockResult buildCompare(BlockContext &context) {
  FailureOr<std::optional<std::string>> kind = context.text("kind");
  FailureOr<std::optional<double>> by = context.optionalNumber("by");
  if (failed(kind) || failed(by) || failed(context.operandCount(*by ? 1 : 2, *by ? 1 : 2)))
    return failure();
  Value other =
      *by ? (isa<IntegerType>(elementOf(context.x().getType())) ? context.integerConstant({static_cast<int64_t>(**by)}, {})
                                                                : context.constant(**by))
          : context.operands[1];
  return one(context.ops().create<fr::CompareOp>(context.loc(), *fr::symbolizePredicate(**kind), context.x(), other));
}

BlockResult buildWhere(BlockContext &context) {
  if (failed(context.operandCount(3, 3)))
    return failure();
  return one(context.ops().create<fr::SelectOp>(context.loc(), context.operands[0], context.operands[1], context.operands[2]));
}

BlockResult buildSoftcap(BlockContext &context) {
  FailureOr<double> cap = context.number("cap");
  if (failed(cap))
    return failure();
  Value factor = context.constant(*cap);
  Value inner =
      context.ops().create<fr::TanhOp>(context.loc(), context.ops().create<fr::DivOp>(context.loc(), context.x(), factor));
  return one(context.ops().create<fr::MulOp>(context.loc(), inner, factor));
}

BlockResult buildReduce(BlockContext &context) {
  DimExprs dims = context.dims();
  FailureOr<std::optional<std::string>> kind = context.text("kind");
  FailureOr<json::Value> list = context.step.find("axes")->eval(context.scope, context.diags());
  FailureOr<bool> keep = context.flag("keep", false);
  if (failed(kind) || failed(list) || failed(keep))
    return failure();
  llvm::SmallVector<int64_t> axes;
  for (const json::Value &item : list->array()) {
    int64_t axis = item.isInt() ? item.integer() : static_cast<int64_t>(dims.size());
    axis += axis < 0 ? static_cast<int64_t>(dims.size()) : 0;
    if (axis < 0 || axis >= static_cast<int64_t>(dims.size()))
      return context.diags().error(context.step.place.str(),
                                   "axis " + json::toText(item) + " is outside a value of rank " + Twine(dims.size()),
                                   "check its shape");
    axes.push_back(axis);
  }
  Value y = context.ops().create<fr::ReduceOp>(context.loc(), *fr::symbolizeReduceKind(**kind), context.x(), axes);
  if (*keep)
    return one(y);
  llvm::sort(axes);
  for (int64_t axis : llvm::reverse(axes))
    dims.erase(dims.begin() + axis);
  return one(context.reshape(y, dims));
}

template <typename Op> BlockResult buildAxis(BlockContext &context) {
  FailureOr<int64_t> axis = context.axis("axis", context.dims().size());
  return failed(axis) ? BlockResult(failure()) : one(context.ops().create<Op>(context.loc(), context.x(), *axis));
}

BlockResult buildTopK(BlockContext &context) {
  FailureOr<int64_t> k = context.integer("k");
  if (failed(k))
    return failure();
  auto op = context.ops().create<fr::TopKOp>(context.loc(), context.x(), *k);
  return llvm::SmallVector<Value>{op.getValues(), op.getIndices()};
}

Value swapLast(BlockContext &context, Value x) {
  llvm::SmallVector<int64_t> order;
  for (int64_t i = 0; i < rankOf(x.getType()); ++i)
    order.push_back(i);
  std::swap(order[order.size() - 2], order[order.size() - 1]);
  return context.transpose(x, order);
}

BlockResult buildMatmul(BlockContext &context) {
  FailureOr<bool> a = context.flag("transpose_a", false), b = context.flag("transpose_b", false);
  if (failed(a) || failed(b) || failed(context.operandCount(2, 2)))
    return failure();
  Value left = *a ? swapLast(context, context.operands[0]) : context.operands[0];
  Value right = *b ? swapLast(context, context.operands[1]) : context.operands[1];
  return one(context.ops().create<fr::MatmulOp>(context.loc(), left, right));
}

/// Letters of both inputs and the result are batch, those of both inputs only are summed over; the others stand side by side.
BlockResult buildEinsum(BlockContext &context) {
  FailureOr<std::optional<std::string>> equation = context.text("equation");
  if (failed(equation) || failed(context.operandCount(2, 2)))
    return failure();
  auto [inputs, result] = StringRef(**equation).split("->");
  auto [first, second] = inputs.split(',');
  const StringRef names[2] = {first.trim(), second.trim()};
  result = result.trim();
  if (!StringRef(**equation).contains("->") || names[0].empty() || names[1].empty())
    return context.diags().error(context.step.place.str(), "'" + **equation + "' is no equation of two inputs and a result",
                                 "write bsd,de->bse");
  for (StringRef letters : {names[0], names[1], result})
    for (char letter : letters)
      if (letters.count(letter) > 1)
        return context.diags().error(context.step.place.str(), "'" + letters + "' names axis '" + Twine(letter) + "' twice",
                                     "correct the equation");
  std::map<char, DimExpr> sizes;
  for (int i = 0; i < 2; ++i) {
    DimExprs dims = dimsOf(context.operands[i].getType());
    if (dims.size() != names[i].size())
      return context.diags().error(context.step.place.str(),
                                   "'" + names[i] + "' names " + Twine(names[i].size()) + " axes of " + Twine(dims.size()),
                                   "correct the equation");
    for (auto [letter, dim] : llvm::zip_equal(names[i], dims)) {
      auto [it, fresh] = sizes.try_emplace(letter, dim);
      if (!fresh && it->second != dim)
        return context.diags().error(context.step.place.str(),
                                     "axis '" + Twine(letter) + "' has sizes " + it->second.str() + " and " + dim.str(),
                                     "correct the equation");
    }
  }
  std::string batch, summed, own[2];
  for (int i = 0; i < 2; ++i)
    for (char letter : names[i]) {
      bool other = names[1 - i].contains(letter), kept = result.contains(letter);
      if (other && kept && i == 0)
        batch += letter;
      else if (other && !kept && i == 0)
        summed += letter;
      else if (!other && kept)
        own[i] += letter;
      else if (!other)
        return context.diags().error(context.step.place.str(),
                                     "axis '" + Twine(letter) + "' is in one input only and not in the result",
                                     "reduce it first");
    }
  auto arrange = [&](int i, StringRef order, llvm::ArrayRef<StringRef> groups) {
    llvm::SmallVector<int64_t> permutation;
    for (char letter : order)
      permutation.push_back(names[i].find(letter));
    DimExprs dims;
    for (char letter : batch)
      dims.push_back(sizes[letter]);
    for (StringRef group : groups) {
      DimExpr size(1);
      for (char letter : group)
        size = size * sizes[letter];
      dims.push_back(size);
    }
    return context.reshape(context.transpose(context.operands[i], permutation), dims);
  };
  Value a = arrange(0, batch + own[0] + summed, {own[0], summed}), b = arrange(1, batch + summed + own[1], {summed, own[1]});
  Value product = context.ops().create<fr::MatmulOp>(context.loc(), a, b);
  std::string order = batch + own[0] + own[1];
  DimExprs dims;
  for (char letter : order)
    dims.push_back(sizes[letter]);
  product = context.reshape(product, dims);
  llvm::SmallVector<int64_t> permutation;
  for (char letter : result) {
    size_t at = order.find(letter);
    if (at == std::string::npos)
      return context.diags().error(context.step.place.str(), "axis '" + Twine(letter) + "' of the result is in no input",
                                   "correct the equation");
    permutation.push_back(static_cast<int64_t>(at));
  }
  return one(context.transpose(product, permutation));
}

BlockResult buildSinusoid(BlockContext &context) {
  FailureOr<int64_t> width = context.integer("width", 2);
  FailureOr<std::optional<double>> period = context.optionalNumber("max_period"), shift = context.optionalNumber("shift"),
                                   scale = context.optionalNumber("scale");
  FailureOr<bool> flip = context.flag("flip", false);
  if (failed(width) || failed(period) || failed(shift) || failed(scale) || failed(flip))
    return failure();
  const int64_t half = *width / 2;
  std::vector<float> frequencies;
  for (int64_t j = 0; j < half; ++j)
    frequencies.push_back(static_cast<float>(std::exp(-std::log(period->value_or(10000)) * static_cast<double>(j) /
                                                      (static_cast<double>(half) - shift->value_or(0)))));
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  DimExprs dims = context.dims();
  Value x = ops.create<fr::CastOp>(loc, tensorType(dims, ops.getF32Type()), context.x());
  dims.push_back(DimExpr(1));
  Value table =
      ops.create<fr::ConstantOp>(loc, cast<ElementsAttr>(DenseElementsAttr::get(RankedTensorType::get({half}, ops.getF32Type()),
                                                                                llvm::ArrayRef<float>(frequencies))));
  Value angles = ops.create<fr::MulOp>(loc, context.reshape(x, dims), table);
  if (scale->value_or(1) != 1)
    angles = ops.create<fr::MulOp>(loc, angles, context.constant(**scale));
  Value sine = ops.create<fr::SinOp>(loc, angles), cosine = ops.create<fr::CosOp>(loc, angles);
  return one(ops.create<fr::ConcatOp>(loc, *flip ? ValueRange{cosine, sine} : ValueRange{sine, cosine},
                                      static_cast<int64_t>(dims.size()) - 1));
}

/// Scales to the root mean square of another value (Gemma 3n's streams).
BlockResult buildMagnitude(BlockContext &context) {
  FailureOr<Value> like = context.value("like");
  FailureOr<std::optional<double>> eps = context.optionalNumber("eps");
  if (failed(like) || failed(eps))
    return failure();
  OpBuilder &ops = context.ops();
  Location loc = context.loc();
  auto meanSquare = [&](Value x) {
    return ops.create<fr::ReduceOp>(loc, fr::ReduceKind::Mean, ops.create<fr::MulOp>(loc, x, x),
                                    llvm::ArrayRef<int64_t>{rankOf(x.getType()) - 1});
  };
  Value own = ops.create<fr::MaximumOp>(loc, meanSquare(context.x()), context.constant(eps->value_or(1e-5)));
  Value ratio = ops.create<fr::DivOp>(loc, ops.create<fr::SqrtOp>(loc, meanSquare(*like)), ops.create<fr::SqrtOp>(loc, own));
  return one(ops.create<fr::MulOp>(loc, context.x(), ratio));
}

const StepSchema kSchemas[] = {
    {"add", kByParams, false, "sum of its inputs"},
    {"sub", kByParams, false, "the first input minus the others"},
    {"mul", kByParams, false, "product of its inputs"},
    {"div", kByParams, false, "the first input divided by the others; ints truncate"},
    {"pow", kByParams, false, "the first input to the power of the second"},
    {"maximum", kByParams, false, "the larger of its inputs"},
    {"minimum", kByParams, false, "the smaller of its inputs"},
    {"and", kByParams, false, "all are true"},
    {"or", kByParams, false, "one is true"},
    {"scale", kScaleParams, false, "times a number"},
    {"scale_by", kScaleByParams, false, "times a vector of weights along an axis"},
    {"shift_by", kScaleByParams, false, "plus a vector of weights along an axis"},
    {"act", kActParams, false, "an activation, or another function of one value"},
    {"compare", kCompareParams, false, "true where the first input stands so to the second"},
    {"where", {}, false, "the second input where the first is true, else the third"},
    {"softcap", kSoftcapParams, false, "cap * tanh(x / cap)"},
    {"reduce", kReduceParams, false, "sum, mean, max or min over axes"},
    {"softmax", kAxisParams, false, "e^(x - max) / sum along an axis"},
    {"cumsum", kAxisParams, false, "running sum along an axis"},
    {"arg_max", kAxisParams, false, "place of the largest along an axis"},
    {"top_k", kTopKParams, false, "the k largest of the last axis and their places"},
    {"matmul", kMatmulParams, false, "product of matrices over the last two axes"},
    {"einsum", kEinsumParams, false, "product of two values, summed over the axes that the result does not have"},
    {"sinusoid", kSinusoidParams, false, "sines and cosines of x times frequencies (arXiv:1706.03762)"},
    {"magnitude", kMagnitudeParams, false, "x with the root mean square of another value"},
};
} // namespace

llvm::ArrayRef<StepBlock> flagrelease::mathSteps() {
  static constexpr BlockFunction kBuilders[] = {buildMany<fr::AddOp>,
                                                buildMany<fr::SubOp>,
                                                buildMany<fr::MulOp>,
                                                buildMany<fr::DivOp>,
                                                buildMany<fr::PowOp>,
                                                buildMany<fr::MaximumOp>,
                                                buildMany<fr::MinimumOp>,
                                                buildMany<fr::AndOp>,
                                                buildMany<fr::OrOp>,
                                                buildScale,
                                                buildScaleBy,
                                                buildShiftBy,
                                                buildAct,
                                                buildCompare,
                                                buildWhere,
                                                buildSoftcap,
                                                buildReduce,
                                                buildAxis<fr::SoftmaxOp>,
                                                buildAxis<fr::CumsumOp>,
                                                buildAxis<fr::ArgMaxOp>,
                                                buildTopK,
                                                buildMatmul,
                                                buildEinsum,
                                                buildSinusoid,
                                                buildMagnitude};
  static const std::vector<StepBlock> steps = stepTable(kSchemas, kBuilders);
  return steps;
}
