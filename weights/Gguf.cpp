#include "weights/Gguf.h"

#include "text/Escape.h"
#include "weights/CappedErrors.h"
#include "weights/Digest.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Endian.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <tuple>

namespace flagrelease {

namespace {

constexpr uint64_t kMaxHeader = uint64_t(128) << 20; // twenty times the largest vocabulary of today
constexpr uint64_t kMaxKey = 65535;                  // of the specification
constexpr uint64_t kMinKeyValue = 8 + 4 + 1;         // an empty key and a bool
constexpr uint64_t kMinTensor = 8 + 4 + 8 + 4 + 8;   // an empty name, one dimension
constexpr uint64_t kMaxAlignment = uint64_t(1) << 30;
const char *const kAgain = "the file is damaged or not a GGUF file: fetch or write it again";
const char *const kTruncated = "the file is truncated: fetch it again";

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// Walks through the header. Bytes come in pieces; nothing is read that is not asked for, except the rest of a piece.
class Cursor {
public:
  Cursor(const ByteSource &source, Diagnostics &diags) : source(source), diags(diags) {}

  uint64_t position() const { return at; }
  uint64_t left() const { return source.size() - at; }
  /// What was read so far.
  StringRef seen() const { return StringRef(buffer).take_front(at); }

  bool need(uint64_t bytes, const Twine &what) {
    if (bytes > left())
      return fail(what + " needs " + Twine(bytes) + " bytes at byte " + Twine(at) + ", but the file ends at " +
                      Twine(source.size()),
                  kTruncated);
    if (at + bytes > kMaxHeader)
      return fail("its header has more than " + Twine(kMaxHeader) + " bytes", kAgain);
    constexpr uint64_t kPiece = uint64_t(1) << 20;
    if (uint64_t end = at + bytes; end > buffer.size()) {
      uint64_t begin = buffer.size(), to = std::min(source.size(), std::max(end, begin + kPiece));
      buffer.resize(to);
      if (failed(source.read(begin, {reinterpret_cast<std::byte *>(buffer.data()) + begin, to - begin}, diags)))
        return false;
    }
    return true;
  }

  template <typename T> bool number(T &out, const Twine &what) {
    if (!need(sizeof(T), what))
      return false;
    out = llvm::support::endian::read<T, llvm::endianness::little>(buffer.data() + at);
    at += sizeof(T);
    return true;
  }

  bool bytes(std::string &out, uint64_t count, const Twine &what) {
    if (!need(count, what))
      return false;
    out.assign(buffer, at, count);
    at += count;
    return true;
  }

  bool text(std::string &out, uint64_t limit, const Twine &what) {
    uint64_t length = 0;
    if (!number(length, "the length of " + what))
      return false;
    if (length > limit)
      return fail(what + " has " + Twine(length) + " bytes; at most " + Twine(limit) + " are allowed", kAgain);
    return bytes(out, length, what);
  }

  bool fail(const Twine &what, const Twine &remedy) {
    (void)diags.error(source.name(), what, remedy);
    return false;
  }

private:
  const ByteSource &source;
  Diagnostics &diags;
  std::string buffer;
  uint64_t at = 0;
};

class Reader {
public:
  Reader(const ByteSource &source, Diagnostics &diags)
      : source(source), diags(diags), cursor(source, diags), errors(diags, source.name()) {}

  FailureOr<GgufHeader> read() {
    uint64_t tensors = 0, values = 0;
    if (!readStart(tensors, values))
      return failure();
    for (uint64_t i = 0; i < values; ++i)
      if (!readKeyValue(i))
        return failure();
    if (!readAlignment())
      return failure();
    header.tensors.reserve(tensors);
    for (uint64_t i = 0; i < tensors; ++i)
      if (!readTensor(i))
        return failure();
    Sha256 digest;
    digest.update(cursor.seen());
    header.digest = digest.hex();
    header.dataOffset = (cursor.position() + header.alignment - 1) / header.alignment * header.alignment;
    placeTensors();
    if (errors.any() || diags.errors().size() != before)
      return failure();
    return std::move(header);
  }

private:
  bool readStart(uint64_t &tensors, uint64_t &values);
  bool readKeyValue(uint64_t index);
  bool readAlignment();
  bool readTensor(uint64_t index);
  void placeTensors();
  bool bad(const std::string &kind, const GgufTensor &tensor, const Twine &what, const Twine &remedy = kAgain) {
    errors.error("tensors " + kind, source.name() + ": " + escape::terminal(tensor.name, 80), what, remedy);
    return false;
  }

  const ByteSource &source;
  Diagnostics &diags;
  Cursor cursor;
  CappedErrors errors;
  GgufHeader header;
  llvm::StringSet<> names;
  size_t before = diags.errors().size();
};

bool Reader::readStart(uint64_t &tensors, uint64_t &values) {
  std::string magic;
  uint32_t version = 0;
  if (!cursor.bytes(magic, 4, "the magic"))
    return false;
  if (magic != "GGUF") {
    StringRef older = magic == "lmgg" || magic == "fmgg" || magic == "tjgg" || magic == "algg" ? "a GGML file from before GGUF"
                      : magic == "vers"                                                        ? "a git-lfs pointer"
                                                                                               : "no GGUF file";
    return cursor.fail("starts with '" + escape::terminal(magic) + "': it is " + older,
                       older.starts_with("a git") ? "run 'git lfs pull' in the repository, or fetch the file"
                                                  : "convert it to GGUF with the program that made it, or fetch a GGUF file");
  }
  if (!cursor.number(version, "the version"))
    return false;
  if ((version & 0xffff) == 0 && version)
    return cursor.fail("is a big-endian GGUF file (version " + Twine(llvm::byteswap(version)) + " with its bytes reversed)",
                       "convert it with gguf-convert-endian of the gguf package");
  if (version == 1)
    return cursor.fail("is of GGUF version 1, which was replaced within days", "fetch a newer file of the model");
  if (version != 2 && version != 3)
    return cursor.fail("is of GGUF version " + Twine(version) + "; 2 and 3 are known", kAgain);
  header.version = version;
  if (!cursor.number(tensors, "the number of tensors") || !cursor.number(values, "the number of key-values"))
    return false;
  if (values > cursor.left() / kMinKeyValue || tensors > cursor.left() / kMinTensor)
    return cursor.fail("says that it has " + Twine(values) + " key-values and " + Twine(tensors) + " tensors, but only " +
                           Twine(cursor.left()) + " bytes follow",
                       kAgain);
  return true;
}

bool Reader::readKeyValue(uint64_t index) {
  std::string key;
  uint32_t type = 0;
  if (!cursor.text(key, kMaxKey, "key " + Twine(index)) || !cursor.number(type, "the type of key " + Twine(index)))
    return false;
  std::string shown = escape::terminal(key, 80);
  if (key.empty())
    return cursor.fail("key " + Twine(index) + " is empty", kAgain);
  if (header.values.find(key))
    return cursor.fail("has the key " + shown + " twice", kAgain);
  bool list = type == static_cast<uint32_t>(GgufType::Array);
  uint64_t count = 1;
  if (list && (!cursor.number(type, "the type of " + shown) || !cursor.number(count, "the length of " + shown)))
    return false;
  if (type > static_cast<uint32_t>(GgufType::F64))
    return cursor.fail("the key " + shown + " has the unknown type " + Twine(type), kAgain);
  GgufType kind = static_cast<GgufType>(type);
  if (kind == GgufType::Array)
    return cursor.fail("the key " + shown + " is a list of lists, which ggml's own reader refuses", kAgain);
  unsigned width = ggufTypeWidth(kind);
  if (count > cursor.left() / (width ? width : 8))
    return cursor.fail("the key " + shown + " says that it has " + Twine(count) + " elements of " + ggufTypeName(kind) +
                           ", but only " + Twine(cursor.left()) + " bytes follow",
                       kAgain);
  if (kind != GgufType::String) {
    std::string raw;
    if (!cursor.bytes(raw, count * width, "the value of " + shown))
      return false;
    if (kind == GgufType::Bool)
      for (char c : raw)
        if (c != 0 && c != 1)
          return cursor.fail("the key " + shown + " has a bool of " + Twine(static_cast<unsigned>(static_cast<unsigned char>(c))),
                             kAgain);
    header.values.add(key, GgufValue::raw(kind, list, std::move(raw)));
    return true;
  }
  std::vector<std::string> words(list ? 0 : 1);
  if (!list) {
    if (!cursor.text(words[0], kMaxHeader, "the value of " + shown))
      return false;
    header.values.add(key, GgufValue::text(std::move(words[0])));
    return true;
  }
  // Only what is in the file is allocated: a count that lies ends at the end of the file.
  words.reserve(std::min<uint64_t>(count, 1 << 16));
  for (uint64_t i = 0; i < count; ++i)
    if (!cursor.text(words.emplace_back(), kMaxHeader, "an element of " + shown))
      return false;
  header.values.add(key, GgufValue::texts(std::move(words)));
  return true;
}

bool Reader::readAlignment() {
  const GgufValue *value = header.values.find(kGgufAlignmentKey);
  if (!value)
    return true;
  std::optional<int64_t> number = value->isList() ? std::nullopt : value->asInt();
  if (!number || *number < 1 || (*number & (*number - 1)) || static_cast<uint64_t>(*number) > kMaxAlignment)
    return cursor.fail(
        Twine(kGgufAlignmentKey) + " is " + value->str() + ", which is no power of two up to " + Twine(kMaxAlignment), kAgain);
  header.alignment = static_cast<uint64_t>(*number);
  return true;
}

/// Fails only where the rest cannot be read; what is wrong with one tensor is collected.
bool Reader::readTensor(uint64_t index) {
  GgufTensor tensor;
  uint32_t rank = 0, type = 0;
  if (!cursor.text(tensor.name, kMaxKey, "the name of tensor " + Twine(index)) ||
      !cursor.number(rank, "the rank of tensor " + Twine(index)))
    return false;
  if (rank < 1 || rank > kGgufMaxRank)
    return cursor.fail("tensor " + escape::terminal(tensor.name, 80) + " has " + Twine(rank) + " dimensions; 1 to " +
                           Twine(kGgufMaxRank) + " are allowed",
                       kAgain);
  bool good = true;
  for (uint32_t d = 0; d < rank; ++d) {
    uint64_t size = 0;
    if (!cursor.number(size, "the shape of tensor " + Twine(index)))
      return false;
    if ((size == 0 || size > std::numeric_limits<int64_t>::max()) && good)
      good = bad("with a bad dimension", tensor, "dimension " + Twine(d) + " is " + Twine(size) + ", which is not in [1, 2^63)");
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
  }
  if (!cursor.number(type, "the type of tensor " + Twine(index)) ||
      !cursor.number(tensor.offset, "the offset of tensor " + Twine(index)))
    return false;
  if (tensor.name.empty())
    return bad("without a name", tensor, "tensor " + Twine(index) + " has an empty name") || true;
  if (tensor.name.size() > kGgufMaxName)
    bad("with long names", tensor, "its name has " + Twine(tensor.name.size()) + " bytes; at most " + Twine(kGgufMaxName));
  if (!names.insert(tensor.name).second)
    bad("that are there twice", tensor, "is there twice");
  if (!good)
    return true;
  if (std::optional<DType> plain = plainTypeOfGgml(type))
    tensor.type = *plain;
  else if (!(tensor.block = blockFormatOfGgml(type))) {
    bool gone = (type >= 4 && type <= 5) || (type >= 31 && type <= 33) || (type >= 36 && type <= 38);
    bad("of unknown type", tensor,
        "has the type " + Twine(type) + (gone ? ", which ggml removed" : ", which this version does not know"),
        gone ? "fetch a newer file of the model" : "use a newer version of this program, or another file of the model");
    return true;
  }
  std::optional<uint64_t> bytes = ggufTensorBytes(tensor.type, tensor.block, tensor.shape);
  if (!bytes && tensor.block && tensor.shape.back() % blockInfo(*tensor.block).elements != 0)
    return bad("whose rows are no whole blocks", tensor,
               "its rows have " + Twine(tensor.shape.back()) + " elements, and a block of " +
                   ggmlTypeName(tensor.type, tensor.block) + " has " + Twine(blockInfo(*tensor.block).elements)) ||
           true;
  if (!bytes)
    return bad("whose size overflows", tensor,
               "its shape " + shapeText(tensor.shape) + " of " + ggmlTypeName(tensor.type, tensor.block) +
                   " has 2^63 bytes or more") ||
           true;
  tensor.bytes = *bytes;
  header.tensors.push_back(std::move(tensor));
  return true;
}

/// Offsets in the file count from the start of the data. Tensors must tile it, but for padding to the alignment.
void Reader::placeTensors() {
  if (errors.any())
    return;
  const uint64_t end = source.size(), alignment = header.alignment;
  for (GgufTensor &tensor : header.tensors) {
    if (tensor.offset % alignment)
      bad("that are misaligned", tensor,
          "starts at byte " + Twine(tensor.offset) + " of the data, which is no multiple of the alignment " + Twine(alignment));
    if (__builtin_add_overflow(tensor.offset, header.dataOffset, &tensor.offset) ||
        tensor.offset > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) - tensor.bytes)
      bad("past 2^63", tensor, "its bytes end past 2^63");
  }
  if (errors.any())
    return;
  std::sort(header.tensors.begin(), header.tensors.end(), [](const GgufTensor &a, const GgufTensor &b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  uint64_t expected = header.dataOffset, beyond = 0;
  const GgufTensor *last = nullptr, *firstBeyond = nullptr;
  for (const GgufTensor &tensor : header.tensors) {
    if (last && tensor.offset < last->offset + last->bytes)
      bad("that overlap others", tensor,
          "its bytes " + Twine(tensor.offset) + " to " + Twine(tensor.offset + tensor.bytes) + " overlap those of " +
              escape::terminal(last->name, 80) + ", which end at " + Twine(last->offset + last->bytes));
    else if (tensor.offset > expected)
      bad("after a hole", tensor, "bytes " + Twine(expected) + " to " + Twine(tensor.offset) + " before it belong to no tensor");
    if (tensor.offset + tensor.bytes > end && !beyond++)
      firstBeyond = &tensor;
    if (!last || tensor.offset + tensor.bytes >= last->offset + last->bytes)
      last = &tensor;
    expected = (last->offset + last->bytes + alignment - 1) / alignment * alignment;
  }
  if (firstBeyond)
    errors.error("files", source.name(),
                 "ends at byte " + Twine(end) + ", but its tensors need " + Twine(last->offset + last->bytes) +
                     "; the first of " + Twine(beyond) + " without all of its bytes is " +
                     escape::terminal(firstBeyond->name, 80),
                 kTruncated);
  else if (end > expected)
    errors.error("files", source.name(), "has " + Twine(end - expected) + " bytes after its last tensor that belong to no tensor",
                 kAgain);
}

} // namespace

FailureOr<GgufHeader> readGgufHeader(const ByteSource &source, Diagnostics &diags) { return Reader(source, diags).read(); }

} // namespace flagrelease
