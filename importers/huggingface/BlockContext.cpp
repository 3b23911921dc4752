#include "importers/huggingface/GraphBuilder.h"

using namespace flagrelease;
using namespace mlir;

int64_t BlockContext::width() const {
  DimExpr last = dims().back();
  assert(last.isStatic() && "features have a static size");
  return last.value();
}

FailureOr<std::string> BlockContext::tensorName(const Param &parameter) {
  FailureOr<std::string> name = parameter.evalText(scope, diags());
  if (failed(name))
    return failure();
  StringRef text = *name;
  if (text.consume_front("/") || at.empty())
    return text.str();
  return at + "." + text.str();
}

FailureOr<std::string> BlockContext::tensorName(StringRef parameter) {
  const Param *param = step.find(parameter);
  return param ? tensorName(*param) : FailureOr<std::string>(std::string());
}

FailureOr<int64_t> BlockContext::integer(StringRef parameter, int64_t least) {
  const Param *param = step.find(parameter);
  if (!param)
    return diags().error(step.place.str(), "'" + step.kind + "' needs '" + parameter + "'", "add it to the step");
  FailureOr<int64_t> value = param->evalInt(scope, diags());
  if (failed(value))
    return failure();
  // 2^31 elements in one dimension is more than any model has, and keeps products of sizes inside 64 bits.
  if (*value < least || *value > (int64_t(1) << 31))
    return diags().error(param->place.str(), "'" + parameter + "' is " + Twine(*value) + ", which no model has",
                         "correct config.json: " + (param->expr ? param->expr->text() : StringRef(param->literal)));
  return *value;
}

FailureOr<std::optional<int64_t>> BlockContext::optionalInteger(StringRef parameter) {
  return step.getInt(parameter, scope, diags());
}
FailureOr<std::optional<double>> BlockContext::optionalNumber(StringRef parameter) {
  return step.getNumber(parameter, scope, diags());
}

FailureOr<double> BlockContext::number(StringRef parameter) {
  FailureOr<std::optional<double>> value = optionalNumber(parameter);
  if (failed(value))
    return failure();
  if (!*value)
    return diags().error(step.place.str(), "'" + step.kind + "' needs a number '" + parameter + "'",
                         "add it to the step or to config.json");
  return **value;
}

FailureOr<bool> BlockContext::flag(StringRef parameter, bool otherwise) {
  return step.getBool(parameter, otherwise, scope, diags());
}
FailureOr<std::optional<std::string>> BlockContext::text(StringRef parameter) { return step.getText(parameter, scope, diags()); }

FailureOr<Value> BlockContext::value(StringRef parameter) {
  const Param *param = step.find(parameter);
  if (!param)
    return Value();
  FailureOr<std::string> name = param->evalText(scope, diags());
  if (failed(name))
    return failure();
  if (*name == "stream" && !operands.empty())
    return x();
  if (Value found = graph.lookup(*name))
    return found;
  return diags().error(param->place.str(), "no value is called '" + *name + "' here",
                       "name an id or an `out:` of an earlier step");
}

FailureOr<int64_t> BlockContext::axis(StringRef parameter, int64_t rank) {
  const Param *param = step.find(parameter);
  FailureOr<int64_t> value = param->evalInt(scope, diags());
  if (failed(value))
    return failure();
  int64_t axis = *value < 0 ? *value + rank : *value;
  if (axis < 0 || axis >= rank)
    return diags().error(param->place.str(), "axis " + Twine(*value) + " is outside a value of rank " + Twine(rank),
                         "check its shape");
  return axis;
}

FailureOr<llvm::SmallVector<int64_t>> BlockContext::integers(StringRef parameter, size_t count,
                                                             std::optional<int64_t> otherwise) {
  FailureOr<std::optional<json::Value>> value = step.getValue(parameter, scope, diags());
  if (failed(value))
    return failure();
  auto problem = [&]() -> FailureOr<llvm::SmallVector<int64_t>> {
    return diags().error(step.place.str(), "'" + parameter + "' is an int or a list of " + Twine(count) + " ints",
                         "correct the step");
  };
  if (!*value)
    return otherwise ? FailureOr<llvm::SmallVector<int64_t>>(llvm::SmallVector<int64_t>(count, *otherwise)) : problem();
  if ((*value)->isInt())
    return llvm::SmallVector<int64_t>(count, (*value)->integer());
  llvm::SmallVector<int64_t> out;
  if ((*value)->isArray())
    for (const json::Value &item : (*value)->array()) {
      if (!item.isInt())
        return problem();
      out.push_back(item.integer());
    }
  return out.size() == count ? FailureOr<llvm::SmallVector<int64_t>>(out) : problem();
}

static FailureOr<DimExpr> sizeOf(const Param &param, const Scope &scope, Diagnostics &diags) {
  FailureOr<std::string> text = param.evalText(scope, diags);
  if (failed(text))
    return failure();
  std::optional<DimExpr> size = DimExpr::parse(*text);
  if (!size || (size->isStatic() && size->value() < 0))
    return diags.error(param.place.str(), "'" + *text + "' is no size", "write a number or an expression of named sizes");
  return *size;
}

FailureOr<DimExprs> BlockContext::sizes(StringRef parameter) {
  DimExprs out;
  for (const Param &item : step.find(parameter)->nested) {
    FailureOr<DimExpr> one = sizeOf(item, scope, diags());
    if (failed(one))
      return failure();
    out.push_back(*one);
  }
  return out;
}

FailureOr<DimExpr> BlockContext::size(StringRef parameter) { return sizeOf(*step.find(parameter), scope, diags()); }

Value BlockContext::constant(double value) {
  return ops().create<fr::ConstantOp>(
      loc(), cast<ElementsAttr>(DenseElementsAttr::get(tensorType({}, ops().getF32Type()), static_cast<float>(value))));
}

Value BlockContext::integerConstant(llvm::ArrayRef<int64_t> values, llvm::ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, ops().getI64Type());
  return ops().create<fr::ConstantOp>(loc(), cast<ElementsAttr>(DenseElementsAttr::get(type, values)));
}

Value BlockContext::slice(Value value, int64_t axis, const DimExpr &start, const DimExpr &size) {
  DimExprs dims = dimsOf(value.getType());
  if (start.isStatic() && start.value() == 0 && size == dims[axis])
    return value;
  if (dims[axis].isStatic() && start.isStatic() && size.isStatic())
    return ops().create<fr::SliceOp>(loc(), value, axis, start.value(), size.value());
  dims[axis] = size;
  return ops().create<fr::NarrowOp>(loc(), tensorType(dims, elementOf(value.getType())), value, axis, start.str(), size.str());
}

LogicalResult BlockContext::operandCount(size_t least, size_t most) {
  if (operands.size() >= least && operands.size() <= most)
    return success();
  return diags().error(step.place.str(),
                       "'" + step.kind + "' takes " + Twine(least) + (most > least ? " or more" : "") + " values, `in` gives " +
                           Twine(operands.size()),
                       "list them in `in`");
}

FailureOr<Value> BlockContext::linear(Value value, const std::string &module, int64_t outs, bool bias, const Twine &sizesFrom,
                                      bool transposed) {
  int64_t in = dimsOf(value.getType()).back().value();
  Value b = bias ? weight(module + ".bias", {outs}, sizesFrom) : Value();
  if (transposed) { // stored [in, out]
    Value w = weight(module + ".weight", {in, outs}, sizesFrom);
    Value y = ops().create<fr::MatmulOp>(loc(), value, w);
    return b ? ops().create<fr::AddOp>(loc(), y, b).getResult() : y;
  }
  Value w = weight(module + ".weight", {outs, in}, sizesFrom);
  return ops().create<fr::LinearOp>(loc(), value, w, b).getResult();
}

Value BlockContext::reshape(Value value, llvm::ArrayRef<DimExpr> dims) {
  if (llvm::equal(dimsOf(value.getType()), dims))
    return value;
  return ops().create<fr::ReshapeOp>(loc(), tensorType(dims, elementOf(value.getType())), value);
}

Value BlockContext::transpose(Value value, llvm::ArrayRef<int64_t> permutation) {
  return ops().create<fr::TransposeOp>(loc(), value, permutation);
}
