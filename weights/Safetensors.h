// The safetensors format: 8 bytes little-endian header length, a JSON header, tensor bytes without holes.
// https://github.com/huggingface/safetensors ("Format"); limits as in its Rust reader (header at most 100 MB).
//
// The header reader reads nothing but the header, and is written for hostile files: every contradiction is a diagnostic that
// names file and tensor; time and memory are bounded by the size of the header.
#pragma once

#include "ir/HostTensor.h"
#include "text/Diagnostics.h"
#include "weights/ByteSource.h"
#include "weights/TensorEntry.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace flagrelease {

using SafetensorsEntry = TensorEntry;

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;       ///< in the order of their bytes in the file
  std::map<std::string, std::string> metadata; ///< `__metadata__`
  uint64_t dataOffset = 0;                     ///< where the tensor bytes start
  std::string digest;                          ///< sha256 (hex) of everything before dataOffset
};

/// Reads and checks the header. Problems of all tensors are reported, not only the first (past 20 of a kind: how many more).
FailureOr<SafetensorsHeader> readSafetensorsHeader(const ByteSource &source, Diagnostics &diags);

/// A whole small file into memory: inputs, goldens, runner exchange. More than `limit` bytes is an error.
FailureOr<NamedTensors> readSafetensors(const std::string &path, Diagnostics &diags, uint64_t limit = uint64_t(4) << 30);

/// Writes such a file: same tensors and metadata, same bytes. Tensors are ordered by alignment, then name, and data starts at a
/// multiple of 64. The file appears under its name complete (rename) or not at all.
LogicalResult writeSafetensors(const std::string &path, const NamedTensors &tensors,
                               const std::map<std::string, std::string> &metadata, Diagnostics &diags);

/// The bytes before the data of a file with these tensors, whose offsets are set to their place in it (bytes and order given).
/// Padded with spaces so that data starts at a multiple of `alignment` (a power of two, at least 8).
std::string layOutSafetensors(std::vector<SafetensorsEntry> &tensors, const std::map<std::string, std::string> &metadata,
                              uint64_t alignment = 64);

} // namespace flagrelease
