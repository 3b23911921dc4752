// The byte stream of the runner protocol (docs/runner-protocol.md): lines `FR1 {json}`, some followed by raw bytes.
#pragma once

#include "text/Json.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

/// A frame's line, newline included.
inline constexpr size_t kMaxFrameBytes = size_t(1) << 20;
/// The raw bytes behind one frame.
inline constexpr size_t kMaxPayloadBytes = size_t(4) << 20;
/// What may come before the first frame: login banners, messages of a remote shell.
inline constexpr size_t kMaxNoiseBytes = size_t(256) << 10;

struct Frame {
  json::Value body;               ///< an object with a string `type`
  std::vector<std::byte> payload; ///< empty unless the body has `payload`

  StringRef type() const { return body.find("type")->string(); }
  /// The request it belongs to; nullopt if it names none.
  std::optional<int64_t> id() const;
};

/// Takes bytes as they come, gives whole frames. Holds at most one frame and its payload besides those not yet taken. After an
/// error it stays in error.
class FrameParser {
public:
  /// False if the bytes break the protocol; error() says how.
  bool feed(llvm::ArrayRef<std::byte> bytes);
  bool hasFrame() const { return !frames.empty(); }
  std::optional<Frame> next();
  /// What came before the first frame, for the log; taken away by the call.
  std::string takeNoise();
  const std::string &error() const { return problem; }
  /// True while a frame has begun and not ended.
  bool midFrame() const { return inPayload || (seenFrame && !line.empty()); }

private:
  bool fail(std::string what);
  bool endLine();

  std::string line;
  std::string noise;
  size_t noiseBytes = 0;
  std::deque<Frame> frames;
  Frame partial;
  size_t payloadLeft = 0;
  bool inPayload = false;
  bool seenFrame = false;
  std::string problem;
};

/// The line of a frame. `body` has `type`; with `payload`, the caller sends that many bytes behind it.
std::string frameText(const json::Object &body);

} // namespace flagrelease
