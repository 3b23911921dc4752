// Reads the keys of one YAML mapping strictly: every key must be asked for, every value must have the kind that was asked for.
// Whatever is wrong becomes a problem at its line and column, and reading goes on, so that one run shows all of a file.
#pragma once

#include "recipes/NumberFormat.h"
#include "text/Diagnostics.h"
#include "text/Yaml.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace flagrelease {

/// Counts problems from here on: `clean()` while none was added.
class ErrorMark {
public:
  explicit ErrorMark(const Diagnostics &diags) : diags(diags), before(diags.errors().size()) {}
  bool clean() const { return diags.errors().size() == before; }

private:
  const Diagnostics &diags;
  size_t before;
};

/// `[first, last]`, both included.
struct IntRange {
  int64_t first = 0;
  int64_t last = std::numeric_limits<int64_t>::max();
  bool contains(int64_t value) const { return first <= value && value <= last; }
  /// "8 to 18", "8 and later".
  std::string str() const;
};

class Fields {
public:
  /// `what` names the mapping in messages ("a chip", "toolchain").
  Fields(const yaml::Node &node, StringRef what, Diagnostics &diags);

  /// The value of a key, or null when it is absent. The key is known from now on.
  const yaml::Node *get(StringRef key);
  /// As get, but absence is a problem.
  const yaml::Node *need(StringRef key);

  std::optional<std::string> text(StringRef key);
  std::string needText(StringRef key);
  std::optional<bool> boolean(StringRef key);
  std::optional<int64_t> integer(StringRef key, int64_t min, int64_t max);
  /// A number above zero.
  std::optional<double> positive(StringRef key);
  std::vector<std::string> texts(StringRef key);
  std::vector<NumberFormat> formats(StringRef key);
  /// `[a, b]` with a <= b; `latest` for b is no upper end.
  std::optional<IntRange> range(StringRef key);
  /// One of the names in `table`; a problem names the nearest.
  template <typename E, size_t N> std::optional<E> choice(StringRef key, const std::pair<llvm::StringLiteral, E> (&table)[N]) {
    const yaml::Node *node = get(key);
    if (!node)
      return std::nullopt;
    std::vector<StringRef> names;
    for (const auto &[name, value] : table) {
      if (node->isScalar() && node->text == name)
        return value;
      names.push_back(name);
    }
    unknownName(*node, key, names);
    return std::nullopt;
  }

  /// Call last: every key that nobody asked for is a problem.
  void finish();

  const yaml::Node &node() const { return mapping; }
  std::string where(const yaml::Node &at) const { return at.place.str(); }
  void error(const yaml::Node &at, const Twine &problem, const Twine &remedy = "") const;
  /// Reports `node` as none of `names`.
  void unknownName(const yaml::Node &node, StringRef key, llvm::ArrayRef<StringRef> names) const;

private:
  const yaml::Node &mapping;
  std::string what;
  Diagnostics &diags;
  std::vector<std::string> known;
};

/// A list of scalars as texts; `key` names it in messages.
std::vector<std::string> readTexts(const yaml::Node &node, StringRef key, Diagnostics &diags);
/// A number format, or a problem that names the nearest.
std::optional<NumberFormat> readFormat(const yaml::Node &node, StringRef key, Diagnostics &diags);
std::vector<NumberFormat> readFormats(const yaml::Node &node, StringRef key, Diagnostics &diags);
std::optional<IntRange> readRange(const yaml::Node &node, StringRef key, Diagnostics &diags);
/// The grammar version that every recipe file states first: `recipe: 1`.
void readVersion(Fields &fields);
/// True for lower-case letters, digits, `.`, `-` and `_`, starting with a letter or digit: names of recipe files.
bool isRecipeName(StringRef name);

} // namespace flagrelease
