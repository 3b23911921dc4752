// Archives that contradict themselves, made by hand.
#include "tests/support/TempFolder.h"
#include "tests/support/TorchFile.h"
#include "weights/Zip.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

MemorySource source(const std::string &content) {
  const std::byte *bytes = reinterpret_cast<const std::byte *>(content.data());
  return MemorySource("a.zip", std::vector<std::byte>(bytes, bytes + content.size()));
}

ZipEntry member(const std::string &name, const std::string &content) {
  ZipEntry entry;
  entry.name = name;
  entry.content = content;
  return entry;
}

/// Two members, of which `change` spoils the second.
std::string spoiled(const std::function<void(ZipEntry &)> &change) {
  std::vector<ZipEntry> entries = {member("m/a", "first"), member("m/b", "second")};
  change(entries[1]);
  return makeZip(entries);
}

} // namespace

TEST_CASE("archives that contradict themselves are refused") {
  const std::vector<ZipEntry> good = {member("m/a", "first"), member("m/b", "second")};
  const std::string whole = makeZip(good);
  struct Row {
    std::string content;
    const char *says;
  };
  const Row rows[] = {
      {"PK\x03\x04", "has 4 bytes, too few"},
      {whole.substr(0, whole.size() - 1), "without its end"},
      {whole + "x", "without its end"},
      {makeZip(good, {.before = "#!/bin/sh\n"}).substr(0), ""}, // every offset counts what stands before: a valid archive
      {"PK" + whole, "something stands before or inside the archive"},
      {makeZip(good, {.members = 3}), "has no entry 2 of 3"},
      {makeZip(good, {.members = 1}), "after the last entry of its central directory"},
      {makeZip(good, {.members = 65535}), "lacks the zip64 record"},
      {makeZip(good, {.members = 600'000, .zip64 = true}), "has 600000 members"},
      {makeZip(good, {.members = ~uint64_t(0), .zip64 = true}), "members in a central directory"},
      {makeZip(good, {.directory = ~uint64_t(0), .zip64 = true}), "says that its central directory has"},
      {makeZip(good, {.directory = 5}), "says that its central directory has"},
      {makeZip(good, {.directoryBytes = 0}), "says that its central directory has 0 bytes"},
      {makeZip(good, {.directoryBytes = ~uint64_t(0), .zip64 = true}), "says that its central directory has"},
      {spoiled([](ZipEntry &e) { e.name = "../b"; }), "../b: is no name inside of the archive"},
      {spoiled([](ZipEntry &e) { e.name = "m/../../b"; }), "is no name inside"},
      {spoiled([](ZipEntry &e) { e.name = "/etc/passwd"; }), "is no name inside"},
      {spoiled([](ZipEntry &e) { e.name = "m\\b"; }), "is no name inside"},
      {spoiled([](ZipEntry &e) { e.name = ""; }), "is no name inside"},
      {spoiled([](ZipEntry &e) { e.name = std::string("m/b\0c", 5); }), "is no name inside"},
      {spoiled([](ZipEntry &e) { e.name = std::string(2000, 'x'); }), "has a name of 2000 bytes"},
      {spoiled([](ZipEntry &e) { e.name = "m/a"; }), "m/a: is in the archive twice"},
      {spoiled([](ZipEntry &e) { e.flags = 1; }), "m/b: is encrypted"},
      {spoiled([](ZipEntry &e) { e.flags = 0x40; }), "m/b: is encrypted"},
      {spoiled([](ZipEntry &e) { e.flags = 0x2000; }), "m/b: is encrypted"},
      {spoiled([](ZipEntry &e) { e.localName = "m/c"; }), "its local header has another name"},
      {spoiled([](ZipEntry &e) { e.localSize = 7; }), "its local header says 7 bytes for 7"},
      {spoiled([](ZipEntry &e) { e.unpacked = 4'000'000'000; }), "with 6 bytes for 4000000000"},
      {spoiled([](ZipEntry &e) { e.stored = e.unpacked = 4'000'000'000; }), "has 4000000000 bytes at"},
      {spoiled([](ZipEntry &e) { e.stored = e.unpacked = 5; }), "its local header says 6 bytes"},
      {spoiled([](ZipEntry &e) { e.header = 1; }), "is not at 1"},
      {spoiled([](ZipEntry &e) { e.header = 4'000'000'000; }), "has 6 bytes at 4000000000"},
      {spoiled([](ZipEntry &e) { e.header = 0; }), "its local header has another name"},
  };
  for (const Row &row : rows) {
    Diagnostics diags;
    bool refused = failed(readZipDirectory(source(row.content), diags));
    INFO(row.says << "\n" << textOf(diags));
    CHECK(refused == (*row.says != 0));
    CHECK(diags.hasErrors() == refused);
    CHECK_THAT(textOf(diags), Catch::Contains(row.says));
    for (const Problem &problem : diags.errors())
      CHECK(problem.cause == Cause::Input);
  }
}

TEST_CASE("members that overlap are refused") {
  // The second header lies inside of the first member's data, and is a good one for a member of its own.
  std::string inner = makeZip({member("m/b", "second")});
  inner.resize(inner.find("second") + 6);
  std::vector<ZipEntry> entries = {member("m/a", inner), member("m/b", "second")};
  entries[1].header = static_cast<uint32_t>(makeZip({entries[0]}).find("PK\x03\x04", 4));
  Diagnostics diags;
  CHECK(failed(readZipDirectory(source(makeZip(entries)), diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("m/b: starts at") && Catch::Contains("inside of m/a"));
}

TEST_CASE("good archives: plain, zip64, with sizes after the data, with a comment, empty") {
  std::vector<ZipEntry> entries = {member("m/b", "second"), member("m/a", "first"), member("m/", "")};
  std::vector<ZipEntry> wide = entries, streamed = entries;
  for (ZipEntry &entry : wide)
    entry.zip64 = true;
  for (ZipEntry &entry : streamed)
    entry.flags = 0x808, entry.localSize = 0;
  for (const std::string &content : {makeZip(entries), makeZip(entries, {.zip64 = true}), makeZip(wide, {.zip64 = true}),
                                     makeZip(streamed), makeZip(entries, {.comment = "made by hand"})}) {
    Diagnostics diags;
    FailureOr<ZipDirectory> directory = readZipDirectory(source(content), diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(directory));
    REQUIRE(directory->members.size() == 3);
    for (auto [name, data] : {std::pair<const char *, const char *>{"m/a", "first"}, {"m/b", "second"}, {"m/", ""}}) {
      const ZipMember *found = directory->find(name);
      REQUIRE(found);
      CHECK(content.substr(found->offset, found->stored) == data);
    }
    CHECK(directory->find("m/c") == nullptr);
  }
  Diagnostics diags;
  FailureOr<ZipDirectory> empty = readZipDirectory(source(makeZip({})), diags);
  REQUIRE(succeeded(empty));
  CHECK(empty->members.empty());
}

TEST_CASE("an archive cut anywhere, or with any byte changed, ends in an answer") {
  const std::string whole = makeZip({member("m/a", "first"), member("m/b", "second")}, {.zip64 = true});
  for (size_t size = 0; size < whole.size(); ++size) {
    Diagnostics diags;
    CHECK(failed(readZipDirectory(source(whole.substr(0, size)), diags)));
  }
  for (size_t i = 0; i < whole.size(); ++i)
    for (char change : {'\x01', '\x80', '\xff'}) {
      std::string other = whole;
      other[i] = static_cast<char>(other[i] ^ change);
      Diagnostics diags;
      bool refused = failed(readZipDirectory(source(other), diags));
      if (refused != diags.hasErrors())
        FAIL("byte " << i);
    }
}
