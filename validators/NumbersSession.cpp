// A text on a device: what the caller of a model makes (masks, positions, caches) is made here.
#include "validators/NumbersParts.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

namespace flagrelease::numbers {

namespace {
constexpr llvm::StringLiteral kPast = "past_key_values.", kFixed = "past_states.", kPresentFixed = "present_states.";
constexpr size_t kStateAxis = 2; ///< of P in [B, heads, P, d]

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + (shape[i] < 0 ? std::string("?") : std::to_string(shape[i]));
  return text + "]";
}

LogicalResult refuse(Diagnostics &diags, const TensorSpec &input, const Twine &what) {
  return diags.error(input.name, "input of the artefact: " + what,
                     "known are input_ids, attention_mask, position_ids [batch, sequence], cache_position [sequence] and "
                     "past_key_values.{i}.key|value; "
                     "compare such an artefact with --golden FILE",
                     Cause::Answer);
}

/// `rows` as a tensor of the type that the artefact declares.
HostTensor integers(DType type, const std::vector<std::vector<int64_t>> &rows, bool flat = false) {
  std::vector<int64_t> shape = {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows.front().size())};
  if (flat)
    shape.erase(shape.begin());
  HostTensor tensor(type, shape);
  int64_t at = 0;
  for (const std::vector<int64_t> &row : rows)
    for (int64_t value : row) {
      if (type == DType::I64)
        tensor.as<int64_t>()[at++] = value;
      else
        tensor.as<int32_t>()[at++] = static_cast<int32_t>(value);
    }
  return tensor;
}
} // namespace

bool takesText(const LoadedModel &model) {
  bool ids = false;
  for (const TensorSpec &input : model.inputs) {
    ids |= input.name == "input_ids";
    const StringRef name = input.name;
    if (name != "input_ids" && name != "position_ids" && name != "cache_position" && name != "attention_mask" &&
        name != "token_type_ids" && !name.starts_with(kPast) && !name.starts_with(kFixed))
      return false;
    if (name == "position_ids" && input.shape.size() != 2)
      return false;
  }
  return ids;
}

FailureOr<Signature> readSignature(const LoadedModel &model, Diagnostics &diags) {
  Signature signature;
  signature.init = model.stateInit;
  bool known = true, ids = false;
  for (const TensorSpec &input : model.inputs) {
    if (StringRef(input.name).starts_with(kPast)) {
      const int64_t columns = input.shape.size() == 4 ? input.shape[kStateAxis] : 0;
      if (input.shape.size() != 4 || !isFloat(input.type) || input.shape[1] < 1 || input.shape[3] < 1 || columns == 0)
        known = succeeded(refuse(diags, input,
                                 dtypeName(input.type) + " " + shapeText(input.shape) +
                                     " is no state: [batch, heads, past, size] with known heads and size is needed"));
      else if (!signature.states.empty() && columns != signature.states.front().shape[kStateAxis])
        known = succeeded(refuse(diags, input,
                                 "a cache of " + Twine(columns) + " columns beside one of " +
                                     Twine(signature.states.front().shape[kStateAxis])));
      else
        signature.states.push_back(input);
      continue;
    }
    if (StringRef(input.name).starts_with(kFixed)) {
      if (!isFloat(input.type) || input.shape.empty() ||
          llvm::any_of(llvm::drop_begin(input.shape), [](int64_t d) { return d < 1; }))
        known =
            succeeded(refuse(diags, input, dtypeName(input.type) + " " + shapeText(input.shape) + " is no state of one size"));
      else
        signature.fixed.push_back(input);
      continue;
    }
    const bool plane = input.name == "token_type_ids" || input.name == "input_ids" || input.name == "attention_mask" ||
                       input.name == "position_ids";
    if (!plane && input.name != "cache_position") {
      known = succeeded(refuse(diags, input, "nothing here knows how to fill it"));
      continue;
    }
    if ((input.type != DType::I64 && input.type != DType::I32) || input.shape.size() != (plane ? 2 : 1)) {
      known = succeeded(
          refuse(diags, input, dtypeName(input.type) + " " + shapeText(input.shape) + " is not what this name stands for"));
      continue;
    }
    if (input.name == "input_ids") {
      ids = true;
      signature.fixedBatch = std::max<int64_t>(input.shape[0], 0);
      signature.fixedLength = std::max<int64_t>(input.shape[1], 0);
    }
    signature.inputs.push_back(input);
  }
  if (!ids)
    known = succeeded(diags.error("input_ids", "the artefact has no such input", "compare it with --golden FILE", Cause::Answer));
  if (!signature.states.empty())
    signature.cacheColumns = std::max<int64_t>(signature.states.front().shape[kStateAxis], 0);
  for (const TensorSpec &output : model.outputs)
    if (!StringRef(output.name).starts_with("present.") && !StringRef(output.name).starts_with(kPresentFixed))
      signature.outputs.push_back(output.name);
  for (const TensorSpec &state : signature.states) {
    const std::string present = "present." + state.name.substr(kPast.size());
    if (llvm::none_of(model.outputs, [&](const TensorSpec &output) { return output.name == present; }))
      known = succeeded(diags.error(present, "the artefact takes " + Twine(state.name) + " and has no such output",
                                    "export it again: a state goes in and comes out", Cause::Answer));
  }
  if (!known)
    return failure();
  return signature;
}

FailureOr<NamedTensors> DeviceText::start(const std::vector<std::vector<int64_t>> &rows, Padding padding, bool *deterministic,
                                          Diagnostics &diags) {
  realRows = rows.size();
  past = 0;
  states.clear();
  mask.clear();
  first.clear();
  size_t columns = static_cast<size_t>(signature.fixedLength);
  for (const std::vector<int64_t> &row : rows)
    columns = std::max(columns, row.size());
  promptColumns = static_cast<int64_t>(columns);

  std::vector<std::vector<int64_t>> ids;
  const size_t batch = std::max(rows.size(), static_cast<size_t>(signature.fixedBatch));
  for (size_t b = 0; b < batch; ++b) {
    // An artefact of fixed batch is filled with copies of the first row.
    const std::vector<int64_t> &row = rows[b < rows.size() ? b : 0];
    const size_t begin = padding == Padding::Left ? columns - row.size() : 0;
    std::vector<int64_t> &padded = ids.emplace_back(columns, padId), &ones = mask.emplace_back(columns, 0);
    std::copy(row.begin(), row.end(), padded.begin() + begin);
    std::fill_n(ones.begin() + begin, row.size(), 1);
    first.push_back(static_cast<int64_t>(begin));
  }
  for (const TensorSpec &state : signature.states) {
    std::vector<int64_t> shape = state.shape;
    shape[0] = static_cast<int64_t>(batch);
    shape[kStateAxis] = signature.cacheColumns;
    states[state.name] = HostTensor(state.type, shape);
  }
  for (const TensorSpec &state : signature.fixed) {
    std::vector<int64_t> shape = state.shape;
    shape[0] = static_cast<int64_t>(batch);
    HostTensor first(state.type, shape);
    if (auto value = signature.init.find(state.name); value != signature.init.end() && state.type == DType::F32)
      std::fill_n(first.as<float>(), first.elements(), static_cast<float>(value->second));
    states[state.name] = std::move(first);
  }
  return call(ids, deterministic, diags);
}

FailureOr<NamedTensors> DeviceText::step(const std::vector<int64_t> &next, Diagnostics &diags) {
  std::vector<std::vector<int64_t>> ids;
  for (size_t b = 0; b < mask.size(); ++b) {
    ids.push_back({next[b < realRows ? b : 0]});
    mask[b].push_back(1);
  }
  return call(ids, nullptr, diags);
}

FailureOr<NamedTensors> DeviceText::call(const std::vector<std::vector<int64_t>> &ids, bool *deterministic, Diagnostics &diags) {
  const int64_t tokens = static_cast<int64_t>(ids.front().size());
  NamedTensors inputs = states;
  for (const TensorSpec &input : signature.inputs) {
    if (input.name == "input_ids") {
      inputs[input.name] = integers(input.type, ids);
    } else if (input.name == "attention_mask") {
      std::vector<std::vector<int64_t>> all = mask;
      if (signature.cacheColumns > 0)
        for (std::vector<int64_t> &row : all)
          row.resize(static_cast<size_t>(signature.cacheColumns), 0);
      inputs[input.name] = integers(input.type, all);
    } else if (input.name == "token_type_ids") {
      inputs[input.name] = integers(input.type, std::vector<std::vector<int64_t>>(ids.size(), std::vector<int64_t>(tokens, 0)));
    } else if (input.name == "position_ids") {
      std::vector<std::vector<int64_t>> positions;
      for (const std::vector<int64_t> &row : mask) {
        std::vector<int64_t> &own = positions.emplace_back();
        int64_t count = 0;
        for (int64_t column = 0; column < static_cast<int64_t>(row.size()); ++column) {
          count += row[column];
          if (column >= past)
            own.push_back(row[column] ? count - 1 : 1);
        }
      }
      inputs[input.name] = integers(input.type, positions);
    } else {
      std::vector<int64_t> columns;
      for (int64_t i = 0; i < tokens; ++i)
        columns.push_back(past + i);
      inputs[input.name] = integers(input.type, {columns}, /*flat=*/true);
    }
  }

  FailureOr<NamedTensors> outputs = failure();
  if (deterministic) {
    Diagnostics own;
    outputs = runTwice(device, inputs, *deterministic, own);
    // Different bytes are something to report, not the end.
    if (failed(outputs) && *deterministic) {
      diags.merge(own);
      return failure();
    }
  }
  if (failed(outputs))
    outputs = device.run(inputs, diags);
  if (failed(outputs))
    return failure();
  for (const TensorSpec &state : signature.states) {
    auto present = outputs->find("present." + state.name.substr(kPast.size()));
    if (present == outputs->end())
      return diags.error("present." + state.name.substr(kPast.size()), "device " + device.name() + " did not return this output",
                         "the device's runner must return every output of the model", Cause::Answer);
    states[state.name] = std::move(present->second);
    outputs->erase(present);
  }
  for (const TensorSpec &state : signature.fixed) {
    const std::string name = kPresentFixed.str() + state.name.substr(kFixed.size());
    auto present = outputs->find(name);
    if (present == outputs->end())
      return diags.error(name, "device " + device.name() + " did not return this output",
                         "the device's runner must return every output of the model", Cause::Answer);
    states[state.name] = std::move(present->second);
    outputs->erase(present);
  }
  past += tokens;
  return outputs;
}

FailureOr<Answer> runDevice(const NumbersRequest &request, const Signature &signature, const ValidationCase &one,
                            const std::vector<std::vector<int64_t>> &tokens, bool *deterministic, Diagnostics &diags) {
  if (stopping(request))
    return stopped(diags);
  DeviceText text(request.device, signature, request.padId.value_or(0));
  FailureOr<NamedTensors> outputs = text.start(one.rows, one.padding, deterministic, diags);
  if (failed(outputs))
    return failure();
  Answer answer;
  answer.batch = text.batch();
  answer.columns = text.columns();
  for (size_t row = 0; row < one.rows.size(); ++row)
    answer.first.push_back(text.firstColumn(row));
  answer.phases.push_back(std::move(*outputs));
  for (int64_t step = 0; step < one.decodeSteps && canStep(signature) && !tokens.empty(); ++step) {
    if (stopping(request))
      return stopped(diags);
    std::vector<int64_t> next;
    for (const std::vector<int64_t> &row : tokens)
      next.push_back(row[step]);
    outputs = text.step(next, diags);
    if (failed(outputs))
      return failure();
    answer.phases.push_back(std::move(*outputs));
  }
  return answer;
}

} // namespace flagrelease::numbers
