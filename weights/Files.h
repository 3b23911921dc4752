// The few system calls on files that several parts of weights/ need, with errors as diagnostics.
#pragma once

#include "text/Diagnostics.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace flagrelease {

/// Owns a file descriptor.
class FileHandle {
public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd(fd) {}
  FileHandle(FileHandle &&other) noexcept : fd(other.release()) {}
  FileHandle &operator=(FileHandle &&other) noexcept;
  ~FileHandle();
  int get() const { return fd; }
  bool valid() const { return fd >= 0; }
  int release();

private:
  int fd = -1;
};

/// Adds "where: cannot <action>: <reason>" for an errno. ENOENT, ENOTDIR, EISDIR, ELOOP and ENAMETOOLONG are Cause::Input, the
/// rest (permission, disk full, I/O error) Cause::Environment, each with its own remedy.
LogicalResult systemError(Diagnostics &diags, const Twine &where, const Twine &action, int error);

/// Writes all of `bytes` at `offset`.
LogicalResult writeAt(int fd, const std::string &name, uint64_t offset, llvm::ArrayRef<std::byte> bytes, Diagnostics &diags);
/// fsync of an open file, and of the folder that holds it: a rename is durable only after the latter.
LogicalResult syncFile(int fd, const std::string &name, Diagnostics &diags);
LogicalResult syncFolder(const std::string &folder, Diagnostics &diags);

/// mkdir -p.
LogicalResult makeFolders(const std::string &folder, Diagnostics &diags);
/// The whole of a small file; larger than `limit` bytes is an error.
FailureOr<std::string> readSmallFile(const std::string &path, uint64_t limit, Diagnostics &diags);
/// Writes beside `path`, syncs, renames: a reader sees the old file or the new one, never a part.
class AtomicFile {
public:
  AtomicFile() = default;
  ~AtomicFile(); ///< without commit() nothing stays
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;
  LogicalResult open(const std::string &path, Diagnostics &diags);
  LogicalResult append(llvm::ArrayRef<std::byte> bytes, Diagnostics &diags);
  LogicalResult append(StringRef text, Diagnostics &diags);
  LogicalResult commit(Diagnostics &diags);

private:
  std::string path, temporary;
  FileHandle handle;
  uint64_t written = 0;
};
/// The same for one text.
LogicalResult writeFileAtomically(const std::string &path, StringRef content, Diagnostics &diags);

/// True for a path that stays where it is put: not empty, relative, without `..`, without control characters.
bool isContainedPath(StringRef relative);

} // namespace flagrelease
