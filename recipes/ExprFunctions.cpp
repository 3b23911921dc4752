#include "recipes/ExprNode.h"
#include "text/Escape.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <limits>

using namespace flagrelease;
using json::Value;
using llvm::ArrayRef;
using Result = std::optional<Value>;

std::string flagrelease::describeValue(const Value &value) {
  switch (value.kind()) {
  case json::Kind::Null:
    return "null";
  case json::Kind::Bool:
  case json::Kind::Int:
  case json::Kind::Double:
    return (value.kindName() + " " + json::toText(value)).str();
  case json::Kind::String:
    return "text '" + escape::terminal(value.string(), 60) + "'";
  case json::Kind::Array:
    return "a list of " + std::to_string(value.array().size());
  case json::Kind::Object:
    return "a mapping of " + std::to_string(value.object().size()) + " keys";
  }
  return "";
}

bool flagrelease::exprEqual(const Value &a, const Value &b) {
  // Exact also where an int does not fit a double: compare as ints unless one of them is a double.
  if (a.isNumber() && b.isNumber() && a.kind() != b.kind())
    return a.number() == b.number();
  return a == b;
}

static Result needNumber(const Value &value, std::string &error) {
  error = "needs a number, got " + describeValue(value);
  return std::nullopt;
}

static Result toInt(double value, std::string &error) {
  if (!(value >= -9.2e18 && value <= 9.2e18)) {
    error = "gives " + json::toText(Value(value)) + ", which does not fit an int";
    return std::nullopt;
  }
  return Value(static_cast<int64_t>(value));
}

static Result extreme(ArrayRef<Value> args, std::string &error, bool least) {
  if (args.size() == 1 && args[0].isArray())
    args = args[0].array();
  if (args.empty()) {
    error = "of an empty list";
    return std::nullopt;
  }
  const Value *best = nullptr;
  for (const Value &value : args) {
    if (!value.isNumber())
      return needNumber(value, error);
    if (!best || (least ? value.number() < best->number() : value.number() > best->number()))
      best = &value;
  }
  return *best;
}
static Result applyMin(ArrayRef<Value> args, std::string &error) { return extreme(args, error, true); }
static Result applyMax(ArrayRef<Value> args, std::string &error) { return extreme(args, error, false); }

template <double (*Rounding)(double)> static Result applyRounding(ArrayRef<Value> args, std::string &error) {
  if (args[0].isInt())
    return args[0];
  if (!args[0].isNumber())
    return needNumber(args[0], error);
  return toInt(Rounding(args[0].number()), error);
}
static double halfToEven(double x) {
  double down = std::floor(x), rest = x - down;
  if (rest != 0.5)
    return rest < 0.5 ? down : down + 1;
  return std::fmod(down, 2.0) == 0 ? down : down + 1;
}
static double floorOf(double x) { return std::floor(x); }
static double ceilOf(double x) { return std::ceil(x); }
static double truncOf(double x) { return std::trunc(x); }

static Result applyLog(ArrayRef<Value> args, std::string &error) {
  if (!args[0].isNumber())
    return needNumber(args[0], error);
  if (!(args[0].number() > 0)) {
    error = "of " + describeValue(args[0]) + ", which is not positive";
    return std::nullopt;
  }
  return Value(std::log(args[0].number()));
}
static Result applySqrt(ArrayRef<Value> args, std::string &error) {
  if (!args[0].isNumber())
    return needNumber(args[0], error);
  if (!(args[0].number() >= 0)) {
    error = "of " + describeValue(args[0]) + ", which is negative";
    return std::nullopt;
  }
  return Value(std::sqrt(args[0].number()));
}
static Result applyAbs(ArrayRef<Value> args, std::string &error) {
  if (args[0].isDouble())
    return Value(std::fabs(args[0].number()));
  if (!args[0].isInt())
    return needNumber(args[0], error);
  if (args[0].integer() == std::numeric_limits<int64_t>::min()) {
    error = "of " + describeValue(args[0]) + " does not fit an int";
    return std::nullopt;
  }
  return Value(std::abs(args[0].integer()));
}

static Result applyLen(ArrayRef<Value> args, std::string &error) {
  if (args[0].isArray())
    return Value(args[0].array().size());
  if (args[0].isObject())
    return Value(args[0].object().size());
  if (args[0].isString())
    return Value(args[0].string().size());
  error = "needs a list, text or mapping, got " + describeValue(args[0]);
  return std::nullopt;
}

/// The list or text that is searched and what for; false with an error for other kinds.
static bool checkSearch(ArrayRef<Value> args, std::string &error) {
  if (args[0].isArray())
    return true;
  if (!args[0].isString()) {
    error = "needs a list or text, got " + describeValue(args[0]);
    return false;
  }
  if (!args[1].isString() || args[1].string().empty()) {
    error = "looks for text in text, got " + describeValue(args[1]);
    return false;
  }
  return true;
}
static Result applyIndexOf(ArrayRef<Value> args, std::string &error) {
  if (!checkSearch(args, error))
    return std::nullopt;
  if (args[0].isString()) {
    size_t at = args[0].string().find(args[1].string());
    return at == StringRef::npos ? Value() : Value(at);
  }
  const json::Array &list = args[0].array();
  for (size_t i = 0; i < list.size(); ++i)
    if (exprEqual(list[i], args[1]))
      return Value(i);
  return Value();
}
static Result applyLastIndexOf(ArrayRef<Value> args, std::string &error) {
  if (!checkSearch(args, error))
    return std::nullopt;
  if (args[0].isString()) {
    size_t at = args[0].string().rfind(args[1].string());
    return at == StringRef::npos ? Value() : Value(at);
  }
  const json::Array &list = args[0].array();
  for (size_t i = list.size(); i-- > 0;)
    if (exprEqual(list[i], args[1]))
      return Value(i);
  return Value();
}
static Result applyCount(ArrayRef<Value> args, std::string &error) {
  if (!checkSearch(args, error))
    return std::nullopt;
  if (args[0].isString())
    return Value(args[0].string().count(args[1].string()));
  return Value(
      static_cast<int64_t>(llvm::count_if(args[0].array(), [&](const Value &item) { return exprEqual(item, args[1]); })));
}
static Result applyContains(ArrayRef<Value> args, std::string &error) {
  if (args[0].isObject() && args[1].isString())
    return Value(args[0].object().contains(args[1].string()));
  Result at = applyIndexOf(args, error);
  if (!at)
    return std::nullopt;
  return Value(!at->isNull());
}

static Result applyFirst(ArrayRef<Value> args, std::string &error) {
  if (args[0].isArray() && !args[0].array().empty())
    return args[0].array().front();
  error = args[0].isArray() ? "of an empty list" : "needs a list, got " + describeValue(args[0]);
  return std::nullopt;
}
static Result applySlice(ArrayRef<Value> args, std::string &error) {
  if (!args[0].isArray() && !args[0].isString()) {
    error = "needs a list or text, got " + describeValue(args[0]);
    return std::nullopt;
  }
  int64_t size = static_cast<int64_t>(args[0].isArray() ? args[0].array().size() : args[0].string().size());
  if (!args[1].isInt() || !args[2].isInt()) {
    error = "needs two ints as bounds, got " + describeValue(args[1]) + " and " + describeValue(args[2]);
    return std::nullopt;
  }
  int64_t from = args[1].integer(), to = args[2].integer();
  if (from < 0 || from > to || to > size) {
    error = "from " + std::to_string(from) + " to " + std::to_string(to) + " does not fit a length of " + std::to_string(size);
    return std::nullopt;
  }
  if (args[0].isString())
    return Value(args[0].string().slice(static_cast<size_t>(from), static_cast<size_t>(to)));
  const json::Array &list = args[0].array();
  return Value(json::Array(list.begin() + from, list.begin() + to));
}
static Result applyPick(ArrayRef<Value> args, std::string &error) {
  if (!args[0].isArray())
    return args[0];
  const json::Array &list = args[0].array();
  if (!args[1].isInt() || args[1].integer() < 0 || args[1].integer() >= static_cast<int64_t>(list.size())) {
    error = "index " + describeValue(args[1]) + " is outside a list of " + std::to_string(list.size());
    return std::nullopt;
  }
  return list[static_cast<size_t>(args[1].integer())];
}
/// x, if the list has it: a kind of layer that nobody thought of is an error, not the kind of `else`.
static Result applyOneOf(ArrayRef<Value> args, std::string &error) {
  if (!args[1].isArray()) {
    error = "needs a list, got " + describeValue(args[1]);
    return std::nullopt;
  }
  std::string known;
  for (const Value &item : args[1].array()) {
    if (exprEqual(item, args[0]))
      return args[0];
    known += (known.empty() ? "" : ", ") + describeValue(item);
  }
  error = describeValue(args[0]) + " is none of " + known;
  return std::nullopt;
}

ArrayRef<ExprFunction> flagrelease::exprFunctions() {
  static const ExprFunction kFunctions[] = {
      {"min", 1, -1, "(x, …)", applyMin},
      {"max", 1, -1, "(x, …)", applyMax},
      {"floor", 1, 1, "(x)", applyRounding<floorOf>},
      {"ceil", 1, 1, "(x)", applyRounding<ceilOf>},
      {"int", 1, 1, "(x)", applyRounding<truncOf>},
      {"round", 1, 1, "(x)", applyRounding<halfToEven>},
      {"log", 1, 1, "(x)", applyLog},
      {"sqrt", 1, 1, "(x)", applySqrt},
      {"abs", 1, 1, "(x)", applyAbs},
      {"len", 1, 1, "(list)", applyLen},
      {"index_of", 2, 2, "(list, x)", applyIndexOf},
      {"last_index_of", 2, 2, "(list, x)", applyLastIndexOf},
      {"count", 2, 2, "(list, x)", applyCount},
      {"contains", 2, 2, "(list, x)", applyContains},
      {"first", 1, 1, "(list)", applyFirst},
      {"slice", 3, 3, "(list, from, to)", applySlice},
      {"pick", 2, 2, "(x, i)", applyPick},
      {"one_of", 2, 2, "(x, list)", applyOneOf},
  };
  return kFunctions;
}

const ExprFunction *flagrelease::findExprFunction(StringRef name) {
  for (const ExprFunction &function : exprFunctions())
    if (function.name == name)
      return &function;
  return nullptr;
}
