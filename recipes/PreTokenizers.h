// The table recipes/gguf_pretokenizers.yaml: how a byte-level BPE tokenizer cuts text, and what GGUF files call it.
#pragma once

#include "text/Diagnostics.h"

#include <string>
#include <vector>

namespace flagrelease {

struct PreTokenizerKind {
  std::string name;               ///< tokenizer.ggml.pre
  std::vector<std::string> steps; ///< "bytes", "gpt2", "digits", "digit_runs", "punctuation", or "split " and the expression
  std::vector<std::string> normalizers = {"none"};
  bool ignoreMerges = false, cleans = false;
  std::string limits; ///< where the engine differs from the tokenizer; mostly empty
};

struct TokenizerTable {
  std::string bytes, characters, unigrams, absent; ///< tokenizer.ggml.model of each kind of tokenizer
  std::vector<PreTokenizerKind> kinds;             ///< of byte-level BPE
};

/// Reads `folder`/gguf_pretokenizers.yaml strictly.
FailureOr<TokenizerTable> loadPreTokenizers(StringRef folder, Diagnostics &diags);

/// The entry that fits; null if there is none. `cleans` decides only between entries that fit equally.
const PreTokenizerKind *findPreTokenizer(const TokenizerTable &table, const std::vector<std::string> &steps, StringRef normalizer,
                                         bool ignoreMerges, bool cleans);

} // namespace flagrelease
