// Gates (recipes/gates/*.yaml, or the file of --gate): what a verdict needs. Which checks must have run, on what evidence, over
// which cases, inside which tolerances, and where each tolerance comes from (DESIGN section 8).
#pragma once

#include "recipes/NumberFormat.h"
#include "recipes/RecipeFiles.h"
#include "text/Diagnostics.h"

#include <map>
#include <optional>

namespace flagrelease {

/// How much a device shows of its output. A lower tier never satisfies a gate that asks for a higher one.
enum class Tier : uint8_t {
  T3 = 0, ///< tokens only
  T2,     ///< log-probabilities of the top k
  T1,     ///< all logits
};
StringRef tierName(Tier tier);

/// What validation can check. Each is run or listed as not run, with the reason.
enum class GateCheck : uint8_t {
  Bytes,   ///< every source tensor accounted for, every output tensor derived again and compared
  Prefill, ///< logits of whole prompts
  Decode,  ///< logits of steps that reuse the cache
  Batch,   ///< rows of unequal length, padded
  Cache,   ///< decode with the cache equals prefill on the same device
  Tokens,  ///< greedy continuations
};
StringRef gateCheckName(GateCheck check);

/// Upper bounds (`cosine`: lower bound). Absent: not judged. T1 has nmse, max_relative, cosine and kl; T2 logprob; T3 agreement.
struct Tolerance {
  Tier tier = Tier::T1;
  NumberFormat compute = NumberFormat::FP32; ///< what the artefact computes in
  std::vector<std::string> schemes;          ///< how its weights are stored; empty: any scheme
  std::optional<double> nmse;                ///< sum of squared differences over sum of squares of the reference, per output
  std::optional<double> nmsePerLayer;        ///< of a model whose size is known: see nmseFor()
  std::optional<double> noiseTimes;          ///< what the model's own rounding may give, as a multiple: see Numbers.h
  std::optional<double> maxRelative;         ///< largest difference over largest absolute value of the reference, per output
  std::optional<double> cosine;              ///< smallest cosine of two rows
  std::optional<double> kl;                  ///< largest Kullback-Leibler divergence of two rows after softmax, in nats
  std::optional<double> logprob;             ///< largest difference of a log-probability that both list
  std::optional<double> agreement;           ///< smallest share of equal tokens
  std::string from;                          ///< where the numbers come from
  Place place;

  /// The bound on nmse for a model of `layers` layers with a stream of `features` (0: unknown), and a tensor whose rows hold
  /// `numbers`. Rounding adds up from layer to layer, and in sums over features: a small model has less of it. So the bound is
  /// nmsePerLayer * layers * max(1, features / 64), and never above nmse. It is nmse alone for an unknown model, and for rows of
  /// less than 32 numbers: a score that happens to be near 0 has a large relative error.
  std::optional<double> nmseFor(int64_t layers, int64_t features, int64_t numbers) const;
};

struct GateCases {
  uint64_t seed = 0;
  std::vector<int64_t> lengths; ///< of prompts, cut to the model's maximum
  int64_t decodeSteps = 0;
  int64_t batchRows = 1;
  bool padLeft = false;
  bool padRight = false;
  int64_t lastPositions = 0;   ///< heads are evaluated at the last n positions of a prompt
  int64_t seededPositions = 0; ///< and at n seeded ones
  double budgetSeconds = 0;    ///< for what is not required
};

/// What makes a run ANOMALOUS, whatever its distances say.
struct GateAnomalies {
  bool nonFinite = true;      ///< NaN or infinity where the reference has a number
  double constantSpread = 0;  ///< a row whose largest minus smallest value is at most this share of its largest magnitude, …
  double referenceSpread = 0; ///< … while the reference's row spreads at least this share
  bool repeatDiffers = true;  ///< the same input twice gives other bits, on a device that claims to be deterministic
  /// A device that must round (it computes in less than the reference) and yet agrees better than this NMSE did not compute.
  std::optional<double> implausibleNmse;
};

struct Gate {
  std::string name;
  std::string summary;
  Tier tier = Tier::T1;            ///< that ACCEPT needs
  bool onTarget = true;            ///< ACCEPT needs a device whose probe identifies it as the chip
  std::vector<GateCheck> required; ///< checks that ACCEPT needs
  GateCases cases;
  std::vector<Tolerance> tolerances;
  /// A token is compared only where the reference's best logit leads by more than this many times the largest difference seen.
  double tokenMargin = 2;
  std::string tokenMarginFrom;
  GateAnomalies anomalies;
  RecipeFile file; ///< its bytes are what the digest in an attestation is taken of

  bool isRequired(GateCheck check) const;
  /// The first tolerance that fits; null if the gate has none: then nothing is decided. Pass the scheme `source` where storing
  /// changed no value (bf16 weights that fp16 or fp32 holds exactly): the tighter bound then holds.
  const Tolerance *tolerance(Tier tier, NumberFormat compute, StringRef scheme) const;
};

/// Reads one gate file: recipes/gates/default.yaml, or that of --gate. `schemes` are the known names: a tolerance for another one
/// is a problem.
FailureOr<Gate> readGate(StringRef path, llvm::ArrayRef<std::string> schemes, Diagnostics &diags);

} // namespace flagrelease
