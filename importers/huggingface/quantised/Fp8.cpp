// FP8 as DeepSeek-V3 and Qwen3-FP8 store it: https://huggingface.co/deepseek-ai/DeepSeek-V3 (README_WEIGHTS.md).
//
//   X.weight F8_E4M3 [.., N, K]   X.weight_scale_inv [.., ceil(N / bn), ceil(K / bk)], F32 or E8M0, multiplied in spite of its
//   name
//
// Without weight_block_size: X.weight_scale, one for the tensor or one per output feature.
#include "importers/huggingface/quantised/Quantised.h"

using namespace flagrelease;
using namespace mlir;

LogicalResult flagrelease::declareFp8(QuantisedBuilder &b) {
  std::vector<int64_t> block;
  if (const json::Value *size = b.settings.find("weight_block_size"); size && !size->isNull()) {
    if (!size->isArray() || size->array().size() != 2 || !size->array()[0].isInt() || !size->array()[1].isInt() ||
        size->array()[0].integer() < 1 || size->array()[1].integer() < 1)
      return b.diags.error(b.where("weight_block_size"), "is " + json::toText(*size) + ", not two sizes", "correct config.json");
    block = {size->array()[0].integer(), size->array()[1].integer()};
  }
  auto one = [&](const std::string &base, const CheckpointTensor &scale) -> LogicalResult {
    const CheckpointTensor *weight = b.need(base + ".weight", base);
    if (!weight)
      return failure();
    if ((weight->type != DType::F8E4M3 && weight->type != DType::F8E5M2) || weight->shape.size() < 2)
      return b.misfit(*weight, "F8_E4M3 [.., N, K]");
    const size_t rank = weight->shape.size();
    const int64_t n = weight->shape[rank - 2], k = weight->shape[rank - 1];
    // Leading dimensions (stacked experts) have scales of their own.
    std::vector<int64_t> blocks(rank, 1), scales(weight->shape.begin(), weight->shape.end() - 2);
    if (!block.empty()) {
      blocks[rank - 2] = std::min(n, block[0]), blocks[rank - 1] = std::min(k, block[1]);
    } else {
      const bool perRow = scale.shape.size() >= 2 && scale.shape[scale.shape.size() - 2] == n && n != 1;
      blocks[rank - 2] = perRow || (scale.shape.size() == 1 && scale.shape[0] == n && n != 1) ? 1 : n;
      blocks[rank - 1] = k;
    }
    if (n < 1 || k < 1)
      return b.misfit(*weight, "F8_E4M3 [.., N, K]");
    scales.push_back((n + blocks[rank - 2] - 1) / blocks[rank - 2]);
    scales.push_back((k + blocks[rank - 1] - 1) / blocks[rank - 1]);
    int64_t expected = 1, found = 1;
    for (int64_t d : scales)
      expected *= d;
    for (int64_t d : scale.shape)
      found *= d;
    const bool e8m0Bytes = scale.type == DType::U8;
    if (expected != found || (!isFloat(scale.type) && !e8m0Bytes) || (!block.empty() && scale.shape != scales))
      return b.misfit(scale, "one scale for each block of " + weight->name);
    b.ignore(base + ".input_scale", "the scale of activations that a kernel rounds: activations stay as they are");
    b.ignore(base + ".activation_scale", "the scale of activations that a kernel rounds: activations stay as they are");
    return b.derive(base + ".weight", weight->shape, [&] {
      Value s = b.get(scale);
      if (e8m0Bytes)
        s = b.lookUp(s, b.e8m0Table());
      return b.dequantize(b.get(*weight), b.reshape(s, scales), Value(), blocks);
    });
  };
  if (failed(b.forEach(".weight_scale_inv", one)))
    return failure();
  for (StringRef name : {".k_scale", ".v_scale", ".q_scale"})
    (void)b.forEach(name, [&](const std::string &, const CheckpointTensor &tensor) {
      b.ignore(tensor.name, "the scale of a quantised cache: the cache stays as it is");
      return success();
    });
  return b.forEach(".weight_scale", one);
}
