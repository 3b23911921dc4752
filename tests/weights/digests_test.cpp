// Digests of a stream and of ranges of it against SHA-256 of OpenSSL, and files written from front to back past the page cache.
#include "tests/support/TempFolder.h"
#include "weights/Digest.h"
#include "weights/SequentialWriter.h"
#include "weights/StreamDigests.h"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
uint64_t next(uint64_t &state) { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; }

std::vector<std::byte> randomBytes(size_t count, uint64_t seed) {
  std::vector<std::byte> bytes(count);
  for (std::byte &byte : bytes)
    byte = static_cast<std::byte>(next(seed));
  return bytes;
}
} // namespace

TEST_CASE("digests of a stream and of its ranges are those of OpenSSL, however it is cut") {
  const std::vector<std::byte> all = randomBytes(40'000, 1);
  const llvm::ArrayRef<std::byte> view = all;
  for (CpuLevel level : {CpuLevel::Plain, bestCpuLevel()}) {
    uint64_t state = 7;
    for (int run = 0; run < 300; ++run) {
      // Ranges with and without gaps, some empty, of block-sized and other lengths.
      std::vector<ByteRange> ranges;
      const uint64_t size = run < 130 ? static_cast<uint64_t>(run) : next(state) % all.size();
      for (uint64_t at = next(state) % 3 ? 0 : next(state) % 200; at < size;) {
        const uint64_t most = next(state) % 2 ? 64 * (next(state) % 40) : next(state) % 3000;
        ranges.push_back({at, std::min(most, size - at)});
        at += ranges.back().bytes + (next(state) % 3 ? 0 : next(state) % 100);
        if (ranges.back().bytes == 0 && next(state) % 2)
          at += 64;
      }
      if (run % 5 == 0)
        ranges.clear();
      if (run % 7 == 0)
        ranges.push_back({size, 0});
      StreamDigests digests(ranges, level);
      REQUIRE(digests.threads() == StreamDigests::threadsFor(!ranges.empty(), level));
      for (unsigned thread = 0; thread < digests.threads(); ++thread) {
        uint64_t cut = state;
        for (size_t at = 0; at < size || at == 0;) {
          const size_t piece = std::min<uint64_t>(size - at, next(cut) % 2 ? next(cut) % 5000 : 64 * (next(cut) % 70));
          digests.update(thread, view.slice(at, piece));
          at += piece;
          if (size == 0)
            break;
        }
      }
      INFO("run " << run << ", " << size << " bytes, " << ranges.size() << " ranges, level " << static_cast<int>(level));
      REQUIRE(digests.whole() == sha256(view.take_front(size)));
      REQUIRE(digests.done().size() == ranges.size());
      for (size_t i = 0; i < ranges.size(); ++i)
        REQUIRE(digests.done()[i] == sha256(view.slice(ranges[i].offset, ranges[i].bytes)));
    }
  }
}

TEST_CASE("a file written from front to back has the bytes of its pieces, with gaps and pieces of any size") {
  const std::string place = GENERATE(std::filesystem::temp_directory_path().string(), std::string("/dev/shm"));
  if (::access(place.c_str(), W_OK) != 0) {
    WARN("not run: no " << place);
    return;
  }
  TempFolder folder(place);
  for (bool direct : {false, true})
    for (uint64_t seed : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u}) {
      std::string expected(6'000'000, '.');
      writeFile(folder / "a", expected);
      FileHandle file(::open((folder / "a").c_str(), O_RDWR));
      Progress progress;
      SequentialWriter writer(file.get(), folder / "a", direct, &progress);
      Diagnostics diags;
      uint64_t state = seed, written = 0;
      auto *memory = static_cast<std::byte *>(std::aligned_alloc(4096, size_t(4) << 20));
      for (uint64_t at = seed % 2 ? 0 : 5000; at < expected.size();) {
        const uint64_t kind = next(state) % 4;
        uint64_t count = kind == 0   ? 1 + next(state) % 100
                         : kind == 1 ? 4096 * (1 + next(state) % 600)
                                     : 1 + next(state) % 900'000;
        count = std::min<uint64_t>(count, expected.size() - at);
        std::byte *piece = memory + at % SequentialWriter::kPage;
        const std::vector<std::byte> bytes = randomBytes(count, state);
        std::copy(bytes.begin(), bytes.end(), piece);
        std::memcpy(expected.data() + at, piece, count);
        if (next(state) % 5 == 0)
          REQUIRE(succeeded(writer.write(at, bytes, diags)));
        else
          REQUIRE(succeeded(writer.writeInPlace(at, {piece, static_cast<size_t>(count)}, diags)));
        std::fill_n(memory, size_t(4) << 20, std::byte{0}); // what was given is not looked at later
        at += count + (next(state) % 3 == 0 ? next(state) % 9000 : 0);
        written += count;
        if (next(state) % 7 == 0)
          REQUIRE(succeeded(writer.flush(diags)));
      }
      REQUIRE(succeeded(writer.flush(diags)));
      std::free(memory);
      CHECK((readFile(folder / "a") == expected));
      CHECK(progress.bytesWritten == written);
    }
}
