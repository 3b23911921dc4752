// What a device is measured against: the reference, as the checks use it. Apart from devices/reference/ReferenceModel.h, so that
// checks and their tests need no MLIR.
#pragma once

#include "ir/HostTensor.h"
#include "text/Diagnostics.h"

#include <functional>

namespace flagrelease {

class Oracle {
public:
  virtual ~Oracle() = default;

  struct Call {
    bool taps = false;      ///< return the taps too, under their names
    bool keepState = false; ///< go on where the last call ended; else start a new text
    std::function<bool()> stop;
  };
  /// `inputs`: input_ids [B, S]; attention_mask [B, past + S] and position_ids [B, S] where given, else made (all ones; running
  /// count - 1).
  virtual FailureOr<NamedTensors> run(const NamedTensors &inputs, const Call &call, Diagnostics &diags) = 0;
};

} // namespace flagrelease
