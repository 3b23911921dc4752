#include "weights/SequentialWriter.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <unistd.h>

namespace flagrelease {

namespace {
constexpr uint64_t kPage = 4096;
constexpr uint64_t kFlushEvery = uint64_t(32) << 20;
constexpr uint64_t kLeastRun = uint64_t(1) << 20; ///< shorter runs are gathered: a direct write waits for the disk

uint64_t wholePages(uint64_t bytes) { return bytes / kPage * kPage; }
} // namespace

SequentialWriter::SequentialWriter(int file, std::string name, bool wantDirect, uint64_t gather, Progress *progress)
    : file(file), name(std::move(name)), gather(std::max(kPage, wholePages(gather + kPage - 1))), progress(progress) {
  // EINVAL where the file system has no direct I/O: then it is done without.
  if (wantDirect)
    direct = FileHandle(::open(this->name.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW));
}

SequentialWriter::~SequentialWriter() { std::free(buffer); }

void SequentialWriter::advance(uint64_t bytes) {
  position += bytes;
  if (progress)
    progress->bytesWritten += bytes;
}

LogicalResult SequentialWriter::throughCache(llvm::ArrayRef<std::byte> bytes, Diagnostics &diags) {
  if (failed(writeAt(file, name, position, bytes, diags)))
    return failure();
  // Start the disk early: the sync at the end then has little left to wait for.
  const uint64_t end = position + bytes.size();
  if (end / kFlushEvery != position / kFlushEvery) {
    const uint64_t from = position / kFlushEvery * kFlushEvery;
    ::sync_file_range(file, static_cast<off_t>(from), static_cast<off_t>(end - from), SYNC_FILE_RANGE_WRITE);
  }
  advance(bytes.size());
  return success();
}

/// Whole pages from a whole page on.
LogicalResult SequentialWriter::pastCache(llvm::ArrayRef<std::byte> bytes, Diagnostics &diags) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(direct.get(), bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0 || n % static_cast<ssize_t>(kPage) != 0) {
      // A disk of larger sectors than a page says EINVAL. Whatever else it is, the cache's way will say it.
      direct = FileHandle();
      return throughCache(bytes, diags);
    }
    advance(static_cast<uint64_t>(n));
    bytes = bytes.drop_front(static_cast<size_t>(n));
  }
  return success();
}

LogicalResult SequentialWriter::write(uint64_t offset, llvm::ArrayRef<std::byte> bytes, Diagnostics &diags) {
  if (offset != position + held) {
    if (failed(flush(diags)))
      return failure();
    position = offset;
  }
  while (!bytes.empty()) {
    if (!direct.valid())
      return failed(flush(diags)) ? failure() : throughCache(bytes, diags);
    uint64_t taken;
    if (held == 0 && position % kPage != 0) {
      taken = std::min<uint64_t>(bytes.size(), kPage - position % kPage);
      if (failed(throughCache(bytes.take_front(taken), diags)))
        return failure();
    } else if (held == 0 && bytes.size() >= kLeastRun && reinterpret_cast<uintptr_t>(bytes.data()) % kPage == 0) {
      taken = wholePages(bytes.size());
      if (failed(pastCache(bytes.take_front(taken), diags)))
        return failure();
    } else {
      if (!buffer && !(buffer = static_cast<std::byte *>(std::aligned_alloc(kPage, gather))))
        throw std::bad_alloc();
      taken = std::min<uint64_t>(bytes.size(), gather - held);
      std::memcpy(buffer + held, bytes.data(), taken);
      held += taken;
      if (held == gather && failed(flush(diags)))
        return failure();
    }
    bytes = bytes.drop_front(taken);
  }
  return success();
}

LogicalResult SequentialWriter::flush(Diagnostics &diags) {
  llvm::ArrayRef<std::byte> bytes(buffer, held);
  held = 0;
  if (const uint64_t whole = direct.valid() ? wholePages(bytes.size()) : 0) {
    if (failed(pastCache(bytes.take_front(whole), diags)))
      return failure();
    bytes = bytes.drop_front(whole);
  }
  return bytes.empty() ? success() : throughCache(bytes, diags);
}

} // namespace flagrelease
