#include "ir/DimExpr.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>

using namespace flagrelease;
using llvm::StringRef;

namespace {
constexpr StringRef kFloor = "floor((";

std::string productName(std::vector<std::string> factors) {
  llvm::sort(factors);
  return llvm::join(factors, "*");
}

/// Where the parenthesis that opened before `text` closes.
size_t closing(StringRef text) {
  int depth = 1;
  for (size_t i = 0; i < text.size(); ++i)
    if ((depth += (text[i] == '(') - (text[i] == ')')) == 0)
      return i;
  return StringRef::npos;
}

/// Takes one factor off the front: a symbol or a floor, in the form that str() prints.
std::optional<std::string> takeFactor(StringRef &text) {
  StringRef inner = text;
  if (inner.consume_front(kFloor)) {
    size_t end = closing(inner);
    if (end == StringRef::npos)
      return std::nullopt;
    std::optional<DimExpr> numerator = DimExpr::parse(inner.take_front(end));
    inner = inner.drop_front(end + 1);
    int64_t divisor = 0;
    if (!numerator || numerator->isStatic() || !inner.consume_front(" / ") || inner.consumeInteger(10, divisor) || divisor < 2 ||
        !inner.consume_front(")"))
      return std::nullopt;
    text = inner;
    return (kFloor + llvm::Twine(numerator->str()) + ") / " + llvm::Twine(divisor) + ")").str();
  }
  StringRef name = text.take_while([](char c) { return llvm::isAlnum(c) || c == '_'; });
  if (name.empty() || name == "_" || llvm::isDigit(name.front())) // "_" says that a size has no name
    return std::nullopt;
  text = text.drop_front(name.size());
  return name.str();
}

int64_t floorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && a < 0); }
} // namespace

void DimExpr::add(std::string product, int64_t coefficient) {
  if (coefficient == 0)
    return;
  auto it = terms.try_emplace(std::move(product), 0).first;
  if ((it->second += coefficient) == 0)
    terms.erase(it);
}

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
      std::vector<std::string> factors;
      do {
        text = text.ltrim();
        std::optional<std::string> factor = takeFactor(text);
        if (!factor)
          return std::nullopt;
        factors.push_back(std::move(*factor));
        text = text.ltrim();
      } while (text.consume_front("*"));
      result.add(productName(std::move(factors)), coefficient);
    }
    text = text.ltrim();
    if (text.empty())
      return result;
    if (!text.consume_front("+"))
      return std::nullopt;
  }
}

std::vector<std::string> DimExpr::factors(StringRef product) {
  std::vector<std::string> out;
  while (!product.empty()) {
    std::optional<std::string> factor = takeFactor(product);
    assert(factor && "products come from DimExpr");
    out.push_back(std::move(*factor));
    (void)product.consume_front("*");
  }
  return out;
}

std::optional<std::pair<DimExpr, int64_t>> DimExpr::floorOf(StringRef factor) {
  if (!factor.consume_front(kFloor))
    return std::nullopt;
  size_t end = closing(factor);
  int64_t divisor = 0;
  (void)factor.drop_front(end + 1).drop_front(3).drop_back().getAsInteger(10, divisor);
  return std::pair(*parse(factor.take_front(end)), divisor);
}

std::set<std::string> DimExpr::symbols() const {
  std::set<std::string> out;
  for (const auto &[product, coefficient] : terms)
    for (const std::string &factor : factors(product)) {
      if (auto floor = floorOf(factor))
        out.merge(floor->first.symbols());
      else
        out.insert(factor);
    }
  return out;
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
    sum.add(name, coefficient);
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

DimExpr DimExpr::operator*(const DimExpr &other) const {
  DimExpr product = *this * other.constant;
  for (const auto &[name, coefficient] : other.terms) {
    product.add(name, coefficient * constant);
    for (const auto &[own, times] : terms) {
      std::vector<std::string> all = factors(own);
      for (std::string &factor : factors(name))
        all.push_back(std::move(factor));
      product.add(productName(std::move(all)), coefficient * times);
    }
  }
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

std::optional<DimExpr> DimExpr::dividedBy(const DimExpr &divisor) const {
  if (divisor.isStatic())
    return dividedBy(divisor.constant);
  if (*this == DimExpr(0))
    return DimExpr(0);
  const auto &[lead, leadTimes] = *divisor.terms.begin();
  // One of our products divided by the divisor's first one is the quotient, if there is any.
  for (const auto &[name, coefficient] : terms) {
    if (coefficient % leadTimes != 0)
      continue;
    std::vector<std::string> rest = factors(name);
    bool divides = llvm::all_of(factors(lead), [&](const std::string &factor) {
      auto it = llvm::find(rest, factor);
      if (it == rest.end())
        return false;
      rest.erase(it);
      return true;
    });
    if (!divides)
      continue;
    DimExpr quotient(coefficient / leadTimes);
    if (!rest.empty()) {
      quotient.constant = 0;
      quotient.add(productName(std::move(rest)), coefficient / leadTimes);
    }
    if (quotient * divisor == *this)
      return quotient;
  }
  return std::nullopt;
}

DimExpr DimExpr::floorDividedBy(int64_t divisor) const {
  DimExpr whole(floorDivide(constant, divisor)), rest(constant - floorDivide(constant, divisor) * divisor);
  for (const auto &[name, coefficient] : terms) {
    int64_t out = floorDivide(coefficient, divisor);
    whole.add(name, out);
    rest.add(name, coefficient - out * divisor);
  }
  if (!rest.isStatic())
    whole.add((kFloor + llvm::Twine(rest.str()) + ") / " + llvm::Twine(divisor) + ")").str(), 1);
  return whole;
}

DimExpr DimExpr::substitute(const Bindings &bindings) const {
  std::map<std::string, DimExpr> by;
  for (const auto &[name, value] : bindings)
    by.emplace(name, DimExpr(value));
  return replaceSymbols(by);
}

DimExpr DimExpr::replaceSymbols(const std::map<std::string, DimExpr> &by) const {
  DimExpr result(constant);
  for (const auto &[name, coefficient] : terms) {
    DimExpr product(coefficient);
    for (const std::string &factor : factors(name)) {
      if (auto floor = floorOf(factor)) {
        product = product * floor->first.replaceSymbols(by).floorDividedBy(floor->second);
        continue;
      }
      auto it = by.find(factor);
      product = product * (it == by.end() ? symbol(factor) : it->second);
    }
    result = result + product;
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
  const auto &[name, coefficient] = *rest.terms.begin();
  if (rest.terms.size() != 1 || coefficient < 1 || factors(name).size() != 1 || floorOf(name))
    return true; // not enough known yet: another argument binds it
  int64_t bound = (value - rest.constant) / coefficient;
  if (bound < 0 || bound * coefficient + rest.constant != value)
    return false;
  bindings[name] = bound;
  return true;
}

DimExpr flagrelease::productOf(llvm::ArrayRef<DimExpr> dims) {
  DimExpr product(1);
  for (const DimExpr &dim : dims)
    product = product * dim;
  return product;
}
