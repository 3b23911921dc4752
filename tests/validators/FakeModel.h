// A toy language model that is its own reference, and a device that runs it and can be told to err.
//
// Over ids of 32: e(id) in R^4; the value of a token is cos(position / 20) e and its position; h_t sums the values of all real
// tokens up to t, weighted by 1 / (1 + distance in positions); logits are 32 fixed mixtures of h. The cache holds values. Taps:
// "embed", "layers.0" [B, S, 4]. With tier T2 the device answers the 5 best ids instead of logits.
#pragma once

#include "devices/Device.h"
#include "validators/Oracle.h"

#include <array>
#include <string>
#include <vector>

namespace flagrelease::test {

constexpr int64_t kFakeVocabulary = 32;

enum class Mistake {
  None,
  NotANumber, ///< one logit is NaN
  Constant,   ///< every logit of a row is the same
  OnePercent, ///< the layer is 1 % too large
  LogitsOnly, ///< the head is 1 % too large: every tap is right
  Nondeterministic,
  DecodePosition, ///< steps with a cache think they are one position further on
  MaskIgnored,    ///< padding is read
  TooExact,       ///< answers exactly what the reference does
  Shape,          ///< one logit too few
  Crash,          ///< run fails
  MissingTap,
  LeftOut, ///< of tier T2: the best id is not listed
  Twice,   ///< of tier T2: an id is listed twice
};

struct FakeShape {
  bool cached = false;
  int64_t cacheColumns = 0; ///< > 0: static
  int64_t fixedBatch = 0, fixedLength = 0;
  bool generates = true;        ///< else "logits" [B, 3] of the last real token and "sentence_embedding" [B, 4]
  bool lengthDependent = false; ///< values scale with the number of columns of the call that made them
};

/// Runs in T. `past` as the cache of the device: e and position of earlier tokens [B, 1, P, 5].
struct FakeCall {
  std::vector<std::vector<int64_t>> ids, mask, positions; ///< [B][S], [B][past + S], [B][S]
  std::vector<std::vector<std::array<double, 5>>> values; ///< [B][past], grows
};
struct FakeAnswer {
  HostTensor embed, layer, logits;
};

class FakeOracle final : public Oracle {
public:
  explicit FakeOracle(FakeShape shape = {}) : shape(shape) {}
  FailureOr<NamedTensors> run(const NamedTensors &inputs, const Call &call, Diagnostics &diags) override;
  int64_t calls = 0;

private:
  FakeShape shape;
  FakeCall state;
};

class FakeDevice final : public Device {
public:
  FakeDevice(FakeShape shape, Mistake mistake) : shape(shape), mistake(mistake) {}
  StringRef name() const override { return "fake:cpu"; }
  EvidenceTier tier() const override { return evidence; }
  StringRef chip() const override { return claimed; }
  std::string isolation() const override { return "in process"; }
  FailureOr<Probe> probe(Diagnostics &diags) override { return shown; }
  /// "model", or "taps" for the model with taps as outputs.
  FailureOr<LoadedModel> load(StringRef artefact, const LoadOptions &options, Diagnostics &diags) override;
  FailureOr<NamedTensors> run(const NamedTensors &inputs, Diagnostics &diags) override;
  DeviceFault lastFault() const override { return fault; }
  DeviceUsage usage() const override { return {}; }

  EvidenceTier evidence = EvidenceTier::T1;
  std::string claimed;
  Probe shown;
  int64_t failAbove = 0; ///< > 0: longer prompts run out of memory
  float head = 1;        ///< the logits are this many times as large: an nmse of (head - 1)^2
  int64_t runs = 0;

private:
  FakeShape shape;
  Mistake mistake;
  bool taps = false;
  DeviceFault fault = DeviceFault::None;
};

} // namespace flagrelease::test
