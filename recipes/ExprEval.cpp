#include "recipes/ExprNode.h"
#include "text/Escape.h"
#include "text/Nearest.h"

#include <cmath>
#include <limits>

using namespace flagrelease;
using json::Value;

static constexpr unsigned kMaxLetDepth = 64;

namespace flagrelease {

/// Evaluates one expression in one scope.
class Evaluator {
public:
  Evaluator(const Expr &expr, const Scope &scope, const Scope::Frame *frame, Diagnostics &diags)
      : parsed(*expr.parsed), scope(scope), frame(frame), diags(diags) {}

  /// Failed, absent (no value; `absence` says what), or a value.
  struct Result {
    bool failed = false;
    std::optional<Value> value;
    std::string absence = {};
    unsigned offset = 0;
  };

  Result run() { return eval(parsed.root); }
  LogicalResult absent(const Result &result) {
    return diags.error(parsed.where(result.offset), result.absence,
                       "write `x ?? default` where a key is optional" + near(result));
  }

private:
  static Result ok(Value value) { return {false, std::move(value)}; }
  static Result failedResult() { return {true, std::nullopt}; }
  Result fail(const ExprNode &node, const Twine &what, const Twine &remedy = "correct the value in config.json, or the recipe") {
    (void)diags.error(parsed.where(node.offset), what + " in `" + escape::terminal(parsed.text, 120) + "`", remedy);
    return failedResult();
  }

  std::string near(const Result &result) {
    StringRef name = StringRef(result.absence).split('\'').second.split('\'').first;
    if (!StringRef(result.absence).ends_with("is not in the config"))
      return "";
    return nearestNote(name, scope.names());
  }

  /// A value that must be there.
  Result need(const ExprNode &node) {
    Result result = eval(node);
    if (!result.failed && !result.value) {
      (void)absent(result);
      return failedResult();
    }
    return result;
  }
  Result needBool(const ExprNode &node, StringRef of) {
    Result result = need(node);
    if (!result.failed && !result.value->isBool())
      return fail(node, of + " needs a bool, got " + describeValue(*result.value));
    return result;
  }

  Result eval(const ExprNode &node) {
    switch (node.op) {
    case ExprOp::Constant:
      return ok(node.value);
    case ExprOp::Name:
      return evalName(node);
    case ExprOp::Attribute:
      return evalAttribute(node);
    case ExprOp::Index:
      return evalIndex(node);
    case ExprOp::Call:
      return evalCall(node);
    case ExprOp::List: {
      json::Array items;
      for (const ExprNode &kid : node.kids) {
        Result item = need(kid);
        if (item.failed)
          return item;
        items.push_back(std::move(*item.value));
      }
      return ok(Value(std::move(items)));
    }
    case ExprOp::Not: {
      Result operand = needBool(node.kids[0], "not");
      return operand.failed ? operand : ok(Value(!operand.value->boolean()));
    }
    case ExprOp::And:
    case ExprOp::Or: {
      StringRef of = node.op == ExprOp::And ? "and" : "or";
      Result left = needBool(node.kids[0], of);
      if (left.failed || left.value->boolean() == (node.op == ExprOp::Or))
        return left;
      return needBool(node.kids[1], of);
    }
    case ExprOp::Choose: {
      Result condition = needBool(node.kids[1], "if");
      return condition.failed ? condition : eval(node.kids[condition.value->boolean() ? 0 : 2]);
    }
    case ExprOp::Coalesce: {
      Result left = eval(node.kids[0]);
      if (left.failed || (left.value && !left.value->isNull()))
        return left;
      return eval(node.kids[1]);
    }
    case ExprOp::Negate: {
      Result operand = need(node.kids[0]);
      if (operand.failed)
        return operand;
      if (operand.value->isDouble())
        return ok(Value(-operand.value->number()));
      if (!operand.value->isInt())
        return fail(node, "'-' needs a number, got " + describeValue(*operand.value));
      int64_t negated = 0;
      if (__builtin_sub_overflow(int64_t(0), operand.value->integer(), &negated))
        return fail(node, "int overflow in -" + describeValue(*operand.value));
      return ok(Value(negated));
    }
    default:
      return evalBinary(node);
    }
  }

  Result evalName(const ExprNode &node) {
    FailureOr<std::optional<Value>> found = scope.lookup(node.name, frame, diags);
    if (failed(found))
      return failedResult();
    if (*found)
      return ok(std::move(**found));
    return {false, std::nullopt, "'" + escape::terminal(node.name, 120) + "' is not in the config", node.offset};
  }

  Result evalAttribute(const ExprNode &node) {
    Result base = eval(node.kids[0]);
    if (base.failed || !base.value)
      return base;
    if (base.value->isNull())
      return {false, std::nullopt, "'" + node.name + "' of null", node.offset};
    if (!base.value->isObject())
      return fail(node, "'." + node.name + "' needs a mapping, got " + describeValue(*base.value));
    if (const Value *member = base.value->find(node.name))
      return ok(*member);
    return {false, std::nullopt, "key '" + node.name + "' is absent", node.offset};
  }

  Result evalIndex(const ExprNode &node) {
    Result base = eval(node.kids[0]);
    if (base.failed || !base.value)
      return base;
    Result index = need(node.kids[1]);
    if (index.failed)
      return index;
    if (base.value->isNull())
      return {false, std::nullopt, "an element of null", node.offset};
    if (base.value->isObject()) {
      if (!index.value->isString())
        return fail(node, "a mapping is indexed by text, got " + describeValue(*index.value));
      if (const Value *member = base.value->find(index.value->string()))
        return ok(*member);
      return {false, std::nullopt, "key '" + escape::terminal(index.value->string(), 120) + "' is absent", node.offset};
    }
    if (!base.value->isArray() && !base.value->isString())
      return fail(node, "'[]' needs a list, text or mapping, got " + describeValue(*base.value));
    size_t size = base.value->isArray() ? base.value->array().size() : base.value->string().size();
    if (!index.value->isInt())
      return fail(node, "an index is an int, got " + describeValue(*index.value));
    int64_t i = index.value->integer();
    if (i < 0 || i >= static_cast<int64_t>(size))
      return fail(node, "index " + Twine(i) + " is outside " + describeValue(*base.value),
                  base.value->isArray() ? "the list must have an entry for it" : "");
    if (base.value->isArray())
      return ok(base.value->array()[static_cast<size_t>(i)]);
    return ok(Value(base.value->string().substr(static_cast<size_t>(i), 1)));
  }

  Result evalCall(const ExprNode &node) {
    if (node.name == "present") {
      Result operand = eval(node.kids[0]);
      return operand.failed ? operand : ok(Value(operand.value && !operand.value->isNull()));
    }
    json::Array args;
    for (const ExprNode &kid : node.kids) {
      Result arg = need(kid);
      if (arg.failed)
        return arg;
      args.push_back(std::move(*arg.value));
    }
    std::string error;
    std::optional<Value> value = findExprFunction(node.name)->apply(args, error);
    return value ? ok(std::move(*value)) : fail(node, node.name + " " + error);
  }

  Result evalBinary(const ExprNode &node) {
    Result left = need(node.kids[0]);
    if (left.failed)
      return left;
    Result right = need(node.kids[1]);
    if (right.failed)
      return right;
    const Value &a = *left.value, &b = *right.value;
    switch (node.op) {
    case ExprOp::Equal:
      return ok(Value(exprEqual(a, b)));
    case ExprOp::NotEqual:
      return ok(Value(!exprEqual(a, b)));
    case ExprOp::Less:
      return order(node, a, b, [](auto x, auto y) { return x < y; });
    case ExprOp::LessEqual:
      return order(node, a, b, [](auto x, auto y) { return x <= y; });
    case ExprOp::Greater:
      return order(node, a, b, [](auto x, auto y) { return x > y; });
    case ExprOp::GreaterEqual:
      return order(node, a, b, [](auto x, auto y) { return x >= y; });
    default:
      break;
    }
    if (!a.isNumber() || !b.isNumber())
      return fail(node, "arithmetic needs numbers, got " + describeValue(a) + " and " + describeValue(b));
    if (a.isInt() && b.isInt() && node.op != ExprOp::Divide && !(node.op == ExprOp::Power && b.integer() < 0))
      return arithmetic(node, a.integer(), b.integer());
    return arithmetic(node, a.number(), b.number());
  }

  template <typename Compare> Result order(const ExprNode &node, const Value &a, const Value &b, Compare compare) {
    if (a.isInt() && b.isInt())
      return ok(Value(compare(a.integer(), b.integer())));
    if (a.isNumber() && b.isNumber())
      return ok(Value(compare(a.number(), b.number())));
    if (a.isString() && b.isString())
      return ok(Value(compare(a.string(), b.string())));
    return fail(node, "cannot order " + describeValue(a) + " and " + describeValue(b));
  }

  Result overflow(const ExprNode &node, int64_t a, int64_t b) {
    return fail(node, "the result of " + Twine(a) + " and " + Twine(b) + " does not fit 64 bits");
  }
  Result arithmetic(const ExprNode &node, int64_t a, int64_t b) {
    int64_t out = 0;
    switch (node.op) {
    case ExprOp::Add:
      return __builtin_add_overflow(a, b, &out) ? overflow(node, a, b) : ok(Value(out));
    case ExprOp::Subtract:
      return __builtin_sub_overflow(a, b, &out) ? overflow(node, a, b) : ok(Value(out));
    case ExprOp::Multiply:
      return __builtin_mul_overflow(a, b, &out) ? overflow(node, a, b) : ok(Value(out));
    case ExprOp::Power: {
      out = 1;
      // |a| > 1 overflows after 63 rounds at the latest; 0 and ±1 repeat after two.
      int64_t rounds = b < 64 ? b : 64 + b % 2;
      for (int64_t i = 0; i < rounds; ++i)
        if (__builtin_mul_overflow(out, a, &out))
          return overflow(node, a, b);
      return ok(Value(out));
    }
    default:
      break;
    }
    if (b == 0)
      return fail(node, "division of " + Twine(a) + " by zero");
    if (a == std::numeric_limits<int64_t>::min() && b == -1)
      return overflow(node, a, b);
    int64_t quotient = a / b, rest = a % b;
    if (rest != 0 && (rest < 0) != (b < 0)) {
      --quotient;
      rest += b;
    }
    return ok(Value(node.op == ExprOp::FloorDivide ? quotient : rest));
  }
  Result arithmetic(const ExprNode &node, double a, double b) {
    double out = 0;
    bool divides = node.op == ExprOp::Divide || node.op == ExprOp::FloorDivide || node.op == ExprOp::Modulo;
    if (divides && b == 0)
      return fail(node, "division of " + json::toText(Value(a)) + " by zero");
    switch (node.op) {
    case ExprOp::Add:
      out = a + b;
      break;
    case ExprOp::Subtract:
      out = a - b;
      break;
    case ExprOp::Multiply:
      out = a * b;
      break;
    case ExprOp::Divide:
      out = a / b;
      break;
    case ExprOp::FloorDivide:
      out = std::floor(a / b);
      break;
    case ExprOp::Modulo:
      out = std::fmod(a, b);
      if (out != 0 && (out < 0) != (b < 0))
        out += b;
      break;
    default:
      out = std::pow(a, b);
    }
    // An infinite operand may stand in a config (time_step_limit); a finite computation that leaves the doubles is a mistake.
    if (std::isnan(out) || (std::isinf(out) && std::isfinite(a) && std::isfinite(b)))
      return fail(node, "the result of " + json::toText(Value(a)) + " and " + json::toText(Value(b)) + " is no number");
    return ok(Value(out));
  }

  const Expr::Parsed &parsed;
  const Scope &scope;
  const Scope::Frame *frame;
  Diagnostics &diags;
};

} // namespace flagrelease

FailureOr<Value> Expr::eval(const Scope &scope, Diagnostics &diags) const {
  Evaluator evaluator(*this, scope, nullptr, diags);
  Evaluator::Result result = evaluator.run();
  if (result.failed)
    return failure();
  if (!result.value)
    return evaluator.absent(result);
  return std::move(*result.value);
}

FailureOr<std::optional<Value>> Expr::evalOptional(const Scope &scope, Diagnostics &diags) const {
  Evaluator::Result result = Evaluator(*this, scope, nullptr, diags).run();
  if (result.failed)
    return failure();
  if (!result.value || result.value->isNull())
    return std::optional<Value>();
  return std::optional<Value>(std::move(*result.value));
}

static LogicalResult wrongKind(const Expr &expr, const Value &value, StringRef wanted, Diagnostics &diags) {
  return diags.error(expr.place().str(),
                     "`" + escape::terminal(expr.text(), 120) + "` must be " + wanted + ", got " + describeValue(value),
                     "correct the value in config.json, or the recipe");
}

FailureOr<int64_t> Expr::evalInt(const Scope &scope, Diagnostics &diags) const {
  FailureOr<Value> value = eval(scope, diags);
  if (failed(value))
    return failure();
  if (!value->isInt())
    return wrongKind(*this, *value, "an int", diags);
  return value->integer();
}

FailureOr<bool> Expr::evalBool(const Scope &scope, Diagnostics &diags) const {
  FailureOr<Value> value = eval(scope, diags);
  if (failed(value))
    return failure();
  if (!value->isBool())
    return wrongKind(*this, *value, "a bool", diags);
  return value->boolean();
}

FailureOr<double> Expr::evalNumber(const Scope &scope, Diagnostics &diags) const {
  FailureOr<Value> value = eval(scope, diags);
  if (failed(value))
    return failure();
  if (!value->isNumber())
    return wrongKind(*this, *value, "a number", diags);
  return value->number();
}

FailureOr<std::string> Expr::evalString(const Scope &scope, Diagnostics &diags) const {
  FailureOr<Value> value = eval(scope, diags);
  if (failed(value))
    return failure();
  if (!value->isString())
    return wrongKind(*this, *value, "text", diags);
  return value->string().str();
}

//===-- Scope
//----------------------------------------------------------------------------------------------------------------===//

void Scope::bind(StringRef name, Value value) {
  Binding &binding = bindings[name];
  binding = Binding();
  binding.value = std::move(value);
}

void Scope::bindAll(const json::Object &members) {
  for (const json::Member &member : members)
    bind(member.key, member.value);
}

void Scope::bindLet(const Let &let) {
  Binding &binding = bindings[let.name];
  binding = Binding();
  binding.expr = let.value;
  binding.place = let.place;
}

void Scope::bindLets(llvm::ArrayRef<Let> lets) {
  for (const Let &let : lets)
    bindLet(let);
}

FailureOr<std::optional<Value>> Scope::lookup(StringRef name, Diagnostics &diags) const { return lookup(name, nullptr, diags); }

FailureOr<std::optional<Value>> Scope::lookup(StringRef name, const Frame *frame, Diagnostics &diags) const {
  for (const Scope *scope = this; scope; scope = scope->parent) {
    auto found = scope->bindings.find(name);
    if (found == scope->bindings.end())
      continue;
    if (found->second.value)
      return std::optional<Value>(found->second.value);
    // A let's own name, in its own expression, means the next one further out.
    if (frame && frame->scope == scope && frame->name == name)
      continue;
    std::string chain = name.str();
    for (const Frame *asking = frame; asking; asking = asking->up) {
      chain = asking->name.str() + " -> " + chain;
      if (asking->scope == scope && asking->name == name)
        return diags.error(found->second.place.str(), "let '" + name + "' needs itself: " + chain);
    }
    unsigned depth = frame ? frame->depth + 1 : 1;
    if (depth > kMaxLetDepth)
      return diags.error(found->second.place.str(), "lets need each other more than " + Twine(kMaxLetDepth) + " deep");
    Frame inner{scope, found->first(), frame, depth};
    Evaluator::Result result = Evaluator(*found->second.expr, *scope, &inner, diags).run();
    if (result.failed)
      return failure();
    // A let may be absent (`window: sliding_window` of a config without one): whoever uses it decides.
    if (!result.value)
      return std::optional<Value>();
    found->second.value = result.value;
    return std::optional<Value>(std::move(result.value));
  }
  return std::optional<Value>();
}

std::vector<std::string> Scope::names() const {
  std::set<std::string> all;
  for (const Scope *scope = this; scope; scope = scope->parent)
    for (const auto &entry : scope->bindings)
      all.insert(entry.first().str());
  return {all.begin(), all.end()};
}
