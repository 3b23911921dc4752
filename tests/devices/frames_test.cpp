// The byte stream: any cut of it gives the same frames.
#include "devices/Frames.h"

#include <catch2/catch.hpp>

using namespace flagrelease;

namespace {

llvm::ArrayRef<std::byte> bytesOf(StringRef text) { return {reinterpret_cast<const std::byte *>(text.data()), text.size()}; }

} // namespace

TEST_CASE("frames come out whole, however the bytes are cut") {
  const std::string payload("\nFR1 {}\n\0x", 10);
  const std::string stream = "Welcome\nto host\n\n" + frameText({{"type", "hello"}, {"protocols", json::Array{1}}}) +
                             frameText({{"type", "data"}, {"id", 3}, {"payload", 10}}) + payload +
                             frameText({{"type", "result"}, {"id", 3}}) +
                             frameText({{"type", "data"}, {"id", 4}, {"payload", 0}});
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    FrameParser parser;
    std::vector<Frame> frames;
    std::string noise;
    for (size_t at = 0; at < stream.size(); at += piece) {
      REQUIRE(parser.feed(bytesOf(StringRef(stream).substr(at, piece))));
      noise += parser.takeNoise();
      while (std::optional<Frame> frame = parser.next())
        frames.push_back(std::move(*frame));
    }
    REQUIRE(frames.size() == 4);
    CHECK(noise == "Welcome\nto host\n\n");
    CHECK(frames[0].type() == "hello");
    CHECK(!frames[0].id());
    CHECK(frames[1].id() == 3);
    CHECK(std::string(reinterpret_cast<const char *>(frames[1].payload.data()), frames[1].payload.size()) == payload);
    CHECK(frames[2].type() == "result");
    CHECK(frames[3].payload.empty());
    CHECK(!parser.midFrame());
  }
}

TEST_CASE("a broken stream is an error, once and for all") {
  const std::string hello = frameText({{"type", "hello"}});
  struct Row {
    std::string bytes;
    const char *text;
  };
  const Row rows[] = {
      {hello + "noise\n", "no frame"},
      {hello + "\n", "no frame"},
      {hello + "FR2 {}\n", "no frame"},
      {hello + "FR1 [1]\n", "without a type"},
      {hello + "FR1 {\"type\": 5}\n", "without a type"},
      {hello + "FR1 {\"type\": \"a\"\n", "not JSON"},
      {hello + "FR1 {\"type\": \"a\", \"type\": \"b\"}\n", "not JSON"},
      {hello + "FR1 {\"type\": \"a\", \"payload\": \"9\"}\n", "a payload of"},
      {hello + "FR1 {\"type\": \"a\", \"payload\": 4194305}\n", "at most 4194304"},
      {hello + "FR1 {\"x\": \"" + std::string(kMaxFrameBytes, 'x'), "more than 1048576 bytes"},
      {std::string(kMaxNoiseBytes + 1, 'x'), "before the first frame"},
      {[] {
         std::string lines;
         while (lines.size() <= 2 * kMaxNoiseBytes)
           lines += "a line of a login banner\n";
         return lines;
       }(),
       "before the first frame"},
  };
  for (const Row &row : rows) {
    FrameParser parser;
    StringRef rest = row.bytes;
    bool good = true;
    for (; good && !rest.empty(); rest = rest.drop_front(std::min<size_t>(rest.size(), 4096)))
      good = parser.feed(bytesOf(rest.take_front(4096)));
    CHECK_FALSE(good);
    CHECK_THAT(parser.error(), Catch::Contains(row.text));
    CHECK_FALSE(parser.feed(bytesOf(hello)));
    // What came whole before the error may have been read; after it there is nothing.
    CHECK_FALSE(parser.hasFrame());
  }
}
