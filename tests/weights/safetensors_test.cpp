#include "tests/support/TempFolder.h"
#include "weights/Safetensors.h"

#include "llvm/Support/Endian.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <sys/stat.h>
#include <unistd.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

std::string lengthOf(uint64_t n) {
  char text[8];
  llvm::support::endian::write64le(text, n);
  return std::string(text, 8);
}

std::string file(const std::string &header, size_t data) { return lengthOf(header.size()) + header + std::string(data, 'x'); }

MemorySource source(const std::string &content) {
  const std::byte *bytes = reinterpret_cast<const std::byte *>(content.data());
  return MemorySource("m.safetensors", std::vector<std::byte>(bytes, bytes + content.size()));
}

std::string entry(const char *name, const char *type, const char *shape, const char *offsets) {
  return std::string("\"") + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

} // namespace

TEST_CASE("bad headers: every contradiction is named with its values") {
  struct Row {
    std::string content;
    std::vector<const char *> says;
  };
  std::string good = entry("a", "F32", "[2]", "[0,8]");
  const Row rows[] = {
      {"", {"has 0 bytes", "truncated"}},
      {"1234567", {"has 7 bytes"}},
      {lengthOf(100) + "{}", {"header has 100 bytes, but only 2 follow", "truncated"}},
      {lengthOf(100'000'001) + "{}", {"100000001 bytes; at most 100000000"}},
      {lengthOf(~uint64_t(0)) + "{}", {"18446744073709551615 bytes"}},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n", {"git-lfs pointer", "git lfs pull"}},
      {file("", 0), {"not a JSON mapping"}},
      {file("[1]", 0), {"not a JSON mapping"}},
      {file("{\"a\":", 0), {"m.safetensors (header):1"}},
      {file("{\"a\":1}", 0), {"m.safetensors: a: is a int where {dtype, shape, data_offsets}"}},
      {file("{" + good + "," + good + "}", 8), {"duplicate key \"a\""}},
      {file("{" + entry("a", "F4", "[2,3]", "[0,3]") + "}", 3), {"a: its shape [2, 3] of F4 has rows that are no whole bytes"}},
      {file("{" + entry("a", "F4", "[]", "[0,1]") + "}", 1), {"a: its shape [] of F4 has rows that are no whole bytes"}},
      {file("{" + entry("a", "F6_E2M3", "[2,2]", "[0,3]") + "}", 3), {"a: its shape [2, 2] of F6_E2M3 has rows"}},
      {file("{" + entry("a", "F4", "[2,4]", "[0,8]") + "}", 8), {"hold 8 bytes, but shape [2, 4] of F4 needs 4"}},
      {file("{" + entry("a", "F33", "[2]", "[0,8]") + "}", 8), {"a: has the unknown dtype 'F33'; known are F64 F32"}},
      {file("{" + entry("a", "F32", "[-2]", "[0,8]") + "}", 8), {"a: its shape has a dimension"}},
      {file("{" + entry("a", "F32", "[2.0]", "[0,8]") + "}", 8), {"a: its shape has a dimension"}},
      {file("{" + entry("a", "F32", "2", "[0,8]") + "}", 8), {"a: has no shape"}},
      {file("{" + entry("a", "F32", "[4294967296,4294967296]", "[0,8]") + "}", 8),
       {"[4294967296, 4294967296] of F32 has 2^63 bytes or more"}},
      {file("{" + entry("a", "U8", "[9223372036854775807]", "[0,9223372036854775807]") + "}", 8), {"past 2^63"}},
      {file("{" + entry("a", "U8", "[9223372036854775808]", "[0,8]") + "}", 8), {"its shape has a dimension"}},
      {file("{" + entry("a", "F32", "[2]", "[-8,0]") + "}", 8), {"a: its data_offsets [-8, 0] are negative or backwards"}},
      {file("{" + entry("a", "F32", "[2]", "[8,0]") + "}", 8), {"[8, 0] are negative or backwards"}},
      {file("{" + entry("a", "F32", "[2]", "[0,8,9]") + "}", 8), {"has no data_offsets of two integers"}},
      {file("{" + entry("a", "F32", "[2]", "[0,12]") + "}", 12), {"hold 12 bytes, but shape [2] of F32 needs 8"}},
      {file("{" + entry("a", "F32", "[2]", "[0,8]") + "}", 7),
       {"ends at byte", "the first of 1 without all of its bytes is a", "truncated"}},
      {file("{" + entry("a", "F32", "[2]", "[1000000000000,1000000000008]") + "}", 8), {"belong to no tensor", "truncated"}},
      {file("{" + good + "," + entry("b", "F32", "[2]", "[4,12]") + "}", 12), {"b: its bytes", "overlap those of a"}},
      {file("{" + good + "," + entry("b", "F32", "[2]", "[0,8]") + "}", 8), {"b: its bytes", "overlap those of a"}},
      {file("{" + good + "," + entry("b", "F32", "[1]", "[12,16]") + "}", 16), {"b: bytes", "before it belong to no tensor"}},
      {file("{" + good + "}", 9), {"has 1 bytes after its last tensor"}},
      {file("{\"__metadata__\":3," + good + "}", 8), {"__metadata__: is a int where a mapping of texts"}},
      {file("{\"__metadata__\":{\"k\":3}," + good + "}", 8), {"__metadata__.k: is a int where a text"}},
      {file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"evil\":1}}", 8), {"a: has the unknown key 'evil'"}},
      {file("{" + entry("", "F32", "[2]", "[0,8]") + "}", 8), {"a tensor has an empty name"}},
      // All problems of a kind, and of several kinds, in one run.
      {file("{" + entry("a", "F33", "[2]", "[0,8]") + "," + entry("b", "Q4", "[2]", "[8,16]") + "," +
                entry("c", "F32", "[3]", "[16,24]") + "}",
            24),
       {"a: has the unknown dtype 'F33'", "b: has the unknown dtype 'Q4'",
        "c: its data_offsets [16, 24] hold 8 bytes, but shape [3]"}},
  };
  for (const Row &row : rows) {
    Diagnostics diags;
    MemorySource bytes = source(row.content);
    bool refused = failed(readSafetensorsHeader(bytes, diags));
    std::string text = textOf(diags);
    INFO(row.content.substr(0, 200) << "\n" << text);
    CHECK(refused);
    CHECK(diags.hasErrors());
    for (const char *say : row.says)
      CHECK_THAT(text, Catch::Contains(say));
    for (const Problem &problem : diags.errors())
      CHECK(problem.cause == Cause::Input);
  }
}

TEST_CASE("many bad tensors are counted, not listed one by one") {
  std::string header = "{";
  for (int i = 0; i < 5000; ++i)
    header += (i ? "," : "") + entry(("t" + std::to_string(i)).c_str(), "F33", "[1]", "[0,1]");
  Diagnostics diags;
  MemorySource bytes = source(file(header + "}", 0));
  CHECK(failed(readSafetensorsHeader(bytes, diags)));
  CHECK(diags.errors().size() == 21);
  CHECK_THAT(textOf(diags), Catch::Contains("and 4980 more tensors of unknown dtype"));
}

TEST_CASE("a good header is read in the order of the bytes") {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("late", "BF16", "[2,3]", "[8,20]") + "," +
                       entry("empty", "F32", "[0,7]", "[8,8]") + "," + entry("early", "I64", "[]", "[0,8]") + "}   ";
  Diagnostics diags;
  MemorySource bytes = source(file(header, 20));
  FailureOr<SafetensorsHeader> read = readSafetensorsHeader(bytes, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(read));
  REQUIRE(read->tensors.size() == 3);
  CHECK(read->tensors[0].name == "early");
  CHECK(read->tensors[1].name == "empty");
  CHECK(read->tensors[1].bytes == 0);
  CHECK(read->tensors[2].name == "late");
  CHECK(read->tensors[2].offset == 8 + header.size() + 8);
  CHECK(read->tensors[2].shape == std::vector<int64_t>{2, 3});
  CHECK(read->metadata.at("format") == "pt");
  CHECK(read->dataOffset == 8 + header.size());
}

TEST_CASE("types narrower than a byte are measured by their bits, and not read as numbers") {
  std::string header = "{" + entry("c", "C64", "[2]", "[0,16]") + "," + entry("f", "F6_E3M2", "[3,4]", "[16,25]") + "," +
                       entry("n", "F8_E4M3FNUZ", "[5]", "[25,30]") + "," + entry("q", "F4", "[3,6]", "[30,39]") + "," +
                       entry("z", "F4", "[3,0]", "[39,39]") + "}";
  Diagnostics diags;
  MemorySource bytes = source(file(header, 39));
  FailureOr<SafetensorsHeader> read = readSafetensorsHeader(bytes, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(read));
  CHECK(read->tensors[3].bytes == 9);
  CHECK(tensorBytes(DType::F4, {int64_t(1) << 62, 2}) == uint64_t(1) << 62);
  CHECK_FALSE(tensorBytes(DType::F4, {int64_t(1) << 62, 4}));
  TempFolder folder;
  writeFile(folder / "t.safetensors", file(header, 39));
  CHECK(failed(readSafetensors(folder / "t.safetensors", diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("c: holds C64, whose numbers this version does not compute with"));
}

TEST_CASE("what is written is read back, the same bytes each time") {
  TempFolder folder;
  NamedTensors tensors;
  tensors["ids"] = HostTensor::ofInts({1, 3}, {1, 2, 3});
  tensors["flag"] = HostTensor(DType::Bool, {1});
  tensors["logits \"quoted\"\n"] = HostTensor::ofFloats({2}, {0.5f, -1});
  tensors["none"] = HostTensor(DType::F32, {0});
  Diagnostics diags;
  std::string path = folder / "t.safetensors";
  REQUIRE(succeeded(writeSafetensors(path, tensors, {{"seed", "7"}}, diags)));
  std::string first = readFile(path);
  REQUIRE(succeeded(writeSafetensors(path, tensors, {{"seed", "7"}}, diags)));
  CHECK(readFile(path) == first);
  FailureOr<NamedTensors> read = readSafetensors(path, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(read));
  REQUIRE(read->size() == tensors.size());
  for (const auto &[name, tensor] : tensors) {
    CHECK(read->at(name).type == tensor.type);
    CHECK(read->at(name).shape == tensor.shape);
    CHECK(read->at(name).bytes == tensor.bytes);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
  CHECK(failed(readSafetensors(path, diags, 16)));
  CHECK_THAT(textOf(diags), Catch::Contains("at most 16 are read into memory"));
  Diagnostics where;
  CHECK(failed(writeSafetensors(folder / "absent/t.safetensors", tensors, {}, where)));
  CHECK_THAT(textOf(where), Catch::Contains("cannot make the file: No such file"));
}

TEST_CASE("pipes, folders and absent files are refused, not waited for") {
  TempFolder folder;
  REQUIRE(::mkfifo((folder / "pipe.safetensors").c_str(), 0600) == 0);
  struct Row {
    std::string path;
    const char *says;
  };
  for (const Row &row : {Row{folder / "pipe.safetensors", "not a regular file"}, Row{folder.path, "is a folder"},
                         Row{folder / "no", "No such file"}}) {
    Diagnostics diags;
    CHECK(failed(readSafetensors(row.path, diags)));
    CHECK_THAT(textOf(diags), Catch::Contains(row.says));
  }
}

TEST_CASE("a file that is cut short while it is open is an error") {
  TempFolder folder;
  writeFile(folder / "f", std::string(100, 'a'));
  Diagnostics diags;
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(folder / "f", diags);
  REQUIRE(succeeded(source));
  CHECK(succeeded((*source)->checkUnchanged(diags)));
  REQUIRE(::truncate((folder / "f").c_str(), 40) == 0);
  std::vector<std::byte> out(50);
  CHECK(failed((*source)->read(0, out, diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("bytes 0 to 50 are needed, but the file ends at 40"));
  CHECK(failed((*source)->checkUnchanged(diags)));
  CHECK(failed((*source)->read(90, out, diags)));
}

TEST_CASE("a header of 46,000 tensors is read in well under a second") {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}";
  uint64_t at = 0;
  for (int layer = 0; layer < 60; ++layer)
    for (int expert = 0; expert < 256; ++expert)
      for (const char *part : {"gate_proj", "up_proj", "down_proj"}) {
        uint64_t bytes = 2048ull * 7168;
        header += ",\"model.layers." + std::to_string(layer) + ".mlp.experts." + std::to_string(expert) + "." + part +
                  ".weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[2048,7168],\"data_offsets\":[" + std::to_string(at) + "," +
                  std::to_string(at + bytes) + "]}";
        at += bytes;
      }
  header += "}";
  TempFolder folder; // sparse: nothing but the header is read
  writeFile(folder / "big.safetensors", lengthOf(header.size()) + header);
  REQUIRE(::truncate((folder / "big.safetensors").c_str(), static_cast<off_t>(8 + header.size() + at)) == 0);
  Diagnostics diags;
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(folder / "big.safetensors", diags);
  REQUIRE(succeeded(source));
  auto start = std::chrono::steady_clock::now();
  FailureOr<SafetensorsHeader> read = readSafetensorsHeader(**source, diags);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  REQUIRE(succeeded(read));
  CHECK(read->tensors.size() == 46080);
  WARN("46,080 tensors: " << seconds << " s"); // a figure to look at; no test fails by a clock
}

TEST_CASE("damaged headers never crash and never pass for more bytes than there are") {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("a.weight", "BF16", "[2,3]", "[0,12]") + "," +
                       entry("b", "F32", "[1]", "[12,16]") + "," + entry("c", "I64", "[]", "[16,24]") + "}";
  const std::string good = file(header, 24);
  uint64_t state = 12345;
  auto random = [&state](uint64_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % limit;
  };
  const char *const pieces[] = {
      "-",    "9",       "99999999999999999999", "[", "]", "{", "}", "\"", ",", ":", "null", "1e9", "\\u0000",
      "\xff", "F8_E8M0", "__metadata__"};
  int passed = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bad = good;
    for (uint64_t edit = 0, edits = 1 + random(3); edit < edits && !bad.empty(); ++edit) {
      size_t at = random(bad.size());
      switch (random(4)) {
      case 0:
        bad[at] = static_cast<char>(random(256));
        break;
      case 1:
        bad.resize(at);
        break;
      case 2:
        bad.erase(at, random(9));
        break;
      default:
        bad.insert(at, pieces[random(std::size(pieces))]);
      }
    }
    if (bad.size() >= 8 && random(2)) // let the length fit, so that damage further on is reached
      bad.replace(0, 8, lengthOf(bad.size() > 32 ? bad.size() - 32 : 0));
    Diagnostics diags;
    MemorySource bytes = source(bad);
    FailureOr<SafetensorsHeader> read = readSafetensorsHeader(bytes, diags);
    CHECK(failed(read) == diags.hasErrors());
    if (failed(read))
      continue;
    ++passed;
    for (const SafetensorsEntry &tensor : read->tensors) {
      CHECK(tensor.offset >= read->dataOffset);
      CHECK(tensor.offset + tensor.bytes <= bad.size());
    }
  }
  CHECK(passed > 10); // names and metadata may change without harm
}
