// Tiles of a file on their way from workers to those who need them in order (hash, write): bounded memory, no copy.
//
// Tile i lives in slot i % slots. A worker may fill a slot once every consumer has released the tile that was there before, so
// workers are never more than `slots` tiles ahead. Workers that take indices in rising order cannot block each other for ever.
#pragma once

#include "llvm/ADT/ArrayRef.h"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <vector>

namespace flagrelease {

class TileRing {
public:
  TileRing(size_t slots, size_t slotBytes, unsigned consumers);
  ~TileRing();
  TileRing(const TileRing &) = delete;
  TileRing &operator=(const TileRing &) = delete;

  /// The buffer of tile `index`; empty after stop(). It starts `phase` bytes after the start of a page, less than one page, and
  /// what is in front of it there is nobody's.
  llvm::MutableArrayRef<std::byte> acquire(uint64_t index, size_t phase = 0);
  /// The first `bytes` of tile `index` are filled.
  void publish(uint64_t index, size_t bytes);
  /// The next tile of a consumer; nullopt after the last one or after stop(). To be released before the next take().
  std::optional<llvm::MutableArrayRef<std::byte>> take(unsigned consumer);
  void release(unsigned consumer);

  /// There are `count` tiles in all.
  void finish(uint64_t count);
  /// Gives up: everybody wakes.
  void stop();
  bool stopped() const;

private:
  uint64_t slowest() const;

  size_t slots, slotBytes, stride;
  std::byte *memory;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<uint64_t> filled;   ///< per slot: index + 1 of the tile in it
  std::vector<size_t> sizes;      ///< per slot
  std::vector<size_t> phases;     ///< per slot
  std::vector<uint64_t> position; ///< per consumer: tiles released
  uint64_t count = std::numeric_limits<uint64_t>::max();
  bool given = false;
};

} // namespace flagrelease
