// The box itself: what a child can and cannot do, how it ends.
#include "devices/Launcher.h"
#include "tests/support/TempFolder.h"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace flagrelease;
using namespace flagrelease::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct Outcome {
  ExitInfo exit;
  std::string out, err;
};

/// Reads both pipes to their end, at most `limit`.
Outcome finish(ChildProcess &child, milliseconds limit = seconds(20)) {
  Outcome outcome;
  auto deadline = std::chrono::steady_clock::now() + limit;
  while ((child.stdoutFd() >= 0 || child.stderrFd() >= 0) && std::chrono::steady_clock::now() < deadline) {
    pollfd events[] = {{child.stdoutFd(), POLLIN, 0}, {child.stderrFd(), POLLIN, 0}};
    poll(events, 2, 100);
    for (int i = 0; i < 2; ++i) {
      char buffer[4096];
      ssize_t got = events[i].revents ? read(events[i].fd, buffer, sizeof buffer) : -1;
      if (got > 0)
        (i == 0 ? outcome.out : outcome.err).append(buffer, static_cast<size_t>(got));
      else if (got == 0)
        i == 0 ? child.closeStdout() : child.closeStderr();
    }
  }
  std::optional<ExitInfo> exit = child.wait(limit);
  REQUIRE(exit);
  outcome.exit = *exit;
  return outcome;
}

LaunchOptions shell(const TempFolder &folder, const std::string &script, Sandbox sandbox = Sandbox::Closed) {
  LaunchOptions options;
  options.argv = {"/bin/sh", "-c", script};
  options.scratch = folder.path;
  options.sandbox = sandbox;
  return options;
}

Outcome runShell(const LaunchOptions &options) {
  Diagnostics diags;
  FailureOr<ChildProcess> child = launch(options, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(child));
  return finish(*child);
}

/// A listener on loopback that accepts nothing: connecting to it works exactly where there is a network.
struct Listener {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int port = 0;
  Listener() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(fd, reinterpret_cast<sockaddr *>(&address), size) == 0);
    REQUIRE(listen(fd, 4) == 0);
    REQUIRE(getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size) == 0);
    port = ntohs(address.sin_port);
  }
  ~Listener() { close(fd); }
};

bool alive(pid_t pid) { return kill(pid, 0) == 0 || errno == EPERM; }

bool gone(pid_t pid, milliseconds limit = seconds(5)) {
  auto deadline = std::chrono::steady_clock::now() + limit;
  while (alive(pid) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(milliseconds(10));
  return !alive(pid);
}

pid_t pidIn(const std::string &path, milliseconds limit = seconds(10)) {
  auto deadline = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < deadline) {
    std::string text = readFile(path);
    if (!text.empty() && text.back() == '\n')
      return std::atoi(text.c_str());
    std::this_thread::sleep_for(milliseconds(10));
  }
  return -1;
}

struct Variable {
  std::string name;
  Variable(const char *name, const char *value) : name(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name.c_str()); }
};

} // namespace

TEST_CASE("a child's output and exit code come back") {
  for (Sandbox sandbox : {Sandbox::Closed, Sandbox::Bare, Sandbox::Exec}) {
    TempFolder folder;
    Outcome outcome = runShell(shell(folder, "echo out; echo err >&2; exit 7", sandbox));
    CHECK(outcome.out == "out\n");
    CHECK(outcome.err == "err\n");
    CHECK(!outcome.exit.signaled);
    CHECK(outcome.exit.str() == "exit code 7");
    outcome = runShell(shell(folder, "kill -SEGV $$", sandbox));
    CHECK(outcome.exit.signaled);
    CHECK(outcome.exit.code == SIGSEGV);
    CHECK(outcome.exit.str() == "signal 11 (Segmentation fault)");
  }
}

TEST_CASE("stdin reaches the child") {
  TempFolder folder;
  Diagnostics diags;
  FailureOr<ChildProcess> child = launch(shell(folder, "read line; echo \"got $line\""), diags);
  REQUIRE(succeeded(child));
  REQUIRE(writeToPipe(child->stdinFd(), "hello\n", 6) == 6);
  CHECK(finish(*child).out == "got hello\n");
  // The reader is gone: an error, and this process lives.
  CHECK(writeToPipe(child->stdinFd(), "hello\n", 6) == -1);
  CHECK(errno == EPIPE);
}

TEST_CASE("no network in the box") {
  Listener listener;
  // bash's /dev/tcp: a shell is there wherever the tests run, python may be not.
  std::string connect = "exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(listener.port) + " && echo connected";
  for (auto [sandbox, expected] : {std::pair(Sandbox::Closed, false), {Sandbox::Bare, true}, {Sandbox::Exec, true}}) {
    TempFolder folder;
    LaunchOptions options = shell(folder, "", sandbox);
    options.argv = {"/bin/bash", "-c", connect};
    Outcome outcome = runShell(options);
    INFO(outcome.err);
    CHECK((outcome.out == "connected\n") == expected);
    // Refused, not unreachable: there is a loopback, and nobody on it.
    if (!expected)
      CHECK_THAT(outcome.err, Catch::Contains("refused"));
  }
}

TEST_CASE("HOME and TMPDIR are private, and the environment holds no secrets") {
  Variable token("HF_TOKEN", "secret-1"), key("AWS_SECRET_ACCESS_KEY", "secret-2"), proxy("HTTPS_PROXY", "http://u:secret-3@h"),
      agent("SSH_AUTH_SOCK", "/agent"), locale("LC_ALL", "C.UTF-8");
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : "";
  for (Sandbox sandbox : {Sandbox::Closed, Sandbox::Bare, Sandbox::Exec}) {
    TempFolder folder;
    LaunchOptions options = shell(
        folder, "env; touch \"$HOME/h\" 2>/dev/null; touch \"${TMPDIR:-/tmp}/t-$$\" && echo t-ok; rm -f \"${TMPDIR:-/tmp}/t-$$\"",
        sandbox);
    if (sandbox == Sandbox::Exec)
      options.argv.back() = "env";
    options.env["MINE"] = "yes";
    Outcome outcome = runShell(options);
    INFO(outcome.out);
    CHECK_THAT(outcome.out, !Catch::Contains("secret-") && Catch::Contains("MINE=yes") && Catch::Contains("LC_ALL=C.UTF-8"));
    if (sandbox == Sandbox::Exec) {
      CHECK_THAT(outcome.out, Catch::Contains("SSH_AUTH_SOCK=/agent"));
      if (!home.empty())
        CHECK_THAT(outcome.out, Catch::Contains("HOME=" + home + "\n"));
    } else {
      CHECK_THAT(outcome.out, !Catch::Contains("SSH_AUTH_SOCK"));
      CHECK_THAT(outcome.out,
                 Catch::Contains("HOME=" + folder.path + "/home\n") && Catch::Contains("TMPDIR=" + folder.path + "/tmp\n"));
      CHECK_THAT(outcome.out, Catch::Contains("t-ok"));
      CHECK(std::filesystem::exists(folder / "home/h"));
    }
  }
}

TEST_CASE("files are read-only but the writable folders") {
  TempFolder folder, inputs, more;
  writeFile(inputs / "model", "weights");
  LaunchOptions options = shell(folder, "cat '" + inputs / "model" + "'; echo x > '" + inputs / "model" + "'; echo y > '" +
                                            more / "made" + "' && echo more; echo z > here && echo here");
  options.writable = {more.path};
  Outcome outcome = runShell(options);
  INFO(outcome.err);
  CHECK_THAT(outcome.out, Catch::Contains("weights"));
  CHECK_THAT(outcome.out, Catch::Contains("more\n") && Catch::Contains("here\n"));
  CHECK(readFile(more / "made") == "y\n");
  CHECK(readFile(folder / "here") == "z\n");
  if (closedBoxText().find("NOT read-only") != std::string::npos) {
    WARN("not checked: " << closedBoxText());
    return;
  }
  CHECK(readFile(inputs / "model") == "weights");
  CHECK_THAT(outcome.err, Catch::Contains("Read-only"));
  // Sockets of daemons are files; a network namespace does not reach them.
  CHECK(runShell(shell(folder, "ls -A /run")).out == "");
  // Unless something in there is needed.
  options = shell(folder, "ls -dA /run/*");
  options.readable = {"/run/some/model"};
  CHECK((runShell(options).out != "" || std::filesystem::is_empty("/run")));
}

TEST_CASE("the box cannot be opened again from inside") {
  TempFolder folder;
  Outcome outcome =
      runShell(shell(folder, "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; mount -o remount,rw / && echo remounted"));
  CHECK_THAT(outcome.out, !Catch::Contains("remounted"));
  CHECK_THAT(outcome.out, Catch::Contains("NoNewPrivs:\t1"));
  // DAC_OVERRIDE and DAC_READ_SEARCH at most.
  size_t at = outcome.out.find("CapEff:\t");
  REQUIRE(at != std::string::npos);
  CHECK((std::stoull(outcome.out.substr(at + 8), nullptr, 16) & ~0x6ull) == 0);
}

TEST_CASE("limits apply") {
  TempFolder folder;
  LaunchOptions options = shell(folder, "ulimit -n; ulimit -c; ulimit -d; head -c 100000 /dev/zero > big; wc -c < big");
  options.maxOpenFiles = 123;
  options.maxDataBytes = uint64_t(64) << 20;
  options.maxFileBytes = 65536;
  Outcome outcome = runShell(options);
  CHECK(outcome.out == "123\n0\n65536\n65536\n");
}

TEST_CASE("a grandchild ends with the child, also one that left the group") {
  for (Sandbox sandbox : {Sandbox::Closed, Sandbox::Bare, Sandbox::Exec}) {
    for (bool byItself : {true, false}) {
      TempFolder folder;
      // The write end of this pipe lives exactly as long as any process of the tree: process ids do not help inside the
      // namespace.
      int alive[2];
      REQUIRE(pipe(alive) == 0);
      Diagnostics diags;
      FailureOr<ChildProcess> child =
          launch(shell(folder,
                       std::string("setsid sh -c 'echo up; trap \"\" TERM HUP; sleep 1000' & setsid sleep 1000 & ") +
                           (byItself ? "sleep 0.2; exit 3" : "wait"),
                       sandbox),
                 diags);
      REQUIRE(succeeded(child));
      close(alive[0]), close(alive[1]);
      if (!byItself) {
        std::this_thread::sleep_for(milliseconds(200));
        child->end(milliseconds(100));
      }
      // stdout is held by the grandchildren: its end means that all of them are gone.
      Outcome outcome = finish(*child, seconds(10));
      CHECK(child->stdoutFd() == -1);
      CHECK(outcome.out == "up\n");
      CHECK((byItself ? outcome.exit.code == 3 : outcome.exit.signaled));
    }
  }
}

TEST_CASE("SIGTERM first, SIGKILL after the grace") {
  TempFolder folder;
  Diagnostics diags;
  FailureOr<ChildProcess> polite =
      launch(shell(folder, "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done"), diags);
  REQUIRE(succeeded(polite));
  std::this_thread::sleep_for(milliseconds(300));
  CHECK(polite->end(seconds(5)).code == 5);

  FailureOr<ChildProcess> stubborn = launch(shell(folder, "trap '' TERM; while :; do sleep 0.05; done"), diags);
  REQUIRE(succeeded(stubborn));
  std::this_thread::sleep_for(milliseconds(200));
  auto begin = std::chrono::steady_clock::now();
  ExitInfo info = stubborn->end(milliseconds(300));
  CHECK(info.signaled);
  CHECK(info.code == SIGKILL);
  CHECK(std::chrono::steady_clock::now() - begin < seconds(4));
}

TEST_CASE("everything ends when the starting process is killed") {
  for (Sandbox sandbox : {Sandbox::Closed, Sandbox::Bare}) {
    TempFolder folder;
    // The child's stdout is a pipe into this process: its end tells that nobody of the tree is left.
    int watch[2];
    REQUIRE(pipe(watch) == 0);
    pid_t starter = fork();
    if (starter == 0) {
      Diagnostics diags;
      dup2(watch[1], 2);
      LaunchOptions options = shell(folder, "echo $$ > pid; sleep 1000 & wait", sandbox);
      FailureOr<ChildProcess> child = launch(options, diags);
      pause();
      _exit(0);
    }
    close(watch[1]);
    REQUIRE(pidIn(folder / "pid") > 0);
    // The supervisor is the starter's only child.
    std::string children = readFile("/proc/" + std::to_string(starter) + "/task/" + std::to_string(starter) + "/children");
    pid_t supervisor = std::atoi(children.c_str());
    REQUIRE(supervisor > 0);
    std::string below = readFile("/proc/" + std::to_string(supervisor) + "/task/" + std::to_string(supervisor) + "/children");
    pid_t program = std::atoi(below.c_str());
    REQUIRE(program > 0);
    kill(starter, SIGKILL);
    waitpid(starter, nullptr, 0);
    CHECK(gone(program));
    CHECK(gone(supervisor));
    close(watch[0]);
  }
}

TEST_CASE("a thread that ends does not take its child along") {
  TempFolder folder;
  Diagnostics diags;
  std::optional<ChildProcess> child;
  std::thread([&] {
    FailureOr<ChildProcess> started = launch(shell(folder, "sleep 0.3; echo still here"), diags);
    if (succeeded(started))
      child = std::move(*started);
  }).join();
  REQUIRE(child);
  CHECK(finish(*child).out == "still here\n");
}

TEST_CASE("programs that cannot be started") {
  TempFolder folder;
  writeFile(folder / "no-interpreter", "#!/no/such/interpreter\n");
  std::filesystem::permissions(folder / "no-interpreter", std::filesystem::perms::owner_all);
  writeFile(folder / "not-executable", "x");
  struct Row {
    std::string program;
    const char *text;
  };
  for (const Row &row :
       {Row{"/no/such/program", "no such program"}, Row{"no-such-program-anywhere", "no such program in PATH"},
        Row{folder / "no-interpreter", "cannot execute: No such file"}, Row{folder / "not-executable", "no such program"}}) {
    for (Sandbox sandbox : {Sandbox::Closed, Sandbox::Exec}) {
      LaunchOptions options = shell(folder, "", sandbox);
      options.argv = {row.program};
      Diagnostics diags;
      CHECK(failed(launch(options, diags)));
      REQUIRE(diags.errors().size() == 1);
      CHECK(diags.errors()[0].cause == Cause::Environment);
      CHECK_THAT(textOf(diags), Catch::Contains(row.text));
    }
  }
}

TEST_CASE("an ordinary user gets the same box") {
  if (geteuid() != 0) {
    SUCCEED("all tests above ran as an ordinary user");
    return;
  }
  Listener listener;
  // A folder that this user may enter: its parent is world-accessible, itself belongs to the user.
  TempFolder folder("/var/tmp");
  const uid_t user = 65534;
  REQUIRE(chown(folder.path.c_str(), user, user) == 0);
  int result[2];
  REQUIRE(pipe(result) == 0);
  pid_t child = fork();
  if (child == 0) {
    if (setgid(user) != 0 || setuid(user) != 0)
      _exit(99);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); // setuid took it; without, /proc/self belongs to root
    Diagnostics diags;
    LaunchOptions options;
    options.argv = {"/bin/bash", "-c",
                    "id -u; touch /var/tmp/nobody-was-here && echo wrote; exec 3<>/dev/tcp/127.0.0.1/" +
                        std::to_string(listener.port) + " && echo connected; echo $PPID"};
    options.scratch = folder.path;
    FailureOr<ChildProcess> started = launch(options, diags);
    std::string text = failed(started) ? textOf(diags) : finish(*started).out;
    ssize_t ignored = write(result[1], text.data(), text.size());
    (void)ignored;
    _exit(0);
  }
  close(result[1]);
  std::string text;
  char buffer[512];
  for (ssize_t got; (got = read(result[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(got));
  close(result[0]);
  waitpid(child, nullptr, 0);
  if (text.find("the kernel refuses") != std::string::npos) {
    WARN("skipped: this kernel gives ordinary users no user namespaces: " + text);
    return;
  }
  // Process 1 of a namespace is the parent.
  CHECK(text == "65534\n1\n");
}
