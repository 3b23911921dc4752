// Ids to text, for people who look at what a model wrote: byte-level BPE vocabularies (GPT-2's alphabet of bytes,
// https://github.com/openai/gpt-2) of tokenizer.json. Not a tokenizer: nothing here turns text into ids.
#pragma once

#include "text/Diagnostics.h"

#include <cstdint>
#include <string>
#include <vector>

namespace flagrelease {

/// Id → bytes. Fails for a tokenizer.json whose decoder is not byte-level.
class TokenBytes {
public:
  static FailureOr<TokenBytes> read(const std::string &tokenizerJson, Diagnostics &diags);
  std::string decode(llvm::ArrayRef<int64_t> ids) const;

private:
  std::vector<std::string> bytes;
};

} // namespace flagrelease
