// Random access to the bytes of one immutable thing: a file here, a range-readable file of a hub later.
//
// Readers of checkpoint formats take a ByteSource and read headers only; the engine reads tiles. read() is thread safe and
// must be given ranges that were checked against size(): a range past the end is a diagnostic ("truncated"), not a crash.
#pragma once

#include "text/Diagnostics.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace flagrelease {

class ByteSource {
public:
  virtual ~ByteSource() = default;

  /// How messages call it: a path, or a hub URL without credentials.
  virtual const std::string &name() const = 0;
  virtual uint64_t size() const = 0;
  /// Fills all of `out` from `offset`. Cause: Input if the bytes are not there, Environment for I/O errors, Later for a network
  /// that gave up after its own retries.
  virtual LogicalResult read(uint64_t offset, llvm::MutableArrayRef<std::byte> out, Diagnostics &diags) const = 0;

  /// The same bytes without a copy, where the source is mapped; empty where it is not (then read()). Valid as long as the source.
  /// Only for files that nothing changes meanwhile: a file cut short under a mapping kills the process (SIGBUS).
  virtual llvm::ArrayRef<std::byte> view(uint64_t offset, uint64_t bytes) const { return {}; }
  /// The open local file with exactly these bytes, for copies inside the kernel; -1 if there is none.
  virtual int fd() const { return -1; }
  /// A hint that a range is read soon, and that it is not read again.
  virtual void willNeed(uint64_t offset, uint64_t bytes) const {}
  virtual void doneWith(uint64_t offset, uint64_t bytes) const {}
};

/// What identifies the state of a local file: a change of any of these means that it was replaced or written.
struct FileState {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t mtimeNs = 0;
  bool operator==(const FileState &) const = default;
};

/// A regular local file. Symbolic links are followed (hub caches are made of them); pipes, sockets and devices are refused.
class FileSource final : public ByteSource {
public:
  static FailureOr<std::shared_ptr<FileSource>> open(const std::string &path, Diagnostics &diags);
  ~FileSource() override;
  FileSource(const FileSource &) = delete;
  FileSource &operator=(const FileSource &) = delete;

  const std::string &name() const override { return path; }
  uint64_t size() const override { return opened.size; }
  LogicalResult read(uint64_t offset, llvm::MutableArrayRef<std::byte> out, Diagnostics &diags) const override;
  llvm::ArrayRef<std::byte> view(uint64_t offset, uint64_t bytes) const override;
  int fd() const override { return descriptor; }
  void willNeed(uint64_t offset, uint64_t bytes) const override;
  void doneWith(uint64_t offset, uint64_t bytes) const override;

  /// As it was when it was opened.
  const FileState &state() const { return opened; }
  /// Fails if the file was changed since it was opened: what was planned from its header no longer holds.
  LogicalResult checkUnchanged(Diagnostics &diags) const;

private:
  FileSource(std::string path, int descriptor, FileState opened)
      : path(std::move(path)), descriptor(descriptor), opened(opened) {}

  std::string path;
  int descriptor;
  FileState opened;
  mutable std::once_flag mapOnce;
  mutable void *mapping = nullptr;
};

/// Bytes that are in memory already: tests, and small files that came over the network.
class MemorySource final : public ByteSource {
public:
  MemorySource(std::string name, std::vector<std::byte> bytes) : label(std::move(name)), bytes(std::move(bytes)) {}
  const std::string &name() const override { return label; }
  uint64_t size() const override { return bytes.size(); }
  LogicalResult read(uint64_t offset, llvm::MutableArrayRef<std::byte> out, Diagnostics &diags) const override;
  llvm::ArrayRef<std::byte> view(uint64_t offset, uint64_t count) const override;

private:
  std::string label;
  std::vector<std::byte> bytes;
};

} // namespace flagrelease
