#include "validators/Generate.h"

#include "validators/NumbersParts.h"

using namespace flagrelease;
using namespace flagrelease::numbers;

namespace {
int64_t largest(const HostTensor &logits, int64_t row, int64_t column) {
  int64_t vocabulary = logits.shape[2], base = (row * logits.shape[1] + column) * vocabulary, best = 0;
  for (int64_t i = 1; i < vocabulary; ++i)
    if (logits.at(base + i) > logits.at(base + best))
      best = i;
  return best;
}
} // namespace

FailureOr<std::vector<std::vector<int64_t>>> flagrelease::generateGreedy(Device &device, const LoadedModel &model,
                                                                         const std::vector<std::vector<int64_t>> &rows,
                                                                         int64_t steps, Diagnostics &diags) {
  FailureOr<Signature> signature = readSignature(model, diags);
  if (failed(signature))
    return failure();
  std::vector<std::vector<int64_t>> written(rows.size());
  // One row at a time: no padding, so what comes out does not depend on the neighbours.
  for (auto [r, row] : llvm::enumerate(rows)) {
    DeviceText text(device, *signature, 0);
    std::vector<int64_t> ids = row;
    FailureOr<NamedTensors> answer = text.start({ids}, Padding::None, nullptr, diags);
    int64_t column = text.firstColumn(0) + static_cast<int64_t>(ids.size()) - 1;
    for (int64_t step = 0; step < steps; ++step) {
      if (failed(answer))
        return failure();
      auto logits = answer->find("logits");
      if (logits == answer->end() || logits->second.shape.size() != 3)
        return diags.error("logits", "the artefact gives no logits for each token: it writes no text",
                           "use a causal_lm artefact");
      int64_t id = largest(logits->second, 0, std::min(column, logits->second.shape[1] - 1));
      written[r].push_back(id);
      ids.push_back(id);
      if (step + 1 == steps)
        break;
      if (canStep(*signature)) {
        answer = text.step({id}, diags);
        column = 0;
      } else {
        answer = text.start({ids}, Padding::None, nullptr, diags);
        column = text.firstColumn(0) + static_cast<int64_t>(ids.size()) - 1;
      }
    }
  }
  return written;
}
