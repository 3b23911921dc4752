#include "weights/Work.h"

#include "llvm/ADT/StringRef.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <sched.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace flagrelease {

namespace {

std::atomic<StopFlag *> signalled{nullptr};

extern "C" void flagreleaseOnStopSignal(int number) {
  if (StopFlag *flag = signalled.load(std::memory_order_relaxed))
    flag->request();
  std::signal(number, SIG_DFL); // who asks twice wants it now
}

/// The first line of a small kernel file; empty if it is not there.
std::string firstLine(const std::string &path) {
  char line[256] = "";
  if (FILE *f = std::fopen(path.c_str(), "re")) {
    if (!std::fgets(line, sizeof line, f))
      line[0] = 0;
    std::fclose(f);
  }
  return std::string(StringRef(line).rtrim());
}

/// "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup": each can hold a limit.
std::vector<std::string> cgroupFolders() {
  std::vector<std::string> folders;
  std::string line = firstLine("/proc/self/cgroup"); // version 2 has the single line "0::/path"
  StringRef path = line;
  if (!path.consume_front("0::"))
    path = "/";
  for (unsigned depth = 0; depth < 32; ++depth) {
    folders.push_back("/sys/fs/cgroup" + (path == "/" ? std::string() : path.str()));
    if (path.empty() || path == "/")
      break;
    path = path.substr(0, path.rfind('/'));
    if (path.empty())
      path = "/";
  }
  return folders;
}

} // namespace

void StopFlag::onSignals(StopFlag &flag) {
  signalled.store(&flag);
  struct sigaction action{};
  action.sa_handler = flagreleaseOnStopSignal;
  sigemptyset(&action.sa_mask); // no SA_RESTART: a blocking wait returns and sees the flag
  for (int number : {SIGTERM, SIGINT, SIGHUP})
    ::sigaction(number, &action, nullptr);
}

unsigned defaultJobs() {
  unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    jobs = std::max(1, CPU_COUNT(&set));
  for (const std::string &folder : cgroupFolders()) {
    std::string line = firstLine(folder + "/cpu.max"); // "200000 100000" or "max 100000"
    auto [quota, period] = StringRef(line).split(' ');
    uint64_t q, p;
    if (!quota.getAsInteger(10, q) && !period.getAsInteger(10, p) && p > 0)
      jobs = std::min<uint64_t>(jobs, std::max<uint64_t>(1, (q + p / 2) / p));
  }
  return std::max(1u, jobs);
}

uint64_t boundedMemory(uint64_t wanted) {
  uint64_t available = std::numeric_limits<uint64_t>::max();
  long pages = ::sysconf(_SC_PHYS_PAGES), pageSize = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && pageSize > 0)
    available = static_cast<uint64_t>(pages) * static_cast<uint64_t>(pageSize);
  for (const std::string &folder : cgroupFolders()) {
    uint64_t limit;
    if (!StringRef(firstLine(folder + "/memory.max")).getAsInteger(10, limit))
      available = std::min(available, limit);
  }
  return std::min(wanted, available / 2);
}

LogicalResult stopped(Diagnostics &diags) {
  return diags.error("flagrelease", "was asked to stop; what is complete is kept",
                     "run the same command again: it goes on from here", Cause::Later);
}

LogicalResult parallelFor(unsigned jobs, size_t count, const std::function<LogicalResult(size_t, Diagnostics &)> &task,
                          Diagnostics &diags, bool keepGoing) {
  if (count == 0)
    return success();
  std::vector<Diagnostics> messages(count);
  std::vector<char> failedAt(count, 0);
  std::atomic<size_t> next{0};
  std::atomic<bool> anyFailed{false};
  auto worker = [&] {
    while (keepGoing || !anyFailed.load(std::memory_order_relaxed)) {
      size_t i = next.fetch_add(1);
      if (i >= count)
        return;
      if (failed(task(i, messages[i]))) {
        failedAt[i] = 1;
        anyFailed.store(true, std::memory_order_relaxed);
      }
    }
  };
  std::vector<std::thread> threads;
  size_t helpers = std::min<size_t>(std::max(1u, jobs), count) - 1;
  for (size_t t = 0; t < helpers; ++t)
    threads.emplace_back(worker);
  worker();
  for (std::thread &thread : threads)
    thread.join();
  for (size_t i = 0; i < count; ++i) {
    diags.merge(messages[i]);
    if (failedAt[i] && !keepGoing)
      break;
  }
  return failure(anyFailed.load());
}

} // namespace flagrelease
