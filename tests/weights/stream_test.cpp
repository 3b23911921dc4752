#include "tests/support/TempFolder.h"
#include "weights/Digest.h"
#include "weights/Manifest.h"
#include "weights/Placer.h"
#include "weights/StreamWriter.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <set>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

std::unique_ptr<OutputFolder> openFolder(const std::string &path, Diagnostics &diags) {
  Fingerprint fingerprint;
  fingerprint.add("tool", "test");
  OutputOptions options;
  options.path = path;
  FailureOr<std::unique_ptr<OutputFolder>> out = OutputFolder::open(options, fingerprint, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(out));
  return std::move(*out);
}

std::byte valueAt(size_t tensor, uint64_t i) { return static_cast<std::byte>((i * 131 + i / 7 + tensor * 17) & 255); }

/// Tensors of many sizes: empty, one byte, rows larger than a tile, many tiles.
PlannedFile makePlan(std::atomic<int64_t> *produced = nullptr) {
  PlannedFile file;
  file.path = "model/w.bin";
  file.head = std::string(100, 'h');
  uint64_t at = 128;
  const std::vector<std::vector<int64_t>> shapes = {{0}, {}, {3, 5}, {700, 1000}, {1, 900'000}, {2'000'000}, {7}};
  for (size_t t = 0; t < shapes.size(); ++t) {
    PlannedTensor tensor;
    tensor.name = "t" + std::to_string(t);
    tensor.type = DType::U8;
    tensor.shape = shapes[t];
    tensor.bytes = 1;
    for (int64_t d : shapes[t])
      tensor.bytes *= static_cast<uint64_t>(d);
    tensor.fileOffset = at;
    if (t == 5)
      tensor.grain = 16;
    tensor.producer = [t, produced](int64_t first, llvm::MutableArrayRef<std::byte> out, Diagnostics &) {
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = valueAt(t, static_cast<uint64_t>(first) + i);
      if (produced)
        *produced += static_cast<int64_t>(out.size());
      return success();
    };
    at += tensor.bytes;
    at = (at + 63) / 64 * 64;
    file.tensors.push_back(std::move(tensor));
  }
  file.bytes = at + 5000;
  return file;
}

std::string expectedBytes(const PlannedFile &file) {
  std::string bytes(file.bytes, '\0');
  bytes.replace(0, file.head.size(), file.head);
  for (size_t t = 0; t < file.tensors.size(); ++t)
    for (uint64_t i = 0; i < file.tensors[t].bytes; ++i)
      bytes[file.tensors[t].fileOffset + i] = static_cast<char>(valueAt(t, i));
  return bytes;
}

} // namespace

TEST_CASE("a streamed file has the same bytes and digests for any number of jobs and any memory") {
  PlannedFile file = makePlan();
  std::string expected = expectedBytes(file);
  for (unsigned jobs : {1u, 2u, 5u})
    for (uint64_t memory : {uint64_t(32) << 20, uint64_t(400) << 20}) {
      TempFolder folder;
      Diagnostics diags;
      auto out = openFolder(folder / "out", diags);
      WorkOptions work;
      work.jobs = jobs;
      work.memory = memory;
      Progress progress;
      work.progress = &progress;
      FailureOr<DoneFile> done = writeStream(*out, file, work, diags);
      INFO(jobs << " jobs, " << memory << " bytes\n" << textOf(diags));
      REQUIRE(succeeded(done));
      CHECK((readFile(folder / "out/model/w.bin") == expected));
      CHECK(done->sha256 == sha256(expected));
      REQUIRE(done->parts.size() == file.tensors.size());
      for (size_t t = 0; t < file.tensors.size(); ++t)
        CHECK(done->parts[t] == sha256(StringRef(expected).substr(file.tensors[t].fileOffset, file.tensors[t].bytes)));
      CHECK(progress.bytesWritten == file.bytes);
      CHECK(progress.bytesDone == file.bytes);
      // Again: kept.
      FailureOr<DoneFile> again = writeStream(*out, file, work, diags);
      REQUIRE(succeeded(again));
      CHECK(again->sha256 == done->sha256);
      CHECK(progress.bytesWritten == file.bytes);
    }
}

TEST_CASE("a row that does not fit into memory is refused with the memory it needs") {
  TempFolder folder;
  Diagnostics diags;
  auto out = openFolder(folder / "out", diags);
  WorkOptions work;
  work.memory = 1 << 20;
  CHECK(failed(writeStream(*out, makePlan(), work, diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("t4: its smallest piece has 878.9 KiB") && Catch::Contains("use --memory"));
}

TEST_CASE("a producer that fails ends the file with its message, for any number of jobs") {
  for (unsigned jobs : {1u, 4u}) {
    TempFolder folder;
    Diagnostics diags;
    auto out = openFolder(folder / "out", diags);
    PlannedFile file = makePlan();
    file.tensors[5].producer = [](int64_t first, llvm::MutableArrayRef<std::byte>, Diagnostics &messages) -> LogicalResult {
      return messages.error("t5", "cannot be computed", "repair it");
    };
    WorkOptions work;
    work.jobs = jobs;
    work.memory = 32 << 20;
    CHECK(failed(writeStream(*out, file, work, diags)));
    REQUIRE(diags.errors().size() == 1);
    CHECK(diags.errors()[0].where == "t5");
    CHECK_FALSE(std::filesystem::exists(folder / "out/model/w.bin"));
  }
}

TEST_CASE("a stopped stream goes on where it was, and damage to what it had is noticed") {
  TempFolder folder;
  PlannedFile reference = makePlan();
  std::string expected = expectedBytes(reference);
  WorkOptions work;
  work.memory = 12 << 20; // t5 in two tiles
  {
    Diagnostics diags;
    auto out = openFolder(folder / "out", diags);
    StopFlag stop;
    work.stop = &stop;
    PlannedFile file = makePlan();
    TileProducer inner = file.tensors[5].producer;
    file.tensors[5].producer = [&stop, inner](int64_t first, llvm::MutableArrayRef<std::byte> bytes, Diagnostics &messages) {
      stop.request();
      return inner(first, bytes, messages);
    };
    CHECK(failed(writeStream(*out, file, work, diags)));
    REQUIRE(diags.errors().size() == 1);
    CHECK(diags.errors()[0].cause == Cause::Later);
    work.stop = nullptr;
  }
  std::string workFile;
  {
    Diagnostics diags;
    auto out = openFolder(folder / "out", diags);
    CHECK(out->state() == OutputFolder::State::Resume);
    CHECK(out->doneTensors("model/w.bin").size() == 5);
    workFile = out->workPathOf("model/w.bin");
  }
  bool damaged = GENERATE(false, true);
  if (damaged) {
    std::string bytes = readFile(workFile);
    bytes[200'000] ^= 1;
    writeFile(workFile, bytes);
  }
  Diagnostics diags;
  auto out = openFolder(folder / "out", diags);
  std::atomic<int64_t> produced{0};
  REQUIRE(succeeded(writeStream(*out, makePlan(&produced), work, diags)));
  CHECK((readFile(folder / "out/model/w.bin") == expected));
  if (damaged) {
    CHECK_THAT(textOf(diags), Catch::Contains("does not hold t3 as it was recorded: written again"));
    CHECK(produced > 3'000'000);
  } else
    CHECK(produced == 2'000'007); // t5 and t6 only
}

TEST_CASE("a copy past the page cache has the same bytes, where the file system can and where it cannot") {
  std::string place = GENERATE(std::filesystem::temp_directory_path().string(), std::string("/dev/shm"));
  if (::access(place.c_str(), W_OK) != 0) {
    WARN("not run: no " << place);
    return;
  }
  TempFolder folder(place);
  for (size_t bytes : {size_t(8) << 20, (size_t(8) << 20) + 4096, (size_t(8) << 20) + 17, (size_t(1) << 20) + 1}) {
    std::string content(bytes, '\0');
    for (size_t i = 0; i < content.size(); ++i)
      content[i] = static_cast<char>(i * 2654435761u >> 11);
    writeFile(folder / "src", content);
    Diagnostics diags;
    FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(folder / "src", diags);
    REQUIRE(succeeded(source));
    auto out = openFolder(folder / ("out" + std::to_string(bytes)), diags);
    PlaceRequest request{*source, PlaceRequest::whole(**source), "model/a", false, {}};
    request.directFrom = 0;
    Progress progress;
    WorkOptions work;
    work.progress = &progress;
    FailureOr<std::vector<DoneFile>> placed = placeFiles(*out, {request}, work, diags);
    INFO(bytes << "\n" << textOf(diags));
    REQUIRE(succeeded(placed));
    CHECK((readFile(out->pathOf("model/a")) == content));
    CHECK((*placed)[0].sha256 == sha256(content));
    CHECK(progress.bytesWritten == bytes);
  }
}

TEST_CASE("a range of a file is placed with digests of its parts") {
  TempFolder folder;
  std::string content(9'000'000, '\0');
  for (size_t i = 0; i < content.size(); ++i)
    content[i] = static_cast<char>(i * i >> 3);
  writeFile(folder / "src/a", content);
  Diagnostics diags;
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(folder / "src/a", diags);
  REQUIRE(succeeded(source));
  auto out = openFolder(folder / "out", diags);
  std::vector<PlaceRequest> requests;
  requests.push_back({*source,
                      {1'000'001, 7'000'000},
                      "model/range",
                      true,
                      {{6'000'000, 1'000'000}, {0, 10}, {10, 0}, {10, 5'000'000}, {0, 10}}});
  requests.push_back({*source, {5, 10}, "model/small", false, {}});
  requests.push_back({*source, {5, 0}, "model/empty", false, {}});
  WorkOptions work;
  work.jobs = 3;
  CHECK(bytesToPlace(*out, requests) == 7'000'010);
  FailureOr<std::vector<DoneFile>> placed = placeFiles(*out, requests, work, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(placed));
  StringRef range = StringRef(content).substr(1'000'001, 7'000'000);
  CHECK((readFile(folder / "out/model/range") == range));
  CHECK(readFile(folder / "out/model/small") == content.substr(5, 10));
  CHECK((*placed)[0].sha256 == sha256(range));
  CHECK((*placed)[0].how == "copy"); // a range cannot be a link
  CHECK((*placed)[0].parts == std::vector<std::string>{sha256(range.substr(6'000'000)), sha256(range.take_front(10)),
                                                       sha256(StringRef("")), sha256(range.substr(10, 5'000'000)),
                                                       sha256(range.take_front(10))});
  CHECK((*placed)[2].bytes == 0);
  // A source that is written to meanwhile is noticed.
  writeFile(folder / "src/a", content + "x");
  requests[0].to = "model/again";
  CHECK(failed(placeFiles(*out, {requests[0]}, work, diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("was changed while it was being read"));
  CHECK_FALSE(std::filesystem::exists(folder / "out/model/again"));
}
