// Devices of tier T2: lists of the most probable next ids instead of logits.
#include "validators/NumbersParts.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cmath>

namespace flagrelease::numbers {

namespace {
constexpr double kMostIds = 1 << 24; ///< in a vocabulary

HostTensor rowTensor(const std::vector<double> &values) {
  HostTensor tensor(DType::F64, {1, static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.as<double>());
  return tensor;
}

/// Why `ids` are no list of different ids of a vocabulary; empty: they are.
std::string whyNoList(std::vector<double> ids, size_t numbers, size_t vocabulary) {
  if (ids.empty() || ids.size() != numbers)
    return "lists " + std::to_string(ids.size()) + " ids with " + std::to_string(numbers) + " log-probabilities";
  if (vocabulary == 0)
    return "has nothing to be compared with: the reference has no logits by position";
  llvm::sort(ids);
  if (ids.front() < 0 || ids.back() >= static_cast<double>(vocabulary))
    return "lists id " + std::to_string(static_cast<int64_t>(ids.front() < 0 ? ids.front() : ids.back())) +
           " of a vocabulary of " + std::to_string(vocabulary);
  if (auto twice = std::adjacent_find(ids.begin(), ids.end()); twice != ids.end())
    return "lists id " + std::to_string(static_cast<int64_t>(*twice)) + " twice";
  return "";
}
/// Log-probabilities by id: of logits; of a list, where every id that it leaves out counts as the least probable one of it. `ids`
/// are those that will be asked for.
std::vector<double> expectedOf(const TextView &view, int64_t position, const std::vector<double> &ids) {
  const std::vector<double> listed = rowAt(view, kTopIds, position), logprobs = rowAt(view, kTopLogprobs, position);
  if (listed.empty() || listed.size() != logprobs.size() || ids.empty())
    return logSoftmax(logitsAt(view, position));
  const double last = std::max(*llvm::max_element(listed), *llvm::max_element(ids));
  if (last > kMostIds)
    return {};
  std::vector<double> all(static_cast<size_t>(last) + 1, *llvm::min_element(logprobs));
  for (auto [id, logprob] : llvm::zip(listed, logprobs))
    if (id >= 0)
      all[static_cast<size_t>(id)] = logprob;
  return all;
}
} // namespace

Compared compareTop(const std::vector<std::vector<Pair>> &pairs, const std::vector<std::vector<int64_t>> &positions,
                    const DistanceOptions &options) {
  Compared result;
  for (size_t row = 0; row < pairs.size(); ++row) {
    DistanceGroup group(options);
    double best = 0;
    for (const Pair &pair : pairs[row])
      for (int64_t position : positions[row]) {
        const std::vector<double> ids = rowAt(pair.got, kTopIds, position);
        std::vector<double> got = rowAt(pair.got, kTopLogprobs, position), all = expectedOf(pair.ref, position, ids);
        result.mismatch = whyNoList(ids, got.size(), all.size());
        if (!result.mismatch.empty())
          return result;
        result.width = static_cast<int64_t>(got.size());
        std::vector<double> expected;
        for (double id : ids)
          expected.push_back(all[static_cast<size_t>(id)]);
        group.add(rowTensor(got), {0}, rowTensor(expected), {0});
        if (!llvm::all_of(got, [](double value) { return std::isfinite(value); }))
          continue;
        // Sorted lists are no further apart than their members were before: any larger difference is an id that was left out.
        std::partial_sort(all.begin(), all.begin() + got.size(), all.end(), std::greater<>());
        llvm::sort(got, std::greater<>());
        for (size_t k = 0; k < got.size(); ++k)
          best = std::max(best, std::abs(got[k] - all[k]));
      }
    Distance distance = group.finish();
    distance.logprob = std::max(best, distance.maxAbs);
    result.distance.merge(distance);
  }
  return result;
}

int64_t chosenAt(const TextView &view, int64_t position) {
  if (const std::vector<double> logits = logitsAt(view, position); !logits.empty())
    return argMax(logits);
  const std::vector<double> ids = rowAt(view, kTopIds, position), logprobs = rowAt(view, kTopLogprobs, position);
  return ids.empty() || ids.size() != logprobs.size() ? -1 : static_cast<int64_t>(ids[argMax(logprobs)]);
}

} // namespace flagrelease::numbers
