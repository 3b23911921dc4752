// The tree of a parsed expression: private to recipes/Expr*.cpp.
#pragma once

#include "recipes/Expr.h"

namespace flagrelease {

enum class ExprOp : uint8_t {
  Constant,  // value
  Name,      // name
  Attribute, // kids[0].name
  Index,     // kids[0][kids[1]]
  Call,      // name(kids…)
  List,      // [kids…]
  Negate,
  Not,
  And,
  Or,
  Choose, // kids[0] if kids[1] else kids[2]
  Coalesce,
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
};

struct ExprNode {
  ExprOp op = ExprOp::Constant;
  unsigned offset = 0; ///< byte in the text, for messages
  json::Value value;
  std::string name;
  std::vector<ExprNode> kids;
};

struct Expr::Parsed {
  std::string text;
  Place base;
  bool exact = true; ///< columns of `text` are columns of the file
  ExprNode root;

  std::string where(unsigned offset) const { return (exact ? base.right(offset) : base).str(); }
};

/// A function: name, least and most arguments (-1: any number).
struct ExprFunction {
  StringRef name;
  int least, most;
  StringRef usage;
  /// Computes the value; `error` gets what is wrong (the caller adds place and name).
  std::optional<json::Value> (*apply)(llvm::ArrayRef<json::Value> args, std::string &error);
};
/// `present` is not among them: it takes something absent.
llvm::ArrayRef<ExprFunction> exprFunctions();
const ExprFunction *findExprFunction(StringRef name);

/// "int 4", "text 'silu'", "null", "a list of 3": for messages, bounded and escaped.
std::string describeValue(const json::Value &value);
/// Numbers by value, other kinds strictly.
bool exprEqual(const json::Value &a, const json::Value &b);

} // namespace flagrelease
