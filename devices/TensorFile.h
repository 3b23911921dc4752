// Tensors of host memory as safetensors files: what runners exchange, and what `run --out` writes
// (https://github.com/huggingface/safetensors, "Format"). Checkpoints are read by weights/, which never holds a whole file.
#pragma once

#include "ir/HostTensor.h"
#include "text/Diagnostics.h"

#include <cstdint>
#include <map>
#include <string>

namespace flagrelease {

/// Refuses a header that is not JSON or larger than 16 MiB, unknown dtypes, negative or overflowing shapes, ranges that
/// overlap, leave gaps, lie outside the file or differ from dtype and shape, files above `maxBytes`, and anything that is no
/// regular file. Each message names the tensor.
FailureOr<NamedTensors> readTensorFile(const std::string &path, uint64_t maxBytes, Diagnostics &diags,
                                       std::map<std::string, std::string> *metadata = nullptr);

/// Names in order, the data begins at a multiple of 8. `path` is replaced by rename, so nobody sees a part of it.
LogicalResult writeTensorFile(const std::string &path, const NamedTensors &tensors, Diagnostics &diags,
                              const std::map<std::string, std::string> &metadata = {});

} // namespace flagrelease
