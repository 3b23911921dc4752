#include "weights/Files.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flagrelease {

FileHandle &FileHandle::operator=(FileHandle &&other) noexcept {
  if (this != &other) {
    if (fd >= 0)
      ::close(fd);
    fd = other.release();
  }
  return *this;
}

FileHandle::~FileHandle() {
  if (fd >= 0)
    ::close(fd);
}

int FileHandle::release() {
  int result = fd;
  fd = -1;
  return result;
}

namespace {
struct ErrorRow {
  int error;
  Cause cause;
  const char *remedy;
};
constexpr ErrorRow kErrors[] = {
    {ENOENT, Cause::Input, "check the path"},
    {ENOTDIR, Cause::Input, "check the path: a part of it is a file"},
    {EISDIR, Cause::Input, "give a file, not a folder"},
    {ELOOP, Cause::Input, "check the path: its symbolic links go in a circle"},
    {ENAMETOOLONG, Cause::Input, "use a shorter path"},
    {ENOSPC, Cause::Environment, "free some space on that disk, then run the same command again: it goes on where it stopped"},
    {EDQUOT, Cause::Environment, "your quota on that disk is used up: free some space, then run the same command again"},
    {EACCES, Cause::Environment, "check the permissions"},
    {EPERM, Cause::Environment, "check the permissions"},
    {EROFS, Cause::Environment, "the file system is mounted read-only: choose another place"},
    {EMFILE, Cause::Environment, "raise the limit of open files (ulimit -n) or lower --jobs"},
    {EIO, Cause::Environment, "the disk reports an I/O error: check it"},
};
} // namespace

LogicalResult systemError(Diagnostics &diags, const Twine &where, const Twine &action, int error) {
  Cause cause = Cause::Environment;
  const char *remedy = "";
  for (const ErrorRow &row : kErrors)
    if (row.error == error)
      cause = row.cause, remedy = row.remedy;
  return diags.error(where, "cannot " + action + ": " + std::strerror(error), remedy, cause);
}

LogicalResult writeAt(int fd, const std::string &name, uint64_t offset, llvm::ArrayRef<std::byte> bytes, Diagnostics &diags) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR)
        continue;
      return systemError(diags, name, "write " + Twine(bytes.size()) + " bytes at " + Twine(offset), errno);
    }
    bytes = bytes.drop_front(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return success();
}

LogicalResult syncFile(int fd, const std::string &name, Diagnostics &diags) {
  if (::fsync(fd) != 0)
    return systemError(diags, name, "bring its bytes to the disk", errno);
  return success();
}

LogicalResult syncFolder(const std::string &folder, Diagnostics &diags) {
  FileHandle handle(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle.valid())
    return systemError(diags, folder, "open the folder", errno);
  // Some network file systems cannot sync a folder and say EINVAL: their renames are synchronous.
  if (::fsync(handle.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
    return systemError(diags, folder, "bring the folder to the disk", errno);
  return success();
}

LogicalResult makeFolders(const std::string &folder, Diagnostics &diags) {
  if (folder.empty())
    return success();
  struct stat info;
  if (::stat(folder.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode))
      return success();
    return diags.error(folder, "is a file where a folder is needed", "choose another place");
  }
  std::string parent = llvm::sys::path::parent_path(folder).str();
  if (!parent.empty() && parent != folder && failed(makeFolders(parent, diags)))
    return failure();
  if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST)
    return systemError(diags, folder, "make the folder", errno);
  return success();
}

FailureOr<std::string> readSmallFile(const std::string &file, uint64_t limit, Diagnostics &diags) {
  // Without O_NONBLOCK the open of a named pipe would wait for a writer for ever.
  FileHandle handle(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!handle.valid()) {
    return systemError(diags, file, "open it", errno);
  }
  struct stat info;
  if (::fstat(handle.get(), &info) != 0) {
    return systemError(diags, file, "look at it", errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return diags.error(file, "is not a regular file", "give a file");
  }
  if (static_cast<uint64_t>(info.st_size) > limit) {
    return diags.error(
        file, "has " + Twine(static_cast<uint64_t>(info.st_size)) + " bytes; a file of this kind has at most " + Twine(limit),
        "check that it is the file you mean");
  }
  std::string content(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < content.size()) {
    ssize_t n = ::pread(handle.get(), content.data() + done, content.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      return systemError(diags, file, "read it", errno);
    }
    if (n == 0)
      break; // became shorter since fstat
    done += static_cast<size_t>(n);
  }
  content.resize(done);
  return content;
}

AtomicFile::~AtomicFile() {
  if (handle.valid())
    ::unlink(temporary.c_str());
}

LogicalResult AtomicFile::open(const std::string &file, Diagnostics &diags) {
  path = file;
  temporary = file + ".part";
  handle = FileHandle(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!handle.valid())
    return systemError(diags, temporary, "make the file", errno);
  return success();
}

LogicalResult AtomicFile::append(llvm::ArrayRef<std::byte> bytes, Diagnostics &diags) {
  if (failed(writeAt(handle.get(), temporary, written, bytes, diags)))
    return failure();
  written += bytes.size();
  return success();
}

LogicalResult AtomicFile::append(StringRef text, Diagnostics &diags) {
  return append(llvm::ArrayRef<std::byte>(reinterpret_cast<const std::byte *>(text.data()), text.size()), diags);
}

LogicalResult AtomicFile::commit(Diagnostics &diags) {
  if (failed(syncFile(handle.get(), temporary, diags)))
    return failure();
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return systemError(diags, path, "give the file its name", errno);
  handle = FileHandle();
  return syncFolder(llvm::sys::path::parent_path(path).str(), diags);
}

LogicalResult writeFileAtomically(const std::string &file, StringRef content, Diagnostics &diags) {
  AtomicFile out;
  return failure(failed(out.open(file, diags)) || failed(out.append(content, diags)) || failed(out.commit(diags)));
}

bool isContainedPath(StringRef relative) {
  if (relative.empty() || relative.size() > 4096 || relative.front() == '/' || relative.back() == '/')
    return false;
  for (char c : relative)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\')
      return false;
  llvm::SmallVector<StringRef, 8> parts;
  relative.split(parts, '/');
  for (StringRef part : parts)
    if (part.empty() || part == "." || part == ".." || part.size() > 255)
      return false;
  return true;
}

} // namespace flagrelease
