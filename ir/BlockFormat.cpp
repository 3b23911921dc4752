#include "ir/BlockFormat.h"

#include <cassert>
#include <iterator>

namespace flagrelease {

namespace {

// In the order of the enum: indexed by it.
constexpr BlockInfo kFormats[] = {
    {BlockFormat::Q4_0, "q4_0", 2, 32, 18},         {BlockFormat::Q4_1, "q4_1", 3, 32, 20},
    {BlockFormat::Q5_0, "q5_0", 6, 32, 22},         {BlockFormat::Q5_1, "q5_1", 7, 32, 24},
    {BlockFormat::Q8_0, "q8_0", 8, 32, 34},         {BlockFormat::Q2_K, "q2_k", 10, 256, 84},
    {BlockFormat::Q3_K, "q3_k", 11, 256, 110},      {BlockFormat::Q4_K, "q4_k", 12, 256, 144},
    {BlockFormat::Q5_K, "q5_k", 13, 256, 176},      {BlockFormat::Q6_K, "q6_k", 14, 256, 210},
    {BlockFormat::IQ2_XXS, "iq2_xxs", 16, 256, 66}, {BlockFormat::IQ2_XS, "iq2_xs", 17, 256, 74},
    {BlockFormat::IQ3_XXS, "iq3_xxs", 18, 256, 98}, {BlockFormat::IQ1_S, "iq1_s", 19, 256, 50},
    {BlockFormat::IQ4_NL, "iq4_nl", 20, 32, 18},    {BlockFormat::IQ3_S, "iq3_s", 21, 256, 110},
    {BlockFormat::IQ2_S, "iq2_s", 22, 256, 82},     {BlockFormat::IQ4_XS, "iq4_xs", 23, 256, 136},
    {BlockFormat::IQ1_M, "iq1_m", 29, 256, 56},     {BlockFormat::TQ1_0, "tq1_0", 34, 256, 54},
    {BlockFormat::TQ2_0, "tq2_0", 35, 256, 66},     {BlockFormat::MXFP4, "mxfp4", 39, 32, 17},
    {BlockFormat::NVFP4, "nvfp4", 40, 64, 36},      {BlockFormat::Q1_0, "q1_0", 41, 128, 18},
    {BlockFormat::Q2_0, "q2_0", 42, 64, 18},
};

constexpr bool inEnumOrder() {
  for (size_t i = 0; i < std::size(kFormats); ++i)
    if (static_cast<size_t>(kFormats[i].format) != i)
      return false;
  return true;
}
static_assert(inEnumOrder() && std::size(kFormats) == static_cast<size_t>(BlockFormat::Q2_0) + 1);

} // namespace

llvm::ArrayRef<BlockInfo> blockFormats() { return kFormats; }

const BlockInfo &blockInfo(BlockFormat format) {
  assert(static_cast<size_t>(format) < std::size(kFormats));
  return kFormats[static_cast<size_t>(format)];
}

std::optional<BlockFormat> parseBlockFormat(llvm::StringRef name) {
  for (const BlockInfo &info : kFormats)
    if (name == info.name)
      return info.format;
  return std::nullopt;
}

std::optional<BlockFormat> blockFormatOfGgml(uint32_t ggmlType) {
  for (const BlockInfo &info : kFormats)
    if (ggmlType == info.ggmlType)
      return info.format;
  return std::nullopt;
}

} // namespace flagrelease
