// What an exporter is: it turns a finished module into the files of one format, without thinking. It moves no weight byte: it
// says exactly which files the artefact has and where each tensor lies in them; weights/ writes them afterwards, so that the
// whole layout is known before the first byte moves.
#pragma once

#include "exporters/SideFiles.h"
#include "ir/DType.h"
#include "text/JsonEdit.h"
#include "weights/Checkpoint.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <string>
#include <vector>

namespace flagrelease {

struct GgufTarget;
struct Scheme;

struct ExportRequest {
  mlir::ModuleOp module;                  ///< at the level that the format prints
  const Checkpoint *checkpoint = nullptr; ///< where the weights of fr.weights lie; null if the module has none
  std::string function = "main";          ///< the part to export
  std::string stem = "model";             ///< files are called after it: model.onnx, model.onnx.data

  /// ONNX only: an unchanged file of the checkpoint is part of the artefact if the graph uses at least this share of its bytes;
  /// else what it uses is written again. Else a quantised model would ship its unquantised source too.
  double leastUse = 0.5;

  // Checkpoint formats only.
  const SideFiles *beside = nullptr; ///< the small files of the source: config.json among them
  uint64_t shardSize = 5000000000;   ///< tensor bytes in one file; a larger tensor has a file of its own
  bool reshard = false;              ///< the size was asked for: it bounds unchanged files of the source too
  std::optional<DType> floats;       ///< what the scheme stores floating-point tensors in; none: as the source does
  /// More edits of config.json, after that of the dtype. A quantised scheme sets {"quantization_config"} here, in the words of
  /// the consumer; one that dequantises removes it.
  std::vector<json::Edit> configEdits;
  const GgufTarget *gguf = nullptr; ///< what exporters/gguf/ needs beside the module
  const Scheme *scheme = nullptr;   ///< what the weights are stored as; config.json says it to the consumer
  bool dequantised = false;         ///< the source was quantised, and its weights ship as other numbers
};

/// One tensor inside a file of the artefact.
struct ExportedTensor {
  std::string param;  ///< symbol of the fr.param that gives its bytes
  std::string weight; ///< Placed: the tensor of the source that it is, unchanged
  DType type = DType::F32;
  std::vector<int64_t> shape;
  uint64_t offset = 0, bytes = 0; ///< in the file
};

struct ExportedFile {
  enum class Kind : uint8_t {
    Placed,  ///< a .safetensors file of the checkpoint as it is, at the same name
    Derived, ///< tensors to be computed from params and written at their offsets; zeros between them
    Written, ///< `content`
  };
  Kind kind = Kind::Written;
  std::string path;                    ///< relative to the folder of the format's files; never leaves it
  uint64_t bytes = 0;                  ///< of the whole file
  uint32_t source = 0;                 ///< Placed: index into Checkpoint::files
  std::vector<ExportedTensor> tensors; ///< by offset; Placed: those that the format refers to
  std::string content;                 ///< Written
  std::string head = {};               ///< Derived: the bytes before the first tensor
};

/// Placed files in the order of the checkpoint, then derived, then written ones. The same module gives the same plan and bytes.
struct ExportPlan {
  std::vector<ExportedFile> files;
};

struct Exporter {
  llvm::StringLiteral name;        ///< of --format
  llvm::StringLiteral description; ///< for `list formats`
  FailureOr<ExportPlan> (*run)(const ExportRequest &, Diagnostics &);
  /// A checkpoint format prints the params, and the engine owns the graph; a graph format prints the graph with what it uses.
  bool checkpoint = false;
  /// What a device loads, below model/; empty: the folder itself.
  llvm::StringLiteral entry = "";
  bool carriesConsumerFiles = true; ///< config and tokenizer go along; else only licences do
  bool ggufSection = false;         ///< names, order and keys of its tensors come from the recipe's gguf section
};

llvm::ArrayRef<Exporter> exporters();
const Exporter *findExporter(llvm::StringRef name);

} // namespace flagrelease
