// A device behind a runner process: moves model files and tensors to it, checks what it answers.
#pragma once

#include "devices/Device.h"
#include "devices/OpenDevice.h"
#include "devices/Runner.h"

#include <memory>
#include <string>
#include <vector>

namespace flagrelease {

class RunnerDevice final : public Device {
public:
  /// Starts nothing yet. `tier` is replaced by the runner's own where its hello has one.
  RunnerDevice(DeviceEntry entry, EvidenceTier tier, DeviceConfig config);
  ~RunnerDevice() override;

  StringRef name() const override { return entry.name; }
  EvidenceTier tier() const override { return evidence; }
  StringRef chip() const override { return entry.chip; }
  std::string isolation() const override;
  FailureOr<Probe> probe(Diagnostics &diags) override;
  FailureOr<LoadedModel> load(StringRef artefact, const LoadOptions &options, Diagnostics &diags) override;
  FailureOr<NamedTensors> run(const NamedTensors &inputs, Diagnostics &diags) override;
  DeviceFault lastFault() const override { return fault; }
  DeviceUsage usage() const override;

private:
  bool remote() const { return !entry.exec.empty(); }
  LogicalResult start(Diagnostics &diags);
  void stop();
  FailureOr<LaunchOptions> launchOptions(Diagnostics &diags);
  LogicalResult fail(DeviceFault kind, const Twine &what, const Twine &remedy, Diagnostics &diags);
  /// After a failing request: its class becomes ours.
  LogicalResult failedRequest();
  /// What the far side calls a local path; nullopt where `paths` has none.
  std::optional<std::string> farPath(StringRef local) const;
  FailureOr<json::Value> placeModel(const std::string &path, Diagnostics &diags);
  FailureOr<Probe> readProbe(const json::Value &result, Diagnostics &diags);
  FailureOr<LoadedModel> readLoaded(const json::Value &result, Diagnostics &diags);
  FailureOr<NamedTensors> readAnswer(const json::Value &result, const std::string &file, Diagnostics &diags);
  std::chrono::milliseconds timeout() const { return entry.timeout.value_or(config.timeout); }
  std::chrono::milliseconds transferTimeout(uint64_t bytes) const;

  DeviceEntry entry;
  EvidenceTier evidence;
  DeviceConfig config;
  std::optional<ScratchFolder> scratch;
  std::unique_ptr<Runner> runner;
  std::vector<std::string> readable; ///< what the sandbox must not hide
  std::optional<Probe> probed;
  LoadedModel model;
  bool loaded = false;
  unsigned starts = 0, runs = 0;
  DeviceFault fault = DeviceFault::None;
  DeviceUsage used;
};

} // namespace flagrelease
