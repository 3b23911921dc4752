// Devices of devices.yaml: a prefix, shared paths, pushed files.
#include "tests/devices/OnnxModels.h"
#include "tests/devices/Support.h"

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

/// `env -i` in another folder, with nothing of this process's environment: what a far host is like.
DeviceEntry elsewhere(const TempFolder &far) {
  DeviceEntry entry;
  entry.name = "far", entry.chip = "x86-64", entry.runner = "ort";
  entry.exec = {"env", "-i", "-C", far.path, findRunnerPython()};
  entry.env = {{"MARK", "it's \"here\" $HOME"}, {"TMPDIR", far.path}};
  return entry;
}

void externalFiles(const TempFolder &folder) {
  const float weights[] = {1, 2, 3, 4, 5, 6, 7, 8};
  writeFile(folder / "model.onnx", externalModel("weights.bin", 0));
  writeFile(folder / "weights.bin", std::string(reinterpret_cast<const char *>(weights), sizeof weights));
}

void expectNumbers(Device &device, const std::string &artefact) {
  Diagnostics diags;
  FailureOr<LoadedModel> model = device.load(artefact, {}, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(model));
  for (float scale : {1.0f, 2.0f}) {
    FailureOr<NamedTensors> out = device.run({{"x", floats({1, 4}, {scale, 10 * scale, 100 * scale, 1000 * scale})}}, diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(out));
    CHECK(out->at("y").as<float>()[0] == 7531 * scale);
  }
}

} // namespace

TEST_CASE("exec: the same files under the same names", "[exec]") {
  if (!haveOrt())
    return;
  TempFolder far, model;
  externalFiles(model);
  DeviceConfig config = testConfig();
  config.entries = {elsewhere(far)};
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice("far", config, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(device));
  CHECK((*device)->chip() == "x86-64");
  CHECK_THAT((*device)->isolation(), Catch::Contains("exec: env") && !Catch::Contains(far.path));
  expectNumbers(**device, model.path);
}

TEST_CASE("exec: paths map a folder of this machine to one over there", "[exec]") {
  if (!haveOrt())
    return;
  TempFolder far, shared;
  // The same folder under two names, as a mount would be.
  std::filesystem::create_directory_symlink(shared.path, far / "mnt");
  std::filesystem::create_directories(shared / "release/model");
  std::filesystem::create_directories(shared / "work");
  const float weights[] = {1, 2, 3, 4, 5, 6, 7, 8};
  writeFile(shared / "release/model/model.onnx", externalModel("weights.bin", 0));
  writeFile(shared / "release/model/weights.bin", std::string(reinterpret_cast<const char *>(weights), sizeof weights));
  DeviceConfig config = testConfig();
  DeviceEntry entry = elsewhere(far);
  // The longest prefix counts: the first pair must not win.
  entry.paths = {{"/", "/nowhere"}, {shared.path, far / "mnt"}};
  for (const std::string &scratch : {shared / "work", std::string()}) {
    // Tensors go through files where the work folder is shared, else through the pipe.
    config.scratchParent = scratch;
    if (scratch.empty())
      entry.paths.erase(entry.paths.begin());
    config.entries = {entry};
    Diagnostics diags;
    FailureOr<std::unique_ptr<Device>> device = openDevice("far", config, diags);
    REQUIRE(succeeded(device));
    expectNumbers(**device, shared / "release/model");
  }
  // A model outside of them: said, with the place in devices.yaml.
  TempFolder other;
  externalFiles(other);
  config.entries[0].place = "devices.yaml:3:5";
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice("far", config, diags);
  REQUIRE(succeeded(device));
  CHECK(failed((*device)->load(other.path, {}, diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("[2] devices.yaml:3:5: ") && Catch::Contains("push: true"));
}

TEST_CASE("exec: push sends the model and everything beside it", "[exec]") {
  if (!haveOrt())
    return;
  TempFolder far, model;
  // More than one piece, at an odd size; and an empty file, and a folder.
  const float weights[] = {1, 2, 3, 4, 5, 6, 7, 8};
  const size_t offset = (size_t(5) << 20) + 3;
  std::string big(offset, 'p');
  for (size_t i = 0; i < big.size(); ++i)
    big[i] = static_cast<char>(i * 31);
  writeFile(model / "weights.bin", big + std::string(reinterpret_cast<const char *>(weights), sizeof weights));
  writeFile(model / "model.onnx", externalModel("weights.bin", static_cast<int64_t>(offset)));
  writeFile(model / "empty.txt", "");
  writeFile(model / "sub/folder/note.txt", "n");
  DeviceConfig config = testConfig();
  DeviceEntry entry = elsewhere(far);
  entry.push = true;
  config.entries = {entry};
  {
    Diagnostics diags;
    FailureOr<std::unique_ptr<Device>> device = openDevice("far", config, diags);
    REQUIRE(succeeded(device));
    expectNumbers(**device, model.path);
    expectNumbers(**device, model / "model.onnx");
    CHECK((*device)->usage().bytesSent > 2 * big.size());
    CHECK(!std::filesystem::is_empty(far.path));
  }
  CHECK(std::filesystem::is_empty(far.path)); // it leaves nothing behind
}

TEST_CASE("exec: a command that does not lead to a Python", "[exec]") {
  struct Row {
    std::vector<std::string> exec;
    const char *text;
  };
  const Row rows[] = {
      {{"/no/such/ssh", "host", "python3"}, "no such program"},
      {{"false"}, "exit code 1"},
      {{"sh", "-c", "echo Permission denied >&2; exit 255"}, "exit code 255; it printed last: Permission denied"},
      {{"sh", "-c", "cat"}, "took longer than 2 s"},
      {{"sh", "-c", "sleep 100"}, "took longer than 2 s"},
  };
  for (const Row &row : rows) {
    DeviceConfig config = testConfig();
    config.startTimeout = std::chrono::seconds(2);
    DeviceEntry entry;
    entry.name = "far", entry.runner = "ort", entry.exec = row.exec;
    config.entries = {entry};
    Diagnostics diags;
    DeviceFault fault = DeviceFault::None;
    CHECK(failed(openDevice("far", config, diags, &fault)));
    INFO(row.exec[0] << ": " << textOf(diags));
    CHECK_THAT(textOf(diags), Catch::Contains(row.text));
  }
}

TEST_CASE("a runner of one's own, as the README says", "[exec]") {
  if (!haveOrt()) // it needs numpy, which comes with it
    return;
  TempFolder folder;
  std::filesystem::copy_file(FLAGRELEASE_SOURCE_DIR "/tests/devices/runners/minimal.py", folder / "mine.py");
  writeFile(folder / "devices.yaml", "devices:\n  - {name: mine, chip: numpy, runner: ./mine.py}\n");
  Diagnostics diags;
  DeviceConfig config = testConfig();
  FailureOr<std::vector<DeviceEntry>> entries = loadDevices(folder / "devices.yaml", diags);
  REQUIRE(succeeded(entries));
  config.entries = *entries;
  FailureOr<std::unique_ptr<Device>> device = openDevice("mine", config, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(device));
  CHECK((*device)->tier() == EvidenceTier::T3);
  CHECK((*device)->probe(diags)->engine == "numpy");

  struct Row {
    const char *model;
    DeviceFault fault;
    const char *text;
  };
  for (const Row &row :
       {Row{"unknown", DeviceFault::Unsupported, "load failed (unsupported): no such model | try another"},
        Row{"memory", DeviceFault::Oom, "3 GiB wanted"}, Row{"error", DeviceFault::Failed, "ZeroDivisionError: by nothing"},
        Row{"fine", DeviceFault::None, ""}}) {
    writeFile(folder / "model.txt", row.model);
    diags.clear();
    LogicalResult loaded = failed((*device)->load(folder / "model.txt", {}, diags)) ? failure() : success();
    FailureOr<NamedTensors> out = failure();
    if (succeeded(loaded))
      out = (*device)->run({{"x", floats({2}, {1.5f, -2})}}, diags);
    CHECK(faultName((*device)->lastFault()).str() == faultName(row.fault).str());
    CHECK_THAT(textOf(diags), Catch::Contains(row.text));
    if (row.fault == DeviceFault::None) {
      REQUIRE(succeeded(out));
      CHECK(out->at("y").type == DType::BF16);
      CHECK(out->at("y").at(0) == 1.5);
      CHECK(out->at("y").at(1) == -2);
    }
  }
  writeFile(folder / "model.txt", "random");
  REQUIRE(succeeded((*device)->load(folder / "model.txt", {}, diags)));
  bool deterministic = true;
  CHECK(failed(runTwice(**device, {{"x", floats({64}, std::vector<float>(64))}}, deterministic, diags)));
  CHECK(!deterministic);
  CHECK_THAT(textOf(diags), Catch::Contains("[1] y: device mine gave different bytes"));
}
