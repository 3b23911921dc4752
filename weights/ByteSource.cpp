#include "weights/ByteSource.h"

#include "weights/Files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flagrelease {

namespace {

FileState stateOf(const struct stat &info) {
  return {static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino), static_cast<uint64_t>(info.st_size),
          static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec};
}

LogicalResult pastTheEnd(const std::string &name, uint64_t offset, uint64_t bytes, uint64_t size, Diagnostics &diags) {
  return diags.error(
      name, "bytes " + Twine(offset) + " to " + Twine(offset + bytes) + " are needed, but the file ends at " + Twine(size),
      "the file is truncated or was changed: fetch it again");
}

bool contains(uint64_t size, uint64_t offset, uint64_t bytes) { return offset <= size && bytes <= size - offset; }

} // namespace

FailureOr<std::shared_ptr<FileSource>> FileSource::open(const std::string &path, Diagnostics &diags) {
  // Without O_NONBLOCK the open of a named pipe would wait for a writer for ever.
  FileHandle handle(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!handle.valid()) {
    return systemError(diags, path, "open it", errno);
  }
  struct stat info;
  if (::fstat(handle.get(), &info) != 0) {
    return systemError(diags, path, "look at it", errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return diags.error(path, S_ISDIR(info.st_mode) ? "is a folder where a file is needed" : "is not a regular file",
                       "give a file");
  }
  return std::shared_ptr<FileSource>(new FileSource(path, handle.release(), stateOf(info)));
}

FileSource::~FileSource() {
  if (mapping)
    ::munmap(mapping, opened.size);
  ::close(descriptor);
}

LogicalResult FileSource::read(uint64_t offset, llvm::MutableArrayRef<std::byte> out, Diagnostics &diags) const {
  if (!contains(opened.size, offset, out.size()))
    return pastTheEnd(path, offset, out.size(), opened.size, diags);
  size_t done = 0;
  while (done < out.size()) {
    ssize_t n = ::pread(descriptor, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR)
        continue;
      return systemError(diags, path, "read " + Twine(out.size()) + " bytes at " + Twine(offset), errno);
    }
    if (n == 0)
      return pastTheEnd(path, offset, out.size(), offset + done, diags);
    done += static_cast<size_t>(n);
  }
  return success();
}

llvm::ArrayRef<std::byte> FileSource::view(uint64_t offset, uint64_t bytes) const {
  if (opened.size == 0 || !contains(opened.size, offset, bytes))
    return {};
  std::call_once(mapOnce, [this] {
    void *address = ::mmap(nullptr, opened.size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (address != MAP_FAILED)
      mapping = address;
  });
  if (!mapping)
    return {};
  return {static_cast<const std::byte *>(mapping) + offset, static_cast<size_t>(bytes)};
}

void FileSource::willNeed(uint64_t offset, uint64_t bytes) const {
  ::posix_fadvise(descriptor, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

void FileSource::doneWith(uint64_t offset, uint64_t bytes) const {
  ::posix_fadvise(descriptor, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
}

LogicalResult FileSource::checkUnchanged(Diagnostics &diags) const {
  struct stat info;
  if (::fstat(descriptor, &info) != 0)
    return systemError(diags, path, "look at it", errno);
  FileState now = stateOf(info);
  if (now == opened)
    return success();
  return diags.error(path,
                     "was changed while it was being read (" + Twine(opened.size) + " bytes before, " + Twine(now.size) + " now)",
                     "leave the source alone while a migration runs, then start it again");
}

LogicalResult MemorySource::read(uint64_t offset, llvm::MutableArrayRef<std::byte> out, Diagnostics &diags) const {
  if (!contains(bytes.size(), offset, out.size()))
    return pastTheEnd(label, offset, out.size(), bytes.size(), diags);
  if (!out.empty())
    std::memcpy(out.data(), bytes.data() + offset, out.size());
  return success();
}

llvm::ArrayRef<std::byte> MemorySource::view(uint64_t offset, uint64_t count) const {
  if (!contains(bytes.size(), offset, count))
    return {};
  return llvm::ArrayRef<std::byte>(bytes).slice(offset, count);
}

} // namespace flagrelease
