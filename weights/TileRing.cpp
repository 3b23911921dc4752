#include "weights/TileRing.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <new>

namespace flagrelease {

namespace {
constexpr size_t kPage = 4096;
} // namespace

TileRing::TileRing(size_t slots, size_t slotBytes, unsigned consumers)
    : slots(slots), slotBytes((slotBytes + kPage - 1) / kPage * kPage), stride(this->slotBytes + kPage), filled(slots),
      sizes(slots), phases(slots), position(consumers) {
  assert(slots > 0 && consumers > 0);
  memory = static_cast<std::byte *>(std::aligned_alloc(kPage, slots * stride));
  if (!memory)
    throw std::bad_alloc();
}

TileRing::~TileRing() { std::free(memory); }

uint64_t TileRing::slowest() const { return *std::min_element(position.begin(), position.end()); }

llvm::MutableArrayRef<std::byte> TileRing::acquire(uint64_t index, size_t phase) {
  assert(phase < kPage);
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return given || index < slowest() + slots; });
  if (given)
    return {};
  phases[index % slots] = phase;
  return {memory + (index % slots) * stride + phase, slotBytes};
}

void TileRing::publish(uint64_t index, size_t bytes) {
  assert(bytes <= slotBytes);
  {
    std::lock_guard lock(mutex);
    filled[index % slots] = index + 1;
    sizes[index % slots] = bytes;
  }
  changed.notify_all();
}

std::optional<llvm::MutableArrayRef<std::byte>> TileRing::take(unsigned consumer) {
  std::unique_lock lock(mutex);
  uint64_t index = position[consumer];
  changed.wait(lock, [&] { return given || index >= count || filled[index % slots] == index + 1; });
  if (given || index >= count)
    return std::nullopt;
  const size_t slot = index % slots;
  return llvm::MutableArrayRef<std::byte>(memory + slot * stride + phases[slot], sizes[slot]);
}

void TileRing::release(unsigned consumer) {
  {
    std::lock_guard lock(mutex);
    ++position[consumer];
  }
  changed.notify_all();
}

void TileRing::finish(uint64_t total) {
  {
    std::lock_guard lock(mutex);
    count = total;
  }
  changed.notify_all();
}

void TileRing::stop() {
  {
    std::lock_guard lock(mutex);
    given = true;
  }
  changed.notify_all();
}

bool TileRing::stopped() const {
  std::lock_guard lock(mutex);
  return given;
}

} // namespace flagrelease
