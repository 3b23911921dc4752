// NVIDIA ModelOpt: hf_quant_config.json, or quantization_config with quant_algo.
// https://github.com/NVIDIA/TensorRT-Model-Optimizer
//
//   FP8    weight F8_E4M3 [N, K], weight_scale F32, one for the tensor (or per output feature)
//   NVFP4  weight U8 [N, K / 2] pairs of E2M1, the low nibble first; weight_scale F8_E4M3 [N, K / 16]; weight_scale_2 F32: both
//          are multiplied
#include "importers/huggingface/quantised/Quantised.h"

using namespace flagrelease;
using namespace mlir;

LogicalResult flagrelease::declareModelOpt(QuantisedBuilder &b) {
  FailureOr<std::string> algorithm = b.word("quant_algo", "");
  if (failed(algorithm))
    return failure();
  if (*algorithm != "FP8" && *algorithm != "NVFP4" && *algorithm != "MIXED_PRECISION" && *algorithm != "FP8_PB_WO")
    return b.diags.error(b.where("quant_algo"), "'" + *algorithm + "' is not known",
                         "known are: FP8, NVFP4, MIXED_PRECISION, FP8_PB_WO");
  for (StringRef name : {".k_scale", ".v_scale", ".input_scale", ".pre_quant_scale"})
    if (failed(b.forEach(name, [&](const std::string &, const CheckpointTensor &tensor) -> LogicalResult {
          if (name == ".pre_quant_scale")
            return b.diags.error(tensor.name, "scales activations before a product (AWQ), which is not built",
                                 "use another release");
          b.ignore(tensor.name, "the scale of activations or of a quantised cache: both stay as they are");
          return success();
        })))
      return failure();
  return b.forEach(".weight_scale", [&](const std::string &base, const CheckpointTensor &scale) -> LogicalResult {
    const CheckpointTensor *weight = b.need(base + ".weight", base), *global = b.find(base + ".weight_scale_2");
    if (!weight)
      return failure();
    if (weight->type == DType::U8) {
      if (weight->shape.size() < 2 || scale.shape.size() != weight->shape.size() || scale.type != DType::F8E4M3)
        return b.misfit(scale, "F8_E4M3 for each 16 numbers of " + weight->name);
      std::vector<int64_t> shape = weight->shape, blocks(shape.size(), 1);
      shape.back() *= 2;
      if (scale.shape.back() < 1 || shape.back() % scale.shape.back() != 0 ||
          !std::equal(shape.begin(), shape.end() - 1, scale.shape.begin()))
        return b.misfit(scale, "one scale for each group of a row of " + weight->name);
      blocks.back() = shape.back() / scale.shape.back();
      if (!global)
        return b.need(base + ".weight_scale_2", base) ? success() : failure();
      if (!b.isOneFloat(*global))
        return b.misfit(*global, "one float");
      return b.derive(base + ".weight", shape, [&] {
        Value codes = b.unpack(b.get(*weight), 4, fr::PackOrder::LowFirst, static_cast<int64_t>(shape.size()) - 1, shape.back());
        Value scales = b.binary<fr::MulOp>(b.f32(b.get(scale)), b.get(*global));
        return b.dequantize(b.lookUp(codes, b.e2m1Table()), scales, Value(), blocks);
      });
    }
    if (weight->type != DType::F8E4M3 || weight->shape.size() != 2 || !isFloat(scale.type))
      return b.misfit(*weight, "F8_E4M3 [N, K] or U8 [N, K / 2]");
    const int64_t n = weight->shape[0], k = weight->shape[1];
    int64_t count = 1;
    for (int64_t d : scale.shape)
      count *= d;
    std::vector<int64_t> blocks{n, k}, shape{1, 1};
    if (count == n && n != 1)
      blocks = {1, k}, shape = {n, 1};
    else if (scale.shape.size() == 2 && scale.shape[0] == (n + 127) / 128 && scale.shape[1] == (k + 127) / 128)
      blocks = {128, 128}, shape = scale.shape;
    else if (count != 1)
      return b.misfit(scale, "one scale for the tensor, for each row or for blocks of 128 x 128");
    return b.derive(base + ".weight", weight->shape,
                    [&] { return b.dequantize(b.get(*weight), b.reshape(b.get(scale), shape), Value(), blocks); });
  });
}
