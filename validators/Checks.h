// The result of each check of a gate, and of what was seen that no tolerance excuses. The words of reports, attestations and
// verdicts.
#pragma once

#include "recipes/Gate.h"

#include <string>
#include <vector>

namespace flagrelease {

enum class CheckState : uint8_t {
  Passed,
  Failed,
  Undecided,     ///< ran, but nothing says how much is too much, or there was too little to compare
  NotRun,        ///< could have run: a required check that did not makes the verdict UNPROVEN
  NotApplicable, ///< the artefact has no such thing (decode steps of an embedding model): nothing is left unproven
};
/// "passed", "failed", "undecided", "not-run", "not-applicable".
StringRef checkStateName(CheckState state);

struct CheckResult {
  GateCheck check = GateCheck::Bytes;
  CheckState state = CheckState::NotRun;
  std::string reason; ///< of every state but Passed
};

/// Something that makes a run ANOMALOUS.
struct Anomaly {
  std::string kind;  ///< "not-finite", "constant", "implausible", "nondeterministic"
  std::string where; ///< case and output
  std::string what;
};

/// Something that was left out, with the reason. `check` is a GateCheck's name, a case's name, or another word ("taps",
/// "compile").
struct NotRun {
  std::string check, reason;
};

} // namespace flagrelease
