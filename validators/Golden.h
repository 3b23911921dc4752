// The step "golden": outputs that somebody else computed (transformers, another machine) against a device, with the file's own
// inputs.
//
// In the file, tensors named like inputs of the model are inputs. Names of outputs and of taps are compared; `hidden.N` is the
// tap that the recipe names for it. Others are listed as not compared.
#pragma once

#include "ir/HostTensor.h"
#include "recipes/Gate.h"
#include "validators/Checks.h"
#include "validators/Numbers.h"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace flagrelease {

struct GoldenRequest {
  std::string path;                                        ///< a .safetensors file
  std::vector<std::string> inputNames;                     ///< of the model
  std::vector<std::string> outputNames;                    ///< of the model, without taps
  std::vector<std::pair<std::string, std::string>> hidden; ///< "hidden.0", "hidden.1", … and their taps
  std::vector<std::string> tapOrder;                       ///< every tap that `run` can return, in graph order
  const Gate &gate;
  NumberFormat compute = NumberFormat::FP32;
  std::string scheme = "source";
  uint64_t maxBytes = uint64_t(4) << 30;
  /// Runs the model without a cache. `taps` says whether taps are wanted.
  std::function<FailureOr<NamedTensors>(const NamedTensors &inputs, bool taps, Diagnostics &diags)> run = nullptr;
};

struct GoldenComparison {
  std::string name; ///< in the file
  std::string as;   ///< output or tap
  Distance distance;
  double nmseBound = 0;
  std::string boundFrom; ///< "noise 3e-07 stated by the file: (10 * noise)^2", or the gate's words
  bool inside = true;
  std::string exceeded;
};

struct GoldenResult {
  std::vector<GoldenComparison> comparisons; ///< taps in graph order, then outputs
  std::vector<NotRun> notCompared;           ///< tensors of the file, with the reason
  std::vector<Anomaly> anomalies;
  std::optional<Divergence> firstDivergence;
  std::string digest; ///< of the file
  bool passed() const;
};

/// Cause::Input if the file cannot be read, lacks an input, or holds nothing that can be compared. The bound of an output is the
/// gate's nmse for what the artefact computes in; where the file's metadata has `noise` (a JSON mapping from output to noise,
/// max|f32 - f64| / max|f64|), the artefact computes in fp32 and no weight was rounded, it is max(1e-12, (10 * noise)^2) instead.
FailureOr<GoldenResult> checkGolden(const GoldenRequest &request, Diagnostics &diags);

} // namespace flagrelease
