// Runs that die, stop, fail, or meet another one, in processes of their own: the next run completes with the same bytes.
#include "tests/support/TempFolder.h"
#include "weights/FailPoint.h"

#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <linux/fs.h>
#include <map>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

struct Result {
  int exitCode = -1; ///< minus the signal if one ended it
  std::string out, err;
};

pid_t start(const std::vector<std::string> &arguments, const std::string &failPoint, const std::string &logs) {
  std::vector<std::string> words = {PLACE_HELPER};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char *> argv, envp;
  for (std::string &word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string variable = "FLAGRELEASE_FAIL_POINT=" + failPoint;
  if (!failPoint.empty())
    envp.push_back(variable.data());
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, (logs + ".out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (logs + ".err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = -1;
  int error = ::posix_spawn(&pid, PLACE_HELPER, &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  REQUIRE(error == 0);
  return pid;
}

Result finish(pid_t pid, const std::string &logs) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), readFile(logs + ".out"), readFile(logs + ".err")};
}

/// Hundreds of runs that sync every step: in memory where there is such a file system.
std::string quickPlace() {
  return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path().string();
}

struct World {
  TempFolder folder;
  std::string source = folder / "source", out = folder / "out", logs = folder / "log";

  explicit World(const std::string &parent = std::filesystem::temp_directory_path().string()) : folder(parent) {
    std::string a(3'000'000, '\0'), b(900'000, '\0');
    for (size_t i = 0; i < a.size(); ++i)
      a[i] = static_cast<char>(i * i % 253);
    for (size_t i = 0; i < b.size(); ++i)
      b[i] = static_cast<char>(i * 7 % 255);
    writeFile(source + "/a.bin", a);
    writeFile(source + "/b.bin", b);
  }
  Result run(std::vector<std::string> extra = {}, const std::string &failPoint = "", const std::string &to = "") {
    std::vector<std::string> arguments = {source, to.empty() ? out : to};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return finish(start(arguments, failPoint, logs), logs);
  }
};

/// Path -> content of everything that is published.
std::map<std::string, std::string> published(const std::string &out) {
  std::map<std::string, std::string> files;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(out)) {
    std::string relative = std::filesystem::relative(entry.path(), out).string();
    if (entry.is_regular_file() && !relative.starts_with(".flagrelease"))
      files[relative] = readFile(entry.path().string());
  }
  return files;
}

/// Path -> inode, size and times of everything, our own folder too: what "0 bytes written" means.
std::map<std::string, std::string> everything(const std::string &out) {
  std::map<std::string, std::string> files;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(out)) {
    struct stat info;
    REQUIRE(::lstat(entry.path().c_str(), &info) == 0);
    files[entry.path().string()] = std::to_string(info.st_ino) + " " + std::to_string(info.st_size) + " " +
                                   std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec) + " " +
                                   std::to_string(info.st_ctim.tv_nsec);
  }
  return files;
}

} // namespace

TEST_CASE("a run that is killed, stopped or fails anywhere is completed by the next, with the same bytes") {
  World world(quickPlace());
  Result clean = world.run({}, "", world.folder / "clean");
  INFO(clean.err);
  REQUIRE(clean.exitCode == 0);
  const auto expected = published(world.folder / "clean");
  REQUIRE(expected.size() == 5);

  struct Row {
    const char *suffix;
    int exitCode;
  };
  int interrupted = 0;
  for (StringRef point : failPointNames())
    for (Row row : {Row{":kill", -SIGKILL}, Row{"@3:kill", -SIGKILL}, Row{":stop", 75}, Row{":error", 3}}) {
      if (point == "force-during-remove")
        continue; // below
      std::string where = point.str() + row.suffix;
      std::filesystem::remove_all(world.out);
      Result first = world.run({"--jobs", "2"}, where);
      INFO(where << ": exit " << first.exitCode << "\n" << first.err);
      // 0: the point is not reached three times, or there was nothing left to do when the run was asked to stop.
      CHECK((first.exitCode == row.exitCode ||
             (first.exitCode == 0 && StringRef(row.suffix) != ":kill" && StringRef(row.suffix) != ":error")));
      interrupted += first.exitCode != 0;
      // Nothing half-written has a final name.
      for (const auto &[path, content] :
           std::filesystem::exists(world.out) ? published(world.out) : std::map<std::string, std::string>())
        CHECK((expected.count(path) && expected.at(path) == content));
      Result second = world.run();
      INFO("then: exit " << second.exitCode << "\n" << second.err);
      CHECK(second.exitCode == 0);
      CHECK((published(world.out) == expected));
    }
  CHECK(interrupted > 45);
}

TEST_CASE("a finished one is left alone: nothing is written") {
  World world;
  REQUIRE(world.run().exitCode == 0);
  auto before = everything(world.out);
  Result again = world.run();
  CHECK(again.exitCode == 0);
  CHECK(again.out == "finished\n");
  CHECK((everything(world.out) == before));

  Result other = world.run({"--option", "fp16"});
  CHECK(other.exitCode == 2);
  CHECK_THAT(other.err, Catch::Contains("holds a finished migration with other inputs: --option is new (fp16)") &&
                            Catch::Contains("--force"));
  CHECK((everything(world.out) == before));

  // A file that went away is made again, the others are kept.
  std::filesystem::remove(world.out + "/model/b.bin");
  Result repaired = world.run();
  CHECK(repaired.out == "resume\n");
  CHECK(repaired.exitCode == 0);
  CHECK(std::filesystem::exists(world.out + "/model/b.bin"));
}

TEST_CASE("an unfinished one with other inputs is not continued; --force replaces it, and removes nothing else") {
  World world;
  CHECK(world.run({"--option", "old"}, "file-after-done@2").exitCode == -SIGKILL);
  Result other = world.run({"--option", "new"});
  CHECK(other.exitCode == 2);
  CHECK_THAT(other.err, Catch::Contains("holds an unfinished migration with other inputs: --option was old, is new"));
  writeFile(world.out + "/notes.txt", "mine");
  writeFile(world.out + "/mine/deep.txt", "mine too");
  Result forced = world.run({"--option", "new", "--force"});
  INFO(forced.err);
  CHECK(forced.exitCode == 0);
  CHECK(forced.out == "start\n");
  CHECK(readFile(world.out + "/notes.txt") == "mine");
  CHECK(readFile(world.out + "/mine/deep.txt") == "mine too");

  // Killed while it removes: only --force goes on, and nothing of ours is mistaken for somebody else's.
  CHECK(world.run({"--option", "newer", "--force"}, "force-during-remove@2").exitCode == -SIGKILL);
  Result half = world.run({"--option", "new"});
  CHECK(half.exitCode == 2);
  CHECK_THAT(half.err, Catch::Contains("interrupted while it removed"));
  CHECK(world.run({"--option", "newer", "--force"}).exitCode == 0);
  CHECK(readFile(world.out + "/notes.txt") == "mine");
}

TEST_CASE("files of somebody else where the output goes are named and kept, with --force too") {
  World world;
  writeFile(world.out + "/model/theirs.bin", "x");
  writeFile(world.out + "/README.md", "y");
  for (std::vector<std::string> extra : {std::vector<std::string>{}, {"--force"}}) {
    Result result = world.run(extra);
    CHECK(result.exitCode == 2);
    CHECK_THAT(result.err, Catch::Contains("README.md, model/theirs.bin"));
    CHECK(readFile(world.out + "/model/theirs.bin") == "x");
    CHECK_FALSE(std::filesystem::exists(world.out + "/.flagrelease"));
  }
  std::filesystem::remove_all(world.out);
  CHECK(world.run().exitCode == 0);
  writeFile(world.out + "/model/theirs.bin", "x");
  Result forced = world.run({"--force"});
  CHECK(forced.exitCode == 2);
  CHECK(readFile(world.out + "/model/theirs.bin") == "x");
}

TEST_CASE("two runs on one folder: one works, the other is told at once, or waits") {
  World world;
  pid_t holder = start({world.source, world.out, "--hold", "2500"}, "", world.folder / "first");
  for (int i = 0; i < 100 && readFile(world.folder / "first.out").empty(); ++i)
    ::usleep(20'000);
  auto begin = std::chrono::steady_clock::now();
  Result second = world.run();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
  CHECK(second.exitCode == 75);
  CHECK_THAT(second.err,
             Catch::Contains("in use by another run (process " + std::to_string(holder) + ")") && Catch::Contains("--wait 10m"));
  Result waiting = world.run({"--wait", "20000"});
  CHECK(waiting.exitCode == 0);
  CHECK(waiting.out == "finished\n");
  CHECK(finish(holder, world.folder / "first").exitCode == 0);
  // The lock of a killed run is nobody's.
  std::filesystem::remove_all(world.out);
  CHECK(world.run({}, "file-after-begin").exitCode == -SIGKILL);
  CHECK(world.run().exitCode == 0);
}

TEST_CASE("a full disk ends with exit 3, and the next run completes with the same bytes") {
  World world;
  REQUIRE(world.run({}, "", world.folder / "clean").exitCode == 0);
  std::string disk = world.folder / "disk";
  std::filesystem::create_directory(disk);
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2m") != 0) {
    WARN("not run: a small tmpfs cannot be mounted here (" << std::strerror(errno) << ")");
    return;
  }
  Result early = world.run({}, "", disk + "/out");
  CHECK(early.exitCode == 3);
  CHECK_THAT(early.err, Catch::Contains("needs") && Catch::Contains("free"));
  for (const char *size : {"size=2m", "size=3500k", "size=4200k", "size=4400k"}) {
    INFO(size);
    CHECK(::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, size) == 0);
    Result full = world.run({"--no-space-check"}, "", disk + "/out");
    CHECK(full.exitCode == 3);
    CHECK_THAT(full.err, Catch::Contains("No space left on device") && Catch::Contains("run the same command again"));
  }
  REQUIRE(::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0);
  Result after = world.run({}, "", disk + "/out");
  INFO(after.err);
  CHECK(after.exitCode == 0);
  CHECK(after.out == "resume\n");
  CHECK((published(disk + "/out") == published(world.folder / "clean")));
  ::umount2(disk.c_str(), MNT_DETACH);
}

TEST_CASE("links: one file with the source, and a copy where the file system refuses") {
  World world;
  // As a hub cache has them: the source's names are links to blobs.
  std::filesystem::create_directory(world.folder / "blobs");
  for (const char *name : {"a.bin", "b.bin"}) {
    std::filesystem::rename(world.source + "/" + name, world.folder / (std::string("blobs/") + name));
    std::filesystem::create_symlink(std::string("../blobs/") + name, world.source + "/" + name);
  }
  Result linked = world.run({"--link"});
  INFO(linked.err);
  CHECK(linked.exitCode == 0);
  struct stat ours, theirs;
  REQUIRE(::lstat((world.out + "/model/a.bin").c_str(), &ours) == 0);
  REQUIRE(::stat((world.source + "/a.bin").c_str(), &theirs) == 0);
  CHECK(ours.st_ino == theirs.st_ino);
  CHECK(S_ISREG(ours.st_mode));
  CHECK(ours.st_nlink == 2);
  Result copied = world.run({}, "", world.folder / "copied");
  CHECK((published(world.out) == published(world.folder / "copied")));
  // Killed with the link in the work folder: it is taken away before anything could be written through it.
  std::string before = readFile(world.source + "/a.bin");
  CHECK(world.run({"--link"}, "file-before-rename", world.folder / "killed").exitCode == -SIGKILL);
  CHECK(world.run({}, "", world.folder / "killed").exitCode == 0);
  CHECK(readFile(world.source + "/a.bin") == before);

  SECTION("another file system") {
    struct stat here, shm;
    if (::stat(world.folder.path.c_str(), &here) != 0 || ::stat("/dev/shm", &shm) != 0 || here.st_dev == shm.st_dev ||
        ::access("/dev/shm", W_OK) != 0) {
      WARN("not run: no second file system at /dev/shm");
      return;
    }
    TempFolder other("/dev/shm");
    Result crossed = world.run({"--link"}, "", other / "out");
    CHECK(crossed.exitCode == 0);
    CHECK_THAT(crossed.err, Catch::Contains("model/a.bin: could not be a hard link of") &&
                                Catch::Contains("Invalid cross-device link): copied"));
    CHECK((published(other / "out") == published(world.folder / "copied")));
  }
  SECTION("a file that must not be linked") {
    int fd = ::open((world.folder / "blobs/a.bin").c_str(), O_RDONLY);
    int flags = 0;
    if (fd < 0 || ::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 ||
        (flags |= FS_IMMUTABLE_FL, ::ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0)) {
      WARN("not run: cannot make a file immutable here (" << std::strerror(errno) << ")");
      ::close(fd);
      return;
    }
    Result refused = world.run({"--link"}, "", world.folder / "refused");
    flags &= ~FS_IMMUTABLE_FL;
    CHECK(::ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
    ::close(fd);
    CHECK(refused.exitCode == 0);
    CHECK_THAT(refused.err, Catch::Contains("Operation not permitted): copied"));
    CHECK((published(world.folder / "refused") == published(world.folder / "copied")));
  }
}
