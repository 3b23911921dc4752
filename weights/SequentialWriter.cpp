#include "weights/SequentialWriter.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace flagrelease {

namespace {
constexpr uint64_t kFlushEvery = uint64_t(32) << 20;
} // namespace

SequentialWriter::SequentialWriter(int file, std::string name, bool wantDirect, Progress *progress)
    : file(file), name(std::move(name)), progress(progress) {
  // EINVAL where the file system has no direct I/O: then it is done without.
  if (wantDirect)
    direct = FileHandle(::open(this->name.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW));
}

SequentialWriter::~SequentialWriter() = default;

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
  if (failed(flush(diags)))
    return failure();
  position = offset;
  return throughCache(bytes, diags);
}

LogicalResult SequentialWriter::writeInPlace(uint64_t offset, llvm::MutableArrayRef<std::byte> bytes, Diagnostics &diags) {
  assert(reinterpret_cast<uintptr_t>(bytes.data()) % kPage == offset % kPage && "not at its place in a page");
  if (!direct.valid())
    return write(offset, bytes, diags);
  if (offset != position + held) {
    if (failed(flush(diags)))
      return failure();
    position = offset;
  }
  if (held == 0 && position % kPage != 0) { // the start of this page is in the file already
    const uint64_t rest = std::min<uint64_t>(bytes.size(), kPage - position % kPage);
    if (failed(throughCache(bytes.take_front(rest), diags)))
      return failure();
    bytes = bytes.drop_front(rest);
  }
  std::byte *begin = bytes.data() - held;
  std::memcpy(begin, carried, held);
  const uint64_t all = held + bytes.size(), whole = all / kPage * kPage;
  held = 0;
  if (whole && failed(pastCache({begin, static_cast<size_t>(whole)}, diags)))
    return failure();
  held = all - whole;
  std::memcpy(carried, begin + whole, held);
  return success();
}

LogicalResult SequentialWriter::flush(Diagnostics &diags) {
  llvm::ArrayRef<std::byte> bytes(carried, held);
  held = 0;
  return bytes.empty() ? success() : throughCache(bytes, diags);
}

} // namespace flagrelease
