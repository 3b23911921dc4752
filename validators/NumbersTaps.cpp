// The first tap outside: the same graph with every tap as an output, against the reference's taps, in graph order.
#include "validators/NumbersParts.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

namespace flagrelease::numbers {

namespace {
/// Gates leave four times the noise of rounding (recipes/gates/default.yaml).
constexpr double kSuspicious = 0.3;

std::optional<double> finite(double value) { return std::isfinite(value) ? std::optional(value) : std::nullopt; }

/// Distances of all taps in one phase of a case; those that cannot be compared go to `notRun`.
void compareTaps(const NumbersRequest &request, const std::vector<std::string> &taps, const ValidationCase &one,
                 const char *phase, const std::vector<std::vector<Pair>> &pairs,
                 const std::vector<std::vector<int64_t>> &positions, NumbersResult &result) {
  for (const std::string &tap : taps) {
    Compared compared = compareTensor(tap, pairs, positions, {});
    if (!compared.mismatch.empty()) {
      result.notRun.push_back({"tap " + tap, one.name + ": " + compared.mismatch});
      continue;
    }
    TapDistance distance{tap, one.name, phase, compared.distance, true, 0};
    if (result.tolerance) {
      const Tolerance own = toleranceFor(request, *result.tolerance, compared.width);
      distance.inside = exceededBounds(compared.distance, own, /*nmseOnly=*/true).empty();
      distance.part = own.nmse ? compared.distance.nmse / *own.nmse : 0;
    }
    result.taps.push_back(std::move(distance));
  }
}

LogicalResult runCase(const NumbersRequest &request, const Signature &signature, const std::vector<std::string> &taps,
                      const ValidationCase &one, NumbersResult &result, Diagnostics &diags) {
  FailureOr<Expected> expected = runReference(request, one, /*taps=*/true, diags);
  if (failed(expected))
    return failure();
  FailureOr<Answer> answer = runDevice(request, signature, one, expected->tokens, nullptr, diags);
  if (failed(answer))
    return failure();
  const size_t rows = one.rows.size();
  std::vector<std::vector<Pair>> prompt(rows), steps(rows);
  std::vector<std::vector<int64_t>> real(rows), only(rows, {0});
  for (size_t row = 0; row < rows; ++row) {
    prompt[row].push_back({answer->view(row, 0), expected->view(row, 0)});
    real[row] = comparedPositions(static_cast<int64_t>(one.rows[row].size()), request.gate.cases, one.seed + row);
    for (size_t phase = 1; phase < answer->phases.size(); ++phase)
      steps[row].push_back({answer->view(row, phase), expected->view(row, phase)});
  }
  compareTaps(request, taps, one, "prefill", prompt, real, result);
  if (answer->phases.size() > 1)
    compareTaps(request, taps, one, "decode", steps, only, result);
  return success();
}
} // namespace

void runTaps(const NumbersRequest &request, const Signature &shipped, const ValidationCase &first, const ValidationCase *failing,
             const Comparison *outside, NumbersResult &result) {
  Diagnostics diags;
  auto notRun = [&] {
    std::string reason;
    for (const Problem &problem : diags.errors())
      reason += (reason.empty() ? "" : "; ") + problem.where + ": " + problem.what;
    result.notRun.push_back({"taps", reason});
  };
  FailureOr<LoadedModel> loaded = request.device.load(request.tapModelPath, {}, diags);
  if (failed(loaded))
    return notRun();
  loaded->stateInit = request.stateInit;
  FailureOr<Signature> signature = readSignature(*loaded, diags);
  if (failed(signature))
    return notRun();
  std::vector<std::string> taps;
  for (const std::string &name : request.tapOrder.empty() ? signature->outputs : request.tapOrder) {
    if (llvm::is_contained(shipped.outputs, name))
      continue;
    if (llvm::is_contained(signature->outputs, name))
      taps.push_back(name);
    else
      result.notRun.push_back({"tap " + name, "the model with taps has no such output"});
  }
  if (failed(runCase(request, *signature, taps, first, result, diags)))
    return notRun();
  if (!failing)
    return;
  if (failing != &first && failed(runCase(request, *signature, taps, *failing, result, diags)))
    return notRun();
  for (const char *phase : {"prefill", "decode"})
    for (const TapDistance &tap : result.taps)
      if (tap.caseName == failing->name && tap.phase == phase && !tap.inside && !result.firstDivergence)
        result.firstDivergence = Divergence{tap.name, std::nullopt, finite(tap.distance.nmse), tap.caseName, tap.phase};
  // Every tap is inside although the output is not: small errors add up. The first that has a good part of its bound, which
  // rounding does not have, is where it begins.
  for (const char *phase : {"prefill", "decode"})
    for (const TapDistance &tap : result.taps)
      if (tap.caseName == failing->name && tap.phase == phase && tap.part > kSuspicious && !result.firstDivergence)
        result.firstDivergence = Divergence{tap.name, std::nullopt, finite(tap.distance.nmse), tap.caseName, tap.phase};
  // Else what differs lies between the last of them and the output.
  if (!result.firstDivergence)
    result.firstDivergence =
        Divergence{outside->output, std::nullopt, finite(outside->distance.nmse), outside->caseName, outside->phase};
}

} // namespace flagrelease::numbers
