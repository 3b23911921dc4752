#include "recipes/Gate.h"

#include "recipes/Fields.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/ErrorHandling.h"

#include <algorithm>

namespace flagrelease {

static constexpr std::pair<llvm::StringLiteral, Tier> kTiers[] = {{"T1", Tier::T1}, {"T2", Tier::T2}, {"T3", Tier::T3}};
static constexpr std::pair<llvm::StringLiteral, GateCheck> kChecks[] = {
    {"bytes", GateCheck::Bytes}, {"prefill", GateCheck::Prefill}, {"decode", GateCheck::Decode},
    {"batch", GateCheck::Batch}, {"cache", GateCheck::Cache},     {"tokens", GateCheck::Tokens}};

template <typename E, size_t N> static StringRef nameIn(const std::pair<llvm::StringLiteral, E> (&table)[N], E wanted) {
  for (const auto &[name, value] : table)
    if (value == wanted)
      return name;
  llvm_unreachable("an enumerator without a name");
}

StringRef tierName(Tier tier) { return nameIn(kTiers, tier); }
StringRef gateCheckName(GateCheck check) { return nameIn(kChecks, check); }

bool Gate::isRequired(GateCheck check) const { return llvm::is_contained(required, check); }

const Tolerance *Gate::tolerance(Tier wanted, NumberFormat compute, StringRef scheme) const {
  for (const Tolerance &one : tolerances)
    if (one.tier == wanted && one.compute == compute && (one.schemes.empty() || llvm::is_contained(one.schemes, scheme)))
      return &one;
  return nullptr;
}

std::optional<double> Tolerance::nmseFor(int64_t layers, int64_t features, int64_t numbers) const {
  constexpr int64_t kUnit = 64, kFew = 32;
  if (!nmsePerLayer || layers <= 0 || features <= 0 || numbers < kFew)
    return nmse;
  double bound = *nmsePerLayer * static_cast<double>(layers) * std::max(1.0, static_cast<double>(features) / kUnit);
  return nmse ? std::min(*nmse, bound) : bound;
}

namespace {

class GateReader {
public:
  GateReader(llvm::ArrayRef<std::string> schemes, Diagnostics &diags) : schemes(schemes), diags(diags) {}

  void read(const RecipeFile &file, Gate &gate) {
    Fields fields(file.root, "a gate", diags);
    readVersion(fields);
    gate.name = fields.needText("name");
    if (const yaml::Node *name = fields.get("name"); name && gate.name != file.stem)
      fields.error(*name, "'name' is '" + Twine(gate.name) + "', the file is " + file.stem + ".yaml",
                   "name and file stem are the same");
    gate.summary = fields.text("summary").value_or("");
    if (const yaml::Node *node = fields.need("accept"))
      readAccept(*node, gate);
    if (const yaml::Node *node = fields.need("cases"))
      readCases(*node, gate.cases);
    if (const yaml::Node *node = fields.need("tolerances"))
      readTolerances(*node, gate);
    if (const yaml::Node *node = fields.need("tokens"))
      readTokens(*node, gate);
    if (const yaml::Node *node = fields.need("anomalies"))
      readAnomalies(*node, gate.anomalies);
    fields.finish();
  }

private:
  void readAccept(const yaml::Node &node, Gate &gate) {
    Fields fields(node, "accept", diags);
    fields.need("tier");
    gate.tier = fields.choice("tier", kTiers).value_or(gate.tier);
    fields.need("on_target");
    gate.onTarget = fields.boolean("on_target").value_or(gate.onTarget);
    const yaml::Node *checks = fields.need("checks");
    if (checks && (!checks->isSequence() || checks->items.empty()))
      fields.error(*checks, "'checks' must be a list with at least one check");
    for (const yaml::Node &item : checks ? llvm::ArrayRef(checks->items) : llvm::ArrayRef<yaml::Node>()) {
      std::vector<StringRef> names;
      const GateCheck *found = nullptr;
      for (const auto &[name, value] : kChecks) {
        names.push_back(name);
        if (item.isScalar() && item.text == name)
          found = &value;
      }
      if (!found)
        fields.unknownName(item, "checks", names);
      else if (gate.isRequired(*found))
        fields.error(item, "'checks' has '" + Twine(item.text) + "' twice");
      else
        gate.required.push_back(*found);
    }
    fields.finish();
  }

  void readCases(const yaml::Node &node, GateCases &cases) {
    Fields fields(node, "cases", diags);
    fields.need("seed");
    cases.seed = static_cast<uint64_t>(fields.integer("seed", 0, INT64_MAX).value_or(0));
    const yaml::Node *lengths = fields.need("lengths");
    if (lengths && (!lengths->isSequence() || lengths->items.empty()))
      fields.error(*lengths, "'lengths' must be a list with at least one length");
    for (const yaml::Node &item : lengths ? llvm::ArrayRef(lengths->items) : llvm::ArrayRef<yaml::Node>()) {
      std::optional<int64_t> length = item.asInt();
      if (length && *length >= 1 && *length <= 1 << 24)
        cases.lengths.push_back(*length);
      else
        fields.error(item, "a length must be an integer from 1 to 16777216, found '" + Twine(item.text) + "'");
    }
    fields.need("decode_steps");
    cases.decodeSteps = fields.integer("decode_steps", 0, 1 << 20).value_or(0);
    if (const yaml::Node *batch = fields.get("batch")) {
      Fields rows(*batch, "batch", diags);
      rows.need("rows");
      cases.batchRows = rows.integer("rows", 1, 4096).value_or(1);
      static constexpr std::pair<llvm::StringLiteral, int> kSides[] = {{"left", 1}, {"right", 2}};
      for (const std::string &side : rows.texts("padding")) {
        if (side == kSides[0].first || side == kSides[1].first)
          (side == kSides[0].first ? cases.padLeft : cases.padRight) = true;
        else
          rows.error(*rows.get("padding"), "'padding' is a list of left and right, found '" + Twine(side) + "'");
      }
      rows.finish();
    }
    if (const yaml::Node *positions = fields.need("positions")) {
      Fields where(*positions, "positions", diags);
      where.need("last");
      cases.lastPositions = where.integer("last", 1, 1 << 20).value_or(1);
      cases.seededPositions = where.integer("seeded", 0, 1 << 20).value_or(0);
      where.finish();
    }
    fields.need("budget_s");
    cases.budgetSeconds = fields.positive("budget_s").value_or(0);
    fields.finish();
  }

  void readTolerances(const yaml::Node &node, Gate &gate) {
    if (!node.isSequence() || node.items.empty())
      return (void)diags.error(node.place.str(), "'tolerances' must be a list with at least one tolerance");
    for (const yaml::Node &item : node.items)
      gate.tolerances.push_back(readTolerance(item));
  }

  Tolerance readTolerance(const yaml::Node &node) {
    Fields fields(node, "a tolerance", diags);
    Tolerance one;
    one.place = node.place;
    fields.need("tier");
    const std::optional<Tier> tier = fields.choice("tier", kTiers);
    one.tier = tier.value_or(one.tier);
    if (const yaml::Node *compute = fields.need("compute"))
      one.compute = readFormat(*compute, "compute", diags).value_or(one.compute);
    one.schemes = fields.texts("schemes");
    for (auto [index, scheme] : llvm::enumerate(one.schemes))
      if (!llvm::is_contained(schemes, scheme))
        fields.error(fields.get("schemes")->items[index], "unknown scheme '" + Twine(scheme) + "'" + nearestNote(scheme, schemes),
                     "known: " + Twine(listed(schemes, 24)));
    one.nmse = metric(fields, "nmse", Tier::T1, tier, 1e6);
    one.nmsePerLayer = metric(fields, "nmse_per_layer", Tier::T1, tier, 1e6);
    one.noiseTimes = metric(fields, "noise_times", Tier::T1, tier, 1e6);
    if (one.nmsePerLayer && !one.nmse)
      fields.error(*fields.get("nmse_per_layer"), "'nmse_per_layer' without 'nmse', which bounds it");
    one.maxRelative = metric(fields, "max_relative", Tier::T1, tier, 1e6);
    one.cosine = metric(fields, "cosine", Tier::T1, tier, 1);
    one.kl = metric(fields, "kl", Tier::T1, tier, 1e6);
    one.logprob = metric(fields, "logprob", Tier::T2, tier, 1e6);
    one.agreement = metric(fields, "agreement", Tier::T3, tier, 1);
    one.from = fields.needText("from");
    const bool any = one.nmse || one.maxRelative || one.cosine || one.kl || one.logprob || one.agreement;
    if (node.isMapping() && tier && !any)
      fields.error(node, "a tolerance of tier " + Twine(tierName(one.tier)) + " without a bound");
    fields.finish();
    return one;
  }

  /// A bound in (0, most] that a device of this tier can be judged by.
  std::optional<double> metric(Fields &fields, StringRef key, Tier needs, std::optional<Tier> tier, double most) {
    std::optional<double> value = fields.positive(key);
    const yaml::Node *node = fields.get(key);
    if (value && *value > most)
      fields.error(*node,
                   "'" + Twine(key) + "' is at most " + Twine(static_cast<int64_t>(most)) + ", found '" + node->text + "'");
    if (value && tier && *tier != needs)
      fields.error(*node, "'" + Twine(key) + "' is a bound of tier " + tierName(needs) + ", this tolerance is of tier " +
                              tierName(*tier));
    return value;
  }

  void readTokens(const yaml::Node &node, Gate &gate) {
    Fields fields(node, "tokens", diags);
    fields.need("margin");
    gate.tokenMargin = fields.positive("margin").value_or(gate.tokenMargin);
    gate.tokenMarginFrom = fields.needText("from");
    fields.finish();
  }

  void readAnomalies(const yaml::Node &node, GateAnomalies &anomalies) {
    Fields fields(node, "anomalies", diags);
    fields.need("non_finite");
    anomalies.nonFinite = fields.boolean("non_finite").value_or(true);
    fields.need("repeat_differs");
    anomalies.repeatDiffers = fields.boolean("repeat_differs").value_or(true);
    if (const yaml::Node *constant = fields.need("constant")) {
      Fields spread(*constant, "constant", diags);
      spread.need("spread");
      anomalies.constantSpread = spread.positive("spread").value_or(0);
      spread.need("reference_spread");
      anomalies.referenceSpread = spread.positive("reference_spread").value_or(0);
      if (anomalies.constantSpread >= anomalies.referenceSpread && anomalies.referenceSpread > 0)
        spread.error(*constant, "'spread' must be below 'reference_spread'");
      spread.finish();
    }
    anomalies.implausibleNmse = fields.positive("implausible_nmse");
    fields.finish();
  }

  llvm::ArrayRef<std::string> schemes;
  Diagnostics &diags;
};

} // namespace

FailureOr<Gate> readGate(StringRef path, llvm::ArrayRef<std::string> schemes, Diagnostics &diags) {
  ErrorMark mark(diags);
  FailureOr<RecipeFile> file = readRecipeFile(RecipePath{path.str()}, diags);
  if (failed(file))
    return failure();
  Gate gate;
  GateReader(schemes, diags).read(*file, gate);
  if (!mark.clean())
    return failure();
  gate.file = std::move(*file);
  return gate;
}

} // namespace flagrelease
