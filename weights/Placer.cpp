#include "weights/Placer.h"

#include "weights/FailPoint.h"
#include "weights/Files.h"
#include "weights/SequentialWriter.h"
#include "weights/StreamDigests.h"
#include "weights/TileRing.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace flagrelease {

namespace {

constexpr uint64_t kPiece = uint64_t(4) << 20;

struct Digests {
  std::string file;
  std::vector<std::string> parts;
};

/// A work file to write into; invalid when the bytes are there already (link, reflink) and only digests are wanted.
struct Target {
  FileHandle handle;
  std::string name;
  bool direct = false; ///< past the page cache
};

/// One pass over the source: hash all, hash parts, write. Small files in this thread.
FailureOr<Digests> passSmall(const PlaceRequest &request, Target &target, const WorkOptions &work, Diagnostics &diags) {
  std::vector<std::byte> bytes(request.range.bytes);
  if (failed(request.source->read(request.range.offset, bytes, diags)))
    return failure();
  StreamDigests digests(request.parts);
  for (unsigned thread = 0; thread < digests.threads(); ++thread)
    digests.update(thread, bytes);
  SequentialWriter writer(target.handle.get(), target.name, target.handle.valid() && target.direct, work.progress);
  if (target.handle.valid() &&
      (failed(writer.write(0, bytes, diags)) || failed(writer.flush(diags)) || failed(failPoint("file-during-bytes", diags))))
    return failure();
  if (work.progress)
    work.progress->bytesRead += bytes.size(), work.progress->bytesDone += bytes.size();
  return Digests{digests.whole(), digests.done()};
}

FailureOr<Digests> passThreaded(const PlaceRequest &request, Target &target, const WorkOptions &work, Diagnostics &diags) {
  const uint64_t bytes = request.range.bytes;
  // Consumers of what is read: those who hash, then who writes.
  StreamDigests digests(request.parts);
  const unsigned hashers = digests.threads(), consumers = hashers + (target.handle.valid() ? 1 : 0);
  size_t slots = static_cast<size_t>(std::clamp<uint64_t>(work.memory / kPiece, 2, 8));
  TileRing ring(slots, kPiece, consumers);

  SequentialWriter writer(target.handle.get(), target.name, target.handle.valid() && target.direct, work.progress);
  Diagnostics writing;
  auto consume = [&](unsigned consumer) {
    uint64_t at = 0;
    while (std::optional<llvm::MutableArrayRef<std::byte>> piece = ring.take(consumer)) {
      if (consumer < hashers)
        digests.update(consumer, *piece);
      else if (failed(writer.writeInPlace(at, *piece, writing)) || failed(failPoint("file-during-bytes", writing)))
        return ring.stop();
      at += piece->size();
      if (consumer == 0 && work.progress)
        work.progress->bytesDone += piece->size();
      ring.release(consumer);
    }
    if (consumer == hashers && !ring.stopped() && failed(writer.flush(writing)))
      ring.stop();
  };
  std::vector<std::thread> threads;
  for (unsigned consumer = 0; consumer < consumers; ++consumer)
    threads.emplace_back(consume, consumer);

  Diagnostics reading;
  uint64_t index = 0;
  for (uint64_t at = 0; at < bytes; ++index) {
    llvm::MutableArrayRef<std::byte> piece = ring.acquire(index);
    if (piece.empty())
      break;
    if (work.stopping()) {
      (void)stopped(reading);
      break;
    }
    piece = piece.take_front(std::min<uint64_t>(kPiece, bytes - at));
    if (index % 8 == 0)
      request.source->willNeed(request.range.offset + at, 16 * kPiece);
    if (failed(request.source->read(request.range.offset + at, piece, reading)))
      break;
    if (work.progress)
      work.progress->bytesRead += piece.size();
    ring.publish(index, piece.size());
    at += piece.size();
  }
  if (reading.hasErrors())
    ring.stop();
  else
    ring.finish(index);
  for (std::thread &thread : threads)
    thread.join();
  diags.merge(reading);
  diags.merge(writing);
  if (ring.stopped())
    return failure();
  return Digests{digests.whole(), digests.done()};
}

FailureOr<Digests> pass(PlaceRequest request, Target &target, const WorkOptions &work, Diagnostics &diags) {
  std::vector<ByteRange> wanted = request.parts;
  llvm::sort(request.parts);
  request.parts.erase(std::unique(request.parts.begin(), request.parts.end()), request.parts.end());
  FailureOr<Digests> digests =
      request.range.bytes <= kPiece / 4 ? passSmall(request, target, work, diags) : passThreaded(request, target, work, diags);
  // What was read is only what was planned if nobody wrote into the source meanwhile.
  if (failed(digests) || failed(request.source->checkUnchanged(diags)))
    return failure();
  assert(digests->parts.size() == request.parts.size() && "a part reaches past the end of the file");
  std::vector<std::string> asked;
  for (const ByteRange &part : wanted)
    asked.push_back(digests->parts[static_cast<size_t>(llvm::lower_bound(request.parts, part) - request.parts.begin())]);
  digests->parts = std::move(asked);
  return digests;
}

bool isWhole(const PlaceRequest &request) { return request.range.offset == 0 && request.range.bytes == request.source->size(); }

/// True if the link is there. Refusals that a copy can answer are a note; anything else falls to the copy, which reports it.
bool tryLink(const PlaceRequest &request, const std::string &work, Diagnostics &diags) {
  ::unlink(work.c_str());
  // AT_SYMLINK_FOLLOW: a hub cache's link leads to its blob, and the blob is what is wanted.
  if (::linkat(AT_FDCWD, request.source->name().c_str(), AT_FDCWD, work.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    diags.note(request.to,
               Twine("could not be a hard link of ") + request.source->name() + " (" + std::strerror(errno) + "): copied");
    return false;
  }
  struct stat info;
  if (::stat(work.c_str(), &info) == 0 && static_cast<uint64_t>(info.st_ino) == request.source->state().inode &&
      static_cast<uint64_t>(info.st_dev) == request.source->state().device)
    return true;
  ::unlink(work.c_str()); // the path leads to another file than the one that was opened; checkUnchanged will not see that
  diags.note(request.to, Twine("could not be a hard link of ") + request.source->name() + " (the path was replaced): copied");
  return false;
}

bool tryReflink(const PlaceRequest &request, int target) {
  if (isWhole(request))
    return ::ioctl(target, FICLONE, request.source->fd()) == 0;
  struct file_clone_range range{};
  range.src_fd = request.source->fd();
  range.src_offset = request.range.offset;
  range.src_length = request.range.bytes;
  return request.range.bytes != 0 && ::ioctl(target, FICLONERANGE, &range) == 0;
}

FailureOr<DoneFile> placeOne(OutputFolder &out, const PlaceRequest &request, const WorkOptions &work, Diagnostics &diags) {
  if (std::optional<DoneFile> kept = out.done(request.to);
      kept && kept->bytes == request.range.bytes && kept->parts.size() == request.parts.size()) {
    if (work.progress)
      work.progress->bytesDone += kept->bytes;
    return *kept;
  }
  if (failed(out.begin(request.to, diags)))
    return failure();
  Target target;
  target.name = out.workPathOf(request.to);
  DoneFile file;
  file.path = request.to;
  file.bytes = request.range.bytes;
  if (request.link && isWhole(request) && tryLink(request, target.name, diags))
    file.how = "link";
  else {
    ::unlink(target.name.c_str()); // never write through a link that an earlier run left here
    target.handle = FileHandle(::open(target.name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!target.handle.valid())
      return systemError(diags, target.name, "make the file", errno);
    if (tryReflink(request, target.handle.get())) {
      file.how = "reflink";
      target.handle = FileHandle();
    } else {
      file.how = "copy";
      target.direct = request.range.bytes >= request.directFrom;
      // A disk that is too small says so now, not after an hour. Where a file system cannot reserve, writing will tell.
      if (request.range.bytes && ::fallocate(target.handle.get(), 0, 0, static_cast<off_t>(request.range.bytes)) != 0 &&
          (errno == ENOSPC || errno == EDQUOT)) {
        int error = errno;
        ::unlink(target.name.c_str());
        return systemError(diags, target.name, "reserve " + Twine(request.range.bytes) + " bytes", error);
      }
    }
  }
  FailureOr<Digests> digests = pass(request, target, work, diags);
  if (failed(digests)) {
    ::unlink(target.name.c_str()); // a part of a copy is of no use to the next run
    return failure();
  }
  target.handle = FileHandle();
  file.sha256 = std::move(digests->file);
  file.parts = std::move(digests->parts);
  if (failed(out.complete(file, diags)))
    return failure();
  return file;
}

} // namespace

FailureOr<std::vector<DoneFile>> placeFiles(OutputFolder &out, const std::vector<PlaceRequest> &requests, const WorkOptions &work,
                                            Diagnostics &diags) {
  const bool withParts = llvm::any_of(requests, [](const PlaceRequest &request) { return !request.parts.empty(); });
  const unsigned atOnce = std::max(1u, work.jobs / StreamDigests::threadsFor(withParts));
  WorkOptions each = work;
  each.memory = work.memory / atOnce;
  std::vector<DoneFile> files(requests.size());
  auto task = [&](size_t i, Diagnostics &messages) -> LogicalResult {
    if (each.stopping())
      return stopped(messages);
    FailureOr<DoneFile> file = placeOne(out, requests[i], each, messages);
    if (failed(file))
      return failure();
    files[i] = std::move(*file);
    return success();
  };
  if (failed(parallelFor(atOnce, requests.size(), task, diags)))
    return failure();
  return files;
}

uint64_t bytesToPlace(const OutputFolder &out, const std::vector<PlaceRequest> &requests) {
  struct stat place;
  bool known = ::stat(out.path().c_str(), &place) == 0;
  uint64_t total = 0;
  for (const PlaceRequest &request : requests) {
    bool linked =
        request.link && isWhole(request) && known && request.source->state().device == static_cast<uint64_t>(place.st_dev);
    if (!linked && !out.done(request.to))
      total += request.range.bytes;
  }
  return total;
}

} // namespace flagrelease
