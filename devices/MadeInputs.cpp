#include "devices/MadeInputs.h"

using namespace flagrelease;
using llvm::StringRef;

bool flagrelease::isMadeInput(StringRef name) {
  return name.ends_with("attention_mask") || name == "pixel_mask" || name == "token_type_ids" || name.ends_with("position_ids") ||
         name == "cache_position" || name.starts_with("past_key_values.") || name.starts_with("past_states.");
}

static HostTensor filled(std::vector<int64_t> shape, int64_t value) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return HostTensor::ofInts(std::move(shape), std::vector<int64_t>(count, value));
}

std::optional<HostTensor> flagrelease::makeInput(StringRef name, const std::map<std::string, HostTensor> &given) {
  auto find = [&](const std::string &other) -> const HostTensor * {
    auto it = given.find(other);
    return it == given.end() ? nullptr : &it->second;
  };
  if (name == "token_type_ids") {
    const HostTensor *ids = find("input_ids");
    return ids ? std::optional(filled(ids->shape, 0)) : std::nullopt;
  }
  if (name == "pixel_mask" || name == "pixel_attention_mask") {
    const HostTensor *pixels = find("pixel_values");
    if (!pixels || pixels->shape.size() < 4)
      return std::nullopt;
    std::vector<int64_t> shape = pixels->shape; // [.., channels, height, width] loses its channels
    shape.erase(shape.end() - 3);
    return filled(shape, 1);
  }
  StringRef of = name;
  if (!of.consume_back("attention_mask"))
    return std::nullopt;
  for (const std::string &source : {of.str() + "input_ids", std::string("input_ids"), std::string("input_values")})
    if (const HostTensor *tensor = find(source); tensor && tensor->shape.size() >= 2)
      return filled({tensor->shape[0], tensor->shape[1]}, 1);
  if (const HostTensor *features = find("input_features"); features && features->shape.size() == 3)
    return filled({features->shape[0], features->shape[1]}, 1); // [batch, frames, features]
  return std::nullopt;
}
