#include "recipes/Scheme.h"
#include "validators/Report.h"

#include "tests/support/TempFolder.h"
#include "tests/validators/FakeModel.h"
#include "tests/validators/Schema.h"
#include "validators/Attestation.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <limits>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
const std::string kDigest(64, 'a');

const Gate &defaultGate() {
  static const Gate gate = [] {
    Diagnostics diags;
    const std::vector<std::string> schemes = Schemes::load(FLAGRELEASE_SOURCE_DIR "/recipes/schemes", "", diags)->names();
    return *readGate(FLAGRELEASE_SOURCE_DIR "/recipes/gates/default.yaml", schemes, diags);
  }();
  return gate;
}

Measured measured() {
  Measured where;
  where.chip = "x86-64";
  where.device = "ort:cpu";
  where.tier = Tier::T1;
  where.onTarget = true;
  where.why = "the probe is the host's processor: Xeon";
  where.isolation = "sandbox";
  where.probe.chip = where.probe.cpu = "Xeon";
  where.probe.engine = "onnxruntime";
  where.probe.engineVersion = "1.23.0";
  where.probe.os = "Linux 6.1.0 x86_64";
  where.probe.memoryBytes = uint64_t(1) << 34;
  where.probe.versions = {{"python", "3.11.2"}};
  return where;
}

/// A report with something in every part.
Report full(Mistake mistake = Mistake::None) {
  Report report;
  FakeOracle oracle({.cached = true});
  FakeDevice device({.cached = true}, mistake);
  NumbersRequest request{oracle, device, "model", "taps", {}, defaultGate()};
  request.vocabulary = kFakeVocabulary;
  Diagnostics diags;
  FailureOr<NumbersResult> numbers = checkNumbers(request, diags);
  REQUIRE(succeeded(numbers));
  report.numbers = std::move(*numbers);
  report.bytes = BytesResult();
  report.bytes->left = {{"model.rotary.inv_freq", "computed"}};
  report.checks = report.numbers->checks;
  report.checks.push_back(report.bytes->check());
  report.gate = &defaultGate();
  report.where = measured();
  report.verdict = decide({defaultGate(), true, report.where, report.checks, report.numbers->anomalies, report.numbers->notRun});
  report.logs = {{"logs/ort-cpu.log", 12, kDigest}};
  report.operators = {"FEASIBLE", {{"executed", 17}}, ""};
  report.lineage.manifestDigest = kDigest;
  report.lineage.evidence = "golden";
  report.lineage.fallbacks = {{"blk.0.attn_v.weight", "its rows of 64 numbers are no whole blocks of q4_k: stored as q5_0"}};
  report.lineage.build.sourceFiles["model.safetensors"] = {10, kDigest};
  report.lineage.build.recipes["models/qwen3.yaml"] = kDigest;
  report.tool = "flagrelease 0.1.0";
  report.command = "flagrelease validate release/ --against ckpt --device ort:cpu";
  return report;
}

json::Value schema() {
  Diagnostics diags;
  return *json::parseFile(FLAGRELEASE_SOURCE_DIR "/docs/report.schema.json", diags);
}

std::vector<std::string> problemsOf(const Report &report, bool strict = true) {
  Diagnostics diags;
  FailureOr<std::string> text = reportJson(report, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(text));
  return schemaProblems(schema(), *json::parse(*text, "report.json", diags), strict);
}
} // namespace

TEST_CASE("reports fit their schema") {
  for (Mistake mistake : {Mistake::None, Mistake::OnePercent, Mistake::NotANumber, Mistake::Nondeterministic, Mistake::Shape}) {
    Report report = full(mistake);
    CHECK(problemsOf(report) == std::vector<std::string>());
    CHECK(report.verdict.verdict == (mistake == Mistake::None               ? Verdict::Accept
                                     : mistake == Mistake::NotANumber       ? Verdict::Anomalous
                                     : mistake == Mistake::Nondeterministic ? Verdict::Anomalous
                                                                            : Verdict::Regression));
  }
  Report golden = full();
  golden.golden = GoldenResult();
  golden.golden->digest = kDigest;
  golden.golden->comparisons.push_back({"hidden.0", "embed", {}, 1e-12, "noise", true, ""});
  golden.golden->notCompared.push_back({"attentions", "neither"});
  CHECK(problemsOf(golden) == std::vector<std::string>());
  // --validate none.
  Report none;
  none.tool = "flagrelease 0.1.0";
  none.verdict.reasons = {"validation was not asked for"};
  CHECK(problemsOf(none) == std::vector<std::string>());
  Report no;
  no.verdict = infeasible({"no operator X"});
  CHECK(problemsOf(no) == std::vector<std::string>());
}

TEST_CASE("the schema refuses what is no report") {
  Diagnostics diags;
  const json::Value good = *json::parse(*reportJson(full(), diags), "report.json", diags);
  struct {
    const char *key;
    json::Value value;
    const char *problem;
  } const forms[] = {
      {"verdict", "MAYBE", "$.verdict: is \"MAYBE\""},
      {"logs", json::Array(), "$.logs: has too few items"},
      {"environment", nullptr, "$.environment: is a null, not \"object\""},
      {"surprise", 1, "$.surprise: is not in the schema"},
      {"reasons", "a", "$.reasons: is a string, not \"array\""},
      {"gate", json::Object{{"name", "x"}, {"sha256", "y"}}, "$.gate.sha256: \"y\" does not match"},
      {"checks", json::Array{json::Object{{"check", "bytes"}}}, "$.checks[0]: lacks state"},
  };
  for (const auto &form : forms) {
    json::Object changed = good.object();
    changed.set(form.key, form.value);
    const std::vector<std::string> problems = schemaProblems(schema(), changed);
    INFO(form.key);
    REQUIRE_FALSE(problems.empty());
    CHECK(llvm::any_of(problems, [&](const std::string &one) { return StringRef(one).starts_with(form.problem); }));
  }
}

TEST_CASE("no verdict without environment, cases and logs") {
  struct {
    const char *name;
    void (*change)(Report &);
    const char *message;
  } const forms[] = {
      {"logs", [](Report &report) { report.logs.clear(); }, "claims ACCEPT without raw logs"},
      {"cases", [](Report &report) { report.numbers.reset(); }, "claims ACCEPT without cases"},
      {"cases run", [](Report &report) { report.numbers->casesRun.clear(); }, "claims ACCEPT without cases"},
      {"environment", [](Report &report) { report.where.probe = {}; }, "claims ACCEPT without an environment"},
      {"device", [](Report &report) { report.where = {}; }, "claims ACCEPT without an environment"},
      {"gate", [](Report &report) { report.gate = nullptr; }, "claims ACCEPT without a gate"},
  };
  for (const auto &form : forms) {
    INFO(form.name);
    Report report = full();
    form.change(report);
    Diagnostics diags;
    CHECK(failed(reportJson(report, diags)));
    CHECK(StringRef(textOf(diags)).contains(form.message));
  }
  // Bytes that differ are seen without a device.
  Report bytes;
  bytes.bytes = BytesResult();
  bytes.bytes->problemCount = 1;
  bytes.bytes->problems = {"w: differs"};
  bytes.verdict.verdict = Verdict::Regression;
  CHECK(problemsOf(bytes) == std::vector<std::string>());
}

TEST_CASE("the same results give the same report") {
  Diagnostics diags;
  Report a = full(), b = full();
  CHECK(*reportJson(a, diags) == *reportJson(b, diags));
}

TEST_CASE("the object of validate --json") {
  Diagnostics diags;
  Report wrong = full(Mistake::OnePercent);
  const std::string text = validateJson(wrong);
  CHECK(StringRef(text).count('\n') == 0);
  const json::Value value = *json::parse(text, "stdout", diags);
  CHECK(value.find("verdict")->string() == "REGRESSION");
  CHECK(value.find("chip")->string() == "x86-64");
  CHECK(value.find("device")->string() == "ort:cpu");
  CHECK(value.find("on_target")->boolean());
  const json::Value &logits = value.find("outputs")->array().at(0);
  CHECK(logits.find("name")->string() == "logits");
  CHECK(logits.find("nmse")->number() == Approx(1e-4).epsilon(1e-2));
  CHECK(logits.find("max_abs")->isNumber());
  CHECK(logits.find("cosine")->number() == Approx(1));
  CHECK_FALSE(logits.find("inside")->boolean());
  CHECK(value.find("first_divergence")->find("op")->string() == "layers.0");
  CHECK(value.find("first_divergence")->find("isolated")->isNull());
  CHECK(value.find("first_divergence")->find("accumulated")->number() == Approx(1e-4).epsilon(1e-2));
  CHECK(value.find("not_run")->isArray());

  const json::Value right = *json::parse(validateJson(full()), "stdout", diags);
  CHECK(right.find("first_divergence")->isNull());
  CHECK(right.find("verdict")->string() == "ACCEPT");
  // NaN has no number in JSON.
  const json::Value nan = *json::parse(validateJson(full(Mistake::NotANumber)), "stdout", diags);
  CHECK(nan.find("outputs")->array().at(0).find("nmse")->isNull());
}

TEST_CASE("attestations") {
  TempFolder folder;
  Diagnostics diags;
  CHECK(readAttestations(folder.path, diags)->empty());
  Report report = full();
  Attestation one;
  one.manifestDigest = kDigest;
  one.verdict = report.verdict.verdict;
  one.reasons = report.verdict.reasons;
  one.gate = "default";
  one.gateDigest = gateDigest(defaultGate());
  one.where = report.where;
  one.checks = report.checks;
  one.notRun = {{"compile", "atc is not installed"}};
  one.casesDigest = report.numbers->cases.digest();
  one.tool = "flagrelease 0.1.0";
  CHECK(*writeAttestation(folder.path, one, diags) == "attestations/1-x86-64-ort-cpu.json");
  CHECK(readFile(folder / "attestations/1-x86-64-ort-cpu.json") == one.toJson());

  FailureOr<std::vector<Attestation>> read = readAttestations(folder.path, diags);
  REQUIRE(succeeded(read));
  REQUIRE(read->size() == 1);
  // All of it, and the same text again.
  CHECK((*read)[0].toJson() == one.toJson());
  CHECK((*read)[0].number == 1);

  Attestation other = one, later = one;
  other.where.chip = "ascend-910b3";
  other.verdict = Verdict::Unproven;
  later.verdict = Verdict::Regression;
  for (int i = 2; i < 11; ++i)
    REQUIRE(succeeded(writeAttestation(folder.path, other, diags)));
  CHECK(*writeAttestation(folder.path, later, diags) == "attestations/11-x86-64-ort-cpu.json");
  Attestation foreign = one;
  foreign.manifestDigest = std::string(64, 'b');
  REQUIRE(succeeded(writeAttestation(folder.path, foreign, diags)));
  read = readAttestations(folder.path, diags);
  REQUIRE(read->size() == 12);
  const std::vector<Attestation> newest = newestPerChip(*read, kDigest);
  REQUIRE(newest.size() == 2);
  CHECK(newest[0].where.chip == "ascend-910b3");
  CHECK(newest[0].number == 10);
  CHECK(newest[1].verdict == Verdict::Regression);
  CHECK(newest[1].number == 11);
  CHECK(newestPerChip(*read, std::string(64, 'c')).empty());

  CHECK(attestationFileName(3, "", "../../ssh host/x") == "3-none-..-..-ssh-host-x.json");
  // Files of other names are not ours; files of our names must be what they say.
  writeFile(folder / "attestations/notes.txt", "x");
  CHECK(succeeded(readAttestations(folder.path, diags)));
  struct {
    const char *content, *message;
  } const broken[] = {
      {"{", "13-a-b.json:1"},
      {"{}", "_type or predicateType is another"},
      {R"({"_type":"https://in-toto.io/Statement/v1","predicateType":"urn:flagrelease:validation:1","subject":[],"predicate":{}})",
       "one subject"},
      {R"({"_type":"https://in-toto.io/Statement/v1","predicateType":"urn:flagrelease:validation:1","subject":[{"digest":{"sha256":"q"}}],"predicate":{}})",
       "no sha256"},
  };
  for (const auto &form : broken) {
    writeFile(folder / "attestations/13-a-b.json", form.content);
    Diagnostics own;
    CHECK(failed(readAttestations(folder.path, own)));
    INFO(textOf(own));
    CHECK(StringRef(textOf(own)).contains(form.message));
  }
  writeFile(folder / "attestations/13-a-b.json", StringRef(one.toJson()).str());
  writeFile(folder / "attestations/13-c-d.json", StringRef(one.toJson()).str());
  Diagnostics twice;
  CHECK(failed(readAttestations(folder.path, twice)));
  CHECK(StringRef(textOf(twice)).contains("the number of another attestation"));
}
