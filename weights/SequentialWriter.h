// Writes a file from front to back, in pieces of any size, past the page cache where the file system can.
//
// Direct writes (O_DIRECT) are of whole pages at whole pages. A piece that lies in memory at the same place of a page as in the
// file goes out from where it is, after the end of the piece before it was put in front of it. They take half of the processor
// time of writes through the cache, and leave nothing for the sync at the end to wait for.
#pragma once

#include "text/Diagnostics.h"
#include "weights/Files.h"
#include "weights/Work.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace flagrelease {

class SequentialWriter {
public:
  static constexpr uint64_t kPage = 4096;

  /// `file` is the caller's, open for writing at `name`, and has its final size. `progress` may be null.
  SequentialWriter(int file, std::string name, bool direct, Progress *progress);
  ~SequentialWriter();
  SequentialWriter(const SequentialWriter &) = delete;
  SequentialWriter &operator=(const SequentialWriter &) = delete;

  /// `bytes` at `offset`, which is not before the end of the last piece. What lies between is left as it is.
  LogicalResult write(uint64_t offset, llvm::ArrayRef<std::byte> bytes, Diagnostics &diags);
  /// The same of bytes whose address is `offset` modulo kPage: what stands in front of them in their page is overwritten.
  LogicalResult writeInPlace(uint64_t offset, llvm::MutableArrayRef<std::byte> bytes, Diagnostics &diags);
  /// Whether writeInPlace is the way.
  bool isDirect() const { return direct.valid(); }
  /// Hands over the end of the last piece. Bytes are in the file after this, and on the disk after a sync.
  LogicalResult flush(Diagnostics &diags);

private:
  LogicalResult throughCache(llvm::ArrayRef<std::byte> bytes, Diagnostics &diags);
  LogicalResult pastCache(llvm::ArrayRef<std::byte> bytes, Diagnostics &diags);
  void advance(uint64_t bytes);

  int file;
  std::string name;
  FileHandle direct; ///< the same file, opened for direct writes; invalid where there are none
  Progress *progress;
  uint64_t position = 0; ///< of the first byte that was not handed over
  std::byte carried[kPage];
  uint64_t held = 0; ///< bytes that are carried
};

} // namespace flagrelease
