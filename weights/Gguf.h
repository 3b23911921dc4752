// The GGUF format, versions 2 and 3, little endian: magic, counts, key-values, tensor infos, padding, tensor bytes.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; limits and what is refused follow ggml's own reader (gguf.cpp).
//
// The reader reads nothing but the header, and is written for hostile files: every count is judged against the bytes that are
// left before anything is allocated, and every contradiction is a diagnostic that names file and tensor. Shapes are row-major
// here; the file has them the other way round (ne0 is the length of a row).
#pragma once

#include "ir/BlockFormat.h"
#include "ir/DType.h"
#include "text/Diagnostics.h"
#include "weights/ByteSource.h"
#include "weights/GgufValue.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

constexpr uint64_t kGgufAlignment = 32; ///< of the data and of each tensor, where general.alignment says nothing else
constexpr uint64_t kGgufMaxName = 63;   ///< bytes of a tensor's name: ggml keeps 64 with the terminator
constexpr uint32_t kGgufMaxRank = 4;
constexpr const char *kGgufAlignmentKey = "general.alignment";

struct GgufTensor {
  std::string name;
  DType type = DType::U8;           ///< of the elements; U8 where `block` is set
  std::optional<BlockFormat> block; ///< of a tensor that is stored in blocks
  std::vector<int64_t> shape;       ///< row-major, of the numbers (not of blocks); one to four dimensions
  uint64_t offset = 0;              ///< of the first byte, from the start of the file
  uint64_t bytes = 0;

  /// [..., rows, bytes of a row] for blocks, else `shape`.
  std::vector<int64_t> storedShape() const;
};

struct GgufHeader {
  uint32_t version = 3;
  GgufKeyValues values;
  std::vector<GgufTensor> tensors; ///< in the order of their bytes in the file
  uint64_t alignment = kGgufAlignment;
  uint64_t dataOffset = 0;
  std::string digest; ///< sha256 (hex) of everything before the padding in front of the data
};

/// Reads and checks the header. Problems of all tensors are reported, not only the first (past 20 of a kind: how many more).
FailureOr<GgufHeader> readGgufHeader(const ByteSource &source, Diagnostics &diags);

/// Bytes of a tensor of this type and shape; nullopt if a row is not a whole number of blocks, a dimension is below 1, or the
/// product leaves [0, 2^63).
std::optional<uint64_t> ggufTensorBytes(DType type, std::optional<BlockFormat> block, const std::vector<int64_t> &shape);
/// The number that stands for the type in a file; nullopt for a type that the format does not have.
std::optional<uint32_t> ggmlTypeOf(DType type, std::optional<BlockFormat> block);
/// The inverse for plain types; nullopt for block formats and unknown numbers.
std::optional<DType> plainTypeOfGgml(uint32_t type);
/// "F32", "Q4_K": how llama.cpp's tools call it.
std::string ggmlTypeName(DType type, std::optional<BlockFormat> block);

/// The bytes before the data of a file with these key-values and tensors, whose offsets and sizes are set; they stand in the
/// given order, each at a multiple of `alignment` (a power of two, at least 8). An alignment other than 32 is added to the keys.
/// `end`: where the file ends (the last tensor is padded too, as ggml writes it).
std::string layOutGguf(const GgufKeyValues &values, std::vector<GgufTensor> &tensors, uint64_t alignment, uint64_t &end);

} // namespace flagrelease
