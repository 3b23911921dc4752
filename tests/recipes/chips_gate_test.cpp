// Gates and schemes: the shipped ones load, the first fitting tolerance is found, problems carry line and column.
#include "recipes/Gate.h"
#include "recipes/Scheme.h"
#include "tests/recipes/chips_support.h"

#include "llvm/ADT/StringExtras.h"

using namespace flagrelease;
using namespace flagrelease::test;

static Schemes schemes() {
  Diagnostics diags;
  FailureOr<Schemes> loaded = Schemes::load(shippedRecipes("schemes"), "", diags);
  INFO(said(diags));
  REQUIRE(succeeded(loaded));
  return std::move(*loaded);
}

TEST_CASE("the shipped schemes") {
  const Schemes all = schemes();
  const std::vector<std::string> names = {"bf16",
                                          "fp16",
                                          "fp32",
                                          "fp8",
                                          "fp8-block128",
                                          "fp8-tensor",
                                          "mxfp4",
                                          "q4_0",
                                          "q4_1",
                                          "q4_k_m",
                                          "q5_0",
                                          "q5_1",
                                          "q5_k_m",
                                          "q6_k",
                                          "q8_0",
                                          "source",
                                          "w4a16-g128",
                                          "w4a16-g128-asym",
                                          "w4a16-g128-gptq",
                                          "w4a16-g32",
                                          "w4a16-g32-asym",
                                          "w4a16-g64",
                                          "w4a16-g64-asym",
                                          "w8a16",
                                          "w8a8"};
  CHECK(all.names() == names);
  const WeightNumbers &grouped = *all.find("w4a16-g128")->weights;
  CHECK(grouped.bits == 4);
  CHECK(grouped.columns == 128);
  CHECK(grouped.scale == DType::BF16);
  CHECK(all.find("fp8-block128")->weights->rows == 128);
  CHECK(all.find("w8a8")->activationBits == 8);
  CHECK(all.find("q4_k_m")->weights->rules.size() == 5);
  CHECK(all.find("q4_k_m")->weights->instead.at(BlockFormat::Q6_K) == BlockFormat::Q8_0);
  CHECK(all.find("source")->dtype == std::nullopt);
  CHECK(all.find("source")->storedAs(DType::BF16) == DType::BF16);
  CHECK(all.find("fp16")->storedAs(DType::BF16) == DType::F16);
  CHECK(all.find("fp16")->storedAs(DType::I64) == DType::I64);
  CHECK(all.find("fp16")->storedAs(DType::Bool) == DType::Bool);
  CHECK(all.find("bf16")->storedAs(DType::F64) == DType::BF16);
  CHECK(all.find("fp16")->overflow == OnLoss::Refuse);
  CHECK(all.find("fp16")->underflow == OnLoss::Report);
  CHECK(StringRef(all.find("fp32")->file.bytes).contains("binary32"));
  Diagnostics diags;
  CHECK(failed(all.get("fp-16", "--scheme", diags)));
  CHECK(said(diags) == "--scheme: unknown scheme 'fp-16', nearest known: fp16\n");
}

TEST_CASE("what is wrong in a scheme is said where it stands") {
  struct Row {
    const char *text, *message;
  };
  const Row rows[] = {
      {"recipe: 1\nname: t\nsummary: s\nstorage: {dtype: fp23}\n",
       "t.yaml:4:18: 'dtype': unknown number format 'fp23', nearest known: fp64, fp32, fp16"},
      {"recipe: 1\nname: t\nsummary: s\nstorage: {dtype: int8}\n",
       "t.yaml:4:18: 'dtype' is 'int8'; weights are stored plainly as fp64, fp32, fp16 or bf16, or as 'source'"},
      {"recipe: 1\nname: t\nsummary: s\nstorage: {dtype: fp16, block: 32}\n", "t.yaml:4:24: unknown key 'block' in storage"},
      {"recipe: 1\nname: t\nsummary: s\nstorage: fp16\n", "t.yaml:4:10: expected a mapping (storage), found a scalar"},
      {"recipe: 1\nname: t\nsummary: s\n", "t.yaml:1:1: a scheme lacks the key 'storage'"},
      {"recipe: 1\nname: u\nsummary: s\nstorage: {dtype: fp16}\n", "t.yaml:2:7: 'name' is 'u', the file is t.yaml"},
      {"recipe: 1\nname: t\nsummary: s\nstorage: {dtype: fp16}\noverflow: refused\n",
       "t.yaml:5:11: 'overflow': unknown value 'refused', nearest known: refuse"},
  };
  for (const Row &row : rows) {
    RecipeFolder folder;
    folder.write("t.yaml", row.text);
    Diagnostics diags;
    INFO(row.text);
    CHECK(failed(Schemes::load(folder.root, "", diags)));
    INFO(said(diags));
    CHECK(StringRef(said(diags)).contains(row.message));
  }
}

TEST_CASE("the shipped gate") {
  Diagnostics diags;
  FailureOr<Gate> gate = readGate(shippedRecipes("gates/default.yaml"), schemes().names(), diags);
  INFO(said(diags));
  REQUIRE(succeeded(gate));
  CHECK(gate->tier == Tier::T1);
  CHECK(gate->onTarget);
  for (GateCheck check :
       {GateCheck::Bytes, GateCheck::Prefill, GateCheck::Decode, GateCheck::Batch, GateCheck::Cache, GateCheck::Tokens})
    CHECK(gate->isRequired(check));
  CHECK(gate->cases.lengths == std::vector<int64_t>{8, 64, 300});
  CHECK(gate->cases.decodeSteps == 16);
  CHECK(gate->cases.batchRows == 3);
  CHECK((gate->cases.padLeft && gate->cases.padRight));
  CHECK(gate->cases.lastPositions == 16);
  CHECK(gate->cases.seededPositions == 48);
  CHECK(gate->cases.budgetSeconds == 600);
  CHECK(gate->tokenMargin == 2);
  CHECK(gate->anomalies.constantSpread < gate->anomalies.referenceSpread);
  CHECK(StringRef(gate->file.bytes).starts_with("# The gate"));

  auto bound = [&](NumberFormat compute, StringRef scheme) {
    const Tolerance *found = gate->tolerance(Tier::T1, compute, scheme);
    return found ? found->nmse : std::nullopt;
  };
  CHECK(bound(NumberFormat::FP32, "source") == 1e-9);
  CHECK(bound(NumberFormat::FP32, "fp32") == 1e-9);
  CHECK(bound(NumberFormat::FP32, "fp16") == 2e-4);
  CHECK(bound(NumberFormat::FP32, "bf16") == 2e-2);
  CHECK(bound(NumberFormat::FP16, "source") == 3e-4);
  CHECK(bound(NumberFormat::FP16, "bf16") == 2e-2);
  CHECK(bound(NumberFormat::BF16, "anything") == 2e-2);
  CHECK(bound(NumberFormat::Int8, "source") == std::nullopt);
  // By scheme: whose numbers are widened as the reference does it is judged as if nothing were rounded; where the engine rounds
  // activations, that decides.
  struct {
    const char *names;
    double fp32, fp16, maxRelative;
  } const rows[] = {
      {"source fp32", 1e-9, 3e-4, 1e-3},
      {"fp16", 2e-4, 3e-4, 0},
      {"bf16", 2e-2, 2e-2, 0},
      {"w8a16 w4a16-g32 w4a16-g64 w4a16-g128 w4a16-g32-asym w4a16-g64-asym w4a16-g128-asym w4a16-g128-gptq", 1e-9, 5e-2, 1e-3},
      {"w8a8", 2e-2, 5e-2, 0.3},
      {"fp8 fp8-tensor fp8-block128", 5e-2, 5e-2, 0.5},
      {"q8_0 q4_0 q4_1 q5_0 q5_1 q4_k_m q5_k_m q6_k mxfp4", 1e-2, 5e-2, 0.3},
  };
  std::vector<std::string> judged;
  for (const auto &row : rows) {
    llvm::SmallVector<StringRef> names;
    StringRef(row.names).split(names, ' ');
    for (StringRef name : names) {
      INFO(name.str());
      const Tolerance *found = gate->tolerance(Tier::T1, NumberFormat::FP32, name);
      REQUIRE(found);
      CHECK(found->nmse == row.fp32);
      CHECK(found->maxRelative.value_or(0) == row.maxRelative);
      CHECK(found->nmsePerLayer.has_value() == (row.fp32 == 1e-9));
      CHECK(bound(NumberFormat::FP16, name) == row.fp16);
      CHECK(bound(NumberFormat::BF16, name) == 2e-2);
      judged.push_back(name.str());
    }
  }
  llvm::sort(judged);
  CHECK(judged == schemes().names());
  const Tolerance &exact = *gate->tolerance(Tier::T1, NumberFormat::FP32, "source");
  CHECK(exact.nmsePerLayer == 2e-12);
  CHECK(*exact.nmseFor(3, 32, 128) == Approx(6e-12));
  CHECK(*exact.nmseFor(3, 128, 128) == Approx(12e-12));
  CHECK(exact.nmseFor(3, 128, 2) == 1e-9);
  CHECK(exact.nmseFor(0, 128, 128) == 1e-9);
  CHECK(exact.nmseFor(80, 8192, 32000) == 1e-9);
  CHECK(gate->tolerance(Tier::T1, NumberFormat::FP32, "bf16")->nmseFor(2, 64, 128) == 2e-2);
  CHECK(gate->tolerance(Tier::T3, NumberFormat::FP32, "source") == nullptr);
  // Every combination that a shipped scheme and a floating-point engine can make is decided, and says where its numbers come
  // from.
  for (const std::string &scheme : schemes().names())
    for (NumberFormat compute : {NumberFormat::FP32, NumberFormat::FP16, NumberFormat::BF16})
      CHECK(bound(compute, scheme));
  for (const Tolerance &one : gate->tolerances)
    CHECK_FALSE(one.from.empty());
}

TEST_CASE("the shipped gate for lists of log-probabilities") {
  Diagnostics diags;
  FailureOr<Gate> gate = readGate(shippedRecipes("gates/logprobs.yaml"), schemes().names(), diags),
                  other = readGate(shippedRecipes("gates/default.yaml"), schemes().names(), diags);
  INFO(said(diags));
  REQUIRE((succeeded(gate) && succeeded(other)));
  CHECK(gate->tier == Tier::T2);
  CHECK(gate->onTarget);
  CHECK(gate->required == other->required);
  CHECK(gate->cases.lengths == other->cases.lengths);
  // Both judge lists alike: one accepts, the other reports them beside what it needs.
  for (const std::string &scheme : schemes().names()) {
    const Tolerance *own = gate->tolerance(Tier::T2, NumberFormat::FP32, scheme),
                    *theirs = other->tolerance(Tier::T2, NumberFormat::FP32, scheme);
    INFO(scheme);
    CHECK((own != nullptr) == (theirs != nullptr));
    if (own && theirs)
      CHECK(own->logprob == theirs->logprob);
  }
  REQUIRE(gate->tolerance(Tier::T2, NumberFormat::FP32, "source"));
  CHECK(gate->tolerance(Tier::T2, NumberFormat::FP32, "w8a8"));
}

static std::string
gateText(StringRef accept = "{tier: T1, on_target: true, checks: [bytes]}",
         StringRef cases = "{seed: 1, lengths: [8], decode_steps: 1, positions: {last: 1}, budget_s: 1}",
         StringRef tolerances = "[{tier: T1, compute: fp32, nmse: 1e-9, from: f}]",
         StringRef anomalies = "{non_finite: true, repeat_differs: true, constant: {spread: 1e-6, reference_spread: 1e-3}}") {
  return "recipe: 1\nname: g\naccept: " + accept.str() + "\ncases: " + cases.str() + "\ntolerances: " + tolerances.str() +
         "\ntokens: {margin: 2, from: f}\nanomalies: " + anomalies.str() + "\n";
}

TEST_CASE("what is wrong in a gate is said where it stands") {
  struct Row {
    std::string text;
    const char *message;
  };
  const char *cases = "{seed: 1, lengths: [8], decode_steps: 1, positions: {last: 1}, budget_s: 1}";
  const char *accept = "{tier: T1, on_target: true, checks: [bytes]}";
  const Row rows[] = {
      {gateText("{tier: T4, on_target: true, checks: [bytes]}"), "g.yaml:3:16: 'tier': unknown value 'T4', nearest known: T"},
      {gateText("{tier: T1, on_target: true, checks: [byte]}"),
       "g.yaml:3:46: 'checks': unknown value 'byte', nearest known: bytes"},
      {gateText("{tier: T1, on_target: true, checks: [bytes, bytes]}"), "g.yaml:3:53: 'checks' has 'bytes' twice"},
      {gateText("{tier: T1, on_target: true, checks: []}"), "g.yaml:3:45: 'checks' must be a list with at least one check"},
      {gateText("{tier: T1, checks: [bytes]}"), "g.yaml:3:9: accept lacks the key 'on_target'"},
      {gateText(accept, "{seed: -1, lengths: [8], decode_steps: 1, positions: {last: 1}, budget_s: 1}"),
       "g.yaml:4:15: 'seed' must be an integer from 0 to"},
      {gateText(accept, "{seed: 1, lengths: [0], decode_steps: 1, positions: {last: 1}, budget_s: 1}"),
       "g.yaml:4:28: a length must be an integer from 1 to 16777216, found '0'"},
      {gateText(accept,
                "{seed: 1, lengths: [8], decode_steps: 1, positions: {last: 1}, budget_s: 1, batch: {rows: 3, padding: [up]}}"),
       "g.yaml:4:110: 'padding' is a list of left and right, found 'up'"},
      {gateText(accept, cases, "[]"), "g.yaml:5:13: 'tolerances' must be a list with at least one tolerance"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, nmse: 1e-9}]"), "g.yaml:5:14: a tolerance lacks the key 'from'"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, from: f}]"), "g.yaml:5:14: a tolerance of tier T1 without a bound"},
      {gateText(accept, cases, "[{tier: T3, compute: fp32, nmse: 1e-9, from: f}]"),
       "g.yaml:5:46: 'nmse' is a bound of tier T1, this tolerance is of tier T3"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, cosine: 2, from: f}]"),
       "g.yaml:5:48: 'cosine' is at most 1, found '2'"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, nmse_per_layer: 1, cosine: 0.9, from: f}]"),
       "g.yaml:5:56: 'nmse_per_layer' without 'nmse', which bounds it"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, nmse: 0, from: f}]"),
       "g.yaml:5:46: 'nmse' must be a number above 0, found '0'"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, nmse: nan, from: f}]"),
       "g.yaml:5:46: 'nmse' must be a number above 0, found 'nan'"},
      {gateText(accept, cases, "[{tier: T1, compute: fp33, nmse: 1, from: f}]"),
       "g.yaml:5:34: 'compute': unknown number format 'fp33', nearest known: fp32"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, schemes: [fp36], nmse: 1, from: f}]"),
       "g.yaml:5:50: unknown scheme 'fp36', nearest known: fp16, fp32"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, nsme: 1, from: f}]"),
       "g.yaml:5:40: unknown key 'nsme' in a tolerance, nearest known: nmse"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, nmse: 1, from: f}]",
                "{non_finite: true, repeat_differs: true, constant: {spread: 1, reference_spread: 1}}"),
       "g.yaml:7:63: 'spread' must be below 'reference_spread'"},
      {gateText(accept, cases, "[{tier: T1, compute: fp32, nmse: 1, from: f}]",
                "{repeat_differs: true, constant: {spread: 1e-9, reference_spread: 1}}"),
       "g.yaml:7:12: anomalies lacks the key 'non_finite'"},
  };
  const std::vector<std::string> known = {"fp16", "fp32", "source"};
  for (const Row &row : rows) {
    RecipeFolder folder;
    const std::string path = folder.write("g.yaml", row.text);
    Diagnostics diags;
    INFO(row.text);
    CHECK(failed(readGate(path, known, diags)));
    INFO(said(diags));
    CHECK(StringRef(said(diags)).contains(row.message));
  }
  RecipeFolder folder;
  Diagnostics diags;
  CHECK(succeeded(readGate(folder.write("g.yaml", gateText()), known, diags)));
  CHECK(failed(readGate(folder.root + "/absent.yaml", known, diags)));
}
