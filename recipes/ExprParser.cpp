#include "recipes/ExprLexer.h"
#include "recipes/ExprNode.h"
#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <charconv>

using namespace flagrelease;
using llvm::ArrayRef;

static constexpr size_t kMaxBytes = 4096;
static constexpr unsigned kMaxDepth = 64;
static constexpr unsigned kMaxNodes = 1000;

namespace {

/// Recursive descent. The first error stops it: later ones would only be its echoes.
class Parser {
public:
  Parser(Expr::Parsed &parsed, Diagnostics &diags) : parsed(parsed), text(parsed.text), lexer(text), diags(diags) {}

  bool run() {
    if (text.size() > kMaxBytes)
      return fail(0, "an expression of " + std::to_string(text.size()) + " bytes, the limit is " + std::to_string(kMaxBytes));
    if (!advance())
      return false;
    if (token.kind == ExprTokenKind::End)
      return fail(0, "an empty expression");
    if (!parseChoose(parsed.root))
      return false;
    if (token.kind != ExprTokenKind::End)
      return unexpected("an operator or the end");
    return true;
  }

private:
  bool fail(unsigned offset, const Twine &what, const Twine &remedy = "") {
    (void)diags.error(parsed.where(offset), "in expression: " + what, remedy);
    return false;
  }
  bool unexpected(StringRef wanted) {
    std::string got = token.kind == ExprTokenKind::End ? "the end" : "'" + escape::terminal(token.spelling, 60) + "'";
    return fail(token.offset, "expected " + wanted + ", found " + got);
  }

  bool advance() {
    std::string error, remedy;
    unsigned at = 0;
    if (lexer.next(token, at, error, remedy))
      return true;
    return fail(at, error, remedy);
  }
  bool isSymbol(StringRef s) const { return token.kind == ExprTokenKind::Symbol && token.spelling == s; }
  bool isWord(StringRef s) const { return token.kind == ExprTokenKind::Name && token.spelling == s; }
  bool isReserved(StringRef s) const {
    return llvm::is_contained({"if", "else", "and", "or", "not", "true", "false", "null"}, s);
  }
  bool expect(StringRef symbol) { return isSymbol(symbol) ? advance() : unexpected("'" + symbol.str() + "'"); }

  bool count(unsigned offset) {
    return ++nodes <= kMaxNodes || fail(offset, "more than " + std::to_string(kMaxNodes) + " terms");
  }
  struct Nesting {
    explicit Nesting(unsigned &depth) : depth(++depth) {}
    ~Nesting() { --depth; }
    unsigned &depth;
  };

  /// left op right → node; the operator's place is the node's.
  bool join(ExprNode &left, ExprOp op, unsigned offset, bool (Parser::*side)(ExprNode &)) {
    ExprNode node;
    node.op = op;
    node.offset = offset;
    node.kids.reserve(2);
    node.kids.push_back(std::move(left));
    node.kids.emplace_back();
    left = std::move(node);
    return count(offset) && advance() && (this->*side)(left.kids[1]);
  }

  bool parseChoose(ExprNode &out) {
    Nesting nesting(depth);
    if (depth > kMaxDepth)
      return fail(token.offset, "nested more than " + std::to_string(kMaxDepth) + " deep");
    if (!parseOr(out))
      return false;
    if (!isWord("if"))
      return true;
    ExprNode node;
    node.op = ExprOp::Choose;
    node.offset = token.offset;
    node.kids.resize(3);
    node.kids[0] = std::move(out);
    out = std::move(node);
    if (!count(out.offset) || !advance() || !parseOr(out.kids[1]))
      return false;
    if (!isWord("else"))
      return unexpected("'else'");
    return advance() && parseChoose(out.kids[2]);
  }
  bool parseOr(ExprNode &out) {
    if (!parseAnd(out))
      return false;
    while (isWord("or"))
      if (!join(out, ExprOp::Or, token.offset, &Parser::parseAnd))
        return false;
    return true;
  }
  bool parseAnd(ExprNode &out) {
    if (!parseNot(out))
      return false;
    while (isWord("and"))
      if (!join(out, ExprOp::And, token.offset, &Parser::parseNot))
        return false;
    return true;
  }
  bool parseNot(ExprNode &out) {
    if (!isWord("not"))
      return parseCompare(out);
    Nesting nesting(depth);
    if (depth > kMaxDepth)
      return fail(token.offset, "nested more than " + std::to_string(kMaxDepth) + " deep");
    return prefix(out, ExprOp::Not, &Parser::parseNot);
  }
  bool prefix(ExprNode &out, ExprOp op, bool (Parser::*operand)(ExprNode &)) {
    out.op = op;
    out.offset = token.offset;
    out.kids.emplace_back();
    return count(out.offset) && advance() && (this->*operand)(out.kids[0]);
  }

  std::optional<ExprOp> comparison() const {
    static constexpr std::pair<StringRef, ExprOp> kOps[] = {{"==", ExprOp::Equal},  {"!=", ExprOp::NotEqual},
                                                            {"<", ExprOp::Less},    {"<=", ExprOp::LessEqual},
                                                            {">", ExprOp::Greater}, {">=", ExprOp::GreaterEqual}};
    if (token.kind == ExprTokenKind::Symbol)
      for (auto &[symbol, op] : kOps)
        if (token.spelling == symbol)
          return op;
    return std::nullopt;
  }
  bool parseCompare(ExprNode &out) {
    if (!parseCoalesce(out))
      return false;
    std::optional<ExprOp> op = comparison();
    if (!op)
      return true;
    if (!join(out, *op, token.offset, &Parser::parseCoalesce))
      return false;
    if (comparison())
      return fail(token.offset, "comparisons do not chain", "write a < b and b < c");
    return true;
  }
  bool parseCoalesce(ExprNode &out) {
    if (!parseSum(out))
      return false;
    while (isSymbol("??"))
      if (!join(out, ExprOp::Coalesce, token.offset, &Parser::parseSum))
        return false;
    return true;
  }
  bool parseSum(ExprNode &out) {
    if (!parseTerm(out))
      return false;
    while (isSymbol("+") || isSymbol("-"))
      if (!join(out, isSymbol("+") ? ExprOp::Add : ExprOp::Subtract, token.offset, &Parser::parseTerm))
        return false;
    return true;
  }
  bool parseTerm(ExprNode &out) {
    if (!parseUnary(out))
      return false;
    for (;;) {
      ExprOp op = isSymbol("*")    ? ExprOp::Multiply
                  : isSymbol("/")  ? ExprOp::Divide
                  : isSymbol("//") ? ExprOp::FloorDivide
                  : isSymbol("%")  ? ExprOp::Modulo
                                   : ExprOp::Constant;
      if (op == ExprOp::Constant)
        return true;
      if (!join(out, op, token.offset, &Parser::parseUnary))
        return false;
    }
  }
  bool parseUnary(ExprNode &out) {
    Nesting nesting(depth);
    if (depth > kMaxDepth)
      return fail(token.offset, "nested more than " + std::to_string(kMaxDepth) + " deep");
    if (isSymbol("-"))
      return prefix(out, ExprOp::Negate, &Parser::parseUnary);
    if (!parsePostfix(out))
      return false;
    return !isSymbol("**") || join(out, ExprOp::Power, token.offset, &Parser::parseUnary);
  }

  bool parsePostfix(ExprNode &out) {
    if (!parseAtom(out))
      return false;
    unsigned links = 0;
    while (isSymbol("[") || isSymbol(".")) {
      // Each link is one level of the tree, and evaluation recurses over it.
      if (++links > kMaxDepth)
        return fail(token.offset, "nested more than " + std::to_string(kMaxDepth) + " deep");
      if (isSymbol("[")) {
        if (!join(out, ExprOp::Index, token.offset, &Parser::parseChoose) || !expect("]"))
          return false;
        continue;
      }
      ExprNode node;
      node.op = ExprOp::Attribute;
      if (!advance())
        return false;
      if (token.kind != ExprTokenKind::Name)
        return unexpected("a name after '.'");
      node.offset = token.offset;
      node.name = token.spelling.str();
      node.kids.push_back(std::move(out));
      out = std::move(node);
      if (!count(out.offset) || !advance())
        return false;
    }
    return true;
  }

  bool parseList(ExprNode &out, StringRef close) {
    if (isSymbol(close))
      return advance();
    for (;;) {
      out.kids.emplace_back();
      if (!parseChoose(out.kids.back()))
        return false;
      if (isSymbol(close))
        return advance();
      if (!isSymbol(","))
        return unexpected("',' or '" + close.str() + "'");
      if (!advance())
        return false;
    }
  }

  bool parseAtom(ExprNode &out) {
    out.offset = token.offset;
    if (!count(out.offset))
      return false;
    switch (token.kind) {
    case ExprTokenKind::Number:
      return parseNumber(out);
    case ExprTokenKind::Text:
      out.value = json::Value(token.content);
      return advance();
    case ExprTokenKind::Name:
      return parseName(out);
    case ExprTokenKind::Symbol:
      if (isSymbol("("))
        return advance() && parseChoose(out) && expect(")");
      if (isSymbol("[")) {
        out.op = ExprOp::List;
        return advance() && parseList(out, "]");
      }
      break;
    case ExprTokenKind::End:
      break;
    }
    return unexpected("a value");
  }

  bool parseNumber(ExprNode &out) {
    StringRef s = token.spelling;
    if (s.find_first_of(".eE") == StringRef::npos) {
      int64_t value = 0;
      if (s.getAsInteger(10, value))
        return fail(token.offset, "the integer " + s.take_front(40) + " does not fit 64 bits");
      out.value = json::Value(value);
      return advance();
    }
    double value = 0;
    auto [end, error] = std::from_chars(s.begin(), s.end(), value);
    if (error != std::errc() || end != s.end())
      return fail(token.offset, "the number " + s.take_front(40) + " does not fit a double");
    out.value = json::Value(value);
    return advance();
  }

  bool parseName(ExprNode &out) {
    std::string name = token.spelling.str();
    if (name == "true" || name == "false") {
      out.value = json::Value(name == "true");
      return advance();
    }
    if (name == "null")
      return advance();
    if (isReserved(name))
      return unexpected("a value");
    if (name == "True" || name == "False" || name == "None")
      return fail(token.offset, "'" + name + "' is Python's spelling", "write true, false, null");
    out.name = name;
    out.op = ExprOp::Name;
    if (!advance())
      return false;
    return !isSymbol("(") || parseCall(out);
  }

  bool parseCall(ExprNode &out) {
    out.op = ExprOp::Call;
    const ExprFunction *function = findExprFunction(out.name);
    if (!function && out.name != "present") {
      std::vector<StringRef> known = {"present"};
      for (const ExprFunction &each : exprFunctions())
        known.push_back(each.name);
      return fail(out.offset, "unknown function '" + out.name + "'" + nearestNote(out.name, known));
    }
    if (!advance() || !parseList(out, ")"))
      return false;
    int given = static_cast<int>(out.kids.size());
    int least = function ? function->least : 1, most = function ? function->most : 1;
    if (given < least || (most >= 0 && given > most))
      return fail(out.offset, out.name + " takes " + (function ? function->usage.str() : "(x)") + ", got " +
                                  std::to_string(given) + (given == 1 ? " argument" : " arguments"));
    return true;
  }

  Expr::Parsed &parsed;
  StringRef text;
  ExprLexer lexer;
  Diagnostics &diags;
  ExprToken token;
  unsigned depth = 0, nodes = 0;
};

} // namespace

static FailureOr<std::shared_ptr<const Expr::Parsed>> parseText(StringRef text, const Place &base, bool exact,
                                                                Diagnostics &diags) {
  auto parsed = std::make_shared<Expr::Parsed>();
  parsed->text = text.str();
  parsed->base = base;
  parsed->exact = exact;
  if (!Parser(*parsed, diags).run())
    return failure();
  return std::shared_ptr<const Expr::Parsed>(std::move(parsed));
}

FailureOr<Expr> Expr::parse(StringRef text, const Place &base, Diagnostics &diags) {
  auto parsed = parseText(text, base, /*exact=*/true, diags);
  if (failed(parsed))
    return failure();
  Expr expr;
  expr.parsed = *parsed;
  return expr;
}

FailureOr<Expr> Expr::parse(const yaml::Node &scalar, Diagnostics &diags, size_t skip) {
  if (!scalar.isScalar())
    return diags.error(scalar.place.str(), "expected an expression, found a " + yaml::kindName(scalar.kind));
  bool exact = scalar.text.find('\n') == std::string::npos;
  auto parsed = parseText(StringRef(scalar.text).substr(skip), scalar.placeOf(skip), exact, diags);
  if (failed(parsed))
    return failure();
  Expr expr;
  expr.parsed = *parsed;
  return expr;
}

Expr Expr::constant(json::Value value, const Place &place) {
  auto parsed = std::make_shared<Parsed>();
  parsed->base = place;
  parsed->text = json::toText(value);
  parsed->root.value = std::move(value);
  Expr expr;
  expr.parsed = std::move(parsed);
  return expr;
}

StringRef Expr::text() const { return parsed->text; }
const Place &Expr::place() const { return parsed->base; }

/// "a.b.c" for a chain of attributes on a name, else empty.
static std::string dottedPath(const ExprNode &node) {
  if (node.op == ExprOp::Name)
    return node.name;
  if (node.op != ExprOp::Attribute)
    return "";
  std::string base = dottedPath(node.kids[0]);
  return base.empty() ? "" : base + "." + node.name;
}

static void collect(const ExprNode &node, std::set<std::string> &into) {
  std::string path = dottedPath(node);
  if (!path.empty()) {
    into.insert(path);
    return;
  }
  for (const ExprNode &kid : node.kids)
    collect(kid, into);
}

void Expr::freeNames(std::set<std::string> &into) const { collect(parsed->root, into); }
