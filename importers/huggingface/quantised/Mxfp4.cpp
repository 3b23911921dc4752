// MXFP4 of gpt-oss: https://huggingface.co/openai/gpt-oss-20b. OCP Microscaling Formats 1.0.
//
//   X_blocks U8 [.., G, 16]   pairs of E2M1, the low nibble first     X_scales U8 [.., G]   E8M0, one for 32 numbers
//
// The logical tensor X is f32 [.., G * 32].
#include "importers/huggingface/quantised/Quantised.h"

using namespace flagrelease;
using namespace mlir;

LogicalResult flagrelease::declareMxfp4(QuantisedBuilder &b) {
  return b.forEach("_blocks", [&](const std::string &base, const CheckpointTensor &blocks) -> LogicalResult {
    const CheckpointTensor *scales = b.need(base + "_scales", base);
    if (!scales)
      return failure();
    const size_t rank = blocks.shape.size();
    if (rank < 2 || blocks.type != DType::U8 || blocks.shape.back() != 16)
      return b.misfit(blocks, "U8 [.., G, 16]");
    std::vector<int64_t> grouped = blocks.shape, one = blocks.shape, sizes(rank, 1);
    grouped.back() = 32, one.back() = 1, sizes.back() = 32;
    if (scales->type != DType::U8 || scales->shape != std::vector<int64_t>(blocks.shape.begin(), blocks.shape.end() - 1))
      return b.misfit(*scales, "U8, one scale for each block of " + blocks.name);
    std::vector<int64_t> shape(blocks.shape.begin(), blocks.shape.end() - 1);
    shape.back() *= 32;
    return b.derive(base, shape, [&] {
      Value codes = b.unpack(b.get(blocks), 4, fr::PackOrder::LowFirst, static_cast<int64_t>(rank) - 1, 32);
      Value scale = b.reshape(b.lookUp(b.get(*scales), b.e8m0Table()), one);
      return b.reshape(b.dequantize(b.lookUp(codes, b.e2m1Table()), scale, Value(), sizes), shape);
    });
  });
}
