#include "validators/Numbers.h"

#include "validators/NumbersParts.h"
#include "validators/Verdict.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace flagrelease {

using namespace numbers;

std::map<std::string, Distance> NumbersResult::worstByOutput() const {
  std::map<std::string, Distance> worst;
  for (const Comparison &one : comparisons)
    if (one.phase != "cache")
      worst[one.output].merge(one.distance);
  return worst;
}

namespace {
/// `cached`: what is compared instead of both with one another.
std::string lengthDependent(bool cached) {
  return std::string(
             "rotary frequencies depend on the length of the text (dynamic or longrope scaling): cached and uncached runs differ "
             "because keys in the cache keep the frequencies of the length at which they were computed; ") +
         (cached ? "the device's cached decode is compared with the reference's"
                 : "this artefact has no cache: uncached runs are compared");
}

class Checker {
public:
  Checker(const NumbersRequest &request, Diagnostics &diags) : request(request), diags(diags) {}

  FailureOr<NumbersResult> run() {
    if (request.device.tier() == EvidenceTier::T3)
      return lowTier();
    FailureOr<LoadedModel> loaded = request.device.load(request.modelPath, {}, diags);
    if (failed(loaded))
      return failure();
    if (const Tolerance *found = request.gate.tolerance(gateTier(request.device.tier()), request.compute, request.scheme))
      result.tolerance = *found;
    if (!lists() && !takesText(*loaded) && !request.inputs.empty()) {
      signature.fixedBatch = llvm::none_of(request.inputs, [](const ModelInput &input) {
        return llvm::any_of(input.dims, [](const DimExpr &dim) { return dim.symbols().count("B"); });
      });
      if (failed(checkInputs(request, *loaded, result, diags)))
        return failure();
      for (GateCheck check : {GateCheck::Prefill, GateCheck::Decode, GateCheck::Batch, GateCheck::Cache, GateCheck::Tokens})
        result.checks.push_back(conclude(check));
      result.seconds = elapsed();
      return std::move(result);
    }
    loaded->stateInit = request.stateInit;
    FailureOr<Signature> read = readSignature(*loaded, diags);
    if (failed(read))
      return failure();
    signature = std::move(*read);
    if (lists()) {
      for (StringRef name : {kTopIds, kTopLogprobs})
        if (!llvm::is_contained(signature.outputs, name))
          return diags.error(name, "device " + request.device.name() + " is of tier T2 and has no such output",
                             "the device's runner must answer it (docs/runner-protocol.md)", Cause::Answer);
      signature.outputs = {kTopLogprobs.str()};
    }

    CaseLimits limits;
    limits.vocabulary = request.vocabulary;
    limits.maxLength = request.maxLength;
    limits.fixedBatch = signature.fixedBatch;
    limits.fixedLength = signature.fixedLength;
    limits.cacheColumns = signature.cacheColumns;
    limits.padId = request.padId;
    limits.generates = generates();
    limits.extraLengths = request.extraLengths;
    limits.fixedStates = !signature.fixed.empty();
    limits.placesAreColumns =
        !generates() && llvm::none_of(signature.inputs, [](const TensorSpec &input) { return input.name == "position_ids"; });
    FailureOr<CaseList> list = makeCases(request.gate.cases, limits, diags);
    if (failed(list))
      return failure();
    result.cases = std::move(*list);
    for (const SkippedCase &skipped : result.cases.skipped)
      result.notRun.push_back({skipped.name, skipped.reason});
    if (request.lengthDependent && generates())
      result.notes.push_back(lengthDependent(signature.cached()));

    for (size_t i = 0; i < result.cases.cases.size(); ++i) {
      const ValidationCase &one = result.cases.cases[i];
      if (stopping(request))
        return stopped(diags);
      if (request.progress)
        request.progress(one.name, i, result.cases.cases.size());
      if (failed(runOne(one)))
        return failure();
    }
    implausible();
    locate();
    // Taps that were cut short are no result.
    if (stopping(request))
      return stopped(diags);
    for (GateCheck check : {GateCheck::Prefill, GateCheck::Decode, GateCheck::Batch, GateCheck::Cache, GateCheck::Tokens})
      result.checks.push_back(conclude(check));
    result.seconds = elapsed();
    return std::move(result);
  }

private:
  bool generates() const { return request.task == "causal_lm"; }
  /// The device lists the best ids instead of showing logits.
  bool lists() const { return request.device.tier() == EvidenceTier::T2; }
  std::string head() const { return lists() ? kTopLogprobs.str() : "logits"; }
  double elapsed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

  FailureOr<NumbersResult> lowTier() {
    const std::string reason = ("device " + request.device.name() + " shows " + tierName(request.device.tier()) +
                                " only; distances need " + tierName(EvidenceTier::T2) + " or " + tierName(EvidenceTier::T1))
                                   .str();
    for (GateCheck check : {GateCheck::Prefill, GateCheck::Decode, GateCheck::Batch, GateCheck::Cache, GateCheck::Tokens})
      result.checks.push_back({check, CheckState::NotRun, reason});
    return std::move(result);
  }

  /// Cases that the gate does not ask for: only in the time that is left, and an artefact too small for them is no failure.
  LogicalResult runOne(const ValidationCase &one) {
    const double started = elapsed(), budget = request.budgetSeconds.value_or(request.gate.cases.budgetSeconds);
    const int64_t work = one.length() + one.decodeSteps;
    if (!one.required) {
      const double wanted = secondsPerId * static_cast<double>(work);
      if (started + wanted > budget) {
        result.notRun.push_back({one.name, "needs about " + std::to_string(static_cast<int64_t>(std::ceil(wanted))) +
                                               " s, the budget of " + std::to_string(static_cast<int64_t>(budget)) + " s has " +
                                               std::to_string(static_cast<int64_t>(std::max(0.0, budget - started))) +
                                               " s left"});
        return success();
      }
    }
    Diagnostics own;
    if (failed(runCase(one, own))) {
      const DeviceFault fault = request.device.lastFault();
      if (one.required || (fault != DeviceFault::Oom && fault != DeviceFault::Timeout)) {
        diags.merge(own);
        return failure();
      }
      result.notRun.push_back({one.name, ("device " + request.device.name() + ": " + faultName(fault)).str()});
      return success();
    }
    result.casesRun.push_back(one.name);
    secondsPerId = std::max(secondsPerId, (elapsed() - started) / static_cast<double>(work));
    return success();
  }

  LogicalResult runCase(const ValidationCase &one, Diagnostics &own) {
    FailureOr<Expected> expected = runReference(request, one, /*taps=*/false, own);
    if (failed(expected))
      return failure();
    bool deterministic = true;
    FailureOr<Answer> answer =
        runDevice(request, signature, one, expected->tokens, result.casesRun.empty() ? &deterministic : nullptr, own);
    if (failed(answer))
      return failure();
    if (!deterministic) {
      if (request.gate.anomalies.repeatDiffers)
        result.anomalies.push_back({"nondeterministic", one.name, "the same inputs gave different bytes on a second run"});
      else
        result.notes.push_back(one.name + ": the same inputs gave different bytes on a second run");
    }

    const size_t rows = one.rows.size();
    std::vector<std::vector<Pair>> prompt(rows), steps(rows);
    std::vector<std::vector<int64_t>> real(rows), only(rows, {0});
    for (size_t row = 0; row < rows; ++row) {
      prompt[row].push_back({answer->view(row, 0), expected->view(row, 0)});
      real[row] = comparedPositions(static_cast<int64_t>(one.rows[row].size()), request.gate.cases, one.seed + row);
      for (size_t phase = 1; phase < answer->phases.size(); ++phase)
        steps[row].push_back({answer->view(row, phase), expected->view(row, phase)});
    }
    for (const std::string &output : signature.outputs)
      compare(one, "prefill", output, prompt, real);
    if (answer->phases.size() > 1)
      for (const std::string &output : signature.outputs)
        compare(one, "decode", output, steps, only);

    if (!generates() || one.decodeSteps == 0 || expected->tokens.empty())
      return success();
    if (answer->phases.size() == 1)
      return signature.cached() || rows > 1 ? success() : continueUncached(one, *expected, *answer, own);
    compareTokens(one, [&](size_t row, size_t step) {
      return std::pair(Pair{answer->view(row, step), expected->view(row, step)},
                       step == 0 ? static_cast<int64_t>(one.rows[row].size()) - 1 : 0);
    });
    return rows > 1 || request.lengthDependent ? success() : compareCache(one, *expected, *answer, own);
  }

  /// The prompt and the reference's tokens as one prompt.
  FailureOr<Answer> runWhole(const ValidationCase &one, const Expected &expected, ValidationCase &whole, Diagnostics &own) {
    whole = one;
    whole.rows[0].insert(whole.rows[0].end(), expected.tokens[0].begin(), expected.tokens[0].begin() + one.decodeSteps);
    whole.columns += one.decodeSteps;
    whole.decodeSteps = 0;
    return runDevice(request, signature, whole, {}, nullptr, own);
  }

  /// View of one position of a prompt, as if it had been a step.
  static TextView at(TextView view, int64_t position) {
    view.first += position;
    return view;
  }

  /// The device's decode against its own prefill of the same ids.
  LogicalResult compareCache(const ValidationCase &one, const Expected &expected, const Answer &answer, Diagnostics &own) {
    ValidationCase whole;
    FailureOr<Answer> prefill = runWhole(one, expected, whole, own);
    if (failed(prefill))
      return failure();
    std::vector<std::vector<Pair>> pairs(1);
    for (int64_t step = 0; step < one.decodeSteps; ++step)
      pairs[0].push_back({answer.view(0, step + 1), at(prefill->view(0, 0), one.length() + step)});
    compare(one, "cache", head(), pairs, {{0}});
    return success();
  }

  /// Without a cache a continuation is a longer prompt.
  LogicalResult continueUncached(const ValidationCase &one, const Expected &expected, const Answer &prompt, Diagnostics &own) {
    ValidationCase whole;
    FailureOr<Answer> answer = runWhole(one, expected, whole, own);
    if (failed(answer))
      return failure();
    std::vector<std::vector<Pair>> pairs(1);
    FailureOr<Expected> uncached = failure();
    if (request.lengthDependent) {
      uncached = runReference(request, whole, /*taps=*/false, own);
      if (failed(uncached))
        return failure();
    }
    for (int64_t step = 0; step < one.decodeSteps; ++step)
      pairs[0].push_back({at(answer->view(0, 0), one.length() + step), request.lengthDependent
                                                                           ? at(uncached->view(0, 0), one.length() + step)
                                                                           : expected.view(0, static_cast<size_t>(step) + 1)});
    compare(one, "continuation", head(), pairs, {{0}});
    compareTokens(one, [&](size_t, size_t step) {
      return step == 0 ? std::pair(Pair{prompt.view(0, 0), expected.view(0, 0)}, one.length() - 1)
                       : std::pair(pairs[0][step - 1], int64_t(0));
    });
    return success();
  }

  void compare(const ValidationCase &one, const char *phase, const std::string &output,
               const std::vector<std::vector<Pair>> &pairs, const std::vector<std::vector<int64_t>> &positions) {
    Comparison comparison{one.name, phase, output, {}, false, true, std::nullopt, ""};
    const DistanceOptions options = optionsFor(request, output);
    Compared compared = lists() ? compareTop(pairs, positions, options) : compareTensor(output, pairs, positions, options);
    comparison.distance = compared.distance;
    if (!compared.mismatch.empty()) {
      comparison.judged = true;
      comparison.exceeded = compared.mismatch;
    } else if (result.tolerance) {
      const Tolerance own = toleranceFor(request, *result.tolerance, compared.width);
      comparison.judged = true;
      comparison.nmseBound = own.nmse;
      comparison.exceeded = exceededBounds(compared.distance, own, /*nmseOnly=*/false);
      if (!comparison.exceeded.empty())
        allowForNoise(one, output, own, comparison);
    }
    comparison.inside = comparison.exceeded.empty();
    const std::string where = one.name + ", " + phase + ", " + output;
    if (compared.distance.notFinite > 0 && request.gate.anomalies.nonFinite)
      result.anomalies.push_back(
          {"not-finite", where,
           std::to_string(compared.distance.notFinite) + " NaN or infinite numbers where the reference has numbers"});
    if (compared.distance.constantRows > 0)
      result.anomalies.push_back({"constant", where,
                                  std::to_string(compared.distance.constantRows) + " of " +
                                      std::to_string(compared.distance.rows) +
                                      " rows have one value everywhere, the reference's do not"});
    if (comparison.judged && comparison.inside && output == head())
      largestDifference = std::max(largestDifference, compared.distance.logprob.value_or(compared.distance.maxAbs));
    result.comparisons.push_back(std::move(comparison));
  }

  /// What is outside may still be the model's own rounding: the reference in fp32 against fp64, on the prompts of the same case.
  void allowForNoise(const ValidationCase &one, const std::string &output, const Tolerance &own, Comparison &comparison) {
    Tolerance limits = own;
    limits.nmse = result.tolerance->nmse;
    if (!request.precise || !own.noiseTimes || !exceededBounds(comparison.distance, limits, /*nmseOnly=*/false).empty())
      return;
    auto [known, fresh] = noise.try_emplace(one.name);
    if (fresh) {
      Diagnostics ignored; // without it the bound stands
      FailureOr<Oracle *> precise = request.precise(ignored);
      FailureOr<Expected> wide =
          failed(precise) ? FailureOr<Expected>(failure()) : runReference(request, one, false, ignored, *precise);
      FailureOr<Expected> narrow = failed(wide) ? FailureOr<Expected>(failure()) : runReference(request, one, false, ignored);
      if (failed(narrow))
        return;
      std::vector<std::vector<Pair>> pairs(one.rows.size());
      std::vector<std::vector<int64_t>> real;
      for (size_t row = 0; row < one.rows.size(); ++row) {
        pairs[row].push_back({narrow->view(row, 0), wide->view(row, 0)});
        real.push_back(comparedPositions(static_cast<int64_t>(one.rows[row].size()), request.gate.cases, one.seed + row));
      }
      for (const std::string &each : signature.outputs)
        known->second[each] = compareTensor(each, pairs, real, {}).distance.nmse;
    }
    auto found = known->second.find(output);
    if (found == known->second.end() || !isNoise(limits, comparison.distance, found->second))
      return;
    char words[160];
    std::snprintf(words, sizeof words, "nmse %.3g is within %g times the model's own noise in fp32, %.3g",
                  comparison.distance.nmse, *own.noiseTimes, found->second);
    result.notes.push_back(one.name + ", " + comparison.phase + ", " + output + ": " + words);
    comparison.nmseBound = *own.noiseTimes * found->second;
    comparison.exceeded.clear();
  }

  /// `placeOf(row, step)`: both texts and the position in them, after the prompt (0) and after each step.
  template <typename PlaceOf> void compareTokens(const ValidationCase &one, PlaceOf placeOf) {
    TokenComparison tokens;
    tokens.caseName = one.name;
    for (size_t row = 0; row < one.rows.size(); ++row) {
      std::vector<int64_t> &measured = tokens.measured.emplace_back(), &wanted = tokens.expected.emplace_back();
      for (int64_t step = 0; step <= one.decodeSteps; ++step) {
        const auto [pair, position] = placeOf(row, static_cast<size_t>(step));
        const std::vector<double> ref = logitsAt(pair.ref, position);
        ++tokens.steps;
        // Without an answer of the right shape -1: a token that nothing equals.
        measured.push_back(chosenAt(pair.got, position));
        wanted.push_back(argMax(ref));
        if (topMargin(ref) <= request.gate.tokenMargin * largestDifference)
          continue;
        ++tokens.compared;
        tokens.equal += measured.back() == wanted.back();
      }
    }
    result.tokens.push_back(std::move(tokens));
  }

  void implausible() {
    const bool rounds =
        request.compute != NumberFormat::FP32 && request.compute != NumberFormat::FP64 && request.compute != NumberFormat::TF32;
    if (!rounds || !request.gate.anomalies.implausibleNmse)
      return;
    for (const auto &[output, distance] : result.worstByOutput())
      if (distance.rows > 0 && distance.nmse < *request.gate.anomalies.implausibleNmse)
        result.anomalies.push_back(
            {"implausible", output,
             ("agrees with the reference better than " + numberFormatName(request.compute) +
              " can: the device did not compute what it was given, or not in " + numberFormatName(request.compute))
                 .str()});
  }

  /// Which tap is the first outside.
  void locate() {
    const Comparison *outside = nullptr;
    for (const Comparison &one : result.comparisons)
      if (!one.inside && !outside)
        outside = &one;
    const ValidationCase *failing = nullptr;
    for (const ValidationCase &one : result.cases.cases)
      if (outside && one.name == outside->caseName)
        failing = &one;
    if (lists())
      result.notRun.push_back({"taps", ("device " + request.device.name() + " shows T2 only").str()});
    else if (request.tapModelPath.empty())
      result.notRun.push_back({"taps", "no model with taps as outputs was given"});
    else if (!result.cases.cases.empty())
      runTaps(request, signature, result.cases.cases.front(), failing, outside, result);
  }

  CheckResult conclude(GateCheck check) const {
    int64_t ran = 0, outside = 0, unjudged = 0;
    std::string first;
    for (const Comparison &one : result.comparisons) {
      const bool batch = StringRef(one.caseName).starts_with("batch-");
      const GateCheck own = one.phase == "cache"    ? GateCheck::Cache
                            : batch                 ? GateCheck::Batch
                            : one.phase == "decode" ? GateCheck::Decode
                                                    : GateCheck::Prefill;
      if (own != check)
        continue;
      ++ran;
      unjudged += !one.judged;
      if (!one.inside && outside++ == 0)
        first = one.caseName + ", " + one.phase + ", " + one.output + ": " + one.exceeded;
    }
    if (check == GateCheck::Tokens)
      return concludeTokens();
    if (outside > 0)
      return {check, CheckState::Failed,
              std::to_string(outside) + " of " + std::to_string(ran) + " comparisons are outside; the first: " + first};
    if (unjudged > 0)
      return {check, CheckState::Undecided,
              ("gate " + request.gate.name + " has no tolerance for computing in " + numberFormatName(request.compute) +
               " with scheme " + request.scheme + ", tier " + tierName(request.device.tier()))
                  .str()};
    if (ran > 0)
      return {check, CheckState::Passed, ""};
    return whyNot(check);
  }

  CheckResult concludeTokens() const {
    int64_t compared = 0, equal = 0, steps = 0;
    std::string first;
    for (const TokenComparison &one : result.tokens) {
      steps += one.steps, compared += one.compared, equal += one.equal;
      if (one.equal < one.compared && first.empty())
        first = one.caseName;
    }
    if (steps == 0)
      return whyNot(GateCheck::Tokens);
    if (equal < compared)
      return {GateCheck::Tokens, CheckState::Failed,
              std::to_string(compared - equal) + " of " + std::to_string(compared) + " tokens differ; the first in " + first};
    if (compared == 0)
      return {GateCheck::Tokens, CheckState::Undecided,
              "in none of " + std::to_string(steps) + " steps does the reference's best token lead by more than the margin"};
    return {GateCheck::Tokens, CheckState::Passed, ""};
  }

  CheckResult whyNot(GateCheck check) const {
    const CheckState no = CheckState::NotApplicable;
    const bool steps = check == GateCheck::Decode || check == GateCheck::Cache || check == GateCheck::Tokens;
    if (steps && !generates())
      return {check, no, "task " + request.task + " generates nothing"};
    if ((check == GateCheck::Decode || check == GateCheck::Cache) && !signature.cached())
      return {check, no, "the artefact has no cache"};
    if (check == GateCheck::Cache && request.lengthDependent)
      return {check, no, lengthDependent(true)};
    if (steps && signature.cached() && !canStep(signature))
      return {check, CheckState::NotRun, "the artefact takes " + std::to_string(signature.fixedLength) + " ids per call"};
    if (check == GateCheck::Batch && !request.inputs.empty() && signature.inputs.empty() && signature.fixedBatch > 0)
      return {check, no, "the model takes one at a time"};
    if (check == GateCheck::Batch)
      for (const SkippedCase &skipped : result.cases.skipped)
        if (skipped.check == check)
          return {check, signature.fixedBatch > 0 ? no : CheckState::NotRun, skipped.reason};
    return {check, CheckState::NotRun,
            steps ? "no case has room for decode steps" : "the gate's cases have none of this kind that fits"};
  }

  const NumbersRequest &request;
  Diagnostics &diags;
  const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  Signature signature;
  NumbersResult result;
  double secondsPerId = 0;
  std::map<std::string, std::map<std::string, double>> noise; ///< of the model in fp32: by case, then output
  double largestDifference = 0;                               ///< of logits, in comparisons that are inside
};
} // namespace

FailureOr<NumbersResult> checkNumbers(const NumbersRequest &request, Diagnostics &diags) { return Checker(request, diags).run(); }

} // namespace flagrelease
