// What the results mean: the verdict, its reasons, and the exit code (DESIGN section 2).
#pragma once

#include "devices/Device.h"
#include "recipes/ChipRecipe.h"
#include "recipes/Gate.h"
#include "validators/Checks.h"

#include <string>
#include <vector>

namespace flagrelease {

enum class Verdict : uint8_t { Accept, Unproven, Undecided, Regression, Anomalous, Infeasible, Pass };
/// "ACCEPT", "UNPROVEN", …
StringRef verdictName(Verdict verdict);
std::optional<Verdict> parseVerdict(StringRef name);
/// 0 4 4 1 1 1 0. An unproven build that was asked for (--device none, --validate none|bytes) is 0.
int exitCodeOf(Verdict verdict, bool unprovenAskedFor = false);
/// True for what makes a manifest manifest.rejected.json.
inline bool isRejection(Verdict v) { return v == Verdict::Regression || v == Verdict::Anomalous || v == Verdict::Infeasible; }

/// Where numbers were measured, and whether that is the chip. Made by whereMeasured(), or empty: nowhere.
struct Measured {
  std::string chip;   ///< the recipe's name; empty: no chip was asked for
  std::string device; ///< Device::name(); empty: no device
  Tier tier = Tier::T3;
  Probe probe;
  std::string isolation;
  bool onTarget = false;
  std::string why; ///< in words, also when it is the chip
};

/// The probe identifies a host-CPU chip if it ran on the host's processor (probe.chip is probe.cpu) and the machine in probe.os
/// is one of the recipe's; any other chip if devices.yaml claims it for the device and the probe's chip contains one of the
/// recipe's strings. Without `chip`: the device itself.
Measured whereMeasured(const ChipRecipe *chip, Device &device, const Probe &probe);

Tier gateTier(EvidenceTier tier);

struct VerdictInput {
  const Gate &gate;
  bool forChip = true; ///< false: PASS instead of ACCEPT, no target is needed
  Measured where;
  std::vector<CheckResult> checks; ///< those that are missing did not run
  std::vector<Anomaly> anomalies;
  std::vector<NotRun> notRun; ///< further things that were left out: compile, cases
};

struct VerdictResult {
  Verdict verdict = Verdict::Unproven;
  std::vector<std::string> reasons; ///< why it is not better; for ACCEPT and PASS what it rests on
  std::vector<NotRun> notRun;       ///< required checks that did not run on the chip first, then all others
  bool proxy = false;               ///< measured on a stand-in for the chip
};

/// ANOMALOUS before REGRESSION before UNPROVEN before UNDECIDED before ACCEPT (PASS).
VerdictResult decide(const VerdictInput &input);
/// INFEASIBLE, with all reasons.
VerdictResult infeasible(std::vector<std::string> reasons);

} // namespace flagrelease
