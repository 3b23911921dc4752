// The reference device as an oracle.
#pragma once

#include "devices/reference/ReferenceModel.h"
#include "validators/Oracle.h"

namespace flagrelease {

/// `model` outlives it.
class ReferenceOracle final : public Oracle {
public:
  explicit ReferenceOracle(ReferenceModel &model) : model(model) {}
  FailureOr<NamedTensors> run(const NamedTensors &inputs, const Call &call, Diagnostics &diags) override;

private:
  ReferenceModel &model;
};

} // namespace flagrelease
