#include "tests/mutation_score/Score.h"

#include "passes/Mutate.h"
#include "tests/support/Migrated.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <cmath>
#include <cstdio>
#include <set>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
using Kind = MutationOutcome::Kind;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1e", value);
  return text;
}

bool failedCheck(const NumbersResult &result, std::string &reason) {
  for (const CheckResult &check : result.checks)
    if (check.state == CheckState::Failed) {
      reason = (gateCheckName(check.check) + ": " + check.reason).str();
      return true;
    }
  if (!result.anomalies.empty())
    reason = result.anomalies.front().kind + ": " + result.anomalies.front().where;
  return !result.anomalies.empty();
}

/// The tap at the entry of a layer: all taps below it begin with its name and a dot.
std::string entryOf(const std::vector<std::string> &taps, int64_t layer) {
  for (const std::string &tap : taps)
    if (int64_t n = -1; !StringRef(tap).rsplit('.').second.getAsInteger(10, n) && n == layer)
      return tap;
  return "";
}

/// How far the mutated reference is from the untouched one, both in fp64: prompts with and without padding, and three steps with
/// a cache. What is not apart here no validator can see.
FailureOr<double> apartInFp64(Migrated &made, mlir::ModuleOp mutated, Diagnostics &diags) {
  const Checkpoint &checkpoint = *made.model.checkpoint;
  FailureOr<std::unique_ptr<ReferenceModel>> right = ReferenceModel::open(*made.model.imported.module, checkpoint,
                                                                          ReferencePrecision::F64, diags),
                                             wrong = ReferenceModel::open(mutated, checkpoint, ReferencePrecision::F64, diags);
  if (failed(right) || failed(wrong))
    return failure();
  const int64_t vocabulary = made.model.vocabulary(), batch = 2, length = 40, pads = 9;
  double worst = 0;
  auto compare = [&](const NamedTensors &inputs, bool keep) {
    FailureOr<NamedTensors> expected = (*right)->run(inputs, {.taps = false, .keepState = keep, .stop = {}}, diags),
                            got = (*wrong)->run(inputs, {.taps = false, .keepState = keep, .stop = {}}, diags);
    if (failed(expected) || failed(got))
      return failure();
    for (const auto &[name, value] : *expected) {
      const HostTensor &other = got->at(name);
      double difference = 0, size = 0;
      const auto mask = inputs.find("attention_mask");
      const int64_t tokens = value.shape.size() == 3 ? value.shape[0] * value.shape[1] : 0;
      for (int64_t i = 0; i < value.elements(); ++i) {
        if (!keep && tokens && mask != inputs.end() && mask->second.at(i / (value.elements() / tokens)) == 0)
          continue;
        difference += std::pow(other.at(i) - value.at(i), 2);
        size += std::pow(value.at(i), 2);
      }
      worst = std::max(worst, difference / size);
    }
    return success();
  };
  auto ids = [&](int64_t columns, int64_t salt) {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < batch * columns; ++i)
      values.push_back(1 + (i * i * 7 + i * 13 + salt) % (vocabulary - 1));
    return HostTensor::ofInts({batch, columns}, values);
  };
  for (int side = 0; side < 3; ++side) { // no padding, left, right; only of the second row
    NamedTensors inputs = {{"input_ids", ids(length, side)}};
    if (side) {
      std::vector<int64_t> mask(batch * length, 1);
      std::fill_n(mask.begin() + length + (side == 1 ? 0 : length - pads), pads, 0);
      inputs["attention_mask"] = HostTensor::ofInts({batch, length}, mask);
    }
    if (failed(compare(inputs, false)))
      return failure();
    if (side == 0 && made.plan.pipeline.cache != PipelineOptions::Cache::None)
      for (int64_t step = 0; step < 3; ++step)
        if (failed(compare({{"input_ids", ids(1, 20 + step)}}, true)))
          return failure();
  }
  return worst;
}

/// The same mutation as the module that is exported; the copy that stays is for the reference.
FailureOr<Migrated::Files> exportMutated(Migrated &made, StringRef kind, MutationOutcome &outcome,
                                         mlir::OwningOpRef<mlir::ModuleOp> &mutated, Diagnostics &diags) {
  const int64_t layers = made.model.configInt("num_hidden_layers", 1);
  std::vector<int64_t> order;
  for (int64_t layer = 1; layer < layers; ++layer)
    order.push_back(layer);
  order.push_back(0);
  std::set<std::string> reasons;
  for (int64_t layer : order) {
    auto change = [&](mlir::ModuleOp module) {
      mlir::ScopedDiagnosticHandler handler(module.getContext(), [&](mlir::Diagnostic &message) {
        std::string text = message.str();
        StringRef reason = text;
        reason.consume_front("fr-mutate: ");
        if (reason.consume_front("layer "))
          reason = reason.ltrim("0123456789 ");
        reasons.insert(reason.str());
        return success();
      });
      if (failed(mutate(module, kind, layer)))
        return failure();
      outcome.layer = layer;
      mutated = mlir::cast<mlir::ModuleOp>(module->clone());
      return success();
    };
    FailureOr<Migrated::Files> files = made.exportChanged(("mutated-" + kind).str(), change, diags);
    if (succeeded(files) || outcome.layer >= 0)
      return files;
  }
  outcome.reason = reasons.size() == 1 ? *reasons.begin() : "no layer has it";
  return failure();
}
} // namespace

const char *flagrelease::outcomeName(MutationOutcome::Kind kind) {
  switch (kind) {
  case Kind::Caught:
    return "caught";
  case Kind::Missed:
    return "MISSED";
  case Kind::Invisible:
    return "invisible";
  case Kind::BelowBound:
    return "below the bound";
  case Kind::NotApplicable:
    return "not applicable";
  }
  llvm_unreachable("all kinds are listed");
}

FailureOr<std::vector<MutationOutcome>> flagrelease::scoreFixture(const std::string &fixture, llvm::ArrayRef<std::string> kinds,
                                                                  Device &device, const Gate &gate, Diagnostics &diags) {
  FailureOr<std::unique_ptr<Migrated>> migrated = Migrated::make(fixture, {}, diags);
  if (failed(migrated))
    return failure();
  Migrated &made = **migrated;
  FailureOr<NumbersResult> untouched = made.check(device, gate, made.files, diags);
  if (failed(untouched))
    return failure();
  if (std::string reason; failedCheck(*untouched, reason))
    return diags.error(fixture, "does not pass untouched: " + reason, "");

  std::vector<MutationOutcome> outcomes;
  for (const Mutation &mutation : mutations()) {
    if (!kinds.empty() && !llvm::is_contained(kinds, mutation.kind))
      continue;
    MutationOutcome outcome;
    outcome.fixture = fixture;
    outcome.kind = mutation.kind.str();
    if (mutation.seen == Mutation::Seen::WithCache && made.plan.pipeline.cache == PipelineOptions::Cache::None) {
      outcome.reason = "task " + made.model.imported.task + " has no cache";
      outcomes.push_back(outcome);
      continue;
    }
    mlir::OwningOpRef<mlir::ModuleOp> mutated;
    FailureOr<Migrated::Files> files = exportMutated(made, mutation.kind, outcome, mutated, diags);
    if (failed(files)) {
      if (outcome.layer >= 0)
        return failure();
      outcomes.push_back(outcome);
      continue;
    }
    std::vector<std::string> taps;
    FailureOr<NumbersResult> result =
        made.check(device, gate, *files, diags, [&](NumbersRequest &request) { taps = request.tapOrder; });
    if (failed(result))
      return failure();
    for (const auto &[name, distance] : result->worstByOutput())
      outcome.worst = std::max(outcome.worst, distance.nmse);
    if (failedCheck(*result, outcome.reason)) {
      outcome.outcome = Kind::Caught;
      if (result->firstDivergence)
        outcome.firstOutside = result->firstDivergence->op;
      outcome.layerNamed = StringRef(outcome.firstOutside).starts_with(entryOf(taps, outcome.layer) + ".");
    } else {
      FailureOr<double> apart = apartInFp64(made, *mutated, diags);
      if (failed(apart))
        return failure();
      double bound = HUGE_VAL;
      for (const Comparison &one : result->comparisons)
        bound = std::min(bound, one.nmseBound.value_or(0));
      // fp64 sums in another order: 1e-16 squared, and room.
      outcome.outcome = *apart < 1e-26 ? Kind::Invisible : *apart < bound ? Kind::BelowBound : Kind::Missed;
      outcome.reason = "in fp64 the outputs are " + number(*apart) + " apart";
      if (outcome.outcome == Kind::BelowBound)
        outcome.reason += ", the bound is " + number(bound);
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

std::string flagrelease::scoreMarkdown(const std::vector<MutationOutcome> &outcomes, size_t fixtures, const Gate &gate) {
  std::string text = R"(# The mutation score

A validator that passes everything is worth nothing. Here the module that is exported has one deliberate mistake
(`passes/Mutate.cpp`), in one layer; the reference keeps the untouched module, weights and manifest are consistent, so that only
numbers can tell. *Caught*: the verdict is not ACCEPT. *Layer named*: the first tap that the validator calls outside lies in the
layer that was changed, which is layer 1, or the first one that has what the mistake changes. *Invisible*: the reference in fp64
with the same mistake gives the same outputs. *Below the bound*: it gives others, nearer to the right ones than the gate's bound,
which is wide where an output holds few numbers (a classifier's scores). *Not applicable*: the model has nothing to make this mistake with.

Made by `flagrelease-mutation-score --out docs/mutations.md` (all fixtures, ONNX Runtime on a CPU, gate `)" +
                     gate.name + R"(`); a test
repeats a part of it. The other side, no alarm on any untouched fixture, is `tests/validators/fixtures_ort_test.cpp`.

)";
  text += "| mutation | what | tried on | caught | layer named | invisible | below the bound | missed | not applicable | "
          "smallest NMSE caught |\n";
  text += "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
  int64_t allTried = 0, allCaught = 0, allNamed = 0, allInvisible = 0, allBelow = 0, allMissed = 0;
  for (const Mutation &mutation : mutations()) {
    int64_t caught = 0, named = 0, invisible = 0, below = 0, missed = 0, notApplicable = 0;
    double smallest = HUGE_VAL;
    for (const MutationOutcome &one : outcomes) {
      if (one.kind != mutation.kind)
        continue;
      caught += one.outcome == Kind::Caught, named += one.outcome == Kind::Caught && one.layerNamed;
      invisible += one.outcome == Kind::Invisible, missed += one.outcome == Kind::Missed;
      below += one.outcome == Kind::BelowBound, notApplicable += one.outcome == Kind::NotApplicable;
      if (one.outcome == Kind::Caught)
        smallest = std::min(smallest, one.worst);
    }
    int64_t tried = caught + invisible + below + missed;
    allTried += tried, allCaught += caught, allNamed += named, allInvisible += invisible, allBelow += below, allMissed += missed;
    auto cell = [](int64_t count) { return " | " + std::to_string(count); };
    text += "| `" + mutation.kind.str() + "` | " + mutation.what.str() + cell(tried) + cell(caught) + cell(named) +
            cell(invisible) + cell(below) + cell(missed) + cell(notApplicable) + " | " + (caught ? number(smallest) : "") +
            " |\n";
  }
  text += "\nOver " + std::to_string(fixtures) + " fixtures: " + std::to_string(allTried) + " mutated models, " +
          std::to_string(allCaught) + " caught (of those the right layer named: " + std::to_string(allNamed) + "), " +
          std::to_string(allInvisible) + " invisible, " + std::to_string(allBelow) + " below the bound, " +
          std::to_string(allMissed) + " missed.\n";

  text += "\n## Not applicable\n\n";
  for (const Mutation &mutation : mutations()) {
    std::map<std::string, std::vector<std::string>> byReason;
    for (const MutationOutcome &one : outcomes)
      if (one.kind == mutation.kind && one.outcome == Kind::NotApplicable)
        byReason[one.reason].push_back(one.fixture);
    for (const auto &[reason, names] : byReason) {
      text += "* `" + mutation.kind.str() + "`: " + reason + ": ";
      text += names.size() > 4 ? std::to_string(names.size()) + " fixtures" : llvm::join(names, ", ");
      text += "\n";
    }
  }
  auto section = [&](StringRef title, auto chosen, auto line) {
    text += ("\n## " + title + "\n\n").str();
    bool any = false;
    for (const MutationOutcome &one : outcomes)
      if (chosen(one)) {
        text += "* `" + one.kind + "` on " + one.fixture + ", layer " + std::to_string(one.layer) + ": " + line(one) + "\n";
        any = true;
      }
    if (!any)
      text += "None.\n";
  };
  auto reasonOf = [](const MutationOutcome &one) { return one.reason; };
  section("Invisible", [](const MutationOutcome &one) { return one.outcome == Kind::Invisible; }, reasonOf);
  section("Below the bound", [](const MutationOutcome &one) { return one.outcome == Kind::BelowBound; }, reasonOf);
  section(
      "Missed", [](const MutationOutcome &one) { return one.outcome == Kind::Missed; },
      [](const MutationOutcome &one) { return one.reason + "; on the device the worst NMSE is " + number(one.worst); });
  section(
      "Caught, and another place named",
      [](const MutationOutcome &one) { return one.outcome == Kind::Caught && !one.layerNamed; },
      [](const MutationOutcome &one) { return "`" + one.firstOutside + "` (" + one.reason + ")"; });
  return text;
}
