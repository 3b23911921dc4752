#include "validators/Cases.h"

#include "weights/Digest.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cassert>

namespace flagrelease {

namespace {
constexpr int64_t kBatchColumns = 24; ///< of the longest row of a padded batch
constexpr int64_t kShortestRow = 7;   ///< of such a batch

uint64_t fnv1a64(StringRef text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : text)
    hash = (hash ^ c) * 0x100000001b3;
  return hash;
}

struct SplitMix64 {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
};

std::string digestOf(const std::vector<std::vector<int64_t>> &rows) {
  Sha256 hash;
  auto add = [&](int64_t value) {
    std::byte bytes[8];
    for (int i = 0; i < 8; ++i)
      bytes[i] = static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * i));
    hash.update(bytes);
  };
  for (const std::vector<int64_t> &row : rows) {
    add(static_cast<int64_t>(row.size()));
    for (int64_t id : row)
      add(id);
  }
  return hash.hex();
}

class Maker {
public:
  Maker(const GateCases &gate, const CaseLimits &limits) : gate(gate), limits(limits) {}

  CaseList make() {
    std::vector<int64_t> seen;
    for (int64_t length : gate.lengths)
      addPrefill(length, true, seen);
    // An artefact that is shorter than every length is measured at its own.
    if (list.cases.empty())
      addPrefill(bound().first, true, seen);
    if (gate.batchRows > 1) {
      if (gate.padLeft && limits.placesAreColumns)
        list.skipped.push_back({"batch-left",
                                "the model has no position_ids: it counts columns, so texts are padded on the right",
                                GateCheck::Decode});
      else if (gate.padLeft)
        addBatch(Padding::Left);
      if (gate.padRight)
        addBatch(Padding::Right);
    }
    // Last, because the budget may end before them.
    for (int64_t length : limits.extraLengths)
      addPrefill(length, false, seen);
    return std::move(list);
  }

private:
  /// The most ids that a row can have, and who says so; 0: no bound.
  std::pair<int64_t, StringRef> bound() const {
    std::pair<int64_t, StringRef> least = {0, ""};
    auto take = [&](int64_t value, StringRef who) {
      if (value > 0 && (least.first == 0 || value < least.first))
        least = {value, who};
    };
    take(limits.maxLength, "the model has positions for");
    take(limits.fixedLength, "the artefact takes rows of");
    take(limits.cacheColumns, "the artefact's cache holds");
    return least;
  }

  int64_t stepsAfter(int64_t length) const {
    if (!limits.generates)
      return 0;
    const int64_t most = bound().first;
    return most == 0 ? gate.decodeSteps : std::clamp<int64_t>(most - length, 0, gate.decodeSteps);
  }

  void addPrefill(int64_t wanted, bool required, std::vector<int64_t> &seen) {
    int64_t length = wanted;
    // "300, or the model's maximum": a shorter model is measured at its full length. An artefact that is shorter than its model
    // is not.
    if (limits.maxLength > 0)
      length = std::min(length, limits.maxLength);
    if (llvm::is_contained(seen, length))
      return;
    seen.push_back(length);
    const std::string name = "prefill-" + std::to_string(length);
    const auto [most, who] = bound();
    if (most > 0 && length > most)
      return list.skipped.push_back(
          {name, (who + " " + Twine(most) + " ids, the case has " + Twine(length)).str(), GateCheck::Prefill});
    add(name, GateCheck::Prefill, {length}, Padding::None, length, required);
  }

  void addBatch(Padding padding) {
    const std::string name = ("batch-" + paddingName(padding)).str();
    const int64_t rows = gate.batchRows;
    if (limits.fixedBatch > 0 && rows > limits.fixedBatch)
      return list.skipped.push_back({name,
                                     ("the artefact takes " + Twine(limits.fixedBatch) +
                                      (limits.fixedBatch == 1 ? " row" : " rows") + ", the case has " + Twine(rows))
                                         .str(),
                                     GateCheck::Batch});
    const int64_t most = bound().first;
    // Room for decode steps comes first: without them nobody sees what padding does to positions.
    int64_t columns = most == 0 ? kBatchColumns
                                : std::min(kBatchColumns, std::max<int64_t>(most - (limits.generates ? gate.decodeSteps : 0), 2));
    if (most > 0)
      columns = std::min(columns, most);
    if (columns < 2)
      return list.skipped.push_back({name, "rows of one id cannot be of unequal length", GateCheck::Batch});
    const int64_t shortest = std::max<int64_t>(1, std::min(kShortestRow, columns - 1));
    std::vector<int64_t> lengths;
    for (int64_t row = 0; row < rows; ++row)
      lengths.push_back(shortest + (columns - shortest) * row / (rows - 1));
    add(name, GateCheck::Batch, lengths, padding, columns, true);
  }

  void add(std::string name, GateCheck check, const std::vector<int64_t> &lengths, Padding padding, int64_t columns,
           bool required) {
    ValidationCase one;
    one.seed = gate.seed ^ fnv1a64(name);
    one.name = std::move(name);
    one.check = check;
    one.padding = padding;
    one.columns = columns;
    one.required = required;
    one.decodeSteps = limits.fixedStates && padding == Padding::Right ? 0 : stepsAfter(columns);
    SplitMix64 random{one.seed};
    for (int64_t length : lengths) {
      std::vector<int64_t> &row = one.rows.emplace_back();
      while (static_cast<int64_t>(row.size()) < length) {
        const int64_t id = static_cast<int64_t>(random.next() % static_cast<uint64_t>(limits.vocabulary));
        if (id != limits.padId)
          row.push_back(id);
      }
    }
    one.idsDigest = digestOf(one.rows);
    list.cases.push_back(std::move(one));
  }

  const GateCases &gate;
  const CaseLimits &limits;
  CaseList list;
};
} // namespace

StringRef paddingName(Padding padding) {
  switch (padding) {
  case Padding::None:
    return "none";
  case Padding::Left:
    return "left";
  case Padding::Right:
    return "right";
  }
  return "none";
}

int64_t ValidationCase::length() const {
  int64_t most = 0;
  for (const std::vector<int64_t> &row : rows)
    most = std::max<int64_t>(most, static_cast<int64_t>(row.size()));
  return most;
}

std::string CaseList::digest() const {
  Sha256 hash;
  for (const ValidationCase &one : cases)
    hash.update(one.name + "\n" + paddingName(one.padding).str() + " " + std::to_string(one.columns) + " " +
                std::to_string(one.decodeSteps) + "\n" + one.idsDigest + "\n");
  return hash.hex();
}

FailureOr<CaseList> makeCases(const GateCases &gate, const CaseLimits &limits, Diagnostics &diags) {
  const bool padIsId = limits.padId && *limits.padId >= 0 && *limits.padId < limits.vocabulary;
  if (limits.vocabulary < (padIsId ? 2 : 1))
    return diags.error("vocab_size", "a vocabulary of " + Twine(limits.vocabulary) + " ids has none to make cases of",
                       "validate this model with --golden FILE");
  return Maker(gate, limits).make();
}

std::vector<int64_t> comparedPositions(int64_t length, const GateCases &gate, uint64_t seed) {
  std::vector<int64_t> positions;
  const int64_t last = std::min(length, gate.lastPositions);
  if (length <= gate.lastPositions + gate.seededPositions) {
    for (int64_t p = 0; p < length; ++p)
      positions.push_back(p);
    return positions;
  }
  // Floyd's sample without repetition of [0, length - last).
  SplitMix64 random{seed ^ fnv1a64("positions")};
  const int64_t rest = length - last;
  for (int64_t j = rest - gate.seededPositions; j < rest; ++j) {
    const int64_t pick = static_cast<int64_t>(random.next() % static_cast<uint64_t>(j + 1));
    positions.push_back(llvm::is_contained(positions, pick) ? j : pick);
  }
  for (int64_t p = rest; p < length; ++p)
    positions.push_back(p);
  std::sort(positions.begin(), positions.end());
  return positions;
}

} // namespace flagrelease
