#include "tests/validators/FakeModel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace flagrelease::test {

namespace {
double embedding(int64_t id, int64_t k) {
  return std::sin(0.7 * static_cast<double>((id + 1) * (k + 1)) + static_cast<double>(k));
}

/// `scale` is the mistake of one layer.
template <typename T> FakeAnswer compute(FakeCall &call, DType type, double layerScale, bool lengthDependent) {
  const int64_t batch = static_cast<int64_t>(call.ids.size()), tokens = static_cast<int64_t>(call.ids.front().size());
  FakeAnswer answer{HostTensor(type, {batch, tokens, 4}), HostTensor(type, {batch, tokens, 4}),
                    HostTensor(type, {batch, tokens, kFakeVocabulary})};
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t past = static_cast<int64_t>(call.values[b].size());
    for (int64_t s = 0; s < tokens; ++s) {
      std::array<double, 5> value{};
      for (int64_t k = 0; k < 4; ++k) {
        value[k] = embedding(call.ids[b][s], k) * (lengthDependent ? 1 + 0.01 * static_cast<double>(past + tokens) : 1);
        answer.embed.as<T>()[(b * tokens + s) * 4 + k] = static_cast<T>(value[k]);
      }
      // Positions count from the text's beginning, not only from one another.
      for (int64_t k = 0; k < 4; ++k)
        value[k] *= std::cos(0.05 * static_cast<double>(call.positions[b][s]));
      value[4] = static_cast<double>(call.positions[b][s]);
      call.values[b].push_back(value);
    }
    for (int64_t s = 0; s < tokens; ++s) {
      T h[4] = {};
      const double own = call.values[b][past + s][4];
      for (int64_t j = 0; j <= past + s; ++j)
        if (call.mask[b][j])
          for (int64_t k = 0; k < 4; ++k)
            h[k] += static_cast<T>(call.values[b][j][k]) / static_cast<T>(1 + std::abs(own - call.values[b][j][4]));
      for (int64_t k = 0; k < 4; ++k) {
        h[k] *= static_cast<T>(layerScale);
        answer.layer.as<T>()[(b * tokens + s) * 4 + k] = h[k];
      }
      for (int64_t v = 0; v < kFakeVocabulary; ++v) {
        T sum = 0;
        for (int64_t k = 0; k < 4; ++k)
          sum += h[k] * static_cast<T>(std::cos(static_cast<double>((v + 1) * (k + 1)) * 0.37));
        answer.logits.as<T>()[(b * tokens + s) * kFakeVocabulary + v] = sum;
      }
    }
  }
  return answer;
}

template <typename T> void pooled(const FakeCall &call, const FakeAnswer &answer, DType type, NamedTensors &outputs) {
  const int64_t batch = static_cast<int64_t>(call.ids.size()), tokens = static_cast<int64_t>(call.ids.front().size());
  HostTensor logits(type, {batch, 3}), embedding(type, {batch, 4});
  for (int64_t b = 0; b < batch; ++b) {
    int64_t last = 0;
    for (int64_t s = 0; s < tokens; ++s)
      if (call.mask[b][s])
        last = s;
    for (int64_t k = 0; k < 4; ++k)
      embedding.as<T>()[b * 4 + k] = answer.layer.as<T>()[(b * tokens + last) * 4 + k];
    for (int64_t k = 0; k < 3; ++k)
      logits.as<T>()[b * 3 + k] = answer.logits.as<T>()[(b * tokens + last) * kFakeVocabulary + k];
  }
  outputs["logits"] = logits;
  outputs["sentence_embedding"] = embedding;
}

constexpr int64_t kListed = 5;

/// What a device of tier T2 says instead of `logits`.
void listed(NamedTensors &outputs, Mistake mistake) {
  const HostTensor logits = outputs.at("logits");
  const int64_t batch = logits.shape[0], tokens = logits.shape[1], width = logits.shape[2];
  HostTensor ids(DType::I64, {batch, tokens, kListed}), logprobs(DType::F32, {batch, tokens, kListed});
  for (int64_t row = 0; row < batch * tokens; ++row) {
    const float *own = logits.as<float>() + row * width;
    double sum = 0;
    for (int64_t v = 0; v < width; ++v)
      sum += std::exp(static_cast<double>(own[v]));
    std::vector<int64_t> order(width);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return own[a] != own[b] ? own[a] > own[b] : a < b; });
    if (mistake == Mistake::LeftOut)
      order.erase(order.begin());
    if (mistake == Mistake::Twice)
      order[1] = order[0];
    for (int64_t k = 0; k < kListed; ++k) {
      ids.as<int64_t>()[row * kListed + k] = order[k];
      logprobs.as<float>()[row * kListed + k] = static_cast<float>(own[order[k]] - std::log(sum));
    }
  }
  outputs.erase("logits");
  outputs["topk_ids"] = ids;
  outputs["topk_logprobs"] = logprobs;
}

std::vector<std::vector<int64_t>> rowsOf(const HostTensor &tensor, int64_t columns) {
  std::vector<std::vector<int64_t>> rows(tensor.shape[0]);
  for (int64_t b = 0; b < tensor.shape[0]; ++b)
    for (int64_t c = 0; c < columns; ++c)
      rows[b].push_back(static_cast<int64_t>(tensor.at(b * tensor.shape[1] + c)));
  return rows;
}
} // namespace

FailureOr<NamedTensors> FakeOracle::run(const NamedTensors &inputs, const Call &call, Diagnostics &diags) {
  ++calls;
  const HostTensor &ids = inputs.at("input_ids");
  const int64_t batch = ids.shape[0], tokens = ids.shape[1];
  if (!call.keepState)
    state.values.assign(batch, {});
  const int64_t past = static_cast<int64_t>(state.values.front().size());
  state.ids = rowsOf(ids, tokens);
  auto mask = inputs.find("attention_mask");
  state.mask = mask == inputs.end() ? std::vector<std::vector<int64_t>>(batch, std::vector<int64_t>(past + tokens, 1))
                                    : rowsOf(mask->second, past + tokens);
  state.positions.assign(batch, {});
  for (int64_t b = 0; b < batch; ++b) {
    int64_t count = 0;
    for (int64_t c = 0; c < past + tokens; ++c) {
      count += state.mask[b][c];
      if (c >= past)
        state.positions[b].push_back(state.mask[b][c] ? count - 1 : 1);
    }
  }
  FakeAnswer answer = compute<double>(state, DType::F64, 1, shape.lengthDependent);
  NamedTensors outputs;
  if (shape.generates)
    outputs["logits"] = answer.logits;
  else
    pooled<double>(state, answer, DType::F64, outputs);
  if (call.taps) {
    outputs["embed"] = answer.embed;
    outputs["layers.0"] = answer.layer;
  }
  return outputs;
}

FailureOr<LoadedModel> FakeDevice::load(StringRef artefact, const LoadOptions &options, Diagnostics &diags) {
  taps = artefact == "taps";
  const int64_t batch = shape.fixedBatch > 0 ? shape.fixedBatch : -1, length = shape.fixedLength > 0 ? shape.fixedLength : -1;
  LoadedModel model;
  model.inputs = {{"input_ids", DType::I64, {batch, length}},
                  {"attention_mask", DType::I32, {batch, -1}},
                  {"position_ids", DType::I64, {batch, length}}};
  if (evidence == EvidenceTier::T2)
    model.outputs = {{"topk_ids", DType::I64, {batch, length, kListed}}, {"topk_logprobs", DType::F32, {batch, length, kListed}}};
  else if (shape.generates)
    model.outputs = {{"logits", DType::F32, {batch, length, kFakeVocabulary}}};
  else
    model.outputs = {{"logits", DType::F32, {batch, 3}}, {"sentence_embedding", DType::F32, {batch, 4}}};
  if (shape.cached) {
    const int64_t columns = shape.cacheColumns > 0 ? shape.cacheColumns : -1;
    model.inputs.push_back({"past_key_values.0.key", DType::F32, {batch, 1, columns, 5}});
    model.outputs.push_back({"present.0.key", DType::F32, {batch, 1, columns, 5}});
    if (shape.cacheColumns > 0)
      model.inputs.push_back({"cache_position", DType::I64, {-1}});
  }
  if (taps) {
    model.outputs.push_back({"embed", DType::F32, {batch, length, 4}});
    if (mistake != Mistake::MissingTap)
      model.outputs.push_back({"layers.0", DType::F32, {batch, length, 4}});
  }
  return model;
}

FailureOr<NamedTensors> FakeDevice::run(const NamedTensors &inputs, Diagnostics &diags) {
  ++runs;
  fault = DeviceFault::None;
  const HostTensor &ids = inputs.at("input_ids");
  const int64_t batch = ids.shape[0], tokens = ids.shape[1];
  if (mistake == Mistake::Crash) {
    fault = DeviceFault::Crash;
    return diags.error("fake:cpu", "the runner died", "", faultCause(fault));
  }
  if (failAbove > 0 && tokens > failAbove) {
    fault = DeviceFault::Oom;
    return diags.error("fake:cpu", "out of memory", "", faultCause(fault));
  }
  FakeCall call;
  call.ids = test::rowsOf(ids, tokens);
  call.positions = test::rowsOf(inputs.at("position_ids"), tokens);
  call.values.assign(batch, {});
  int64_t past = 0, columns = 0;
  if (shape.cached) {
    const HostTensor &state = inputs.at("past_key_values.0.key");
    columns = state.shape[2];
    past = shape.cacheColumns > 0 ? inputs.at("cache_position").as<int64_t>()[0] : columns;
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t p = 0; p < past; ++p) {
        std::array<double, 5> value;
        for (int64_t k = 0; k < 5; ++k)
          value[k] = static_cast<double>(state.as<float>()[(b * columns + p) * 5 + k]);
        call.values[b].push_back(value);
      }
  }
  const HostTensor &mask = inputs.at("attention_mask");
  const int64_t wanted = shape.cacheColumns > 0 ? shape.cacheColumns : past + tokens;
  if (mask.type != DType::I32 || mask.shape != std::vector<int64_t>{batch, wanted} ||
      (shape.fixedLength > 0 && tokens != shape.fixedLength) || (shape.fixedBatch > 0 && batch != shape.fixedBatch)) {
    fault = DeviceFault::BadInput;
    return diags.error("fake:cpu", "inputs are not as declared");
  }
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t c = past + tokens; c < wanted; ++c)
      if (mask.at(b * wanted + c) != 0) {
        fault = DeviceFault::BadInput;
        return diags.error("fake:cpu", "a column of the cache that holds nothing is not masked");
      }
  call.mask = test::rowsOf(mask, past + tokens);
  if (mistake == Mistake::MaskIgnored)
    call.mask.assign(batch, std::vector<int64_t>(past + tokens, 1));
  if (mistake == Mistake::DecodePosition && past > 0)
    for (std::vector<int64_t> &row : call.positions)
      for (int64_t &position : row)
        ++position;

  FakeAnswer answer = compute<float>(call, DType::F32, mistake == Mistake::OnePercent ? 1.01 : 1, shape.lengthDependent);
  NamedTensors outputs;
  if (shape.generates)
    outputs["logits"] = answer.logits;
  else
    pooled<float>(call, answer, DType::F32, outputs);
  HostTensor &logits = outputs["logits"];
  const int64_t width = logits.shape.back();
  switch (mistake) {
  case Mistake::NotANumber:
    logits.as<float>()[logits.elements() - 1] = std::numeric_limits<float>::quiet_NaN();
    break;
  case Mistake::Constant:
    for (int64_t i = 0; i < logits.elements(); ++i)
      logits.as<float>()[i] = 0.5f;
    break;
  case Mistake::None:
    for (int64_t i = 0; head != 1 && i < logits.elements(); ++i)
      logits.as<float>()[i] *= head;
    break;
  case Mistake::LogitsOnly:
    for (int64_t i = 0; i < logits.elements(); ++i)
      logits.as<float>()[i] *= 1.01f;
    break;
  case Mistake::Nondeterministic:
    logits.as<float>()[0] *= 1 + 1e-6f * static_cast<float>(runs % 2);
    break;
  case Mistake::Shape: {
    HostTensor less(DType::F32, logits.shape);
    less.shape.back() = width - 1;
    less.bytes.resize(less.elements() * 4);
    logits = less;
    break;
  }
  default:
    break;
  }
  if (evidence == EvidenceTier::T2)
    listed(outputs, mistake);
  if (taps) {
    outputs["embed"] = answer.embed;
    if (mistake != Mistake::MissingTap)
      outputs["layers.0"] = answer.layer;
  }
  if (shape.cached) {
    const int64_t size = shape.cacheColumns > 0 ? shape.cacheColumns : past + tokens;
    HostTensor present(DType::F32, {batch, 1, size, 5});
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t p = 0; p < past + tokens; ++p)
        for (int64_t k = 0; k < 5; ++k)
          present.as<float>()[(b * size + p) * 5 + k] = static_cast<float>(call.values[b][p][k]);
    outputs["present.0.key"] = present;
  }
  return outputs;
}

} // namespace flagrelease::test
