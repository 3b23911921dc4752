// ort:cpu for real: values, types, external data, error classes.
#include "tests/devices/OnnxModels.h"
#include "tests/devices/Support.h"

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

std::unique_ptr<Device> openOrt(const DeviceConfig &config = testConfig()) {
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice("ort:cpu", config, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(device));
  return std::move(*device);
}

} // namespace

TEST_CASE("ort:cpu computes", "[ort]") {
  if (!haveOrt())
    return;
  TempFolder folder;
  writeFile(folder / "model.onnx", affineModel(DType::F32, true));
  std::unique_ptr<Device> device = openOrt();
  Diagnostics diags;
  FailureOr<Probe> probe = device->probe(diags);
  REQUIRE(succeeded(probe));
  CHECK(probe->engine == "onnxruntime");
  CHECK(!probe->engineVersion.empty());
  CHECK(!probe->cpu.empty());
  CHECK(probe->chip == probe->cpu);
  CHECK(probe->memoryBytes > (uint64_t(100) << 20));
  CHECK(probe->versions.count("numpy") == 1);
  CHECK(device->tier() == EvidenceTier::T1);

  for (const char *artefact : {"", "/model.onnx"}) {
    for (unsigned threads : {0u, 1u, 2u}) {
      FailureOr<LoadedModel> model = device->load(folder.path + artefact, {{}, threads}, diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(model));
      REQUIRE(model->outputs.size() == 3);
      CHECK(model->inputs[0].shape == std::vector<int64_t>{-1, 3});
      for (int64_t rows : {1, 2, 0}) {
        std::vector<float> values(static_cast<size_t>(rows * 3));
        for (size_t i = 0; i < values.size(); ++i)
          values[i] = 0.25f * static_cast<float>(i) - 0.5f;
        bool deterministic = false;
        FailureOr<NamedTensors> out = runTwice(*device, {{"x", floats({rows, 3}, values)}}, deterministic, diags);
        INFO(textOf(diags));
        REQUIRE(succeeded(out));
        CHECK(deterministic);
        REQUIRE(out->size() == 3);
        CHECK(out->at("y").shape == std::vector<int64_t>{rows, 3});
        for (size_t i = 0; i < values.size(); ++i)
          CHECK(out->at("y").as<float>()[i] == 2 * values[i] + 1);
        CHECK(out->at("s").type == DType::I64);
        CHECK(out->at("s").as<int64_t>()[0] == rows);
      }
    }
  }
  CHECK(device->usage().runs == 36);
  CHECK(device->usage().peakRss > (uint64_t(10) << 20));
  CHECK(device->usage().runSeconds > 0);
  CHECK(device->lastFault() == DeviceFault::None);
}

TEST_CASE("only the outputs asked for come back", "[ort]") {
  if (!haveOrt())
    return;
  TempFolder folder;
  writeFile(folder / "model.onnx", affineModel(DType::F32));
  std::unique_ptr<Device> device = openOrt();
  Diagnostics diags;
  FailureOr<LoadedModel> model = device->load(folder.path, {{"z"}}, diags);
  REQUIRE(succeeded(model));
  CHECK(model->outputs.size() == 1);
  FailureOr<NamedTensors> out = device->run({{"x", floats({1, 3}, {1, 2, 3})}}, diags);
  REQUIRE(succeeded(out));
  REQUIRE(out->size() == 1);
  CHECK(out->at("z").as<float>()[2] == 3);

  CHECK(failed(device->load(folder.path, {{"nope"}}, diags)));
  CHECK(device->lastFault() == DeviceFault::BadInput);
  CHECK_THAT(textOf(diags), Catch::Contains("no output nope"));
}

TEST_CASE("half precision and integers", "[ort]") {
  if (!haveOrt())
    return;
  TempFolder folder;
  std::unique_ptr<Device> device = openOrt();
  Diagnostics diags;

  writeFile(folder / "half.onnx", affineModel(DType::F16));
  REQUIRE(succeeded(device->load(folder / "half.onnx", {}, diags)));
  HostTensor half(DType::F16, {1, 3});
  for (int i = 0; i < 3; ++i)
    half.as<uint16_t>()[i] = f32ToF16(static_cast<float>(i) + 0.5f);
  FailureOr<NamedTensors> out = device->run({{"x", half}}, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(out));
  CHECK(out->at("y").type == DType::F16);
  CHECK(f16ToF32(out->at("y").as<uint16_t>()[2]) == 6.0f);

  writeFile(folder / "long.onnx", affineModel(DType::I64));
  REQUIRE(succeeded(device->load(folder / "long.onnx", {}, diags)));
  out = device->run({{"x", HostTensor::ofInts({1, 3}, {5, -7, int64_t(1) << 40})}}, diags);
  REQUIRE(succeeded(out));
  CHECK(out->at("y").as<int64_t>()[2] == (int64_t(1) << 41) + 1);

  writeFile(folder / "bf16.onnx", bf16Model());
  REQUIRE(succeeded(device->load(folder / "bf16.onnx", {}, diags)));
  HostTensor brain(DType::BF16, {4});
  const float values[] = {1.5f, -3.25f, 0.0078125f, 1e30f};
  for (int i = 0; i < 4; ++i)
    brain.as<uint16_t>()[i] = f32ToBf16(values[i]);
  out = device->run({{"x", brain}}, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(out));
  CHECK(out->at("y").type == DType::BF16);
  for (int i = 0; i < 4; ++i)
    CHECK(out->at("y").as<uint16_t>()[i] == f32ToBf16(2 * bf16ToF32(brain.as<uint16_t>()[i])));
}

TEST_CASE("external data beside the graph, at any offset", "[ort]") {
  if (!haveOrt())
    return;
  TempFolder folder;
  std::string data(3, '\x7f');
  const float weights[] = {1, 2, 3, 4, 5, 6, 7, 8};
  data.append(reinterpret_cast<const char *>(weights), sizeof weights);
  writeFile(folder / "model.safetensors", data);
  writeFile(folder / "model.onnx", externalModel("model.safetensors", 3));
  std::unique_ptr<Device> device = openOrt();
  Diagnostics diags;
  REQUIRE(succeeded(device->load(folder.path, {}, diags)));
  FailureOr<NamedTensors> out = device->run({{"x", floats({1, 4}, {1, 10, 100, 1000})}}, diags);
  REQUIRE(succeeded(out));
  CHECK(out->at("y").as<float>()[0] == 7531);
  CHECK(out->at("y").as<float>()[1] == 8642);
}

TEST_CASE("error classes of ort:cpu", "[ort]") {
  if (!haveOrt())
    return;
  TempFolder folder;
  writeFile(folder / "good.onnx", affineModel(DType::F32));
  writeFile(folder / "garbage.onnx", "this is no model");
  writeFile(folder / "unknown.onnx", unknownOpModel());
  writeFile(folder / "dangling.onnx", externalModel("absent.bin", 0));
  std::unique_ptr<Device> device = openOrt();

  struct Row {
    const char *file;
    NamedTensors inputs;
    DeviceFault fault;
    Cause cause;
    const char *text;
  };
  const Row rows[] = {
      {"absent.onnx", {}, DeviceFault::BadInput, Cause::Input, "no such file"},
      {"", {}, DeviceFault::BadModel, Cause::Answer, "4 .onnx files"},
      {"garbage.onnx", {}, DeviceFault::BadModel, Cause::Answer, "load failed"},
      {"unknown.onnx", {}, DeviceFault::Unsupported, Cause::Answer, "NoSuchOperator"},
      {"dangling.onnx", {}, DeviceFault::BadModel, Cause::Answer, "absent.bin"},
      {"good.onnx", {}, DeviceFault::BadInput, Cause::Input, "input x is missing"},
      {"good.onnx",
       {{"x", floats({1, 3}, {1, 2, 3})}, {"q", floats({1}, {1})}},
       DeviceFault::BadInput,
       Cause::Input,
       "no input q"},
      {"good.onnx",
       {{"x", HostTensor::ofInts({1, 3}, {1, 2, 3})}},
       DeviceFault::BadInput,
       Cause::Input,
       "x is I64, the model wants F32"},
      {"good.onnx", {{"x", floats({1, 4}, {1, 2, 3, 4})}}, DeviceFault::BadInput, Cause::Input, "x"},
  };
  for (const Row &row : rows) {
    Diagnostics diags;
    bool bad = failed(device->load(folder.path + "/" + row.file, {}, diags)) || failed(device->run(row.inputs, diags));
    INFO(row.file << ": " << textOf(diags));
    CHECK(bad);
    CHECK(faultName(device->lastFault()).str() == faultName(row.fault).str());
    REQUIRE(!diags.errors().empty());
    CHECK(diags.errors().front().cause == row.cause);
    CHECK_THAT(textOf(diags), Catch::Contains(row.text));
  }
  // After all that the same process still answers.
  Diagnostics diags;
  REQUIRE(succeeded(device->load(folder / "good.onnx", {}, diags)));
  CHECK(succeeded(device->run({{"x", floats({1, 3}, {1, 2, 3})}}, diags)));
}

TEST_CASE("a model that takes too long is stopped, and the device can go on", "[ort]") {
  if (!haveOrt())
    return;
  TempFolder folder;
  writeFile(folder / "loop.onnx", loopModel(int64_t(1) << 40));
  writeFile(folder / "good.onnx", affineModel(DType::F32));
  DeviceConfig config = testConfig();
  unsigned signs = 0;
  config.onLife = [&] { ++signs; };
  config.timeout = std::chrono::seconds(20);
  DeviceEntry quick;
  quick.name = "quick", quick.runner = "ort", quick.timeout = std::chrono::milliseconds(6000);
  config.entries = {quick};
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice("quick", config, diags);
  REQUIRE(succeeded(device));
  REQUIRE(succeeded((*device)->load(folder / "loop.onnx", {}, diags)));
  auto begin = std::chrono::steady_clock::now();
  CHECK(failed((*device)->run({{"x", floats({1}, {1})}}, diags)));
  CHECK((*device)->lastFault() == DeviceFault::Timeout);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(15));
  CHECK_THAT(textOf(diags), Catch::Contains("longer than 6 s"));
  CHECK(signs >= 5);

  diags.clear();
  INFO(textOf(diags));
  REQUIRE(succeeded((*device)->load(folder / "good.onnx", {}, diags)));
  CHECK(succeeded((*device)->run({{"x", floats({1, 3}, {1, 2, 3})}}, diags)));
}

TEST_CASE("memory limit of a runner ends in class oom", "[ort]") {
  if (!haveOrt())
    return;
  TempFolder folder;
  writeFile(folder / "big.onnx", bigModel(int64_t(1) << 30));
  DeviceConfig config = testConfig();
  config.maxDataBytes = uint64_t(2) << 30;
  std::unique_ptr<Device> device = openOrt(config);
  Diagnostics diags;
  REQUIRE(succeeded(device->load(folder / "big.onnx", {}, diags)));
  CHECK(failed(device->run({{"x", floats({1}, {0})}}, diags)));
  INFO(textOf(diags));
  CHECK(device->lastFault() == DeviceFault::Oom);
}

TEST_CASE("ONNX Runtime absent: the environment, with the remedy", "[ort]") {
  std::string python = anyPython();
  DeviceConfig config = testConfig();
  config.python = python;
  Diagnostics diags;
  DeviceFault fault;
  FailureOr<std::unique_ptr<Device>> device = openDevice("ort:cpu", config, diags, &fault);
  if (succeeded(device)) {
    WARN("not checked: " << python << " has onnxruntime");
    return;
  }
  INFO(textOf(diags));
  CHECK(fault == DeviceFault::Start);
  CHECK(diags.errors().front().cause == Cause::Environment);
  CHECK_THAT(textOf(diags), Catch::Contains("onnxruntime") && Catch::Contains("tools/install_deps"));
}

TEST_CASE("a Python that is not there", "[ort]") {
  DeviceConfig config = testConfig();
  config.python = "/nowhere/python";
  Diagnostics diags;
  CHECK(failed(openDevice("ort:cpu", config, diags)));
  CHECK(diags.errors().front().cause == Cause::Environment);

  diags.clear();
  CHECK(failed(openDevice("ort:gpu", config, diags)));
  CHECK(diags.errors().front().cause == Cause::Input);
  CHECK_THAT(textOf(diags), Catch::Contains("ort:cpu"));
}
