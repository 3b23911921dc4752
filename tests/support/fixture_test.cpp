#include "tests/support/Fixture.h"
#include "tests/support/FixtureValues.h"
#include "tests/support/TempFolder.h"
#include "text/Json.h"
#include "weights/Digest.h"
#include "weights/Safetensors.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <sstream>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

FixtureTensor made(StringRef entry) {
  Diagnostics diags;
  FailureOr<json::Value> value = json::parse(entry, "entry", diags);
  REQUIRE(succeeded(value));
  FailureOr<FixtureTensor> tensor = makeTensor(*value, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(tensor));
  return *tensor;
}

std::string hex(const FixtureTensor &tensor) {
  std::string out;
  for (std::byte b : tensor.bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(b));
    out += digits;
  }
  return out;
}

/// Every line of checksums.txt: {"FIXTURE/FILE": digest}. They were made by an independent program (numpy).
std::map<std::string, std::string> checksums() {
  std::map<std::string, std::string> sums;
  std::istringstream lines(readFile(fixturePath() + "/../checksums.txt"));
  for (std::string digest, name; lines >> digest >> name;)
    sums[name] = digest;
  return sums;
}

NamedTensors readAll(const std::string &folder) {
  NamedTensors all;
  for (const std::filesystem::directory_entry &entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors")
      continue;
    Diagnostics diags;
    FailureOr<NamedTensors> tensors = readSafetensors(entry.path().string(), diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(tensors));
    for (auto &[name, tensor] : *tensors)
      REQUIRE(all.emplace(name, std::move(tensor)).second);
  }
  return all;
}

} // namespace

TEST_CASE("every value form gives the bytes that numpy gives", "[fixture]") {
  struct Case {
    const char *entry, *bytes;
  };
  const Case cases[] = {
      {R"({"name":"w","dtype":"F32","shape":[2,2],"offset":0.25,"scale":0.433013})", "2b07183ff2cdfb3e29d037bec7e255bd"},
      {R"({"name":"w","dtype":"BF16","shape":[5],"offset":1.0,"scale":0.3})", "9e3f953f343f4a3f8e3f"},
      {R"({"name":"w","dtype":"F16","shape":[5],"offset":0.0,"scale":1.73205})", "803dbd3bdfbed6bc3b39"},
      {R"({"name":"w","dtype":"F64","shape":[2],"offset":0.0,"scale":1.0})", "000000805669e93f000000c09fdee13f"},
      {R"({"name":"w","dtype":"F16","shape":[3],"offset":0.0,"scale":1e-07})", "010001000280"},
      {R"({"name":"s","dtype":"F32","shape":[],"offset":2.5,"scale":0.0})", "00002040"},
      {R"({"name":"i","dtype":"I64","shape":[2],"values":[[-1],[7]]})", "ffffffffffffffff0700000000000000"},
      {R"({"name":"i","dtype":"BF16","shape":[4],"values":[1.00390625,1.01171875,-0.1,3e+38]})", "803f823fcdbd627f"},
      {R"({"name":"i","dtype":"F8_E4M3","shape":[2],"values":[127,56]})", "7f38"},
      {R"({"name":"r","dtype":"U8","shape":[4],"lo":3,"hi":9})", "04060509"},
      {R"({"name":"r","dtype":"I32","shape":[3],"lo":-5,"hi":5})", "fcffffff0200000002000000"},
      {R"({"name":"r","dtype":"F8_E4M3","shape":[3],"lo":40,"hi":80})", "284147"},
      {R"({"name":"q","dtype":"I32","shape":[2]})", "94d9787683cf615b"},
      {R"({"name":"q","dtype":"I8","shape":[4]})", "94838fe3"},
      {R"({"name":"n3","dtype":"F8_E4M3","shape":[3]})", "7c647e"},
  };
  for (const Case &c : cases) {
    INFO(c.entry);
    CHECK(hex(made(c.entry)) == c.bytes);
  }
}

TEST_CASE("every fixture is written byte for byte", "[fixture]") {
  const std::map<std::string, std::string> sums = checksums();
  std::map<std::string, std::string> found;
  for (const std::string &name : fixtureNames()) {
    TempFolder folder;
    Diagnostics diags;
    INFO(name << "\n" << textOf(diags));
    REQUIRE(succeeded(materialise(fixturePath(name), folder.path, diags)));
    CHECK(std::filesystem::exists(folder / "config.json"));
    CHECK_FALSE(std::filesystem::exists(folder / "golden.json"));
    CHECK_FALSE(std::filesystem::exists(folder / "tensors.json"));
    for (const std::filesystem::directory_entry &entry : std::filesystem::recursive_directory_iterator(folder.path))
      if (entry.path().extension() == ".safetensors") {
        FailureOr<std::string> digest = sha256File(entry.path().string(), diags);
        REQUIRE(succeeded(digest));
        found[name + "/" + std::filesystem::relative(entry.path(), folder.path).string()] = *digest;
      }
  }
  CHECK(found == sums);
}

TEST_CASE("shards hold the same tensors", "[fixture]") {
  const std::string fixture = fixturePath("qwen3-qwen3-0.6b");
  TempFolder one, three;
  Diagnostics diags;
  REQUIRE(succeeded(materialise(fixture, one.path, diags)));
  REQUIRE(succeeded(materialise(fixture, three.path, diags, {.shards = 3, .storeAs = {}})));
  const NamedTensors whole = readAll(one.path), parts = readAll(three.path);
  REQUIRE(whole.size() == parts.size());
  for (const auto &[name, tensor] : whole) {
    INFO(name);
    REQUIRE(parts.count(name));
    CHECK(parts.at(name).bytes == tensor.bytes);
  }
  FailureOr<json::Value> index = json::parseFile(three / "model.safetensors.index.json", diags);
  REQUIRE(succeeded(index));
  CHECK(index->find("weight_map")->object().size() == whole.size());
  for (const json::Member &member : index->find("weight_map")->object())
    CHECK(std::filesystem::exists(three / member.value.string().str()));
  CHECK(std::filesystem::exists(three / "model-00003-of-00003.safetensors"));
}

TEST_CASE("another stored type keeps the numbers that it can hold", "[fixture]") {
  const std::string fixture = fixturePath("llama-rope-parameters"); // BF16, and its config says dtype, not torch_dtype
  TempFolder bf16, f32, f16;
  Diagnostics diags;
  REQUIRE(succeeded(materialise(fixture, bf16.path, diags)));
  REQUIRE(succeeded(materialise(fixture, f32.path, diags, {.shards = 1, .storeAs = DType::F32})));
  REQUIRE(succeeded(materialise(fixture, f16.path, diags, {.shards = 1, .storeAs = DType::F16})));
  const NamedTensors stored = readAll(bf16.path), wide = readAll(f32.path), narrow = readAll(f16.path);
  for (const auto &[name, tensor] : stored) {
    INFO(name);
    REQUIRE(wide.at(name).type == DType::F32);
    REQUIRE(narrow.at(name).type == DType::F16);
    CHECK(nmse(wide.at(name), tensor) == 0);
    CHECK(nmse(narrow.at(name), tensor) < 1e-8);
  }
  FailureOr<json::Value> config = json::parseFile(f32 / "config.json", diags);
  REQUIRE(succeeded(config));
  CHECK(config->find("dtype")->string() == "float32");
  CHECK(config->find("torch_dtype") == nullptr);
}

TEST_CASE("reference outputs can be read and agree with their description", "[fixture]") {
  for (const std::string &name : fixtureNames()) {
    Diagnostics diags;
    FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
    INFO(name << "\n" << textOf(diags));
    REQUIRE(succeeded(golden));
    CHECK_FALSE(golden->inputs.empty());
    if (golden->task == "text-generation")
      CHECK(golden->tensors.at("input_ids").shape == std::vector<int64_t>{2, 24});
    for (const std::string &output : golden->outputs) {
      INFO(output);
      CHECK(golden->tolerance(output) >= 1e-12);
      CHECK(golden->tolerance(output) < 1e-7);
    }
    if (golden->task == "text-generation") {
      CHECK(golden->greedy.size() == 16);
      CHECK(golden->minMargin > 1e-3);
    }
    if (!hasPaddedGolden(fixturePath(name)))
      continue;
    FailureOr<PaddedGolden> padded = readPaddedGolden(fixturePath(name), diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(padded));
    CHECK(padded->rows == std::vector<int64_t>{24, 7, 15});
    CHECK(padded->lonely.at("input_ids").shape == std::vector<int64_t>{1, 7});
    const HostTensor &lonely = padded->lonely.at("input_ids");
    for (const PaddedGolden::Side *side : {&padded->left, &padded->right}) {
      const HostTensor &ids = side->tensors.at("input_ids"), &mask = side->tensors.at("attention_mask"),
                       &positions = side->tensors.at("position_ids");
      CHECK(side->tensors.at("decode.ids").shape == std::vector<int64_t>{3, padded->steps});
      std::vector<double> real, places;
      for (int64_t i = padded->alone * 24; i < (padded->alone + 1) * 24; ++i)
        if (mask.at(i) == 1)
          real.push_back(ids.at(i)), places.push_back(positions.at(i));
      REQUIRE(real.size() == 7);
      for (int64_t i = 0; i < 7; ++i) {
        CHECK(real[i] == lonely.at(i));
        CHECK(places[i] == i);
      }
    }
  }
}

TEST_CASE("nmse", "[fixture]") {
  const HostTensor one = HostTensor::ofFloats({2}, {3, 4});
  CHECK(nmse(one, one) == 0);
  CHECK(nmse(HostTensor::ofFloats({2}, {3, 4.5F}), one) == Approx(0.25 / 25));
  CHECK(std::isinf(nmse(HostTensor::ofFloats({1, 2}, {3, 4}), one)));
  CHECK(std::isinf(nmse(HostTensor::ofFloats({2}, {3, NAN}), one)));
}

TEST_CASE("a broken entry is a diagnostic", "[fixture]") {
  struct Case {
    const char *entry, *message;
  };
  const Case cases[] = {
      {R"({"dtype":"F32","shape":[1]})", "lacks name, dtype or shape"},
      {R"({"name":"a","dtype":"F31","shape":[1]})", "a: unknown dtype F31"},
      {R"({"name":"a","dtype":"F32","shape":[2],"values":[1]})", "a: lists 1 values for 2 elements"},
      {R"({"name":"a","dtype":"I32","shape":[2],"offset":0,"scale":1})", "a: offset and scale need a floating-point dtype"},
  };
  for (const Case &c : cases) {
    Diagnostics diags;
    FailureOr<json::Value> value = json::parse(c.entry, "entry", diags);
    REQUIRE(succeeded(value));
    CHECK(failed(makeTensor(*value, diags)));
    CHECK_THAT(textOf(diags), Catch::Contains(c.message));
  }
}
