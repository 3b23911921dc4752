// A device behind a real ssh server, bound to loopback: keys, port and home in temporary folders.
#include "tests/devices/OnnxModels.h"
#include "tests/devices/Support.h"

#include "devices/Launcher.h"

#include <arpa/inet.h>
#include <csignal>
#include <cstdlib>
#include <netinet/in.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

std::string program(const char *name) { return findProgram(name, "/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin"); }

bool runTool(const std::vector<std::string> &argv, const TempFolder &scratch) {
  LaunchOptions options;
  options.argv = argv, options.scratch = scratch.path, options.sandbox = Sandbox::Bare;
  Diagnostics diags;
  FailureOr<ChildProcess> child = launch(options, diags);
  if (failed(child))
    return false;
  std::optional<ExitInfo> exit = child->wait(std::chrono::seconds(30));
  return exit && !exit->signaled && exit->code == 0;
}

int freePort() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int port = 0;
  if (bind(fd, reinterpret_cast<sockaddr *>(&address), size) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size) == 0)
    port = ntohs(address.sin_port);
  close(fd);
  return port;
}

/// dropbear reads ~/.ssh/authorized_keys of the user it lets in. So that no real home is touched, it runs in a mount namespace in
/// which a folder of the test lies over that home (and the Python below it stays visible).
class Server {
public:
  Server(const TempFolder &keys, const TempFolder &home, int port) {
    const passwd *user = getpwuid(geteuid());
    userName = user->pw_name;
    const std::string realHome = user->pw_dir, dropbear = program("dropbear"), key = keys / "host",
                      where = "127.0.0.1:" + std::to_string(port);
    const std::string layers = "lowerdir=" + realHome + ",upperdir=" + home / "upper" + ",workdir=" + home / "work";
    pid = fork();
    if (pid != 0)
      return;
    // Only system calls that work in a forked test program.
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("overlay", realHome.c_str(), "overlay", 0, layers.c_str()) != 0)
      _exit(77);
    freopen((keys / "log").c_str(), "w", stderr);
    execl(dropbear.c_str(), "dropbear", "-F", "-E", "-s", "-j", "-k", "-m", "-p", where.c_str(), "-P", (keys / "pid").c_str(),
          "-r", key.c_str(), nullptr);
    _exit(78);
  }
  ~Server() {
    if (pid > 0 && !ended) {
      kill(pid, SIGTERM);
      waitpid(pid, nullptr, 0);
    }
  }
  /// False if it has ended already; else waits until it listens.
  bool up(int port) {
    for (int i = 0; i < 200; ++i) {
      if (waitpid(pid, nullptr, WNOHANG) == pid) {
        ended = true;
        return false;
      }
      int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<uint16_t>(port));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      bool connected = connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0;
      close(fd);
      if (connected)
        return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    return false;
  }
  std::string userName;

private:
  pid_t pid = -1;
  bool ended = false;
};

} // namespace

TEST_CASE("a device behind ssh", "[ssh]") {
  for (const char *needed : {"dropbear", "dropbearkey", "ssh"})
    if (program(needed).empty()) {
      skip(std::string(needed) + " is not installed");
      return;
    }
  if (geteuid() != 0) {
    skip("the server needs root, to show its user another home");
    return;
  }
  if (!haveOrt())
    return;

  TempFolder keys, home("/var/tmp"), model;
  REQUIRE(runTool({program("dropbearkey"), "-t", "ecdsa", "-f", keys / "host"}, keys));
  REQUIRE(runTool({program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", keys / "id"}, keys));
  std::filesystem::create_directories(home / "upper/.ssh");
  std::filesystem::create_directories(home / "work");
  writeFile(home / "upper/.ssh/authorized_keys", readFile(keys / "id.pub"));
  // A login script that greets, as many hosts have: noise before the first frame.
  writeFile(home / "upper/.bashrc", "echo Welcome to this cluster\n");
  for (const char *path : {"upper", "upper/.ssh"})
    chmod((home / path).c_str(), 0700);
  chmod((home / "upper/.ssh/authorized_keys").c_str(), 0600);
  const int port = freePort();
  Server server(keys, home, port);
  if (!server.up(port)) {
    skip("dropbear did not start: " + readFile(keys / "log"));
    return;
  }

  writeFile(model / "model.onnx", externalModel("weights.bin", 0));
  const float weights[] = {1, 2, 3, 4, 5, 6, 7, 8};
  std::string data(reinterpret_cast<const char *>(weights), sizeof weights);
  data.resize(size_t(3) << 20, '\n'); // every byte value must pass, line ends included
  for (size_t i = 64; i < data.size(); ++i)
    data[i] = static_cast<char>(i * 131);
  writeFile(model / "weights.bin", data);

  auto device = [&](const std::string &identity) {
    DeviceEntry entry;
    entry.name = "h1", entry.chip = "x86-64", entry.runner = "ort";
    entry.exec = {"ssh",
                  "-F",
                  "/dev/null",
                  "-p",
                  std::to_string(port),
                  "-i",
                  identity,
                  "-o",
                  "IdentitiesOnly=yes",
                  "-o",
                  "StrictHostKeyChecking=no",
                  "-o",
                  "UserKnownHostsFile=/dev/null",
                  "-o",
                  "LogLevel=ERROR",
                  server.userName + "@127.0.0.1",
                  "env",
                  "FROM=ssh",
                  findRunnerPython()};
    entry.env = {{"QUOTED", "two words; $(nothing) 'runs' \"here\""}};
    return entry;
  };
  DeviceConfig config = testConfig();
  for (bool push : {true, false}) {
    DeviceEntry entry = device(keys / "id");
    entry.push = push;
    config.entries = {entry};
    Diagnostics diags;
    FailureOr<std::unique_ptr<Device>> opened = openDevice("h1", config, diags);
    INFO(textOf(diags) << readFile(keys / "log"));
    REQUIRE(succeeded(opened));
    CHECK((*opened)->isolation() == "exec: ssh (its own environment, not sandboxed)");
    REQUIRE(succeeded((*opened)->load(model.path, {}, diags)));
    FailureOr<NamedTensors> out = (*opened)->run({{"x", floats({1, 4}, {1, 10, 100, 1000})}}, diags);
    REQUIRE(succeeded(out));
    CHECK(out->at("y").as<float>()[0] == 7531);
    CHECK(out->at("y").as<float>()[1] == 8642);
  }

  // A key that the server does not know: an answer, no prompt.
  REQUIRE(runTool({program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", keys / "other"}, keys));
  config.entries = {device(keys / "other")};
  Diagnostics diags;
  DeviceFault fault = DeviceFault::None;
  CHECK(failed(openDevice("h1", config, diags, &fault)));
  CHECK(fault == DeviceFault::Start);
  CHECK(diags.errors()[0].cause == Cause::Environment);
  CHECK_THAT(textOf(diags), Catch::Contains("Permission denied"));
}
