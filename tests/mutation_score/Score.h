// What the step numbers is worth: mistakes that passes/Mutate.h makes in the exported module, the reference untouched, and
// whether the validator catches each and names the layer that has it.
#pragma once

#include "devices/Device.h"
#include "recipes/Gate.h"

#include <string>
#include <vector>

namespace flagrelease {

struct MutationOutcome {
  enum class Kind {
    Caught,        ///< a check failed
    Missed,        ///< every check passed: a fault of the gate, its cases or the validator
    Invisible,     ///< mathematics hides it: the reference itself, mutated the same way, gives the same numbers
    BelowBound,    ///< the mutated reference is nearer to the right one than the gate's bound
    NotApplicable, ///< this model has nothing to mutate so
  };
  std::string fixture, kind;
  int64_t layer = -1; ///< that was mutated
  Kind outcome = Kind::NotApplicable;
  bool layerNamed = false; ///< the first tap outside is of that layer
  std::string reason; ///< of NotApplicable, Invisible and BelowBound; of Caught: the first failed check; of Missed: how far it is
                      ///< from the bound
  std::string firstOutside; ///< the tap or output that the validator named
  double worst = 0;         ///< largest NMSE of an output over all cases, against the reference
};
const char *outcomeName(MutationOutcome::Kind kind);

/// All kinds (or those named) on one fixture, on the first layer from 1 on that has what the kind changes, else on layer 0. Fails
/// where the untouched fixture does not pass, or a mutated module cannot be exported or run.
FailureOr<std::vector<MutationOutcome>> scoreFixture(const std::string &fixture, llvm::ArrayRef<std::string> kinds,
                                                     Device &device, const Gate &gate, Diagnostics &diags);

/// docs/mutations.md.
std::string scoreMarkdown(const std::vector<MutationOutcome> &outcomes, size_t fixtures, const Gate &gate);

} // namespace flagrelease
