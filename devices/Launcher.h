// Starts a child process in a box: devices start their runners with it, exporters their compilers (DESIGN section 9).
//
// Three kinds of box. Closed is for programs of this machine: new namespaces for network, processes, mounts and System V IPC
// (and for users, where the caller is not root): no network but a loopback of its own; everything read-only but the writable
// folders. Bare is --no-sandbox: no namespaces. Exec is for `exec:` prefixes (ssh, docker, kubectl, srun), which need the network
// and the user's own configuration. All have an environment made from an allow-list, bounded resources, stdout and stderr on
// pipes, no terminal, and end as a whole, also when this process dies.
//
// A small supervisor (this program's image, a few pages) stands between: it is process 1 of the namespace, or a subreaper where
// there is none, collects grandchildren, and ends everything when the pipe from this process closes. It does not rely on
// PR_SET_PDEATHSIG towards this process, which fires when the starting thread ends.
#pragma once

#include "text/Diagnostics.h"

#include "llvm/ADT/ArrayRef.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

enum class Sandbox : uint8_t { Closed, Bare, Exec };

struct LaunchOptions {
  std::vector<std::string> argv;          ///< argv[0] is looked up in PATH; never given to a shell
  std::map<std::string, std::string> env; ///< set on top of the allow-list
  Sandbox sandbox = Sandbox::Closed;
  /// A folder of the caller's that the child may fill: HOME and TMPDIR are made in it (Exec keeps the user's).
  std::string scratch;
  /// Folders that stay writable besides `scratch` (Closed).
  std::vector<std::string> writable;
  /// Paths the child must be able to read: keeps a folder with other programs' sockets visible if one of these lies in it.
  std::vector<std::string> readable;
  std::string workingFolder; ///< default: scratch
  uint64_t maxDataBytes = 0; ///< RLIMIT_DATA (private writable memory, mapped files do not count); 0: unlimited
  uint64_t maxFileBytes = 0; ///< RLIMIT_FSIZE; 0: unlimited
  uint64_t maxOpenFiles = 4096;
};

/// How a process ended.
struct ExitInfo {
  bool signaled = false;
  int code = 0;          ///< exit code, or signal number
  uint64_t peakRss = 0;  ///< bytes; not below what this process held when it started the child
  double cpuSeconds = 0; ///< with all descendants that were waited for
  /// "exit code 3", "signal 11 (Segmentation fault)".
  std::string str() const;
};

/// A started process with its three pipes. The destructor ends the whole group and waits for it.
class ChildProcess {
public:
  ChildProcess() = default;
  ChildProcess(ChildProcess &&other) noexcept;
  ChildProcess &operator=(ChildProcess &&other) noexcept;
  ~ChildProcess();

  bool started() const { return supervisor > 0; }
  /// Non-blocking descriptors; -1 once closed.
  int stdinFd() const { return in; }
  int stdoutFd() const { return out; }
  int stderrFd() const { return err; }
  void closeStdin();
  void closeStdout();
  void closeStderr();

  /// The process id of the supervisor: the group's leader, as seen from here.
  pid_t pid() const { return supervisor; }
  /// Waits at most `limit`; nullopt if it still runs.
  std::optional<ExitInfo> wait(std::chrono::milliseconds limit);
  /// SIGTERM to the group, `grace` to leave, then SIGKILL to all of it.
  ExitInfo end(std::chrono::milliseconds grace);

private:
  friend FailureOr<ChildProcess> launch(const LaunchOptions &options, Diagnostics &diags);
  void dispose();

  pid_t supervisor = -1;
  int in = -1, out = -1, err = -1;
  int lifeline = -1; ///< the supervisor ends everything when this closes
  int status = -1;   ///< the supervisor reports the exit here
  std::optional<ExitInfo> ended;
};

/// Starts. A program that does not exist or a kernel that refuses the box is Cause::Environment with the remedy.
FailureOr<ChildProcess> launch(const LaunchOptions &options, Diagnostics &diags);

/// What Sandbox::Closed is here, for reports. Says so where files cannot be made read-only: in a chroot, whose mounts belong to
/// others, and before Linux 5.12.
std::string closedBoxText();
bool closedBoxIsReadOnly();

/// The environment that a child gets: PATH, locale, time zone, loader path and what `options` sets; for Exec also what
/// remote shells and job systems need (HOME, USER, SSH_AUTH_SOCK, KUBECONFIG, DOCKER_HOST, SLURM_*). Tokens, proxies and all the
/// rest stay here.
std::map<std::string, std::string> childEnvironment(const LaunchOptions &options);

/// write(2) to a pipe whose reader may be gone: EPIPE instead of the signal that would end this process.
ssize_t writeToPipe(int fd, const void *bytes, size_t count);

/// The absolute path of a program, from `path` ("a:b:c") unless it holds a slash; empty if there is no such executable.
std::string findProgram(StringRef name, StringRef path);

/// A folder for a child under `parent` (default TMPDIR or /tmp), mode 0700, removed with all its content at destruction.
class ScratchFolder {
public:
  static FailureOr<ScratchFolder> create(StringRef parent, Diagnostics &diags);
  ScratchFolder(ScratchFolder &&other) noexcept : folder(std::move(other.folder)) { other.folder.clear(); }
  ScratchFolder &operator=(ScratchFolder &&other) noexcept;
  ~ScratchFolder();
  const std::string &path() const { return folder; }

private:
  ScratchFolder() = default;
  std::string folder;
};

} // namespace flagrelease
