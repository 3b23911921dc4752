#include "recipes/ExprNode.h"
#include "recipes/ModelRecipe.h"
#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"

using namespace flagrelease;
using json::Value;

const Param *Param::find(StringRef key) const {
  for (const Param &param : nested)
    if (param.name == key)
      return &param;
  return nullptr;
}

const Param *Step::find(StringRef name) const {
  for (const Param &param : params)
    if (param.name == name)
      return &param;
  return nullptr;
}

FailureOr<std::string> Param::evalText(const Scope &scope, Diagnostics &diags) const {
  if (nameTemplate)
    return nameTemplate->eval(scope, diags);
  if (!expr)
    return literal;
  FailureOr<std::string> text = expr->evalString(scope, diags);
  if (failed(text))
    return failure();
  if (type == ParamType::Enum && !llvm::is_contained(schema->values, StringRef(*text)))
    return diags.error(expr->place().str(), "`" + escape::terminal(expr->text(), 120) + "` is '" + escape::terminal(*text, 80) +
                                                "', '" + name + "' is one of " + listed(schema->values, 24) +
                                                nearestNote(*text, schema->values));
  return text;
}

FailureOr<Value> Param::eval(const Scope &scope, Diagnostics &diags) const {
  if (type == ParamType::Tensor || type == ParamType::Value || type == ParamType::Bind || type == ParamType::Enum ||
      type == ParamType::String || type == ParamType::Size) {
    FailureOr<std::string> text = evalText(scope, diags);
    if (failed(text))
      return failure();
    return Value(std::move(*text));
  }
  if (isMapping) {
    json::Object members;
    for (const Param &param : nested) {
      // An absent key of a mapping is left out, as it would be in the config that the mapping describes.
      if (param.expr) {
        FailureOr<std::optional<Value>> value = param.expr->evalOptional(scope, diags);
        if (failed(value))
          return failure();
        if (!*value)
          continue;
      }
      FailureOr<Value> value = param.eval(scope, diags);
      if (failed(value))
        return failure();
      members.append(param.name, std::move(*value));
    }
    return Value(std::move(members));
  }
  if (!expr) {
    json::Array items;
    for (const Param &param : nested) {
      FailureOr<Value> value = param.eval(scope, diags);
      if (failed(value))
        return failure();
      items.push_back(std::move(*value));
    }
    return Value(std::move(items));
  }
  switch (type) {
  case ParamType::Int: {
    FailureOr<int64_t> value = expr->evalInt(scope, diags);
    return failed(value) ? FailureOr<Value>(failure()) : FailureOr<Value>(Value(*value));
  }
  case ParamType::Number:
    if (failed(expr->evalNumber(scope, diags)))
      return failure();
    return expr->eval(scope, diags); // an int stays an int
  case ParamType::Bool:
  case ParamType::Flag: {
    FailureOr<bool> value = expr->evalBool(scope, diags);
    return failed(value) ? FailureOr<Value>(failure()) : FailureOr<Value>(Value(*value));
  }
  case ParamType::List: {
    FailureOr<Value> value = expr->eval(scope, diags);
    if (succeeded(value) && !value->isArray())
      return diags.error(expr->place().str(),
                         "`" + escape::terminal(expr->text(), 120) + "` must be a list, got " + describeValue(*value),
                         "correct the value in config.json, or the recipe");
    return value;
  }
  default:
    return expr->eval(scope, diags);
  }
}

/// A parameter without an expression where one is needed.
static LogicalResult notAnExpression(const Param &param, StringRef wanted, Diagnostics &diags) {
  return diags.error(param.place.str(), "'" + param.name + "' must be " + wanted);
}

FailureOr<int64_t> Param::evalInt(const Scope &scope, Diagnostics &diags) const {
  if (!expr)
    return notAnExpression(*this, "an int", diags);
  return expr->evalInt(scope, diags);
}
FailureOr<bool> Param::evalBool(const Scope &scope, Diagnostics &diags) const {
  if (!expr)
    return notAnExpression(*this, "a bool", diags);
  return expr->evalBool(scope, diags);
}
FailureOr<double> Param::evalNumber(const Scope &scope, Diagnostics &diags) const {
  if (!expr)
    return notAnExpression(*this, "a number", diags);
  return expr->evalNumber(scope, diags);
}

/// The parameter, or null when it is not written or its expression is absent or null.
static FailureOr<const Param *> present(const Step &step, StringRef name, const Scope &scope, Diagnostics &diags) {
  const Param *param = step.find(name);
  if (!param || !param->expr)
    return param;
  FailureOr<std::optional<Value>> value = param->expr->evalOptional(scope, diags);
  if (failed(value))
    return failure();
  return *value ? param : nullptr;
}

FailureOr<std::optional<Value>> Step::getValue(StringRef name, const Scope &scope, Diagnostics &diags) const {
  FailureOr<const Param *> param = present(*this, name, scope, diags);
  if (failed(param))
    return failure();
  if (!*param)
    return std::optional<Value>();
  FailureOr<Value> value = (*param)->eval(scope, diags);
  if (failed(value))
    return failure();
  return std::optional<Value>(std::move(*value));
}

FailureOr<std::optional<int64_t>> Step::getInt(StringRef name, const Scope &scope, Diagnostics &diags) const {
  FailureOr<const Param *> param = present(*this, name, scope, diags);
  if (failed(param))
    return failure();
  if (!*param)
    return std::optional<int64_t>();
  FailureOr<int64_t> value = (*param)->evalInt(scope, diags);
  if (failed(value))
    return failure();
  return std::optional<int64_t>(*value);
}

FailureOr<std::optional<double>> Step::getNumber(StringRef name, const Scope &scope, Diagnostics &diags) const {
  FailureOr<const Param *> param = present(*this, name, scope, diags);
  if (failed(param))
    return failure();
  if (!*param)
    return std::optional<double>();
  FailureOr<double> value = (*param)->evalNumber(scope, diags);
  if (failed(value))
    return failure();
  return std::optional<double>(*value);
}

FailureOr<bool> Step::getBool(StringRef name, bool otherwise, const Scope &scope, Diagnostics &diags) const {
  FailureOr<const Param *> param = present(*this, name, scope, diags);
  if (failed(param))
    return failure();
  return *param ? (*param)->evalBool(scope, diags) : FailureOr<bool>(otherwise);
}

FailureOr<std::optional<std::string>> Step::getText(StringRef name, const Scope &scope, Diagnostics &diags) const {
  FailureOr<const Param *> param = present(*this, name, scope, diags);
  if (failed(param))
    return failure();
  if (!*param)
    return std::optional<std::string>();
  FailureOr<std::string> value = (*param)->evalText(scope, diags);
  if (failed(value))
    return failure();
  return std::optional<std::string>(std::move(*value));
}
