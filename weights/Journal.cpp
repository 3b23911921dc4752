#include "weights/Journal.h"

#include "weights/Digest.h"
#include "weights/FailPoint.h"

#include "llvm/Support/Path.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flagrelease {

namespace {

constexpr uint64_t kMaxJournal = uint64_t(256) << 20;

std::string checksum(StringRef text) { return sha256(text).substr(0, 16); }

/// Parses whole lines; `good` is the length of the text that they take.
LogicalResult parseLines(StringRef text, const std::string &path, std::vector<json::Value> *facts, size_t &good,
                         OnDamage onDamage, Diagnostics &diags) {
  good = 0;
  while (good < text.size()) {
    size_t end = text.find('\n', good);
    StringRef line = text.slice(good, end);
    bool last = end == StringRef::npos || end + 1 == text.size();
    bool whole =
        end != StringRef::npos && line.size() > 17 && line[16] == ' ' && checksum(line.drop_front(17)) == line.take_front(16);
    if (!whole && (last || onDamage == OnDamage::CutOff))
      return success(); // torn by a crash
    if (!whole)
      return diags.error(path, "the line at byte " + Twine(good) + " is damaged, and it is not the last one",
                         "something else wrote into this folder: check it, or start again with --force");
    if (facts) {
      FailureOr<json::Value> fact = json::parse(line.drop_front(17), path, diags);
      if (failed(fact))
        return failure();
      facts->push_back(std::move(*fact));
    }
    good = end + 1;
  }
  return success();
}

} // namespace

FailureOr<std::vector<json::Value>> readJournal(const std::string &path, OnDamage onDamage, Diagnostics &diags) {
  std::vector<json::Value> facts;
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT)
    return facts;
  FailureOr<std::string> text = readSmallFile(path, kMaxJournal, diags);
  size_t good;
  if (failed(text) || failed(parseLines(*text, path, &facts, good, onDamage, diags)))
    return failure();
  return facts;
}

LogicalResult Journal::open(const std::string &file, OnDamage onDamage, Diagnostics &diags) {
  path = file;
  handle = FileHandle(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!handle.valid())
    return systemError(diags, path, "open the journal", errno);
  FailureOr<std::string> text = readSmallFile(path, kMaxJournal, diags);
  size_t good;
  if (failed(text) || failed(parseLines(*text, path, nullptr, good, onDamage, diags)))
    return failure();
  end = good;
  if (good != text->size() && ::ftruncate(handle.get(), static_cast<off_t>(good)) != 0)
    return systemError(diags, path, "cut off its torn last line", errno);
  return syncFolder(llvm::sys::path::parent_path(path).str(), diags);
}

LogicalResult Journal::append(const json::Value &fact, Diagnostics &diags) {
  std::string text = json::toText(fact);
  std::string line = checksum(text) + " " + text + "\n";
  llvm::ArrayRef<std::byte> bytes(reinterpret_cast<const std::byte *>(line.data()), line.size());
  std::lock_guard lock(mutex);
  if (failed(failPoint("journal-before-append", diags)))
    return failure();
  // Half a line, when a test wants to see a torn one.
  if (failed(writeAt(handle.get(), path, end, bytes.take_front(bytes.size() / 2), diags)) ||
      failed(failPoint("journal-torn-append", diags)))
    return failure();
  if (failed(writeAt(handle.get(), path, end + bytes.size() / 2, bytes.drop_front(bytes.size() / 2), diags)) ||
      failed(syncFile(handle.get(), path, diags)))
    return failure();
  end += bytes.size();
  return failPoint("journal-after-append", diags);
}

} // namespace flagrelease
