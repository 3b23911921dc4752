// What the small files beside config.json say: tokens of the vocabulary, how an embedding model pools.
#pragma once

#include "text/Diagnostics.h"
#include "weights/Checkpoint.h"

#include <optional>
#include <string>

namespace flagrelease {

/// The id of a token in tokenizer.json (its added tokens first, then the vocabulary). Nothing if there is no such file or token.
FailureOr<std::optional<int64_t>> tokenId(const std::string &folder, StringRef token, Diagnostics &diags);

/// The pooling of a sentence-transformers folder (1_Pooling/config.json): "last_token", "first_token" or "mean"; nothing without
/// such a file; a pooling that no step computes is a problem.
FailureOr<std::optional<std::string>> sentencePooling(const std::string &folder, Diagnostics &diags);

/// Compares the bytes of two tensors, a few MiB at a time.
FailureOr<bool> sameBytes(const Checkpoint &checkpoint, const CheckpointTensor &a, const CheckpointTensor &b, Diagnostics &diags);

} // namespace flagrelease
