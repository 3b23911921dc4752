// Problems found in what the user gave us: where, what (with the values), and what to do about it.
//
// Functions that can fail return LogicalResult or FailureOr<T> and add at least one Problem to the Diagnostics passed in.
// A reader goes on after a problem where it can, so that all problems of one kind appear in one run. Nothing below cli/
// prints or exits: cli/ turns a Diagnostics into text on stderr and into an exit code.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/LogicalResult.h"

#include <string>
#include <vector>

namespace flagrelease {

using llvm::failed;
using llvm::failure;
using llvm::FailureOr;
using llvm::LogicalResult;
using llvm::StringRef;
using llvm::succeeded;
using llvm::success;
using llvm::Twine;

/// Who has to act. The value is the exit code of the command (DESIGN section 2).
enum class Cause : int {
  Answer = 1,      ///< understood, and the answer is no
  Input = 2,       ///< the command or the input is wrong or not understood
  Environment = 3, ///< will not heal by itself: disk full, no permission, missing tool
  Later = 75,      ///< locked, preempted, rate-limited: the same command may work later
};

/// One problem. `where` is `file:line:col` (YAML, JSON syntax), `config.json: key.path` (JSON meaning), or the name of a
/// tensor, op, tap or option. `what` starts in lower case, holds the values, ends without a period. `remedy` says what to do.
struct Problem {
  Cause cause = Cause::Input;
  std::string where;
  std::string what;
  std::string remedy;
};

/// Collects problems. Not thread safe: a worker thread collects its own and they are merged in a fixed order.
class Diagnostics {
public:
  /// Adds a problem and returns failure(), so that `return diags.error(...)` reads well.
  LogicalResult error(const Twine &where, const Twine &what, const Twine &remedy = "", Cause cause = Cause::Input) {
    problems.push_back({cause, where.str(), what.str(), remedy.str()});
    return failure();
  }
  /// Something the user should read, that is no failure.
  void note(const Twine &where, const Twine &what) { notes.push_back({Cause::Input, where.str(), what.str(), ""}); }

  void merge(const Diagnostics &other) {
    problems.insert(problems.end(), other.problems.begin(), other.problems.end());
    notes.insert(notes.end(), other.notes.begin(), other.notes.end());
  }

  bool hasErrors() const { return !problems.empty(); }
  const std::vector<Problem> &errors() const { return problems; }
  const std::vector<Problem> &remarks() const { return notes; }
  void clear() { problems.clear(), notes.clear(); }

private:
  std::vector<Problem> problems;
  std::vector<Problem> notes;
};

} // namespace flagrelease
