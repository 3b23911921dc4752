#include "weights/StreamWriter.h"

#include "text/Sizes.h"
#include "weights/FailPoint.h"
#include "weights/Files.h"
#include "weights/SequentialWriter.h"
#include "weights/StreamDigests.h"
#include "weights/TileRing.h"

#include "llvm/ADT/StringMap.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace flagrelease {

namespace {

constexpr uint64_t kTile = uint64_t(4) << 20;

/// A run of bytes of the file: of one tensor, or of head and padding.
struct Tile {
  uint64_t offset = 0; ///< in the file
  uint64_t bytes = 0;
  int64_t tensor = -1; ///< index; -1: head or zeros
};

uint64_t grainOf(const PlannedTensor &tensor) {
  if (tensor.grain)
    return tensor.grain;
  uint64_t row = bitWidth(tensor.type);
  if (!tensor.shape.empty())
    row *= static_cast<uint64_t>(std::max<int64_t>(1, tensor.shape.back()));
  return std::max<uint64_t>(1, row / 8); // rows of narrow types end at a byte (tensorBytes)
}

class Stream {
public:
  Stream(OutputFolder &out, const PlannedFile &file, const WorkOptions &work)
      : out(out), file(file), work(work), jobs(std::max(1u, work.jobs)), workPath(out.workPathOf(file.path)) {}

  FailureOr<DoneFile> write(Diagnostics &diags) {
    if (failed(planTiles(diags)) || failed(openWorkFile(diags)))
      return failure();
    digests.emplace(ranges);
    writer.emplace(handle.get(), workPath, file.bytes >= file.directFrom, work.progress);
    TileRing tiles(slots, tileBytes, digests->threads() + 1);
    ring = &tiles;
    std::vector<std::thread> consumers, workers;
    for (unsigned thread = 0; thread < digests->threads(); ++thread)
      consumers.emplace_back([this, thread] { hashTiles(thread); });
    consumers.emplace_back([this] { writeTiles(); });
    std::vector<Diagnostics> messages(jobs);
    for (uint64_t index = 0; index < ahead() && index < plan.size(); ++index)
      hint(index);
    for (unsigned job = 0; job < jobs; ++job)
      workers.emplace_back([this, &messages, job] {
        if (failed(produceTiles(messages[job])))
          ring->stop();
      });
    for (std::thread &worker : workers)
      worker.join();
    // Every tile that somebody took is there, also when the run was asked to stop: what is there is written and recorded.
    tiles.finish(std::min<uint64_t>(next, plan.size()));
    for (std::thread &consumer : consumers)
      consumer.join();
    return conclude(messages, diags);
  }

private:
  LogicalResult planTiles(Diagnostics &diags);
  LogicalResult openWorkFile(Diagnostics &diags);
  LogicalResult produceTiles(Diagnostics &diags);
  LogicalResult fill(const Tile &tile, llvm::MutableArrayRef<std::byte> bytes, Diagnostics &diags);
  /// Tiles whose input is asked for before they are produced.
  uint64_t ahead() const { return jobs + 2; }
  void hint(uint64_t index) const;
  void hashTiles(unsigned thread);
  void writeTiles();
  LogicalResult recordTensors(Diagnostics &diags);
  FailureOr<DoneFile> conclude(std::vector<Diagnostics> &messages, Diagnostics &diags);

  OutputFolder &out;
  const PlannedFile &file;
  const WorkOptions &work;
  unsigned jobs;
  std::string workPath;
  FileHandle handle;
  std::vector<Tile> plan;
  std::vector<ByteRange> ranges;
  uint64_t tileBytes = 0;
  size_t slots = 0;
  TileRing *ring = nullptr;
  std::atomic<uint64_t> next{0};
  llvm::StringMap<std::string> kept; ///< tensors that an earlier run recorded
  std::vector<char> isKept;
  std::optional<StreamDigests> digests;
  std::optional<SequentialWriter> writer;
  std::mutex hashedLock;
  std::vector<std::string> hashed; ///< tensors, under the lock while the threads run
  size_t position = 0;             ///< tiles that were given to the writer,
  uint64_t written = 0;            ///< and where in the file they end
  size_t recorded = 0;             ///< tensors
  Diagnostics writing;
};

LogicalResult Stream::planTiles(Diagnostics &diags) {
  // As many tiles as keep every worker and those behind them busy, each at least one row.
  slots = 2 * jobs + 4;
  uint64_t room = std::max<uint64_t>(work.memory / 2 / slots, 4096);
  uint64_t target = std::min(kTile, room);
  uint64_t position = 0;
  auto zerosTo = [&](uint64_t end) {
    for (; position < end; position += plan.back().bytes)
      plan.push_back({position, std::min(target, end - position), -1});
  };
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    const PlannedTensor &tensor = file.tensors[i];
    assert(tensor.fileOffset >= position && tensor.fileOffset >= file.head.size() && "tensors overlap or are out of order");
    zerosTo(tensor.fileOffset);
    uint64_t grain = grainOf(tensor);
    if (grain > room && tensor.bytes > room)
      return diags.error(tensor.name,
                         "its smallest piece has " + humanBytes(grain) + ", but --memory " + humanBytes(work.memory) +
                             " leaves " + humanBytes(room) + " for each of " + Twine(slots) + " pieces in flight",
                         "use --memory " + humanBytes(grain * slots * 2) + " or more, or fewer --jobs", Cause::Environment);
    uint64_t step = std::max(grain, target / grain * grain);
    for (uint64_t at = 0; at < tensor.bytes; at += step)
      plan.push_back({position + at, std::min(step, tensor.bytes - at), static_cast<int64_t>(i)});
    ranges.push_back({position, tensor.bytes});
    position += tensor.bytes;
  }
  assert(position <= file.bytes && "tensors reach past the end of the file");
  zerosTo(file.bytes);
  for (const Tile &tile : plan)
    tileBytes = std::max<uint64_t>(tileBytes, tile.bytes);
  return success();
}

LogicalResult Stream::openWorkFile(Diagnostics &diags) {
  struct stat info;
  isKept.assign(file.tensors.size(), 0);
  handle = FileHandle(::open(workPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!handle.valid() || ::fstat(handle.get(), &info) != 0)
    return systemError(diags, workPath, "make the file", errno);
  if (static_cast<uint64_t>(info.st_size) == file.bytes && info.st_nlink == 1) {
    for (auto &[name, digest] : out.doneTensors(file.path))
      kept[name] = digest;
    for (size_t i = 0; i < file.tensors.size(); ++i)
      isKept[i] = kept.contains(file.tensors[i].name);
  } else if (::ftruncate(handle.get(), 0) != 0 || ::ftruncate(handle.get(), static_cast<off_t>(file.bytes)) != 0)
    return systemError(diags, workPath, "set its size to " + Twine(file.bytes) + " bytes", errno);
  // A disk that is too small says so now. Where a file system cannot reserve, writing will tell.
  if (file.bytes && ::fallocate(handle.get(), 0, 0, static_cast<off_t>(file.bytes)) != 0 && (errno == ENOSPC || errno == EDQUOT))
    return systemError(diags, workPath, "reserve " + Twine(file.bytes) + " bytes", errno);
  return success();
}

/// The bytes of one tile: from the plan, from the work file (an earlier run put them there), or from the producer.
LogicalResult Stream::fill(const Tile &tile, llvm::MutableArrayRef<std::byte> bytes, Diagnostics &diags) {
  if (tile.tensor < 0) {
    std::memset(bytes.data(), 0, bytes.size());
    if (tile.offset < file.head.size())
      std::memcpy(bytes.data(), file.head.data() + tile.offset, std::min<uint64_t>(bytes.size(), file.head.size() - tile.offset));
    return success();
  }
  const PlannedTensor &tensor = file.tensors[tile.tensor];
  if (!isKept[tile.tensor])
    return tensor.producer(static_cast<int64_t>(tile.offset - tensor.fileOffset), bytes, diags);
  for (size_t done = 0; done < bytes.size();) {
    ssize_t n = ::pread(handle.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(tile.offset + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return systemError(diags, workPath, "read back what an earlier run wrote", n < 0 ? errno : EIO);
    done += static_cast<size_t>(n);
  }
  return success();
}

void Stream::hint(uint64_t index) const {
  const Tile &tile = plan[index];
  if (tile.tensor >= 0 && !isKept[tile.tensor] && file.tensors[tile.tensor].hint)
    file.tensors[tile.tensor].hint(static_cast<int64_t>(tile.offset - file.tensors[tile.tensor].fileOffset), tile.bytes);
}

LogicalResult Stream::produceTiles(Diagnostics &diags) {
  for (;;) {
    if (work.stopping())
      return success();
    uint64_t index = next.fetch_add(1);
    if (index >= plan.size())
      return success();
    const Tile &tile = plan[index];
    if (index + ahead() < plan.size())
      hint(index + ahead());
    llvm::MutableArrayRef<std::byte> bytes = ring->acquire(index, tile.offset % SequentialWriter::kPage);
    if (bytes.empty())
      return success(); // somebody else failed, and says why
    bytes = bytes.take_front(tile.bytes);
    if (failed(fill(tile, bytes, diags)))
      return failure();
    ring->publish(index, tile.bytes);
  }
}

void Stream::hashTiles(unsigned thread) {
  while (std::optional<llvm::MutableArrayRef<std::byte>> tile = ring->take(thread)) {
    digests->update(thread, *tile);
    if (thread == 0) {
      if (work.progress)
        work.progress->bytesDone += tile->size();
      std::lock_guard lock(hashedLock);
      hashed.insert(hashed.end(), digests->done().begin() + hashed.size(), digests->done().end());
    }
    ring->release(thread);
  }
}

void Stream::writeTiles() {
  const unsigned consumer = digests->threads();
  uint64_t sinceRecord = 0;
  while (std::optional<llvm::MutableArrayRef<std::byte>> bytes = ring->take(consumer)) {
    const Tile &tile = plan[position++];
    if ((tile.tensor < 0 || !isKept[tile.tensor]) && failed(writer->writeInPlace(tile.offset, *bytes, writing)))
      return ring->stop();
    written = tile.offset + tile.bytes;
    sinceRecord += tile.bytes;
    if (failed(failPoint("stream-tile", writing)))
      return ring->stop();
    ring->release(consumer);
    if (sinceRecord >= file.recordEvery) {
      sinceRecord = 0;
      if (failed(recordTensors(writing)))
        return ring->stop();
    }
  }
}

/// Journals the tensors that became complete since the last time, after their bytes are on the disk.
LogicalResult Stream::recordTensors(Diagnostics &diags) {
  std::vector<std::pair<std::string, std::string>> fresh;
  {
    std::lock_guard lock(hashedLock);
    for (; recorded < hashed.size() && ranges[recorded].offset + ranges[recorded].bytes <= written; ++recorded)
      if (!isKept[recorded])
        fresh.emplace_back(file.tensors[recorded].name, hashed[recorded]);
  }
  if (failed(writer->flush(diags)))
    return failure();
  if (fresh.empty())
    return success();
  if (::fdatasync(handle.get()) != 0)
    return systemError(diags, workPath, "bring its bytes to the disk", errno);
  return out.tensorsDone(file.path, fresh, diags);
}

FailureOr<DoneFile> Stream::conclude(std::vector<Diagnostics> &messages, Diagnostics &diags) {
  const bool cut = !ring->stopped() && next < plan.size();
  if (ring->stopped() || cut) {
    for (Diagnostics &message : messages) {
      if (message.hasErrors()) { // threads that fail together mostly say the same
        diags.merge(message);
        break;
      }
    }
    diags.merge(writing);
    if (!writing.hasErrors())
      (void)recordTensors(diags); // so that the next run goes on here
    return cut ? stopped(diags) : failure();
  }
  if (failed(writer->flush(diags)))
    return failure();
  for (Diagnostics &message : messages)
    diags.merge(message);
  bool damaged = false;
  for (size_t i = 0; i < file.tensors.size(); ++i)
    if (isKept[i] && kept[file.tensors[i].name] != hashed[i]) {
      diags.note(workPath, "does not hold " + file.tensors[i].name + " as it was recorded: written again");
      damaged = true;
    }
  if (damaged) {
    ::unlink(workPath.c_str());
    return DoneFile(); // an empty path: to be written again
  }
  DoneFile done;
  done.path = file.path;
  done.bytes = file.bytes;
  done.how = "write";
  done.sha256 = digests->whole();
  done.parts = hashed;
  return done;
}

} // namespace

FailureOr<DoneFile> writeStream(OutputFolder &out, const PlannedFile &file, const WorkOptions &work, Diagnostics &diags) {
  if (std::optional<DoneFile> kept = out.done(file.path);
      kept && kept->bytes == file.bytes && kept->parts.size() == file.tensors.size()) {
    if (work.progress)
      work.progress->bytesDone += kept->bytes;
    return *kept;
  }
  if (failed(out.begin(file.path, diags)))
    return failure();
  FailureOr<DoneFile> done = Stream(out, file, work).write(diags);
  if (succeeded(done) && done->path.empty()) // the work file was damaged: from scratch, once
    done = Stream(out, file, work).write(diags);
  if (failed(done) || failed(out.complete(*done, diags)))
    return failure();
  return done;
}

} // namespace flagrelease
