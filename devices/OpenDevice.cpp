#include "devices/OpenDevice.h"

#include "devices/Launcher.h"
#include "devices/RunnerDevice.h"
#include "text/Escape.h"
#include "text/Nearest.h"

#include <algorithm>
#include <cstdlib>
#include <unistd.h>

namespace flagrelease {

std::string runnerVenvPython(StringRef engine) {
  const char *data = std::getenv("XDG_DATA_HOME"), *home = std::getenv("HOME");
  std::string base = data && *data == '/' ? data : home && *home == '/' ? std::string(home) + "/.local/share" : "";
  std::string folder = engine.empty() ? "venv" : "consumers/" + engine.str();
  return (base.empty() ? "$XDG_DATA_HOME" : base) + "/flagrelease/" + folder + "/bin/python";
}

std::string runnerPythonVariable(StringRef engine) {
  std::string name = engine.empty() ? "FLAGRELEASE_PYTHON" : "FLAGRELEASE_PYTHON_" + engine.upper();
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

std::string findRunnerPython(StringRef engine) {
  if (const char *named = std::getenv(runnerPythonVariable(engine).c_str()); named && *named)
    return named;
  std::string venv = runnerVenvPython(engine);
  return ::access(venv.c_str(), X_OK) == 0 ? venv : "";
}

bool deviceCouldWrite(StringRef name, const DeviceConfig &config) {
  for (const DeviceEntry &entry : config.entries)
    if (entry.name == name && !entry.exec.empty())
      return !entry.push || !entry.paths.empty();
  return !name.starts_with("reference") && (config.noSandbox || !closedBoxIsReadOnly());
}

FailureOr<std::unique_ptr<Device>> openDevice(StringRef name, const DeviceConfig &config, Diagnostics &diags,
                                              DeviceFault *fault) {
  DeviceEntry entry;
  EvidenceTier tier = EvidenceTier::T1;
  DeviceFault ignored;
  DeviceFault &kind = fault ? *fault : ignored;
  kind = DeviceFault::None;
  const DeviceEntry *listedEntry = nullptr;
  for (const DeviceEntry &candidate : config.entries)
    if (candidate.name == name)
      listedEntry = &candidate;
  if (listedEntry) {
    entry = *listedEntry;
  } else if (const ShippedDevice *shipped = findShippedDevice(name)) {
    entry.name = shipped->name, entry.runner = shipped->runner;
    tier = shipped->tier;
  } else {
    std::vector<std::string> known = {"reference"};
    for (const ShippedDevice &device : shippedDevices())
      known.push_back(device.name);
    for (const DeviceEntry &device : config.entries)
      known.push_back(device.name);
    return diags.error("--device", "unknown device \"" + escape::terminal(name, 200) + "\"" + nearestNote(name, known),
                       "known: " + listed(known) + "; add others to devices.yaml (devices/README.md)");
  }
  auto device = std::make_unique<RunnerDevice>(std::move(entry), tier, config);
  if (failed(device->probe(diags))) {
    kind = device->lastFault();
    return failure();
  }
  return std::unique_ptr<Device>(std::move(device));
}

} // namespace flagrelease
