// Number formats that store a row as blocks of a few elements with common scales: those of GGUF files. A tensor of such a format
// is held as bytes, [..., rows, bytes of a row]; a row is a whole number of blocks.
// Source: https://github.com/ggml-org/ggml (ggml.h enum ggml_type, ggml-common.h block structs).
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace flagrelease {

using llvm::StringRef;

enum class BlockFormat : uint8_t {
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q8_1,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  Q8_K,
  IQ2_XXS,
  IQ2_XS,
  IQ3_XXS,
  IQ1_S,
  IQ4_NL,
  IQ3_S,
  IQ2_S,
  IQ4_XS,
  IQ1_M,
  TQ1_0,
  TQ2_0,
  MXFP4,
  NVFP4,
};

struct BlockInfo {
  BlockFormat format;
  StringRef name;    ///< "q4_k"
  uint32_t ggmlType; ///< number of the type in a GGUF file
  int64_t elements;  ///< of a block
  int64_t bytes;     ///< of a block
};

const BlockInfo &blockInfo(BlockFormat format);
llvm::ArrayRef<BlockInfo> allBlockFormats();
/// By name; nullopt for anything else.
std::optional<BlockFormat> parseBlockFormat(StringRef name);
/// By the type's number in a GGUF file; nullopt for plain and unknown types.
std::optional<BlockFormat> blockFormatOfGgml(uint32_t type);

} // namespace flagrelease
