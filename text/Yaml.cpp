#include "text/Yaml.h"

#include "text/Escape.h"
#include "text/TextFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <sstream>

using namespace flagrelease;
using namespace flagrelease::yaml;

StringRef yaml::kindName(Kind kind) {
  switch (kind) {
  case Kind::Scalar:
    return "scalar";
  case Kind::Sequence:
    return "sequence";
  case Kind::Mapping:
    return "mapping";
  }
  return "";
}

const Node *Node::find(StringRef key) const {
  for (const Entry &entry : entries)
    if (entry.key == key)
      return &entry.value;
  return nullptr;
}

Node *Node::find(StringRef key) { return const_cast<Node *>(static_cast<const Node *>(this)->find(key)); }

std::optional<bool> Node::asBool() const {
  if (!isScalar() || quoted)
    return std::nullopt;
  if (text == "true")
    return true;
  if (text == "false")
    return false;
  return std::nullopt;
}

std::optional<int64_t> Node::asInt() const {
  int64_t value = 0;
  if (!isScalar() || quoted || StringRef(text).getAsInteger(10, value))
    return std::nullopt;
  return value;
}

std::optional<double> Node::asNumber() const {
  if (!isScalar() || quoted || text.empty() || !(llvm::isDigit(text[0]) || text[0] == '-' || text[0] == '.'))
    return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

Place Node::placeOf(size_t offset) const {
  if (!isScalar() || offset > text.size() || text.find('\n') != std::string::npos)
    return place;
  return place.right(static_cast<unsigned>(offset) + (quoted ? 1 : 0));
}

namespace {

/// YAML has 1024 bytes for a key on the line of its value; escapes make up to four of one.
constexpr size_t kMaxKey = 240;

/// Thrown out of yaml-cpp's parser at the first refusal and caught in parse().
struct Refused {
  Place place;
  std::string what, remedy;
};

/// Thrown at the end of the head that was asked for.
struct HeadDone {};

class Builder : public YAML::EventHandler {
public:
  Builder(StringRef text, std::shared_ptr<const std::string> file, const Limits &limits)
      : text(text), file(std::move(file)), limits(limits) {}

  void OnDocumentStart(const YAML::Mark &mark) override {
    if (documents++)
      refuse(mark, "a second document", "keep one document per file");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark &mark, YAML::anchor_t anchor) override {
    check(mark, "", anchor);
    Node node = make(Kind::Scalar, mark);
    node.text = "null";
    add(std::move(node));
  }
  void OnAlias(const YAML::Mark &mark, YAML::anchor_t) override {
    refuse(mark, "an alias (*name) is not allowed", "write the value again");
  }
  void OnScalar(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor, const std::string &value) override {
    check(mark, tag, anchor);
    Node node = make(Kind::Scalar, mark);
    node.text = value;
    node.quoted = tag == "!"; // yaml-cpp marks quoted and block scalars so
    if (!node.quoted)
      checkPlain(mark, value);
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(Kind::Sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    begin(Kind::Mapping, mark, tag, anchor);
  }
  void OnMapEnd() override { end(); }

  /// The mapping as far as it was read.
  Node takeHead() { return std::move(open.front().node); }

  Node root;
  unsigned documents = 0;

private:
  struct Level {
    Node node;
    llvm::StringSet<> keys;
    bool hasKey = false;
    Entry entry;
  };

  Place placeAt(const YAML::Mark &mark) const {
    return {file, static_cast<unsigned>(mark.line) + 1, static_cast<unsigned>(mark.column) + 1};
  }
  [[noreturn]] void refuse(const YAML::Mark &mark, std::string what, std::string remedy) const {
    throw Refused{placeAt(mark), std::move(what), std::move(remedy)};
  }
  Node make(Kind kind, const YAML::Mark &mark) {
    if (++count > limits.maxNodes)
      refuse(mark, "more than " + std::to_string(limits.maxNodes) + " nodes", "");
    Node node;
    node.kind = kind;
    node.place = placeAt(mark);
    return node;
  }

  void check(const YAML::Mark &mark, StringRef tag, YAML::anchor_t anchor) const {
    if (anchor != 0)
      refuse(mark, "an anchor (&name) is not allowed", "write the value again where it is needed");
    // A quoted scalar has the tag "!" without one in the file.
    bool written = mark.pos >= 0 && static_cast<size_t>(mark.pos) < text.size() && text[static_cast<size_t>(mark.pos)] == '!';
    if ((!tag.empty() && tag != "?" && tag != "!") || (tag == "!" && written))
      refuse(mark, "a tag (" + escape::terminal(tag, 80) + ") is not allowed", "quote the scalar if it starts with '!'");
  }

  void checkPlain(const YAML::Mark &mark, StringRef value) const {
    StringRef meant = llvm::StringSwitch<StringRef>(value)
                          .Cases("yes", "Yes", "YES", "on", "On", "ON", "true")
                          .Cases("True", "TRUE", "true")
                          .Cases("no", "No", "NO", "off", "Off", "OFF", "false")
                          .Cases("False", "FALSE", "false")
                          .Default("");
    if (!meant.empty())
      refuse(mark, "'" + value.str() + "' is a boolean in YAML 1.1 and text in YAML 1.2",
             "write " + meant.str() + " for the boolean, \"" + value.str() + "\" for the text");
  }

  void begin(Kind kind, const YAML::Mark &mark, StringRef tag, YAML::anchor_t anchor) {
    check(mark, tag, anchor);
    if (open.size() >= limits.maxDepth)
      refuse(mark, "nested more than " + std::to_string(limits.maxDepth) + " deep", "");
    if (!open.empty() && open.back().node.isMapping() && !open.back().hasKey)
      refuse(mark, "a key that is a " + kindName(kind).str(), "a key is a plain or quoted scalar");
    open.emplace_back();
    open.back().node = make(kind, mark);
  }
  void end() {
    Node node = std::move(open.back().node);
    open.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (open.empty()) {
      root = std::move(node);
      return;
    }
    Level &level = open.back();
    if (level.node.isSequence()) {
      level.node.items.push_back(std::move(node));
      return;
    }
    if (level.hasKey) {
      level.entry.value = std::move(node);
      level.node.entries.push_back(std::move(level.entry));
      level.entry = Entry();
      level.hasKey = false;
      return;
    }
    if (node.isNull())
      throw Refused{node.place, "a null key", "quote it if the key is the word null"};
    if (!node.quoted && node.text == "<<")
      throw Refused{node.place, "a merge key (<<) is not allowed", "write the keys again"};
    if (!limits.headKeys.empty() && open.size() == 1 && !llvm::is_contained(limits.headKeys, StringRef(node.text)))
      throw HeadDone();
    if (node.text.size() > kMaxKey)
      throw Refused{node.place,
                    "a key of " + std::to_string(node.text.size()) + " bytes; at most " + std::to_string(kMaxKey) +
                        " are allowed",
                    "shorten it"};
    if (!level.keys.insert(node.text).second)
      throw Refused{node.place, "duplicate key '" + escape::terminal(node.text, 200) + "'", "keep one of them"};
    level.entry.key = std::move(node.text);
    level.entry.quoted = node.quoted;
    level.entry.place = std::move(node.place);
    level.hasKey = true;
  }

  StringRef text;
  std::shared_ptr<const std::string> file;
  const Limits &limits;
  std::vector<Level> open;
  size_t count = 0;
};

} // namespace

/// yaml-cpp ends a text at a NUL byte and replaces broken UTF-8: both would read something that is not in the file.
static LogicalResult checkBytes(StringRef text, StringRef fileName, Diagnostics &diags) {
  size_t offset = 0;
  while (offset < text.size()) {
    uint32_t c = 0;
    unsigned length = escape::decodeUtf8(text.drop_front(offset), c);
    bool control = length == 1 && c < 0x20 && c != '\n' && c != '\r' && c != '\t';
    if (length == 0 || control) {
      LineCol at = lineColOf(text, offset);
      return diags.error(fileName + ":" + Twine(at.line) + ":" + Twine(at.col),
                         control ? "a control character" : "not valid UTF-8", "save the file as plain UTF-8 text");
    }
    offset += length;
  }
  return success();
}

FailureOr<Node> yaml::parse(StringRef text, StringRef fileName, Diagnostics &diags, const Limits &limits) {
  if (text.size() > limits.maxBytes)
    return diags.error(fileName, "YAML text of " + Twine(text.size()) + " bytes, the limit is " + Twine(limits.maxBytes));
  text.consume_front("\xEF\xBB\xBF");
  if (failed(checkBytes(text, fileName, diags)))
    return failure();

  auto file = std::make_shared<const std::string>(fileName.str());
  Builder builder(text, file, limits);
  try {
    std::istringstream stream(text.str());
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const HeadDone &) {
    return builder.takeHead();
  } catch (const Refused &refused) {
    return diags.error(refused.place.str(), refused.what, refused.remedy);
  } catch (const YAML::Exception &error) {
    Place place{file, 0, 0};
    if (!error.mark.is_null())
      place.line = static_cast<unsigned>(error.mark.line) + 1, place.col = static_cast<unsigned>(error.mark.column) + 1;
    return diags.error(place.str(), "not YAML: " + escape::terminal(error.msg, 400),
                       "a scalar with one of []{},:?#&*!|>%@` in it must be quoted");
  } catch (const std::exception &error) {
    return diags.error(fileName, "not YAML: " + escape::terminal(error.what(), 400));
  }
  if (builder.documents == 0)
    return diags.error(fileName, "holds no YAML document");
  return std::move(builder.root);
}

FailureOr<Node> yaml::parseFile(StringRef path, Diagnostics &diags, const Limits &limits) {
  FailureOr<std::string> text = readTextFile(path, limits.maxBytes, diags);
  if (failed(text))
    return failure();
  return parse(*text, path, diags, limits);
}
