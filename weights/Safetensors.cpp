#include "weights/Safetensors.h"

#include "text/Json.h"
#include "weights/CappedErrors.h"
#include "weights/Digest.h"
#include "weights/Files.h"

#include "llvm/Support/Endian.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <optional>
#include <tuple>

namespace flagrelease {

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr uint64_t kMaxValues = 4'000'000; // ten times a header of 46,000 tensors
constexpr size_t kMaxRank = 32;
const char *const kAgain = "the file is damaged or not a safetensors file: fetch or write it again";

/// The text of the header, checked for length. Nothing after it is read.
FailureOr<std::string> headerText(const ByteSource &source, Diagnostics &diags) {
  const std::string &file = source.name();
  if (source.size() < 8) {
    return diags.error(file, "has " + Twine(source.size()) + " bytes; a safetensors file starts with 8 bytes of header length",
                       "the file is truncated: fetch it again");
  }
  std::byte prefix[8];
  if (failed(source.read(0, prefix, diags)))
    return failure();
  if (StringRef(reinterpret_cast<const char *>(prefix), 8) == "version " && source.size() < 1024) {
    return diags.error(file, "is a git-lfs pointer of " + Twine(source.size()) + " bytes, not the file itself",
                       "run 'git lfs pull' in the repository, or fetch the file");
  }
  uint64_t length = llvm::support::endian::read64le(prefix);
  if (length > kMaxHeader) {
    return diags.error(
        file, "says that its header has " + Twine(length) + " bytes; at most " + Twine(kMaxHeader) + " are allowed", kAgain);
  }
  if (length > source.size() - 8) {
    return diags.error(file,
                       "says that its header has " + Twine(length) + " bytes, but only " + Twine(source.size() - 8) + " follow",
                       "the file is truncated: fetch it again");
  }
  std::string text(static_cast<size_t>(length), '\0');
  if (failed(source.read(8, {reinterpret_cast<std::byte *>(text.data()), text.size()}, diags)))
    return failure();
  if (text.empty() || text.front() != '{') {
    return diags.error(file, "its header is not a JSON mapping", kAgain);
  }
  return text;
}

/// Checks the members of one entry. `dataBytes` is what follows the header.
class EntryReader {
public:
  EntryReader(const std::string &file, uint64_t dataOffset, CappedErrors &errors)
      : file(file), dataOffset(dataOffset), errors(errors) {}

  bool read(const std::string &name, const json::Value &value, SafetensorsEntry &entry) {
    entry.name = name;
    current = &entry;
    if (name.empty())
      return bad("without a name", "a tensor has an empty name");
    if (!value.isObject())
      return bad("that are no mapping", "is a " + value.kindName() + " where {dtype, shape, data_offsets} is needed");
    for (const json::Member &member : value.object())
      if (member.key != "dtype" && member.key != "shape" && member.key != "data_offsets")
        return bad("with unknown keys", "has the unknown key '" + Twine(member.key) + "'");
    return readType(value, entry) && readShape(value, entry) && readOffsets(value, entry);
  }

private:
  bool bad(const std::string &kind, const Twine &what) {
    errors.error("tensors " + kind, file + ": " + current->name, what, kAgain);
    return false;
  }

  bool readType(const json::Value &value, SafetensorsEntry &entry) {
    const json::Value *type = value.find("dtype");
    if (!type || !type->isString())
      return bad("without dtype", "has no dtype");
    std::optional<DType> known = parseDType(type->string());
    if (!known)
      return bad("of unknown dtype", "has the unknown dtype '" + type->string() + "'; known are " + allTypes());
    entry.type = *known;
    return true;
  }

  bool readShape(const json::Value &value, SafetensorsEntry &entry) {
    const json::Value *shape = value.find("shape");
    if (!shape || !shape->isArray())
      return bad("without shape", "has no shape");
    if (shape->array().size() > kMaxRank)
      return bad("of too many dimensions",
                 "has " + Twine(shape->array().size()) + " dimensions; at most " + Twine(kMaxRank) + " are allowed");
    for (const json::Value &dimension : shape->array()) {
      if (!dimension.isInt() || dimension.integer() < 0)
        return bad("with a bad dimension", "its shape has a dimension that is no integer in [0, 2^63)");
      entry.shape.push_back(dimension.integer());
    }
    std::optional<uint64_t> bytes = tensorBytes(entry.type, entry.shape);
    if (!bytes && bitWidth(entry.type) < 8 && (entry.shape.empty() || entry.shape.back() % (bitWidth(entry.type) == 4 ? 2 : 4)))
      return bad("whose rows end inside a byte",
                 "its shape " + shapeToText(entry.shape) + " of " + dtypeName(entry.type) + " has rows that are no whole bytes");
    if (!bytes)
      return bad("whose size overflows",
                 "its shape " + shapeToText(entry.shape) + " of " + dtypeName(entry.type) + " has 2^63 bytes or more");
    entry.bytes = *bytes;
    return true;
  }

  bool readOffsets(const json::Value &value, SafetensorsEntry &entry) {
    const json::Value *offsets = value.find("data_offsets");
    if (!offsets || !offsets->isArray() || offsets->array().size() != 2 || !offsets->array()[0].isInt() ||
        !offsets->array()[1].isInt())
      return bad("without data_offsets", "has no data_offsets of two integers in [0, 2^63)");
    int64_t begin = offsets->array()[0].integer(), end = offsets->array()[1].integer();
    if (begin < 0 || end < begin)
      return bad("with bad data_offsets",
                 "its data_offsets [" + Twine(begin) + ", " + Twine(end) + "] are negative or backwards");
    if (static_cast<uint64_t>(end - begin) != entry.bytes)
      return bad("whose size is not that of their shape",
                 "its data_offsets [" + Twine(begin) + ", " + Twine(end) + "] hold " + Twine(end - begin) + " bytes, but shape " +
                     shapeToText(entry.shape) + " of " + dtypeName(entry.type) + " needs " + Twine(entry.bytes));
    if (static_cast<uint64_t>(end) > std::numeric_limits<int64_t>::max() - dataOffset)
      return bad("with bad data_offsets", "its data_offsets end at " + Twine(end) + ", past 2^63");
    entry.offset = dataOffset + static_cast<uint64_t>(begin);
    return true;
  }

  static std::string allTypes() {
    std::string text;
    for (unsigned t = 0; t <= static_cast<unsigned>(kLastDType); ++t)
      text += (t ? " " : "") + dtypeName(static_cast<DType>(t)).str();
    return text;
  }

  const std::string &file;
  uint64_t dataOffset;
  CappedErrors &errors;
  const SafetensorsEntry *current = nullptr;
};

/// The entries must tile the data: no overlap, no hole, nothing past the end (as the format's own reader demands).
void checkTiling(const std::vector<SafetensorsEntry> &tensors, const ByteSource &source, uint64_t dataOffset,
                 CappedErrors &errors) {
  const std::string &file = source.name();
  uint64_t expected = dataOffset, end = source.size();
  const SafetensorsEntry *last = nullptr;
  size_t beyond = 0;
  const SafetensorsEntry *firstBeyond = nullptr;
  for (const SafetensorsEntry &entry : tensors) {
    uint64_t entryEnd = entry.offset + entry.bytes;
    if (entry.offset < expected)
      errors.error("tensors that overlap others", file + ": " + entry.name,
                   "its bytes " + Twine(entry.offset) + " to " + Twine(entryEnd) + " overlap those of " +
                       (last ? last->name : "the header") + ", which end at " + Twine(expected),
                   kAgain);
    else if (entry.offset > expected)
      errors.error("holes", file + ": " + entry.name,
                   "bytes " + Twine(expected) + " to " + Twine(entry.offset) + " before it belong to no tensor", kAgain);
    if (entryEnd > end) {
      ++beyond;
      if (!firstBeyond)
        firstBeyond = &entry;
    }
    if (entryEnd >= expected) {
      expected = entryEnd;
      last = &entry;
    }
  }
  if (firstBeyond)
    errors.error("files", file,
                 "ends at byte " + Twine(end) + ", but its tensors need " + Twine(expected) + "; the first of " + Twine(beyond) +
                     " without all of its bytes is " + firstBeyond->name,
                 "the file is truncated: fetch it again");
  else if (expected < end)
    errors.error("files", file, "has " + Twine(end - expected) + " bytes after its last tensor that belong to no tensor", kAgain);
}

void writeHeader(std::string &text, const std::vector<SafetensorsEntry> &tensors,
                 const std::map<std::string, std::string> &metadata) {
  json::Writer writer(text, json::Writer::Style::Compact);
  writer.beginObject();
  if (!metadata.empty()) {
    writer.key("__metadata__");
    writer.beginObject();
    for (const auto &[key, value] : metadata)
      writer.member(key, value);
    writer.endObject();
  }
  uint64_t begin = 0;
  for (const SafetensorsEntry &entry : tensors) {
    writer.key(entry.name);
    writer.beginObject();
    writer.member("dtype", dtypeName(entry.type));
    writer.key("shape");
    writer.beginArray();
    for (int64_t dimension : entry.shape)
      writer.value(dimension);
    writer.endArray();
    writer.key("data_offsets");
    writer.beginArray();
    writer.value(begin);
    writer.value(begin + entry.bytes);
    writer.endArray();
    writer.endObject();
    begin += entry.bytes;
  }
  writer.endObject();
}

} // namespace

FailureOr<SafetensorsHeader> readSafetensorsHeader(const ByteSource &source, Diagnostics &diags) {
  FailureOr<std::string> text = headerText(source, diags);
  if (failed(text))
    return failure();
  SafetensorsHeader header;
  header.dataOffset = 8 + text->size();
  char prefix[8];
  llvm::support::endian::write64le(prefix, text->size());
  Sha256 digest;
  digest.update(StringRef(prefix, 8));
  digest.update(*text);
  header.digest = digest.hex();

  json::Limits limits;
  limits.maxBytes = kMaxHeader;
  limits.maxDepth = 8;
  limits.maxValues = kMaxValues;
  FailureOr<json::Value> root = json::parse(*text, source.name() + " (header)", diags, limits);
  if (failed(root))
    return failure();
  std::string().swap(*text);
  CappedErrors errors(diags, source.name());
  EntryReader reader(source.name(), header.dataOffset, errors);
  header.tensors.reserve(root->object().size());
  for (const json::Member &member : root->object()) {
    if (member.key != "__metadata__") {
      SafetensorsEntry entry;
      if (reader.read(member.key, member.value, entry))
        header.tensors.push_back(std::move(entry));
      continue;
    }
    if (!member.value.isObject()) {
      errors.error("files", source.name() + ": __metadata__",
                   "is a " + member.value.kindName() + " where a mapping of texts is needed", kAgain);
      continue;
    }
    for (const json::Member &item : member.value.object()) {
      if (item.value.isString())
        header.metadata.emplace(item.key, item.value.string().str());
      else
        errors.error("metadata", source.name() + ": __metadata__." + item.key,
                     "is a " + item.value.kindName() + " where a text is needed", kAgain);
    }
  }
  std::sort(header.tensors.begin(), header.tensors.end(), [](const SafetensorsEntry &a, const SafetensorsEntry &b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  if (!errors.any()) // an entry that was refused would show up again as a hole
    checkTiling(header.tensors, source, header.dataOffset, errors);
  if (errors.any())
    return failure();
  return header;
}

FailureOr<NamedTensors> readSafetensors(const std::string &path, Diagnostics &diags, uint64_t limit) {
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(path, diags);
  if (failed(source))
    return failure();
  FailureOr<SafetensorsHeader> header = readSafetensorsHeader(**source, diags);
  if (failed(header))
    return failure();
  if ((*source)->size() > limit) {
    return diags.error(path, "has " + Twine((*source)->size()) + " bytes; at most " + Twine(limit) + " are read into memory here",
                       "give a file of inputs or outputs, not a checkpoint");
  }
  NamedTensors tensors;
  for (const SafetensorsEntry &entry : header->tensors) {
    if (!hasNumbers(entry.type))
      return diags.error(path + ": " + entry.name,
                         "holds " + dtypeName(entry.type) + ", whose numbers this version does not compute with",
                         "store it as F32, F16 or BF16");
    HostTensor &tensor = tensors[entry.name];
    tensor = HostTensor(entry.type, entry.shape);
    if (failed((*source)->read(entry.offset, tensor.bytes, diags)))
      return failure();
  }
  return tensors;
}

std::string layOutSafetensors(std::vector<SafetensorsEntry> &tensors, const std::map<std::string, std::string> &metadata,
                              uint64_t alignment) {
  std::string text(8, '\0');
  writeHeader(text, tensors, metadata);
  text.resize((text.size() + alignment - 1) / alignment * alignment, ' ');
  llvm::support::endian::write64le(text.data(), text.size() - 8);
  uint64_t offset = text.size();
  for (SafetensorsEntry &entry : tensors) {
    entry.offset = offset;
    offset += entry.bytes;
  }
  return text;
}

LogicalResult writeSafetensors(const std::string &path, const NamedTensors &tensors,
                               const std::map<std::string, std::string> &metadata, Diagnostics &diags) {
  std::vector<SafetensorsEntry> entries;
  for (const auto &[name, tensor] : tensors) {
    std::optional<uint64_t> bytes = tensorBytes(tensor.type, tensor.shape);
    assert(bytes && *bytes == tensor.bytes.size() && "a tensor whose bytes are not those of its shape");
    assert(!name.empty() && name != "__metadata__" && "not a tensor name");
    entries.push_back({name, tensor.type, tensor.shape, 0, *bytes});
  }
  std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry &a, const SafetensorsEntry &b) {
    // Wide types first: then every tensor is aligned for its type.
    return bitWidth(a.type) != bitWidth(b.type) ? bitWidth(a.type) > bitWidth(b.type) : a.name < b.name;
  });
  std::string text = layOutSafetensors(entries, metadata);
  AtomicFile file;
  if (failed(file.open(path, diags)) || failed(file.append(text, diags)))
    return failure();
  for (const SafetensorsEntry &entry : entries)
    if (failed(file.append(tensors.at(entry.name).bytes, diags)))
      return failure();
  return file.commit(diags);
}

} // namespace flagrelease
