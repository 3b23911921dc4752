// Runners that do one thing wrong (runners/misbehaves.py): each ends in its own error class, in time, with words that help.
#include "tests/devices/Support.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

/// The device that misbehaves as `how`, in the sandbox.
DeviceConfig misbehaving(const std::string &how) {
  DeviceConfig config = testConfig();
  config.python = anyPython();
  config.timeout = std::chrono::seconds(20);
  DeviceEntry entry;
  entry.name = "odd", entry.runner = FLAGRELEASE_SOURCE_DIR "/tests/devices/runners/misbehaves.py";
  entry.env = {{"MISBEHAVE", how}};
  config.entries = {entry};
  return config;
}

FailureOr<NamedTensors> runIt(const DeviceConfig &config, std::unique_ptr<Device> &device, DeviceFault &fault,
                              Diagnostics &diags) {
  static TempFolder folder;
  writeFile(folder / "model.bin", "x");
  FailureOr<std::unique_ptr<Device>> opened = openDevice("odd", config, diags, &fault);
  if (failed(opened))
    return failure();
  device = std::move(*opened);
  LoadOptions options;
  options.outputs = {"y"};
  FailureOr<NamedTensors> out = failure();
  if (succeeded(device->load(folder.path, options, diags)))
    out = device->run({{"x", floats({1}, {1})}}, diags);
  fault = device->lastFault();
  return out;
}

} // namespace

TEST_CASE("a runner that follows the document works", "[faults]") {
  for (const char *how : {"", "banner", "grandchild"}) {
    Diagnostics diags;
    DeviceFault fault;
    std::unique_ptr<Device> device;
    FailureOr<NamedTensors> out = runIt(misbehaving(how), device, fault, diags);
    INFO(how << ": " << textOf(diags));
    REQUIRE(succeeded(out));
    CHECK(out->at("y").as<float>()[1] == 2);
    CHECK(device->tier() == EvidenceTier::T2);
    CHECK(device->usage().peakRss == 123456789);
    CHECK(device->probe(diags)->chip == "\\x1b[31mred");
    CHECK_THAT(device->isolation(), Catch::Contains("no network"));
  }
}

TEST_CASE("NaN and infinity are data", "[faults]") {
  Diagnostics diags;
  DeviceFault fault;
  std::unique_ptr<Device> device;
  FailureOr<NamedTensors> out = runIt(misbehaving("nan"), device, fault, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(out));
  CHECK(std::isnan(out->at("y").as<float>()[0]));
  CHECK(std::isinf(out->at("y").as<float>()[1]));
  // NaN equals itself where bytes are compared.
  bool deterministic = false;
  CHECK(succeeded(runTwice(*device, {{"x", floats({1}, {1})}}, deterministic, diags)));
  CHECK(deterministic);
}

TEST_CASE("megabytes on stdout and stderr are drained into a bounded log", "[faults]") {
  TempFolder logs;
  DeviceConfig config = misbehaving("noisy");
  config.logFolder = logs.path;
  {
    Diagnostics diags;
    DeviceFault fault;
    std::unique_ptr<Device> device;
    FailureOr<NamedTensors> out = failure();
    out = runIt(config, device, fault, diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(out));
    for (int i = 0; i < 3; ++i)
      REQUIRE(succeeded(device->run({{"x", floats({1}, {1})}}, diags)));
  }
  std::string log = readFile(logs / "odd-1.log");
  CHECK(log.size() > (size_t(8) << 20));
  CHECK(log.size() < (size_t(9) << 20));
  CHECK_THAT(log.substr(log.size() - 200), Catch::Contains("the last words"));
  CHECK_THAT(log, Catch::Contains("bytes left out"));
}

TEST_CASE("what is wrong has a class, a place and words", "[faults]") {
  struct Row {
    const char *how;
    DeviceFault fault;
    const char *where;
    const char *text;
    std::chrono::milliseconds timeout{20'000};
    std::chrono::milliseconds silence{20'000};
  };
  using std::chrono::milliseconds;
  const Row rows[] = {
      {"version", DeviceFault::Start, "device odd", "speaks version [7,8] of the protocol, this program version 1"},
      {"no-hello", DeviceFault::Start, "device odd", "took longer than 1500 ms"},
      {"silent-start", DeviceFault::Start, "device odd", "took longer than 1500 ms"},
      {"dies-at-start", DeviceFault::Start, "device odd", "exit code 1; it printed last: the license server is asleep"},
      {"endless-banner", DeviceFault::BadAnswer, "device odd", "before the first frame"},
      {"load-oom", DeviceFault::Oom, "device odd", "load failed (oom): device memory: 3 of 2 GiB"},
      {"load-odd-class", DeviceFault::Failed, "device odd", "load failed (gremlins): \\x1b[31mred"},
      {"load-nonsense", DeviceFault::BadAnswer, "device odd", "unknown dtype \"F99\""},
      {"load-no-output", DeviceFault::BadAnswer, "device odd", "has no output y"},
      {"hang", DeviceFault::Timeout, "device odd", "run took longer than 700 ms", milliseconds(700)},
      {"stubborn", DeviceFault::Timeout, "device odd", "run took longer than 700 ms", milliseconds(700)},
      {"beats-for-ever", DeviceFault::Timeout, "device odd", "run took longer than 700 ms", milliseconds(700)},
      {"slow-beats", DeviceFault::Timeout, "device odd", "no sign of life for 800 ms", milliseconds(20'000), milliseconds(800)},
      {"dies", DeviceFault::Crash, "device odd", "signal 6 (Aborted); it printed last: assertion failed: kernel 7"},
      {"killed", DeviceFault::Crash, "device odd", "exhausted memory"},
      {"exits", DeviceFault::Crash, "device odd", "exit code 1; it printed last: license expired"},
      {"closes", DeviceFault::Crash, "device odd", "the runner ended during run"},
      {"garbage", DeviceFault::BadAnswer, "device odd", "a line that is no frame: \"printf debugging is here\""},
      {"not-json", DeviceFault::BadAnswer, "device odd", "a frame that is not JSON"},
      {"no-type", DeviceFault::BadAnswer, "device odd", "a frame without a type"},
      {"deep", DeviceFault::BadAnswer, "device odd", "a frame that is not JSON"},
      {"huge-frame", DeviceFault::BadAnswer, "device odd", "a frame of more than 1048576 bytes"},
      {"huge-payload", DeviceFault::BadAnswer, "device odd", "a payload of 1125899906842624 bytes"},
      {"negative-payload", DeviceFault::BadAnswer, "device odd", "a payload of -5 bytes"},
      {"unasked-data", DeviceFault::BadAnswer, "device odd", "unexpected type \"data\""},
      {"wrong-id", DeviceFault::BadAnswer, "device odd", "belongs to no running request"},
      {"no-list", DeviceFault::BadAnswer, "device odd", "no list of tensors"},
      {"no-file", DeviceFault::BadAnswer, "device odd", "cannot open"},
      {"fifo", DeviceFault::BadAnswer, "device odd", "not a regular file"},
      {"truncated", DeviceFault::BadAnswer, "y", "outside the 3 bytes of data"},
      {"lies-bytes", DeviceFault::BadAnswer, "y", "12 bytes of data, but F32 [2] needs 8"},
      {"lies-huge-shape", DeviceFault::BadAnswer, "y", "impossible shape"},
      {"lies-shape", DeviceFault::BadAnswer, "y", "told as F32 [3], sent as F32 [2]"},
      {"lies-dtype", DeviceFault::BadAnswer, "y", "the model declares F32 [?], the answer is I32 [2]"},
      {"lies-declared", DeviceFault::BadAnswer, "y", "the model declares F32 [?], the answer is F32 [2, 1]"},
      {"missing", DeviceFault::BadAnswer, "y", "missing"},
      {"extra", DeviceFault::BadAnswer, "secret", "nobody asked for"},
  };
  for (const Row &row : rows) {
    DeviceConfig config = misbehaving(row.how);
    config.timeout = row.timeout, config.silence = row.silence;
    config.startTimeout =
        std::chrono::milliseconds(StringRef(row.how) == "no-hello" || StringRef(row.how) == "silent-start" ? 1500 : 20'000);
    Diagnostics diags;
    DeviceFault fault = DeviceFault::None;
    std::unique_ptr<Device> device;
    auto begin = std::chrono::steady_clock::now();
    CHECK(failed(runIt(config, device, fault, diags)));
    INFO(row.how << ": " << textOf(diags));
    CHECK(faultName(fault).str() == faultName(row.fault).str());
    REQUIRE(!diags.errors().empty());
    CHECK(diags.errors()[0].where == row.where);
    CHECK(diags.errors()[0].cause == faultCause(row.fault));
    CHECK_THAT(textOf(diags), Catch::Contains(row.text));
    device.reset();
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(12));
  }
}

TEST_CASE("the caller can stop a request", "[faults]") {
  std::atomic<bool> stop = false;
  DeviceConfig config = misbehaving("hang");
  config.stop = &stop;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    stop = true;
  });
  Diagnostics diags;
  DeviceFault fault;
  std::unique_ptr<Device> device;
  auto begin = std::chrono::steady_clock::now();
  CHECK(failed(runIt(config, device, fault, diags)));
  later.join();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  CHECK(fault == DeviceFault::Cancelled);
  CHECK(diags.errors()[0].cause == Cause::Later);
}

TEST_CASE("after a crash the same device starts again", "[faults]") {
  TempFolder folder;
  writeFile(folder / "model.bin", "x");
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice("odd", misbehaving("dies"), diags);
  REQUIRE(succeeded(device));
  for (int i = 0; i < 2; ++i) {
    diags.clear();
    REQUIRE(succeeded((*device)->load(folder.path, {}, diags)));
    CHECK(failed((*device)->run({{"x", floats({1}, {1})}}, diags)));
    CHECK((*device)->lastFault() == DeviceFault::Crash);
    // Without a new load nothing is there to run.
    CHECK(failed((*device)->run({{"x", floats({1}, {1})}}, diags)));
    CHECK((*device)->lastFault() == DeviceFault::Crash);
  }
}

TEST_CASE("work folders are gone when the device is", "[faults]") {
  TempFolder parent;
  DeviceConfig config = misbehaving("");
  config.scratchParent = parent.path;
  {
    Diagnostics diags;
    DeviceFault fault;
    std::unique_ptr<Device> device;
    REQUIRE(succeeded(runIt(config, device, fault, diags)));
    CHECK(!std::filesystem::is_empty(parent.path));
  }
  CHECK(std::filesystem::is_empty(parent.path));
}
