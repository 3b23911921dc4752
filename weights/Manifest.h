// manifest.json: what an artefact consists of, where each tensor came from, and from what it was built (DESIGN section 6.5).
//
// It covers model/ and serve/. It holds no time, host, user or absolute path, and its text is canonical: the same artefact has
// the same manifest, on any machine and any number of threads. It is written last; its digest is the subject of attestations.
#pragma once

#include "ir/DType.h"
#include "text/Diagnostics.h"
#include "weights/OutputFolder.h"
#include "weights/Work.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace flagrelease {

struct ManifestFile {
  std::string path; ///< relative to the output folder: "model/model.onnx"
  uint64_t bytes = 0;
  std::string sha256;
  bool linked = false; ///< a hard link: this file and one of the source are one file
};

/// One tensor of the artefact.
struct ManifestTensor {
  std::string name;
  std::string file; ///< ManifestFile::path
  DType type = DType::F32;
  std::vector<int64_t> shape;
  uint64_t offset = 0, bytes = 0; ///< in the file
  std::string sha256;
  std::vector<std::string> sources; ///< names in the checkpoint
  std::string expression;           ///< "identity", or the text of the param
};

/// A named thing with a digest: a recipe, a table, a gate.
using NamedDigests = std::map<std::string, std::string>;

struct ManifestBuild {
  std::string tool;                                                    ///< "flagrelease 0.1.0"
  std::string sourceName;                                              ///< hub id or folder name, never a path
  std::string sourceRevision;                                          ///< commit, if it is known
  std::map<std::string, std::pair<uint64_t, std::string>> sourceFiles; ///< name -> bytes, header digest
  std::vector<std::pair<std::string, std::string>> leftOut;            ///< files of the source that are not carried over, and why
  NamedDigests recipes;                                                ///< what was read: recipes, chip, tables
  std::map<std::string, std::string> options;                          ///< those that change bytes
  std::string module;                                                  ///< digest of the final module
};

struct Manifest {
  std::vector<ManifestFile> files;
  std::vector<ManifestTensor> tensors;
  ManifestBuild build;

  /// Adds a file that the engine wrote or placed.
  void add(const DoneFile &file);
  /// Canonical JSON: keys in fixed order, files and tensors sorted, one line per file and tensor.
  std::string toJson() const;
  std::string digest() const;
};

constexpr const char *kManifestName = "manifest.json";
constexpr const char *kRejectedManifestName = "manifest.rejected.json";

/// Writes manifest.json, or manifest.rejected.json when the verdict is a no; the other one of an earlier run goes away. Fails if
/// a file of model/ or serve/ is not listed, or not as it is listed: a manifest that is wrong must not appear.
LogicalResult writeManifest(OutputFolder &out, const Manifest &manifest, bool rejected, Diagnostics &diags);

/// Reads and checks manifest.json (or the rejected one, if only that is there). A path out of the folder is an error.
FailureOr<Manifest> readManifest(const std::string &outFolder, Diagnostics &diags);

/// Hashes all files again. Every file that is missing, different, of another size, or under model/ or serve/ without being
/// listed is reported with Cause::Answer; tensors of a different file are named where their own digest differs.
LogicalResult verifyManifest(const std::string &outFolder, const Manifest &manifest, const WorkOptions &work, Diagnostics &diags);

} // namespace flagrelease
