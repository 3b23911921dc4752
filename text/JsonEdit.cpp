#include "text/JsonEdit.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace flagrelease::json {

namespace {

size_t skipSpace(StringRef text, size_t at) {
  while (at < text.size() && StringRef(" \t\r\n").contains(text[at]))
    ++at;
  return at;
}

/// The end of the value that starts at `at`. The text is known to be JSON: strings and brackets are all that must be followed.
size_t endOfValue(StringRef text, size_t at) {
  unsigned depth = 0;
  bool inString = false;
  for (; at < text.size(); ++at) {
    char c = text[at];
    if (inString) {
      if (c == '\\') {
        ++at;
      } else if (c == '"') {
        inString = false;
        if (depth == 0)
          return at + 1;
      }
    } else if (c == '"') {
      inString = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) // of the object around a number or a word
        return at;
      if (--depth == 0)
        return at + 1;
    } else if (depth == 0 && StringRef(", \t\r\n").contains(c)) {
      return at;
    }
  }
  return at;
}

struct Span {
  std::string key;
  size_t keyBegin = 0, valueBegin = 0, valueEnd = 0;
};

/// The members of the object that opens at `open`, and the place of its closing brace.
std::vector<Span> membersOf(StringRef text, size_t open, size_t &close) {
  std::vector<Span> members;
  size_t at = skipSpace(text, open + 1);
  while (at < text.size() && text[at] != '}') {
    Span member;
    member.keyBegin = at;
    at = endOfValue(text, at);
    Diagnostics ignored;
    if (FailureOr<Value> key = parse(text.slice(member.keyBegin, at), "key", ignored); succeeded(key) && key->isString())
      member.key = key->string().str();
    at = skipSpace(text, skipSpace(text, at) + 1); // the colon
    member.valueBegin = at;
    member.valueEnd = at = endOfValue(text, at);
    members.push_back(std::move(member));
    at = skipSpace(text, at);
    if (at < text.size() && text[at] == ',')
      at = skipSpace(text, at + 1);
  }
  close = at;
  return members;
}

/// The value as text whose lines after the first are indented as the line that it stands in.
std::string textAt(const Value &value, StringRef indent) {
  std::string text = StringRef(toText(value, Writer::Style::Pretty)).rtrim().str(), out;
  for (char c : text) {
    out += c;
    if (c == '\n')
      out += indent;
  }
  return out;
}

/// The spaces from the start of the line to `at`, if nothing else stands there; else nothing.
std::optional<std::string> indentAt(StringRef text, size_t at) {
  size_t line = text.take_front(at).rfind('\n');
  StringRef before = line == StringRef::npos ? text.take_front(at) : text.slice(line + 1, at);
  if (line == StringRef::npos || !before.trim(" \t").empty())
    return std::nullopt;
  return before.str();
}

LogicalResult apply(std::string &text, StringRef fileName, const Edit &edit, Diagnostics &diags) {
  assert(!edit.path.empty() && "an edit needs a key");
  size_t open = StringRef(text).starts_with("\xef\xbb\xbf") ? 3 : 0, close = 0;
  open = skipSpace(text, open);
  std::vector<Span> members = membersOf(text, open, close);
  for (const std::string &key : llvm::ArrayRef(edit.path).drop_back()) {
    auto found = llvm::find_if(members, [&](const Span &member) { return member.key == key; });
    if (found == members.end() || text[found->valueBegin] != '{') {
      if (!edit.value)
        return success();
      return diags.error(fileName + ": " + llvm::join(edit.path, "."), "'" + Twine(key) + "' is no object of this file",
                         "correct the file in the source");
    }
    open = found->valueBegin;
    members = membersOf(text, open, close);
  }
  auto found = llvm::find_if(members, [&](const Span &member) { return member.key == edit.path.back(); });
  if (found != members.end()) {
    if (edit.value) {
      text.replace(found->valueBegin, found->valueEnd - found->valueBegin,
                   textAt(*edit.value, indentAt(text, found->keyBegin).value_or("")));
      return success();
    }
    // With the comma behind it, or, of the last member, the one before it.
    if (found + 1 != members.end())
      text.erase(found->keyBegin, (found + 1)->keyBegin - found->keyBegin);
    else if (found != members.begin())
      text.erase((found - 1)->valueEnd, found->valueEnd - (found - 1)->valueEnd);
    else
      text.erase(open + 1, close - open - 1);
    return success();
  }
  if (!edit.value)
    return success();
  std::optional<std::string> indent =
      members.empty() ? std::optional<std::string>("  ") : indentAt(text, members.back().keyBegin);
  std::string key;
  Writer(key).value(edit.path.back());
  std::string added = (members.empty() ? "" : ",") + (indent ? "\n" + *indent : std::string(members.empty() ? "" : " ")) + key +
                      ": " + textAt(*edit.value, indent.value_or(""));
  if (members.empty())
    text.replace(open + 1, close - open - 1, added + "\n");
  else
    text.insert(members.back().valueEnd, added);
  return success();
}

} // namespace

FailureOr<std::string> edited(StringRef text, StringRef fileName, llvm::ArrayRef<Edit> edits, Diagnostics &diags) {
  FailureOr<Value> root = parse(text, fileName, diags);
  if (failed(root))
    return failure();
  if (!root->isObject())
    return diags.error(fileName, "is a " + root->kindName() + ", not a mapping", "correct the file in the source");
  std::string out = text.str();
  for (const Edit &edit : edits)
    if (failed(apply(out, fileName, edit, diags)))
      return failure();
  return out;
}

} // namespace flagrelease::json
