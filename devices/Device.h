// What runs an artefact somewhere and brings back tensors. Validators see only this: the reference (in process) and every
// engine behind the runner protocol (devices/RunnerDevice.h) answer the same calls.
#pragma once

#include "ir/HostTensor.h"
#include "text/Diagnostics.h"

#include "llvm/ADT/ArrayRef.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

/// What a device's answer proves (DESIGN section 8). A gate names the tier it needs; a higher number never satisfies a lower.
enum class EvidenceTier : uint8_t {
  T1 = 1, ///< full logits
  T2 = 2, ///< log-probabilities of the top k
  T3 = 3, ///< tokens only
};
/// "T1", "T2", "T3".
StringRef tierName(EvidenceTier tier);

/// Why a device did not answer. The names are those of the runner protocol (docs/runner-protocol.md, "Error classes").
enum class DeviceFault : uint8_t {
  None,
  Start,            ///< the runner, its engine or its sandbox could not be started
  Oom,              ///< memory of host or device ran out
  Unsupported,      ///< the engine understood the model and cannot run it
  BadModel,         ///< the engine cannot read the model
  BadInput,         ///< the engine refuses the inputs: name, dtype or shape
  Crash,            ///< the process died
  Timeout,          ///< no answer in time, or no sign of life
  Nondeterministic, ///< the same inputs gave different bytes
  BadAnswer,        ///< the answer contradicts itself or the protocol
  Failed,           ///< any other error the engine reported
  Cancelled,        ///< the caller asked to stop
};
/// "oom", "bad-answer", ...; "none" for None.
StringRef faultName(DeviceFault fault);
/// The inverse; nullopt for a name that is not in the protocol.
std::optional<DeviceFault> parseFault(StringRef name);
/// Who has to act: Answer for what the engine says about the model, Later for Cancelled, else Environment.
Cause faultCause(DeviceFault fault);

/// Where something was measured. What is unknown is empty (0 for memory).
struct Probe {
  std::string chip;          ///< as the driver names it ("Intel(R) Xeon(R) …", "Ascend 910B3")
  std::string driver;        ///< version of the kernel driver
  std::string sdk;           ///< version of the vendor's SDK
  std::string engine;        ///< "onnxruntime"
  std::string engineVersion; ///< "1.31.1"
  std::string os;            ///< "Linux 6.1.0 x86_64, Debian GNU/Linux 12 (bookworm)"
  std::string cpu;           ///< model name of the host's CPU
  uint64_t memoryBytes = 0;  ///< memory of the host, or of the cgroup where that is less
  uint64_t deviceMemoryBytes = 0;
  std::map<std::string, std::string> versions; ///< of everything else that may matter: python, numpy, …
};

/// An input or output of a loaded model; -1 in `shape` is a size that the model leaves open.
struct TensorSpec {
  std::string name;
  DType type = DType::F32;
  std::vector<int64_t> shape;
};

struct LoadOptions {
  /// Outputs to bring back, taps included; empty: every output that the model declares.
  std::vector<std::string> outputs;
  /// Threads of the engine; 0: the engine's default.
  unsigned threads = 0;
  /// Bound for load; 0: the device's own.
  std::chrono::milliseconds timeout{0};
};

/// What a loaded model declares.
struct LoadedModel {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  /// Inputs past_states.{i}.name that do not begin with 0; set by who knows the model (model/pipeline.json).
  std::map<std::string, double> stateInit = {};
};

/// What the calls so far used. Peaks are of the process that ran the model.
struct DeviceUsage {
  double loadSeconds = 0;
  double runSeconds = 0; ///< wall clock, transfers included
  double cpuSeconds = 0; ///< user and system, of the runner and its children; 0 until it has ended
  uint64_t runs = 0;
  uint64_t peakRss = 0;
  uint64_t bytesSent = 0;     ///< tensors and pushed files
  uint64_t bytesReceived = 0; ///< tensors
};

class Device {
public:
  virtual ~Device() = default;

  /// "reference", "ort:cpu", or a name of devices.yaml.
  virtual StringRef name() const = 0;
  virtual EvidenceTier tier() const = 0;
  /// The chip recipe that devices.yaml claims for it; empty for shipped devices, whose probe decides.
  virtual StringRef chip() const { return ""; }
  /// How it was run, for the report: "in process", "sandbox: no network, …", "exec: ssh … (not sandboxed)".
  virtual std::string isolation() const = 0;

  virtual FailureOr<Probe> probe(Diagnostics &diags) = 0;
  /// `artefact` is a folder (model/) or one model file. Replaces what was loaded.
  virtual FailureOr<LoadedModel> load(StringRef artefact, const LoadOptions &options, Diagnostics &diags) = 0;
  /// Exactly the outputs asked for at load, each dense and of a dtype and shape that the model declares. Values are not judged:
  /// NaN and infinity are data.
  virtual FailureOr<NamedTensors> run(const NamedTensors &inputs, Diagnostics &diags) = 0;

  /// Why the last failing call failed; None after a call that did not fail.
  virtual DeviceFault lastFault() const = 0;
  virtual DeviceUsage usage() const = 0;
};

/// Runs twice and compares all bytes. A difference is failure with the first tensor that differs; the caller reports it as
/// DeviceFault::Nondeterministic.
FailureOr<NamedTensors> runTwice(Device &device, const NamedTensors &inputs, bool &deterministic, Diagnostics &diags);

/// A device that needs no devices.yaml. The first of a format is the one that is taken where none was named.
struct ShippedDevice {
  const char *name;    ///< "ort:cpu"
  const char *summary; ///< one line for `list devices`
  const char *runner;  ///< stem of devices/runners/<stem>.py
  const char *format;  ///< what it loads: "onnx"
  EvidenceTier tier;
  const char *engine; ///< its environment among those of tools/install_consumers; empty: the Python of all runners
};
llvm::ArrayRef<ShippedDevice> shippedDevices();
const ShippedDevice *findShippedDevice(StringRef name);
/// The engine of a runner by the stem of its script; empty for other scripts.
StringRef engineOfRunner(StringRef runner);

} // namespace flagrelease
