// compressed-tensors: https://github.com/vllm-project/compressed-tensors. The names of the parts say how a weight is stored:
//
//   weight         I8 or F8_E4M3 [N, K]            with weight_scale, weight_zero_point       int-, float- and naive-quantized
//   weight_packed  I32 [N, ceil(K * bits / 32)]     low bits first, value + 2^(bits - 1)      pack-quantized
//                  U8 [N, K / 2]                    pairs of E2M1, the low nibble first        nvfp4-, mxfp4-pack-quantized
//   weight_shape   I64 [2] = [N, K]
//   weight_scale   [N, 1], [1], [N, K / group] or per block; E4M3 per 16 with nvfp4, E8M0 bytes per 32 with mxfp4
//   weight_zero_point  as weight_scale; packed along N with pack-quantized     weight_g_idx I32 [K], the group of each input
//   feature weight_global_scale  F32 [1], nvfp4: the scales are divided by it
#include "importers/huggingface/quantised/Quantised.h"

using namespace flagrelease;
using namespace mlir;

namespace {
/// The first weights scheme that config_groups names for what its shapes do not say.
struct WeightScheme {
  int64_t bits = 8;
  std::vector<int64_t> block; ///< strategy "block"
};

FailureOr<WeightScheme> schemeOf(QuantisedBuilder &b) {
  WeightScheme scheme;
  const json::Value *groups = b.settings.find("config_groups");
  if (!groups || !groups->isObject())
    return b.diags.error(b.where("config_groups"), "is missing or no mapping", "correct config.json");
  for (const json::Member &group : groups->object()) {
    const json::Value *weights = group.value.find("weights");
    if (!weights || !weights->isObject())
      continue;
    if (const json::Value *bits = weights->find("num_bits"); bits && bits->isInt()) {
      scheme.bits = bits->integer();
      if (scheme.bits < 1 || scheme.bits > 8)
        return b.diags.error(b.where("config_groups." + group.key),
                             "has weights of " + Twine(scheme.bits) + " bits, expected 1 to 8", "correct config.json");
    }
    if (const json::Value *block = weights->find("block_structure"); block && block->isArray() && block->array().size() == 2)
      for (const json::Value &size : block->array())
        scheme.block.push_back(size.isInt() ? size.integer() : 0);
  }
  return scheme;
}

struct Stored {
  std::string base;
  const CheckpointTensor *scale, *zero, *index, *global;
  int64_t n, k;

  /// Blocks of [n, k] by the shape of the scales; empty when they do not fit.
  std::vector<int64_t> blocks(const WeightScheme &scheme) const {
    const std::vector<int64_t> &s = scale->shape;
    if (s.empty() || s == std::vector<int64_t>{1})
      return {n, k};
    if (s.size() == 1)
      return s[0] == n ? std::vector<int64_t>{1, k} : std::vector<int64_t>();
    if (s.size() != 2)
      return {};
    if (scheme.block.size() == 2 && scheme.block[0] > 0 && scheme.block[1] > 0 && s[0] == (n - 1) / scheme.block[0] + 1 &&
        s[1] == (k - 1) / scheme.block[1] + 1)
      return {std::min(n, scheme.block[0]), std::min(k, scheme.block[1])};
    if (s[0] != n || s[1] < 1 || k % s[1] != 0)
      return {};
    return {1, k / s[1]};
  }
};

std::vector<int64_t> scaleShape(const Stored &stored, llvm::ArrayRef<int64_t> blocks) {
  return {(stored.n + blocks[0] - 1) / blocks[0], (stored.k + blocks[1] - 1) / blocks[1]};
}
} // namespace

LogicalResult flagrelease::declareCompressedTensors(QuantisedBuilder &b) {
  FailureOr<WeightScheme> scheme = schemeOf(b);
  FailureOr<std::string> format = b.word("format", "");
  if (failed(scheme) || failed(format))
    return failure();
  auto parts = [&](const std::string &base) {
    for (StringRef name : {".input_scale", ".input_zero_point", ".input_global_scale", ".output_scale", ".output_zero_point"})
      b.ignore(base + name, "activations stay as they are: they are rounded by kernels, not by the checkpoint");
    return Stored{base,
                  b.need(base + ".weight_scale", base),
                  b.find(base + ".weight_zero_point"),
                  b.find(base + ".weight_g_idx"),
                  b.find(base + ".weight_global_scale"),
                  0,
                  0};
  };
  for (StringRef name : {".k_scale", ".v_scale", ".q_scale"})
    (void)b.forEach(name, [&](const std::string &, const CheckpointTensor &tensor) {
      b.ignore(tensor.name, "the scale of a quantised cache: the cache stays as it is");
      return success();
    });

  // Weights with a number in each element.
  LogicalResult plain = b.forEach(".weight_scale", [&](const std::string &base, const CheckpointTensor &scale) -> LogicalResult {
    const CheckpointTensor *weight = b.find(base + ".weight");
    if (!weight)
      return b.find(base + ".weight_packed") ? success() : (void(b.need(base + ".weight", base)), failure());
    Stored stored = parts(base);
    if (weight->shape.size() != 2 ||
        (weight->type != DType::I8 && weight->type != DType::F8E4M3 && weight->type != DType::F8E5M2))
      return b.misfit(*weight, "I8 or F8_E4M3 [N, K]");
    stored.n = weight->shape[0], stored.k = weight->shape[1];
    if (stored.n < 1 || stored.k < 1)
      return b.misfit(*weight, "at least one number");
    const std::vector<int64_t> blocks = stored.blocks(*scheme);
    if (blocks.empty() || !isFloat(scale.type))
      return b.misfit(scale, "one scale for each row, group or block of " + weight->name);
    if (stored.zero && stored.zero->shape != scale.shape)
      return b.misfit(*stored.zero, "the shape of " + scale.name);
    return b.derive(base + ".weight", weight->shape, [&] {
      const std::vector<int64_t> shape = scaleShape(stored, blocks);
      Value zero = stored.zero ? b.reshape(b.f32(b.get(*stored.zero)), shape) : Value();
      return b.dequantize(b.get(*weight), b.reshape(b.get(scale), shape), zero, blocks);
    });
  });

  // Packed ones.
  LogicalResult packed =
      b.forEach(".weight_packed", [&](const std::string &base, const CheckpointTensor &words) -> LogicalResult {
        Stored stored = parts(base);
        if (!stored.scale)
          return failure();
        if (words.shape.size() != 2 || (words.type != DType::I32 && words.type != DType::U8))
          return b.misfit(words, "I32 or U8 of two dimensions");
        if (words.shape[0] < 1 || words.shape[1] < 1)
          return b.misfit(words, "at least one number");
        stored.n = words.shape[0];
        const bool fp4 = words.type == DType::U8;
        int64_t bits = fp4 ? 4 : scheme->bits;
        stored.k = fp4 ? words.shape[1] * 2 : words.shape[1] * 32 / bits;
        if (const CheckpointTensor *shape = b.find(base + ".weight_shape")) {
          FailureOr<std::vector<int64_t>> sizes = b.integers(*shape);
          if (failed(sizes))
            return failure();
          if (sizes->size() != 2 || (*sizes)[0] != stored.n || (*sizes)[1] < 1 || (*sizes)[1] > words.shape[1] * 32)
            return b.misfit(*shape, "I64 [2] that holds [" + Twine(stored.n) + ", K]");
          stored.k = (*sizes)[1];
          // Groups of a checkpoint may differ in width: the words say which it is.
          for (int64_t width : {8, 4, 3, 2})
            if (!fp4 && (stored.k * bits + 31) / 32 != words.shape[1] && (stored.k * width + 31) / 32 == words.shape[1])
              bits = width;
          b.ignore(shape->name, "the shape of a packed weight");
        }
        if ((fp4 ? stored.k / 2 : (stored.k * bits + 31) / 32) != words.shape[1])
          return b.misfit(words, Twine(stored.k) + " numbers of " + Twine(bits) + " bits in a row");
        const std::vector<int64_t> blocks = stored.blocks(*scheme);
        const bool e8m0Bytes = stored.scale->type == DType::U8;
        if (blocks.empty() || (!isFloat(stored.scale->type) && !e8m0Bytes))
          return b.misfit(*stored.scale, "one scale for each row or group of [" + Twine(stored.n) + ", " + Twine(stored.k) + "]");
        const std::vector<int64_t> shape = scaleShape(stored, blocks);
        if (stored.index && (stored.index->shape != std::vector<int64_t>{stored.k} || isFloat(stored.index->type)))
          return b.misfit(*stored.index, "integers [" + Twine(stored.k) + "]");
        if (stored.zero && (stored.zero->type != DType::I32 ||
                            stored.zero->shape != std::vector<int64_t>{(stored.n * bits + 31) / 32, shape[1]}))
          return b.misfit(*stored.zero, "I32 [" + Twine((stored.n * bits + 31) / 32) + ", " + Twine(shape[1]) + "]");
        if (stored.global && !b.isOneFloat(*stored.global))
          return b.misfit(*stored.global, "one float");
        return b.derive(base + ".weight", {stored.n, stored.k}, [&] {
          Value codes = b.unpack(b.get(words), bits, fr::PackOrder::LowFirst, 1, stored.k), scale = b.get(*stored.scale);
          if (e8m0Bytes)
            scale = b.lookUp(scale, b.e8m0Table());
          scale = b.reshape(b.f32(scale), shape);
          if (fp4) {
            if (stored.global)
              scale = b.binary<fr::DivOp>(scale, b.get(*stored.global));
            return b.dequantize(b.lookUp(codes, b.e2m1Table()), scale, Value(), blocks);
          }
          // Both the value and its zero are stored with the same offset, which cancels.
          Value zero;
          if (stored.zero)
            zero = b.f32(b.unpack(b.get(*stored.zero), bits, fr::PackOrder::LowFirst, 0, stored.n));
          else
            codes = b.binary<fr::SubOp>(b.f32(codes), b.constant(static_cast<float>(int64_t(1) << (bits - 1))));
          if (!stored.index)
            return b.dequantize(codes, scale, zero, blocks);
          // One column of scales per group, picked for each input feature.
          auto perFeature = [&](Value value) { return b.transpose2(b.gather(b.transpose2(value), b.get(*stored.index))); };
          return b.dequantize(codes, perFeature(scale), zero ? perFeature(zero) : Value(), {1, 1});
        });
      });
  return success(succeeded(plain) && succeeded(packed));
}
