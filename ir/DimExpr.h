// A size with a name: a polynomial over symbols, such as `P + S` for the length of a key cache that has just been extended, or
// `B*S` for the rows of a flattened batch. Written in types as #fr.dims<B, P + S, _> ("_" for a static size) and in ONNX as
// dim_param.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace flagrelease {

/// constant + sum of coefficient * product of factors. A factor is a symbol, or `floor((expression) / number)`: the length of
/// what a strided convolution leaves. Two expressions are equal exactly if they print the same.
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
  /// The parts: product of factors ("S", "B*S") -> coefficient (never 0), and the number added to them.
  const std::map<std::string, int64_t> &coefficients() const { return terms; }
  int64_t offset() const { return constant; }
  /// The factors of a product as coefficients() names it.
  static std::vector<std::string> factors(llvm::StringRef product);
  /// numerator and divisor of a factor `floor((numerator) / divisor)`; nullopt for a symbol.
  static std::optional<std::pair<DimExpr, int64_t>> floorOf(llvm::StringRef factor);
  /// All symbols, those inside floors too.
  std::set<std::string> symbols() const;
  /// Products in alphabetical order, then the constant: "P + S", "2*S + 1", "B*S", "7".
  std::string str() const;

  DimExpr operator+(const DimExpr &other) const;
  DimExpr operator-(const DimExpr &other) const;
  DimExpr operator*(int64_t factor) const;
  DimExpr operator*(const DimExpr &other) const;
  bool operator==(const DimExpr &other) const { return constant == other.constant && terms == other.terms; }
  bool operator!=(const DimExpr &other) const { return !(*this == other); }
  /// The expression divided by `divisor`; nullopt when it does not divide every coefficient.
  std::optional<DimExpr> dividedBy(int64_t divisor) const;
  /// The same by an expression; nullopt when the quotient is not one product with a coefficient.
  std::optional<DimExpr> dividedBy(const DimExpr &divisor) const;
  /// floor(this / divisor), for a divisor > 0. What the divisor divides comes out of the floor.
  DimExpr floorDividedBy(int64_t divisor) const;

  using Bindings = std::map<std::string, int64_t>;
  /// Replaces the symbols that are bound.
  DimExpr substitute(const Bindings &bindings) const;
  /// Replaces symbols by expressions, all at once.
  DimExpr replaceSymbols(const std::map<std::string, DimExpr> &by) const;
  /// The value when every symbol is bound; nullopt otherwise.
  std::optional<int64_t> evaluate(const Bindings &bindings) const;
  /// When the expression is coefficient * symbol + rest with exactly one unbound symbol, binds it so that the expression equals
  /// `value`. Returns false if the value contradicts what is bound.
  bool bind(int64_t value, Bindings &bindings) const;

private:
  void add(std::string product, int64_t coefficient);

  std::map<std::string, int64_t> terms;
  int64_t constant = 0;
};

using DimExprs = llvm::SmallVector<DimExpr, 4>;

/// The number of elements: the product of sizes.
DimExpr productOf(llvm::ArrayRef<DimExpr> dims);

} // namespace flagrelease
