#include "validators/ReferenceOracle.h"

namespace flagrelease {

FailureOr<NamedTensors> ReferenceOracle::run(const NamedTensors &inputs, const Call &call, Diagnostics &diags) {
  return model.run(inputs, {call.taps, call.keepState, call.stop}, diags);
}

} // namespace flagrelease
