// A size with a name: an affine expression over symbols, such as `P + S` for the length of a key cache that has just been
// extended. Written in types as #fr.dims<B, P + S, _> ("_" for a static size) and in ONNX as dim_param.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace flagrelease {

/// constant + sum of coefficient * symbol. Two expressions are equal exactly if they are the same polynomial.
class DimExpr {
public:
  DimExpr() = default;
  DimExpr(int64_t value) : constant(value) {}
  static DimExpr symbol(llvm::StringRef name) {
    DimExpr e;
    e.terms[name.str()] = 1;
    return e;
  }
  /// Reads the form that str() prints; nullopt when `text` is something else.
  static std::optional<DimExpr> parse(llvm::StringRef text);

  bool isStatic() const { return terms.empty(); }
  /// The value of a static expression.
  int64_t value() const { return constant; }
  /// The parts: symbol -> coefficient (never 0), and the number added to them.
  const std::map<std::string, int64_t> &coefficients() const { return terms; }
  int64_t offset() const { return constant; }
  /// Symbols in alphabetical order, then the constant: "P + S", "2*S + 1", "7".
  std::string str() const;

  DimExpr operator+(const DimExpr &other) const;
  DimExpr operator-(const DimExpr &other) const;
  DimExpr operator*(int64_t factor) const;
  bool operator==(const DimExpr &other) const { return constant == other.constant && terms == other.terms; }
  bool operator!=(const DimExpr &other) const { return !(*this == other); }
  /// The expression divided by `divisor`; nullopt when it does not divide every coefficient.
  std::optional<DimExpr> dividedBy(int64_t divisor) const;

  using Bindings = std::map<std::string, int64_t>;
  /// Replaces the symbols that are bound.
  DimExpr substitute(const Bindings &bindings) const;
  /// Replaces symbols by expressions, all at once.
  DimExpr replaceSymbols(const std::map<std::string, DimExpr> &by) const;
  /// The value when every symbol is bound; nullopt otherwise.
  std::optional<int64_t> evaluate(const Bindings &bindings) const;
  /// When the expression is symbol + rest with exactly one unbound symbol of coefficient 1, binds it so that the expression
  /// equals `value`. Returns false if the value contradicts what is bound.
  bool bind(int64_t value, Bindings &bindings) const;

private:
  std::map<std::string, int64_t> terms;
  int64_t constant = 0;
};

using DimExprs = llvm::SmallVector<DimExpr, 4>;

} // namespace flagrelease
