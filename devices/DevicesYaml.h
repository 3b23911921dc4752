// devices.yaml: the devices of this user, each a command that reaches a Python (DESIGN section 8).
#pragma once

#include "text/Diagnostics.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

/// The same folder, as this machine and as the far one names it. Absolute paths.
struct PathPair {
  std::string local, remote;
};

struct DeviceEntry {
  std::string name;
  std::string chip; ///< stem or alias of a chip recipe
  /// The prefix, ending in a Python interpreter: [ssh, -p, "2222", h1, docker, exec, -i, ascend, python3]. Empty: the Python
  /// of this machine's runners, in the sandbox.
  std::vector<std::string> exec;
  /// Stem of a shipped script ("ort"), a path to a script (relative ones start at devices.yaml), or "self": the command
  /// itself speaks the protocol.
  std::string runner;
  std::map<std::string, std::string> env; ///< set in the runner and in the prefix's own process
  std::vector<PathPair> paths;
  bool push = false;                                ///< send model files through the pipe where no path is shared
  std::optional<std::chrono::milliseconds> timeout; ///< per request
  std::string place;                                ///< file:line:col, for messages
};

/// Reads one file. All problems of the file are reported, with file:line:col; unknown keys with the nearest known.
FailureOr<std::vector<DeviceEntry>> readDevicesYaml(const std::string &path, Diagnostics &diags);

/// The file to read: `flag` (--devices) or FLAGRELEASE_DEVICES, which must exist when given, else
/// ~/.config/flagrelease/devices.yaml
/// ($XDG_CONFIG_HOME), empty if that is absent.
FailureOr<std::string> findDevicesYaml(StringRef flag, Diagnostics &diags);

/// Both together: the devices of this user, none if there is no file.
FailureOr<std::vector<DeviceEntry>> loadDevices(StringRef flag, Diagnostics &diags);

} // namespace flagrelease
