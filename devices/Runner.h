// One runner process and its requests: the caller's side of docs/runner-protocol.md.
//
// Every wait is bounded: by the request's time-out, by the silence limit (no frame at all: a dead connection), by limits on what
// the runner may send. What the engine prints goes to a log of bounded size. A runner that breaks the protocol, dies or does
// not answer is ended with its whole group; later requests fail at once.
#pragma once

#include "devices/Device.h"
#include "devices/Frames.h"
#include "devices/Launcher.h"
#include "text/Json.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace flagrelease {

/// The lowest and highest version of the protocol that this program speaks.
inline constexpr int kRunnerProtocolMin = 1, kRunnerProtocolMax = 1;

/// What the engine prints, kept for people: a file that stops at a limit, and the last lines for messages.
class RunnerLog {
public:
  /// `path` empty: no file.
  explicit RunnerLog(std::string path, uint64_t maxBytes = uint64_t(8) << 20);
  ~RunnerLog();
  RunnerLog(const RunnerLog &) = delete;
  RunnerLog &operator=(const RunnerLog &) = delete;
  void append(StringRef text);
  /// The last lines, escaped for a terminal, at most `lines`.
  std::string lastLines(unsigned lines = 5) const;
  uint64_t dropped() const { return lost; }

private:
  std::string tail; ///< the last few KiB
  int fd = -1;
  uint64_t left;
  uint64_t lost = 0;
};

struct RunnerOptions {
  LaunchOptions launch;
  std::string name;      ///< of the device: the `where` of messages
  std::string bootstrap; ///< written to the runner's stdin first (devices/RunnerBootstrap.h); empty: it speaks by itself
  std::string logPath;
  std::chrono::milliseconds startTimeout{60'000};
  /// Longest time without any frame while a request runs. Runners send heartbeats every `heartbeat`.
  std::chrono::milliseconds silence{300'000};
  std::chrono::milliseconds heartbeat{5'000};
  std::chrono::milliseconds grace{2'000};  ///< after cancel, and after SIGTERM
  const std::atomic<bool> *stop = nullptr; ///< set by the caller's signal handler
  std::function<void()> onLife;            ///< called for every heartbeat
};

class Runner {
public:
  using Milliseconds = std::chrono::milliseconds;

  /// Starts the process and agrees on the protocol's version.
  static FailureOr<std::unique_ptr<Runner>> start(RunnerOptions options, Diagnostics &diags, DeviceFault &fault);
  ~Runner();

  /// The runner's hello.
  const json::Value &hello() const { return greeting; }

  /// Takes a payload frame that belongs to the request: its body and bytes. An empty string means taken, else what is wrong.
  using Sink = std::function<std::string(const Frame &)>;
  /// Sends `{type, id, …body}` and waits for the result.
  FailureOr<json::Value> request(StringRef type, json::Object body, Milliseconds timeout, Diagnostics &diags,
                                 const Sink &sink = nullptr);
  /// Sends a file in pieces as `put` frames under `name`, and waits for the runner to confirm it.
  LogicalResult put(StringRef name, const std::string &path, Milliseconds timeout, Diagnostics &diags);

  bool alive() const { return !dead; }
  DeviceFault lastFault() const { return fault; }
  uint64_t bytesSent() const { return sent; }
  /// The largest peak that the runner reported, or that the kernel reported when it ended.
  uint64_t peakRss() const { return peak; }
  double cpuSeconds() const { return cpu; }
  /// Says goodbye, then ends whatever is left.
  void close();

private:
  explicit Runner(RunnerOptions options);
  using Clock = std::chrono::steady_clock;
  enum class Wait { Frame, Timeout, Silence, Closed, Broken, Stopped };

  /// Moves bytes in all directions until a frame is there or the deadline has passed.
  Wait pump(Clock::time_point deadline);
  /// Until the outgoing bytes are at most `atMost`, or something else happens.
  Wait flush(Clock::time_point deadline, size_t atMost);
  bool readSome(int fd, bool isFrames);
  FailureOr<json::Value> await(int64_t id, StringRef type, Milliseconds timeout, Diagnostics &diags, const Sink &sink);
  FailureOr<json::Value> finish(Frame frame, StringRef type, Diagnostics &diags);
  /// The one place where a wait that ended badly becomes a diagnostic; ends the process.
  LogicalResult broken(Wait wait, StringRef during, Milliseconds timeout, int64_t id, Diagnostics &diags);
  LogicalResult report(DeviceFault kind, const Twine &what, const Twine &remedy, Diagnostics &diags);
  void endProcess(Milliseconds grace);
  LogicalResult shake(Diagnostics &diags);

  RunnerOptions options;
  RunnerLog log;
  ChildProcess child;
  ExitInfo exit;
  FrameParser parser;
  json::Value greeting;
  std::string outgoing; ///< not yet written to stdin
  size_t outgoingAt = 0;
  Clock::time_point lastSign;
  int64_t nextId = 1;
  DeviceFault fault = DeviceFault::None;
  uint64_t sent = 0, peak = 0;
  double cpu = 0;
  bool dead = false;
};

} // namespace flagrelease
