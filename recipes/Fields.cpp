#include "recipes/Fields.h"

#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace flagrelease {

std::string IntRange::str() const {
  if (last == std::numeric_limits<int64_t>::max())
    return std::to_string(first) + " and later";
  return first == last ? std::to_string(first) : std::to_string(first) + " to " + std::to_string(last);
}

Fields::Fields(const yaml::Node &node, StringRef what, Diagnostics &diags) : mapping(node), what(what), diags(diags) {
  if (!node.isMapping())
    error(node, "expected a mapping (" + Twine(what) + "), found a " + yaml::kindName(node.kind));
}

void Fields::error(const yaml::Node &at, const Twine &problem, const Twine &remedy) const {
  (void)diags.error(at.place.str(), problem, remedy);
}

void Fields::unknownName(const yaml::Node &node, StringRef key, llvm::ArrayRef<StringRef> names) const {
  if (!node.isScalar())
    return error(node, "'" + Twine(key) + "' must be one name, found a " + yaml::kindName(node.kind));
  error(node, "'" + Twine(key) + "': unknown value '" + node.text + "'" + nearestNote(node.text, names),
        "known: " + Twine(listed(names, 24)));
}

const yaml::Node *Fields::get(StringRef key) {
  if (!llvm::is_contained(known, key))
    known.push_back(key.str());
  return mapping.find(key);
}

const yaml::Node *Fields::need(StringRef key) {
  const yaml::Node *node = get(key);
  if (!node && mapping.isMapping())
    error(mapping, Twine(what) + " lacks the key '" + key + "'");
  return node;
}

static std::optional<std::string> asText(const yaml::Node &node, StringRef key, Diagnostics &diags) {
  if (node.isScalar() && !node.isNull() && !node.text.empty())
    return node.text;
  (void)diags.error(node.place.str(),
                    "'" + Twine(key) + "' must be a text" +
                        (node.isScalar() ? Twine(" that is not empty") : Twine(", found a ") + yaml::kindName(node.kind)));
  return std::nullopt;
}

std::optional<std::string> Fields::text(StringRef key) {
  const yaml::Node *node = get(key);
  return node ? asText(*node, key, diags) : std::nullopt;
}

std::string Fields::needText(StringRef key) {
  const yaml::Node *node = need(key);
  return node ? asText(*node, key, diags).value_or("") : "";
}

std::optional<bool> Fields::boolean(StringRef key) {
  const yaml::Node *node = get(key);
  if (!node)
    return std::nullopt;
  std::optional<bool> value = node->asBool();
  if (!value)
    error(*node, "'" + Twine(key) + "' must be true or false");
  return value;
}

std::optional<int64_t> Fields::integer(StringRef key, int64_t min, int64_t max) {
  const yaml::Node *node = get(key);
  if (!node)
    return std::nullopt;
  std::optional<int64_t> value = node->asInt();
  if (value && *value >= min && *value <= max)
    return value;
  error(*node, "'" + Twine(key) + "' must be an integer from " + Twine(min) + " to " + Twine(max) +
                   (node->isScalar() ? ", found '" + node->text + "'" : std::string()));
  return std::nullopt;
}

std::optional<double> Fields::positive(StringRef key) {
  const yaml::Node *node = get(key);
  if (!node)
    return std::nullopt;
  std::optional<double> value = node->asNumber();
  if (value && *value > 0 && *value <= 1e300)
    return value;
  error(*node,
        "'" + Twine(key) + "' must be a number above 0" + (node->isScalar() ? ", found '" + node->text + "'" : std::string()));
  return std::nullopt;
}

std::vector<std::string> readTexts(const yaml::Node &node, StringRef key, Diagnostics &diags) {
  std::vector<std::string> texts;
  if (!node.isSequence()) {
    (void)diags.error(node.place.str(), "'" + Twine(key) + "' must be a list, found a " + yaml::kindName(node.kind));
    return texts;
  }
  for (const yaml::Node &item : node.items)
    if (std::optional<std::string> text = asText(item, key, diags))
      texts.push_back(std::move(*text));
  return texts;
}

std::vector<std::string> Fields::texts(StringRef key) {
  const yaml::Node *node = get(key);
  return node ? readTexts(*node, key, diags) : std::vector<std::string>();
}

std::optional<NumberFormat> readFormat(const yaml::Node &node, StringRef key, Diagnostics &diags) {
  if (node.isScalar())
    if (std::optional<NumberFormat> format = parseNumberFormat(node.text))
      return format;
  (void)diags.error(node.place.str(),
                    "'" + Twine(key) + "': " +
                        (node.isScalar()
                             ? "unknown number format '" + node.text + "'" + nearestNote(node.text, numberFormatNames())
                             : "expected a number format, found a " + yaml::kindName(node.kind).str()),
                    "known: " + Twine(listed(numberFormatNames(), 32)));
  return std::nullopt;
}

std::vector<NumberFormat> readFormats(const yaml::Node &node, StringRef key, Diagnostics &diags) {
  std::vector<NumberFormat> formats;
  if (!node.isSequence()) {
    (void)diags.error(node.place.str(),
                      "'" + Twine(key) + "' must be a list of number formats, found a " + yaml::kindName(node.kind));
    return formats;
  }
  for (const yaml::Node &item : node.items) {
    std::optional<NumberFormat> format = readFormat(item, key, diags);
    if (format && llvm::is_contained(formats, *format))
      (void)diags.error(item.place.str(), "'" + Twine(key) + "' has '" + item.text + "' twice");
    else if (format)
      formats.push_back(*format);
  }
  return formats;
}

std::vector<NumberFormat> Fields::formats(StringRef key) {
  const yaml::Node *node = get(key);
  return node ? readFormats(*node, key, diags) : std::vector<NumberFormat>();
}

std::optional<IntRange> readRange(const yaml::Node &node, StringRef key, Diagnostics &diags) {
  if (node.isSequence() && node.items.size() == 2) {
    std::optional<int64_t> first = node.items[0].asInt();
    std::optional<int64_t> last = node.items[1].asInt();
    const yaml::Node &upper = node.items[1];
    if (upper.isScalar() && !upper.quoted && upper.text == "latest")
      last = std::numeric_limits<int64_t>::max();
    if (first && last && *first >= 0 && *first <= *last)
      return IntRange{*first, *last};
  }
  (void)diags.error(node.place.str(), "'" + Twine(key) + "' must be [first, last] with 0 <= first <= last; last may be latest");
  return std::nullopt;
}

std::optional<IntRange> Fields::range(StringRef key) {
  const yaml::Node *node = get(key);
  return node ? readRange(*node, key, diags) : std::nullopt;
}

void Fields::finish() {
  for (const yaml::Entry &entry : mapping.entries) {
    if (llvm::is_contained(known, entry.key))
      continue;
    (void)diags.error(entry.place.str(), "unknown key '" + Twine(entry.key) + "' in " + what + nearestNote(entry.key, known),
                      "known: " + Twine(listed(known, 32)));
  }
}

void readVersion(Fields &fields) {
  const yaml::Node *node = fields.need("recipe");
  if (node && node->asInt() != std::optional<int64_t>(1))
    fields.error(*node, "'recipe' must be 1, found '" + Twine(node->text) + "'", "this program reads version 1 of the grammar");
}

bool isRecipeName(StringRef name) {
  return !name.empty() && llvm::isAlnum(name.front()) && llvm::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || llvm::isDigit(c) || c == '.' || c == '-' || c == '_';
  });
}

} // namespace flagrelease
