// Engines that a migration can do without: what is said where they are missing, and that asking for a probe loads none of them.
// The engines themselves are tested by `make test-consumers`.
#include "tests/devices/Support.h"

#include <filesystem>
#include <optional>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

/// Sets an environment variable, or removes it, until the end of the scope.
class Setting {
public:
  Setting(std::string name, const std::string &value) : name(std::move(name)) {
    if (const char *old = std::getenv(this->name.c_str()))
      before = old;
    value.empty() ? ::unsetenv(this->name.c_str()) : ::setenv(this->name.c_str(), value.c_str(), 1);
  }
  ~Setting() { before ? ::setenv(name.c_str(), before->c_str(), 1) : ::unsetenv(name.c_str()); }

private:
  std::string name;
  std::optional<std::string> before;
};

struct Row {
  const char *device, *engine, *variable, *module;
  EvidenceTier tier;
  std::vector<const char *> packages; ///< that its runner looks for
};
const Row kRows[] = {
    {"transformers:cpu", "transformers", "FLAGRELEASE_PYTHON_TRANSFORMERS", "torch", EvidenceTier::T1, {"torch", "transformers"}},
    {"llama.cpp:cpu", "llama.cpp", "FLAGRELEASE_PYTHON_LLAMA_CPP", "xllamacpp", EvidenceTier::T1, {"xllamacpp"}},
    {"vllm:cpu", "vllm", "FLAGRELEASE_PYTHON_VLLM", "torch", EvidenceTier::T2, {"torch", "vllm"}},
};

/// A Python with packages of these names, which cannot be imported.
std::string pythonWith(const TempFolder &folder, const std::vector<const char *> &packages) {
  for (const char *name : packages) {
    std::filesystem::create_directories(folder / "site" + std::string("/") + name);
    writeFile(folder / "site" + std::string("/") + name + "/__init__.py", "raise ImportError('this one is a fake')\n");
  }
  std::string python = folder / "python";
  writeFile(python, "#!/bin/sh\nPYTHONPATH='" + (folder / "site") + "' exec '" + findRunnerPython() + "' \"$@\"\n");
  std::filesystem::permissions(python, std::filesystem::perms::owner_all);
  return python;
}

} // namespace

TEST_CASE("an engine that is not installed says so, with the line that installs it", "[consumers]") {
  TempFolder folder;
  Setting data("XDG_DATA_HOME", folder.path);
  for (const Row &row : kRows) {
    INFO(row.device);
    Setting python(row.variable, "");
    Diagnostics diags;
    DeviceFault fault;
    REQUIRE(failed(openDevice(row.device, testConfig(), diags, &fault)));
    INFO(textOf(diags));
    CHECK(fault == DeviceFault::Start);
    REQUIRE(diags.errors().size() == 1);
    const Problem &problem = diags.errors().front();
    CHECK(problem.cause == Cause::Environment);
    CHECK_THAT(problem.what, Catch::Contains(row.engine + std::string(" is not installed")) && Catch::Contains(row.variable));
    CHECK(problem.remedy == "run tools/install_consumers " + std::string(row.engine));
  }
}

TEST_CASE("a Python without the engine: class start, with the remedy", "[consumers]") {
  for (const Row &row : kRows) {
    INFO(row.device);
    TempFolder folder;
    Setting python(row.variable, pythonWith(folder, {}));
    Diagnostics diags;
    DeviceFault fault;
    REQUIRE(failed(openDevice(row.device, testConfig(), diags, &fault)));
    INFO(textOf(diags));
    CHECK(fault == DeviceFault::Start);
    CHECK(diags.errors().front().cause == Cause::Environment);
    CHECK_THAT(textOf(diags), Catch::Contains(row.module) &&
                                  Catch::Contains("tools/install_consumers " + std::string(row.engine)) &&
                                  Catch::Contains(row.variable));
  }
}

TEST_CASE("a probe imports no engine, tells the tier, and load says what is wrong with it", "[consumers]") {
  for (const Row &row : kRows) {
    INFO(row.device);
    TempFolder folder;
    writeFile(folder / "config.json", "{\"vocab_size\": 8}");
    Setting python(row.variable, pythonWith(folder, row.packages));
    Diagnostics diags;
    DeviceFault fault;
    FailureOr<std::unique_ptr<Device>> device = openDevice(row.device, testConfig(), diags, &fault);
    INFO(textOf(diags));
    if (std::string(row.engine) == "llama.cpp") { // small: its runner imports it at once
      CHECK(failed(device));
      CHECK(fault == DeviceFault::Start);
      CHECK_THAT(textOf(diags), Catch::Contains("this one is a fake"));
      continue;
    }
    REQUIRE(succeeded(device));
    CHECK((*device)->tier() == row.tier);
    CHECK((*device)->probe(diags)->engine == row.engine);
    CHECK(failed((*device)->load(folder.path, {}, diags)));
    CHECK((*device)->lastFault() == DeviceFault::Start);
    CHECK_THAT(textOf(diags), Catch::Contains("this one is a fake") && Catch::Contains("tools/install_consumers"));
  }
}

TEST_CASE("the device of a format", "[consumers]") {
  for (auto [format, expected] : {std::pair("onnx", "ort:cpu"), {"hf", "transformers:cpu"}, {"gguf", "llama.cpp:cpu"}}) {
    const ShippedDevice *first = nullptr;
    for (const ShippedDevice &device : shippedDevices())
      if (!first && device.format == std::string(format))
        first = &device;
    REQUIRE(first);
    CHECK(first->name == std::string(expected));
    CHECK(first->tier == EvidenceTier::T1); // what is taken unasked must be able to satisfy a gate
  }
}
