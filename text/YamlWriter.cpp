#include "text/Escape.h"
#include "text/Yaml.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace flagrelease;
using namespace flagrelease::yaml;

/// Would some reader take this plain scalar for null, a boolean or a number? Then it is quoted.
static bool readsAsOtherThanText(StringRef text) {
  bool word = llvm::StringSwitch<bool>(text.lower())
                  .Cases("null", "true", "false", "yes", "no", "on", "off", true)
                  .Cases("y", "n", "~", ".nan", ".inf", "", true)
                  .Default(false);
  return word || llvm::isDigit(text[0]) || text[0] == '.' || text[0] == '-' || text[0] == '+';
}

static bool isPlainSafe(StringRef text) {
  if (readsAsOtherThanText(text))
    return false;
  // A small alphabet that starts nothing in any context; a space inside is fine, not at the ends.
  if (text.front() == ' ' || text.back() == ' ' || text.front() == '=' || text.front() == '/')
    return llvm::all_of(text, [](char c) { return llvm::isAlnum(c) || StringRef("_./=+-").contains(c); });
  return llvm::all_of(text, [](char c) { return llvm::isAlnum(c) || StringRef("_./=+-() ").contains(c); });
}

std::string yaml::quote(StringRef text) {
  if (!text.empty() && isPlainSafe(text))
    return text.str();
  std::string out = "\"";
  while (!text.empty()) {
    uint32_t c = 0;
    unsigned length = escape::decodeUtf8(text, c);
    auto hex = [&](char kind, unsigned digits, uint32_t value) {
      out += '\\';
      out += kind;
      for (int shift = static_cast<int>(digits) * 4 - 4; shift >= 0; shift -= 4)
        out += llvm::hexdigit((value >> shift) & 15, /*LowerCase=*/true);
    };
    if (length == 0) {
      hex('u', 4, 0xFFFD);
      length = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || (c >= 0x7F && c <= 0x9F)) {
      hex('x', 2, c);
    } else if (c == 0xFEFF || (c >= 0x2028 && c <= 0x202E) || (c >= 0x200B && c <= 0x200F) || (c >= 0x2060 && c <= 0x206F)) {
      hex('u', 4, c);
    } else {
      out += text.take_front(length);
    }
    text = text.drop_front(length);
  }
  return out + "\"";
}

static std::string scalarText(const Node &node) {
  // An unquoted scalar was accepted as it stands; the reader's rules decide whether it can be plain again.
  if (!node.quoted && (node.isNull() || node.asBool() || node.asNumber()))
    return node.text;
  return quote(node.text);
}

static bool isFlat(const Node &node) {
  return llvm::all_of(node.items, [](const Node &item) { return item.isScalar(); }) &&
         llvm::all_of(node.entries, [](const Entry &entry) { return entry.value.isScalar(); });
}

static size_t sizeOf(const Node &node) {
  size_t size = node.text.size() + 2;
  for (const Node &item : node.items)
    size += sizeOf(item) + 2;
  for (const Entry &entry : node.entries)
    size += entry.key.size() + sizeOf(entry.value) + 4;
  return size;
}

static void print(const Node &node, unsigned indent, std::string &out);

static void printFlow(const Node &node, std::string &out) {
  if (node.isScalar()) {
    out += scalarText(node);
    return;
  }
  out += node.isMapping() ? "{" : "[";
  bool first = true;
  for (const Node &item : node.items) {
    out += first ? "" : ", ";
    first = false;
    printFlow(item, out);
  }
  for (const Entry &entry : node.entries) {
    out += first ? "" : ", ";
    first = false;
    out += quote(entry.key) + ": ";
    printFlow(entry.value, out);
  }
  out += node.isMapping() ? "}" : "]";
}

static bool fitsFlow(const Node &node, unsigned indent) {
  if (node.items.empty() && node.entries.empty())
    return true;
  if (sizeOf(node) + indent > 110)
    return false;
  if (isFlat(node))
    return true;
  // A mapping of scalars and flat collections stays readable on one line: {q: a, rope: {theta: b}}.
  return node.isMapping() && llvm::all_of(node.entries, [](const Entry &entry) { return isFlat(entry.value); });
}

static void printUnder(const Node &value, unsigned indent, std::string &out) {
  if (value.isScalar() || fitsFlow(value, indent)) {
    out += ' ';
    printFlow(value, out);
    out += '\n';
    return;
  }
  out += '\n';
  print(value, indent + 2, out);
}

static void print(const Node &node, unsigned indent, std::string &out) {
  if (node.isScalar() || fitsFlow(node, indent)) {
    out.append(indent, ' ');
    printFlow(node, out);
    out += '\n';
    return;
  }
  for (const Node &item : node.items) {
    out.append(indent, ' ');
    out += '-';
    if (item.isScalar() || fitsFlow(item, indent + 2)) {
      out += ' ';
      printFlow(item, out);
      out += '\n';
      continue;
    }
    // "- key: …": the first line of the item goes behind the dash.
    std::string body;
    print(item, indent + 2, body);
    out += ' ';
    out += StringRef(body).drop_front(indent + 2);
  }
  for (const Entry &entry : node.entries) {
    out.append(indent, ' ');
    out += quote(entry.key) + ":";
    printUnder(entry.value, indent, out);
  }
}

std::string yaml::toText(const Node &node, unsigned indent) {
  std::string out;
  print(node, indent, out);
  return out;
}
