// From the name of a device to a device that answers: shipped ones and those of devices.yaml. The in-process reference is
// made by its own header (devices/reference/): it needs no process.
#pragma once

#include "devices/Device.h"
#include "devices/DevicesYaml.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace flagrelease {

/// What the command line and the place of installation decide.
struct DeviceConfig {
  std::vector<DeviceEntry> entries; ///< of devices.yaml
  std::string runnersFolder;        ///< devices/runners of the source tree or of the installation
  std::string python;               ///< for runners of this machine; empty: findRunnerPython()
  std::string scratchParent;        ///< where work folders are made; empty: TMPDIR
  std::string logFolder;            ///< an existing folder for raw logs; empty: none are kept
  bool noSandbox = false;
  uint64_t maxDataBytes = 0; ///< of a runner of this machine; 0: unlimited
  uint64_t maxAnswerBytes = uint64_t(16) << 30;
  std::chrono::milliseconds timeout{600'000}; ///< per request, where devices.yaml has none
  std::chrono::milliseconds startTimeout{60'000};
  std::chrono::milliseconds silence{300'000};
  std::chrono::milliseconds heartbeat{5'000};
  std::chrono::milliseconds grace{2'000};
  const std::atomic<bool> *stop = nullptr; ///< becomes true when the user stops the command
  std::function<void()> onLife;            ///< called at every sign of life of a busy runner
};

/// Starts the runner and probes it: a missing interpreter, engine or kernel feature is Cause::Environment here, before anything
/// is loaded. An unknown name is Cause::Input with the nearest known ones. `fault`, if given, gets the error class.
FailureOr<std::unique_ptr<Device>> openDevice(StringRef name, const DeviceConfig &config, Diagnostics &diags,
                                              DeviceFault *fault = nullptr);

/// Whether the runner of this device could write into the files of a model that it is given: outside of the box it could, unless
/// it gets them through the pipe, and in the box where the kernel cannot make files read-only. Starts nothing.
bool deviceCouldWrite(StringRef name, const DeviceConfig &config);

/// Without an engine: FLAGRELEASE_PYTHON, else the venv that tools/install_deps makes,
/// $XDG_DATA_HOME/flagrelease/venv/bin/python. With one ("llama.cpp"): FLAGRELEASE_PYTHON_LLAMA_CPP, else that of
/// tools/install_consumers, flagrelease/consumers/llama.cpp/bin/python. Empty if there is none.
std::string findRunnerPython(StringRef engine = "");
/// Where that venv belongs, existing or not.
std::string runnerVenvPython(StringRef engine = "");
/// "FLAGRELEASE_PYTHON", "FLAGRELEASE_PYTHON_LLAMA_CPP".
std::string runnerPythonVariable(StringRef engine = "");

} // namespace flagrelease
