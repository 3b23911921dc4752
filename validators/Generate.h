// Greedy decoding on a device: what a person looks at to see that a migrated model writes sense.
#pragma once

#include "devices/Device.h"

#include <functional>

namespace flagrelease {

/// `steps` ids after each row, each the index of the largest logit. With the artefact's cache where it has one; else the whole
/// text runs again for each id. Rows may differ in length. Fails where the artefact gives no `logits`.
FailureOr<std::vector<std::vector<int64_t>>> generateGreedy(Device &device, const LoadedModel &model,
                                                            const std::vector<std::vector<int64_t>> &rows, int64_t steps,
                                                            Diagnostics &diags);

} // namespace flagrelease
