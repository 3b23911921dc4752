// SHA-256 (FIPS 180-4): of memory, of files, of many files at once.
#pragma once

#include "text/Diagnostics.h"
#include "weights/ByteSource.h"
#include "weights/Work.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace flagrelease {

/// A running SHA-256. Copies continue independently.
class Sha256 {
public:
  Sha256();
  Sha256(const Sha256 &);
  Sha256 &operator=(const Sha256 &);
  Sha256(Sha256 &&) noexcept;
  Sha256 &operator=(Sha256 &&) noexcept;
  ~Sha256();

  void update(llvm::ArrayRef<std::byte> bytes);
  void update(StringRef text);
  /// 64 lower-case hex digits. The object is spent afterwards.
  std::string hex();

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

std::string sha256(StringRef text);
std::string sha256(llvm::ArrayRef<std::byte> bytes);
/// True for 64 lower-case hex digits.
bool isSha256(StringRef text);

/// Of a range of a source, read once, in order, in pieces of a few MiB.
FailureOr<std::string> sha256Range(const ByteSource &source, uint64_t offset, uint64_t bytes, Diagnostics &diags,
                                   const WorkOptions &work = {});
FailureOr<std::string> sha256File(const std::string &path, Diagnostics &diags, const WorkOptions &work = {});
/// In the order of `paths`, `work.jobs` files at a time. Every file that cannot be read is reported.
FailureOr<std::vector<std::string>> sha256Files(const std::vector<std::string> &paths, Diagnostics &diags,
                                                const WorkOptions &work = {});

} // namespace flagrelease
