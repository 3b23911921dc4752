#include "ir/DimExpr.h"

#include "llvm/ADT/StringExtras.h"

using namespace flagrelease;
using llvm::StringRef;

std::optional<DimExpr> DimExpr::parse(StringRef text) {
  DimExpr result;
  while (true) {
    text = text.trim();
    int64_t coefficient = 1;
    bool hasNumber = !text.consumeInteger(10, coefficient);
    text = text.ltrim();
    bool times = hasNumber && text.consume_front("*");
    if (hasNumber && !times) {
      result.constant += coefficient;
    } else {
      text = text.ltrim();
      StringRef name = text.take_while([](char c) { return llvm::isAlnum(c) || c == '_'; });
      if (name.empty() || name == "_" || llvm::isDigit(name.front())) // "_" says that a size has no name
        return std::nullopt;
      text = text.drop_front(name.size());
      if ((result.terms[name.str()] += coefficient) == 0)
        result.terms.erase(name.str());
    }
    text = text.ltrim();
    if (text.empty())
      return result;
    if (!text.consume_front("+"))
      return std::nullopt;
  }
}

std::string DimExpr::str() const {
  std::string out;
  for (const auto &[name, coefficient] : terms) {
    if (!out.empty())
      out += " + ";
    if (coefficient != 1)
      out += std::to_string(coefficient) + "*";
    out += name;
  }
  if (constant != 0 || out.empty())
    out += (out.empty() ? "" : " + ") + std::to_string(constant);
  return out;
}

DimExpr DimExpr::operator+(const DimExpr &other) const {
  DimExpr sum = *this;
  sum.constant += other.constant;
  for (const auto &[name, coefficient] : other.terms)
    if ((sum.terms[name] += coefficient) == 0)
      sum.terms.erase(name);
  return sum;
}

DimExpr DimExpr::operator-(const DimExpr &other) const { return *this + other * -1; }

DimExpr DimExpr::operator*(int64_t factor) const {
  DimExpr product;
  if (factor == 0)
    return product;
  product.constant = constant * factor;
  for (const auto &[name, coefficient] : terms)
    product.terms[name] = coefficient * factor;
  return product;
}

std::optional<DimExpr> DimExpr::dividedBy(int64_t divisor) const {
  if (divisor == 0 || constant % divisor != 0)
    return std::nullopt;
  DimExpr quotient(constant / divisor);
  for (const auto &[name, coefficient] : terms) {
    if (coefficient % divisor != 0)
      return std::nullopt;
    quotient.terms[name] = coefficient / divisor;
  }
  return quotient;
}

DimExpr DimExpr::substitute(const Bindings &bindings) const {
  DimExpr result(constant);
  for (const auto &[name, coefficient] : terms) {
    auto it = bindings.find(name);
    if (it == bindings.end())
      result.terms[name] = coefficient;
    else
      result.constant += coefficient * it->second;
  }
  return result;
}

DimExpr DimExpr::replaceSymbols(const std::map<std::string, DimExpr> &by) const {
  DimExpr result(constant);
  for (const auto &[name, coefficient] : terms) {
    auto it = by.find(name);
    result = result + (it == by.end() ? symbol(name) : it->second) * coefficient;
  }
  return result;
}

std::optional<int64_t> DimExpr::evaluate(const Bindings &bindings) const {
  DimExpr result = substitute(bindings);
  if (!result.isStatic())
    return std::nullopt;
  return result.constant;
}

bool DimExpr::bind(int64_t value, Bindings &bindings) const {
  DimExpr rest = substitute(bindings);
  if (rest.isStatic())
    return rest.constant == value;
  if (rest.terms.size() != 1 || rest.terms.begin()->second != 1)
    return true; // not enough known yet: another argument binds it
  int64_t bound = value - rest.constant;
  if (bound < 0)
    return false;
  bindings[rest.terms.begin()->first] = bound;
  return true;
}
