// Block formats: tensors whose rows are cut into blocks of elements that share scales, as GGUF files store them.
//
// Names, ids and sizes are those of ggml (https://github.com/ggml-org/ggml, enum ggml_type and its type table). Types that
// exist only inside ggml's kernels (Q8_1, Q8_K) are not stored in files and not listed; F32, F16, BF16 and the integers are
// element types (ir/DType.h). What the bytes mean stands with each codec in weights/codecs/.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace flagrelease {

enum class BlockFormat : uint8_t {
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
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
  Q1_0,
  Q2_0
};

struct BlockInfo {
  BlockFormat format;
  const char *name;  ///< "q4_k"
  uint32_t ggmlType; ///< as in the tensor list of a GGUF file
  uint16_t elements; ///< of one block, along the fastest axis
  uint16_t bytes;    ///< of one block

  /// Bytes of `count` elements, a multiple of `elements`.
  int64_t byteSize(int64_t count) const { return count / elements * bytes; }
};

/// Every format, in the order of the enum.
llvm::ArrayRef<BlockInfo> blockFormats();
const BlockInfo &blockInfo(BlockFormat format);
/// By name in small letters ("iq2_xxs"); nullopt for anything else.
std::optional<BlockFormat> parseBlockFormat(llvm::StringRef name);
/// By the type id of a GGUF file; nullopt for element types, retired ids and unknown ones.
std::optional<BlockFormat> blockFormatOfGgml(uint32_t ggmlType);

} // namespace flagrelease
