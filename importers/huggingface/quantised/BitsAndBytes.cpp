// bitsandbytes: https://github.com/bitsandbytes-foundation/bitsandbytes
//
//   8 bits  X.weight I8 [N, K], X.SCB F32 [N]: w * SCB / 127 (LLM.int8(), arXiv:2208.07339)
//   4 bits  X.weight U8 [N * K / 2, 1], the HIGH nibble first; X.weight.quant_map F32 [16]; X.weight.absmax, one for each
//   blocksize
//           numbers of the flattened matrix (blocks cross rows); the text X.weight.quant_state.bitsandbytes__nf4 holds
//           {"quant_type", "blocksize", "dtype", "shape": [N, K]}. Double quantised (QLoRA, arXiv:2305.14314): absmax is U8 and
//           nested_quant_map[absmax] * nested_absmax + nested_offset.
#include "importers/huggingface/quantised/Quantised.h"

using namespace flagrelease;
using namespace mlir;

namespace {
LogicalResult fourBits(QuantisedBuilder &b, const std::string &base, const CheckpointTensor &state) {
  FailureOr<std::string> text = b.text(state);
  if (failed(text))
    return failure();
  FailureOr<json::Value> root = json::parse(*text, state.name, b.diags);
  if (failed(root))
    return failure();
  auto number = [&](StringRef key) -> int64_t {
    const json::Value *value = root->find(key);
    return value && value->isInt() ? value->integer() : 0;
  };
  const json::Value *shape = root->find("shape");
  std::vector<int64_t> sizes;
  int64_t count = 1;
  if (shape && shape->isArray())
    for (const json::Value &size : shape->array()) {
      const int64_t d = size.isInt() ? size.integer() : 0;
      if (d < 1 || __builtin_mul_overflow(count, d, &count))
        count = 0;
      sizes.push_back(d);
    }
  int64_t block = number("blocksize");
  const CheckpointTensor *weight = b.need(base, base), *absmax = b.need(base + ".absmax", base),
                         *map = b.need(base + ".quant_map", base);
  if (!weight || !absmax || !map)
    return failure();
  if (sizes.empty() || count < 1 || block < 1)
    return b.diags.error(state.name, "says no shape and block size: " + json::toText(*root), "restore the checkpoint");
  if (weight->type != DType::U8 || static_cast<int64_t>(weight->bytes) != count / 2 + count % 2)
    return b.misfit(*weight, "U8 of " + Twine(count / 2 + count % 2) + " bytes");
  block = std::min(block, count);
  if (map->shape != std::vector<int64_t>{16} || !isFloat(map->type))
    return b.misfit(*map, "floats [16]");
  const int64_t blocks = (count + block - 1) / block;
  const bool nested = absmax->type == DType::U8;
  if (absmax->shape != std::vector<int64_t>{blocks} || (!nested && !isFloat(absmax->type)))
    return b.misfit(*absmax, "[" + Twine(blocks) + "]");
  const CheckpointTensor *nestedMap = nullptr, *nestedMax = nullptr;
  const json::Value *offset = root->find("nested_offset");
  const int64_t nestedBlock = std::min(number("nested_blocksize"), blocks);
  if (nested) {
    nestedMap = b.need(base + ".nested_quant_map", base), nestedMax = b.need(base + ".nested_absmax", base);
    if (!nestedMap || !nestedMax)
      return failure();
    if (!offset || !offset->isNumber() || nestedBlock < 1)
      return b.diags.error(state.name, "says no nested_offset and nested_blocksize: " + json::toText(*root),
                           "restore the checkpoint");
    if (nestedMap->shape != std::vector<int64_t>{256} || !isFloat(nestedMap->type))
      return b.misfit(*nestedMap, "floats [256]");
    if (nestedMax->shape != std::vector<int64_t>{(blocks + nestedBlock - 1) / nestedBlock} || !isFloat(nestedMax->type))
      return b.misfit(*nestedMax, "floats [" + Twine((blocks + nestedBlock - 1) / nestedBlock) + "]");
  }
  b.ignore(state.name, "the shape and block size of " + base);
  return b.derive(base, sizes, [&] {
    Value bytes = b.reshape(b.get(*weight), {static_cast<int64_t>(weight->bytes)});
    Value numbers = b.gather(b.f32(b.get(*map)), b.unpack(bytes, 4, fr::PackOrder::HighFirst, 0, count));
    Value scale = b.get(*absmax);
    if (nested) {
      scale = b.dequantize(b.gather(b.f32(b.get(*nestedMap)), scale), b.get(*nestedMax), Value(), {nestedBlock});
      scale = b.binary<fr::AddOp>(scale, b.constant(static_cast<float>(offset->number())));
    }
    return b.reshape(b.dequantize(numbers, scale, Value(), {block}), sizes);
  });
}
} // namespace

LogicalResult flagrelease::declareBitsAndBytes(QuantisedBuilder &b) {
  bool good = true;
  for (StringRef kind : {".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"})
    good &= succeeded(
        b.forEach(kind, [&](const std::string &base, const CheckpointTensor &state) { return fourBits(b, base, state); }));
  good &= succeeded(b.forEach(".SCB", [&](const std::string &base, const CheckpointTensor &scb) -> LogicalResult {
    const CheckpointTensor *weight = b.need(base + ".weight", base);
    if (!weight)
      return failure();
    if (weight->type != DType::I8 || weight->shape.size() != 2)
      return b.misfit(*weight, "I8 [N, K]");
    if (scb.shape != std::vector<int64_t>{weight->shape[0]} || !isFloat(scb.type))
      return b.misfit(scb, "floats [" + Twine(weight->shape[0]) + "]");
    if (const CheckpointTensor *format = b.find(base + ".weight_format")) {
      FailureOr<std::vector<int64_t>> order = b.integers(*format);
      if (failed(order))
        return failure();
      if (order->size() != 1 || order->front() != 0)
        return b.diags.error(format->name, "is not 0: the rows are in the order of a GPU's tiles",
                             "save the model again with bitsandbytes 0.45 or newer");
      b.ignore(format->name, "rows are in order");
    }
    return b.derive(base + ".weight", weight->shape, [&] {
      Value scaled = b.dequantize(b.get(*weight), b.reshape(b.get(scb), {weight->shape[0], 1}), Value(), {1, weight->shape[1]});
      return b.binary<fr::DivOp>(scaled, b.constant(127.0f));
    });
  }));
  return success(good);
}
