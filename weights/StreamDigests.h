// The SHA-256 of a stream and of ranges of it, in one pass: what a manifest says of a file and of its tensors.
//
// A chain of SHA-256 waits for itself: its rounds have a latency that the SHA instructions of x86-64 processors (FIPS 180-4 in
// hardware) cannot hide. Two chains over the same bytes fill each other's gaps, and where they cut the bytes into the same
// 64-byte blocks they share the message schedule too: one thread takes both for little more than one. Without those instructions
// each chain is a thread of its own.
#pragma once

#include "weights/ByteRange.h"
#include "weights/Cast.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace flagrelease {

class StreamDigests {
public:
  /// `ranges` rise, do not overlap, and outlive this. At CpuLevel::Plain the SHA instructions are not used by this program (by
  /// OpenSSL they are).
  explicit StreamDigests(const std::vector<ByteRange> &ranges, CpuLevel level = bestCpuLevel());
  ~StreamDigests();
  StreamDigests(const StreamDigests &) = delete;
  StreamDigests &operator=(const StreamDigests &) = delete;

  /// How many threads share the work: 1 or 2.
  unsigned threads() const;
  static unsigned threadsFor(bool withRanges, CpuLevel level = bestCpuLevel());
  /// The next bytes of the stream, as thread `thread` sees it. Each thread is given all of them.
  void update(unsigned thread, llvm::ArrayRef<std::byte> bytes);

  /// 64 lower-case hex digits of all bytes, after the last.
  std::string whole() const;
  /// Of the ranges that are complete, in their order. For thread 0 while the threads run.
  const std::vector<std::string> &done() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace flagrelease
