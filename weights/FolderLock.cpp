#include "weights/FolderLock.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace flagrelease {

namespace {

std::string holderOf(int fd) {
  char text[32] = "";
  ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
  StringRef id = StringRef(text, n > 0 ? static_cast<size_t>(n) : 0).trim();
  long number;
  return id.getAsInteger(10, number) ? "another run" : "another run (process " + id.str() + ")";
}

} // namespace

LogicalResult FolderLock::take(const std::string &path, std::chrono::milliseconds wait, const StopFlag *stop,
                               Diagnostics &diags) {
  auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    FileHandle file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!file.valid() && (errno == EROFS || errno == EACCES)) // a finished folder may be read-only
      file = FileHandle(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.valid())
      return systemError(diags, path, "open the lock", errno);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      // A run that found foreign files removes its own lock again: ours must be the file that has the name now.
      struct stat held, named;
      if (::fstat(file.get(), &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
          held.st_dev == named.st_dev) {
        handle = std::move(file);
        return success();
      }
    } else if (errno != EWOULDBLOCK && errno != EINTR)
      return systemError(diags, path, "lock the folder (its file system may have no locks)", errno);
    if (stop && stop->requested())
      return stopped(diags);
    auto now = std::chrono::steady_clock::now();
    if (now >= deadline)
      return diags.error(path, "the output folder is in use by " + holderOf(file.get()),
                         "wait until it ends (--wait 10m does that), or choose another --out", Cause::Later);
    std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(std::chrono::milliseconds(100), deadline - now));
  }
}

void FolderLock::sign() const {
  std::string text = std::to_string(::getpid()) + "\n";
  // Only for a message: a full disk or a read-only file shows up where it matters.
  if (::ftruncate(handle.get(), 0) == 0)
    (void)!::pwrite(handle.get(), text.data(), text.size(), 0);
}

} // namespace flagrelease
