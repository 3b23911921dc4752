#include "weights/codecs/Codec.h"
#include "weights/codecs/Layouts.h"

#include <cassert>
#include <iterator>

namespace flagrelease {

namespace {

using namespace codecs;

// In the order of BlockFormat: indexed by it.
constexpr BlockCodec kCodecs[] = {
    {BlockFormat::Q4_0, decodeQ4_0, encodeQ4_0},    {BlockFormat::Q4_1, decodeQ4_1, encodeQ4_1},
    {BlockFormat::Q5_0, decodeQ5_0, encodeQ5_0},    {BlockFormat::Q5_1, decodeQ5_1, encodeQ5_1},
    {BlockFormat::Q8_0, decodeQ8_0, encodeQ8_0},    {BlockFormat::Q2_K, decodeQ2_K, encodeQ2_K},
    {BlockFormat::Q3_K, decodeQ3_K, encodeQ3_K},    {BlockFormat::Q4_K, decodeQ4_K, encodeQ4_K},
    {BlockFormat::Q5_K, decodeQ5_K, encodeQ5_K},    {BlockFormat::Q6_K, decodeQ6_K, encodeQ6_K},
    {BlockFormat::IQ2_XXS, decodeIQ2_XXS, nullptr}, {BlockFormat::IQ2_XS, decodeIQ2_XS, nullptr},
    {BlockFormat::IQ3_XXS, decodeIQ3_XXS, nullptr}, {BlockFormat::IQ1_S, decodeIQ1_S, nullptr},
    {BlockFormat::IQ4_NL, decodeIQ4_NL, nullptr},   {BlockFormat::IQ3_S, decodeIQ3_S, nullptr},
    {BlockFormat::IQ2_S, decodeIQ2_S, nullptr},     {BlockFormat::IQ4_XS, decodeIQ4_XS, nullptr},
    {BlockFormat::IQ1_M, decodeIQ1_M, nullptr},     {BlockFormat::TQ1_0, decodeTQ1_0, nullptr},
    {BlockFormat::TQ2_0, decodeTQ2_0, nullptr},     {BlockFormat::MXFP4, decodeMXFP4, encodeMXFP4},
    {BlockFormat::NVFP4, decodeNVFP4, nullptr},     {BlockFormat::Q1_0, decodeQ1_0, nullptr},
    {BlockFormat::Q2_0, decodeQ2_0, nullptr},
};

constexpr bool inEnumOrder() {
  for (size_t i = 0; i < std::size(kCodecs); ++i)
    if (static_cast<size_t>(kCodecs[i].format) != i)
      return false;
  return true;
}
static_assert(inEnumOrder() && std::size(kCodecs) == static_cast<size_t>(BlockFormat::Q2_0) + 1);

} // namespace

const BlockCodec *findCodec(BlockFormat format) {
  assert(static_cast<size_t>(format) < std::size(kCodecs));
  return &kCodecs[static_cast<size_t>(format)];
}

} // namespace flagrelease
