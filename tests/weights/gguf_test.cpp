#include "tests/support/TempFolder.h"
#include "weights/Checkpoint.h"
#include "weights/Gguf.h"

#include "llvm/Support/Endian.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <sys/resource.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

/// A GGUF file piece by piece, so that each piece can be wrong.
struct Made {
  std::string bytes = "GGUF";
  Made &u16(uint16_t v) { return put(&v, 2); }
  Made &u32(uint32_t v) { return put(&v, 4); }
  Made &u64(uint64_t v) { return put(&v, 8); }
  Made &text(StringRef t) {
    u64(t.size());
    bytes += t;
    return *this;
  }
  Made &start(uint64_t tensors, uint64_t values, uint32_t version = 3) { return u32(version).u64(tensors).u64(values); }
  Made &tensor(StringRef name, std::vector<uint64_t> dims, uint32_t type, uint64_t offset) {
    text(name).u32(static_cast<uint32_t>(dims.size()));
    for (uint64_t d : dims)
      u64(d);
    return u32(type).u64(offset);
  }
  Made &data(size_t n, size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
    bytes.append(n, 'x');
    return *this;
  }
  Made &put(const void *v, size_t n) {
    bytes.append(static_cast<const char *>(v), n);
    return *this;
  }
};

MemorySource source(const std::string &content) {
  const std::byte *bytes = reinterpret_cast<const std::byte *>(content.data());
  return MemorySource("m.gguf", std::vector<std::byte>(bytes, bytes + content.size()));
}

const std::string kFiles = FLAGRELEASE_SOURCE_DIR "/tests/weights/gguf";

} // namespace

TEST_CASE("hostile GGUF files: every contradiction is named with its values, fast and in little memory") {
  struct Row {
    std::string content;
    std::vector<const char *> says;
  };
  constexpr uint64_t kHuge = ~uint64_t(0), kBig = uint64_t(1) << 62;
  const Row rows[] = {
      {"", {"the magic needs 4 bytes", "truncated"}},
      {"GGU", {"the magic needs 4 bytes"}},
      {"abcd0000000000", {"starts with 'abcd': it is no GGUF file"}},
      {"tjgg0000000000", {"from before GGUF"}},
      {"version https://git-lfs.github.com/spec/v1\n", {"git-lfs pointer", "git lfs pull"}},
      {"GGUF", {"the version needs 4 bytes"}},
      {Made().u32(1).u64(0).u64(0).bytes, {"GGUF version 1, which was replaced"}},
      {Made().u32(0x03000000).u64(0).u64(0).bytes, {"big-endian", "version 3", "gguf-convert-endian"}},
      {Made().start(0, 0, 4).bytes, {"GGUF version 4; 2 and 3 are known"}},
      {Made().start(0, 0, 0).bytes, {"GGUF version 0"}},
      {Made().u32(3).u64(1).bytes, {"the number of key-values needs 8 bytes"}},
      {Made().start(kHuge, 0).bytes, {"18446744073709551615 tensors, but only 0 bytes follow"}},
      {Made().start(0, kHuge).bytes, {"18446744073709551615 key-values"}},
      {Made().start(0, 1).text("k").u32(2).bytes, {"1 elements of u16, but only 0 bytes follow"}},
      {Made().start(0, 1).u64(kHuge).u64(0).bytes, {"key 0 has 18446744073709551615 bytes; at most 65535"}},
      {Made().start(0, 1).u64(100).u64(0).bytes, {"key 0 needs 100 bytes"}},
      {Made().start(0, 1).text("").u32(0).put("xx", 2).bytes, {"key 0 is empty"}},
      {Made().start(0, 1).text("k").u32(13).u64(0).bytes, {"the key k has the unknown type 13"}},
      {Made().start(0, 1).text("k").u32(8).u64(kBig).bytes, {"the value of k has 4611686018427387904 bytes"}},
      {Made().start(0, 1).text("k").u32(8).u64(50).bytes, {"the value of k needs 50 bytes"}},
      {Made().start(0, 1).text("k").u32(9).u32(4).u64(kBig).bytes,
       {"the key k says that it has 4611686018427387904 elements of u32"}},
      {Made().start(0, 1).text("k").u32(9).u32(8).u64(kBig).bytes, {"4611686018427387904 elements of string"}},
      {Made().start(0, 1).text("k").u32(9).u32(8).u64(2).u64(kHuge).bytes, {"2 elements of string, but only 8 bytes"}},
      {Made().start(0, 1).text("k").u32(9).u32(8).u64(1).u64(kHuge).bytes, {"an element of k has 18446744073709551615 bytes"}},
      {Made().start(0, 1).text("k").u32(9).u32(9).u64(1).u64(0).bytes, {"the key k is a list of lists"}},
      {Made().start(0, 1).text("k").u32(9).u32(99).u64(1).u64(0).bytes, {"the key k has the unknown type 99"}},
      {Made().start(0, 1).text("k").u32(7).put("\2", 1).bytes, {"the key k has a bool of 2"}},
      {Made().start(0, 2).text("k").u32(0).put("x", 1).text("k").u32(0).put("x", 1).bytes, {"has the key k twice"}},
      {Made().start(0, 1).text("general.alignment").u32(4).u32(0).bytes, {"general.alignment is 0", "no power of two"}},
      {Made().start(0, 1).text("general.alignment").u32(4).u32(48).bytes, {"general.alignment is 48"}},
      {Made().start(0, 1).text("general.alignment").u32(8).text("32").bytes, {"general.alignment is '32'"}},
      {Made().start(1, 0).text("a").u32(0).put("0123456789abcdefghijklmn", 24).bytes, {"tensor a has 0 dimensions; 1 to 4"}},
      {Made().start(1, 0).text("a").u32(5).put("0123456789abcdefghijklmn", 24).bytes, {"tensor a has 5 dimensions"}},
      {Made().start(1, 0).text("a").u32(~0u).put("0123456789abcdefghijklmn", 24).bytes, {"4294967295 dimensions"}},
      {Made().start(1, 0).tensor("a", {0}, 0, 0).bytes, {"a: dimension 0 is 0, which is not in [1, 2^63)"}},
      {Made().start(1, 0).tensor("a", {kHuge}, 0, 0).bytes, {"dimension 0 is 18446744073709551615"}},
      {Made().start(1, 0).tensor("a", {kBig, kBig}, 0, 0).bytes, {"of F32 has 2^63 bytes or more"}},
      {Made().start(1, 0).tensor("a", {8}, 4, 0).data(32).bytes, {"a: has the type 4, which ggml removed"}},
      {Made().start(1, 0).tensor("a", {8}, 999, 0).data(32).bytes, {"a: has the type 999, which this version does not know"}},
      {Made().start(1, 0).tensor("a", {33, 2}, 8, 0).data(68).bytes, {"rows have 33 elements, and a block of Q8_0 has 32"}},
      {Made().start(1, 0).tensor("a", {32, 2}, 12, 0).data(68).bytes, {"rows have 32 elements, and a block of Q4_K has 256"}},
      {Made().start(1, 0).tensor("", {8}, 0, 0).data(32).bytes, {"tensor 0 has an empty name"}},
      {Made().start(1, 0).tensor(std::string(64, 'n'), {8}, 0, 0).data(32).bytes, {"its name has 64 bytes; at most 63"}},
      {Made().start(2, 0).tensor("a", {8}, 0, 0).tensor("a", {8}, 0, 32).data(64).bytes, {"a: is there twice"}},
      {Made().start(1, 0).tensor("a", {8}, 0, 8).data(64).bytes, {"starts at byte 8 of the data", "alignment 32"}},
      {Made().start(1, 0).tensor("a", {8}, 0, kHuge - 31).data(64).bytes, {"a: its bytes end past 2^63"}},
      {Made().start(1, 0).tensor("a", {8}, 0, kBig).data(64).bytes, {"before it belong to no tensor", "the first of 1 without"}},
      {Made().start(1, 0).tensor("a", {8}, 0, 0).data(31).bytes,
       {"ends at byte", "the first of 1 without all of its bytes is a"}},
      {Made().start(2, 0).tensor("a", {16}, 0, 0).tensor("b", {8}, 0, 32).data(64).bytes, {"b: its bytes", "overlap those of a"}},
      {Made().start(2, 0).tensor("a", {8}, 0, 0).tensor("b", {8}, 0, 64).data(96).bytes, {"b: bytes", "belong to no tensor"}},
      {Made().start(1, 0).tensor("a", {8}, 0, 0).data(64).bytes, {"has 32 bytes after its last tensor"}},
      // All problems of several tensors in one run.
      {Made().start(2, 0).tensor("a", {8}, 999, 0).tensor("b", {33}, 8, 0).data(64).bytes,
       {"a: has the type 999", "b: its rows"}},
      // Names are not trusted.
      {Made().start(1, 0).tensor("a\x1b[31m", {8}, 999, 0).data(32).bytes, {"a\\x1b[31m: has the type"}},
  };
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  for (const Row &row : rows) {
    Diagnostics diags;
    auto start = std::chrono::steady_clock::now();
    CHECK(failed(readGgufHeader(source(row.content), diags)));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
    std::string text = textOf(diags);
    INFO(text);
    CHECK(StringRef(text).starts_with("[2] m.gguf"));
    for (const char *part : row.says)
      CHECK(StringRef(text).contains(part));
  }
  getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_maxrss - before.ru_maxrss < 100 * 1024); // KiB
}

TEST_CASE("a file that ends anywhere is refused or whole") {
  std::string whole = readFile(kFiles + "/values.gguf");
  // The last tensor has 24 bytes and is padded to 64: what is missing of the padding is no loss.
  for (size_t size = 0; size < whole.size() - 40; ++size) {
    Diagnostics diags;
    CHECK(failed(readGgufHeader(source(whole.substr(0, size)), diags)));
    CHECK(diags.hasErrors());
  }
  Diagnostics diags;
  CHECK(succeeded(readGgufHeader(source(whole.substr(0, whole.size() - 40)), diags)));
}

TEST_CASE("key-values and tensors as the gguf package writes them") {
  Diagnostics diags;
  FailureOr<std::shared_ptr<FileSource>> file = FileSource::open(kFiles + "/values.gguf", diags);
  REQUIRE(succeeded(file));
  FailureOr<GgufHeader> header = readGgufHeader(**file, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(header));
  CHECK(header->version == 3);
  CHECK(header->alignment == 64);
  CHECK(header->dataOffset == 896); // as GGUFReader of the package says
  const GgufKeyValues &values = header->values;
  CHECK(values.text("general.architecture") == StringRef("llama"));
  auto is = [&](const char *key, GgufType type, const char *text) {
    const GgufValue *value = values.find(key);
    INFO(key);
    REQUIRE(value);
    CHECK(value->type() == type);
    CHECK(value->str() == text);
  };
  is("t.u8", GgufType::U8, "200");
  is("t.i8", GgufType::I8, "-100");
  is("t.u16", GgufType::U16, "60000");
  is("t.i16", GgufType::I16, "-30000");
  is("t.u32", GgufType::U32, "4000000000");
  is("t.i32", GgufType::I32, "-2000000000");
  is("t.f32", GgufType::F32, "9.99999975e-06");
  is("t.bool", GgufType::Bool, "true");
  is("t.u64", GgufType::U64, "9223372036854775813");
  is("t.i64", GgufType::I64, "-1152921504606846976");
  is("t.f64", GgufType::F64, "0.1");
  is("t.ints", GgufType::I32, "[1, -2, 3]");
  is("t.floats", GgufType::F32, "[0.5, -1.5]");
  is("t.strings", GgufType::String, "['a', '', 'ccc']");
  is("t.bools", GgufType::Bool, "[true, false]");
  CHECK(values.text("t.string") == StringRef("grüß 你好"));
  CHECK_FALSE(values.find("t.u64")->asInt()); // not in int64
  CHECK(values.integer("t.i64") == -(int64_t(1) << 60));

  struct Row {
    const char *name;
    DType type;
    std::vector<int64_t> shape;
    uint64_t offset, bytes;
  };
  const Row rows[] = {
      {"f32", DType::F32, {2, 3}, 896, 24},        {"f16", DType::F16, {4}, 960, 8},  {"bf16", DType::BF16, {2, 2}, 1024, 8},
      {"f64", DType::F64, {2}, 1088, 16},          {"i8", DType::I8, {5}, 1152, 5},   {"i16", DType::I16, {5}, 1216, 10},
      {"i32", DType::I32, {1, 2, 3, 4}, 1280, 96}, {"i64", DType::I64, {3}, 1408, 24}};
  REQUIRE(header->tensors.size() == std::size(rows));
  for (auto [row, tensor] : llvm::zip(rows, header->tensors)) {
    CHECK(tensor.name == row.name);
    CHECK(tensor.type == row.type);
    CHECK(tensor.shape == row.shape);
    CHECK(tensor.offset == row.offset);
    CHECK(tensor.bytes == row.bytes);
    CHECK_FALSE(tensor.block);
  }
}

TEST_CASE("every block type that the gguf package knows") {
  Diagnostics diags;
  FailureOr<Checkpoint> checkpoint = openCheckpoint(kFiles + "/blocks.gguf", diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(checkpoint));
  REQUIRE(checkpoint->gguf);
  CHECK(checkpoint->tensors.size() == 24);
  FailureOr<std::vector<std::shared_ptr<FileSource>>> sources = openSources(*checkpoint, diags);
  REQUIRE(succeeded(sources));
  for (const CheckpointTensor &tensor : checkpoint->tensors) {
    INFO(tensor.name);
    REQUIRE(tensor.block);
    const BlockInfo &info = blockInfo(*tensor.block);
    CHECK(StringRef(info.name).upper() == tensor.name);
    CHECK(tensor.type == DType::U8);
    CHECK(tensor.shape == std::vector<int64_t>{2, info.bytes});
    CHECK(tensor.decoded == std::vector<int64_t>{2, info.elements});
    std::vector<std::byte> bytes(tensor.bytes);
    REQUIRE(succeeded((*sources)[0]->read(tensor.offset, bytes, diags)));
    for (size_t i = 0; i < bytes.size(); ++i)
      CHECK(bytes[i] == static_cast<std::byte>(i + info.ggmlType));
  }
  CHECK(StringRef(checkpoint->sourcesJson()).contains("\"block\":\"q4_k\",\"decoded\":[2,256]}"));
}

TEST_CASE("what is laid out is read back, and is the same bytes as the gguf package's") {
  // The package's own file: its header from our writer, with its key-values and tensors.
  std::string theirs = readFile(kFiles + "/blocks.gguf");
  Diagnostics diags;
  FailureOr<GgufHeader> read = readGgufHeader(source(theirs), diags);
  REQUIRE(succeeded(read));
  std::vector<GgufTensor> tensors = read->tensors;
  uint64_t end = 0;
  std::string ours = layOutGguf(read->values, tensors, 32, end);
  CHECK(end == theirs.size());
  CHECK(ours == theirs.substr(0, read->dataOffset));
  for (auto [a, b] : llvm::zip(tensors, read->tensors))
    CHECK(a.offset == b.offset);

  // Another alignment.
  FailureOr<GgufHeader> values = readGgufHeader(source(readFile(kFiles + "/values.gguf")), diags);
  REQUIRE(succeeded(values));
  GgufKeyValues kept;
  for (const auto &[key, value] : values->values.all())
    if (key != kGgufAlignmentKey)
      kept.add(key, value);
  tensors = values->tensors;
  std::string head = layOutGguf(kept, tensors, 4096, end);
  CHECK(head.size() == 4096);
  CHECK(end == 4096 * 9);
  FailureOr<GgufHeader> again = readGgufHeader(source(head + std::string(end - head.size(), 'y')), diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(again));
  CHECK(again->alignment == 4096);
  for (const auto &[key, value] : kept.all())
    CHECK(*again->values.find(key) == value);
  for (auto [i, tensor] : llvm::enumerate(again->tensors)) {
    CHECK(tensor.name == values->tensors[i].name);
    CHECK(tensor.shape == values->tensors[i].shape);
    CHECK(tensor.offset == tensors[i].offset);
    CHECK(tensor.offset % 4096 == 0);
  }
  // Nothing but keys, as in a vocabulary file.
  tensors.clear();
  FailureOr<GgufHeader> empty = readGgufHeader(source(layOutGguf(kept, tensors, 32, end)), diags);
  CHECK(succeeded(empty));
}

TEST_CASE("split GGUF files are one checkpoint, or contradict each other") {
  const std::string one = readFile(kFiles + "/split-00001-of-00002.gguf"), two = readFile(kFiles + "/split-00002-of-00002.gguf");
  auto part = [](uint16_t no, uint16_t count, uint32_t tensors, const char *name) {
    return Made()
        .start(1, 3)
        .text("split.no")
        .u32(2)
        .u16(no)
        .text("split.count")
        .u32(2)
        .u16(count)
        .text("split.tensors.count")
        .u32(5)
        .u32(tensors)
        .tensor(name, {8}, 0, 0)
        .data(32)
        .bytes;
  };
  struct Row {
    const char *name;
    std::vector<std::pair<const char *, std::string>> files;
    const char *open;               // empty: the folder
    std::vector<const char *> says; // empty: it opens
  };
  const Row rows[] = {
      {"whole", {{"s-00001-of-00002.gguf", one}, {"s-00002-of-00002.gguf", two}}, "", {}},
      {"by its first file", {{"s-00001-of-00002.gguf", one}, {"s-00002-of-00002.gguf", two}}, "/s-00001-of-00002.gguf", {}},
      {"one missing", {{"s-00001-of-00002.gguf", one}}, "", {"missing: s-00002-of-00002.gguf"}},
      {"one missing, by file",
       {{"s-00001-of-00002.gguf", one}},
       "/s-00001-of-00002.gguf",
       {"s-00002-of-00002.gguf: is part of the set"}},
      {"swapped",
       {{"s-00001-of-00002.gguf", two}, {"s-00002-of-00002.gguf", one}},
       "",
       {"s-00001-of-00002.gguf: split.no: is 1, but the set has 0", "s-00002-of-00002.gguf: split.no: is 0"}},
      {"renamed part", {{"model.gguf", one}}, "", {"split.count: is 2, but the set has 1", "first file of the set"}},
      {"of another set",
       {{"s-00001-of-00002.gguf", one}, {"s-00002-of-00002.gguf", part(1, 3, 2, "b")}},
       "",
       {"split.count: is 3, but the set has 2"}},
      {"tensor count",
       {{"s-00001-of-00002.gguf", part(0, 2, 3, "a")}, {"s-00002-of-00002.gguf", part(1, 2, 3, "b")}},
       "",
       {"split.tensors.count: is 3, but the set has 2"}},
      {"a tensor twice",
       {{"s-00001-of-00002.gguf", part(0, 2, 2, "a")}, {"s-00002-of-00002.gguf", part(1, 2, 2, "a")}},
       "",
       {"a: is in s-00001-of-00002.gguf and in s-00002-of-00002.gguf"}},
      {"no split keys",
       {{"s-00001-of-00002.gguf", one}, {"s-00002-of-00002.gguf", Made().start(1, 0).tensor("b", {8}, 0, 0).data(32).bytes}},
       "",
       {"split.no: is missing", "split.count: is missing"}},
      {"two models", {{"a.gguf", one}, {"b.gguf", two}}, "", {"several checkpoints", "give the file itself"}},
      {"absurd set", {{"s-00001-of-99999.gguf", one}}, "/s-00001-of-99999.gguf", {"one of 99999 files"}},
      {"no tensors", {{"m.gguf", Made().start(0, 0).bytes}}, "", {"holds no tensor"}},
  };
  for (const Row &row : rows) {
    TempFolder folder;
    for (const auto &[name, content] : row.files)
      writeFile(folder / name, content);
    Diagnostics diags;
    FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path + row.open, diags);
    std::string text = textOf(diags);
    INFO(row.name << ": " << text);
    CHECK(succeeded(checkpoint) == row.says.empty());
    for (const char *part : row.says)
      CHECK(StringRef(text).contains(part));
    if (failed(checkpoint))
      continue;
    CHECK(checkpoint->files.size() == 2);
    CHECK(checkpoint->find("a")->file == 0);
    CHECK(checkpoint->find("b")->file == 1);
    CHECK(checkpoint->gguf->text("general.name") == StringRef("split"));
  }
}

TEST_CASE("safetensors win over GGUF files beside them") {
  TempFolder folder;
  std::filesystem::copy_file(kFiles + "/blocks.gguf", folder / "m.gguf");
  std::string header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
  char length[8];
  llvm::support::endian::write64le(length, header.size());
  writeFile(folder / "model.safetensors", std::string(length, 8) + header + "xxxx");
  Diagnostics diags;
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path, diags);
  REQUIRE(succeeded(checkpoint));
  CHECK_FALSE(checkpoint->gguf);
  CHECK(StringRef(textOf(diags)).contains("not read: m.gguf"));
}
