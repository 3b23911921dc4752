// Values of a GGUF file's key-value part: twelve scalar types, and lists of one of them.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md ("File Structure")
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace flagrelease {

using llvm::StringRef;

/// Numbers are those of the format.
enum class GgufType : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

/// "u8", ..., "string", "array".
StringRef ggufTypeName(GgufType type);
/// The inverse, without "array".
std::optional<GgufType> parseGgufType(StringRef name);
/// Bytes of one; 0 for String and Array.
unsigned ggufTypeWidth(GgufType type);

/// A scalar or a list. Numbers are kept as the file holds them (little endian), so that writing gives the same bytes.
class GgufValue {
public:
  static GgufValue u32(uint32_t v) { return integer(GgufType::U32, static_cast<int64_t>(v)); }
  static GgufValue boolean(bool v) { return integer(GgufType::Bool, v); }
  static GgufValue f32(float v);
  static GgufValue text(std::string v);
  /// Of an integer type or Bool; the value must be in its range.
  static GgufValue integer(GgufType type, int64_t v);
  static GgufValue texts(std::vector<std::string> v);
  static GgufValue i32s(const std::vector<int32_t> &v);
  static GgufValue f32s(const std::vector<float> &v);
  /// As read from a file: `raw` is a whole number of elements. Not for strings.
  static GgufValue raw(GgufType type, bool list, std::string bytes) { return {type, list, std::move(bytes), {}}; }

  GgufType type() const { return kind; } ///< of the scalar, or of the elements
  bool isList() const { return list; }
  size_t size() const; ///< elements; 1 for a scalar

  /// Of a scalar, or of element `i`. Nothing when the type does not fit: an integer that is not in int64, a float asked as int.
  std::optional<int64_t> asInt(size_t i = 0) const;
  std::optional<double> asNumber(size_t i = 0) const; ///< of any numeric type
  std::optional<bool> asBool(size_t i = 0) const;
  std::optional<StringRef> asText(size_t i = 0) const;

  const std::string &bytes() const { return data; }                 ///< numbers
  const std::vector<std::string> &strings() const { return words; } ///< of a String scalar (one) or list
  bool operator==(const GgufValue &) const = default;

  /// For people: a scalar as text, a list as its length and first elements.
  std::string str() const;

private:
  GgufValue(GgufType kind, bool list, std::string data, std::vector<std::string> words)
      : kind(kind), list(list), data(std::move(data)), words(std::move(words)) {}

  GgufType kind;
  bool list;
  std::string data;
  std::vector<std::string> words;
};

/// Key-values in the order of the file.
class GgufKeyValues {
public:
  const GgufValue *find(StringRef key) const;
  /// Appends; the key must be new.
  void add(StringRef key, GgufValue value);
  const std::vector<std::pair<std::string, GgufValue>> &all() const { return entries; }
  bool empty() const { return entries.empty(); }

  /// Typed access by key; nothing when it is absent or of another type.
  std::optional<int64_t> integer(StringRef key) const;
  std::optional<StringRef> text(StringRef key) const;

private:
  std::vector<std::pair<std::string, GgufValue>> entries; // a few dozen: looked through in order
};

} // namespace flagrelease
