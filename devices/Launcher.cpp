#include "devices/Launcher.h"

#include "devices/LauncherChild.h"

#include "llvm/ADT/SmallVector.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace flagrelease {

namespace {

using launcher::ChildPlan;
using launcher::Stage;

const char *const kEveryBox[] = {"PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH"};
const char *const kExecBox[] = {"HOME",
                                "USER",
                                "LOGNAME",
                                "SHELL",
                                "TMPDIR",
                                "SSH_AUTH_SOCK",
                                "KUBECONFIG",
                                "DOCKER_HOST",
                                "DOCKER_CONFIG",
                                "DOCKER_CONTEXT",
                                "DOCKER_TLS_VERIFY",
                                "DOCKER_CERT_PATH",
                                "XDG_RUNTIME_DIR",
                                "CONTAINER_HOST"};
const char *const kExecPrefixes[] = {"SLURM_", "PBS_", "LSB_"};

bool allowed(StringRef name, Sandbox sandbox) {
  if (llvm::is_contained(kEveryBox, name) || name.starts_with("LC_"))
    return true;
  if (sandbox != Sandbox::Exec)
    return false;
  return llvm::is_contained(kExecBox, name) ||
         llvm::any_of(kExecPrefixes, [&](const char *prefix) { return name.starts_with(prefix); });
}

/// Owns a descriptor until it is handed over.
struct Fd {
  int fd = -1;
  Fd() = default;
  explicit Fd(int fd) : fd(fd) {}
  Fd(Fd &&other) noexcept : fd(other.release()) {}
  Fd &operator=(Fd &&other) noexcept {
    std::swap(fd, other.fd);
    return *this;
  }
  ~Fd() { reset(); }
  int release() { return std::exchange(fd, -1); }
  void reset() {
    if (fd >= 0)
      ::close(fd);
    fd = -1;
  }
};

/// A pipe whose ends are both at 10 or above: the child moves them to 0..5.
bool makePipe(Fd &readEnd, Fd &writeEnd) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return false;
  for (int &end : ends)
    if (end < 10) {
      int moved = fcntl(end, F_DUPFD_CLOEXEC, 10);
      ::close(end);
      end = moved;
    }
  readEnd = Fd(ends[0]), writeEnd = Fd(ends[1]);
  return ends[0] >= 0 && ends[1] >= 0;
}

struct Pipes {
  Fd inRead, inWrite, outRead, outWrite, errRead, errWrite, lifeRead, lifeWrite, statusRead, statusWrite, startRead, startWrite;
  bool make() {
    return makePipe(inRead, inWrite) && makePipe(outRead, outWrite) && makePipe(errRead, errWrite) &&
           makePipe(lifeRead, lifeWrite) && makePipe(statusRead, statusWrite) && makePipe(startRead, startWrite);
  }
};

const char *stageText(Stage stage) {
  switch (stage) {
  case Stage::UserMap:
    return "cannot map the user into a new user namespace";
  case Stage::Mounts:
    return "cannot arrange the mounts of a new mount namespace";
  case Stage::ReadOnly:
    return "cannot make the file systems read-only";
  case Stage::Limits:
    return "cannot set a resource limit";
  case Stage::Privileges:
    return "cannot drop privileges";
  case Stage::Folder:
    return "cannot enter the working folder";
  case Stage::Fork:
    return "cannot start a process";
  case Stage::Exec:
    return "cannot execute";
  }
  return "cannot start";
}

const char *const kSandboxRemedy =
    "allow user namespaces for this user (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns; in a container: --security-opt seccomp=unconfined or --cap-add SYS_ADMIN), or "
    "run "
    "without the box: --no-sandbox (recorded in the report)";

bool under(StringRef path, StringRef folder) {
  return path == folder || (path.starts_with(folder) && path.size() > folder.size() && path[folder.size()] == '/');
}

/// Sockets of daemons (containers, session bus) live in /run, where a network namespace does not reach. Hidden, unless
/// something that the child needs lies there.
bool mayHideRun(const LaunchOptions &options, const std::string &program, const std::map<std::string, std::string> &env) {
  std::vector<std::string> needed = options.readable;
  needed.insert(needed.end(), options.writable.begin(), options.writable.end());
  needed.insert(needed.end(), {options.scratch, options.workingFolder, program});
  for (const char *list : {"PATH", "LD_LIBRARY_PATH"})
    if (auto it = env.find(list); it != env.end()) {
      llvm::SmallVector<StringRef, 16> parts;
      StringRef(it->second).split(parts, ':', -1, false);
      for (StringRef part : parts)
        needed.push_back(part.str());
    }
  for (const std::string &path : needed) {
    std::error_code ignored;
    std::string real = std::filesystem::weakly_canonical(path, ignored).string();
    for (StringRef spelled : {StringRef(path), StringRef(real)})
      if (under(spelled, "/run") || under(spelled, "/var/run"))
        return false;
  }
  return true;
}

bool canBeReadOnly() {
  struct statx info{};
  // In a chroot "/" is a plain folder: its mounts cannot be made private there, so they are left alone.
  return launcher::canLockMounts() && statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, &info) == 0 &&
         (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) && (info.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

std::vector<launcher::Limit> limitsOf(const LaunchOptions &options) {
  std::vector<launcher::Limit> limits;
  auto add = [&](int resource, uint64_t value) {
    rlimit now{};
    // A hard limit can only be lowered.
    if (getrlimit(static_cast<__rlimit_resource>(resource), &now) == 0)
      limits.push_back({resource, std::min<rlim_t>(value, now.rlim_max)});
  };
  add(RLIMIT_CORE, 0); // a core file would hold the user's weights
  add(RLIMIT_NOFILE, options.maxOpenFiles);
  if (options.maxFileBytes)
    add(RLIMIT_FSIZE, options.maxFileBytes);
  if (options.maxDataBytes)
    add(RLIMIT_DATA, options.maxDataBytes);
  return limits;
}

pid_t cloneChild(unsigned long flags) {
  // Like fork, without its handlers: the child makes system calls only.
  return static_cast<pid_t>(syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

} // namespace

std::string findProgram(StringRef name, StringRef path) {
  auto executable = [](const std::string &file) {
    struct stat info{};
    return ::stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(file.c_str(), X_OK) == 0;
  };
  if (name.contains('/')) {
    std::error_code ignored;
    std::string full = std::filesystem::absolute(name.str(), ignored).string();
    return executable(full) ? full : "";
  }
  llvm::SmallVector<StringRef, 16> folders;
  path.split(folders, ':', -1, false);
  for (StringRef folder : folders) {
    std::string full = (folder + "/" + name).str();
    if (folder.starts_with("/") && executable(full))
      return full;
  }
  return "";
}

bool closedBoxIsReadOnly() { return canBeReadOnly(); }

std::string closedBoxText() {
  return std::string("sandbox: no network, own processes, ") +
         (canBeReadOnly() ? "files read-only" : "files NOT read-only (chroot or old kernel)") +
         ", private home and temporary folder";
}

std::map<std::string, std::string> childEnvironment(const LaunchOptions &options) {
  std::map<std::string, std::string> env;
  for (char **entry = environ; entry && *entry; ++entry) {
    auto [name, value] = StringRef(*entry).split('=');
    if (allowed(name, options.sandbox))
      env[name.str()] = value.str();
  }
  if (!env.count("PATH"))
    env["PATH"] = "/usr/local/bin:/usr/bin:/bin";
  if (options.sandbox != Sandbox::Exec) {
    env["HOME"] = options.scratch + "/home";
    env["TMPDIR"] = options.scratch + "/tmp";
  }
  for (const auto &[name, value] : options.env)
    env[name] = value;
  return env;
}

FailureOr<ChildProcess> launch(const LaunchOptions &options, Diagnostics &diags) {
  assert(!options.argv.empty());
  const std::map<std::string, std::string> env = childEnvironment(options);
  const std::string program = findProgram(options.argv[0], env.at("PATH"));
  if (program.empty())
    return diags.error(options.argv[0], "no such program" + Twine(StringRef(options.argv[0]).contains('/') ? "" : " in PATH"),
                       "install it, or give its full path", Cause::Environment);
  const bool closed = options.sandbox == Sandbox::Closed;
  if (options.sandbox != Sandbox::Exec)
    for (const char *folder : {"/home", "/tmp"})
      if (::mkdir((options.scratch + folder).c_str(), 0700) != 0 && errno != EEXIST)
        return diags.error(options.scratch + folder, "cannot make the folder: " + Twine(strerror(errno)),
                           "check permissions and space", Cause::Environment);

  // Everything the child reads is made here: it may not allocate.
  std::vector<char *> argv, envp;
  std::vector<std::string> envText;
  for (const std::string &word : options.argv)
    argv.push_back(const_cast<char *>(word.c_str()));
  argv.push_back(nullptr);
  for (const auto &[name, value] : env)
    envText.push_back(name + "=" + value);
  for (std::string &text : envText)
    envp.push_back(text.data());
  envp.push_back(nullptr);
  std::vector<std::string> writableText = options.writable;
  writableText.push_back(options.scratch);
  std::vector<const char *> writable;
  for (const std::string &folder : writableText)
    if (!folder.empty())
      writable.push_back(folder.c_str());
  std::vector<const char *> hidden;
  if (closed && mayHideRun(options, program, env))
    hidden.push_back("/run");
  const std::string uidMap = std::to_string(geteuid()) + " " + std::to_string(geteuid()) + " 1\n";
  const std::string gidMap = std::to_string(getegid()) + " " + std::to_string(getegid()) + " 1\n";
  const std::vector<launcher::Limit> limits = limitsOf(options);
  std::string folder = !options.workingFolder.empty() ? options.workingFolder : !options.scratch.empty() ? options.scratch : "/";

  Pipes pipes;
  if (!pipes.make())
    return diags.error(options.argv[0], "cannot make pipes: " + Twine(strerror(errno)),
                       "raise the limit of open files (ulimit -n)", Cause::Environment);

  ChildPlan plan{};
  plan.stdinFd = pipes.inRead.fd, plan.stdoutFd = pipes.outWrite.fd, plan.stderrFd = pipes.errWrite.fd;
  plan.lifelineFd = pipes.lifeRead.fd, plan.statusFd = pipes.statusWrite.fd, plan.startupFd = pipes.startWrite.fd;
  plan.program = program.c_str(), plan.argv = argv.data(), plan.envp = envp.data(), plan.folder = folder.c_str();
  plan.limits = limits.data(), plan.limitCount = limits.size();
  plan.closed = closed;
  plan.uidMap = uidMap.c_str(), plan.gidMap = gidMap.c_str();
  plan.readOnly = closed && canBeReadOnly();
  plan.writable = writable.data(), plan.writableCount = writable.size();
  plan.hidden = hidden.data(), plan.hiddenCount = hidden.size();

  const unsigned long box = closed ? CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC : 0;
  pid_t pid = -1;
  int error = EPERM;
  // Root needs no user namespace; a root without CAP_SYS_ADMIN (a container) may still be allowed one.
  if (!closed || geteuid() == 0) {
    pid = cloneChild(box);
    error = errno;
    if (pid == 0)
      launcher::superviseChild(plan);
  }
  if (pid < 0 && closed && error == EPERM) {
    plan.newUser = true;
    pid = cloneChild(box | CLONE_NEWUSER);
    error = errno;
    if (pid == 0)
      launcher::superviseChild(plan);
  }
  if (pid < 0) {
    bool refused = closed && (error == EPERM || error == ENOSPC || error == EINVAL || error == EUSERS || error == ENOSYS);
    return diags.error(options.argv[0],
                       (refused ? "the kernel refuses the sandbox (new namespaces): " : "cannot start a process: ") +
                           Twine(strerror(error)),
                       refused ? kSandboxRemedy : "free memory or raise the limit of processes (ulimit -u)", Cause::Environment);
  }

  ChildProcess child;
  child.supervisor = pid;
  child.in = pipes.inWrite.release(), child.out = pipes.outRead.release(), child.err = pipes.errRead.release();
  child.lifeline = pipes.lifeWrite.release(), child.status = pipes.statusRead.release();
  for (int fd : {child.in, child.out, child.err})
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  // Our copies of the child's ends: with them open, its death would not close the pipes.
  for (Fd *end : {&pipes.inRead, &pipes.outWrite, &pipes.errWrite, &pipes.lifeRead, &pipes.statusWrite, &pipes.startWrite})
    end->reset();

  launcher::StartupError startup{};
  pollfd started{pipes.startRead.fd, POLLIN, 0};
  ssize_t got = 0;
  if (::poll(&started, 1, 30'000) <= 0)
    return diags.error(options.argv[0], "did not start within 30 s", "look at the load of this machine", Cause::Environment);
  while ((got = ::read(pipes.startRead.fd, &startup, sizeof startup)) < 0 && errno == EINTR) {
  }
  if (got == static_cast<ssize_t>(sizeof startup)) {
    bool isBox = startup.stage == Stage::UserMap || startup.stage == Stage::Mounts || startup.stage == Stage::ReadOnly ||
                 startup.stage == Stage::Privileges;
    return diags.error(startup.stage == Stage::Folder ? folder : options.argv[0],
                       (isBox ? "the kernel refuses the sandbox: " : "") + Twine(stageText(startup.stage)) + ": " +
                           strerror(startup.error),
                       isBox ? kSandboxRemedy : "check that it can be run by this user", Cause::Environment);
  }
  return std::move(child);
}

} // namespace flagrelease
