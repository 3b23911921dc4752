// Writes a file from front to back, in pieces of any size, past the page cache where the file system can.
//
// Direct writes (O_DIRECT) are of whole pages at whole pages: pieces that are not are gathered first, in a buffer of the given
// size. They take half of the processor time of writes through the cache, and leave nothing for the sync at the end to wait for.
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
  /// `file` is the caller's, open for writing at `name`, and has its final size. `gather` bytes of memory are taken when pieces
  /// are no whole pages and `direct` is asked for. `progress` may be null.
  SequentialWriter(int file, std::string name, bool direct, uint64_t gather, Progress *progress);
  ~SequentialWriter();
  SequentialWriter(const SequentialWriter &) = delete;
  SequentialWriter &operator=(const SequentialWriter &) = delete;

  /// `bytes` at `offset`, which is not before the end of the last piece. What lies between is left as it is.
  LogicalResult write(uint64_t offset, llvm::ArrayRef<std::byte> bytes, Diagnostics &diags);
  /// Hands over what was gathered. Bytes are in the file after this, and on the disk after a sync.
  LogicalResult flush(Diagnostics &diags);

private:
  LogicalResult throughCache(llvm::ArrayRef<std::byte> bytes, Diagnostics &diags);
  LogicalResult pastCache(llvm::ArrayRef<std::byte> bytes, Diagnostics &diags);
  void advance(uint64_t bytes);

  int file;
  std::string name;
  FileHandle direct; ///< the same file, opened for direct writes; invalid where there are none
  uint64_t gather;
  Progress *progress;
  uint64_t position = 0; ///< of the first byte that was not handed over
  std::byte *buffer = nullptr;
  uint64_t held = 0; ///< bytes in the buffer
};

} // namespace flagrelease
