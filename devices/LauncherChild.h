// The part of the launcher that runs in the child, between clone and execve. This process may have many threads, so the child
// may only make system calls: no allocation, no locks, no diagnostics. Everything it needs is prepared in a ChildPlan.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace flagrelease::launcher {

/// What the child was doing when it failed; sent through the startup pipe.
enum class Stage : int32_t { UserMap, Mounts, ReadOnly, Limits, Privileges, Folder, Fork, Exec };

struct StartupError {
  Stage stage;
  int32_t error; ///< errno
};

/// What the supervisor reports when the program has ended.
struct ExitReport {
  int32_t waitStatus;
  int32_t unused;
  uint64_t peakRss;
  double cpuSeconds;
};

/// Bytes on the lifeline, from the starting process to the supervisor. Its closing means Kill.
inline constexpr char kTerminate = 'T';
inline constexpr char kKill = 'K';

struct Limit {
  int resource;
  rlim_t value;
};

struct ChildPlan {
  int stdinFd, stdoutFd, stderrFd, lifelineFd, statusFd, startupFd;
  const char *program;
  char *const *argv;
  char *const *envp;
  const char *folder;
  const Limit *limits;
  size_t limitCount;

  bool closed;  ///< the namespaces of Sandbox::Closed were made
  bool newUser; ///< one of them is a user namespace: write the maps
  const char *uidMap, *gidMap;
  bool readOnly; ///< "/" is a mount that can be made private and read-only
  const char *const *writable;
  size_t writableCount;
  const char *const *hidden; ///< covered by an empty tmpfs
  size_t hiddenCount;
};

/// Whether the kernel can change all mounts below one at once (mount_setattr, Linux 5.12).
bool canLockMounts();

/// Never returns.
[[noreturn]] void superviseChild(const ChildPlan &plan);

} // namespace flagrelease::launcher
