// A checkpoint of one GGUF file, or of a split one.
#pragma once

#include "weights/Checkpoint.h"

namespace flagrelease {

/// Reads the headers of `files` (names in `folder`, in the order of the set). Several files must say the same about the set:
/// split.no, split.count, split.tensors.count (llama.cpp's gguf-split); the first one's key-values are the checkpoint's.
FailureOr<Checkpoint> openGgufFiles(const std::string &folder, const std::vector<std::string> &files, Diagnostics &diags,
                                    const WorkOptions &work);

} // namespace flagrelease
