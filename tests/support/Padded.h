// The padded goldens of a fixture (tests/fixtures/FORMAT.md, "Padding"), against any device.
#pragma once

#include "tests/support/Fixture.h"

namespace flagrelease::test {

/// One batch on a device: a prompt, then steps that go on where the last call ended.
class Text {
public:
  virtual ~Text() = default;
  /// `inputs`: input_ids and position_ids [B, S], attention_mask [B, past + S]. Outputs, and hidden.N where the device has them.
  virtual FailureOr<NamedTensors> call(const NamedTensors &inputs, bool first, Diagnostics &diags) = 0;
};

/// What differs from the goldens, each with its numbers; `compared` counts comparisons. `lengthDependent`: the longest row
/// decides about frequencies, so that the batch's own outputs are the right ones, and not the lonely row's.
std::vector<std::string> comparePadded(const Golden &golden, const PaddedGolden &padded, bool lengthDependent, Text &text,
                                       int &compared);

} // namespace flagrelease::test
