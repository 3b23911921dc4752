#include "validators/ModelInputs.h"

#include "devices/MadeInputs.h"
#include "validators/NumbersParts.h"

namespace flagrelease {

namespace {
HostTensor integersAs(DType type, const HostTensor &tensor) {
  HostTensor result(type, tensor.shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const auto value = static_cast<int64_t>(tensor.at(i));
    if (type == DType::I64)
      result.as<int64_t>()[i] = value;
    else
      result.as<int32_t>()[i] = static_cast<int32_t>(value);
  }
  return result;
}

/// To the width of a static cache, with zeros.
HostTensor widened(const HostTensor &mask, int64_t columns) {
  HostTensor wide(DType::I64, {mask.shape[0], columns});
  for (int64_t b = 0; b < mask.shape[0]; ++b)
    for (int64_t c = 0; c < mask.shape[1]; ++c)
      wide.as<int64_t>()[b * columns + c] = static_cast<int64_t>(mask.at(b * mask.shape[1] + c));
  return wide;
}
} // namespace

LogicalResult completeInputs(const LoadedModel &model, NamedTensors &inputs, Diagnostics &diags) {
  NamedTensors complete;
  const auto ids = inputs.find("input_ids");
  const bool text = ids != inputs.end() && ids->second.shape.size() == 2 && !isFloat(ids->second.type);
  const int64_t batch = text ? ids->second.shape[0] : 0, tokens = text ? ids->second.shape[1] : 0;
  const auto given = inputs.find("attention_mask");
  HostTensor mask = HostTensor::ofInts({batch, tokens}, std::vector<int64_t>(batch * tokens, 1));
  if (given != inputs.end())
    mask = given->second;
  if (text && (mask.shape.size() != 2 || mask.shape[0] != batch || mask.shape[1] < tokens || isFloat(mask.type)))
    return diags.error("attention_mask", "does not fit input_ids of " + Twine(batch) + " rows and " + Twine(tokens) + " columns",
                       "give I64 [batch, sequence]");

  int64_t cacheColumns = 0;
  for (const TensorSpec &input : model.inputs)
    if (StringRef(input.name).starts_with("past_key_values.") && input.shape.size() == 4)
      cacheColumns = std::max<int64_t>(input.shape[2], 0);

  bool all = true;
  for (const TensorSpec &input : model.inputs) {
    auto it = inputs.find(input.name);
    HostTensor tensor;
    if (input.name == "attention_mask" && text) {
      tensor = cacheColumns > mask.shape[1] ? widened(mask, cacheColumns) : mask;
    } else if (it != inputs.end()) {
      tensor = it->second;
    } else if (input.name == "position_ids" && text) {
      std::vector<int64_t> positions;
      for (int64_t b = 0; b < batch; ++b) {
        int64_t count = 0;
        for (int64_t c = 0; c < tokens; ++c) {
          const auto real = static_cast<int64_t>(mask.at(b * mask.shape[1] + c));
          count += real;
          positions.push_back(real ? count - 1 : 1);
        }
      }
      tensor = HostTensor::ofInts({batch, tokens}, positions);
    } else if (input.name == "cache_position" && text) {
      std::vector<int64_t> columns;
      for (int64_t c = 0; c < tokens; ++c)
        columns.push_back(c);
      tensor = HostTensor::ofInts({tokens}, columns);
    } else if (StringRef(input.name).starts_with("past_key_values.") && input.shape.size() == 4 && text) {
      tensor = HostTensor(input.type, {batch, input.shape[1], cacheColumns, input.shape[3]});
    } else if (StringRef(input.name).starts_with("past_states.") && !input.shape.empty() && text) {
      std::vector<int64_t> shape = input.shape;
      shape[0] = batch;
      tensor = HostTensor(input.type, shape);
      if (auto first = model.stateInit.find(input.name); first != model.stateInit.end() && input.type == DType::F32)
        std::fill_n(tensor.as<float>(), tensor.elements(), static_cast<float>(first->second));
    } else if (std::optional<HostTensor> made = makeInput(input.name, inputs)) {
      tensor = std::move(*made);
    } else {
      all = succeeded(
          diags.error(input.name, "the model takes this input and it is not given", "add a tensor of this name to the file"));
      continue;
    }
    if ((input.type == DType::I64 || input.type == DType::I32) && tensor.type != input.type && !isFloat(tensor.type))
      tensor = integersAs(input.type, tensor);
    complete[input.name] = std::move(tensor);
  }
  if (!all)
    return failure();
  inputs = std::move(complete);
  return success();
}

FailureOr<NamedTensors> runOnce(Device &device, const LoadedModel &model, NamedTensors inputs, Diagnostics &diags) {
  if (failed(completeInputs(model, inputs, diags)))
    return failure();
  FailureOr<NamedTensors> outputs = device.run(inputs, diags);
  if (failed(outputs))
    return failure();
  std::erase_if(*outputs, [](const auto &output) {
    return StringRef(output.first).starts_with("present.") || StringRef(output.first).starts_with("present_states.");
  });
  return outputs;
}

} // namespace flagrelease
