#include "recipes/ExprLexer.h"

#include "text/Escape.h"

#include "llvm/ADT/StringExtras.h"

using namespace flagrelease;
using llvm::StringRef;

bool ExprLexer::next(ExprToken &token, unsigned &at, std::string &error, std::string &remedy) {
  while (pos < text.size() && StringRef(" \t\r\n").contains(text[pos]))
    ++pos;
  token = ExprToken();
  token.offset = at = static_cast<unsigned>(pos);
  if (pos == text.size())
    return true;
  char c = text[pos];
  StringRef rest = text.substr(pos);
  if (llvm::isDigit(c) || (c == '.' && rest.size() > 1 && llvm::isDigit(rest[1])))
    return number(token, error);
  if (c == '\'' || c == '"')
    return quoted(token, at, error);
  if (llvm::isAlpha(c) || c == '_') {
    token.kind = ExprTokenKind::Name;
    token.spelling = rest.take_while([](char x) { return llvm::isAlnum(x) || x == '_'; });
  } else {
    static constexpr StringRef kSymbols[] = {"??", "==", "!=", "<=", ">=", "//", "**", "<", ">", "+",
                                             "-",  "*",  "/",  "%",  "(",  ")",  "[",  "]", ",", "."};
    for (StringRef symbol : kSymbols)
      if (rest.starts_with(symbol)) {
        token.kind = ExprTokenKind::Symbol;
        token.spelling = rest.take_front(symbol.size());
        break;
      }
    if (token.kind == ExprTokenKind::End) {
      error = "'" + escape::terminal(rest.take_front(1)) + "' is not part of the language";
      remedy = c == '=' ? "compare with ==" : c == '&' ? "write and" : c == '|' ? "write or" : c == '!' ? "write not" : "";
      return false;
    }
  }
  pos += token.spelling.size();
  return true;
}

bool ExprLexer::number(ExprToken &token, std::string &error) {
  StringRef rest = text.substr(pos);
  size_t length = 0;
  auto digits = [&] {
    while (length < rest.size() && llvm::isDigit(rest[length]))
      ++length;
  };
  digits();
  if (length < rest.size() && rest[length] == '.')
    ++length, digits();
  if (length < rest.size() && (rest[length] == 'e' || rest[length] == 'E')) {
    size_t mark = length++;
    if (length < rest.size() && (rest[length] == '+' || rest[length] == '-'))
      ++length;
    if (length == rest.size() || !llvm::isDigit(rest[length]))
      length = mark;
    else
      digits();
  }
  if (length < rest.size() && (llvm::isAlnum(rest[length]) || rest[length] == '_')) {
    error = "'" + escape::terminal(rest.take_front(length + 1)) + "' is neither a number nor a name";
    return false;
  }
  token.kind = ExprTokenKind::Number;
  token.spelling = rest.take_front(length);
  pos += length;
  return true;
}

bool ExprLexer::quoted(ExprToken &token, unsigned &at, std::string &error) {
  StringRef rest = text.substr(pos);
  char quote = rest[0];
  size_t i = 1;
  for (; i < rest.size() && rest[i] != quote; ++i) {
    if (rest[i] == '\\') {
      if (i + 1 == rest.size() || !StringRef("\\'\"").contains(rest[i + 1])) {
        at = token.offset + static_cast<unsigned>(i);
        error = "a backslash stands only before \\, ' and \"";
        return false;
      }
      ++i;
    }
    token.content += rest[i];
  }
  if (i == rest.size()) {
    error = "text without its closing quote";
    return false;
  }
  token.kind = ExprTokenKind::Text;
  token.spelling = rest.take_front(i + 1);
  pos += i + 1;
  return true;
}
