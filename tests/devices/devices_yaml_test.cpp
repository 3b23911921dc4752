// devices.yaml: what it says, where it is looked for, and messages with places.
#include "devices/DevicesYaml.h"
#include "tests/support/TempFolder.h"

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace flagrelease;
using namespace flagrelease::test;

TEST_CASE("every key of a device") {
  TempFolder folder;
  writeFile(folder / "devices.yaml", R"(
devices:
  - name: ascend-lab
    chip: ascend-910b3
    exec: [ssh, -p, "2222", h1, docker, exec, -i, ascend, python3]
    runner: ort
    env: {ASCEND_RT_VISIBLE_DEVICES: "3", OMP_NUM_THREADS: 8}
    paths:
      - {local: /data/models/, remote: /mnt/models}
      - {local: /, remote: /host}
    push: true
    timeout: 2.5
  - {name: "gpu:0", runner: runners/mine.py}
)");
  Diagnostics diags;
  FailureOr<std::vector<DeviceEntry>> entries = readDevicesYaml(folder / "devices.yaml", diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(entries));
  REQUIRE(entries->size() == 2);
  const DeviceEntry &lab = (*entries)[0];
  CHECK(lab.name == "ascend-lab");
  CHECK(lab.chip == "ascend-910b3");
  CHECK(lab.exec == std::vector<std::string>{"ssh", "-p", "2222", "h1", "docker", "exec", "-i", "ascend", "python3"});
  CHECK(lab.env.at("OMP_NUM_THREADS") == "8");
  REQUIRE(lab.paths.size() == 2);
  CHECK(lab.paths[0].local == "/data/models");
  CHECK(lab.paths[1].local == "/");
  CHECK(lab.push);
  CHECK(lab.timeout == std::chrono::milliseconds(2500));
  CHECK(lab.place == folder / "devices.yaml" + ":3:5");
  CHECK((*entries)[1].runner == folder / "runners/mine.py");
  CHECK(!(*entries)[1].timeout);
}

TEST_CASE("mistakes in devices.yaml") {
  struct Row {
    const char *yaml;
    const char *text;
  };
  const Row rows[] = {
      {"a: b", ":1:1: unknown key \"a\""},
      {"devices: 5", "a list of devices is missing"},
      {"- 5", ":1:3: a device must be a mapping"},
      {"- {runner: ort}", ":1:3: key \"name\" is missing"},
      {"- {name: x}", "key \"runner\" is missing"},
      {"- {name: x, runner: ort, time_out: 5}", ":1:26: unknown key \"time_out\", nearest known: timeout"},
      {"- {name: x, runner: ort, timeout: -1}", ":1:35: \"timeout\" must be seconds"},
      {"- {name: x, runner: ort, timeout: soon}", "not \"soon\""},
      {"- {name: x, runner: ort, timeout: 1e9}", "at most one week"},
      {"- {name: x, runner: ort, push: maybe}", "\"push\" must be true or false"},
      {"- {name: x, runner: ort, exec: ssh h1}", "\"exec\" must be a list of words"},
      {"- {name: x, runner: ort, exec: [ssh, [h1]]}", "a word of \"exec\" must be text"},
      {"- {name: x, runner: ort, env: [A]}", "\"env\" must be a mapping"},
      {"- {name: x, runner: ort, env: {\"A-B\": 1}}", "\"A-B\" is no name of an environment variable"},
      {"- {name: x, runner: ort, paths: [{local: /a}]}", "key \"remote\" is missing"},
      {"- {name: x, runner: ort, paths: [{local: a, remote: /b}]}", "\"a\" is not an absolute path"},
      {"- {name: x, runner: ort, paths: [{local: /a, remote: /b, romote: /c}]}", "nearest known: remote"},
      {"- {name: \"x y\", runner: ort}", "characters other than"},
      {"- {name: \"ort:cpu\", runner: ort}", "is the name of a device that this program has"},
      {"- {name: reference, runner: ort}", "is the name of a device that this program has"},
      {"- {name: x, runner: self}", "needs \"exec\""},
      {"- {name: x, runner: ort}\n- {name: x, runner: ort}", ":2:3: a second device named \"x\""},
      {"- {name: x, runner: ort", "devices.yaml:"},
      {"- {name: x, name: y, runner: ort}", "name"},
  };
  TempFolder folder;
  for (const Row &row : rows) {
    writeFile(folder / "devices.yaml", row.yaml);
    Diagnostics diags;
    CHECK(failed(readDevicesYaml(folder / "devices.yaml", diags)));
    INFO(row.yaml << "\n" << textOf(diags));
    CHECK_THAT(textOf(diags), Catch::Contains(row.text));
    for (const Problem &problem : diags.errors()) {
      CHECK(problem.cause == Cause::Input);
      CHECK_THAT(problem.where, Catch::StartsWith(folder / "devices.yaml" + ":"));
    }
  }
  // All problems of a file in one run.
  writeFile(folder / "devices.yaml", "- {name: x, runner: ort, pish: true, timeout: no}\n- {chip: c}\n");
  Diagnostics diags;
  CHECK(failed(readDevicesYaml(folder / "devices.yaml", diags)));
}

TEST_CASE("where devices.yaml is looked for") {
  TempFolder folder;
  writeFile(folder / "flag.yaml", "- {name: a, runner: ort}");
  writeFile(folder / "variable.yaml", "- {name: b, runner: ort}");
  writeFile(folder / "config/flagrelease/devices.yaml", "- {name: c, runner: ort}");
  setenv("XDG_CONFIG_HOME", (folder / "nothing").c_str(), 1);
  unsetenv("FLAGRELEASE_DEVICES");
  Diagnostics diags;
  auto first = [&](const std::string &flag) {
    FailureOr<std::vector<DeviceEntry>> entries = loadDevices(flag, diags);
    return failed(entries) ? "failed" : entries->empty() ? "none" : entries->front().name;
  };
  CHECK(first("") == "none");
  setenv("XDG_CONFIG_HOME", (folder / "config").c_str(), 1);
  CHECK(first("") == "c");
  setenv("FLAGRELEASE_DEVICES", (folder / "variable.yaml").c_str(), 1);
  CHECK(first("") == "b");
  CHECK(first(folder / "flag.yaml") == "a");
  CHECK(!diags.hasErrors());
  CHECK(first(folder / "absent.yaml") == "failed");
  CHECK_THAT(textOf(diags), Catch::Contains("--devices: no such file"));
  setenv("FLAGRELEASE_DEVICES", (folder / "absent.yaml").c_str(), 1);
  CHECK(first("") == "failed");
  CHECK_THAT(textOf(diags), Catch::Contains("FLAGRELEASE_DEVICES: no such file"));
  unsetenv("FLAGRELEASE_DEVICES");
  unsetenv("XDG_CONFIG_HOME");
}
