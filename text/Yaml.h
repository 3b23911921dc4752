// The one YAML reader of the project: a small, strict subset of YAML 1.2 for files that people write.
//
// Refused with `file:line:col`: duplicate keys, anchors, aliases, tags, merge keys, keys that are not plain scalars, several
// documents, directives, and unquoted YAML 1.1 booleans (yes, no, on, off, and True or FALSE in other than lower case), which
// other readers take for booleans. Scalars stay text: what a scalar means is decided by who reads it.
#pragma once

#include "text/Diagnostics.h"
#include "text/Place.h"

#include "llvm/ADT/ArrayRef.h"

#include <optional>
#include <string>
#include <vector>

namespace flagrelease::yaml {

enum class Kind : uint8_t { Scalar, Sequence, Mapping };
/// "scalar", "sequence", "mapping".
StringRef kindName(Kind kind);

struct Entry;

struct Node {
  Kind kind = Kind::Scalar;
  std::string text;           ///< of a scalar; "null" for null, ~ and nothing
  bool quoted = false;        ///< a quoted or block scalar: never null, a number or a boolean
  Place place;                ///< of the first character (of the quote, of a quoted scalar)
  std::vector<Entry> entries; ///< of a mapping, in the order of the file
  std::vector<Node> items;    ///< of a sequence

  bool isScalar() const { return kind == Kind::Scalar; }
  bool isSequence() const { return kind == Kind::Sequence; }
  bool isMapping() const { return kind == Kind::Mapping; }
  bool isNull() const { return isScalar() && !quoted && text == "null"; }
  /// The value of a key; null when this is no mapping or has no such key.
  const Node *find(StringRef key) const;
  Node *find(StringRef key);
  /// An unquoted scalar read as true/false, a decimal integer, a number; nothing if it is not one.
  std::optional<bool> asBool() const;
  std::optional<int64_t> asInt() const;
  std::optional<double> asNumber() const;
  /// Where byte `offset` of `text` stands in the file. Exact for scalars of one line without escapes, else the scalar's place.
  Place placeOf(size_t offset) const;
};

struct Entry {
  std::string key;
  bool quoted = false;
  Place place; ///< of the key
  Node value;
};

struct Limits {
  size_t maxBytes = size_t(4) << 20;
  unsigned maxDepth = 64;
  size_t maxNodes = 500'000;
  /// If not empty: stop, without an error, before the first top-level key that is not one of these. What follows is not read:
  /// the head of a file is cheap.
  llvm::ArrayRef<StringRef> headKeys = {};
};

/// Reads one document; the empty text is an error.
FailureOr<Node> parse(StringRef text, StringRef fileName, Diagnostics &diags, const Limits &limits = {});
FailureOr<Node> parseFile(StringRef path, Diagnostics &diags, const Limits &limits = {});

/// The text as a YAML scalar on one line: plain where that is safe everywhere (also in flow collections), else double-quoted.
std::string quote(StringRef text);

/// The node as YAML text, block style with flow style for mappings and sequences that hold only scalars. Reads back equal.
std::string toText(const Node &node, unsigned indent = 0);

} // namespace flagrelease::yaml
