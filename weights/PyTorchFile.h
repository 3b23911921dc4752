// Checkpoints of torch.save: a zip archive with `NAME/data.pkl`, a pickle of the state dict, and the storages that its tensors
// are views of, one member `NAME/data/KEY` each, little endian and not compressed
// (https://docs.pytorch.org/docs/stable/notes/serialization.html).
//
// What the pickle may name is the table in PyTorchFile.cpp; nothing of it is executed (weights/Pickle.h). Read are contiguous
// tensors and parameters of the element types of ir/DType.h, at the top level or in one of `state_dict`, `model`, `module`,
// `model_state_dict`. Several names of one storage (tied weights) are several tensors at one place. Refused, each with the way
// out: the format before torch 1.6 (pickles one after the other), TorchScript, tar, big-endian files, tensors with strides. Only
// the directory, local headers and data.pkl are read.
#pragma once

#include "text/Diagnostics.h"
#include "weights/ByteSource.h"
#include "weights/TensorEntry.h"

#include <string>
#include <vector>

namespace flagrelease {

struct PyTorchHeader {
  std::vector<TensorEntry> tensors; ///< by offset, then by name
  std::string digest;               ///< sha256 (hex) of the archive's central directory and of data.pkl
};

/// Problems of all tensors are reported, not only the first (past 20 of a kind: how many more). What is not read is noted.
FailureOr<PyTorchHeader> readPyTorchHeader(const ByteSource &source, Diagnostics &diags);

} // namespace flagrelease
