// Which tensor lies in which safetensors file, and at which byte.
#pragma once

#include "exporters/Exporter.h"

namespace flagrelease::hf_export {

/// A param that the folder holds, where it comes from, and how it is stored.
struct Stored {
  std::string name;
  DType type = DType::F32;
  std::vector<int64_t> shape;
  uint64_t bytes = 0;
  /// The first tensor of the source that it is made of: decides its place. Null: of none.
  const CheckpointTensor *first = nullptr;
  bool unchanged = false; ///< it is `first`, of the same name and bit for bit
};

struct Layout {
  /// In the order of their names: model.safetensors, or model-00001-of-0000N.safetensors and so on.
  std::vector<ExportedFile> files;
  uint64_t tensorBytes = 0;
};

/// `tensors` are in the order of the source. A file of the checkpoint whose tensors are all unchanged is placed as it is, if it
/// is safetensors that say {"format": "pt"} (transformers 4 refuses others) and not larger than the shard size when that was
/// asked for. The others are filled in order up to the shard size. Inside a file they keep that order, so that a matrix and its
/// scales are made in one pass over the source; where that would leave a tensor unaligned, wider types come first.
FailureOr<Layout> layOutShards(const ExportRequest &request, llvm::ArrayRef<Stored> tensors, Diagnostics &diags);

/// The text of model.safetensors.index.json.
std::string indexJson(const Layout &layout);

} // namespace flagrelease::hf_export
