// The step "numbers": the same ids on the reference and on a device, and how far the outputs are apart (DESIGN section 8).
//
// For each case (validators/Cases.h) the device computes the prompt and, where the artefact has a cache, decode steps with the
// tokens that the reference chose. The caller's part of a model is made here: attention_mask, position_ids (running count - 1; 1
// under padding), cache_position, empty or zeroed past_key_values. A padded row is compared with the reference's run of that row
// alone, at its real positions; except where the longest row of a batch decides about frequencies: there the reference runs the
// padded batch too.
//
// A device of tier T2 lists the most probable next ids instead of showing logits: those log-probabilities are compared with what
// the reference's logits make of them. One of tier T3 shows nothing that has a distance.
//
// When a case fails and there is a tap model (the same graph with every tap as an output), that case runs once more with taps,
// and the first tap in graph order that is outside is named.
#pragma once

#include "devices/Device.h"
#include "ir/DimExpr.h"
#include "recipes/Gate.h"
#include "validators/Cases.h"
#include "validators/Checks.h"
#include "validators/Metrics.h"
#include "validators/Oracle.h"
#include "weights/Work.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

/// An input of the model as the reference takes it.
struct ModelInput {
  std::string name;
  DType type = DType::F32; ///< F32 for all floats, I64 for ints, Bool
  DimExprs dims;
  std::vector<double> range, example; ///< what checks put in (recipes/ModelRecipe.h, GraphInput); may be empty
};

struct NumbersRequest {
  Oracle &reference;
  Device &device;
  std::string modelPath;             ///< folder or file that the device loads
  std::string tapModelPath;          ///< the same graph with taps as outputs; empty: taps are not run
  std::vector<std::string> tapOrder; ///< graph order; empty: the order of the tap model's outputs
  const Gate &gate;
  NumberFormat compute = NumberFormat::FP32; ///< what the artefact computes in
  std::string scheme = "source";             ///< as Gate::tolerance takes it
  std::string task = "causal_lm";
  int64_t vocabulary = 0;
  int64_t maxLength = 0;            ///< positions of the model; 0: unlimited
  int64_t layers = 0, features = 0; ///< of the model, as Tolerance::nmseFor takes them; 0: unknown
  std::optional<int64_t> padId = std::nullopt;
  bool lengthDependent = false;                       ///< dynamic or longrope: cached and uncached runs differ
  std::vector<int64_t> extraLengths = {};             ///< beyond the gate's; run while the budget lasts
  std::optional<double> budgetSeconds = std::nullopt; ///< instead of the gate's
  std::vector<ModelInput> inputs = {};                ///< of the model without its states
  std::map<std::string, int64_t> sizes = {};          ///< of named sizes but B and S
  std::map<std::string, double> stateInit = {};       ///< states that do not begin with 0: past_states.{i}.name
  /// The reference in fp64, made when it is asked for: it tells how much the model itself rounds (Tolerance::noiseTimes). May be
  /// empty.
  std::function<FailureOr<Oracle *>(Diagnostics &)> precise = nullptr;
  const StopFlag *stop = nullptr;
  /// Called before each case: name and how many of how many. May be empty.
  std::function<void(StringRef, size_t, size_t)> progress = nullptr;
};

/// One output of one case, worst row.
struct Comparison {
  std::string caseName;
  std::string phase; ///< "prefill", "decode", "cache" (the device's decode against its own prefill)
  std::string output;
  Distance distance;
  bool judged = false; ///< the gate has a tolerance for this
  bool inside = true;
  std::optional<double> nmseBound; ///< by which it was judged; the tolerance has the others
  std::string exceeded;            ///< "nmse 3.1e-04 > 1e-09": every bound that is broken
};

struct TapDistance {
  std::string name;
  std::string caseName, phase;
  Distance distance;
  bool inside = true;
  double part = 0; ///< nmse, as a share of its bound
};

/// Greedy tokens of one case. A token counts only where the reference is sure (Gate::tokenMargin).
struct TokenComparison {
  std::string caseName;
  int64_t steps = 0, compared = 0, equal = 0;
  std::vector<std::vector<int64_t>> expected, measured; ///< by row, then step
};

struct Divergence {
  std::string op;                    ///< tap, or output where every tap is inside
  std::optional<double> isolated;    ///< NMSE on the reference's inputs: needs slices
  std::optional<double> accumulated; ///< NMSE; nothing where it is infinite
  std::string caseName, phase;
};

struct NumbersResult {
  CaseList cases;
  std::vector<std::string> casesRun;
  std::vector<Comparison> comparisons;
  std::vector<TokenComparison> tokens;
  std::vector<TapDistance> taps;   ///< of the first case, and of the first that failed
  std::vector<CheckResult> checks; ///< one for each GateCheck but Bytes
  std::vector<Anomaly> anomalies;
  std::vector<NotRun> notRun;     ///< cases and checks that were left out
  std::vector<std::string> notes; ///< "cached and uncached runs differ because …"
  std::optional<Divergence> firstDivergence;
  std::optional<Tolerance> tolerance; ///< by which it was judged
  double seconds = 0;

  /// Worst distance of each output over all cases against the reference, by name.
  std::map<std::string, Distance> worstByOutput() const;
};

/// Fails only where nothing can be said: the device cannot load or run (Cause as faultCause has it), the reference cannot, the
/// artefact has an input that nobody here knows how to fill, or the caller asked to stop (Cause::Later). Wrong numbers are a
/// result.
FailureOr<NumbersResult> checkNumbers(const NumbersRequest &request, Diagnostics &diags);

} // namespace flagrelease
