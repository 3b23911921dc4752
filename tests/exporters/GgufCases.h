// What tests of the GGUF path share: a checkpoint written as GGUF files by the program's own steps, without the command line.
#pragma once

#include "exporters/gguf/ExportGguf.h"
#include "importers/huggingface/Import.h"

namespace flagrelease::test {

struct WriteGgufOptions {
  std::optional<DType> floats; ///< of matrices; nothing: as stored
  uint64_t shardSize = 0, alignment = 32;
  std::optional<BlockFormat> blocks = std::nullopt; ///< of matrices whose rows are whole blocks
};

/// Writes `out`/model.gguf (or its shards) from the checkpoint `source`.
LogicalResult writeGguf(const std::string &source, const std::string &out, const WriteGgufOptions &options, Diagnostics &diags);

/// Writes a file of key-values only: the tokenizer of a folder, for an embedding of `rows` rows. The family is of no importance.
LogicalResult writeGgufVocabulary(const std::string &folder, int64_t rows, const std::string &file, Diagnostics &diags);

/// As messages, one per line.
std::string problems(const Diagnostics &diags);

} // namespace flagrelease::test
