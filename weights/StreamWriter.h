// Writes one output file whose layout is known before its first byte: tile by tile at final offsets, hashed on the way.
//
// Workers produce tiles in the order of the file; behind them, in order too, the digests of file and tensors are taken, and a
// thread writes. Memory is a ring of tiles of at most half of WorkOptions::memory; producers may hold the other half, all jobs
// together. The bytes do not depend on the number of jobs, on the tile size, or on how often the run was interrupted: a tensor
// that is complete and recorded is read back instead of produced again.
#pragma once

#include "ir/DType.h"
#include "text/Diagnostics.h"
#include "weights/OutputFolder.h"
#include "weights/Work.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace flagrelease {

/// Fills `out` with the bytes of the tensor that start at `firstByteOfOutput` (counted from the tensor's first byte). Called by
/// several threads at once, for any ranges that are cut at multiples of the grain (the last one may be shorter).
using TileProducer =
    std::function<LogicalResult(int64_t firstByteOfOutput, llvm::MutableArrayRef<std::byte> out, Diagnostics &diags)>;

/// Says that the same range is wanted soon: the time to ask the disk for what it is made of. A hint, cheap, and thread safe too.
using TileHint = std::function<void(int64_t firstByteOfOutput, uint64_t bytes)>;

struct PlannedTensor {
  std::string name;
  DType type = DType::F32;
  std::vector<int64_t> shape;
  uint64_t fileOffset = 0;
  uint64_t bytes = 0;
  TileProducer producer;
  TileHint hint;      ///< may be empty
  uint64_t grain = 0; ///< tiles are cut at multiples of this: a row, a block. 0: rows of the last dimension
};

struct PlannedFile {
  std::string path; ///< relative to the output folder
  std::string head; ///< the bytes before the first tensor (a header)
  uint64_t bytes = 0;
  std::vector<PlannedTensor> tensors;         ///< by fileOffset, not overlapping; bytes between them are zero
  uint64_t recordEvery = uint64_t(256) << 20; ///< what a killed run writes again at most, besides the tiles in flight

  /// Files of at least this size bypass the page cache, as in weights/Placer.h.
  uint64_t directFrom = uint64_t(256) << 20;
};

/// Writes the file and records it. DoneFile::parts are the digests of the tensors, in their order. A file that an earlier run
/// completed is kept. A row that is larger than the ring allows is an error that names --memory.
FailureOr<DoneFile> writeStream(OutputFolder &out, const PlannedFile &file, const WorkOptions &work, Diagnostics &diags);

} // namespace flagrelease
