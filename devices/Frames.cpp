#include "devices/Frames.h"

#include "text/Escape.h"

#include <algorithm>
#include <cstring>

namespace flagrelease {

static const char kMark[] = "FR1 ";
static const size_t kMarkBytes = sizeof kMark - 1;

std::optional<int64_t> Frame::id() const {
  const json::Value *value = body.find("id");
  return value ? value->asInt() : std::nullopt;
}

bool FrameParser::fail(std::string what) {
  if (problem.empty())
    problem = std::move(what);
  line.clear(), frames.clear();
  return false;
}

bool FrameParser::endLine() {
  StringRef text(line);
  if (!text.starts_with(kMark)) {
    // A remote shell may greet before the runner speaks. From its first frame on it owns the stream.
    if (seenFrame)
      return fail("a line that is no frame: \"" + escape::terminal(text, 80) + "\"");
    noise += line;
    noise += '\n';
    line.clear();
    return true;
  }
  Diagnostics diags;
  json::Limits limits;
  limits.maxBytes = kMaxFrameBytes, limits.maxDepth = 16, limits.maxValues = 100'000;
  FailureOr<json::Value> body = json::parse(text.drop_front(kMarkBytes), "frame", diags, limits);
  if (failed(body))
    return fail("a frame that is not JSON: " + diags.errors().front().where + ": " + diags.errors().front().what);
  const json::Value *type = body->find("type");
  if (!type || !type->isString())
    return fail("a frame without a type: \"" + escape::terminal(text, 80) + "\"");
  seenFrame = true;
  line.clear();
  partial = Frame{std::move(*body), {}};
  if (const json::Value *payload = partial.body.find("payload")) {
    if (!payload->isInt() || payload->integer() < 0 || static_cast<uint64_t>(payload->integer()) > kMaxPayloadBytes)
      return fail("a payload of " + escape::terminal(json::toText(*payload), 40) + " bytes; at most " +
                  std::to_string(kMaxPayloadBytes) + " are allowed");
    payloadLeft = static_cast<size_t>(payload->integer());
    partial.payload.reserve(payloadLeft);
    inPayload = payloadLeft > 0;
  }
  if (!inPayload)
    frames.push_back(std::move(partial));
  return true;
}

bool FrameParser::feed(llvm::ArrayRef<std::byte> bytes) {
  if (!problem.empty())
    return false;
  while (!bytes.empty()) {
    if (inPayload) {
      size_t count = std::min(payloadLeft, bytes.size());
      partial.payload.insert(partial.payload.end(), bytes.begin(), bytes.begin() + count);
      bytes = bytes.drop_front(count);
      payloadLeft -= count;
      if (payloadLeft == 0) {
        inPayload = false;
        frames.push_back(std::move(partial));
      }
      continue;
    }
    const void *newline = std::memchr(bytes.data(), '\n', bytes.size());
    size_t count = newline ? static_cast<const std::byte *>(newline) - bytes.data() : bytes.size();
    line.append(reinterpret_cast<const char *>(bytes.data()), count);
    if (!seenFrame && (noiseBytes += count) > kMaxNoiseBytes && !StringRef(line).starts_with(kMark))
      return fail("more than " + std::to_string(kMaxNoiseBytes) + " bytes before the first frame");
    if (line.size() >= kMaxFrameBytes)
      return fail("a frame of more than " + std::to_string(kMaxFrameBytes) + " bytes");
    bytes = bytes.drop_front(count);
    if (!newline)
      break;
    bytes = bytes.drop_front(1);
    if (!endLine())
      return false;
  }
  return true;
}

std::optional<Frame> FrameParser::next() {
  if (frames.empty())
    return std::nullopt;
  Frame frame = std::move(frames.front());
  frames.pop_front();
  return frame;
}

std::string FrameParser::takeNoise() { return std::exchange(noise, {}); }

std::string frameText(const json::Object &body) { return kMark + json::toText(json::Value(body)) + "\n"; }

} // namespace flagrelease
