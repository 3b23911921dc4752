#include "weights/Zip.h"

#include "weights/CappedErrors.h"
#include "weights/Files.h"

#include "llvm/Support/Endian.h"

#include <algorithm>
#include <optional>

namespace flagrelease {

namespace {

using llvm::support::endian::read16le;
using llvm::support::endian::read32le;
using llvm::support::endian::read64le;

constexpr uint64_t kMaxDirectory = uint64_t(64) << 20;
constexpr uint64_t kMaxMembers = 500'000; // ten times the tensors of a model with 256 experts in 60 layers
constexpr size_t kMaxName = 1024;
constexpr uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20, kCentralBytes = 46, kLocalBytes = 30;
constexpr uint32_t kEndMark = 0x06054b50, kEnd64Mark = 0x06064b50, kLocator64Mark = 0x07064b50, kCentralMark = 0x02014b50,
                   kLocalMark = 0x04034b50;
constexpr uint16_t kEncrypted = 0x1, kSizesFollow = 0x8, kStrongEncryption = 0x40, kMasked = 0x2000;
const char *const kTruncated = "the file is truncated: fetch it again";
const char *const kHostile = "do not trust this file; fetch it from its publisher";

/// What the records at the end of the file say.
struct End {
  uint64_t members = 0, directory = 0, directoryBytes = 0;
  uint64_t at = 0; ///< where the first of these records starts: the directory ends there
};

/// A member as the central directory has it.
struct Central {
  ZipMember member;
  uint16_t flags = 0;
  uint32_t crc = 0;
  uint64_t header = 0; ///< offset of the local header
  uint64_t end = 0;    ///< past the data
};

FailureOr<std::string> readText(const ByteSource &source, uint64_t offset, uint64_t bytes, Diagnostics &diags) {
  std::string text(static_cast<size_t>(bytes), '\0');
  if (failed(source.read(offset, {reinterpret_cast<std::byte *>(text.data()), text.size()}, diags)))
    return failure();
  return text;
}

class Reader {
public:
  Reader(const ByteSource &source, Diagnostics &diags)
      : source(source), file(source.name()), diags(diags), errors(diags, source.name()) {}

  FailureOr<ZipDirectory> read() {
    if (failed(readEnd()))
      return failure();
    FailureOr<std::string> bytes = readText(source, end.directory, end.directoryBytes, diags);
    if (failed(bytes) || failed(readCentral(*bytes)))
      return failure();
    for (Central &entry : entries)
      if (failed(readLocal(entry)))
        return failure();
    checkOverlap();
    ZipDirectory directory;
    for (Central &entry : entries)
      directory.members.push_back(std::move(entry.member));
    std::sort(directory.members.begin(), directory.members.end(),
              [](const ZipMember &a, const ZipMember &b) { return a.name < b.name; });
    for (size_t i = 1; i < directory.members.size(); ++i)
      if (directory.members[i].name == directory.members[i - 1].name)
        errors.error("duplicate members", file + ": " + directory.members[i].name, "is in the archive twice", kHostile);
    if (errors.any())
      return failure();
    directory.bytes = std::move(*bytes);
    return directory;
  }

private:
  LogicalResult readEnd() {
    const uint64_t size = source.size();
    if (size < kEndBytes)
      return diags.error(file, "has " + Twine(size) + " bytes, too few for a zip archive", kTruncated);
    // torch.save writes no comment; an archive with one is read when it is short.
    const uint64_t tail = std::min<uint64_t>(size, 4096);
    FailureOr<std::string> text = readText(source, size - tail, tail, diags);
    if (failed(text))
      return failure();
    std::optional<uint64_t> at;
    for (uint64_t i = tail - kEndBytes + 1; i-- > 0 && !at;)
      if (read32le(text->data() + i) == kEndMark && read16le(text->data() + i + 20) == tail - i - kEndBytes)
        at = i;
    if (!at)
      return diags.error(file, "is a zip archive without its end: there is no central directory", kTruncated);
    const char *record = text->data() + *at;
    end.at = size - tail + *at;
    end.members = read16le(record + 10);
    end.directoryBytes = read32le(record + 12);
    end.directory = read32le(record + 16);
    if (read16le(record + 4) != 0 || read16le(record + 6) != 0 || read16le(record + 8) != end.members)
      return diags.error(file, "is a part of a zip archive of several files", "join the parts with a zip program");
    if (end.at >= kLocator64Bytes && failed(readEnd64()))
      return failure();
    if (end.directory > end.at || end.directoryBytes != end.at - end.directory)
      return diags.error(file,
                         "says that its central directory has " + Twine(end.directoryBytes) + " bytes at " +
                             Twine(end.directory) + ", but what ends the archive starts at " + Twine(end.at),
                         "the file is damaged, or something stands before or inside the archive: fetch it again");
    if (end.directoryBytes > kMaxDirectory || end.members > kMaxMembers)
      return diags.error(file,
                         "has " + Twine(end.members) + " members in a central directory of " + Twine(end.directoryBytes) +
                             " bytes; at most " + Twine(kMaxMembers) + " in " + Twine(kMaxDirectory) + " are read",
                         kHostile);
    return success();
  }

  /// The zip64 records replace all of the short one, and must be there when a field of it is full.
  LogicalResult readEnd64() {
    FailureOr<std::string> locator = readText(source, end.at - kLocator64Bytes, kLocator64Bytes, diags);
    if (failed(locator))
      return failure();
    if (read32le(locator->data()) != kLocator64Mark) {
      if (end.members == 0xffff || end.directory == 0xffffffff || end.directoryBytes == 0xffffffff)
        return diags.error(file, "lacks the zip64 record that its end asks for", kTruncated);
      return success();
    }
    const uint64_t at = read64le(locator->data() + 8), limit = end.at - kLocator64Bytes;
    if (at > limit || limit - at < kEnd64Bytes)
      return diags.error(file, "places its zip64 record at " + Twine(at) + ", outside of the " + Twine(limit) + " bytes before",
                         kTruncated);
    FailureOr<std::string> record = readText(source, at, kEnd64Bytes, diags);
    if (failed(record))
      return failure();
    if (read32le(record->data()) != kEnd64Mark || read64le(record->data() + 4) != limit - at - 12)
      return diags.error(file, "has no zip64 record at " + Twine(at), kTruncated);
    const uint64_t members = read64le(record->data() + 32), bytes = read64le(record->data() + 40),
                   directory = read64le(record->data() + 48);
    if (read32le(record->data() + 16) != 0 || read32le(record->data() + 20) != 0 || read64le(record->data() + 24) != members)
      return diags.error(file, "is a part of a zip archive of several files", "join the parts with a zip program");
    if ((end.members != 0xffff && end.members != members) || (end.directoryBytes != 0xffffffff && end.directoryBytes != bytes) ||
        (end.directory != 0xffffffff && end.directory != directory))
      return diags.error(file, "describes two central directories: its zip64 record contradicts its end", kHostile);
    end = {members, directory, bytes, at};
    return success();
  }

  LogicalResult readCentral(const std::string &bytes) {
    entries.reserve(static_cast<size_t>(std::min<uint64_t>(end.members, bytes.size() / kCentralBytes)));
    uint64_t at = 0;
    for (uint64_t i = 0; i < end.members; ++i) {
      const char *record = bytes.data() + at;
      if (bytes.size() - at < kCentralBytes || read32le(record) != kCentralMark)
        return diags.error(file, "has no entry " + Twine(i) + " of " + Twine(end.members) + " in its central directory",
                           "the file is damaged: fetch it again");
      const uint64_t nameBytes = read16le(record + 28), extraBytes = read16le(record + 30), commentBytes = read16le(record + 32);
      if (bytes.size() - at - kCentralBytes < nameBytes + extraBytes + commentBytes)
        return diags.error(file, "entry " + Twine(i) + " of its central directory is longer than the directory",
                           "the file is damaged: fetch it again");
      Central entry;
      entry.member.name.assign(record + kCentralBytes, nameBytes);
      entry.flags = read16le(record + 8);
      entry.member.method = read16le(record + 10);
      entry.crc = read32le(record + 16);
      entry.member.stored = read32le(record + 20);
      entry.member.unpacked = read32le(record + 24);
      entry.header = read32le(record + 42);
      StringRef extra(record + kCentralBytes + nameBytes, extraBytes);
      if (failed(widen(extra, entry.member.name, {&entry.member.unpacked, &entry.member.stored, &entry.header})))
        return failure();
      const uint16_t disk = read16le(record + 34);
      if (disk != 0)
        return diags.error(file + ": " + entry.member.name, "is in another file of the archive, number " + Twine(disk),
                           "join the parts with a zip program");
      checkEntry(entry);
      entries.push_back(std::move(entry));
      at += kCentralBytes + nameBytes + extraBytes + commentBytes;
    }
    if (at != bytes.size())
      return diags.error(file, "has " + Twine(bytes.size() - at) + " bytes after the last entry of its central directory",
                         kHostile);
    if (errors.any())
      return failure();
    return success();
  }

  /// Replaces fields that are 0xffffffff by those of the zip64 extra field, in its order.
  LogicalResult widen(StringRef extra, const std::string &name, std::initializer_list<uint64_t *> fields) {
    bool found = false;
    while (extra.size() >= 4) {
      const uint16_t kind = read16le(extra.data()), bytes = read16le(extra.data() + 2);
      if (bytes > extra.size() - 4)
        break;
      StringRef body = extra.substr(4, bytes);
      extra = extra.drop_front(4 + bytes);
      if (kind != 1)
        continue;
      if (found)
        return diags.error(file + ": " + name, "has two zip64 fields", kHostile);
      found = true;
      for (uint64_t *field : fields) {
        if (*field != 0xffffffff)
          continue;
        if (body.size() < 8)
          return diags.error(file + ": " + name, "has a zip64 field without the sizes that it stands for", kHostile);
        *field = read64le(body.data());
        body = body.drop_front(8);
      }
    }
    return success();
  }

  void checkEntry(const Central &entry) {
    const ZipMember &member = entry.member;
    std::string where = file + ": " + member.name;
    StringRef path = StringRef(member.name);
    path.consume_back("/");
    if (member.name.size() > kMaxName)
      errors.error("members with long names", file + ": " + member.name.substr(0, 64) + "...",
                   "has a name of " + Twine(member.name.size()) + " bytes; at most " + Twine(kMaxName) + " are read", kHostile);
    else if (!isContainedPath(path))
      errors.error("members that leave the archive", where, "is no name inside of the archive", kHostile);
    else if (entry.flags & (kEncrypted | kStrongEncryption | kMasked))
      errors.error("encrypted members", where, "is encrypted", "store the checkpoint without a password");
    else if (member.method == 0 && member.stored != member.unpacked)
      errors.error("members of two sizes", where,
                   "is stored as it is, with " + Twine(member.stored) + " bytes for " + Twine(member.unpacked), kHostile);
    else if (entry.header > end.directory || end.directory - entry.header < kLocalBytes + member.name.size() ||
             member.stored > end.directory - entry.header - kLocalBytes - member.name.size())
      errors.error("members outside of the archive", where,
                   "has " + Twine(member.stored) + " bytes at " + Twine(entry.header) + ", but the data of the archive ends at " +
                       Twine(end.directory),
                   kTruncated);
  }

  LogicalResult readLocal(Central &entry) {
    ZipMember &member = entry.member;
    std::string where = file + ": " + member.name;
    FailureOr<std::string> header = readText(source, entry.header, kLocalBytes + member.name.size(), diags);
    if (failed(header))
      return failure();
    const char *record = header->data();
    auto contradicts = [&](const Twine &what) {
      errors.error("members with contradicting headers", where, "its local header " + what, kHostile);
      return success();
    };
    if (read32le(record) != kLocalMark)
      return contradicts("is not at " + Twine(entry.header) + ", where the central directory says");
    if (read16le(record + 26) != member.name.size() || header->compare(kLocalBytes, std::string::npos, member.name) != 0)
      return contradicts("has another name");
    const uint16_t flags = read16le(record + 6), method = read16le(record + 8);
    if (method != member.method || ((flags ^ entry.flags) & (kEncrypted | kStrongEncryption | kMasked)))
      return contradicts("says that it is stored in another way (method " + Twine(method) + ", not " + Twine(member.method) +
                         ")");
    const uint64_t extraBytes = read16le(record + 28);
    const uint64_t room = end.directory - entry.header - kLocalBytes - member.name.size() - member.stored;
    if (extraBytes > room)
      return contradicts("has an extra field of " + Twine(extraBytes) + " bytes, which does not fit");
    uint64_t stored = read32le(record + 18), unpacked = read32le(record + 22);
    if (stored == 0xffffffff || unpacked == 0xffffffff) {
      FailureOr<std::string> extra = readText(source, entry.header + kLocalBytes + member.name.size(), extraBytes, diags);
      if (failed(extra) || failed(widen(*extra, member.name, {&unpacked, &stored})))
        return failure();
    }
    // With this flag the numbers follow the data, and writers may leave zeros here.
    auto agrees = [&](uint64_t here, uint64_t there) { return here == there || (here == 0 && (flags & kSizesFollow)); };
    if (!agrees(stored, member.stored) || !agrees(unpacked, member.unpacked) || !agrees(read32le(record + 14), entry.crc))
      return contradicts("says " + Twine(stored) + " bytes for " + Twine(unpacked) + ", the central directory " +
                         Twine(member.stored) + " for " + Twine(member.unpacked) + ", or another checksum");
    member.offset = entry.header + kLocalBytes + member.name.size() + extraBytes;
    entry.end = member.offset + member.stored;
    return success();
  }

  void checkOverlap() {
    std::sort(entries.begin(), entries.end(), [](const Central &a, const Central &b) { return a.header < b.header; });
    for (size_t i = 1; i < entries.size(); ++i)
      if (entries[i].header < entries[i - 1].end)
        errors.error("members that overlap", file + ": " + entries[i].member.name,
                     "starts at " + Twine(entries[i].header) + ", inside of " + entries[i - 1].member.name + ", which ends at " +
                         Twine(entries[i - 1].end),
                     kHostile);
  }

  const ByteSource &source;
  const std::string &file;
  Diagnostics &diags;
  CappedErrors errors;
  End end;
  std::vector<Central> entries;
};

} // namespace

const ZipMember *ZipDirectory::find(StringRef name) const {
  auto it = std::lower_bound(members.begin(), members.end(), name,
                             [](const ZipMember &member, StringRef wanted) { return StringRef(member.name) < wanted; });
  return it != members.end() && it->name == name ? &*it : nullptr;
}

FailureOr<ZipDirectory> readZipDirectory(const ByteSource &source, Diagnostics &diags) { return Reader(source, diags).read(); }

} // namespace flagrelease
