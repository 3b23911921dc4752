// The step "bytes": every tensor of the source is accounted for, and every tensor of the artefact is derived once more from the
// source, by the plain scalar path, and compared with what the manifest says and with what is on disk.
#pragma once

#include "text/Diagnostics.h"
#include "validators/Checks.h"
#include "weights/Checkpoint.h"
#include "weights/Manifest.h"
#include "weights/Work.h"

#include <map>
#include <string>
#include <vector>

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace flagrelease {

struct BytesRequest {
  const Manifest &manifest;
  std::string outFolder; ///< that holds model/
  mlir::ModuleOp
      &module; ///< the final module, with a param for each tensor of the manifest, of the same name; an identity needs none
  const Checkpoint &checkpoint;
  /// Tensors of the source that the artefact does not hold, with the reason ("computed", "the graph does not use it").
  std::map<std::string, std::string> left;
  WorkOptions work;
};

struct BytesResult {
  int64_t sourceTensors = 0, sourceUsed = 0, sourceLeft = 0;
  int64_t outputTensors = 0, identical = 0, derived = 0; ///< identical: stored as in the source
  uint64_t bytesCompared = 0;
  std::map<std::string, std::string> left;
  /// One line per difference, "name: what", at most 100, then how many more.
  std::vector<std::string> problems;
  int64_t problemCount = 0;
  CheckResult check() const;
};

/// Fails only for what stops the work (I/O errors, stop). Differences are a result. Holds at most `work.memory` bytes of tensors,
/// save that one row of a tensor is always held.
FailureOr<BytesResult> checkBytes(const BytesRequest &request, Diagnostics &diags);

} // namespace flagrelease
