#include "text/Escape.h"

#include "text/Yaml.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>

using namespace flagrelease;
using llvm::StringRef;

unsigned escape::decodeUtf8(StringRef text, uint32_t &codePoint) {
  if (text.empty())
    return 0;
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  if (first < 0x80) {
    codePoint = first;
    return 1;
  }
  unsigned length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length)
    return 0;
  uint32_t value = first & (0x7F >> length);
  for (unsigned i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80)
      return 0;
    value = (value << 6) | (byte(i) & 0x3F);
  }
  static const uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
    return 0;
  codePoint = value;
  return length;
}

/// Characters that change how the text around them is shown: C1 controls, zero width, bidirectional, line separators, BOM, tags.
static bool isHiddenOrReordering(uint32_t c) {
  return (c >= 0x7F && c <= 0x9F) || c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

static void appendHexByte(std::string &out, unsigned char byte) {
  out += "\\x";
  out += llvm::hexdigit(byte >> 4, /*LowerCase=*/true);
  out += llvm::hexdigit(byte & 15, /*LowerCase=*/true);
}

/// Calls `each(codePoint, bytes)` for valid characters that can be shown; everything else is written escaped.
template <typename Each> static void walk(StringRef text, std::string &out, Each each) {
  while (!text.empty()) {
    uint32_t c = 0;
    unsigned length = escape::decodeUtf8(text, c);
    if (length == 0) {
      appendHexByte(out, static_cast<unsigned char>(text[0]));
      length = 1;
    } else if (c < 0x20 || c == 0x7F) {
      if (c == '\n')
        out += "\\n";
      else if (c == '\t')
        out += "\\t";
      else if (c == '\r')
        out += "\\r";
      else
        appendHexByte(out, static_cast<unsigned char>(c));
    } else if (isHiddenOrReordering(c)) {
      out += "\\u{" + llvm::utohexstr(c, /*LowerCase=*/true) + "}";
    } else {
      each(c, text.take_front(length));
    }
    text = text.drop_front(length);
  }
}

std::string escape::terminal(StringRef text, size_t maxBytes) {
  bool cut = text.size() > maxBytes;
  if (cut) {
    // Never inside a character: drop its continuation bytes too.
    while (maxBytes > 0 && (static_cast<unsigned char>(text[maxBytes]) & 0xC0) == 0x80)
      --maxBytes;
    text = text.take_front(maxBytes);
  }
  std::string out;
  out.reserve(text.size());
  walk(text, out, [&](uint32_t, StringRef bytes) { out += bytes; });
  if (cut)
    out += "…";
  return out;
}

std::string escape::html(StringRef text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  walk(text, out, [&](uint32_t c, StringRef bytes) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default:
      out += bytes;
    }
  });
  return out;
}

std::string escape::markdown(StringRef text) {
  std::string flat = text.str();
  for (char &c : flat)
    if (c == '\n' || c == '\r' || c == '\t')
      c = ' ';
  std::string out;
  out.reserve(flat.size() + flat.size() / 8);
  walk(flat, out, [&](uint32_t c, StringRef bytes) {
    // '.' and '-' only start markup at the start of a line, but a name may stand there; '@' and ':' would make links.
    if (c < 0x80 && StringRef("\\`*_{}[]<>()#+-.!|~&@:").contains(static_cast<char>(c)))
      out += '\\';
    out += bytes;
  });
  return out;
}

std::string escape::shell(StringRef text) {
  auto harmless = [](char c) { return llvm::isAlnum(c) || StringRef("-_./:=,+@").contains(c); };
  if (!text.empty() && llvm::all_of(text, harmless))
    return text.str();
  bool hidden = false;
  std::string shown;
  for (StringRef rest = text; !rest.empty();) {
    uint32_t c = 0;
    const unsigned length = decodeUtf8(rest, c), bytes = std::max(1u, length);
    if (length == 0 || c < 0x20 || isHiddenOrReordering(c)) {
      hidden = true;
      for (char byte : rest.take_front(bytes))
        appendHexByte(shown, static_cast<unsigned char>(byte));
    } else if (c == '\'' || c == '\\') {
      shown += '\\';
      shown += static_cast<char>(c);
    } else {
      shown += rest.take_front(bytes);
    }
    rest = rest.drop_front(bytes);
  }
  if (hidden)
    return "$'" + shown + "'";
  std::string plain = "'";
  for (char c : text)
    plain += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return plain + "'";
}

std::string escape::yaml(StringRef text) { return flagrelease::yaml::quote(text); }
