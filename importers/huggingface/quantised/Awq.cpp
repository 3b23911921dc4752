// AWQ, layout "gemm": nibbles packed along the output features in the order 0, 2, 4, 6, 1, 3, 5, 7.
// https://arxiv.org/abs/2306.00978, https://github.com/casper-hansen/AutoAWQ
//
//   qweight I32 [K, N / 8]    qzeros I32 [G, N / 8], as stored    scales [G, N]
//
// X.weight [N, K] = (q - zero) * scale.
#include "importers/huggingface/quantised/Quantised.h"

using namespace flagrelease;
using namespace mlir;

LogicalResult flagrelease::declareAwq(QuantisedBuilder &b) {
  FailureOr<int64_t> bits = b.integer("bits", 4), group = b.integer("group_size", 128);
  FailureOr<std::string> version = b.word("version", "gemm");
  FailureOr<bool> zeroPoint = b.flag("zero_point", true);
  if (failed(bits) || failed(group) || failed(version) || failed(zeroPoint))
    return failure();
  if (*bits != 4)
    return b.diags.error(b.where("bits"), Twine(*bits) + " is not 4, the width that AWQ packs", "correct config.json");
  if (StringRef(*version).lower() != "gemm")
    return b.diags.error(b.where("version"), "'" + *version + "' packs in another order", "known is: gemm");
  if (*group == 0 || *group < -1)
    return b.diags.error(b.where("group_size"), Twine(*group) + " is no size of a group", "correct config.json");
  return b.forEach(".qweight", [&](const std::string &base, const CheckpointTensor &qweight) -> LogicalResult {
    const CheckpointTensor *scales = b.need(base + ".scales", base);
    const CheckpointTensor *qzeros = *zeroPoint ? b.need(base + ".qzeros", base) : nullptr;
    if (!scales || (*zeroPoint && !qzeros))
      return failure();
    if (qweight.shape.size() != 2 || qweight.shape[0] < 1 || qweight.type != DType::I32)
      return b.misfit(qweight, "I32 [K, N / 8]");
    const int64_t k = qweight.shape[0], n = qweight.shape[1] * 8, size = *group == -1 ? k : *group;
    if (k % size != 0)
      return b.diags.error(qweight.name, "groups of " + Twine(size) + " do not divide " + Twine(k) + " input features",
                           "correct group_size in quantization_config");
    if (scales->shape != std::vector<int64_t>{k / size, n} || !isFloat(scales->type))
      return b.misfit(*scales, "floats [" + Twine(k / size) + ", " + Twine(n) + "]");
    if (qzeros && (qzeros->shape != std::vector<int64_t>{k / size, n / 8} || qzeros->type != DType::I32))
      return b.misfit(*qzeros, "I32 [" + Twine(k / size) + ", " + Twine(n / 8) + "]");
    if (!*zeroPoint)
      b.ignore(base + ".qzeros", "quantization_config says zero_point false");
    return b.derive(base + ".weight", {n, k}, [&] {
      Value codes = b.unpack(b.get(qweight), 4, fr::PackOrder::Awq, 1, n), scale = b.get(*scales);
      if (!qzeros)
        return b.transpose2(b.dequantize(codes, scale, Value(), {size, 1}, /*offset=*/8));
      return b.transpose2(b.dequantize(codes, scale, b.unpack(b.get(*qzeros), 4, fr::PackOrder::Awq, 1, n), {size, 1}));
    });
  });
}
