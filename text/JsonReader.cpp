#include "text/Escape.h"
#include "text/Json.h"
#include "text/TextFile.h"

#include "llvm/ADT/StringExtras.h"

#include <cassert>
#include <stdexcept>

// RapidJSON asserts what a text can break: an exponent after NaN ends the program in its number conversion.
#define RAPIDJSON_ASSERT(condition)                                                                                              \
  do {                                                                                                                           \
    if (!(condition))                                                                                                            \
      throw std::logic_error(#condition);                                                                                        \
  } while (false)
#define RAPIDJSON_NOEXCEPT_ASSERT(condition) assert(condition)
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <limits>

using namespace flagrelease;
using namespace flagrelease::json;

namespace {

/// Builds values from RapidJSON's events. RapidJSON tells no offsets; the start of each token is found from the end of the one
/// before, because only blanks, ',' and ':' can stand between.
class Builder {
public:
  Builder(StringRef text, const rapidjson::MemoryStream &stream, const Limits &limits)
      : text(text), stream(stream), limits(limits) {}

  bool Null() { return scalar(Value()); }
  bool Bool(bool b) { return scalar(Value(b)); }
  bool Int(int i) { return scalar(Value(i)); }
  bool Uint(unsigned u) { return scalar(Value(u)); }
  bool Int64(int64_t i) { return scalar(Value(i)); }
  bool Uint64(uint64_t u) { return scalar(Value(u)); }
  bool Double(double d) { return scalar(Value(d)); }
  bool RawNumber(const char *, rapidjson::SizeType, bool) { return refuse("number kept as text"); }
  bool String(const char *data, rapidjson::SizeType length, bool) {
    if (!isText({data, length}))
      return refuseSurrogate();
    return scalar(Value(std::string(data, length)));
  }

  bool Key(const char *data, rapidjson::SizeType length, bool) {
    StringRef key(data, length);
    if (!isText(key))
      return refuseSurrogate();
    startToken();
    if (open.back().members.contains(key))
      return refuse("duplicate key \"" + escape::terminal(key, 200) + "\"");
    open.back().key = key.str();
    endToken();
    return true;
  }
  bool StartObject() { return start(Kind::Object); }
  bool StartArray() { return start(Kind::Array); }
  bool EndObject(rapidjson::SizeType) { return end(); }
  bool EndArray(rapidjson::SizeType) { return end(); }

  Value root;
  std::string error; ///< set when this builder, not RapidJSON, refused
  size_t tokenStart = 0;

private:
  struct Level {
    Kind kind;
    uint32_t offset;
    std::string key;
    Object members;
    Array items;
  };

  /// RapidJSON takes the second half of a pair (\uDC00 to \uDFFF) without the first, which is no character: its UTF-8 is not
  /// valid.
  static bool isText(StringRef decoded) {
    for (size_t at = decoded.find('\xED'); at != StringRef::npos; at = decoded.find('\xED', at + 1))
      if (uint32_t c = 0; escape::decodeUtf8(decoded.drop_front(at), c) == 0)
        return false;
    return true;
  }
  bool refuseSurrogate() {
    startToken();
    return refuse("half of a surrogate pair in a text");
  }

  bool refuse(std::string why) {
    error = std::move(why);
    return false;
  }
  void startToken() {
    size_t pos = previousEnd;
    while (pos < text.size() && StringRef(" \t\r\n,:").contains(text[pos]))
      ++pos;
    tokenStart = pos;
  }
  void endToken() { previousEnd = stream.Tell(); }

  bool start(Kind kind) {
    startToken();
    previousEnd = tokenStart + 1; // RapidJSON calls before it takes the bracket
    if (open.size() >= limits.maxDepth)
      return refuse("nested more than " + std::to_string(limits.maxDepth) + " deep");
    open.push_back({kind, static_cast<uint32_t>(tokenStart), {}, {}, {}});
    return true;
  }
  bool end() {
    startToken();
    previousEnd = tokenStart + 1;
    Level level = std::move(open.back());
    open.pop_back();
    level.items.shrink_to_fit();
    Value value = level.kind == Kind::Object ? Value(std::move(level.members)) : Value(std::move(level.items));
    value.setOffset(level.offset);
    return add(std::move(value));
  }
  bool scalar(Value value) {
    startToken();
    endToken();
    value.setOffset(static_cast<uint32_t>(tokenStart));
    return add(std::move(value));
  }
  bool add(Value value) {
    if (++count > limits.maxValues)
      return refuse("more than " + std::to_string(limits.maxValues) + " values");
    if (open.empty())
      root = std::move(value);
    else if (open.back().kind == Kind::Object)
      open.back().members.append(std::move(open.back().key), std::move(value));
    else
      open.back().items.push_back(std::move(value));
    return true;
  }

  StringRef text;
  const rapidjson::MemoryStream &stream;
  const Limits &limits;
  std::vector<Level> open;
  size_t previousEnd = 0;
  size_t count = 0;
};

} // namespace

FailureOr<Value> json::parse(StringRef text, StringRef fileName, Diagnostics &diags, const Limits &limits) {
  if (text.size() > std::min<size_t>(limits.maxBytes, std::numeric_limits<uint32_t>::max()))
    return diags.error(fileName, "JSON text of " + Twine(text.size()) + " bytes, the limit is " + Twine(limits.maxBytes),
                       "check that it is the file you mean");
  text.consume_front("\xEF\xBB\xBF"); // offsets count from after the byte order mark, as editors do

  rapidjson::MemoryStream stream(text.data(), text.size());
  Builder builder(text, stream, limits);
  rapidjson::Reader reader;
  constexpr unsigned kFlags = rapidjson::kParseNanAndInfFlag | rapidjson::kParseIterativeFlag |
                              rapidjson::kParseFullPrecisionFlag | rapidjson::kParseValidateEncodingFlag;
  rapidjson::ParseResult result;
  bool broken = false;
  try {
    result = reader.Parse<kFlags>(stream, builder);
  } catch (const std::logic_error &) {
    broken = true;
  }

  auto fail = [&](size_t offset, const Twine &what,
                  StringRef remedy = "correct the file there, or restore it from where it came") {
    LineCol at = lineColOf(text, offset);
    return diags.error(fileName + ":" + Twine(at.line) + ":" + Twine(at.col), what, remedy);
  };
  if (broken)
    return fail(stream.Tell(), "not JSON: invalid value");
  if (!builder.error.empty())
    return fail(builder.tokenStart, builder.error);
  if (result.IsError()) {
    std::string what = rapidjson::GetParseError_En(result.Code());
    if (!what.empty() && what.back() == '.')
      what.pop_back();
    if (!what.empty())
      what[0] = static_cast<char>(llvm::toLower(what[0]));
    bool cut = result.Offset() >= text.size() && !text.empty();
    return fail(result.Offset(), "not JSON: " + what + (cut ? " (the text ends here)" : ""),
                cut ? "fetch the file again" : "correct the file there, or fetch it again");
  }
  // The stream reads a NUL byte as the end of the text.
  if (stream.Tell() < text.size())
    return fail(stream.Tell(), "not JSON: a NUL byte after the value");
  return std::move(builder.root);
}

FailureOr<Value> json::parseFile(StringRef path, Diagnostics &diags, const Limits &limits) {
  FailureOr<std::string> text = readTextFile(path, limits.maxBytes, diags);
  if (failed(text))
    return failure();
  return parse(*text, path, diags, limits);
}
