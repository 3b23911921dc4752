// A checkpoint on disk: a folder in Hugging Face or ModelScope layout (or one weight file), read by its headers only.
//
// Which files are the checkpoint (as transformers chooses, and noted whenever there was a choice):
//   1. model.safetensors                      2. model.safetensors.index.json with its shards
//   3. the only other *.safetensors.index.json  4. a complete set NAME-00001-of-0000N.safetensors without index
//   5. the only other *.safetensors file
// and only without any safetensors, which always win, files of torch.save (weights/PyTorchFile.h):
//   6. pytorch_model.bin                      7. pytorch_model.bin.index.json with its shards
//   8. a complete set pytorch_model-00001-of-0000N.bin without index
//   9. any other *.bin, *.pt, *.pth, *.ckpt when it is given as the file: a folder has such files that are no weights
// and without any of these
//  10. the only .gguf file, or the only complete set NAME-00001-of-0000N.gguf
// consolidated*.safetensors (Mistral's own layout of the same weights) and variants (model.fp16.safetensors) count only when
// nothing else is there. Links are followed (hub caches are made of them); names out of the folder are refused.
#pragma once

#include "ir/BlockFormat.h"
#include "ir/DType.h"
#include "text/Diagnostics.h"
#include "weights/ByteSource.h"
#include "weights/GgufValue.h"
#include "weights/Work.h"

#include "llvm/ADT/StringMap.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

enum class FileFormat : uint8_t {
  Safetensors,
  PyTorch, ///< a zip archive around a pickle: tensors are read from it, the file itself never becomes part of an artefact
  Gguf,    ///< tensors may be in blocks (CheckpointTensor::block)
};

struct CheckpointFile {
  std::string name; ///< relative to the folder, '/' between parts
  std::string path; ///< to open it
  uint64_t bytes = 0;
  int64_t mtimeNs = 0;      ///< for the fingerprint; never printed
  std::string headerDigest; ///< sha256 (hex) of the header; PyTorch: of the central directory and of data.pkl
  FileFormat format = FileFormat::Safetensors;
  std::map<std::string, std::string> metadata;
};

struct CheckpointTensor {
  std::string name;
  DType type = DType::F32;
  std::vector<int64_t> shape;
  uint32_t file = 0;   ///< index into Checkpoint::files
  uint64_t offset = 0; ///< from the start of that file
  uint64_t bytes = 0;
  /// Of a tensor that is stored in blocks: `type` is U8, `shape` is [..., rows, bytes of a row], and `decoded` is the shape of
  /// its numbers.
  std::optional<BlockFormat> block = std::nullopt;
  std::vector<int64_t> decoded = {};
};

class Checkpoint {
public:
  std::string folder;
  std::string index;                     ///< name of the index file, empty if there is none
  std::vector<CheckpointFile> files;     ///< ordered by name
  std::vector<CheckpointTensor> tensors; ///< ordered by file, then by offset; tied ones of PyTorch files share their bytes
  /// Of a GGUF checkpoint: the key-values of its (first) file. They stand for config.json and the tokenizer's files.
  std::shared_ptr<const GgufKeyValues> gguf;

  const CheckpointTensor *find(StringRef name) const;
  uint64_t totalBytes() const; ///< of all tensors

  /// The source table that stands beside the module: {"version":1,"files":[{name,bytes,header_sha256}],
  /// "tensors":[{name,dtype,shape,file,offset,bytes[,block,decoded]}]}, one line per entry. No path and no time in it.
  std::string sourcesJson() const;

  /// To be called after `tensors` is complete; a name that occurs twice keeps its first.
  void buildIndex();

private:
  llvm::StringMap<uint32_t> byName;
};

/// Reads the headers of all files. Reports every missing, truncated and contradictory file and every tensor that is in the
/// index but not in its shard, in a shard but not in the index, or in two shards.
FailureOr<Checkpoint> openCheckpoint(const std::string &folderOrFile, Diagnostics &diags, const WorkOptions &work = {});

/// Opens each file of a checkpoint for reading, and fails if one changed since its header was read.
FailureOr<std::vector<std::shared_ptr<FileSource>>> openSources(const Checkpoint &checkpoint, Diagnostics &diags);

} // namespace flagrelease
