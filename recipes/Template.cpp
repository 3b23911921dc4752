#include "recipes/ExprNode.h"
#include "text/Escape.h"

using namespace flagrelease;

/// Offset of the '}' or ']' that closes the expression starting at `from`, outside quotes and brackets; npos if there is none.
static size_t findClose(StringRef text, size_t from, char close) {
  char quote = 0;
  unsigned open = 0;
  for (size_t i = from; i < text.size(); ++i) {
    char c = text[i];
    if (quote) {
      if (c == '\\')
        ++i;
      else if (c == quote)
        quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == close && open == 0) {
      return i;
    } else if (c == '[' || c == '(') {
      ++open;
    } else if ((c == ']' || c == ')') && open > 0) {
      --open;
    }
  }
  return StringRef::npos;
}

FailureOr<Template> Template::parse(const yaml::Node &scalar, Diagnostics &diags, bool indexed) {
  if (!scalar.isScalar() || scalar.isNull())
    return diags.error(scalar.place.str(),
                       "expected a name, found " + (scalar.isNull() ? StringRef("null") : yaml::kindName(scalar.kind)));
  Template out;
  out.source = scalar.text;
  out.where = scalar.place;
  StringRef text = scalar.text;
  if (text.empty())
    return diags.error(scalar.place.str(), "an empty name");
  std::string literal;
  auto flush = [&] {
    if (!literal.empty())
      out.parts.push_back({std::move(literal), std::nullopt});
    literal.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool index = indexed && c == '[';
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literal += c;
      ++i;
      continue;
    }
    if (c == '}')
      return diags.error(scalar.placeOf(i).str(), "'}' without '{' in a name", "write }} for a brace");
    if (c != '{' && !index) {
      literal += c;
      continue;
    }
    size_t close = findClose(text, i + 1, index ? ']' : '}');
    if (close == StringRef::npos)
      return diags.error(scalar.placeOf(i).str(), Twine("'") + StringRef(&c, 1) + "' is not closed in a name");
    if (index)
      literal += '.';
    flush();
    FailureOr<Expr> expr = Expr::parse(text.slice(i + 1, close), scalar.placeOf(i + 1), diags);
    if (failed(expr))
      return failure();
    out.parts.push_back({"", *expr});
    i = close;
  }
  flush();
  return out;
}

Template Template::literal(std::string text, const Place &place) {
  Template out;
  out.source = text;
  out.where = place;
  out.parts.push_back({std::move(text), std::nullopt});
  return out;
}

FailureOr<std::string> Template::eval(const Scope &scope, Diagnostics &diags) const {
  std::string out;
  for (const Part &part : parts) {
    if (!part.expr) {
      out += part.text;
      continue;
    }
    FailureOr<json::Value> value = part.expr->eval(scope, diags);
    if (failed(value))
      return failure();
    if (value->isInt())
      out += std::to_string(value->integer());
    else if (value->isString())
      out += value->string();
    else
      return diags.error(part.expr->place().str(), "a part of a name is an int or text, `" +
                                                       escape::terminal(part.expr->text(), 120) + "` is " +
                                                       describeValue(*value));
  }
  return out;
}

void Template::freeNames(std::set<std::string> &into) const {
  for (const Part &part : parts)
    if (part.expr)
      part.expr->freeNames(into);
}
