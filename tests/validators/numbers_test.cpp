// Every way in which a device can be wrong, on a model small enough to know what must come out.
#include "recipes/Scheme.h"
#include "validators/Numbers.h"

#include "tests/support/TempFolder.h"
#include "tests/validators/FakeModel.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <set>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
const Gate &defaultGate() {
  static const Gate gate = [] {
    Diagnostics diags;
    const std::vector<std::string> schemes = Schemes::load(FLAGRELEASE_SOURCE_DIR "/recipes/schemes", "", diags)->names();
    FailureOr<Gate> read = readGate(FLAGRELEASE_SOURCE_DIR "/recipes/gates/default.yaml", schemes, diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(read));
    return std::move(*read);
  }();
  return gate;
}

struct Run {
  FakeShape shape;
  Mistake mistake = Mistake::None;
  bool taps = true;
  int64_t maxLength = 0;
  int64_t failAbove = 0;
  NumberFormat compute = NumberFormat::FP32;
  std::string scheme = "source";
  std::vector<int64_t> extraLengths = {};
  double budget = 600;
  float head = 1;
  Diagnostics diags = {};

  FailureOr<NumbersResult> go(const Gate &gate = defaultGate(), const StopFlag *stop = nullptr,
                              EvidenceTier tier = EvidenceTier::T1) {
    FakeOracle oracle(shape);
    FakeDevice device(shape, mistake);
    device.evidence = tier;
    device.failAbove = failAbove;
    device.head = head;
    NumbersRequest request{oracle, device, "model", taps ? "taps" : "", {}, gate};
    request.compute = compute;
    request.scheme = scheme;
    request.task = shape.generates ? "causal_lm" : "classification";
    request.vocabulary = kFakeVocabulary;
    request.maxLength = maxLength;
    request.padId = 0;
    request.lengthDependent = shape.lengthDependent;
    request.extraLengths = extraLengths;
    request.budgetSeconds = budget;
    request.stop = stop;
    return checkNumbers(request, diags);
  }
};

/// "prefill passed, decode not-applicable, …".
std::string statesOf(const NumbersResult &result) {
  std::string text;
  for (const CheckResult &one : result.checks)
    text += (text.empty() ? "" : ", ") + gateCheckName(one.check).str() + " " + checkStateName(one.state).str();
  return text;
}

std::string reasonOf(const NumbersResult &result, GateCheck check) {
  for (const CheckResult &one : result.checks)
    if (one.check == check)
      return one.reason;
  return "?";
}

std::set<std::string> anomalyKinds(const NumbersResult &result) {
  std::set<std::string> kinds;
  for (const Anomaly &one : result.anomalies)
    kinds.insert(one.kind);
  return kinds;
}

const char kAllPassed[] = "prefill passed, decode passed, batch passed, cache passed, tokens passed";
const char kUncached[] = "prefill passed, decode not-applicable, batch passed, cache not-applicable, tokens passed";
} // namespace

TEST_CASE("a right device passes in every form of artefact") {
  struct {
    const char *name;
    FakeShape shape;
    const char *states;
  } const forms[] = {
      {"dynamic cache", {.cached = true}, kAllPassed},
      {"static cache", {.cached = true, .cacheColumns = 400}, kAllPassed},
      {"static cache that cuts steps", {.cached = true, .cacheColumns = 70}, kAllPassed},
      {"no cache", {}, kUncached},
      {"fixed length and batch",
       {.fixedBatch = 1, .fixedLength = 128},
       "prefill passed, decode not-applicable, batch not-applicable, cache not-applicable, tokens passed"},
      {"fixed batch of more rows", {.fixedBatch = 4, .fixedLength = 128}, kUncached},
      {"cached with fixed batch", {.cached = true, .fixedBatch = 3}, kAllPassed},
      {"fixed length with a cache",
       {.cached = true, .fixedBatch = 1, .fixedLength = 32},
       "prefill passed, decode not-run, batch not-applicable, cache not-run, tokens not-run"},
      {"classification",
       {.generates = false},
       "prefill passed, decode not-applicable, batch passed, cache not-applicable, tokens not-applicable"},
      {"frequencies by length",
       {.cached = true, .lengthDependent = true},
       "prefill passed, decode passed, batch passed, cache not-applicable, tokens passed"},
      {"frequencies by length, no cache",
       {.lengthDependent = true},
       "prefill passed, decode not-applicable, batch passed, cache not-applicable, tokens passed"},
  };
  for (const auto &form : forms)
    DYNAMIC_SECTION(form.name) {
      Run run{form.shape};
      FailureOr<NumbersResult> result = run.go();
      INFO(textOf(run.diags));
      REQUIRE(succeeded(result));
      for (const CheckResult &one : result->checks)
        UNSCOPED_INFO(one.reason);
      for (const NotRun &one : result->notRun)
        UNSCOPED_INFO(one.check + ": " + one.reason);
      CHECK(statesOf(*result) == form.states);
      CHECK(result->anomalies.empty());
      CHECK_FALSE(result->firstDivergence);
      CHECK(result->casesRun.size() == result->cases.cases.size());
      for (const auto &[name, distance] : result->worstByOutput()) {
        INFO(name);
        CHECK(distance.nmse < 1e-11);
        CHECK(distance.rows > 0);
        CHECK(distance.cosine > 0.999999);
      }
      CHECK(result->taps.size() >= 2);
      for (const TapDistance &tap : result->taps)
        CHECK(tap.inside);
      const bool note = llvm::any_of(result->notes, [](const std::string &text) {
        return StringRef(text).contains("cached and uncached runs differ because");
      });
      CHECK(note == form.shape.lengthDependent);
    }
}

TEST_CASE("what is wrong is found and named") {
  struct {
    const char *name;
    FakeShape shape;
    Mistake mistake;
    const char *states, *anomaly, *divergence;
  } const forms[] = {
      {"the layer",
       {.cached = true},
       Mistake::OnePercent,
       "prefill failed, decode failed, batch failed, cache passed, tokens passed",
       "",
       "layers.0"},
      {"the head",
       {.cached = true},
       Mistake::LogitsOnly,
       "prefill failed, decode failed, batch failed, cache passed, tokens passed",
       "",
       "logits"},
      {"decode position",
       {.cached = true},
       Mistake::DecodePosition,
       "prefill passed, decode failed, batch failed, cache failed, tokens",
       "",
       "layers.0"},
      {"padding is read",
       {.cached = true},
       Mistake::MaskIgnored,
       "prefill passed, decode passed, batch failed, cache passed, tokens",
       "",
       "layers.0"},
      {"padding is read, no cache",
       {},
       Mistake::MaskIgnored,
       "prefill passed, decode not-applicable, batch failed, cache not-applicable, tokens",
       "",
       "layers.0"},
      {"padding is read, fixed", {.fixedBatch = 1, .fixedLength = 128}, Mistake::MaskIgnored, "", "", ""},
      {"NaN", {.cached = true}, Mistake::NotANumber, "prefill failed, decode failed, batch", "not-finite", "logits"},
      {"constant", {}, Mistake::Constant, "prefill failed", "constant", "logits"},
      {"constant pooled", {.generates = false}, Mistake::Constant, "prefill failed", "constant", "logits"},
      {"nondeterministic", {.cached = true}, Mistake::Nondeterministic, "", "nondeterministic", ""},
      {"shape", {}, Mistake::Shape, "prefill failed", "", "logits"},
  };
  for (const auto &form : forms)
    DYNAMIC_SECTION(form.name) {
      Run run{form.shape, form.mistake};
      FailureOr<NumbersResult> result = run.go();
      INFO(textOf(run.diags));
      REQUIRE(succeeded(result));
      for (const NotRun &one : result->notRun)
        UNSCOPED_INFO(one.check + ": " + one.reason);
      INFO(statesOf(*result));
      CHECK(StringRef(statesOf(*result)).starts_with(form.states));
      CHECK(anomalyKinds(*result) == (*form.anomaly ? std::set<std::string>{form.anomaly} : std::set<std::string>{}));
      CHECK((result->firstDivergence ? result->firstDivergence->op : "") == form.divergence);
      if (result->firstDivergence)
        CHECK_FALSE(result->firstDivergence->isolated);
    }
}

TEST_CASE("each scheme is judged by its own tolerance") {
  Diagnostics diags;
  const std::vector<std::string> schemes = Schemes::load(FLAGRELEASE_SOURCE_DIR "/recipes/schemes", "", diags)->names();
  REQUIRE(schemes.size() > 20);
  for (const std::string &scheme : schemes) {
    const Tolerance *bound = defaultGate().tolerance(Tier::T1, NumberFormat::FP32, scheme);
    REQUIRE((bound && bound->nmse));
    for (bool inside : {true, false}) {
      Run run{{.cached = true}};
      run.scheme = scheme;
      run.head = 1 + static_cast<float>(std::sqrt(*bound->nmse) * (inside ? 0.8 : 1.25));
      FailureOr<NumbersResult> result = run.go();
      REQUIRE(succeeded(result));
      INFO(scheme << ", logits times " << run.head << ": " << statesOf(*result));
      CHECK(StringRef(statesOf(*result))
                .starts_with(inside ? "prefill passed, decode passed, batch passed"
                                    : "prefill failed, decode failed, batch failed"));
      CHECK(anomalyKinds(*result).empty());
      if (!inside)
        CHECK(StringRef(reasonOf(*result, GateCheck::Prefill)).contains("logits: nmse "));
    }
  }
}

TEST_CASE("the reason of a failed check says where and how much") {
  Run run{{.cached = true}, Mistake::OnePercent};
  FailureOr<NumbersResult> result = run.go();
  REQUIRE(succeeded(result));
  CHECK(StringRef(reasonOf(*result, GateCheck::Prefill))
            .contains("3 of 3 comparisons are outside; the first: prefill-8, prefill, logits: nmse 0.0001 > 1e-09"));
  CHECK(*result->firstDivergence->accumulated == Approx(1e-4).epsilon(1e-3));
  CHECK(result->firstDivergence->phase == "prefill");
  CHECK(result->tolerance->from != "");
}

TEST_CASE("a tap model that lacks a tap, or none") {
  Run lacks{{}, Mistake::MissingTap};
  FailureOr<NumbersResult> result = lacks.go();
  REQUIRE(succeeded(result));
  CHECK(result->taps.size() == 1);
  Run none{{}, Mistake::OnePercent};
  none.taps = false;
  result = none.go();
  REQUIRE(succeeded(result));
  CHECK_FALSE(result->firstDivergence);
  CHECK(llvm::any_of(result->notRun, [](const NotRun &one) { return one.check == "taps"; }));
}

TEST_CASE("an artefact that computes in less cannot agree this well") {
  Run run{{.cached = true}};
  run.compute = NumberFormat::BF16;
  FailureOr<NumbersResult> result = run.go();
  REQUIRE(succeeded(result));
  CHECK(anomalyKinds(*result) == std::set<std::string>{"implausible"});
}

TEST_CASE("without a tolerance nothing is decided") {
  Run run{{.cached = true}};
  run.compute = NumberFormat::FP64;
  FailureOr<NumbersResult> result = run.go();
  REQUIRE(succeeded(result));
  CHECK(statesOf(*result) == "prefill undecided, decode undecided, batch undecided, cache undecided, tokens passed");
  CHECK(StringRef(reasonOf(*result, GateCheck::Prefill)).contains("no tolerance for computing in fp64"));
}

TEST_CASE("tokens are compared, not only numbers") {
  // A gate that lets the numbers pass: the tokens of a wrong position still differ where the reference is sure.
  Gate loose = defaultGate();
  for (Tolerance &one : loose.tolerances) {
    one.nmse = 1e6;
    one.maxRelative.reset();
  }
  loose.tokenMargin = 1e-9;
  Run run{{.cached = true}, Mistake::MaskIgnored};
  FailureOr<NumbersResult> result = run.go(loose);
  REQUIRE(succeeded(result));
  CHECK(statesOf(*result) == "prefill passed, decode passed, batch passed, cache passed, tokens failed");
  int64_t compared = 0, equal = 0;
  for (const TokenComparison &one : result->tokens) {
    compared += one.compared, equal += one.equal;
    CHECK(one.expected.size() == one.measured.size());
  }
  CHECK(compared > equal);
}

TEST_CASE("longer cases only while the budget lasts, and memory") {
  Run run{{.cached = true}};
  run.maxLength = 4096;
  run.extraLengths = {1000};
  FailureOr<NumbersResult> result = run.go();
  REQUIRE(succeeded(result));
  CHECK(llvm::is_contained(result->casesRun, "prefill-1000"));

  Run late{{.cached = true}};
  late.maxLength = 4096;
  late.extraLengths = {1000};
  late.budget = 0;
  result = late.go();
  REQUIRE(succeeded(result));
  CHECK(statesOf(*result) == kAllPassed);
  CHECK_FALSE(llvm::is_contained(result->casesRun, "prefill-1000"));
  CHECK(llvm::any_of(result->notRun,
                     [](const NotRun &one) { return one.check == "prefill-1000" && StringRef(one.reason).contains("budget"); }));

  Run small{{.cached = true}};
  small.maxLength = 4096;
  small.extraLengths = {1000};
  small.failAbove = 500;
  result = small.go();
  REQUIRE(succeeded(result));
  CHECK(llvm::any_of(result->notRun,
                     [](const NotRun &one) { return one.check == "prefill-1000" && StringRef(one.reason).contains("oom"); }));

  // A case that the gate asks for is another matter.
  Run smaller{{.cached = true}};
  smaller.failAbove = 100;
  CHECK(failed(smaller.go()));
  CHECK(smaller.diags.errors().front().cause == Cause::Environment);
}

TEST_CASE("what ends a validation") {
  Run crash{{}, Mistake::Crash};
  CHECK(failed(crash.go()));
  CHECK(StringRef(textOf(crash.diags)).contains("[3] fake:cpu: the runner died"));
  StopFlag stop;
  stop.request();
  Run stopped{{}};
  CHECK(failed(stopped.go(defaultGate(), &stop)));
  CHECK(stopped.diags.errors().front().cause == Cause::Later);
}

TEST_CASE("a device that lists the best ids is compared by their log-probabilities") {
  struct {
    const char *name;
    FakeShape shape;
    Mistake mistake;
    const char *states, *reason;
  } const forms[] = {
      {"right, cached", {.cached = true}, Mistake::None, kAllPassed, ""},
      {"right, no cache", {}, Mistake::None, kUncached, ""},
      {"the layer", {}, Mistake::OnePercent, "prefill failed, decode not-applicable, batch failed", "topk_logprobs: logprob"},
      {"padding is read", {}, Mistake::MaskIgnored, "prefill passed, decode not-applicable, batch failed", ""},
      {"decode position",
       {.cached = true},
       Mistake::DecodePosition,
       "prefill passed, decode failed, batch failed, cache failed",
       ""},
      {"NaN", {}, Mistake::NotANumber, "prefill failed", ""},
      {"the best is left out", {}, Mistake::LeftOut, "prefill failed", "topk_logprobs: logprob"},
      {"an id twice", {}, Mistake::Twice, "prefill failed", "twice"},
  };
  for (const auto &form : forms)
    DYNAMIC_SECTION(form.name) {
      Run run{form.shape, form.mistake};
      FailureOr<NumbersResult> result = run.go(defaultGate(), nullptr, EvidenceTier::T2);
      INFO(textOf(run.diags));
      REQUIRE(succeeded(result));
      INFO(statesOf(*result) << ": " << reasonOf(*result, GateCheck::Prefill) << reasonOf(*result, GateCheck::Tokens));
      CHECK(StringRef(statesOf(*result)).starts_with(form.states));
      CHECK(StringRef(reasonOf(*result, GateCheck::Prefill)).contains(form.reason));
      CHECK(result->tolerance->tier == Tier::T2);
      CHECK(result->worstByOutput().count("topk_logprobs") == 1);
      CHECK(llvm::any_of(result->notRun, [](const NotRun &one) { return one.check == "taps"; }));
      if (form.mistake == Mistake::None)
        CHECK(*result->worstByOutput().at("topk_logprobs").logprob < 1e-5);
      // The listed ids are right, each with its own number: only the list as a whole is not.
      if (form.mistake == Mistake::LeftOut)
        CHECK(result->worstByOutput().at("topk_logprobs").maxAbs < 1e-5);
    }
}

TEST_CASE("a device that shows tokens only proves no numbers") {
  Run run{{}};
  FailureOr<NumbersResult> result = run.go(defaultGate(), nullptr, EvidenceTier::T3);
  REQUIRE(succeeded(result));
  CHECK(statesOf(*result) == "prefill not-run, decode not-run, batch not-run, cache not-run, tokens not-run");
  CHECK(StringRef(reasonOf(*result, GateCheck::Prefill)).contains("T3"));
}

namespace {
/// A device whose declared inputs are wrong.
class Declares final : public Device {
public:
  explicit Declares(LoadedModel model) : model(std::move(model)) {}
  StringRef name() const override { return "fake:cpu"; }
  EvidenceTier tier() const override { return EvidenceTier::T1; }
  std::string isolation() const override { return "in process"; }
  FailureOr<Probe> probe(Diagnostics &) override { return Probe(); }
  FailureOr<LoadedModel> load(StringRef, const LoadOptions &, Diagnostics &) override { return model; }
  FailureOr<NamedTensors> run(const NamedTensors &, Diagnostics &) override { return NamedTensors(); }
  DeviceFault lastFault() const override { return DeviceFault::None; }
  DeviceUsage usage() const override { return {}; }
  LoadedModel model;
};
} // namespace

TEST_CASE("artefacts that nobody here can feed") {
  const TensorSpec ids{"input_ids", DType::I64, {-1, -1}}, logits{"logits", DType::F32, {-1, -1, 32}};
  struct {
    std::vector<TensorSpec> inputs, outputs;
    const char *message;
  } const forms[] = {
      {{ids, {"pixel_values", DType::F32, {-1, 3, 8, 8}}},
       {logits},
       "pixel_values: input of the artefact: nothing here knows how to fill it"},
      {{{"input_ids", DType::F32, {-1, -1}}},
       {logits},
       "input_ids: input of the artefact: F32 [?, ?] is not what this name stands for"},
      {{{"attention_mask", DType::I64, {-1, -1}}}, {logits}, "input_ids: the artefact has no such input"},
      {{ids, {"past_key_values.0.key", DType::F32, {-1, 2, -1, -1}}}, {logits}, "is no state"},
      {{ids, {"past_key_values.0.key", DType::F32, {-1, 2, -1, 8}}},
       {logits},
       "present.0.key: the artefact takes past_key_values.0.key and has no such output"},
      {{ids, {"past_key_values.0.key", DType::F32, {-1, 2, 64, 8}}, {"past_key_values.0.value", DType::F32, {-1, 2, 32, 8}}},
       {logits},
       "a cache of 32 columns beside one of 64"},
  };
  for (const auto &form : forms) {
    Declares device({form.inputs, form.outputs});
    FakeOracle oracle;
    Diagnostics diags;
    NumbersRequest request{oracle, device, "model", "", {}, defaultGate()};
    request.vocabulary = 32;
    CHECK(failed(checkNumbers(request, diags)));
    INFO(textOf(diags));
    CHECK(StringRef(textOf(diags)).contains(form.message));
    CHECK(diags.errors().front().cause == Cause::Answer);
  }
}
