#include "devices/Runner.h"

#include "text/Escape.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace flagrelease {

namespace {

constexpr size_t kPushBytes = size_t(1) << 20; ///< payload of one put frame
constexpr size_t kReadBytes = size_t(1) << 16;

std::string seconds(std::chrono::milliseconds time) {
  if (time.count() % 1000 == 0)
    return std::to_string(time.count() / 1000) + " s";
  return std::to_string(time.count()) + " ms";
}

std::string textOf(const json::Value &body, StringRef key, size_t maxBytes = 1000) {
  const json::Value *value = body.find(key);
  return value && value->isString() ? escape::terminal(value->string(), maxBytes) : std::string();
}

} // namespace

Runner::Runner(RunnerOptions given) : options(std::move(given)), log(options.logPath), lastSign(Clock::now()) {}

Runner::~Runner() { close(); }

LogicalResult Runner::report(DeviceFault kind, const Twine &what, const Twine &remedy, Diagnostics &diags) {
  fault = kind;
  return diags.error("device " + options.name, what, remedy, faultCause(kind));
}

bool Runner::readSome(int fd, bool isFrames) {
  std::byte buffer[kReadBytes];
  ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got < 0)
    return errno == EAGAIN || errno == EINTR;
  if (got == 0) {
    isFrames ? child.closeStdout() : child.closeStderr();
    return true;
  }
  if (!isFrames) {
    log.append(StringRef(reinterpret_cast<char *>(buffer), static_cast<size_t>(got)));
    return true;
  }
  bool good = parser.feed(llvm::ArrayRef(buffer, static_cast<size_t>(got)));
  log.append(parser.takeNoise());
  return good;
}

Runner::Wait Runner::flush(Clock::time_point deadline, size_t atMost) {
  for (;;) {
    if (options.stop && options.stop->load(std::memory_order_relaxed))
      return Wait::Stopped;
    auto now = Clock::now();
    if (now >= deadline)
      return Wait::Timeout;
    if (now - lastSign >= options.silence)
      return Wait::Silence;
    pollfd events[3];
    nfds_t count = 0;
    auto add = [&](int fd, short what) {
      if (fd >= 0)
        events[count++] = {fd, what, 0};
    };
    add(child.stdoutFd(), POLLIN);
    add(child.stderrFd(), POLLIN);
    if (outgoingAt < outgoing.size())
      add(child.stdinFd(), POLLOUT);
    // Short enough that a stop request is seen soon, and never past a deadline.
    auto until = std::min({deadline, lastSign + options.silence, now + std::chrono::milliseconds(100)});
    auto sleep = std::chrono::ceil<std::chrono::milliseconds>(until - now);
    if (::poll(events, count, static_cast<int>(sleep.count())) < 0 && errno != EINTR)
      return Wait::Broken;
    for (nfds_t i = 0; i < count; ++i) {
      const int fd = events[i].fd;
      if (!events[i].revents)
        continue;
      if (fd == child.stdinFd()) {
        ssize_t done = writeToPipe(fd, outgoing.data() + outgoingAt, std::min(outgoing.size() - outgoingAt, kReadBytes));
        if (done > 0) {
          outgoingAt += static_cast<size_t>(done), sent += static_cast<uint64_t>(done);
          lastSign = Clock::now(); // it reads: it lives
        } else if (done < 0 && errno != EAGAIN) {
          // It reads no more: what it had to say is on its way, and the end of its stdout follows.
          child.closeStdin();
          outgoing.clear(), outgoingAt = 0;
        }
      } else if (!readSome(fd, fd == child.stdoutFd())) {
        return Wait::Broken;
      }
    }
    if (outgoingAt > kPushBytes || outgoingAt == outgoing.size())
      outgoing.erase(0, outgoingAt), outgoingAt = 0;
    if (parser.hasFrame())
      return Wait::Frame;
    if (child.stdoutFd() < 0)
      return Wait::Closed;
    if (atMost != SIZE_MAX && outgoing.size() - outgoingAt <= atMost)
      return Wait::Frame;
  }
}

Runner::Wait Runner::pump(Clock::time_point deadline) {
  if (parser.hasFrame())
    return Wait::Frame;
  return flush(deadline, SIZE_MAX);
}

void Runner::endProcess(Milliseconds grace) {
  if (dead)
    return;
  dead = true;
  exit = child.end(grace);
  // What it said last explains why. Bounded: the group has ended, so the pipes have an end, or nothing is in them.
  for (int i = 0; i < 64 && child.stderrFd() >= 0; ++i) {
    pollfd event{child.stderrFd(), POLLIN, 0};
    if (::poll(&event, 1, 20) <= 0 || !readSome(child.stderrFd(), false))
      break;
  }
  // Where the kernel's figure includes what this process held at the fork, the runner's own is the better one.
  if (peak == 0)
    peak = exit.peakRss;
  cpu = exit.cpuSeconds;
}

LogicalResult Runner::broken(Wait wait, StringRef during, Milliseconds timeout, int64_t id, Diagnostics &diags) {
  if ((wait == Wait::Timeout || wait == Wait::Silence || wait == Wait::Stopped) && id > 0) {
    // Polite first: an engine that listens stops by itself and keeps its device in order.
    outgoing += frameText({{"type", "cancel"}, {"id", id}});
    const std::atomic<bool> *stop = std::exchange(options.stop, nullptr);
    lastSign = Clock::now();
    auto limit = Clock::now() + options.grace;
    while (pump(limit) == Wait::Frame)
      if (std::optional<Frame> frame = parser.next(); frame && frame->id() == id && frame->type() != "heartbeat")
        break;
    options.stop = stop;
  }
  std::optional<ExitInfo> own;
  if (wait == Wait::Closed)
    own = child.wait(std::chrono::seconds(2)); // by itself: its status is the news
  endProcess(options.grace);
  std::string said = log.lastLines();
  std::string tail = said.empty() ? "" : "; it printed last: " + said;
  std::string where = options.logPath.empty() ? "" : "read " + options.logPath;
  switch (wait) {
  case Wait::Timeout:
    return report(DeviceFault::Timeout, during + " took longer than " + seconds(timeout) + tail,
                  "give it more time (timeout: in devices.yaml), or find out why it is slow", diags);
  case Wait::Silence:
    return report(DeviceFault::Timeout, "no sign of life for " + seconds(options.silence) + " during " + during + tail,
                  "check the connection and the engine" + Twine(where.empty() ? "" : "; " + where), diags);
  case Wait::Closed:
    return report(DeviceFault::Crash, "the runner ended during " + during + " with " + (own ? own->str() : exit.str()) + tail,
                  (own && own->signaled && own->code == SIGKILL
                       ? "signal 9 from outside is most often the kernel's answer to exhausted memory (dmesg)"
                       : "find out why the engine died") +
                      Twine(where.empty() ? "" : "; " + where),
                  diags);
  case Wait::Stopped:
    return report(DeviceFault::Cancelled, "stopped during " + during, "run the same command again", diags);
  case Wait::Broken:
  case Wait::Frame:
    break;
  }
  return report(DeviceFault::BadAnswer, "the runner breaks the protocol during " + during + ": " + parser.error() + tail,
                "only frames may go to the runner's protocol pipe (docs/runner-protocol.md)", diags);
}

FailureOr<json::Value> Runner::finish(Frame frame, StringRef type, Diagnostics &diags) {
  if (const json::Value *rss = frame.body.find("peak_rss"); rss && rss->isInt() && rss->integer() > 0)
    peak = std::max(peak, static_cast<uint64_t>(rss->integer()));
  if (frame.type() == "result") {
    fault = DeviceFault::None;
    return std::move(frame.body);
  }
  // An error that the runner reports leaves it alive: the next request may do.
  std::string name = textOf(frame.body, "class", 60), message = textOf(frame.body, "message");
  DeviceFault kind = parseFault(name).value_or(DeviceFault::Failed);
  return report(kind, type + " failed (" + (name.empty() ? "no class" : name) + "): " + message, textOf(frame.body, "remedy"),
                diags);
}

FailureOr<json::Value> Runner::await(int64_t id, StringRef type, Milliseconds timeout, Diagnostics &diags, const Sink &sink) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    Wait wait = pump(deadline);
    if (wait != Wait::Frame)
      return broken(wait, type, timeout, id, diags);
    lastSign = Clock::now();
    Frame frame = *parser.next();
    if (frame.type() == "heartbeat") {
      if (options.onLife)
        options.onLife();
      continue;
    }
    std::string problem;
    if (frame.id() != id)
      problem = "a frame of type \"" + escape::terminal(frame.type(), 40) + "\" that belongs to no running request";
    else if (frame.type() == "result" || frame.type() == "error")
      return finish(std::move(frame), type, diags);
    else if (frame.type() == "data" && sink)
      problem = sink(frame);
    else
      problem = "a frame of unexpected type \"" + escape::terminal(frame.type(), 40) + "\"";
    if (problem.empty())
      continue;
    endProcess(options.grace);
    return report(DeviceFault::BadAnswer, "the runner breaks the protocol during " + type + ": " + problem,
                  "see docs/runner-protocol.md", diags);
  }
}

FailureOr<json::Value> Runner::request(StringRef type, json::Object body, Milliseconds timeout, Diagnostics &diags,
                                       const Sink &sink) {
  if (dead)
    return report(fault == DeviceFault::None ? DeviceFault::Crash : fault, "the runner has ended", "load the model again", diags);
  const int64_t id = nextId++;
  body.set("type", type);
  body.set("id", id);
  std::string text = frameText(body);
  if (text.size() > kMaxFrameBytes)
    return report(DeviceFault::BadInput, "the request " + type + " is longer than a frame may be", "ask for fewer outputs",
                  diags);
  outgoing += text;
  lastSign = Clock::now();
  return await(id, type, timeout, diags, sink);
}

LogicalResult Runner::put(StringRef name, const std::string &path, Milliseconds timeout, Diagnostics &diags) {
  if (dead)
    return report(fault == DeviceFault::None ? DeviceFault::Crash : fault, "the runner has ended", "load the model again", diags);
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info{};
  if (fd < 0 || ::fstat(fd, &info) != 0) {
    int error = errno;
    if (fd >= 0)
      ::close(fd);
    return report(DeviceFault::BadInput, "cannot read " + path + ": " + strerror(error), "check the file", diags);
  }
  const int64_t id = nextId++, size = info.st_size;
  const auto deadline = Clock::now() + timeout;
  lastSign = Clock::now();
  std::string piece;
  for (int64_t offset = 0; offset == 0 || offset < size;) {
    const auto count = std::min<int64_t>(size - offset, kPushBytes);
    piece.resize(static_cast<size_t>(count));
    ssize_t got = count ? ::pread(fd, piece.data(), piece.size(), offset) : 0;
    if (got != count) {
      ::close(fd);
      endProcess(options.grace); // half a file has been announced: the stream cannot go on
      return report(DeviceFault::BadInput, path + " changed while it was sent", "try again", diags);
    }
    outgoing += frameText({{"type", "put"},
                           {"id", id},
                           {"name", name},
                           {"offset", offset},
                           {"size", size},
                           {"last", offset + count == size},
                           {"payload", count}});
    outgoing += piece;
    offset += std::max<int64_t>(count, 1);
    for (;;) {
      Wait wait = flush(deadline, kPushBytes);
      if (wait != Wait::Frame) {
        ::close(fd);
        return broken(wait, "put", timeout, 0, diags);
      }
      std::optional<Frame> frame = parser.next();
      if (!frame)
        break; // room for the next piece
      lastSign = Clock::now();
      if (frame->type() == "heartbeat")
        continue;
      ::close(fd);
      // An error (a full disk over there) may come early: the runner ignores the pieces that are on their way.
      if (frame->id() == id && (frame->type() == "error" || (frame->type() == "result" && offset >= size)))
        return failed(finish(std::move(*frame), "put", diags)) ? failure() : success();
      endProcess(options.grace);
      return report(DeviceFault::BadAnswer,
                    "the runner breaks the protocol during put: a frame of type \"" + escape::terminal(frame->type(), 40) +
                        "\" before the end of the file",
                    "see docs/runner-protocol.md", diags);
    }
  }
  ::close(fd);
  auto left = std::chrono::duration_cast<Milliseconds>(deadline - Clock::now());
  return failed(await(id, "put", std::max(left, Milliseconds(1)), diags, nullptr)) ? failure() : success();
}

LogicalResult Runner::shake(Diagnostics &diags) {
  const auto deadline = Clock::now() + options.startTimeout;
  Wait wait = pump(deadline);
  if (wait != Wait::Frame) {
    LogicalResult result = broken(wait, "start", options.startTimeout, 0, diags);
    // Before the hello, death and silence mean that there is no runner to talk to.
    if (fault == DeviceFault::Crash || fault == DeviceFault::Timeout)
      fault = DeviceFault::Start;
    return result;
  }
  lastSign = Clock::now();
  Frame frame = *parser.next();
  greeting = frame.body;
  const json::Value *versions = greeting.find("protocols");
  bool known = false;
  if (frame.type() == "hello" && versions && versions->isArray())
    known = llvm::any_of(versions->array(), [](const json::Value &v) { return v.asInt() == kRunnerProtocolMax; });
  if (!known) {
    endProcess(options.grace);
    std::string spoken = versions ? escape::terminal(json::toText(*versions), 80) : "none";
    return report(DeviceFault::Start,
                  "the runner speaks version " + spoken + " of the protocol, this program version " + Twine(kRunnerProtocolMax),
                  "use the runner that came with this program", diags);
  }
  outgoing += frameText({{"type", "hello"},
                         {"protocol", kRunnerProtocolMax},
                         {"heartbeat_seconds", static_cast<double>(options.heartbeat.count()) / 1000}});
  return success();
}

FailureOr<std::unique_ptr<Runner>> Runner::start(RunnerOptions options, Diagnostics &diags, DeviceFault &fault) {
  fault = DeviceFault::Start;
  FailureOr<ChildProcess> child = launch(options.launch, diags);
  if (failed(child))
    return failure();
  std::unique_ptr<Runner> runner(new Runner(std::move(options)));
  runner->child = std::move(*child);
  runner->outgoing = runner->options.bootstrap;
  runner->lastSign = Clock::now();
  if (failed(runner->shake(diags))) {
    fault = runner->fault;
    return failure();
  }
  fault = DeviceFault::None;
  return std::move(runner);
}

void Runner::close() {
  if (dead || !child.started()) {
    dead = true;
    return;
  }
  Diagnostics ignored;
  const std::atomic<bool> *stop = std::exchange(options.stop, nullptr);
  // A runner that is well says goodbye and leaves; another is ended. Its last answer does not change lastFault().
  DeviceFault before = fault;
  if (!failed(request("bye", {}, options.grace, ignored)))
    child.wait(options.grace);
  endProcess(options.grace);
  fault = before;
  options.stop = stop;
}

} // namespace flagrelease
