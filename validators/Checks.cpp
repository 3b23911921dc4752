#include "validators/Checks.h"

#include "validators/Bytes.h"

namespace flagrelease {

StringRef checkStateName(CheckState state) {
  switch (state) {
  case CheckState::Passed:
    return "passed";
  case CheckState::Failed:
    return "failed";
  case CheckState::Undecided:
    return "undecided";
  case CheckState::NotRun:
    return "not-run";
  case CheckState::NotApplicable:
    return "not-applicable";
  }
  return "not-run";
}

CheckResult BytesResult::check() const {
  if (problemCount > 0)
    return {GateCheck::Bytes, CheckState::Failed,
            std::to_string(problemCount) + (problemCount == 1 ? " difference" : " differences") +
                "; the first: " + problems.front()};
  return {GateCheck::Bytes, CheckState::Passed, ""};
}

} // namespace flagrelease
