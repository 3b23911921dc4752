// Parts of Numbers.cpp: a text on a device, the same text on the reference, and the comparison of both. Not for other folders.
#pragma once

#include "validators/Numbers.h"

#include <vector>

namespace flagrelease::numbers {

/// What the loaded artefact wants beside ids.
struct Signature {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> states;     ///< past_key_values.*: [B, heads, P, d]
  std::vector<TensorSpec> fixed;      ///< past_states.*: of one size
  std::map<std::string, double> init; ///< of those of `fixed` that do not begin with 0
  std::vector<std::string> outputs;   ///< without present.*
  int64_t fixedBatch = 0, fixedLength = 0;
  int64_t cacheColumns = 0; ///< of a static cache
  bool cached() const { return !states.empty() || !fixed.empty(); }
};
/// Whether texts can be fed: every input is ids, a mask or places of them, kinds of tokens, or a state.
bool takesText(const LoadedModel &model);
/// What is not a text: seeded numbers for every input, batch 1 and 3, on both sides.
LogicalResult checkInputs(const NumbersRequest &request, const LoadedModel &model, NumbersResult &result, Diagnostics &diags);

/// Cause::Answer for an artefact with an input that nobody knows how to fill, or with states that are not as the names say.
FailureOr<Signature> readSignature(const LoadedModel &model, Diagnostics &diags);

/// One batch of texts on a device: a prompt, then steps.
class DeviceText {
public:
  DeviceText(Device &device, const Signature &signature, int64_t padId) : device(device), signature(signature), padId(padId) {}

  /// Runs a prompt; what the artefact keeps from earlier calls is forgotten. Missing columns go to the side of `padding` (right
  /// for None, in an artefact of fixed length). With `deterministic` everything runs twice and it says whether both were equal.
  /// Returns outputs without states.
  FailureOr<NamedTensors> start(const std::vector<std::vector<int64_t>> &rows, Padding padding, bool *deterministic,
                                Diagnostics &diags);
  /// One more id per row. Needs a cache.
  FailureOr<NamedTensors> step(const std::vector<int64_t> &ids, Diagnostics &diags);

  /// Of the last prompt: rows and columns that the device saw, and where each row's real ids begin.
  int64_t batch() const { return static_cast<int64_t>(mask.size()); }
  int64_t columns() const { return promptColumns; }
  int64_t firstColumn(size_t row) const { return first[row]; }

private:
  FailureOr<NamedTensors> call(const std::vector<std::vector<int64_t>> &ids, bool *deterministic, Diagnostics &diags);

  Device &device;
  const Signature &signature;
  int64_t padId;
  size_t realRows = 0;
  int64_t promptColumns = 0, past = 0;
  std::vector<int64_t> first;
  std::vector<std::vector<int64_t>> mask; ///< by row: 1 for each real column so far
  NamedTensors states;
};

/// Which part of two sets of tensors belongs together: one text in each.
struct TextView {
  const NamedTensors *tensors = nullptr;
  int64_t batch = 1, row = 0;     ///< rows of the tensors, and the text's
  int64_t columns = 0, first = 0; ///< ids per row, and the first real one
};

/// What the reference says about a case.
struct Expected {
  struct Run {
    std::vector<NamedTensors> phases; ///< prompt, then each step
    int64_t batch = 1, columns = 0;
    std::vector<int64_t> first; ///< by row
  };
  std::vector<Run> runs;                          ///< one for each row, or one padded batch
  std::vector<std::pair<size_t, int64_t>> places; ///< by row of the case: run, row in the run
  std::vector<std::vector<int64_t>> tokens;       ///< by row: chosen after the prompt and after each step; empty: no logits

  TextView view(size_t row, size_t phase) const;
};
/// Which tensors have a column for each id: [B, S, ...] of rank 3 and more.
/// `oracle`: instead of the request's reference.
FailureOr<Expected> runReference(const NumbersRequest &request, const ValidationCase &one, bool taps, Diagnostics &diags,
                                 Oracle *oracle = nullptr);
/// Whether an NMSE that is outside its bound is what the model's own rounding gives: `noise` is that of the reference.
bool isNoise(const Tolerance &tolerance, const Distance &distance, double noise);

/// Distance of a tensor over all rows of a case, worst row. `pairs[row]` lists what is compared for that row, phase by phase, as
/// one group; `positions[row]` the real positions of a tensor with columns.
struct Pair {
  TextView got, ref;
};
struct Compared {
  Distance distance;
  std::string mismatch; ///< shapes that do not belong together; empty: compared
  int64_t width = 0;    ///< numbers of a row
};
Compared compareTensor(const std::string &name, const std::vector<std::vector<Pair>> &pairs,
                       const std::vector<std::vector<int64_t>> &positions, const DistanceOptions &options);

/// What an output [B, S, N] holds for one text at one real position; empty where there is no such output.
std::vector<double> rowAt(const TextView &view, StringRef output, int64_t position);
inline std::vector<double> logitsAt(const TextView &view, int64_t position) { return rowAt(view, "logits", position); }

/// What a device of tier T2 answers for each id: the K most probable next ids (I64) and their log-probabilities, [B, S, K].
constexpr llvm::StringLiteral kTopIds = "topk_ids", kTopLogprobs = "topk_logprobs";
/// As compareTensor, of such lists against the log-probabilities by the reference's logits (or another list): those of the ids
/// that are listed, and (Distance::logprob) also the K largest that there are, so that nothing better was left out.
Compared compareTop(const std::vector<std::vector<Pair>> &pairs, const std::vector<std::vector<int64_t>> &positions,
                    const DistanceOptions &options);
/// The id that a device chooses greedily, by its logits or its list; -1 where it answers neither.
int64_t chosenAt(const TextView &view, int64_t position);

/// How rows of this output are compared.
DistanceOptions optionsFor(const NumbersRequest &request, StringRef output);
/// The bounds of `tolerance` that a distance breaks, in words. `nmseOnly`: for taps.
/// The tolerance for a tensor whose rows hold `width` numbers.
Tolerance toleranceFor(const NumbersRequest &request, const Tolerance &tolerance, int64_t width);
std::string exceededBounds(const Distance &distance, const Tolerance &tolerance, bool nmseOnly);

bool stopping(const NumbersRequest &request);

/// True if the artefact can be asked for one more token at a time.
inline bool canStep(const Signature &signature) { return signature.cached() && signature.fixedLength <= 1; }

/// The device's side of a case: the prompt and, where the artefact can, steps with `tokens` (by row, then step).
struct Answer {
  std::vector<NamedTensors> phases;
  int64_t batch = 0, columns = 0;
  std::vector<int64_t> first;

  TextView view(size_t row, size_t phase) const {
    if (phase == 0)
      return {&phases[0], batch, static_cast<int64_t>(row), columns, first[row]};
    return {&phases[phase], batch, static_cast<int64_t>(row), 1, 0};
  }
};
FailureOr<Answer> runDevice(const NumbersRequest &request, const Signature &signature, const ValidationCase &one,
                            const std::vector<std::vector<int64_t>> &tokens, bool *deterministic, Diagnostics &diags);

/// Loads the tap model and runs `first` and (unless null) `failing`. Appends to result.taps; what cannot be done goes to
/// result.notRun. Sets result.firstDivergence for `failing`, whose first comparison outside is `outside`.
void runTaps(const NumbersRequest &request, const Signature &shipped, const ValidationCase &first, const ValidationCase *failing,
             const Comparison *outside, NumbersResult &result);

} // namespace flagrelease::numbers
