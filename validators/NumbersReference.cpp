// The same text on the reference, and how far the device is from it.
#include "validators/NumbersParts.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdio>

namespace flagrelease::numbers {

bool stopping(const NumbersRequest &request) { return request.stop && request.stop->requested(); }

TextView Expected::view(size_t row, size_t phase) const {
  const auto [run, at] = places[row];
  const Run &one = runs[run];
  if (phase == 0)
    return {&one.phases[0], one.batch, at, one.columns, one.first[at]};
  return {&one.phases[phase], one.batch, at, 1, 0};
}

namespace {
bool hasColumns(const HostTensor &tensor, const TextView &view) {
  return tensor.shape.size() >= 3 && tensor.shape[0] == view.batch && tensor.shape[1] == view.columns;
}

/// Runs a batch of equally long rows (with padding, where `mask` says so): the prompt, then steps by greedy choice.
FailureOr<Expected::Run> runBatch(const NumbersRequest &request, const std::vector<std::vector<int64_t>> &rows, Padding padding,
                                  int64_t columns, int64_t padId, int64_t steps, bool taps,
                                  std::vector<std::vector<int64_t>> &tokens, Oracle &oracle, Diagnostics &diags) {
  Expected::Run run;
  run.batch = static_cast<int64_t>(rows.size());
  run.columns = columns;
  std::vector<int64_t> ids, mask;
  std::vector<std::vector<int64_t>> masks;
  for (const std::vector<int64_t> &row : rows) {
    const int64_t length = static_cast<int64_t>(row.size()), begin = padding == Padding::Left ? columns - length : 0;
    run.first.push_back(begin);
    std::vector<int64_t> &ones = masks.emplace_back(columns, 0);
    for (int64_t c = 0; c < columns; ++c) {
      const bool real = c >= begin && c < begin + length;
      ids.push_back(real ? row[c - begin] : padId);
      ones[c] = real;
    }
  }
  const Oracle::Call first{taps, false, [&] { return stopping(request); }}, next{taps, true, first.stop};
  auto maskTensor = [&] {
    std::vector<int64_t> flat;
    for (const std::vector<int64_t> &row : masks)
      flat.insert(flat.end(), row.begin(), row.end());
    return HostTensor::ofInts({run.batch, static_cast<int64_t>(masks.front().size())}, flat);
  };
  NamedTensors inputs{{"input_ids", HostTensor::ofInts({run.batch, columns}, ids)}, {"attention_mask", maskTensor()}};
  FailureOr<NamedTensors> outputs = oracle.run(inputs, first, diags);
  if (failed(outputs))
    return failure();
  run.phases.push_back(std::move(*outputs));

  tokens.clear();
  // A classifier's logits have no columns: nothing follows.
  auto logits = run.phases.back().find("logits");
  if (logits == run.phases.back().end() || !hasColumns(logits->second, {nullptr, run.batch, 0, columns, 0}))
    return run;
  tokens.resize(rows.size());
  auto choose = [&] {
    const bool prompt = run.phases.size() == 1;
    std::vector<int64_t> chosen;
    for (size_t r = 0; r < rows.size(); ++r) {
      const TextView view{&run.phases.back(), run.batch, static_cast<int64_t>(r), prompt ? columns : 1,
                          prompt ? run.first[r] : 0};
      const std::vector<double> logits = logitsAt(view, prompt ? static_cast<int64_t>(rows[r].size()) - 1 : 0);
      chosen.push_back(logits.empty() ? 0 : argMax(logits));
      tokens[r].push_back(chosen.back());
    }
    return chosen;
  };
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<int64_t> chosen = choose();
    for (std::vector<int64_t> &row : masks)
      row.push_back(1);
    outputs =
        oracle.run({{"input_ids", HostTensor::ofInts({run.batch, 1}, chosen)}, {"attention_mask", maskTensor()}}, next, diags);
    if (failed(outputs))
      return failure();
    run.phases.push_back(std::move(*outputs));
  }
  choose();
  return run;
}
} // namespace

bool isNoise(const Tolerance &tolerance, const Distance &distance, double noise) {
  Tolerance own = tolerance;
  own.nmse = tolerance.noiseTimes ? std::optional(*tolerance.noiseTimes * noise) : std::nullopt;
  if (!own.nmse || (tolerance.nmse && *own.nmse > *tolerance.nmse))
    own.nmse = tolerance.nmse;
  return tolerance.noiseTimes && exceededBounds(distance, own, /*nmseOnly=*/false).empty();
}

FailureOr<Expected> runReference(const NumbersRequest &request, const ValidationCase &one, bool taps, Diagnostics &diags,
                                 Oracle *instead) {
  Oracle &oracle = instead ? *instead : request.reference;
  const int64_t padId = request.padId.value_or(0);
  // A row alone is what padding must not change. Where it does by design, the padded batch is what can be compared.
  const bool together = one.rows.size() > 1 && request.lengthDependent;
  Expected expected;
  expected.tokens.resize(one.rows.size());
  if (together) {
    FailureOr<Expected::Run> run =
        runBatch(request, one.rows, one.padding, one.columns, padId, one.decodeSteps, taps, expected.tokens, oracle, diags);
    if (failed(run))
      return failure();
    expected.runs.push_back(std::move(*run));
    for (size_t r = 0; r < one.rows.size(); ++r)
      expected.places.emplace_back(0, static_cast<int64_t>(r));
    return expected;
  }
  for (size_t r = 0; r < one.rows.size(); ++r) {
    std::vector<std::vector<int64_t>> tokens;
    FailureOr<Expected::Run> run = runBatch(request, {one.rows[r]}, Padding::None, static_cast<int64_t>(one.rows[r].size()),
                                            padId, one.decodeSteps, taps, tokens, oracle, diags);
    if (failed(run))
      return failure();
    expected.runs.push_back(std::move(*run));
    expected.places.emplace_back(r, 0);
    if (tokens.empty())
      expected.tokens.clear();
    else
      expected.tokens[r] = std::move(tokens.front());
  }
  return expected;
}

std::vector<double> rowAt(const TextView &view, StringRef output, int64_t position) {
  auto it = view.tensors->find(output.str());
  if (it == view.tensors->end() || !hasColumns(it->second, view) || it->second.shape.size() != 3)
    return {};
  return rowOf(it->second, view.row * view.columns + view.first + position);
}

namespace {
std::string shapeText(const HostTensor &tensor) {
  std::string text = "[";
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(tensor.shape[i]);
  return text + "]";
}

/// Rows (runs of the last dimension) of a text at a real position, or all of its rows for a tensor without columns.
RowSelection rowsOfText(const HostTensor &tensor, const TextView &view, const std::vector<int64_t> &positions, bool columns) {
  const int64_t perBatch = rowCount(tensor) / tensor.shape[0];
  RowSelection rows;
  if (!columns) {
    for (int64_t i = 0; i < perBatch; ++i)
      rows.push_back(view.row * perBatch + i);
    return rows;
  }
  const int64_t perColumn = perBatch / view.columns;
  for (int64_t position : positions)
    for (int64_t i = 0; i < perColumn; ++i)
      rows.push_back(view.row * perBatch + (view.first + position) * perColumn + i);
  return rows;
}
} // namespace

Compared compareTensor(const std::string &name, const std::vector<std::vector<Pair>> &pairs,
                       const std::vector<std::vector<int64_t>> &positions, const DistanceOptions &options) {
  Compared result;
  for (size_t row = 0; row < pairs.size(); ++row) {
    DistanceGroup group(options);
    for (size_t phase = 0; phase < pairs[row].size(); ++phase) {
      const TextView &got = pairs[row][phase].got, &ref = pairs[row][phase].ref;
      auto x = got.tensors->find(name), y = ref.tensors->find(name);
      if (x == got.tensors->end() || y == ref.tensors->end()) {
        result.mismatch = x == got.tensors->end() ? "is not among the device's outputs" : "is not among the reference's outputs";
        return result;
      }
      const HostTensor *a = &x->second, *b = &y->second;
      // [B]: one number for each row.
      HostTensor scalars[2];
      if (a->shape.size() == 1 && b->shape.size() == 1) {
        scalars[0] = *a, scalars[1] = *b;
        scalars[0].shape.push_back(1), scalars[1].shape.push_back(1);
        a = &scalars[0], b = &scalars[1];
      }
      // [B, S]: one number for each id, which shows where both sides have texts of different length.
      HostTensor flat[2];
      if (a->shape.size() == 2 && b->shape.size() == 2 && a->shape[1] != b->shape[1] && a->shape[1] == got.columns &&
          b->shape[1] == ref.columns) {
        flat[0] = *a, flat[1] = *b;
        flat[0].shape.push_back(1), flat[1].shape.push_back(1);
        a = &flat[0], b = &flat[1];
      }
      const bool columns = hasColumns(*a, got) && hasColumns(*b, ref);
      const size_t inner = columns ? 2 : 1;
      bool same = a->shape.size() == b->shape.size() && a->shape.size() > inner - 1 && !a->shape.empty() &&
                  a->shape[0] == got.batch && b->shape[0] == ref.batch &&
                  std::equal(a->shape.begin() + inner, a->shape.end(), b->shape.begin() + inner);
      if (!same) {
        result.mismatch = "has shape " + shapeText(*a) + ", the reference's is " + shapeText(*b);
        return result;
      }
      result.width = rowWidth(*b);
      if (a->elements() == 0)
        continue;
      group.add(*a, rowsOfText(*a, got, positions[row], columns), *b, rowsOfText(*b, ref, positions[row], columns));
    }
    result.distance.merge(group.finish());
  }
  return result;
}

DistanceOptions optionsFor(const NumbersRequest &request, StringRef output) {
  DistanceOptions options;
  options.distribution = output == "logits" && request.task == "causal_lm";
  options.constant = {request.gate.anomalies.constantSpread, request.gate.anomalies.referenceSpread};
  return options;
}

Tolerance toleranceFor(const NumbersRequest &request, const Tolerance &tolerance, int64_t width) {
  Tolerance own = tolerance;
  own.nmse = tolerance.nmseFor(request.layers, request.features, width);
  return own;
}

std::string exceededBounds(const Distance &distance, const Tolerance &tolerance, bool nmseOnly) {
  std::string text;
  auto judge = [&](const char *name, std::optional<double> value, std::optional<double> bound, bool atLeast) {
    if (!value || !bound || (atLeast ? *value >= *bound : *value <= *bound))
      return;
    char words[96];
    std::snprintf(words, sizeof words, "%s%s %.3g %s %.3g", text.empty() ? "" : ", ", name, *value, atLeast ? "<" : ">", *bound);
    text += words;
  };
  judge("nmse", distance.nmse, tolerance.nmse, false);
  if (nmseOnly)
    return text;
  judge("max_relative", distance.maxRelative, tolerance.maxRelative, false);
  judge("cosine", distance.cosine, tolerance.cosine, true);
  judge("kl", distance.kl, tolerance.kl, false);
  judge("logprob", distance.logprob, tolerance.logprob, false);
  return text;
}

} // namespace flagrelease::numbers
