// The one JSON reader and writer of the project.
//
// Reading is strict where silence would hide a contradiction (duplicate keys, text after the value, broken UTF-8 are refused
// with `file:line:col`) and lenient where real hub files are: NaN, Infinity, -Infinity are numbers (mamba2's
// `time_step_limit: [0.0, Infinity]`), a UTF-8 byte order mark is skipped. The parser is iterative; depth, size and number of
// values are bounded, so hostile files end in a message.
#pragma once

#include "text/Diagnostics.h"
#include "text/Place.h"

#include "llvm/ADT/ArrayRef.h"

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace flagrelease::json {

enum class Kind : uint8_t { Null, Bool, Int, Double, String, Array, Object };
/// "null", "bool", "int", "double", "string", "list", "mapping": the words of diagnostics.
StringRef kindName(Kind kind);

class Object;
class Value;
using Array = std::vector<Value>;

/// One JSON value. Strings, arrays and objects are shared and immutable: a copy costs a reference count. To change one, copy
/// its Array or Object, edit, and make a new Value. An integer outside int64 is a Double; 1 and 1.0 stay apart.
class Value {
public:
  Value() = default;
  /*implicit*/ Value(std::nullptr_t) {}
  /*implicit*/ Value(bool value) : k(Kind::Bool) { scalar.b = value; }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  /*implicit*/ Value(T value) : k(std::in_range<int64_t>(value) ? Kind::Int : Kind::Double) {
    if (k == Kind::Int)
      scalar.i = static_cast<int64_t>(value);
    else
      scalar.d = static_cast<double>(value);
  }
  /*implicit*/ Value(double value) : k(Kind::Double) { scalar.d = value; }
  /*implicit*/ Value(std::string value);
  /*implicit*/ Value(StringRef value) : Value(value.str()) {}
  /*implicit*/ Value(const char *value) : Value(std::string(value)) {}
  /*implicit*/ Value(Array value);
  /*implicit*/ Value(Object value);

  Kind kind() const { return k; }
  StringRef kindName() const { return json::kindName(k); }
  bool isNull() const { return k == Kind::Null; }
  bool isBool() const { return k == Kind::Bool; }
  bool isInt() const { return k == Kind::Int; }
  bool isDouble() const { return k == Kind::Double; }
  bool isNumber() const { return k == Kind::Int || k == Kind::Double; }
  bool isString() const { return k == Kind::String; }
  bool isArray() const { return k == Kind::Array; }
  bool isObject() const { return k == Kind::Object; }

  /// Asserting getters: call them after asking.
  bool boolean() const;
  int64_t integer() const;
  double number() const; ///< of an Int or a Double
  StringRef string() const;
  const Array &array() const;
  const Object &object() const;

  /// Asking getters.
  std::optional<bool> asBool() const { return isBool() ? std::optional(scalar.b) : std::nullopt; }
  std::optional<int64_t> asInt() const { return isInt() ? std::optional(scalar.i) : std::nullopt; }
  std::optional<double> asNumber() const { return isNumber() ? std::optional(number()) : std::nullopt; }
  std::optional<StringRef> asString() const { return isString() ? std::optional(string()) : std::nullopt; }

  /// The member of an object; null when this is no object or has no such key.
  const Value *find(StringRef key) const;

  /// Byte offset of the value's first character in the text it was read from; 0 for values that were made.
  uint32_t offset() const { return at; }
  void setOffset(uint32_t offset) { at = offset; }

  /// Equal kinds and values; NaN equals NaN; objects compare without order. An Int never equals a Double.
  friend bool operator==(const Value &a, const Value &b);
  friend bool operator!=(const Value &a, const Value &b) { return !(a == b); }

private:
  Kind k = Kind::Null;
  uint32_t at = 0;
  union {
    bool b;
    int64_t i = 0;
    double d;
  } scalar;
  std::shared_ptr<const void> shared; ///< std::string, Array or Object, by kind
};

struct Member;

/// Members in the order of the file. Lookup is linear for few members and hashed for many.
class Object {
public:
  Object();
  Object(std::initializer_list<Member> list);
  Object(const Object &);
  Object(Object &&) noexcept;
  Object &operator=(const Object &);
  Object &operator=(Object &&) noexcept;
  ~Object();

  const Value *find(StringRef key) const;
  bool contains(StringRef key) const { return find(key) != nullptr; }
  /// Replaces the value of an existing key in its place, or appends.
  void set(StringRef key, Value value);
  /// Appends a key that is known to be absent.
  void append(std::string key, Value value);
  bool erase(StringRef key);
  size_t size() const;
  bool empty() const { return size() == 0; }
  std::vector<Member>::const_iterator begin() const;
  std::vector<Member>::const_iterator end() const;

private:
  size_t indexOf(StringRef key) const;
  void hashAll();

  std::vector<Member> members;
  std::vector<uint32_t> slots; ///< open addressing, index + 1; empty while there are few members
};

struct Member {
  std::string key;
  Value value;
};

inline size_t Object::size() const { return members.size(); }
inline std::vector<Member>::const_iterator Object::begin() const { return members.begin(); }
inline std::vector<Member>::const_iterator Object::end() const { return members.end(); }

struct Limits {
  size_t maxBytes = size_t(64) << 20;
  unsigned maxDepth = 128;
  size_t maxValues = 8'000'000;
};

/// Reads one JSON text. `fileName` is what messages call it.
FailureOr<Value> parse(StringRef text, StringRef fileName, Diagnostics &diags, const Limits &limits = {});
/// Reads a file.
FailureOr<Value> parseFile(StringRef path, Diagnostics &diags, const Limits &limits = {});

/// Writes JSON: members in the order given, 2 spaces per level or compact, every control character and invalid byte escaped,
/// doubles as the shortest text that reads back to the same bits (and always with '.', 'e' or 'E'). JSON has no NaN and no
/// infinity: they are written as null and counted, so that the caller can refuse them.
class Writer {
public:
  enum class Style { Pretty, Compact };
  explicit Writer(std::string &out, Style style = Style::Pretty) : out(out), style(style) {}

  void beginObject();
  void endObject();
  void beginArray();
  void endArray();
  void key(StringRef name);
  void null();
  void value(const Value &v);
  void value(StringRef s);
  void value(const char *s) { value(StringRef(s)); }
  void value(const std::string &s) { value(StringRef(s)); }
  void value(bool b);
  void value(int64_t i);
  void value(uint64_t i);
  void value(int i) { value(static_cast<int64_t>(i)); }
  void value(unsigned i) { value(static_cast<uint64_t>(i)); }
  void value(double d);
  template <typename T> void member(StringRef name, const T &v) { key(name), value(v); }

  /// How many NaN and infinite numbers became null.
  size_t nonFinite() const { return lost; }

private:
  void separate();
  void newline();

  std::string &out;
  Style style;
  struct Level {
    bool isObject;
    bool any;
  };
  std::vector<Level> levels;
  bool afterKey = false;
  size_t lost = 0;
};

/// The text of a value; Pretty ends with a newline, Compact has none.
std::string toText(const Value &value, Writer::Style style = Writer::Style::Compact);

} // namespace flagrelease::json
