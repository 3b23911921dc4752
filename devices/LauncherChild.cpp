#include "devices/LauncherChild.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Debian 12's glibc has these; older kernels answer ENOSYS.
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

namespace flagrelease::launcher {

namespace {

// struct mount_attr and its flags (linux/mount.h), which cannot be included beside sys/mount.h with every glibc.
struct MountAttr {
  uint64_t set, clear, propagation, userns;
};
constexpr uint64_t kReadOnly = 0x1, kNoSuid = 0x2;
constexpr unsigned kRecursive = 0x8000;

[[noreturn]] void giveUp(const ChildPlan &plan, Stage stage, int error) {
  StartupError report{stage, error};
  ssize_t ignored = write(plan.startupFd, &report, sizeof report);
  (void)ignored;
  _exit(127);
}

bool writeText(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  size_t length = strlen(text);
  ssize_t done = write(fd, text, length);
  int error = errno;
  close(fd);
  errno = error;
  return done == static_cast<ssize_t>(length);
}

/// The network namespace has a loopback of its own, which is down at first: engines that talk to themselves (gloo of
/// torch.distributed) look for it. Where it cannot be raised, those engines say so.
void raiseLoopback() {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  ifreq request{};
  request.ifr_name[0] = 'l', request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP;
  ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
}

void mapUser(const ChildPlan &plan) {
  // An unprivileged process must give up setgroups before it may map its group (user_namespaces(7)).
  if (!writeText("/proc/self/setgroups", "deny") && errno != ENOENT)
    giveUp(plan, Stage::UserMap, errno);
  if (!writeText("/proc/self/uid_map", plan.uidMap) || !writeText("/proc/self/gid_map", plan.gidMap))
    giveUp(plan, Stage::UserMap, errno);
}

void arrangeMounts(const ChildPlan &plan) {
  // Without this, the mounts below would appear in the namespace this one was copied from.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    giveUp(plan, Stage::Mounts, errno);
  for (size_t i = 0; i < plan.writableCount; ++i)
    if (mount(plan.writable[i], plan.writable[i], nullptr, MS_BIND | MS_REC, nullptr) != 0)
      giveUp(plan, Stage::Mounts, errno);
  for (size_t i = 0; i < plan.hiddenCount; ++i)
    if (mount("tmpfs", plan.hidden[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") != 0 && errno != ENOENT)
      giveUp(plan, Stage::Mounts, errno);
  MountAttr lock{kReadOnly | kNoSuid, 0, 0, 0};
  if (syscall(SYS_mount_setattr, AT_FDCWD, "/", kRecursive, &lock, sizeof lock) != 0)
    giveUp(plan, Stage::ReadOnly, errno);
  MountAttr open{0, kReadOnly, 0, 0};
  for (size_t i = 0; i < plan.writableCount; ++i)
    if (syscall(SYS_mount_setattr, AT_FDCWD, plan.writable[i], 0u, &open, sizeof open) != 0)
      giveUp(plan, Stage::ReadOnly, errno);
  // Shared memory of its own, writable: engines keep tensors of worker processes there.
  mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

/// Root keeps what reading a root-only file needs, and nothing with which the box could be opened again.
void dropPrivileges(const ChildPlan &plan) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    giveUp(plan, Stage::Privileges, errno);
  const uint64_t keep = (1ull << CAP_DAC_OVERRIDE) | (1ull << CAP_DAC_READ_SEARCH);
  for (int cap = 0; cap < 64; ++cap) {
    if (keep >> cap & 1)
      continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno == EINVAL)
      break; // past the last capability of this kernel. EPERM: no CAP_SETPCAP, then there is little to drop
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0)
    giveUp(plan, Stage::Privileges, errno);
  for (int word = 0; word < 2; ++word) {
    auto mask = static_cast<uint32_t>(keep >> (32 * word));
    data[word].effective &= mask;
    data[word].permitted &= mask;
    data[word].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) != 0)
    giveUp(plan, Stage::Privileges, errno);
}

[[noreturn]] void becomeProgram(const ChildPlan &plan) {
  setpgid(0, 0);
  // The supervisor is the parent and has one thread: here the signal means what it says.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  for (size_t i = 0; i < plan.limitCount; ++i) {
    rlimit wanted{plan.limits[i].value, plan.limits[i].value};
    if (setrlimit(static_cast<__rlimit_resource>(plan.limits[i].resource), &wanted) != 0)
      giveUp(plan, Stage::Limits, errno);
  }
  if (chdir(plan.folder) != 0)
    giveUp(plan, Stage::Folder, errno);
  if (plan.closed)
    dropPrivileges(plan);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(plan.program, plan.argv, plan.envp);
  giveUp(plan, Stage::Exec, errno);
}

/// Kills everything below this process, again until nothing is left: the orphans of a killed child come here too.
void killAll(const ChildPlan &plan) {
  for (int round = 0; round < 256; ++round) {
    if (plan.closed) {
      kill(-1, SIGKILL); // all of the process namespace but its process 1, which this is
      if (waitpid(-1, nullptr, 0) < 0 && errno == ECHILD)
        return;
      continue;
    }
    char text[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text);
    if (fd >= 0)
      close(fd);
    pid_t pid = 0;
    for (ssize_t i = 0; i < length; ++i) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else if (pid > 0) {
        kill(pid, SIGKILL);
        pid = 0;
      }
    }
    if (waitpid(-1, nullptr, 0) < 0 && errno == ECHILD)
      return;
  }
}

void fill(ExitReport &report, int status, const rusage &usage) {
  report.waitStatus = status;
  report.peakRss = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  report.cpuSeconds = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

void send(const ChildPlan &plan, const ExitReport &report) {
  ssize_t ignored = write(plan.statusFd, &report, sizeof report);
  (void)ignored;
}

/// Collects what has ended. True when the program itself has; its report is filled then.
bool collect(pid_t program, ExitReport &report) {
  bool done = false;
  for (;;) {
    int status = 0;
    rusage usage{};
    pid_t pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid <= 0)
      return done;
    if (pid != program)
      continue;
    done = true;
    fill(report, status, usage);
  }
}

} // namespace

bool canLockMounts() {
  MountAttr nothing{0, 0, 0, 0};
  // A size of 0 is refused by a kernel that knows the call.
  return syscall(SYS_mount_setattr, AT_FDCWD, "", 0u, &nothing, size_t(0)) == 0 || errno != ENOSYS;
}

[[noreturn]] void superviseChild(const ChildPlan &inherited) {
  ChildPlan plan = inherited;
  // Signals first: a handler of the parent must not run here.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < 65; ++number)
    sigaction(number, &standard, nullptr);
  setsid(); // no terminal: ssh must fail rather than ask

  // Descriptors 0..5 in a fixed order, everything else closed. All six are >= 10 (the caller sees to it), so none is overwritten.
  int order[] = {plan.stdinFd, plan.stdoutFd, plan.stderrFd, plan.lifelineFd, plan.statusFd, plan.startupFd};
  for (int i = 0; i < 6; ++i)
    dup2(order[i], i);
  plan.lifelineFd = 3, plan.statusFd = 4, plan.startupFd = 5;
  for (int fd = 3; fd < 6; ++fd)
    fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (syscall(SYS_close_range, 6u, ~0u, 0u) != 0)
    for (int fd = 6; fd < 65536; ++fd)
      close(fd);

  // First to go when memory runs out; before /proc becomes read-only.
  writeText("/proc/self/oom_score_adj", "500");
  if (plan.newUser)
    mapUser(plan);
  if (plan.closed)
    raiseLoopback();
  if (plan.closed && plan.readOnly)
    arrangeMounts(plan);
  if (!plan.closed)
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

  auto program = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (program < 0)
    giveUp(plan, Stage::Fork, errno);
  if (program == 0)
    becomeProgram(plan);
  setpgid(program, program); // both sides, so that neither order of events leaves it undone

  // This process must not keep the program's pipes open, nor the startup pipe.
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; ++fd)
    if (null >= 0)
      dup2(null, fd);
    else
      close(fd);
  close(plan.startupFd);

  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  int childEvents = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  for (;;) {
    ExitReport report{};
    if (collect(program, report)) {
      send(plan, report);
      killAll(plan);
      _exit(0);
    }
    pollfd events[] = {{plan.lifelineFd, POLLIN, 0}, {childEvents, POLLIN, 0}};
    // The period is a safety net in case signalfd could not be made.
    poll(events, 2, childEvents < 0 ? 50 : 1000);
    if (events[1].revents) {
      signalfd_siginfo info;
      while (read(childEvents, &info, sizeof info) > 0) {
      }
    }
    if (!events[0].revents)
      continue;
    char command = kKill;
    if (read(plan.lifelineFd, &command, 1) == 1 && command == kTerminate) {
      kill(-program, SIGTERM);
      continue;
    }
    kill(-program, SIGKILL), kill(program, SIGKILL);
    int status = 0;
    rusage usage{};
    if (wait4(program, &status, 0, &usage) == program) {
      fill(report, status, usage);
      send(plan, report);
    }
    killAll(plan);
    _exit(0);
  }
}

} // namespace flagrelease::launcher
