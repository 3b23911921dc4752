// The list of cases by which an artefact is judged: made from the gate and the model's limits, by seed, so that everybody who
// repeats a validation feeds the same ids.
//
// Ids: splitmix64 (Steele, Lea, Flood 2014) from state = gate seed XOR fnv1a64(name of the case); id = next mod vocabulary, drawn
// again while it is one to avoid. The digest of a case is sha256 of its rows as int64 little endian, each preceded by its length.
#pragma once

#include "recipes/Gate.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

enum class Padding : uint8_t { None, Left, Right };
StringRef paddingName(Padding padding);

struct ValidationCase {
  std::string name;                       ///< "prefill-64", "batch-left"; unique in the list
  GateCheck check = GateCheck::Prefill;   ///< Prefill or Batch
  uint64_t seed = 0;                      ///< of the ids
  std::vector<std::vector<int64_t>> rows; ///< real ids, without padding
  Padding padding = Padding::None;        ///< of rows that are shorter than `columns`
  int64_t columns = 0;                    ///< ids of a row with padding: what the device sees
  int64_t decodeSteps = 0;                ///< tokens that follow, chosen by the reference
  bool required = true;                   ///< false: only while the budget lasts
  std::string idsDigest;

  int64_t length() const; ///< of the longest row
};

struct SkippedCase {
  std::string name, reason;
  GateCheck check = GateCheck::Prefill;
};

/// What model and artefact allow. Unknown or unlimited is 0 / nullopt.
struct CaseLimits {
  int64_t vocabulary = 0;
  int64_t maxLength = 0;             ///< positions of the model
  int64_t fixedBatch = 0;            ///< rows that the artefact takes, if it takes no other number
  int64_t fixedLength = 0;           ///< ids per row that the artefact takes, if it takes no other number
  int64_t cacheColumns = 0;          ///< of a static cache
  std::optional<int64_t> padId;      ///< never drawn as an id; fills padding (0 where unknown)
  bool generates = true;             ///< a causal language model: cases have decode steps
  bool placesAreColumns = false;     ///< the model counts columns, not real ids: padding in front moves a text
  bool fixedStates = false;          ///< a state of one size has seen the padding behind a text: nothing can follow it
  std::vector<int64_t> extraLengths; ///< past the window, past the original rope context: not required, within the budget
};

struct CaseList {
  std::vector<ValidationCase> cases;
  std::vector<SkippedCase> skipped;
  std::string digest() const; ///< of all cases: names, shapes, ids
};

/// Lengths beyond the model's maximum are cut to it (once), cases that do not fit the artefact are skipped with the reason.
/// Fails with Cause::Input if the vocabulary holds no usable id.
FailureOr<CaseList> makeCases(const GateCases &gate, const CaseLimits &limits, Diagnostics &diags);

/// Positions of a row of `length` that are compared: all, or (if more than last + seeded) the last ones and seeded ones, sorted.
std::vector<int64_t> comparedPositions(int64_t length, const GateCases &gate, uint64_t seed);

} // namespace flagrelease
