#include "devices/Launcher.h"

#include "devices/LauncherChild.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace flagrelease {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

static void closeFd(int &fd) {
  if (fd >= 0)
    ::close(fd);
  fd = -1;
}

std::string ExitInfo::str() const {
  if (!signaled)
    return "exit code " + std::to_string(code);
  const char *name = strsignal(code);
  return "signal " + std::to_string(code) + (name ? " (" + std::string(name) + ")" : "");
}

ssize_t writeToPipe(int fd, const void *bytes, size_t count) {
  sigset_t pipeSignal, before, pending;
  sigemptyset(&pipeSignal);
  sigaddset(&pipeSignal, SIGPIPE);
  sigpending(&pending);
  const bool wasPending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipeSignal, &before);
  ssize_t done;
  while ((done = ::write(fd, bytes, count)) < 0 && errno == EINTR) {
  }
  const int error = errno;
  // A signal that our write made must not be delivered when the mask is restored.
  if (done < 0 && error == EPIPE && !wasPending) {
    timespec now{};
    sigtimedwait(&pipeSignal, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return done;
}

ChildProcess::ChildProcess(ChildProcess &&other) noexcept { *this = std::move(other); }

ChildProcess &ChildProcess::operator=(ChildProcess &&other) noexcept {
  std::swap(supervisor, other.supervisor);
  std::swap(in, other.in), std::swap(out, other.out), std::swap(err, other.err);
  std::swap(lifeline, other.lifeline), std::swap(status, other.status);
  std::swap(ended, other.ended);
  return *this;
}

ChildProcess::~ChildProcess() { dispose(); }

void ChildProcess::dispose() {
  if (supervisor > 0 && !ended)
    end(milliseconds(0));
  for (int *fd : {&in, &out, &err, &lifeline, &status})
    closeFd(*fd);
  supervisor = -1;
}

void ChildProcess::closeStdin() { closeFd(in); }
void ChildProcess::closeStdout() { closeFd(out); }
void ChildProcess::closeStderr() { closeFd(err); }

std::optional<ExitInfo> ChildProcess::wait(milliseconds limit) {
  if (ended || supervisor <= 0)
    return ended;
  // The report arrives, or the pipe closes because the supervisor itself was killed.
  pollfd event{status, POLLIN, 0};
  auto deadline = Clock::now() + limit;
  for (;;) {
    auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    int ready = ::poll(&event, 1, static_cast<int>(std::clamp<long long>(left, 0, INT_MAX)));
    if (ready > 0)
      break;
    if (ready == 0 || errno != EINTR)
      return std::nullopt;
  }
  launcher::ExitReport report{};
  ssize_t got = ::read(status, &report, sizeof report);
  int own = 0;
  // The supervisor ends right after its report; bounded all the same.
  auto patience = Clock::now() + std::chrono::seconds(5);
  pid_t waited;
  while ((waited = waitpid(supervisor, &own, WNOHANG)) == 0) {
    if (Clock::now() > patience)
      ::kill(supervisor, SIGKILL);
    ::poll(nullptr, 0, 1);
  }
  int how = got == static_cast<ssize_t>(sizeof report) ? report.waitStatus : waited == supervisor ? own : SIGKILL;
  ExitInfo info;
  info.signaled = WIFSIGNALED(how);
  info.code = info.signaled ? WTERMSIG(how) : WEXITSTATUS(how);
  info.peakRss = report.peakRss;
  info.cpuSeconds = report.cpuSeconds;
  ended = info;
  return ended;
}

ExitInfo ChildProcess::end(milliseconds grace) {
  if (supervisor <= 0)
    return {};
  if (!ended && grace.count() > 0) {
    writeToPipe(lifeline, &launcher::kTerminate, 1);
    wait(grace);
  }
  if (!ended) {
    closeFd(lifeline);
    wait(std::chrono::seconds(5));
  }
  if (!ended) {
    ::kill(supervisor, SIGKILL);
    wait(std::chrono::seconds(5));
  }
  if (!ended)
    ended = ExitInfo{true, SIGKILL, 0, 0}; // not even the kernel could end it (device I/O): do not wait for ever
  return *ended;
}

FailureOr<ScratchFolder> ScratchFolder::create(StringRef parent, Diagnostics &diags) {
  std::string base = parent.str();
  if (base.empty()) {
    const char *set = std::getenv("TMPDIR");
    base = set && *set == '/' ? set : "/tmp";
  }
  std::error_code error;
  base = std::filesystem::absolute(base, error).string();
  std::string pattern = base + "/flagrelease-XXXXXX";
  if (!::mkdtemp(pattern.data()))
    return diags.error(base, "cannot make a work folder: " + Twine(strerror(errno)),
                       "check permissions and space, or set TMPDIR to another folder", Cause::Environment);
  ScratchFolder scratch;
  scratch.folder = pattern;
  return std::move(scratch);
}

ScratchFolder &ScratchFolder::operator=(ScratchFolder &&other) noexcept {
  std::swap(folder, other.folder);
  return *this;
}

ScratchFolder::~ScratchFolder() {
  if (folder.empty())
    return;
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

} // namespace flagrelease
