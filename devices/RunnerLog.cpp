#include "devices/Runner.h"
#include "text/Escape.h"

#include "llvm/ADT/SmallVector.h"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

namespace flagrelease {

static constexpr size_t kTailBytes = 8192;

RunnerLog::RunnerLog(std::string path, uint64_t maxBytes) : left(maxBytes) {
  if (!path.empty())
    fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
}

RunnerLog::~RunnerLog() {
  if (fd < 0)
    return;
  if (lost) {
    // How it began is in the file already; how it ended is what explains a crash.
    std::string end = "\n[" + std::to_string(lost) + " bytes left out; the last lines:]\n" + tail;
    ssize_t ignored = ::write(fd, end.data(), end.size());
    (void)ignored;
  }
  ::close(fd);
}

void RunnerLog::append(StringRef text) {
  if (text.empty())
    return;
  tail += text.take_back(kTailBytes);
  if (tail.size() > 2 * kTailBytes)
    tail.erase(0, tail.size() - kTailBytes);
  uint64_t count = std::min<uint64_t>(left, text.size());
  left -= count, lost += text.size() - count;
  if (fd >= 0 && count > 0) {
    // A full disk must not end a run: the log is for people, the numbers do not depend on it.
    ssize_t ignored = ::write(fd, text.data(), count);
    (void)ignored;
  }
}

std::string RunnerLog::lastLines(unsigned lines) const {
  llvm::SmallVector<StringRef, 64> all;
  StringRef(tail).split(all, '\n', -1, false);
  std::string text;
  size_t first = all.size() > lines ? all.size() - lines : 0;
  for (size_t i = first; i < all.size(); ++i) {
    StringRef line = all[i].trim();
    // The prompt of the interpreter that took the runner from its stdin.
    while (line.consume_front(">>>") || line.consume_front("..."))
      line = line.ltrim();
    if (!line.empty())
      text += (text.empty() ? "" : " | ") + escape::terminal(line, 300);
  }
  return text;
}

} // namespace flagrelease
