// The expression language of model recipes (DESIGN section 4): hyper-parameters as small formulas over config.json.
//
//   expr    := or ["if" or "else" expr]            a if c else b   (c must be a bool; only the chosen side is evaluated)
//   or      := and {"or" and}     and := not {"and" not}     not := ["not"] compare       (bools only, short-circuit)
//   compare := coalesce [("==" | "!=" | "<" | "<=" | ">" | ">=") coalesce]               (not chained)
//   coalesce:= sum {"??" sum}                                                             (left, unless absent or null)
//   sum     := term {("+" | "-") term}    term := unary {("*" | "/" | "//" | "%") unary}
//   unary   := "-" unary | power          power := postfix ["**" unary]
//   postfix := atom {"[" expr "]" | "." name}
//   atom    := number | 'text' | "text" | true | false | null | name | name "(" args ")" | "[" args "]" | "(" expr ")"
//
// Values are JSON values; int and double stay apart: int op int is an int (overflow is an error), `/` is always a double, `//`
// and `%` round towards minus infinity as in Python, a double operand makes a double. `==` compares numbers by value and other
// kinds strictly. There is no truthiness: `and`, `or`, `not`, `if` want bools.
//
// Absent: a name that nothing binds, a missing key (`rope_scaling.type`), or any part of null or of something absent. `??` and
// `present(x)` accept it; everywhere else it is an error that names it. An index past the end is always an error.
//
// Functions: min max (of arguments or of one list) · floor ceil int round (to int; round is half to even, int cuts) · log sqrt
// abs (double; abs keeps the kind) · len (list, text, mapping) · index_of last_index_of (list or text, x; null if not in it) ·
// count (list or text, x) · first (list) · slice (list or text, from, to) · contains (list, text or mapping, x) ·
// pick (x, i: x[i] if x is a list, else x) · present (x: neither absent nor null).
//
// Bounds: 4096 bytes, 64 levels, 1000 terms per expression; lets nest 64 deep.
#pragma once

#include "text/Diagnostics.h"
#include "text/Json.h"
#include "text/Yaml.h"

#include "llvm/ADT/StringMap.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace flagrelease {

class Scope;

/// A parsed expression. Copies share the tree. Errors carry the place inside the YAML scalar.
class Expr {
public:
  /// Parses a YAML scalar, from byte `skip` of its text on (1 after the '=' of an enum).
  static FailureOr<Expr> parse(const yaml::Node &scalar, Diagnostics &diags, size_t skip = 0);
  /// Parses text that stands at `base` (column of its first byte).
  static FailureOr<Expr> parse(StringRef text, const Place &base, Diagnostics &diags);
  /// A constant.
  static Expr constant(json::Value value, const Place &place);

  /// The value in a scope. Absent is an error here.
  FailureOr<json::Value> eval(const Scope &scope, Diagnostics &diags) const;
  /// The value, or nothing if it is absent or null.
  FailureOr<std::optional<json::Value>> evalOptional(const Scope &scope, Diagnostics &diags) const;
  /// With the kind checked: an int (a double with an integral value is refused: it is a mistake somewhere), a bool, a number,
  /// text.
  FailureOr<int64_t> evalInt(const Scope &scope, Diagnostics &diags) const;
  FailureOr<bool> evalBool(const Scope &scope, Diagnostics &diags) const;
  FailureOr<double> evalNumber(const Scope &scope, Diagnostics &diags) const;
  FailureOr<std::string> evalString(const Scope &scope, Diagnostics &diags) const;

  /// Adds the free names, each as the longest dotted path that was written ("rope_scaling.type", "hidden_size").
  void freeNames(std::set<std::string> &into) const;

  StringRef text() const;
  const Place &place() const;

  struct Parsed;

private:
  friend class Evaluator;
  std::shared_ptr<const Parsed> parsed;
};

/// Text with `{expression}` parts: "model.layers.{i}.self_attn". `{{` and `}}` are literal braces. Also reads `kv[src]`, another
/// spelling of "kv.{src}", where `indexed` allows it.
class Template {
public:
  static FailureOr<Template> parse(const yaml::Node &scalar, Diagnostics &diags, bool indexed = false);
  static Template literal(std::string text, const Place &place);

  /// Parts must be ints or text.
  FailureOr<std::string> eval(const Scope &scope, Diagnostics &diags) const;
  void freeNames(std::set<std::string> &into) const;
  bool isLiteral() const { return parts.size() == 1 && !parts[0].expr; }
  /// The text as it was written.
  StringRef text() const { return source; }
  const Place &place() const { return where; }

private:
  struct Part {
    std::string text;
    std::optional<Expr> expr;
  };
  std::string source;
  Place where;
  std::vector<Part> parts;
};

/// One binding of a `let:`.
struct Let {
  std::string name;
  Expr value;
  Place place;
};

/// Names and their values, innermost first: loop indices, lets, then the normalised config, then class defaults. A let is
/// evaluated at its first use, in the scope that declares it, once; inside its own expression its name means the next outer
/// one (`head_dim: "head_dim ?? hidden_size // num_attention_heads"`). Lets that need each other are a cycle, which is an
/// error. A scope keeps a pointer to its parent, which must outlive it; it caches, so it belongs to one thread.
class Scope {
public:
  explicit Scope(const Scope *parent = nullptr) : parent(parent) {}
  Scope(const Scope &) = delete;
  Scope &operator=(const Scope &) = delete;

  void bind(StringRef name, json::Value value);
  /// Every member of the object.
  void bindAll(const json::Object &members);
  void bindLet(const Let &let);
  void bindLets(llvm::ArrayRef<Let> lets);

  /// The value of a name, or nothing if no scope binds it.
  FailureOr<std::optional<json::Value>> lookup(StringRef name, Diagnostics &diags) const;
  /// All names that are bound here or further out, for messages.
  std::vector<std::string> names() const;

private:
  friend class Evaluator;
  /// A let whose expression is being evaluated, and who asked for it.
  struct Frame {
    const Scope *scope;
    StringRef name;
    const Frame *up;
    unsigned depth;
  };
  FailureOr<std::optional<json::Value>> lookup(StringRef name, const Frame *frame, Diagnostics &diags) const;

  struct Binding {
    std::optional<json::Value> value; ///< of a let: after its first use
    std::optional<Expr> expr;         ///< of a let
    Place place;
  };
  const Scope *parent;
  mutable llvm::StringMap<Binding> bindings;
};

} // namespace flagrelease
