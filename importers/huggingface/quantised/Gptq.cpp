// GPTQ: integers packed along the input features, scales and zeros per group of them. https://arxiv.org/abs/2210.17323; the
// layout is that of AutoGPTQ and GPTQModel.
//
//   qweight I32 [K * bits / 32, N]   a column holds the integers of one output feature, the first one lowest, as a stream of bits
//   qzeros  I32 [G, N * bits / 32]   checkpoint_format "gptq" stores zero - 1 (modulo 2^bits), "gptq_v2" the zero
//   scales      [G, N]
//   g_idx   I32 [K]                  the group of each input feature; unsorted with desc_act
//
// X.weight [N, K] = (q - zero) * scale.
#include "importers/huggingface/quantised/Quantised.h"

using namespace flagrelease;
using namespace mlir;

LogicalResult flagrelease::declareGptq(QuantisedBuilder &b) {
  FailureOr<int64_t> bits = b.integer("bits", 4), group = b.integer("group_size", 128);
  FailureOr<bool> actOrder = b.flag("desc_act", false);
  FailureOr<std::string> format = b.word("checkpoint_format", "gptq");
  if (failed(bits) || failed(group) || failed(actOrder) || failed(format))
    return failure();
  if (*bits != 2 && *bits != 3 && *bits != 4 && *bits != 8)
    return b.diags.error(b.where("bits"), Twine(*bits) + " is none of 2, 3, 4, 8", "correct config.json");
  if (*format != "gptq" && *format != "gptq_v2")
    return b.diags.error(b.where("checkpoint_format"), "'" + *format + "' is not known", "known are: gptq, gptq_v2");
  if (*group == 0 || *group < -1)
    return b.diags.error(b.where("group_size"), Twine(*group) + " is no size of a group", "correct config.json");
  return b.forEach(".qweight", [&](const std::string &base, const CheckpointTensor &qweight) -> LogicalResult {
    const CheckpointTensor *qzeros = b.need(base + ".qzeros", base), *scales = b.need(base + ".scales", base),
                           *index = b.find(base + ".g_idx");
    if (!qzeros || !scales)
      return failure();
    if (qweight.shape.size() != 2 || qweight.shape[0] < 1 || qweight.type != DType::I32 || qweight.shape[0] * 32 % *bits != 0)
      return b.misfit(qweight, "I32 [K * " + Twine(*bits) + " / 32, N]");
    const int64_t k = qweight.shape[0] * 32 / *bits, n = qweight.shape[1], size = *group == -1 ? k : *group;
    if (k % size != 0 && !*actOrder)
      return b.diags.error(qweight.name, "groups of " + Twine(size) + " do not divide " + Twine(k) + " input features",
                           "correct group_size in quantization_config");
    const int64_t groups = k / size + (k % size != 0);
    if (scales->shape != std::vector<int64_t>{groups, n} || !isFloat(scales->type))
      return b.misfit(*scales, "floats [" + Twine(groups) + ", " + Twine(n) + "]");
    if (qzeros->shape != std::vector<int64_t>{groups, (n * *bits + 31) / 32} || qzeros->type != DType::I32)
      return b.misfit(*qzeros, "I32 [" + Twine(groups) + ", " + Twine((n * *bits + 31) / 32) + "]");
    if (index && (index->shape != std::vector<int64_t>{k} || isFloat(index->type)))
      return b.misfit(*index, "integers [" + Twine(k) + "]");
    if (*actOrder && !index)
      return b.need(base + ".g_idx", base) ? success() : failure();
    if (index && !*actOrder) {
      FailureOr<std::vector<int64_t>> order = b.integers(*index);
      if (failed(order))
        return failure();
      for (auto [feature, groupOf] : llvm::enumerate(*order))
        if (groupOf != static_cast<int64_t>(feature) / size)
          return b.diags.error(index->name,
                               "puts input feature " + Twine(feature) + " into group " + Twine(groupOf) +
                                   ", but groups are in order where desc_act is false",
                               "correct desc_act in quantization_config");
      b.ignore(index->name, "groups are in order: quantization_config says desc_act false");
    }
    return b.derive(base + ".weight", {n, k}, [&] {
      Value codes = b.unpack(b.get(qweight), *bits, fr::PackOrder::LowFirst, 0, k);
      Value zeros = b.unpack(b.get(*qzeros), *bits, fr::PackOrder::LowFirst, 1, n);
      Value zero = b.f32(zeros);
      if (*format == "gptq") {
        std::vector<float> next;
        for (int64_t i = 0; i < int64_t(1) << *bits; ++i)
          next.push_back(static_cast<float>((i + 1) % (int64_t(1) << *bits)));
        zero = b.lookUp(zeros, next);
      }
      Value scale = b.f32(b.get(*scales));
      if (!*actOrder)
        return b.transpose2(b.dequantize(codes, scale, zero, {size, 1}));
      Value groupOf = b.get(*index);
      return b.transpose2(b.dequantize(codes, b.gather(scale, groupOf), b.gather(zero, groupOf), {1, 1}));
    });
  });
}
