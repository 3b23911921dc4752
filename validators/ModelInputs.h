// What the caller of a loaded model makes when it is not given: masks, positions, caches.
#pragma once

#include "devices/Device.h"

namespace flagrelease {

/// Completes `inputs` (at least input_ids [B, S]) for one call without past: attention_mask (ones; zeros up to the columns of a
/// static cache), position_ids (running count of the mask's ones - 1; 1 where it is 0), cache_position, empty past_key_values.*.
/// other inputs as devices/MadeInputs.h says. Integers take the width that the model declares. Inputs that the model does not
/// have are dropped. An input that nobody can make is a problem that names it.
LogicalResult completeInputs(const LoadedModel &model, NamedTensors &inputs, Diagnostics &diags);

/// completeInputs, run, and without the states (present.*) that come out.
FailureOr<NamedTensors> runOnce(Device &device, const LoadedModel &model, NamedTensors inputs, Diagnostics &diags);

} // namespace flagrelease
