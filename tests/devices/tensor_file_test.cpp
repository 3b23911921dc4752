// The files that runners exchange: what is written is read back, what contradicts itself is refused and named.
#include "devices/TensorFile.h"
#include "tests/support/TempFolder.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

std::string fileOf(const std::string &header, const std::string &data) {
  uint64_t size = header.size();
  return std::string(reinterpret_cast<const char *>(&size), 8) + header + data;
}

} // namespace

TEST_CASE("tensors survive a file") {
  TempFolder folder;
  NamedTensors tensors;
  for (DType type : {DType::F64, DType::F32, DType::F16, DType::BF16, DType::F8E4M3, DType::F8E5M2, DType::F8E8M0, DType::I64,
                     DType::I32, DType::I16, DType::I8, DType::U64, DType::U32, DType::U16, DType::U8, DType::Bool}) {
    HostTensor tensor(type, {2, 3});
    for (size_t i = 0; i < tensor.bytes.size(); ++i)
      tensor.bytes[i] = static_cast<std::byte>(i * 37 + 11);
    tensors["t." + dtypeName(type).str()] = tensor;
  }
  tensors["scalar"] = HostTensor::ofFloats({}, {3.5f});
  tensors["empty"] = HostTensor(DType::F32, {0, 7});
  tensors["name \"with\" ünïcode\n"] = HostTensor::ofInts({1}, {42});
  Diagnostics diags;
  REQUIRE(succeeded(writeTensorFile(folder / "t.safetensors", tensors, diags, {{"made_by", "test"}})));
  std::map<std::string, std::string> metadata;
  FailureOr<NamedTensors> read = readTensorFile(folder / "t.safetensors", 1 << 20, diags, &metadata);
  INFO(textOf(diags));
  REQUIRE(succeeded(read));
  CHECK(metadata["made_by"] == "test");
  REQUIRE(read->size() == tensors.size());
  for (const auto &[name, tensor] : tensors) {
    CHECK(read->at(name).type == tensor.type);
    CHECK(read->at(name).shape == tensor.shape);
    CHECK(read->at(name).bytes == tensor.bytes);
  }
  CHECK(!std::filesystem::exists(folder / "t.safetensors.part"));
  // No tensor at all is a file too.
  REQUIRE(succeeded(writeTensorFile(folder / "none.safetensors", {}, diags)));
  CHECK(readTensorFile(folder / "none.safetensors", 1 << 20, diags)->empty());
}

TEST_CASE("files that contradict themselves") {
  TempFolder folder;
  const std::string eight(8, 'd');
  auto entry = [](const char *dtype, const char *shape, const char *offsets) {
    return std::string("{\"a\":{\"dtype\":\"") + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
  };
  struct Row {
    std::string bytes;
    const char *text;
  };
  const Row rows[] = {
      {"", "not a safetensors file"},
      {"1234567", "not a safetensors file"},
      {std::string(8, '\xff'), "not a safetensors file"},
      {fileOf("[]", ""), "no JSON mapping"},
      {fileOf("{\"a\":", ""), "1"},
      {fileOf("{\"a\":{}}", ""), "a: header entry without"},
      {fileOf(entry("F33", "[2]", "[0,8]"), eight), "a: unknown dtype \"F33\""},
      {fileOf(entry("F32", "[-2]", "[0,8]"), eight), "a: impossible shape"},
      {fileOf(entry("F32", "[2.0]", "[0,8]"), eight), "a: impossible shape"},
      {fileOf(entry("F32", "[4294967296,4294967296]", "[0,8]"), eight), "a: impossible shape"},
      {fileOf(entry("F32", "[2]", "[0,9]"), eight), "a: data_offsets"},
      {fileOf(entry("F32", "[2]", "[-8,0]"), eight), "a: data_offsets"},
      {fileOf(entry("F32", "[2]", "[8,0]"), eight), "a: data_offsets"},
      {fileOf(entry("F32", "[1]", "[0,8]"), eight), "a: 8 bytes of data, but F32 [1] needs 4"},
      {fileOf(entry("F32", "[1]", "[4,8]"), eight), "a: its data begins at 4"},
      {fileOf(entry("F32", "[1]", "[0,4]"), eight), "4 bytes behind the last tensor"},
      {fileOf("{\"a\":{\"dtype\":\"U8\",\"shape\":[6],\"data_offsets\":[0,6]},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_"
              "offsets\":[4,8]}}",
              eight),
       "b: its data begins at 4"},
      {fileOf("{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_"
              "offsets\":[0,8]}}",
              eight),
       "a"},
  };
  for (const Row &row : rows) {
    writeFile(folder / "bad.safetensors", row.bytes);
    Diagnostics diags;
    CHECK(failed(readTensorFile(folder / "bad.safetensors", 1 << 20, diags)));
    CHECK_THAT(textOf(diags), Catch::Contains(row.text));
  }
  Diagnostics diags;
  writeFile(folder / "big.safetensors", std::string(2000, 'x'));
  CHECK(failed(readTensorFile(folder / "big.safetensors", 1000, diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("at most 1000"));
  // A pipe would block for ever, a folder has no bytes.
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(failed(readTensorFile(folder / "pipe", 1000, diags)));
  CHECK(failed(readTensorFile(folder.path, 1000, diags)));
  CHECK(failed(readTensorFile(folder / "absent", 1000, diags)));
  CHECK(failed(writeTensorFile(folder / "no/such/folder.safetensors", {}, diags)));
  CHECK(diags.errors().back().cause == Cause::Environment);
}
