// Words of the expression language: private to recipes/ExprParser.cpp.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <string>

namespace flagrelease {

enum class ExprTokenKind : uint8_t { End, Name, Number, Text, Symbol };

struct ExprToken {
  ExprTokenKind kind = ExprTokenKind::End;
  unsigned offset = 0;
  llvm::StringRef spelling; ///< as in the text
  std::string content;      ///< of Text: without quotes and escapes
};

class ExprLexer {
public:
  explicit ExprLexer(llvm::StringRef text) : text(text) {}

  /// The next word. False with what is wrong at byte `at`.
  bool next(ExprToken &token, unsigned &at, std::string &error, std::string &remedy);

private:
  bool number(ExprToken &token, std::string &error);
  bool quoted(ExprToken &token, unsigned &at, std::string &error);

  llvm::StringRef text;
  size_t pos = 0;
};

} // namespace flagrelease
