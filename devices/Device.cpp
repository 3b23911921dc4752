#include "devices/Device.h"

namespace flagrelease {

namespace {

struct FaultRow {
  DeviceFault fault;
  const char *name;
  Cause cause;
};

const FaultRow kFaults[] = {
    {DeviceFault::None, "none", Cause::Environment},
    {DeviceFault::Start, "start", Cause::Environment},
    {DeviceFault::Oom, "oom", Cause::Environment},
    {DeviceFault::Unsupported, "unsupported", Cause::Answer},
    {DeviceFault::BadModel, "bad-model", Cause::Answer},
    {DeviceFault::BadInput, "bad-input", Cause::Input},
    {DeviceFault::Crash, "crash", Cause::Environment},
    {DeviceFault::Timeout, "timeout", Cause::Environment},
    {DeviceFault::Nondeterministic, "nondeterministic", Cause::Answer},
    {DeviceFault::BadAnswer, "bad-answer", Cause::Answer},
    {DeviceFault::Failed, "failed", Cause::Environment},
    {DeviceFault::Cancelled, "cancelled", Cause::Later},
};

const ShippedDevice kShipped[] = {
    {"ort:cpu", "ONNX Runtime on this machine's CPU", "ort", "onnx", EvidenceTier::T1, ""},
    {"transformers:cpu", "Hugging Face transformers on this machine's CPU", "transformers", "hf", EvidenceTier::T1,
     "transformers"},
    {"llama.cpp:cpu", "llama.cpp on this machine's CPU", "llama_cpp", "gguf", EvidenceTier::T1, "llama.cpp"},
    {"vllm:cpu", "vLLM on this machine's CPU", "vllm", "hf", EvidenceTier::T2, "vllm"},
};

const FaultRow &rowOf(DeviceFault fault) {
  for (const FaultRow &row : kFaults)
    if (row.fault == fault)
      return row;
  return kFaults[0];
}

} // namespace

StringRef tierName(EvidenceTier tier) {
  switch (tier) {
  case EvidenceTier::T1:
    return "T1";
  case EvidenceTier::T2:
    return "T2";
  case EvidenceTier::T3:
    return "T3";
  }
  return "T3";
}

StringRef faultName(DeviceFault fault) { return rowOf(fault).name; }
Cause faultCause(DeviceFault fault) { return rowOf(fault).cause; }

std::optional<DeviceFault> parseFault(StringRef name) {
  for (const FaultRow &row : kFaults)
    if (row.fault != DeviceFault::None && name == row.name)
      return row.fault;
  return std::nullopt;
}

llvm::ArrayRef<ShippedDevice> shippedDevices() { return kShipped; }

const ShippedDevice *findShippedDevice(StringRef name) {
  for (const ShippedDevice &device : kShipped)
    if (name == device.name)
      return &device;
  return nullptr;
}

StringRef engineOfRunner(StringRef runner) {
  for (const ShippedDevice &device : kShipped)
    if (runner == device.runner)
      return device.engine;
  return "";
}

FailureOr<NamedTensors> runTwice(Device &device, const NamedTensors &inputs, bool &deterministic, Diagnostics &diags) {
  deterministic = true;
  FailureOr<NamedTensors> first = device.run(inputs, diags);
  if (failed(first))
    return failure();
  FailureOr<NamedTensors> second = device.run(inputs, diags);
  if (failed(second))
    return failure();
  for (const auto &[name, tensor] : *first) {
    auto other = second->find(name);
    // Bytes, not values: NaN must equal itself here.
    if (other != second->end() && other->second.type == tensor.type && other->second.shape == tensor.shape &&
        other->second.bytes == tensor.bytes)
      continue;
    deterministic = false;
    return diags.error(name, "device " + device.name() + " gave different bytes for the same inputs",
                       "ask the engine for deterministic kernels (docs/runner-protocol.md), or fix the number of threads",
                       faultCause(DeviceFault::Nondeterministic));
  }
  return first;
}

} // namespace flagrelease
