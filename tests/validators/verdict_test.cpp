#include "validators/Verdict.h"

#include "tests/validators/FakeModel.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
Gate gateOf(std::vector<GateCheck> required, Tier tier = Tier::T1, bool onTarget = true) {
  Gate gate;
  gate.name = "test";
  gate.required = std::move(required);
  gate.tier = tier;
  gate.onTarget = onTarget;
  return gate;
}

Measured onChip() {
  Measured where;
  where.chip = "x86-64";
  where.device = "ort:cpu";
  where.tier = Tier::T1;
  where.onTarget = true;
  where.why = "the probe is the host's processor: X";
  return where;
}
Measured proxy() {
  Measured where = onChip();
  where.chip = "ascend-910b3";
  where.onTarget = false;
  where.why = "device ort:cpu is not known as a device of this chip";
  return where;
}

const GateCheck kBytes = GateCheck::Bytes, kPrefill = GateCheck::Prefill, kDecode = GateCheck::Decode;
CheckResult is(GateCheck check, CheckState state) { return {check, state, state == CheckState::Passed ? "" : "because"}; }
} // namespace

TEST_CASE("names and exit codes") {
  const std::pair<Verdict, std::pair<const char *, int>> rows[] = {{Verdict::Accept, {"ACCEPT", 0}},
                                                                   {Verdict::Unproven, {"UNPROVEN", 4}},
                                                                   {Verdict::Undecided, {"UNDECIDED", 4}},
                                                                   {Verdict::Regression, {"REGRESSION", 1}},
                                                                   {Verdict::Anomalous, {"ANOMALOUS", 1}},
                                                                   {Verdict::Infeasible, {"INFEASIBLE", 1}},
                                                                   {Verdict::Pass, {"PASS", 0}}};
  for (const auto &[verdict, expected] : rows) {
    CHECK(verdictName(verdict) == expected.first);
    CHECK(parseVerdict(expected.first) == verdict);
    CHECK(exitCodeOf(verdict) == expected.second);
    CHECK(exitCodeOf(verdict, true) == (verdict == Verdict::Unproven ? 0 : expected.second));
  }
  CHECK_FALSE(parseVerdict("accept"));
}

TEST_CASE("from checks to a verdict") {
  const CheckState passed = CheckState::Passed, failed_ = CheckState::Failed, undecided = CheckState::Undecided,
                   notRun = CheckState::NotRun, no = CheckState::NotApplicable;
  const std::vector<CheckResult> good = {is(kBytes, passed), is(kPrefill, passed), is(kDecode, passed)};
  const Gate gate = gateOf({kBytes, kPrefill, kDecode}), bytesOnly = gateOf({kBytes}),
             anywhere = gateOf({kBytes, kPrefill}, Tier::T1, false), second = gateOf({kPrefill}, Tier::T2);
  Measured lower = onChip();
  lower.tier = Tier::T2;
  Measured nowhere;
  nowhere.chip = "ascend-910b3";
  nowhere.why = "no device was asked for";
  const std::vector<Anomaly> nan = {{"not-finite", "prefill-8, prefill, logits", "1 NaN"}};
  struct {
    const char *name;
    VerdictInput input;
    Verdict verdict;
    const char *reason; ///< part of one
    const char *notRun; ///< a check in not_run
  } const forms[] = {
      {"all on the chip", {gate, true, onChip(), good, {}, {}}, Verdict::Accept, "x86-64", ""},
      {"on a proxy",
       {gate, true, proxy(), good, {}, {}},
       Verdict::Unproven,
       "prefill ran on ort:cpu as a proxy, not on ascend-910b3",
       "prefill"},
      {"on a proxy, and the gate does not mind", {anywhere, true, proxy(), good, {}, {}}, Verdict::Accept, "", ""},
      {"lower tier", {gate, true, lower, good, {}, {}}, Verdict::Unproven, "shows T2, the gate needs T1", "decode"},
      {"lower tier suffices", {second, true, lower, good, {}, {}}, Verdict::Accept, "", ""},
      {"no device",
       {gate, true, nowhere, {is(kBytes, passed), is(kPrefill, notRun)}, {}, {}},
       Verdict::Unproven,
       "prefill did not run: because",
       "decode"},
      {"nothing at all", {gate, true, nowhere, {}, {}, {}}, Verdict::Unproven, "bytes did not run", "bytes"},
      {"a required check did not run",
       {gate, true, onChip(), {is(kBytes, passed), is(kPrefill, passed), is(kDecode, notRun)}, {}, {}},
       Verdict::Unproven,
       "decode did not run: because",
       "decode"},
      {"not applicable",
       {gate, true, onChip(), {is(kBytes, passed), is(kPrefill, passed), is(kDecode, no)}, {}, {}},
       Verdict::Accept,
       "",
       "decode"},
      {"not required",
       {bytesOnly, true, onChip(), {is(kBytes, passed), is(kPrefill, notRun)}, {}, {}},
       Verdict::Accept,
       "",
       "prefill"},
      {"out of tolerance",
       {gate, true, onChip(), {is(kBytes, passed), is(kPrefill, failed_), is(kDecode, passed)}, {}, {}},
       Verdict::Regression,
       "prefill: because",
       ""},
      {"out of tolerance on a proxy",
       {gate, true, proxy(), {is(kPrefill, failed_)}, {}, {}},
       Verdict::Regression,
       "prefill: because",
       "bytes"},
      {"failed although not required",
       {bytesOnly, true, onChip(), {is(kBytes, passed), is(kPrefill, failed_)}, {}, {}},
       Verdict::Regression,
       "",
       ""},
      {"bytes differ, no device",
       {gate, true, nowhere, {is(kBytes, failed_)}, {}, {}},
       Verdict::Regression,
       "bytes: because",
       ""},
      {"anomalous before regression",
       {gate, true, onChip(), {is(kPrefill, failed_)}, nan, {}},
       Verdict::Anomalous,
       "not-finite (prefill-8",
       ""},
      {"anomalous although inside", {gate, true, onChip(), good, nan, {}}, Verdict::Anomalous, "1 NaN", ""},
      {"undecided",
       {gate, true, onChip(), {is(kBytes, passed), is(kPrefill, undecided), is(kDecode, passed)}, {}, {}},
       Verdict::Undecided,
       "prefill: because",
       ""},
      {"undecided on a proxy",
       {gate, true, proxy(), {is(kBytes, passed), is(kPrefill, undecided), is(kDecode, passed)}, {}, {}},
       Verdict::Unproven,
       "prefill: because",
       "prefill"},
      {"undecided, not required",
       {bytesOnly, true, onChip(), {is(kBytes, passed), is(kPrefill, undecided)}, {}, {}},
       Verdict::Accept,
       "",
       "prefill"},
      {"no chip", {gate, false, {}, {is(kPrefill, passed)}, {}, {}}, Verdict::Pass, "", ""},
      {"no chip, wrong", {gate, false, {}, {is(kPrefill, failed_)}, {}, {}}, Verdict::Regression, "", ""},
      {"no chip, anomalous", {gate, false, {}, {is(kPrefill, passed)}, nan, {}}, Verdict::Anomalous, "", ""},
      {"no chip, undecided", {gate, false, {}, {is(kPrefill, undecided)}, {}, {}}, Verdict::Undecided, "", ""},
      {"no chip, nothing ran", {gate, false, {}, {}, {}, {}}, Verdict::Undecided, "no check ran", ""},
      {"reasons of what was left out",
       {gate, true, nowhere, {is(kBytes, passed)}, {}, {{"prefill", "the runner cannot start"}}},
       Verdict::Unproven,
       "prefill did not run: the runner cannot start",
       "prefill"},
      {"further things are listed",
       {gate, true, onChip(), good, {}, {{"compile", "atc is not installed"}}},
       Verdict::Accept,
       "",
       "compile"},
  };
  for (const auto &form : forms) {
    INFO(form.name);
    const VerdictResult result = decide(form.input);
    for (const std::string &reason : result.reasons)
      UNSCOPED_INFO(reason);
    CHECK(verdictName(result.verdict) == verdictName(form.verdict));
    CHECK_FALSE(result.reasons.empty());
    CHECK(llvm::any_of(result.reasons, [&](const std::string &reason) { return StringRef(reason).contains(form.reason); }));
    CHECK((!*form.notRun ||
           llvm::any_of(result.notRun, [&](const NotRun &one) { return one.check == form.notRun && !one.reason.empty(); })));
    // Nothing is said twice.
    for (const NotRun &one : result.notRun)
      CHECK(llvm::count_if(result.notRun,
                           [&](const NotRun &other) { return other.check == one.check && other.reason == one.reason; }) == 1);
    CHECK(result.proxy == (form.input.forChip && form.input.where.device == "ort:cpu" && !form.input.where.onTarget));
  }
  CHECK(infeasible({"no operator X"}).verdict == Verdict::Infeasible);
}

TEST_CASE("a verdict that is a no") {
  for (Verdict verdict : {Verdict::Regression, Verdict::Anomalous, Verdict::Infeasible})
    CHECK(isRejection(verdict));
  for (Verdict verdict : {Verdict::Accept, Verdict::Unproven, Verdict::Undecided, Verdict::Pass})
    CHECK_FALSE(isRejection(verdict));
}

TEST_CASE("which probe is which chip") {
  ChipRecipe host, card;
  host.name = "x86-64";
  host.hostMachines = {"x86_64", "amd64"};
  card.name = "ascend-910b3";
  card.aka = {"ascend-910b"};
  card.queryContains = {"910B3"};
  Probe cpu;
  cpu.chip = cpu.cpu = "Xeon";
  cpu.os = "Linux 6.1.0 x86_64, Debian GNU/Linux 12";
  Probe arm = cpu, gpu = cpu, odd = cpu, unknown = cpu, npu = cpu, longer = cpu;
  arm.os = "Linux 6.1.0 aarch64, for x86_64 lovers";
  gpu.chip = "NVIDIA H100";
  odd.os = "Linux 6.1.0-x86_64-custom aarch64";
  unknown.cpu = unknown.chip = "";
  npu.chip = "Ascend 910B3";
  longer.chip = "Ascend 910B32";
  struct {
    const char *name;
    const ChipRecipe *chip;
    Probe probe;
    const char *claimed;
    bool onTarget;
  } const forms[] = {
      {"host", &host, cpu, "", true},
      {"another machine", &host, arm, "", false},
      {"a machine in the kernel's name", &host, odd, "", false},
      {"a card of the host", &host, gpu, "", false},
      {"unknown processor", &host, unknown, "", false},
      {"claimed to be a card", &host, cpu, "ascend-910b3", false},
      {"claimed to be the host", &host, cpu, "x86-64", true},
      {"proxy", &card, cpu, "", false},
      {"claimed, and the probe says otherwise", &card, cpu, "ascend-910b3", false},
      {"claimed and shown", &card, npu, "ascend-910b3", true},
      {"claimed by an alias", &card, npu, "ascend-910b", true},
      {"shown and not claimed", &card, npu, "", false},
      {"shown and claimed to be another", &card, npu, "nvidia-a100", false},
      {"a longer name is another chip", &card, longer, "ascend-910b3", false},
      {"no chip", nullptr, cpu, "", false},
  };
  for (const auto &form : forms) {
    INFO(form.name);
    FakeDevice device({}, Mistake::None);
    device.claimed = form.claimed;
    const Measured where = whereMeasured(form.chip, device, form.probe);
    CHECK(where.onTarget == form.onTarget);
    CHECK_FALSE(where.why.empty());
    CHECK(where.device == "fake:cpu");
    CHECK(where.chip == (form.chip ? form.chip->name : ""));
  }
}
