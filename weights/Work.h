// What every long loop over weights takes: how many threads, how much memory, when to stop, and where to say how far it is.
#pragma once

#include "text/Diagnostics.h"

#include <atomic>
#include <cstdint>
#include <functional>

namespace flagrelease {

/// Set by a signal handler (cli/ installs it), polled at least once per tile by every loop that can last.
class StopFlag {
public:
  void request() { flag.store(true, std::memory_order_relaxed); }
  bool requested() const { return flag.load(std::memory_order_relaxed); }
  /// For those who may not include this header: devices/.
  const std::atomic<bool> &asAtomic() const { return flag; }
  /// SIGTERM, SIGINT and SIGHUP set `flag` from now on; a second one ends the process at once with the signal's default.
  static void onSignals(StopFlag &flag);

private:
  std::atomic<bool> flag{false};
  static_assert(std::atomic<bool>::is_always_lock_free, "set from a signal handler");
};

/// Read by another thread while the work goes on.
struct Progress {
  std::atomic<uint64_t> bytesTotal{0};
  std::atomic<uint64_t> bytesDone{0};    ///< of bytesTotal: placed, written or verified
  std::atomic<uint64_t> bytesRead{0};    ///< from sources
  std::atomic<uint64_t> bytesWritten{0}; ///< to the output: linked and reflinked bytes do not count
};

struct WorkOptions {
  unsigned jobs = 1;                   ///< threads
  uint64_t memory = uint64_t(1) << 30; ///< bytes of buffers for weights, all threads together
  const StopFlag *stop = nullptr;      ///< may be null
  Progress *progress = nullptr;        ///< may be null

  bool stopping() const { return stop && stop->requested(); }
};

/// Threads that this process may use: affinity mask and cgroup CPU quota, at least 1.
unsigned defaultJobs();
/// The smaller of `wanted` and half of what the cgroup and the machine leave free: a container's limit is not discovered by the
/// OOM killer.
uint64_t boundedMemory(uint64_t wanted);

/// Adds the diagnostic of a run that was asked to stop (Cause::Later).
LogicalResult stopped(Diagnostics &diags);

/// Calls task(i) for i in [0, count) on `jobs` threads, started in rising order. Messages are merged by rising index, so that
/// they do not depend on the number of threads. With `keepGoing` all tasks run and all messages are kept; without, no task
/// starts after a failure and the messages are those up to the lowest index that failed. A task must not throw.
LogicalResult parallelFor(unsigned jobs, size_t count, const std::function<LogicalResult(size_t, Diagnostics &)> &task,
                          Diagnostics &diags, bool keepGoing = false);

} // namespace flagrelease
