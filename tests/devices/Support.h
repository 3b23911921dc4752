// What the tests of runner devices share.
#pragma once

#include "devices/OpenDevice.h"
#include "tests/support/TempFolder.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <string>

namespace flagrelease::test {

inline DeviceConfig testConfig() {
  DeviceConfig config;
  config.runnersFolder = FLAGRELEASE_SOURCE_DIR "/devices/runners";
  config.timeout = std::chrono::seconds(60);
  config.heartbeat = std::chrono::milliseconds(200);
  config.grace = std::chrono::milliseconds(500);
  return config;
}

inline HostTensor floats(std::vector<int64_t> shape, const std::vector<float> &values) {
  return HostTensor::ofFloats(std::move(shape), values);
}

/// A Python for scripts that need no packages.
inline std::string anyPython() {
  for (const char *path : {"/usr/bin/python3", "/usr/local/bin/python3"})
    if (std::ifstream(path).good())
      return path;
  return findRunnerPython();
}

/// A test that cannot run here says why; with FLAGRELEASE_NO_SKIPS set (CI) that is a failure.
inline void skip(const std::string &reason) {
  if (std::getenv("FLAGRELEASE_NO_SKIPS"))
    FAIL("not run: " << reason);
  WARN("skipped: " << reason);
}

/// True if there is a Python with ONNX Runtime; else the test says why it did not run.
inline bool haveOrt() {
  static const bool have = [] {
    Diagnostics diags;
    return !failed(openDevice("ort:cpu", testConfig(), diags));
  }();
  if (!have)
    skip("no Python with onnxruntime (tools/install_deps, or FLAGRELEASE_PYTHON)");
  return have;
}

} // namespace flagrelease::test
