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

FailureOr<Value> BlockContext::linear(Value value, const std::string &module, int64_t outs, bool bias, const Twine &sizesFrom) {
  int64_t in = dimsOf(value.getType()).back().value();
  Value w = weight(module + ".weight", {outs, in}, sizesFrom);
  Value b = bias ? weight(module + ".bias", {outs}, sizesFrom) : Value();
  return ops().create<fr::LinearOp>(loc(), value, w, b).getResult();
}

Value BlockContext::reshape(Value value, llvm::ArrayRef<DimExpr> dims) {
  return ops().create<fr::ReshapeOp>(loc(), tensorType(dims, elementOf(value.getType())), value);
}

Value BlockContext::transpose(Value value, llvm::ArrayRef<int64_t> permutation) {
  return ops().create<fr::TransposeOp>(loc(), value, permutation);
}
