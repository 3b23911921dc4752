#include "validators/Verdict.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

namespace flagrelease {

namespace {
struct Row {
  Verdict verdict;
  const char *name;
  int exitCode;
};
const Row kVerdicts[] = {
    {Verdict::Accept, "ACCEPT", 0},       {Verdict::Unproven, "UNPROVEN", 4},
    {Verdict::Undecided, "UNDECIDED", 4}, {Verdict::Regression, "REGRESSION", 1},
    {Verdict::Anomalous, "ANOMALOUS", 1}, {Verdict::Infeasible, "INFEASIBLE", 1},
    {Verdict::Pass, "PASS", 0},
};

const Row &rowOf(Verdict verdict) {
  for (const Row &row : kVerdicts)
    if (row.verdict == verdict)
      return row;
  return kVerdicts[1];
}

const GateCheck kAllChecks[] = {GateCheck::Bytes, GateCheck::Prefill, GateCheck::Decode,
                                GateCheck::Batch, GateCheck::Cache,   GateCheck::Tokens};

std::string named(const CheckResult &check) { return (gateCheckName(check.check) + ": " + check.reason).str(); }
} // namespace

StringRef verdictName(Verdict verdict) { return rowOf(verdict).name; }

std::optional<Verdict> parseVerdict(StringRef name) {
  for (const Row &row : kVerdicts)
    if (name == row.name)
      return row.verdict;
  return std::nullopt;
}

int exitCodeOf(Verdict verdict, bool unprovenAskedFor) {
  return verdict == Verdict::Unproven && unprovenAskedFor ? 0 : rowOf(verdict).exitCode;
}

Tier gateTier(EvidenceTier tier) {
  switch (tier) {
  case EvidenceTier::T1:
    return Tier::T1;
  case EvidenceTier::T2:
    return Tier::T2;
  case EvidenceTier::T3:
    return Tier::T3;
  }
  return Tier::T3;
}

Measured whereMeasured(const ChipRecipe *chip, Device &device, const Probe &probe) {
  Measured where;
  where.device = device.name().str();
  where.tier = gateTier(device.tier());
  where.probe = probe;
  where.isolation = device.isolation();
  if (!chip) {
    where.why = "no chip was asked for";
    return where;
  }
  where.chip = chip->name;
  if (chip->isHostCpu()) {
    // "Linux 6.1.0 x86_64, Debian …": the machine is a word before the comma.
    llvm::SmallVector<StringRef> words;
    StringRef(probe.os).split(',').first.split(words, ' ', -1, false);
    const bool machine = llvm::any_of(words, [&](StringRef word) { return chip->isHost(word); });
    if (!device.chip().empty() && device.chip() != chip->name)
      where.why = ("devices.yaml says that device " + device.name() + " is " + device.chip()).str();
    else if (!machine)
      where.why = "the probe's machine is none of this chip: " + (probe.os.empty() ? std::string("unknown") : probe.os);
    else if (probe.cpu.empty() || probe.chip != probe.cpu)
      where.why =
          "it ran on " + (probe.chip.empty() ? std::string("an unknown chip") : probe.chip) + ", not on the host's processor";
    else {
      where.onTarget = true;
      where.why = "the probe is the host's processor: " + probe.cpu;
    }
    return where;
  }
  if (device.chip().empty())
    where.why = ("device " + device.name() + " is not known as a device of this chip").str();
  else if (device.chip() != chip->name && !llvm::is_contained(chip->aka, device.chip().str()))
    where.why = ("devices.yaml says that device " + device.name() + " is " + device.chip()).str();
  else if (!chip->isShownBy(probe.chip))
    where.why = "the probe does not identify the chip: it says " + (probe.chip.empty() ? std::string("nothing") : probe.chip);
  else {
    where.onTarget = true;
    where.why = "the probe identifies the chip: " + probe.chip;
  }
  return where;
}

VerdictResult decide(const VerdictInput &input) {
  VerdictResult result;
  const Measured &where = input.where;
  result.proxy = input.forChip && !where.device.empty() && !where.onTarget;
  auto find = [&](GateCheck check) -> const CheckResult * {
    for (const CheckResult &one : input.checks)
      if (one.check == check)
        return &one;
    return nullptr;
  };

  std::vector<std::string> unproven, undecided, failures;
  std::vector<NotRun> others;
  bool anyPassed = false;
  for (GateCheck check : kAllChecks) {
    const CheckResult *one = find(check);
    const std::string name = gateCheckName(check).str();
    const CheckState state = one ? one->state : CheckState::NotRun;
    // A check without a result has its reason among what was left out.
    const NotRun *left = nullptr;
    for (const NotRun &other : input.notRun)
      if (!one && other.check == name)
        left = &other;
    const std::string reason = one ? one->reason : left ? left->reason : "it was not asked for";
    const bool required = input.forChip && input.gate.isRequired(check);
    anyPassed |= state == CheckState::Passed;
    if (state == CheckState::Failed) {
      failures.push_back(named(*one));
      continue;
    }
    if (state == CheckState::NotApplicable) {
      others.push_back({name, "not applicable: " + reason});
      continue;
    }
    if (state == CheckState::NotRun) {
      if (required) {
        unproven.push_back(name + " did not run: " + reason);
        result.notRun.push_back({name, reason});
      } else if (one) {
        others.push_back({name, reason});
      }
      continue;
    }
    if (state == CheckState::Undecided) {
      if (required || !input.forChip)
        undecided.push_back(named(*one));
      else
        others.push_back({name, "undecided: " + reason});
    }
    // Bytes are compared here, wherever the numbers are measured.
    if (!required || check == GateCheck::Bytes)
      continue;
    std::string why;
    if (input.gate.onTarget && !where.onTarget)
      why = "ran on " + (where.device.empty() ? std::string("no device") : where.device) + " as a proxy, not on " + where.chip +
            ": " + where.why;
    else if (where.tier < input.gate.tier)
      why = ("device " + StringRef(where.device) + " shows " + tierName(where.tier) + ", the gate needs " +
             tierName(input.gate.tier))
                .str();
    if (why.empty())
      continue;
    unproven.push_back(name + " " + why);
    result.notRun.push_back({name, why});
  }
  result.notRun.insert(result.notRun.end(), others.begin(), others.end());
  for (const NotRun &other : input.notRun)
    if (llvm::none_of(result.notRun,
                      [&](const NotRun &known) { return known.check == other.check && known.reason == other.reason; }))
      result.notRun.push_back(other);

  auto conclude = [&](Verdict verdict, std::vector<std::string> reasons) {
    result.verdict = verdict;
    result.reasons = std::move(reasons);
    return result;
  };
  if (!input.anomalies.empty()) {
    std::vector<std::string> reasons;
    for (const Anomaly &one : input.anomalies)
      reasons.push_back(one.kind + " (" + one.where + "): " + one.what);
    reasons.insert(reasons.end(), failures.begin(), failures.end());
    return conclude(Verdict::Anomalous, std::move(reasons));
  }
  if (!failures.empty())
    return conclude(Verdict::Regression, std::move(failures));
  if (!unproven.empty()) {
    unproven.insert(unproven.end(), undecided.begin(), undecided.end());
    return conclude(Verdict::Unproven, std::move(unproven));
  }
  if (!undecided.empty())
    return conclude(Verdict::Undecided, std::move(undecided));
  if (!anyPassed)
    return conclude(input.forChip ? Verdict::Unproven : Verdict::Undecided, {"no check ran"});
  if (!input.forChip)
    return conclude(Verdict::Pass, {"every comparison is inside"});
  return conclude(Verdict::Accept,
                  {"every check that gate " + input.gate.name + " requires ran" +
                   (where.onTarget ? " on " + where.chip + " (" + where.why + ")" : std::string()) + " and is inside"});
}

VerdictResult infeasible(std::vector<std::string> reasons) {
  VerdictResult result;
  result.verdict = Verdict::Infeasible;
  result.reasons = std::move(reasons);
  return result;
}

} // namespace flagrelease
