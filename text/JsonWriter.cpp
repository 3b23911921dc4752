#include "text/Escape.h"
#include "text/Json.h"

#include "llvm/ADT/StringExtras.h"

#include <cassert>
#include <charconv>
#include <cmath>

using namespace flagrelease;
using namespace flagrelease::json;

static void appendString(std::string &out, StringRef text) {
  out += '"';
  while (!text.empty()) {
    uint32_t c = 0;
    unsigned length = escape::decodeUtf8(text, c);
    if (length == 0) {
      out += "\\ufffd"; // JSON text is Unicode: a broken byte has no spelling of its own
      length = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029) {
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4)
        out += llvm::hexdigit((c >> shift) & 15, /*LowerCase=*/true);
    } else {
      out += text.take_front(length);
    }
    text = text.drop_front(length);
  }
  out += '"';
}

void Writer::newline() {
  if (style == Style::Compact)
    return;
  out += '\n';
  out.append(levels.size() * 2, ' ');
}

void Writer::separate() {
  if (afterKey) {
    afterKey = false;
    return;
  }
  if (levels.empty())
    return;
  assert(!levels.back().isObject && "a value in an object needs a key");
  if (levels.back().any)
    out += ',';
  levels.back().any = true;
  newline();
}

void Writer::key(StringRef name) {
  assert(!levels.empty() && levels.back().isObject && !afterKey && "a key stands in an object");
  if (levels.back().any)
    out += ',';
  levels.back().any = true;
  newline();
  appendString(out, name);
  out += style == Style::Pretty ? ": " : ":";
  afterKey = true;
}

void Writer::beginObject() {
  separate();
  out += '{';
  levels.push_back({true, false});
}
void Writer::beginArray() {
  separate();
  out += '[';
  levels.push_back({false, false});
}
void Writer::endObject() {
  assert(!levels.empty() && levels.back().isObject && !afterKey);
  bool any = levels.back().any;
  levels.pop_back();
  if (any)
    newline();
  out += '}';
}
void Writer::endArray() {
  assert(!levels.empty() && !levels.back().isObject);
  bool any = levels.back().any;
  levels.pop_back();
  if (any)
    newline();
  out += ']';
}

void Writer::null() {
  separate();
  out += "null";
}
void Writer::value(StringRef s) {
  separate();
  appendString(out, s);
}
void Writer::value(bool b) {
  separate();
  out += b ? "true" : "false";
}
void Writer::value(int64_t i) {
  separate();
  out += std::to_string(i);
}
void Writer::value(uint64_t i) {
  separate();
  out += std::to_string(i);
}
void Writer::value(double d) {
  if (!std::isfinite(d)) {
    ++lost;
    return null();
  }
  separate();
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, d).ptr;
  StringRef text(buffer, static_cast<size_t>(end - buffer));
  out += text;
  if (text.find_first_of(".eE") == StringRef::npos)
    out += ".0";
}

void Writer::value(const Value &v) {
  switch (v.kind()) {
  case Kind::Null:
    return null();
  case Kind::Bool:
    return value(v.boolean());
  case Kind::Int:
    return value(v.integer());
  case Kind::Double:
    return value(v.number());
  case Kind::String:
    return value(v.string());
  case Kind::Array:
    beginArray();
    for (const Value &item : v.array())
      value(item);
    return endArray();
  case Kind::Object:
    beginObject();
    for (const Member &m : v.object())
      member(m.key, m.value);
    return endObject();
  }
}

std::string json::toText(const Value &value, Writer::Style style) {
  std::string out;
  Writer writer(out, style);
  writer.value(value);
  if (style == Writer::Style::Pretty)
    out += '\n';
  return out;
}
